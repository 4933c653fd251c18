"""Arrays joined, and taken apart."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets import check
from jaxnets.functional.precision import spread
from jaxnets.ops.promotion import as_dtype, axis, common_dtype, concrete, int64, ints
from jaxnets.ops.shape import atleast_1d, atleast_2d, atleast_3d

__all__ = [
    "block_diag",
    "cartesian_prod",
    "cat",
    "chunk",
    "column_stack",
    "combinations",
    "concat",
    "concatenate",
    "dsplit",
    "dstack",
    "hsplit",
    "hstack",
    "meshgrid",
    "row_stack",
    "split",
    "split_with_sizes",
    "stack",
    "tensor_split",
    "unbind",
    "unsafe_chunk",
    "unsafe_split",
    "unsafe_split_with_sizes",
    "vsplit",
    "vstack",
]


def _arrays(tensors: Any) -> list[jax.Array]:
    """Arrays of one dtype, torch's promotion of theirs."""
    if not check.is_sequence(tensors) or hasattr(tensors, "ndim"):
        raise TypeError(f"tensors: expected a list or tuple of arrays, got {type(tensors).__name__}")
    found = [check.array("tensors", x) for x in tensors]
    if not found:
        raise ValueError("tensors: expected at least one array, got none")
    dtype = common_dtype(*found)
    return [as_dtype(x, dtype) for x in found]


def cat(tensors: Sequence[jax.Array], dim: int = 0) -> jax.Array:
    """Arrays one behind the other along an axis; arrays of shape `(0,)` do not count."""
    arrays = _arrays(tensors)
    if any(not x.ndim for x in arrays):
        raise ValueError("tensors: expected arrays with at least one axis, got a number; use stack")
    kept = [x for x in arrays if x.shape != (0,)] or arrays[:1]
    dim = axis(dim, kept[0])
    first = kept[0].shape
    for x in kept:
        if x.ndim != len(first) or x.shape[:dim] + x.shape[dim + 1 :] != first[:dim] + first[dim + 1 :]:
            raise ValueError(f"tensors: expected equal sizes but on axis {dim}, got {first} and {x.shape}")
    return jnp.concatenate(kept, dim)


concat = cat
concatenate = cat


def stack(tensors: Sequence[jax.Array], dim: int = 0) -> jax.Array:
    """Arrays of one shape one behind the other along a new axis."""
    arrays = _arrays(tensors)
    for x in arrays:
        if x.shape != arrays[0].shape:
            raise ValueError(f"tensors: expected arrays of one shape, got {arrays[0].shape} and {x.shape}")
    return jnp.stack(arrays, axis(dim, arrays[0], extra=1))


def hstack(tensors: Sequence[jax.Array]) -> jax.Array:
    """Arrays side by side: along the first axis of lines, the second of others."""
    arrays = atleast_1d(_arrays(tensors))
    return cat(arrays, 0 if arrays[0].ndim == 1 else 1)


def vstack(tensors: Sequence[jax.Array]) -> jax.Array:
    """Arrays below one another; lines are rows."""
    return cat(atleast_2d(_arrays(tensors)), 0)


row_stack = vstack


def dstack(tensors: Sequence[jax.Array]) -> jax.Array:
    """Arrays along the third axis."""
    return cat(atleast_3d(_arrays(tensors)), 2)


def column_stack(tensors: Sequence[jax.Array]) -> jax.Array:
    """Arrays side by side; lines are columns."""
    return hstack([x.reshape(-1, 1) if x.ndim < 2 else x for x in _arrays(tensors)])


def split(tensor: jax.Array, split_size_or_sections: Any, dim: int = 0) -> tuple[jax.Array, ...]:
    """Pieces of one size along an axis, the last one perhaps smaller; or of the sizes in a list."""
    x = check.array("tensor", tensor)
    if check.is_sequence(split_size_or_sections):
        return split_with_sizes(x, split_size_or_sections, dim)
    dim = _axis(x, dim)
    size = check.integer("split_size_or_sections", split_size_or_sections, least=0)
    if not size and x.shape[dim]:
        raise ValueError(f"split_size_or_sections: expected a positive size for axis of {x.shape[dim]}, got 0")
    starts = range(0, max(x.shape[dim], 1), max(size, 1))
    return tuple(lax.slice_in_dim(x, i, min(i + size, x.shape[dim]), axis=dim) for i in starts)


unsafe_split = split


def split_with_sizes(input: jax.Array, split_sizes: Sequence[int], dim: int = 0) -> tuple[jax.Array, ...]:
    """Pieces of the given sizes along an axis, which they must make up."""
    x, sizes = check.array("input", input), ints("split_sizes", (split_sizes,))
    dim = _axis(x, dim)
    if sum(sizes) != x.shape[dim] or min(sizes, default=0) < 0:
        raise ValueError(f"split_sizes: expected sizes that make up {x.shape[dim]}, got {sizes}")
    ends = np.cumsum(sizes)
    return tuple(lax.slice_in_dim(x, int(e) - n, int(e), axis=dim) for n, e in zip(sizes, ends, strict=True))


unsafe_split_with_sizes = split_with_sizes


def _axis(x: jax.Array, dim: int) -> int:
    if not x.ndim:
        raise ValueError("input: expected at least one axis to take apart, got a number")
    return axis(dim, x)


def chunk(input: jax.Array, chunks: int, dim: int = 0) -> tuple[jax.Array, ...]:
    """At most so many pieces of one size along an axis, the last one perhaps smaller."""
    x = check.array("input", input)
    dim = _axis(x, dim)
    size = -(-x.shape[dim] // check.integer("chunks", chunks, least=1))
    return split_with_sizes(x, [0] * chunks, dim) if not size else split(x, size, dim)


unsafe_chunk = chunk


def tensor_split(input: jax.Array, indices_or_sections: Any, dim: int = 0) -> tuple[jax.Array, ...]:
    """So many pieces along an axis, sizes as equal as can be; or pieces between the indices of a list."""
    x = check.array("input", input)
    dim = _axis(x, dim)
    given = indices_or_sections
    if isinstance(given, jax.Array) or type(given).__name__ == "ndarray":
        known = concrete("indices_or_sections", check.array("indices_or_sections", given), "the sizes of pieces")
        given = known.tolist()
    size = x.shape[dim]
    if check.is_sequence(given):
        cuts = [min(i + size, size) if i < 0 else min(i, size) for i in ints("indices_or_sections", (given,))]
        cuts = [0, *(max(i, 0) for i in cuts), size]
    else:
        n = check.integer("indices_or_sections", given, least=1)
        cuts = [i * (size // n) + min(i, size % n) for i in range(n + 1)]
    return tuple(lax.slice_in_dim(x, a, max(a, b), axis=dim) for a, b in itertools.pairwise(cuts))


def _at_least(n: int, input: jax.Array) -> jax.Array:
    x = check.array("input", input)
    if x.ndim < n:
        raise ValueError(f"input: expected at least {n} axes, got shape {x.shape}")
    return x


def _evenly(x: jax.Array, dim: int, given: Any) -> tuple[jax.Array, ...]:
    if not check.is_sequence(given) and x.shape[dim] % check.integer("sections", given, least=1):
        raise ValueError(f"sections: expected a divisor of {x.shape[dim]}, the size of axis {dim}, got {given}")
    return tensor_split(x, given, dim)


def hsplit(input: jax.Array, indices_or_sections: Any) -> tuple[jax.Array, ...]:
    """`tensor_split` along the first axis of lines, the second of others, into equal pieces."""
    x = _at_least(1, input)
    return _evenly(x, 0 if x.ndim == 1 else 1, indices_or_sections)


def vsplit(input: jax.Array, indices_or_sections: Any) -> tuple[jax.Array, ...]:
    """`tensor_split` along the first axis, into equal pieces."""
    return _evenly(_at_least(2, input), 0, indices_or_sections)


def dsplit(input: jax.Array, indices_or_sections: Any) -> tuple[jax.Array, ...]:
    """`tensor_split` along the third axis, into equal pieces."""
    return _evenly(_at_least(3, input), 2, indices_or_sections)


def unbind(input: jax.Array, dim: int = 0) -> tuple[jax.Array, ...]:
    """The slices along an axis, without it."""
    x = check.array("input", input)
    dim = _axis(x, dim)
    return tuple(lax.index_in_dim(x, i, dim, keepdims=False) for i in range(x.shape[dim]))


def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[jax.Array, ...]:
    """Lines expanded over the grid that they span, rows first ("ij", also when not given) or columns first ("xy")."""
    given = tensors[0] if len(tensors) == 1 and not hasattr(tensors[0], "ndim") else tensors
    arrays = [check.array("tensors", x) for x in given]
    check.choice("indexing", "ij" if indexing is None else indexing, ("ij", "xy"))
    for x in arrays:
        check.rank("tensors", x, {0: "()", 1: "(N,)"})
        check.same_dtype(tensors=arrays[0], tensor=x)
    places = list(range(len(arrays)))
    if indexing == "xy":
        places[:2] = places[1::-1]
    shape = [arrays[i].size for i in places]
    lines = (
        x.reshape([-1 if i == place else 1 for i in range(len(arrays))])
        for x, place in zip(arrays, places, strict=True)
    )
    return tuple(spread(x, shape) for x in lines)


def cartesian_prod(*tensors: Any) -> jax.Array:
    """Every combination of an element of each line: `(n, lines)`; one line is returned as it is."""
    arrays = [check.array("tensors", x) for x in tensors]
    for x in arrays:
        check.rank("tensors", x, {1: "(N,)"})
    if len(arrays) == 1:
        return arrays[0]
    return jnp.stack([x.reshape(-1) for x in meshgrid(*arrays)], 1)


def combinations(input: jax.Array, r: int = 2, with_replacement: bool = False) -> jax.Array:
    """Every choice of `r` elements of a line, in order: `(n, r)`."""

    x = check.array("input", input)
    check.rank("input", x, {1: "(N,)"})
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    if not check.integer("r", r, least=0):
        return jnp.zeros(0, x.dtype)
    places = np.array(list(choose(range(x.shape[0]), r)), int64()).reshape(-1, r)
    return x[jnp.asarray(places)]


def block_diag(*tensors: Any) -> jax.Array:
    """Matrices along the diagonal of a greater one; lines are rows."""
    arrays = _arrays([*map(check.array, ["tensors"] * len(tensors), tensors)])
    for x in arrays:
        check.rank("tensors", x, {0: "()", 1: "(N,)", 2: "(N, M)"})
    return jax.scipy.linalg.block_diag(*arrays)
