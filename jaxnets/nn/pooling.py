"""Pooling: `torch.nn.MaxPool1d` to `LPPool3d`."""

from collections.abc import Sequence
from typing import Any

import jax

from jaxnets import check
from jaxnets import functional as F
from jaxnets.functional.pooling import stride_or
from jaxnets.nn.parameters import Family

__all__ = [
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
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


class _LPPool(Family):
    _axes: int

    def __init__(self, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False):
        self.norm_type = norm_type
        if check.number("norm_type", norm_type) == 0:
            raise ValueError(f"norm_type: expected a number other than 0, got {norm_type}")
        self.kernel_size = _size("kernel_size", kernel_size, self._axes, 1)
        self.stride = None if stride is None else _size("stride", stride_or(kernel_size, stride), self._axes, 1)
        self.ceil_mode = check.flag("ceil_mode", ceil_mode)

    def __call__(self, input: jax.Array) -> jax.Array:
        pool = (F.lp_pool1d, F.lp_pool2d, F.lp_pool3d)[self._axes - 1]
        return pool(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool1d(_LPPool):
    """Norm of the windows of sequences; see `LPPool2d`, whose arguments it takes for one axis.

    Shape:
        `(N, C, L)` to `(N, C, L_out)`, or both without N.

    >>> LPPool1d(2, 3, stride=2)(jax.numpy.ones((2, 3, 10))).shape
    (2, 3, 4)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LPPool1d.html
    """

    _axes = 1


class LPPool2d(_LPPool):
    """Power-mean norm of the windows of planes.

    `y[n, c, i, j] = (sum over (a, b) of x[n, c, i * stride + a, j * stride + b]^p)^(1 / p)`, without absolute values:
    an odd power of a negative number is negative, and a root of a negative sum is NaN.

    The norm of infinite type is the maximum of `|x|`, of type minus infinity the minimum. The derivative where a sum
    is 0 is 0. A window that `ceil_mode` lets reach over the end is scaled as if it were whole: its mean times the
    size of a window.

    Args:
        norm_type: p, not 0; may be infinite.
        kernel_size: size of a window, at least 1: one int for all axes, or one for each.
        stride: step from window to window, at least 1; `kernel_size` when not given.
        ceil_mode: whether a last window may reach over the end.

    Shape:
        `(N, C, H, W)` to `(N, C, H_out, W_out)`, or both without N, with
        `H_out = floor((H - kernel_size) / stride) + 1`, or ceil of the quotient in `ceil_mode`.

    Raises:
        TypeError: an argument is no number, the input is complex.
        ValueError: sizes out of range, `norm_type` is 0, or an output without elements.

    Differences from torch: none.

    >>> LPPool2d(2, (3, 2), stride=(2, 1))(jax.numpy.ones((2, 3, 10, 8))).shape
    (2, 3, 4, 7)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LPPool2d.html
    """

    _axes = 2


class LPPool3d(_LPPool):
    """Power-mean norm of the windows of volumes; see `LPPool2d`, whose arguments it takes for three axes.

    Shape:
        `(N, C, D, H, W)` to `(N, C, D_out, H_out, W_out)`, or both without N.

    >>> LPPool3d(2, 3, stride=2)(jax.numpy.ones((2, 3, 10, 8, 7))).shape
    (2, 3, 4, 3, 3)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LPPool3d.html
    """

    _axes = 3
