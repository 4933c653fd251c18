"""Templates as classes, and the root of stock layers alone as a function."""

import ast
import copy
from collections.abc import Sequence
from typing import Any

import torch

from jaxnets.convert import expressions as e
from jaxnets.convert.writing.members import is_name
from jaxnets.convert.writing.nodes import Slot, existing, node_expression, ordered
from jaxnets.convert.writing.templates import Parameter, Template

__all__ = ["class_statement", "factory", "frozen"]


def class_statement(found: Template, still: Sequence[str]) -> ast.stmt:
    """The class of a template.

    Args:
        found: the template.
        still: what of it is not trained.
    """
    body: list[ast.stmt] = [ast.Expr(ast.Constant(f"`{found.origin}`."))]
    init = _constructor(found, still)
    if init is not None:
        body.append(init)
    if found.statements is not None:
        body.append(_call_method(found, "__call__", found.statements))
        body += [_call_method(found, f"call_{i + 2}", x) for i, x in enumerate(found.further) if x is not None]
    elif found.base == "nnx.Module":
        body += ast.parse(
            "def __call__(self, *args):\n"
            f"    raise NotImplementedError('{found.name} was not called when this source was written')"
        ).body
    return ast.ClassDef(found.name, [e.dotted(found.base)], [], body, [])


def _call_method(found: Template, name: str, statements: list[ast.stmt]) -> ast.stmt:
    arguments = copy.deepcopy(found.inputs)
    arguments.args.insert(0, ast.arg("self"))
    return ast.FunctionDef(name, arguments, copy.deepcopy(statements), [])


def factory(
    module: torch.nn.Module, name: str, node: Any, ties: Sequence[tuple[str, str]], still: Sequence[str]
) -> ast.stmt:
    """The function that builds a module for which no class is written."""
    cls = type(module)
    text = f"def {name}(*, rngs: nnx.Rngs):\n    '''`{cls.__module__}.{cls.__qualname__}`.'''\n"
    function = ast.parse(text).body[0]
    assert isinstance(function, ast.FunctionDef)
    changes = [
        *(x for tie in ties for x in _tie("module", *tie)),
        *(x for path in still for x in _freeze("module", path)),
    ]
    if changes:
        function.body += [ast.Assign([ast.Name("module")], node_expression(node)), *changes]
    function.body.append(ast.Return(ast.Name("module") if changes else node_expression(node)))
    return function


# -- constructors ----------------------------------------------------------------------------------------------------


def _constructor(found: Template, still: Sequence[str]) -> ast.stmt | None:
    """`__init__`; None where that of the base is enough."""
    body = _parts(found)
    body += [ast.Assign([ast.Attribute(ast.Name("self"), n)], node_expression(x)) for n, x in found.settings.items()]
    for there, here in found.ties:
        body += _tie("self", there, here)
    for path in still:
        body += _freeze("self", path)
    if found.uses_mode:
        body.append(ast.Assign([e.dotted("self.deterministic")], ast.Constant(False)))
    if found.draws:
        body.append(ast.Assign([e.dotted("self.rngs")], e.template("rngs.dropout.fork()")))
    if (not body and not found.parameters) or (found.children is not None and len(body) == 1):
        return None
    return ast.FunctionDef("__init__", _parameters(found), body or [ast.Pass()], [])


def _parts(found: Template) -> list[ast.stmt]:
    """What a module holds is made."""
    body: list[ast.stmt] = []
    if found.children is not None:
        stars = "*" if found.base == "nn.Sequential" else ""
        body += ast.parse(f"super().__init__({stars}{found.children})").body
    elif found.base == "nn.Sequential":
        return [ast.Expr(e.call(e.template("super().__init__"), *_layers(found)))]
    for name, node in found.parts.items():
        value = ast.Constant(None) if node is None else node_expression(node)
        if node is None or is_name(name):
            body.append(ast.Assign([ast.Attribute(ast.Name("self"), name)], value))
        else:
            body.append(ast.Expr(e.call("setattr", ast.Name("self"), name, value)))
    return body


def _layers(found: Template) -> list[ast.expr]:
    """What the constructor of a Sequential is given: the layers; those that are there, where some modules lack some."""
    layers = {name: node_expression(x) for name, x in found.parts.items()}
    missing = {p.name for p in found.parameters if any(x is None for x in p.values)}
    if any(isinstance(x, Slot) and x.name in missing for x in found.parts.values()):
        return [existing(list(layers.values()))]
    numbered = list(layers) == [str(i) for i in range(len(layers))]
    return list(layers.values()) if numbered else [ordered(layers)]


def _parameters(found: Template) -> ast.arguments:
    required = [p for p in found.parameters if not p.has_default]
    usual = [p for p in found.parameters if p.has_default]
    own = [ast.arg(p.name, _annotation(p)) for p in (*required, *usual)]
    defaults = [node_expression(p.default) for p in usual]
    rngs = [ast.arg("rngs", e.dotted("nnx.Rngs"))] if found.needs_rngs else []
    if found.children and found.base == "nn.Sequential":
        by_name: list[ast.expr | None] = [*[None] * len(required), *defaults, *[None] * len(rngs)]
        return ast.arguments([], [ast.arg("self")], ast.arg(found.children), [*own, *rngs], by_name, None, [])
    children = [ast.arg(found.children)] if found.children else []
    return ast.arguments([], [ast.arg("self"), *children, *own], None, rngs, [None] * len(rngs), None, defaults)


def _annotation(parameter: Parameter) -> ast.expr | None:
    kinds = {type(x) for x in parameter.values}
    return ast.Name(kinds.pop().__name__) if len(kinds) == 1 and kinds <= {bool, int, float, str} else None


# -- what is done when all is built ----------------------------------------------------------------------------------


def frozen(module: torch.nn.Module) -> list[str]:
    """The modules, and the single parameters, that are not trained."""
    own = list(module.parameters())
    if not own or all(x.requires_grad for x in own):
        return []
    if not any(x.requires_grad for x in own):
        return [""]
    found = [name for name, x in module.named_parameters(recurse=False) if not x.requires_grad]
    return [*found, *(f"{n}.{p}".rstrip(".") for n, child in module.named_children() for p in frozen(child))]


def _freeze(owner: str, path: str) -> list[ast.stmt]:
    return ast.parse(f"nn.utils.freeze({_reach(owner, path) if path else owner})").body


def _tie(owner: str, there: str, here: str) -> list[ast.stmt]:
    """The statement that makes a name one for what another name has."""
    above, _, name = there.rpartition(".")
    value = _reach(owner, here)
    if name.isdigit() or is_name(name):
        return ast.parse(f"{_reach(owner, there)} = {value}").body
    return ast.parse(f"setattr({_reach(owner, above) if above else owner}, {name!r}, {value})").body


def _reach(owner: str, path: str) -> str:
    """`self.layers[0].weight`, of attributes and numbered children."""
    for name in path.split("."):
        if name.isdigit():
            owner = f"{owner}[{name}]"
        else:
            owner = f"{owner}.{name}" if is_name(name) else f"getattr({owner}, {name!r})"
    return owner
