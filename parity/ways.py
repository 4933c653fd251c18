"""The ways in which a case is run on both sides, each with the rows that it gives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from parity import trees
from parity.case import Case
from parity.comparison import exact_run, fair_rows, gradient_rows
from parity.inputs import Pair
from parity.sides import OPTIMISED, QUICK, JaxSide, Run, TorchSide, is_inexact, torchs_part
from parity.tolerance import Row, Tolerance, measure

PLATFORMS = ("cuda", "rocm", "tpu")
"""What a case must lower for, with none of them at hand."""


@dataclass
class Bout:
    """A pair in one mode: torch's module and ours, with what torch computes; `options` are `JaxSide`'s."""

    pair: Pair
    theirs: Any
    ours: Any
    train: bool
    options: Mapping[str, Any]

    def torch_side(self) -> TorchSide:
        """A new one for each run, since a run changes buffers."""
        return TorchSide(self.theirs, self.pair.args, self.pair.kwargs, self.train)

    @cached_property
    def jax_side(self) -> JaxSide:
        return JaxSide(self.ours, self.pair.args, self.pair.kwargs, self.train, options=self.options)

    @cached_property
    def _first_run(self) -> tuple[Run, list[np.ndarray]]:
        with torchs_part():
            return self.torch_side().run(True, self.pair.seed)

    @property
    def expected(self) -> Run:
        return self._first_run[0]

    @property
    def directions(self) -> list[np.ndarray]:
        return self._first_run[1]

    def judged(self, run: Run) -> list[Row]:
        """The run's rows beside torch's."""
        exact = exact_run(self.theirs, self.pair.args, self.pair.kwargs, self.train, True, self.directions)
        return fair_rows(run, self.expected, exact)


def jit(bout: Bout) -> list[Row]:
    """Outputs, gradients and buffers, compiled."""
    return bout.judged(bout.jax_side.run(True, bout.directions, jit=True))


def eager(bout: Bout) -> list[Row]:
    """Outputs and buffers, operation by operation."""
    return bout.judged(bout.jax_side.run(False, bout.directions, jit=False))


def vmap(bout: Bout) -> list[Row]:
    """Outputs, gradients and buffers of two inputs at once: those of the case, and the same in halves."""
    if not any(is_inexact(x) for x in bout.jax_side.inputs):
        return []
    torch_side = bout.torch_side()
    others = [x * 0.5 if is_inexact(x) else x for x in torch_side.inputs]
    torch_side.inputs = others
    with torchs_part():
        expected, directions = torch_side.run(True, bout.pair.seed + 1)
    if _shapes(expected) != _shapes(bout.expected):
        return []
    runs = bout.jax_side.run_batch([trees.to_numpy(x) for x in others], (bout.directions, directions))
    rows = [fair_rows(run, torchs, Run) for run, torchs in zip(runs, (bout.expected, expected), strict=True)]
    return [replace(row, name=f"{row.name} of input {i}") for i, part in enumerate(rows) for row in part]


def shard_map(bout: Bout) -> list[Row]:
    """Outputs, gradients and buffers where inputs are one device's share, and parameters those of all."""
    if not all(x.size for x in bout.jax_side.inputs):
        return []  # `jnp.where` (JAX 0.10) forgets of empty arrays along which axes they differ
    return bout.judged(bout.jax_side.run_on_devices(bout.directions))


def twice(bout: Bout) -> list[Row]:
    """The second derivative, where torch has one."""
    if any(x.dtype.kind == "c" for x in bout.expected.outputs.values()):
        return []
    with torchs_part():
        expected, along = bout.torch_side().run_twice(bout.directions, bout.pair.seed)
    if not along:
        return []
    found = bout.jax_side.run_twice(bout.directions, along)
    if all(x is None for x in expected.values()) and any(np.any(x) for x in found.values() if x is not None):
        return [_by_differences(bout, along, found)]
    return gradient_rows("second derivative", found, expected, None)


def _by_differences(bout: Bout, along: Mapping[str, np.ndarray], found: Mapping[str, Any]) -> Row:
    """For kernels whose gradients torch computes outside of its graph, where it finds that they depend on nothing."""
    rng = np.random.default_rng([bout.pair.seed, 78])
    way = {name: rng.normal(size=x.shape) for name, x in found.items() if x is not None}
    ours = sum(float(np.vdot(way[name], found[name])) for name in way)
    with torchs_part():
        theirs = bout.torch_side().in_double().bend(bout.directions, along, way)
    bound = max([1e-7, *(50 * float(np.finfo(x.dtype).eps) for x in along.values())])  # differences tell no more
    name = "the gradients, by torch's differences"
    return measure("second derivative", name, np.asarray(ours), np.asarray(theirs), Tolerance(bound, bound))


def export(bout: Bout) -> list[Row]:
    """Whether forward and backward lower for each platform."""
    bout.jax_side.lower(bout.directions, PLATFORMS)
    return [Row("lowers", ", ".join(PLATFORMS))]


def _shapes(run: Run) -> list[tuple[int, ...]]:
    return [x.shape for x in run.outputs.values()]


WAYS: Mapping[str, Callable[[Bout], Sequence[Row]]] = MappingProxyType(
    {way.__name__: way for way in (jit, eager, vmap, shard_map, twice, export)}
)

WAYS_OF: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"f32": ("jit", "eager", "export"), "f64": ("jit", "vmap", "shard_map", "twice"), "bf16": ("jit",), "f16": ("jit",)}
)
"""Each way in the dtype in which it shows most: what vectorises, or is differentiated twice, must agree to the last
digits; what lowers is what users run."""


def options(case: Any, dtype: str) -> Mapping[str, Any]:
    """The compiler options of a case: our own are compiled in float32 as a user's programs are. Elsewhere, and with
    torch's samples, which are of the same layers, formulas are judged and not programs."""
    return OPTIMISED if dtype == "f32" and isinstance(case, Case) else QUICK
