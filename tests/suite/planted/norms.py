"""Layers, instances, groups, distances: normalisations without a batch."""

import jax.numpy as jnp

from jaxnets import functional
from jaxnets.functional import distance, instancenorm, normalization
from parity import Case, normal
from planted import FORWARD, UNWEIGHTED, plant


@plant(["normalization/LayerNorm(5*"], FORWARD)
def layer_norm_by_the_unbiased_variance(patch):
    true = normalization.standardized

    def wrong(x, weight, bias, axes, eps):
        output, mean, var = true(x, weight, None, axes, eps)
        count = x.size // mean.size
        output = output * jnp.sqrt((var + eps) / (var * count / (count - 1) + eps))
        return output if bias is None else output + bias, mean, var

    patch.setattr(normalization, "standardized", wrong)


@plant(["normalization/RMSNorm((3, 5), 0.01)*"], FORWARD)
def rms_norm_eps_outside_the_root(patch):
    def wrong(input, normalized_shape, weight=None, eps=None):
        axes = tuple(range(-len(normalized_shape), 0))
        root = jnp.sqrt(jnp.square(input).mean(axes, keepdims=True)) + eps
        return input / root * weight.reshape((1,) * (input.ndim - weight.ndim) + weight.shape)

    patch.setattr(functional, "rms_norm", wrong)


@plant(["normalization/GroupNorm(2, 6, affine=False)*"], UNWEIGHTED)
def groups_of_every_other_channel(patch):
    """Channel c in group c % groups, as where the channels come last and are reshaped the other way."""
    true = functional.group_norm

    def wrong(input, num_groups, weight=None, bias=None, eps=1e-5):
        n, channels, *plane = input.shape
        x = input.reshape(n, channels // num_groups, num_groups, *plane)
        y = true(jnp.swapaxes(x, 1, 2).reshape(input.shape), num_groups, weight, bias, eps)
        return jnp.swapaxes(y.reshape(n, num_groups, channels // num_groups, *plane), 1, 2).reshape(input.shape)

    patch.setattr(functional, "group_norm", wrong)


@plant([Case("LocalResponseNorm", (4, 0.5), inputs=(normal(2, 7, 3),))], UNWEIGHTED)
def even_window_leans_to_the_other_side(patch):
    true = normalization._channel_windows
    patch.setattr(normalization, "_channel_windows", lambda x, before, behind: true(x, behind, before))


@plant(["instancenorm/InstanceNorm1d(3, affine=True, track_running_stats=True)*"], {"buffers"})
def instance_norm_keeps_the_biased_variance(patch):
    true = instancenorm.instance_norm_with_statistics

    def wrong(input, weight=None, bias=None, eps=1e-5):
        output, mean, var = true(input, weight, bias, eps)
        count = input[0, 0].size
        return output, mean, var * (count - 1) / count

    patch.setattr(functional, "instance_norm_with_statistics", wrong)


@plant(["instancenorm/InstanceNorm1d(3, affine=True, track_running_stats=True)*"], FORWARD)
def instance_norm_over_the_batch(patch):
    """In evaluation the input's statistics, as if nothing had been tracked."""
    true = instancenorm.instance_norm

    def wrong(input, *rest, use_input_stats=True, **named):
        return true(input, *rest, use_input_stats=True, **named)

    patch.setattr(functional, "instance_norm", wrong)


@plant(["distance/CosineSimilarity(1, 3.0)*"], UNWEIGHTED)
def cosine_bounds_the_product_of_the_norms(patch):
    """`x · y / max(‖x‖ ‖y‖, eps)`, the formula that is printed in torch's documentation."""

    def wrong(x1, x2, dim=1, eps=1e-8):
        norms = jnp.sqrt(jnp.square(x1).sum(dim) * jnp.square(x2).sum(dim))
        return (x1 * x2).sum(dim) / jnp.maximum(norms, eps)

    patch.setattr(functional, "cosine_similarity", wrong)


@plant(["distance/PairwiseDistance(2.0, 0.5)*"], UNWEIGHTED)
def distance_eps_behind_the_norm(patch):
    true = functional.pairwise_distance
    patch.setattr(functional, "pairwise_distance", lambda x1, x2, p, eps, keepdim: true(x1, x2, p, 0.0, keepdim) + eps)


@plant(["distance/functional.pdist(2.0)[rounded*"], {"input gradient"})
def rows_that_coincide_have_no_gradient(patch):
    """The square root's derivative at 0, times 0."""

    def wrong(x, p):
        return jnp.sqrt(jnp.square(x[:, None] - x[None]).sum(-1))

    patch.setattr(distance, "_distances", wrong)
