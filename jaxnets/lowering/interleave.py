"""Arrays of the places that are a stride apart, as one array of all places."""

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
    lead = phases[0].ndim - len(size)
    for axis in reversed(range(len(size))):  # one at a time: so the first axes may lie on a mesh
        step = stride[axis]
        runs = [phases[i : i + step] for i in range(0, len(phases), step)]
        phases = [_alternating(run, lead + axis) for run in runs]
    (x,) = phases
    return lax.slice(x, (0,) * x.ndim, (*x.shape[:lead], *size))


def _alternating(arrays: Sequence[jax.Array], axis: int) -> jax.Array:
    """The arrays' slices along an axis in turn."""
    first = arrays[0]
    if len(arrays) == 1:
        return first
    shape = (*first.shape[:axis], first.shape[axis] * len(arrays), *first.shape[axis + 1 :])
    return jnp.stack(arrays, axis + 1).reshape(shape)
