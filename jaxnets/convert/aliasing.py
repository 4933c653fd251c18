"""torch's views and in-place changes as new values.

Tensors that share memory form a tree: each view knows the tensor that it was taken from, and how. When one of them is
written to, the tensors above it get new values at once, those beside and below it when they are next read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from jaxnets.convert.trace import Op, Value

if TYPE_CHECKING:
    from jaxnets.convert.capture import Recorder

__all__ = ["Aliases", "shares_memory"]


@dataclass
class Memory:
    """What tensors share; `writes` counts the changes."""

    writes: int = 0


@dataclass(eq=False)
class Entry:
    """A tensor, its value, and how it is seen through another one.

    Args:
        tensor: kept, so that its id stays its own.
        value: what it was after `seen` writes.
        memory: what it shares with its views.
        base: the tensor that it is a view of.
        op: the operation that made the view; its first argument is the base.
        part: which of the operation's outputs.
    """

    tensor: torch.Tensor
    value: Value
    memory: Memory
    seen: int
    base: "Entry | None" = None
    op: Op | None = None
    part: int | None = None


class Aliases:
    """The value of every tensor, now."""

    def __init__(self, recorder: "Recorder"):
        self._recorder = recorder
        self._entries: dict[int, Entry] = {}
        self._places: dict[Any, Entry] = {}

    def known(self, tensor: torch.Tensor) -> Value | None:
        """The value of a tensor that has been met, as it was then."""
        entry = self._entries.get(id(tensor))
        return entry.value if entry else None

    def value(self, tensor: torch.Tensor) -> Value:
        """The value of a tensor now; a view whose memory was written to is taken anew."""
        return self._now(self._entry(tensor))

    def bind(self, tensor: torch.Tensor, value: Value) -> None:
        """A tensor that an operation made."""
        self._add(Entry(tensor, value, Memory(), 0))

    def rename(self, tensor: torch.Tensor, value: Value) -> None:
        """A tensor stays what it is, under another value."""
        entry = self._entry(tensor)
        entry.value, entry.seen = value, entry.memory.writes

    def view(
        self, tensor: torch.Tensor, base: torch.Tensor, op: Op, part: int | None = None, value: Value | None = None
    ) -> None:
        """A tensor that an operation made as a view of another one; its value is that of the base if not given."""
        above = self._entry(base)
        value = self._now(above) if value is None else value
        self._add(Entry(tensor, value, above.memory, above.memory.writes, above, op, part))

    def written(self, tensor: torch.Tensor, value: Value) -> None:
        """A tensor was written to: its new value, and that of what it is a view of."""
        entry = self._entry(tensor)
        chain = [entry]
        while chain[-1].base is not None:
            chain.append(chain[-1].base)
        before = [self._now(link) for link in chain]
        entry.memory.writes += 1
        for link, old in zip(chain, before, strict=True):
            if link is not entry:
                value = self._updated(old, below, value)
            link.value, link.seen = value, entry.memory.writes
            below = link

    @contextmanager
    def watching(self, tensors: list[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
        """Fills a list with those tensors that are written to inside."""
        before = [x._version for x in tensors]
        written: list[torch.Tensor] = []
        yield written
        written += [x for x, version in zip(tensors, before, strict=True) if x._version != version]

    def _entry(self, tensor: torch.Tensor) -> Entry:
        entry = self._entries.get(id(tensor)) or self._places.get(tensor_place(tensor))
        if entry is None:
            entry = Entry(tensor, self._recorder.outside(tensor), Memory(), 0)
        if entry.tensor is not tensor:  # another object of the same array
            entry = Entry(tensor, entry.value, entry.memory, entry.seen, entry.base, entry.op, entry.part)
        if id(tensor) not in self._entries:
            self._add(entry)
        return entry

    def _add(self, entry: Entry) -> None:
        self._entries[id(entry.tensor)] = entry
        place = tensor_place(entry.tensor)
        if place is not None:
            self._places[place] = entry

    def _now(self, entry: Entry) -> Value:
        if entry.seen < entry.memory.writes and entry.base is not None and entry.op is not None:
            entry.value = self._again(entry.op, entry.part, self._now(entry.base), entry.value)
            entry.seen = entry.memory.writes
        return entry.value

    def _again(self, op: Op, part: int | None, base: Value, like: Value) -> Value:
        """The same view of a base that has changed."""
        if op.name == "identity":
            return base
        value = self._recorder.emit(op.name, (base, *op.args[1:]), like, op.kwargs)
        return value if part is None else self._recorder.emit("__getitem__", (value, part), like)

    def _updated(self, base: Value, link: Entry, value: Value) -> Value:
        """The base with the new value in the place that the view shows."""
        op, emit = link.op, self._recorder.emit
        assert op is not None
        rest = (*op.args[1:], *op.kwargs.values())
        if op.name == "identity":
            return value
        if op.name in RESHAPING:
            return emit("reshape", (value, base.shape), base)
        if op.name in ("transpose", "swapaxes", "swapdims", "t", "T", "mT"):
            return emit(op.name, (value, *rest), base)
        if op.name == "permute":
            dims = rest[0] if isinstance(rest[0], tuple | list) else rest
            order = [int(d) % base.ndim for d in dims]
            return emit("permute", (value, tuple(order.index(i) for i in range(base.ndim))), base)
        index = _index(op, rest, link.part, base)
        if index is None:
            self._recorder.refuse(
                f"a write into a view made by {op.name}", "write into a copy, or index the array that is written to"
            )
            return base
        return emit("__setitem__", (base, index, value), base)


RESHAPING = ("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as")


def _index(op: Op, rest: tuple[Any, ...], part: int | None, base: Value) -> Any:
    """What indexes the base where the view shows it; None where no index does."""
    if op.name == "__getitem__":
        return rest[0]
    if op.name not in ("select", "slice", "narrow", "unbind", "chunk", "split"):
        return None
    named = dict(op.kwargs)
    dim = named.get("dim", rest[0] if op.name in ("select", "slice", "narrow", "unbind") and rest else 0)
    if op.name in ("chunk", "split"):
        dim = named.get("dim", rest[1] if len(rest) > 1 else 0)
        sizes = [x.shape[dim] for x in op.output]
        start = sum(sizes[: part or 0])
        where: Any = slice(start, start + sizes[part or 0])
    elif op.name == "unbind":
        where = part
    elif op.name == "select":
        where = rest[1]
    elif op.name == "narrow":
        where = slice(rest[1], rest[1] + rest[2])
    else:
        where = slice(*rest[1:])
    return (*(slice(None),) * (dim % base.ndim), where)


def tensor_place(tensor: torch.Tensor) -> Any:
    """Where a tensor lies: equal for two objects of the same array."""
    try:
        memory = tensor.untyped_storage()._cdata
        # as text, since symbolic sizes are no keys
        return memory, tensor.dtype, f"{tensor.storage_offset()} {tuple(tensor.shape)} {tensor.stride()}"
    except (RuntimeError, NotImplementedError):  # it has none
        return None


def shares_memory(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether one is a view of the other, or both of a third."""
    try:
        return a.untyped_storage()._cdata == b.untyped_storage()._cdata
    except (RuntimeError, NotImplementedError):
        return False
