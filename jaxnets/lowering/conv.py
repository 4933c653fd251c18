"""Convolution and transposed convolution over any number of spatial axes, channels first.

Both take a batch: `x` is `(N, C_in, *spatial)`. The numbers are torch's; how they are computed is this room's.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.lowering.precision import wide

Ints = Sequence[int]
Bilinear = Callable[[jax.Array, jax.Array], jax.Array]


# Each tap of a kernel is a slice in the compiled graph and a copy of the input: bounds for both.
MAX_TAPS = 64
MAX_COLUMNS = 2**26
# Each tap of each channel of a group is a term of a sum in the compiled graph.
MAX_TERMS = 128


def conv(
    x: jax.Array, weight: jax.Array, stride: Ints, padding: Sequence[tuple[int, int]], dilation: Ints, groups: int
) -> jax.Array:
    """Cross-correlation with `weight` of `(C_out, C_in / groups, *kernel)`.

    XLA's CPU backend computes grouped convolutions in a plain loop. There, the sum over the taps of shifted inputs
    times weights is ten to thirty times faster where a group has few channels; derivatives, but of depthwise ones,
    are matrix products over the slices under the taps, fifty times faster, with a fifth of the rounding error.
    """

    def direct(x: jax.Array, weight: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(x, weight, stride, padding, rhs_dilation=dilation, feature_group_count=groups)

    def by_taps(x: jax.Array, weight: jax.Array) -> jax.Array:
        return _conv_by_taps(x, weight, stride, padding, dilation, groups)

    def by_sums(x: jax.Array, weight: jax.Array) -> jax.Array:
        return _conv_by_sums(x, weight, stride, padding, dilation, groups)

    taps = math.prod(weight.shape[2:])
    if groups == 1 or taps > MAX_TAPS or not 0 < taps * x.size <= MAX_COLUMNS or weight.size == 0:
        return direct(x, weight)
    on_cpu: Bilinear
    if weight.shape[1] == 1:
        on_cpu = by_sums
    elif weight.shape[1] * taps <= MAX_TERMS:
        on_cpu = _with_derivatives_of(by_sums, by_taps)
    else:
        on_cpu = _with_derivatives_of(direct, by_taps)
    return lax.platform_dependent(x, weight, cpu=on_cpu, default=direct)


def _with_derivatives_of(value: Bilinear, other: Bilinear) -> Bilinear:
    """The function `value`, differentiated as `other`, which computes the same."""

    @jax.custom_jvp
    def function(x: jax.Array, weight: jax.Array) -> jax.Array:
        return value(x, weight)

    @function.defjvp
    def _(primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        (x, weight), (dx, dweight) = primals, tangents
        return function(x, weight), other(dx, weight) + other(x, dweight)

    return function


def _conv_by_sums(
    x: jax.Array, weight: jax.Array, stride: Ints, padding: Sequence[tuple[int, int]], dilation: Ints, groups: int
) -> jax.Array:
    """The same as a sum over a group's channels and a kernel's taps: one loop in the compiled program."""
    n = x.shape[0]
    c_out, channels, *kernel = weight.shape
    slices = _slices(wide(x), kernel, stride, padding, dilation)
    sizes = slices[0].shape[2:]
    weights = wide(weight).reshape(1, groups, c_out // groups, channels, len(slices), *(1 for _ in sizes))
    total: Any = 0
    for tap, part in enumerate(slices):
        part = part.reshape(n, groups, 1, channels, *sizes)
        for channel in range(channels):
            total = total + part[:, :, :, channel] * weights[:, :, :, channel, tap]
    return total.reshape(n, c_out, *sizes).astype(x.dtype)


def _slices(
    x: jax.Array, kernel: Ints, stride: Ints, padding: Sequence[tuple[int, int]], dilation: Ints
) -> list[jax.Array]:
    """What of the padded input lies under each tap of the kernel."""
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), (0, 0, 0), *((*pair, 0) for pair in padding)])
    sizes = [
        conv_output_size(size, k, s, 0, d) for size, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)
    ]
    slices = []
    for tap in itertools.product(*map(range, kernel)):
        first = [t * d for t, d in zip(tap, dilation, strict=True)]
        last = [f + (size - 1) * s + 1 for f, size, s in zip(first, sizes, stride, strict=True)]
        slices.append(lax.slice(x, (0, 0, *first), (*x.shape[:2], *last), (1, 1, *stride)))
    return slices


def _conv_by_taps(
    x: jax.Array, weight: jax.Array, stride: Ints, padding: Sequence[tuple[int, int]], dilation: Ints, groups: int
) -> jax.Array:
    """The same as one matrix product for each group, over the input's slices under each of the kernel's taps."""
    n, c_in, *_ = x.shape
    c_out, _, *kernel = weight.shape
    slices = _slices(x, kernel, stride, padding, dilation)
    sizes = slices[0].shape[2:]
    # The batch is no part of a reshape, so that it may lie on a mesh.
    taps = jnp.stack(slices, 2).reshape(n, groups, c_in // groups, len(slices), *sizes)
    rows = weight.reshape(groups, c_out // groups, c_in // groups, len(slices))
    return jnp.einsum("goct,ngct...->ngo...", rows, taps).reshape(n, c_out, *sizes)


def conv_transpose(
    x: jax.Array,
    weight: jax.Array,
    stride: Ints,
    padding: Ints,
    output_padding: Ints,
    dilation: Ints,
    groups: int,
) -> jax.Array:
    """The transpose of `conv` in its first argument; `weight` is `(C_in, C_out / groups, *kernel)`.

    It is the cross-correlation of `x`, spread by `stride`, with the flipped kernel. The spread and the crop
    or padding at the borders are one `lax.pad`: `(stride - 1)` zeros between, `dilation * (kernel - 1) - padding`
    around, and `output_padding` more behind.
    """
    kernel = weight.shape[2:]
    edges = [d * (k - 1) - p for d, k, p in zip(dilation, kernel, padding, strict=True)]
    borders = [(e, e + o, s - 1) for e, o, s in zip(edges, output_padding, stride, strict=True)]
    spread = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), (0, 0, 0), *borders])
    ones = (1,) * len(kernel)
    return conv(spread, transposed_kernel(weight, groups), ones, [(0, 0)] * len(kernel), dilation, groups)


def transposed_kernel(weight: jax.Array, groups: int) -> jax.Array:
    """`(C_in, C_out / groups, *kernel)` as the kernel of a plain convolution, `(C_out, C_in / groups, *kernel)`.

    Inputs and outputs change places within each group, and the kernel is flipped.
    """
    c_in, c_out, *kernel = weight.shape
    grouped = weight.reshape(groups, c_in // groups, c_out, *kernel)
    swapped = jnp.swapaxes(grouped, 1, 2).reshape(groups * c_out, c_in // groups, *kernel)
    return jnp.flip(swapped, tuple(range(2, weight.ndim)))


def conv_output_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """`floor((size + padding - (dilation * (kernel - 1) + 1)) / stride) + 1`, `padding` being both sides' sum."""
    return math.floor((size + padding - (dilation * (kernel - 1) + 1)) / stride) + 1
