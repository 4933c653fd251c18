"""Which values of a call are used, where, and which of them get a name."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import torch

from jaxnets.convert.trace import Call, Item, Op, Value, tree_values, writes

__all__ = ["Uses", "has_state"]


class Uses:
    """What uses which values in the body of a call.

    Args:
        call: what happened.
        parameters: the names of what a module of ours is called with.
    """

    def __init__(self, call: Call, parameters: Callable[[Call], Sequence[str]]):
        self._call, self._parameters = call, parameters
        self.producers: dict[Value, Item] = {v: item for item in call.body for v in tree_values(item.output)}
        self.live = self._alive()
        self._last = {v: i for i, item in enumerate(call.body) if item in self.live for v in self.of(item)}
        self._last |= dict.fromkeys(tree_values(call.returned), len(call.body))
        self._made = {v: i for i, item in enumerate(call.body) for v in (*tree_values(item.output), *writes(item))}

    def of(self, item: Item) -> Iterator[Value]:
        """The values that an item uses."""
        if isinstance(item, Op) or item.leaf:
            yield from tree_values((item.args, item.kwargs))
        else:
            yield from tree_values([item.arguments.get(name) for name in self._parameters(item)])

    def after(self, place: int) -> list[Value]:
        """The values that are used behind a place in the body."""
        return [v for v, last in self._last.items() if last > place]

    def is_there(self, value: Value, place: int) -> bool:
        """Whether a value has been made before a place in the body."""
        return self._made.get(value, -1) < place

    def is_needed(self, value: Value, place: int) -> bool:
        """Whether a value is used at a place in the body, or behind it; what comes from outside is always there."""
        return self._last.get(value, -1) >= place or value not in self.producers

    def named(self, forced: set[Value]) -> set[Value]:
        """Values that stand in a statement of their own."""
        uses = Counter(v for item in self._call.body if item in self.live for v in self.of(item))
        uses.update(tree_values(self._call.returned))
        named = set(forced)
        for item in self.live:
            for v in tree_values(item.output):
                if v is not item.output or uses[v] != 1 or self._call in v.names or v.path:
                    named.add(v)
        return named

    def _alive(self) -> set[Item]:
        """The items whose results are used, or that change something."""
        needed = set(tree_values(self._call.returned))
        alive: set[Item] = set()
        for item in reversed(self._call.body):
            outputs = list(tree_values(item.output))
            if any(v in needed or v.path for v in outputs) or (isinstance(item, Call) and has_state(item)):
                alive.add(item)
                needed |= set(self.of(item))
        return alive


def has_state(call: Call) -> bool:
    """Whether a module changes buffers when it is called, or has layers with statistics."""
    norms = torch.nn.modules.batchnorm._NormBase
    if any(isinstance(layer, norms) and layer.track_running_stats for layer in call.module.modules()):
        return True
    return any(True for _ in writes(call))
