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
    from jaxnets.convert.tracing.recorder import Recorder

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

    def strangers(self) -> list[torch.Tensor]:
        """Tensors that were met, but that no operation has made and that nothing holds."""
        entries = [x for x in self._entries.values() if x.base is None]
        return [x.tensor for x in entries if (x.value.scope, x.value.path, x.value.data) == (None, None, None)]

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
        entry.value, entry.seen = value, entry.memory.writes
        for below, link, old in zip(chain, chain[1:], before[1:], strict=False):
            value = self._updated(old, below, value)
            link.value, link.seen = value, entry.memory.writes

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
        short, emit = op.name.removeprefix("aten."), self._recorder.emit
        if short == "identity":
            return base
        if short == "reshape" and not op.args:  # a layer that reshapes
            return emit("reshape", (base, like.shape), like)
        if part is not None and short in NAMES:
            return emit("__getitem__", (base, _index(op, part, base)), like)
        if part is not None or short not in (*UNCHANGED, *RESHAPING, *PERMUTING, *NAMES, *OTHERS):
            self._recorder.refuse(
                f"a view made by {op.name}, of what has been written to since,",
                "take the view after the write",
                op.place,
            )
            return like
        return emit(op.name, (base, *op.args[1:]), like, op.kwargs)

    def _updated(self, base: Value, link: Entry, value: Value) -> Value:
        """The base with the new value in the place that the view shows."""
        op, emit = link.op, self._recorder.emit
        assert op is not None
        rest = (*op.args[1:], *op.kwargs.values())
        short = op.name.removeprefix("aten.")
        if short in UNCHANGED:
            return emit("identity", (value,), base) if base.path else value
        if short in RESHAPING and not any(isinstance(x, torch.dtype) for x in rest):
            return emit("reshape", (value, base.shape), base)
        order = _order(op, base)
        if order is not None:
            return emit("permute", (value, tuple(order.index(i) for i in range(base.ndim))), base)
        if short == "diagonal":
            return emit("diagonal_scatter", (base, value, *op.args[1:]), base, op.kwargs)
        index = _index(op, link.part, base)
        if index is None:
            self._recorder.refuse(
                f"a write into a view made by {op.name}", "write into a copy, or index the array that is written to"
            )
            return base
        return emit("__setitem__", (base, index, value), base)


UNCHANGED = ("identity", "alias", "contiguous", "data", "detach", "requires_grad_")
"""Views that show what they are taken of."""

RESHAPING = (
    *("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as", "ravel"),
    *("_unsafe_view", "expand", "expand_as", "broadcast_to"),  # torch writes into no element that is shown twice
)

PERMUTING = (
    *("transpose", "swapaxes", "swapdims", "t", "permute", "movedim", "moveaxis", "T", "mT"),
    *("numpy_T", "matrix_H", "adjoint", "H", "mH"),
)

OTHERS = ("__getitem__", "diagonal", "unfold", "real", "imag", "view_as_real", "view_as_complex", "as_strided")
"""Other views that can be taken anew."""

NAMES: dict[str, tuple[str, ...]] = {
    "select": ("dim", "index"),
    "narrow": ("dim", "start", "length"),
    "slice": ("dim", "start", "end", "step"),
    "unbind": ("dim",),
    **dict.fromkeys(("chunk", "unsafe_chunk"), ("chunks", "dim")),
    **dict.fromkeys(("split", "unsafe_split"), ("split_size_or_sections", "dim")),
    **dict.fromkeys(("split_with_sizes", "unsafe_split_with_sizes"), ("split_sizes", "dim")),
    "tensor_split": ("indices_or_sections", "dim"),
    **dict.fromkeys(("hsplit", "vsplit", "dsplit"), ("indices_or_sections",)),
}
"""Views of a part of an array, and the arguments that say which."""


def _order(op: Op, base: Value) -> list[int] | None:
    """The axes of the base in the order of a view that permutes them."""
    short = op.name.removeprefix("aten.")
    if short not in PERMUTING or base.dtype.is_complex:
        return None
    like = torch.empty(tuple(range(2, base.ndim + 2)), device="meta")  # sizes that tell the axes apart
    function = getattr(torch.Tensor, {"numpy_T": "T"}.get(short, short))
    plain = [int.__add__(x, 0) if isinstance(x, int) else x for x in op.args[1:]]
    view = function(like, *plain, **op.kwargs) if callable(function) else function.__get__(like)
    return [n - 2 for n in view.shape]


def _index(op: Op, part: int | None, base: Value) -> Any:
    """What indexes the base where the view shows it; None where no index does."""
    short = op.name.removeprefix("aten.")
    if short == "__getitem__":
        return op.args[1] if part is None else None
    if short not in NAMES:
        return None
    named = {"dim": 0, **dict(zip(NAMES[short], op.args[1:], strict=False)), **op.kwargs}
    if short in ("hsplit", "vsplit", "dsplit"):
        named["dim"] = {"hsplit": min(1, base.ndim - 1), "vsplit": 0, "dsplit": 2}[short]
    dim = named["dim"] % base.ndim
    where: Any
    if short == "unbind":
        where = part
    elif short == "select":
        where = named["index"]
    elif short == "narrow":
        start, length = named["start"], named["length"]
        if not isinstance(start, int):
            return None
        where = slice(start, None if start < 0 and start + length == 0 else start + length)
    elif short == "slice":
        where = slice(named.get("start"), named.get("end"), named.get("step"))
    else:
        sizes = [x.shape[dim] for x in op.output]
        start = sum(sizes[: part or 0])
        where = slice(start, start + sizes[part or 0])
    return (*(slice(None),) * dim, where)


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
