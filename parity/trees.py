"""Arguments and outputs on both sides: arrays in nested tuples, lists, dicts and packed sequences."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import torch
from torch.nn.utils import rnn as torch_rnn

from jaxnets.nn.utils.rnn import PackedSequence

FIELDS = ("data", "batch_sizes", "sorted_indices", "unsorted_indices")
PACKED = (PackedSequence, torch_rnn.PackedSequence)

# torch's dtypes that numpy knows by another package's name, and the integers that carry their bits across.
BITS = {
    torch.bfloat16: (torch.int16, np.dtype(ml_dtypes.bfloat16)),
    torch.float8_e4m3fn: (torch.int8, np.dtype(ml_dtypes.float8_e4m3fn)),
    torch.float8_e5m2: (torch.int8, np.dtype(ml_dtypes.float8_e5m2)),
}
FROM_BITS = {ours: (theirs, bits) for theirs, (bits, ours) in BITS.items()}


def is_array(x: Any) -> bool:
    return isinstance(x, torch.Tensor | np.ndarray | jax.Array)


def to_numpy(x: Any) -> np.ndarray:
    """A new numpy array of any side's array, dtype kept."""
    if isinstance(x, torch.Tensor):
        x = x.detach().cpu().resolve_conj().resolve_neg()
        if x.dtype in BITS:
            bits, dtype = BITS[x.dtype]
            return x.contiguous().view(bits).numpy().view(dtype).copy()
        return x.numpy(force=True).copy()  # forced, since torch has tensors of zeros with no memory
    return np.array(x)


def to_torch(x: Any) -> torch.Tensor:
    """A new tensor on the CPU."""
    if isinstance(x, torch.Tensor):
        return x.detach().clone()
    x = np.array(x)
    if x.dtype in FROM_BITS:
        dtype, bits = FROM_BITS[x.dtype]
        return torch.from_numpy(x.view(np.dtype(str(bits).removeprefix("torch.")))).view(dtype)
    return torch.from_numpy(x)


def to_jax(x: Any) -> jax.Array:
    """A new array on the default device; 64 bits become 32 where JAX holds no wider types."""
    # Put there, not made there: to JAX each new shape is a program to compile.
    return jnp.array(x) if isinstance(x, jax.Array) else jax.device_put(np.array(to_numpy(x)))


def torch_tree(tree: Any) -> Any:
    """The tree with torch's tensors and torch's packed sequences."""
    return rebuild(to_torch, torch_rnn.PackedSequence, tree)


def jax_tree(tree: Any) -> Any:
    """The tree with jax arrays and our packed sequences."""
    return rebuild(to_jax, PackedSequence, tree)


def rebuild(convert: Callable[[Any], Any], packed: Callable[..., Any], tree: Any) -> Any:
    """The tree with every array converted, and its packed sequences of the type `packed`; the rest is kept."""
    if is_array(tree):
        return convert(tree)
    if isinstance(tree, PACKED):
        fields = [rebuild(convert, packed, getattr(tree, name)) for name in FIELDS]
        # Torch wants batch sizes on the CPU as int64, whoever gives them.
        if packed is torch_rnn.PackedSequence:
            fields = [fields[0], *(x if x is None else x.long() for x in fields[1:])]
        return packed(*fields)
    if isinstance(tree, Mapping):
        return {key: rebuild(convert, packed, value) for key, value in tree.items()}
    if isinstance(tree, tuple | list):
        items = [rebuild(convert, packed, value) for value in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    return tree


def leaves(tree: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every array of a tree with the Python expression that reaches it from `path`."""
    if is_array(tree):
        yield path, tree
    elif isinstance(tree, PACKED):
        for name in FIELDS:
            yield from leaves(getattr(tree, name), f"{path}.{name}")
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from leaves(value, f"{path}[{key!r}]")
    elif isinstance(tree, tuple | list):
        for i, value in enumerate(tree):
            yield from leaves(value, f"{path}[{i}]")


def structure(tree: Any) -> str:
    """A tree's form without its numbers: `(array, [array, None])`. Equal text, equal form."""
    if is_array(tree):
        return "array"
    if isinstance(tree, PACKED):
        return f"PackedSequence({', '.join(structure(getattr(tree, name)) for name in FIELDS)})"
    if isinstance(tree, Mapping):
        return "{" + ", ".join(f"{key!r}: {structure(value)}" for key, value in tree.items()) + "}"
    if isinstance(tree, list):
        return f"[{', '.join(map(structure, tree))}]"
    if isinstance(tree, tuple):
        return f"({', '.join(map(structure, tree))}{',' * (len(tree) == 1)})"
    return repr(tree)


def split(tree: Any, path: str) -> tuple[list[str], list[Any], Callable[[list[Any]], Any]]:
    """Paths and arrays of a tree, and the function that puts other arrays in their places."""
    found = list(leaves(tree, path))

    def join(arrays: list[Any]) -> Any:
        # The same walk as in `leaves`: a packed sequence is rebuilt without looking at its (traced) numbers.
        rest = iter(arrays)
        return _replace(tree, rest)

    return [p for p, _ in found], [x for _, x in found], join


def _replace(tree: Any, arrays: Iterator[Any]) -> Any:
    if is_array(tree):
        return next(arrays)
    if isinstance(tree, PackedSequence):
        leaves, treedef = jax.tree.flatten(tree)
        return jax.tree.unflatten(treedef, [next(arrays) for _ in leaves])
    if isinstance(tree, torch_rnn.PackedSequence):
        return torch_rnn.PackedSequence(*(_replace(getattr(tree, name), arrays) for name in FIELDS))
    if isinstance(tree, Mapping):
        return {key: _replace(value, arrays) for key, value in tree.items()}
    if isinstance(tree, tuple | list):
        items = [_replace(value, arrays) for value in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    return tree
