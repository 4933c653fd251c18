"""Which arrays share memory, so that ties survive in a file: storages, and the place of each array on one."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxnets.arrays import to_numpy
from jaxnets.checkpoint.safetensors import little_endian_bytes


@dataclass(frozen=True)
class Leaf:
    """An array to be written; `view` is its memory, or None where numpy has to copy it."""

    value: Any
    dtype: np.dtype
    shape: tuple[int, ...]
    view: np.ndarray | None


@dataclass(frozen=True)
class Storage:
    """Flat elements of one dtype; `array` gives them when they are written, and not before."""

    dtype: np.dtype
    count: int
    array: Callable[[], np.ndarray]

    def data(self) -> memoryview:
        return little_endian_bytes(self.array())


@dataclass(frozen=True)
class Place:
    """Where an array lies: storage number, offset and strides in elements."""

    storage: int
    offset: int
    strides: tuple[int, ...]


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides, in elements, of a C-ordered array; an axis of length 0 counts as 1, as in torch.

    >>> contiguous_strides((2, 3, 4))
    (12, 4, 1)
    """
    return tuple(math.prod(max(n, 1) for n in shape[axis + 1 :]) for axis in range(len(shape)))


def plan(leaves: Sequence[Leaf]) -> tuple[list[Storage], list[Place]]:
    """A storage and a place on it for every leaf.

    Views that overlap are written as the one stretch of memory that they cover, strides kept, as torch does. Where
    that stretch is mostly other memory (a column of a large matrix), each distinct view is written by itself.
    """
    storages: list[Storage] = []
    places: dict[int, Place] = {}

    def alone(indices: Sequence[int]) -> None:
        leaf = leaves[indices[0]]
        place = Place(len(storages), 0, contiguous_strides(leaf.shape))
        places.update(dict.fromkeys(indices, place))
        storages.append(Storage(leaf.dtype, math.prod(leaf.shape), lambda: to_numpy(leaf.value)))

    spans: list[tuple[int, int, int, int, int]] = []
    for index, leaf in enumerate(leaves):
        if leaf.view is None or not _has_torch_strides(leaf.view):
            alone([index])
        else:
            begin = leaf.view.ctypes.data
            spans.append((leaf.dtype.num, begin % leaf.dtype.itemsize, begin, begin + _span(leaf.view), index))
    for begin, end, members in _overlapping(spans):
        views = {index: _view(leaves[index]) for index in members}
        distinct: dict[tuple, list[int]] = {}
        for index, view in views.items():
            distinct.setdefault((view.ctypes.data, view.shape, view.strides), []).append(index)
        if sum(_touched(views[same[0]]) for same in distinct.values()) < end - begin:
            for same in distinct.values():
                alone(same)
            continue
        item = leaves[members[0]].dtype.itemsize
        for index, view in views.items():
            places[index] = Place(len(storages), (view.ctypes.data - begin) // item, _torch_strides(view))
        storages.append(_stretch(views[members[0]], (end - begin) // item))
    return storages, [places[index] for index in range(len(leaves))]


def _overlapping(spans: list[tuple[int, int, int, int, int]]) -> list[tuple[int, int, list[int]]]:
    """Spans (dtype, alignment, begin, end, leaf) joined to the stretches (begin, end, leaves) that they cover."""
    stretches: list[tuple[int, int, list[int]]] = []
    kind = None
    for *this_kind, begin, end, index in sorted(spans):
        if stretches and this_kind == kind and begin < stretches[-1][1]:
            first, last, members = stretches[-1]
            stretches[-1] = (first, max(last, end), [*members, index])
        else:
            stretches.append((begin, end, [index]))
        kind = this_kind
    return sorted(stretches, key=lambda stretch: min(stretch[2]))


def _view(leaf: Leaf) -> np.ndarray:
    assert leaf.view is not None
    return leaf.view


def _stretch(first: np.ndarray, count: int) -> Storage:
    """The memory from the first element of `first` on; overlapping arrays prove that all of it is theirs."""
    one: tuple[Any, ...] = (..., *[slice(0, 1)] * first.ndim)
    element = first[one].reshape(1).view(np.uint8)
    nbytes = count * first.dtype.itemsize
    flat = np.lib.stride_tricks.as_strided(element, (nbytes,), (1,), writeable=False).view(first.dtype)
    return Storage(first.dtype, count, lambda: flat)


def _has_torch_strides(array: np.ndarray) -> bool:
    item = array.dtype.itemsize
    return (
        array.size > 0
        and array.dtype.isnative
        and all(s >= 0 and s % item == 0 for n, s in zip(array.shape, array.strides, strict=True) if n > 1)
    )


def _torch_strides(array: np.ndarray) -> tuple[int, ...]:
    """Strides in elements; an axis of length 1 may have one that torch cannot say, and that means nothing."""
    item = array.dtype.itemsize
    packed = contiguous_strides(array.shape)
    return tuple(s // item if s >= 0 and s % item == 0 else p for s, p in zip(array.strides, packed, strict=True))


def _span(array: np.ndarray) -> int:
    """Bytes from the first element to the end of the last one."""
    steps = ((n - 1) * s for n, s in zip(array.shape, array.strides, strict=True) if n > 1)
    return array.dtype.itemsize + sum(steps)


def _touched(array: np.ndarray) -> int:
    """Bytes that belong to the array's elements, repeated ones counted once."""
    counts = (n for n, s in zip(array.shape, array.strides, strict=True) if s)
    return array.dtype.itemsize * math.prod(counts)
