"""What other platforms compute, computed here: each branch that is not the CPU's, against torch."""

from typing import Any

import jax
import pytest
from jax import lax

from jaxnets.lowering.conv import Convolution
from parity.cases import CASES
from parity.suite import run
from tests.exhaustive import more

FAMILIES = ("conv", "rnn", "unpooling")
# Every tenth case here, every case with --exhaustive.
CHOSEN = {family: [name for name in CASES if name.startswith(f"{family}/")] for family in FAMILIES}


@pytest.fixture(params=["cuda", "default"])
def platform(request, monkeypatch):
    """Has the branch of another platform taken."""
    taken = []

    def branch(*arrays: Any, default: Any, **branches: Any) -> Any:
        taken.append(request.param)
        return branches.get(request.param, default)(*arrays)

    here = Convolution.gradient

    def there(self: Convolution, _platform: str, slot: int, *arrays: Any) -> Any:
        taken.append(request.param)
        return here(self, request.param, slot, *arrays)

    jax.clear_caches()
    monkeypatch.setattr(lax, "platform_dependent", branch)
    monkeypatch.setattr(Convolution, "gradient", there)
    yield taken
    jax.clear_caches()


@pytest.mark.parametrize(
    ("family", "part"), [*((family, 0) for family in FAMILIES), *more((f, i) for f in FAMILIES for i in range(1, 10))]
)
def test_other_platforms(platform, family, part):
    results = run({name: CASES[name] for name in CHOSEN[family][part::10]}, dtypes=("f64",), ways=("jit",))
    assert results.ok, [check.name for check in results.failed]
    assert platform, "no branch was taken"
