"""The suite: every property over every case."""

import itertools
import re
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

import jax
import torch
from flax import nnx

from parity.case import Case, identify
from parity.comparison import comparing, state_rows
from parity.draws import draw_rows
from parity.inputs import DTYPES, Pair, pair
from parity.sides import JaxSide, TorchError, TorchSide, draws_always, random_layers, torchs_part
from parity.tolerance import Row
from parity.tolerances import looser
from parity.ways import WAYS, WAYS_OF, Bout, options

PROPERTIES = (
    "state",
    "structure",
    "forward",
    "parameter gradient",
    "input gradient",
    "buffers",
    "second derivative",
    "draws",
    "lowers",
    "refusal",
    "call",
)
NORMS = (torch.nn.modules.batchnorm._NormBase,)

PROGRAMS_KEPT = 200
"""After so many cases what was compiled for them is let go: a thousand cases would hold gigabytes."""

_turn = itertools.count(1)


@dataclass(frozen=True)
class Check:
    """One property of one case in one dtype, mode and way.

    Args:
        case: the case's name.
        dtype: "f32", "f64", "bf16" or "f16".
        mode: "eval", "train", or "any" for a layer that does not tell them apart.
        way: "jit"; "eager"; "vmap", two inputs at once; "shard_map", one device's part of the inputs; "twice", the
            gradient of the gradient; "export", lowered for the platforms that are not here.
        property: one of `PROPERTIES`.
        status: "passed", "failed", or "not in torch" where torch has no kernel for the dtype.
        error: the greatest `max|a - b| / max(1, max|b|)` of the property's arrays.
        why: what failed, or torch's words.
        remark: why it passed where elements exceed the tolerance: how far from torch's float64 both are, or the reason
            for a looser bound.
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
        """What passed by its distance from torch's float64, or by a looser bound."""
        return tuple(check for check in self.checks if check.status == "passed" and check.remark)

    @property
    def passed(self) -> int:
        return len(self.checks) - len(self.failed) - len(self.skipped)

    @property
    def ok(self) -> bool:
        """Whether all holds, and there was anything to hold."""
        return self.passed > 0 and not self.failed

    def inside(self, dtype: str) -> tuple[int, int]:
        """How many cases lie inside of the dtype's own tolerance in every property, and of how many."""
        cases = {check.case for check in self.checks if check.dtype == dtype and check.status != "not in torch"}
        beyond = {check.case for check in (*self.judged, *self.failed) if check.dtype == dtype}
        return len(cases - beyond), len(cases)

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
            text += f"; {len(self.judged)} of them beyond torch.testing's tolerance, with the reason"
        return text


def run(
    cases: Iterable[Case] | Mapping[str, Any],
    *,
    dtypes: Sequence[str] = ("f32", "f64"),
    ways: Sequence[str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Results:
    """Checks every property of every case on the default device.

    Args:
        cases: cases, or cases by name; without names they go by what they are.
        dtypes: any of "f32", "f64", "bf16", "f16".
        ways: any of "jit" (outputs, gradients, buffers), "eager" (outputs, buffers), "vmap" (as "jit", two inputs at
            once), "shard_map" (as "jit", inputs of one device and parameters of all), "twice" (second derivatives),
            "export" (lowered for CUDA, ROCm and TPU). When not given, `parity.ways.WAYS_OF` the dtype.
        progress: called with each case's name when it is done.

    Raises:
        ValueError: a dtype or way that does not exist.

    >>> from parity import Case, normal
    >>> run([Case("Linear", (3, 2), inputs=(normal(4, 3),))]).ok
    True
    """
    for name, given, known in (("dtypes", dtypes, tuple(DTYPES)), ("ways", ways or (), tuple(WAYS))):
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


def check_case(name: str, case: Any, dtype: str, ways: Sequence[str] | None = None) -> list[Check]:
    """All checks of one case in one dtype; none where torch's database does not have the dtype."""
    if not next(_turn) % PROGRAMS_KEPT:
        jax.clear_caches()
    if dtype not in case.dtypes:
        return []
    checks: list[Check] = []
    with comparing(wide=dtype == "f64"), _one_thread(), warnings.catch_warnings():
        # Both libraries warn of some cases, in the same words: of an implicit `dim`, of even kernels with "same".
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", FutureWarning)
        for mode, way, found in _properties(case, dtype, WAYS_OF[dtype] if ways is None else ways):
            if isinstance(found, TorchError):
                checks.append(_not_in_torch(name, dtype, mode, way, found))
            elif found:
                checks.append(_check(name, dtype, mode, way, found))
    return checks


@contextmanager
def _one_thread() -> Iterator[None]:
    """torch in one thread: of two that write to one place, as in `max_unpool`, none is always the last."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


Found = tuple[str, str, Sequence[Row] | TorchError]
"""A mode, a way, and the rows of one property, or what torch raised."""


def _properties(case: Any, dtype: str, ways: Sequence[str]) -> Iterator[Found]:
    """All that can be compared."""
    try:
        both = pair(case, dtype)
    except TorchError as error:
        yield "any", "eager", error
        return
    if both.refused:
        yield "any", "eager", [_refusal(both)]
        return
    try:
        with torchs_part():
            theirs = both.torch()
    except TorchError as error:
        yield "any", "eager", error
        return
    try:
        ours = both.jax(_state(theirs))
    except Exception as error:
        yield "any", "eager", [_raised("state", error)]
        return
    yield "any", "eager", _states(both, theirs, ours)
    modes: tuple[str, ...] = ("eval", "train") if tells_modes_apart(theirs, ours) else ("any",)
    if both.mode or draws_always(theirs):
        modes = (both.mode,) if both.mode else ()
    for mode in modes:
        bout = Bout(both, theirs, ours, mode == "train", options(case, dtype))
        for way in ways:
            rows = _rows(partial(WAYS[way], bout), "call")
            if isinstance(rows, TorchError):
                yield mode, way, rows
                continue
            for property in PROPERTIES:
                yield mode, way, [row for row in rows if row.property == property]
    if random_layers(theirs) or draws_always(theirs):
        yield "train", "jit", _rows(lambda: draw_rows(theirs, ours, both.args, both.kwargs, both.seed), "draws")


def _rows(found: Callable[[], Sequence[Row]], property: str) -> Sequence[Row] | TorchError:
    try:
        return found()
    except TorchError as error:
        return error
    except Exception as error:
        return [_raised(property, error)]


def _refusal(pair: Pair) -> Row:
    """Whether we refuse, in construction or call, what torch refuses; an error of Python's own is no refusal."""
    try:
        with torchs_part():
            state = _state(pair.torch())
    except TorchError:  # torch refuses in its constructor
        state = {}
    try:
        with jax.enable_x64(True):  # or a dtype that is refused would be narrowed to one that is not
            JaxSide(pair.jax(state), pair.args, pair.kwargs, True).run(False, (), jit=False)
    except (TypeError, ValueError, IndexError) as error:
        told = ":" in str(error)
        return Row("refusal", "", ok=told, note="" if told else f"unclear words: {error}")
    return Row("refusal", "", ok=False, note="no error here, one in torch")


def _state(theirs: Any) -> Mapping[str, torch.Tensor]:
    return theirs.state_dict() if isinstance(theirs, torch.nn.Module) else {}


def _states(pair: Pair, theirs: Any, ours: Any) -> list[Row]:
    torch_side = TorchSide(theirs, pair.args, pair.kwargs, False)
    jax_side = JaxSide(ours, pair.args, pair.kwargs, False)
    rows, names, wanted = state_rows(torch_side, jax_side), list(jax_side.state), list(torch_side.state)
    if names != wanted:
        rows.append(Row("state", "names", ok=False, note=f"order {names}, expected torch's {wanted}"))
    return rows


def tells_modes_apart(theirs: Any, ours: Any) -> bool:
    """Whether training and evaluation can differ on either side, random layers held still."""
    if isinstance(theirs, torch.nn.Module) and any(isinstance(layer, NORMS) for layer in theirs.modules()):
        return True
    if not isinstance(ours, nnx.Module):
        return False
    return JaxSide(ours, (), {}, True).graph != JaxSide(ours, (), {}, False).graph


def _raised(property: str, error: Exception) -> Row:
    return Row(property, "", ok=False, note=f"raised {type(error).__name__}: {error}")


LACKING = re.compile(
    "not implemented|not support|don't support|double backward|differentiable twice|does not require grad"
    "|Expected a proper Tensor but got None"
)
"""How torch says that it has no kernel for a dtype, or no second derivative: that of `batch_norm` needs a weight."""


OLDER = torch.__version__ < "2.13"
"""Whether this torch lacks layers and arguments of the one whose API is ours: what it refuses, it may not know."""


def _not_in_torch(name: str, dtype: str, mode: str, way: str, error: TorchError) -> Check:
    lacking = OLDER or ((dtype in ("bf16", "f16") or way == "twice") and LACKING.search(str(error)))
    return Check(name, dtype, mode, way, "call", "not in torch" if lacking else "failed", why=f"torch: {error}")


def _check(name: str, dtype: str, mode: str, way: str, rows: Sequence[Row]) -> Check:
    property = rows[0].property
    bound = looser(name, dtype, property)
    wrong = [row for row in rows if not row.ok]
    loose = [row for row in wrong if bound is not None and row.mismatched and row.error <= bound.bound]
    remarks = [f"{row.name}: {row.remark}" for row in rows if row.remark]
    if bound is not None:
        remarks += [f"{row.name}: off by {row.error:.2g}, {bound.bound:g} allowed: {bound.reason}" for row in loose]
    wrong = [row for row in wrong if row not in loose]
    error = max(row.error for row in rows)
    status: Literal["passed", "failed"] = "failed" if wrong else "passed"
    why = wrong[0].why() if wrong else ""
    return Check(name, dtype, mode, way, property, status, error, why, remarks[0] if remarks else "")
