"""Every case of the database, every property, in float32 and float64; `python -m parity` runs the same checks."""

import pytest

from parity.cases import CASES
from parity.suite import check_case


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("name", CASES)
def test_parity_with_torch(name, dtype):
    checks = check_case(name, CASES[name], dtype)
    assert checks
    assert not [f"{check.name}: {check.why}" for check in checks if check.status != "passed"]
