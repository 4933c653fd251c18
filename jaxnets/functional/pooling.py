"""Pooling: `torch.nn.functional.max_pool1d` to `adaptive_avg_pool3d`."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets import check
from jaxnets.functional.precision import wide
from jaxnets.lowering import pooling as lowering

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
]

Size = int | Sequence[int]
AXES = {1: "L", 2: "H, W", 3: "D, H, W"}


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


def adaptive_avg_pool1d(input: jax.Array, output_size: Size) -> jax.Array:
    """Mean over as many windows of `(N, C, L)` as asked for; see `adaptive_avg_pool2d`.

    >>> adaptive_avg_pool1d(jnp.array([[1.0, 3.0, 5.0]]), 2).tolist()
    [[2.0, 4.0]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.adaptive_avg_pool1d.html
    """
    return _adaptive_avg_pool(1, input, output_size)


def adaptive_avg_pool2d(input: jax.Array, output_size: int | Sequence[int | None]) -> jax.Array:
    """Mean over as many windows of `(N, C, H, W)` as asked for.

    Window `i` of `n` over an axis of `H` elements has the elements `floor(i * H / n)` to `ceil((i + 1) * H / n) - 1`:
    windows may overlap, and differ in size by one.

    Args:
        input: `(N, C, H, W)` or `(C, H, W)`, floating.
        output_size: the number of windows for each axis, not negative; None keeps the axis as it is.

    Shape:
        `(N, C, H, W)` to `(N, C, *output_size)`.

    Raises:
        TypeError: a size is no int, `input` is not floating.
        ValueError: a negative size, the wrong number of sizes, an empty axis to be pooled.

    Differences from torch: none.

    >>> adaptive_avg_pool2d(jnp.array([[[1.0, 3.0], [2.0, 0.0]]]), (1, None)).tolist()
    [[[1.5, 1.5]]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.adaptive_avg_pool2d.html
    """
    return _adaptive_avg_pool(2, input, output_size)


def adaptive_avg_pool3d(input: jax.Array, output_size: int | Sequence[int | None]) -> jax.Array:
    """Mean over as many windows of `(N, C, D, H, W)` as asked for; see `adaptive_avg_pool2d`.

    >>> adaptive_avg_pool3d(jnp.ones((1, 4, 4, 4)), (1, 2, None)).shape
    (1, 1, 2, 4)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.adaptive_avg_pool3d.html
    """
    return _adaptive_avg_pool(3, input, output_size)


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
    if divisor_override is not None:
        divisor = np.full(w.output, divisor_override)
    else:
        divisor = _counts(w, input.shape[-n:], check.flag("count_include_pad", count_include_pad))
    divide = lax.div if jnp.issubdtype(x.dtype, jnp.integer) else jnp.divide
    return divide(total, jnp.broadcast_to(jnp.asarray(divisor, x.dtype), total.shape)).astype(input.dtype)


def _counts(w: _Windows, sizes: Sequence[int], include_pad: bool) -> np.ndarray:
    """How many elements of each window count: those of the input, and of the padding if asked for."""
    counts = np.ones((), int)
    for size, k, s, p, outputs in zip(sizes, w.kernel, w.stride, w.padding, w.output, strict=True):
        start = np.arange(outputs) * s - p
        end = np.minimum(start + k, size + p)
        if not include_pad:
            start, end = np.maximum(start, 0), np.minimum(end, size)
        counts = np.multiply.outer(counts, end - start)
    return counts


def _adaptive_avg_pool(n: int, input: jax.Array, output_size: int | Sequence[int | None]) -> jax.Array:
    input = check.array("input", input)
    if not jnp.issubdtype(input.dtype, jnp.floating):
        raise TypeError(f"input: expected a floating dtype, got {input.dtype}; cast it first")
    check.rank("input", input, {n + 1: f"(C, {AXES[n]})", n + 2: f"(N, C, {AXES[n]})"})
    if 0 in input.shape[-n:]:
        raise ValueError(f"input: expected no empty axis to be pooled, got shape {input.shape}")
    sizes = tuple(output_size) if check.is_sequence(output_size) else (output_size,) * n
    if len(sizes) != n or (None in sizes and (n == 1 or output_size is None)):  # None is one axis of several
        raise ValueError(f"output_size: expected an int or {n} ints, one for each spatial axis, got {output_size!r}")
    x = wide(input)
    for axis, size in zip(range(-n, 0), sizes, strict=True):
        if size is not None:
            x = _adaptive_mean(x, axis, check.integer("output_size", size, least=0))
    return x.astype(input.dtype)


def _adaptive_mean(x: jax.Array, axis: int, windows: int) -> jax.Array:
    """The mean over `windows` windows along one axis."""
    axis, size = axis % x.ndim, x.shape[axis]
    if windows and size % windows == 0:
        return x.reshape(*x.shape[:axis], windows, size // windows, *x.shape[axis + 1 :]).mean(axis + 1)
    # Gathered, not multiplied by a matrix of weights: an inf or NaN may touch its own windows only.
    number = np.arange(windows)
    start, end = number * size // max(windows, 1), -((number + 1) * -size // max(windows, 1))
    longest = int((end - start).max(initial=1))
    index = start[:, None] + np.arange(longest)
    taken = jnp.take(x, np.minimum(index, size - 1), axis=axis)
    inside = (index < end[:, None]).reshape((1,) * axis + (windows, longest) + (1,) * (x.ndim - axis - 1))
    total = jnp.where(inside, taken, jnp.zeros((), x.dtype)).sum(axis + 1)
    count = jnp.asarray(end - start, x.dtype).reshape(-1, *(1,) * (x.ndim - axis - 1))
    return total / jnp.broadcast_to(count, total.shape)


def _real(name: str, value: jax.Array) -> jax.Array:
    value = check.array(name, value)
    if value.dtype == bool or jnp.iscomplexobj(value):
        raise TypeError(f"{name}: expected real numbers, got {value.dtype}; cast it first")
    return value
