"""A computation that XLA keeps apart from what it reads and from what reads its result."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

__all__ = ["alone", "alone_on_cpu", "in_memory"]


def alone(compute: Callable[[], jax.Array]) -> jax.Array:
    """What `compute` gives, by a loop of its own: XLA's CPU backend lets each reader of a result compute it again.

    That is the branch of a condition whose outcome is behind a barrier, where XLA does not look. Its transpose computes
    in the branch what it needs, too, rather than have it written out before.
    """
    never = lax.optimization_barrier(np.zeros((), bool))
    return lax.cond(never, lambda: jnp.zeros_like(compute()), jax.checkpoint(compute, prevent_cse=False))


def alone_on_cpu(function: Callable[..., jax.Array], *arrays: jax.Array) -> jax.Array:
    """`function(*arrays)`, alone where that is worth it."""
    return lax.platform_dependent(*arrays, cpu=lambda *arrays: alone(lambda: function(*arrays)), default=function)


@jax.jit
def in_memory(x: jax.Array) -> jax.Array:
    """`x`, which XLA's CPU backend writes out, rather than compute it again where it is read; its cotangent, too."""
    return alone_on_cpu(lambda x: x, x)
