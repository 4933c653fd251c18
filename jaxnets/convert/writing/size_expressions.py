"""Sizes as expressions: numbers, or what an array's shape says."""

import ast
from typing import TYPE_CHECKING, Any

from jaxnets.convert import expressions as e
from jaxnets.convert.sizes import BATCH, Axis, Size, has_batch, plain
from jaxnets.convert.trace import Value

if TYPE_CHECKING:
    from jaxnets.convert.writing.body import Body

__all__ = ["SizeExpressions"]


class SizeExpressions:
    """How sizes are said at the place at which a body is.

    Args:
        body: knows how arrays are reached, and takes statements.
    """

    def __init__(self, body: "Body"):
        self._body = body
        self._names: dict[int, e.Expr] = {}  # of sizes, by their ids
        self._arrays: list[tuple[Value, e.Expr]] = []

    def note_array(self, value: Value, form: e.Expr) -> None:
        """From here on an array can be asked for its shape."""
        self._arrays.append((value, form))

    def note_size(self, size: Size, form: e.Expr) -> None:
        """From here on a size is reached by an expression."""
        self._names[id(size)] = form

    def is_batch(self, x: Any) -> bool:
        """Whether an int is a multiple of the batch."""
        return self._body.around.dynamic and has_batch(x)

    def of(self, x: int) -> e.Expr:
        """A size: by its name, if the user's code has one for it."""
        if not isinstance(x, Size):
            return self.of_number(x)
        if id(x) in self._names:
            return self._names[id(x)]
        expr = self._read(x)
        known = self._body.call.sizes.get(id(x))
        if known is None or isinstance(expr, ast.Constant):
            return expr
        name = self._body.placeholders.new(known[1])
        self.note_size(x, name)
        self._body.before.append(ast.Assign([name], expr))
        return name

    def of_number(self, size: int) -> e.Expr:
        """A size of which no more is known than that it is, or is not, a multiple of the batch."""
        return self._measured(size) if self.is_batch(size) else e.literal(size)

    def _read(self, size: Size) -> e.Expr:
        """How a size was read, or computed."""
        if isinstance(size.how, Axis):
            return self._axis(size, size.how)
        operands = [self._body.expr(x) for x in size.how.operands]
        if all(isinstance(x, ast.Constant) for x in operands):
            return e.literal(size)
        if len(operands) == 1:
            return e.unary("-", operands[0])
        return e.binary(operands[0], size.how.operator, operands[1])

    def _axis(self, size: Size, how: Axis) -> e.Expr:
        """`x.shape[axis]`, if `x` is at hand."""
        value, axis = how
        array = self._body.at_hand(value)
        if array is not None:
            return e.subscript(ast.Attribute(array, "shape"), axis)
        if not self.is_batch(size):  # a name that stays for its size alone would hide others
            self._body.around.checks_shapes = True
            return e.literal(size)
        if value.path is not None or value.data is not None:
            return e.literal(size)
        if self._body.is_unnamed(value):
            self._body.force(value)
        return self._measured(size)

    def _measured(self, size: int) -> e.Expr:
        """A multiple of the batch, by an axis of what got a name last."""
        size, body = plain(size), self._body
        for wanted in (size, BATCH):
            for value, form in reversed(self._arrays):
                if wanted in value.shape:
                    body.texts[value] += 1
                    expr = e.subscript(ast.Attribute(form, "shape"), list(value.shape).index(wanted))
                    return expr if wanted == size else e.binary(e.literal(size // BATCH), "*", expr)
        for value, form in reversed(self._arrays):
            for axis, n in enumerate(value.shape):
                if self.is_batch(n):
                    body.texts[value] += 1
                    expr = e.binary(e.subscript(ast.Attribute(form, "shape"), axis), "//", e.literal(n // BATCH))
                    return expr if size == BATCH else e.binary(e.literal(size // BATCH), "*", expr)
        for value in body.uses.producers:
            if body.is_unnamed(value) and any(map(self.is_batch, value.shape)):
                body.force(value)
        raise KeyError("no array has the batch")
