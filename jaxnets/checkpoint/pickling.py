"""Saving in torch's zip format: a pickle of protocol 2 that uses only names which torch's safe loader allows."""

import os
import struct
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxnets.arrays import dtype_name, is_array
from jaxnets.checkpoint.archive import ArchiveWriter
from jaxnets.checkpoint.errors import MAX_DEPTH, CheckpointError
from jaxnets.checkpoint.files import atomic_write
from jaxnets.checkpoint.safetensors import array_at, save_safetensors
from jaxnets.checkpoint.sharing import Leaf, Place, Storage, plan
from jaxnets.checkpoint.tensors import STORAGE_DTYPES
from jaxnets.checkpoint.unpickle import hashable

_STORAGE_NAMES = {dtype: name for name, dtype in STORAGE_DTYPES.items() if name != "UntypedStorage"}


def save(state: Any, path: str | os.PathLike) -> None:
    """Writes what `torch.load(path, weights_only=True)` reads, or safetensors when `path` ends so.

    The file appears whole or not at all: an error leaves the old one as it was. Arrays that share memory share a
    storage in torch's format, so tied weights stay tied (safetensors has no ties and writes them for each name).

    Args:
        state: arrays (numpy, JAX, torch, `nnx.Variable`) in any nesting of dicts, lists and tuples with numbers,
            text, bytes, sets, booleans and None; for `.safetensors` a flat dict of arrays. Numpy scalars are
            arrays without axes, as in torch they would be tensors. Mappings of other classes become dicts.
        path: the file; a link is followed, missing folders are not made.

    Shape: every array keeps its shape, its dtype and, in torch's format, its strides.

    Raises:
        TypeError: a value or a dtype that torch cannot load safely, named by its keys.
        ValueError: a container that holds itself, or nesting deeper than 100.
        OSError: the file cannot be written.

    Differences from torch: classes and functions are refused when saving, not when loading.

    >>> import numpy as np, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "net.safetensors")
    >>> save({"weight": np.ones((2, 3), np.float32)}, path)
    >>> save({"optimizer": {"fn": print}}, path.replace("safetensors", "pt"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    TypeError: state['optimizer']['fn']: builtin_function_or_method cannot be saved; ...

    Source: https://docs.pytorch.org/docs/stable/generated/torch.save.html
    """
    path = Path(os.fsdecode(path))
    if path.suffix == ".safetensors":
        save_safetensors(state, path)
    else:
        save_torch(state, path)


def save_torch(state: Any, path: Path) -> None:
    pickler = Pickler()
    pickler.write(state, "state", 0)
    data, storages = pickler.finish()
    with atomic_write(path) as file:
        archive = ArchiveWriter(file)
        archive.add("archive/data.pkl", data)
        archive.add("archive/byteorder", b"little")
        for key, storage in enumerate(storages):
            archive.add(f"archive/data/{key}", storage.data())
        archive.add("archive/version", b"3\n")
        archive.finish()


class Pickler:
    """Writes one value. Arrays are left open until `finish`, when it is known which of them share memory."""

    def __init__(self) -> None:
        self.parts: list[bytes | int] = [b"\x80\x02"]  # an integer is the number of a leaf
        self.leaves: list[Leaf] = []
        self.slots: dict[int, int] = {}
        self.open_ids: set[int] = set()
        self.kept: list[Any] = []  # what ids in `slots` belong to must stay alive

    def finish(self) -> tuple[bytes, list[Storage]]:
        storages, places = plan(self.leaves)
        tensors = (
            part if isinstance(part, bytes) else self.tensor(part, places[part], storages) for part in self.parts
        )
        return b"".join(tensors) + b".", storages

    def emit(self, *parts: bytes | int) -> None:
        self.parts += parts

    def write(self, value: Any, where: str, depth: int) -> None:
        writer = WRITERS.get(type(value))
        if writer is not None:
            writer(self, value, where, depth)
        elif isinstance(value, np.str_ | np.bytes_):
            self.write(value.item(), where, depth)
        elif is_array(value):
            self.once(value, lambda: self.leaf(value, where))
        elif isinstance(value, np.dtype) and dtype_name(value):
            self.emit(named("torch", value.name))
        elif isinstance(value, Mapping):
            mapping(self, value, where, depth)
        else:
            raise TypeError(
                f"{where}: {type(value).__name__} cannot be saved; expected arrays, numbers, text, bytes, None, "
                "and dicts, lists, tuples and sets of them"
            )

    def once(self, value: Any, write: Callable[[], None]) -> None:
        """Writes an object, or a reference to where it was written before."""
        if id(value) not in self.slots:
            write()
            self.slots[id(value)] = len(self.slots)
            self.kept.append(value)
            self.emit(b"r" + struct.pack("<I", self.slots[id(value)]))
        else:
            self.emit(b"j" + struct.pack("<I", self.slots[id(value)]))

    def leaf(self, value: Any, where: str) -> None:
        array = array_at(value, where)
        if dtype_name(array.dtype) is None:
            raise TypeError(f"{where}: torch has no dtype {array.dtype}; convert the array first")
        self.emit(len(self.leaves))
        dtype = array.dtype.newbyteorder("=")
        self.leaves.append(Leaf(value, dtype, array.shape, array if is_on_host(value) else None))

    def tensor(self, number: int, place: Place, storages: list[Storage]) -> bytes:
        storage = storages[place.storage]
        name = storage.dtype.name
        old = name in _STORAGE_NAMES
        # torch keeps dtypes younger than its typed storages in untyped ones, counted in bytes.
        kind = named("torch", _STORAGE_NAMES[name]) if old else named("torch.storage", "UntypedStorage")
        count = storage.count * (1 if old else storage.dtype.itemsize)
        return b"".join(
            [
                named("torch._utils", "_rebuild_tensor_v2" if old else "_rebuild_tensor_v3"),
                b"((",
                text("storage"), kind, text(str(place.storage)), text("cpu"), integer(count),
                b"tQ",
                integer(place.offset), integers(self.leaves[number].shape), integers(place.strides),
                b"\x89", named("collections", "OrderedDict"), b")R",
                b"" if old else named("torch", name),
                b"tR",
            ]
        )  # fmt: skip


def is_on_host(value: Any) -> bool:
    """Whether numpy views `value` without a copy, so that its memory says what it shares."""
    device = getattr(value, "device", "cpu")
    return isinstance(value, np.ndarray) or getattr(device, "type", None) == "cpu"


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def text(value: str) -> bytes:
    raw = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(raw)) + raw


def integer(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value) if not 0 <= value < 256 else b"K" + bytes([value])
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def integers(values: Iterable[int]) -> bytes:
    return b"(" + b"".join(map(integer, values)) + b"t"


def long_integer(pickler: Pickler, value: int, where: str, depth: int) -> None:
    if value.bit_length() > 2039:
        raise TypeError(f"{where}: an integer of {value.bit_length()} bits; torch reads at most 2039")
    pickler.emit(integer(value))


def plain(convert: Callable[[Any], bytes]) -> Callable[[Pickler, Any, str, int], None]:
    return lambda pickler, value, where, depth: pickler.emit(convert(value))


def real(value: float) -> bytes:
    return b"G" + struct.pack(">d", value)


def encoded(value: bytes) -> bytes:
    return named("_codecs", "encode") + text(value.decode("latin1")) + text("latin1") + b"\x86R"


def container(write: Callable[[Pickler, Any, str, int], None]) -> Callable[[Pickler, Any, str, int], None]:
    """Writes a container once, and refuses one that is still being written: it holds itself."""

    def writer(pickler: Pickler, value: Any, where: str, depth: int) -> None:
        if id(value) in pickler.open_ids:
            raise ValueError(f"{where}: this {type(value).__name__} contains itself, which cannot be saved")
        if depth >= MAX_DEPTH:
            raise ValueError(f"{where[:200]}...: nested deeper than {MAX_DEPTH} levels, which cannot be saved")
        pickler.open_ids.add(id(value))
        pickler.once(value, lambda: write(pickler, value, where, depth + 1))
        pickler.open_ids.discard(id(value))

    return writer


@container
def mapping(pickler: Pickler, value: Mapping, where: str, depth: int) -> None:
    ordered = isinstance(value, OrderedDict)
    if isinstance(value, Counter):
        pickler.emit(named("collections", "Counter"), b")R")
    else:
        pickler.emit(named("collections", "OrderedDict") + b")R" if ordered else b"}")
    pickler.emit(b"(")
    for key, item in value.items():
        check_key(key, where)
        pickler.write(key, where, depth)
        pickler.write(item, f"{where}[{key!r}]", depth)
    pickler.emit(b"u")
    metadata = getattr(value, "_metadata", None) if ordered else None
    if metadata is not None:  # the versions of torch's modules, which load_state_dict looks at
        pickler.emit(b"}" + text("_metadata"))
        pickler.write(metadata, f"{where}._metadata", depth)
        pickler.emit(b"sb")


@container
def sequence(pickler: Pickler, value: list, where: str, depth: int) -> None:
    pickler.emit(b"](")
    for index, item in enumerate(value):
        pickler.write(item, f"{where}[{index}]", depth)
    pickler.emit(b"e")


@container
def tuple_of(pickler: Pickler, value: tuple, where: str, depth: int) -> None:
    pickler.emit(b"(")
    for index, item in enumerate(value):
        pickler.write(item, f"{where}[{index}]", depth)
    pickler.emit(b"t")


@container
def set_of(pickler: Pickler, value: set, where: str, depth: int) -> None:
    pickler.emit(named("builtins", "set"), b"](")
    for item in value:
        check_key(item, where)
        pickler.write(item, where, depth)
    pickler.emit(b"e\x85R")


def check_key(key: Any, where: str) -> None:
    try:
        hashable(key)
    except CheckpointError as error:
        raise TypeError(f"{where}: {error}; such a key cannot be saved") from None


#: How a value of exactly this class is written.
WRITERS: dict[type, Callable[[Pickler, Any, str, int], None]] = {
    type(None): plain(lambda _: b"N"),
    bool: plain(lambda value: b"\x88" if value else b"\x89"),
    int: long_integer,
    float: plain(real),
    complex: plain(
        lambda value: (
            named("builtins", "complex")
            + b"".join(b"G" + struct.pack(">d", x) for x in (value.real, value.imag))
            + b"\x86R"
        )
    ),
    str: plain(text),
    bytes: plain(encoded),
    bytearray: plain(lambda value: named("builtins", "bytearray") + encoded(bytes(value)) + b"\x85R"),
    list: sequence,
    tuple: tuple_of,
    set: set_of,
    dict: mapping,
    OrderedDict: mapping,
    Counter: mapping,
}
