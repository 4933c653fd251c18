"""The forms of a convolution that are sums of shifted inputs, which XLA fuses to one loop: for small groups."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.lowering.alone import alone
from jaxnets.lowering.conv_problem import Ints, Problem
from jaxnets.lowering.precision import wide
from jaxnets.lowering.sums import sums_of_last_axes

__all__ = ["MAX_TERMS", "sums", "sums_in_turn", "sums_of_weight"]

# Each term of a sum is an operation in the compiled program: bounds for its size and for the time of compilation.
MAX_TERMS, MAX_SUMS = 128, 16


def sums(p: Problem, x: jax.Array, weight: jax.Array) -> jax.Array:
    return alone(lambda: _sums(p, p.padded(wide(x)), _kernels(p, weight)).astype(x.dtype))


def sums_in_turn(p: Problem, x: jax.Array, weight: jax.Array) -> jax.Array:
    """The same where the kernel is large: one row of it after the other, so that the program stays small."""
    planes, kernels = p.padded(wide(x)), _kernels(p, weight)
    extent = (p.out[0] - 1) * p.stride[0] + 1

    def add(total: jax.Array, tap: jax.Array) -> tuple[jax.Array, None]:
        part = lax.dynamic_slice_in_dim(planes, tap * p.dilation[0], extent, 2)
        kernel = lax.dynamic_slice_in_dim(kernels, tap, 1, 4)
        return total + _sums(p, part, kernel), None

    empty = jnp.zeros((len(x), p.channels[1], *p.out), planes.dtype)
    return lax.scan(add, empty, jnp.arange(p.kernel[0]))[0].astype(x.dtype)


def _kernels(p: Problem, weight: jax.Array) -> jax.Array:
    return wide(weight).reshape(1, p.groups, p.fan_out, p.fan_in, *p.kernel)


def _sums(p: Problem, padded: jax.Array, kernels: jax.Array) -> jax.Array:
    total: Any = 0
    ones = (1,) * len(p.out)
    for tap in itertools.product(*map(range, kernels.shape[4:])):
        part = p.under(padded, tap).reshape(len(padded), p.groups, 1, p.fan_in, *p.out)
        numbers = kernels[(..., *tap)].reshape(1, p.groups, p.fan_out, p.fan_in, *ones)
        for channel in range(p.fan_in):
            total = total + part[:, :, :, channel] * numbers[:, :, :, channel]
    return total.reshape(len(padded), p.channels[1], *p.out)


def sums_of_weight(p: Problem, x: jax.Array, y: jax.Array) -> jax.Array:
    """Products of the output's gradient with what lies under each tap, several of them summed in one pass."""
    padded, dtype, y = p.padded(wide(x)), y.dtype, wide(y)
    if p.fan_in * p.taps <= MAX_TERMS:
        weight = _sums_of_weight(p, padded, y, p.kernel)
    else:  # one row of the kernel after the other, as in `sums_in_turn`

        def row(tap: jax.Array) -> jax.Array:
            part = lax.dynamic_slice_in_dim(padded, tap * p.dilation[0], (p.out[0] - 1) * p.stride[0] + 1, 2)
            return _sums_of_weight(p, part, y, (1, *p.kernel[1:]))

        weight = jnp.moveaxis(lax.map(row, jnp.arange(p.kernel[0])), 0, 3)
    return weight.reshape(p.channels[1], p.fan_in, *p.kernel).astype(dtype)


def _sums_of_weight(p: Problem, padded: jax.Array, y: jax.Array, kernel: Ints) -> jax.Array:
    """`(groups, outputs, inputs, taps)` of a group, for the taps of a kernel or a part of it."""
    grouped = y.reshape(len(y), p.groups, p.fan_out, *p.out)
    found = []
    for run in _in_runs(list(itertools.product(*map(range, kernel))), max(MAX_SUMS // p.fan_in, 1)):
        terms = []
        for tap in run:
            part = p.under(padded, tap).reshape(len(y), p.groups, 1, p.fan_in, *p.out)
            terms += [grouped * part[:, :, :, channel] for channel in range(p.fan_in)]
        found += [total.sum((0, *range(3, total.ndim))) for total in sums_of_last_axes(terms, 1)]
    return jnp.stack([jnp.stack(found[i : i + p.fan_in], -1) for i in range(0, len(found), p.fan_in)], -1)


def _in_runs(values: list[Any], length: int) -> list[list[Any]]:
    return [values[i : i + length] for i in range(0, len(values), length)]
