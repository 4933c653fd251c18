"""What `--exhaustive` alone runs."""

from collections.abc import Iterable
from typing import Any

import pytest

__all__ = ["more"]


def more(cases: Iterable[Any]) -> list[Any]:
    """Cases of a parametrized test that are left out unless `--exhaustive` is given: more of the same."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.exhaustive) for case in cases
    ]
