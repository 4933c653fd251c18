"""`compare` and `assert_parity`: a torch module beside a JAX module, property by property."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

import jax
import numpy as np
import torch
from flax import nnx

from parity import trees
from parity.sides import Call, Gradients, JaxSide, Run, TorchSide
from parity.tolerance import EXACT, Row, Tolerance, measure

COLUMNS = ("property", "name", "shape", "dtype", "abs. diff.", "rel. diff.", "allowed", "")


@dataclass(frozen=True)
class Report:
    """What `compare` found: one row for each array, and the first layer whose numbers part.

    `ok` is true when every row is. `first_divergence` is the dotted name of the first layer, in the order of calls,
    whose output differs though its inputs agree (the class name for the module itself), or None. `error` is what
    the JAX module raised where torch's did not; its text is a row of the property "call".
    """

    title: str
    rows: tuple[Row, ...]
    first_divergence: str | None = None
    held: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    error: Exception | None = field(default=None, repr=False, compare=False)

    @property
    def ok(self) -> bool:
        return all(row.ok for row in self.rows)

    @property
    def failures(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if not row.ok)

    def summary(self) -> str:
        """One line: how many rows agree and the greatest difference, or what failed first."""
        measured = [row for row in self.rows if row.absolute < np.inf]
        if self.ok:
            worst = max(measured, key=lambda row: row.error, default=None)
            greatest = f", greatest difference {worst.error:.3g} ({worst.property} of {worst.name})" if worst else ""
            return f"{self.title}: {len(self.rows)} rows agree{greatest}"
        where = f"; first divergence: {self.first_divergence}" if self.first_divergence else ""
        failed = self.failures
        return f"{self.title}: {len(failed)} of {len(self.rows)} rows differ, first {failed[0].why()}{where}"

    def message(self) -> str:
        """Every failed row with its numbers, as an assertion prints them."""
        lines = [f"{self.title} is not what torch computes: {len(self.failures)} of {len(self.rows)} rows differ"]
        lines += [f"  {row.why()}" for row in self.failures]
        if self.first_divergence:
            lines.append(f"first layer that diverges: {self.first_divergence}")
        return "\n".join([*lines, *self._remarks()])

    def __str__(self) -> str:
        table = [COLUMNS, *map(_cells, self.rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in table]
        lines.insert(1, "  ".join("-" * w for w in widths).rstrip())
        return "\n".join([*lines, self.summary(), *self._remarks()])

    def _remarks(self) -> list[str]:
        held = [f"held in evaluation mode, since draws cannot agree: {', '.join(self.held)}"] if self.held else []
        return [*held, *self.notes]

    def to_json(self) -> str:
        """Everything in the report as JSON text; infinite differences are strings, which JSON has no numbers for."""
        content = {"ok": self.ok, **asdict(replace(self, error=None))}
        del content["error"]
        content["rows"] = [
            {k: str(v) if isinstance(v, float) and not np.isfinite(v) else v for k, v in asdict(row).items()}
            for row in self.rows
        ]
        return json.dumps(content, indent=2)


def _cells(row: Row) -> tuple[str, ...]:
    numbers = (
        (f"{row.absolute:.3g}", f"{row.relative:.3g}", f"{row.allowance:.3g}") if not row.note else ("", "", row.note)
    )
    shape = "x".join(map(str, row.shape)) or "()"
    verdict = f"ok: {row.remark}" if row.remark else "ok" if row.ok else "DIFFERS"
    return (row.property, row.name, shape, row.dtype, *numbers, verdict)


def compare(
    torch_module: Callable[..., Any],
    jax_module: Callable[..., Any],
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    grad: bool = True,
    train: bool = False,
    jit: bool = False,
    tolerance: Tolerance | None = None,
    seed: int = 0,
) -> Report:
    """Runs a torch module and a JAX module on the same inputs and compares all that both compute.

    In this order: the states (every parameter and buffer by torch's name: a weight that was never loaded is a row
    that differs), the form of the output, the outputs, the parameters' and inputs' gradients along one random
    direction of the outputs, and the buffers after the call. Neither module changes, nor its mode, buffers, or
    random state. Matrix products are computed at the highest precision.

    Args:
        torch_module: a `torch.nn.Module`, or a function of tensors.
        jax_module: an `nnx.Module`, or a function of arrays.
        args: what both are called with: torch, numpy or jax arrays, numbers, None, packed sequences, and tuples,
            lists and dicts of these.
        kwargs: keyword arguments of the call.
        grad: whether to compare gradients.
        train: whether both run in training mode, else in evaluation mode. Random layers cannot agree draw by draw:
            they are held in evaluation mode, and the report names them.
        jit: whether the JAX side runs under `jax.jit`.
        tolerance: one bound for all floating rows; when not given the dtype's own (`torch.testing.assert_close`'s,
            in half precision of the array's greatest number, and 1e-12 of that in float64).
        seed: of the random direction.

    Returns:
        A `Report`; `print(report)` shows the table.

    Raises:
        TypeError: `torch_module` or `jax_module` is not of its library.

    >>> import torch, jaxnets
    >>> theirs, ours = torch.nn.Linear(3, 2), jaxnets.nn.Linear(3, 2, rngs=nnx.Rngs(0))
    >>> compare(theirs, ours, (torch.randn(4, 3),)).ok
    False
    >>> _ = jaxnets.load_state_dict(ours, theirs.state_dict())
    >>> compare(theirs, ours, (torch.randn(4, 3),)).ok
    True
    """
    _check_modules(torch_module, jax_module)
    args, kwargs = tuple(args) if isinstance(args, tuple | list) else (args,), dict(kwargs or {})
    with comparing(_is_wide(torch_module, jax_module, args, kwargs)):
        theirs = TorchSide(torch_module, args, kwargs, train)
        ours = JaxSide(jax_module, args, kwargs, train, hold=bool(theirs.held))
        rows = state_rows(theirs, ours)
        run, directions = theirs.run(grad, seed)
        error = None
        try:
            exact = exact_run(torch_module, args, kwargs, train, grad, directions)
            rows += fair_rows(ours.run(grad, directions, jit), run, exact, tolerance)
        except Exception as raised:
            error = raised
            rows.append(Row("call", type(jax_module).__name__, ok=False, note=f"{type(error).__name__}: {error}"))
        wrong = any(not row.ok and row.property in ("structure", "forward") for row in rows)
        first = first_divergence(torch_module, jax_module, args, kwargs, train, tolerance) if wrong else None
        held = tuple(name or _title(torch_module) for name in theirs.held)
    return Report(_title(torch_module), tuple(rows), first, held, tuple(run.notes), error)


def assert_parity(
    torch_module: Callable[..., Any],
    jax_module: Callable[..., Any],
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    **options: Any,
) -> None:
    """Raises an AssertionError that says what differs, where, and by how much, unless `compare` finds no difference.

    Args:
        torch_module, jax_module, args, kwargs: as `compare` takes them.
        options: `grad`, `train`, `jit`, `tolerance`, `seed` of `compare`.

    Raises:
        AssertionError: for each row that differs the property, the array, the number of elements, the greatest
            absolute and relative difference with index and allowance; and the first layer that diverges.

    >>> import torch, jaxnets
    >>> assert_parity(torch.nn.functional.relu, jax.nn.relu, (torch.randn(4, 3),))
    """
    report = compare(torch_module, jax_module, args, kwargs, **options)
    if not report.ok:
        raise AssertionError(report.message()) from report.error


@contextlib.contextmanager
def comparing(wide: bool) -> Iterator[None]:
    """Precision pinned, 64-bit types on where torch has them, and torch's random state put back afterwards."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(jax.default_matmul_precision("highest"))
        stack.enter_context(torch.random.fork_rng(devices=[]))
        if wide:
            stack.enter_context(jax.enable_x64(True))
        yield


def state_rows(theirs: TorchSide, ours: JaxSide) -> list[Row]:
    """Every parameter and buffer by torch's name; copies are equal to the last bit."""
    return _named_rows("state", ours.state, theirs.state, EXACT)


def exact_run(
    torch_module: Any, args: Any, kwargs: Any, train: bool, grad: bool, directions: Sequence[np.ndarray]
) -> Callable[[], Run | None]:
    """Torch's run in float64, computed when it is asked for; None where the module cannot be run so."""

    def run() -> Run | None:
        try:
            return TorchSide(torch_module, args, kwargs, train).in_double().run(grad, 0, directions)[0]
        except Exception:  # a module may hold float32 numbers where `.double()` does not reach
            return None

    return run


def fair_rows(ours: Run, theirs: Run, exact: Callable[[], Run | None], tolerance: Tolerance | None = None) -> list[Row]:
    """`run_rows`, judged by torch's float64 where an array is further from torch's than its default tolerance."""
    rows = run_rows(ours, theirs, tolerance)
    if tolerance is None and any(row.mismatched and row.dtype != "float64" for row in rows):
        return run_rows(ours, theirs, tolerance, exact())
    return rows


def run_rows(ours: Run, theirs: Run, tolerance: Tolerance | None = None, exact: Run | None = None) -> list[Row]:
    """Outputs, gradients and buffers of both sides."""
    if ours.structure != theirs.structure:
        text = f"the output is {ours.structure}, expected torch's {theirs.structure}"
        return [Row("structure", "output", ok=False, note=text)]
    exact = exact or Run()
    rows = _named_rows("forward", ours.outputs, theirs.outputs, tolerance, exact.outputs)
    for property, gradients in (
        ("parameter gradient", "parameter_gradients"),
        ("input gradient", "input_gradients"),
    ):
        mine, torchs, true = (getattr(run, gradients) for run in (ours, theirs, exact))
        rows += gradient_rows(property, mine, torchs, tolerance, true)
    return rows + _named_rows("buffers", ours.buffers, theirs.buffers, tolerance, exact.buffers)


def gradient_rows(
    property: str,
    ours: Gradients | None,
    theirs: Gradients | None,
    tolerance: Tolerance | None,
    exact: Gradients | None = None,
) -> list[Row]:
    """Gradients by name, if both sides have them. Torch's None (nothing depends on it) is a gradient of zeros."""
    rows: list[Row] = []
    if ours is None or theirs is None:
        return rows
    for name, gradient in theirs.items():
        mine = ours.get(name)
        if mine is None:
            note = "no gradient here, one in torch: is it an nnx.Param that the output depends on?"
            if gradient is not None and np.any(gradient):
                rows.append(Row(property, name, gradient.shape, str(gradient.dtype), ok=False, note=note))
            continue
        if gradient is None:
            note = "a gradient here, none in torch" if np.any(mine) else ""
            rows.append(Row(property, name, mine.shape, str(mine.dtype), ok=not note, note=note))
        else:
            rows.append(measure(property, name, mine, gradient, tolerance, (exact or {}).get(name)))
    if property == "parameter gradient":
        for name in ours.keys() - theirs.keys():
            rows.append(Row(property, name, ok=False, note="a parameter here, none in torch"))
    return rows


def _named_rows(
    property: str,
    ours: Mapping[str, np.ndarray],
    theirs: Mapping[str, np.ndarray],
    tolerance: Tolerance | None,
    exact: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> list[Row]:
    rows = []
    for name, x in theirs.items():
        if name in ours:
            bound = EXACT if x.dtype.kind in "iub" else tolerance
            rows.append(measure(property, name, ours[name], x, bound, exact.get(name)))
        else:
            rows.append(Row(property, name, x.shape, str(x.dtype), ok=False, note="in torch, missing here"))
    for name, x in ours.items():
        if name not in theirs:
            rows.append(Row(property, name, x.shape, str(x.dtype), ok=False, note="here, not in torch"))
    return rows


def first_divergence(
    torch_module: Any, jax_module: Any, args: Any, kwargs: Any, train: bool, tolerance: Tolerance | None = None
) -> str | None:
    """The first layer, in the order of calls, whose output differs though its inputs agree."""
    theirs = TorchSide(torch_module, args, kwargs, train).calls()
    ours = _numbered(JaxSide(jax_module, args, kwargs, train).calls())
    suspects = [
        (call, mine)
        for key, call in _numbered(theirs).items()
        if (mine := ours.get(key)) and not _agree(mine.outputs, call.outputs, tolerance)
    ]
    for call, mine in suspects:
        if _agree(mine.inputs, call.inputs, tolerance):
            return call.name or type(torch_module).__name__
    return suspects[0][0].name or type(torch_module).__name__ if suspects else None


def _numbered(calls: Sequence[Call]) -> dict[tuple[str, int], Call]:
    """Calls by name and turn: a shared layer is called more than once."""
    found: dict[tuple[str, int], Call] = {}
    for call in calls:
        found[call.name, sum(name == call.name for name, _ in found)] = call
    return found


def _agree(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray], tolerance: Tolerance | None) -> bool:
    # By order, not by path: one side may give by keyword what the other gives by position.
    return all(measure("", "", a, b, tolerance).ok for a, b in zip(ours.values(), theirs.values(), strict=False))


def _check_modules(torch_module: Any, jax_module: Any) -> None:
    if isinstance(torch_module, nnx.Module) or not callable(torch_module):
        raise TypeError(
            f"torch_module: expected a torch.nn.Module or a function of tensors, got {type(torch_module).__name__}; "
            "torch's module comes first, the JAX module second"
        )
    if isinstance(jax_module, torch.nn.Module) or not callable(jax_module):
        raise TypeError(
            f"jax_module: expected a flax.nnx.Module or a function of arrays, got {type(jax_module).__name__}; "
            "torch's module comes first, the JAX module second"
        )


def _is_wide(torch_module: Any, jax_module: Any, *trees_: Any) -> bool:
    """Whether a 64-bit float takes part, for which JAX needs its 64-bit types."""
    arrays = [x for tree in trees_ for _, x in trees.leaves(tree, "")]
    if isinstance(torch_module, torch.nn.Module):
        arrays += [*torch_module.parameters(), *torch_module.buffers()]
    if isinstance(jax_module, nnx.Module):
        arrays += jax.tree.leaves(nnx.state(jax_module))
    return any(str(x.dtype).removeprefix("torch.") in ("float64", "complex128") for x in arrays)


def _title(module: Any) -> str:
    return type(module).__name__ if isinstance(module, torch.nn.Module) else getattr(module, "__name__", "function")
