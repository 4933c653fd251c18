"""The precision in which a formula is computed, where it is not that of its input."""

import jax
import jax.numpy as jnp


def wide(x: jax.Array) -> jax.Array:
    """Half precisions as float32, in which torch computes with them too; other dtypes as they are."""
    return x.astype(jnp.float32) if x.dtype in (jnp.float16, jnp.bfloat16) else x
