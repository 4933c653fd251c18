"""The parameters of `__call__`."""

import ast
import inspect
from collections.abc import Sequence
from typing import Any

from jaxnets.convert import expressions as e
from jaxnets.convert.trace import Call, Value, has_arrays

__all__ = ["inner_signature", "is_literal", "root_signature"]


def inner_signature(names: Sequence[str], calls: Sequence[Call]) -> ast.arguments:
    """The parameters of a module inside of the root: those of its arguments that have arrays."""
    args: list[ast.arg] = []
    defaults: list[ast.expr] = []
    for name in names:
        xs = [c.arguments.get(name) for c in calls]
        args.append(_arg(name, xs[0]))
        if defaults or any(not has_arrays(x) for x in xs):
            defaults.append(ast.Constant(None))
    return _arguments(args, defaults)


def root_signature(call: Call) -> ast.arguments:
    """The parameters of the user's forward; those that went to `**kwargs` have their names."""
    found = _arguments([], [])
    known = inspect.signature(call.module.forward).parameters
    for name, parameter in known.items():
        arg = _arg(name, call.arguments.get(name))
        default: ast.expr | None = None
        if parameter.default is not parameter.empty:
            default = e.literal(parameter.default) if is_literal(parameter.default) else ast.Constant(None)
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            found.vararg = arg
        elif parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            found.kwonlyargs.append(arg)
            found.kw_defaults.append(default)
        elif parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            found.args.append(arg)
            found.defaults += [default] if default else []
    for name in (n for n in call.arguments if n not in known):
        found.kwonlyargs.append(ast.arg(name))
        found.kw_defaults.append(ast.Constant(None))
    return found


def is_literal(x: Any) -> bool:
    """Whether an expression says a value."""
    try:
        e.literal(x)
    except (TypeError, KeyError):
        return False
    return True


def _arg(name: str, example: Any) -> ast.arg:
    return ast.arg(name, e.dotted("jax.Array") if isinstance(example, Value) else None)


def _arguments(args: list[ast.arg], defaults: list[ast.expr]) -> ast.arguments:
    return ast.arguments(posonlyargs=[], args=args, kwonlyargs=[], kw_defaults=[], defaults=defaults)
