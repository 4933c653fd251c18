"""The whole source: how each module is built, and the classes in the order in which they need each other."""

import ast
import builtins
import keyword
from collections.abc import Sequence
from typing import Any

import torch
from flax import nnx

from jaxnets.convert.errors import Refusal, refuse
from jaxnets.convert.layers.kinds import CONTAINERS, is_chain
from jaxnets.convert.layers.stock import build, is_stock
from jaxnets.convert.trace import Call
from jaxnets.convert.writing.classes import class_statement, factory, frozen
from jaxnets.convert.writing.loops import rolled
from jaxnets.convert.writing.members import Members, is_free, join
from jaxnets.convert.writing.methods import Methods
from jaxnets.convert.writing.nodes import Children, Held, Own, Shared, node_expression
from jaxnets.convert.writing.slots import Instance
from jaxnets.convert.writing.source_file import IMPORTS, formatted, source_file
from jaxnets.convert.writing.structures import Structures
from jaxnets.convert.writing.templates import Template, template

__all__ = ["Assembler"]

FACTORY = "build"
"""The name of the function that builds a module for which no class is written."""

RESERVED = {
    *(name for name in dir(nnx.Module) if not name.startswith("_")),
    *("deterministic", "use_running_average", "rngs", "call_2", "call_3"),
}
"""Attributes that mean something to Flax, or to what is written here."""


class Assembler:
    """Writes the source of a module from what it did in training and in evaluation.

    Args:
        module: the root.
        training, evaluation: the calls of the root; None for a module of stock layers alone.
        checks_shapes: whether the shapes of the inputs are part of what was looked at.
        dynamic: whether the batch may be of any size.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        training: Call | None = None,
        evaluation: Call | None = None,
        *,
        checks_shapes: bool = False,
        dynamic: bool = False,
    ):
        self._module = module
        self._members = Members(module)
        self._modules = self._members.modules
        self._ties = self._members.ties()
        self._structures = Structures({*IMPORTS, *dir(builtins), "Any", FACTORY})
        around = self._members, self._structures
        self._methods = Methods(*around, training, evaluation, checks_shapes=checks_shapes, dynamic=dynamic)
        self._templates: list[Template] = []
        self._nodes: dict[str, Any] = {}
        self._first: dict[int, str] = {}

    def source(self) -> str:
        """The module's source."""
        self._refuse_names()
        self._methods.open_chains()
        root, still = self._node(""), frozen(self._module)
        own = root.template if isinstance(root, Own) else None
        classes = [class_statement(x, still if x is own else ()) for x in self._templates]
        if own is None:
            classes.append(factory(self._module, FACTORY, root, self._ties.get("", ()), still))
        return formatted(source_file(type(self._module), [*self._structures.classes(), *classes]))

    def entry(self) -> str:
        """The name of what builds the module."""
        node = self._node("")
        return node.template.name if isinstance(node, Own) else FACTORY

    def _refuse_names(self) -> None:
        """Names that have another meaning in Flax, or in the source, are refused."""
        refusals = []
        for path, module in self._modules.items():
            held = (*module._modules, *module._parameters, *module._buffers)
            for name in (n for n in held if n in RESERVED and type(module) not in CONTAINERS):
                refusals.append(Refusal(f"an attribute named {name!r}, which is Flax's own,", path, "", "rename it"))
        for call in self._methods.calls(""):
            for name in call.arguments:
                if name in IMPORTS or keyword.iskeyword(name):
                    what = f"an argument of forward named {name!r}, which the source needs for something else,"
                    refusals.append(Refusal(what, "", "", "rename it"))
        refuse(refusals, type(self._module).__name__)

    # -- nodes -------------------------------------------------------------------------------------------------------

    def _node(self, path: str) -> Any:
        """How a module is built."""
        if path in self._nodes:
            return self._nodes[path]
        module = self._modules[path]
        if is_stock(module):
            self._nodes[path] = build(module)
        elif type(module) in CONTAINERS:
            self._nodes[path] = self._container(path, module)
        else:
            self._write_class(type(module), _level(module))
        return self._nodes[path]

    def _container(self, path: str, module: torch.nn.Module) -> Children:
        kind = CONTAINERS[type(module)]
        if kind.startswith("Parameter"):
            items: list[Any] = [(n, _held(x)) for n, x in module._parameters.items() if x is not None]
        else:
            items = list(self._children(path).items())
        return Children(kind, tuple(items))

    def _children(self, path: str) -> dict[str, Any]:
        return {name: self._child(join(path, name), x) for name, x in self._modules[path]._modules.items()}

    def _child(self, path: str, child: torch.nn.Module | None) -> Any:
        if child is None:
            return None
        first = self._first.setdefault(id(child), path)
        return self._node(first) if first == path or is_free(child) else Shared(first)

    # -- classes -----------------------------------------------------------------------------------------------------

    def _write_class(self, cls: type, level: int) -> None:
        """Writes the class of all modules of one class of the user's, of those that hold others of it that deep."""
        of_class: list[Any] = [(p, m) for p, m in self._modules.items() if type(m) is cls]
        paths = [p for p, m in of_class if _level(m) == level and not is_stock(m)]
        instances = [self._instance(p) for p in paths]
        base = "nnx.Module"
        if issubclass(cls, torch.nn.Sequential | torch.nn.ModuleList | torch.nn.ModuleDict):
            base = f"nn.{next(kind for container, kind in CONTAINERS.items() if issubclass(cls, container))}"
        name = self._structures.class_name(cls)
        if base != "nnx.Module" and _differ_much(instances):
            for x in instances:
                x.children = Children(base.removeprefix("nn."), tuple((n, x.parts.pop(n)) for n in x.module._modules))
        found, arguments = template(name, base, f"{cls.__module__}.{cls.__qualname__}", instances)
        methods = [m for p in paths for m in self._methods.of(p) if m]
        found.uses_mode = any(m.uses_mode for m in methods)
        found.draws = any(m.draws for m in methods)
        found.inputs = self._methods.signature(cls, paths)
        found.needs_rngs = found.draws or any(map(_takes_rngs, found.parts.values()))
        self._templates.append(found)
        for path, args in zip(paths, arguments, strict=True):
            self._nodes[path] = Own(found, args)

    def _instance(self, path: str) -> Instance:
        module = self._modules[path]
        numbers = {k: v for call in self._methods.calls(path) for k, v in call.numbers.items()}
        parts = {**_arrays(module), **self._children(path)}
        methods = self._methods.of(path)
        first, *further = [None if m is None else rolled(m.statements, _containers(module)) for m in methods] or [None]
        ties = tuple((t[len(path) :].lstrip("."), f[len(path) :].lstrip(".")) for t, f in self._ties.get(path, ()))
        return Instance(path, module, parts, first, numbers, ties, further=further)


def _level(module: torch.nn.Module) -> int:
    """How deep modules of its own class are nested in a module."""
    inside: list[torch.nn.Module] = [
        x for child in module.children() for x in child.modules() if type(x) is type(module)
    ]
    return 1 + max(map(_level, inside)) if inside else 0


def _differ_much(instances: Sequence[Instance]) -> bool:
    """Whether modules of one class hold so different children that they are better given to the constructor."""
    names = [tuple(x.module._modules) for x in instances]
    numbered = all(n == tuple(str(i) for i in range(len(n))) for n in names)
    sizes = {len(n) for n in names}
    chained = all(is_chain(x.module) for x in instances)  # else the body asks for single layers
    return len(set(names)) > 1 and (max(sizes) - min(sizes) > 1 or not numbered or not chained)


def _takes_rngs(node: Any) -> bool:
    """Whether the expression that builds a part needs random keys."""
    if isinstance(node, Shared):
        return False
    return any(isinstance(n, ast.Name) and n.id == "rngs" for n in ast.walk(node_expression(node)))


def _arrays(module: torch.nn.Module) -> dict[str, Any]:
    """The parameters, buffers and other arrays that a module holds itself, in order."""
    buffer = "BatchStat" if isinstance(module, torch.nn.modules.batchnorm._NormBase) else "Buffer"
    found: dict[str, Any] = {name: None if x is None else _held(x) for name, x in module._parameters.items()}
    for name, x in module._buffers.items():
        transient = name in module._non_persistent_buffers_set
        found[name] = None if x is None else _held(x, buffer, transient)
    return found | {name: _held(x, transient=True) for name, x in vars(module).items() if isinstance(x, torch.Tensor)}


def _held(x: torch.Tensor, buffer: str = "Buffer", transient: bool = False) -> Held:
    kind = "Param" if isinstance(x, torch.nn.Parameter) else buffer
    return Held(kind, tuple(x.shape), x.dtype, x.detach() if transient else None)


def _containers(module: torch.nn.Module) -> dict[str, list[str]]:
    """The keys of a module's lists and dicts of layers, by what stands between `self` and the key."""
    result: dict[str, list[str]] = {}
    for name, child in module.named_modules():
        names = list(child._modules)
        if isinstance(child, torch.nn.ModuleList | torch.nn.Sequential) and names:
            result[f".{name}" if name else ""] = [str(i) for i in range(len(names))]
        elif isinstance(child, torch.nn.ModuleDict) and names:
            result[f".{name}" if name else ""] = [repr(n) for n in names]
    return result
