"""Trees of the user's objects: containers, dataclasses, and objects that hold tensors, such as caches."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch.nn.utils import rnn

from jaxnets.convert.trace import Structure, Value

__all__ = ["Opened", "map_objects", "object_leaves", "object_tensors", "opened", "valued", "without_objects"]


def map_objects(function: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with `function` applied to what is no container; containers in which nothing changes stay themselves."""
    if isinstance(tree, Mapping):
        items = {key: map_objects(function, x) for key, x in tree.items()}
        if all(items[key] is x for key, x in tree.items()):
            return tree
        return items if type(tree) is dict else type(tree)(**items)
    if isinstance(tree, tuple | list) and not isinstance(tree, torch.Size):
        parts = [map_objects(function, x) for x in tree]
        if all(a is b for a, b in zip(parts, tree, strict=True)):
            return tree
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    if is_dataclass(tree) and not isinstance(tree, type):
        named = {f.name: map_objects(function, getattr(tree, f.name)) for f in fields(tree)}
        if all(x is getattr(tree, name) for name, x in named.items()):
            return tree
        return type(tree)(**named)
    return function(tree)


@dataclass
class Opened:
    """An object of a class that is no container: the attributes in which it holds tensors."""

    kind: type
    attributes: dict[str, Any]


def opened(tree: Any) -> Any:
    """The tree with objects that hold tensors, such as caches, opened."""
    if isinstance(tree, Mapping):
        parts = {key: opened(x) for key, x in tree.items()}
        return parts if type(tree) is dict else Opened(type(tree), parts)
    if isinstance(tree, tuple | list) and not isinstance(tree, torch.Size):
        items = [opened(x) for x in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    if is_dataclass(tree) and not isinstance(tree, type):
        return Opened(type(tree), {f.name: opened(getattr(tree, f.name)) for f in fields(tree)})
    if isinstance(tree, torch.Tensor | torch.nn.Module | type) or not hasattr(tree, "__dict__") or callable(tree):
        return tree
    held = {name: opened(x) for name, x in vars(tree).items()}
    held = {name: x for name, x in held.items() if object_tensors(x)}
    return Opened(type(tree), held) if held else tree


def valued(value: Callable[[torch.Tensor], Value], tree: Any) -> Any:
    """The tree as a trace has it: with `value` of each tensor."""
    if isinstance(tree, torch.Tensor):
        return value(tree)
    if isinstance(tree, Opened):
        return Structure(tree.kind, {name: valued(value, x) for name, x in tree.attributes.items()})
    if isinstance(tree, torch.Size):
        return tuple(tree)
    if isinstance(tree, rnn.PackedSequence) or hasattr(tree, "_fields"):
        return Structure(type(tree), {name: valued(value, getattr(tree, name)) for name in tree._fields})
    if isinstance(tree, Mapping):
        plain = {key: valued(value, x) for key, x in tree.items()}
        return plain if type(tree) is dict else Structure(type(tree), plain)
    if isinstance(tree, slice):
        return slice(*(valued(value, x) for x in (tree.start, tree.stop, tree.step)))
    if isinstance(tree, tuple | list):
        items = [valued(value, x) for x in tree]
        return tuple(items) if isinstance(tree, tuple) else items
    if is_dataclass(tree) and not isinstance(tree, type):
        return Structure(type(tree), {f.name: valued(value, getattr(tree, f.name)) for f in fields(tree)})
    return tree


def without_objects(x: Any) -> Any:
    """None in the place of objects that say nothing in source: what they hold is passed by itself."""
    return x if x is None or isinstance(x, Value | bool | int | float | complex | str | torch.dtype) else None


def object_leaves(tree: Any) -> Iterator[Any]:
    if isinstance(tree, Mapping):
        for x in tree.values():
            yield from object_leaves(x)
    elif isinstance(tree, tuple | list) and not isinstance(tree, torch.Size):
        for x in tree:
            yield from object_leaves(x)
    elif is_dataclass(tree) and not isinstance(tree, type):
        for f in fields(tree):
            yield from object_leaves(getattr(tree, f.name))
    else:
        yield tree


def object_tensors(tree: Any) -> list[torch.Tensor]:
    return [x for x in object_leaves(tree) if isinstance(x, torch.Tensor)]
