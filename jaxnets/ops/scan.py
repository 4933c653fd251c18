"""Running sums, products and extremes; differences and integrals along an axis."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets import check
from jaxnets.functional.elementwise import in_float32
from jaxnets.functional.precision import wide
from jaxnets.ops.extrema import Selected
from jaxnets.ops.promotion import BOOL, FLOATING, axes, axis, category, dtype_or, int64, is_number, line, numbers

__all__ = [
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "cumulative_trapezoid",
    "diff",
    "gradient",
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


def gradient(input: jax.Array, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> tuple[jax.Array, ...]:
    """Slopes along each axis by central differences, one-sided at the ends.

    Args:
        input: samples.
        spacing: how far apart they are: a number, one for each axis, or a line of coordinates for each axis.
        dim: the axes, all when not given.
        edge_order: 1 or 2, of the differences at the ends.
    """
    x = check.array("input", input)
    x = x.astype(jnp.float32) if category(x.dtype) < FLOATING else x
    over = axes(dim, x)
    spacing = 1 if spacing is None else spacing
    steps = list(spacing) if isinstance(spacing, list | tuple) else [spacing] * len(over)
    if len(steps) != len(over):
        raise ValueError(f"spacing: expected a number, or one for each of {len(over)} axes, got {len(steps)}")
    if check.integer("edge_order", edge_order) not in (1, 2):
        raise ValueError(f"edge_order: expected 1 or 2, got {edge_order}")
    return tuple(_slope(x, at, step, edge_order) for at, step in zip(over, steps, strict=True))


def _slope(x: jax.Array, dim: int, step: Any, order: int) -> jax.Array:
    if x.shape[dim] <= order:
        raise ValueError(f"input: expected more than {order} samples along axis {dim}, got shape {x.shape}")
    y = jnp.moveaxis(x, dim, -1)
    n = y.shape[-1]
    if is_number(step):
        h = jnp.full(n - 1, step, y.dtype)
    else:
        points = check.array("spacing", step).astype(y.dtype)
        h = jnp.full(n - 1, points) if not points.ndim else jnp.diff(points)
    shape = (1,) * (y.ndim - 1) + (-1,)
    a, b = (jnp.broadcast_to(v.reshape(shape), (*y.shape[:-1], n - 2)) for v in (h[:-1], h[1:]))
    left, middle, right = y[..., :-2], y[..., 1:-1], y[..., 2:]
    inner = -left * b / (a * (a + b)) + middle * (b - a) / (a * b) + right * a / (b * (a + b))
    if order == 1:
        first, last = (y[..., 1] - y[..., 0]) / h[0], (y[..., -1] - y[..., -2]) / h[-1]
    else:
        first = _end(y[..., 0], y[..., 1], y[..., 2], h[0], h[1])
        last = -_end(y[..., -1], y[..., -2], y[..., -3], h[-1], h[-2])
    found = jnp.concatenate([first[..., None], inner, last[..., None]], -1)
    return jnp.moveaxis(found, -1, dim)


def _end(y0: jax.Array, y1: jax.Array, y2: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
    """The slope at the first of three points, `a` and `b` apart."""
    return -y0 * (2 * a + b) / (a * (a + b)) + y1 * (a + b) / (a * b) - y2 * a / (b * (a + b))


trapz = trapezoid
