"""Every case by its name: ours, then those of torch's own databases."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Any

from parity.case import matches
from parity.cases import CASES
from parity.module_db import SAMPLES

DATABASE: Mapping[str, Any] = MappingProxyType({**CASES, **SAMPLES})
"""The cases of the whole suite."""

ON_REQUEST = {"op_db": ("parity.op_db", "parity.tensor_db")}
"""Databases of which a case runs only when it is asked for, and where they are."""


@cache
def requested(database: str) -> Mapping[str, Any]:
    """The cases of a database of `ON_REQUEST`."""
    return {name: case for room in ON_REQUEST[database] for name, case in import_module(room).samples().items()}


def find(patterns: Sequence[str]) -> dict[str, Any]:
    """The cases that a pattern matches, all of `DATABASE` without patterns; a whole name means that case alone."""
    known = dict(DATABASE)
    for database in ON_REQUEST:
        if any(pattern.startswith(f"{database}/") for pattern in patterns):
            known |= requested(database)
    if not patterns:
        return known
    return {
        name: case
        for name, case in known.items()
        if any(name == pattern if pattern in known else matches(name, pattern) for pattern in patterns)
    }
