"""Attention head by head, where the scores of one fill a CPU's caches: those of all are never held at once."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

__all__ = ["head_by_head"]

LARGE = 1 << 20, 1 << 24
"""Bytes of one head's scores, and of all: with fewer of either it is slower, as the benchmark's scaling rows show."""

Attention = Callable[[jax.Array, jax.Array, jax.Array, jax.Array | None], jax.Array]


def head_by_head(
    attention: Attention, query: jax.Array, key: jax.Array, value: jax.Array, mask: jax.Array | None
) -> jax.Array:
    """`attention` of `(*, L, E)`, `(*, S, E)`, `(*, S, Ev)` and a mask `(*, L, S)`, whose leading axes broadcast.

    For few scores, on an accelerator, or on a mesh with explicit axes, it is called once for all. Else it is called for
    one head after the other, and its gradient computes the scores again.
    """
    most = max((x.shape[-3] for x in (query, key, value) if x.ndim > 2), default=1)
    leading = (*jnp.broadcast_shapes(*(x.shape[:-3] for x in (query, key, value))), most)
    heads = math.prod(leading)
    scores = query.shape[-2] * key.shape[-2] * query.dtype.itemsize
    if scores < LARGE[0] or heads * scores < LARGE[1] or heads < 2 or not jax.typeof(query).sharding.mesh.empty:
        return attention(query, key, value, mask)

    def rows(x: jax.Array) -> jax.Array:
        if x.ndim > 2 and x.shape[-3] > 1:  # where it serves several consecutive heads of query each
            x = jnp.repeat(x, most // x.shape[-3], axis=-3)
        return jnp.broadcast_to(x, (*leading, *x.shape[-2:])).reshape(heads, *x.shape[-2:])

    def one_by_one(query: jax.Array, key: jax.Array, value: jax.Array, mask: jax.Array | None) -> jax.Array:
        arrays = tuple(map(rows, (query, key, value)))
        shared = None
        if mask is not None and mask.size == mask.shape[-2] * mask.shape[-1]:
            shared = mask.reshape(mask.shape[-2:])
        elif mask is not None:
            arrays = (*arrays, rows(mask))

        @jax.checkpoint
        def one(arrays: tuple[jax.Array, ...]) -> jax.Array:
            query, key, value, *own = arrays
            return attention(query, key, value, own[0] if own else shared)

        found = lax.map(one, arrays)
        return found.reshape(*leading, *found.shape[-2:])

    return lax.platform_dependent(query, key, value, mask, cpu=one_by_one, default=attention)
