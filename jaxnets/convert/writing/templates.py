"""One class for many modules: what they share, and what differs as parameters of the constructor.

The parts and the bodies of all modules of one torch class are laid over each other: where they differ, a slot is left,
and equal rows of differences share one.
"""

import ast
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxnets.convert.errors import ConversionError
from jaxnets.convert.writing.branches import one_body
from jaxnets.convert.writing.constructors import signature
from jaxnets.convert.writing.nodes import Slot, rebuilt
from jaxnets.convert.writing.slots import Instance, Row, Slots, is_simple, multiples, setting
from jaxnets.convert.writing.titles import titles
from jaxnets.convert.writing.unify import settled, unified

__all__ = ["Parameter", "Template", "template"]


@dataclass
class Parameter:
    """A parameter of a constructor."""

    name: str
    values: list[Any]
    default: Any = None
    has_default: bool = False


@dataclass(eq=False)
class Template:
    """A class.

    Args:
        name: of the class.
        base: the class that it extends.
        parameters: of the constructor.
        parts: what is built, by attribute, with slots.
        settings: numbers that the body needs, by attribute.
        statements: the body of `__call__`.
        inputs: the parameters of `__call__`, but for `self`.
        uses_mode, draws, needs_rngs: what else it needs.
        children: the parameter of a container that is given its layers.
        further: the bodies of further methods.
    """

    name: str
    base: str
    origin: str
    parameters: list[Parameter] = field(default_factory=list)
    parts: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    statements: list[ast.stmt] | None = None
    inputs: Any = None
    uses_mode: bool = False
    draws: bool = False
    needs_rngs: bool = True
    children: str | None = None
    ties: tuple[tuple[str, str], ...] = ()
    further: list[list[ast.stmt] | None] = field(default_factory=list)


def template(name: str, base: str, origin: str, instances: list[Instance]) -> tuple[Template, list[dict[str, Any]]]:
    """The class of some modules, and the arguments of each."""
    if any(x.ties != instances[0].ties for x in instances):
        raise ConversionError(f"{origin}: expected the same shared parameters in each module, got different ones")
    slots = Slots(instances)
    names = list(dict.fromkeys(n for x in instances for n in x.parts))
    parts = {n: unified([x.parts.get(n) for x in instances], slots, n) for n in names}
    found = Template(name, base, origin, ties=instances[0].ties)
    found.statements = one_body(instances, [x.statements for x in instances], slots)
    for i in range(max(len(x.further) for x in instances)):
        bodies = [x.further[i] if i < len(x.further) else None for x in instances]
        found.further.append(one_body(instances, bodies, slots))
    parts = {n: settled(x, slots) for n, x in parts.items()}
    times = multiples(slots)
    rows = {i: row for i, row in enumerate(slots.rows) if times[i] == (i, 1)}
    named = titles(slots, rows)
    final = {f"%{i}": Slot(named[j], n) for i, (j, n) in times.items()}
    found.parts = {n: rebuilt(lambda x: final[x.name] if isinstance(x, Slot) else x, x) for n, x in parts.items()}
    _set_numbers(found, final)
    if instances[0].children is not None:
        found.children = "layers" if base == "nn.Sequential" else "modules"
    known = signature(instances[0].module)
    order = list(known)
    found.parameters = [_parameter(named[i], row, known.get(named[i])) for i, row in rows.items()]
    found.parameters.sort(key=lambda p: (p.has_default, order.index(p.name) if p.name in order else len(order)))
    arguments = [{p.name: p.values[i] for p in found.parameters} for i in range(len(instances))]
    if found.children:
        arguments = [{found.children: x.children, **args} for x, args in zip(instances, arguments, strict=True)]
    return found, arguments


def _set_numbers(found: Template, final: Mapping[str, Slot]) -> None:
    """Numbers of bodies become attributes that the constructor sets."""
    for node in ast.walk(ast.Module([x for body in (found.statements, *found.further) for x in body or ()], [])):
        if isinstance(node, ast.Attribute) and node.attr in final:
            slot = final[node.attr]
            node.attr = slot.name if slot.times == 1 else f"{slot.name}_{slot.times}"
            found.settings[node.attr] = slot


def _parameter(name: str, row: Row, known: inspect.Parameter | None) -> Parameter:
    """The parameter for a row, with the default value of the user's."""
    if known is not None and known.default is not known.empty and is_simple(setting(known.default)):
        return Parameter(name, row.values, setting(known.default), True)
    return Parameter(name, row.values, has_default=any(x is None for x in row.values))
