"""Adaptive pooling: `torch.nn.functional.adaptive_avg_pool1d` to `adaptive_max_pool3d`."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import check
from jaxnets.functional.pooling import AXES, Size
from jaxnets.functional.precision import wide
from jaxnets.lowering import pooling as lowering
from jaxnets.lowering.resize import Taps, resample

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices",
]

Sizes = int | Sequence[int | None]


def adaptive_avg_pool1d(input: jax.Array, output_size: Size) -> jax.Array:
    """Mean over as many windows of `(N, C, L)` as asked for; see `adaptive_avg_pool2d`.

    >>> adaptive_avg_pool1d(jnp.array([[1.0, 3.0, 5.0]]), 2).tolist()
    [[2.0, 4.0]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.adaptive_avg_pool1d.html
    """
    return _adaptive_avg_pool(1, input, output_size)


def adaptive_avg_pool2d(input: jax.Array, output_size: Sizes) -> jax.Array:
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


def adaptive_avg_pool3d(input: jax.Array, output_size: Sizes) -> jax.Array:
    """Mean over as many windows of `(N, C, D, H, W)` as asked for; see `adaptive_avg_pool2d`.

    >>> adaptive_avg_pool3d(jnp.ones((1, 4, 4, 4)), (1, 2, None)).shape
    (1, 1, 2, 4)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.adaptive_avg_pool3d.html
    """
    return _adaptive_avg_pool(3, input, output_size)


def adaptive_max_pool1d(input: jax.Array, output_size: Size, return_indices: bool = False) -> Any:
    """Maximum over as many windows of `(N, C, L)` as asked for; see `adaptive_max_pool2d`.

    >>> adaptive_max_pool1d(jnp.array([[1.0, 5.0, 3.0]]), 2).tolist()
    [[5.0, 5.0]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.adaptive_max_pool1d.html
    """
    return _adaptive_max_pool(1, input, output_size, return_indices)


def adaptive_max_pool2d(input: jax.Array, output_size: Sizes, return_indices: bool = False) -> Any:
    """Maximum over as many windows of `(N, C, H, W)` as asked for.

    Window `i` of `n` over an axis of `H` elements has the elements `floor(i * H / n)` to `ceil((i + 1) * H / n) - 1`:
    windows may overlap, and differ in size by one. NaN counts as the greatest number. The gradient goes to the first
    greatest element of a window, and adds up where windows share it.

    Args:
        input: `(N, C, H, W)` or `(C, H, W)`, floating.
        output_size: the number of windows for each axis, not negative; None keeps the axis as it is.
        return_indices: whether to return the pair of output and indices.

    Shape:
        `(N, C, H, W)` to `(N, C, *output_size)`. Indices have the same shape: flat positions in a plane of H x W.

    Raises:
        TypeError: a size is no int, `input` is not floating.
        ValueError: a negative size, the wrong number of sizes, an empty axis other than the first.

    Differences from torch: indices are int32 unless JAX's 64-bit types are on.

    >>> adaptive_max_pool2d(jnp.array([[[1.0, 3.0], [2.0, 0.0]]]), (1, None), return_indices=True)[1].tolist()
    [[[2, 1]]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.adaptive_max_pool2d.html
    """
    return _adaptive_max_pool(2, input, output_size, return_indices)


def adaptive_max_pool3d(input: jax.Array, output_size: Sizes, return_indices: bool = False) -> Any:
    """Maximum over as many windows of `(N, C, D, H, W)` as asked for; see `adaptive_max_pool2d`.

    >>> adaptive_max_pool3d(jnp.ones((1, 4, 4, 4)), (1, 2, None)).shape
    (1, 1, 2, 4)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.adaptive_max_pool3d.html
    """
    return _adaptive_max_pool(3, input, output_size, return_indices)


def adaptive_max_pool1d_with_indices(
    input: jax.Array, output_size: Size, return_indices: bool = False
) -> tuple[jax.Array, jax.Array]:
    """`adaptive_max_pool1d` with `return_indices=True`, whatever is passed.

    >>> adaptive_max_pool1d_with_indices(jnp.array([[1.0, 3.0]]), 1)[1].tolist()
    [[1]]
    """
    return _adaptive_max_pool(1, input, output_size, True)


def adaptive_max_pool2d_with_indices(
    input: jax.Array, output_size: Sizes, return_indices: bool = False
) -> tuple[jax.Array, jax.Array]:
    """`adaptive_max_pool2d` with `return_indices=True`, whatever is passed.

    >>> adaptive_max_pool2d_with_indices(jnp.array([[[1.0, 3.0]]]), 1)[1].tolist()
    [[[1]]]
    """
    return _adaptive_max_pool(2, input, output_size, True)


def adaptive_max_pool3d_with_indices(
    input: jax.Array, output_size: Sizes, return_indices: bool = False
) -> tuple[jax.Array, jax.Array]:
    """`adaptive_max_pool3d` with `return_indices=True`, whatever is passed.

    >>> adaptive_max_pool3d_with_indices(jnp.array([[[[1.0, 3.0]]]]), 1)[1].tolist()
    [[[[1]]]]
    """
    return _adaptive_max_pool(3, input, output_size, True)


def _checked(n: int, input: jax.Array, output_size: Sizes, from_axis: int) -> tuple[jax.Array, tuple[int, ...]]:
    """The input, of which no axis from `from_axis` on is empty, and the number of windows along each axis."""
    input = check.array("input", input)
    if not jnp.issubdtype(input.dtype, jnp.floating):
        raise TypeError(f"input: expected a floating dtype, got {input.dtype}; cast it first")
    check.rank("input", input, {n + 1: f"(C, {AXES[n]})", n + 2: f"(N, C, {AXES[n]})"})
    if 0 in input.shape[from_axis:]:
        raise ValueError(
            f"input: expected no empty axis {'to be pooled' if from_axis < 0 else 'but the first'}, "
            f"got shape {input.shape}"
        )
    sizes = tuple(output_size) if check.is_sequence(output_size) else (output_size,) * n
    if len(sizes) != n or (None in sizes and (n == 1 or output_size is None)):  # None is one axis of several
        raise ValueError(f"output_size: expected an int or {n} ints, one for each spatial axis, got {output_size!r}")
    return input, tuple(
        size if wanted is None else check.integer("output_size", wanted, least=0)
        for size, wanted in zip(input.shape[-n:], sizes, strict=True)
    )


def _adaptive_max_pool(n: int, input: jax.Array, output_size: Sizes, return_indices: bool) -> Any:
    input, sizes = _checked(n, input, output_size, 1)
    output = lowering.adaptive_max(input, sizes)
    return (output, lowering.adaptive_argmax(input, sizes)) if check.flag("return_indices", return_indices) else output


def _adaptive_avg_pool(n: int, input: jax.Array, output_size: Sizes) -> jax.Array:
    input, sizes = _checked(n, input, output_size, -n)
    x = wide(input)
    whole = tuple(axis for axis, size in zip(range(-n, 0), sizes, strict=True) if size == 1)
    x = x.mean(whole, keepdims=True) if whole else x  # in one pass
    for axis, size in zip(range(-n, 0), sizes, strict=True):
        if size != x.shape[axis]:
            x = _adaptive_mean(x, axis, size)
    return x.astype(input.dtype)


def _adaptive_mean(x: jax.Array, axis: int, windows: int) -> jax.Array:
    """The mean over `windows` windows along one axis."""
    axis, size = axis % x.ndim, x.shape[axis]
    if windows and size % windows == 0:
        return x.reshape(*x.shape[:axis], windows, size // windows, *x.shape[axis + 1 :]).mean(axis + 1)
    start, end = lowering.adaptive_bounds(size, windows)
    # Taken, not multiplied by a matrix of weights: an inf or NaN may touch its own windows only.
    index = start[:, None] + np.arange(int((end - start).max(initial=1)))
    total = resample(x, {axis: Taps(np.minimum(index, size - 1), used=index < end[:, None])})
    count = jnp.asarray(end - start, x.dtype).reshape(-1, *(1,) * (x.ndim - axis - 1))
    return total / jnp.broadcast_to(count, total.shape)
