"""Indexing, and writing at an index."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from jaxnets.convert import expressions as e
from jaxnets.convert.operators.rules import Rule, cast
from jaxnets.convert.trace import Op, Value

if TYPE_CHECKING:
    from jaxnets.convert.writing.body import Body

__all__ = ["RULES"]


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _indices(body: "Body", index: Any) -> list[Any]:
    """An index as JAX takes it: lists become arrays."""
    parts: list[Any] = []
    for part in _parts(index):
        if isinstance(part, list):
            parts.append(e.call("jnp.array", body.expr(_places(part))))
        elif isinstance(part, slice):
            bounds = (part.start, part.stop, part.step)
            parts.append(slice(*(None if x is None else body.expr(x) for x in bounds)))
        elif isinstance(part, range):
            parts.append(e.call("jnp.arange", part.start, part.stop, part.step))
        else:
            parts.append(body.expr(part))
    return parts


def _places(mask: list[Any]) -> list[Any]:
    """Of a list of bools where it is true; what is no mask is itself."""
    return [i for i, x in enumerate(mask) if x] if mask and all(isinstance(x, bool) for x in mask) else mask


def _is_mask(index: Any) -> bool:
    return isinstance(index, Value) and index.dtype in (torch.bool, torch.uint8)


def _is_array(index: Any) -> bool:
    return isinstance(index, list | range) or (isinstance(index, Value) and index.ndim > 0)


def _takes_apart(index: Any) -> bool:
    """Whether an int stands apart from an array: to numpy it is an array then, to torch it is not."""
    kinds = ["array" if _is_array(x) else "int" if isinstance(x, int | Value) else "other" for x in _parts(index)]
    if "array" not in kinds or "int" not in kinds:
        return False
    advanced = [i for i, kind in enumerate(kinds) if kind != "other"]
    return advanced[-1] - advanced[0] + 1 != len(advanced)


def _getitem(body: "Body", op: Op, input: Value, index: Any) -> e.Expr | None:
    if any(isinstance(x, bool) or (_is_mask(x) and not x.ndim) for x in _parts(index)):
        return None
    if _takes_apart(index):
        first, rest = _in_two(body, _parts(index))
        return e.subscript(e.subscript(body.expr(input), *first), *rest)
    return e.subscript(body.expr(input), *(_indices(body, index) or [e.ast.Tuple([])]))


def _setitem(body: "Body", op: Op, input: Value, index: Any, value: Any) -> e.Expr | None:
    """`x[index] = value` as a new array."""
    parts = _parts(index)
    if any(isinstance(x, bool) for x in parts):
        return None
    fill = cast(body, value, input.dtype)
    if isinstance(value, float) and not input.dtype.is_floating_point and not input.dtype.is_complex:
        fill = e.literal(bool(value) if input.dtype == torch.bool else int(value))  # torch cuts it off
    if parts == (...,) or (isinstance(index, slice) and index == slice(None)):
        if not isinstance(value, Value):
            return e.call("jnp.full_like", body.expr(input), fill)
        return e.call("jnp.broadcast_to", _without_leading(fill, value, input.ndim), body.shape(input))
    if any(map(_is_mask, parts)):
        return _masked(body, input, parts, value, fill)
    if isinstance(value, Value):
        fill = _without_leading(fill, value, _region(input, parts))
    if _takes_apart(index):
        first, rest = _in_two(body, parts)
        part = e.subscript(body.expr(input), *first)
        changed = e.method(e.subscript(e.ast.Attribute(part, "at"), *rest), "set", fill)
        return e.method(e.subscript(e.ast.Attribute(body.expr(input), "at"), *first), "set", changed)
    place = e.subscript(e.ast.Attribute(body.expr(input), "at"), *_indices(body, index))
    return e.method(place, "set", fill)


def _in_two(body: "Body", parts: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
    """An index by ints alone, and one for what is left then."""
    ints = [x if _is_int(x) or x is ... else slice(None) for x in parts if x is not None]
    rest = [x for x in parts if not _is_int(x)]
    return _indices(body, tuple(ints)), _indices(body, tuple(rest))


def _is_int(index: Any) -> bool:
    return isinstance(index, int) or (isinstance(index, Value) and not index.ndim)


def _region(input: Value, parts: tuple[Any, ...]) -> int:
    """How many axes the part of an array has that an index names."""
    like = torch.empty(tuple(int.__add__(n, 0) for n in input.shape), device="meta")

    def stand_in(x: Any) -> Any:
        if isinstance(x, Value):
            return torch.empty(x.shape, dtype=torch.int64, device="meta") if x.ndim else 0
        return torch.tensor(_places(list(x)), device="meta") if isinstance(x, list | range) else x

    return like[tuple(map(stand_in, parts))].ndim


def _without_leading(fill: e.Expr, value: Value, ndim: int) -> e.Expr:
    """Axes of size one that torch leaves away."""
    extra = value.ndim - ndim
    return fill if extra <= 0 else e.method(fill, "squeeze", tuple(range(extra)) if extra > 1 else 0)


def _masked(body: "Body", input: Value, parts: tuple[Any, ...], value: Any, fill: e.Expr) -> e.Expr | None:
    """`x[:, mask] = value`."""
    place = next(i for i, x in enumerate(parts) if _is_mask(x))
    others = [x for i, x in enumerate(parts) if i != place]
    if not all(x is ... or (isinstance(x, slice) and x == slice(None)) for x in others):
        return None
    mask = parts[place]
    if ... in others[place:]:
        before = place
    else:
        before = input.ndim - mask.ndim - (len(parts) - place - 1) if ... in others else place
    behind = input.ndim - mask.ndim - before
    where = body.expr(mask)
    if mask.dtype != torch.bool:
        where = e.method(where, "astype", torch.bool)
    if behind:
        where = e.subscript(where, ..., *(None,) * behind)
    if isinstance(value, Value) and value.ndim > behind:
        ones = value.shape[: value.ndim - behind]
        if all(n == 1 for n in ones) and len(ones) <= before + 1:
            fill = e.method(fill, "reshape", *map(body.expr, value.shape[value.ndim - behind :]))
        elif before:
            return None
        else:
            return e.call("ops.masked_scatter", body.expr(input), where, fill)
    return e.call("jnp.where", where, fill, body.expr(input))


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


def _index_select(body: "Body", op: Op, input: Value, dim: int, index: Value) -> e.Expr | None:
    if not input.ndim or not index.ndim:
        return None
    return e.call("jnp.take", body.expr(input), body.expr(index), axis=dim)


RULES: Mapping[str, Rule] = {
    "__getitem__": _getitem,
    "__setitem__": _setitem,
    "select": _select,
    "narrow": _narrow,
    "slice": _slice,
    "index_select": _index_select,
}
