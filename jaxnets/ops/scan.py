"""Running sums, products and extremes; differences and integrals along an axis."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets import check
from jaxnets.functional.elementwise import in_float32
from jaxnets.functional.precision import wide
from jaxnets.ops.extrema import Selected
from jaxnets.ops.promotion import BOOL, FLOATING, axis, category, dtype_or, int64, is_number, line, numbers

__all__ = [
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "cumulative_trapezoid",
    "diff",
    "logcumsumexp",
    "trapezoid",
    "trapz",
]


def _summand(input: jax.Array, dtype: Any) -> jax.Array:
    x = check.array("input", input)
    return x.astype(dtype_or(dtype, int64() if category(x.dtype) < FLOATING else x.dtype))


def cumsum(input: jax.Array, dim: int, *, dtype: Any = None) -> jax.Array:
    """Running sum along an axis; int64 for integers and booleans. Half precisions are summed in float32."""
    x = _summand(input, dtype)
    return jnp.cumsum(wide(line(x)), axis(dim, x), dtype=wide(x).dtype).astype(x.dtype).reshape(x.shape)


def cumprod(input: jax.Array, dim: int, *, dtype: Any = None) -> jax.Array:
    """Running product along an axis; int64 for integers and booleans. Zeros have the true derivative."""
    x = _summand(input, dtype)
    return jnp.cumprod(wide(line(x)), axis(dim, x), dtype=wide(x).dtype).astype(x.dtype).reshape(x.shape)


def logcumsumexp(input: jax.Array, dim: int) -> jax.Array:
    """`log` of the running sum of `exp(x)` along an axis, without overflow."""
    x = numbers("input", input, least=FLOATING)
    return in_float32(lambda row: lax.cumlogsumexp(row, axis(dim, x)), line(x)).reshape(x.shape)


def _running(input: jax.Array, dim: int, sign: int) -> Selected:
    """The last of the extremes so far, a later one also where it is only equal; NaN beats all."""
    x = numbers("input", input, least=BOOL, most=FLOATING)
    dim = axis(dim, x)
    row = line(x)
    if not row.size:
        return Selected(x, jnp.zeros(x.shape, int64()))
    held = lax.stop_gradient(row)
    places = lax.broadcasted_iota(int64(), row.shape, dim)

    def later(a: Any, b: Any) -> Any:
        (x, i), (y, j) = a, b
        wins = (y >= x) if sign > 0 else (y <= x)
        if category(row.dtype) == FLOATING:
            wins = jnp.isnan(y) | (wins & ~jnp.isnan(x))
        return jnp.where(wins, y, x), jnp.where(wins, j, i)

    _, index = lax.associative_scan(later, (held, places), axis=dim)
    values = jnp.take_along_axis(row, index, dim, mode="promise_in_bounds")
    return Selected(values.reshape(x.shape), index.reshape(x.shape))


def cummax(input: jax.Array, dim: int) -> Selected:
    """Greatest element so far along an axis, and the index of the last such."""
    return _running(input, dim, 1)


def cummin(input: jax.Array, dim: int) -> Selected:
    """Smallest element so far along an axis, and the index of the last such."""
    return _running(input, dim, -1)


def diff(
    input: jax.Array,
    n: int = 1,
    dim: int = -1,
    prepend: jax.Array | None = None,
    append: jax.Array | None = None,
) -> jax.Array:
    """`x[i + 1] - x[i]` along an axis, `n` times; of booleans whether they differ."""
    x = check.array("input", input)
    if not x.ndim:
        raise ValueError("input: expected at least one axis, got a number")
    dim = axis(dim, x)
    if not check.integer("n", n, least=0):
        return x  # without what would stand before and behind, as in torch
    parts = [p for p in (prepend, x, append) if p is not None]
    x = jnp.concatenate([check.array("prepend", p).astype(x.dtype) for p in parts], dim) if len(parts) > 1 else x
    for _ in range(n):
        if x.shape[dim] < 1:
            break
        front = lax.slice_in_dim(x, 1, None, axis=dim)
        back = lax.slice_in_dim(x, 0, x.shape[dim] - 1, axis=dim)
        x = front ^ back if x.dtype == bool else front - back
    return x


def _pieces(y: jax.Array, x: jax.Array | None, dx: Any, dim: int) -> tuple[jax.Array, int]:
    y = check.array("y", y)
    dim = axis(dim, y)
    if category(y.dtype) < FLOATING:
        y = y.astype(jnp.float32)
    left = lax.slice_in_dim(y, 0, max(y.shape[dim] - 1, 0), axis=dim)
    right = lax.slice_in_dim(y, min(1, y.shape[dim]), None, axis=dim)
    if x is not None:
        x = check.array("x", x)
        if x.ndim == 1:
            x = x.reshape([-1 if i == dim else 1 for i in range(y.ndim)])
            step = diff(x, dim=dim)
        else:
            step = diff(x, dim=dim - y.ndim)
        step = step.astype(y.dtype)
    else:
        step = jnp.asarray(dx, y.dtype) if is_number(dx) else check.array("dx", dx).astype(y.dtype)
    shape = jnp.broadcast_shapes(step.shape, left.shape)
    step, left, right = (jnp.broadcast_to(v, shape) for v in (step, left, right))
    return (left + right) / 2 * step, dim - y.ndim


def trapezoid(y: jax.Array, x: jax.Array | None = None, *, dx: Any = 1, dim: int = -1) -> jax.Array:
    """Integral along an axis by the trapezoidal rule, at points `x` or `dx` apart."""
    pieces, dim = _pieces(y, x, dx, dim)
    return pieces.sum(dim)


def cumulative_trapezoid(y: jax.Array, x: jax.Array | None = None, *, dx: Any = 1, dim: int = -1) -> jax.Array:
    """Running integral along an axis by the trapezoidal rule."""
    pieces, dim = _pieces(y, x, dx, dim)
    return jnp.cumsum(pieces, dim)


trapz = trapezoid
