"""Pooling."""

import jax.numpy as jnp

from jaxnets import functional
from jaxnets.functional import pooling
from jaxnets.lowering import fold as fold_lowering
from jaxnets.lowering import pooling as pooling_lowering
from parity import Case, integers, normal, rounded, uniform
from planted import plant


@plant([Case("MaxPool2d", (3, 2), inputs=(rounded(2, 3, 7, 9),))], {"input gradient"})
def last_maximum_wins(patch):
    """The numbers are the same, the gradient goes to another element."""

    def wrong(taps, x, y):
        number = jnp.zeros(y.shape, jnp.uint8)
        for i, tap in enumerate(taps.each()):
            under = taps.under(x, jnp.nan, tap)
            number = jnp.where(under == y, jnp.uint8(i), number)
        return number

    patch.setattr(pooling_lowering._Taps, "of_maximum", wrong)


@plant([Case("AvgPool2d", (3, 2, 1), inputs=(normal(2, 3, 7, 9),))], {"forward", "input gradient"})
def padding_not_counted(patch):
    true = pooling._counts
    patch.setattr(pooling, "_counts", lambda w, sizes, include_pad: true(w, sizes, not include_pad))


@plant([Case("AdaptiveMaxPool2d", (4,), inputs=(normal(2, 3, 9, 7),))], {"forward", "input gradient"})
def adaptive_windows_of_one_size(patch):
    """Windows of `H // n` elements, a step of as much: right only where n divides H."""

    def wrong(size, windows):
        number = pooling_lowering.np.arange(windows)
        return number * (size // windows), (number + 1) * (size // windows)

    patch.setattr(pooling_lowering, "adaptive_bounds", wrong)


@plant([Case("AdaptiveMaxPool2d", (4,), inputs=(rounded(2, 3, 9, 7),))], {"input gradient"})
def adaptive_last_maximum_wins(patch):
    """The numbers are the same, the gradient goes to another element."""
    true = pooling_lowering._first_maximum

    def wrong(x, index, axis):
        end = index.max()
        best, last = true(x, end - index, axis)
        return best, end - last

    patch.setattr(pooling_lowering, "_first_maximum", wrong)


@plant(
    [Case("FractionalMaxPool2d", (2, (4, 3), None, False, uniform(2, 3, 2)), inputs=(normal(2, 3, 13, 7),))],
    {"forward", "input gradient"},
)
def fractional_samples_of_rows_first(patch):
    """The first sample of a plane is that of W; documents of the paper, and others' code, read H first."""
    from jaxnets.functional import fractional_pooling

    true = fractional_pooling._samples
    patch.setattr(fractional_pooling, "_samples", lambda *arguments: jnp.flip(true(*arguments), -1))


@plant(["pooling/LPPool2d(2, 4*ceil_mode=True*"], {"forward", "input gradient"})
def cut_windows_are_not_scaled(patch):
    """The plain sum of powers, where torch takes the mean times the size of a whole window."""
    true = pooling._avg_pool

    def wrong(n, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
        elements = pooling.math.prod(pooling.check.ntuple("kernel_size", kernel_size, n))
        return true(n, input, kernel_size, stride, padding, ceil_mode, count_include_pad, elements)

    patch.setattr(pooling, "_avg_pool", wrong)


@plant([Case("LPPool2d", (1, 2), inputs=(rounded(2, 3, 9, 7),))], {"input gradient"})
def a_sum_of_zero_has_a_slope(patch):
    """`sum ** (1 / p)` as it stands: torch's sign(x) * relu(|x|) has no derivative at 0."""

    def wrong(n, input, norm_type, kernel_size, stride, ceil_mode):
        mean = pooling._avg_pool(n, input**norm_type, kernel_size, stride, 0, ceil_mode, True, None)
        return (mean * kernel_size**n) ** (1 / norm_type)

    patch.setattr(pooling, "_lp_pool", wrong)


@plant([Case("MaxUnpool2d", (2,), inputs=(normal(2, 3, 4, 5), integers(2, 3, 4, 5, high=7)))], {"forward"})
def unpooled_numbers_add_up(patch):
    """Where indices meet, as those of overlapping windows do, one number stays and is no sum."""
    patch.setattr(pooling_lowering, "with_derivative_of", lambda source, value: source)


@plant(["fold/Unfold((2, 3), (2, 1)*"], {"forward", "input gradient"})
def unfolded_channels_last(patch):
    """Columns ordered by position, then channel, as in TensorFlow's patches."""
    true = fold_lowering.unfold

    def wrong(x, kernel, *settings):
        y = true(x, kernel, *settings)
        return jnp.moveaxis(y, -5, -3).reshape(y.shape)

    patch.setattr(fold_lowering, "unfold", wrong)


@plant(["pixelshuffle/PixelShuffle(2)*"], {"forward", "input gradient"})
def depth_to_space(patch):
    """TensorFlow's order of channels: those of a square's pixels lie C apart."""
    true = functional.pixel_shuffle

    def wrong(input, upscale_factor):
        n, c = input.ndim - 3, input.shape[-3] // upscale_factor**2
        x = input.reshape(*input.shape[:n], upscale_factor**2, c, *input.shape[-2:])
        return true(jnp.swapaxes(x, n, n + 1).reshape(input.shape), upscale_factor)

    patch.setattr(functional, "pixel_shuffle", wrong)


@plant(["channelshuffle/ChannelShuffle(2)*"], {"forward", "input gradient"})
def shuffled_into_groups(patch):
    """The inverse order: `groups` taken for the number of channels in a group."""
    true = functional.channel_shuffle
    patch.setattr(functional, "channel_shuffle", lambda input, groups: true(input, input.shape[1] // groups))
