"""Elements picked by index and by mask, and written: gather, index and mask functions."""

from builtins import slice as Slice
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets import check
from jaxnets.functional.precision import spread
from jaxnets.ops.promotion import (
    COMPLEX,
    Operand,
    as_dtype,
    axis,
    category,
    common_dtype,
    concrete,
    int64,
    is_number,
    line,
    numbers,
    operand,
)
from jaxnets.ops.shape import as_strided

__all__ = [
    "as_strided_scatter",
    "diagonal_scatter",
    "gather",
    "index",
    "index_add",
    "index_copy",
    "index_fill",
    "index_put",
    "index_select",
    "masked_fill",
    "masked_scatter",
    "masked_select",
    "narrow",
    "put",
    "select",
    "select_scatter",
    "slice",
    "slice_scatter",
    "take",
    "take_along_dim",
]


def _indices(name: str, value: Any) -> jax.Array:
    return numbers(name, value, least=1, most=1)


def gather(input: jax.Array, dim: int, index: jax.Array, *, sparse_grad: bool = False) -> jax.Array:
    """`y[i, j] = input[i, index[i, j]]` for `dim=1`; other axes of `index` may be shorter than the input's.

    Differences from torch: an index out of range gives NaN (or the smallest integer), no error.
    """
    x, index = check.array("input", input), _indices("index", index)
    dim = axis(dim, x)
    row, places = line(x), line(index)
    if not index.size:
        return jnp.zeros(index.shape, x.dtype)
    _check_rank("index", places, row)
    within = tuple(Slice(None) if i == dim else Slice(n) for i, n in enumerate(places.shape))
    if any(m > n for i, (m, n) in enumerate(zip(places.shape, row.shape, strict=True)) if i != dim):
        raise ValueError(f"index: expected no size above input's {x.shape} but on axis {dim}, got {index.shape}")
    return jnp.take_along_axis(row[within], places, dim, mode="fill").reshape(index.shape)


def _check_rank(name: str, value: jax.Array, x: jax.Array) -> None:
    if value.ndim != x.ndim:
        raise ValueError(f"{name}: expected {x.ndim} axes as input {x.shape} has, got shape {value.shape}")


def take_along_dim(input: jax.Array, indices: jax.Array, dim: int | None = None) -> jax.Array:
    """`gather`, with input and indices broadcast; of the flattened input without `dim`."""
    x, index = check.array("input", input), _indices("indices", indices)
    if dim is None:
        return gather(x.reshape(-1), 0, index.reshape(-1))
    dim = axis(dim, x)
    _check_rank("indices", index, x)
    shape = list(np.broadcast_shapes(*((*s[:dim], 1, *s[dim + 1 :]) for s in (x.shape, index.shape))))
    x = jnp.broadcast_to(x, (*shape[:dim], x.shape[dim], *shape[dim + 1 :]))
    index = jnp.broadcast_to(index, (*shape[:dim], index.shape[dim], *shape[dim + 1 :]))
    return gather(x, dim, index)


def take(input: jax.Array, index: jax.Array) -> jax.Array:
    """Elements of the flattened input, in the shape of `index`; negative numbers count from the end."""
    x, index = check.array("input", input), _indices("index", index)
    return x.reshape(-1).at[index].get(mode="fill")


def put(input: jax.Array, index: jax.Array, source: jax.Array, accumulate: bool = False) -> jax.Array:
    """The input with elements of `source` at flat places, added to what is there with `accumulate`."""
    x, index, source = check.array("input", input), _indices("index", index), check.array("source", source)
    check.same_dtype(input=x, source=source)
    if index.size != source.size:
        raise ValueError(f"source: expected {index.size} elements, one for each index, got {source.size}")
    place = x.reshape(-1).at[index.reshape(-1)]
    return _written(place, source.reshape(-1), accumulate).reshape(x.shape)


def _written(place: Any, values: jax.Array, accumulate: bool) -> jax.Array:
    return added(place, values) if check.truth("accumulate", accumulate) else place.set(values)


def added(place: Any, values: jax.Array) -> jax.Array:
    """Values added at the places of an array, `x.at[...]`; of booleans whether any holds."""
    return place.max(values) if values.dtype == bool else place.add(values)


def index_select(input: jax.Array, dim: int, index: jax.Array) -> jax.Array:
    """Slices along an axis, in the order of a line of indices."""
    x, index = check.array("input", input), line(_indices("index", index))
    check.rank("index", index, {1: "(N,)"})
    dim = axis(dim, x)
    taken = jnp.take(line(x), index, axis=dim, mode="fill")
    return taken if x.ndim else taken.reshape(())


def _slices(x: jax.Array, dim: int) -> tuple[Slice, ...]:
    return (Slice(None),) * dim


def _into(input: jax.Array, dim: int, index: jax.Array, source: jax.Array | None) -> tuple[Any, ...]:
    """The input, the places that `index` names along an axis, and the source."""
    x, index = check.array("input", input), line(_indices("index", index))
    check.rank("index", index, {1: "(N,)"})
    dim = axis(dim, x)
    row = line(x)
    place = row.at[(*_slices(row, dim), index)]
    if source is None:
        return x, place, None
    source = check.array("source", source)
    check.same_dtype(input=x, source=source)
    source = line(source)
    shape = (*row.shape[:dim], index.shape[0], *row.shape[dim + 1 :])
    if source.shape != shape and not (source.size == 1 and index.size == 1 and row.ndim == 1):
        raise ValueError(f"source: expected shape {shape}, got {source.shape}")
    return x, place, source.reshape(shape)


def index_add(input: jax.Array, dim: int, index: jax.Array, source: jax.Array, *, alpha: Operand = 1) -> jax.Array:
    """The input with `alpha` times the slices of `source` added at the indices of an axis; equal ones add up."""
    x, place, source = _into(input, dim, index, source)
    if not (is_number(alpha) and alpha == 1):
        source = source * as_dtype(operand("alpha", alpha), x.dtype)
    return added(place, source).reshape(x.shape)


def index_copy(input: jax.Array, dim: int, index: jax.Array, source: jax.Array) -> jax.Array:
    """The input with the slices of `source` at the indices of an axis."""
    x, place, source = _into(input, dim, index, source)
    return place.set(source).reshape(x.shape)


def index_fill(input: jax.Array, dim: int, index: jax.Array, value: Operand) -> jax.Array:
    """The input with one number in the slices at the indices of an axis."""
    x, place, _ = _into(input, dim, index, None)
    return place.set(_filling("value", value, x)).reshape(x.shape)


def _filling(name: str, value: Operand, x: jax.Array) -> jax.Array:
    """A number to fill with, in the dtype of the input."""
    value = operand(name, value)
    if not is_number(value) and value.ndim:
        raise ValueError(f"{name}: expected a number, got an array of shape {value.shape}")
    if category(common_dtype(value)) == COMPLEX and category(x.dtype) < COMPLEX:
        raise TypeError(f"{name}: expected a real number for input of {x.dtype}, got {value}")
    return as_dtype(value, x.dtype)


def index(input: jax.Array, indices: Sequence[jax.Array | None]) -> jax.Array:
    """`input[indices]`: an array or None (the whole axis) for each axis; a mask stands for as many axes as it has.

    The size that a mask leaves depends on its numbers: no masks under `jax.jit`.
    """
    x = check.array("input", input)
    return x[_places(x, indices)]


def index_put(
    input: jax.Array, indices: Sequence[jax.Array | None], values: jax.Array, accumulate: bool = False
) -> jax.Array:
    """`input` with `input[indices] = values`, or `+= values`, where equal indices add up, with `accumulate`."""
    x, values = check.array("input", input), check.array("values", values)
    check.same_dtype(input=x, values=values)
    if len(indices) == 1 and indices[0] is not None and not accumulate and not values.ndim:
        mask = check.array("indices", indices[0])
        if mask.dtype == bool:  # one number through a mask has a shape known beforehand
            return jnp.where(mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim)), values, x)
    places = _places(x, indices)
    shape = jax.eval_shape(lambda x: x[places], x).shape
    if values.ndim > len(shape):
        values = values.reshape(values.shape[values.ndim - len(shape) :])
    return _written(x.at[places], jnp.broadcast_to(values, shape), accumulate)


def _places(x: jax.Array, indices: Sequence[jax.Array | None]) -> tuple[Any, ...]:
    """Indices for each axis, masks as the indices where they hold."""
    found: list[Any] = []
    for given in indices:
        if given is None:
            found.append(Slice(None))
            continue
        place = numbers("indices", given, least=0, most=1)
        if place.dtype in (jnp.bool_, jnp.uint8):
            mask = concrete("indices", place, "the size that a mask leaves")
            if mask.shape != x.shape[len(found) : len(found) + mask.ndim]:
                raise IndexError(f"indices: expected a mask of the shape of its axes of {x.shape}, got {mask.shape}")
            found += [jnp.asarray(i.astype(int64())) for i in np.nonzero(mask)]
        else:
            found.append(place)
    if len(found) > x.ndim:
        raise IndexError(f"indices: expected at most {x.ndim} for input {x.shape}, got {len(found)}")
    return tuple(found)


def masked_fill(input: jax.Array, mask: jax.Array, value: Operand) -> jax.Array:
    """`value` where the mask holds; both broadcast, and the dtype is the input's."""
    x, mask = check.array("input", input), check.array("mask", mask)
    if mask.dtype != bool:
        raise TypeError(f"mask: expected dtype bool, got {mask.dtype}; compare it with 0")
    fill = _filling("value", value, x)
    shape = _shape_of(x, mask)
    return jnp.where(jnp.broadcast_to(mask, shape), fill, spread(x, shape))


def _shape_of(x: jax.Array, mask: jax.Array) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(x.shape, mask.shape)
    except ValueError:
        raise ValueError(f"mask: expected a shape that broadcasts with input {x.shape}, got {mask.shape}") from None


def masked_scatter(input: jax.Array, mask: jax.Array, source: jax.Array) -> jax.Array:
    """The elements of `source`, in order, where the mask holds."""
    x, mask, source = check.array("input", input), check.array("mask", mask), check.array("source", source)
    check.same_dtype(input=x, source=source)
    if mask.dtype != bool:
        raise TypeError(f"mask: expected dtype bool, got {mask.dtype}; compare it with 0")
    shape = _shape_of(x, mask)
    x, mask = spread(x, shape), jnp.broadcast_to(mask, shape)
    if not isinstance(mask, jax.core.Tracer) and int(mask.sum()) > source.size:
        raise ValueError(f"source: expected {int(mask.sum())} elements, as many as the mask holds, got {source.size}")
    if not source.size:
        return x
    place = jnp.cumsum(mask.reshape(-1), dtype=int64()).reshape(shape) - 1
    return jnp.where(mask, source.reshape(-1).at[place].get(mode="clip"), x)


def masked_select(input: jax.Array, mask: jax.Array) -> jax.Array:
    """The elements where the mask holds, on one axis. Their number depends on the mask: not under `jax.jit`."""
    x, mask = check.array("input", input), check.array("mask", mask)
    if mask.dtype != bool:
        raise TypeError(f"mask: expected dtype bool, got {mask.dtype}; compare it with 0")
    shape = _shape_of(x, mask)
    known = np.broadcast_to(concrete("mask", mask, "the size of the result"), shape)
    return jnp.broadcast_to(x, shape).reshape(-1)[jnp.asarray(np.flatnonzero(known).astype(int64()))]


def select(input: jax.Array, dim: int, index: Any) -> jax.Array:
    """The slice at one index of an axis, without the axis."""
    x = check.array("input", input)
    if not x.ndim:
        raise IndexError("dim: expected an axis of the input, got a number")
    dim = axis(dim, x)
    return lax.dynamic_index_in_dim(x, _index(index, x, dim), dim, keepdims=False)


def _index(index: Any, x: jax.Array, dim: int) -> Any:
    if isinstance(index, jax.Array):
        return jnp.where(index < 0, index + x.shape[dim], index)
    size = x.shape[dim]
    if not -size <= check.integer("index", index) < size:
        raise IndexError(f"index: expected {-size} to {size - 1} on axis {dim} of input {x.shape}, got {index}")
    return index % size


def narrow(input: jax.Array, dim: int, start: Any, length: int) -> jax.Array:
    """`length` entries of an axis from `start` on, which may be an array."""
    x = check.array("input", input)
    dim = axis(dim, x)
    if not x.ndim:
        raise ValueError("dim: expected an axis of the input, got a number")
    size = x.shape[dim]
    if isinstance(start, jax.Array):
        return lax.dynamic_slice_in_dim(x, start, check.integer("length", length, least=0), dim)
    if not -size <= check.integer("start", start) <= size:
        raise IndexError(f"start: expected {-size} to {size} on axis {dim} of input {x.shape}, got {start}")
    begin = start + size if start < 0 else start
    if begin + check.integer("length", length, least=0) > size:
        raise ValueError(f"length: expected at most {size - begin} from {start} on axis {dim}, got {length}")
    return lax.slice_in_dim(x, begin, begin + length, axis=dim)


def _bounds(x: jax.Array, dim: int, start: int | None, end: int | None, step: int) -> Slice:
    size = x.shape[dim]
    begin, stop, by = Slice(start, end, check.integer("step", step, least=1)).indices(size)
    return Slice(begin, max(stop, begin), by)


def slice(input: jax.Array, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> jax.Array:
    """`input[start:end:step]` along an axis; bounds beyond the ends are brought inside."""
    x = check.array("input", input)
    if not x.ndim:
        raise ValueError("input: expected at least one axis, got a number")
    dim = axis(dim, x)
    part = _bounds(x, dim, start, end, step)
    return lax.slice_in_dim(x, part.start, part.stop, part.step, dim)


def slice_scatter(
    input: jax.Array, src: jax.Array, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> jax.Array:
    """The input with `src` in the place of `slice(input, dim, start, end, step)`."""
    x, src = check.array("input", input), check.array("src", src)
    dim = axis(dim, x)
    place = (*_slices(x, dim), _bounds(x, dim, start, end, step))
    return _replaced(x, place, src)


def select_scatter(input: jax.Array, src: jax.Array, dim: int, index: int) -> jax.Array:
    """The input with `src` in the place of `select(input, dim, index)`."""
    x, src = check.array("input", input), check.array("src", src)
    dim = axis(dim, x)
    return _replaced(x, (*_slices(x, dim), _index(index, x, dim)), src)


def diagonal_scatter(input: jax.Array, src: jax.Array, offset: int = 0, dim1: int = 0, dim2: int = 1) -> jax.Array:
    """The input with `src` in the place of `diagonal(input, offset, dim1, dim2)`."""
    x, src = check.array("input", input), check.array("src", src)
    a, b = axis(dim1, x, "dim1"), axis(dim2, x, "dim2")
    moved = jnp.moveaxis(x, (a, b), (-2, -1))
    places = np.arange(src.shape[-1] if src.ndim else 0)
    found = _replaced(moved, (..., places + max(-offset, 0), places + max(offset, 0)), src)
    return jnp.moveaxis(found, (-2, -1), (a, b))


def as_strided_scatter(
    input: jax.Array, src: jax.Array, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> jax.Array:
    """The input with `src` in the place of `as_strided(input, size, stride, storage_offset)`."""
    x, src = check.array("input", input), check.array("src", src)
    places = as_strided(jnp.arange(x.size), size, stride, storage_offset)
    return _replaced(x.reshape(-1), (places,), src).reshape(x.shape)


def _replaced(x: jax.Array, place: tuple[Any, ...], src: jax.Array) -> jax.Array:
    shape = jax.eval_shape(lambda x: x[place], x).shape
    if src.shape != shape:
        raise ValueError(f"src: expected shape {shape}, got {src.shape}")
    return x.at[place].set(as_dtype(src, x.dtype))
