"""`scatter` and its relatives: elements written, added, multiplied or compared at the places of an index."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets import check
from jaxnets.ops.derivative import with_slope_of
from jaxnets.ops.indexing import added
from jaxnets.ops.promotion import BOOL, FLOATING, Operand, as_dtype, axis, category, is_number, line, numbers

__all__ = [
    "index_reduce",
    "scatter",
    "scatter_add",
    "scatter_reduce",
]


class _Target:
    """The input as an array with axes, and the places that an index names in it."""

    def __init__(self, input: jax.Array, dim: int, index: jax.Array):
        self.input, index = check.array("input", input), numbers("index", index, least=1, most=1)
        dim = axis(dim, self.input)
        self.x, self.index = line(self.input), line(index)
        if self.index.size and (
            self.index.ndim != self.x.ndim
            or any(m > n for i, (m, n) in enumerate(zip(self.index.shape, self.x.shape, strict=True)) if i != dim)
        ):
            raise ValueError(
                f"index: expected as many axes as input {self.input.shape}, none longer but axis {dim}, "
                f"got shape {index.shape}"
            )
        grid = [lax.broadcasted_iota(self.index.dtype, self.index.shape, i) for i in range(self.index.ndim)]
        grid[dim : dim + 1] = [self.index]
        self.places = tuple(grid)

    def source(self, src: Operand, name: str = "src") -> jax.Array:
        """What is written, one element for each index."""
        if is_number(src):
            return jnp.broadcast_to(as_dtype(src, self.x.dtype), self.index.shape)
        src = line(check.array(name, src))
        check.same_dtype(input=self.x, src=src)
        if not self.index.size:
            return jnp.zeros(self.index.shape, self.x.dtype)
        if src.ndim != self.index.ndim or any(m > n for m, n in zip(self.index.shape, src.shape, strict=True)):
            raise ValueError(f"{name}: expected no axis shorter than index {self.index.shape}, got {src.shape}")
        return src[tuple(slice(n) for n in self.index.shape)]

    def back(self, x: jax.Array) -> jax.Array:
        return x.reshape(self.input.shape)


def scatter(
    input: jax.Array, dim: int, index: jax.Array, src: Operand | None = None, *, value: Any = None, reduce: Any = None
) -> jax.Array:
    """The input with `y[i, index[i, j]] = src[i, j]` for `dim=1`; `reduce` "add" or "multiply" combines instead.

    `src` is an array or a number. Where an index stands twice, which element is kept is not defined.
    """
    target = _Target(input, dim, index)
    given = src if src is not None else value
    if given is None:
        raise TypeError("src: expected an array or a number, got None")
    if reduce is not None:
        check.choice("reduce", reduce, ("add", "multiply"))
        return _reduced(target, target.source(given), "sum" if reduce == "add" else "prod", True)
    return target.back(target.x.at[target.places].set(target.source(given)))


def scatter_add(input: jax.Array, dim: int, index: jax.Array, src: jax.Array) -> jax.Array:
    """The input with `y[i, index[i, j]] += src[i, j]` for `dim=1`; equal indices add up."""
    target = _Target(input, dim, index)
    return target.back(added(target.x.at[target.places], target.source(src)))


def scatter_reduce(
    input: jax.Array, dim: int, index: jax.Array, src: jax.Array, reduce: str, *, include_self: bool = True
) -> jax.Array:
    """The input combined with the elements of `src` at the places of an index, whose equals are combined too.

    Args:
        input: numbers.
        dim: the axis along which `index` counts.
        index: places; axes other than `dim` not longer than the input's.
        src: not shorter than `index`.
        reduce: "sum", "prod", "mean", "amax" or "amin".
        include_self: whether the input's own element takes part where something is written.

    Equals of "amax" and "amin" share the derivative.
    """
    target = _Target(input, dim, index)
    check.choice("reduce", reduce, ("sum", "prod", "mean", "amax", "amin"))
    return _reduced(target, target.source(src), reduce, include_self)


def index_reduce(
    input: jax.Array, dim: int, index: jax.Array, source: jax.Array, reduce: str, *, include_self: bool = True
) -> jax.Array:
    """The input combined with slices of `source` ("prod", "mean", "amax" or "amin") at the indices of an axis."""
    x, places = line(check.array("input", input)), line(numbers("index", index, least=1, most=1))
    check.choice("reduce", reduce, ("prod", "mean", "amax", "amin"))
    source, at = line(check.array("source", source)), axis(dim, x)
    shape = [1] * x.ndim
    shape[at] = places.shape[0]
    target = _Target(x, at, jnp.broadcast_to(places.reshape(shape), source.shape))
    return _reduced(target, target.source(source, "source"), reduce, include_self).reshape(input.shape)


def _start(dtype: Any, reduce: str) -> jax.Array:
    """What changes nothing when it is combined."""
    if reduce in ("sum", "mean", "prod"):
        return jnp.asarray(reduce == "prod", dtype)
    if category(dtype) == FLOATING:
        return jnp.asarray(-np.inf if reduce == "amax" else np.inf, dtype)
    if category(dtype) == BOOL:
        return jnp.asarray(reduce == "amin")
    limits = jnp.iinfo(dtype)
    return jnp.asarray(limits.min if reduce == "amax" else limits.max, dtype)


def _reduced(target: _Target, src: jax.Array, reduce: str, include_self: bool) -> jax.Array:
    x, places = target.x, target.places
    touched = jnp.zeros(x.shape, bool).at[places].set(True)
    base = x if include_self else jnp.where(touched, _start(x.dtype, reduce), x)
    if reduce in ("sum", "mean"):
        total = added(base.at[places], src)
        if reduce == "mean":
            whole = category(x.dtype) < FLOATING
            count = jnp.zeros(x.shape, jnp.int32).at[places].add(1) + int(include_self)
            count = jnp.where(touched, count, 1).astype(x.dtype)
            total = jnp.floor_divide(total, count) if whole else total / count
        return target.back(total)
    if reduce == "prod":
        return target.back(_product(base, src, places))
    hold = lax.stop_gradient
    place = hold(base).at[places]
    best = place.max(hold(src)) if reduce == "amax" else place.min(hold(src))
    if category(x.dtype) < FLOATING:
        return target.back(best)
    # torch counts an input of its own that is equal, even if it takes no part
    mine, theirs = x == best, src == best[places]
    count = mine.astype(x.dtype).at[places].add(theirs.astype(x.dtype))
    zero = jnp.zeros((), x.dtype)
    mine = mine if include_self else mine & ~touched
    share = jnp.where(mine, base, zero).at[places].add(jnp.where(theirs, src, zero))
    return target.back(with_slope_of(share / jnp.maximum(count, 1), best))


def _product(base: jax.Array, src: jax.Array, places: Any) -> jax.Array:
    if category(base.dtype) < FLOATING:
        return base.at[places].min(src) if base.dtype == bool else base.at[places].multiply(src)

    return _product_of_floats(base, src, places)


@jax.custom_jvp
def _product_of_floats(x: jax.Array, y: jax.Array, places: Any) -> jax.Array:
    return x.at[places].multiply(y)


@_product_of_floats.defjvp
def _product_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    x, y, places = primals
    value, one = _product_of_floats(x, y, places), jnp.ones((), x.dtype)
    # each factor's derivative is the product of all others: without its own zero, if that is the only one
    zeros = (x == 0).astype(jnp.int32).at[places].add((y == 0).astype(jnp.int32))
    rest = _product_of_floats(jnp.where(x == 0, one, x), jnp.where(y == 0, one, y), places)

    def others(factor: jax.Array, zeros: jax.Array, value: jax.Array, rest: jax.Array) -> jax.Array:
        lone = (zeros == 1) & (factor == 0)
        return jnp.where(lone, rest, jnp.where(factor == 0, 0 * one, value / jnp.where(factor == 0, one, factor)))

    slope = tangents[1] * others(y, zeros[places], value[places], rest[places])
    return value, (tangents[0] * others(x, zeros, value, rest)).at[places].add(slope)
