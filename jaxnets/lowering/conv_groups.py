"""Convolutions of several groups, and their gradients, as such of one group each: XLA's CPU backend has a plain loop.

The first of the two arrays has its groups in axis 1, the second in axis `second`, and the result in axis `result`.
"""

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.lowering.conv_problem import Compute, Problem

__all__ = ["by_groups", "by_groups_in_turn"]


def by_groups(p: Problem, a: jax.Array, b: jax.Array, compute: Compute, second: int = 0, result: int = 1) -> jax.Array:
    """Each group by itself."""
    pairs = zip(jnp.split(a, p.groups, 1), jnp.split(b, p.groups, second), strict=True)
    return jnp.concatenate([compute(p.group(), *pair) for pair in pairs], result)


def by_groups_in_turn(
    p: Problem, a: jax.Array, b: jax.Array, compute: Compute, second: int = 0, result: int = 1
) -> jax.Array:
    """One after the other, in a loop: however many there are, the program is as large as that of one."""

    def one(group: jax.Array) -> jax.Array:
        size = a.shape[1] // p.groups, b.shape[second] // p.groups
        part = lax.dynamic_slice_in_dim(a, group * size[0], size[0], 1)
        return compute(p.group(), part, lax.dynamic_slice_in_dim(b, group * size[1], size[1], second))

    found = jnp.moveaxis(lax.map(one, jnp.arange(p.groups)), 0, result)
    return lax.collapse(found, result, result + 2)
