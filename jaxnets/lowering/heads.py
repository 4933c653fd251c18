"""Attention of all heads, or head by head where the scores of one fill a CPU's caches: a table."""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.lowering.choice import Form, choose

__all__ = ["FORMS", "Problem", "of_all_heads"]

Attention = Callable[[jax.Array, jax.Array, jax.Array, jax.Array | None], jax.Array]
"""Attention of `(*, L, E)`, `(*, S, E)`, `(*, S, Ev)` and a mask `(*, L, S)` or None, whose leading axes broadcast.

It is hashable: two that are equal are one in the compiled program.
"""


class Problem(NamedTuple):
    """What the choice of a form looks at: the leading axes of the result, the bytes of one head's scores, the mesh."""

    leading: tuple[int, ...]
    scores: int
    has_explicit_axes: bool

    @classmethod
    def of(cls, query: jax.Array, key: jax.Array, value: jax.Array) -> "Problem":
        """That of some arrays, of whose heads those of key and value may serve several of query each."""
        arrays = query, key, value
        most = max((x.shape[-3] for x in arrays if x.ndim > 2), default=1)
        leading = (*jnp.broadcast_shapes(*(x.shape[:-3] for x in arrays)), most)
        scores = query.shape[-2] * key.shape[-2] * query.dtype.itemsize
        return cls(leading, scores, not jax.typeof(query).sharding.mesh.empty)

    @property
    def heads(self) -> int:
        return math.prod(self.leading)


def of_all_heads(
    attention: Attention, query: jax.Array, key: jax.Array, value: jax.Array, mask: jax.Array | None
) -> jax.Array:
    """`attention`, in the form of the platform."""
    form = choose(FORMS, Problem.of(query, key, value))
    if form.compute is whole:
        return attention(query, key, value, mask)
    return lax.platform_dependent(query, key, value, mask, cpu=partial(form, attention), default=attention)


def whole(
    attention: Attention, query: jax.Array, key: jax.Array, value: jax.Array, mask: jax.Array | None
) -> jax.Array:
    """All at once."""
    return attention(query, key, value, mask)


def head_by_head(
    attention: Attention, query: jax.Array, key: jax.Array, value: jax.Array, mask: jax.Array | None
) -> jax.Array:
    """One head after the other; the gradient computes each head's scores again, and none are kept."""
    problem = Problem.of(query, key, value)

    def rows(x: jax.Array) -> jax.Array:
        if x.ndim > 2 and x.shape[-3] > 1:  # where it serves several consecutive heads of query each
            x = jnp.repeat(x, problem.leading[-1] // x.shape[-3], axis=-3)
        return jnp.broadcast_to(x, (*problem.leading, *x.shape[-2:])).reshape(problem.heads, *x.shape[-2:])

    # turned, so that their gradients are: a product with scores turned around is a third as fast
    arrays: tuple[jax.Array, ...] = (rows(query), rows(key).mT, rows(value).mT)
    shared = None
    if mask is not None and mask.size == mask.shape[-2] * mask.shape[-1]:
        shared = mask.reshape(mask.shape[-2:])
    elif mask is not None:
        arrays = (*arrays, rows(mask))

    @jax.checkpoint
    def one(arrays: tuple[jax.Array, ...]) -> jax.Array:
        query, key, value, *own = arrays
        return attention(query, key.mT, value.mT, own[0] if own else shared)

    found = lax.map(one, arrays)
    return found.reshape(*problem.leading, *found.shape[-2:])


FORMS = (
    Form(
        "head by head",
        head_by_head,
        can=lambda p: p.heads > 1 and not p.has_explicit_axes,
        pays=lambda p: p.scores >= 2**20 and p.heads * p.scores >= 2**24,
    ),
    Form("whole", whole),
)
"""By the measurements of `python -m benchmarks.forms`."""
