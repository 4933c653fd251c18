"""Convolutional layers: `torch.nn.Conv1d` to `ConvTranspose3d`."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import jax
from flax import nnx

from jaxnets import check
from jaxnets import functional as F
from jaxnets.functional.conv import check_groups, conv_transpose_output_size, padding_pairs
from jaxnets.nn import init
from jaxnets.nn.parameters import Family, parameter, value

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]

Size = int | Sequence[int]
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Windowed(Family):
    """What plain and transposed convolutions have in common: their geometry, and how they draw their parameters."""

    n: ClassVar[int]

    def _set_geometry(
        self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size, dilation: Size, groups: int
    ) -> None:
        self.in_channels = check.integer("in_channels", in_channels, least=0)
        self.out_channels = check.integer("out_channels", out_channels, least=0)
        self.kernel_size = check.ntuple("kernel_size", kernel_size, self.n, least=1, repeat=False)
        self.stride = check.ntuple("stride", stride, self.n, least=1)
        self.dilation = check.ntuple("dilation", dilation, self.n, least=1)
        self.groups = groups
        check_groups("in_channels", in_channels, groups)
        check_groups("out_channels", out_channels, groups)

    def _draw(self, channels: tuple[int, int], bias: bool, dtype: Any, rngs: nnx.Rngs) -> None:
        """Weight and bias in torch's order, both from `U(-1/sqrt(fan_in), 1/sqrt(fan_in))`."""
        shape = (*channels, *self.kernel_size)
        self.weight = parameter(rngs, partial(init.kaiming_uniform, a=math.sqrt(5)), shape, dtype)
        fan_in, _ = init.fan_in_and_fan_out(shape)
        bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
        draw = partial(init.uniform, a=-bound, b=bound)
        self.bias = parameter(rngs, draw, (self.out_channels,), dtype) if check.truth("bias", bias) else None


class ConvNd(_Windowed):
    """Convolution (cross-correlation) over `n` spatial axes: what `Conv1d`, `Conv2d` and `Conv3d` share.

    `y[n, o] = b[o] + sum over c of w[o, c] ⋆ x[n, c]`, with `c` over the channels of `o`'s group

    Args:
        in_channels: channels of the input, a multiple of `groups`.
        out_channels: channels of the output, a multiple of `groups`.
        kernel_size: size of the window, an int or one for each spatial axis.
        stride: step of the window, at least 1.
        padding: border on both sides of each axis, at least 0; "valid" is none, "same" keeps the size (stride 1
            only; an odd total goes to the right).
        dilation: distance of the kernel's taps, at least 1.
        groups: number of groups that channels are split into.
        bias: whether to learn `b`.
        padding_mode: what the border holds: "zeros", "reflect", "replicate" or "circular".
        dtype: dtype of the parameters, float32 when not given.
        param_dtype: dtype of the parameters in place of `dtype`, which is then that of the computation; see `Layer`.
        rngs: random streams; `params` draws both parameters from `U(-sqrt(k), sqrt(k))`,
            `k = groups / (in_channels * prod(kernel_size))`.

    Attributes:
        weight: `(out_channels, in_channels / groups, *kernel_size)`.
        bias: `(out_channels,)`, or None.

    Shape:
        `(N, in_channels, *spatial)` or `(in_channels, *spatial)`; each spatial axis gives
        `floor((L + 2 * padding - dilation * (kernel_size - 1) - 1) / stride) + 1`.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: channels are no multiples of `groups`; a size or a word is out of range.

    Differences from torch: no `device`; `rngs` is new; a negative padding or a stride of 0 is refused here, not
    in the call.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        dtype: Any = None,
        *,
        param_dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        dtype = self._dtype_of_parameters(dtype, param_dtype)
        self._set_geometry(in_channels, out_channels, kernel_size, stride, dilation, groups)
        self.padding = padding if isinstance(padding, str) else check.ntuple("padding", padding, self.n, least=0)
        self.padding_mode = check.choice("padding_mode", padding_mode, PADDING_MODES)
        self._pairs = tuple(padding_pairs(self.padding, self.kernel_size, self.stride, self.dilation))
        self._draw((out_channels, in_channels // groups), bias, dtype, rngs)

    def __call__(self, input: jax.Array) -> jax.Array:
        conv = getattr(F, f"conv{self.n}d")
        settings = self.weight[...], value(self.bias), self.stride
        if self.padding_mode == "zeros":
            return conv(input, *settings, self.padding, self.dilation, self.groups)
        input = check.array("input", input)
        check.rank("input", input, {self.n + 1: "(C_in, *spatial)", self.n + 2: "(N, C_in, *spatial)"})
        border = [p for pair in reversed(self._pairs) for p in pair]
        return conv(F.pad(input, border, self.padding_mode), *settings, 0, self.dilation, self.groups)


class Conv1d(ConvNd):
    """Convolution of `(N, C_in, L)` or `(C_in, L)`; arguments as in `ConvNd`.

    >>> Conv1d(16, 33, 3, stride=2, rngs=nnx.Rngs(0))(jax.numpy.ones((20, 16, 50))).shape
    (20, 33, 24)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv1d.html
    """

    n = 1


class Conv2d(ConvNd):
    """Convolution of `(N, C_in, H, W)` or `(C_in, H, W)`; arguments as in `ConvNd`.

    >>> layer = Conv2d(4, 6, (3, 5), stride=(2, 1), padding=(4, 2), dilation=(3, 1), groups=2, rngs=nnx.Rngs(0))
    >>> layer.weight.shape, layer(jax.numpy.ones((20, 4, 50, 100))).shape
    ((6, 2, 3, 5), (20, 6, 26, 100))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html
    """

    n = 2


class Conv3d(ConvNd):
    """Convolution of `(N, C_in, D, H, W)` or `(C_in, D, H, W)`; arguments as in `ConvNd`.

    >>> Conv3d(2, 3, 3, padding="same", padding_mode="circular", rngs=nnx.Rngs(0))(jax.numpy.ones((2, 4, 5, 6))).shape
    (3, 4, 5, 6)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv3d.html
    """

    n = 3


class ConvTransposeNd(_Windowed):
    """Transposed convolution over `n` spatial axes: what `ConvTranspose1d`, `2d` and `3d` share.

    It is the gradient of a convolution with respect to its input: each input entry adds the kernel, times itself, to
    the output.

    Args:
        in_channels: channels of the input, a multiple of `groups`.
        out_channels: channels of the output, a multiple of `groups`.
        kernel_size: size of the window, an int or one for each spatial axis.
        stride: step of the window in the output, at least 1.
        padding: what is cut from both sides of each output axis, at least 0.
        output_padding: what is added to the end of each output axis, less than `stride` or `dilation`.
        groups: number of groups that channels are split into.
        bias: whether to learn a bias.
        dilation: distance of the kernel's taps, at least 1.
        padding_mode: "zeros" only.
        dtype: dtype of the parameters, float32 when not given.
        param_dtype: dtype of the parameters in place of `dtype`, which is then that of the computation; see `Layer`.
        rngs: random streams; `params` draws both parameters from `U(-sqrt(k), sqrt(k))`,
            `k = groups / (out_channels * prod(kernel_size))`.

    Attributes:
        weight: `(in_channels, out_channels / groups, *kernel_size)`.
        bias: `(out_channels,)`, or None.

    Shape:
        `(N, in_channels, *spatial)` or `(in_channels, *spatial)`; each spatial axis gives
        `(L - 1) * stride - 2 * padding + dilation * (kernel_size - 1) + output_padding + 1`.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: channels are no multiples of `groups`; a size or a word is out of range.

    Differences from torch: no `device`; `rngs` is new.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        dtype: Any = None,
        *,
        param_dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        dtype = self._dtype_of_parameters(dtype, param_dtype)
        self._set_geometry(in_channels, out_channels, kernel_size, stride, dilation, groups)
        self.padding = check.ntuple("padding", padding, self.n, least=0)
        self.output_padding = check.ntuple("output_padding", output_padding, self.n, least=0)
        self.padding_mode = check.choice("padding_mode", padding_mode, PADDING_MODES[:1])
        self._draw((in_channels, out_channels // groups), bias, dtype, rngs)

    def __call__(self, input: jax.Array, output_size: Sequence[int] | None = None) -> jax.Array:
        """`output_size` (the spatial axes', or all axes' sizes) chooses `output_padding` for this call."""
        output_padding = self.output_padding if output_size is None else self._fill(input, output_size)
        conv_transpose = getattr(F, f"conv_transpose{self.n}d")
        return conv_transpose(
            input,
            self.weight[...],
            value(self.bias),
            self.stride,
            self.padding,
            output_padding,
            self.groups,
            self.dilation,
        )

    def _fill(self, input: jax.Array, output_size: Sequence[int]) -> tuple[int, ...]:
        """The `output_padding` that gives an output of `output_size`."""
        input = check.array("input", input)
        if not check.is_sequence(output_size):
            raise TypeError(f"output_size: expected {self.n} ints, got {output_size!r}")
        if len(output_size) not in (self.n, input.ndim):
            raise ValueError(
                f"output_size: expected {self.n} sizes, or {input.ndim} with batch and channels, "
                f"got {tuple(output_size)}"
            )
        wanted = tuple(check.integer("output_size", size) for size in output_size[-self.n :])
        settings = zip(self.kernel_size, self.stride, self.padding, self.dilation, strict=True)
        least = tuple(
            conv_transpose_output_size(size, kernel, stride, padding, 0, dilation)
            for size, (kernel, stride, padding, dilation) in zip(input.shape[-self.n :], settings, strict=True)
        )
        most = tuple(low + stride - 1 for low, stride in zip(least, self.stride, strict=True))
        extra = tuple(size - low for size, low in zip(wanted, least, strict=True))
        if any(not 0 <= e < s for e, s in zip(extra, self.stride, strict=True)):
            raise ValueError(
                f"output_size: expected from {least} to {most} for input of spatial shape {input.shape[-self.n :]}, "
                f"got {wanted}"
            )
        return extra


class ConvTranspose1d(ConvTransposeNd):
    """Transposed convolution of `(N, C_in, L)` or `(C_in, L)`; arguments as in `ConvTransposeNd`.

    >>> ConvTranspose1d(2, 4, 3, stride=2, rngs=nnx.Rngs(0))(jax.numpy.ones((1, 2, 5)), output_size=[12]).shape
    (1, 4, 12)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ConvTranspose1d.html
    """

    n = 1


class ConvTranspose2d(ConvTransposeNd):
    """Transposed convolution of `(N, C_in, H, W)` or `(C_in, H, W)`; arguments as in `ConvTransposeNd`.

    >>> layer = ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2, rngs=nnx.Rngs(0))
    >>> layer.weight.shape, layer(jax.numpy.ones((1, 4, 6, 7))).shape
    ((4, 3, 3, 3), (1, 6, 12, 14))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ConvTranspose2d.html
    """

    n = 2


class ConvTranspose3d(ConvTransposeNd):
    """Transposed convolution of `(N, C_in, D, H, W)` or `(C_in, D, H, W)`; arguments as in `ConvTransposeNd`.

    >>> ConvTranspose3d(2, 3, (3, 5, 2), stride=(2, 1, 1), rngs=nnx.Rngs(0))(jax.numpy.ones((2, 4, 5, 6))).shape
    (3, 9, 9, 7)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ConvTranspose3d.html
    """

    n = 3
