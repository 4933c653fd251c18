"""Classes of the user's that are no modules: named tuples, dataclasses and objects that hold arrays."""

import ast
from collections.abc import Iterable, Mapping

import torch

from jaxnets.convert import expressions as e

__all__ = ["Structures"]


class Structures:
    """Names of classes, each given once, and the named tuples that are written for the user's objects.

    Args:
        taken: names that no class gets.
    """

    def __init__(self, taken: Iterable[str]):
        self._taken = set(taken)
        self._names: dict[type, str] = {}
        self._fields: dict[type, list[str]] = {}

    def class_name(self, cls: type) -> str:
        """A new name, for a class of the source."""
        name, k = cls.__name__, 2
        while name in self._taken:
            name, k = f"{cls.__name__}{k}", k + 1
        self._taken.add(name)
        return name

    def expression(self, kind: type, fields: Mapping[str, e.Expr]) -> e.Expr:
        """An object of a class of the user's."""
        if issubclass(kind, torch.nn.utils.rnn.PackedSequence):
            return e.call("nn.utils.rnn.PackedSequence", *fields.values())
        if kind.__name__ == "LinearCrossEntropyOptions":  # newer than the oldest torch that we take
            return e.call("nn.LinearCrossEntropyOptions", **fields)
        if issubclass(kind, Mapping):
            return ast.Dict([e.literal(name) for name in fields], list(fields.values()))
        if kind not in self._names:
            self._names[kind] = self.class_name(kind)
        self._fields[kind] = list(fields)
        return e.call(self._names[kind], **fields)

    def classes(self) -> list[ast.stmt]:
        """The named tuples, those that were met last first."""
        found: list[ast.stmt] = []
        for kind, name in self._names.items():
            fields = "\n".join(f"    {f}: Any" for f in self._fields[kind])
            text = f"class {name}(NamedTuple):\n    '''`{kind.__module__}.{kind.__qualname__}`.'''\n{fields}"
            found.insert(0, ast.parse(text).body[0])
        return found
