"""Losses."""

import jax.numpy as jnp

from jaxnets import functional
from jaxnets.functional import ctc, margin, ranking, regression
from parity import Case, integers, normal, rounded
from planted import UNWEIGHTED, plant


@plant([Case("HuberLoss", ("none", 0.5), inputs=(normal(4, 5), normal(4, 5)))], UNWEIGHTED)
def huber_as_smooth_l1(patch):
    """The linear part not scaled by delta: `SmoothL1Loss` under another name."""
    patch.setattr(
        functional,
        "huber_loss",
        lambda x, y, reduction, delta: functional.smooth_l1_loss(x, y, reduction=reduction, beta=delta),
    )


@plant([Case("HingeEmbeddingLoss", (0.5,), inputs=(rounded(40), integers(40, low=-1, high=2)))], {"input gradient"})
def hinge_half_a_gradient_at_the_margin(patch):
    patch.setattr(ranking, "at_least_zero", lambda x: jnp.maximum(x, 0))


@plant([Case("CTCLoss", inputs=(normal(6, 2, 4), integers(2, 3, low=1, high=4), (6, 5), (3, 2)))], {"input gradient"})
def ctc_gradient_of_the_path_sum_alone(patch):
    """The derivative of the formula, where torch's is that of the logits behind `log_probs`."""
    patch.setattr(ctc, "_loss", ctc._loss.fun)


@plant(
    [Case("CTCLoss", inputs=(normal(9, 2, 3), integers(2, 3, low=1, high=2), (9, 8), (3, 3)))],
    {"forward", "input gradient"},
)
def ctc_skips_the_blank_between_equal_labels(patch):
    true = ctc._Lattice.__init__

    def wrong(self, *args):
        true(self, *args)
        self.skip = (self.place % 2 == 1) & (self.place > 1) & jnp.ones_like(self.skip)

    patch.setattr(ctc._Lattice, "__init__", wrong)


@plant(
    [Case("GaussianNLLLoss", inputs=(normal(4, 5), normal(4, 5), normal(4, 5, mean=1e-9, std=0.0)))], {"input gradient"}
)
def gaussian_bound_stops_the_gradient(patch):
    """The variance's slope ends at eps, as that of a maximum does; torch's passes it."""
    patch.setattr(regression, "at_least", lambda x, bound: jnp.maximum(x, jnp.full((), bound, x.dtype)))


@plant(
    [Case("MultiLabelMarginLoss", inputs=(normal(6, 5), integers(6, 5, low=-1, high=5)))], {"forward", "input gradient"}
)
def labels_behind_the_first_end_count(patch):
    """-1 taken for padding to be left out, not for the end of the list."""
    true = margin._sums

    def wrong(x, classes):
        order = jnp.argsort(classes == -1, axis=1, stable=True)
        return true(x, jnp.take_along_axis(classes, order, 1))

    patch.setattr(margin, "_sums", wrong)
