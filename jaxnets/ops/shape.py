"""Shapes: views, axes moved, added, merged, repeated."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets import check
from jaxnets.functional.flatten import flatten, unflatten
from jaxnets.functional.precision import spread
from jaxnets.ops.promotion import Dims, axes, axis, filled, ints, numbers

__all__ = [
    "adjoint",
    "as_strided",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "broadcast_shapes",
    "broadcast_tensors",
    "broadcast_to",
    "clone",
    "contiguous",
    "detach",
    "diag",
    "diag_embed",
    "diagflat",
    "diagonal",
    "expand",
    "expand_as",
    "flatten",
    "flip",
    "fliplr",
    "flipud",
    "moveaxis",
    "movedim",
    "numel",
    "permute",
    "ravel",
    "repeat",
    "repeat_interleave",
    "reshape",
    "reshape_as",
    "roll",
    "rot90",
    "squeeze",
    "swapaxes",
    "swapdims",
    "t",
    "tile",
    "transpose",
    "tril",
    "triu",
    "unflatten",
    "unfold",
    "unravel_index",
    "unsqueeze",
    "view",
    "view_as",
]


def reshape(input: jax.Array, shape: Any, *more: Any) -> jax.Array:
    """The same elements in another shape, in which one size may be -1."""
    x = check.array("input", input)
    return x.reshape(filled("shape", ints("shape", (shape, *more)), x.size))


def view(input: jax.Array, size: Any, *more: Any) -> jax.Array:
    """`reshape`; with a dtype instead, the same bits read as another dtype, along the last axis."""
    x = check.array("input", input)
    if not (more or check.is_sequence(size) or isinstance(size, int | np.integer)):
        return _bits_as(x, check.dtype("dtype", size))
    return x.reshape(filled("size", ints("size", (size, *more)), x.size))


def _bits_as(x: jax.Array, dtype: Any) -> jax.Array:
    old, new = x.dtype.itemsize, jnp.dtype(dtype).itemsize
    if new > old:
        if not x.ndim or x.shape[-1] * old % new:
            raise ValueError(f"dtype: expected a last axis that {dtype} divides, got {x.dtype} of shape {x.shape}")
        x = x.reshape(*x.shape[:-1], -1, new // old)
    elif new < old and not x.ndim:
        raise ValueError(f"dtype: expected an axis to split {x.dtype} along, got a number")
    x = x.view(dtype) if "complex" in f"{x.dtype}{dtype}" else lax.bitcast_convert_type(x, dtype)
    return x.reshape(*x.shape[:-2], -1) if new < old else x


def reshape_as(input: jax.Array, other: jax.Array) -> jax.Array:
    """`input` in the shape of `other`."""
    return reshape(input, check.array("other", other).shape)


def view_as(input: jax.Array, other: jax.Array) -> jax.Array:
    """`input` in the shape of `other`."""
    return reshape(input, check.array("other", other).shape)


def ravel(input: jax.Array) -> jax.Array:
    """All elements on one axis."""
    return check.array("input", input).reshape(-1)


def expand(input: jax.Array, size: Any, *more: Any, implicit: bool = False) -> jax.Array:
    """Axes of size 1 repeated, and axes added in front, up to `size`; -1 keeps an axis."""
    x, sizes = check.array("input", input), ints("size", (size, *more))
    kept = (1,) * (len(sizes) - x.ndim) + x.shape
    if len(sizes) < x.ndim or any(n == -1 and i < len(sizes) - x.ndim for i, n in enumerate(sizes)):
        raise ValueError(f"size: expected a size for each axis of input {x.shape}, got {sizes}")
    target = tuple(m if n == -1 else n for n, m in zip(sizes, kept, strict=True))
    if any(m not in (1, n) or n < 0 for n, m in zip(target, kept, strict=True)):
        raise ValueError(f"size: expected sizes that input {x.shape} expands to, got {sizes}")
    return spread(x, target)


def expand_as(input: jax.Array, other: jax.Array) -> jax.Array:
    """`input` expanded to the shape of `other`."""
    return expand(input, check.array("other", other).shape)


def broadcast_to(input: jax.Array, size: Sequence[int]) -> jax.Array:
    """`expand` to a shape."""
    return expand(input, size)


def broadcast_tensors(*tensors: Any) -> list[jax.Array]:
    """Arrays expanded to one shape."""
    given = tensors[0] if len(tensors) == 1 and check.is_sequence(tensors[0]) else tensors
    arrays = [check.array("tensors", x) for x in given]
    shape = broadcast_shapes(*(x.shape for x in arrays))
    return [spread(x, shape) for x in arrays]


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape that shapes broadcast to."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(f"shapes: expected shapes that broadcast, got {shapes}") from None


def repeat(input: jax.Array, repeats: Any, *more: Any) -> jax.Array:
    """The array laid side by side, so many times along each axis; more numbers than axes add axes in front."""
    x, times = check.array("input", input), ints("repeats", (repeats, *more))
    if len(times) < x.ndim or min(times, default=0) < 0:
        raise ValueError(f"repeats: expected a number for each axis of input {x.shape}, none negative, got {times}")
    return jnp.tile(x, times)


def tile(input: jax.Array, dims: Any, *more: Any) -> jax.Array:
    """As `repeat`, where numbers may be missing for the first axes."""
    x, times = check.array("input", input), ints("dims", (dims, *more))
    return repeat(x, (1,) * (x.ndim - len(times)) + times)


def repeat_interleave(
    input: jax.Array, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> jax.Array:
    """Each element (or slice along `dim`) so many times in a row; without `dim`, of the flattened input.

    Given one array of counts alone, each index as often as it says. Under `jax.jit` counts that are an array need
    `output_size`.
    """
    x = check.array("input", input)
    if repeats is None:
        x, repeats, dim = jnp.arange(x.shape[0], dtype=x.dtype), x, 0
    if dim is None:
        x, dim = x.reshape(-1), 0
    dim = axis(dim, x)
    x = x.reshape(1) if not x.ndim else x
    if isinstance(repeats, int):
        return jnp.repeat(x, check.integer("repeats", repeats, least=0), dim)
    counts = check.array("repeats", repeats)
    if counts.ndim > 1 or (counts.ndim and counts.shape[0] not in (1, x.shape[dim])):
        raise ValueError(
            f"repeats: expected {x.shape[dim]} numbers, one for each entry of axis {dim}, got {counts.shape}"
        )
    if output_size is None and isinstance(counts, jax.core.Tracer):
        raise ValueError("repeats: an array of counts needs output_size under jax.jit; pass the size of the result")
    counts = jnp.broadcast_to(counts.reshape(-1), (x.shape[dim],))
    return jnp.repeat(x, counts, dim, total_repeat_length=output_size)


def permute(input: jax.Array, dims: Any, *more: Any) -> jax.Array:
    """Axes in another order."""
    x = check.array("input", input)
    order = ints("dims", (dims, *more))
    found = [axis(d, x, "dims") for d in order]
    if sorted(found) != list(range(x.ndim)) and (found or x.ndim):
        raise ValueError(f"dims: expected each axis of input {x.shape} once, got {order}")
    return x.transpose(found)


def transpose(input: jax.Array, dim0: int, dim1: int) -> jax.Array:
    """Two axes swapped."""
    x = check.array("input", input)
    a, b = axis(dim0, x, "dim0"), axis(dim1, x, "dim1")
    return x.swapaxes(a, b) if x.ndim else x


swapaxes = transpose
swapdims = transpose


def t(input: jax.Array) -> jax.Array:
    """A matrix transposed; arrays with fewer axes as they are."""
    x = check.array("input", input)
    check.rank("input", x, {0: "()", 1: "(N,)", 2: "(N, M)"})
    return x.T


def adjoint(input: jax.Array) -> jax.Array:
    """The last two axes swapped, and complex conjugates."""
    x = check.array("input", input)
    return jnp.conj(x.swapaxes(-2, -1)) if x.ndim else jnp.conj(x)


def movedim(input: jax.Array, source: Any, destination: Any) -> jax.Array:
    """Axes moved to other places; the rest keeps its order."""
    x = check.array("input", input)
    a, b = (v if check.is_sequence(v) else (v,) for v in (source, destination))
    if len(a) != len(b):
        raise ValueError(f"source: expected as many axes as destination, got {source} and {destination}")
    a, b = axes(a, x, "source") if len(a) else (), axes(b, x, "destination") if len(b) else ()
    return jnp.moveaxis(x, a, b)


moveaxis = movedim


def squeeze(input: jax.Array, dim: Dims = None) -> jax.Array:
    """Without its axes of size 1, all or those of `dim`; other axes of `dim` are kept."""
    x = check.array("input", input)
    given = range(x.ndim) if dim is None else () if check.is_sequence(dim) and not len(dim) else axes(dim, x)
    return x.squeeze(tuple(i for i in given if x.shape[i] == 1))


def unsqueeze(input: jax.Array, dim: int) -> jax.Array:
    """With an axis of size 1 more, at `dim`."""
    x = check.array("input", input)
    return jnp.expand_dims(x, axis(dim, x, extra=1))


def diagonal(input: jax.Array, offset: int = 0, dim1: int = 0, dim2: int = 1) -> jax.Array:
    """The diagonals of two axes, on a last axis; `offset` above the main one."""
    x = check.array("input", input)
    a, b = axis(dim1, x, "dim1"), axis(dim2, x, "dim2")
    if a == b:
        raise ValueError(f"dim1, dim2: expected two axes of input {x.shape}, got {dim1} and {dim2}")
    return jnp.diagonal(x, check.integer("offset", offset), a, b)


def diag_embed(input: jax.Array, offset: int = 0, dim1: int = -2, dim2: int = -1) -> jax.Array:
    """The last axis as the diagonal of two new ones."""
    x = check.array("input", input)
    a, b = axis(dim1, x, "dim1", 1), axis(dim2, x, "dim2", 1)
    if a == b:
        raise ValueError(f"dim1, dim2: expected two axes, got {dim1} and {dim2}")
    if a > b:
        a, b, offset = b, a, -check.integer("offset", offset)
    n = x.shape[-1] + (offset if offset > 0 else -offset)
    row = jnp.arange(x.shape[-1])
    matrix = jnp.zeros((*x.shape[:-1], n, n), x.dtype)
    matrix = matrix.at[..., row + max(-offset, 0), row + max(offset, 0)].set(x)
    return jnp.moveaxis(matrix, (-2, -1), (a, b))


def diag(input: jax.Array, diagonal: int = 0) -> jax.Array:
    """A line as the diagonal of a matrix, or the diagonal of a matrix as a line."""
    x = check.array("input", input)
    check.rank("input", x, {1: "(N,)", 2: "(N, M)"})
    return jnp.diagonal(x, check.integer("diagonal", diagonal)) if x.ndim == 2 else diag_embed(x, diagonal)


def diagflat(input: jax.Array, offset: int = 0) -> jax.Array:
    """All elements as the diagonal of a matrix."""
    return diag_embed(ravel(input), offset)


def _triangle(input: jax.Array, diagonal: int, lower: bool) -> jax.Array:
    x = check.array("input", input)
    if x.ndim < 2:
        raise ValueError(f"input: expected at least 2 axes, got shape {x.shape}")
    return (jnp.tril if lower else jnp.triu)(x, check.integer("diagonal", diagonal))


def tril(input: jax.Array, diagonal: int = 0) -> jax.Array:
    """Matrices with 0 above the diagonal."""
    return _triangle(input, diagonal, True)


def triu(input: jax.Array, diagonal: int = 0) -> jax.Array:
    """Matrices with 0 below the diagonal."""
    return _triangle(input, diagonal, False)


def flip(input: jax.Array, dims: Any, *more: Any) -> jax.Array:
    """Axes in reverse order."""
    x = check.array("input", input)
    given = ints("dims", (dims, *more))
    return jnp.flip(x, axes(given, x, "dims")) if given else x


def fliplr(input: jax.Array) -> jax.Array:
    """The second axis in reverse order."""
    return flip(input, 1)


def flipud(input: jax.Array) -> jax.Array:
    """The first axis in reverse order."""
    return flip(input, 0)


def rot90(input: jax.Array, k: int = 1, dims: Sequence[int] = (0, 1)) -> jax.Array:
    """Turned by 90 degrees `k` times, from the first of two axes to the second."""
    x = check.array("input", input)
    if len(dims) != 2 or len(axes(dims, x, "dims")) != 2:
        raise ValueError(f"dims: expected two axes of input {x.shape}, got {dims}")
    return jnp.rot90(x, check.integer("k", k), (dims[0], dims[1]))


def roll(input: jax.Array, shifts: Any, dims: Any = None) -> jax.Array:
    """Elements moved along axes, and around the end; without `dims`, in the flattened input."""
    x = check.array("input", input)
    moves = tuple(shifts) if check.is_sequence(shifts) else (shifts,)
    if dims is None or (check.is_sequence(dims) and not len(dims)):
        if len(moves) != 1:
            raise ValueError(f"dims: expected an axis for each of {len(moves)} shifts, got none")
        return jnp.roll(x.reshape(-1), moves[0]).reshape(x.shape)
    over = tuple(dims) if check.is_sequence(dims) else (dims,)
    if len(over) != len(moves):
        raise ValueError(f"dims: expected an axis for each of {len(moves)} shifts, got {over}")
    return jnp.roll(x, moves, tuple(axis(d, x, "dims") for d in over)) if x.ndim else x


def unfold(input: jax.Array, dimension: int, size: int, step: int) -> jax.Array:
    """`Tensor.unfold`: windows of `size` elements along an axis, `step` apart, on a last axis.

    `jaxnets.functional.unfold` is the other one, of blocks of images.
    """
    x = check.array("input", input)
    dim = axis(dimension, x, "dimension")
    line = x.reshape(1) if not x.ndim else x
    check.integer("size", size, least=0)
    if size > line.shape[dim]:
        raise ValueError(f"size: expected at most {line.shape[dim]}, the size of axis {dim}, got {size}")
    starts = np.arange(0, line.shape[dim] - size + 1, check.integer("step", step, least=1))
    windows = jnp.take(line, starts[:, None] + np.arange(size), axis=dim)
    windows = jnp.moveaxis(windows, dim + 1, -1)
    return windows.reshape(size) if not x.ndim else windows


def as_strided(
    input: jax.Array, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> jax.Array:
    """Elements picked by strides from the flattened input; an element may be picked more than once.

    Differences from torch: the input's memory is taken to be contiguous.
    """
    x = check.array("input", input).reshape(-1)
    sizes, steps = ints("size", (size,)), ints("stride", (stride,))
    if len(sizes) != len(steps):
        raise ValueError(f"stride: expected {len(sizes)} numbers, one for each size, got {steps}")
    place = np.full((1,) * len(sizes), storage_offset or 0)
    for i, (n, s) in enumerate(zip(sizes, steps, strict=True)):
        place = place + (np.arange(n) * s).reshape([-1 if i == j else 1 for j in range(len(sizes))])
    if place.size and not 0 <= place.min() <= place.max() < x.size:
        raise ValueError(f"size, stride: expected places from 0 to {x.size - 1}, got up to {place.max()}")
    return x[jnp.asarray(place)]


def atleast_1d(*tensors: Any) -> Any:
    """Arrays with at least one axis."""
    return _at_least(tensors, jnp.atleast_1d)


def atleast_2d(*tensors: Any) -> Any:
    """Arrays with at least two axes, added in front."""
    return _at_least(tensors, jnp.atleast_2d)


def atleast_3d(*tensors: Any) -> Any:
    """Arrays with at least three axes: one in front and one behind a line, one behind a matrix."""
    return _at_least(tensors, jnp.atleast_3d)


def _at_least(tensors: tuple[Any, ...], f: Any) -> Any:
    given = tensors[0] if len(tensors) == 1 else tensors
    if check.is_sequence(given) and not hasattr(given, "ndim"):
        return tuple(f(check.array("tensors", x)) for x in given)
    return f(check.array("tensors", given))


def numel(input: jax.Array) -> int:
    """How many elements there are."""
    return math.prod(check.array("input", input).shape)


def contiguous(input: jax.Array) -> jax.Array:
    """`input` itself: arrays have no strides."""
    return check.array("input", input)


def clone(input: jax.Array) -> jax.Array:
    """`input` itself: arrays are immutable."""
    return check.array("input", input)


def detach(input: jax.Array) -> jax.Array:
    """`input` without derivative."""
    return lax.stop_gradient(check.array("input", input))


def unravel_index(indices: jax.Array, shape: Any) -> tuple[jax.Array, ...]:
    """Flat places as an index for each axis of `shape`."""
    places = numbers("indices", indices, most=1)
    return tuple(i.astype(places.dtype) for i in jnp.unravel_index(places, ints("shape", (shape,))))
