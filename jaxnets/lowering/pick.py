"""One number of each line of an array."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

__all__ = ["pick"]


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def pick(x: jax.Array, index: jax.Array, axis: int) -> jax.Array:
    """`x` at `index` along an axis, which the result does not have; NaN where the index is out of range.

    The gradient is selected in the pass over memory that reads it; that of a gather is scattered into zeros before.
    """
    return jnp.take_along_axis(x, jnp.expand_dims(index, axis), axis, mode="fill").squeeze(axis)


@pick.defjvp
def _pick_jvp(axis: int, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    x, index = primals

    def spread(y: jax.Array) -> jax.Array:
        places = lax.broadcasted_iota(index.dtype, x.shape, axis)
        return jnp.where(places == jnp.expand_dims(index, axis), jnp.expand_dims(y, axis), jnp.zeros((), y.dtype))

    y = pick(x, index, axis)
    return y, jax.linear_transpose(spread, y)(tangents[0])[0]
