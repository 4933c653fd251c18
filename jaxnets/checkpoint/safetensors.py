"""The safetensors format: a JSON header of names, dtypes, shapes and places; then the bytes, without gaps."""

import json
import math
import os
import re
import struct
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxnets.arrays import DTYPES, byteswapped, dtype_name, is_array, to_numpy
from jaxnets.checkpoint.errors import CheckpointError, brief
from jaxnets.checkpoint.files import MappedFile, atomic_write

MAX_HEADER = 100_000_000

#: The format's dtype names and torch's.
NAMES = {
    "BOOL": "bool", "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64",
    "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64",
    "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64", "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn", "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2": "float8_e5m2",
    "F8_E5M2FNUZ": "float8_e5m2fnuz", "F8_E8M0": "float8_e8m0fnu",
}  # fmt: skip
_SURROGATE = re.compile("[\ud800-\udfff]")  # halves of characters, which UTF-8 has not
_CODES = {name: code for code, name in NAMES.items()}


def header_size(file: MappedFile) -> int | None:
    """The length of the header if the file begins as a safetensors file, else None."""
    head = file.read(0, 9)
    return struct.unpack("<Q", head[:8])[0] if head[8:] == b"{" else None


def load_safetensors(file: MappedFile) -> dict[str, np.ndarray]:
    """The arrays of the file by name, in the order of its header."""
    size = header_size(file)
    if size is None:
        raise CheckpointError("a safetensors file has its JSON header at byte 8, this one has not: it is damaged")
    if size > min(MAX_HEADER, file.size - 8):
        raise CheckpointError(
            f"the header is said to have {size} bytes, the file has {file.size}: it is cut off or damaged"
        )
    try:
        header = json.loads(file.read(8, size).decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"the header is no JSON object: {str(error)[:200]}") from error
    if type(header) is not dict:
        raise CheckpointError("the header is no JSON object")
    metadata = header.pop("__metadata__", {})
    if type(metadata) is not dict or not all(type(value) is str for value in metadata.values()):
        raise CheckpointError("__metadata__ of the header is not a map of text to text")

    begin = 8 + size
    places = {name: _place(name, info, file.size - begin) for name, info in header.items()}
    end = 0
    for (first, last), name in sorted((place[2], name) for name, place in places.items()):
        if first != end:
            what = "overlaps the tensor before it" if first < end else "leaves a gap before it"
            raise CheckpointError(f"tensor {brief(name)} at bytes {first} to {last} {what}, expected byte {end}")
        end = last
    if begin + end != file.size:
        raise CheckpointError(f"{file.size - begin - end} bytes of the file belong to no tensor")
    return {name: _array(file, dtype, shape, begin + first) for name, (dtype, shape, (first, _)) in places.items()}


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object none of whose keys comes twice."""
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {brief(twice)} comes twice")
    return result


def _place(name: str, info: Any, available: int) -> tuple[np.dtype, tuple[int, ...], tuple[int, int]]:
    if type(info) is not dict or set(info) != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(
            f"tensor {brief(name)} is described by {brief(info)}, expected dtype, shape, data_offsets"
        )
    code, shape, offsets = info["dtype"], info["shape"], info["data_offsets"]
    if type(code) is not str or NAMES.get(code) not in DTYPES:
        raise CheckpointError(
            f"tensor {brief(name)} has dtype {brief(code)}, which numpy cannot hold; "
            "convert it to one of " + ", ".join(NAMES)
        )
    if not (_naturals(shape) and _naturals(offsets) and len(offsets) == 2 and len(shape) <= 64):
        raise CheckpointError(f"tensor {brief(name)} has shape {str(shape)[:80]}, data_offsets {str(offsets)[:80]}")
    dtype, (first, last) = DTYPES[NAMES[code]], offsets
    if not first <= last <= available:
        raise CheckpointError(
            f"tensor {brief(name)} lies at bytes {first} to {last} of {available}: damaged or cut off"
        )
    if math.prod(shape) * dtype.itemsize != last - first:
        raise CheckpointError(
            f"tensor {brief(name)} of shape {tuple(shape)} and dtype {dtype} has {last - first} bytes, "
            f"expected {math.prod(shape) * dtype.itemsize}"
        )
    return dtype, tuple(shape), (first, last)


def _naturals(values: Any) -> bool:
    return type(values) is list and all(type(n) is int and 0 <= n < 2**63 for n in values)


def _array(file: MappedFile, dtype: np.dtype, shape: tuple[int, ...], offset: int) -> np.ndarray:
    if 0 in shape:
        return np.empty(shape, dtype)
    raw = file.bytes[offset : offset + math.prod(shape) * dtype.itemsize]
    array = np.ndarray(shape, dtype, raw)
    return byteswapped(array) if sys.byteorder == "big" else array


def save_safetensors(state: Any, path: str | os.PathLike) -> None:
    """Writes a flat dict of arrays, one array in memory at a time; tied arrays are written once for each name."""
    if not isinstance(state, Mapping):
        raise TypeError(f"state: safetensors holds a flat dict of arrays, got {type(state).__name__}; save to .pt")
    leaves = {}
    for name, value in state.items():
        where = f"state[{name!r}]"
        if type(name) is not str or name == "__metadata__" or _SURROGATE.search(name):
            raise TypeError(f"{where}: safetensors names are text other than '__metadata__'; rename it, or save to .pt")
        if not is_array(value):
            raise TypeError(f"{where}: {type(value).__name__} is no array; safetensors holds only arrays, save to .pt")
        array = array_at(value, where)
        if dtype_name(array.dtype) not in _CODES:
            raise TypeError(f"{where}: safetensors has no dtype {array.dtype}; convert the array, or save to .pt")
        leaves[name] = array.dtype, array.shape
    # Large elements first, so that every array is aligned though the format allows no gaps.
    order = sorted(leaves, key=lambda name: -leaves[name][0].itemsize)
    offsets, end = {}, 0
    for name in order:
        dtype, shape = leaves[name]
        offsets[name] = [end, end := end + math.prod(shape) * dtype.itemsize]
    header = {"__metadata__": {"format": "pt"}} | {
        name: {"dtype": _CODES[dtype.name], "shape": list(shape), "data_offsets": offsets[name]}
        for name, (dtype, shape) in leaves.items()
    }
    raw = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    raw += b" " * (-len(raw) % 8)
    with atomic_write(path) as file:
        file.write(struct.pack("<Q", len(raw)) + raw)
        for name in order:
            file.write(little_endian_bytes(to_numpy(state[name])))


def array_at(value: Any, where: str) -> np.ndarray:
    """`value` as a numpy array; an error says where in the state it stands."""
    try:
        return to_numpy(value)
    except TypeError as error:
        raise TypeError(f"{where}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def little_endian_bytes(array: np.ndarray) -> memoryview:
    """The elements of an array in C order as the flat bytes that a file holds."""
    array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False))
    if sys.byteorder == "big":
        array = byteswapped(array)
    return array.reshape(-1).view(np.uint8).data
