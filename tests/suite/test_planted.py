"""Planted bugs: the suite must catch each, and by the right property."""

import importlib
import pkgutil

import jax
import planted
import pytest

import parity
from parity import Case
from parity.case import matches
from parity.cases import CASES

for room in pkgutil.iter_modules(planted.__path__):
    importlib.import_module(f"planted.{room.name}")


def database(*cases: str | Case) -> dict[str, Case]:
    found = {}
    for case in cases:
        if isinstance(case, Case):
            found[str(case)] = case
        else:
            matching = [name for name in CASES if matches(name, case)]
            assert matching, case
            found |= {name: CASES[name] for name in matching[:3]}
    return found


@pytest.fixture
def fresh_programs():
    """No program compiled before a bug is planted may run with it, none with it afterwards."""
    jax.clear_caches()
    yield
    jax.clear_caches()


@pytest.mark.parametrize("bug", planted.PLANTS)
def test_planted_bug_is_caught(bug, fresh_programs, monkeypatch):
    """That the database's cases hold without it, `python -m parity --quick` tells, the other half of `make test`."""
    cultivate, wanted, caught_by = planted.PLANTS[bug]
    cases = database(*wanted)
    own = {name: case for name, case in cases.items() if name not in CASES}
    assert not parity.run(own, dtypes=("f64",), ways=("jit",)).failed
    jax.clear_caches()
    cultivate(monkeypatch)
    spoiled = parity.run(cases, dtypes=("f64",), ways=("jit",))
    assert set(spoiled.caught_by()) == caught_by, spoiled.failed


def test_at_least_forty_bugs_are_planted():
    assert len(planted.PLANTS) >= 40
