"""Losses of numbers and of distributions: `torch.nn.MSELoss`, `L1Loss`, `KLDivLoss` and the like."""

import jax

from jaxnets import check
from jaxnets import functional as F
from jaxnets.functional.reduction import REDUCTIONS, legacy_reduction
from jaxnets.functional.regression import knee
from jaxnets.nn.parameters import Layer

__all__ = ["GaussianNLLLoss", "HuberLoss", "KLDivLoss", "L1Loss", "MSELoss", "PoissonNLLLoss", "SmoothL1Loss"]


class MSELoss(Layer):
    """Mean squared difference.

    `l = (input - target)²`

    Args:
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Shape:
        `(*)` and `(*)` to `()`, or to `(*)` without reduction.

    Raises:
        TypeError: neither array is floating.
        ValueError: shapes do not broadcast, or an unknown reduction.

    Differences from torch: none.

    >>> MSELoss()(jax.numpy.array([1.0, 2.0]), jax.numpy.array([1.0, 4.0])).item()
    2.0

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MSELoss.html
    """

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"):
        self.reduction = legacy_reduction(size_average, reduce, reduction)

    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(Layer):
    """Mean absolute difference.

    `l = |input - target|`; the derivative at 0 is 0.

    Args:
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Shape:
        `(*)` and `(*)` to `()`, or to the broadcast `(*)` without reduction.

    Raises:
        TypeError: booleans, or the mean of integers.
        ValueError: shapes do not broadcast, or an unknown reduction.

    Differences from torch: none.

    >>> L1Loss()(jax.numpy.array([1.0, 2.0]), jax.numpy.array([1.0, 4.0])).item()
    1.0

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.L1Loss.html
    """

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"):
        self.reduction = legacy_reduction(size_average, reduce, reduction)

    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(Layer):
    """Absolute differences, rounded off near 0 by a parabola.

    `l = d² / (2 beta)` where `d = |input - target| < beta`, `d - beta / 2` elsewhere

    Args:
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.
        beta: where the parabola ends, at least 0; 0 is `L1Loss`.

    Shape:
        `(*)` and `(*)` to `()`, or to the broadcast `(*)` without reduction.

    Raises:
        TypeError: neither array is floating.
        ValueError: shapes do not broadcast, a negative `beta`, or an unknown reduction.

    Differences from torch: none.

    >>> SmoothL1Loss(reduction="none")(jax.numpy.array([1.0, 2.0]), jax.numpy.array([1.5, 4.0])).tolist()
    [0.125, 1.5]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.SmoothL1Loss.html
    """

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean", beta: float = 1.0
    ):
        self.reduction = legacy_reduction(size_average, reduce, reduction)
        self.beta = knee("beta", beta, zero=True)

    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(Layer):
    """Squared differences near 0, absolute ones far from it.

    `l = d² / 2` where `d = |input - target| <= delta`, `delta * (d - delta / 2)` elsewhere

    Args:
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.
        delta: where the parabola ends, more than 0.

    Shape:
        `(*)` and `(*)` to `()`, or to the broadcast `(*)` without reduction.

    Raises:
        TypeError: the input is not floating.
        ValueError: shapes do not broadcast, `delta` is not positive, or an unknown reduction.

    Differences from torch: none.

    >>> HuberLoss("none", delta=2.0)(jax.numpy.array([1.0, 2.0]), jax.numpy.array([1.5, 6.0])).tolist()
    [0.125, 6.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.HuberLoss.html
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0):
        self.reduction = legacy_reduction(None, None, reduction)
        self.delta = knee("delta", delta)

    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class KLDivLoss(Layer):
    """Kullback-Leibler divergence of a distribution from the one that the input is the logarithm of.

    `l = target * (log(target) - input)`, 0 where `target` is 0; with `log_target`, `exp(target) * (target - input)`

    Args:
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "batchmean" for the sum divided by the size of the first axis,
            which is what the divergence means, "mean" for the mean of all elements, with torch's warning at the call.
        log_target: whether the target has logarithms.

    Shape:
        Log probabilities `(*)` and probabilities `(*)` to `()`, or to the broadcast `(*)` without reduction.

    Raises:
        TypeError: an array that is not floating.
        ValueError: shapes do not broadcast, or an unknown reduction.

    Differences from torch: none.

    >>> loss = KLDivLoss(reduction="batchmean")
    >>> round(loss(jax.numpy.log(jax.numpy.array([[0.5, 0.5]])), jax.numpy.array([[1.0, 0.0]])).item(), 4)
    0.6931

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html
    """

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ):
        self.reduction = legacy_reduction(size_average, reduce, reduction, (*REDUCTIONS, "batchmean"))
        self.log_target = check.flag("log_target", log_target)

    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class PoissonNLLLoss(Layer):
    """Negative log likelihood of Poisson distributions.

    `l = exp(input) - target * input`, without `log_input` `l = input - target * log(input + eps)`. `full` adds
    `target * log(target) - target + log(2 pi target) / 2` where `target > 1`, Stirling's `log(target!)`.

    Args:
        log_input: whether the input has logarithms of the expected counts.
        full: whether to add the term that does not depend on the input.
        size_average: deprecated, see `reduction`.
        eps: keeps the logarithm away from 0.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Shape:
        `(*)` and `(*)` to `()`, or to the broadcast `(*)` without reduction.

    Raises:
        TypeError: booleans where torch would have to subtract them.
        ValueError: shapes do not broadcast, or an unknown reduction.

    Differences from torch: none.

    >>> PoissonNLLLoss()(jax.numpy.array([0.0]), jax.numpy.array([3.0])).item()
    1.0

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.PoissonNLLLoss.html
    """

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: bool | None = None,
        eps: float = 1e-8,
        reduce: bool | None = None,
        reduction: str = "mean",
    ):
        self.log_input, self.full = check.flag("log_input", log_input), check.flag("full", full)
        self.eps = check.number("eps", eps)
        self.reduction = legacy_reduction(size_average, reduce, reduction)

    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        return F.poisson_nll_loss(
            input, target, log_input=self.log_input, full=self.full, eps=self.eps, reduction=self.reduction
        )


class GaussianNLLLoss(Layer):
    """Negative log likelihood of normal distributions.

    `l = (log(max(var, eps)) + (input - target)² / max(var, eps)) / 2`. `full` adds `log(2 pi) / 2`.

    Args:
        full: whether to add the constant term.
        eps: the least variance.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Shape:
        Expected values `(*)`, observed values `(*)` and variances to `()`, or to `(*)` without reduction. Variances are
        one float for all, or have the shape of the input, that shape with one axis of size 1, or without the last axis.

    Raises:
        TypeError: no array is floating.
        ValueError: shapes do not fit, a negative variance, or an unknown reduction.

    Differences from torch: traced variances (under `jax.jit`) cannot be refused; negative ones count as `eps`.

    >>> GaussianNLLLoss()(jax.numpy.array([1.0]), jax.numpy.array([3.0]), 1.0).item()
    2.0

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.GaussianNLLLoss.html
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean"):
        self.full, self.eps = check.truth("full", full), check.number("eps", eps)
        self.reduction = legacy_reduction(None, None, reduction)

    def __call__(self, input: jax.Array, target: jax.Array, var: jax.Array | float) -> jax.Array:
        return F.gaussian_nll_loss(input, target, var, full=self.full, eps=self.eps, reduction=self.reduction)
