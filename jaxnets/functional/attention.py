"""Attention: `torch.nn.functional.scaled_dot_product_attention`, `multi_head_attention_forward`."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets import check
from jaxnets.functional.dropout import dropout
from jaxnets.functional.linear import linear
from jaxnets.functional.precision import HALF, wide
from jaxnets.functional.softmax import softmax, softmax_along
from jaxnets.lowering.heads import of_all_heads

__all__ = ["multi_head_attention_forward", "scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    attn_mask: jax.Array | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    dropout_key: jax.Array | None = None,
) -> jax.Array:
    """Means of values, weighted by how well their keys match each query.

    `softmax(scale * Q Kᵀ + mask) V`

    A query that may look at no key (its row of the mask is -inf throughout, or there are no keys) gets zeros.

    Args:
        query: `(*, L, E)`, floating.
        key: `(*, S, E)`.
        value: `(*, S, Ev)`; the leading axes of all three broadcast.
        attn_mask: broadcasts to `(*, L, S)`: booleans, True where a query may look, or numbers that are added.
        dropout_p: probability that a weight is dropped, in [0, 1]; whoever evaluates passes 0.
        is_causal: whether query `i` may look at the keys 0 to `i` only; not together with `attn_mask`.
        scale: factor of the products, `1 / sqrt(E)` when not given.
        enable_gqa: whether each head of `key` and of `value` serves several consecutive heads of `query`; heads are
            the third axis from the end.
        dropout_key: a jax random key; needed unless `dropout_p` is 0 or 1.

    Shape:
        `(*, L, E)`, `(*, S, E)`, `(*, S, Ev)` to `(*, L, Ev)`.

    Raises:
        TypeError: dtypes that differ or are not floating, a mask that is neither boolean nor of the query's dtype
            (float32 is taken with half precisions too).
        ValueError: shapes do not fit, a mask beside `is_causal`, `dropout_p` is no probability, `dropout_key` is
            missing.

    Differences from torch: the random numbers come from `dropout_key`. In half precision the scores and their softmax
    are computed in float32; on CUDA large ones, without mask and dropout, by cuDNN, which keeps none. A masked key of
    NaN makes its row NaN, but with `is_causal` it does not, whichever of its kernels torch would choose.

    >>> q, k = jnp.array([[1.0, 0.0]]), jnp.array([[1.0, 0.0], [0.0, 1.0]])
    >>> scaled_dot_product_attention(q, k, jnp.array([[1.0], [3.0]]), scale=0.0).tolist()
    [[2.0]]
    >>> scaled_dot_product_attention(q, k, jnp.array([[1.0], [3.0]]), jnp.array([[True, False]])).tolist()
    [[1.0]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html
    """
    query, key, value = check.array("query", query), check.array("key", key), check.array("value", value)
    check.same_dtype(query=query, key=key, value=value)
    _check_floating(query)
    dropout_p = check.probability("dropout_p", dropout_p)
    is_causal = check.flag("is_causal", is_causal)
    scale = None if scale is None else check.number("scale", scale)
    scores = _scores_shape(query, key, value, check.flag("enable_gqa", enable_gqa))
    if attn_mask is not None:
        if is_causal:
            raise ValueError("attn_mask: expected None beside is_causal=True, got a mask; pass one of them")
        attn_mask = _mask_for("attn_mask", attn_mask, query.dtype, scores)
    return _attend(query, key, value, attn_mask, is_causal, scale, False, dropout_p, dropout_key)[0]


def multi_head_attention_forward(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: jax.Array | None,
    in_proj_bias: jax.Array | None,
    bias_k: jax.Array | None,
    bias_v: jax.Array | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: jax.Array,
    out_proj_bias: jax.Array | None,
    training: bool = True,
    key_padding_mask: jax.Array | None = None,
    need_weights: bool = True,
    attn_mask: jax.Array | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: jax.Array | None = None,
    k_proj_weight: jax.Array | None = None,
    v_proj_weight: jax.Array | None = None,
    static_k: jax.Array | None = None,
    static_v: jax.Array | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
    *,
    dropout_key: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array | None]:
    """Attention in several heads, each in its own projection of queries, keys and values.

    `concat(head_1, ..., head_H) W_oᵀ + b_o`, `head_i = softmax(q_i k_iᵀ / sqrt(E / H) + mask) v_i`,
    `q = query W_qᵀ + b_q`, and `k`, `v` likewise

    One matrix product projects what is one and the same array: all three, or key and value.

    Args:
        query: `(L, N, E)`, or `(L, E)` without a batch.
        key: `(S, N, E)` or `(S, E)`; with separate weights the last axis may differ.
        value: `(S, N, E)` or `(S, E)`; with separate weights the last axis may differ.
        embed_dim_to_check: `E`.
        num_heads: `H`, a divisor of `E`.
        in_proj_weight: `(3 * E, E)`, rows of query, key, value in this order; None with separate weights.
        in_proj_bias: `(3 * E,)`, or None.
        bias_k: `(1, 1, E)`, one more key for every sequence, or None.
        bias_v: `(1, 1, E)`, its value, or None.
        add_zero_attn: whether to append a key and a value of zeros.
        dropout_p: probability that a weight is dropped in training, in [0, 1].
        out_proj_weight: `(E_out, E)`.
        out_proj_bias: `(E_out,)`, or None.
        training: whether to drop.
        key_padding_mask: `(N, S)` or `(S,)`: booleans, True where a key is ignored, or numbers that are added.
        need_weights: whether to return the weights.
        attn_mask: `(L, S)` or `(N * H, L, S)`: booleans, True where a query may not look, or numbers that are added.
        use_separate_proj_weight: whether the weights are the next three arguments, not `in_proj_weight`.
        q_proj_weight: `(E, E)`.
        k_proj_weight: `(E, E_k)`.
        v_proj_weight: `(E, E_v)`.
        static_k: `(N * H, S, E / H)`, taken in place of the projected keys.
        static_v: `(N * H, S, E / H)`, taken in place of the projected values.
        average_attn_weights: whether the weights are averaged over heads.
        is_causal: a hint that `attn_mask` is causal. With neither weights to return nor a `key_padding_mask`, a
            causal mask is then put in its place, whatever it says.
        dropout_key: a jax random key; needed in training unless `dropout_p` is 0 or 1.

    Returns:
        The output, and the weights as they were applied, or None.

    Shape:
        `(L, N, E_out)` or `(L, E_out)`; weights `(N, L, S)` or `(L, S)` averaged, `(N, H, L, S)` or `(H, L, S)` not.
        `bias_k` and `add_zero_attn` make S greater by one each.

    Raises:
        TypeError: dtypes that differ; a mask that is neither boolean nor of the query's dtype.
        ValueError: shapes do not fit, a hint without a mask, an argument that is missing.

    Differences from torch: the random numbers come from `dropout_key`. A query that may look at no key gives NaN
    with `need_weights`, and zeros in the heads without, as in torch.

    >>> x, w = jnp.array([[1.0, 2.0], [1.0, 2.0]]), jnp.eye(2)
    >>> in_proj = jnp.concatenate([w, w, w])
    >>> y, weights = multi_head_attention_forward(x, x, x, 2, 1, in_proj, None, None, None, False, 0.0, w, None)
    >>> y.tolist(), weights.tolist()
    ([[1.0, 2.0], [1.0, 2.0]], [[0.5, 0.5], [0.5, 0.5]])

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.multi_head_attention_forward.html
    """
    query, key, value = check.array("query", query), check.array("key", key), check.array("value", value)
    check.rank("query", query, {2: "(L, E)", 3: "(L, N, E)"})
    batched = query.ndim == 3
    for name, x in (("key", key), ("value", value)):
        check.rank(name, x, {3: "(S, N, E)"} if batched else {2: "(S, E)"})
    attn_mask = None if attn_mask is None else check.array("attn_mask", attn_mask)
    if not batched:
        query, key, value = each(lambda x: x[:, None], query, key, value)
    heads = check.integer("num_heads", num_heads, least=1)
    _check_sizes(query, key, value, check.integer("embed_dim_to_check", embed_dim_to_check), heads)
    _check_floating(query)
    (L, N, E), S = query.shape, len(key)
    need_weights = check.truth("need_weights", need_weights)
    dropout_p = check.probability("dropout_p", dropout_p) if check.truth("training", training) else 0.0

    is_causal = check.truth("is_causal", is_causal)
    if is_causal and attn_mask is None:
        raise ValueError(
            "attn_mask: expected a mask beside the hint is_causal=True, got None; pass "
            "Transformer.generate_square_subsequent_mask(L)"
        )
    # the hint counts where no other mask is to be merged in, and then the mask itself does not
    is_causal = is_causal and key_padding_mask is None and not need_weights
    formed = partial(_formed, dtype=query.dtype, exact=need_weights)
    masks = []
    if key_padding_mask is not None:
        mask = canonical_mask("key_padding_mask", key_padding_mask, query.dtype, "attn_mask", attn_mask)
        masks.append(formed("key_padding_mask", mask, {((N, S) if batched else (S,)): (N, 1, 1, S)}))
    if attn_mask is not None and not is_causal:
        mask = canonical_mask("attn_mask", attn_mask, query.dtype)
        masks.append(formed("attn_mask", mask, {(L, S): (1, 1, L, S), (N * heads, L, S): (N, heads, L, S)}))

    if check.truth("use_separate_proj_weight", use_separate_proj_weight):
        weights = {"q_proj_weight": q_proj_weight, "k_proj_weight": k_proj_weight, "v_proj_weight": v_proj_weight}
        projected = _project_apart((query, key, value), weights, in_proj_bias)
    else:
        projected = _project_packed(query, key, value, in_proj_weight, in_proj_bias)
    q, k, v = (jnp.transpose(x.reshape(*x.shape[:2], heads, E // heads), (1, 2, 0, 3)) for x in projected)
    k = k if static_k is None else _static("static_k", static_k, k)
    v = v if static_v is None else _static("static_v", static_v, v)
    if bias_k is not None and not (static_k is None and static_v is None):
        raise ValueError("bias_k: expected None beside static_k or static_v, got an array")
    k, v, added = _appended(k, v, bias_k, bias_v, check.truth("add_zero_attn", add_zero_attn))
    if k.shape != v.shape:
        raise ValueError(f"static_v: expected as many values as keys, {k.shape[2]}, got {v.shape[2]}")
    merged = _merged(masks, added, k.shape[2])

    scale = 1 / math.sqrt(E // heads)
    if need_weights and q.dtype not in HALF:
        q, scale = q * scale, 1.0  # here as in torch: a softmax of great scores shows in which order they were rounded
    attended, applied = _attend(q, k, v, merged, is_causal, scale, need_weights, dropout_p, dropout_key)
    output = linear(jnp.transpose(attended, (2, 0, 1, 3)).reshape(L, N, E), out_proj_weight, out_proj_bias)
    output = output if batched else output[:, 0]
    if applied is None:
        return output, None
    applied = applied.mean(axis=1) if check.truth("average_attn_weights", average_attn_weights) else applied
    return output, (applied if batched else applied[0]).astype(query.dtype)


def each(function: Callable[[jax.Array], jax.Array], *arrays: jax.Array) -> tuple[jax.Array, ...]:
    """`function` of each array; of what is one and the same object only once, so that it stays one object."""
    done = {id(x): function(x) for x in arrays}
    return tuple(done[id(x)] for x in arrays)


def canonical_mask(
    name: str, mask: jax.Array, dtype: Any, other_name: str = "", other: jax.Array | None = None
) -> jax.Array:
    """A mask as numbers to be added: -inf where a boolean one is True. Warns, as torch, of an `other` mask's dtype."""
    mask = check.array(name, mask)
    if mask.dtype != bool and not jnp.issubdtype(mask.dtype, jnp.floating):
        raise TypeError(f"{name}: expected booleans or floating numbers, got {mask.dtype}; cast it with .astype(bool)")
    if other is not None and other.dtype != mask.dtype:
        warnings.warn(
            f"Support for mismatched {name} and {other_name} is deprecated. Use same type for both instead.",
            stacklevel=3,
        )
    return jnp.where(mask, -jnp.inf, jnp.zeros((), dtype)) if mask.dtype == bool else mask


def _scores_shape(query: jax.Array, key: jax.Array, value: jax.Array, grouped: bool) -> tuple[int, ...]:
    """The shape of `Q Kᵀ`; refuses arrays that do not fit."""
    least = "(*, H, L, E), with enable_gqa=True" if grouped else "(*, L, E)"
    for name, x in (("query", query), ("key", key), ("value", value)):
        if x.ndim < 2 + grouped:
            raise ValueError(f"{name}: expected {2 + grouped} axes or more, {least}, got shape {x.shape}")
    if key.shape[-1] != query.shape[-1]:
        raise ValueError(f"key: expected {query.shape[-1]} entries in the last axis, as in query, got {key.shape[-1]}")
    if value.shape[-2] != key.shape[-2]:
        raise ValueError(f"value: expected as many values as keys, {key.shape[-2]}, got {value.shape[-2]}")
    of_scores = _leading("key", key, query.shape[:-2], grouped)
    _leading("value", value, of_scores, grouped)
    return (*of_scores, query.shape[-2], key.shape[-2])


def _leading(name: str, x: jax.Array, others: tuple[int, ...], grouped: bool) -> tuple[int, ...]:
    """The leading axes of a product with `x`, whose heads may serve several of the others each."""
    mine = x.shape[:-2]
    if grouped:
        if not mine[-1] or others[-1] % mine[-1]:
            raise ValueError(f"{name}: expected a number of heads that divides query's {others[-1]}, got {mine[-1]}")
        mine = (*mine[:-1], others[-1])
    try:
        return jnp.broadcast_shapes(mine, others)
    except ValueError:
        hint = "" if grouped else "; pass enable_gqa=True if one head serves several of query"
        raise ValueError(
            f"{name}: expected leading axes that broadcast to {others}, got {x.shape[:-2]}{hint}"
        ) from None


def _attend(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    mask: jax.Array | None,
    is_causal: bool,
    scale: float | None,
    need_weights: bool,
    dropout_p: float,
    dropout_key: jax.Array | None,
) -> tuple[jax.Array, jax.Array | None]:
    """The attention itself, and its weights after dropout if they are asked for: of half precisions in float32."""
    if scale is None:
        scale = 1 / math.sqrt(max(query.shape[-1], 1))
    if 0 < dropout_p < 1 and dropout_key is None:
        raise ValueError(
            f"dropout_key: expected a jax random key with dropout_p={dropout_p}, got None; "
            "pass dropout_key=jax.random.key(0)"
        )
    if not need_weights and not dropout_p:
        return of_all_heads(_Attention(is_causal, scale), query, key, value, mask), None
    scores = _scores(query, key, mask, is_causal, scale)
    weights = softmax(scores, dim=-1) if need_weights else _softmax_or_zero(scores)
    weights = dropout(weights, dropout_p, key=dropout_key)
    return _weighted(weights, value), weights if need_weights else None


@dataclass(frozen=True)
class _Attention:
    """Attention with these settings."""

    is_causal: bool
    scale: float

    def __call__(self, query: jax.Array, key: jax.Array, value: jax.Array, mask: jax.Array | None) -> jax.Array:
        scores = _scores(query, key, mask, self.is_causal, self.scale)
        if query.dtype in HALF:
            return _weighted(_softmax_or_zero(scores), value)
        return _means(scores, value)


def _weighted(weights: jax.Array, value: jax.Array) -> jax.Array:
    """The sums of values, each by its weight."""
    return _product(weights.astype(value.dtype), value).astype(value.dtype)


def _scores(query: jax.Array, key: jax.Array, mask: jax.Array | None, is_causal: bool, scale: float) -> jax.Array:
    """`scale * Q Kᵀ + mask`, of half precisions in float32."""
    scores = _product(query, jnp.swapaxes(key, -1, -2)) * scale
    if is_causal:
        causal = jnp.tri(scores.shape[-2], scores.shape[-1], dtype=bool)
        scores = jnp.where(jnp.broadcast_to(causal, scores.shape), scores, -jnp.inf)
    if mask is None:
        return scores
    # added, also where it is boolean: in torch NaN behind a mask is seen
    if mask.dtype == bool:
        mask = jnp.where(mask, jnp.zeros((), scores.dtype), -jnp.inf)
    return scores + jnp.broadcast_to(mask.astype(scores.dtype), scores.shape)


def _product(a: jax.Array, b: jax.Array) -> jax.Array:
    """`a @ b`, of half precisions in float32. Where `b` has fewer heads, each serves several consecutive of `a`."""
    dtype = jnp.float32 if a.dtype in HALF else None
    ndim = max(a.ndim, b.ndim)
    a, b = (x.reshape(*(1,) * (ndim - x.ndim), *x.shape) for x in (a, b))
    if ndim == 2 or a.shape[-3] == b.shape[-3] or 1 in (a.shape[-3], b.shape[-3]):
        return jnp.matmul(a, b, preferred_element_type=dtype)
    a = a.reshape(*a.shape[:-3], b.shape[-3], a.shape[-3] // b.shape[-3], *a.shape[-2:])
    product = jnp.matmul(a, b[..., None, :, :], preferred_element_type=dtype)
    return product.reshape(*product.shape[:-4], product.shape[-4] * product.shape[-3], *product.shape[-2:])


@jax.custom_jvp
def _means(scores: jax.Array, value: jax.Array) -> jax.Array:
    """The product of `_softmax_or_zero` with the values: the means are divided by the sums, not each of the weights."""
    exponentials, total = _exponentials(scores)
    return _product(exponentials, value) / total


@_means.defjvp
def _means_jvp(primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[jax.Array, jax.Array]:
    (scores, value), (of_scores, of_value) = primals, tangents
    weights, of_weights = jax.jvp(_softmax_or_zero, (scores,), (of_scores,))
    return _means(scores, value), _product(of_weights, value) + _product(weights, of_value)


@jax.custom_jvp
def _softmax_or_zero(x: jax.Array) -> jax.Array:
    """Softmax over the last axis; a row of nothing but -inf gives zeros, with derivatives of zero."""
    exponentials, total = _exponentials(x)
    return exponentials / total


@_softmax_or_zero.defjvp
def _(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (x,), (dx,) = primals, tangents
    y = _softmax_or_zero(x)
    return y, softmax_along(y, dx, -1)


def _exponentials(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Numerators and denominator of a softmax over the last axis; of nothing but -inf 0 and nearly 0."""
    # maxima, since a choice by a comparison would have XLA compute all of this again for each reader
    info = jnp.finfo(x.dtype)
    greatest = lax.stop_gradient(jnp.max(x, axis=-1, keepdims=True, initial=-jnp.inf))
    exponentials = jnp.exp(x - jnp.maximum(greatest, info.min))
    return exponentials, jnp.maximum(exponentials.sum(axis=-1, keepdims=True), info.tiny)


def _mask_for(name: str, mask: jax.Array, dtype: Any, scores: tuple[int, ...]) -> jax.Array:
    """A mask of the scores: its dtype and shape are what torch takes."""
    mask = check.array(name, mask)
    _check_mask_dtype(name, mask, dtype, exact=False)
    try:
        fits = jnp.broadcast_shapes(mask.shape, scores) == scores
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"{name}: expected a shape that broadcasts to that of the scores, {scores}, got {mask.shape}")
    return mask.reshape(*(1,) * (len(scores) - mask.ndim), *mask.shape)


def _check_floating(query: jax.Array) -> None:
    if not jnp.issubdtype(query.dtype, jnp.floating):
        raise TypeError(f"query: expected a floating dtype, got {query.dtype}; cast it first")


def _check_sizes(query: jax.Array, key: jax.Array, value: jax.Array, embed_dim: int, heads: int) -> None:
    if query.shape[-1] != embed_dim:
        raise ValueError(f"query: expected the last axis to have embed_dim={embed_dim} entries, got {query.shape[-1]}")
    if embed_dim % heads:
        raise ValueError(f"num_heads: expected a divisor of embed_dim={embed_dim}, got {heads}")
    if key.shape[1] != query.shape[1]:
        raise ValueError(f"key: expected a batch of {query.shape[1]} as query has, got {key.shape[1]}")
    if value.shape[:2] != key.shape[:2]:
        raise ValueError(f"value: expected as many values and the batch of key, {key.shape[:2]}, got {value.shape[:2]}")


def _formed(
    name: str, mask: jax.Array, forms: dict[tuple[int, ...], tuple[int, ...]], *, dtype: Any, exact: bool
) -> jax.Array:
    """The mask in the form `(N, H, L, S)` that belongs to its shape, in the dtype of the scores."""
    if mask.shape not in forms:
        raise ValueError(f"{name}: expected shape {' or '.join(map(str, forms))}, got {mask.shape}")
    _check_mask_dtype(name, mask, dtype, exact)
    return wide(mask.reshape(forms[mask.shape]))


def _check_mask_dtype(name: str, mask: jax.Array, dtype: Any, exact: bool) -> None:
    """Refuses numbers of another dtype; float32 beside half precisions is not another unless `exact`."""
    half = dtype in HALF
    if mask.dtype not in (jnp.bool_, dtype) and (exact or not half or mask.dtype != jnp.float32):
        raise TypeError(f"{name}: expected booleans or numbers of dtype {dtype}, got {mask.dtype}; cast it first")


def _project_packed(
    query: jax.Array, key: jax.Array, value: jax.Array, weight: jax.Array | None, bias: jax.Array | None
) -> list[jax.Array]:
    """One product for all that is one array; `weight` has the rows of query, key, value."""
    E = query.shape[-1]
    weight = _parameter("in_proj_weight", weight, (3 * E, E))
    bias = None if bias is None else _parameter("in_proj_bias", bias, (3 * E,))
    check.same_dtype(query=query, key=key, value=value, in_proj_weight=weight, in_proj_bias=bias)
    for name, x in (("key", key), ("value", value)):
        if x.shape[-1] != E:
            raise ValueError(f"{name}: expected the last axis to have embed_dim={E} entries, got {x.shape[-1]}")
    if key is value:
        shares = [(query, 3)] if query is key else [(query, 1), (key, 2)]
    else:
        shares = [(query, 1), (key, 1), (value, 1)]
    projected, first = [], 0
    for x, share in shares:
        rows = slice(first * E, (first + share) * E)
        projected += jnp.split(linear(x, weight[rows], None if bias is None else bias[rows]), share, axis=-1)
        first += share
    return projected


def _project_apart(
    inputs: tuple[jax.Array, ...], weights: dict[str, jax.Array | None], bias: jax.Array | None
) -> list[jax.Array]:
    """A weight of its own for each of query, key, value; `bias` has the entries of all three."""
    E = inputs[0].shape[-1]
    biases = [None] * 3 if bias is None else jnp.split(_parameter("in_proj_bias", bias, (3 * E,)), 3)
    return [
        linear(x, _parameter(name, weight, (E, x.shape[-1])), b)
        for x, (name, weight), b in zip(inputs, weights.items(), biases, strict=True)
    ]


def _parameter(name: str, value: jax.Array | None, shape: tuple[int, ...]) -> jax.Array:
    if value is None:
        raise ValueError(f"{name}: expected an array of shape {shape}, got None")
    value = check.array(name, value)
    if value.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {value.shape}")
    return value


def _static(name: str, given: jax.Array, projected: jax.Array) -> jax.Array:
    """Keys or values that were given, `(N * H, S, D)`, in the form of the projected ones, `(N, H, S, D)`."""
    N, heads, _, size = projected.shape
    given = check.array(name, given)
    if given.ndim != 3 or (given.shape[0], given.shape[2]) != (N * heads, size):
        raise ValueError(f"{name}: expected shape ({N * heads}, S, {size}), got {given.shape}")
    return given.reshape(N, heads, given.shape[1], size)


def _appended(
    k: jax.Array, v: jax.Array, bias_k: jax.Array | None, bias_v: jax.Array | None, zero: bool
) -> tuple[jax.Array, jax.Array, int]:
    """Keys and values with the learned ones and the zeros behind them, and how many those are."""
    N, heads, _, size = k.shape
    keys, values = [k], [v]
    if not (bias_k is None and bias_v is None):
        for name, bias, into in (("bias_k", bias_k, keys), ("bias_v", bias_v, values)):
            if bias is None:
                raise ValueError(f"{name}: expected an array beside the other bias, got None")
            bias = check.array(name, bias)
            if bias.size != heads * size:
                raise ValueError(f"{name}: expected shape (1, 1, {heads * size}), got {bias.shape}")
            check.same_dtype(**{"query": k, name: bias})
            into.append(jnp.broadcast_to(bias.reshape(1, heads, 1, size), (N, heads, 1, size)))
    if zero:
        zeros = jnp.zeros((N, heads, 1, size), k.dtype)
        keys, values = [*keys, zeros], [*values, zeros]
    added = len(keys) - 1
    return jnp.concatenate(keys, axis=2), jnp.concatenate(values, axis=2), added


def _merged(masks: list[jax.Array], added: int, keys: int) -> jax.Array | None:
    """The sum of the masks, each with a column of zeros for every key that was added."""
    if not masks:
        return None
    mask = masks[0] if len(masks) == 1 else masks[0] + masks[1]
    mask = jnp.pad(mask, ((0, 0), (0, 0), (0, 0), (0, added)))
    if mask.shape[-1] != keys:
        raise ValueError(f"static_k: expected {mask.shape[-1] - added} keys, as the masks have, got {keys - added}")
    return mask
