"""Normalisation by batches."""

import jax.numpy as jnp

from jaxnets import functional
from jaxnets.functional import batchnorm
from jaxnets.nn import batchnorm as batchnorm_layers
from parity import Case, normal
from planted import FORWARD, plant


@plant(["batchnorm/BatchNorm2d*"], {"buffers"})
def biased_running_variance(patch):
    true = batchnorm.batch_norm_with_statistics

    def wrong(input, weight=None, bias=None, eps=1e-5):
        output, mean, var = true(input, weight, bias, eps)
        count = input.size // input.shape[1]
        return output, mean, var * (count - 1) / count

    patch.setattr(functional, "batch_norm_with_statistics", wrong)


@plant(["batchnorm/BatchNorm2d*"], {"buffers"})
def momentum_swapped(patch):
    """`momentum * running + (1 - momentum) * batch`, the habit of other frameworks."""
    true = batchnorm_layers._BatchNorm._track

    def wrong(self, mean, var, empty):
        momentum = self.momentum
        self.momentum = momentum if momentum is None else 1 - momentum
        true(self, mean, var, empty)
        self.momentum = momentum

    patch.setattr(batchnorm_layers._BatchNorm, "_track", wrong)


@plant(["batchnorm/BatchNorm2d*"], {"buffers"})
def batches_not_counted(patch):
    true = batchnorm_layers._BatchNorm._track

    def wrong(self, mean, var, empty):
        true(self, mean, var, empty)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked[...] -= 1

    patch.setattr(batchnorm_layers._BatchNorm, "_track", wrong)


@plant(["batchnorm/BatchNorm1d*affine=True*"], FORWARD)
def evaluation_by_batch_statistics(patch):
    true = batchnorm.batch_norm

    def wrong(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
        return true(input, running_mean, running_var, weight, bias, True, momentum, eps)

    patch.setattr(functional, "batch_norm", wrong)


@plant(
    [Case("BatchNorm2d", (3,), inputs=(normal(4, 3, 5, 6, mean=300.0),))],
    {"forward", "buffers", "input gradient", "parameter gradient"},
)
def fast_variance(patch):
    """E[x²] - E[x]², which loses everything at a mean far from 0."""

    def wrong(input, weight=None, bias=None, eps=1e-5):
        axes = (0, *range(2, input.ndim))
        count = input.size // input.shape[1]
        mean = input.mean(axes)
        var = jnp.maximum(jnp.square(input).mean(axes) - jnp.square(mean), 0)
        output = batchnorm._scaled(input - batchnorm.per_channel(mean, input), var, weight, bias, eps)
        return output, mean, var * count / (count - 1)

    patch.setattr(functional, "batch_norm_with_statistics", wrong)
