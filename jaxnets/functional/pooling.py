"""Pooling: `torch.nn.functional.max_pool1d` to `lp_pool3d`."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets import check
from jaxnets.functional.precision import wide
from jaxnets.lowering import pooling as lowering
from jaxnets.lowering.choice import is_known

__all__ = [
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
]

Size = int | Sequence[int]
AXES = {1: "L", 2: "H, W", 3: "D, H, W"}
MULTIPLIED = 64
"""The greatest whole exponent of a power that is made of products."""


def max_pool1d(
    input: jax.Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maximum over windows of `(N, C, L)`; see `max_pool2d`, whose arguments it takes for one axis.

    >>> max_pool1d(jnp.array([[1.0, 3.0, 2.0, 0.0]]), 2).tolist()
    [[3.0, 2.0]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.max_pool1d.html
    """
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: jax.Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maximum over windows of `(N, C, H, W)`.

    `y[n, c, i, j] = max over (a, b) of x[n, c, i' + a * dilation, j' + b * dilation]`, `i' = i * stride - padding`

    NaN counts as the greatest number. The gradient goes to the first greatest element of a window.

    Args:
        input: `(N, C, H, W)` or `(C, H, W)`, floating or integer.
        kernel_size: size of a window, at least 1, for each axis.
        stride: step from window to window, at least 1; `kernel_size` when not given.
        padding: how far windows reach over both ends, at most half of `kernel_size`; what is there never wins.
        dilation: distance between the elements of a window, at least 1.
        ceil_mode: whether a last window may reach over the end; it may not start behind it.
        return_indices: whether to return the pair of output and indices.

    Shape:
        `(N, C, H, W)` to `(N, C, H_out, W_out)` with
        `H_out = floor((H + 2 * padding - dilation * (kernel_size - 1) - 1) / stride) + 1`, or ceil of the
        quotient in `ceil_mode`. Indices have the same shape: flat positions in a plane of H x W.

    Raises:
        TypeError: an argument is no int, `input` is complex or boolean.
        ValueError: sizes out of range, or an output without elements.

    Differences from torch: indices are int32 unless JAX's 64-bit types are on. A window whose elements, far apart
    by dilation, all lie in the padding has the index -1.

    >>> max_pool2d(jnp.array([[[1.0, 3.0], [2.0, 0.0]]]), 2, return_indices=True)[1].tolist()
    [[[1]]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.max_pool2d.html
    """
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: jax.Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maximum over windows of `(N, C, D, H, W)`; see `max_pool2d`, whose arguments it takes for three axes.

    >>> max_pool3d(jnp.ones((1, 4, 4, 4)), 2).shape
    (1, 2, 2, 2)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.max_pool3d.html
    """
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool1d_with_indices(
    input: jax.Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """`max_pool1d` with `return_indices=True`, whatever is passed.

    >>> max_pool1d_with_indices(jnp.array([[1.0, 3.0]]), 2)[1].tolist()
    [[1]]
    """
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, True)


def max_pool2d_with_indices(
    input: jax.Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """`max_pool2d` with `return_indices=True`, whatever is passed.

    >>> max_pool2d_with_indices(jnp.array([[[1.0, 3.0]]]), (1, 2))[1].tolist()
    [[[1]]]
    """
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, True)


def max_pool3d_with_indices(
    input: jax.Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """`max_pool3d` with `return_indices=True`, whatever is passed.

    >>> max_pool3d_with_indices(jnp.array([[[[1.0, 3.0]]]]), (1, 1, 2))[1].tolist()
    [[[[1]]]]
    """
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, True)


def avg_pool1d(
    input: jax.Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> jax.Array:
    """Mean over windows of `(N, C, L)`; see `avg_pool2d`, whose arguments it takes for one axis.

    >>> avg_pool1d(jnp.array([[1.0, 3.0, 2.0, 0.0]]), 2).tolist()
    [[2.0, 1.0]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.avg_pool1d.html
    """
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: jax.Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> jax.Array:
    """Mean over windows of `(N, C, H, W)`.

    `y[n, c, i, j] = sum over (a, b) of x[n, c, i * stride + a - padding, j * stride + b - padding] / divisor`

    Args:
        input: `(N, C, H, W)` or `(C, H, W)`, floating or integer; integers are divided towards 0.
        kernel_size: size of a window, at least 1, for each axis.
        stride: step from window to window, at least 1; `kernel_size` when not given.
        padding: zeros at both ends, at most half of `kernel_size`.
        ceil_mode: whether a last window may reach over the padding; it may not start behind the input.
        count_include_pad: whether the divisor counts padding; what `ceil_mode` adds to it never counts.
        divisor_override: divisor of every window, not 0.

    Shape:
        `(N, C, H, W)` to `(N, C, H_out, W_out)` with `H_out = floor((H + 2 * padding - kernel_size) / stride) + 1`,
        or ceil of the quotient in `ceil_mode`.

    Raises:
        TypeError: an argument is no int, `input` is complex or boolean.
        ValueError: sizes out of range, or an output without elements.

    Differences from torch: integers of every width, where torch's kernel has 64 bits only.

    >>> avg_pool2d(jnp.array([[[1.0, 3.0], [2.0, 0.0]]]), 2).tolist()
    [[[1.5]]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.avg_pool2d.html
    """
    return _avg_pool(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(
    input: jax.Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> jax.Array:
    """Mean over windows of `(N, C, D, H, W)`; see `avg_pool2d`, whose arguments it takes for three axes.

    As in torch, no axis of the input may be smaller than the window, padded or not.

    >>> avg_pool3d(jnp.ones((1, 4, 4, 4)), 2).shape
    (1, 2, 2, 2)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.avg_pool3d.html
    """
    return _avg_pool(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def lp_pool1d(
    input: jax.Array, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> jax.Array:
    """Norm of the windows of `(N, C, L)`; see `lp_pool2d`, whose arguments it takes for one axis.

    >>> lp_pool1d(jnp.array([[3.0, 4.0, 0.0, 2.0]]), 2, 2).tolist()
    [[5.0, 2.0]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.lp_pool1d.html
    """
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: jax.Array, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> jax.Array:
    """Power-mean norm of the windows of `(N, C, H, W)`.

    `y[n, c, i, j] = (sum over (a, b) of x[n, c, i * stride + a, j * stride + b]^p)^(1 / p)`, without absolute values:
    an odd power of a negative number is negative, and a root of a negative sum is NaN.

    The norm of infinite type is the maximum of `|x|`, of type minus infinity the minimum. The derivative where a sum
    is 0 is 0. A window that `ceil_mode` lets reach over the end is scaled as if it were whole: its mean times the
    size of a window.

    Args:
        input: `(N, C, H, W)` or `(C, H, W)`, real numbers.
        norm_type: p, not 0; may be infinite.
        kernel_size: size of a window, at least 1, for each axis.
        stride: step from window to window, at least 1; `kernel_size` when not given.
        ceil_mode: whether a last window may reach over the end.

    Shape:
        `(N, C, H, W)` to `(N, C, H_out, W_out)` with `H_out = floor((H - kernel_size) / stride) + 1`, or ceil of the
        quotient in `ceil_mode`.

    Raises:
        TypeError: an argument is no number, `input` is complex.
        ValueError: sizes out of range, `norm_type` is 0, or an output without elements.

    Differences from torch: integers of every width when `norm_type` is an int.

    >>> lp_pool2d(jnp.array([[[1.0, -3.0], [2.0, 0.0]]]), float("inf"), 2).tolist()
    [[[3.0]]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.lp_pool2d.html
    """
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: jax.Array, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> jax.Array:
    """Power-mean norm of the windows of `(N, C, D, H, W)`; see `lp_pool2d`, whose arguments it takes for three axes.

    >>> lp_pool3d(jnp.ones((1, 4, 4, 4)), 3, 2).shape
    (1, 2, 2, 2)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.lp_pool3d.html
    """
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)


class _Windows(NamedTuple):
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    output: tuple[int, ...]
    borders: tuple[tuple[int, int], ...]


def _windows(
    n: int,
    input: jax.Array,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    dilation: Size,
    ceil_mode: bool,
) -> _Windows:
    """The arguments for each axis, the number of windows, and the padding that makes just so many."""
    check.rank("input", input, {n + 1: f"(C, {AXES[n]})", n + 2: f"(N, C, {AXES[n]})"})
    if 0 in input.shape[-n - 1 :]:
        raise ValueError(f"input: expected no empty axis but the batch, got shape {input.shape}")
    ceil_mode = check.flag("ceil_mode", ceil_mode)
    kernel = check.ntuple("kernel_size", kernel_size, n, least=1)
    step = check.ntuple("stride", stride_or(kernel, stride), n, least=1)
    pad = check.ntuple("padding", padding, n, least=0)
    dilate = check.ntuple("dilation", dilation, n, least=1)
    output, borders = [], []
    for size, k, s, p, d in zip(input.shape[-n:], kernel, step, pad, dilate, strict=True):
        if p > k // 2:
            raise ValueError(
                f"padding: expected at most half of kernel_size={kernel}, got {pad}; pad the input with F.pad instead"
            )
        reach = d * (k - 1) + 1
        count = (size + 2 * p - reach + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (count - 1) * s >= size + p:
            count -= 1
        if count < 1:
            raise ValueError(
                f"kernel_size: expected a window of at most {size + 2 * p} elements for input {input.shape} and "
                f"padding={pad}, got {kernel} with dilation={dilate}"
            )
        output.append(count)
        borders.append((p, (count - 1) * s + reach - size - p))
    return _Windows(kernel, step, pad, dilate, tuple(output), tuple(borders))


def stride_or(kernel_size: Size, stride: Size | None) -> Size:
    """`stride`, or the size of the window where torch finds none: None, or no numbers."""
    return kernel_size if stride is None or (check.is_sequence(stride) and not tuple(stride)) else stride


def _max_pool(
    n: int,
    input: jax.Array,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    dilation: Size,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    x = _real("input", input)
    w = _windows(n, x, kernel_size, stride, padding, dilation, ceil_mode)
    arguments = (x, w.kernel, w.stride, w.borders, w.dilation)
    output = lowering.max_pool(*arguments)
    return (output, lowering.argmax_pool(*arguments)) if check.flag("return_indices", return_indices) else output


def _avg_pool(
    n: int,
    input: jax.Array,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> jax.Array:
    input = _real("input", input)
    w = _windows(n, input, kernel_size, stride, padding, 1, ceil_mode)
    if n == 3 and any(k > size for k, size in zip(w.kernel, input.shape[-n:], strict=True)):
        raise ValueError(f"kernel_size: expected at most the size of the input {input.shape}, got {w.kernel}")
    if divisor_override is not None and not check.integer("divisor_override", divisor_override):
        raise ValueError("divisor_override: expected an int other than 0, got 0")
    x = wide(input)
    total = lowering.sum_pool(x, w.kernel, w.stride, w.borders)
    divisor: np.ndarray | jax.Array
    if divisor_override is not None:
        divisor = np.asarray(divisor_override)
    else:
        divisor = _counts(w, input.shape[-n:], check.flag("count_include_pad", count_include_pad))
    divide = lax.div if jnp.issubdtype(x.dtype, jnp.integer) else jnp.divide
    return divide(total, jnp.broadcast_to(jnp.asarray(divisor, x.dtype), total.shape)).astype(input.dtype)


def _counts(w: _Windows, sizes: Sequence[int], include_pad: bool) -> np.ndarray | jax.Array:
    """How many elements of each window count: those of the input, and of the padding if asked for."""
    of: Any = np if is_known(sizes) else jnp
    counts = of.ones((), int)
    for size, k, s, p, outputs in zip(sizes, w.kernel, w.stride, w.padding, w.output, strict=True):
        start = of.arange(outputs) * s - p
        end = of.minimum(start + k, size + p)
        if not include_pad:
            start, end = of.maximum(start, 0), of.minimum(end, size)
        counts = of.multiply.outer(counts, end - start)
    return counts


def _lp_pool(
    n: int, input: jax.Array, norm_type: float, kernel_size: Size, stride: Size | None, ceil_mode: bool
) -> jax.Array:
    x, p = check.array("input", input), check.number("norm_type", norm_type)
    if p == 0:
        raise ValueError(f"norm_type: expected a number other than 0, got {norm_type}")
    if np.isinf(p):
        x = _magnitude(_real("input", x))
        greatest = _max_pool(n, x if p > 0 else -x, kernel_size, stride, 0, 1, ceil_mode, False)
        return greatest if p > 0 else -greatest
    if not jnp.issubdtype(x.dtype, jnp.inexact) and (x.dtype == bool or isinstance(norm_type, float) or p < 0):
        x = x.astype(jnp.float32)
    mean = _avg_pool(n, _power(x, p), kernel_size, stride, 0, ceil_mode, True, None)
    total = mean * jnp.asarray(math.prod(check.ntuple("kernel_size", kernel_size, n)), mean.dtype)
    total = total if jnp.issubdtype(x.dtype, jnp.inexact) else total.astype(jnp.float32)
    # A root has an infinite slope at 0, where torch's derivative is 0. At NaN it has torch's factor 0, too, which shows
    # where the root itself does not make it NaN.
    some = (total != 0) & (total == total) if p == 1 else total != 0
    zero = lax.stop_gradient(total) + jnp.asarray(0 if p > 0 else np.inf, total.dtype)
    return jnp.where(some, _power(jnp.where(some, total, jnp.ones_like(total)), 1 / p), zero)


@jax.custom_jvp
def _magnitude(x: jax.Array) -> jax.Array:
    """The absolute value, whose derivative at 0 and at NaN is 0 as in torch."""
    return jnp.abs(x)


@_magnitude.defjvp
def _magnitude_jvp(primals: Sequence[jax.Array], tangents: Sequence[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (x,), (tangent,) = primals, tangents
    zero = jnp.zeros((), tangent.dtype)
    return _magnitude(x), jnp.where(x > 0, tangent, jnp.where(x < 0, -tangent, zero))


def _power(x: jax.Array, exponent: float) -> jax.Array:
    if exponent.is_integer() and abs(exponent) <= MULTIPLIED:
        return lax.integer_pow(x, int(exponent))
    return jnp.sqrt(x) if exponent == 0.5 else lax.pow(x, jnp.full_like(x, exponent))


def _real(name: str, value: jax.Array) -> jax.Array:
    value = check.array(name, value)
    if value.dtype == bool or jnp.iscomplexobj(value):
        raise TypeError(f"{name}: expected real numbers, got {value.dtype}; cast it first")
    return value
