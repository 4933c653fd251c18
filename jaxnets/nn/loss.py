"""Losses of classes and of probabilities: `torch.nn.NLLLoss`, `CrossEntropyLoss`, `BCELoss`, `BCEWithLogitsLoss`."""

import warnings

import jax

from jaxnets import check
from jaxnets import functional as F
from jaxnets.functional.reduction import legacy_reduction
from jaxnets.nn.parameters import Buffer, Family, Layer, value

__all__ = ["BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "NLLLoss", "NLLLoss2d"]


def loss_weight(name: str, weight: jax.Array | None) -> Buffer | None:
    """A weight that a loss holds: in torch a buffer."""
    return None if weight is None else Buffer(check.array(name, weight))


class BCELoss(Layer):
    """Negative log likelihood of probabilities.

    `l = -weight * (target * log(input) + (1 - target) * log(1 - input))`, logarithms not below -100

    Args:
        weight: broadcasts to the shape of the input.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Attributes:
        weight: a `Buffer`, or None.

    Shape:
        `(*)` and `(*)` to `()`, or to `(*)` without reduction.

    Raises:
        TypeError: dtypes that differ or are not floating.
        ValueError: shapes do not fit, an unknown reduction, numbers outside of [0, 1].

    Differences from torch: traced numbers (under `jax.jit`) cannot be refused.

    >>> round(BCELoss()(jax.numpy.array([0.5]), jax.numpy.array([1.0])).item(), 4)
    0.6931

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.BCELoss.html
    """

    def __init__(
        self,
        weight: jax.Array | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ):
        self.weight = loss_weight("weight", weight)
        self.reduction = legacy_reduction(size_average, reduce, reduction)

    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        return F.binary_cross_entropy(input, target, value(self.weight), reduction=self.reduction)


class BCEWithLogitsLoss(Layer):
    """Negative log likelihood of the probabilities `sigmoid(input)`, exact where these would be rounded to 0 or 1.

    `l = -weight * (pos_weight * target * log(sigmoid(input)) + (1 - target) * log(1 - sigmoid(input)))`

    Args:
        weight: broadcasts to the shape of the input.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.
        pos_weight: broadcasts to the shape of the input: more than 1 for recall, less for precision.

    Attributes:
        weight: a `Buffer`, or None.
        pos_weight: a `Buffer`, or None.

    Shape:
        Logits `(*)` and probabilities `(*)` to `()`, or to `(*)` without reduction.

    Raises:
        TypeError: dtypes that are not floating.
        ValueError: shapes do not fit, or an unknown reduction.

    Differences from torch: none.

    >>> round(BCEWithLogitsLoss()(jax.numpy.array([0.0]), jax.numpy.array([1.0])).item(), 4)
    0.6931

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html
    """

    def __init__(
        self,
        weight: jax.Array | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: jax.Array | None = None,
    ):
        self.weight = loss_weight("weight", weight)
        self.pos_weight = loss_weight("pos_weight", pos_weight)
        self.reduction = legacy_reduction(size_average, reduce, reduction)

    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        return F.binary_cross_entropy_with_logits(
            input, target, value(self.weight), reduction=self.reduction, pos_weight=value(self.pos_weight)
        )


class NLLLoss(Family):
    """Negative log likelihood of classes.

    `l[n] = -weight[target[n]] * input[n, target[n]]`, 0 where `target[n] == ignore_index`

    Args:
        weight: `(C,)`.
        size_average: deprecated, see `reduction`.
        ignore_index: a class that does not count.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for the sum divided by the sum of the weights of the
            targets that count.

    Attributes:
        weight: a `Buffer`, or None.

    Shape:
        Log probabilities `(N, C, *)` or `(C,)` and classes `(N, *)` or `()` to `()`, or to the shape of the classes
        without reduction.

    Raises:
        TypeError: dtypes do not fit.
        ValueError: shapes do not fit, an unknown reduction, a class out of range.

    Differences from torch: classes may be int32. Traced classes (under `jax.jit`) cannot be refused; those out of
    range give NaN.

    >>> NLLLoss()(jax.numpy.array([[-1.0, -2.0]]), jax.numpy.array([1])).item()
    2.0

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html
    """

    def __init__(
        self,
        weight: jax.Array | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ):
        self.weight = loss_weight("weight", weight)
        self.ignore_index = check.integer("ignore_index", ignore_index)
        self.reduction = legacy_reduction(size_average, reduce, reduction)

    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        return F.nll_loss(input, target, value(self.weight), ignore_index=self.ignore_index, reduction=self.reduction)


class NLLLoss2d(NLLLoss):
    """The old name of `NLLLoss` for images.

    Args:
        weight: see `NLLLoss`.
        size_average: see `NLLLoss`.
        ignore_index: see `NLLLoss`.
        reduce: see `NLLLoss`.
        reduction: see `NLLLoss`.

    Shape:
        As `NLLLoss`.

    Raises:
        TypeError, ValueError: as `NLLLoss`.

    Differences from torch: as `NLLLoss`. It warns, as in torch.

    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", FutureWarning)
    ...     loss = NLLLoss2d(reduction="sum")
    >>> loss(jax.numpy.full((1, 2, 3, 3), -1.0), jax.numpy.zeros((1, 3, 3), int)).item()
    9.0

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html
    """

    def __init__(
        self,
        weight: jax.Array | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ):
        warnings.warn(
            "NLLLoss2d has been deprecated. Please use NLLLoss instead as a drop-in replacement.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__(weight, size_average, ignore_index, reduce, reduction)


class CrossEntropyLoss(Layer):
    """Cross entropy of a softmax and targets, which are classes or probabilities of classes.

    `l[n] = -sum over c of weight[c] * p[n, c] * log_softmax(input)[n, c]`, where `p` is
    `(1 - label_smoothing) * target + label_smoothing / C`, a class being 1 at that class and 0 elsewhere

    Args:
        weight: `(C,)`.
        size_average: deprecated, see `reduction`.
        ignore_index: a class that does not count; only for targets that are classes.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum. "mean" divides the sum by the sum of the weights of the
            classes that count; with probabilities by the number of them, N times the size of `*`.
        label_smoothing: in [0, 1].

    Attributes:
        weight: a `Buffer`, or None.

    Shape:
        Logits `(N, C, *)` or `(C,)` and classes `(N, *)` or `()`, or probabilities in the logits' shape, to `()`, or
        to `(N, *)` without reduction.

    Raises:
        TypeError: dtypes do not fit.
        ValueError: shapes do not fit, an unknown reduction, a class out of range, `ignore_index` with probabilities.

    Differences from torch: as `NLLLoss`.

    >>> score = jax.numpy.array([[1.0592, 1.4730], [-0.1558, -0.8712], [0.2548, 0.0817]])
    >>> round(CrossEntropyLoss()(score, jax.numpy.array([1, 0, 1])).item(), 4)
    0.563

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
    """

    def __init__(
        self,
        weight: jax.Array | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ):
        self.weight = loss_weight("weight", weight)
        self.ignore_index = check.integer("ignore_index", ignore_index)
        self.reduction = legacy_reduction(size_average, reduce, reduction)
        self.label_smoothing = check.probability("label_smoothing", label_smoothing)

    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        return F.cross_entropy(
            input,
            target,
            value(self.weight),
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )
