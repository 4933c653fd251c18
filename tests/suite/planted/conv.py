"""Convolutions."""

import jax
import jax.numpy as jnp

from jaxnets import functional
from jaxnets.functional import conv as conv_functions
from jaxnets.lowering import conv as conv_lowering
from jaxnets.lowering import conv_forms
from jaxnets.nn import conv as conv_layers
from planted import FORWARD, plant


@plant(["conv/Conv2d(4, 6, 3)*"], FORWARD)
def transposed_kernel(patch):
    """Height and width of the kernel change places."""
    true = conv_lowering.conv

    def wrong(x, weight, *settings):
        return true(x, jnp.swapaxes(weight, -1, -2), *settings)

    patch.setattr(conv_lowering, "conv", wrong)


@plant(["conv/ConvTranspose2d*"], FORWARD)
def unflipped_transposed_kernel(patch):
    true = conv_lowering.conv_transpose
    patch.setattr(
        conv_lowering,
        "conv_transpose",
        lambda x, weight, *settings: true(x, jnp.flip(weight, tuple(range(2, weight.ndim))), *settings),
    )


@plant(["conv/ConvTranspose2d*groups=2*"], FORWARD)
def transposed_groups_mixed_up(patch):
    """The plain reshape of the kernel, which is right only without groups or with depthwise ones."""
    true = conv_lowering.conv_transpose

    def wrong(x, weight, *settings):
        groups = settings[-1]
        c_in, c_out, *kernel = weight.shape
        swapped = jnp.swapaxes(weight, 0, 1).reshape(groups * c_out, c_in // groups, *kernel)
        mixed = conv_forms.transposed_kernel(jnp.flip(swapped, tuple(range(2, weight.ndim))), groups)
        return true(x, mixed, *settings)

    patch.setattr(conv_lowering, "conv_transpose", wrong)


@plant(["conv/ConvTranspose2d*output_padding=(*"], FORWARD)
def output_padding_in_front(patch):
    true = conv_lowering.conv_transpose

    def wrong(x, weight, stride, padding, output_padding, dilation, groups):
        output = true(x, weight, stride, padding, output_padding, dilation, groups)
        return jnp.roll(output, output_padding, tuple(range(2, x.ndim)))

    patch.setattr(conv_lowering, "conv_transpose", wrong)


@plant(["conv/Conv1d(4, 6, 4, padding='same', padding_mode='circular')*"], FORWARD)
def same_padding_wrong_half(patch):
    """An odd total of padding puts its greater half in front."""
    true = conv_functions.padding_pairs

    def wrong(*arguments):
        return [(right, left) for left, right in true(*arguments)]

    patch.setattr(conv_functions, "padding_pairs", wrong)
    patch.setattr(conv_layers, "padding_pairs", wrong)


@plant(["conv/Conv2d*padding_mode='reflect')*"], FORWARD)
def reflection_repeats_the_border(patch):
    true = functional.pad
    patch.setattr(
        functional,
        "pad",
        lambda input, pad, mode="constant": true(input, pad, {"reflect": "replicate"}.get(mode, mode)),
    )


@plant(["conv/Conv2d(4, 6, 3)*"], {"parameter gradient"})
def weight_without_gradient(patch):
    true = conv_lowering.conv

    def wrong(x, weight, *settings):
        return true(x, jax.lax.stop_gradient(weight), *settings)

    patch.setattr(conv_lowering, "conv", wrong)
