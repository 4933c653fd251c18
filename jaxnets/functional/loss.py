"""Losses of classes and of probabilities: `torch.nn.functional.nll_loss`, `cross_entropy`, `binary_cross_entropy`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import check
from jaxnets.functional.activation import logsigmoid
from jaxnets.functional.precision import wide
from jaxnets.functional.reduction import floating, legacy_reduction, reduced
from jaxnets.functional.softmax import log_softmax, log_softmax_at
from jaxnets.lowering.mesh import rows_at
from jaxnets.lowering.pick import pick

__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "nll_loss"]

EPSILON = float(np.float32(1e-12))  # torch's constant is a C float, also where it computes in float64


def binary_cross_entropy(
    input: jax.Array,
    target: jax.Array,
    weight: jax.Array | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """Negative log likelihood of probabilities.

    `l = -weight * (target * log(input) + (1 - target) * log(1 - input))`, logarithms not below -100

    Args:
        input: probabilities in [0, 1].
        target: probabilities in [0, 1], shape and dtype of `input`.
        weight: broadcasts to the shape of `input`.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Shape:
        `(*)` and `(*)` to `()`, or to `(*)` without reduction.

    Raises:
        TypeError: dtypes that differ or are not floating.
        ValueError: shapes do not fit, an unknown reduction, numbers outside of [0, 1].

    Differences from torch: traced numbers (under `jax.jit`) cannot be refused; those of `input` outside of [0, 1]
    give NaN.

    >>> round(binary_cross_entropy(jnp.array([0.5]), jnp.array([1.0])).item(), 4)
    0.6931

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.binary_cross_entropy.html
    """
    input, target = check.array("input", input), check.array("target", target)
    reduction = legacy_reduction(size_average, reduce, reduction)
    check.same_dtype(input=input, target=target)
    dtype = floating(input)
    if target.shape != input.shape:
        raise ValueError(f"target: expected the shape of input, {input.shape}, got {target.shape}")
    for name, x in (("input", input), ("target", target)):
        if not isinstance(x, jax.core.Tracer) and not np.all((np.asarray(x) >= 0) & (np.asarray(x) <= 1)):
            raise ValueError(f"{name}: expected probabilities in [0, 1], got numbers outside; apply a sigmoid first")
    loss = _bernoulli(wide(input), wide(target))
    if weight is not None:
        loss = loss * _element_weight("weight", weight, loss)
    return reduced(loss, None, reduction, dtype)


def binary_cross_entropy_with_logits(
    input: jax.Array,
    target: jax.Array,
    weight: jax.Array | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: jax.Array | None = None,
) -> jax.Array:
    """Negative log likelihood of the probabilities `sigmoid(input)`, exact where these would be rounded to 0 or 1.

    `l = -weight * (pos_weight * target * log(sigmoid(input)) + (1 - target) * log(1 - sigmoid(input)))`

    Args:
        input: logits, floating.
        target: probabilities in [0, 1], floating, the shape of `input`.
        weight: broadcasts to the shape of `input`.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.
        pos_weight: broadcasts to the shape of `input`: more than 1 for recall, less for precision.

    Shape:
        `(*)` and `(*)` to `()`, or to `(*)` without reduction.

    Raises:
        TypeError: dtypes that are not floating.
        ValueError: shapes do not fit, or an unknown reduction.

    Differences from torch: none.

    >>> round(binary_cross_entropy_with_logits(jnp.array([0.0]), jnp.array([1.0])).item(), 4)
    0.6931

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.binary_cross_entropy_with_logits.html
    """
    input, target = check.array("input", input), check.array("target", target)
    reduction = legacy_reduction(size_average, reduce, reduction)
    floating(input)
    dtype = floating(target)
    if target.shape != input.shape:
        raise ValueError(f"target: expected the shape of input, {input.shape}, got {target.shape}")
    common = floating(input, target)
    x, t = wide(input.astype(common)), wide(target.astype(common))
    likelihood = logsigmoid(x)
    if pos_weight is not None:
        likelihood = likelihood * ((_element_weight("pos_weight", pos_weight, x) - 1) * t + 1)
    loss = (1 - t) * x - likelihood
    if weight is not None:
        loss = loss * _element_weight("weight", weight, x)
    return reduced(loss, None, reduction, dtype)


def nll_loss(
    input: jax.Array,
    target: jax.Array,
    weight: jax.Array | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """Negative log likelihood of classes.

    `l[n] = -weight[target[n]] * input[n, target[n]]`, 0 where `target[n] == ignore_index`

    Args:
        input: log probabilities, `(N, C, *)` or `(C,)`.
        target: classes from 0 to C - 1, `(N, *)`, or `()` or `(1,)` without a batch, int64, int32 or uint8.
        weight: `(C,)`, dtype of `input`.
        size_average: deprecated, see `reduction`.
        ignore_index: a class that does not count.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for the sum divided by the sum of the weights of the
            targets that count.

    Shape:
        `(N, C, *)` and `(N, *)` to `()`, or to `(N, *)` without reduction.

    Raises:
        TypeError: dtypes do not fit.
        ValueError: shapes do not fit, an unknown reduction, a class out of range.

    Differences from torch: classes may be int32. Traced classes (under `jax.jit`) cannot be refused; those out of
    range give NaN.

    >>> nll_loss(jnp.array([[-1.0, -2.0]]), jnp.array([1])).item()
    2.0

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.nll_loss.html
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    ignore_index = check.integer("ignore_index", ignore_index)
    input = check.array("input", input)
    target, weight = classes_for(input, target, weight, ignore_index)
    axis, likelihood = min(input.ndim - 1, 1), wide(input)
    loss, weights, _ = nll_terms(
        lambda index: pick(likelihood, index, axis), input.shape[axis], target, weight, ignore_index
    )
    return reduced(loss, weights, reduction, input.dtype)


def cross_entropy(
    input: jax.Array,
    target: jax.Array,
    weight: jax.Array | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> jax.Array:
    """Cross entropy of a softmax and targets, which are classes or probabilities of classes.

    `l[n] = -sum over c of weight[c] * p[n, c] * log_softmax(input)[n, c]`, where `p` is
    `(1 - label_smoothing) * target + label_smoothing / C`, a class being 1 at that class and 0 elsewhere

    Args:
        input: logits, `(N, C, *)` or `(C,)`.
        target: classes from 0 to C - 1, `(N, *)` or `()`, int64, int32 or uint8; or floating probabilities in the
            shape of `input`.
        weight: `(C,)`, dtype of `input`.
        size_average: deprecated, see `reduction`.
        ignore_index: a class that does not count; only for targets that are classes.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum. "mean" divides the sum by the sum of the weights of the
            classes that count; with probabilities by the number of them, N times the size of `*`.
        label_smoothing: in [0, 1].

    Shape:
        `(N, C, *)` and `(N, *)` or `(N, C, *)` to `()`, or to `(N, *)` without reduction.

    Raises:
        TypeError: dtypes do not fit.
        ValueError: shapes do not fit, an unknown reduction, a class out of range, `ignore_index` with probabilities.

    Differences from torch: as `nll_loss`.

    >>> score = jnp.array([[1.0592, 1.4730], [-0.1558, -0.8712], [0.2548, 0.0817]])
    >>> round(cross_entropy(score, jnp.array([1, 0, 1])).item(), 4)
    0.563

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cross_entropy.html
    """
    input, target = check.array("input", input), check.array("target", target)
    reduction = legacy_reduction(size_average, reduce, reduction)
    ignore_index = check.integer("ignore_index", ignore_index)
    smoothing = check.probability("label_smoothing", label_smoothing)
    if target.shape == input.shape and input.ndim:
        return _soft_cross_entropy(input, target, weight, ignore_index, reduction, smoothing)
    target, weight = classes_for(input, target, weight, ignore_index)
    axis = min(input.ndim - 1, 1)
    loss, weights, kept = nll_terms(
        lambda index: wide(log_softmax_at(input, index, axis)), input.shape[axis], target, weight, ignore_index
    )
    if smoothing:
        likelihood = wide(log_softmax(input, axis))
        weighted = likelihood if weight is None else likelihood * _along_classes(weight, likelihood)
        smooth = jnp.where(kept, -weighted.sum(axis), jnp.zeros((), weighted.dtype))
        loss = (1 - smoothing) * loss + smoothing / input.shape[axis] * smooth
    return reduced(loss, weights, reduction, input.dtype)


def _soft_cross_entropy(
    input: jax.Array,
    target: jax.Array,
    weight: jax.Array | None,
    ignore_index: int,
    reduction: str,
    smoothing: float,
) -> jax.Array:
    if not jnp.issubdtype(target.dtype, jnp.floating):
        raise TypeError(
            f"target: expected floating probabilities in the shape of input, or classes of shape "
            f"{input.shape[:1] + input.shape[2:] if input.ndim > 1 else ()}, got {target.dtype} of shape {target.shape}"
        )
    if ignore_index >= 0:
        raise ValueError(
            f"ignore_index: expected a negative number where target has probabilities, got {ignore_index}; "
            "set the probabilities to 0 instead"
        )
    axis = min(input.ndim - 1, 1)
    likelihood = log_softmax(input, axis)
    if weight is not None:
        weight = _class_weight(weight, input.shape[axis])
    dtype = floating(likelihood, target, *(() if weight is None else (weight,)))
    likelihood, p = wide(likelihood.astype(dtype)), wide(target.astype(dtype))
    if smoothing:
        p = p * (1 - smoothing) + smoothing / max(input.shape[axis], 1)
    terms = likelihood * p
    if weight is not None:
        terms = terms * _along_classes(weight, terms)
    return reduced(-terms.sum(axis), None, reduction, dtype)


def nll_terms(
    likelihood: Callable[[jax.Array], jax.Array],
    size: int,
    target: jax.Array,
    weight: jax.Array | None,
    ignore_index: int,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The loss of each target, its weight (0 where it does not count), and whether it counts.

    `likelihood` gives the logarithm of the targets' probabilities, and NaN for what is none of the `size` classes.
    """
    bounds = jnp.iinfo(target.dtype)
    ignorable = bounds.min <= ignore_index <= bounds.max  # else no target is that class
    kept = target != ignore_index if ignorable else jnp.ones(target.shape, bool)
    # an index below 0 would count from the end; `size` is out of range
    index = jnp.where(target < 0, jnp.full((), size, target.dtype), target)
    picked = likelihood(index)
    zero = jnp.zeros((), picked.dtype)
    if weight is None:
        weights = jnp.ones_like(picked)
    else:
        weights = rows_at(weight.astype(picked.dtype), index, "fill")
    weights = jnp.where(kept, weights, zero)
    return -weights * jnp.where(kept, picked, zero), weights, kept


def classes_for(
    input: jax.Array | jax.ShapeDtypeStruct, target: jax.Array, weight: jax.Array | None, ignore_index: int
) -> tuple[jax.Array, jax.Array | None]:
    """The classes and their weight, if they fit scores of that shape and dtype."""
    target, ndim = check.array("target", target), len(input.shape)
    if not jnp.issubdtype(input.dtype, jnp.floating):
        raise TypeError(f"input: expected a floating dtype, got {input.dtype}; cast it first")
    if not ndim:
        raise ValueError("input: expected (C,) or (N, C, *), got a number")
    wanted = input.shape[:1] + input.shape[2:] if ndim > 1 else ()
    if ndim == 1 and target.shape == (1,):
        target = target.reshape(())
    if target.shape != wanted:
        raise ValueError(
            f"target: expected classes of shape {wanted} for input of shape {input.shape}, got {target.shape}"
        )
    if target.dtype not in (jnp.int64, jnp.int32, jnp.uint8):
        raise TypeError(f"target: expected classes of dtype int64, int32 or uint8, got {target.dtype}")
    size = input.shape[min(ndim - 1, 1)]
    if not isinstance(target, jax.core.Tracer):
        classes = np.asarray(target)
        outside = classes[((classes < 0) | (classes >= size)) & (classes != ignore_index)]
        if outside.size:
            raise ValueError(
                f"target: expected classes from 0 to {size - 1} or ignore_index={ignore_index}, got {outside.flat[0]}"
            )
    if weight is not None:
        weight = _class_weight(weight, size)
        if weight.dtype != input.dtype:
            check.same_dtype(input=jnp.zeros((), input.dtype), weight=weight)
    return target.astype(jnp.int32) if target.dtype == jnp.uint8 else target, weight


def _class_weight(weight: jax.Array, classes: int) -> jax.Array:
    weight = check.array("weight", weight)
    if weight.shape != (classes,):
        raise ValueError(f"weight: expected shape {(classes,)}, one for each class, got {weight.shape}")
    return weight


def _element_weight(name: str, weight: jax.Array, like: jax.Array) -> jax.Array:
    """A weight of elements with the shape and the dtype of `like`."""
    weight = check.array(name, weight)
    try:
        return jnp.broadcast_to(weight, like.shape).astype(like.dtype)
    except ValueError:
        raise ValueError(
            f"{name}: expected a shape that broadcasts to that of input, {like.shape}, got {weight.shape}"
        ) from None


def _along_classes(weight: jax.Array, like: jax.Array) -> jax.Array:
    """`(C,)` with the axes and the dtype of `(N, C, *)` or `(C,)`."""
    shape = (1, -1, *(1,) * (like.ndim - 2)) if like.ndim > 1 else (-1,)
    return weight.astype(like.dtype).reshape(shape)


@jax.custom_jvp
def _bernoulli_slope(x: jax.Array, target: jax.Array) -> jax.Array:
    return (x - target) / _bounded_variance(x, EPSILON)


@_bernoulli_slope.defjvp
def _bernoulli_slope_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    """torch's second derivative is bounded otherwise than the first, in double precision's 1e-12."""
    (x, target), (dx, dtarget) = primals, tangents
    curvature = (x * x - 2 * x * target + target) / jnp.square((x + 1e-12) * (1 - x + 1e-12))
    return _bernoulli_slope(x, target), dx * curvature - dtarget / _bounded_variance(x, 1e-12)


def _bounded_variance(x: jax.Array, bound: float) -> jax.Array:
    return _at_least(bound, (1 - x) * x)


@jax.custom_jvp
def _bernoulli(x: jax.Array, target: jax.Array) -> jax.Array:
    return (target - 1) * _at_least(-100, jnp.log1p(-x)) - target * _at_least(-100, jnp.log(x))


def _at_least(bound: float, x: jax.Array) -> jax.Array:
    """The greater of the two, NaN where there is one."""
    return jnp.where(x < bound, jnp.full((), bound, x.dtype), x)


def _bernoulli_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    """torch's derivatives: bounded in `x`, not those of the clamped logarithms."""
    (x, target), (dx, dtarget) = primals, tangents
    total = jnp.zeros_like(x)
    if not isinstance(dx, jax.custom_derivatives.SymbolicZero):
        total += dx * _bernoulli_slope(x, target)
    if not isinstance(dtarget, jax.custom_derivatives.SymbolicZero):
        total += dtarget * (jnp.log1p(-x) - jnp.log(x))
    return _bernoulli(x, target), total


_bernoulli.defjvp(_bernoulli_jvp, symbolic_zeros=True)
