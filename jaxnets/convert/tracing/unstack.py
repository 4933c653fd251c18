"""`q, k, v = x[0], x[1], x[2]` as the one operation that it is.

Its gradient is one array of the parts', where that of three indices is a sum of three arrays that are mostly zeros.
"""

from collections.abc import Iterator, Sequence

from jaxnets.convert.sizes import plain
from jaxnets.convert.trace import Call, Item, Op, Value

__all__ = ["unstack"]

Part = tuple[Value, int, int]


def unstack(root: Call) -> None:
    """Joins operations that take all parts of an array along an axis, one after the other, into local variables."""
    for call in (root, *root.calls()):
        call.body = list(_joined(call.body))


def _joined(body: Sequence[Item]) -> Iterator[Item]:
    done = 0
    while done < len(body):
        joined = _unbind(body, done)
        yield joined or body[done]
        done += len(joined.output) if joined else 1


def _unbind(body: Sequence[Item], start: int) -> Op | None:
    """One operation for those from `start` on, where they take all parts of one array."""
    first = _part(body[start])
    if first is None:
        return None
    value, axis, _ = first
    size = plain(value.shape[axis])
    items = enumerate(body[start : start + size])
    run = [item for i, item in items if isinstance(item, Op) and _part(item) == (value, axis, i)]
    if len(run) != size or size < 2 or len({op.grad for op in run}) > 1:
        return None
    parts = tuple(op.output for op in run)
    return Op("unbind", (value,), {"dim": axis} if axis else {}, parts, run[0].grad, run[0].place)


def _part(item: Item) -> Part | None:
    """An array, an axis and a place on it, where an operation gives a local variable what is there."""
    if not isinstance(item, Op) or item.name != "__getitem__" or not getattr(item.output, "names", None):
        return None
    value, index = item.args
    *before, place = index if isinstance(index, tuple) and index else (index,)
    if not isinstance(value, Value) or type(place) is not int:
        return None
    if before == [...]:
        return value, value.ndim - 1, place
    return (value, len(before), place) if all(x == slice(None) for x in before) else None
