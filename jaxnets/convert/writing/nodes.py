"""How the parts of a module are built, as data: stock layers, containers, modules of the user's, arrays, and holes."""

import ast
import keyword
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from jaxnets.convert import expressions as e
from jaxnets.convert.constants import constant
from jaxnets.convert.layers.calls import Build
from jaxnets.convert.layers.source import expression as build_expression

if TYPE_CHECKING:
    from jaxnets.convert.writing.templates import Template

__all__ = [
    "Children",
    "Held",
    "Own",
    "Parts",
    "Shared",
    "Slot",
    "Sometimes",
    "existing",
    "is_equal",
    "node_expression",
    "ordered",
    "parts",
    "rebuilt",
    "slots_of",
]


@dataclass(frozen=True)
class Slot:
    """A place that differs from instance to instance: a parameter of the constructor, or a multiple of one."""

    name: str
    times: int = 1

    def __repr__(self) -> str:
        return self.name if self.times == 1 else f"{self.times} * {self.name}"


@dataclass(frozen=True)
class Own:
    """A module of a class that is written out, with the constructor's arguments."""

    template: "Template"
    args: Mapping[str, Any]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own) and self.template is other.template and dict(self.args) == dict(other.args)

    def __hash__(self) -> int:
        return hash(self.template.name)


@dataclass(frozen=True)
class Children:
    """A container: Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict."""

    kind: str
    items: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, eq=False)
class Held:
    """A parameter or a buffer that a module of the user's holds itself.

    Args:
        kind: "Param", "Buffer" or "BatchStat".
        shape: its sizes, ints or slots.
        dtype: torch's dtype.
        data: the numbers, where no checkpoint has them.
    """

    kind: str
    shape: tuple[Any, ...]
    dtype: torch.dtype
    data: torch.Tensor | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Held) or (self.kind, self.shape, self.dtype) != (other.kind, other.shape, other.dtype):
            return False
        if self.data is None or other.data is None:
            return self.data is other.data
        return self.data.shape == other.data.shape and torch.equal(self.data, other.data)

    def __hash__(self) -> int:
        return hash((self.kind, self.dtype))


@dataclass(frozen=True)
class Shared:
    """The same module, parameter or buffer as one that stands elsewhere."""

    path: str


@dataclass(frozen=True)
class Sometimes:
    """A layer that only some modules have.

    Args:
        node: the layer.
        having: whether it is there, for each instance.
        name: what it is called.
        slot: what tells whether it is there: a bool, or what is None where it is not; None as long as that is open.
        is_flag: whether it is a bool.
    """

    node: Any
    having: tuple[bool, ...]
    name: str
    slot: Slot | None = None
    is_flag: bool = False


def node_expression(node: Any) -> ast.expr:
    """The expression that builds a part."""
    if isinstance(node, Build):
        return build_expression(node)
    if isinstance(node, Slot):
        return _slot(node)
    if isinstance(node, Own):
        return _own(node)
    if isinstance(node, Children):
        return _children(node)
    if isinstance(node, Shared):  # holds the place until both are built
        return e.call("nn.Identity")
    if isinstance(node, Held):
        return _held(node)
    if isinstance(node, Sometimes):
        condition = "slot" if node.is_flag else "slot is not None"
        return e.template(f"layer if {condition} else None", layer=node_expression(node.node), slot=_slot(node.slot))
    if isinstance(node, tuple):
        return ast.Tuple([node_expression(x) for x in node])
    if isinstance(node, list):
        return ast.List([node_expression(x) for x in node])
    if isinstance(node, np.dtype):
        return e.dotted(f"jnp.{node.name}")
    return e.literal(node)


def _slot(slot: Slot | None) -> ast.expr:
    return ast.parse(repr(slot), mode="eval").body


def _own(node: Own) -> ast.expr:
    args: list[ast.expr] = []
    kwargs: dict[str, ast.expr] = {}
    if node.template.children:
        args += _layers(node.args[node.template.children])
    for parameter in node.template.parameters:
        value = node.args[parameter.name]
        if parameter.has_default:
            if not is_equal(value, parameter.default):
                kwargs[parameter.name] = node_expression(value)
        elif node.template.children:
            kwargs[parameter.name] = node_expression(value)
        else:
            args.append(node_expression(value))
    if node.template.needs_rngs:
        kwargs["rngs"] = e.dotted("rngs")
    return e.call(node.template.name, *args, **kwargs)


def is_equal(a: Any, b: Any) -> bool:
    """Equal, and of one type: 1 is not True."""
    return type(a) is type(b) and bool(a == b)


def _children(node: Children) -> ast.expr:
    return e.call(f"nn.{node.kind}", *_layers(node))


def _layers(node: Children) -> list[ast.expr]:
    """What the constructor of a container is given."""
    names, values = [name for name, _ in node.items], [x for _, x in node.items]
    numbered = names == [str(i) for i in range(len(names))]
    if node.kind == "Sequential":
        if any(isinstance(x, Sometimes) for x in values):
            return [existing([node_expression(x) for x in values])]
        if numbered:
            return _repeated(values)
        return [ordered({name: node_expression(x) for name, x in node.items})]
    if not values:
        return []
    if node.kind in ("ModuleList", "ParameterList") and numbered:
        repeats = _repeated(values)
        if len(repeats) == 1 and isinstance(repeats[0], ast.Starred):
            generator = repeats[0].value
            assert isinstance(generator, ast.GeneratorExp)
            return [ast.ListComp(generator.elt, generator.generators)]
        return [ast.List(repeats)]
    return [ast.Dict([e.literal(name) for name in names], [node_expression(x) for x in values])]


def existing(layers: list[ast.expr]) -> ast.expr:
    """The layers that are not None, as arguments."""
    every = ast.List(layers)
    return ast.Starred(e.template("[layer for layer in every if layer is not None]", every=every))


def ordered(items: Mapping[str, ast.expr]) -> ast.expr:
    """`OrderedDict(name=..., ...)`, or of a dict where a name is no Python name."""
    if all(name.isidentifier() and not keyword.iskeyword(name) for name in items):
        return e.call("OrderedDict", **items)
    return e.call("OrderedDict", ast.Dict([e.literal(name) for name in items], list(items.values())))


def _repeated(values: list[Any]) -> list[ast.expr]:
    """Expressions for the values; equal ones in a row become `*(x for _ in range(n))`."""
    result: list[ast.expr] = []
    i = 0
    while i < len(values):
        j = i
        while j < len(values) and values[j] == values[i]:
            j += 1
        expr = node_expression(values[i])
        if j - i >= 3 or (j - i == 2 and isinstance(values[i], Own | Children)):
            generator = e.template(f"(a for _ in range({j - i}))", a=expr)
            result.append(ast.Starred(generator))
        else:
            result += [expr, *(node_expression(x) for x in values[i + 1 : j])]
        i = j
    return result


def _held(node: Held) -> ast.expr:
    if node.data is not None:
        array = constant(node.data)
        persistent = {"persistent": False}
    else:
        shape: Any = node.shape[0] if len(node.shape) == 1 else node.shape
        array = e.call("jnp.zeros", node_expression(shape), node.dtype)
        persistent = {}
    if node.kind == "Param":
        return e.call("nnx.Param", array)
    if node.kind == "BatchStat":
        return e.call("nnx.BatchStat", array)
    return e.call("nn.Buffer", array, **persistent)


class Parts(NamedTuple):
    """What a node is made of.

    Args:
        kind: equal for nodes that differ in their parts alone.
        names: what each part is for; "" where it is for no more than the whole.
        values: the parts.
        rebuilt: the node with other parts.
    """

    kind: tuple[Any, ...]
    names: Sequence[str]
    values: Sequence[Any]
    rebuilt: Callable[[Sequence[Any]], Any]


def parts(node: Any) -> Parts | None:
    """The parts of a node; None where it has none."""
    match node:
        case Build():
            names = list(node.args)
            kind: tuple[Any, ...] = Build, node.name, *names
            return Parts(kind, names, list(node.args.values()), lambda new: Build(node.name, _named(names, new)))
        case Own():
            names = list(node.args)
            kind = Own, id(node.template), *names
            return Parts(kind, names, list(node.args.values()), lambda new: Own(node.template, _named(names, new)))
        case Children():
            names = [name for name, _ in node.items]
            kind = Children, node.kind, *names
            values = [x for _, x in node.items]
            return Parts(kind, names, values, lambda new: Children(node.kind, tuple(_named(names, new).items())))
        case Held():
            kind = Held, node.kind, node.dtype, len(node.shape), None if node.data is None else id(node)
            names = ["size"] * len(node.shape)
            return Parts(kind, names, node.shape, lambda new: Held(node.kind, tuple(new), node.dtype, node.data))
        case Sometimes():
            names, values = ["", ""], [node.node, node.slot]
            return Parts((Sometimes,), names, values, lambda new: replace(node, node=new[0], slot=new[1]))
        case tuple():
            return Parts((tuple, len(node)), [""] * len(node), node, tuple)
    return None


def _named(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(names, values, strict=True))


def rebuilt(function: Callable[[Any], Any], node: Any) -> Any:
    """The node with `function` applied to each of its parts."""
    found = parts(node)
    return function(node) if found is None else found.rebuilt([rebuilt(function, x) for x in found.values])


def slots_of(node: Any) -> Iterator[Slot]:
    """The slots inside of a node."""
    if isinstance(node, Slot):
        yield node
    found = parts(node)
    for x in () if found is None else found.values:
        yield from slots_of(x)
