"""The table of exclusions, torch's `__all__`, ours, the docs and the case database tell one story."""

import re
from pathlib import Path

import jaxnets.functional as F
from jaxnets import nn
from parity import coverage
from parity.coverage import ELSEWHERE, EXCLUDED, classes, functions

DOCS = Path(__file__).parents[2] / "docs"
COMMAND = "python -m parity.coverage docs/parity/coverage.md"


def test_every_class_of_torch_is_here_or_excluded():
    excluded = {name for name in EXCLUDED if not name.startswith("functional.")}
    assert set(classes()) - set(nn.__all__) == excluded


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
