"""One trace of two: what a module did in training and in evaluation."""

from collections.abc import Mapping
from typing import Any

import torch

from jaxnets.convert.errors import DifferentError
from jaxnets.convert.sizes import Size
from jaxnets.convert.trace import Call, Item, ModeChoice, Op, Structure, Value, tree_values

__all__ = ["merged"]


def merged(training: Call, evaluation: Call) -> Call | None:
    """The call that stands for both; arguments that differ become `ModeChoice`. None where what is done differs."""
    pairs: dict[Value, Value] = {}
    try:
        arguments = {name: _same(x, evaluation.arguments[name], pairs, True) for name, x in training.arguments.items()}
        if len(training.body) != len(evaluation.body):
            raise DifferentError
        body = [_item(a, b, pairs) for a, b in zip(training.body, evaluation.body, strict=True)]
        returned = _same(training.returned, evaluation.returned, pairs, False)
    except (DifferentError, KeyError):
        return None
    for a, b in pairs.items():
        for name in b.names.get(evaluation, ()):
            if name not in a.names.get(training, ()):
                a.names.setdefault(training, []).append(name)
    training.arguments, training.body, training.returned = arguments, body, returned
    return training


def _item(a: Item, b: Item, pairs: dict[Value, Value]) -> Item:
    if isinstance(a, Op) and isinstance(b, Op):
        if a.name != b.name:
            raise DifferentError
        args, kwargs = _same(a.args, b.args, pairs, False), _same(dict(a.kwargs), dict(b.kwargs), pairs, False)
        _outputs(a.output, b.output, pairs)
        a.args, a.kwargs = args, kwargs
        return a
    if isinstance(a, Call) and isinstance(b, Call) and (a.path, a.leaf) == (b.path, b.leaf):
        _same(a.arguments, b.arguments, pairs, False)
        if a.leaf:
            a.args, a.kwargs = _same(a.args, b.args, pairs, False), _same(dict(a.kwargs), dict(b.kwargs), pairs, False)
        _outputs(a.output, b.output, pairs)
        return a
    raise DifferentError


def _outputs(a: Any, b: Any, pairs: dict[Value, Value]) -> None:
    _same(a, b, pairs, True)


def _same(a: Any, b: Any, pairs: dict[Value, Value], new: bool) -> Any:
    """The tree that stands for both; new values of the two sides become pairs."""
    if isinstance(a, Value) and isinstance(b, Value):
        if a in pairs:
            if pairs[a] is not b:
                raise DifferentError
        elif new and not _is_outside(a):
            pairs[a] = b
        elif not _is_outside(a) or not _is_outside(b) or not _same_outside(a, b):
            raise DifferentError
        return a
    if isinstance(a, Structure) and isinstance(b, Structure):
        if a.kind is not b.kind:
            raise DifferentError
        return Structure(a.kind, _same(a.fields, b.fields, pairs, new))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if list(a) != list(b):
            raise DifferentError
        return {key: _same(a[key], b[key], pairs, new) for key in a}
    if isinstance(a, slice) and isinstance(b, slice):
        parts = zip((a.start, a.stop, a.step), (b.start, b.stop, b.step), strict=True)
        return slice(*(_same(x, y, pairs, new) for x, y in parts))
    if isinstance(a, tuple | list) and type(a) is type(b):
        if len(a) != len(b):
            raise DifferentError
        return type(a)(_same(x, y, pairs, new) for x, y in zip(a, b, strict=True))
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
    if type(a) is type(b) and not isinstance(a, tuple | list | dict):
        return a  # an object of the user's: nothing that is written depends on it
    raise DifferentError


def _equal(a: Any, b: Any) -> bool:
    try:
        return a is b or bool(a == b) or (a != a and b != b)
    except (TypeError, ValueError, RuntimeError):
        return False


def _is_outside(value: Value) -> bool:
    return value.path is not None or (value.scope is None and value.data is not None)


def _same_outside(a: Value, b: Value) -> bool:
    if a.path or b.path:
        return a.path == b.path
    return a.data.dtype == b.data.dtype and a.data.shape == b.data.shape and torch.equal(a.data, b.data)
