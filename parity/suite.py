"""The suite: every property over every case."""

import itertools
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import jax
import torch
from flax import nnx

from parity.case import Case, identify
from parity.comparison import comparing, exact_run, fair_rows, state_rows
from parity.draws import draw_rows
from parity.inputs import DTYPES, Pair
from parity.sides import JaxSide, TorchSide, random_layers
from parity.tolerance import Row
from parity.tolerances import looser

WAYS = ("jit", "eager")
PROPERTIES = ("state", "structure", "forward", "parameter gradient", "input gradient", "buffers", "draws", "call")
NORMS = (torch.nn.modules.batchnorm._NormBase,)

PROGRAMS_KEPT = 40
"""After so many cases what was compiled for them is let go: a thousand cases would hold gigabytes."""

_turn = itertools.count(1)


@dataclass(frozen=True)
class Check:
    """One property of one case in one dtype, mode and way.

    Args:
        case: the case's name.
        dtype: "f32", "f64", "bf16" or "f16".
        mode: "eval", "train", or "any" for a layer that does not tell them apart.
        way: "eager" or "jit".
        property: one of `PROPERTIES`.
        status: "passed", "failed", or "not in torch" where torch has no kernel for the dtype.
        error: the greatest `max|a - b| / max(1, max|b|)` of the property's arrays.
        why: what failed, or torch's words.
        remark: how far from torch's float64 both are, where elements exceed the tolerance.
    """

    case: str
    dtype: str
    mode: str
    way: str
    property: str
    status: Literal["passed", "failed", "not in torch"]
    error: float = 0.0
    why: str = ""
    remark: str = ""

    @cached_property
    def family(self) -> str:
        return self.case.partition("/")[0]

    @cached_property
    def name(self) -> str:
        return f"{self.case} {self.dtype} {self.mode} {self.way} {self.property}"


@dataclass(frozen=True)
class Results:
    """What `run` found."""

    checks: tuple[Check, ...]
    seconds: float = 0.0

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.status == "failed")

    @property
    def skipped(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.status == "not in torch")

    @property
    def judged(self) -> tuple[Check, ...]:
        """What passed by its distance from torch's float64."""
        return tuple(check for check in self.checks if check.status == "passed" and check.remark)

    @property
    def passed(self) -> int:
        return len(self.checks) - len(self.failed) - len(self.skipped)

    @property
    def ok(self) -> bool:
        """Whether all holds, and there was anything to hold."""
        return self.passed > 0 and not self.failed

    def caught_by(self) -> dict[str, int]:
        """The properties that failed, with the number of checks."""
        return dict(Counter(check.property for check in self.failed))

    def table(self) -> list[tuple[str, str, int, int, int, float]]:
        """For each family and property: checks, failed, not in torch, and the greatest error of those that passed."""
        groups: dict[tuple[str, str], list[Check]] = {}
        for check in self.checks:
            groups.setdefault((check.family, check.property), []).append(check)
        return [
            (
                family,
                property,
                len(group),
                sum(check.status == "failed" for check in group),
                sum(check.status == "not in torch" for check in group),
                max((check.error for check in group if check.status == "passed"), default=0.0),
            )
            for (family, property), group in sorted(groups.items())
        ]

    def summary(self) -> str:
        """One line: how many checks, how many failed, the greatest error."""
        cases = len({check.case for check in self.checks})
        text = f"{self.passed} checks passed, {len(self.failed)} failed over {cases} cases in {self.seconds:.0f} s"
        if self.skipped:
            text += f"; {len(self.skipped)} not in torch"
        if self.judged:
            text += f"; {len(self.judged)} of them beyond torch.testing's tolerance, and as near to float64 as torch"
        return text


def run(
    cases: Iterable[Case] | Mapping[str, Case],
    *,
    dtypes: Sequence[str] = ("f32", "f64"),
    ways: Sequence[str] = WAYS,
    progress: Callable[[str], None] | None = None,
) -> Results:
    """Checks every property of every case on the default device.

    Args:
        cases: cases, or cases by name; without names they go by what they are.
        dtypes: any of "f32", "f64", "bf16", "f16".
        ways: any of "eager" and "jit". Gradients are compared in the first of them.
        progress: called with each case's name when it is done.

    Raises:
        ValueError: a dtype or way that does not exist.

    >>> from parity import Case, normal
    >>> run([Case("Linear", (3, 2), inputs=(normal(4, 3),))]).ok
    True
    """
    for name, given, known in (("dtypes", dtypes, tuple(DTYPES)), ("ways", ways, WAYS)):
        for value in given:
            if value not in known:
                raise ValueError(f"{name}: expected some of {', '.join(known)}, got {value!r}")
    began = time.monotonic()
    named = cases if isinstance(cases, Mapping) else identify({"mine": tuple(cases)})
    checks: list[Check] = []
    for name, case in named.items():
        for dtype in dtypes:
            checks += check_case(name, case, dtype, ways)
        if progress:
            progress(name)
    return Results(tuple(checks), time.monotonic() - began)


def check_case(name: str, case: Case, dtype: str, ways: Sequence[str] = WAYS) -> list[Check]:
    """All checks of one case in one dtype."""
    if not next(_turn) % PROGRAMS_KEPT:
        jax.clear_caches()
    checks: list[Check] = []
    with comparing(wide=dtype == "f64"), warnings.catch_warnings():
        # Both libraries warn of some cases, in the same words: of an implicit `dim`, of even kernels with "same".
        warnings.simplefilter("ignore", UserWarning)
        try:
            pair = Pair(case, dtype)
            with _in_torch():
                theirs = pair.torch()
            for mode, way, rows in _properties(pair, theirs, ways):
                checks.append(_check(name, dtype, mode, way, rows))
        except TorchError as error:
            checks.append(_refused(name, dtype, error))
    return checks


def _properties(pair: Pair, theirs: Any, ways: Sequence[str]) -> Iterator[tuple[str, str, list[Row]]]:
    """`(mode, way, rows of one property)` for all that can be compared."""
    try:
        ours = pair.jax(theirs.state_dict() if isinstance(theirs, torch.nn.Module) else {})
    except Exception as error:
        yield "any", "eager", [_raised("state", error)]
        return
    yield from _states(pair, theirs, ours)
    for mode in ("eval", "train") if tells_modes_apart(theirs, ours) else ("any",):
        torch_side = TorchSide(theirs, pair.args, pair.kwargs, mode == "train")
        jax_side = JaxSide(ours, pair.args, pair.kwargs, mode == "train")
        with _in_torch():
            expected, directions = torch_side.run(True, pair.case.seed)
        for way in ways:
            try:
                grad = way == ways[0]
                exact = exact_run(theirs, pair.args, pair.kwargs, mode == "train", True, directions)
                rows = fair_rows(jax_side.run(grad, directions, way == "jit"), expected, exact)
            except Exception as error:
                rows = [_raised("call", error)]
            for property in PROPERTIES:
                if group := [row for row in rows if row.property == property]:
                    yield mode, way, group
    if random_layers(theirs):
        try:
            rows = draw_rows(theirs, ours, pair.args, pair.kwargs, pair.case.seed)
        except Exception as error:
            rows = [_raised("draws", error)]
        if rows:
            yield "train", "jit", rows


def _states(pair: Pair, theirs: Any, ours: Any) -> Iterator[tuple[str, str, list[Row]]]:
    torch_side = TorchSide(theirs, pair.args, pair.kwargs, False)
    jax_side = JaxSide(ours, pair.args, pair.kwargs, False)
    if torch_side.state or jax_side.state:
        rows, names, wanted = state_rows(torch_side, jax_side), list(jax_side.state), list(torch_side.state)
        if names != wanted:
            rows.append(Row("state", "names", ok=False, note=f"order {names}, expected torch's {wanted}"))
        yield "any", "eager", rows


def tells_modes_apart(theirs: Any, ours: Any) -> bool:
    """Whether training and evaluation can differ on either side, random layers held still."""
    if isinstance(theirs, torch.nn.Module) and any(isinstance(layer, NORMS) for layer in theirs.modules()):
        return True
    if not isinstance(ours, nnx.Module):
        return False
    return JaxSide(ours, (), {}, True).graph != JaxSide(ours, (), {}, False).graph


class TorchError(Exception):
    """What torch raised: its kernel lacks the dtype, or the case is none."""


@contextmanager
def _in_torch() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise TorchError(f"{type(error).__name__}: {error}".partition("\n")[0]) from error


def _raised(property: str, error: Exception) -> Row:
    return Row(property, "", ok=False, note=f"raised {type(error).__name__}: {error}")


def _refused(name: str, dtype: str, error: TorchError) -> Check:
    text = str(error)
    lacking = dtype in ("bf16", "f16") and ("not implemented" in text or "not support" in text)
    return Check(name, dtype, "any", "eager", "call", "not in torch" if lacking else "failed", why=f"torch: {text}")


def _check(name: str, dtype: str, mode: str, way: str, rows: list[Row]) -> Check:
    property = rows[0].property
    bound = looser(name, dtype, property)
    wrong = [row for row in rows if not (row.ok or (bound is not None and row.mismatched and row.error <= bound))]
    error = max(row.error for row in rows)
    status: Literal["passed", "failed"] = "failed" if wrong else "passed"
    remark = next((f"{row.name}: {row.remark}" for row in rows if row.remark), "")
    return Check(name, dtype, mode, way, property, status, error, wrong[0].why() if wrong else "", remark)
