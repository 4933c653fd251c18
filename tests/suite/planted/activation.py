"""Activations and dropout."""

import importlib

import jax
import jax.numpy as jnp

from jaxnets import functional
from jaxnets.functional import rectifier
from parity import Case, normal
from planted import plant

# The package gives the function of that name, not its module.
dropout = importlib.import_module("jaxnets.functional.dropout")


@plant(["activation/GELU()*"], {"forward", "input gradient"})
def gelu_approximated_by_default(patch):
    """`jax.nn.gelu`'s default."""
    patch.setattr(functional, "gelu", lambda input, approximate="none": jax.nn.gelu(input, approximate=True))


@plant([Case("Softplus", (2.0, 1.0), inputs=(normal(40),))], {"forward", "input gradient"})
def softplus_threshold_forgets_beta(patch):
    """`x > threshold` in place of `beta * x > threshold`."""
    true = functional.softplus
    patch.setattr(functional, "softplus", lambda input, beta, threshold: true(input, beta, threshold * beta))


@plant([Case("CELU", (0.3,), inputs=(normal(40),))], {"forward", "input gradient"})
def celu_is_elu(patch):
    patch.setattr(functional, "celu", lambda input, alpha: functional.elu(input, alpha))


@plant(["rectifier/Hardswish()[rounded*"], {"input gradient"})
def hardswish_half_a_gradient_at_the_kinks(patch):
    """The numbers are the same; `jax.nn.relu6`'s gradient at -3 and 3 is another."""
    patch.setattr(functional, "hardswish", lambda input: input * jnp.minimum(jnp.maximum(input + 3, 0), 6) / 6)


@plant([Case("PReLU", (5,), inputs=(normal(3, 5, 5),))], {"forward", "input gradient", "parameter gradient"})
def prelu_slopes_on_the_last_axis(patch):
    """The habit of channels last."""
    true = rectifier.prelu

    def wrong(input, weight):
        return jnp.swapaxes(true(jnp.swapaxes(input, 1, -1), weight), 1, -1)

    patch.setattr(functional, "prelu", wrong)


@plant(["rectifier/RReLU(0.2, 0.9)*"], {"draws"})
def one_random_slope_for_all(patch):
    """Every mean and variance is right; that neighbours share a slope is not."""
    true = jax.random.uniform

    def wrong(key, shape, dtype, minval, maxval):
        return jnp.broadcast_to(true(key, (), dtype, minval, maxval), shape)

    patch.setattr(jax.random, "uniform", wrong)


@plant(["dropout/AlphaDropout(0.2)*"], {"draws"})
def alpha_dropout_shifts_by_the_kept_share(patch):
    """`alpha * (1 - p)` in place of `alpha * p`."""
    true = dropout._alpha_dropout

    def wrong(input, shape, p, training, key):
        if not training:
            return true(input, shape, p, training, key)
        a = (1 + p * dropout.ALPHA**2) ** -0.5 * (1 - p) ** -0.5
        return true(input, shape, p, training, key) + dropout.ALPHA * a * (1 - 2 * p)

    patch.setattr(dropout, "_alpha_dropout", wrong)


@plant(["softmax/Softmax2d()[normal(2*"], {"forward", "input gradient"})
def softmax2d_over_the_last_axis(patch):
    true = functional.softmax
    patch.setattr(functional, "softmax", lambda input, dim, **named: true(input, -1, **named))
