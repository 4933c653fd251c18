"""Indexing, and writing at an index."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from jaxnets.convert import expressions as e
from jaxnets.convert.operators.rules import Rule, cast
from jaxnets.convert.trace import Op, Value

if TYPE_CHECKING:
    from jaxnets.convert.body import Body

__all__ = ["RULES"]


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _indices(body: "Body", index: Any) -> list[Any]:
    """An index as JAX takes it: lists become arrays."""
    parts: list[Any] = []
    for part in _parts(index):
        if isinstance(part, list):
            parts.append(e.call("jnp.array", body.expr(part)))
        elif isinstance(part, slice):
            bounds = (part.start, part.stop, part.step)
            parts.append(slice(*(None if x is None else body.expr(x) for x in bounds)))
        else:
            parts.append(body.expr(part))
    return parts


def _is_mask(index: Any) -> bool:
    return isinstance(index, Value) and index.dtype in (torch.bool, torch.uint8)


def _getitem(body: "Body", op: Op, input: Value, index: Any) -> e.Expr | None:
    return e.subscript(body.expr(input), *(_indices(body, index) or [e.ast.Tuple([])]))


def _setitem(body: "Body", op: Op, input: Value, index: Any, value: Any) -> e.Expr | None:
    """`x[index] = value` as a new array."""
    fill = cast(body, value, input.dtype)
    if _parts(index) == (...,) or (isinstance(index, slice) and index == slice(None)):
        return e.call("jnp.broadcast_to", fill, body.shape(input)) if isinstance(value, Value) else e.call(
            "jnp.full_like", body.expr(input), fill
        )
    if any(map(_is_mask, _parts(index))):
        mask = _parts(index)[0]
        if len(_parts(index)) > 1 or (isinstance(value, Value) and value.ndim):
            return None
        where = body.expr(mask)
        if mask.ndim < input.ndim:
            where = e.subscript(where, ..., *(None,) * (input.ndim - mask.ndim))
        return e.call("jnp.where", where, fill, body.expr(input))
    place = e.subscript(e.ast.Attribute(body.expr(input), "at"), *_indices(body, index))
    return e.method(place, "set", fill)


def _select(body: "Body", op: Op, input: Value, dim: int, index: Any) -> e.Expr:
    return e.subscript(body.expr(input), *(slice(None),) * (dim % input.ndim), body.expr(index))


def _narrow(body: "Body", op: Op, input: Value, dim: int, start: Any, length: Any) -> e.Expr | None:
    if not isinstance(start, int) or not isinstance(length, int) or start < 0:
        return None
    return e.subscript(body.expr(input), *(slice(None),) * (dim % input.ndim), slice(start or None, start + length))


def _slice(
    body: "Body", op: Op, input: Value, dim: int = 0, start: Any = None, end: Any = None, step: Any = 1
) -> e.Expr:
    end = None if isinstance(end, int) and end >= 2**31 else end
    bounds = (start or None, end, None if step == 1 else step)
    part = slice(*(None if x is None else body.expr(x) for x in bounds))
    return e.subscript(body.expr(input), *(slice(None),) * (dim % input.ndim), part)


def _index_select(body: "Body", op: Op, input: Value, dim: int, index: Value) -> e.Expr:
    return e.call("jnp.take", body.expr(input), body.expr(index), axis=dim)


RULES: Mapping[str, Rule] = {
    "__getitem__": _getitem,
    "__setitem__": _setitem,
    "select": _select,
    "narrow": _narrow,
    "slice": _slice,
    "index_select": _index_select,
}
