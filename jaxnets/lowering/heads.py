"""Attention of all heads, head by head where the scores of one fill a CPU's caches, or by cuDNN: a table."""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.lowering import cudnn
from jaxnets.lowering.choice import Form, choose
from jaxnets.lowering.cudnn import Attention

__all__ = ["FORMS", "Problem", "of_all_heads"]


class Problem(NamedTuple):
    """What the choice of a form looks at.

    The leading axes of the result, the bytes of one head's scores, whether there is a mesh, whether cuDNN computes it.
    """

    leading: tuple[int, ...]
    scores: int
    has_mesh: bool
    has_cudnn: bool

    @classmethod
    def of(cls, query: jax.Array, key: jax.Array, value: jax.Array, mask: jax.Array | None) -> "Problem":
        """That of some arrays, of whose heads those of key and value may serve several of query each."""
        arrays = query, key, value
        most = [max(counts)] if (counts := [x.shape[-3] for x in arrays if x.ndim > 2]) else []
        leading = (*jnp.broadcast_shapes(*(x.shape[:-3] for x in arrays)), *most)
        scores = query.shape[-2] * key.shape[-2] * max(query.dtype.itemsize, 4)
        has_mesh = not jax.typeof(query).sharding.mesh.empty
        return cls(leading, scores, has_mesh, mask is None and cudnn.has_attention(*arrays))

    @property
    def heads(self) -> int:
        return math.prod(self.leading)


def of_all_heads(
    attention: Attention, query: jax.Array, key: jax.Array, value: jax.Array, mask: jax.Array | None
) -> jax.Array:
    """`attention`, in the form of the platform."""
    form = choose(FORMS, Problem.of(query, key, value, mask))
    if form.compute is not head_by_head:
        return form.compute(attention, query, key, value, mask)
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
    problem = Problem.of(query, key, value, mask)

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


def in_cudnn(
    attention: Attention, query: jax.Array, key: jax.Array, value: jax.Array, mask: jax.Array | None
) -> jax.Array:
    """In one call that keeps no scores; where the program runs on a CPU after all, it is `whole` that stands there."""
    problem = Problem.of(query, key, value, mask)
    *leading, most = problem.leading or (1,)

    def of_batch(x: jax.Array, heads: int) -> jax.Array:
        return jnp.broadcast_to(x, (*leading, heads, *x.shape[-2:])).reshape(-1, heads, *x.shape[-2:])

    key, value = (of_batch(x, x.shape[-3] if x.ndim > 2 else 1) for x in (key, value))
    found = cudnn.attention(attention, of_batch(query, most), key, value)
    return found.reshape(*problem.leading, *found.shape[-2:])


FORMS = (
    Form("in cuDNN", in_cudnn, can=lambda p: p.has_cudnn and not p.has_mesh, pays=lambda p: p.scores >= 2**18),
    Form(
        "head by head",
        head_by_head,
        can=lambda p: p.heads > 1 and not p.has_mesh,
        pays=lambda p: p.scores >= 2**20 and p.heads * p.scores >= 2**24,
    ),
    Form("whole", whole),
)
"""By the measurements of `python -m benchmarks.forms`."""
