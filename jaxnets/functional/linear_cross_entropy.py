"""Cross entropy of an affine map, without all its scores at once: `torch.nn.functional.linear_cross_entropy`."""

import math
import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets import check
from jaxnets.functional.linear import linear
from jaxnets.functional.loss import classes_for, cross_entropy, nll_terms
from jaxnets.functional.precision import HALF, wide
from jaxnets.functional.reduction import arrays, legacy_reduction, reduced
from jaxnets.functional.softmax import log_softmax_at

__all__ = ["linear_cross_entropy"]

AUTOMATIC = "aspect_ratio:2"  # torch's choice for what it has not measured


@dataclass(frozen=True, slots=True)
class LinearCrossEntropyOptions:
    """How many samples `linear_cross_entropy` computes the scores of at once.

    The scores of `N` samples and `C` classes take `N * C` numbers. With options only those of one chunk of samples
    exist at a time; they are computed once more for the derivative.

    Args:
        allow_retain_graph: has no effect, a derivative can be taken any number of times.
        batch_chunk_size: samples in a chunk, at least 1; all of them when not given and there is no method.
        chunking_method: "aspect_ratio" for as many samples as make the chunk's scores about as large as the whole
            input, "aspect_ratio:n" for an n-th of that, "auto" for "aspect_ratio:2", None for `batch_chunk_size`.
        acc_policy: "auto", "accurate", "balanced" or "compact"; has no effect, half precision is summed in float32.
        acc_dtype: dtype of sums: that of the input, or float32 for half precision; sums have it in any case.

    Raises:
        ValueError: a value that torch does not know.

    Differences from torch: see `allow_retain_graph`, `chunking_method`, `acc_policy`, `acc_dtype`.

    >>> LinearCrossEntropyOptions(batch_chunk_size=2).batch_chunk_size
    2

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LinearCrossEntropyOptions.html
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: Any = None

    def __post_init__(self) -> None:
        check.choice("acc_policy", self.acc_policy, ("auto", "accurate", "balanced", "compact"))
        if self.chunking_method not in (None, "auto"):
            _factor(self.chunking_method)
        if self.batch_chunk_size is not None:
            check.integer("batch_chunk_size", self.batch_chunk_size, least=1)
        if self.acc_dtype is not None:
            kinds = (*HALF, jnp.float32, jnp.float64)
            if not any(jnp.dtype(self.acc_dtype) == jnp.dtype(kind) for kind in kinds):
                raise ValueError(
                    f"acc_dtype: expected None, float16, bfloat16, float32 or float64, got {self.acc_dtype!r}"
                )


def linear_cross_entropy(
    input: jax.Array,
    linear_weight: jax.Array,
    target: jax.Array,
    *,
    linear_bias: jax.Array | None = None,
    weight: jax.Array | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: LinearCrossEntropyOptions | None = None,
) -> jax.Array:
    """Cross entropy of an affine map.

    `cross_entropy(input @ linear_weightᵀ + linear_bias, target)`

    Args:
        input: `(N, F)` or `(F,)`.
        linear_weight: `(C, *, F)`, dtype of `input`.
        target: classes from 0 to C - 1, `(N, *)` or `()`; or floating probabilities, `(N, C, *)` or `(C,)`.
        linear_bias: `(C, *)`.
        weight: `(C,)`, dtype of `input`.
        reduction: "none", "sum" or "mean", as in `cross_entropy`.
        ignore_index: a class that does not count, -100 when not given; only for targets that are classes.
        label_smoothing: in [0, 1].
        options: computes the scores in chunks of samples. Used only for classes, without `*` and label smoothing.

    Shape:
        `(N, F)`, `(C, *, F)` and `(N, *)` or `(N, C, *)` to `()`, or to `(N, *)` without reduction.

    Raises:
        TypeError: dtypes do not fit.
        ValueError: shapes do not fit, an unknown reduction, a class out of range, `ignore_index` with probabilities,
            options that contradict each other.

    Differences from torch: as `cross_entropy`; with options there are derivatives of every order.

    >>> x, weight = jnp.ones((3, 2)), jnp.zeros((4, 2))
    >>> round(linear_cross_entropy(x, weight, jnp.array([0, 1, 2])).item(), 4)
    1.3863

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.linear_cross_entropy.html
    """
    input, linear_weight, target = arrays(input=input, linear_weight=linear_weight, target=target)
    linear_bias = None if linear_bias is None else check.array("linear_bias", linear_bias)
    reduction = legacy_reduction(None, None, reduction)
    smoothing = check.probability("label_smoothing", label_smoothing)
    if ignore_index is not None:
        ignore_index = check.integer("ignore_index", ignore_index)
    if options is not None and not isinstance(options, LinearCrossEntropyOptions):
        raise TypeError(
            f"options: expected LinearCrossEntropyOptions, got {options!r} of type {type(options).__name__}"
        )
    check.same_dtype(input=input, linear_weight=linear_weight, linear_bias=linear_bias)
    outer = _fitting(input, linear_weight, linear_bias)
    classes, features = linear_weight.shape[0], linear_weight.shape[-1]
    shape = (*input.shape[:-1], classes, *outer)
    if target.shape == shape and ignore_index is not None:
        raise ValueError(f"ignore_index: expected None where target has probabilities, got {ignore_index}")
    ignore_index = -100 if ignore_index is None else ignore_index
    if options is not None:
        if not outer and not smoothing and jnp.issubdtype(target.dtype, jnp.integer):
            rows = _rows(options, input, classes)
            return _chunked(input, linear_weight, target, linear_bias, weight, reduction, ignore_index, rows)
        warnings.warn(
            "linear_cross_entropy: options ignored; they need targets that are classes, no label smoothing, and a "
            f"linear_weight of two axes, got target of {target.dtype}, label_smoothing={smoothing}, linear_weight of "
            f"shape {linear_weight.shape}",
            stacklevel=2,
        )
    outputs = math.prod(outer, start=classes)
    flat = None if linear_bias is None else linear_bias.reshape(outputs)
    logits = linear(input, linear_weight.reshape(outputs, features), flat).reshape(shape)
    return cross_entropy(
        logits, target, weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=smoothing
    )


def _chunked(
    input: jax.Array,
    linear_weight: jax.Array,
    target: jax.Array,
    linear_bias: jax.Array | None,
    weight: jax.Array | None,
    reduction: str,
    ignore_index: int,
    rows: int,
) -> jax.Array:
    scores = jax.ShapeDtypeStruct((*input.shape[:-1], linear_weight.shape[0]), input.dtype)
    target, weight = classes_for(scores, target, weight, ignore_index)
    x, classes = jnp.atleast_2d(input), target.reshape(-1)
    matrix, bias = wide(linear_weight).T, None if linear_bias is None else wide(linear_bias)

    # What is computed again for the derivative is not kept until then.
    @partial(jax.checkpoint, prevent_cse=False)
    def terms(chunk: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        x, classes = chunk
        logits = wide(x) @ matrix
        if bias is not None:
            logits = logits + jnp.broadcast_to(bias, logits.shape)
        return nll_terms(partial(log_softmax_at, logits, axis=1), logits.shape[1], classes, weight, ignore_index)[:2]

    whole = len(x) // rows * rows
    parts = []
    if whole:
        chunks = x[:whole].reshape(-1, rows, x.shape[1]), classes[:whole].reshape(-1, rows)
        parts.append(tuple(y.reshape(-1) for y in lax.map(terms, chunks)))
    if whole < len(x) or not parts:
        parts.append(terms((x[whole:], classes[whole:])))
    loss, weights = (jnp.concatenate(part) for part in zip(*parts, strict=True))
    if reduction == "none":
        loss = loss.reshape(target.shape)
    return reduced(loss, weights, reduction, input.dtype)


def _fitting(input: jax.Array, linear_weight: jax.Array, linear_bias: jax.Array | None) -> tuple[int, ...]:
    """The axes of `linear_weight` between the first and the last, if all shapes fit."""
    check.rank("input", input, {1: "(F,)", 2: "(N, F)"})
    if linear_weight.ndim < 2:
        raise ValueError(f"linear_weight: expected at least 2 axes, (C, *, F), got shape {linear_weight.shape}")
    if input.shape[-1] != linear_weight.shape[-1]:
        raise ValueError(
            f"input: expected the last axis to have {linear_weight.shape[-1]} entries as that of linear_weight, "
            f"got shape {input.shape}"
        )
    if linear_bias is not None and linear_bias.shape != linear_weight.shape[:-1]:
        raise ValueError(f"linear_bias: expected shape {linear_weight.shape[:-1]}, got {linear_bias.shape}")
    outer = linear_weight.shape[1:-1]
    if outer and input.ndim == 1:
        raise ValueError(
            f"input: expected a batch, (N, {input.shape[-1]}), for linear_weight of shape {linear_weight.shape}, "
            f"got shape {input.shape}"
        )
    return outer


def _rows(options: LinearCrossEntropyOptions, input: jax.Array, classes: int) -> int:
    """How many samples make a chunk."""
    accumulator = None if options.acc_dtype is None else jnp.dtype(options.acc_dtype)
    if accumulator not in (None, input.dtype) and not (input.dtype in HALF and accumulator == jnp.float32):
        raise ValueError(
            f"options.acc_dtype: expected None, {input.dtype}, or float32 with half precision, got {accumulator}"
        )
    samples, features = (1, *input.shape)[-2:]
    method, asked = options.chunking_method, options.batch_chunk_size
    if method == "auto":
        method = AUTOMATIC if asked is None else None
    if method is None:
        return max(1, samples if asked is None else min(asked, samples))
    level = -(-samples // max(1, -(-classes // max(1, features))))
    rows = min((1 << (level - 1).bit_length()) // _factor(method), samples)
    if asked not in (None, rows):
        raise ValueError(
            f"options: batch_chunk_size={asked} and chunking_method={method!r}, which gives {rows}, contradict each "
            "other; pass one of them"
        )
    return max(1, rows)


def _factor(method: Any) -> int:
    name, colon, factor = method.partition(":") if isinstance(method, str) else ("", "", "")
    factor = factor if colon else "1"
    if name != "aspect_ratio" or not factor.isdigit() or not int(factor):
        raise ValueError(
            f"chunking_method: expected None, 'auto', 'aspect_ratio' or 'aspect_ratio:n' with a positive n, "
            f"got {method!r}"
        )
    return int(factor)
