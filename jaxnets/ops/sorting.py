"""Sorting, the greatest k, distinct elements, places in sorted lines, histograms."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets import check
from jaxnets.ops.creation import linspace
from jaxnets.ops.extrema import Selected
from jaxnets.ops.promotion import BOOL, FLOATING, INTEGER, axis, category, concrete, int64, is_number, line, numbers

__all__ = [
    "argsort",
    "bincount",
    "bucketize",
    "histc",
    "histogram",
    "msort",
    "searchsorted",
    "sort",
    "topk",
    "unique",
    "unique_consecutive",
]


def sort(input: jax.Array, dim: int = -1, descending: bool = False, stable: bool = False) -> Selected:
    """Elements in order along an axis, and where they stood; NaN is greatest.

    Differences from torch: equals always keep their order, as with `stable=True`.
    """
    x = check.array("input", input)
    index = argsort(x, dim, descending)
    values = jnp.take_along_axis(line(x), line(index), axis(dim, x), mode="promise_in_bounds")
    return Selected(values.reshape(x.shape), index)


def argsort(input: jax.Array, dim: int = -1, descending: bool = False, *, stable: bool = False) -> jax.Array:
    """The indices that sort along an axis; equals keep their order, NaN is greatest."""
    x = numbers("input", input, least=BOOL, most=FLOATING)
    down = check.truth("descending", descending)
    row = lax.stop_gradient(line(x))
    if down and category(x.dtype) < FLOATING:
        row, down = ~row, False  # turned bits turn the order
    return jnp.argsort(row, axis(dim, x), stable=True, descending=down).reshape(x.shape)


def msort(input: jax.Array) -> jax.Array:
    """Elements in order along the first axis."""
    return sort(input, 0).values


def topk(input: jax.Array, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Selected:
    """The `k` greatest (or smallest) elements along an axis, in order, and where they stood; NaN is greatest.

    Differences from torch: of equals those that stand first are taken, where torch's choice is not defined; sorted
    in any case.
    """
    x = numbers("input", input, least=BOOL, most=FLOATING)
    dim = axis(dim, x)
    row = line(x)
    if not 0 <= check.integer("k", k) <= row.shape[dim]:
        raise ValueError(f"k: expected 0 to {row.shape[dim]}, the size of axis {dim} of input {x.shape}, got {k}")
    last = jnp.moveaxis(row, dim, -1)
    index = _top_places(lax.stop_gradient(last), k, check.truth("largest", largest))
    values = jnp.take_along_axis(last, index, -1, mode="promise_in_bounds")
    shape = (k,) if x.ndim else ()
    values, index = (jnp.moveaxis(v, -1, dim) for v in (values, index))
    return Selected(values, index) if x.ndim or k == 0 else Selected(values.reshape(shape), index.reshape(shape))


def _top_places(x: jax.Array, k: int, largest: bool) -> jax.Array:
    if x.dtype == bool:
        x = x.astype(jnp.int32)
    if not largest:
        if category(x.dtype) == FLOATING:  # the greatest of the negated would begin with NaN
            return lax.slice_in_dim(jnp.argsort(x, -1, stable=True), 0, k, axis=-1)
        x = ~x
    return lax.top_k(x, k)[1].astype(int64())


def searchsorted(
    sorted_sequence: jax.Array,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: jax.Array | None = None,
) -> jax.Array:
    """Where elements would stand in a sorted line: before their equals, or behind them with `right`.

    Args:
        sorted_sequence: `(*, N)`, or `(N,)` for elements of any shape.
        input: `(*, M)`, or a number for `(N,)`.
        out_int32: whether the result is int32, else int64.
        right: as `side="right"`.
        side: "left" or "right".
        sorter: `(*, N)`, the indices that sort `sorted_sequence`.
    """
    line_, values = check.array("sorted_sequence", sorted_sequence), input
    values = jnp.asarray(values).astype(line_.dtype) if is_number(values) else check.array("input", values)
    if side is not None and check.choice("side", side, ("left", "right")) == "left" and right:
        raise ValueError("side: expected 'right' or None with right=True, got 'left'")
    check.same_dtype(sorted_sequence=line_, input=values)
    if sorter is not None:
        line_ = jnp.take_along_axis(line_, check.array("sorter", sorter), -1)
    where = "right" if right or side == "right" else "left"

    def find(line_: jax.Array, values: jax.Array) -> jax.Array:
        return jnp.searchsorted(line_, values, side=where)

    if not values.size:
        return jnp.zeros(values.shape, jnp.int32 if out_int32 else int64())
    if line_.ndim > 1:
        if line_.shape[:-1] != values.shape[:-1]:
            raise ValueError(f"input: expected shape {line_.shape[:-1]} and one axis more, got {values.shape}")
        flat = jax.vmap(find)(line_.reshape(-1, line_.shape[-1]), values.reshape(-1, values.shape[-1]))
        return flat.reshape(values.shape).astype(jnp.int32 if out_int32 else int64())
    return find(line_, values).astype(jnp.int32 if out_int32 else int64())


def bucketize(input: Any, boundaries: jax.Array, *, out_int32: bool = False, right: bool = False) -> jax.Array:
    """Which of the intervals between sorted boundaries elements are in; the upper end belongs to it unless `right`."""
    line_ = check.array("boundaries", boundaries)
    check.rank("boundaries", line_, {1: "(N,)"})
    return searchsorted(line_, input, out_int32=out_int32, right=right)


def unique(
    input: jax.Array,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements, or slices along `dim`, in order; with where each went, and how often each stands.

    Their number depends on numbers: not under `jax.jit`. Without derivative, as in torch.
    """
    x = check.array("input", input)
    known = concrete("input", x, "the number of distinct elements")
    if dim is not None:
        dim = axis(dim, x)
    return _distinct(
        np.unique(known, return_inverse=True, return_counts=True, axis=dim), x, dim, return_inverse, return_counts
    )


def unique_consecutive(
    input: jax.Array, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """Elements, or slices along `dim`, less those that equal the one before; else as `unique`."""
    x = check.array("input", input)
    known = concrete("input", x, "the number of distinct elements")
    if dim is not None:
        dim = axis(dim, x)
    lines = known.reshape(-1) if dim is None else known
    at = 0 if dim is None else dim
    front = np.moveaxis(lines, at, 0)
    starts = np.ones(len(front), bool)
    if len(front):
        starts[1:] = (front[1:] != front[:-1]).any(tuple(range(1, front.ndim)))
    inverse = np.cumsum(starts) - 1
    counts = np.diff(np.flatnonzero(np.append(starts, True)))
    values = np.moveaxis(front[starts], 0, at)
    return _distinct((values, inverse, counts), x, dim, return_inverse, return_counts)


def _distinct(found: Any, x: jax.Array, dim: int | None, return_inverse: bool, return_counts: bool) -> Any:
    values, inverse, counts = found
    result = [jnp.asarray(values.astype(x.dtype))]
    if return_inverse:
        result.append(jnp.asarray(inverse.reshape(x.shape if dim is None else -1).astype(int64())))
    if return_counts:
        result.append(jnp.asarray(counts.astype(int64())))
    return tuple(result) if len(result) > 1 else result[0]


def bincount(input: jax.Array, weights: jax.Array | None = None, minlength: int = 0) -> jax.Array:
    """How often each integer stands in a line, or the sum of its weights; at least `minlength` of them.

    Under `jax.jit` the greatest integer is not known: integers from `minlength` on are left out there.
    """
    x = numbers("input", input, most=INTEGER)
    check.rank("input", x, {1: "(N,)"})
    size = check.integer("minlength", minlength, least=0)
    if not isinstance(x, jax.core.Tracer) and x.size:
        known = np.asarray(x)
        if known.min() < 0:
            raise ValueError("input: expected integers that are not negative")
        size = max(size, int(known.max()) + 1)
    if weights is None:
        return jnp.zeros(size, int64()).at[x].add(1, mode="drop")
    weights = check.array("weights", weights)
    if weights.shape != x.shape:
        raise ValueError(f"weights: expected shape {x.shape}, got {weights.shape}")
    dtype = weights.dtype if weights.dtype == jnp.float32 else jax.dtypes.canonicalize_dtype(np.float64)
    return jnp.zeros(size, dtype).at[x].add(weights.astype(dtype), mode="drop")


def histc(input: jax.Array, bins: int = 100, min: float = 0, max: float = 0) -> jax.Array:
    """Counts of elements in equal intervals from `min` to `max`, or from the smallest to the greatest if both are 0."""
    x = numbers("input", input, most=FLOATING)
    check.integer("bins", bins, least=1)
    if min > max:
        raise ValueError(f"max: expected at least min={min}, got {max}")
    flat = lax.stop_gradient(x.reshape(-1))
    real = flat if category(x.dtype) == FLOATING else flat.astype(jnp.float32)
    low, high = (jnp.asarray(v, real.dtype) for v in (min, max))
    if min == max and x.size:
        low, high = real.min(), real.max()
    low, high = jnp.where(low == high, low - 1, low), jnp.where(low == high, high + 1, high)
    inside = (real >= low) & (real <= high)
    place = jnp.floor((real - low) * bins / (high - low)).astype(jnp.int32)
    place = jnp.where(inside, jnp.minimum(place, bins - 1), bins)
    return jnp.zeros(bins, x.dtype).at[place].add(jnp.ones((), x.dtype), mode="drop")


class Histogram(NamedTuple):
    """Counts (or densities), and the edges between them."""

    hist: jax.Array
    bin_edges: jax.Array


def histogram(
    input: jax.Array, bins: Any, *, range: Any = None, weight: jax.Array | None = None, density: bool = False
) -> Histogram:
    """Counts, or sums of weights, between edges: `bins` equal intervals of `range`, or sorted edges of its own."""
    x = lax.stop_gradient(numbers("input", input, least=FLOATING, most=FLOATING).reshape(-1))
    if isinstance(bins, int):
        ends = (x.min(), x.max()) if x.size else (jnp.zeros((), x.dtype), jnp.ones((), x.dtype))
        low, high = ends if range is None else (jnp.asarray(v, x.dtype) for v in range)
        low, high = jnp.where(low == high, low - 0.5, low), jnp.where(low == high, high + 0.5, high)
        edges = linspace(low, high, check.integer("bins", bins, least=1) + 1, dtype=x.dtype)
    else:
        edges = check.array("bins", bins)
        check.rank("bins", edges, {1: "(N,)"})
        check.same_dtype(input=x, bins=edges)
    place = jnp.searchsorted(edges, x, side="right") - 1
    count = edges.shape[0] - 1
    place = jnp.where(x == edges[-1], count - 1, jnp.where(place < 0, count, place))
    weights = jnp.ones_like(x) if weight is None else check.array("weight", weight).reshape(-1)
    found = jnp.zeros(count, x.dtype).at[place].add(weights, mode="drop")
    if density:
        found = found / found.sum() / jnp.diff(edges)
    return Histogram(found, edges)
