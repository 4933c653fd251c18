"""What a torch module did with its inputs: calls of modules and functions, and the values between them.

`tracing` writes a trace, the rest of the room reads it. There is nothing of torch's execution in it any more: views
and in-place changes have become new values.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from jaxnets.convert.errors import DifferentError
from jaxnets.convert.sizes import Size

__all__ = [
    "Call",
    "Item",
    "ModeChoice",
    "Op",
    "Place",
    "Structure",
    "Value",
    "has_arrays",
    "map_tree",
    "tree_leaves",
    "tree_values",
    "writes",
    "zip_tree",
]


class Place(NamedTuple):
    """A line of the user's code."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


@dataclass(eq=False, repr=False)
class Value:
    """An array that exists at one moment of the forward pass.

    Args:
        shape: its sizes, multiples of `sizes.BATCH` where they depend on the batch.
        dtype: torch's dtype.
        scope: the call in whose body it is made; None for parameters, buffers and constants.
        names: how local variables of the user's code call it, by the call in whose forward they are.
        path: a parameter's or buffer's name in the root module.
        data: a tensor that was there before: a parameter, a buffer, a constant.
    """

    shape: tuple[Any, ...]
    dtype: Any
    scope: "Call | None" = None
    names: dict["Call", list[str]] = field(default_factory=dict)
    path: str | None = None
    data: Any = None

    @property
    def ndim(self) -> int:
        return len(self.shape)


@dataclass(eq=False, repr=False)
class Op:
    """A function was called.

    Args:
        name: torch's name without its package: "add", "functional.relu", "__getitem__".
        args: positional arguments, trees with `Value` for tensors.
        kwargs: keyword arguments.
        output: the tree of values that came out.
        grad: whether torch recorded gradients.
        place: where the user's code called it.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    output: Any
    grad: bool = True
    place: Place | None = None


@dataclass(eq=False, repr=False)
class Call:
    """A module was called.

    Args:
        path: its name in the root module, "" for the root.
        module: torch's module.
        leaf: whether it is a stock layer, whose inside is not looked at.
        args: positional arguments, trees of values.
        kwargs: keyword arguments.
        arguments: the same by the parameters' names of `forward`.
        body: what happened inside.
        returned: the tree of values that `forward` returned.
        output: the same with the values as the caller knows them.
        training: the module's mode.
        grad: whether torch recorded gradients.
        place: where the user's code called it.
        parent: the call in whose body it is.
        sizes: how local variables call sizes, by the object's id.
        numbers: how local variables call other numbers.
        lists: what lists in local variables held, by the variable and a number.
    """

    path: str
    module: Any
    leaf: bool
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    body: list["Item"] = field(default_factory=list)
    returned: Any = None
    output: Any = None
    training: bool = False
    grad: bool = True
    place: Place | None = None
    parent: "Call | None" = None
    sizes: dict[int, tuple[Any, str]] = field(default_factory=dict)
    numbers: dict[float, str] = field(default_factory=dict)
    lists: dict[tuple[str, int], tuple[Any, ...]] = field(default_factory=dict)

    def calls(self) -> Iterator["Call"]:
        """The calls inside, at any depth, in order."""
        for item in self.body:
            if isinstance(item, Call):
                yield item
                yield from item.calls()


Item = Op | Call


@dataclass(frozen=True)
class ModeChoice:
    """An argument that depends on the module's mode."""

    training: Any
    evaluation: Any


@dataclass(frozen=True)
class Structure:
    """An object of a class that is no container of Python's: its class, and what it holds by name."""

    kind: Any
    fields: dict[str, Any]


def map_tree(function: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with `function` applied to what is no container."""
    if isinstance(tree, Structure):
        return Structure(tree.kind, {name: map_tree(function, x) for name, x in tree.fields.items()})
    if isinstance(tree, Mapping):
        return {key: map_tree(function, x) for key, x in tree.items()}
    if isinstance(tree, slice):
        return slice(*(map_tree(function, x) for x in (tree.start, tree.stop, tree.step)))
    if isinstance(tree, tuple | list):
        items = [map_tree(function, x) for x in tree]
        if hasattr(tree, "_fields"):
            return type(tree)(*items)
        return tuple(items) if isinstance(tree, tuple) else items
    return function(tree)


def zip_tree(function: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    """The tree of `function(x, y)` for what stands in one place of two trees.

    Structures are given to `function` as they are, and so are containers that stand where the other tree has none.

    Raises:
        DifferentError: containers of other sizes, or with other keys.
    """
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if list(a) != list(b):
            raise DifferentError
        return {key: zip_tree(function, a[key], b[key]) for key in a}
    if isinstance(a, slice) and isinstance(b, slice):
        return slice(*zip_tree(function, (a.start, a.stop, a.step), (b.start, b.stop, b.step)))
    if isinstance(a, tuple | list) and type(a) is type(b):
        if len(a) != len(b):
            raise DifferentError
        return type(a)(zip_tree(function, x, y) for x, y in zip(a, b, strict=True))
    return function(a, b)


def tree_leaves(tree: Any) -> Iterator[Any]:
    """What is no container, in order."""
    if isinstance(tree, Structure):
        tree = tree.fields
    if isinstance(tree, Mapping):
        for x in tree.values():
            yield from tree_leaves(x)
    elif isinstance(tree, slice):
        yield from tree_leaves((tree.start, tree.stop, tree.step))
    elif isinstance(tree, tuple | list):
        for x in tree:
            yield from tree_leaves(x)
    else:
        yield tree


def has_arrays(tree: Any) -> bool:
    """Whether a tree depends on what goes in: it holds values, or sizes of them."""
    return any(isinstance(x, Value | Size) for x in tree_leaves(tree))


def tree_values(tree: Any) -> Iterator[Value]:
    """The values of a tree, in order."""
    return (x for x in tree_leaves(tree) if isinstance(x, Value))


def writes(item: Item) -> Iterator[Value]:
    """The values that parameters and buffers have after an operation, or in the course of a call."""
    if isinstance(item, Op):
        yield from (v for v in tree_values(item.output) if v.path)
    else:
        for inner in item.body:
            yield from writes(inner)
