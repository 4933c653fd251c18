"""The table of exclusions, torch's `__all__`, ours, the docs and the case database tell one story."""

import inspect
import re
from pathlib import Path

import pytest
import torch
from flax import nnx

import jaxnets.functional as F
from jaxnets import nn
from parity import coverage
from parity.coverage import ELSEWHERE, EXCLUDED, classes, functions

DOCS = Path(__file__).parents[2] / "docs"
COMMAND = "python -m parity.coverage docs/parity/coverage.md"


def test_every_class_of_torch_is_here_or_excluded():
    excluded = {name for name in EXCLUDED if not name.startswith("functional.")}
    assert set(classes()) - set(nn.__all__) == excluded


def arguments(cls: type) -> list[tuple[str, str]]:
    return [
        (name, re.sub(" at 0x.*", "", repr(argument.default)))
        for name, argument in inspect.signature(cls).parameters.items()
        if name not in ("device", "rngs", "param_dtype", "checkpoint_every")
    ]


@pytest.mark.parametrize("name", [name for name in classes() if name not in EXCLUDED])
def test_every_class_shows_torchs_arguments(name):
    """In torch's order, with torch's defaults, but `device` and what is ours; torch's own `*args` say nothing."""
    theirs = arguments(getattr(torch.nn, name))
    if theirs[:1] != [("args", "<class 'inspect._empty'>")]:
        assert arguments(getattr(nn, name)) == theirs


def test_a_layer_and_a_users_subclass_show_their_own_arguments():
    class Square(nn.Linear):
        def __init__(self, size: int, *, rngs: nnx.Rngs):
            super().__init__(size, size, rngs=rngs)

    assert list(inspect.signature(Square).parameters) == ["size", "rngs"]
    assert list(inspect.signature(Square(2, rngs=nnx.Rngs(0))).parameters) == ["input"]


def test_every_function_of_torch_is_here_or_excluded():
    excluded = {name.removeprefix("functional.") for name in EXCLUDED if name.startswith("functional.")}
    assert set(functions()) - set(F.__all__) == excluded


def test_at_most_eight_exclusions_each_with_a_reason():
    assert len(EXCLUDED) <= 8
    assert all(len(reason.split()) > 3 for reason in EXCLUDED.values())


def test_every_class_and_function_has_a_case_or_a_proof_elsewhere():
    names = {*classes(), *(f"functional.{name}" for name in functions())} - set(EXCLUDED)
    assert {name for name in names if not coverage.cases_of()[name]} == set(ELSEWHERE)
    for where in ELSEWHERE.values():
        path = where.partition(",")[0]
        assert not path.endswith(".py") or (DOCS.parent / path).exists()


def test_every_class_of_torchs_database_is_here():
    assert len(coverage.samples_of()) == 114
    assert coverage.samples_of().total() == 2067 + 90
    assert set(coverage.samples_of()) <= set(nn.__all__)


def test_the_page_is_up_to_date():
    assert (DOCS / "parity" / "coverage.md").read_text() == coverage.markdown(), f"run {COMMAND}"


def test_every_public_name_is_in_the_reference():
    pages = "".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    rooms = set(re.findall(r"^::: (\S+)$", pages, re.MULTILINE))
    homes = {getattr(getattr(package, name), "__module__", "") for package in (nn, F) for name in package.__all__}
    assert not {home for home in homes if home.startswith("jaxnets.")} - rooms
