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

from jaxnets.lowering.choice import Form, choose
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
from jaxnets.lowering.pieces import MAX_WRITTEN
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
    return _transpose(lambda x: plain(_bare(p), p.padded(x), weight), x, y)


def _bare(p: Problem) -> Problem:
    """The same of an input that has its padding."""
    size = tuple(n + sum(pair) for n, pair in zip(p.size, p.padding, strict=True))
    return replace(p, size=size, padding=((0, 0),) * len(size))


def _is_wider(p: Problem) -> bool:
    """Whether padding makes an axis longer: the gradient of the weight is a plain loop then as XLA has it."""
    return any(o > n for o, n in zip(p.out, p.size, strict=True))


def direct_of_weight(p: Problem, x: jax.Array, y: jax.Array, holes: int = 1) -> jax.Array:
    """The convolution of the input with the output's gradient, in which examples and channels change places."""
    if p.on_gpu or p.groups > 1:
        weight = jax.ShapeDtypeStruct((p.channels[1], p.fan_in, *p.kernel), y.dtype)
        return _transpose(lambda weight: plain(p, x, weight), weight, y)
    if _is_wider(p):
        x, p = p.padded(x), _bare(p)
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


# -- each group by itself ---------------------------------------------------------------------------------------------


def split(p: Problem, x: jax.Array, weight: jax.Array) -> jax.Array:
    pairs = zip(jnp.split(x, p.groups, 1), jnp.split(weight, p.groups, 0), strict=True)
    return jnp.concatenate([output(p.group(), a, b) for a, b in pairs], 1)


def split_of_input(p: Problem, y: jax.Array, weight: jax.Array) -> jax.Array:
    pairs = zip(jnp.split(y, p.groups, 1), jnp.split(weight, p.groups, 0), strict=True)
    return jnp.concatenate([gradient_of_input(p.group(), a, b) for a, b in pairs], 1)


def split_of_weight(p: Problem, x: jax.Array, y: jax.Array) -> jax.Array:
    pairs = zip(jnp.split(x, p.groups, 1), jnp.split(y, p.groups, 1), strict=True)
    return jnp.concatenate([gradient_of_weight(p.group(), a, b) for a, b in pairs], 0)


# -- three spatial axes as two ----------------------------------------------------------------------------------------


def planes(p: Problem, x: jax.Array, weight: jax.Array) -> jax.Array:
    return by_planes(p, x, weight, output)


def planes_of_input(p: Problem, y: jax.Array, weight: jax.Array) -> jax.Array:
    return by_planes_of_input(p, y, weight, gradient_of_input)


def planes_of_weight(p: Problem, x: jax.Array, y: jax.Array) -> jax.Array:
    return by_planes_of_weight(p, x, y, gradient_of_weight)


# -- the gradient of the weight, piece by piece ------------------------------------------------------------------------


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
    return output(_turned(p), _spread(p, y), transposed_kernel(weight, p.groups))


def kn2row(p: Problem, x: jax.Array, weight: jax.Array) -> jax.Array:
    """One product that gives what each tap makes of the input, and the sum of that where it lies (Anderson, 2017)."""
    return columns_of_input(_turned(p), x, transposed_kernel(weight, p.groups))


def flipped_of_weight(p: Problem, x: jax.Array, y: jax.Array) -> jax.Array:
    """The gradient of the flipped kernel, of a convolution in which `y` is the input and `x` the output's gradient."""
    return transposed_kernel(gradient_of_weight(_turned(p), _spread(p, y), x), p.groups)


def _turned(p: Problem) -> Problem:
    """The convolution from the outputs, spread by the stride, to the inputs."""
    size = tuple(max((o - 1) * s + 1, 0) for o, s in zip(p.out, p.stride, strict=True))
    reach = [d * (k - 1) for d, k in zip(p.dilation, p.kernel, strict=True)]
    # behind, what the convolution did not reach
    pairs = tuple((r - low, n + low - o) for r, (low, _), n, o in zip(reach, p.padding, p.size, size, strict=True))
    return replace(p, channels=p.channels[::-1], size=size, stride=(1,) * len(size), padding=pairs)


def _spread(p: Problem, y: jax.Array) -> jax.Array:
    """The output's gradient, with zeros between its numbers where there is a stride."""
    if not p.is_strided:
        return y
    return lax.pad(y, jnp.zeros((), y.dtype), [(0, 0, 0), (0, 0, 0), *((0, 0, s - 1) for s in p.stride)])


def phases(p: Problem, y: jax.Array, weight: jax.Array) -> jax.Array:
    """With a stride: the inputs that are a stride apart are a convolution of `y` with the taps that are (Shi et al.,
    2016); one for each phase, which are interleaved."""
    kernel = transposed_kernel(weight, p.groups)
    counts = [-(-n // s) for n, s in zip(p.size, p.stride, strict=True)]
    found = []
    for phase in itertools.product(*map(range, p.stride)):
        pairs, chosen = [], []
        for r, n, s, k, (low, _), o in zip(phase, counts, p.stride, p.kernel, p.padding, y.shape[2:], strict=True):
            # input `q * s + r` is under tap `j` of output `q + (r + low - j) / s`; the flipped kernel has it at `k-1-j`
            first = (r + low) % s
            several = len(range(first, k, s))
            if not several:
                break
            begin = (r + low - first) // s - (several - 1)
            pairs.append((-begin, begin + several - 1 + n - o))
            chosen.append(slice((k - 1 - first) % s, None, s))
        if len(chosen) < len(phase):  # no tap is over these
            found.append(jnp.zeros((len(y), p.channels[0], *counts), y.dtype))
            continue
        part = kernel[(slice(None), slice(None), *chosen)]
        ones = (1,) * len(phase)
        found.append(output(Problem.of(y, part, ones, pairs, ones, p.groups, p.on_gpu), y, part))
    return interleaved(found, p.stride, p.size)


def transposed_kernel(weight: jax.Array, groups: int) -> jax.Array:
    """`(A, B / groups, *kernel)` as the kernel of the convolution in the other direction, `(B, A / groups, *kernel)`.

    Inputs and outputs change places within each group, and the kernel is flipped.
    """
    a, b, *kernel = weight.shape
    grouped = weight.reshape(groups, a // groups, b, *kernel)
    swapped = jnp.swapaxes(grouped, 1, 2).reshape(groups * b, a // groups, *kernel)
    return jnp.flip(swapped, tuple(range(2, weight.ndim)))


# -- which form is taken ----------------------------------------------------------------------------------------------

# Each tap and each group is an operation in the compiled program: bounds for its size and its compilation's time.
MAX_TAPS, MAX_SPLIT = 64, 64
# A sum of so few terms is better computed as a product of matrices.
SHORT_SUM = 32
# And one of up to so many, where the input has few channels.
STEM = 160
# So many bytes of transformed inputs and outputs, beside which fewer products would be worth little.
MAX_TRANSFORMED = 2**29
# With so many channels or fewer YNNPACK is slow, or not asked at all.
VECTOR = 16
# So few outputs are better taken for the inputs, if the weight has so many numbers.
NARROW, LARGE_WEIGHT = 128, 10**5
# The sum over all places of all examples, of which a weight's gradient is one, from which on YNNPACK is slow. And that
# of so many inputs and taps is worth to be told in another order where there are few outputs.
LONG_SUM = 2048
# And so many numbers of an output's gradient, together, leave the caches between one tap and the next.
LARGE = 2**19
# Of which a strip of rows has so many at most, if that makes no more strips than these.
STRIP, STRIPS = 2**19, 32


def _few_terms(p: Problem) -> bool:
    return p.groups > 1 and p.fan_in * p.taps <= MAX_TERMS


def _has_no_other_form(p: Problem) -> bool:
    """Whether XLA's plain loop is what is left of the other forms for groups."""
    return p.groups > MAX_SPLIT and p.taps > MAX_TAPS


def _pays_sums(p: Problem) -> bool:
    is_small = p.fan_in < (4 if p.is_strided else 8) and p.fan_out <= 64
    return is_small or _has_no_other_form(p)


def _pays_sums_of_weight(p: Problem) -> bool:
    is_small = p.fan_in <= (1 if p.is_strided else 4) and p.fan_out <= VECTOR
    return is_small or _has_no_other_form(p)


def _is_depthwise(p: Problem) -> bool:
    return p.groups > 1 and p.fan_in == 1


def _is_plane_by_plane(p: Problem) -> bool:
    """Where cuDNN is slow: a group is one channel."""
    return _is_depthwise(p) and p.fan_out == 1 and len(p.kernel) <= 2


def _is_small_plane(p: Problem) -> bool:
    return _is_plane_by_plane(p) and p.taps <= 25


def _is_one_product(p: Problem) -> bool:
    """Whether a kernel of one tap needs nothing but a product."""
    return p.groups == 1 and not any(map(any, p.padding))


def _has_depth(p: Problem) -> bool:
    return len(p.kernel) == 3


def _can_spread(p: Problem) -> bool:
    return len(p.kernel) == 2 and p.groups == 1


def _is_ynnpacks(p: Problem, channels: Pair) -> bool:
    """Whether XLA leaves a dense convolution to YNNPACK, which takes no input with holes, and need not.

    Its own code (Eigen's) is a plain loop in float64, and faster in others. `channels` are those that it sees.
    """
    is_within = all(o <= n and k <= n for o, k, n in zip(p.out, p.kernel, p.size, strict=True))
    return p.dtype.itemsize <= 4 and max(channels) > VECTOR and is_within


def _pays_spread(p: Problem) -> bool:
    products = p.batch * p.places * p.taps * p.channels[0] * p.channels[1]
    return _is_ynnpacks(p, p.channels) and min(p.channels) > 3 and products >= 2e7


def _pays_spread_of_weight(p: Problem) -> bool:
    is_long = p.batch * p.places >= LONG_SUM
    if p.batch < 8:  # XLA's own code has the examples side by side, and fewer do not fill its vectors
        pays = is_long and p.batch > 1 and p.is_strided
    else:
        pays = is_long or p.channels[1] >= 32
    return pays and _is_ynnpacks(_bare(p), (p.batch, p.channels[1]))


def _pays_piecewise(p: Problem) -> bool:
    is_large = p.batch * p.places * p.channels[1] > (LARGE if p.batch > 1 else 8 * LARGE)
    return is_large and p.batch < 8 and not p.is_strided and _is_ynnpacks(p, (p.batch, p.channels[1]))


def _pays_taps_of_weight(p: Problem) -> bool:
    if p.groups > 1:
        return True
    is_long = p.batch < 8 and p.batch * p.places >= LONG_SUM // 2
    return p.taps <= 9 and is_long and p.channels[1] >= 8 * p.channels[0]


def _can_columns(p: Problem) -> bool:
    return p.taps <= MAX_TAPS or p.is_in_patches


def _has_few_inputs(p: Problem) -> bool:
    """Whether what lies under the taps is no larger than the output."""
    return p.fan_in * p.taps <= p.fan_out


def _has_fewer_outputs(p: Problem) -> bool:
    """Whether the other direction has more, so that what is taken there cannot lead back here."""
    return not p.is_strided and p.fan_out < p.fan_in


def _can_kn2row(p: Problem) -> bool:
    return not p.is_strided and p.taps <= MAX_TERMS and not _has_depth(p)


def _pays_kn2row(p: Problem) -> bool:
    """Whether the outputs fill few vectors, and what is written for the taps is no larger than the input, or small.

    Of long sums there may be more outputs.
    """
    written, read = p.fan_out * p.taps, p.fan_in
    each = _turned(p).written
    size = p.batch * each
    if p.fan_in * p.taps >= LONG_SUM and p.fan_out <= NARROW and 2 * size <= MAX_WRITTEN:
        return True
    most = 2 * VECTOR if p.fan_out < p.fan_in else VECTOR // p.groups
    if p.fan_out <= most and (written <= read or (written <= 9 * read and size <= MAX_WRITTEN)):
        return True
    # in pieces
    share = 9 if size > 4 * MAX_WRITTEN else 4.5
    return size > MAX_WRITTEN >= 2 * each and p.fan_out <= 3 * VECTOR and written <= share * read


def _pays_flipped_of_weight(p: Problem) -> bool:
    """Whether there are fewer outputs, as in the last layer of a generator or a detector, and that is worth a turn."""
    most = VECTOR if p.batch < 8 or p.batch * p.places >= 16 * LONG_SUM else VECTOR // 2
    size = p.fan_in * p.fan_out * p.taps
    is_large = size >= LARGE_WEIGHT or (5 * size >= LARGE_WEIGHT and p.batch * p.places >= 4 * LONG_SUM)
    is_worth = p.channels[1] <= NARROW and (is_large or _is_wider(p)) and not _has_depth(p)
    return p.groups == 1 and (is_worth or p.channels[1] <= min(most, p.channels[0] // 2))


def _has_few_places(p: Problem) -> bool:
    """Whether what lies under the taps is no larger than the weight, which other forms turn around."""
    return p.groups == 1 and p.batch * p.places <= p.fan_out


def _is_short(p: Problem) -> bool:
    """Whether an output is a sum of few terms, and what lies under the taps not far larger than the output."""
    return p.groups == 1 and p.fan_in * p.taps <= min(SHORT_SUM, 5 * p.fan_out)


def _is_stem(p: Problem) -> bool:
    """Whether a large kernel sees the colours of an image, too few channels for the vectors of other forms.

    Of many examples it is written in pieces; of a few, more of it takes longer than all else.
    """
    if p.groups > 1 or p.fan_in > 3 or not SHORT_SUM < p.fan_in * p.taps <= STEM:
        return False
    if p.fan_out < 48:
        return p.fan_out > VECTOR and (_is_written_soon(p) or _is_in_pieces(p))
    is_small = _is_written_soon(p, MAX_WRITTEN * p.fan_out // 48) and p.batch * p.places >= 12_000
    return is_small or _is_in_pieces(p)


def _pays_columns(p: Problem) -> bool:
    if p.groups > 1 or _has_depth(p):
        return _is_in_large_patches(p) or _has_few_inputs(p)
    if p.is_in_patches:
        is_far = p.places <= VECTOR or not _is_written_soon(p)
    else:
        is_far = max(p.stride) > 2 and p.channels[1] > VECTOR and _is_written_soon(p)
    is_short = _is_short(p) and p.places <= 4096
    return is_far or is_short or _has_few_inputs(p) or _has_few_places(p) or _is_stem(p) or _overlaps_little(p)


def _is_in_pieces(p: Problem) -> bool:
    """Whether what lies under the taps is written in so many pieces that this is better than whole."""
    return not _is_written_soon(p, 3 * MAX_WRITTEN) and p.written <= MAX_WRITTEN


def _overlaps_little(p: Problem) -> bool:
    """Whether steps are so long that little lies under several taps."""
    return p.is_strided and 4 * p.taps <= 9 * math.prod(p.stride) and _is_in_pieces(p)


def _is_in_large_patches(p: Problem) -> bool:
    return p.is_in_patches and p.taps > VECTOR and (p.groups == 1 or p.fan_in == 1)


def _pays_columns_of_input(p: Problem) -> bool:
    if p.groups > 1 or _has_depth(p):
        return (p.is_in_patches and p.is_strided) or _has_few_inputs(p)
    if p.is_strided:
        is_small = p.fan_out >= 96 and _is_written_soon(p, MAX_WRITTEN // 4)
        is_small = is_small or (_has_few_inputs(p) and p.fan_in < 8)
        return is_small or p.is_in_patches or _has_few_places(p) or _overlaps_little(p)
    # lines that fill no vector
    is_narrow = p.out[-1] < VECTOR and p.taps <= VECTOR and p.fan_out > 2 * VECTOR and _is_written_soon(p)
    return is_narrow or _has_few_places(p) or _has_few_inputs(p) or _is_short(p)


def _is_written_soon(p: Problem, most: int = MAX_WRITTEN) -> bool:
    """Whether what lies under the taps stays in the caches."""
    return p.batch * p.written <= most


def _pays_planes_of_input(p: Problem) -> bool:
    """Whether the other direction is no sum of few terms, and has not far fewer inputs."""
    return 2 * p.fan_out > p.fan_in and not _few_terms(_turned(p))


def _pays_columns_of_weight(p: Problem) -> bool:
    if p.groups > 1 or _has_depth(p):
        return _is_in_large_patches(p) or _has_few_inputs(p)
    is_small = _has_few_inputs(p) and not _pays_taps_of_weight(p)
    # XLA's own code fills its vectors with examples
    has_few = p.batch < 8 if p.is_strided else p.batch < 4 and p.channels[1] >= 64
    is_soon = (has_few and _is_written_soon(p)) or _overlaps_little(p)
    return _has_few_places(p) or is_small or p.is_in_patches or is_soon


def _can_winograd(p: Problem) -> bool:
    return p.groups == 1 and p.kernel == (3, 3) and set(p.stride) == set(p.dilation) == {1}


def _pays_winograd(p: Problem, places: float = 0) -> bool:
    """Whether the products that it saves take longer than its transformations, and may be saved.

    `places` are the least, in terms of the channels; fewer are transformed in less time than the weight.
    """
    precision = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    if precision not in (None, "default") or p.dtype.itemsize > 4:
        return False
    count = p.batch * p.places
    is_large = min(p.channels) >= 192 and count * p.taps * p.channels[0] * p.channels[1] >= 9e8
    # what is transformed is four times as large
    return is_large and count >= places * max(p.channels) and 4 * 4 * count * sum(p.channels) <= MAX_TRANSFORMED


def _always(p: Problem) -> bool:
    return True


OUTPUT = (
    Form("product", product, can=lambda p: p.is_pointwise, pays_on_gpu=_is_one_product),
    Form("sums", sums, can=_few_terms, pays=_pays_sums),
    Form(
        "sums in turn",
        sums_in_turn,
        can=lambda p: _is_depthwise(p) and p.taps // p.kernel[0] <= MAX_TERMS,
        pays=lambda p: not _is_in_large_patches(p),
    ),
    Form("kn2row", kn2row, can=_can_kn2row, pays=_pays_kn2row),
    Form("columns", columns, can=_can_columns, pays=_pays_columns),
    Form("planes", planes, can=_has_depth),
    Form("split", split, can=lambda p: 1 < p.groups <= MAX_SPLIT),
    Form("taps", taps, can=lambda p: p.taps <= MAX_TAPS, pays=lambda p: p.groups > 1, pays_on_gpu=_is_small_plane),
    Form("winograd", winograd, can=_can_winograd, pays=_pays_winograd),
    Form("spread", partial(direct, holes=2), can=_can_spread, pays=_pays_spread),
    Form("direct", direct, pays_on_gpu=_always),
)

OF_INPUT = (
    Form("product", product_of_input, can=lambda p: p.is_pointwise, pays_on_gpu=_is_one_product),
    Form("columns", columns_of_input, can=_can_columns, pays=_pays_columns_of_input),
    Form("planes", planes_of_input, can=_has_depth, pays=_pays_planes_of_input),
    Form(
        "phases",
        phases,
        can=lambda p: set(p.dilation) == {1} and math.prod(p.stride) <= MAX_TAPS,
        pays=lambda p: p.is_strided,
    ),
    Form("split", split_of_input, can=lambda p: 1 < p.groups <= MAX_SPLIT, pays=lambda p: p.is_strided),
    Form("flipped", flipped, pays=lambda p: p.groups > 1 or not p.is_strided, pays_on_gpu=_is_small_plane),
    Form("direct", direct_of_input, pays_on_gpu=_always),
)

OF_WEIGHT = (
    Form("product", product_of_weight, can=lambda p: p.is_pointwise, pays_on_gpu=_is_one_product),
    Form("flipped", flipped_of_weight, can=_has_fewer_outputs, pays=_pays_flipped_of_weight),
    Form("columns", columns_of_weight, can=_can_columns, pays=_pays_columns_of_weight),
    Form(
        "sums",
        sums_of_weight,
        can=lambda p: p.groups > 1 and p.fan_in * p.taps // p.kernel[0] <= MAX_TERMS,
        pays=_pays_sums_of_weight,
    ),
    Form("planes", planes_of_weight, can=_has_depth),
    Form(
        "split",
        split_of_weight,
        can=lambda p: 1 < p.groups <= MAX_SPLIT,
        pays=lambda p: p.fan_in > 4 or p.taps > MAX_TAPS,
    ),
    Form("winograd", winograd_of_weight, can=_can_winograd, pays=partial(_pays_winograd, places=1)),
    Form(
        "taps",
        taps_of_weight,
        can=lambda p: p.taps <= MAX_TAPS,
        pays=_pays_taps_of_weight,
        pays_on_gpu=_is_plane_by_plane,
    ),
    Form("piecewise", piecewise, can=lambda p: p.groups == 1 and p.batch <= MAX_TERMS, pays=_pays_piecewise),
    Form("spread", partial(direct_of_weight, holes=2), can=_can_spread, pays=_pays_spread_of_weight),
    Form("direct", direct_of_weight, pays_on_gpu=_always),
)

NAMES = tuple(dict.fromkeys(form.name for table in (OUTPUT, OF_INPUT, OF_WEIGHT) for form in table))
