"""Convolutions: `torch.nn.functional.conv1d` to `conv_transpose3d`, `conv_tbc`."""

from collections.abc import Callable, Iterable, Sequence

import jax
import jax.numpy as jnp

from jaxnets import check
from jaxnets.functional.precision import wide
from jaxnets.lowering import conv as lowering
from jaxnets.lowering.precision import rounded_once

__all__ = ["conv1d", "conv2d", "conv3d", "conv_tbc", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]

Size = int | Sequence[int]
AXES = {1: "L", 2: "H, W", 3: "D, H, W"}


def conv1d(
    input: jax.Array,
    weight: jax.Array,
    bias: jax.Array | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> jax.Array:
    """Convolution of `(N, C_in, L)`; see `conv2d`, whose arguments it takes for one axis.

    >>> conv1d(jax.numpy.ones((1, 1, 4)), jax.numpy.ones((1, 1, 3))).tolist()
    [[[3.0, 3.0]]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.conv1d.html
    """
    return _conv(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: jax.Array,
    weight: jax.Array,
    bias: jax.Array | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> jax.Array:
    """Convolution (cross-correlation, as everywhere in deep learning) of a batch of planes.

    `y[n, o] = b[o] + sum over c of w[o, c] ⋆ x[n, c]`, with `c` over the channels of `o`'s group

    Args:
        input: `(N, C_in, H, W)`, or `(C_in, H, W)` without a batch.
        weight: `(C_out, C_in / groups, kH, kW)`.
        bias: `(C_out,)`.
        stride: step of the window, at least 1.
        padding: zeros on both sides of each axis, at least 0; "valid" is none, "same" keeps the size (stride 1 only;
            an odd total goes to the right).
        dilation: distance of the kernel's taps, at least 1.
        groups: number of groups that channels are split into, a divisor of `C_in` and of `C_out`.

    Shape:
        each axis gives `floor((H + 2 * padding - dilation * (kH - 1) - 1) / stride) + 1`.

    Raises:
        TypeError: dtypes differ, or an argument is no int.
        ValueError: sizes do not fit.

    Differences from torch: on a CPU large ones with a 3x3 kernel are computed with fewer products (Winograd's), and an
    output whose window holds an infinity is NaN; not so with `jax.default_matmul_precision("highest")`.

    >>> conv2d(jax.numpy.ones((2, 4, 9, 7)), jax.numpy.ones((6, 2, 3, 3)), stride=2, padding="valid", groups=2).shape
    (2, 6, 4, 3)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.conv2d.html
    """
    return _conv(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: jax.Array,
    weight: jax.Array,
    bias: jax.Array | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> jax.Array:
    """Convolution of `(N, C_in, D, H, W)`; see `conv2d`, whose arguments it takes for three axes.

    >>> conv3d(jax.numpy.ones((1, 5, 5, 5)), jax.numpy.ones((2, 1, 3, 3, 3)), padding="same").shape
    (2, 5, 5, 5)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.conv3d.html
    """
    return _conv(3, input, weight, bias, stride, padding, dilation, groups)


def conv_tbc(input: jax.Array, weight: jax.Array, bias: jax.Array, pad: int = 0) -> jax.Array:
    """Convolution of sequences that lie as time, batch, channels.

    `y[t, n] = bias + sum over k of x[t + k - pad, n] weight[k]`

    Args:
        input: `(T, N, C_in)`.
        weight: `(kernel, C_in, C_out)`.
        bias: `(C_out,)`.
        pad: zeros at both ends; a negative number cuts.

    Shape:
        `(T, N, C_in)` to `(T + 2 * pad - kernel + 1, N, C_out)`.

    Raises:
        TypeError: dtypes differ or are boolean, or `pad` is no int.
        ValueError: sizes do not fit.

    Differences from torch: none.

    >>> conv_tbc(jnp.ones((5, 2, 3)), jnp.ones((2, 3, 1)), jnp.zeros(1), pad=1)[:2, 0].tolist()
    [[3.0], [6.0]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.conv_tbc.html
    """
    input, weight, bias = check.array("input", input), check.array("weight", weight), check.array("bias", bias)
    check.same_dtype(input=input, weight=weight, bias=bias)
    if input.dtype == bool:
        raise TypeError("input: expected numbers, got bool; cast it first")
    check.rank("input", input, {3: "(T, N, C_in)"})
    check.rank("weight", weight, {3: "(kernel, C_in, C_out)"})
    kernel, c_in, c_out = weight.shape
    if input.shape[2] != c_in:
        raise ValueError(f"input: expected C_in={c_in} channels on axis 2, got shape {input.shape}")
    _check_bias(bias, c_out)
    pad = check.integer("pad", pad)
    length = len(input) + 2 * pad - kernel + 1
    if length < 0:
        raise ValueError(
            f"input: expected at least {kernel - 1} steps, padding included, for a kernel of {kernel}, "
            f"got {len(input)} and pad={pad}"
        )
    if not length * input.size * weight.size:
        return jnp.broadcast_to(bias, (length, input.shape[1], c_out))

    def convolve(x: jax.Array, weight: jax.Array) -> jax.Array:
        return lowering.conv(x, weight, (1,), [(pad, pad)], (1,), 1)

    output = _and_bias(convolve, input.transpose(1, 2, 0), weight.transpose(2, 1, 0), bias)
    return output.transpose(2, 0, 1)


def conv_transpose1d(
    input: jax.Array,
    weight: jax.Array,
    bias: jax.Array | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> jax.Array:
    """Transposed convolution of `(N, C_in, L)`; see `conv_transpose2d`, whose arguments it takes for one axis.

    >>> conv_transpose1d(jax.numpy.ones((1, 1, 2)), jax.numpy.ones((1, 1, 3)), stride=2).tolist()
    [[[1.0, 1.0, 2.0, 1.0, 1.0]]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.conv_transpose1d.html
    """
    return _conv_transpose(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: jax.Array,
    weight: jax.Array,
    bias: jax.Array | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> jax.Array:
    """Transposed convolution of a batch of planes: the gradient of `conv2d` with respect to its input.

    Args:
        input: `(N, C_in, H, W)`, or `(C_in, H, W)` without a batch.
        weight: `(C_in, C_out / groups, kH, kW)`.
        bias: `(C_out,)`.
        stride: step of the window in the output, at least 1.
        padding: rows cut from both sides of the output, at least 0.
        output_padding: rows added to the end of the output, less than `stride` or `dilation`.
        groups: number of groups that channels are split into, a divisor of `C_in`.
        dilation: distance of the kernel's taps, at least 1.

    Shape:
        each axis gives `(H - 1) * stride - 2 * padding + dilation * (kH - 1) + output_padding + 1`.

    Raises:
        TypeError: dtypes differ, or an argument is no int.
        ValueError: sizes do not fit.

    Differences from torch: none.

    >>> x, w = jax.numpy.ones((1, 4, 3, 3)), jax.numpy.ones((4, 2, 2, 2))
    >>> conv_transpose2d(x, w, stride=2, output_padding=(0, 1), groups=2).shape
    (1, 4, 6, 7)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.conv_transpose2d.html
    """
    return _conv_transpose(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: jax.Array,
    weight: jax.Array,
    bias: jax.Array | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> jax.Array:
    """Transposed convolution of `(N, C_in, D, H, W)`; see `conv_transpose2d`, whose arguments it takes for three axes.

    >>> conv_transpose3d(jax.numpy.ones((1, 2, 2, 2)), jax.numpy.ones((1, 1, 3, 3, 3))).shape
    (1, 4, 4, 4)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.conv_transpose3d.html
    """
    return _conv_transpose(3, input, weight, bias, stride, padding, output_padding, groups, dilation)


def _conv(
    n: int,
    input: jax.Array,
    weight: jax.Array,
    bias: jax.Array | None,
    stride: Size,
    padding: Size | str,
    dilation: Size,
    groups: int,
) -> jax.Array:
    input, weight, bias = _arrays(n, input, weight, bias, "C_out, C_in / groups")
    stride, dilation = ntuple("stride", stride, n, least=1), ntuple("dilation", dilation, n, least=1)
    pairs = padding_pairs(padding, weight.shape[2:], stride, dilation)
    out_channels = weight.shape[0]
    check_groups("weight", out_channels, groups)
    in_channels = weight.shape[1] * groups
    _check_filled(weight, (0, *range(2, n + 2)))  # the input's channels may be none, as in torch
    _check_channels(n, input, in_channels, weight, groups)
    _check_bias(bias, out_channels)
    spatial = input.shape[-n:]
    for axis, (size, kernel, pair, d) in enumerate(zip(spatial, weight.shape[2:], pairs, dilation, strict=True)):
        if size == 0 or size + sum(pair) < d * (kernel - 1) + 1:
            raise ValueError(
                f"input: spatial axis {axis} has {size} entries, {size + sum(pair)} with its padding, fewer than "
                f"the {d * (kernel - 1) + 1} that a kernel of {kernel} covers at dilation {d}; "
                f"input has shape {input.shape}"
            )
    batch = input if input.ndim == n + 2 else input[None]

    def convolve(x: jax.Array, weight: jax.Array) -> jax.Array:
        return lowering.conv(x, weight, stride, pairs, dilation, groups)

    output = _and_bias(convolve, batch, weight, bias)
    return output.reshape(input.shape[: -n - 1] + output.shape[1:])


def _conv_transpose(
    n: int,
    input: jax.Array,
    weight: jax.Array,
    bias: jax.Array | None,
    stride: Size,
    padding: Size,
    output_padding: Size,
    groups: int,
    dilation: Size,
) -> jax.Array:
    input, weight, bias = _arrays(n, input, weight, bias, "C_in, C_out / groups")
    stride, dilation = ntuple("stride", stride, n, least=1), ntuple("dilation", dilation, n, least=1)
    padding = ntuple("padding", padding, n, least=0)
    output_padding = ntuple("output_padding", output_padding, n, least=0)
    check_groups("weight", weight.shape[0], groups)
    _check_filled(weight, range(n + 2))
    _check_channels(n, input, weight.shape[0], weight, groups)
    _check_bias(bias, weight.shape[1] * groups)
    for axis, (extra, s, d) in enumerate(zip(output_padding, stride, dilation, strict=True)):
        if extra >= max(s, d):
            raise ValueError(
                f"output_padding: expected less than stride or dilation, {max(s, d)} on spatial axis {axis}, "
                f"got {extra}"
            )
    settings = zip(weight.shape[2:], stride, padding, output_padding, dilation, strict=True)
    for axis, (size, setting) in enumerate(zip(input.shape[-n:], settings, strict=True)):
        if size == 0 or conv_transpose_output_size(size, *setting) < 1:
            raise ValueError(
                f"input: the output of spatial axis {axis} would have "
                f"{conv_transpose_output_size(size, *setting)} entries; "
                f"expected an input larger than {size} or less padding than {padding[axis]}"
            )
    batch = input if input.ndim == n + 2 else input[None]

    def convolve(x: jax.Array, weight: jax.Array) -> jax.Array:
        return lowering.conv_transpose(x, weight, stride, padding, output_padding, dilation, groups)

    output = _and_bias(convolve, batch, weight, bias)
    return output.reshape(input.shape[: -n - 1] + output.shape[1:])


def ntuple(name: str, value: Size, n: int, *, least: int) -> tuple[int, ...]:
    return check.ntuple(name, value, n, least=least)


def padding_pairs(
    padding: Size | str, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> list[tuple[int, int]]:
    """`(left, right)` zeros of each axis; of an odd "same" the right side takes the greater part."""
    if not isinstance(padding, str):
        return [(p, p) for p in ntuple("padding", padding, len(kernel), least=0)]
    if check.choice("padding", padding, ("same", "valid")) == "valid":
        return [(0, 0)] * len(kernel)
    if any(s != 1 for s in stride):
        raise ValueError(f"padding: 'same' needs a stride of 1, got {tuple(stride)}; give the padding as numbers")
    totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return [(total // 2, total - total // 2) for total in totals]


def conv_transpose_output_size(
    size: int, kernel: int, stride: int, padding: int, output_padding: int, dilation: int
) -> int:
    """`(size - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1`."""
    return (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1


def check_groups(name: str, channels: int, groups: int) -> None:
    groups = check.integer("groups", groups, least=1)
    if channels % groups:
        raise ValueError(f"groups: expected a divisor of the {channels} channels of {name}, got {groups}")


def _arrays(
    n: int, input: jax.Array, weight: jax.Array, bias: jax.Array | None, layout: str
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    input, weight = check.array("input", input), check.array("weight", weight)
    bias = None if bias is None else check.array("bias", bias)
    check.same_dtype(input=input, weight=weight, bias=bias)
    check.rank("weight", weight, {n + 2: f"({layout}, *kernel)"})
    check.rank("input", input, {n + 1: f"(C_in, {AXES[n]})", n + 2: f"(N, C_in, {AXES[n]})"})
    return input, weight, bias


def _check_channels(n: int, input: jax.Array, channels: int, weight: jax.Array, groups: int) -> None:
    got = input.shape[-n - 1]
    if got != channels:
        raise ValueError(
            f"input: expected {channels} channels for weight of shape {weight.shape} and groups={groups}, "
            f"got {got} in shape {input.shape}"
        )


def _check_filled(weight: jax.Array, axes: Iterable[int]) -> None:
    for axis in axes:
        if not weight.shape[axis]:
            raise ValueError(f"weight: expected at least 1 entry on axis {axis}, got shape {weight.shape}")


def _check_bias(bias: jax.Array | None, channels: int) -> None:
    if bias is not None and bias.shape != (channels,):
        raise ValueError(f"bias: expected shape {(channels,)}, got {bias.shape}")


def _and_bias(
    convolve: Callable[[jax.Array, jax.Array], jax.Array], x: jax.Array, weight: jax.Array, bias: jax.Array | None
) -> jax.Array:
    def compute(x: jax.Array, weight: jax.Array, bias: jax.Array) -> jax.Array:
        # In float32, so that the gradient of a half precision bias, a long sum, is one too.
        per_channel = wide(bias).reshape(1, bias.size, *(1,) * (x.ndim - 2))
        return (wide(convolve(x, weight)) + per_channel).astype(x.dtype)

    return convolve(x, weight) if bias is None else rounded_once(compute, x, weight, bias)
