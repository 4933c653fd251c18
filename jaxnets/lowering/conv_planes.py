"""Convolutions with three spatial axes as such with two, on CPU: XLA has no fast code of its own for three.

What lies under a tap of the first spatial axis, the depth, becomes channels, and the depth itself examples.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.lowering.conv_problem import Problem

__all__ = ["conv_by_planes", "conv_transpose_by_planes"]

Conv = Callable[[Problem, jax.Array, jax.Array], jax.Array]


def conv_by_planes(p: Problem, x: jax.Array, weight: jax.Array, conv: Conv) -> jax.Array:
    """The convolution of `(N, C_in, D, H, W)`; `conv` is that of planes."""
    depth, taps = p.out[0], p.kernel[0]
    padded = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), (0, 0, 0), (*p.padding[0], 0), (0, 0, 0), (0, 0, 0)])
    extent = (depth - 1) * p.stride[0] + 1
    starts = [tap * p.dilation[0] for tap in range(taps)]
    under = [lax.slice_in_dim(padded, s, s + extent, p.stride[0], 2) for s in starts]
    planes = jnp.moveaxis(jnp.stack(under, 2), 3, 1)  # N, depth, C_in, taps, H, W
    planes = planes.reshape(len(x), depth, p.channels[0] * taps, *p.size[1:])
    y = conv(_plane(p), _joined(planes), weight.reshape(*_flat(p)))
    return jnp.moveaxis(_apart(y, depth), 1, 2)


def conv_transpose_by_planes(p: Problem, y: jax.Array, weight: jax.Array, conv_transpose: Conv) -> jax.Array:
    """The gradient of the convolution's input, given that of its output."""
    depth, taps = p.out[0], p.kernel[0]
    under = conv_transpose(_plane(p), _joined(jnp.moveaxis(y, 2, 1)), weight.reshape(*_flat(p)))
    under = _apart(under, depth).reshape(len(y), depth, p.channels[0], taps, *p.size[1:])
    under = jnp.moveaxis(under, 1, 3)
    low, size, zero = p.padding[0][0], p.size[0], jnp.zeros((), y.dtype)
    extent = (depth - 1) * p.stride[0] + 1
    total = jnp.zeros((len(y), p.channels[0], *p.size), y.dtype)
    for tap in range(taps):
        first = tap * p.dilation[0] - low
        borders = [(0, 0, 0), (0, 0, 0), (first, size - first - extent, p.stride[0] - 1), (0, 0, 0), (0, 0, 0)]
        total = total + lax.pad(under[:, :, tap], zero, borders)
    return total


def _joined(x: jax.Array) -> jax.Array:
    """The first two axes as one."""
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])


def _apart(x: jax.Array, size: int) -> jax.Array:
    """The first axis as two, the second of this size."""
    return x.reshape(len(x) // size, size, *x.shape[1:])


def _plane(p: Problem) -> Problem:
    rest = {name: getattr(p, name)[1:] for name in ("size", "kernel", "stride", "padding", "dilation")}
    batch, channels = p.batch * p.out[0], (p.channels[0] * p.kernel[0], p.channels[1])
    return dataclasses.replace(p, batch=batch, channels=channels, **rest)


def _flat(p: Problem) -> tuple[int, ...]:
    """The shape of the planes' weight."""
    return (p.channels[1], p.fan_in * p.kernel[0], *p.kernel[1:])
