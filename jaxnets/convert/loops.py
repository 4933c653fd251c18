"""Statements that repeat themselves for one layer after the other, as loops."""

import ast
import re
from collections.abc import Sequence

from jaxnets.convert import expressions as e

__all__ = ["rolled"]

LONGEST = 24
"""Statements of a loop's body."""

MEMBER = re.compile(r"\bself((?:\.\w+)+)\[(\d+)\]")
"""`self.layers[3]`."""


def rolled(statements: Sequence[ast.stmt], lengths: dict[str, int]) -> list[ast.stmt]:
    """The statements with `for layer in self.layers:` in the place of repetitions.

    Args:
        statements: of one body.
        lengths: how many layers each list has, by its path from the module.
    """
    result: list[ast.stmt] = []
    texts = [e.unparse(x) for x in statements]
    i = 0
    while i < len(statements):
        found = _repetition(texts, i)
        if found is None:
            result.append(statements[i])
            i += 1
            continue
        size, count, path, first = found
        result.append(_loop(texts[i : i + size], path, first, count, lengths.get(path)))
        i += size * count
    return result


def _repetition(texts: list[str], start: int) -> tuple[int, int, str, int] | None:
    """How many statements from here on repeat, how often, for the layers of which list, from which on."""
    best: tuple[int, int, str, int] | None = None
    for size in range(1, min(LONGEST, (len(texts) - start) // 2) + 1):
        block = texts[start : start + size]
        for path, first in dict.fromkeys((p, int(n)) for x in block for p, n in MEMBER.findall(x)):
            count = 1
            while texts[start + count * size : start + (count + 1) * size] == [
                _moved(x, path, first, first + count) for x in block
            ]:
                count += 1
            if count > 1 and (best is None or size * count > best[0] * best[1]):
                best = size, count, path, first
    return best


def _moved(text: str, path: str, old: int, new: int) -> str:
    """The statement for another layer of the list."""
    return text.replace(f"self{path}[{old}]", f"self{path}[{new}]")


def _loop(block: list[str], path: str, first: int, count: int, length: int | None) -> ast.stmt:
    name = _singular(path.rpartition(".")[2])
    used = {n.id for x in block for n in ast.walk(ast.parse(x)) if isinstance(n, ast.Name)}
    while name in used:
        name += "_"
    over = f"self{path}" if (first, count) == (0, length) else f"self{path}[{first or ''}:{first + count}]"
    body = "\n".join(f"    {x.replace(f'self{path}[{first}]', name)}".replace("\n", "\n    ") for x in block)
    return ast.parse(f"for {name} in {over}:\n{body}").body[0]


def _singular(name: str) -> str:
    if name.endswith("ies"):
        return f"{name[:-3]}y"
    if name.endswith("s") and len(name) > 2 and not name.endswith("ss"):
        return name[:-1]
    return "layer" if name != "layer" else "block"
