"""Connectionist temporal classification: `torch.nn.CTCLoss`."""

from collections.abc import Sequence

import jax

from jaxnets import check
from jaxnets import functional as F
from jaxnets.functional.reduction import legacy_reduction
from jaxnets.nn.parameters import Layer

__all__ = ["CTCLoss"]


class CTCLoss(Layer):
    """Negative log likelihood of a label sequence whose alignment with the input is not known.

    `l = -log(sum of prod over t of exp(log_probs[t, path[t]]))` over all paths that give the targets when repeated
    labels are merged and then blanks removed

    Args:
        blank: the label that stands for none.
        reduction: "none" for `l`, "sum" for its sum, "mean" for the mean of `l / max(target_lengths, 1)`.
        zero_infinity: whether samples that have no path, whose loss is inf, count as 0, without a derivative.

    Shape:
        Log probabilities `(T, N, C)`, labels `(N, S)` or all target sequences one after the other on one axis, input
        lengths `(N,)` and target lengths `(N,)` to `()`, or to `(N,)` without reduction. Without a batch no `N`.

    Raises:
        TypeError: dtypes do not fit.
        ValueError: shapes do not fit, a length or a label out of range, an unknown reduction.

    Differences from torch: see `jaxnets.functional.ctc_loss`.

    >>> x = jax.numpy.log(jax.numpy.array([[0.5, 0.5], [0.25, 0.75]]))
    >>> loss = CTCLoss()(x, jax.numpy.array([1]), (2,), (1,))
    >>> round(jax.numpy.exp(-loss).item(), 4)
    0.875

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CTCLoss.html
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False):
        self.blank, self.reduction = check.integer("blank", blank), legacy_reduction(None, None, reduction)
        self.zero_infinity = check.flag("zero_infinity", zero_infinity)

    def __call__(
        self,
        log_probs: jax.Array,
        targets: jax.Array,
        input_lengths: jax.Array | Sequence[int],
        target_lengths: jax.Array | Sequence[int],
    ) -> jax.Array:
        return F.ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity
        )
