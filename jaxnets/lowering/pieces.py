"""Some examples after others: what is written for them stays in the caches, and the next use the same memory."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

__all__ = ["MAX_WRITTEN", "mapped", "summed"]

MAX_WRITTEN = 2**24
"""So many bytes stay in the caches: all that is written, or else what is written for one example."""
PIECE = 2**22
"""So many bytes are written for the examples of a piece, or for two of them."""


def mapped(compute: Callable[[jax.Array], jax.Array], x: jax.Array, written: int) -> jax.Array:
    """What `compute` makes of the examples of `x`, for each of which it writes so many bytes."""
    count = _at_a_time(len(x), written)
    if count >= len(x):
        return compute(x)
    pieces, rest = _apart(x, count)
    found = lax.map(compute, pieces)
    found = found.reshape(-1, *found.shape[2:])
    return jnp.concatenate([found, compute(rest)]) if len(rest) else found


def summed(compute: Callable[[jax.Array, jax.Array], jax.Array], x: jax.Array, y: jax.Array, written: int) -> jax.Array:
    """The sum of what it makes of the examples of two arrays."""
    count = _at_a_time(len(x), written)
    if count >= len(x):
        return compute(x, y)
    (xs, x_rest), (ys, y_rest) = _apart(x, count), _apart(y, count)

    def add(total: jax.Array, piece: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        return total + compute(*piece), None

    like = jax.eval_shape(compute, xs[0], ys[0])
    total = lax.scan(add, jnp.zeros(like.shape, like.dtype), (xs, ys))[0]
    return total + compute(x_rest, y_rest) if len(x_rest) else total


def _at_a_time(examples: int, written: int) -> int:
    """How many examples are a piece: two at least, of which XLA's CPU backend is much faster at a product."""
    if examples * written <= MAX_WRITTEN or written > MAX_WRITTEN:
        return examples
    most = max(PIECE // written, 2)
    return next((n for n in range(most, most // 2, -1) if n > 1 and examples % n == 0), most)


def _apart(x: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """Pieces of so many examples, and the rest."""
    whole = len(x) // count * count
    return x[:whole].reshape(-1, count, *x.shape[1:]), x[whole:]
