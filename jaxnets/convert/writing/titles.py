"""Names of a constructor's parameters: the user's own, where they can be known."""

import keyword
import re
from typing import Any

from jaxnets.convert.layers.calls import Build
from jaxnets.convert.writing.constructors import passed
from jaxnets.convert.writing.slots import FREE, Row, Slots

__all__ = ["titles"]

TAKEN = {"self", "rngs", "deterministic", "jax", "jnp", "nn", "nnx", "F", "ops"}
"""Names that no parameter has."""


def titles(slots: Slots, rows: dict[int, Row]) -> dict[int, str]:
    """A name for each row that becomes a parameter."""
    known = passed(slots.instances[0].module)
    taken = {*TAKEN, *(row.attribute for row in slots.rows if row.attribute)}
    parts = {name for x in slots.instances for name in x.parts}
    found: dict[int, str] = {}
    for i, row in rows.items():
        found[i] = row.attribute or _title(row, known, taken, parts)
        taken.add(found[i])
    return found


def _title(row: Row, known: dict[str, str], taken: set[str], parts: set[str]) -> str:
    candidates = [_proper(c) for c in _candidates(row, known)]
    for title in candidates:
        # a part's own name is free for what stands in the whole of its place
        if title not in taken and (title not in parts or [title] == row.hints):
            return title
    k = 2
    while f"{candidates[0]}_{k}" in taken | parts:
        k += 1
    return f"{candidates[0]}_{k}"


def _candidates(row: Row, known: dict[str, str]) -> list[str]:
    candidates = [known[hint] for hint in row.hints if hint in known]
    candidates += [f"hidden_{unit}" for unit in ("channels", "features") if _is_between(row.hints, unit)]
    for hint in row.hints:
        plain = hint.removeprefix("self.")
        head, _, last = plain.rpartition(".")
        if last.isdigit():
            candidates.append(_kind_name(row.values) or f"{head}_{last}".strip("_"))
        else:
            candidates.append(last)
        candidates.append(plain)
    return candidates


def _is_between(hints: list[str], unit: str) -> bool:
    """Whether it is the size of what one layer gives to another, and no more."""
    uses = [use for hint in hints if (use := hint.rpartition(".")[2]) in (f"in_{unit}", f"out_{unit}")]
    return bool(uses) and hints[0].endswith(f"out_{unit}") and uses[-1] == f"in_{unit}"


def _proper(name: str) -> str:
    name = re.sub(r"\W", "_", name)
    return name if name.isidentifier() and not keyword.iskeyword(name) else f"layer_{name}"


def _kind_name(values: list[Any]) -> str | None:
    """What layers are, where a container's place is taken by one or another, or by none."""
    names = {x.name for x in values if isinstance(x, Build)}
    if names and names <= {*FREE, "PReLU"} and all(x is None or isinstance(x, Build) for x in values):
        return "activation"
    return None
