"""The forms of a convolution and of its two gradients that are products of matrices, for each group one.

Half precisions are added up in float32. In which order a product has its factors, and whether it is one for all
examples or one for each, is what XLA's CPU backend is fast for.
"""

import itertools
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.lowering.conv_problem import Problem
from jaxnets.lowering.fold import fold, unfold
from jaxnets.lowering.pieces import mapped, summed
from jaxnets.lowering.precision import wide
from jaxnets.lowering.sums import sum_of_first_axis
from jaxnets.lowering.windows import padded

__all__ = [
    "columns",
    "columns_of_input",
    "columns_of_weight",
    "product",
    "product_of_input",
    "product_of_weight",
    "taps",
    "taps_of_weight",
]


# -- one product, for kernels of one tap -------------------------------------------------------------------------------


def product(p: Problem, x: jax.Array, weight: jax.Array) -> jax.Array:
    return _planes(p, _apply(p, _matrix(p, weight), _rows(p, _seen(p, x)))).astype(x.dtype)


def product_of_input(p: Problem, y: jax.Array, weight: jax.Array) -> jax.Array:
    x = _planes(p, _apply_turned(p, _matrix(p, weight), _rows(p, wide(y)))).astype(y.dtype)
    settings = zip(p.size, p.out, p.stride, p.padding, strict=True)
    borders = [(-low, n + low - (o - 1) * s - 1, s - 1) for n, o, s, (low, _) in settings]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), (0, 0, 0), *borders])


def product_of_weight(p: Problem, x: jax.Array, y: jax.Array) -> jax.Array:
    def of_some(x: jax.Array, y: jax.Array) -> jax.Array:
        return _outer(p, _rows(p, wide(y)), _rows(p, _seen(p, x)))

    # of the factor that is turned around, for which a GPU has the memory
    written = 0 if p.on_gpu else p.written * min(p.channels) // p.channels[0]
    return summed(of_some, x, y, written).reshape(p.channels[1], p.fan_in, *p.kernel).astype(y.dtype)


def _matrix(p: Problem, weight: jax.Array) -> jax.Array:
    """The weight as a matrix for each group, `(groups, outputs, inputs and taps)`."""
    return wide(weight).reshape(p.groups, p.fan_out, p.fan_in * p.taps)


def _apply(p: Problem, matrix: jax.Array, rows: jax.Array) -> jax.Array:
    """A matrix for each group, `(groups, A, B)`, times rows, `(N, groups, B, places)`."""
    if _is_wide(p):
        return jnp.matmul(jnp.broadcast_to(matrix, (len(rows), *matrix.shape)), rows)
    # on the left, where XLA takes a matrix as it lies in memory
    return jnp.moveaxis(lax.dot_general(matrix, rows, (((2,), (2,)), ((0,), (1,)))), 2, 0)


def _apply_turned(p: Problem, matrix: jax.Array, rows: jax.Array) -> jax.Array:
    """The transpose of a matrix for each group, `(groups, B, A)`, times rows, `(N, groups, B, places)`."""
    if _is_wide(p):
        return _apply(p, jnp.swapaxes(matrix, 1, 2), rows)
    # on the right for the same reason
    return jnp.moveaxis(lax.dot_general(rows, matrix, (((2,), (1,)), ((1,), (0,)))), (0, 3), (1, 2))


def _outer(p: Problem, a: jax.Array, b: jax.Array) -> jax.Array:
    """The products of all channels of a group's output with those of its input, summed over places and examples."""
    if _is_wide(p) and b.shape[2] > a.shape[2]:
        return jnp.swapaxes(_outer(p, b, a), 1, 2)  # XLA turns the second around: rather the smaller
    if _is_wide(p):
        # apart, as XLA would draw the sum into the products, which are slower then
        return sum_of_first_axis(lax.optimization_barrier(jnp.matmul(a, jnp.swapaxes(b, -1, -2))))
    return lax.dot_general(a, b, (((0, 3), (0, 3)), ((1,), (1,))))


def _seen(p: Problem, x: jax.Array) -> jax.Array:
    """The places that a kernel of one tap sees."""
    x = p.padded(wide(x)) if any(map(any, p.padding)) else wide(x)
    if not p.is_strided:
        return x
    return x[(slice(None), slice(None), *(slice(None, None, s) for s in p.stride))]


def _rows(p: Problem, x: jax.Array) -> jax.Array:
    """`(N, channels, *out)` as `(N, groups, channels of a group, places)`."""
    return x.reshape(len(x), p.groups, x.shape[1] // p.groups, p.places)


def _planes(p: Problem, rows: jax.Array) -> jax.Array:
    """The way back."""
    return rows.reshape(len(rows), rows.shape[1] * rows.shape[2], *p.out)


def _is_wide(p: Problem) -> bool:
    """Whether a product for each example, next to each other in memory, is better than one over all, which are not."""
    return p.places >= p.fan_in + p.fan_out


# -- a product of matrices for each tap -------------------------------------------------------------------------------


def taps(p: Problem, x: jax.Array, weight: jax.Array) -> jax.Array:
    total: Any = 0
    padded = p.padded(wide(x))
    kernels = wide(weight).reshape(p.groups, p.fan_out, p.fan_in, *p.kernel)
    for tap in itertools.product(*map(range, p.kernel)):
        part = _rows(p, p.under(padded, tap))
        total = total + _apply(p, kernels[(..., *tap)], part)
    return _planes(p, total).astype(x.dtype)


def taps_of_weight(p: Problem, x: jax.Array, y: jax.Array) -> jax.Array:
    padded, rows = p.padded(wide(x)), _rows(p, wide(y))
    parts = [_outer(p, rows, _rows(p, p.under(padded, tap))) for tap in itertools.product(*map(range, p.kernel))]
    return jnp.stack(parts, -1).reshape(p.channels[1], p.fan_in, *p.kernel).astype(y.dtype)


# -- one product of matrices with what lies under all taps (im2col), for few inputs or few places ----------------------


def columns(p: Problem, x: jax.Array, weight: jax.Array) -> jax.Array:
    def some(x: jax.Array) -> jax.Array:
        q = replace(p, batch=len(x))
        return _planes(q, _apply(q, _matrix(q, weight), _columns(q, wide(x)))).astype(x.dtype)

    return mapped(some, x, p.written)


def columns_of_input(p: Problem, y: jax.Array, weight: jax.Array) -> jax.Array:
    def some(y: jax.Array) -> jax.Array:
        q = replace(p, batch=len(y))
        columns = lax.optimization_barrier(_apply_turned(q, _matrix(q, weight), _rows(q, wide(y))))
        return _laid_back(q, columns).astype(y.dtype)

    return mapped(some, y, p.written)


def columns_of_weight(p: Problem, x: jax.Array, y: jax.Array) -> jax.Array:
    def some(x: jax.Array, y: jax.Array) -> jax.Array:
        q = replace(p, batch=len(x))
        return _outer(q, _rows(q, wide(y)), _columns(q, wide(x)))

    weight = summed(some, x, y, p.written)
    return weight.reshape(p.channels[1], p.fan_in, *p.kernel).astype(y.dtype)


def _columns(p: Problem, x: jax.Array) -> jax.Array:
    """What lies under the taps, written once, as the product takes it."""
    columns = _under_all(p, x)
    if _is_wide(p):
        return lax.optimization_barrier(columns)
    return jnp.moveaxis(lax.optimization_barrier(jnp.moveaxis(columns, 0, 2)), 2, 0)


def _under_all(p: Problem, x: jax.Array) -> jax.Array:
    """`(N, groups, inputs and taps, places)`."""
    taps = unfold(p.padded(x), p.kernel, p.dilation, (0,) * len(p.out), p.stride)
    return _rows(p, taps.reshape(len(x), p.channels[0] * p.taps, *p.out))


def _laid_back(p: Problem, columns: jax.Array) -> jax.Array:
    """The transpose of `_under_all`: sums of what lies under the taps where it lies."""
    taps, zero = _planes(p, columns), jnp.zeros((), columns.dtype)
    taps = taps.reshape(len(taps), p.channels[0], *p.kernel, *p.out)
    if p.is_strided:
        whole = tuple(n + sum(pair) for n, pair in zip(p.size, p.padding, strict=True))
        planes = fold(taps, whole, p.dilation, (0,) * len(p.out), p.stride)
        return padded(planes, [(-low, -high) for low, high in p.padding], zero)
    total: Any = 0  # in one pass over the output, where `fold` has one for each axis
    for tap in itertools.product(*map(range, p.kernel)):
        settings = zip(tap, p.dilation, p.padding, p.size, p.out, strict=True)
        pairs = [(t * d - low, n - o - t * d + low) for t, d, (low, _), n, o in settings]
        total = total + padded(taps[(slice(None), slice(None), *tap)], pairs, zero)
    return total
