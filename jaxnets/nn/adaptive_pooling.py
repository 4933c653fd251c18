"""Adaptive pooling: `torch.nn.AdaptiveAvgPool1d` to `AdaptiveMaxPool3d`."""

from typing import Any

import jax

from jaxnets import check
from jaxnets import functional as F
from jaxnets.nn.parameters import Family

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
]


class _AdaptiveAvgPool(Family):
    def __init__(self, output_size: Any):
        self.output_size = tuple(output_size) if check.is_sequence(output_size) else output_size


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Mean over as many windows of sequences as asked for; see `AdaptiveAvgPool2d`.

    Args:
        output_size: the number of windows.

    Shape:
        `(N, C, L)` to `(N, C, output_size)`, or both without N.

    >>> AdaptiveAvgPool1d(3)(jax.numpy.ones((2, 3, 10))).shape
    (2, 3, 3)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool1d.html
    """

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Mean over as many windows of planes as asked for.

    Window `i` of `n` over an axis of `H` elements has the elements `floor(i * H / n)` to `ceil((i + 1) * H / n) - 1`:
    windows may overlap, and differ in size by one.

    Args:
        output_size: the number of windows for each axis, not negative; None keeps the axis as it is.

    Shape:
        `(N, C, H, W)` to `(N, C, *output_size)`, or both without N.

    Raises:
        TypeError: a size is no int, the input is not floating.
        ValueError: a negative size, the wrong number of sizes, an empty axis to be pooled.

    Differences from torch: none.

    >>> AdaptiveAvgPool2d((5, None))(jax.numpy.ones((2, 3, 8, 9))).shape
    (2, 3, 5, 9)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool2d.html
    """

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Mean over as many windows of volumes as asked for; see `AdaptiveAvgPool2d`.

    Shape:
        `(N, C, D, H, W)` to `(N, C, *output_size)`, or both without N.

    >>> AdaptiveAvgPool3d((5, None, 1))(jax.numpy.ones((2, 3, 8, 9, 4))).shape
    (2, 3, 5, 9, 1)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool3d.html
    """

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.adaptive_avg_pool3d(input, self.output_size)


class _AdaptiveMaxPool(Family):
    def __init__(self, output_size: Any, return_indices: bool = False):
        self.output_size = tuple(output_size) if check.is_sequence(output_size) else output_size
        self.return_indices = check.flag("return_indices", return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Maximum over as many windows of sequences as asked for; see `AdaptiveMaxPool2d`.

    Args:
        output_size: the number of windows.
        return_indices: whether to return the pair of output and indices.

    Shape:
        `(N, C, L)` to `(N, C, output_size)`, or both without N.

    >>> AdaptiveMaxPool1d(3)(jax.numpy.ones((2, 3, 10))).shape
    (2, 3, 3)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool1d.html
    """

    def __call__(self, input: jax.Array) -> Any:
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Maximum over as many windows of planes as asked for.

    Window `i` of `n` over an axis of `H` elements has the elements `floor(i * H / n)` to `ceil((i + 1) * H / n) - 1`:
    windows may overlap, and differ in size by one. NaN counts as the greatest number. The gradient goes to the first
    greatest element of a window, and adds up where windows share it.

    Args:
        output_size: the number of windows for each axis, not negative; None keeps the axis as it is.
        return_indices: whether to return the pair of output and indices.

    Shape:
        `(N, C, H, W)` to `(N, C, *output_size)`, or both without N. Indices have the same shape: flat positions in a
        plane of H x W.

    Raises:
        TypeError: a size is no int, the input is not floating.
        ValueError: a negative size, the wrong number of sizes, an empty axis other than the first.

    Differences from torch: indices are int32 unless JAX's 64-bit types are on.

    >>> AdaptiveMaxPool2d((5, None))(jax.numpy.ones((2, 3, 8, 9))).shape
    (2, 3, 5, 9)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool2d.html
    """

    def __call__(self, input: jax.Array) -> Any:
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Maximum over as many windows of volumes as asked for; see `AdaptiveMaxPool2d`.

    Shape:
        `(N, C, D, H, W)` to `(N, C, *output_size)`, or both without N.

    >>> AdaptiveMaxPool3d((5, None, 1))(jax.numpy.ones((2, 3, 8, 9, 4))).shape
    (2, 3, 5, 9, 1)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool3d.html
    """

    def __call__(self, input: jax.Array) -> Any:
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)
