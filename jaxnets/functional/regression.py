"""Losses of numbers and of distributions: `torch.nn.functional.mse_loss`, `l1_loss`, `kl_div` and the like."""

import math
import warnings
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets import check
from jaxnets.functional.elementwise import absolute
from jaxnets.functional.precision import wide
from jaxnets.functional.reduction import (
    REDUCTIONS,
    broadcast,
    common_dtype,
    floating,
    floating_or_default,
    legacy_reduction,
    not_bool,
    reduced,
    warn_of_broadcasting,
)
from jaxnets.lowering.extremes import at_least

__all__ = ["gaussian_nll_loss", "huber_loss", "kl_div", "l1_loss", "mse_loss", "poisson_nll_loss", "smooth_l1_loss"]


def mse_loss(
    input: jax.Array,
    target: jax.Array,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: jax.Array | None = None,
) -> jax.Array:
    """Squared differences.

    `l = weight * (input - target)²`

    Args:
        input: real numbers.
        target: real numbers; a shape that differs is broadcast, with torch's warning.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for the sum divided by the number of elements, or by
            the sum of `weight`.
        weight: the shape of `input`.

    Shape:
        `(*)` and `(*)` to `()`, or to the broadcast `(*)` without reduction.

    Raises:
        TypeError: neither array is floating.
        ValueError: shapes do not broadcast, or an unknown reduction.

    Differences from torch: none.

    >>> mse_loss(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0])).item()
    2.0

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.mse_loss.html
    """
    input, target = check.array("input", input), check.array("target", target)
    reduction = legacy_reduction(size_average, reduce, reduction)
    warn_of_broadcasting(input, target)
    dtype = floating(input, target)
    loss = jnp.square(wide(_difference(input, target, dtype)))
    if weight is None:
        return reduced(loss, None, reduction, dtype)
    weight = _element_weight(weight, input)
    dtype = floating(loss.astype(dtype), weight)
    weight = wide(weight.astype(dtype))
    return reduced(loss.astype(weight.dtype) * jnp.broadcast_to(weight, loss.shape), weight, reduction, dtype)


def l1_loss(
    input: jax.Array,
    target: jax.Array,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: jax.Array | None = None,
) -> jax.Array:
    """Absolute differences.

    `l = weight * |input - target|`; the derivative at 0 is 0.

    Args:
        input: numbers, complex ones too; integers unless the reduction is "mean".
        target: numbers; a shape that differs is broadcast, with torch's warning.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for the sum divided by the number of elements, or by
            the sum of `weight`.
        weight: the shape of `input`.

    Shape:
        `(*)` and `(*)` to `()`, or to the broadcast `(*)` without reduction.

    Raises:
        TypeError: booleans, or the mean of integers.
        ValueError: shapes do not broadcast, or an unknown reduction.

    Differences from torch: none.

    >>> l1_loss(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0])).item()
    1.0

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.l1_loss.html
    """
    input, target = check.array("input", input), check.array("target", target)
    reduction = legacy_reduction(size_average, reduce, reduction)
    warn_of_broadcasting(input, target)
    return _absolute_differences(input, target, reduction, weight)


def smooth_l1_loss(
    input: jax.Array,
    target: jax.Array,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> jax.Array:
    """Absolute differences, rounded off near 0 by a parabola.

    `l = d² / (2 beta)` where `d = |input - target| < beta`, `d - beta / 2` elsewhere

    Args:
        input: real numbers.
        target: real numbers; a shape that differs is broadcast, with torch's warning.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.
        beta: where the parabola ends, at least 0; 0 is `l1_loss`.

    Shape:
        `(*)` and `(*)` to `()`, or to the broadcast `(*)` without reduction.

    Raises:
        TypeError: neither array is floating.
        ValueError: shapes do not broadcast, a negative `beta`, or an unknown reduction.

    Differences from torch: none.

    >>> smooth_l1_loss(jnp.array([1.0, 2.0]), jnp.array([1.5, 4.0]), reduction="none").tolist()
    [0.125, 1.5]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.smooth_l1_loss.html
    """
    input, target = check.array("input", input), check.array("target", target)
    reduction = legacy_reduction(size_average, reduce, reduction)
    beta = knee("beta", beta, zero=True)
    warn_of_broadcasting(input, target)
    if not beta:
        return _absolute_differences(input, target, reduction, None)
    dtype = floating(input, target)
    return reduced(_smooth(wide(_difference(input, target, dtype)), beta), None, reduction, dtype)


def huber_loss(
    input: jax.Array,
    target: jax.Array,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: jax.Array | None = None,
) -> jax.Array:
    """Squared differences near 0, absolute ones far from it.

    `l = weight * d² / 2` where `d = |input - target| <= delta`, `weight * delta * (d - delta / 2)` elsewhere

    Args:
        input: floating numbers.
        target: real numbers; a shape that differs is broadcast, with torch's warning.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean; `weight` does not count in the divisor.
        delta: where the parabola ends, more than 0.
        weight: the shape of `input`.

    Shape:
        `(*)` and `(*)` to `()`, or to the broadcast `(*)` without reduction.

    Raises:
        TypeError: `input` is not floating.
        ValueError: shapes do not broadcast, `delta` is not positive, or an unknown reduction.

    Differences from torch: none.

    >>> huber_loss(jnp.array([1.0, 2.0]), jnp.array([1.5, 6.0]), reduction="none", delta=2.0).tolist()
    [0.125, 6.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.huber_loss.html
    """
    input, target = check.array("input", input), check.array("target", target)
    reduction = legacy_reduction(None, None, reduction)
    delta = knee("delta", delta)
    warn_of_broadcasting(input, target)
    dtype = floating(input)
    loss = _huber(wide(_difference(input, target, floating(input, target))), delta)
    if weight is None:
        return reduced(loss, None, reduction, dtype)
    weight = _element_weight(weight, input)
    dtype = floating(loss.astype(dtype), weight)
    weight = wide(weight.astype(dtype))
    return reduced(loss.astype(weight.dtype) * jnp.broadcast_to(weight, loss.shape), None, reduction, dtype)


def kl_div(
    input: jax.Array,
    target: jax.Array,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> jax.Array:
    """Kullback-Leibler divergence of a distribution from the one that `input` is the logarithm of.

    `l = target * (log(target) - input)`, 0 where `target` is 0; with `log_target`, `exp(target) * (target - input)`

    Args:
        input: log probabilities.
        target: probabilities, or their logarithms; broadcasts with `input`.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "batchmean" for the sum divided by the size of the first axis
            of `input`, which is what the divergence means, "mean" for the mean of all elements, with torch's warning.
        log_target: whether `target` has logarithms.

    Shape:
        `(*)` and `(*)` to `()`, or to the broadcast `(*)` without reduction.

    Raises:
        TypeError: an array that is not floating.
        ValueError: shapes do not broadcast, or an unknown reduction.

    Differences from torch: none. As in torch the derivative in `target` is NaN where it is 0.

    >>> round(kl_div(jnp.log(jnp.array([0.5, 0.5])), jnp.array([1.0, 0.0]), reduction="sum").item(), 4)
    0.6931

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.kl_div.html
    """
    input, target = check.array("input", input), check.array("target", target)
    log_target = check.flag("log_target", log_target)
    old = size_average is not None or reduce is not None
    reduction = legacy_reduction(size_average, reduce, reduction, (*REDUCTIONS, "batchmean"))
    if reduction == "mean" and not old:
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size. 'batchmean' "
            "divides only by the batch size, and aligns with the KL div math definition.",
            stacklevel=2,
        )
    floating(input)
    floating(target)
    dtype = floating(input, target)
    x, t = (wide(x.astype(dtype)) for x in broadcast(input=input, target=target))
    if log_target:
        loss = jnp.exp(t) * (t - x)
    else:
        loss = jnp.where(t == 0, jnp.zeros((), t.dtype), t * jnp.log(t)) - t * x
    if reduction != "batchmean":
        return reduced(loss, None, reduction, dtype)
    return reduced(loss, None, "sum", loss.dtype).astype(dtype) / (input.shape[0] if input.ndim else 1)


def poisson_nll_loss(
    input: jax.Array,
    target: jax.Array,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """Negative log likelihood of Poisson distributions.

    `l = exp(input) - target * input`, without `log_input` `l = input - target * log(input + eps)`. `full` adds
    `target * log(target) - target + log(2 pi target) / 2` where `target > 1`, Stirling's `log(target!)`.

    Args:
        input: expected counts, or their logarithms.
        target: counts; broadcasts with `input`.
        log_input: whether `input` has logarithms.
        full: whether to add the term that does not depend on `input`.
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

    >>> poisson_nll_loss(jnp.array([0.0]), jnp.array([3.0])).item()
    1.0

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.poisson_nll_loss.html
    """
    input, target = check.array("input", input), check.array("target", target)
    reduction = legacy_reduction(size_average, reduce, reduction)
    log_input, full = check.flag("log_input", log_input), check.flag("full", full)
    eps = check.number("eps", eps)
    if not log_input or target.dtype == bool:
        not_bool(input=input)
    if full:
        not_bool(target=target)
    dtype = floating_or_default(input, target)
    x, t = (wide(x.astype(dtype)) for x in broadcast(input=input, target=target))
    loss = jnp.exp(x) - t * x if log_input else x - t * jnp.log(x + eps)
    if full:
        if jnp.iscomplexobj(t):
            raise TypeError(f"target: expected real numbers for full=True, got {target.dtype}")
        stirling = t * jnp.log(t) - t + 0.5 * jnp.log(2 * math.pi * t)
        loss += jnp.where(t <= 1, jnp.zeros((), t.dtype), stirling)
    return reduced(loss, None, reduction, dtype)


def gaussian_nll_loss(
    input: jax.Array,
    target: jax.Array,
    var: jax.Array | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> jax.Array:
    """Negative log likelihood of normal distributions.

    `l = (log(max(var, eps)) + (input - target)² / max(var, eps)) / 2`. `full` adds `log(2 pi) / 2`.

    Args:
        input: expected values.
        target: observed values; broadcasts with `input`.
        var: variances, not negative: one for all, the shape of `input`, that shape with one axis of size 1, or
            without the last axis. The derivative passes through the bound `eps`.
        full: whether to add the constant term.
        eps: the least variance.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Shape:
        `(*)` and `(*)` to `()`, or to the broadcast `(*)` without reduction.

    Raises:
        TypeError: no array is floating.
        ValueError: shapes do not fit, a negative variance, or an unknown reduction.

    Differences from torch: traced variances (under `jax.jit`) cannot be refused; negative ones count as `eps`.

    >>> gaussian_nll_loss(jnp.array([1.0]), jnp.array([3.0]), 1.0).item()
    2.0

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.gaussian_nll_loss.html
    """
    input, target = check.array("input", input), check.array("target", target)
    reduction = legacy_reduction(None, None, reduction)
    full, eps = check.truth("full", full), check.number("eps", eps)
    if isinstance(var, float):
        var = jnp.full(input.shape, var, floating_or_default(input))
    var = _variances(check.array("var", var), input)
    not_bool(input=input, target=target)
    dtype = floating(input, target, var)
    x, t, v = (wide(x.astype(dtype)) for x in broadcast(input=input, target=target, var=var))
    v = at_least(v, eps)
    loss = 0.5 * (jnp.log(v) + jnp.square(x - t) / v)
    if full:
        loss += 0.5 * math.log(2 * math.pi)
    return reduced(loss, None, reduction, dtype)


def knee(name: str, value: Any, *, zero: bool = False) -> float:
    """A positive number, or 0 if that is allowed: where a parabola becomes a line."""
    value = check.number(name, value)
    if not (value > 0 or (zero and value == 0)):
        raise ValueError(f"{name}: expected a {'number of at least 0' if zero else 'positive number'}, got {value}")
    return value


def _absolute_differences(input: jax.Array, target: jax.Array, reduction: str, weight: jax.Array | None) -> jax.Array:
    not_bool(input=input, target=target)
    difference = wide(_difference(input, target, common_dtype(input, target)))
    real = jnp.issubdtype(difference.dtype, jnp.floating)
    loss = absolute(difference) if real else jnp.abs(difference)
    dtype = jnp.real(jnp.zeros((), common_dtype(input, target))).dtype
    if weight is None:
        return reduced(loss, None, reduction, dtype)
    weight = _element_weight(weight, input)
    dtype = common_dtype(loss.astype(dtype), weight)
    weight = wide(weight.astype(dtype))
    return reduced(loss.astype(weight.dtype) * jnp.broadcast_to(weight, loss.shape), weight, reduction, dtype)


def _difference(input: jax.Array, target: jax.Array, dtype: Any) -> jax.Array:
    input, target = broadcast(input=input, target=target)
    return input.astype(dtype) - target.astype(dtype)


def _element_weight(weight: jax.Array, input: jax.Array) -> jax.Array:
    weight = check.array("weight", weight)
    if weight.shape != input.shape:
        raise ValueError(f"weight: expected the shape of input, {input.shape}, got {weight.shape}")
    return weight


def _variances(var: jax.Array, input: jax.Array) -> jax.Array:
    """Variances with as many axes as `input`."""
    if not isinstance(var, jax.core.Tracer) and np.any(np.asarray(var) < 0):
        raise ValueError("var: expected variances, which are not negative, got negative ones")
    if var.shape == input.shape:
        return var
    if var.shape == input.shape[:-1]:
        return var[..., None]
    unequal = [b for a, b in zip(input.shape, var.shape, strict=False) if a != b]
    if var.ndim != input.ndim or sum(unequal) != 1:
        raise ValueError(
            f"var: expected the shape of input, {input.shape}, the same with one axis of size 1, or without the last "
            f"axis, got {var.shape}"
        )
    return var


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _smooth(x: jax.Array, beta: float) -> jax.Array:
    d = jnp.abs(x)
    return jnp.where(d < beta, 0.5 * d * d / beta, d - 0.5 * beta)


@_smooth.defjvp
def _smooth_jvp(beta: float, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    """The derivative as a formula of its own: that of the branches is NaN at infinity."""
    (x,), (dx,) = primals, tangents
    return _smooth(x, beta), dx * _clamped(x / beta, 1.0)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _huber(x: jax.Array, delta: float) -> jax.Array:
    d = jnp.abs(x)
    return jnp.where(d <= delta, 0.5 * d * d, delta * (d - 0.5 * delta))


@_huber.defjvp
def _huber_jvp(delta: float, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    """As that of `_smooth`."""
    (x,), (dx,) = primals, tangents
    return _huber(x, delta), dx * _clamped(x, delta)


def _clamped(x: jax.Array, bound: float) -> jax.Array:
    """`x` within its bounds; on a bound the derivative is 0, as torch's second derivative is."""
    return lax.clamp(jnp.asarray(-bound, x.dtype), x, jnp.asarray(bound, x.dtype))
