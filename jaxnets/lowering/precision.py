"""The precision in which a formula is computed, where it is not that of its input."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax

HALF = (jnp.float16, jnp.bfloat16)


def wide(x: jax.Array) -> jax.Array:
    """Half precisions as float32, in which torch computes with them too; other dtypes as they are."""
    return x.astype(jnp.float32) if x.dtype in HALF else x


def spread(x: jax.Array, shape: Sequence[int]) -> jax.Array:
    """`x` broadcast; of half precisions its gradient is summed in float32.

    XLA's CPU backend sums what it is given, and a sum in bfloat16 stands still at 256 times its summands.
    """
    if x.dtype not in HALF or x.shape == tuple(shape):
        return jnp.broadcast_to(x, shape)
    return jnp.broadcast_to(wide(x), shape).astype(x.dtype)


def rounded_once(compute: Callable[..., jax.Array], *arrays: jax.Array) -> jax.Array:
    """`compute` of arrays of one dtype: on CPU, which has no half precisions of its own, rounded to one at the end.

    Elsewhere each step is rounded: units that multiply half precisions are many times as fast.
    """
    dtype = arrays[0].dtype
    if dtype not in HALF:
        return compute(*arrays)
    return lax.platform_dependent(
        *arrays, cpu=lambda *arrays: compute(*map(wide, arrays)).astype(dtype), default=compute
    )
