"""Losses of pairs and triplets: `torch.nn.MarginRankingLoss`, `TripletMarginLoss` and the like."""

from collections.abc import Callable

import jax

from jaxnets import check
from jaxnets import functional as F
from jaxnets.functional.ranking import positive_margin
from jaxnets.functional.reduction import legacy_reduction
from jaxnets.nn.distance import PairwiseDistance
from jaxnets.nn.parameters import Layer

__all__ = [
    "CosineEmbeddingLoss",
    "HingeEmbeddingLoss",
    "MarginRankingLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class MarginRankingLoss(Layer):
    """Whether the right one of two numbers is the greater one, by a margin.

    `l = max(0, -target * (input1 - input2) + margin)`

    Args:
        margin: by how much.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Shape:
        Numbers `(*)` and `(*)`, and targets `(*)`, 1 where the first should be greater and -1 where the second should,
        to `()`, or to the broadcast `(*)` without reduction.

    Raises:
        TypeError: booleans or complex numbers.
        ValueError: shapes do not broadcast, the number of axes differs, or an unknown reduction.

    Differences from torch: none.

    >>> x1, x2, target = jax.numpy.array([1.0]), jax.numpy.array([3.0]), jax.numpy.array([1.0])
    >>> MarginRankingLoss()(x1, x2, target).item()
    2.0

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MarginRankingLoss.html
    """

    def __init__(
        self, margin: float = 0.0, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ):
        self.margin = check.number("margin", margin)
        self.reduction = legacy_reduction(size_average, reduce, reduction)

    def __call__(self, input1: jax.Array, input2: jax.Array, target: jax.Array) -> jax.Array:
        return F.margin_ranking_loss(input1, input2, target, self.margin, reduction=self.reduction)


class HingeEmbeddingLoss(Layer):
    """Distances that should be small, or greater than a margin.

    `l = input` where `target` is 1, `max(0, margin - input)` where it is -1, the sum of both elsewhere

    Args:
        margin: the least distance where the target is -1.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Shape:
        Distances `(*)` and targets of 1 or -1, `(*)`, to `()`, or to the broadcast `(*)` without reduction.

    Raises:
        TypeError: booleans, complex numbers, or the mean of integers.
        ValueError: shapes do not broadcast, or an unknown reduction.

    Differences from torch: none.

    >>> loss = HingeEmbeddingLoss(reduction="none")
    >>> loss(jax.numpy.array([0.5, 0.25]), jax.numpy.array([1, -1])).tolist()
    [0.5, 0.75]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.HingeEmbeddingLoss.html
    """

    def __init__(
        self, margin: float = 1.0, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ):
        self.margin = check.number("margin", margin)
        self.reduction = legacy_reduction(size_average, reduce, reduction)

    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        return F.hinge_embedding_loss(input, target, self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(Layer):
    """Vectors whose angle should be small, or greater than a margin.

    `l = 1 - cos` where `target` is 1, `max(0, cos - margin)` where it is -1, 0 elsewhere, with
    `cos = x1 · x2 / sqrt((x1 · x1 + 1e-12) (x2 · x2 + 1e-12))`

    Args:
        margin: cosines up to this one cost nothing where the target is -1, from -1 to 1.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Shape:
        Vectors `(N, D)` and `(N, D)`, and targets of 1 or -1, `(N,)`, to `()`, or to `(N,)` without reduction. Without
        a batch no `N`.

    Raises:
        TypeError: complex numbers.
        ValueError: shapes do not fit, or an unknown reduction.

    Differences from torch: none.

    >>> x1, x2 = jax.numpy.array([[1.0, 0.0], [1.0, 0.0]]), jax.numpy.array([[0.0, 1.0], [2.0, 0.0]])
    >>> CosineEmbeddingLoss(0.5, reduction="none")(x1, x2, jax.numpy.array([1, -1])).tolist()
    [1.0, 0.5]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CosineEmbeddingLoss.html
    """

    def __init__(
        self, margin: float = 0.0, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ):
        self.margin = check.number("margin", margin)
        self.reduction = legacy_reduction(size_average, reduce, reduction)

    def __call__(self, input1: jax.Array, input2: jax.Array, target: jax.Array) -> jax.Array:
        return F.cosine_embedding_loss(input1, input2, target, self.margin, reduction=self.reduction)


class TripletMarginLoss(Layer):
    """Whether an anchor is nearer to its positive than to its negative example, by a margin.

    `l = max(0, margin + d(anchor, positive) - d(anchor, negative))` with `d(x, y) = ‖x - y + eps‖_p`

    Args:
        margin: by how much, more than 0.
        p: exponent of the norm.
        eps: added to each difference.
        swap: whether the distance between the two examples counts where it is less than that of the negative one.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Shape:
        `(*, D)`, `(*, D)` and `(*, D)` to `()`, or to `(*)` without reduction.

    Raises:
        TypeError: booleans.
        ValueError: shapes do not fit, `margin` is not positive, or an unknown reduction.

    Differences from torch: none.

    >>> x = jax.numpy.array([[0.0, 0.0]])
    >>> round(TripletMarginLoss()(x, x + 1, x - 1).item(), 4)
    1.0

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.TripletMarginLoss.html
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ):
        self.margin, self.p = positive_margin(margin), check.number("p", p)
        self.eps, self.swap = check.number("eps", eps), check.flag("swap", swap)
        self.reduction = legacy_reduction(size_average, reduce, reduction)

    def __call__(self, anchor: jax.Array, positive: jax.Array, negative: jax.Array) -> jax.Array:
        return F.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, reduction=self.reduction
        )


class TripletMarginWithDistanceLoss(Layer):
    """`TripletMarginLoss` with any distance.

    `l = max(0, margin + d(anchor, positive) - d(anchor, negative))`

    Args:
        distance_function: `d`, a function of two arrays or a module; `PairwiseDistance()` when not given.
        margin: by how much, more than 0.
        swap: whether the distance between the two examples counts where it is less than that of the negative one.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Shape:
        `(*, D)`, `(*, D)` and `(*, D)` to `()`, or to the distances' shape without reduction.

    Raises:
        TypeError: `distance_function` is no function.
        ValueError: shapes do not fit, `margin` is not positive, or an unknown reduction.

    Differences from torch: none.

    >>> x = jax.numpy.array([[0.0, 0.0]])
    >>> loss = TripletMarginWithDistanceLoss(distance_function=lambda a, b: abs(a - b).sum(-1))
    >>> loss(x, x + 1, x).item()
    3.0

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.TripletMarginWithDistanceLoss.html
    """

    def __init__(
        self,
        *,
        distance_function: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ):
        if distance_function is not None and not callable(distance_function):
            raise TypeError(f"distance_function: expected a function of two arrays, got {distance_function!r}")
        self.distance_function = PairwiseDistance() if distance_function is None else distance_function
        self.margin, self.swap = positive_margin(margin), check.truth("swap", swap)
        self.reduction = legacy_reduction(None, None, reduction)

    def __call__(self, anchor: jax.Array, positive: jax.Array, negative: jax.Array) -> jax.Array:
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )
