"""Many trees as one: what they share, with slots where they differ (anti-unification, Plotkin 1970)."""

import ast
import copy
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from jaxnets.convert.layers.calls import Build
from jaxnets.convert.layers.source import plain
from jaxnets.convert.writing.align import aligned
from jaxnets.convert.writing.nodes import Children, Own, Shared, Sometimes, is_equal, parts, slots_of
from jaxnets.convert.writing.slots import Instance, Slots

__all__ = ["settled", "shape_of", "unified", "unified_code"]


def unified(nodes: list[Any], slots: Slots, hint: str, group: Sequence[Instance] | None = None) -> Any:
    """What the nodes of a group of instances, or of all, share, with slots where they differ."""
    first = nodes[0]
    if all(is_equal(x, first) for x in nodes) or all(isinstance(x, Shared) for x in nodes):
        return first
    opened = [parts(x) for x in nodes]
    if len({None if x is None else x.kind for x in opened}) > 1:
        columns = aligned(nodes)
        return slots.slot(nodes, hint, group) if columns is None else _chain(columns, slots, hint, group)
    if opened[0] is None or _is_numbers(nodes):
        return slots.slot(nodes, hint, group)
    shared = []
    for name, *column in zip(opened[0].names, *(x.values for x in opened if x), strict=True):
        values = [plain(name, x) for x in column] if isinstance(first, Build) else column
        shared.append(unified(values, slots, f"{hint}.{name}" if name else hint, group))
    return opened[0].rebuilt(shared)


def _chain(columns: list[list[Any]], slots: Slots, hint: str, group: Sequence[Instance] | None) -> Children:
    """A chain of layers that some instances have, and others do not."""
    group = slots.instances if group is None else group
    layers = []
    for i, column in enumerate(columns):
        held = [(x, instance) for x, instance in zip(column, group, strict=True) if x is not None]
        having = [instance for _, instance in held]
        layer = unified([x for x, _ in held], slots, f"{hint}.{i}", having)
        if len(having) < len(column):
            known = {id(x) for x in having}
            layer = Sometimes(
                layer, tuple(id(x) in known for x in slots.instances), f"{hint}.has_{_called(held[0][0])}"
            )
        layers.append(layer)
    return Children("Sequential", tuple((str(i), x) for i, x in enumerate(layers)))


def _called(layer: Any) -> str:
    """`squeeze_excitation`, for a layer of this kind."""
    name = layer.template.name if isinstance(layer, Own) else layer.name if isinstance(layer, Build) else "layers"
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.rpartition(".")[2]).lower()


def settled(node: Any, slots: Slots) -> Any:
    """The node with what tells which instances have a layer: an argument that those alone need, or else a bool."""
    found = parts(node)
    if found is None:
        return node
    if not isinstance(node, Sometimes):
        return found.rebuilt([settled(x, slots) for x in found.values])
    layer = settled(node.node, slots)
    for slot in slots_of(layer):
        row = slots.row(slot)
        if tuple(row.needed) == node.having == tuple(x is not None for x in row.values):
            return replace(node, node=layer, slot=slot)
    return replace(node, node=layer, slot=slots.slot(list(node.having), node.name), is_flag=True)


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
