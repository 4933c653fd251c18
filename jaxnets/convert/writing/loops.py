"""Statements that repeat themselves for one layer after the other, as loops."""

import ast
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxnets.convert import expressions as e

__all__ = ["rolled"]

LONGEST = 24
"""Statements of a loop's body."""

MEMBER = re.compile(r"\bself((?:\.\w+)*)\[(\d+|'[^']+')\]")
"""`self.layers[3]`, `self['left']`."""


class Repetition(NamedTuple):
    """A block of `size` statements, `times` times, for layers of the container `path` from the one at `first` on."""

    size: int
    times: int
    path: str
    first: int


def rolled(statements: Sequence[ast.stmt], containers: Mapping[str, Sequence[str]]) -> list[ast.stmt]:
    """The statements with `for layer in self.layers:` in the place of repetitions.

    Args:
        statements: of one body.
        containers: the keys of each list or dict of layers, as source says them, by its path from the module.
    """
    named = _with_named_result(statements)
    if named is not None:
        found = _rolled(named, containers)
        if isinstance(found[-2], ast.For):
            return found
    return _rolled(statements, containers)


def _with_named_result(statements: Sequence[ast.stmt]) -> list[ast.stmt] | None:
    """`x = f(x); return g(x)` as `x = f(x); x = g(x); return x`: the last may be one of a repetition, too."""
    if len(statements) < 2 or not isinstance(statements[-2], ast.Assign) or not isinstance(statements[-1], ast.Return):
        return None
    target, value = statements[-2].targets[0], statements[-1].value
    if not isinstance(target, ast.Name) or value is None:
        return None
    return [*statements[:-1], ast.Assign([ast.Name(target.id)], value), ast.Return(ast.Name(target.id))]


def _rolled(statements: Sequence[ast.stmt], containers: Mapping[str, Sequence[str]]) -> list[ast.stmt]:
    result: list[ast.stmt] = []
    texts = [e.unparse(x) for x in statements]
    i = 0
    while i < len(statements):
        found = _repetition(texts, i, containers)
        if found is None:
            result.append(statements[i])
            i += 1
            continue
        result.append(_loop(texts[i : i + found.size], found, containers[found.path]))
        i += found.size * found.times
    return result


def _repetition(texts: list[str], start: int, containers: Mapping[str, Sequence[str]]) -> Repetition | None:
    """The longest repetition that begins here."""
    best: Repetition | None = None
    for size in range(1, min(LONGEST, (len(texts) - start) // 2) + 1):
        block = texts[start : start + size]
        members = dict.fromkeys(found for x in block for found in MEMBER.findall(x))
        for path, key in members:
            keys = containers.get(path, ())
            if key not in keys:
                continue
            first, count = list(keys).index(key), 1
            while first + count < len(keys) and texts[start + count * size : start + (count + 1) * size] == [
                x.replace(f"self{path}[{key}]", f"self{path}[{keys[first + count]}]") for x in block
            ]:
                count += 1
            if count > 1 and (best is None or size * count > best.size * best.times):
                best = Repetition(size, count, path, first)
    return best


def _loop(block: list[str], found: Repetition, keys: Sequence[str]) -> ast.stmt:
    path, first, count = found.path, found.first, found.times
    name = _singular(path.rpartition(".")[2])
    used = {n.id for x in block for n in ast.walk(ast.parse(x)) if isinstance(n, ast.Name)}
    while name in used:
        name += "_"
    over = f"self{path}" if keys[0].isdigit() else f"self{path}.values()"
    if (first, count) != (0, len(keys)):
        whole = over if keys[0].isdigit() else f"list({over})"
        over = f"{whole}[{first or ''}:{'' if first + count == len(keys) else first + count}]"
    body = "\n".join(x.replace(f"self{path}[{keys[first]}]", name) for x in block)
    return ast.parse(f"for {name} in {over}:\n    " + body.replace("\n", "\n    ")).body[0]


def _singular(name: str) -> str:
    if name.endswith("ies"):
        return f"{name[:-3]}y"
    if name.endswith("s") and len(name) > 2 and not name.endswith("ss"):
        return name[:-1]
    return "layer" if name != "layer" else "block"
