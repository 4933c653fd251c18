"""One trace of two: what a module did in training and in evaluation."""

from collections.abc import Callable
from typing import Any

import torch

from jaxnets.convert.errors import DifferentError
from jaxnets.convert.sizes import Size
from jaxnets.convert.trace import Call, Item, ModeChoice, Op, Structure, Value, tree_values, zip_tree

__all__ = ["merged"]


def merged(training: Call, evaluation: Call) -> Call | None:
    """The call that stands for both; arguments that differ become `ModeChoice`. None where what is done differs."""
    both = _Both()
    try:
        arguments = {name: both.made(x, evaluation.arguments[name]) for name, x in training.arguments.items()}
        if len(training.body) != len(evaluation.body):
            raise DifferentError
        body = [both.item(a, b) for a, b in zip(training.body, evaluation.body, strict=True)]
        returned = both.used(training.returned, evaluation.returned)
    except (DifferentError, KeyError):
        return None
    for a, b in both.pairs.items():
        for name in b.names.get(evaluation, ()):
            if name not in a.names.get(training, ()):
                a.names.setdefault(training, []).append(name)
    training.arguments, training.body, training.returned = arguments, body, returned
    return training


class _Both:
    """Lays the two traces over each other; `pairs` has the values of evaluation by those of training."""

    def __init__(self) -> None:
        self.pairs: dict[Value, Value] = {}

    def item(self, a: Item, b: Item) -> Item:
        if isinstance(a, Op) and isinstance(b, Op):
            if a.name != b.name:
                raise DifferentError
            args, kwargs = self.used(a.args, b.args), self.used(dict(a.kwargs), dict(b.kwargs))
            self.made(a.output, b.output)
            a.args, a.kwargs = args, kwargs
            return a
        if isinstance(a, Call) and isinstance(b, Call) and (a.path, a.leaf) == (b.path, b.leaf):
            self.used(a.arguments, b.arguments)
            if a.leaf:
                a.args, a.kwargs = self.used(a.args, b.args), self.used(dict(a.kwargs), dict(b.kwargs))
            self.made(a.output, b.output)
            return a
        raise DifferentError

    def made(self, a: Any, b: Any) -> Any:
        """The tree that stands for both, where its values are new: they become pairs."""
        return self._zipped(self._new, a, b)

    def used(self, a: Any, b: Any) -> Any:
        """The tree that stands for both, where its values are known, or were there before."""
        return self._zipped(self._known, a, b)

    def _zipped(self, values: Callable[[Value, Value], Value], a: Any, b: Any) -> Any:
        def both(x: Any, y: Any) -> Any:
            if isinstance(x, Value) and isinstance(y, Value):
                return values(x, y)
            if isinstance(x, Structure) and isinstance(y, Structure):
                if x.kind is not y.kind:
                    raise DifferentError
                return Structure(x.kind, zip_tree(both, x.fields, y.fields))
            return _chosen(x, y)

        return zip_tree(both, a, b)

    def _new(self, a: Value, b: Value) -> Value:
        if a in self.pairs or _is_outside(a):
            return self._known(a, b)
        self.pairs[a] = b
        return a

    def _known(self, a: Value, b: Value) -> Value:
        same = self.pairs[a] is b if a in self.pairs else _is_same_outside(a, b)
        if not same:
            raise DifferentError
        return a


def _chosen(a: Any, b: Any) -> Any:
    """What stands for two things that are no arrays."""
    if any(True for _ in tree_values((a, b))):
        raise DifferentError
    if isinstance(a, Size) or isinstance(b, Size):
        if not isinstance(b, int) or not int.__eq__(a, b):
            raise DifferentError
        return a
    if type(a) is type(b) and _equal(a, b):
        return a
    if isinstance(a, bool | int | float | str) and isinstance(b, bool | int | float | str):
        return ModeChoice(a, b)
    if type(a) is type(b):
        return a  # an object of the user's: nothing that is written depends on it
    raise DifferentError


def _equal(a: Any, b: Any) -> bool:
    try:
        return a is b or bool(a == b) or (a != a and b != b)
    except (TypeError, ValueError, RuntimeError):
        return False


def _is_outside(value: Value) -> bool:
    """Whether no operation made a value: it is a parameter, a buffer or a constant."""
    return value.path is not None or (value.scope is None and value.data is not None)


def _is_same_outside(a: Value, b: Value) -> bool:
    if not _is_outside(a) or not _is_outside(b):
        return False
    if a.path or b.path:
        return a.path == b.path
    return a.data.dtype == b.data.dtype and a.data.shape == b.data.shape and torch.equal(a.data, b.data)
