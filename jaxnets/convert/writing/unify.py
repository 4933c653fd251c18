"""Many trees as one: what they share, with slots where they differ (anti-unification, Plotkin 1970)."""

import ast
import copy
from collections.abc import Sequence
from typing import Any

from jaxnets.convert.layers.calls import Build
from jaxnets.convert.layers.source import plain
from jaxnets.convert.writing.nodes import Children, Own, Shared, is_equal, parts
from jaxnets.convert.writing.slots import Instance, Slots

__all__ = ["shape_of", "unified", "unified_code"]


def unified(nodes: list[Any], slots: Slots, hint: str) -> Any:
    """What nodes share, with slots where they differ."""
    first = nodes[0]
    if all(is_equal(x, first) for x in nodes) or all(isinstance(x, Shared) for x in nodes):
        return first
    opened = [parts(x) for x in nodes]
    if len({None if x is None else x.kind for x in opened}) > 1 or opened[0] is None or _is_numbers(nodes):
        return slots.slot(nodes, hint)
    columns = []
    for name, *column in zip(opened[0].names, *(x.values for x in opened if x), strict=True):
        values = [plain(name, x) for x in column] if isinstance(first, Build) else column
        columns.append(unified(values, slots, f"{hint}.{name}" if name else hint))
    return opened[0].rebuilt(columns)


def _is_numbers(nodes: list[Any]) -> bool:
    """Whether nodes are tuples that hold no modules: those differ as a whole."""
    return isinstance(nodes[0], tuple) and not any(isinstance(y, Build | Own | Children) for x in nodes for y in x)


def unified_code(bodies: list[Any], slots: Slots, group: Sequence[Instance]) -> Any:
    """Syntax trees of one shape laid over each other; numbers that differ become `self.<slot>`."""
    first = bodies[0]
    if isinstance(first, ast.Constant):
        values = [x.value for x in bodies]
        if all(is_equal(values[0], x) for x in values):
            return first
        names = {x.numbers.get(v) for x, v in zip(group, values, strict=True) if not isinstance(v, bool)}
        hint = names.pop() if len(names) == 1 else None
        slot = slots.slot(values, f"self.{hint or 'size'}", group)
        return ast.Attribute(ast.Name("self"), slot.name)
    if isinstance(first, list):
        return [unified_code(list(column), slots, group) for column in zip(*bodies, strict=True)]
    if isinstance(first, ast.AST):
        changed = {name: unified_code([getattr(x, name, None) for x in bodies], slots, group) for name in first._fields}
        return type(first)(**changed)
    return first


def shape_of(statements: list[ast.stmt] | None) -> str:
    """A body without its numbers."""
    if statements is None:
        return ""
    tree = copy.deepcopy(ast.Module(statements, []))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and not isinstance(node.value, str):
            node.value = type(node.value).__name__
    return ast.dump(tree)
