"""One class for many modules: what they share, and what differs as parameters of the constructor.

The parts and the bodies of all modules of one torch class are laid over each other (anti-unification, Plotkin 1970):
where they differ, a slot is left, and equal rows of differences share one.
"""

import ast
import copy
import inspect
import keyword
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jaxnets.convert import expressions as e
from jaxnets.convert.calls import Build
from jaxnets.convert.errors import ConversionError
from jaxnets.convert.nodes import Children, Held, Own, Shared, Slot, rebuilt
from jaxnets.convert.source import plain

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
            full = [_setting(vars(x.module)[attribute]) for x in self.instances]
            needed = [True] * len(full)
        for i, row in enumerate(self.rows):
            if row.attribute == attribute and _agree(row, full, needed, hint):
                row.values = [a if n else b for a, b, n in zip(row.values, full, row.needed, strict=True)]
                row.needed = [a or b for a, b in zip(row.needed, needed, strict=True)]
                row.hints.append(hint)
                return Slot(f"%{i}")
        self.rows.append(Row(full, needed, [hint], attribute))
        return Slot(f"%{len(self.rows) - 1}")

    def _attribute(self, values: list[Any], needed: list[bool]) -> str | None:
        """The attribute of the user's modules that has these values where they are needed."""
        wanted = [v for v, n in zip(values, needed, strict=True) if n]
        if not all(_is_simple(v) for v in wanted) or all(v is None for v in wanted):
            return None
        attributes = [vars(x.module) for x in self.instances]
        names = [n for n in _signature(self.instances[0].module) if n in attributes[0]]
        names += [n for n in attributes[0] if not n.startswith("_") and n != "training"]
        for name in names:
            held = [_setting(a.get(name, self)) for a in attributes]
            there = [x for x, n in zip(held, needed, strict=True) if n]
            if all(map(_is_simple, held)) and _equal_rows(there, wanted):
                return name
        return None


def _setting(x: Any) -> Any:
    """An attribute's value as source says it."""
    return tuple(_setting(y) for y in x) if isinstance(x, tuple | list) else x


def _agree(row: Row, values: list[Any], needed: list[bool], hint: str) -> bool:
    """Whether a row can have these values, too: equal ones, or for other instances what goes by the same name."""
    both = [(a, b) for a, b, n, m in zip(row.values, values, row.needed, needed, strict=True) if n and m]
    if not all(type(a) is type(b) and bool(a == b) for a, b in both):
        return False
    return row.needed == needed or hint in row.hints


def _equal_rows(a: Sequence[Any], b: Sequence[Any]) -> bool:
    return all(type(x) is type(y) and bool(x == y) for x, y in zip(a, b, strict=True))


def unified(nodes: list[Any], slots: Slots, hint: str) -> Any:
    """What the nodes share, with slots where they differ."""
    first = nodes[0]
    if all(type(x) is type(first) and bool(x == first) for x in nodes):
        return first
    if all(isinstance(x, Shared) for x in nodes):
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
            tuple(
                (column[0][0], unified([x for _, x in column], slots, f"{hint}.{column[0][0]}")) for column in columns
            ),
        )
    if isinstance(first, Held) and all(
        isinstance(x, Held)
        and (x.kind, x.dtype, len(x.shape)) == (first.kind, first.dtype, len(first.shape))
        and x.data is None
        for x in nodes
    ):
        shape = tuple(
            unified(list(sizes), slots, f"{hint}.size") for sizes in zip(*(x.shape for x in nodes), strict=True)
        )
        return Held(first.kind, shape, first.dtype)
    if all(isinstance(x, tuple) and len(x) == len(first) for x in nodes) and any(
        isinstance(y, Build | Own | Children) for x in nodes for y in x
    ):
        return tuple(unified(list(column), slots, hint) for column in zip(*nodes, strict=True))
    return slots.slot(nodes, hint)


def unified_code(bodies: list[Any], slots: Slots, group: Sequence[Instance]) -> Any:
    """Syntax trees of one shape laid over each other; numbers that differ become `self.<slot>`."""
    first = bodies[0]
    if isinstance(first, ast.Constant):
        values = [x.value for x in bodies]
        if _equal_rows([values[0]] * len(values), values):
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


def template(name: str, base: str, origin: str, instances: list[Instance]) -> tuple[Template, list[dict[str, Any]]]:
    """The class of some modules, and the arguments of each."""
    slots = Slots(instances)
    names = list(dict.fromkeys(n for x in instances for n in x.parts))
    parts = {n: unified([x.parts.get(n) for x in instances], slots, n) for n in names}
    statements = _body(instances, slots)
    further = [_further_body(i, instances, slots) for i in range(max(len(x.further) for x in instances))]
    found = Template(name, base, origin, statements=statements, ties=instances[0].ties, further=further)
    if any(x.ties != instances[0].ties for x in instances):
        raise ConversionError(f"{origin}: expected the same shared parameters in each module, got different ones")
    multiples = _multiples(slots)
    titles = _titles(slots, multiples)
    renamed = {f"%{i}": Slot(titles[j], times) for i, (j, times) in multiples.items()}
    found.parts = {
        n: rebuilt(lambda x: renamed.get(x.name, x) if isinstance(x, Slot) else x, x) for n, x in parts.items()
    }
    for node in ast.walk(ast.Module([x for body in (statements, *further) for x in body or ()], [])):
        if isinstance(node, ast.Attribute) and node.attr in renamed:
            slot = renamed[node.attr]
            node.attr = slot.name if slot.times == 1 else f"{slot.name}_{slot.times}"
            found.settings[node.attr] = slot
    signature = _signature(instances[0].module)
    if instances[0].children is not None:
        found.children = "layers" if base == "nn.Sequential" else "modules"
    for i, row in enumerate(slots.rows):
        if multiples[i] != (i, 1):
            continue
        parameter = Parameter(titles[i], row.values)
        known = signature.get(titles[i])
        if known is not None and known.default is not known.empty and _is_simple(_setting(known.default)):
            parameter.default, parameter.has_default = _setting(known.default), True
        elif any(x is None for x in row.values):
            parameter.has_default = True
        found.parameters.append(parameter)
    order = list(signature)
    found.parameters.sort(key=lambda p: (p.has_default, order.index(p.name) if p.name in order else len(order)))
    arguments = [{p.name: p.values[i] for p in found.parameters} for i in range(len(instances))]
    if found.children:
        arguments = [{found.children: x.children, **args} for x, args in zip(instances, arguments, strict=True)]
    return found, arguments


def _is_simple(x: Any) -> bool:
    return x is None or isinstance(x, bool | int | float | str) or (isinstance(x, tuple) and all(map(_is_simple, x)))


def _body(instances: list[Instance], slots: Slots) -> list[ast.stmt] | None:
    groups: dict[str, list[Instance]] = {}
    for x in instances:
        if x.statements is not None:
            groups.setdefault(shape_of(x.statements), []).append(x)
    if not groups:
        return None
    first, *others = sorted(groups.values(), key=len, reverse=True)
    result = _body_of(first, slots)
    for group in others:
        result = _branch(_condition(group, instances, slots), _body_of(group, slots), result)
    return result


def _further_body(i: int, instances: list[Instance], slots: Slots) -> list[ast.stmt] | None:
    """The body of a further method of the class."""
    usual = [x.statements for x in instances]
    for x in instances:
        x.statements = x.further[i] if i < len(x.further) else None
    try:
        return _body(instances, slots)
    finally:
        for x, statements in zip(instances, usual, strict=True):
            x.statements = statements


def _body_of(group: list[Instance], slots: Slots) -> list[ast.stmt]:
    """The body of modules that do the same with other numbers."""
    return unified_code([copy.deepcopy(x.statements) for x in group], slots, group)


def _condition(group: list[Instance], instances: list[Instance], slots: Slots) -> ast.expr:
    """What is true for the modules of the group alone, of those that were called."""
    called = [x for x in instances if x.statements is not None]
    member = [x in group for x in called]
    for name in dict.fromkeys(n for x in called for n in x.parts):
        absent = [x.parts.get(name) is None for x in called]
        if absent == member:
            return e.template(f"self.{name} is None")
        if [not x for x in absent] == member:
            return e.template(f"self.{name} is not None")
    if called[0].children is not None:
        sizes = [len(x.children.items) for x in called if x.children is not None]
        own_sizes = {n for n, m in zip(sizes, member, strict=True) if m}
        if not own_sizes & {n for n, m in zip(sizes, member, strict=True) if not m}:
            wanted = sorted(own_sizes)
            text = f"len(self) == {wanted[0]}" if len(wanted) == 1 else f"len(self) in {tuple(wanted)}"
            return e.template(text)
    attributes = [vars(x.module) for x in called]
    for name in attributes[0]:
        values = [_setting(a.get(name, slots)) for a in attributes]
        if name.startswith("_") or name == "training" or not all(map(_is_simple, values)):
            continue
        inside = [v for v, m in zip(values, member, strict=True) if m]
        outside = [v for v, m in zip(values, member, strict=True) if not m]
        if any(v in outside for v in inside):
            continue
        own = ast.Attribute(ast.Name("self"), slots.slot(values, f"self.{name}", called).name)
        if all(isinstance(v, bool) for v in values):
            return own if inside[0] else ast.UnaryOp(ast.Not(), own)
        for these, operator in ((inside, "=="), (outside, "!=")):
            if _equal_rows([these[0]] * len(these), these):
                return e.binary(own, operator, e.literal(these[0]))
        return ast.Compare(own, [ast.In()], [e.literal(tuple(dict.fromkeys(inside)))])
    return ast.Attribute(ast.Name("self"), slots.slot(member, "self.variant", called).name)


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
    for one, other, condition_of_one in ((middle_yes, middle_no, True), (middle_no, middle_yes, False)):
        chosen = _chosen(condition, one, other, condition_of_one)
        if chosen is not None:
            return [*yes[:start], *chosen, *tail]
    if not end and middle_yes and isinstance(middle_yes[-1], ast.Return):
        return [*yes[:start], ast.If(condition, middle_yes, []), *middle_no]
    if not middle_yes:
        middle_yes, middle_no, condition = middle_no, [], ast.UnaryOp(ast.Not(), condition)
    return [*yes[:start], *([ast.If(condition, middle_yes, middle_no)] if middle_yes else []), *tail]


def _chosen(condition: ast.expr, one: list[ast.stmt], other: list[ast.stmt], holds: bool) -> list[ast.stmt] | None:
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


def _one_swapped(statements: list[ast.stmt], name: str, target: str) -> Iterator[list[ast.stmt]]:
    """The statements with one use of a name replaced by another name."""
    uses = sum(isinstance(n, ast.Name) and n.id == name for x in statements for n in ast.walk(x))
    for i in range(uses):
        swapped = copy.deepcopy(statements)
        found = [n for x in swapped for n in ast.walk(x) if isinstance(n, ast.Name) and n.id == name]
        found[i].id = target
        yield swapped


def _multiples(slots: Slots) -> dict[int, tuple[int, int]]:
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


def _titles(slots: Slots, multiples: dict[int, tuple[int, int]]) -> dict[int, str]:
    """A name for each row: the user's own, where it can be known."""
    module = slots.instances[0].module
    passed = _passed(module)
    taken = {
        "self",
        "rngs",
        "deterministic",
        "jax",
        "jnp",
        "nn",
        "nnx",
        "F",
        "ops",
        *(row.attribute for row in slots.rows if row.attribute),
    }
    parts = {name for x in slots.instances for name in x.parts}
    titles: dict[int, str] = {}
    for i, row in enumerate(slots.rows):
        if multiples[i] != (i, 1):
            continue
        if row.attribute:
            titles[i] = row.attribute
            continue
        candidates = [passed[hint] for hint in row.hints if hint in passed]
        for hint in row.hints:
            plain = hint.removeprefix("self.")
            head, _, last = plain.rpartition(".")
            if last.isdigit():
                candidates.append(_kind_name(row.values) or f"{head}_{last}".strip("_"))
            else:
                candidates.append(last)
            candidates.append(plain)
        proper = [re.sub(r"\W", "_", c) for c in candidates]
        proper = [c if c.isidentifier() and not keyword.iskeyword(c) else f"layer_{c}" for c in proper]
        # a part's own name is free for what stands in the whole of its place
        title = next((c for c in proper if c not in taken and (c not in parts or [c] == row.hints)), None)
        k = 2
        while title is None:
            title = f"{proper[0]}_{k}" if f"{proper[0]}_{k}" not in taken | parts else None
            k += 1
        taken.add(title)
        titles[i] = title
    return titles


def _kind_name(values: list[Any]) -> str | None:
    """What layers are, where a container's place is taken by one or another, or by none."""
    names = {x.name for x in values if isinstance(x, Build)}
    if names and names <= ACTIVATIONS and all(x is None or isinstance(x, Build) for x in values):
        return "activation"
    return None


ACTIVATIONS = frozenset(
    {
        *("ReLU", "ReLU6", "SiLU", "GELU", "Hardswish", "Hardsigmoid", "Sigmoid", "Tanh", "LeakyReLU"),
        *("ELU", "Mish", "Identity", "PReLU", "Softplus", "SELU", "CELU", "Hardtanh"),
    }
)


def _signature(module: Any) -> dict[str, inspect.Parameter]:
    try:
        found = inspect.signature(type(module).__init__).parameters
    except (TypeError, ValueError):
        return {}
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {n: p for n, p in found.items() if n != "self" and p.kind not in variadic}


def _passed(module: Any) -> dict[str, str]:
    """Which argument of a layer the user's constructor takes from its own: {"conv1.in_channels": "inplanes"}."""
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
        return list(inspect.signature(type(layer)).parameters)
    except (TypeError, ValueError):
        return []
