"""One body for modules of one class that do different things: what they share, and branches where they differ."""

import ast
import copy
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

from jaxnets.convert import expressions as e
from jaxnets.convert.writing.nodes import is_equal
from jaxnets.convert.writing.slots import Instance, Slots, is_simple, setting
from jaxnets.convert.writing.unify import shape_of, unified_code

__all__ = ["one_body", "shared_start"]

Statements = list[ast.stmt]


def one_body(instances: Sequence[Instance], bodies: Sequence[Statements | None], slots: Slots) -> Statements | None:
    """The body that does for each instance what its own does; None stands for one that is never called."""
    groups: dict[str, list[int]] = {}
    for i, body in enumerate(bodies):
        if body is not None:
            groups.setdefault(shape_of(body), []).append(i)
    if not groups:
        return None
    called = [i for i, body in enumerate(bodies) if body is not None]
    first, *others = sorted(groups.values(), key=len, reverse=True)
    result = _body_of(first, instances, bodies, slots)
    for group in others:
        condition = _condition([instances[i] for i in called], [i in group for i in called], slots)
        result = _branch(condition, _body_of(group, instances, bodies, slots), result)
    return result


def _body_of(group: list[int], instances: Sequence[Instance], bodies: Sequence[Any], slots: Slots) -> Statements:
    """The body of modules that do the same with other numbers."""
    return unified_code([copy.deepcopy(bodies[i]) for i in group], slots, [instances[i] for i in group])


# -- conditions ------------------------------------------------------------------------------------------------------


def _condition(called: list[Instance], member: list[bool], slots: Slots) -> ast.expr:
    """What is true for some of the modules that are called alone."""
    found = _by_part(called, member) or _by_length(called, member) or _by_attribute(called, member, slots)
    return found or ast.Attribute(ast.Name("self"), slots.slot(member, "self.variant", called).name)


def _by_part(called: list[Instance], member: list[bool]) -> ast.expr | None:
    """`self.downsample is None`."""
    for name in dict.fromkeys(n for x in called for n in x.parts):
        absent = [x.parts.get(name) is None for x in called]
        if absent == member:
            return e.template(f"self.{name} is None")
        if [not x for x in absent] == member:
            return e.template(f"self.{name} is not None")
    return None


def _by_length(called: list[Instance], member: list[bool]) -> ast.expr | None:
    """`len(self) == 2`, of containers that are given their layers."""
    if called[0].children is None:
        return None
    sizes = [len(x.children.items) for x in called if x.children is not None]
    inside = {n for n, m in zip(sizes, member, strict=True) if m}
    if inside & {n for n, m in zip(sizes, member, strict=True) if not m}:
        return None
    wanted = sorted(inside)
    return e.template(f"len(self) == {wanted[0]}" if len(wanted) == 1 else f"len(self) in {tuple(wanted)}")


def _by_attribute(called: list[Instance], member: list[bool], slots: Slots) -> ast.expr | None:
    """`self.stride == 2`, of an attribute of the user's modules."""
    attributes = [vars(x.module) for x in called]
    for name in attributes[0]:
        values = [setting(a.get(name, slots)) for a in attributes]
        if name.startswith("_") or name == "training" or not all(map(is_simple, values)):
            continue
        inside = [v for v, m in zip(values, member, strict=True) if m]
        outside = [v for v, m in zip(values, member, strict=True) if not m]
        if any(v in outside for v in inside):
            continue
        own = ast.Attribute(ast.Name("self"), slots.slot(values, f"self.{name}", called).name)
        if all(isinstance(v, bool) for v in values):
            return own if inside[0] else ast.UnaryOp(ast.Not(), own)
        for these, operator in ((inside, "=="), (outside, "!=")):
            if all(is_equal(these[0], x) for x in these):
                return e.binary(own, operator, e.literal(these[0]))
        return ast.Compare(own, [ast.In()], [e.literal(tuple(dict.fromkeys(inside)))])
    return None


# -- branches --------------------------------------------------------------------------------------------------------


def shared_start(a: Sequence[ast.stmt], b: Sequence[ast.stmt]) -> int:
    """With how many equal statements two bodies begin."""
    pairs = zip(a, b, strict=False)
    return sum(1 for _ in takewhile(lambda pair: e.unparse(pair[0]) == e.unparse(pair[1]), pairs))


def _branch(condition: ast.expr, yes: Statements, no: Statements) -> Statements:
    """`if condition: yes else: no`, with what both begin with before it, and what both end with behind it."""
    start = shared_start(yes, no)
    end = shared_start(yes[start:][::-1], no[start:][::-1])
    middle_yes, middle_no = yes[start : len(yes) - end], no[start : len(no) - end]
    tail = yes[len(yes) - end :]
    for one, other, condition_of_one in ((middle_yes, middle_no, True), (middle_no, middle_yes, False)):
        chosen = _chosen(condition, one, other, condition_of_one)
        if chosen is not None:
            return [*yes[:start], *chosen, *tail]
    if not end and middle_yes and isinstance(middle_yes[-1], ast.Return):
        return [*yes[:start], ast.If(condition, middle_yes, []), *middle_no]
    if not middle_yes:
        middle_yes, middle_no, condition = middle_no, [], ast.UnaryOp(ast.Not(), condition)
    return [*yes[:start], *([ast.If(condition, middle_yes, middle_no)] if middle_yes else []), *tail]


def _chosen(condition: ast.expr, one: Statements, other: Statements, holds: bool) -> Statements | None:
    """`identity = f(x) if condition else x`, where two bodies differ in nothing else."""
    if not one or not isinstance(one[0], ast.Assign) or not isinstance(one[0].targets[0], ast.Name):
        return None
    target, rest = one[0].targets[0].id, one[1:]
    if len(rest) != len(other) or not rest:
        return None
    wanted = [e.unparse(x) for x in rest]
    for name in dict.fromkeys(n.id for x in other for n in ast.walk(x) if isinstance(n, ast.Name)):
        for swapped in _one_swapped(other, name, target):
            if [e.unparse(x) for x in swapped] == wanted:
                pair = (one[0].value, ast.Name(name))
                yes, no = pair if holds else pair[::-1]
                return [ast.Assign([ast.Name(target)], ast.IfExp(condition, yes, no)), *rest]
    return None


def _one_swapped(statements: Statements, name: str, target: str) -> Iterator[Statements]:
    """The statements with one use of a name replaced by another name."""
    uses = sum(isinstance(n, ast.Name) and n.id == name for x in statements for n in ast.walk(x))
    for i in range(uses):
        swapped = copy.deepcopy(statements)
        found = [n for x in swapped for n in ast.walk(x) if isinstance(n, ast.Name) and n.id == name]
        found[i].id = target
        yield swapped
