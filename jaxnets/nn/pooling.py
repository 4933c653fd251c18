"""Pooling: `torch.nn.MaxPool1d` to `AdaptiveAvgPool3d`."""

from collections.abc import Sequence
from typing import Any

import jax

from jaxnets import check
from jaxnets import functional as F
from jaxnets.functional.pooling import stride_or
from jaxnets.nn.parameters import Family

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
]

Size = int | Sequence[int]


def _size(name: str, value: Size, n: int, least: int) -> Any:
    """A size in torch's form: the int that was given, or a tuple."""
    values = check.ntuple(name, value, n, least=least)
    return values[: len(tuple(value))] if check.is_sequence(value) else values[0]


class _MaxPool(Family):
    _axes: int

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ):
        n = self._axes
        self.kernel_size = _size("kernel_size", kernel_size, n, 1)
        self.stride = _size("stride", stride_or(kernel_size, stride), n, 1)
        self.padding = _size("padding", padding, n, 0)
        self.dilation = _size("dilation", dilation, n, 1)
        self.return_indices = check.flag("return_indices", return_indices)
        self.ceil_mode = check.flag("ceil_mode", ceil_mode)

    def __call__(self, input: jax.Array) -> Any:
        pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[self._axes - 1]
        return pool(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )


class MaxPool1d(_MaxPool):
    """Maximum over windows of sequences; see `MaxPool2d`, whose arguments it takes for one axis.

    Shape:
        `(N, C, L)` to `(N, C, L_out)`, or both without N.

    >>> MaxPool1d(3, stride=2)(jax.numpy.ones((2, 3, 10))).shape
    (2, 3, 4)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool1d.html
    """

    _axes = 1


class MaxPool2d(_MaxPool):
    """Maximum over windows of planes.

    `y[n, c, i, j] = max over (a, b) of x[n, c, i' + a * dilation, j' + b * dilation]`, `i' = i * stride - padding`

    NaN counts as the greatest number. The gradient goes to the first greatest element of a window.

    Args:
        kernel_size: size of a window, at least 1: one int for all axes, or one for each.
        stride: step from window to window, at least 1; `kernel_size` when not given.
        padding: how far windows reach over both ends, at most half of `kernel_size`; what is there never wins.
        dilation: distance between the elements of a window, at least 1.
        return_indices: whether to return the pair of output and indices.
        ceil_mode: whether a last window may reach over the end; it may not start behind it.

    Shape:
        `(N, C, H, W)` to `(N, C, H_out, W_out)`, or both without N, with
        `H_out = floor((H + 2 * padding - dilation * (kernel_size - 1) - 1) / stride) + 1`, or ceil of the quotient
        in `ceil_mode`. Indices have the same shape: flat positions in a plane of H x W.

    Raises:
        TypeError: an argument is no int, the input is complex or boolean.
        ValueError: sizes out of range, or an output without elements.

    Differences from torch: indices are int32 unless JAX's 64-bit types are on. A window whose elements, far apart
    by dilation, all lie in the padding has the index -1.

    >>> MaxPool2d((3, 2), stride=(2, 1))(jax.numpy.ones((2, 3, 10, 8))).shape
    (2, 3, 4, 7)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html
    """

    _axes = 2


class MaxPool3d(_MaxPool):
    """Maximum over windows of volumes; see `MaxPool2d`, whose arguments it takes for three axes.

    Shape:
        `(N, C, D, H, W)` to `(N, C, D_out, H_out, W_out)`, or both without N.

    >>> MaxPool3d(3, stride=2)(jax.numpy.ones((2, 3, 10, 8, 7))).shape
    (2, 3, 4, 3, 3)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool3d.html
    """

    _axes = 3


class _AvgPool(Family):
    _axes: int

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ):
        n = self._axes
        self.kernel_size = _size("kernel_size", kernel_size, n, 1)
        self.stride = _size("stride", stride_or(kernel_size, stride), n, 1)
        self.padding = _size("padding", padding, n, 0)
        self.ceil_mode = check.flag("ceil_mode", ceil_mode)
        self.count_include_pad = check.flag("count_include_pad", count_include_pad)
        self.divisor_override = divisor_override

    def __call__(self, input: jax.Array) -> jax.Array:
        pool = F.avg_pool2d if self._axes == 2 else F.avg_pool3d
        return pool(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class AvgPool1d(_AvgPool):
    """Mean over windows of sequences; see `AvgPool2d`, whose arguments but the last it takes for one axis.

    Shape:
        `(N, C, L)` to `(N, C, L_out)`, or both without N.

    >>> AvgPool1d(3, stride=2)(jax.numpy.ones((2, 3, 10))).shape
    (2, 3, 4)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool1d.html
    """

    _axes = 1

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ):
        kernel = check.ntuple("kernel_size", kernel_size, 1)
        step = check.ntuple("stride", stride_or(kernel, stride), 1)
        super().__init__(kernel, step, check.ntuple("padding", padding, 1), ceil_mode, count_include_pad)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class AvgPool2d(_AvgPool):
    """Mean over windows of planes.

    `y[n, c, i, j] = sum over (a, b) of x[n, c, i * stride + a - padding, j * stride + b - padding] / divisor`

    Args:
        kernel_size: size of a window, at least 1: one int for all axes, or one for each.
        stride: step from window to window, at least 1; `kernel_size` when not given.
        padding: zeros at both ends, at most half of `kernel_size`.
        ceil_mode: whether a last window may reach over the padding; it may not start behind the input.
        count_include_pad: whether the divisor counts padding; what `ceil_mode` adds to it never counts.
        divisor_override: divisor of every window, not 0.

    Shape:
        `(N, C, H, W)` to `(N, C, H_out, W_out)`, or both without N, with
        `H_out = floor((H + 2 * padding - kernel_size) / stride) + 1`, or ceil of the quotient in `ceil_mode`.

    Raises:
        TypeError: an argument is no int, the input is complex or boolean.
        ValueError: sizes out of range, or an output without elements.

    Differences from torch: none.

    >>> AvgPool2d((3, 2), stride=(2, 1))(jax.numpy.ones((2, 3, 10, 8))).shape
    (2, 3, 4, 7)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool2d.html
    """

    _axes = 2


class AvgPool3d(_AvgPool):
    """Mean over windows of volumes; see `AvgPool2d`, whose arguments it takes for three axes.

    Shape:
        `(N, C, D, H, W)` to `(N, C, D_out, H_out, W_out)`, or both without N.

    >>> AvgPool3d(3, stride=2)(jax.numpy.ones((2, 3, 10, 8, 7))).shape
    (2, 3, 4, 3, 3)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool3d.html
    """

    _axes = 3


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
