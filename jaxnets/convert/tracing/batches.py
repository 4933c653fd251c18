"""Whether what was looked at with one batch is what happens with every batch.

Sizes know where they come from, but code can lose track of them: in loops, in `len`, in floats made of them. So a
module is looked at twice, with two batches: every number has to be the same, or the same multiple of the batch.
"""

from typing import Any

import torch

from jaxnets.convert.errors import DifferentError
from jaxnets.convert.sizes import plain
from jaxnets.convert.trace import Call, Item, Op, Structure, Value, zip_tree

__all__ = ["holds"]


def holds(general: Call, other: Call, batches: tuple[int, int]) -> bool:
    """Whether two traces of a module, with batches of two sizes, are the same but for the batch."""
    try:
        _Pairs(batches).call(general, other)
    except DifferentError:
        return False
    return True


class _Pairs:
    """Lays two traces over each other; values of one are known by those of the other."""

    def __init__(self, batches: tuple[int, int]):
        self._batches = batches
        self._values: dict[Value, Value] = {}

    def call(self, a: Call, b: Call) -> None:
        if (a.path, a.leaf, len(a.body)) != (b.path, b.leaf, len(b.body)):
            raise DifferentError
        self._trees((a.args, a.kwargs, a.arguments), (b.args, b.kwargs, b.arguments))
        for x, y in zip(a.body, b.body, strict=True):
            self._item(x, y)
        self._trees((a.returned, a.output), (b.returned, b.output))

    def _item(self, a: Item, b: Item) -> None:
        if isinstance(a, Call) and isinstance(b, Call):
            self.call(a, b)
        elif isinstance(a, Op) and isinstance(b, Op) and a.name == b.name:
            self._trees((a.args, a.kwargs, a.output), (b.args, b.kwargs, b.output))
        else:
            raise DifferentError

    def _trees(self, a: Any, b: Any) -> None:
        zip_tree(self._leaves, a, b)

    def _leaves(self, a: Any, b: Any) -> None:
        if isinstance(a, Value) and isinstance(b, Value):
            self._same_values(a, b)
        elif isinstance(a, Structure) and isinstance(b, Structure):
            self._trees(a.fields, b.fields)
        elif not self._same_numbers(a, b):
            raise DifferentError

    def _same_values(self, a: Value, b: Value) -> None:
        if self._values.setdefault(a, b) is not b or len(a.shape) != len(b.shape) or a.path != b.path:
            raise DifferentError
        self._trees(a.shape, b.shape)
        constants = a.path is None and isinstance(a.data, torch.Tensor) and isinstance(b.data, torch.Tensor)
        if constants and (a.data.dtype != b.data.dtype or not torch.equal(a.data, b.data)):
            raise DifferentError

    def _same_numbers(self, a: Any, b: Any) -> bool:
        if isinstance(a, int) and isinstance(b, int) and not isinstance(a, bool):
            a, b = plain(a), plain(b)
            general, other = self._batches
            return a // general * other == b if a and a % general == 0 else a == b
        if type(a) is not type(b):
            return False
        if isinstance(a, bool | float | complex | str):
            return a == b or (a != a and b != b)
        return True  # an object of the user's: what it holds has been looked at where it is used
