"""The statements of a module's `__call__`, written from what happened in its `forward`.

First every statement is written with a placeholder for each value; then placeholders get names: those that the user's
code has for them, as far as none hides another that is still needed.
"""

import ast
import builtins
import keyword
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from jaxnets.convert import expressions as e
from jaxnets.convert import operators
from jaxnets.convert.errors import ConversionError
from jaxnets.convert.sizes import BATCH, Axis, Size
from jaxnets.convert.trace import (
    Call,
    Item,
    ModeChoice,
    Op,
    Structure,
    Value,
    has_arrays,
    tree_leaves,
    tree_values,
)

__all__ = ["Body", "Method", "Surroundings"]

MARK = "%"
"""What a placeholder's name begins with."""

REQUIRED = object()

PACKING: Mapping[str, tuple[Any, ...]] = {
    "pack_padded_sequence": (REQUIRED, REQUIRED, False, True),
    "pad_packed_sequence": (REQUIRED, False, 0.0, None),
}
"""Functions of packed sequences, with the default values of their arguments."""

TAKEN = frozenset({*keyword.kwlist, *dir(builtins), "self", "F", "nn", "nnx", "jnp", "jax", "ops", "check", "rngs"})
"""Names that no local variable takes."""


class Surroundings(Protocol):
    """What a body needs to know of the modules around it."""

    dynamic: bool
    checks_shapes: bool

    def member(self, scope: str, path: str) -> e.Expr:
        """How the module `scope` reaches the module, parameter or buffer `path`."""

    def parameters(self, call: Call) -> Sequence[str]:
        """The names of what a module of ours is called with."""

    def method_name(self, call: Call) -> str | None:
        """Which method of the callee does what was done; None where it is `__call__`."""

    def structure(self, kind: type, fields: Mapping[str, e.Expr]) -> e.Expr:
        """An object of a class of the user's, such as a named tuple."""

    def constant(self, scope: str, value: Value) -> e.Expr:
        """An array that was there before."""


@dataclass
class Method:
    """A written `__call__`.

    Args:
        statements: its body.
        uses_mode: whether it asks for the mode.
        draws: whether it draws random numbers.
    """

    statements: list[ast.stmt] = field(default_factory=list)
    uses_mode: bool = False
    draws: bool = False


class AgainError(Exception):
    """A value must have a name after all."""


class Body:
    """Writes the body of one call.

    Args:
        call: what happened.
        around: how modules, structures and constants are said.
    """

    def __init__(self, call: Call, around: Surroundings):
        self.call, self.around = call, around
        self._forced: set[Value] = set()

    def write(self) -> Method:
        """The method, with names."""
        while True:
            try:
                self._start()
                return self._written()
            except AgainError:
                continue

    def _start(self) -> None:
        self.method = Method()
        self._forms: dict[Value, e.Expr] = {}
        self._holders: dict[int, tuple[str, list[Any]]] = {}
        self._texts: Counter[Value] = Counter()
        self._available: list[tuple[Value, e.Expr]] = []
        self._size_forms: dict[int, e.Expr] = {}
        self._before: list[ast.stmt] = []
        self._lists: dict[str, tuple[str, tuple[Any, ...]]] = {}
        self._preferred: dict[str, list[str]] = {}
        self._stateful: dict[int, tuple[e.Expr, Call]] = {}
        self._producers: dict[Value, Item] = {v: item for item in self.call.body for v in tree_values(item.output)}
        self._live = self._alive()
        self._last_use = {v: i for i, item in enumerate(self.call.body) if item in self._live for v in self._used(item)}
        self._last_use |= dict.fromkeys(tree_values(self.call.returned), len(self.call.body))
        self._now = 0
        self._named = self._with_names()
        self._grad = self.call.grad

    # -- which values matter, and which get a name -------------------------------------------------------------------

    def _alive(self) -> set[Item]:
        """The items whose results are used, or that change something."""
        needed = set(tree_values(self.call.returned))
        alive: set[Item] = set()
        for item in reversed(self.call.body):
            outputs = list(tree_values(item.output))
            if any(v in needed or v.path for v in outputs) or (isinstance(item, Call) and _has_state(item)):
                alive.add(item)
                needed |= set(self._used(item))
        return alive

    def _used(self, item: Item) -> Iterator[Value]:
        if isinstance(item, Op) or item.leaf:
            yield from tree_values((item.args, item.kwargs))
        else:
            yield from tree_values([item.arguments.get(name) for name in self.around.parameters(item)])

    def _with_names(self) -> set[Value]:
        """Values that stand in a statement of their own."""
        uses = Counter(v for item in self.call.body if item in self._live for v in self._used(item))
        uses.update(tree_values(self.call.returned))
        named = set(self._forced)
        for item in self._live:
            for v in tree_values(item.output):
                if v is not item.output or uses[v] > 1 or self.call in v.names or v.path:
                    named.add(v)
        return named

    # -- expressions -------------------------------------------------------------------------------------------------

    def expr(self, x: Any) -> e.Expr:
        """A value, a size, a tree of them, or a literal."""
        if isinstance(x, Value):
            return self._value(x)
        if isinstance(x, ModeChoice):
            return self._mode(x)
        if isinstance(x, Size):
            return self._size(x)
        if self.is_batch(x):
            return self._measured(x)
        if isinstance(x, Structure):
            whole = self._whole(x)
            return whole or self.around.structure(x.kind, {name: self.expr(y) for name, y in x.fields.items()})
        if isinstance(x, list):
            return self._whole(x) or self._growing(x) or ast.List([self.expr(y) for y in x])
        if isinstance(x, tuple):
            return self._whole(x) or ast.Tuple([self.expr(y) for y in x])
        if isinstance(x, Mapping):
            return self._whole(x) or ast.Dict([e.literal(key) for key in x], [self.expr(y) for y in x.values()])
        if isinstance(x, slice):
            bounds = (x.start, x.stop, x.step)
            return e.literal(slice(*(None if y is None else self.expr(y) for y in bounds)))
        return e.literal(x)

    def _value(self, value: Value) -> e.Expr:
        self._texts[value] += 1
        if value in self._forms:
            return self._forms[value]
        item = self._producers.get(value)
        if item is None:
            return self._from_outside(value)
        if value in self._named:  # a later statement makes it: only sizes ask so early
            raise KeyError(f"{value} is not there yet")
        if self._texts[value] > 1:
            self._forced.add(value)
            raise AgainError
        grad, self._grad = self._grad, item.grad
        expr = self._computed(item)
        self._grad = grad
        return self._stopped(item, expr) if grad and not item.grad and value.dtype.is_floating_point else expr

    def _stopped(self, item: Item, expr: e.Expr) -> e.Expr:
        return e.call("jax.lax.stop_gradient", expr)

    def _computed(self, item: Item) -> e.Expr:
        expr = self._expression(item)
        if isinstance(item, Call) and _has_state(item):
            self._stateful[id(expr)] = expr, item
        return expr

    def _keep_order(self, statements: Sequence[ast.stmt]) -> None:
        """Calls of one layer that has statistics stay in the order in which they were: else they get a statement."""
        last: dict[str, int] = {}
        for node in (node for statement in statements for node in _evaluated(statement)):
            _, item = self._stateful.get(id(node), (None, None))
            if item is None:
                continue
            place = self.call.body.index(item)
            if place < last.get(item.path, -1):
                self._forced |= set(tree_values(item.output))
                raise AgainError
            last[item.path] = place

    def _expression(self, item: Item) -> e.Expr:
        if isinstance(item, Op) and item.name in PACKING:
            return self._packing(item)
        if isinstance(item, Op):
            return operators.expression(self, item)
        callee = self.around.member(self.call.path, item.path)
        if item.leaf:
            named = {name: self.expr(x) for name, x in item.kwargs.items()}
            return e.call(callee, *map(self.expr, item.args), **named)
        method = self.around.method_name(item)
        callee = ast.Attribute(callee, method) if method else callee
        args: list[e.Expr] = []
        kwargs: dict[str, e.Expr] = {}
        for name in self.around.parameters(item):
            if name not in item.arguments:
                continue
            x = item.arguments[name]
            if not has_arrays(x):  # what is no array is part of the conversion
                continue
            skipped = len(args) < list(self.around.parameters(item)).index(name)
            if skipped:
                kwargs[name] = self.expr(x)
            else:
                args.append(self.expr(x))
        return e.call(callee, *args, **kwargs)

    def _packing(self, item: Op) -> e.Expr:
        defaults = dict(zip(item.kwargs, PACKING[item.name], strict=True))
        args = [self.expr(x) for name, x in item.kwargs.items() if defaults[name] is REQUIRED]
        named = {n: self.expr(x) for n, x in item.kwargs.items() if defaults[n] is not REQUIRED and x != defaults[n]}
        return e.call(f"nn.utils.rnn.{item.name}", *args, **named)

    def _from_outside(self, value: Value) -> e.Expr:
        if value.path is not None:
            return e.subscript(self.around.member(self.call.path, value.path), ...)
        if value.data is not None:
            return self.around.constant(self.call.path, value)
        where = f"module {self.call.path!r}" if self.call.path else "the root module"
        raise ConversionError(
            f"an array of shape {value.shape} in {where}: it comes from code that is not seen, such as "
            "torch.autograd.grad; write this part of the module in Flax"
        )

    def _mode(self, choice: ModeChoice) -> e.Expr:
        self.method.uses_mode = True
        still = e.dotted("self.deterministic")
        if choice.training is True and choice.evaluation is False:
            return ast.UnaryOp(ast.Not(), still)
        if choice.training is False and choice.evaluation is True:
            return still
        return ast.IfExp(still, self.expr(choice.evaluation), self.expr(choice.training))

    def _whole(self, tree: Any) -> e.Expr | None:
        """The name of a structure, where the tree is all of it."""
        leaves = list(tree_leaves(tree))
        for name, held in self._holders.values():
            if leaves and len(leaves) == len(held) and all(a is b for a, b in zip(leaves, held, strict=True)):
                return ast.Name(name)
        return None

    def _growing(self, tree: list[Any]) -> e.Expr | None:
        """A list of the user's code that holds these values: made here, or grown from what it held before."""
        held = tuple(tree)
        name = next((n for (n, _), values in self.call.lists.items() if values == held), None)
        if name is None or not any(n == name and len(v) != len(held) for (n, _), v in self.call.lists.items()):
            return None
        placeholder, before = self._lists.get(name, ("", ()))
        if placeholder and held[: len(before)] == before:
            for value in held[len(before) :]:
                self._before.append(ast.Expr(e.method(ast.Name(placeholder), "append", self.expr(value))))
        else:
            placeholder = f"{MARK}{len(self._preferred)}"
            self._preferred[placeholder] = [name]
            self._before.append(ast.Assign([ast.Name(placeholder)], ast.List([self.expr(v) for v in held])))
        self._lists[name] = placeholder, held
        return ast.Name(placeholder)

    def key(self) -> e.Expr:
        """A new random key."""
        self.method.draws = True
        return e.call("self.rngs")

    # -- sizes -------------------------------------------------------------------------------------------------------

    def is_batch(self, x: Any) -> bool:
        """Whether an int is a multiple of the batch."""
        return self.around.dynamic and isinstance(x, int) and x > 0 and int.__mod__(x, BATCH) == 0

    def size(self, value: Value, axis: int) -> e.Expr:
        """The size of an axis: a number, or `x.shape[axis]`."""
        size = value.shape[axis]
        return self._measured(size) if self.is_batch(size) else e.literal(size)

    def sizes(self, shape: Sequence[Any]) -> e.Expr:
        """A shape."""
        return ast.Tuple([self.expr(x) for x in shape])

    def shape(self, value: Value) -> e.Expr:
        """The shape of a value."""
        return self.sizes(value.shape)

    def _size(self, size: Size) -> e.Expr:
        """A size: by its name, if the user's code has one for it."""
        if id(size) in self._size_forms:
            return self._size_forms[id(size)]
        expr = self._size_read(size)
        known = self.call.sizes.get(id(size))
        if known is None or isinstance(expr, ast.Constant):
            return expr
        placeholder = f"{MARK}{len(self._preferred)}"
        self._preferred[placeholder] = [known[1]]
        self._size_forms[id(size)] = ast.Name(placeholder)
        self._before.append(ast.Assign([ast.Name(placeholder)], expr))
        return self._size_forms[id(size)]

    def _size_read(self, size: Size) -> e.Expr:
        """How a size was read, or computed."""
        if isinstance(size.how, Axis):
            value, axis = size.how
            if value in self._forms and (self._last_use.get(value, -1) >= self._now or self._is_argument(value)):
                self._texts[value] += 1
                return e.subscript(ast.Attribute(self._forms[value], "shape"), axis)
            if not self.is_batch(size):  # a name that stays for its size alone would hide others
                self.around.checks_shapes = True
                return e.literal(size)
            if value.path is not None or value.data is not None:
                return e.literal(size)
            if self._producers.get(value) in self._live and value not in self._named:
                self._forced.add(value)
                raise AgainError
            return self._measured(size) if self.is_batch(size) else e.literal(size)
        operands = [self.expr(x) for x in size.how.operands]
        if all(isinstance(x, ast.Constant) for x in operands):
            return e.literal(size)
        return (
            e.unary("-", operands[0]) if len(operands) == 1 else e.binary(operands[0], size.how.operator, operands[1])
        )

    def _is_argument(self, value: Value) -> bool:
        return value not in self._producers

    def _measured(self, size: int) -> e.Expr:
        """A multiple of the batch, by an axis of what got a name last."""
        size = int.__add__(size, 0)
        for wanted in (size, BATCH):
            for value, form in reversed(self._available):
                if wanted in value.shape:
                    self._texts[value] += 1
                    expr = e.subscript(ast.Attribute(form, "shape"), list(value.shape).index(wanted))
                    return expr if wanted == size else e.binary(e.literal(size // BATCH), "*", expr)
        for value, form in reversed(self._available):
            for axis, n in enumerate(value.shape):
                if self.is_batch(n):
                    self._texts[value] += 1
                    expr = e.binary(e.subscript(ast.Attribute(form, "shape"), axis), "//", e.literal(n // BATCH))
                    return expr if size == BATCH else e.binary(e.literal(size // BATCH), "*", expr)
        for value, item in self._producers.items():
            if value not in self._named and item in self._live and any(map(self.is_batch, value.shape)):
                self._forced.add(value)
                raise AgainError
        raise KeyError("no array has the batch")

    # -- statements --------------------------------------------------------------------------------------------------

    def _written(self) -> Method:
        for name in self.around.parameters(self.call):
            if name in self.call.arguments:
                self._bind_argument(name, self.call.arguments[name])
        statements: list[ast.stmt] = []
        for i, item in enumerate(self.call.body):
            self._now = i
            if item not in self._live or (isinstance(item.output, Value) and item.output not in self._named):
                continue
            self._grad = item.grad
            if isinstance(item.output, Value) and item.output.path:
                statements += self._read_before(item.output)
            expr = self._computed(item)
            statements += self._before
            self._before = []
            if self.call.grad and not item.grad and any(v.dtype.is_floating_point for v in tree_values(item.output)):
                expr = self._stopped(item, expr)
            statements.append(self._statement(item, expr))
        self._grad, self._now = self.call.grad, len(self.call.body)
        returned = self.expr(self.call.returned)
        statements += [*self._before, ast.Return(returned)]
        self._keep_order(statements)
        self.method.statements = _Namer(self, statements).named()
        return self.method

    def _read_before(self, written: Value) -> list[ast.stmt]:
        """Statements that read what is needed later of a parameter or buffer that is written to next."""
        late = [v for v, last in self._last_use.items() if last > self._now and v is not written]
        for value in late:
            made_before = value in self._producers and self.call.body.index(self._producers[value]) < self._now
            if made_before and value not in self._named and self._reads(value, str(written.path)):
                self._forced.add(value)
                raise AgainError
        statements: list[ast.stmt] = []
        for value in late:
            if value.path != written.path or not (value not in self._producers or value in self._forms):
                continue
            form = self._value(value)
            if isinstance(form, ast.Name):  # it has been read
                continue
            placeholder = f"{MARK}{len(self._preferred)}"
            self._preferred[placeholder] = [*value.names.get(self.call, ()), str(written.path).rpartition(".")[2]]
            self._forms[value] = ast.Name(placeholder)
            statements.append(ast.Assign([ast.Name(placeholder)], form))
        return statements

    def _reads(self, value: Value, path: str) -> bool:
        """Whether the expression for a value reads a parameter or buffer, where it stands."""
        item = self._producers[value]
        if isinstance(item, Call) and path.startswith(f"{item.path}."):
            return True
        return any(
            v.path == path or (v in self._producers and v not in self._named and self._reads(v, path))
            for v in self._used(item)
        )

    def _bind_argument(self, name: str, tree: Any) -> None:
        placeholder = f"{MARK}{name}"
        self._preferred[placeholder] = [name]
        self._reach(ast.Name(placeholder), tree)
        if not isinstance(tree, Value):
            self._hold(placeholder, tree)
        if isinstance(tree, Value):
            self._preferred[placeholder] = [name, *(n for n in tree.names.get(self.call, ()) if n != name)]

    def _hold(self, placeholder: str, tree: Any) -> None:
        if has_arrays(tree):
            self._holders[len(self._holders)] = placeholder, list(tree_leaves(tree))

    def _reach(self, form: e.Expr, tree: Any) -> None:
        """Notes how each value of a tree is reached from an expression for the tree."""
        if isinstance(tree, Value):
            if tree not in self._forms:
                self._forms[tree] = form
                self._available.append((tree, form))
        elif isinstance(tree, Size):
            self._size_forms[id(tree)] = form
        elif isinstance(tree, Structure):
            for key, x in tree.fields.items():
                by_key = issubclass(tree.kind, Mapping)
                self._reach(e.subscript(form, key) if by_key else ast.Attribute(form, key), x)
        elif isinstance(tree, Mapping):
            for key, x in tree.items():
                self._reach(e.subscript(form, key), x)
        elif isinstance(tree, tuple | list):
            for i, x in enumerate(tree):
                self._reach(e.subscript(form, i), x)

    def _statement(self, item: Item, expr: e.Expr) -> ast.stmt:
        if isinstance(item.output, Value) and item.output.path:
            place = e.subscript(self.around.member(self.call.path, item.output.path), ...)
            self._forms[item.output] = place
            return ast.Assign([place], expr)
        if not any(True for _ in tree_values(item.output)):
            return ast.Expr(expr)
        return ast.Assign([self._target(item.output, item)], expr)

    def _target(self, tree: Any, item: Item) -> e.Expr:
        """What a result is assigned to; its parts are reached from there."""
        if isinstance(tree, tuple | list):
            return ast.Tuple([self._target(x, item) for x in tree])
        placeholder = f"{MARK}{len(self._preferred)}"
        name = ast.Name(placeholder)
        if isinstance(tree, Value):
            self._preferred[placeholder] = [*tree.names.get(self.call, ()), _default_name(item)]
            self._forms[tree] = name
            self._available.append((tree, name))
        else:
            packed = tree.fields.get("data") if isinstance(tree, Structure) else None
            known = packed.names.get(self.call, ()) if isinstance(packed, Value) else ()
            self._preferred[placeholder] = [*known, _default_name(item)]
            self._reach(name, tree)
            self._hold(placeholder, tree)
        return name


def _evaluated(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a statement, nearly in the order in which Python evaluates them."""
    for child in ast.iter_child_nodes(node):
        yield from _evaluated(child)
    yield node


def _has_state(call: Call) -> bool:
    norms = torch.nn.modules.batchnorm._NormBase
    return any(isinstance(layer, norms) and layer.track_running_stats for layer in call.module.modules())


def _default_name(item: Item) -> str:
    if isinstance(item, Call):
        name = item.path.rpartition(".")[2]
        return name if not name.isdigit() else "x"
    short = item.name.rpartition(".")[2].strip("_").removesuffix("_with_statistics")
    if short == "pack_padded_sequence":
        return "packed"
    return {"getitem": "part", "setitem": "x"}.get(short, short)


class _Namer:
    """Gives placeholders their names."""

    def __init__(self, body: Body, statements: Sequence[ast.stmt]):
        self._preferred = body._preferred
        self._statements = list(statements)
        self._arguments = [f"{MARK}{name}" for name in body.around.parameters(body.call)]
        self._last: dict[str, int] = {}
        self._first: dict[str, int] = dict.fromkeys(self._arguments, -1)
        for i, statement in enumerate(self._statements):
            for name in _placeholders(statement):
                self._last[name] = i
                self._first.setdefault(name, i)

    def named(self) -> list[ast.stmt]:
        names: dict[str, str] = {}
        holders: dict[str, str] = {}  # a name, and the placeholder that has it now
        for placeholder in self._arguments:
            names[placeholder] = placeholder[1:]
            holders[placeholder[1:]] = placeholder
        result: list[ast.stmt] = []
        for i, statement in enumerate(self._statements):
            made = [n for n in _placeholders(statement) if self._first[n] == i]
            chosen: dict[str, str] = {}
            for placeholder in made:
                if self._last[placeholder] == i and isinstance(statement, ast.Assign):
                    chosen[placeholder] = "_"  # nobody reads it
                    continue
                moved = self._moved(placeholder, i, names, holders)
                if moved:
                    result.append(moved)
                name = self._name(placeholder, i, holders, chosen)
                chosen[placeholder] = name
            if isinstance(statement, ast.Assign):
                value = _renamed(statement.value, names)
                for placeholder, name in chosen.items():
                    names[placeholder] = name
                    holders[name] = placeholder
                result.append(ast.Assign([_renamed(statement.targets[0], names)], value))
            else:
                result.append(_renamed(statement, names))
        return result

    def _free(self, name: str, i: int, holders: Mapping[str, str]) -> bool:
        holder = holders.get(name)
        return holder is None or self._last.get(holder, -1) <= i

    def _name(self, placeholder: str, i: int, holders: Mapping[str, str], chosen: Mapping[str, str]) -> str:
        last = self._last[placeholder]
        candidates = [_proper(n) for n in self._preferred[placeholder]]
        wanted_later = {
            _proper(names[0])
            for other, names in self._preferred.items()
            if names and i < self._first.get(other, -1) < last
        }
        free = [n for n in candidates if self._free(n, i, holders) and n not in chosen.values()]
        for name in free:
            if name not in wanted_later:
                return name
        if free:
            return free[0]
        stem, k = candidates[0], 2
        while not self._free(f"{stem}_{k}", i, holders) or f"{stem}_{k}" in chosen.values():
            k += 1
        return f"{stem}_{k}"

    def _moved(self, placeholder: str, i: int, names: dict[str, str], holders: dict[str, str]) -> ast.stmt | None:
        """`identity = x`, where a new `x` would hide an argument that is still needed and has another name."""
        wanted = _proper(self._preferred[placeholder][0])
        holder = holders.get(wanted)
        if holder is None or self._free(wanted, i, holders):
            return None
        for other in map(_proper, self._preferred[holder][1:]):
            if other != wanted and self._free(other, i, holders) and holder in self._arguments:
                names[holder] = other
                holders[other] = holder
                del holders[wanted]
                return ast.Assign([ast.Name(other)], ast.Name(wanted))
        return None


def _placeholders(node: ast.AST) -> list[str]:
    return list(dict.fromkeys(n.id for n in ast.walk(node) if isinstance(n, ast.Name) and n.id.startswith(MARK)))


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    class Rename(ast.NodeTransformer):
        def visit_Name(self, name: ast.Name) -> ast.Name:
            return ast.Name(names.get(name.id, name.id))

    return Rename().visit(node)


def _proper(name: str) -> str:
    return f"{name}_" if name in TAKEN or not name.isidentifier() else name
