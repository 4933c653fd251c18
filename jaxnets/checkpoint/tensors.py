"""What torch's pickles name, as numpy: storages are flat arrays, tensors are views on them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxnets.arrays import DTYPES, UNSUPPORTED_DTYPES, byteswapped, swap_unit
from jaxnets.checkpoint.errors import MAX_DEPTH, CheckpointError, brief
from jaxnets.checkpoint.unpickle import PLAIN_NAMES, Global, Machine, Unholdable

#: torch's typed storages, which it writes for the dtypes of old; newer dtypes lie in untyped ones.
STORAGE_DTYPES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "BFloat16Storage": "bfloat16",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
    "UntypedStorage": "uint8",
}
# Their tensors are refused as a whole later, by the name under which they stand.
_QUANTISED_STORAGES = {
    "QInt8Storage": "int8",
    "QInt32Storage": "int32",
    "QUInt8Storage": "uint8",
    "QUInt4x2Storage": "uint8",
    "QUInt2x4Storage": "uint8",
}

#: Beginnings of names that are met in practice, and what to do about them.
REMEDIES = {
    "torch.nn.parameter.Uninitialized": "A lazy module was saved before its first call; call it once, then save",
    "torch.nn.": "The file holds a whole module; in torch, save `model.state_dict()` instead of `model`",
    "__main__.": "The file holds an object of a program's own class; save `model.state_dict()`, or a dict of tensors",
    "numpy.": "The file holds numpy values; in torch, save `torch.from_numpy(array)` or `value.item()` instead",
    "torch.nested.": "Nested tensors cannot be held; save `tensor.to_padded_tensor(0.0)` instead",
    "torch.distributed.": "The file holds distributed tensors; save `tensor.full_tensor()` instead",
    "collections.defaultdict": "Save `dict(value)` instead",
}
_REMEDY = "Save tensors, numbers, text, and dicts, lists and tuples of them instead"


def refusal(name: str) -> str:
    remedy = next((text for start, text in REMEDIES.items() if name.startswith(start)), _REMEDY)
    return f"{brief(name)[1:-1]} is neither a tensor nor a plain container; refused, nothing was run. {remedy}"


class TensorMachine(Machine):
    """A pickle machine that knows torch's names.

    `read_storage(key, bytes)` gives the bytes of a storage (at least so many) as a flat uint8 array, or None for a
    first pass that only asks which storages there are; tensors are then None as well.
    """

    def __init__(
        self,
        data: Any,
        read_storage: Callable[[str, int], np.ndarray | None],
        *,
        big_endian: bool = False,
        position: int = 0,
    ):
        names = {**_TORCH_NAMES, **{name: Global(name, getattr(self, f)) for name, f in _REBUILD.items()}}
        super().__init__(data, names, refusal, self.storage, position)
        self.read_storage = read_storage
        self.swap = big_endian
        self.swapped: dict[tuple[int, int, int], np.ndarray] = {}
        self.storages: dict[str, np.ndarray | None] = {}
        self.materialised = 0

    def storage(self, pid: Any) -> np.ndarray | None:
        """A storage as the flat array of its elements, from torch's persistent id."""
        if type(pid) is not tuple or len(pid) not in (5, 6) or pid[0] != "storage":
            what = pid[0] if type(pid) is tuple and pid else pid
            raise CheckpointError(f"a reference to {brief(what)}, expected a storage")
        kind, key, _location, count = pid[1:5]
        dtype = kind.dtype if isinstance(kind, StorageType) else None
        if dtype is None or type(key) is not str or type(count) is not int or count < 0:
            raise CheckpointError(f"a storage of {brief(kind)}, key {brief(key)}, {brief(count)} elements")
        nbytes = count * dtype.itemsize
        if key not in self.storages:
            self.storages[key] = self.read_storage(key, nbytes)
        raw = self.storages[key]
        if raw is None:
            return None
        if nbytes > raw.nbytes or raw.nbytes - nbytes >= dtype.itemsize:
            raise CheckpointError(
                f"storage {brief(key)} is said to hold {count} x {dtype} ({nbytes} bytes), "
                f"but its record has {raw.nbytes} bytes"
            )
        raw = raw[:nbytes]
        if len(pid) == 6 and pid[5] is not None:  # a view of a storage, as torch wrote it long ago
            _view_key, offset, length = pid[5]
            if not 0 <= offset <= offset + length <= count:
                raise CheckpointError(f"a view of storage {brief(key)} that leaves its {count} elements")
            raw = raw[offset * dtype.itemsize : (offset + length) * dtype.itemsize]
        return self.native(raw, dtype)

    def native(self, storage: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """The bytes of a storage as `dtype` in this machine's byte order, one copy for all tensors on it."""
        if not self.swap or swap_unit(dtype) == 1:
            return storage.view(dtype)
        place = (storage.ctypes.data, swap_unit(dtype), storage.nbytes)
        if place not in self.swapped:
            self.materialise(storage.nbytes)
            self.swapped[place] = byteswapped(storage.view(dtype)).view(np.uint8)
        return self.swapped[place].view(dtype)

    def materialise(self, nbytes: int) -> None:
        """Counts bytes that are copied, not mapped: honest files copy each storage a few times at most."""
        self.materialised += nbytes
        allowed = 2**20 + 4 * sum(raw.nbytes for raw in self.storages.values() if raw is not None)
        if self.materialised > allowed:
            raise CheckpointError("tensors are to be copied many times over; save them with .contiguous()")

    def tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Any:
        """_rebuild_tensor and _rebuild_tensor_v2; `rest` is requires_grad, hooks and metadata."""
        metadata = rest[2] if len(rest) > 2 else None
        if isinstance(storage, Unholdable) or storage is None:
            return storage
        if not isinstance(storage, np.ndarray) or storage.ndim != 1 or not storage.flags.c_contiguous:
            raise CheckpointError(f"a tensor on {brief(storage)}, expected a storage")
        array = view(storage, offset, size, stride)
        if not metadata:
            return array
        if type(metadata) is not dict or not set(metadata) <= {"conj", "neg"}:
            return Unholdable(f"a tensor with metadata {brief(metadata)}; save tensor.clone()")
        self.materialise(array.nbytes)
        if metadata.get("conj"):
            array = np.asarray(np.conj(array))
        return np.asarray(np.negative(array)) if metadata.get("neg") else array

    def tensor_v3(self, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Any:
        """_rebuild_tensor_v3; `rest` is requires_grad, hooks, dtype and metadata."""
        grad, hooks, dtype, *metadata = rest
        if isinstance(dtype, Unholdable) or storage is None:
            return dtype if storage is not None else None
        if not isinstance(dtype, np.dtype):
            raise CheckpointError(f"a tensor of dtype {brief(dtype)}")
        if not isinstance(storage, np.ndarray) or storage.dtype != np.uint8 or storage.ndim != 1:
            raise CheckpointError(f"a tensor of dtype {dtype} on {brief(storage)}, expected an untyped storage")
        whole = storage[: storage.nbytes - storage.nbytes % dtype.itemsize]
        return self.tensor(
            self.native(np.ascontiguousarray(whole), dtype), offset, size, stride, grad, hooks, *metadata
        )

    def same(self, data: Any, *_ignored: Any) -> Any:
        """A parameter, or a tensor with attributes: its data."""
        if not (data is None or isinstance(data, (np.ndarray, Unholdable))):
            raise CheckpointError(f"a parameter made of {brief(data)}, expected a tensor")
        return data

    def on_device(self, data: Any, dtype: Any, *_ignored: Any) -> Any:
        data = self.same(data)
        if data is None or isinstance(data, Unholdable) or (isinstance(dtype, np.dtype) and data.dtype == dtype):
            return data
        return Unholdable(f"a tensor of {brief(dtype)} stored as {data.dtype}; save tensor.cpu()")

    def subclass(self, function: Any, kind: Any, arguments: Any, _state: Any) -> Any:
        if not isinstance(function, Global) or not function.name.startswith("torch._utils."):
            name = getattr(function, "name", brief(function))
            raise CheckpointError(f"a tensor with attributes made by {name}, expected a rebuild function")
        return self.same(self.call(function, arguments))

    def sparse(self, layout: Any = None, *_ignored: Any) -> Unholdable:
        name = layout.removeprefix("torch.") if type(layout) is str else "sparse"
        return Unholdable(f"a {name[:20]} tensor; save tensor.to_dense()")

    def quantised(self, *_ignored: Any) -> Unholdable:
        return Unholdable("a quantised tensor; save tensor.dequantize(), or int_repr(), q_scale(), q_zero_point()")

    def nested(self, *_ignored: Any) -> Unholdable:
        return Unholdable("a nested tensor; save tensor.to_padded_tensor(0.0)")

    def meta(self, *_ignored: Any) -> Unholdable:
        return Unholdable("a tensor on the meta device, which has no data; save the model after its initialisation")

    def wrapper(self, kind: Any = None, *_ignored: Any) -> Unholdable:
        return Unholdable("a tensor subclass without data of its own; save the plain tensor in it")

    def foreign(self, *_ignored: Any) -> Unholdable:
        return Unholdable("a tensor of another device written through numpy; save tensor.cpu()")


def view(storage: np.ndarray, offset: Any, size: Any, stride: Any) -> np.ndarray:
    """The tensor of `size` and `stride` (in elements) that begins at element `offset` of a flat storage.

    Python's integers do not overflow, so the check is exact; numpy checks the buffer once more.
    """
    if (
        type(offset) is not int
        or type(size) is not tuple
        or type(stride) is not tuple
        or len(size) != len(stride)
        or not all(type(n) is int and n >= 0 for n in (offset, *size, *stride))
    ):
        raise CheckpointError(
            f"a tensor with offset {brief(offset)}, size {_shape(size)}, stride {_shape(stride)}; "
            "expected integers, none negative"
        )
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    empty = 0 in size
    if (not empty and last >= storage.size) or (empty and offset > storage.size):
        raise CheckpointError(
            f"a tensor of size {_shape(size)}, stride {_shape(stride)} at offset {brief(offset)} "
            f"reaches element {brief(last)} of a storage of {storage.size}"
        )
    item = storage.dtype.itemsize
    try:
        if empty:
            return np.ndarray(size, storage.dtype)
        # The stride of an axis of length 1 means nothing and may be anything; others are checked by now.
        strides = [s * item if n > 1 or s < 2**40 else item for n, s in zip(size, stride, strict=True)]
        return np.ndarray(size, storage.dtype, storage.view(np.uint8), offset * item, strides)
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        raise CheckpointError(f"numpy cannot hold a tensor of size {_shape(size)}: {error}") from error


def _shape(size: Any) -> str:
    if type(size) is not tuple or len(size) > 16:
        return brief(size)
    return f"({', '.join(map(brief, size))})"


@dataclass
class Frame:
    """A container on the way down a tree: where it stands, what is below it, and how much of that."""

    value: Any
    step: str
    height: int = 1
    paths: int = 1

    def __post_init__(self) -> None:
        self.rest = iter(_children(self.value))

    def add(self, height: int, paths: int) -> None:
        self.height = max(self.height, height + 1)
        self.paths += paths


def check_tree(root: Any) -> Any:
    """`root`, if all of it is plain values and arrays, no container holds itself, and walking it ends soon.

    Iterative, each container once: a few bytes of pickle can describe a tree with more paths than atoms.
    """
    unholdable: list[str] = []
    known: dict[int, tuple[int, int]] = {}
    values = 0
    frames = [Frame([root], "")]
    open_ids = {id(frames[0].value)}
    while frames:
        frame = frames[-1]
        for step, child in frame.rest:
            values += 1
            if not isinstance(child, (dict, list, tuple)):  # what a set may hold was checked when it was built
                frame.paths += 1
                if isinstance(child, (Unholdable, Global, StorageType)):
                    unholdable.append(f"{_path(frames, step) or 'the value'}: {_what(child)}")
            elif id(child) in open_ids:
                raise CheckpointError(f"the {type(child).__name__} at {_path(frames, step)} contains itself")
            elif id(child) in known:
                frame.add(*known[id(child)])
            else:
                frames.append(Frame(child, step))
                open_ids.add(id(child))
                break
        else:
            frames.pop()
            open_ids.discard(id(frame.value))
            known[id(frame.value)] = frame.height, frame.paths
            if frames:
                frames[-1].add(frame.height, frame.paths)
        if frames and len(frames) + frames[-1].height - 2 > MAX_DEPTH:
            raise CheckpointError(f"containers are nested deeper than {MAX_DEPTH} levels at {_path(frames, '')}")
    if frame.paths > 10**6 + 100 * values:
        raise CheckpointError(f"{values} values are shared so often that they stand in {frame.paths} places")
    if unholdable:
        more = f"; and {len(unholdable) - 10} more" if len(unholdable) > 10 else ""
        raise CheckpointError("numpy cannot hold " + "; ".join(unholdable[:10]) + more)
    return root


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((f"[{brief(key)}]", item) for key, item in value.items())
        if hasattr(value, "_metadata"):
            yield "._metadata", value._metadata
    else:
        yield from ((f"[{index}]", item) for index, item in enumerate(value))


def _path(frames: list[Frame], step: str) -> str:
    steps = [frame.step for frame in frames[2:]] + [step] * (len(frames) > 1)
    return "".join(steps[:8]) + ("..." if len(steps) > 8 else "")


def _what(value: Any) -> str:
    return value.what if isinstance(value, Unholdable) else f"{value.name} itself, a class or function; leave it out"


class StorageType:
    """A class of storages: in a pickle, the dtype of the elements."""

    def __init__(self, name: str, dtype: str):
        self.name = name
        self.dtype = DTYPES[dtype]


def _layout(name: Any) -> str:
    if type(name) is not str:
        raise CheckpointError(f"a layout named {brief(name)}")
    return name


def _device(kind: Any, index: Any = None) -> str:
    if type(kind) is not str or not (index is None or type(index) is int):
        raise CheckpointError(f"a device named {brief(kind)}, {brief(index)}")
    return kind if index is None else f"{kind}:{index}"


def _size(items: Any = ()) -> tuple:
    if type(items) not in (list, tuple) or not all(type(n) is int for n in items):
        raise CheckpointError(f"a torch.Size of {brief(items)}")
    return tuple(items)


_REBUILD = {
    "torch._utils._rebuild_tensor": "tensor",
    "torch._utils._rebuild_tensor_v2": "tensor",
    "torch._utils._rebuild_tensor_v3": "tensor_v3",
    "torch._utils._rebuild_parameter": "same",
    "torch._utils._rebuild_parameter_with_state": "same",
    "torch.nn.parameter.Parameter": "same",
    "torch._tensor._rebuild_from_type_v2": "subclass",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": "on_device",
    "torch._utils._rebuild_device_tensor_from_numpy": "foreign",
    "torch._utils._rebuild_sparse_tensor": "sparse",
    "torch._utils._rebuild_qtensor": "quantised",
    "torch._utils._rebuild_nested_tensor": "nested",
    "torch._utils._rebuild_meta_tensor_no_storage": "meta",
    "torch._utils._rebuild_wrapper_subclass": "wrapper",
}

_QSCHEMES = [f"per_{what}" for what in (
    "tensor_affine", "tensor_symmetric", "channel_affine", "channel_symmetric", "channel_affine_float_qparams",
)]  # fmt: skip

_TORCH_NAMES: dict[str, Any] = {
    **PLAIN_NAMES,
    **{f"torch.{name}": dtype for name, dtype in DTYPES.items()},
    **{f"torch.{name}": Unholdable(f"dtype torch.{name} {why}") for name, why in UNSUPPORTED_DTYPES.items()},
    **{
        f"{module}.{name}": StorageType(f"{module}.{name}", dtype)
        for name, dtype in (STORAGE_DTYPES | _QUANTISED_STORAGES).items()
        for module in ("torch", "torch.cuda", "torch.storage")
    },
    **{f"torch.{name}": f"torch.{name}" for name in _QSCHEMES},
    "torch.Tensor": Global("torch.Tensor"),
    "torch.Size": Global("torch.Size", _size),
    "torch.device": Global("torch.device", _device),
    "torch.serialization._get_layout": Global("torch.serialization._get_layout", _layout),
}
