"""What modules hold: how one is reached from another, and which names are of the same thing."""

import ast
import keyword
from collections.abc import Iterator
from itertools import chain, takewhile
from typing import Any

import torch

from jaxnets.convert import expressions as e
from jaxnets.convert.errors import ConversionError
from jaxnets.convert.layers.kinds import CONTAINERS
from jaxnets.convert.layers.stock import is_stock

__all__ = ["Members", "is_free", "is_name", "join"]

Ties = dict[str, list[tuple[str, str]]]
"""By the module that holds both: a name, and an earlier name of the same parameter or module."""


class Members:
    """The modules, parameters and buffers of a module, by their names."""

    def __init__(self, module: torch.nn.Module):
        self.module = module
        self.modules = dict(module.named_modules())

    def reached(self, scope: str, path: str) -> e.Expr:
        """`self.layers[0].attn`, from the module `scope`."""
        path = self._below(scope, path)
        expr: e.Expr = ast.Name("self")
        node: Any = self.modules.get(scope, self.module)
        for name in path.split(".") if path else ():
            expr = _child(expr, node, name)
            node = node[name] if isinstance(node, torch.nn.ParameterDict) else getattr(node, name, None)
        return expr

    def _below(self, scope: str, path: str) -> str:
        """A name of the module or array that begins with `scope`, without that beginning."""
        if not scope:
            return path
        if path == scope:
            return ""
        for name in chain((path,), self._other_names(path)):
            if name.startswith(f"{scope}."):
                return name[len(scope) + 1 :]
        raise ConversionError(
            f"{path!r} is used by {scope!r}, which does not hold it; hold it in both, or pass its result as an argument"
        )

    def _other_names(self, path: str) -> Iterator[str]:
        module = self.module
        found: Any = self.modules.get(path)
        if found is not None:
            yield from (n for n, m in module.named_modules(remove_duplicate=False) if m is found)
            return
        tensors = dict(
            [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
        )
        if path in tensors:
            yield from (n for n, t in tensors.items() if t is tensors[path])

    # -- what has several names --------------------------------------------------------------------------------------

    def ties(self) -> Ties:
        """Names of the same parameter or module, by the module of the user's that holds both."""
        result: Ties = {}
        first: dict[int, str] = {}
        for name, child in self.module.named_modules(remove_duplicate=False):
            if id(child) in first and name.rpartition(".")[0] in self.modules and not is_free(child):
                self._tie(result, name, first[id(child)])
            first.setdefault(id(child), name)
        for path, child in self.modules.items():
            for name, x in child._parameters.items():
                if x is None:
                    continue
                full = join(path, name)
                if id(x) in first:
                    self._tie(result, full, first[id(x)])
                first.setdefault(id(x), full)
        return result

    def _tie(self, ties: Ties, name: str, known: str) -> None:
        ties.setdefault(self._common(name, known), []).append((name, known))

    def _common(self, a: str, b: str) -> str:
        """The innermost module whose class is written out, or the root, that holds both."""
        pairs = zip(a.split("."), b.split("."), strict=False)
        path = ".".join(x for x, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        while path and not self._is_written(path):
            path = path.rpartition(".")[0]
        return path

    def _is_written(self, path: str) -> bool:
        module = self.modules.get(path)
        return module is not None and not is_stock(module) and type(module) not in CONTAINERS


def _child(owner: e.Expr, module: Any, name: str) -> e.Expr:
    """How the expression for a module becomes that for a part of it."""
    if isinstance(module, torch.nn.ParameterList):
        return e.subscript(owner, int(name)) if name.isdigit() else ast.Attribute(owner, name)
    if isinstance(module, torch.nn.ModuleDict | torch.nn.ParameterDict):
        return e.subscript(owner, name)
    if name.isdigit() and isinstance(module, torch.nn.ModuleList | torch.nn.Sequential):
        return e.subscript(owner, list(module._modules).index(name))
    return ast.Attribute(owner, name) if is_name(name) else e.call("getattr", owner, name)


def is_free(module: torch.nn.Module) -> bool:
    """Whether a layer holds nothing, so that another one is as good."""
    return is_stock(module) and not any(True for _ in module.parameters()) and not any(True for _ in module.buffers())


def is_name(name: str) -> bool:
    """Whether Python takes a name for an attribute."""
    return name.isidentifier() and not keyword.iskeyword(name)


def join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
