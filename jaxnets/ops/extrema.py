"""Greatest and smallest elements, medians and quantiles."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets import check
from jaxnets.lowering.extremes import greatest, least
from jaxnets.ops.binary import maximum, minimum
from jaxnets.ops.derivative import with_slope_of
from jaxnets.ops.promotion import BOOL, FLOATING, Dims, axes, axis, category, is_number, line, numbers

__all__ = [
    "amax",
    "amin",
    "aminmax",
    "argmax",
    "argmin",
    "kthvalue",
    "max",
    "median",
    "min",
    "mode",
    "nanmedian",
    "nanquantile",
    "quantile",
]


class Selected(NamedTuple):
    """Elements, and where they stood along the axis."""

    values: jax.Array
    indices: jax.Array


class Bounds(NamedTuple):
    """The smallest and the greatest element."""

    min: jax.Array
    max: jax.Array


def _ordered(input: jax.Array) -> jax.Array:
    return numbers("input", input, least=BOOL, most=FLOATING)


def _over(f: Callable[..., jax.Array], input: jax.Array, dim: Dims, keepdim: bool) -> jax.Array:
    x = _ordered(input)
    over = axes(dim, x)
    if 0 in [x.shape[i] for i in over]:
        raise IndexError(f"input: expected elements to choose from along {dim}, got shape {x.shape}")
    return f(x, over, keepdims=keepdim)


def amax(input: jax.Array, dim: Dims = (), keepdim: bool = False) -> jax.Array:
    """The greatest element over axes, NaN where there is one; equals share the derivative."""
    return _over(greatest, input, dim, keepdim)


def amin(input: jax.Array, dim: Dims = (), keepdim: bool = False) -> jax.Array:
    """The smallest element over axes, NaN where there is one; equals share the derivative."""
    return _over(least, input, dim, keepdim)


def aminmax(input: jax.Array, *, dim: int | None = None, keepdim: bool = False) -> Bounds:
    """The smallest and the greatest element, along one axis or of all."""
    over = () if dim is None else dim
    return Bounds(amin(input, over, keepdim), amax(input, over, keepdim))


def _extreme(
    pair: Callable[..., jax.Array],
    whole: Callable[..., jax.Array],
    place: Callable[..., jax.Array],
    input: jax.Array,
    dim: Any,
    keepdim: bool,
) -> Any:
    if dim is None:
        return whole(input)
    if not is_number(dim) and getattr(dim, "ndim", None) is not None:
        return pair(input, dim)
    return picked(_ordered(input), axis(dim, check.array("input", input)), keepdim, place)


def picked(x: jax.Array, dim: int, keepdim: bool, place: Callable[..., jax.Array]) -> Selected:
    """The elements at the indices that `place` finds along an axis; only they have a derivative."""
    row = line(x)
    if not row.shape[dim]:
        raise IndexError(f"dim: expected elements to choose from along axis {dim}, got shape {x.shape}")
    index = place(lax.stop_gradient(row), dim)
    values = jnp.take_along_axis(row, index, dim, mode="promise_in_bounds")
    if not x.ndim:
        return Selected(values.reshape(()), index.reshape(()))
    return Selected(values, index) if keepdim else Selected(values.squeeze(dim), index.squeeze(dim))


def _first_max(x: jax.Array, dim: int) -> jax.Array:
    return jnp.argmax(x, dim, keepdims=True)


def _first_min(x: jax.Array, dim: int) -> jax.Array:
    return jnp.argmin(x, dim, keepdims=True)


def max(input: jax.Array, dim: Any = None, keepdim: bool = False, *, other: jax.Array | None = None) -> Any:
    """The greatest element; along `dim` the pair `(values, indices)`; with an array instead, `maximum`.

    NaN counts as the greatest. Of equals the first is taken along `dim`, and alone has the derivative; of all
    elements, equals share it.

    >>> max(jnp.array([[1, 5], [7, 2]]), 1).indices.tolist()
    [1, 0]
    """
    return _extreme(maximum, amax, _first_max, input, dim if other is None else other, keepdim)


def min(input: jax.Array, dim: Any = None, keepdim: bool = False, *, other: jax.Array | None = None) -> Any:
    """The smallest element; along `dim` the pair `(values, indices)`; with an array instead, `minimum`. See `max`."""
    return _extreme(minimum, amin, _first_min, input, dim if other is None else other, keepdim)


def _place(f: Callable[..., jax.Array], input: jax.Array, dim: int | None, keepdim: bool) -> jax.Array:
    x = _ordered(input)
    if dim is not None:
        dim = axis(dim, x)
    if not (x.size if dim is None else line(x).shape[dim]):
        raise IndexError(f"input: expected elements to choose from, got shape {x.shape} and dim={dim}")
    if not x.ndim:
        return f(line(x), 0)
    return f(x, dim, keepdims=keepdim)


def argmax(input: jax.Array, dim: int | None = None, keepdim: bool = False) -> jax.Array:
    """Where the first of the greatest elements is, along an axis or in the flattened input; NaN is greatest."""
    return _place(jnp.argmax, input, dim, keepdim)


def argmin(input: jax.Array, dim: int | None = None, keepdim: bool = False) -> jax.Array:
    """Where the first of the smallest elements is, along an axis or in the flattened input; NaN is smallest."""
    return _place(jnp.argmin, input, dim, keepdim)


def _middle(x: jax.Array, dim: int) -> jax.Array:
    order = jnp.argsort(x, dim, stable=True)
    middle = lax.index_in_dim(order, (x.shape[dim] - 1) // 2, dim)
    if category(x.dtype) < FLOATING:
        return middle
    nan = jnp.isnan(x)
    return jnp.where(nan.any(dim, keepdims=True), jnp.argmax(nan, dim, keepdims=True), middle)


def _nan_middle(x: jax.Array, dim: int) -> jax.Array:
    order = jnp.argsort(x, dim, stable=True)
    if category(x.dtype) < FLOATING:
        return lax.index_in_dim(order, (x.shape[dim] - 1) // 2, dim)
    count = (~jnp.isnan(x)).sum(dim, keepdims=True)
    return jnp.take_along_axis(order, jnp.maximum(count - 1, 0) // 2, dim)


def _shared(x: jax.Array, value: jax.Array) -> jax.Array:
    """`value`, an element of `x`, whose derivative its equals in `x` share."""
    if category(x.dtype) < FLOATING:
        return value
    x = x.ravel()
    same = (x == value) | (jnp.isnan(x) & jnp.isnan(value))
    share = jnp.where(same, x, jnp.zeros_like(x)).sum() / same.sum().astype(x.dtype)
    return with_slope_of(share, lax.stop_gradient(value))


def _median(place: Callable[..., jax.Array], input: jax.Array, dim: int | None, keepdim: bool) -> Any:
    x = numbers("input", input, most=FLOATING)
    if dim is not None:
        return picked(x, axis(dim, x), keepdim, place)
    if not x.size:
        if category(x.dtype) < FLOATING:
            raise ValueError(f"input: expected at least one element for {x.dtype}, got shape {x.shape}")
        return jnp.full((), jnp.nan, x.dtype)
    flat = x.ravel()
    return _shared(x, picked(flat, 0, False, place).values)


def median(input: jax.Array, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower of the two middle elements, NaN where there is one; along `dim` the pair `(values, indices)`."""
    return _median(_middle, input, dim, keepdim)


def nanmedian(input: jax.Array, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower of the two middle elements of those that are not NaN; along `dim` the pair `(values, indices)`."""
    return _median(_nan_middle, input, dim, keepdim)


def kthvalue(input: jax.Array, k: int, dim: int = -1, keepdim: bool = False) -> Selected:
    """The `k`-th smallest element along an axis, from 1, and its index; NaN is greatest."""
    x = numbers("input", input, most=FLOATING)
    dim = axis(dim, x)
    size = line(x).shape[dim]
    if not 1 <= check.integer("k", k) <= size:
        raise ValueError(f"k: expected 1 to {size}, the size of axis {dim} of input {x.shape}, got {k}")
    return picked(x, dim, keepdim, lambda x, dim: lax.index_in_dim(jnp.argsort(x, dim, stable=True), k - 1, dim))


def mode(input: jax.Array, dim: int = -1, keepdim: bool = False) -> Selected:
    """The smallest of the most frequent elements along an axis, and where it stands last."""
    x = _ordered(input)

    def place(x: jax.Array, dim: int) -> jax.Array:
        x = jnp.moveaxis(x, dim, -1)
        ordered = jnp.sort(x, -1)
        # the length of the run that ends at each element: the first longest run is that of the smallest
        count = jnp.cumsum(jnp.ones(x.shape, jnp.int32), -1)
        starts = jnp.concatenate([jnp.ones_like(ordered[..., :1], bool), ordered[..., 1:] != ordered[..., :-1]], -1)
        run = count - lax.cummax(jnp.where(starts, count, 0), axis=x.ndim - 1)
        best = jnp.take_along_axis(ordered, jnp.argmax(run, -1, keepdims=True), -1)
        last = x.shape[-1] - 1 - jnp.argmax(jnp.flip(x == jnp.broadcast_to(best, x.shape), -1), -1, keepdims=True)
        return jnp.moveaxis(last, -1, dim)

    return picked(x, axis(dim, x), keepdim, place)


def _quantile(input: jax.Array, q: Any, dim: int | None, keepdim: bool, interpolation: str, nan: bool) -> jax.Array:
    x = numbers("input", input, least=FLOATING, most=FLOATING)
    q = jnp.asarray(q, x.dtype) if is_number(q) else check.array("q", q)
    check.same_dtype(input=x, q=q)
    if q.ndim > 1:
        raise ValueError(f"q: expected a number or a line of numbers, got shape {q.shape}")
    check.choice("interpolation", interpolation, ("linear", "lower", "higher", "midpoint", "nearest"))
    if not x.size:
        raise ValueError(f"input: expected elements, got shape {x.shape}")
    if dim is None:
        x, shape = x.reshape(-1), (1,) * x.ndim if keepdim else ()
    else:
        at = axis(dim, x)
        x = jnp.moveaxis(line(x), at, -1)
        rest = list(x.shape[:-1])
        if keepdim and x.ndim and check.array("input", input).ndim:
            rest.insert(at, 1)
        shape = tuple(rest)
    ordered = jnp.sort(x, -1)
    missing = jnp.isnan(x)
    count = (~missing).sum(-1, keepdims=True) if nan else jnp.full((*x.shape[:-1], 1), x.shape[-1])
    rank = q.reshape((1,) * (x.ndim - 1) + (-1,)) * (count - 1).astype(x.dtype)
    rank = jnp.maximum(rank, jnp.zeros((), x.dtype))
    if not nan:
        rank = jnp.where(missing.any(-1, keepdims=True), jnp.full((), x.shape[-1] - 1, x.dtype), rank)
    below, above = jnp.floor(rank), jnp.ceil(rank)
    if interpolation == "nearest":
        below = above = jnp.round(rank)
    weight = {"lower": jnp.zeros_like(rank), "higher": jnp.ones_like(rank), "midpoint": jnp.full_like(rank, 0.5)}
    share = weight.get(interpolation, rank - below)
    if interpolation == "midpoint":
        share = jnp.where(below == above, jnp.zeros_like(share), share)
    low, high = (jnp.take_along_axis(ordered, i.astype(int), -1) for i in (below, above))
    found = jnp.where(share < 0.5, low + share * (high - low), high - (high - low) * (1 - share))
    return jnp.moveaxis(found, -1, 0).reshape(q.shape + shape)


def quantile(
    input: jax.Array, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> jax.Array:
    """Quantiles for each of `q` in [0, 1], on a first axis where `q` has one; NaN where there is one."""
    return _quantile(input, q, dim, keepdim, interpolation, False)


def nanquantile(
    input: jax.Array, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> jax.Array:
    """Quantiles of what is not NaN."""
    return _quantile(input, q, dim, keepdim, interpolation, True)
