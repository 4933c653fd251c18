"""What differs between the modules of one class: rows of values, one for each module."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jaxnets.convert.layers.calls import Build
from jaxnets.convert.writing.constructors import signature
from jaxnets.convert.writing.nodes import Children, Held, Own, Slot, is_equal

__all__ = ["FREE", "Instance", "Row", "Slots", "is_simple", "multiples", "setting"]


MULTIPLES = (2, 3, 4, 6, 8)
"""Times that one number is taken for a multiple of another."""

FREE = {
    *("ReLU", "ReLU6", "SiLU", "GELU", "Hardswish", "Hardsigmoid", "Sigmoid", "Tanh", "LeakyReLU"),
    *("ELU", "Mish", "Identity", "Softplus", "SELU", "CELU", "Hardtanh"),
}
"""Layers without numbers of their own."""


@dataclass
class Instance:
    """One module.

    Args:
        path: its name in the root module.
        module: torch's module.
        parts: what it holds, by attribute, in order.
        statements: the body of its `__call__`; None if it was never called.
        numbers: how local variables of the user's code call numbers.
        ties: pairs of names, of which the first is the same parameter or module as the second.
        children: the layers of a container that is given them.
        further: the bodies of further methods, of a module that is called in several ways.
    """

    path: str
    module: Any
    parts: dict[str, Any]
    statements: list[ast.stmt] | None
    numbers: Mapping[float, str] = field(default_factory=dict)
    ties: tuple[tuple[str, str], ...] = ()
    children: Children | None = None
    further: list[list[ast.stmt] | None] = field(default_factory=list)


@dataclass
class Row:
    """Values that differ from instance to instance.

    Args:
        values: one for each instance; of those that do not need any, None.
        needed: by which instances it is needed.
        hints: what it is used for.
        attribute: the attribute of the user's modules that has these values.
    """

    values: list[Any]
    needed: list[bool]
    hints: list[str]
    attribute: str | None = None

    @property
    def is_optional(self) -> bool:
        return not all(self.needed)


class Slots:
    """The differences that were found."""

    def __init__(self, instances: Sequence[Instance]):
        self.instances = instances
        self.rows: list[Row] = []

    def slot(self, values: list[Any], hint: str, group: Sequence[Instance] | None = None) -> Slot:
        """A slot for the values that a group of the instances has in one place."""
        group = self.instances if group is None else group
        of_group = {id(x): v for x, v in zip(group, values, strict=True)}
        full = [of_group.get(id(x)) for x in self.instances]
        needed = [id(x) in of_group for x in self.instances]
        attribute = self._attribute(full, needed)
        if attribute is not None:
            full = [setting(vars(x.module)[attribute]) for x in self.instances]
            needed = [True] * len(full)
        for i, row in enumerate(self.rows):
            if row.attribute == attribute and all(map(_can_be_shared, full)) and _agree(row, full, needed, hint):
                row.values = [a if n else b for a, b, n in zip(row.values, full, row.needed, strict=True)]
                row.needed = [a or b for a, b in zip(row.needed, needed, strict=True)]
                row.hints.append(hint)
                return Slot(f"%{i}")
        self.rows.append(Row(full, needed, [hint], attribute))
        return Slot(f"%{len(self.rows) - 1}")

    def row(self, slot: Slot) -> Row:
        """The values of a slot."""
        return self.rows[int(slot.name.removeprefix("%"))]

    def _attribute(self, values: list[Any], needed: list[bool]) -> str | None:
        """The attribute of the user's modules that has these values where they are needed."""
        wanted = [v for v, n in zip(values, needed, strict=True) if n]
        if not all(map(is_simple, wanted)) or all(v is None for v in wanted):
            return None
        attributes = [vars(x.module) for x in self.instances]
        names = [n for n in signature(self.instances[0].module) if n in attributes[0]]
        names += [n for n in attributes[0] if not n.startswith("_") and n != "training"]
        for name in names:
            held = [setting(a.get(name, self)) for a in attributes]
            there = [x for x, n in zip(held, needed, strict=True) if n]
            if all(map(is_simple, held)) and all(map(is_equal, there, wanted)):
                return name
        return None


def multiples(slots: Slots) -> dict[int, tuple[int, int]]:
    """For each row the row that it is a multiple of, and how many times."""
    result = {i: (i, 1) for i in range(len(slots.rows))}
    whole = [i for i, row in enumerate(slots.rows) if not row.is_optional and all(type(x) is int for x in row.values)]
    whole.sort(key=lambda i: slots.rows[i].values[0])
    for n, i in enumerate(whole):
        row = slots.rows[i]
        for j in whole[:n]:  # the smaller ones, of which it is settled what they are
            other = slots.rows[j]
            if row.attribute or result[j] != (j, 1) or not all(other.values) or len(set(other.values)) < 2:
                continue
            times = row.values[0] // other.values[0]
            if times in MULTIPLES and all(a == times * b for a, b in zip(row.values, other.values, strict=True)):
                result[i] = j, times
                break
    return result


def setting(x: Any) -> Any:
    """An attribute's value as source says it."""
    return tuple(setting(y) for y in x) if isinstance(x, tuple | list) else x


def is_simple(x: Any) -> bool:
    """Whether a value can be an argument as it is."""
    return x is None or isinstance(x, bool | int | float | str) or (isinstance(x, tuple) and all(map(is_simple, x)))


def _can_be_shared(x: Any) -> bool:
    """Whether one value can stand in two places: of layers, those that hold nothing."""
    if isinstance(x, tuple | list):
        return all(map(_can_be_shared, x))
    return x.name in FREE if isinstance(x, Build) else not isinstance(x, Own | Children | Held)


def _agree(row: Row, values: list[Any], needed: list[bool], hint: str) -> bool:
    """Whether a row can have these values, too: equal ones, or for other instances what goes by the same name."""
    both = [(a, b) for a, b, n, m in zip(row.values, values, row.needed, needed, strict=True) if n and m]
    if not all(is_equal(a, b) for a, b in both):
        return False
    one_has_all = len(both) in (sum(row.needed), sum(needed)) and len({a for a, _ in both}) > 1
    return row.needed == needed or hint in row.hints or one_has_all
