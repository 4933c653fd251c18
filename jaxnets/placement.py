"""Checkpoints straight onto a mesh: each device's part of each array is read, and nothing else."""

import copy
import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxnets import checkpoint
from jaxnets.checkpoint.errors import CheckpointError

Placement = jax.sharding.Sharding | Callable[[str, tuple[int, ...]], jax.sharding.Sharding]


def load(path: str | os.PathLike, *, sharding: Placement | None = None) -> Any:
    """What `torch.load(path, weights_only=True)` gives, as numpy arrays or, with `sharding`, as `jax.Array`s.

    Without `sharding` this is `jaxnets.checkpoint.load`: memory-mapped numpy arrays of torch's dtypes. With it,
    each process reads the parts of each array that lie on its own devices.

    Args:
        path: a torch or safetensors file, an index of shards, or a folder that holds one of them.
        sharding: a `jax.sharding.Sharding` for every array, or a function of an array's name (the keys on the way
            to it, joined by dots) and shape that returns one.

    Shape: each array keeps its shape. While `jax_enable_x64` is off, 64-bit dtypes become their 32-bit ones, as
        everywhere in JAX; an integer that does not fit is an error.

    Raises:
        CheckpointError: the file is damaged or refused, or an integer does not fit.
        ValueError: the sharding does not fit the shape of an array; all of them are named.
        TypeError: `sharding` is, or returns, something else, or JAX has no such dtype.

    Differences from torch: `sharding` stands for `map_location`; see also `jaxnets.checkpoint.load`.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "net.pt")
    >>> checkpoint.save({"net": {"weight": np.ones((2, 3), np.float32)}}, path)
    >>> device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    >>> load(path, sharding=device)["net"]["weight"].sharding == device
    True

    Source: https://docs.pytorch.org/docs/stable/generated/torch.load.html
    """
    if not (sharding is None or isinstance(sharding, jax.sharding.Sharding) or callable(sharding)):
        raise TypeError(f"sharding: expected a jax.sharding.Sharding or a function of name and shape, got {sharding!r}")
    state = checkpoint.load(path)
    if sharding is None:
        return state
    placements = _Placements(os.fsdecode(path), sharding)
    placements.collect(state, ())
    placements.check()
    return placements.place(state, ())


class _Placements:
    """One walk over the state to find where every array goes, one to bring it there."""

    def __init__(self, path: str, sharding: Placement):
        self.path = path
        self.sharding = sharding
        self.chosen: dict[tuple, jax.sharding.Sharding] = {}
        self.misfits: list[str] = []
        self.unknown: list[str] = []
        self.placed: dict[Any, jax.Array] = {}

    def collect(self, value: Any, keys: tuple) -> None:
        for key, child in _children(value):
            self.collect(child, (*keys, key))
        if isinstance(value, np.ndarray):
            name = _name(keys)
            self.chosen[keys] = chosen = self.choose(name, value.shape)
            if misfit := _misfit(chosen, value.shape):
                self.misfits.append(f"{name} {value.shape}: {misfit}")
            if _jax_dtype(value.dtype) is None:
                self.unknown.append(f"{name} ({value.dtype})")

    def choose(self, name: str, shape: tuple[int, ...]) -> jax.sharding.Sharding:
        if isinstance(self.sharding, jax.sharding.Sharding):
            return self.sharding
        chosen = self.sharding(name, shape)
        if not isinstance(chosen, jax.sharding.Sharding):
            raise TypeError(f"sharding: expected a jax.sharding.Sharding for {name!r} {shape}, got {chosen!r}")
        return chosen

    def check(self) -> None:
        if self.misfits:
            raise ValueError(
                f"sharding does not fit {len(self.misfits)} arrays: {'; '.join(self.misfits)}. Pass a function "
                "(name, shape) -> Sharding that replicates them, such as NamedSharding(mesh, PartitionSpec())"
            )
        if self.unknown:
            raise TypeError(f"JAX has no dtype for {', '.join(self.unknown)}; load without sharding and convert")

    def place(self, value: Any, keys: tuple) -> Any:
        if isinstance(value, np.ndarray):
            return self.array(value, keys)
        if isinstance(value, dict):
            result = copy.copy(value)  # keeps the class, the order of keys, and torch's `_metadata`
            for key, child in value.items():
                result[key] = self.place(child, (*keys, key))
            return result
        if isinstance(value, (list, tuple)):
            return type(value)(self.place(child, (*keys, index)) for index, child in enumerate(value))
        return value

    def array(self, array: np.ndarray, keys: tuple) -> jax.Array:
        chosen, dtype, name = self.chosen[keys], _jax_dtype(array.dtype), _name(keys)
        # Arrays are immutable in JAX, so tied ones may as well be one.
        tie = (array.ctypes.data, array.shape, array.strides, array.dtype, chosen)
        if array.size == 0 or tie not in self.placed:
            self.placed[tie] = jax.make_array_from_callback(
                array.shape, chosen, lambda index: self.part(array[index], dtype, name), dtype=dtype
            )
        return self.placed[tie]

    def part(self, part: np.ndarray, dtype: np.dtype | None, name: str) -> np.ndarray:
        if part.dtype != dtype and part.dtype.kind in "iu" and part.size:
            limits = np.iinfo(dtype)
            for value in (int(part.min()), int(part.max())):
                if not limits.min <= value <= limits.max:
                    raise CheckpointError(
                        f"{self.path}: {name} holds {value}, which does not fit {dtype}; "
                        "set jax_enable_x64, or load without sharding"
                    )
        return np.array(part, dtype, order="C")


def _name(keys: tuple) -> str:
    return ".".join(map(str, keys))


def _children(value: Any) -> Any:
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, (list, tuple)) else ()


def _misfit(sharding: jax.sharding.Sharding, shape: tuple[int, ...]) -> str:
    """Why an array of `shape` cannot be divided so, or nothing."""
    spec = getattr(sharding, "spec", ())
    if len(spec) > len(shape):
        return f"{spec} divides {len(spec)} axes, it has {len(shape)}"
    try:
        sharding.shard_shape(shape)
    except ValueError:
        return f"{spec or type(sharding).__name__} does not divide its axes evenly"
    return ""


def _jax_dtype(dtype: np.dtype) -> np.dtype | None:
    """The dtype that JAX gives an array of `dtype`, or None for the one of torch's that it has not."""
    return None if dtype.name == "complex32" else np.dtype(jax.dtypes.canonicalize_dtype(dtype))
