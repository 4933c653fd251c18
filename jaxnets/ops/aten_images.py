"""ATen's names of what works on signals, images and volumes: padding, convolution, pooling, resampling."""

from collections.abc import Sequence

import jax

import jaxnets.functional as F
from jaxnets import check
from jaxnets.ops.promotion import Number

__all__ = [
    "_adaptive_avg_pool2d",
    "_adaptive_avg_pool3d",
    "adaptive_avg_pool1d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "col2im",
    "constant_pad_nd",
    "convolution",
    "grid_sampler_2d",
    "grid_sampler_3d",
    "im2col",
    "max_pool2d_with_indices",
    "max_pool3d_with_indices",
    "reflection_pad1d",
    "reflection_pad2d",
    "reflection_pad3d",
    "replication_pad1d",
    "replication_pad2d",
    "replication_pad3d",
    "upsample_bilinear2d",
    "upsample_nearest2d",
]

Size = int | Sequence[int]


def constant_pad_nd(input: jax.Array, pad: Sequence[int], value: Number = 0) -> jax.Array:
    """`jaxnets.functional.pad` with a constant."""
    return F.pad(input, pad, "constant", value)  # type: ignore[arg-type]


def reflection_pad1d(input: jax.Array, padding: Sequence[int]) -> jax.Array:
    """`jaxnets.functional.pad` with mode "reflect", of the last axis."""
    return F.pad(input, padding, "reflect")


def reflection_pad2d(input: jax.Array, padding: Sequence[int]) -> jax.Array:
    """`jaxnets.functional.pad` with mode "reflect", of the last two axes."""
    return F.pad(input, padding, "reflect")


def reflection_pad3d(input: jax.Array, padding: Sequence[int]) -> jax.Array:
    """`jaxnets.functional.pad` with mode "reflect", of the last three axes."""
    return F.pad(input, padding, "reflect")


def replication_pad1d(input: jax.Array, padding: Sequence[int]) -> jax.Array:
    """`jaxnets.functional.pad` with mode "replicate", of the last axis."""
    return F.pad(input, padding, "replicate")


def replication_pad2d(input: jax.Array, padding: Sequence[int]) -> jax.Array:
    """`jaxnets.functional.pad` with mode "replicate", of the last two axes."""
    return F.pad(input, padding, "replicate")


def replication_pad3d(input: jax.Array, padding: Sequence[int]) -> jax.Array:
    """`jaxnets.functional.pad` with mode "replicate", of the last three axes."""
    return F.pad(input, padding, "replicate")


_CONV = (F.conv1d, F.conv2d, F.conv3d)


_CONV_TRANSPOSE = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)


def convolution(
    input: jax.Array,
    weight: jax.Array,
    bias: jax.Array | None,
    stride: Size,
    padding: Size,
    dilation: Size,
    transposed: bool,
    output_padding: Size,
    groups: int,
) -> jax.Array:
    """`conv1d` to `conv3d`, or `conv_transpose1d` to `conv_transpose3d`, by the number of axes."""
    n = check.array("weight", weight).ndim - 2
    if not 1 <= n <= 3:
        raise ValueError(f"weight: expected 3 to 5 axes, got {n + 2}")
    stride, padding, dilation, output_padding = (
        check.ntuple(name, v, n)
        for name, v in (
            ("stride", stride),
            ("padding", padding),
            ("dilation", dilation),
            ("output_padding", output_padding),
        )
    )
    if transposed:
        return _CONV_TRANSPOSE[n - 1](input, weight, bias, stride, padding, output_padding, groups, dilation)
    return _CONV[n - 1](input, weight, bias, stride, padding, dilation, groups)


def avg_pool1d(
    input: jax.Array,
    kernel_size: Size,
    stride: Size = (),
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> jax.Array:
    """`jaxnets.functional.avg_pool1d`."""
    stride = kernel_size if stride == () or stride == [] else stride
    return F.avg_pool1d(input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def adaptive_avg_pool1d(input: jax.Array, output_size: Size) -> jax.Array:
    """`jaxnets.functional.adaptive_avg_pool1d`."""
    return F.adaptive_avg_pool1d(input, output_size)


def avg_pool2d(
    input: jax.Array,
    kernel_size: Size,
    stride: Size = (),
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> jax.Array:
    """`jaxnets.functional.avg_pool2d`."""
    stride = kernel_size if stride == () or stride == [] else stride
    return F.avg_pool2d(input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(
    input: jax.Array,
    kernel_size: Size,
    stride: Size = (),
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> jax.Array:
    """`jaxnets.functional.avg_pool3d`."""
    stride = kernel_size if stride == () or stride == [] else stride
    return F.avg_pool3d(input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def max_pool2d_with_indices(
    input: jax.Array,
    kernel_size: Size,
    stride: Size = (),
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """`jaxnets.functional.max_pool2d` and the flat places of the maxima."""
    return F.max_pool2d_with_indices(input, kernel_size, stride or None, padding, dilation, ceil_mode)


def max_pool3d_with_indices(
    input: jax.Array,
    kernel_size: Size,
    stride: Size = (),
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """`jaxnets.functional.max_pool3d` and the flat places of the maxima."""
    return F.max_pool3d_with_indices(input, kernel_size, stride or None, padding, dilation, ceil_mode)


def _adaptive_avg_pool2d(input: jax.Array, output_size: Sequence[int]) -> jax.Array:
    """`jaxnets.functional.adaptive_avg_pool2d`."""
    return F.adaptive_avg_pool2d(input, output_size)


def _adaptive_avg_pool3d(input: jax.Array, output_size: Sequence[int]) -> jax.Array:
    """`jaxnets.functional.adaptive_avg_pool3d`."""
    return F.adaptive_avg_pool3d(input, output_size)


def upsample_nearest2d(
    input: jax.Array, output_size: Sequence[int] | None, scale_factors: Sequence[float] | None
) -> jax.Array:
    """`jaxnets.functional.interpolate` with mode "nearest"."""
    return F.interpolate(input, output_size, scale_factors, "nearest")


def upsample_bilinear2d(
    input: jax.Array, output_size: Sequence[int] | None, align_corners: bool, scale_factors: Sequence[float] | None
) -> jax.Array:
    """`jaxnets.functional.interpolate` with mode "bilinear"."""
    return F.interpolate(input, output_size, scale_factors, "bilinear", align_corners)


_INTERPOLATION = ("bilinear", "nearest", "bicubic")


_PADDING = ("zeros", "border", "reflection")


def grid_sampler_2d(
    input: jax.Array, grid: jax.Array, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> jax.Array:
    """`jaxnets.functional.grid_sample` of planes; modes are numbers, in the order of its documentation."""
    return F.grid_sample(input, grid, _INTERPOLATION[interpolation_mode], _PADDING[padding_mode], align_corners)


def grid_sampler_3d(
    input: jax.Array, grid: jax.Array, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> jax.Array:
    """`jaxnets.functional.grid_sample` of volumes; modes are numbers, in the order of its documentation."""
    return F.grid_sample(input, grid, _INTERPOLATION[interpolation_mode], _PADDING[padding_mode], align_corners)


def col2im(
    input: jax.Array, output_size: Size, kernel_size: Size, dilation: Size, padding: Size, stride: Size
) -> jax.Array:
    """`jaxnets.functional.fold`."""
    return F.fold(input, output_size, kernel_size, dilation, padding, stride)


def im2col(input: jax.Array, kernel_size: Size, dilation: Size, padding: Size, stride: Size) -> jax.Array:
    """`jaxnets.functional.unfold`."""
    return F.unfold(input, kernel_size, dilation, padding, stride)
