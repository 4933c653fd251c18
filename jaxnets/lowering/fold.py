"""Sliding windows as an axis of their own, and the sum that takes them back."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Ints = tuple[int, ...]

SLICED = 32
"""Up to so many slices make the windows of an axis: they fuse, and so do their derivatives. A gather makes more."""


@partial(jax.jit, static_argnums=(1, 2, 3, 4))  # one program, not dozens, where nothing else compiles it
def unfold(x: jax.Array, kernel: Ints, dilation: Ints, padding: Ints, stride: Ints) -> jax.Array:
    """`(*leading, *plane)` to `(*leading, *kernel, *blocks)`; padding is 0."""
    n = len(kernel)
    first = x.ndim - n
    for i, settings in enumerate(zip(kernel, dilation, padding, stride, strict=True)):
        # the kernel's axes so far stand between the leading ones and the plane
        x = jnp.moveaxis(_windows(x, first + 2 * i, *settings), first + 2 * i, first + i)
    return x


@partial(jax.jit, static_argnums=(1, 2, 3, 4))
def fold(x: jax.Array, plane: Ints, dilation: Ints, padding: Ints, stride: Ints) -> jax.Array:
    """`(*leading, *kernel, *blocks)` to `(*leading, *plane)`: the sum of what `unfold` would read there.

    It is the transpose of `unfold`, and is made by transposing it.
    """
    n = len(plane)
    leading, kernel = x.shape[: -2 * n], x.shape[-2 * n : -n]
    like = jax.typeof(x)  # the first axes may lie on a mesh
    sharding = like.sharding.update(spec=(*like.sharding.spec[: -2 * n], *(None,) * n))
    read = like.update(shape=(*leading, *plane), sharding=sharding)
    (y,) = jax.linear_transpose(lambda y: unfold(y, kernel, dilation, padding, stride), read)(x)
    return y


def _windows(x: jax.Array, axis: int, kernel: int, dilation: int, padding: int, stride: int) -> jax.Array:
    """The axis becomes two: the element in the window, and the window."""
    size = x.shape[axis]
    count = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    before, behind = x.shape[:axis], x.shape[axis + 1 :]

    def resized(length: int) -> jax.Array:
        """Padded in front, and behind padded or cut to that length."""
        edges = [(0, 0, 0)] * x.ndim
        edges[axis] = (padding, length - size - padding, 0)
        return lax.pad(x, jnp.zeros((), x.dtype), edges)

    def part(x: jax.Array, start: int, step: int = 1) -> jax.Array:
        return lax.slice_in_dim(x, start, start + (count - 1) * step + 1, step, axis)

    steps = math.ceil(kernel / stride)  # so many strides make a window
    if dilation == 1 and steps <= SLICED:
        blocks = resized((count + steps - 1) * stride).reshape(*before, count + steps - 1, stride, *behind)
        joined = jnp.concatenate([part(blocks, j) for j in range(steps)], axis=axis + 1)
        return jnp.swapaxes(lax.slice_in_dim(joined, 0, kernel, axis=axis + 1), axis, axis + 1)
    padded = resized((count - 1) * stride + dilation * (kernel - 1) + 1)
    if kernel <= SLICED:
        return jnp.stack([part(padded, i * dilation, stride) for i in range(kernel)], axis)
    positions = np.arange(kernel)[:, None] * dilation + np.arange(count) * stride
    return jnp.take(padded, positions.ravel(), axis=axis, mode="clip").reshape(*before, kernel, count, *behind)
