"""Bugs that others have shipped, one by one, each with the cases and the properties that must catch it."""

from collections.abc import Callable

import pytest

from parity import Case

FORWARD = {"forward", "input gradient", "parameter gradient"}
UNWEIGHTED = FORWARD - {"parameter gradient"}
PLANTS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], list[str | Case], set[str]]] = {}
"""By name: what plants the bug, the cases, and the properties that catch it."""


def plant(cases: list[str | Case], caught_by: set[str]) -> Callable:
    """Registers a function that plants a bug; a str stands for the first three cases of the database it matches."""

    def register(function: Callable[[pytest.MonkeyPatch], None]) -> Callable:
        assert function.__name__ not in PLANTS, function.__name__
        PLANTS[function.__name__] = (function, cases, caught_by)
        return function

    return register
