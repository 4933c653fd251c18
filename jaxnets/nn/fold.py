"""Sliding blocks: `torch.nn.Fold` and `torch.nn.Unfold`."""

from collections.abc import Sequence
from typing import Any

import jax

from jaxnets import check
from jaxnets import functional as F
from jaxnets.nn.parameters import Layer

__all__ = ["Fold", "Unfold"]

Size = int | Sequence[int]


def _size(name: str, value: Size, least: int) -> Any:
    """A size in torch's form: the int that was given, or a tuple."""
    values = check.ntuple(name, value, 2, least=least, repeat=False)
    return values if check.is_sequence(value) else values[0]


class Unfold(Layer):
    """The blocks that a window meets as it slides over a plane, each as a column.

    `y[n, (c * kH + a) * kW + b, i * W_out + j] = x[n, c, i * stride + a * dilation - padding, ...]`

    Args:
        kernel_size: `(kH, kW)`, or one int for both; at least 1.
        dilation: distance between the elements of a block, at least 1.
        padding: zeros at both ends of each axis, not negative.
        stride: step from block to block, at least 1.

    Shape:
        `(N, C, H, W)` to `(N, C * kH * kW, H_out * W_out)`, or both without N, with
        `H_out = floor((H + 2 * padding - dilation * (kernel_size - 1) - 1) / stride) + 1`.

    Raises:
        TypeError: an argument is no int, the input is of an integer dtype.
        ValueError: sizes out of range, no block at all, an empty axis other than the batch.

    Differences from torch: none.

    >>> Unfold((2, 3), stride=2)(jax.numpy.ones((1, 2, 6, 7))).shape
    (1, 12, 9)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Unfold.html
    """

    def __init__(self, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1):
        self.kernel_size = _size("kernel_size", kernel_size, 1)
        self.dilation = _size("dilation", dilation, 1)
        self.padding = _size("padding", padding, 0)
        self.stride = _size("stride", stride, 1)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)


class Fold(Layer):
    """Puts the columns that `Unfold` made back as blocks of a plane; where blocks overlap, they are added.

    Args:
        output_size: `(H, W)` of the plane, or one int for both; at least 1.
        kernel_size, dilation, padding, stride: as for `Unfold`.

    Shape:
        `(N, C * kH * kW, L)` to `(N, C, H, W)`, or both without N; L is the number of blocks that `Unfold` finds in
        `output_size`.

    Raises:
        TypeError: an argument is no int, the input is of an integer dtype.
        ValueError: sizes out of range, shapes that do not match, an empty axis other than the batch.

    Differences from torch: none.

    >>> Fold((6, 7), (2, 3), stride=2)(jax.numpy.ones((1, 12, 9))).shape
    (1, 2, 6, 7)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Fold.html
    """

    def __init__(self, output_size: Size, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1):
        self.output_size = _size("output_size", output_size, 1)
        self.kernel_size = _size("kernel_size", kernel_size, 1)
        self.dilation = _size("dilation", dilation, 1)
        self.padding = _size("padding", padding, 0)
        self.stride = _size("stride", stride, 1)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)
