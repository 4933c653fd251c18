"""Random cases of each family: torch's numbers, or a refusal where torch refuses."""

import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from strategies import FAMILIES

import parity
from parity import Case, trees
from parity.case import Spec
from parity.cases import FAMILIES as OURS
from parity.comparison import comparing
from parity.inputs import pair
from parity.suite import _refusal

TESTS = Path(__file__).parents[1] / "nn"
ELSEWHERE = {"lazy": "conv", "linear_cross_entropy": "linear_cross_entropy"}
"""Families whose strategies are in the room of another."""


def is_hard(value) -> bool:
    """Whether numbers are infinite or missing: what gradients are then, torch's own loops do not agree on."""
    return isinstance(value, Spec) and value.draw == "hard"


def refused(case: Case) -> bool:
    made = pair(case, "f64")
    try:
        made.torch()(*trees.torch_tree(made.args), **trees.torch_tree(made.kwargs))
    except Exception as error:
        note(f"torch: {error}")
        return True
    return False


def holds(case: Case) -> None:
    note(str(case))
    with comparing(wide=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both warn of some cases, in the same words
        if refused(case):
            row = _refusal(pair(case, "f64"))
            assert row.ok, row.note
            return
    results = parity.run([case], dtypes=("f64",), ways=("eager",) if any(map(is_hard, case.inputs)) else ("jit",))
    assert results.ok, [f"{check.name}: {check.why}" for check in results.failed]


@pytest.mark.parametrize("family", FAMILIES)
def test_any_case(family):
    @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(FAMILIES[family])
    def check(case):
        holds(case)

    check()


def test_every_family_has_a_strategy():
    drawn = {family for family in OURS if "given(" in _tests_of(family)}
    assert set(OURS) <= drawn | set(FAMILIES) | set(ELSEWHERE), set(OURS) - drawn - set(FAMILIES)


def _tests_of(family: str) -> str:
    path = TESTS / f"test_{family}.py"
    return path.read_text() if path.exists() else ""


def test_what_fails_shrinks_to_a_readable_case(monkeypatch):
    monkeypatch.setattr("jaxnets.nn.ReLU.__call__", lambda self, input: input + 1)

    @settings(max_examples=50, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(1, 3).map(lambda n: Case("ReLU", inputs=(parity.normal(n),))))
    def check(case):
        holds(case)

    with pytest.raises(AssertionError) as caught:
        check()
    assert "ReLU()[normal(" in "\n".join(caught.value.__notes__)
