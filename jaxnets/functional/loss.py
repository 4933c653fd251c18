"""Losses: `torch.nn.functional.mse_loss`, `binary_cross_entropy`, `nll_loss`, `cross_entropy`."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import check
from jaxnets.functional.activation import log_softmax
from jaxnets.functional.precision import wide

__all__ = ["binary_cross_entropy", "cross_entropy", "mse_loss", "nll_loss"]

EPSILON = float(np.float32(1e-12))  # torch's constant is a C float, also where it computes in float64


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
    if target.shape != input.shape:
        warnings.warn(
            f"Using a target size {target.shape} that is different to the input size {input.shape}. This will "
            "likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
            stacklevel=2,
        )
    try:
        shape = jnp.broadcast_shapes(input.shape, target.shape)
    except ValueError:
        raise ValueError(f"target: expected the shape of input, {input.shape}, got {target.shape}") from None
    dtype = _floating(input, target)
    difference = jnp.broadcast_to(input.astype(dtype), shape) - jnp.broadcast_to(target.astype(dtype), shape)
    if weight is None:
        return _reduced(jnp.square(wide(difference)), None, reduction, dtype)
    weight = check.array("weight", weight)
    if weight.shape != input.shape:
        raise ValueError(f"weight: expected the shape of input, {input.shape}, got {weight.shape}")
    weight = wide(weight.astype(dtype))
    loss = jnp.square(wide(difference)) * jnp.broadcast_to(weight, shape)
    return _reduced(loss, weight, reduction, dtype)


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
    dtype = _floating(input)
    if target.shape != input.shape:
        raise ValueError(f"target: expected the shape of input, {input.shape}, got {target.shape}")
    for name, x in (("input", input), ("target", target)):
        if not isinstance(x, jax.core.Tracer) and not np.all((np.asarray(x) >= 0) & (np.asarray(x) <= 1)):
            raise ValueError(f"{name}: expected probabilities in [0, 1], got numbers outside; apply a sigmoid first")
    loss = _bernoulli(wide(input), wide(target))
    if weight is not None:
        weight = check.array("weight", weight)
        try:
            weight = jnp.broadcast_to(weight, input.shape)
        except ValueError:
            raise ValueError(
                f"weight: expected a shape that broadcasts to that of input, {input.shape}, got {weight.shape}"
            ) from None
        loss = loss * weight.astype(loss.dtype)
    return _reduced(loss, None, reduction, dtype)


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
    input, target, weight = _classes(input, target, weight, ignore_index)
    loss, weights, _ = _nll(wide(input), target, weight, ignore_index)
    return _reduced(loss, weights, reduction, input.dtype)


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
    input, target, weight = _classes(input, target, weight, ignore_index)
    axis = min(input.ndim - 1, 1)
    likelihood = wide(log_softmax(input, axis))
    loss, weights, kept = _nll(likelihood, target, weight, ignore_index)
    if smoothing:
        weighted = likelihood if weight is None else likelihood * _along_classes(weight, likelihood)
        smooth = jnp.where(kept, -weighted.sum(axis), jnp.zeros((), weighted.dtype))
        loss = (1 - smoothing) * loss + smoothing / input.shape[axis] * smooth
    return _reduced(loss, weights, reduction, input.dtype)


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
    dtype = _floating(likelihood, target, *(() if weight is None else (weight,)))
    likelihood, p = wide(likelihood.astype(dtype)), wide(target.astype(dtype))
    if smoothing:
        p = p * (1 - smoothing) + smoothing / max(input.shape[axis], 1)
    terms = likelihood * p
    if weight is not None:
        terms = terms * _along_classes(weight, terms)
    return _reduced(-terms.sum(axis), None, reduction, dtype)


def _nll(
    likelihood: jax.Array, target: jax.Array, weight: jax.Array | None, ignore_index: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The loss of each target, its weight (0 where it does not count), and whether it counts."""
    axis = min(likelihood.ndim - 1, 1)
    zero, size = jnp.zeros((), likelihood.dtype), likelihood.shape[axis]
    bounds = jnp.iinfo(target.dtype)
    ignorable = bounds.min <= ignore_index <= bounds.max  # else no target is that class
    kept = target != ignore_index if ignorable else jnp.ones(target.shape, bool)
    # an index below 0 would count from the end; `size` is out of range and gives NaN
    index = jnp.where(target < 0, jnp.full((), size, target.dtype), target)
    picked = jnp.take_along_axis(likelihood, jnp.expand_dims(index, axis), axis, mode="fill").squeeze(axis)
    if weight is None:
        weights = jnp.ones_like(picked)
    else:
        weights = weight.astype(picked.dtype).at[index].get(mode="fill")
    weights = jnp.where(kept, weights, zero)
    return -weights * jnp.where(kept, picked, zero), weights, kept


def _classes(
    input: jax.Array, target: jax.Array, weight: jax.Array | None, ignore_index: int
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    input, target = check.array("input", input), check.array("target", target)
    _floating(input)
    if not input.ndim:
        raise ValueError("input: expected (C,) or (N, C, *), got a number")
    wanted = input.shape[:1] + input.shape[2:] if input.ndim > 1 else ()
    if input.ndim == 1 and target.shape == (1,):
        target = target.reshape(())
    if target.shape != wanted:
        raise ValueError(
            f"target: expected classes of shape {wanted} for input of shape {input.shape}, got {target.shape}"
        )
    if target.dtype not in (jnp.int64, jnp.int32, jnp.uint8):
        raise TypeError(f"target: expected classes of dtype int64, int32 or uint8, got {target.dtype}")
    size = input.shape[min(input.ndim - 1, 1)]
    if not isinstance(target, jax.core.Tracer):
        classes = np.asarray(target)
        outside = classes[((classes < 0) | (classes >= size)) & (classes != ignore_index)]
        if outside.size:
            raise ValueError(
                f"target: expected classes from 0 to {size - 1} or ignore_index={ignore_index}, got {outside.flat[0]}"
            )
    if weight is not None:
        weight = _class_weight(weight, size)
        check.same_dtype(input=input, weight=weight)
    return input, target.astype(jnp.int32) if target.dtype == jnp.uint8 else target, weight


def _class_weight(weight: jax.Array, classes: int) -> jax.Array:
    weight = check.array("weight", weight)
    if weight.shape != (classes,):
        raise ValueError(f"weight: expected shape {(classes,)}, one for each class, got {weight.shape}")
    return weight


def _along_classes(weight: jax.Array, like: jax.Array) -> jax.Array:
    """`(C,)` with the axes and the dtype of `(N, C, *)` or `(C,)`."""
    shape = (1, -1, *(1,) * (like.ndim - 2)) if like.ndim > 1 else (-1,)
    return weight.astype(like.dtype).reshape(shape)


@jax.custom_jvp
def _bernoulli(x: jax.Array, target: jax.Array) -> jax.Array:
    low = jnp.full((), -100, x.dtype)
    return (target - 1) * jnp.maximum(jnp.log1p(-x), low) - target * jnp.maximum(jnp.log(x), low)


def _bernoulli_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    """torch's derivatives: bounded in `x`, not those of the clamped logarithms."""
    (x, target), (dx, dtarget) = primals, tangents
    total = jnp.zeros_like(x)
    if not isinstance(dx, jax.custom_derivatives.SymbolicZero):
        total += dx * (x - target) / jnp.maximum((1 - x) * x, jnp.full((), EPSILON, x.dtype))
    if not isinstance(dtarget, jax.custom_derivatives.SymbolicZero):
        total += dtarget * (jnp.log1p(-x) - jnp.log(x))
    return _bernoulli(x, target), total


_bernoulli.defjvp(_bernoulli_jvp, symbolic_zeros=True)


def _reduced(loss: jax.Array, weights: jax.Array | None, reduction: str, dtype: Any) -> jax.Array:
    """Sums or averages, by `weights` if there are any; dtype is that of the result."""
    if reduction == "sum":
        loss = loss.sum()
    elif reduction == "mean":
        loss = loss.sum() / (weights.sum() if weights is not None else jnp.asarray(loss.size, loss.dtype))
    return loss.astype(dtype)


def legacy_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """`reduction`, or what torch's older arguments `size_average` and `reduce` say in its place, with a warning."""
    if size_average is not None or reduce is not None:
        average = size_average is None or check.truth("size_average", size_average)
        if reduce is not None and not check.truth("reduce", reduce):
            reduction = "none"
        else:
            reduction = "mean" if average else "sum"
        warnings.warn(
            f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.",
            stacklevel=3,
        )
    if isinstance(reduction, str) and reduction == "elementwise_mean":
        warnings.warn("reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead.", stacklevel=3)
        return "mean"
    return check.choice("reduction", reduction, ("none", "mean", "sum"))


def _floating(*arrays: jax.Array) -> Any:
    """The floating dtype that arrays have in common; an integer or boolean array takes the others'."""
    try:
        with jax.numpy_dtype_promotion("standard"):
            dtype = jnp.result_type(*arrays)
    except ValueError:
        dtypes = " and ".join(str(x.dtype) for x in arrays)
        raise TypeError(f"input: expected dtypes with a common one, got {dtypes}; cast one of them") from None
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"input: expected a floating dtype, got {arrays[0].dtype}; cast it first")
    return dtype
