"""Arrays of the places that are a stride apart, as one array of all places."""

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

__all__ = ["interleaved"]


def interleaved(phases: Sequence[jax.Array], stride: Sequence[int], size: Sequence[int]) -> jax.Array:
    """`phases` are the places `q * stride + r` of the last axes, `r` in the order of rows; `size` of them are kept.

    >>> interleaved([jnp.array([0, 2]), jnp.array([1, 3])], (2,), (3,)).tolist()
    [0, 1, 2]
    """
    axes = len(size)
    lead = phases[0].ndim - axes
    leading = phases[0].shape[:lead]
    x = jnp.stack(phases, -1).reshape(*phases[0].shape, *stride)
    order = [*range(lead), *itertools.chain(*((lead + i, lead + axes + i) for i in range(axes)))]
    full = (n * s for n, s in zip(phases[0].shape[lead:], stride, strict=True))
    x = jnp.transpose(x, order).reshape(*leading, *full)
    return lax.slice(x, (0,) * x.ndim, (*leading, *size))
