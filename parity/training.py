"""`compare_training`: a whole training run in torch and in JAX, loss beside loss."""

import copy
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import Any

import jax
import numpy as np
import optax
import torch
from flax import nnx

import jaxnets
from parity import trees
from parity.comparison import comparing
from parity.sides import JaxSide, TorchSide, random_layers, set_mode
from parity.tolerance import FAIR, Row, Tolerance, measure

__all__ = ["TrainingReport", "compare_training"]

LOSSES = {np.dtype(np.float64): Tolerance(1e-10, 1e-12), np.dtype(np.float32): Tolerance(1e-5, 1e-6)}
"""What two runs may differ by in a loss, and in a parameter at the end, of the greatest of its array."""


@dataclass(frozen=True)
class TrainingReport:
    """What `compare_training` found.

    Attributes:
        title: the module's class.
        losses: ours, one for each step.
        torch_losses: torch's.
        other_losses: those of torch's run with other roundings: in float64, or, of a module in float64, from weights
            that are one unit in the last place away. Only asked for when the others differ, else None.
        rows: every parameter and buffer after the last step.
        tolerance: what losses may differ by.
        held: random layers that were held in evaluation mode, since draws cannot agree.
    """

    title: str
    losses: np.ndarray
    torch_losses: np.ndarray
    other_losses: np.ndarray | None
    rows: tuple[Row, ...]
    tolerance: Tolerance
    held: tuple[str, ...] = ()

    @cached_property
    def difference(self) -> float:
        """The greatest `|ours - torch's| / |torch's|` of a loss."""
        return float(np.max(self._differences(), initial=0.0))

    def _differences(self) -> np.ndarray:
        apart = np.abs(self.losses - self.torch_losses)
        same = (self.losses == self.torch_losses) | (np.isnan(self.losses) & np.isnan(self.torch_losses))
        with np.errstate(all="ignore"):
            return np.where(same, 0.0, np.nan_to_num(apart / np.abs(self.torch_losses), nan=np.inf))

    @property
    def first_divergence(self) -> int | None:
        """The first step, from 0, whose losses differ by more than the tolerance."""
        beyond = self._differences() > self.tolerance.rtol
        beyond &= ~(np.abs(self.losses - self.torch_losses) <= self.tolerance.atol)
        return int(np.argmax(beyond)) if beyond.any() else None

    @property
    def fair(self) -> bool:
        """Whether our losses lie about as near to torch's other run as torch's own do: then rounding parts them."""
        if self.other_losses is None:
            return False
        ours, theirs = (np.max(np.abs(x - self.other_losses)) for x in (self.losses, self.torch_losses))
        return bool(ours <= FAIR * theirs)

    @property
    def ok(self) -> bool:
        """Whether losses, and what was learned, agree within the tolerance, or as well as torch with itself."""
        return (self.first_divergence is None or self.fair) and all(row.ok for row in self.rows)

    def summary(self) -> str:
        """One line."""
        text = f"{self.title}: {len(self.losses)} steps, losses within {self.difference:.2g} relative"
        if not self.ok:
            where = self.first_divergence
            if where is None or self.fair:
                return f"{text}; {next(row for row in self.rows if not row.ok).why()}"
            return (
                f"{self.title}: the runs part at step {where}: loss {self.losses[where]:.9g} here, "
                f"{self.torch_losses[where]:.9g} in torch, {self.tolerance.rtol:g} relative allowed"
            )
        return text + (
            "; no further than torch's run with other roundings" if self.first_divergence is not None else ""
        )

    def __str__(self) -> str:
        worst = max(self.rows, key=lambda row: row.error, default=None)
        lines = [self.summary()]
        if worst is not None:
            lines.append(f"parameters at the end: greatest difference {worst.error:.2g}, of {worst.name}")
        if self.held:
            lines.append(f"held in evaluation mode, since draws cannot agree: {', '.join(self.held)}")
        return "\n".join(lines)

    def plot(self, path: str | PathLike[str]) -> None:
        """Draws both curves, and their difference, into a picture; needs matplotlib."""
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise ImportError("plot needs matplotlib: pip install matplotlib") from None
        figure = Figure(figsize=(7, 5), layout="constrained")
        above, below = figure.subplots(2, sharex=True, height_ratios=(3, 1))
        above.plot(self.torch_losses, label="torch", linewidth=3, alpha=0.4)
        above.plot(self.losses, label="jaxnets", linewidth=1)
        above.set(ylabel="loss", title=self.title)
        above.legend()
        below.semilogy(np.maximum(self._differences(), 1e-17), linewidth=1, color="black")
        below.set(xlabel="step", ylabel="relative\ndifference")
        figure.savefig(path, dpi=120)


def compare_training(
    torch_module: torch.nn.Module,
    jax_module: nnx.Module,
    torch_optimizer: Callable[[Any], torch.optim.Optimizer],
    optimizer: optax.GradientTransformation,
    batches: Iterable[Sequence[Any]],
    loss: Callable[..., Any],
    *,
    scheduler: Callable[[torch.optim.Optimizer], Any] | None = None,
    clip_grad_norm: float | None = None,
    wrt: Any = nnx.Param,
    tolerance: Tolerance | None = None,
) -> TrainingReport:
    """Trains a torch module and a JAX module on the same batches from the same weights, and compares every loss.

    Both start with torch's weights, in training mode. The modules that are given stay what they are: copies train.

    Args:
        torch_module: the module in torch.
        jax_module: the module in JAX, with the same names.
        torch_optimizer: from parameters to the optimizer: `lambda params: torch.optim.SGD(params, lr=0.1)`.
        optimizer: the same in JAX: `jaxnets.optim.SGD(lr=0.1)`.
        batches: for each step a tuple of arrays.
        loss: `loss(module, F, *batch)`, one function for both sides: `F` is `torch.nn.functional` or
            `jaxnets.functional`, the batch tensors or jax arrays.
        scheduler: from torch's optimizer to a scheduler that steps after each step; the JAX side has its schedule in
            `optimizer`.
        clip_grad_norm: what torch's gradients are clipped to; the JAX side has `jaxnets.optim.clip_grad_norm`.
        wrt: which variables are trained, a filter of Flax's; `jaxnets.nn.utils.is_trainable` where some are frozen.
        tolerance: what a loss may differ by; 1e-5 relative in float32 and 1e-10 in float64 when not given. Where
            losses or parameters differ by more, torch runs once more with other roundings (see `TrainingReport`):
            what torch's own two runs do not agree on, such as a bias that a batch normalisation takes away again, and
            that Adam moves by the signs of rounding errors, is no difference of ours.

    Returns:
        A `TrainingReport`; `print(report)` tells, `report.plot("curves.png")` draws.

    Raises:
        TypeError: a module is not of its library.
        ValueError: no batches; weights that do not fit.

    >>> import jaxnets, numpy as np
    >>> theirs, ours = torch.nn.Linear(3, 1), jaxnets.nn.Linear(3, 1, rngs=nnx.Rngs(0))
    >>> x = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    >>> report = compare_training(
    ...     theirs, ours, lambda p: torch.optim.Adam(p, lr=0.1), jaxnets.optim.Adam(lr=0.1), [(x, x[:, :1])] * 20,
    ...     lambda module, F, x, y: F.mse_loss(module(x), y))
    >>> report.ok, report.first_divergence
    (True, None)
    """
    if not isinstance(torch_module, torch.nn.Module):
        raise TypeError(f"torch_module: expected a torch.nn.Module, got {type(torch_module).__name__}")
    if not isinstance(jax_module, nnx.Module):
        raise TypeError(f"jax_module: expected a flax.nnx.Module, got {type(jax_module).__name__}")
    given = [tuple(batch) if isinstance(batch, tuple | list) else (batch,) for batch in batches]
    if not given:
        raise ValueError("batches: expected a tuple of arrays for each step, got none")
    wide = any(x.dtype == torch.float64 for x in torch_module.state_dict().values())
    held = tuple(random_layers(torch_module))
    in_torch = (torch_optimizer, given, loss, scheduler, clip_grad_norm, held)
    with comparing(wide):
        theirs = copy.deepcopy(torch_module)
        torch_losses = _train_torch(theirs, *in_torch)
        ours = nnx.clone(jax_module)
        jaxnets.load_state_dict(ours, torch_module.state_dict())
        losses = _train_jax(ours, optimizer, given, loss, wrt, bool(held))
        tolerance = tolerance or LOSSES[np.dtype(np.float64 if wide else np.float32)]
        title, names = type(torch_module).__name__, tuple(name or "itself" for name in held)
        rows = _rows(ours, theirs, None, tolerance)
        report = TrainingReport(title, losses, torch_losses, None, rows, tolerance, names)
        if report.ok:
            return report
        other = _nudged(torch_module) if wide else copy.deepcopy(torch_module).double()
        other_losses = _train_torch(other, *in_torch)
        rows = _rows(ours, theirs, other, tolerance)
    return TrainingReport(title, losses, torch_losses, other_losses, rows, tolerance, names)


def _nudged(module: torch.nn.Module) -> torch.nn.Module:
    """A copy with each number of each parameter one unit in the last place away."""
    module = copy.deepcopy(module)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.nextafter(p, torch.where(torch.rand_like(p) < 0.5, -torch.inf, torch.inf).to(p.dtype)))
    return module


def _train_torch(
    module: torch.nn.Module,
    make_optimizer: Callable[[Any], torch.optim.Optimizer],
    batches: Sequence[tuple[Any, ...]],
    loss: Callable[..., Any],
    make_scheduler: Callable[[torch.optim.Optimizer], Any] | None,
    max_norm: float | None,
    held: Sequence[str],
) -> np.ndarray:
    """Trains the module, and gives the losses."""
    module.train()
    for name in held:
        module.get_submodule(name).eval()
    optimizer = make_optimizer([p for p in module.parameters() if p.requires_grad])
    scheduler = make_scheduler(optimizer) if make_scheduler else None
    dtype = next((p.dtype for p in module.parameters()), torch.float32)
    losses = []
    for batch in batches:
        tensors = [x.to(dtype) if x.is_floating_point() else x for x in map(trees.to_torch, batch)]

        def closure(tensors: list[torch.Tensor] = tensors) -> torch.Tensor:
            optimizer.zero_grad()
            value = loss(module, torch.nn.functional, *tensors)
            value.backward()
            if max_norm is not None:
                torch.nn.utils.clip_grad_norm_(module.parameters(), max_norm)
            return value

        value: Any = optimizer.step(closure)  # type: ignore[arg-type]
        losses.append(value.item())
        if scheduler:
            scheduler.step()
    return np.asarray(losses)


def _train_jax(
    module: nnx.Module,
    optimizer: optax.GradientTransformation,
    batches: Sequence[tuple[Any, ...]],
    loss: Callable[..., Any],
    wrt: Any,
    hold: bool,
) -> np.ndarray:
    """Trains the module, and gives the losses."""
    set_mode(module, True, hold)
    graph, params, rest = nnx.split(module, wrt, ...)  # type: ignore[misc]
    params, rest = nnx.as_pure(params), nnx.as_pure(rest)
    searches = isinstance(optimizer, optax.GradientTransformationExtraArgs)  # with the loss itself, as LBFGS does

    @jax.jit
    def step(params: Any, rest: Any, state: Any, batch: Any) -> Any:
        def value_and_rest(params: Any) -> Any:
            merged = nnx.merge(graph, params, rest)
            value = loss(merged, jaxnets.functional, *batch)
            return value, nnx.as_pure(nnx.state(merged, wrt, ...)[1])

        (value, after), grads = jax.value_and_grad(value_and_rest, has_aux=True)(params)
        more = {"value": value, "grad": grads, "value_fn": lambda p: value_and_rest(p)[0]} if searches else {}
        updates, state = optimizer.update(grads, state, params, **more)
        return optax.apply_updates(params, updates), after, state, value

    state, losses = optimizer.init(params), []
    for batch in batches:
        params, rest, state, value = step(params, rest, state, trees.jax_tree(batch))
        losses.append(value)
    nnx.update(module, params, rest)
    return np.asarray(losses, np.float64)


def _rows(
    ours: nnx.Module, theirs: torch.nn.Module, other: torch.nn.Module | None, tolerance: Tolerance
) -> tuple[Row, ...]:
    """The states after the last step: of a parameter the same share of its greatest number as of a loss, times ten."""
    mine, torchs = JaxSide(ours, (), {}, True).state, TorchSide(theirs, (), {}, True).state
    others = TorchSide(other, (), {}, True).state if other is not None else {}
    names = itertools.chain(torchs, (name for name in mine if name not in torchs))
    rows = []
    for name in names:
        if name not in mine or name not in torchs:
            rows.append(Row("state", name, ok=False, note=f"only {'in torch' if name in torchs else 'here'}"))
            continue
        greatest = float(np.max(np.abs(torchs[name]), initial=0.0))
        bound = Tolerance(0.0, 10 * tolerance.rtol * max(greatest, 1.0))
        rows.append(measure("state", name, mine[name], torchs[name], bound, others.get(name)))
    return tuple(rows)
