"""Sliding windows over the last axes of an array: sum, maximum, and where the maximum is.

`padding` is a pair for each axis; a window is never cut, so what the pair behind adds decides how many there are.
"""

import math
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def sum_pool(x: jax.Array, kernel: Ints, stride: Ints, padding: Pairs) -> jax.Array:
    """The sum of each window; padding is 0."""
    ones, none = _leading(x, kernel)
    zero = np.zeros((), x.dtype)
    return lax.reduce_window(x, zero, lax.add, (*ones, *kernel), (*ones, *stride), (*none, *padding))


def max_pool(x: jax.Array, kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> jax.Array:
    """The maximum of each window; NaN is above all, padding is below all.

    The derivative is that of the first greatest element. XLA's own (select and scatter) loses a NaN when
    something follows it, and has no dilation.
    """
    if jnp.issubdtype(x.dtype, jnp.floating):
        return _max_pool(x, kernel, stride, padding, dilation)
    return _reduce_max(x, kernel, stride, padding, dilation)


@partial(jax.jit, static_argnums=(1, 2, 3, 4))  # one program, not dozens, where nothing else compiles it
def argmax_pool(x: jax.Array, kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> jax.Array:
    """The flat index, in the plane of the last axes, of each window's maximum.

    The first of equals wins, as does the last NaN, which is what torch's loop over a window does. A window with
    nothing but padding gives -1.
    """
    plane = x.shape[-len(kernel) :]
    leading = [(0, 0, 0)] * (x.ndim - len(kernel))
    borders = [(low, high, 0) for low, high in padding]
    index = jnp.arange(math.prod(plane)).reshape(plane)
    index = lax.pad(index, jnp.full((), -1, index.dtype), borders)
    best = lax.pad(lax.stop_gradient(x), jnp.asarray(_lowest(x)), [*leading, *borders])
    index = jnp.broadcast_to(index, best.shape) + jnp.zeros_like(best, index.dtype)  # lies on the mesh as `best` does
    # one axis after the other, the last first: then equals meet in the order of rows
    for axis in range(-1, -len(kernel) - 1, -1):
        best, index = _slide(best, index, axis, kernel[axis], stride[axis], dilation[axis])
    return index


def _slide(
    best: jax.Array, index: jax.Array, axis: int, kernel: int, stride: int, dilation: int
) -> tuple[jax.Array, jax.Array]:
    """Windows along one axis: two windows of the same length, one of them shifted, make a longer one."""
    axis, span = axis % best.ndim, 1
    while span < kernel:
        step = min(span, kernel - span)
        size = best.shape[axis] - step * dilation

        def part(array: jax.Array, start: int, size: int = size) -> jax.Array:
            return lax.slice_in_dim(array, start, start + size, axis=axis)

        left, right = part(best, 0), part(best, step * dilation)
        left_index, right_index = part(index, 0), part(index, step * dilation)
        wins = (right > left) | (right != right) | (left_index < 0)
        best, index = jnp.where(wins, right, left), jnp.where(wins, right_index, left_index)
        span += step
    return tuple(lax.slice_in_dim(array, 0, None, stride, axis) for array in (best, index))  # type: ignore[return-value]


@partial(jax.custom_jvp, nondiff_argnums=(1, 2, 3, 4))
def _max_pool(x: jax.Array, kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> jax.Array:
    return _reduce_max(x, kernel, stride, padding, dilation)


@_max_pool.defjvp
def _max_pool_jvp(
    kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints, primals: Sequence, tangents: Sequence
) -> tuple[jax.Array, jax.Array]:
    (x,), (tangent,) = primals, tangents
    index = argmax_pool(x, kernel, stride, padding, dilation)
    picked = jnp.take_along_axis(
        _flat(tangent, kernel), _flat(jnp.maximum(index, 0), kernel), axis=-1, mode="promise_in_bounds"
    ).reshape(index.shape)
    zero = jnp.zeros((), tangent.dtype)
    return _max_pool(x, kernel, stride, padding, dilation), jnp.where(index < 0, zero, picked)


def _reduce_max(x: jax.Array, kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> jax.Array:
    ones, none = _leading(x, kernel)
    return lax.reduce_window(
        x,
        _lowest(x),
        lax.max,
        (*ones, *kernel),
        (*ones, *stride),
        (*none, *padding),
        window_dilation=(*ones, *dilation),
    )


def _flat(x: jax.Array, kernel: Ints) -> jax.Array:
    """The plane of the last axes as one axis."""
    leading = x.shape[: -len(kernel)]
    return x.reshape(*leading, math.prod(x.shape[-len(kernel) :]))


def _leading(x: jax.Array, kernel: Ints) -> tuple[Ints, Pairs]:
    axes = x.ndim - len(kernel)
    return (1,) * axes, ((0, 0),) * axes


def _lowest(x: jax.Array) -> np.ndarray:
    floating = jnp.issubdtype(x.dtype, jnp.floating)
    return np.asarray(-np.inf if floating else jnp.iinfo(x.dtype).min, x.dtype)
