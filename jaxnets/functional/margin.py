"""Losses of classes with a margin: `torch.nn.functional.multi_margin_loss`, `multilabel_margin_loss` and the like."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets import check
from jaxnets.functional.activation import logsigmoid
from jaxnets.functional.precision import wide
from jaxnets.functional.reduction import (
    arrays,
    broadcast,
    broadcast_shape,
    floating,
    legacy_reduction,
    not_bool,
    reduced,
)
from jaxnets.lowering.mesh import alike, automatic, layout, rows_at

__all__ = ["multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss", "soft_margin_loss"]

BLOCK = 16
"""Classes of a sample that are compared with all others at once."""


def soft_margin_loss(
    input: jax.Array,
    target: jax.Array,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """Logistic loss of two classes.

    `l = log(1 + exp(-target * input))`

    Args:
        input: scores, floating.
        target: 1 or -1; broadcasts to the shape of `input`.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Shape:
        `(*)` and `(*)` to `()`, or to the shape of `input` without reduction.

    Raises:
        TypeError: `input` is not floating.
        ValueError: shapes do not fit, or an unknown reduction.

    Differences from torch: none. As in torch the exponential may overflow: the loss is then inf, its derivative NaN.

    >>> round(soft_margin_loss(jnp.array([0.0]), jnp.array([1.0])).item(), 4)
    0.6931

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.soft_margin_loss.html
    """
    input, target = arrays(input=input, target=target)
    reduction = legacy_reduction(size_average, reduce, reduction)
    floating(input)
    if broadcast_shape(input=input, target=target) != input.shape:
        raise ValueError(
            f"target: expected a shape that broadcasts to that of input, {input.shape}, got {target.shape}"
        )
    dtype = floating(input, target)
    x, t = (wide(x.astype(dtype)) for x in broadcast(input=input, target=target))
    return reduced(_logistic(-x * t, input.dtype), None, reduction, input.dtype)


def multilabel_soft_margin_loss(
    input: jax.Array,
    target: jax.Array,
    weight: jax.Array | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """Logistic loss of several labels, averaged over the labels.

    `l = -mean over c of weight[c] * (target[c] * log(sigmoid(input[c])) + (1 - target[c]) * log(sigmoid(-input[c])))`

    Args:
        input: logits, `(*, C)`, floating.
        target: 0 or 1, `(*, C)`.
        weight: broadcasts with `(*, C)`.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Shape:
        `(*, C)` and `(*, C)`, which broadcast, to `()`, or to `(*)` without reduction.

    Raises:
        TypeError: `input` is not floating, `target` is boolean.
        ValueError: shapes do not broadcast, `input` is a number, or an unknown reduction.

    Differences from torch: none.

    >>> round(multilabel_soft_margin_loss(jnp.array([[0.0, 0.0]]), jnp.array([[1.0, 0.0]])).item(), 4)
    0.6931

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.multilabel_soft_margin_loss.html
    """
    input, target = arrays(input=input, target=target)
    reduction = legacy_reduction(size_average, reduce, reduction)
    floating(input)
    not_bool(target=target)
    if not input.ndim:
        raise ValueError("input: expected labels on the last axis, (*, C), got a number")
    dtype = floating(input, target)
    x, t = (wide(x.astype(dtype)) for x in broadcast(input=input, target=target))
    loss = -(t * logsigmoid(x) + (1 - t) * logsigmoid(-x))
    if weight is not None:
        weight = check.array("weight", weight)
        dtype = floating(loss.astype(dtype), weight)
        loss, weight = broadcast(input=loss, weight=weight)
        loss = wide(loss.astype(dtype)) * wide(weight.astype(dtype))
    loss = loss.sum(input.ndim - 1) / jnp.asarray(input.shape[-1], loss.dtype)
    return reduced(loss, None, reduction, dtype)


def multi_margin_loss(
    input: jax.Array,
    target: jax.Array,
    p: int = 1,
    margin: float = 1.0,
    weight: jax.Array | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """Whether the score of the right class is the greatest, by a margin.

    `l = sum over c except t of weight[t] * max(0, margin - input[t] + input[c])^p / C` for the class `t = target`

    Args:
        input: scores, `(N, C)` or `(C,)`, floating.
        target: classes from 0 to C - 1, `(N,)`, or `()` or `(1,)` for one sample, int64 or int32.
        p: 1 or 2.
        margin: by how much.
        weight: `(C,)`, dtype of `input`.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Shape:
        `(N, C)` and `(N,)` to `()`, or to `(N,)` without reduction.

    Raises:
        TypeError: dtypes do not fit.
        ValueError: shapes do not fit, another `p`, a class out of range, or an unknown reduction.

    Differences from torch: classes may be int32, scores half precision; there is a second derivative. Traced classes
    (under `jax.jit`) cannot be refused; those out of range give NaN.

    >>> multi_margin_loss(jnp.array([[0.0, 1.0, 0.5, -2.0]]), jnp.array([0])).item()
    0.875

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.multi_margin_loss.html
    """
    input, target = arrays(input=input, target=target)
    margin, reduction = check.number("margin", margin), legacy_reduction(size_average, reduce, reduction)
    p = power(p)
    dtype = floating(input)
    rows = _rows(input)
    samples, size = rows.shape
    if target.shape != (samples,) and not (samples == 1 and target.shape == () and input.ndim <= 2):
        raise ValueError(f"target: expected shape {(samples,)} for input of shape {input.shape}, got {target.shape}")
    classes = _labels(target, 0, size).reshape(samples)
    if weight is not None:
        weight = class_weight(check.array("weight", weight))
        if weight.shape != (size,):
            raise ValueError(f"weight: expected shape {(size,)}, one for each class, got {weight.shape}")
        check.same_dtype(input=input, weight=weight)
    x = wide(rows)
    right = jnp.take_along_axis(x, classes[:, None], 1, mode="clip")
    excess = margin - right + x
    # chosen before the power, whose derivative at an infinity that does not count would be NaN
    counts = (excess > 0) & (jnp.arange(size, dtype=classes.dtype)[None] != classes[:, None])
    excess = jnp.where(counts, excess, jnp.zeros((), x.dtype))
    loss = (jnp.square(excess) if p == 2 else excess).sum(1)
    if weight is not None:
        loss = loss * rows_at(wide(weight), classes, "clip")
    loss = _nan_where((classes < 0) | (classes >= size), loss / size).reshape(target.shape)
    return reduced(loss, None, reduction, dtype)


def multilabel_margin_loss(
    input: jax.Array,
    target: jax.Array,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """Whether the scores of the right classes are greater than all others, by 1.

    `l = sum over t of sum over c of max(0, 1 - input[t] + input[c]) / C` for the classes `t` in `target` before the
    first -1, and all `c` that are not among them

    Args:
        input: scores, `(N, C)` or `(C,)`, floating.
        target: classes from 0 to C - 1, ended by -1, the shape of `input`, int64 or int32.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Shape:
        `(N, C)` and `(N, C)` to `()`, or to `(N,)` without reduction.

    Raises:
        TypeError: dtypes do not fit.
        ValueError: shapes do not fit, a class out of range, or an unknown reduction.

    Differences from torch: classes may be int32, scores half precision. Traced classes (under `jax.jit`) cannot be
    refused; a sample with one out of range gives NaN.

    >>> x = jnp.array([[0.1, 0.2, 0.4, 0.8]])
    >>> round(multilabel_margin_loss(x, jnp.array([[3, 0, -1, 1]])).item(), 4)
    0.85

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.multilabel_margin_loss.html
    """
    input, target = arrays(input=input, target=target)
    reduction = legacy_reduction(size_average, reduce, reduction)
    dtype = floating(input)
    rows = _rows(input)
    single = input.ndim < 2 and target.ndim < 2 and target.size == input.size
    if target.shape != input.shape and not single:
        raise ValueError(f"target: expected the shape of input, {input.shape}, got {target.shape}")
    size = rows.shape[1]
    classes = _labels(target, -1, size).reshape(rows.shape)
    loss = automatic(_pairs, layout(rows)[:1], wide(rows), classes) / size
    loss = _nan_where(((classes < -1) | (classes >= size)).any(1), loss).reshape(input.shape[:-1])
    return reduced(loss, None, reduction, dtype)


def power(p: Any) -> int:
    """The exponent of `multi_margin_loss`."""
    if isinstance(p, str) or p not in (1, 2):
        raise ValueError(f"p: expected 1 or 2, got {p!r}")
    return int(p)


def class_weight(weight: jax.Array) -> jax.Array:
    """The weight of `multi_margin_loss`."""
    check.rank("weight", weight, {1: "(C,)"})
    return weight


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _logistic(x: jax.Array, dtype: Any) -> jax.Array:
    return jnp.log1p(_exponential(x, dtype))


@_logistic.defjvp
def _logistic_jvp(dtype: Any, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    """torch's derivative, which is NaN where the exponential overflows."""
    exponential = _exponential(primals[0], dtype)
    return jnp.log1p(exponential), tangents[0] * (exponential / (1 + exponential))


def _exponential(x: jax.Array, dtype: Any) -> jax.Array:
    """In half precision it overflows early, as torch's does."""
    return wide(jnp.exp(x.astype(dtype)))


@jax.custom_jvp
def _pairs(x: jax.Array, classes: jax.Array) -> jax.Array:
    """For each row the sum of `max(0, 1 - x[t] + x[c])` over its classes `t` and all others `c`."""
    return _sums(x, classes)[0]


@_pairs.defjvp
def _pairs_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    """The slope is summed together with the loss: what autodiff would keep is one number for each pair of classes."""
    loss, slope = _sums(*primals)
    return loss, (slope * tangents[0]).sum(1)


@jax.jit
def _sums(x: jax.Array, classes: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The loss and its slope, from so many classes at once that pairs of them take little memory."""
    samples, size = x.shape
    given = jnp.cumsum(classes == -1, axis=1) == 0
    index = jnp.clip(classes, 0, size - 1)
    rows = jnp.arange(samples)[:, None]
    others = ~jnp.zeros(x.shape, bool).at[rows, index].max(given)

    def step(sums: tuple[jax.Array, jax.Array], block: tuple[jax.Array, jax.Array]) -> tuple[Any, None]:
        (loss, slope), (index, given) = sums, block
        excess = 1 - jnp.take_along_axis(x, index, 1)[:, :, None] + x[:, None, :]
        counts = (excess > 0) & given[:, :, None] & others[:, None, :]
        loss = loss + jnp.where(counts, excess, jnp.zeros((), x.dtype)).sum((1, 2))
        slope = slope + counts.sum(1).astype(x.dtype)
        return (loss, slope.at[rows, index].add(-counts.sum(2).astype(x.dtype))), None

    def blocks(of: jax.Array) -> jax.Array:
        padded = jnp.pad(of, ((0, 0), (0, -size % BLOCK)))  # with False among `given`
        return padded.reshape(samples, padded.shape[1] // BLOCK, BLOCK).swapaxes(0, 1)

    loss, slope, *_ = alike(jnp.zeros(samples, x.dtype), jnp.zeros_like(x), x, classes)
    return lax.scan(step, (loss, slope), (blocks(index), blocks(given)))[0]


def _rows(input: jax.Array) -> jax.Array:
    """The scores as `(N, C)`."""
    check.rank("input", input, {0: "()", 1: "(C,)", 2: "(N, C)"})
    if input.ndim and not input.shape[-1]:
        raise ValueError(f"input: expected at least one class, got shape {input.shape}")
    return input if input.ndim == 2 else input.reshape(1, -1)


def _labels(target: jax.Array, low: int, size: int) -> jax.Array:
    if target.dtype not in (jnp.int64, jnp.int32):
        raise TypeError(f"target: expected classes of dtype int64 or int32, got {target.dtype}")
    if not isinstance(target, jax.core.Tracer):
        classes = np.asarray(target)
        outside = classes[(classes < low) | (classes >= size)]
        if outside.size:
            raise ValueError(f"target: expected classes from {low} to {size - 1}, got {outside.flat[0]}")
    return target


def _nan_where(wrong: jax.Array, loss: jax.Array) -> jax.Array:
    return jnp.where(wrong, np.full((), np.nan, loss.dtype), loss)
