"""Resizing, sampling, padding, bags."""

import importlib

import jax.numpy as jnp

from jaxnets import functional
from jaxnets.functional import sparse, upsampling, vision
from parity import Case, integers, normal, rounded
from planted import UNWEIGHTED, plant

# The package gives the function of that name, not its module.
dropout = importlib.import_module("jaxnets.functional.dropout")


@plant([Case("Upsample", (29,), inputs=(normal(2, 3, 10),))], UNWEIGHTED)
def nearest_takes_the_middle(patch):
    """The element nearest to the middle of an output, as most libraries do it, is torch's "nearest-exact"."""
    true = upsampling._nearest
    patch.setattr(upsampling, "_nearest", lambda x, axes, exact: true(x, axes, True))


@plant(
    [Case("Upsample", kwargs={"scale_factor": 1.37, "mode": "linear"}, inputs=(normal(2, 3, 11),))],
    UNWEIGHTED,
)
def the_factor_is_always_recomputed(patch):
    true = upsampling._sizes

    def wrong(*arguments):
        sizes, factors = true(*arguments)
        return sizes, (None,) * len(factors)

    patch.setattr(upsampling, "_sizes", wrong)


@plant(
    [Case("Upsample", kwargs={"size": (9, 4), "mode": "bicubic"}, inputs=(normal(2, 3, 7, 5),))],
    UNWEIGHTED,
)
def the_other_cubic(patch):
    """a = -0.5, which Pillow and jax.image take, in place of -0.75."""
    true = upsampling.keys
    patch.setattr(upsampling, "keys", lambda distance, a: true(distance, -0.5))


@plant(
    [Case("functional.grid_sample", ("bilinear", "border", True), inputs=(normal(1, 2, 4, 5), rounded(1, 6, 7, 2)))],
    {"input gradient"},
)
def a_clipped_point_keeps_half_its_gradient(patch):
    """jnp.clip gives a point right at the border half of the gradient, torch none."""
    true = vision._Axis.brought_inside

    def wrong(self, position):
        if self.padding_mode != "border":
            return true(self, position)
        return jnp.minimum(jnp.maximum(position, 0), self.size - 1)

    patch.setattr(vision._Axis, "brought_inside", wrong)


@plant(
    [Case("functional.grid_sample", ("bilinear", "zeros", False), inputs=(normal(1, 2, 4, 5), normal(1, 3, 4, 2)))],
    {"forward", "input gradient"},
)
def points_by_row_and_column(patch):
    """A point is (x, y), not (y, x)."""
    true = vision.grid_sample
    patch.setattr(functional, "grid_sample", lambda input, grid, *rest: true(input, grid[..., ::-1], *rest))


@plant(
    [Case("EmbeddingBag", (6, 5), {"padding_idx": 2}, inputs=(integers(4, 7, high=6),))],
    {"forward", "parameter gradient"},
)
def mean_counts_the_padding(patch):
    true = sparse.embedding_bag

    def wrong(input, weight, *rest, padding_idx=None, **named):
        total = true(input, weight, *rest, **{**named, "mode": "sum"}, padding_idx=padding_idx)
        return total / input.shape[1]

    patch.setattr(functional, "embedding_bag", wrong)
