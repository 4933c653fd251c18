"""Fractional max pooling: `torch.nn.functional.fractional_max_pool2d` and `fractional_max_pool3d`."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets import check
from jaxnets.functional.pooling import AXES, Size
from jaxnets.lowering import pooling as lowering

__all__ = [
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
]

Ratio = float | Sequence[float]


def fractional_max_pool2d(
    input: jax.Array,
    kernel_size: Size,
    output_size: Size | None = None,
    output_ratio: Ratio | None = None,
    return_indices: bool = False,
    _random_samples: jax.Array | None = None,
    *,
    key: jax.Array | None = None,
) -> Any:
    """Maximum over windows of `(N, C, H, W)` that stand at random, about evenly spread.

    Along an axis of `H` elements window `i` of `n` has `kernel_size` elements, the first of them at
    `floor((i + u) * a) - floor(u * a)` with `a = (H - kernel_size) / (n - 1)`, the last window at `H - kernel_size`.
    Each plane has its own `u`, drawn from U(0, 1), for each axis. NaN counts as the greatest number. The gradient goes
    to the first greatest element of a window, and adds up where windows share it.

    Args:
        input: `(N, C, H, W)` or `(C, H, W)`, floating.
        kernel_size: size of a window, at least 1, for each axis.
        output_size: the number of windows for each axis.
        output_ratio: the number of windows as a part of the input's size; not read when `output_size` is given.
        return_indices: whether to return the pair of output and indices.
        _random_samples: the numbers `u`, `(N, C, 2)` in the dtype of the input, N at least that of the input (1 for an
            input without a batch): of two axes the first is that of W, of three that of D.
        key: a jax random key; needed when no samples are given.

    Shape:
        `(N, C, H, W)` to `(N, C, *output_size)`. Indices have the same shape: flat positions in a plane of H x W.

    Raises:
        TypeError: an argument is no number, `input` is not floating, samples of another dtype.
        ValueError: sizes out of range, too many windows, samples of another shape, neither size nor ratio, `key` is
            missing.

    Differences from torch: random numbers come from `key`, not from a global generator. Indices are int32 unless
    JAX's 64-bit types are on. An empty window is refused. One ratio may stand for all axes.

    >>> u = jnp.full((1, 1, 2), 0.5)
    >>> fractional_max_pool2d(jnp.arange(16.0).reshape(1, 4, 4), 2, output_size=2, _random_samples=u).tolist()
    [[[5.0, 7.0], [13.0, 15.0]]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.fractional_max_pool2d.html
    """
    return _fractional(2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples, key)


def fractional_max_pool3d(
    input: jax.Array,
    kernel_size: Size,
    output_size: Size | None = None,
    output_ratio: Ratio | None = None,
    return_indices: bool = False,
    _random_samples: jax.Array | None = None,
    *,
    key: jax.Array | None = None,
) -> Any:
    """Maximum over windows of `(N, C, D, H, W)` that stand at random; see `fractional_max_pool2d`.

    It takes the arguments of `fractional_max_pool2d` for three axes. As in torch, windows side by side may not
    take up a whole axis: `output_size + kernel_size - 1` is less than its size.

    >>> fractional_max_pool3d(jnp.ones((1, 4, 4, 4)), 2, output_size=2, key=jax.random.key(0)).shape
    (1, 2, 2, 2)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.fractional_max_pool3d.html
    """
    return _fractional(3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples, key)


def fractional_max_pool2d_with_indices(
    input: jax.Array,
    kernel_size: Size,
    output_size: Size | None = None,
    output_ratio: Ratio | None = None,
    return_indices: bool = False,
    _random_samples: jax.Array | None = None,
    *,
    key: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """`fractional_max_pool2d` with `return_indices=True`, whatever is passed.

    >>> fractional_max_pool2d_with_indices(jnp.array([[[1.0, 3.0]]]), (1, 2), 1, key=jax.random.key(0))[1].tolist()
    [[[1]]]
    """
    return _fractional(2, input, kernel_size, output_size, output_ratio, True, _random_samples, key)


def fractional_max_pool3d_with_indices(
    input: jax.Array,
    kernel_size: Size,
    output_size: Size | None = None,
    output_ratio: Ratio | None = None,
    return_indices: bool = False,
    _random_samples: jax.Array | None = None,
    *,
    key: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """`fractional_max_pool3d` with `return_indices=True`, whatever is passed.

    >>> fractional_max_pool3d_with_indices(jnp.ones((1, 3, 3, 3)), 2, 1, key=jax.random.key(0))[1].shape
    (1, 1, 1, 1)
    """
    return _fractional(3, input, kernel_size, output_size, output_ratio, True, _random_samples, key)


def _fractional(
    n: int,
    input: jax.Array,
    kernel_size: Size,
    output_size: Size | None,
    output_ratio: Ratio | None,
    return_indices: bool,
    samples: jax.Array | None,
    key: jax.Array | None,
) -> Any:
    input = check.array("input", input)
    if not jnp.issubdtype(input.dtype, jnp.floating):
        raise TypeError(f"input: expected a floating dtype, got {input.dtype}; cast it first")
    check.rank("input", input, {n + 1: f"(C, {AXES[n]})", n + 2: f"(N, C, {AXES[n]})"})
    if 0 in input.shape[input.ndim - n - 1 :]:
        raise ValueError(f"input: expected no empty axis but the batch, got shape {input.shape}")
    kernel = check.ntuple("kernel_size", kernel_size, n, least=1)
    plane = input.shape[-n:]
    windows = _windows(n, plane, output_size, output_ratio)
    for size, k, count in zip(plane, kernel, windows, strict=True):
        if count + k - 1 > size - (n == 3):
            raise ValueError(
                f"kernel_size: expected kernel_size + output_size - 1 to be {'less than' if n == 3 else 'at most'} the "
                f"input's size {plane} along each axis, got {kernel} and {windows}"
            )
    leading = input.shape[:-n] if input.ndim == n + 2 else (1, *input.shape[:-n])
    u = _samples(n, samples, leading, input.dtype, key)
    x = input.reshape(*leading, *plane)
    order = range(n) if n == 3 else range(n - 1, -1, -1)  # of planes torch reads the sample of W first
    starts = tuple(
        lowering.fractional_starts(u[..., i], size, k, count)
        for i, size, k, count in zip(order, plane, kernel, windows, strict=True)
    )
    index = lowering.argmax_at(x, starts, kernel)
    output = lowering.picked(x, index, n)
    shape = (*input.shape[:-n], *windows)
    if check.flag("return_indices", return_indices):
        return output.reshape(shape), index.reshape(shape)
    return output.reshape(shape)


def _windows(n: int, plane: tuple[int, ...], output_size: Size | None, output_ratio: Ratio | None) -> tuple[int, ...]:
    """The number of windows along each axis."""
    if output_size is not None:
        return check.ntuple("output_size", output_size, n, least=0, repeat=False)
    if output_ratio is None:
        raise ValueError("output_size: expected an output_size or an output_ratio, got neither")
    return tuple(int(size * ratio) for size, ratio in zip(plane, ratios(n, output_ratio), strict=True))


def ratios(n: int, output_ratio: Ratio) -> tuple[float, ...]:
    """The ratio for each axis, none of them negative."""
    values = tuple(output_ratio) if check.is_sequence(output_ratio) else (output_ratio,) * n
    if len(values) != n:
        raise ValueError(f"output_ratio: expected a number or {n} numbers, one for each axis, got {output_ratio!r}")
    numbers = tuple(check.number("output_ratio", ratio) for ratio in values)
    if min(numbers) < 0:
        raise ValueError(f"output_ratio: expected numbers between 0 and 1, got {output_ratio}")
    return numbers


def _samples(
    n: int, samples: jax.Array | None, leading: tuple[int, ...], dtype: Any, key: jax.Array | None
) -> jax.Array:
    """`(N, C, n)` numbers between 0 and 1: those that were given, or drawn."""
    if samples is None:
        if key is None:
            raise ValueError("key: expected a jax random key or _random_samples, got None; pass key=jax.random.key(0)")
        return jax.random.uniform(key, (*leading, n), dtype)
    samples = check.array("_random_samples", samples)
    if samples.dtype != dtype:
        raise TypeError(f"_random_samples: expected {dtype}, the dtype of input, got {samples.dtype}; cast one of them")
    if samples.ndim != 3 or samples.shape[0] < leading[0] or samples.shape[1:] != (leading[1], n):
        raise ValueError(f"_random_samples: expected shape {(*leading, n)}, got {samples.shape}")
    return samples[: leading[0]]
