"""What the constructors of the user's classes say: their parameters, and which layers take them over."""

import ast
import inspect
import textwrap
from typing import Any

__all__ = ["passed", "signature"]


def signature(module: Any) -> dict[str, inspect.Parameter]:
    """The parameters of the constructor of a module's class, by name."""
    try:
        found = inspect.signature(type(module).__init__).parameters
    except (TypeError, ValueError):
        return {}
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {n: p for n, p in found.items() if n != "self" and p.kind not in variadic}


def passed(module: Any) -> dict[str, str]:
    """Which argument of a layer the user's constructor takes from its own: {"conv1.in_channels": "inplanes"}."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(type(module).__init__)))
    except (OSError, TypeError, SyntaxError):
        return {}
    own = set(signature(module))
    result: dict[str, str] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
            continue
        for target in node.targets:
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
                names = _argument_names(getattr(module, target.attr, None))
                given = [*zip(names, node.value.args, strict=False), *((w.arg, w.value) for w in node.value.keywords)]
                for name, value in given:
                    if isinstance(value, ast.Name) and value.id in own and name:
                        result[f"{target.attr}.{name}"] = value.id
    return result


def _argument_names(layer: Any) -> list[str]:
    try:
        return list(inspect.signature(type(layer)).parameters)
    except (TypeError, ValueError):
        return []
