"""The statements of a module's `__call__`, written from what happened in its `forward`."""

import ast
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

from jaxnets.convert import expressions as e
from jaxnets.convert.constants import constant
from jaxnets.convert.errors import ConversionError, Refusal
from jaxnets.convert.operators import table
from jaxnets.convert.sizes import Size
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
    writes,
)
from jaxnets.convert.writing.naming import Namer, Placeholders, default_name
from jaxnets.convert.writing.size_expressions import SizeExpressions
from jaxnets.convert.writing.uses import Uses, has_state

__all__ = ["Body", "Method", "Surroundings"]

REQUIRED = object()

PACKING: Mapping[str, tuple[Any, ...]] = {
    "pack_padded_sequence": (REQUIRED, REQUIRED, False, True),
    "pad_packed_sequence": (REQUIRED, False, 0.0, None),
}
"""Functions of packed sequences, with the default values of their arguments."""


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
        self.uses = Uses(call, around.parameters)
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
        self.placeholders = Placeholders()
        self.before: list[ast.stmt] = []  # what the next statement needs before it
        self.texts: Counter[Value] = Counter()  # how often each value has been said
        self._sizes = SizeExpressions(self)
        self._forms: dict[Value, e.Expr] = {}
        self._holders: list[tuple[ast.Name, list[Any]]] = []
        self._lists: dict[str, tuple[ast.Name, tuple[Any, ...]]] = {}
        self._stateful: dict[int, tuple[e.Expr, Call]] = {}
        self._named = self.uses.named(self._forced)
        self._now, self._grad = 0, self.call.grad

    def force(self, *values: Value) -> NoReturn:
        """Values must stand in statements of their own after all."""
        self._forced |= set(values)
        raise AgainError

    def is_unnamed(self, value: Value) -> bool:
        """Whether a value that is made here stands in no statement of its own."""
        return self.uses.producers.get(value) in self.uses.live and value not in self._named

    def at_hand(self, value: Value) -> e.Expr | None:
        """How a value is reached, if it is still needed for itself."""
        if value not in self._forms or not self.uses.is_needed(value, self._now):
            return None
        self.texts[value] += 1
        return self._forms[value]

    # -- expressions -------------------------------------------------------------------------------------------------

    def expr(self, x: Any) -> e.Expr:
        """A value, a size, a tree of them, or a literal."""
        if isinstance(x, Value):
            return self._value(x)
        if isinstance(x, ModeChoice):
            return self._mode(x)
        if isinstance(x, Size) or self.is_batch(x):
            return self._sizes.of(x)
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
        self.texts[value] += 1
        if value in self._forms:
            return self._forms[value]
        item = self.uses.producers.get(value)
        if item is None:
            return self._from_outside(value)
        if value in self._named:  # a later statement makes it: only sizes ask so early
            raise KeyError(f"{value} is not there yet")
        if self.texts[value] > 1:
            self.force(value)
        grad, self._grad = self._grad, item.grad
        expr = self._computed(item)
        self._grad = grad
        return self._stopped(item, expr, value) if grad else expr

    def _stopped(self, item: Item, expr: e.Expr, *values: Value) -> e.Expr:
        """Without gradient, where torch recorded none."""
        stops = not item.grad and any(v.dtype.is_floating_point for v in values)
        return e.call("jax.lax.stop_gradient", expr) if stops else expr

    def _computed(self, item: Item) -> e.Expr:
        with self._refusing(item.name if isinstance(item, Op) else f"a call of {item.path!r}", item.place):
            expr = self._expression(item)
        if isinstance(item, Call) and has_state(item):
            self._stateful[id(expr)] = expr, item
        return expr

    @contextmanager
    def _refusing(self, what: str, place: Any) -> Iterator[None]:
        """What cannot be said is refused by the name of where it stands."""
        try:
            yield
        except e.UnsaidError as error:
            raise ConversionError(str(Refusal(what, self.call.path, str(place or ""), str(error)))) from None

    def _keep_order(self, statements: Sequence[ast.stmt]) -> None:
        """Calls of one module that has state stay in the order in which they were: else they get a statement."""
        last: dict[str, int] = {}
        for node in (node for statement in statements for node in _evaluated(statement)):
            _, item = self._stateful.get(id(node), (None, None))
            if item is None:
                continue
            place = self.call.body.index(item)
            if place < last.get(item.path, -1):
                self.force(*tree_values(item.output))
            last[item.path] = place

    def _expression(self, item: Item) -> e.Expr:
        if isinstance(item, Op) and item.name in PACKING:
            return self._packing(item)
        if isinstance(item, Op):
            return table.expression(self, item)
        callee = self.around.member(self.call.path, item.path)
        if item.leaf:
            named = {name: self.expr(x) for name, x in item.kwargs.items()}
            return e.call(callee, *map(self.expr, item.args), **named)
        method = self.around.method_name(item)
        callee = ast.Attribute(callee, method) if method else callee
        args: list[e.Expr] = []
        kwargs: dict[str, e.Expr] = {}
        for i, name in enumerate(self.around.parameters(item)):
            x = item.arguments.get(name)
            if not has_arrays(x):  # what is no array is part of the conversion
                continue
            if len(args) < i:  # one is left out
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
            return constant(value.data)
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
        for name, held in self._holders:
            if leaves and len(leaves) == len(held) and all(a is b for a, b in zip(leaves, held, strict=True)):
                return name
        return None

    def _growing(self, tree: list[Any]) -> e.Expr | None:
        """A list of the user's code that holds these values: made here, or grown from what it held before."""
        held = tuple(tree)
        name = next((n for (n, _), values in self.call.lists.items() if values == held), None)
        if name is None or not any(n == name and len(v) != len(held) for (n, _), v in self.call.lists.items()):
            return None
        grown, before = self._lists.get(name, (None, ()))
        if grown and held[: len(before)] == before:
            for value in held[len(before) :]:
                self.before.append(ast.Expr(e.method(grown, "append", self.expr(value))))
        else:
            grown = self.placeholders.new(name)
            self.before.append(ast.Assign([grown], ast.List([self.expr(v) for v in held])))
        self._lists[name] = grown, held
        return grown

    def key(self) -> e.Expr:
        """A new random key."""
        self.method.draws = True
        return e.call("self.rngs")

    # -- sizes -------------------------------------------------------------------------------------------------------

    def is_batch(self, x: Any) -> bool:
        """Whether an int is a multiple of the batch."""
        return self._sizes.is_batch(x)

    def size(self, value: Value, axis: int) -> e.Expr:
        """The size of an axis: a number, or `x.shape[axis]`."""
        return self._sizes.of_number(value.shape[axis])

    def sizes(self, shape: Sequence[Any]) -> e.Expr:
        """A shape."""
        return ast.Tuple([self.expr(x) for x in shape])

    def shape(self, value: Value) -> e.Expr:
        """The shape of a value."""
        return self.sizes(value.shape)

    # -- statements --------------------------------------------------------------------------------------------------

    def _written(self) -> Method:
        parameters = self.around.parameters(self.call)
        for name in parameters:
            if name in self.call.arguments:
                self._bind_argument(name, self.call.arguments[name])
        statements: list[ast.stmt] = []
        for i, item in enumerate(self.call.body):
            self._now = i
            if item not in self.uses.live or (isinstance(item.output, Value) and item.output not in self._named):
                continue
            self._grad = item.grad
            for path in dict.fromkeys(v.path for v in writes(item) if v.path):
                statements += self._read_before(path)
            expr = self._computed(item)
            statements += self.before
            self.before = []
            if self.call.grad:
                expr = self._stopped(item, expr, *tree_values(item.output))
            statements.append(self._statement(item, expr))
        self._grad, self._now = self.call.grad, len(self.call.body)
        with self._refusing("what forward returns", self.call.place):
            returned = self.expr(self.call.returned)
        statements += [*self.before, ast.Return(returned)]
        self._keep_order(statements)
        self.method.statements = Namer(statements, self.placeholders.wanted, parameters).named()
        return self.method

    def _read_before(self, path: str) -> list[ast.stmt]:
        """Statements that read what is needed later of a parameter or buffer that is written to next."""
        late, producers = self.uses.after(self._now), self.uses.producers
        for value in late:
            made_before = value in producers and self.call.body.index(producers[value]) < self._now
            if made_before and value not in self._named and self._reads(value, path):
                self.force(value)
        statements: list[ast.stmt] = []
        for value in late:
            if value.path != path or not self.uses.is_there(value, self._now):
                continue
            form = self._value(value)
            if isinstance(form, ast.Name):  # it has been read
                continue
            short = path.rpartition(".")[2]
            name = self.placeholders.new(*value.names.get(self.call, ()), short)
            self._forms[value] = name
            statements.append(ast.Assign([name], form))
        return statements

    def _reads(self, value: Value, path: str) -> bool:
        """Whether the expression for a value reads a parameter or buffer, where it stands."""
        item = self.uses.producers[value]
        if isinstance(item, Call) and path.startswith(f"{item.path}."):
            return True
        return any(
            v.path == path or (v in self.uses.producers and v not in self._named and self._reads(v, path))
            for v in self.uses.of(item)
        )

    def _bind_argument(self, name: str, tree: Any) -> None:
        others = tree.names.get(self.call, ()) if isinstance(tree, Value) else ()
        argument = self.placeholders.argument(name, *(n for n in others if n != name))
        self._reach(argument, tree)
        if not isinstance(tree, Value):
            self._hold(argument, tree)

    def _hold(self, name: ast.Name, tree: Any) -> None:
        """Notes that a variable holds all of a tree."""
        if has_arrays(tree):
            self._holders.append((name, list(tree_leaves(tree))))

    def _reach(self, form: e.Expr, tree: Any) -> None:
        """Notes how each value of a tree is reached from an expression for the tree."""
        if isinstance(tree, Value):
            if tree not in self._forms:
                self._say(tree, form)
        elif isinstance(tree, Size):
            self._sizes.note_size(tree, form)
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

    def _say(self, value: Value, form: e.Expr) -> None:
        """Notes how a value is said from here on."""
        self._forms[value] = form
        self._sizes.note_array(value, form)

    def _statement(self, item: Item, expr: e.Expr) -> ast.stmt:
        if isinstance(item.output, Value) and item.output.path:
            place = e.subscript(self.around.member(self.call.path, item.output.path), ...)
            self._forms[item.output] = place
            return ast.Assign([place], expr)
        if not any(self.uses.is_needed(v, self._now) for v in tree_values(item.output)):
            return ast.Expr(expr)
        return ast.Assign([self._target(item.output, item)], expr)

    def _target(self, tree: Any, item: Item) -> e.Expr:
        """What a result is assigned to; its parts are reached from there."""
        if isinstance(tree, tuple | list):
            return ast.Tuple([self._target(x, item) for x in tree])
        said = tree.fields.get("data") if isinstance(tree, Structure) else tree  # of packed sequences
        known = said.names.get(self.call, ()) if isinstance(said, Value) else ()
        name = self.placeholders.new(*known, default_name(item))
        if isinstance(tree, Value):
            self._say(tree, name)
        else:
            self._reach(name, tree)
            self._hold(name, tree)
        return name


def _evaluated(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a statement, nearly in the order in which Python evaluates them."""
    for child in ast.iter_child_nodes(node):
        yield from _evaluated(child)
    yield node
