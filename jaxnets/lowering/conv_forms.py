"""The forms of a convolution and of its two gradients, and the tables that choose among them on CPU and on a GPU.

XLA's CPU backend is fast where a convolution is dense, has two spatial axes at most and no stride in its gradient; it
computes grouped ones in a plain loop. What is said otherwise: products of matrices (`conv_products`), sums of shifted
inputs (`conv_sums`), and here each group by itself, three axes as two, those to few outputs in the other direction, and
dense ones so that XLA takes the faster of its two codes for them.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.lowering import conv_conditions as when
from jaxnets.lowering.choice import Form, choose
from jaxnets.lowering.conv_groups import by_groups, by_groups_in_turn
from jaxnets.lowering.conv_planes import by_planes, by_planes_of_input, by_planes_of_weight
from jaxnets.lowering.conv_problem import Ints, Pair, Problem
from jaxnets.lowering.conv_products import (
    columns,
    columns_of_input,
    columns_of_weight,
    product,
    product_of_input,
    product_of_weight,
    taps,
    taps_of_weight,
)
from jaxnets.lowering.conv_sums import MAX_TERMS, sums, sums_in_turn, sums_of_weight
from jaxnets.lowering.conv_winograd import winograd, winograd_of_weight
from jaxnets.lowering.interleave import interleaved
from jaxnets.lowering.precision import wide
from jaxnets.lowering.windows import padded


def output(problem: Problem, x: jax.Array, weight: jax.Array) -> jax.Array:
    """The convolution, in the form that pays."""
    return choose(OUTPUT, problem, problem.on_gpu)(problem, x, weight)


def gradient_of_input(problem: Problem, y: jax.Array, weight: jax.Array) -> jax.Array:
    """The gradient of `x`, given that of the output, in the form that pays."""
    return choose(OF_INPUT, problem, problem.on_gpu)(problem, y, weight)


def gradient_of_weight(problem: Problem, x: jax.Array, y: jax.Array) -> jax.Array:
    """The gradient of the weight, given that of the output, in the form that pays."""
    return choose(OF_WEIGHT, problem, problem.on_gpu)(problem, x, y)


# -- as XLA has it ---------------------------------------------------------------------------------------------------


def plain(p: Problem, x: jax.Array, weight: jax.Array) -> jax.Array:
    """XLA's own operation, channels first."""
    x, padding = _cut(x, p.padding)
    return lax.conv_general_dilated(x, weight, p.stride, padding, rhs_dilation=p.dilation, feature_group_count=p.groups)


def _cut(x: jax.Array, padding: Sequence[Pair]) -> tuple[jax.Array, list[Pair]]:
    """Axes that padding would cut in front are cut and padded here: XLA's CPU backend reads past their end."""
    cut = [pair if pair[0] < 0 else (0, 0) for pair in padding]
    rest = [(0, 0) if pair[0] < 0 else pair for pair in padding]
    return (padded(x, cut, jnp.zeros((), x.dtype)) if any(map(any, cut)) else x), rest


def direct(p: Problem, x: jax.Array, weight: jax.Array, holes: int = 1) -> jax.Array:
    """The same, said as XLA's CPU backend computes it; it would do so by itself, but in a loop's body it does not."""
    if p.on_gpu or p.groups > 1:
        return plain(p, x, weight)
    x, padding = _cut(x, p.padding)
    y = _channels_last(_last(x), _taps_first(weight), p.stride, padding, p.dilation, holes)
    return jnp.moveaxis(y, -1, 1)


def direct_of_input(p: Problem, y: jax.Array, weight: jax.Array) -> jax.Array:
    x = jax.ShapeDtypeStruct((p.batch, p.channels[0], *p.size), y.dtype)
    reach = [d * (k - 1) for d, k in zip(p.dilation, p.kernel, strict=True)]
    if all(low <= r for (low, _), r in zip(p.padding, reach, strict=True)):
        return _transpose(lambda x: plain(p, x, weight), x, y)
    # the transpose would be cut in front: `_cut`
    return _transpose(lambda x: plain(p.bare(), p.padded(x), weight), x, y)


def direct_of_weight(p: Problem, x: jax.Array, y: jax.Array, holes: int = 1) -> jax.Array:
    """The convolution of the input with the output's gradient, in which examples and channels change places."""
    if p.on_gpu or p.groups > 1:
        weight = jax.ShapeDtypeStruct((p.channels[1], p.fan_in, *p.kernel), y.dtype)
        return _transpose(lambda weight: plain(p, x, weight), weight, y)
    if p.is_wider:  # XLA's own is a plain loop then
        x, p = p.padded(x), p.bare()
    settings = zip(p.size, p.out, p.kernel, p.stride, p.padding, p.dilation, strict=True)
    pairs = [(low, (k - 1) * d + (o - 1) * s + 1 - n - low) for n, o, k, s, (low, _), d in settings]
    kernel = jnp.moveaxis(_last(y), 0, -2)
    return _channels_first(_channels_last(_last(jnp.swapaxes(x, 0, 1)), kernel, p.dilation, pairs, p.stride, holes))


def _transpose(function: Callable[[jax.Array], jax.Array], argument: Any, y: jax.Array) -> jax.Array:
    return jax.linear_transpose(function, argument)(y)[0]


def _channels_last(
    x: jax.Array, kernel: jax.Array, stride: Ints, padding: Sequence[Pair], dilation: Ints, holes: int
) -> jax.Array:
    """The convolution of `(N, *size, C_in)` with `(*kernel, C_in, C_out)`.

    With `holes` of 2 each row of the input has a hole after each number, and taps and steps are twice as far apart:
    the same sums.
    """
    axes = tuple(range(1, x.ndim - 1))
    lhs, rhs = (0, x.ndim - 1, *axes), (x.ndim - 1, x.ndim - 2, *(axis - 1 for axis in axes))
    scale = [1] * (len(axes) - 1) + [holes]
    return lax.conv_general_dilated(
        x,
        kernel,
        [f * s for f, s in zip(scale, stride, strict=True)],
        [(f * low, f * high) for f, (low, high) in zip(scale, padding, strict=True)],
        scale,
        [f * d for f, d in zip(scale, dilation, strict=True)],
        lax.ConvDimensionNumbers(lhs, rhs, lhs),
    )


def _last(x: jax.Array) -> jax.Array:
    """`(N, C, *size)` with the channels last."""
    return jnp.moveaxis(x, 1, -1)


def _taps_first(weight: jax.Array) -> jax.Array:
    """`(C_out, C_in, *kernel)` as `(*kernel, C_in, C_out)`."""
    return jnp.moveaxis(weight, (1, 0), (-2, -1))


def _channels_first(weight: jax.Array) -> jax.Array:
    """`(C_in, *kernel, C_out)` as torch has it."""
    return jnp.moveaxis(weight, (-1, 0), (0, 1))


# -- the gradient of the weight, piece by piece ------------------------------------------------------------------------

# A strip of rows has so many numbers of an output's gradient at most, if that makes no more strips than these.
STRIP, STRIPS = 2**19, 32


def piecewise(p: Problem, x: jax.Array, y: jax.Array) -> jax.Array:
    """The sum over examples and strips of their rows: each reads so little that it stays in the caches from tap to tap.

    There are `STRIPS` of them at most, or one for each example.
    """
    x, y, dtype = wide(x), wide(y), y.dtype
    strips = min(-(-p.places * p.channels[1] // STRIP), max(STRIPS // p.batch, 1))
    height = -(-p.out[0] // strips)
    in_strips = height < p.out[0]
    if in_strips:
        x = padded(x, [p.padding[0], *[(0, 0)] * (len(p.size) - 1)], jnp.zeros((), x.dtype))
        p = replace(p, size=x.shape[2:], padding=((0, 0), *p.padding[1:]))
    reach = (p.kernel[0] - 1) * p.dilation[0] + 1
    parts = []
    for i, first in itertools.product(range(p.batch), range(0, p.out[0], height)):
        rows = y[i : i + 1, :, first : first + height]
        seen = x[i : i + 1]
        if in_strips:
            begin = first * p.stride[0]
            seen = seen[:, :, begin : begin + (rows.shape[2] - 1) * p.stride[0] + reach]
        parts.append(direct_of_weight(replace(p, batch=1, size=seen.shape[2:]), seen, rows))
    return reduce(jnp.add, parts).astype(dtype)


# -- the convolution in the other direction, in which input and output change places ----------------------------------


def flipped(p: Problem, y: jax.Array, weight: jax.Array) -> jax.Array:
    """The convolution of `y`, zeros between where there is a stride, with the flipped kernel."""
    return output(p.turned(), _spread(p, y), transposed_kernel(weight, p.groups))


def kn2row(p: Problem, x: jax.Array, weight: jax.Array) -> jax.Array:
    """One product that gives what each tap makes of the input, and the sum of that where it lies (Anderson, 2017)."""
    return columns_of_input(p.turned(), x, transposed_kernel(weight, p.groups))


def flipped_of_weight(p: Problem, x: jax.Array, y: jax.Array) -> jax.Array:
    """The gradient of the flipped kernel, of a convolution in which `y` is the input and `x` the output's gradient."""
    return transposed_kernel(gradient_of_weight(p.turned(), _spread(p, y), x), p.groups)


def _spread(p: Problem, y: jax.Array) -> jax.Array:
    """The output's gradient, with zeros between its numbers where there is a stride."""
    if not p.is_strided:
        return y
    return lax.pad(y, jnp.zeros((), y.dtype), [(0, 0, 0), (0, 0, 0), *((0, 0, s - 1) for s in p.stride)])


def phases(p: Problem, y: jax.Array, weight: jax.Array) -> jax.Array:
    """With a stride: the inputs that are a stride apart are a convolution of `y` with the taps that are over them (Shi
    et al., 2016); one for each phase, which are interleaved."""
    kernel = transposed_kernel(weight, p.groups)
    counts = [-(-n // s) for n, s in zip(p.size, p.stride, strict=True)]
    settings = list(zip(counts, p.stride, p.dilation, p.kernel, p.padding, p.out, strict=True))
    found = []
    for phase in itertools.product(*map(range, p.stride)):
        found_taps = [_taps_over(r, *setting) for r, setting in zip(phase, settings, strict=True)]
        if not all(found_taps):
            found.append(jnp.zeros((len(y), p.channels[0], *counts), y.dtype))
            continue
        chosen, pairs, dilation = zip(*found_taps, strict=True)
        part = kernel[(slice(None), slice(None), *chosen)]
        problem = Problem.of(y, part, (1,) * len(phase), pairs, dilation, p.groups, p.on_gpu)
        found.append(output(problem, y, part))
    return interleaved(found, p.stride, p.size)


def _taps_over(r: int, count: int, s: int, d: int, k: int, padding: Pair, out: int) -> tuple[slice, Pair, int] | None:
    """Which taps of the flipped kernel are over the inputs `q * s + r`, how they pad the outputs, and their dilation.

    Such an input is under tap `j` of output `q + (r + low - j * d) / s`; the flipped kernel has it at `k - 1 - j`.
    """
    step, low = s // math.gcd(s, d), padding[0]
    first = next((j for j in range(min(step, k)) if (r + low - j * d) % s == 0), None)
    if first is None:
        return None
    dilation = d * step // s
    reach = (len(range(first, k, step)) - 1) * dilation
    begin = (r + low - first * d) // s - reach
    return slice((k - 1 - first) % step, None, step), (-begin, begin + reach + count - out), dilation


def transposed_kernel(weight: jax.Array, groups: int) -> jax.Array:
    """`(A, B / groups, *kernel)` as the kernel of the convolution in the other direction, `(B, A / groups, *kernel)`.

    Inputs and outputs change places within each group, and the kernel is flipped.
    """
    a, b, *kernel = weight.shape
    grouped = weight.reshape(groups, a // groups, b, *kernel)
    swapped = jnp.swapaxes(grouped, 1, 2).reshape(groups * b, a // groups, *kernel)
    return jnp.flip(swapped, tuple(range(2, weight.ndim)))


# -- which form is taken ----------------------------------------------------------------------------------------------

# Where the second array and the result have the groups.
OF_WEIGHT_OF_GROUPS: Any = {"compute": gradient_of_weight, "second": 1, "result": 0}

OUTPUT = (
    Form("product", product, can=lambda p: p.is_pointwise, pays_on_gpu=when.is_one_product),
    Form("sums", sums, can=when.has_few_terms, pays=when.pays_sums),
    Form(
        "sums in turn",
        sums_in_turn,
        can=lambda p: p.is_depthwise and p.taps // p.kernel[0] <= MAX_TERMS,
        pays=lambda p: not when.is_in_large_patches(p),
    ),
    Form("kn2row", kn2row, can=when.can_kn2row, pays=when.pays_kn2row),
    Form("columns", columns, can=when.can_columns, pays=when.pays_columns),
    Form("planes", partial(by_planes, output=output), can=lambda p: p.has_depth),
    Form("split", partial(by_groups, compute=output), can=lambda p: 1 < p.groups <= when.MAX_SPLIT),
    Form("split in turn", partial(by_groups_in_turn, compute=output), can=lambda p: p.groups > 1),
    Form(
        "taps",
        taps,
        can=lambda p: p.taps <= when.MAX_TAPS,
        pays=lambda p: False,
        pays_on_gpu=when.is_small_plane,
    ),
    Form("winograd", winograd, can=when.can_winograd, pays=when.pays_winograd),
    Form("spread", partial(direct, holes=2), can=when.can_spread, pays=when.pays_spread),
    Form("direct", direct, pays_on_gpu=lambda p: True),
)

OF_INPUT = (
    Form("product", product_of_input, can=lambda p: p.is_pointwise, pays_on_gpu=when.is_one_product),
    Form("columns", columns_of_input, can=when.can_columns, pays=when.pays_columns_of_input),
    Form(
        "planes",
        partial(by_planes_of_input, gradient_of_input=gradient_of_input),
        can=lambda p: p.has_depth,
        pays=when.pays_planes_of_input,
    ),
    Form("phases", phases, can=lambda p: math.prod(p.stride) <= when.MAX_TAPS, pays=lambda p: p.is_strided),
    Form(
        "split",
        partial(by_groups, compute=gradient_of_input),
        can=lambda p: 1 < p.groups <= when.MAX_SPLIT,
        pays=lambda p: p.is_strided,
    ),
    Form(
        "split in turn",
        partial(by_groups_in_turn, compute=gradient_of_input),
        can=lambda p: p.groups > 1,
        pays=lambda p: p.is_strided,
    ),
    Form("flipped", flipped, pays=lambda p: not p.is_strided, pays_on_gpu=when.is_small_plane),
    Form("direct", direct_of_input, pays_on_gpu=lambda p: True),
)

OF_WEIGHT = (
    Form("product", product_of_weight, can=lambda p: p.is_pointwise, pays_on_gpu=when.is_one_product),
    Form("flipped", flipped_of_weight, can=when.has_fewer_outputs, pays=when.pays_flipped_of_weight),
    Form("columns", columns_of_weight, can=when.can_columns, pays=when.pays_columns_of_weight),
    Form(
        "sums",
        sums_of_weight,
        can=lambda p: p.groups > 1 and p.fan_in * p.taps // p.kernel[0] <= MAX_TERMS,
        pays=when.pays_sums_of_weight,
    ),
    Form("planes", partial(by_planes_of_weight, gradient_of_weight=gradient_of_weight), can=lambda p: p.has_depth),
    Form(
        "split",
        partial(by_groups, **OF_WEIGHT_OF_GROUPS),
        can=lambda p: 1 < p.groups <= when.MAX_SPLIT,
        pays=when.pays_split_of_weight,
    ),
    Form(
        "split in turn",
        partial(by_groups_in_turn, **OF_WEIGHT_OF_GROUPS),
        can=lambda p: p.groups > 1,
        pays=when.pays_split_of_weight,
    ),
    Form("winograd", winograd_of_weight, can=when.can_winograd, pays=partial(when.pays_winograd, places=1)),
    Form(
        "taps",
        taps_of_weight,
        can=lambda p: p.taps <= when.MAX_TAPS,
        pays=when.pays_taps_of_weight,
        pays_on_gpu=when.is_plane_by_plane,
    ),
    Form("piecewise", piecewise, can=lambda p: p.groups == 1 and p.batch <= MAX_TERMS, pays=when.pays_piecewise),
    Form("spread", partial(direct_of_weight, holes=2), can=when.can_spread, pays=when.pays_spread_of_weight),
    Form("direct", direct_of_weight, pays_on_gpu=lambda p: True),
)

NAMES = tuple(dict.fromkeys(form.name for table in (OUTPUT, OF_INPUT, OF_WEIGHT) for form in table))
