"""Convolutions with three spatial axes, and their gradients, as such with two: XLA's CPU backend has no fast code for
three.

What lies under a tap of the first spatial axis, the depth, becomes channels, and the depth itself examples.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.lowering.conv_problem import Compute, Problem

__all__ = ["by_planes", "by_planes_of_input", "by_planes_of_weight"]


def by_planes(p: Problem, x: jax.Array, weight: jax.Array, output: Compute) -> jax.Array:
    """The convolution of `(N, C_in, D, H, W)`."""
    y = output(_plane(p), _under(p, x), weight.reshape(*_flat(p)))
    return jnp.moveaxis(_apart(p, y), 1, 2)


def by_planes_of_input(p: Problem, y: jax.Array, weight: jax.Array, gradient_of_input: Compute) -> jax.Array:
    """The gradient of the convolution's input, given that of its output."""
    under = _apart(p, gradient_of_input(_plane(p), _examples(y), weight.reshape(*_flat(p))))
    under = jnp.moveaxis(under.reshape(*under.shape[:2], p.channels[0], p.kernel[0], *p.size[1:]), 1, 3)
    low, size, zero = p.padding[0][0], p.size[0], jnp.zeros((), y.dtype)
    extent = (p.out[0] - 1) * p.stride[0] + 1
    total = jnp.zeros((len(y), p.channels[0], *p.size), y.dtype)
    for tap in range(p.kernel[0]):
        first = tap * p.dilation[0] - low
        borders = [(0, 0, 0), (0, 0, 0), (first, size - first - extent, p.stride[0] - 1), (0, 0, 0), (0, 0, 0)]
        total = total + lax.pad(under[:, :, tap], zero, borders)
    return total


def by_planes_of_weight(p: Problem, x: jax.Array, y: jax.Array, gradient_of_weight: Compute) -> jax.Array:
    """The gradient of its weight, given that of its output."""
    weight = gradient_of_weight(_plane(p), _under(p, x), _examples(y))
    return weight.reshape(p.channels[1], p.fan_in, *p.kernel)


def _under(p: Problem, x: jax.Array) -> jax.Array:
    """What lies under the taps of the depth: `(N and depth of the output, C_in and taps, H, W)`."""
    padded = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), (0, 0, 0), (*p.padding[0], 0), (0, 0, 0), (0, 0, 0)])
    extent = (p.out[0] - 1) * p.stride[0] + 1
    starts = [tap * p.dilation[0] for tap in range(p.kernel[0])]
    taps = jnp.stack([lax.slice_in_dim(padded, s, s + extent, p.stride[0], 2) for s in starts], 2)
    return _examples(taps.reshape(len(x), p.channels[0] * p.kernel[0], *taps.shape[3:]))


def _examples(x: jax.Array) -> jax.Array:
    """`(N, C, D, H, W)` with the depth among the examples."""
    return jnp.moveaxis(x, 2, 1).reshape(-1, x.shape[1], *x.shape[3:])


def _apart(p: Problem, x: jax.Array) -> jax.Array:
    """Planes, `(N and depth of the output, ...)`, with the depth as an axis."""
    return x.reshape(-1, p.out[0], *x.shape[1:])


def _plane(p: Problem) -> Problem:
    rest = {name: getattr(p, name)[1:] for name in ("size", "kernel", "stride", "padding", "dilation")}
    batch, channels = p.batch * p.out[0], (p.channels[0] * p.kernel[0], p.channels[1])
    return replace(p, batch=batch, channels=channels, **rest)


def _flat(p: Problem) -> tuple[int, ...]:
    """The shape of the planes' weight."""
    return (p.channels[1], p.fan_in * p.kernel[0], *p.kernel[1:])
