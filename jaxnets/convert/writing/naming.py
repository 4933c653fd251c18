"""Names of local variables: those that the user's code has, as far as none hides another that is still needed.

Statements are written with placeholders first, since only the whole body tells how long a name is needed.
"""

import ast
import builtins
import keyword
from collections.abc import Mapping, Sequence
from typing import Any

from jaxnets.convert.trace import Call, Item

__all__ = ["Namer", "Placeholders", "default_name"]

MARK = "%"
"""What a placeholder's name begins with."""

TAKEN = frozenset({*keyword.kwlist, *dir(builtins), "self", "F", "nn", "nnx", "jnp", "jax", "ops", "check", "rngs"})
"""Names that no local variable takes."""


def default_name(item: Item) -> str:
    """The name of a result for which the user's code has none."""
    if isinstance(item, Call):
        name = item.path.rpartition(".")[2]
        return name if not name.isdigit() else "x"
    short = item.name.rpartition(".")[2].strip("_").removesuffix("_with_statistics")
    if short == "pack_padded_sequence":
        return "packed"
    return {"getitem": "part", "setitem": "x"}.get(short, short)


class Placeholders:
    """The placeholders of one body; `wanted` has what each may be called, the best name first."""

    def __init__(self) -> None:
        self.wanted: dict[str, list[str]] = {}

    def argument(self, name: str, *others: str) -> ast.Name:
        """The placeholder of a parameter of the method."""
        self.wanted[f"{MARK}{name}"] = [name, *others]
        return ast.Name(f"{MARK}{name}")

    def new(self, *names: str) -> ast.Name:
        """A placeholder of a variable."""
        placeholder = f"{MARK}{len(self.wanted)}"
        self.wanted[placeholder] = [*names]
        return ast.Name(placeholder)


class Namer:
    """Gives placeholders their names.

    Args:
        statements: of one body, with placeholders.
        wanted: what each placeholder's variable may be called, the best first.
        arguments: the names of the method's parameters.
    """

    def __init__(self, statements: Sequence[ast.stmt], wanted: Mapping[str, list[str]], arguments: Sequence[str]):
        self._wanted = wanted
        self._statements = list(statements)
        self._arguments = [f"{MARK}{name}" for name in arguments]
        self._last: dict[str, int] = {}
        self._first: dict[str, int] = dict.fromkeys(self._arguments, -1)
        for i, statement in enumerate(self._statements):
            for name in _placeholders(statement):
                self._last[name] = i
                self._first.setdefault(name, i)

    def named(self) -> list[ast.stmt]:
        """The statements with names."""
        names: dict[str, str] = {}
        holders: dict[str, str] = {}  # a name, and the placeholder that has it now
        for placeholder in self._arguments:
            names[placeholder] = placeholder[1:]
            holders[placeholder[1:]] = placeholder
        result: list[ast.stmt] = []
        for i, statement in enumerate(self._statements):
            made = [n for n in _placeholders(statement) if self._first[n] == i]
            chosen: dict[str, str] = {}
            for placeholder in made:
                if self._last[placeholder] == i and isinstance(statement, ast.Assign):
                    chosen[placeholder] = "_"  # nobody reads it
                    continue
                moved = self._moved(placeholder, i, names, holders)
                if moved:
                    result.append(moved)
                name = self._name(placeholder, i, holders, chosen)
                chosen[placeholder] = name
            if isinstance(statement, ast.Assign):
                value = _renamed(statement.value, names)
                for placeholder, name in chosen.items():
                    names[placeholder] = name
                    holders[name] = placeholder
                result.append(ast.Assign([_renamed(statement.targets[0], names)], value))
            else:
                result.append(_renamed(statement, names))
        return result

    def _free(self, name: str, i: int, holders: Mapping[str, str]) -> bool:
        holder = holders.get(name)
        return holder is None or self._last.get(holder, -1) <= i

    def _name(self, placeholder: str, i: int, holders: Mapping[str, str], chosen: Mapping[str, str]) -> str:
        last = self._last[placeholder]
        candidates = [_proper(n) for n in self._wanted[placeholder]]
        wanted_later = {
            _proper(names[0])
            for other, names in self._wanted.items()
            if names and i < self._first.get(other, -1) < last
        }
        free = [n for n in candidates if self._free(n, i, holders) and n not in chosen.values()]
        for name in free:
            if name not in wanted_later:
                return name
        if free:
            return free[0]
        stem, k = candidates[0], 2
        while not self._free(f"{stem}_{k}", i, holders) or f"{stem}_{k}" in chosen.values():
            k += 1
        return f"{stem}_{k}"

    def _moved(self, placeholder: str, i: int, names: dict[str, str], holders: dict[str, str]) -> ast.stmt | None:
        """`identity = x`, where a new `x` would hide an argument that is still needed and has another name."""
        wanted = _proper(self._wanted[placeholder][0])
        holder = holders.get(wanted)
        if holder is None or self._free(wanted, i, holders):
            return None
        for other in map(_proper, self._wanted[holder][1:]):
            if other != wanted and self._free(other, i, holders) and holder in self._arguments:
                names[holder] = other
                holders[other] = holder
                del holders[wanted]
                return ast.Assign([ast.Name(other)], ast.Name(wanted))
        return None


def _placeholders(node: ast.AST) -> list[str]:
    return list(dict.fromkeys(n.id for n in ast.walk(node) if isinstance(n, ast.Name) and n.id.startswith(MARK)))


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    class Rename(ast.NodeTransformer):
        def visit_Name(self, name: ast.Name) -> ast.Name:
            return ast.Name(names.get(name.id, name.id))

    return Rename().visit(node)


def _proper(name: str) -> str:
    return f"{name}_" if name in TAKEN or not name.isidentifier() else name
