"""Losses of classes with a margin: `torch.nn.MultiMarginLoss`, `MultiLabelMarginLoss` and the like."""

import jax

from jaxnets import check
from jaxnets import functional as F
from jaxnets.functional.margin import class_weight, power
from jaxnets.functional.reduction import legacy_reduction
from jaxnets.nn.loss import loss_weight
from jaxnets.nn.parameters import Layer, value

__all__ = ["MultiLabelMarginLoss", "MultiLabelSoftMarginLoss", "MultiMarginLoss", "SoftMarginLoss"]


class SoftMarginLoss(Layer):
    """Logistic loss of two classes.

    `l = log(1 + exp(-target * input))`

    Args:
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Shape:
        Scores `(*)` and targets of 1 or -1, `(*)`, to `()`, or to `(*)` without reduction.

    Raises:
        TypeError: the input is not floating.
        ValueError: shapes do not fit, or an unknown reduction.

    Differences from torch: none. As in torch the exponential may overflow: the loss is then inf, its derivative NaN.

    >>> round(SoftMarginLoss()(jax.numpy.array([0.0]), jax.numpy.array([1.0])).item(), 4)
    0.6931

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.SoftMarginLoss.html
    """

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"):
        self.reduction = legacy_reduction(size_average, reduce, reduction)

    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(Layer):
    """Logistic loss of several labels, averaged over the labels.

    `l = -mean over c of weight[c] * (target[c] * log(sigmoid(input[c])) + (1 - target[c]) * log(sigmoid(-input[c])))`

    Args:
        weight: broadcasts with `(*, C)`.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Attributes:
        weight: a `Buffer`, or None.

    Shape:
        Logits `(*, C)` and targets of 0 or 1, `(*, C)`, to `()`, or to `(*)` without reduction.

    Raises:
        TypeError: the input is not floating, the target is boolean.
        ValueError: shapes do not broadcast, or an unknown reduction.

    Differences from torch: none.

    >>> x, target = jax.numpy.array([[0.0, 0.0]]), jax.numpy.array([[1.0, 0.0]])
    >>> round(MultiLabelSoftMarginLoss()(x, target).item(), 4)
    0.6931

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiLabelSoftMarginLoss.html
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
        return F.multilabel_soft_margin_loss(input, target, value(self.weight), reduction=self.reduction)


class MultiMarginLoss(Layer):
    """Whether the score of the right class is the greatest, by a margin.

    `l = sum over c except t of weight[t] * max(0, margin - input[t] + input[c])^p / C` for the class `t = target`

    Args:
        p: 1 or 2.
        margin: by how much.
        weight: `(C,)`.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Attributes:
        weight: a `Buffer`, or None.

    Shape:
        Scores `(N, C)` and classes `(N,)`, or `(C,)` and `()`, to `()`, or to the shape of the classes without
        reduction.

    Raises:
        TypeError: dtypes do not fit.
        ValueError: shapes do not fit, another `p`, a class out of range, or an unknown reduction.

    Differences from torch: classes may be int32, scores half precision; there is a second derivative. Traced classes
    (under `jax.jit`) cannot be refused; those out of range give NaN.

    >>> MultiMarginLoss()(jax.numpy.array([[0.0, 1.0, 0.5, -2.0]]), jax.numpy.array([0])).item()
    0.875

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiMarginLoss.html
    """

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: jax.Array | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ):
        self.p, self.margin = power(p), check.number("margin", margin)
        weight = None if weight is None else class_weight(check.array("weight", weight))
        self.weight = loss_weight("weight", weight)
        self.reduction = legacy_reduction(size_average, reduce, reduction)

    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        return F.multi_margin_loss(input, target, self.p, self.margin, value(self.weight), reduction=self.reduction)


class MultiLabelMarginLoss(Layer):
    """Whether the scores of the right classes are greater than all others, by 1.

    `l = sum over t of sum over c of max(0, 1 - input[t] + input[c]) / C` for the classes `t` in the target before the
    first -1, and all `c` that are not among them

    Args:
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Shape:
        Scores `(N, C)` or `(C,)` and classes of the same shape, ended by -1, to `()`, or to `(N,)` without reduction.

    Raises:
        TypeError: dtypes do not fit.
        ValueError: shapes do not fit, a class out of range, or an unknown reduction.

    Differences from torch: classes may be int32, scores half precision. Traced classes (under `jax.jit`) cannot be
    refused; a sample with one out of range gives NaN.

    >>> x = jax.numpy.array([[0.1, 0.2, 0.4, 0.8]])
    >>> round(MultiLabelMarginLoss()(x, jax.numpy.array([[3, 0, -1, 1]])).item(), 4)
    0.85

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiLabelMarginLoss.html
    """

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"):
        self.reduction = legacy_reduction(size_average, reduce, reduction)

    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)
