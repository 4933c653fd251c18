"""One trace of two: what a module did in training and in evaluation."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from jaxnets.convert.errors import DifferentError
from jaxnets.convert.operators.table import is_function
from jaxnets.convert.trace import (
    Call,
    Item,
    ModeChoice,
    Op,
    Structure,
    Value,
    has_arrays,
    tree_leaves,
    writes,
    zip_tree,
)

__all__ = ["merged"]


def merged(training: Call, evaluation: Call) -> Call | None:
    """The call that stands for both; arguments that differ become `ModeChoice`. None where what is done differs."""
    both = _Both()
    try:
        arguments = {name: both.passed(x, evaluation.arguments[name]) for name, x in training.arguments.items()}
        if len(training.body) != len(evaluation.body):
            raise DifferentError
        chosen = [both.item(i, a, b) for i, (a, b) in enumerate(zip(training.body, evaluation.body, strict=True))]
        returned = both.used(training.returned, evaluation.returned)
    except (DifferentError, KeyError):
        return None
    for a, b in both.pairs.items():
        for name in b.names.get(evaluation, ()):
            if name not in a.names.get(training, ()):
                a.names.setdefault(training, []).append(name)
    for item, inputs in zip(training.body, chosen, strict=True):
        item.args, item.kwargs = inputs
    training.arguments, training.returned = arguments, returned
    return training


class _Both:
    """Lays the two traces over each other; `pairs` has the values of evaluation by those of training."""

    def __init__(self) -> None:
        self.pairs: dict[Value, Value] = {}
        self._paired: set[Value] = set()
        self._written = _Written(), _Written()

    def item(self, place: int, a: Item, b: Item) -> tuple[Any, Any]:
        """The arguments, and the keyword arguments, of what stands for both."""
        if a.grad != b.grad:
            raise DifferentError
        inputs = a.args, a.kwargs
        if isinstance(a, Op) and isinstance(b, Op) and a.name == b.name:
            inputs = self.used(a.args, b.args), self.used(dict(a.kwargs), dict(b.kwargs))
            if any(isinstance(x, ModeChoice) for x in tree_leaves(inputs)) and not is_function(a.name):
                raise DifferentError
        elif not (isinstance(a, Call) and isinstance(b, Call) and (a.path, a.leaf) == (b.path, b.leaf)):
            raise DifferentError
        elif a.leaf:
            inputs = self.used(a.args, b.args), self.used(dict(a.kwargs), dict(b.kwargs))
        else:
            self._zipped(self._known, _passed, a.arguments, b.arguments)
        for written, item in zip(self._written, (a, b), strict=True):
            written.add(place, item)
        self._zipped(self._new, _chosen, a.output, b.output)
        return inputs

    def passed(self, a: Any, b: Any) -> Any:
        """The tree that stands for both among the arguments of a module: its values become pairs."""
        return self._zipped(self._new, _passed, a, b)

    def used(self, a: Any, b: Any) -> Any:
        """The tree that stands for both, where its values are known, or were there before."""
        return self._zipped(self._known, _chosen, a, b)

    def _zipped(
        self, values: Callable[[Value, Value], Value], others: Callable[[Any, Any], Any], a: Any, b: Any
    ) -> Any:
        def both(x: Any, y: Any) -> Any:
            if isinstance(x, Value) and isinstance(y, Value):
                return values(x, y)
            if isinstance(x, Structure) and isinstance(y, Structure):
                if x.kind is not y.kind:
                    raise DifferentError
                return Structure(x.kind, zip_tree(both, x.fields, y.fields))
            if has_arrays((x, y)):
                return _same_size(x, y)
            return others(x, y)

        return zip_tree(both, a, b)

    def _new(self, a: Value, b: Value) -> Value:
        if a in self.pairs or _is_outside(a):
            return self._known(a, b)
        if (a.path, a.shape, a.dtype) != (b.path, b.shape, b.dtype):
            raise DifferentError
        self.pairs[a] = b
        self._paired.add(b)
        return a

    def _known(self, a: Value, b: Value) -> Value:
        known = a in self.pairs or b in self._paired
        if not (self.pairs.get(a) is b if known else _is_same_outside(a, b)):
            raise DifferentError
        spans = [written.span(x) for written, x in zip(self._written, (a, b), strict=True)]
        are_last = all(until is None for _, until in spans)  # then both are what is there
        if spans[0] != spans[1] and not are_last:
            raise DifferentError
        return a


class _Written:
    """When the parameters and buffers were written to, in one trace: by the place in the body."""

    def __init__(self) -> None:
        self._values: dict[str | None, list[tuple[int, Value]]] = {}

    def add(self, place: int, item: Item) -> None:
        for value in writes(item):
            self._values.setdefault(value.path, []).append((place, value))

    def span(self, value: Value) -> tuple[int | None, int | None]:
        """Since when, and until when, a parameter or buffer has been what a value says; None stands for always."""
        written = self._values.get(value.path, [])
        since = next((i for i, (_, x) in enumerate(written) if x is value), -1)
        places = [None, *(place for place, _ in written), None]
        return places[since + 1], places[since + 2]


def _same_size(a: Any, b: Any) -> Any:
    """A size in both traces."""
    if not isinstance(a, int) or not isinstance(b, int) or not int.__eq__(a, b):
        raise DifferentError
    return a


def _passed(a: Any, b: Any) -> Any:
    """What is no array among the arguments of a module: its body has been looked at with each of the two."""
    return a


def _chosen(a: Any, b: Any) -> Any:
    """What stands for two things that are no arrays."""
    if type(a) is type(b) and (isinstance(a, UNWRITTEN) or _is_equal(a, b)):
        return a
    if isinstance(a, NUMBERS) and isinstance(b, NUMBERS):
        return ModeChoice(a, b)
    raise DifferentError


NUMBERS = bool | int | float | complex | str
"""What an expression chooses by the mode, and no rule of dtypes asks for."""

UNWRITTEN = torch.device | torch.layout | torch.memory_format | torch.Generator
"""Objects that change no number."""


def _is_equal(a: Any, b: Any) -> bool:
    if isinstance(a, float | complex):
        return repr(a) == repr(b)  # zeros have signs
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return a is b or bool(a == b)


def _is_outside(value: Value) -> bool:
    """Whether no operation made a value: it is a parameter, a buffer or a constant."""
    return value.scope is None and (value.path is not None or value.data is not None)


def _is_same_outside(a: Value, b: Value) -> bool:
    if a.path or b.path:
        return a.path == b.path
    if not _is_outside(a) or not _is_outside(b):
        return False
    return a.data.dtype == b.data.dtype and a.data.shape == b.data.shape and torch.equal(a.data, b.data)
