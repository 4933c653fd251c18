"""When a form of a convolution can compute it, and when it pays: the conditions in the tables of `conv_forms`.

Thresholds are where the times of `python -m benchmarks.forms --drawn` cross, on a CPU with two cores.
"""

import math

import jax

from jaxnets.lowering.conv_problem import Pair, Problem
from jaxnets.lowering.conv_sums import MAX_TERMS
from jaxnets.lowering.pieces import MAX_WRITTEN

# Each tap is an operation in the compiled program, and each group several: bounds for its size and for the time of
# compilation.
MAX_TAPS, MAX_SPLIT = 64, 8
# So few bytes under the taps of a group, of all examples, are not worth the step of a loop.
SMALL_GROUP = 2**16
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

# -- what several of them ask ------------------------------------------------------------------------------------------


def has_few_terms(p: Problem) -> bool:
    return p.groups > 1 and p.fan_in * p.taps <= MAX_TERMS


def has_few_inputs(p: Problem) -> bool:
    """Whether what lies under the taps is no larger than the output."""
    return p.fan_in * p.taps <= p.fan_out


def has_fewer_outputs(p: Problem) -> bool:
    """Whether the other direction has more, so that what is taken there cannot lead back here."""
    return not p.is_strided and p.fan_out < p.fan_in


def has_few_places(p: Problem) -> bool:
    """Whether what lies under the taps is no larger than the weight, which other forms turn around."""
    return p.groups == 1 and p.batch * p.places <= p.fan_out


def is_short(p: Problem) -> bool:
    """Whether an output is a sum of few terms, and what lies under the taps not far larger than the output."""
    return p.groups == 1 and p.fan_in * p.taps <= min(SHORT_SUM, 5 * p.fan_out)


def is_stem(p: Problem) -> bool:
    """Whether a large kernel sees the colours of an image, too few channels for the vectors of other forms.

    Of many examples it is written in pieces; of a few, more of it takes longer than all else.
    """
    if p.groups > 1 or p.fan_in > 3 or not SHORT_SUM < p.fan_in * p.taps <= STEM:
        return False
    if p.fan_out < 48:
        return p.fan_out > VECTOR and (is_written_soon(p) or is_in_pieces(p))
    is_small = is_written_soon(p, MAX_WRITTEN * p.fan_out // 48) and p.batch * p.places >= 12_000
    return is_small or is_in_pieces(p)


def has_small_groups(p: Problem) -> bool:
    """Whether a group is so small that the step of a loop would take as long."""
    return p.groups > MAX_SPLIT and not p.has_depth and is_written_soon(p, p.groups * SMALL_GROUP)


def is_in_large_patches(p: Problem) -> bool:
    return p.is_in_patches and p.taps > VECTOR and (p.groups == 1 or p.fan_in == 1)


def overlaps_little(p: Problem) -> bool:
    """Whether steps are so long that little lies under several taps."""
    return p.is_strided and 4 * p.taps <= 9 * math.prod(p.stride) and is_in_pieces(p)


def is_written_soon(p: Problem, most: int = MAX_WRITTEN) -> bool:
    """Whether what lies under the taps stays in the caches."""
    return p.batch * p.written <= most


def is_in_pieces(p: Problem) -> bool:
    """Whether what lies under the taps is written in so many pieces that this is better than whole."""
    return not is_written_soon(p, 3 * MAX_WRITTEN) and p.written <= MAX_WRITTEN


def is_ynnpacks(p: Problem, channels: Pair) -> bool:
    """Whether XLA leaves a dense convolution to YNNPACK, which takes no input with holes, and need not.

    Its own code (Eigen's) is a plain loop in float64, and faster in others. `channels` are those that it sees.
    """
    is_within = all(o <= n and k <= n for o, k, n in zip(p.out, p.kernel, p.size, strict=True))
    return p.dtype.itemsize <= 4 and max(channels) > VECTOR and is_within


# -- groups ------------------------------------------------------------------------------------------------------------


def pays_sums(p: Problem) -> bool:
    return p.fan_in < (4 if p.is_strided else 8) and p.fan_out <= 64


def pays_sums_of_weight(p: Problem) -> bool:
    return p.fan_in <= (1 if p.is_strided else 4) and p.fan_out <= VECTOR


def pays_split_of_weight(p: Problem) -> bool:
    return p.fan_in > 4 or p.taps > MAX_TAPS


# -- what lies under the taps, in one matrix ---------------------------------------------------------------------------


def can_columns(p: Problem) -> bool:
    return p.taps <= MAX_TAPS or p.is_in_patches


def pays_columns(p: Problem) -> bool:
    if p.groups > 1 or p.has_depth:
        return is_in_large_patches(p) or has_few_inputs(p) or has_small_groups(p)
    if p.is_in_patches:
        is_far = p.places <= VECTOR or not is_written_soon(p)
    else:
        is_far = max(p.stride) > 2 and p.channels[1] > VECTOR and is_written_soon(p)
    is_small = is_short(p) and p.places <= 4096
    return is_far or is_small or has_few_inputs(p) or has_few_places(p) or is_stem(p) or overlaps_little(p)


def pays_columns_of_input(p: Problem) -> bool:
    if p.groups > 1 or p.has_depth:
        is_small = p.is_strided and p.fan_out >= 8 and has_small_groups(p)
        return (p.is_in_patches and p.is_strided) or has_few_inputs(p) or is_small
    if p.is_strided:
        is_small = p.fan_out >= 96 and is_written_soon(p, MAX_WRITTEN // 4)
        is_small = is_small or (has_few_inputs(p) and p.fan_in < 8)
        return is_small or p.is_in_patches or has_few_places(p) or overlaps_little(p)
    # lines that fill no vector
    is_narrow = p.out[-1] < VECTOR and p.taps <= VECTOR and p.fan_out > 2 * VECTOR and is_written_soon(p)
    return is_narrow or has_few_places(p) or has_few_inputs(p) or is_short(p)


def pays_columns_of_weight(p: Problem) -> bool:
    if p.has_depth or p.groups > 1:
        is_soon = p.batch < 8 and pays_split_of_weight(p) and not p.has_depth and is_written_soon(p)
        return is_in_large_patches(p) or has_few_inputs(p) or is_soon
    is_small = has_few_inputs(p) and not pays_taps_of_weight(p)
    # XLA's own code fills its vectors with examples
    has_few = p.batch < 8 if p.is_strided else p.batch < 4 and p.channels[1] >= 64
    is_soon = (has_few and is_written_soon(p)) or overlaps_little(p)
    return has_few_places(p) or is_small or p.is_in_patches or is_soon


def can_kn2row(p: Problem) -> bool:
    return not p.is_strided and p.taps <= MAX_TERMS and not p.has_depth


def pays_kn2row(p: Problem) -> bool:
    """Whether the outputs fill few vectors, and what is written for the taps is no larger than the input, or small.

    Of long sums there may be more outputs.
    """
    written, read = p.fan_out * p.taps, p.fan_in
    each = p.turned().written
    size = p.batch * each
    if p.fan_in * p.taps >= LONG_SUM and p.fan_out <= NARROW and 2 * size <= MAX_WRITTEN:
        return True
    is_one = p.batch == 1 and p.places >= 512
    most = 2 * VECTOR if p.fan_out < p.fan_in else VECTOR // (1 if is_one else p.groups)
    if p.fan_out <= most and (written <= read or (written <= 9 * read and size <= MAX_WRITTEN)):
        return True
    # in pieces
    share = 9 if size > 4 * MAX_WRITTEN else 4.5
    return size > MAX_WRITTEN >= 2 * each and p.fan_out <= 3 * VECTOR and written <= share * read


def pays_taps_of_weight(p: Problem) -> bool:
    if p.groups > 1:
        return True
    is_long = p.batch < 8 and p.batch * p.places >= LONG_SUM // 2
    return p.taps <= 9 and is_long and p.channels[1] >= 8 * p.channels[0]


# -- in the other direction --------------------------------------------------------------------------------------------


def pays_planes_of_input(p: Problem) -> bool:
    """Whether the other direction is no sum of few terms, and has not far fewer inputs."""
    return 2 * p.fan_out > p.fan_in and not has_few_terms(p.turned())


def pays_flipped_of_weight(p: Problem) -> bool:
    """Whether there are fewer outputs, as in the last layer of a generator or a detector, and that is worth a turn."""
    most = VECTOR if p.batch < 8 or p.batch * p.places >= 16 * LONG_SUM else VECTOR // 2
    size = p.fan_in * p.fan_out * p.taps
    is_large = size >= LARGE_WEIGHT or (5 * size >= LARGE_WEIGHT and p.batch * p.places >= 4 * LONG_SUM)
    is_worth = p.channels[1] <= NARROW and (is_large or p.is_wider) and not p.has_depth
    return p.groups == 1 and (is_worth or p.channels[1] <= min(most, p.channels[0] // 2))


# -- as XLA has it -----------------------------------------------------------------------------------------------------


def can_spread(p: Problem) -> bool:
    return len(p.kernel) == 2 and p.groups == 1


def pays_spread(p: Problem) -> bool:
    products = p.batch * p.places * p.taps * p.channels[0] * p.channels[1]
    return is_ynnpacks(p, p.channels) and min(p.channels) > 3 and products >= 2e7


def pays_spread_of_weight(p: Problem) -> bool:
    is_long = p.batch * p.places >= LONG_SUM
    if p.batch < 8:  # XLA's own code has the examples side by side, and fewer do not fill its vectors
        pays = is_long and p.batch > 1 and p.is_strided
    else:
        pays = is_long or p.channels[1] >= 32
    return pays and is_ynnpacks(p.bare(), (p.batch, p.channels[1]))


def pays_piecewise(p: Problem) -> bool:
    is_large = p.batch * p.places * p.channels[1] > (LARGE if p.batch > 1 else 8 * LARGE)
    return is_large and p.batch < 8 and not p.is_strided and is_ynnpacks(p, (p.batch, p.channels[1]))


# -- fewer products ----------------------------------------------------------------------------------------------------


def can_winograd(p: Problem) -> bool:
    return p.groups == 1 and p.kernel == (3, 3) and set(p.stride) == set(p.dilation) == {1}


def pays_winograd(p: Problem, places: float = 0) -> bool:
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


# -- on a GPU ----------------------------------------------------------------------------------------------------------


def is_one_product(p: Problem) -> bool:
    """Whether a kernel of one tap needs nothing but a product."""
    return p.groups == 1 and not any(map(any, p.padding))


def is_plane_by_plane(p: Problem) -> bool:
    """Where cuDNN is slow: a group is one channel."""
    return p.is_depthwise and p.fan_out == 1 and len(p.kernel) <= 2


def is_small_plane(p: Problem) -> bool:
    return is_plane_by_plane(p) and p.taps <= 25
