"""One class for many modules: what they share, and what differs as parameters of the constructor.

The parts and the bodies of all modules of one torch class are laid over each other (anti-unification, Plotkin 1970):
where they differ, a slot is left, and equal rows of differences share one.
"""

import ast
import copy
import inspect
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from jaxnets.convert import expressions as e
from jaxnets.convert.calls import Build
from jaxnets.convert.nodes import Children, Held, Own, Slot, rebuilt
from jaxnets.convert.source import _plain as plain

__all__ = ["Instance", "Parameter", "Template", "template"]

MULTIPLES = (2, 3, 4, 6, 8)


@dataclass
class Parameter:
    """A parameter of a constructor."""

    name: str
    values: list[Any]
    default: Any = None
    has_default: bool = False


@dataclass
class Instance:
    """One module.

    Args:
        path: its name in the root module.
        module: torch's module.
        parts: what it holds, by attribute, in order.
        statements: the body of its `__call__`; None if it was never called.
    """

    path: str
    module: Any
    parts: dict[str, Any]
    statements: list[ast.stmt] | None


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
        inputs: the parameters of `__call__`.
        flags: what else it needs.
    """

    name: str
    base: str
    origin: str
    parameters: list[Parameter] = field(default_factory=list)
    parts: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    statements: list[ast.stmt] | None = None
    inputs: list[ast.arg] = field(default_factory=list)
    defaults: list[ast.expr] = field(default_factory=list)
    uses_mode: bool = False
    draws: bool = False
    needs_rngs: bool = True


class Slots:
    """The differences that were found, as rows of one value for each instance."""

    def __init__(self, instances: Sequence[Instance]):
        self.instances = instances
        self.rows: list[tuple[list[Any], list[str]]] = []

    def slot(self, values: list[Any], hint: str) -> Slot:
        for i, (row, hints) in enumerate(self.rows):
            if _equal_rows(row, values):
                hints.append(hint)
                return Slot(f"%{i}")
        self.rows.append((values, [hint]))
        return Slot(f"%{len(self.rows) - 1}")


def _equal_rows(a: Sequence[Any], b: Sequence[Any]) -> bool:
    return all(type(x) is type(y) and bool(x == y) for x, y in zip(a, b, strict=True))


def unified(nodes: list[Any], slots: Slots, hint: str) -> Any:
    """What the nodes share, with slots where they differ."""
    first = nodes[0]
    if all(type(x) is type(first) and bool(x == first) for x in nodes):
        return first
    if isinstance(first, Build) and all(isinstance(x, Build) and x.name == first.name for x in nodes):
        args = {
            name: unified([plain(name, x.args[name]) for x in nodes], slots, f"{hint}.{name}") for name in first.args
        }
        return Build(first.name, args)
    if isinstance(first, Own) and all(isinstance(x, Own) and x.template is first.template for x in nodes):
        args = {name: unified([x.args[name] for x in nodes], slots, f"{hint}.{name}") for name in first.args}
        return Own(first.template, args)
    if isinstance(first, Children) and all(
        isinstance(x, Children) and x.kind == first.kind and [n for n, _ in x.items] == [n for n, _ in first.items]
        for x in nodes
    ):
        columns = zip(*(x.items for x in nodes), strict=True)
        return Children(
            first.kind,
            tuple((column[0][0], unified([x for _, x in column], slots, f"{hint}.{column[0][0]}")) for column in columns),
        )
    if isinstance(first, Held) and all(
        isinstance(x, Held) and (x.kind, x.dtype, len(x.shape)) == (first.kind, first.dtype, len(first.shape))
        and x.data is None for x in nodes
    ):
        shape = tuple(unified(list(sizes), slots, f"{hint}.size") for sizes in zip(*(x.shape for x in nodes), strict=True))
        return Held(first.kind, shape, first.dtype)
    if all(isinstance(x, tuple) and len(x) == len(first) for x in nodes) and any(
        isinstance(y, Build | Own | Children) for x in nodes for y in x
    ):
        return tuple(unified(list(column), slots, hint) for column in zip(*nodes, strict=True))
    return slots.slot(nodes, hint)


def unified_code(bodies: list[Any], slots: Slots, hint: str = "") -> Any:
    """Syntax trees of one shape laid over each other; numbers that differ become `self.<slot>`."""
    first = bodies[0]
    if isinstance(first, ast.Constant):
        values = [x.value for x in bodies]
        if _equal_rows([values[0]] * len(values), values):
            return first
        slot = slots.slot(values, hint or "self.size")
        return ast.Attribute(ast.Name("self"), slot.name)
    if isinstance(first, list):
        return [unified_code(list(column), slots, hint) for column in zip(*bodies, strict=True)]
    if isinstance(first, ast.AST):
        changed = {
            name: unified_code([getattr(x, name, None) for x in bodies], slots, hint) for name in first._fields
        }
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


def template(name: str, base: str, origin: str, instances: list[Instance]) -> tuple[Template, list[dict[str, Any]]]:
    """The class of some modules, and the arguments of each."""
    slots = Slots(instances)
    names = list(dict.fromkeys(n for x in instances for n in x.parts))
    parts = {n: unified([x.parts.get(n) for x in instances], slots, n) for n in names}
    statements = _body(instances, slots)
    found = Template(name, base, origin, parts=parts, statements=statements)
    rows = _derived(slots)
    titles = _titles(instances, slots, rows)
    renamed = {f"%{i}": Slot(titles[base_row], times) for i, (base_row, times) in rows.items()}
    found.parts = {n: rebuilt(lambda x: renamed.get(x.name, x) if isinstance(x, Slot) else x, x) for n, x in parts.items()}
    if statements is not None:
        settings: dict[str, Any] = {}
        for node in ast.walk(ast.Module(statements, [])):
            if isinstance(node, ast.Attribute) and node.attr in renamed:
                slot = renamed[node.attr]
                node.attr = slot.name if slot.times == 1 else f"{slot.name}_{slot.times}"
                settings[node.attr] = slot
        found.settings = settings
    signature = _signature(instances[0].module)
    for i, (row, times) in rows.items():
        if times != 1 or row != i:
            continue
        values = slots.rows[i][0]
        title = titles[i]
        parameter = Parameter(title, values)
        known = signature.get(title)
        if known is not None and known.default is not known.empty and _is_simple(known.default):
            parameter.default, parameter.has_default = known.default, True
        elif any(x is None for x in values):
            parameter.has_default = True
        found.parameters.append(parameter)
    order = list(signature)
    found.parameters.sort(
        key=lambda p: (p.has_default, order.index(p.name) if p.name in order else len(order))
    )
    arguments = [{p.name: p.values[i] for p in found.parameters} for i in range(len(instances))]
    return found, arguments


def _is_simple(x: Any) -> bool:
    return x is None or isinstance(x, bool | int | float | str) or (isinstance(x, tuple) and all(map(_is_simple, x)))


def _body(instances: list[Instance], slots: Slots) -> list[ast.stmt] | None:
    called = [x for x in instances if x.statements is not None]
    if not called:
        return None
    groups: dict[str, list[Instance]] = {}
    for x in called:
        groups.setdefault(shape_of(x.statements), []).append(x)
    if len(groups) == 1:
        filled = [x.statements if x.statements is not None else called[0].statements for x in instances]
        return unified_code([copy.deepcopy(x) for x in filled], slots)
    return _branches(instances, list(groups.values()), slots)


def _branches(instances: list[Instance], groups: list[list[Instance]], slots: Slots) -> list[ast.stmt]:
    """Bodies of different shapes, one behind each condition."""
    groups = sorted(groups, key=lambda g: -len(g))
    bodies = [_body_of(group, instances, slots) for group in groups]
    result = bodies[0]
    for group, body in zip(groups[1:], bodies[1:], strict=True):
        result = _branch(_condition(group, instances, slots), body, result)
    return result


def _body_of(group: list[Instance], instances: list[Instance], slots: Slots) -> list[ast.stmt]:
    """The body of a group; where its numbers differ, other instances get those of the first."""
    filled = [(x if x in group else group[0]).statements for x in instances]
    return unified_code([copy.deepcopy(x) for x in filled], slots)


def _condition(group: list[Instance], instances: list[Instance], slots: Slots) -> ast.expr:
    """What is true for the modules of the group alone."""
    member = [x in group for x in instances]
    names = list(dict.fromkeys(n for x in instances for n in x.parts))
    for name in names:
        absent = [x.parts.get(name) is None for x in instances]
        if absent == member:
            return e.template(f"self.{name} is None")
        if [not x for x in absent] == member:
            return e.template(f"self.{name} is not None")
    for name in vars(instances[0].module):
        values = [vars(x.module).get(name) for x in instances]
        if values == member and all(isinstance(x, bool) for x in values) and not name.startswith("_"):
            slot = slots.slot(values, f"self.{name}")
            return ast.Attribute(ast.Name("self"), slot.name)
    slot = slots.slot(member, "self.variant")
    return ast.Attribute(ast.Name("self"), slot.name)


def _branch(condition: ast.expr, yes: list[ast.stmt], no: list[ast.stmt]) -> list[ast.stmt]:
    """`if condition: yes else: no`, with what both begin with before it, and what both end with behind it."""
    texts = [[e.unparse(x) for x in body] for body in (yes, no)]
    start = 0
    while start < min(len(yes), len(no)) and texts[0][start] == texts[1][start]:
        start += 1
    end = 0
    while end < min(len(yes), len(no)) - start and texts[0][-1 - end] == texts[1][-1 - end]:
        end += 1
    middle_yes, middle_no = yes[start : len(yes) - end], no[start : len(no) - end]
    tail = yes[len(yes) - end :]
    if not end and middle_yes and isinstance(middle_yes[-1], ast.Return):
        return [*yes[:start], ast.If(condition, middle_yes, []), *middle_no]
    if not middle_yes:
        middle_yes, middle_no, condition = middle_no, [], ast.UnaryOp(ast.Not(), condition)
    return [*yes[:start], *([ast.If(condition, middle_yes, middle_no)] if middle_yes else []), *tail]


def _derived(slots: Slots) -> dict[int, tuple[int, int]]:
    """For each row the row that it is a multiple of, and how many times."""
    result: dict[int, tuple[int, int]] = {}
    for i, (row, _) in enumerate(slots.rows):
        result[i] = i, 1
        if not all(type(x) is int for x in row):
            continue
        for j, (other, _) in enumerate(slots.rows):
            if j == i or not all(type(x) is int and x for x in other) or len(set(other)) < 2:
                continue
            times = row[0] // other[0]
            if times in MULTIPLES and all(a == times * b for a, b in zip(row, other, strict=True)):
                if result.get(j, (j, 1))[1] == 1:
                    result[i] = j, times
                    break
    return result


def _titles(instances: list[Instance], slots: Slots, rows: dict[int, tuple[int, int]]) -> dict[int, str]:
    """A name for each row: the user's own, where it can be known."""
    signature = _signature(instances[0].module)
    attributes = [vars(x.module) for x in instances]
    passed = _passed(instances[0].module)
    taken: set[str] = {"self", "rngs"}
    titles: dict[int, str] = {}
    for i, (values, hints) in enumerate(slots.rows):
        if rows[i] != (i, 1):
            continue
        candidates: list[str] = []
        for name in [*signature, *attributes[0]]:
            if name.startswith("_") or name == "training":
                continue
            held = [a.get(name, slots) for a in attributes]
            if _equal_rows(held, values):
                candidates.append(name)
        candidates += [passed[hint] for hint in hints if hint in passed]
        for hint in hints:
            head, _, last = hint.removeprefix("self.").rpartition(".")
            plain = last if not last.isdigit() else f"{head}_{last}"
            candidates += [plain, hint.removeprefix("self.").replace(".", "_")]
        candidates = [c if not c[0].isdigit() else f"layer_{c}" for c in candidates]
        title = next((c for c in candidates if c not in taken), None)
        k = 2
        while title is None:
            if f"{candidates[0]}_{k}" not in taken:
                title = f"{candidates[0]}_{k}"
            k += 1
        taken.add(title)
        titles[i] = title
    return titles


def _signature(module: Any) -> dict[str, inspect.Parameter]:
    try:
        found = inspect.signature(type(module).__init__).parameters
    except (TypeError, ValueError):
        return {}
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {n: p for n, p in found.items() if n != "self" and p.kind not in variadic}


def _passed(module: Any) -> dict[str, str]:
    """Which argument of a layer the user's constructor takes from which of its own: {"conv1.in_channels": "inplanes"}."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(type(module).__init__)))
    except (OSError, TypeError, SyntaxError):
        return {}
    own = set(_signature(module))
    result: dict[str, str] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
            continue
        for target in node.targets:
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
                layer = getattr(module, target.attr, None)
                names = _argument_names(layer)
                for name, value in zip(names, node.value.args, strict=False):
                    if isinstance(value, ast.Name) and value.id in own:
                        result[f"{target.attr}.{name}"] = value.id
                for word in node.value.keywords:
                    if isinstance(word.value, ast.Name) and word.value.id in own and word.arg:
                        result[f"{target.attr}.{word.arg}"] = word.value.id
    return result


def _argument_names(layer: Any) -> list[str]:
    try:
        return [n for n in inspect.signature(type(layer)).parameters]
    except (TypeError, ValueError):
        return []
