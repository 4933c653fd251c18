"""Schedules that cycle the learning rate, and the momentum against it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.check import choice, flag, number
from jaxnets.optim.lr_scheduler.schedule import (
    Value,
    called,
    concrete,
    floating,
    function,
    half_cosine,
    integers,
    power,
    rate,
)

__all__ = ["CyclicLR", "OneCycleLR"]


class Cycle(Value):
    """A schedule that has one of the momentum besides."""

    cycle_momentum: bool

    def momentum(self, count: Any) -> jax.Array:
        """The momentum of step `count`, a schedule as well; for Adam and its kin it is `beta1`."""
        if not self.cycle_momentum:
            raise ValueError("cycle_momentum: expected True of a schedule whose momentum is asked for, got False")
        if jnp.ndim(count):
            return jax.jit(jax.vmap(self.momentum))(jnp.asarray(count))
        return self._momentum(jnp.asarray(count, jnp.int32) + (self.last_epoch + 1))

    def _momentum(self, epoch: jax.Array) -> jax.Array:
        raise NotImplementedError


@dataclass(frozen=True)
class CyclicLR(Cycle):
    """Up and down between two rates: `base_lr + (max_lr - base_lr) s g`.

    `s` rises evenly from 0 to 1 in `step_size_up` steps and falls back in `step_size_down`; `g` is 1 ("triangular"),
    `2^(1 - cycle)` with cycles counted from 1 ("triangular2"), or `gamma^step` ("exp_range"). The momentum is
    `max_momentum - (max_momentum - base_momentum) s g`.

    Args:
        base_lr: the lower rate.
        max_lr: the upper rate.
        step_size_up: steps up, a number above 0.
        step_size_down: steps down, at least 0; as many as up, if None.
        mode: "triangular", "triangular2" or "exp_range".
        gamma: of "exp_range".
        scale_fn: `g` as a function that JAX can trace; `mode` is not looked at then.
        scale_mode: "cycle" or "iterations": whether `scale_fn` is given the cycle or the step.
        cycle_momentum: whether there is a schedule of the momentum.
        base_momentum: the lower momentum.
        max_momentum: the upper momentum.
        last_epoch: the last step that was made, at least -1.

    Raises:
        TypeError: an argument is no number.
        ValueError: an argument is out of range.

    Differences from torch: no `optimizer`, whose momentum is the schedule `momentum`. In float32, fractions of steps
    lose digits as the count grows; whole steps do not.

    >>> schedule = CyclicLR(0.1, 0.5, step_size_up=2)
    >>> for values in (schedule(jnp.arange(5)), schedule.momentum(jnp.arange(5))):
    ...     print([round(x, 3) for x in values.tolist()])
    [0.1, 0.3, 0.5, 0.3, 0.1]
    [0.9, 0.85, 0.8, 0.85, 0.9]

    >>> import optax
    >>> from jaxnets import optim
    >>> optimizer = optax.inject_hyperparams(optim.SGD)(lr=schedule, momentum=schedule.momentum)
    >>> hyperparameters = optimizer.init(jnp.ones(1)).hyperparams
    >>> {name: round(float(hyperparameters[name]), 4) for name in ("lr", "momentum")}
    {'lr': 0.1, 'momentum': 0.9}

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CyclicLR.html, Smith,
    arXiv:1506.01186
    """

    base_lr: Any
    max_lr: Any
    step_size_up: float = 2000
    step_size_down: float | None = None
    mode: str = "triangular"
    gamma: float = 1.0
    scale_fn: Callable[[Any], Any] | None = None
    scale_mode: str = "cycle"
    cycle_momentum: bool = True
    base_momentum: float = 0.8
    max_momentum: float = 0.9
    last_epoch: int = -1

    def __post_init__(self) -> None:
        up, down = number("step_size_up", self.step_size_up), self.step_size_down
        if not up > 0:
            raise ValueError(f"step_size_up: expected a number above 0, got {self.step_size_up}")
        if down is not None and not number("step_size_down", down) >= 0:
            raise ValueError(f"step_size_down: expected a number of at least 0, got {down}")
        if self.scale_fn is None:
            choice("mode", self.mode, ("triangular", "triangular2", "exp_range"))
        else:
            function("scale_fn", self.scale_fn)
        self._set(
            base_lr=rate("base_lr", self.base_lr),
            max_lr=rate("max_lr", self.max_lr),
            gamma=number("gamma", self.gamma),
            scale_mode=choice("scale_mode", self.scale_mode, ("cycle", "iterations")),
            cycle_momentum=flag("cycle_momentum", self.cycle_momentum),
            base_momentum=number("base_momentum", self.base_momentum),
            max_momentum=number("max_momentum", self.max_momentum),
        )

    def _initial_lr(self) -> Any:
        return self.base_lr

    def _height(self, epoch: jax.Array) -> jax.Array:
        """`s g`."""
        up = self.step_size_up
        down = up if self.step_size_down is None else self.step_size_down
        total = up + down
        if float(total).is_integer():
            cycles, step = epoch // int(total), floating(epoch % int(total))
        else:
            cycles = jnp.floor(floating(epoch) / total).astype(jnp.int32)
            step = floating(epoch) - floating(cycles) * total
        height = step / up
        if down:
            height = jnp.where(step <= up, height, (total - step) / down)
        if self.scale_fn is not None:
            return height * called(self.scale_fn, cycles + 1 if self.scale_mode == "cycle" else epoch)
        if self.mode == "triangular2":
            return height * power(0.5, cycles)
        return height * power(self.gamma, epoch) if self.mode == "exp_range" else height

    def _value(self, epoch: jax.Array) -> jax.Array:
        return self._above(floating(self.base_lr), epoch)

    def _above(self, low: jax.Array, epoch: jax.Array) -> jax.Array:
        return low + (floating(self.max_lr) - low) * self._height(epoch)

    def _enter(self, lr: jax.Array, epoch: int, initial: jax.Array) -> jax.Array:
        return self._above(initial, integers(epoch)[0])  # torch sets `base_lr` only after this step

    def _reenter(self, lr: jax.Array, state: Any) -> jax.Array:
        return self._value(integers(state + 1)[0])

    def _momentum(self, epoch: jax.Array) -> jax.Array:
        return self.max_momentum - (self.max_momentum - self.base_momentum) * self._height(epoch)


@dataclass(frozen=True)
class OneCycleLR(Cycle):
    """Up from `max_lr / div_factor` to `max_lr`, then down to `max_lr / div_factor / final_div_factor`.

    The way up ends at step `pct_start total_steps - 1`, the way down at `total_steps - 1`; with `three_phase`, down to
    the first rate at `2 pct_start total_steps - 2`, and from there to the last. The momentum goes from `max_momentum`
    down to `base_momentum`, and back.

    Args:
        max_lr: the upper rate.
        total_steps: an int of at least 1; if None, `epochs` times `steps_per_epoch`.
        epochs: an int of at least 1.
        steps_per_epoch: an int of at least 1.
        pct_start: the part of the steps on the way up, a float in [0, 1]; times `total_steps` it must not be 1.
        anneal_strategy: "cos", for half a cosine, or "linear".
        cycle_momentum: whether there is a schedule of the momentum.
        base_momentum: the lower momentum.
        max_momentum: the upper momentum.
        div_factor: the upper rate over the first.
        final_div_factor: the first rate over the last.
        three_phase: whether the way down is that of the paper.
        last_epoch: the last step that was made, at least -1.

    Raises:
        TypeError: an argument is no number.
        ValueError: an argument is out of range; the count, where it is known, is beyond `total_steps`.

    Differences from torch: no `optimizer`, whose momentum is the schedule `momentum`. Where the count is traced, steps
    beyond `total_steps` have the rate of the last, `total_steps - 1`. Step `total_steps` itself, one after the last,
    goes on along the curve, as in torch.

    >>> schedule = OneCycleLR(0.5, total_steps=8, pct_start=0.5, div_factor=5)
    >>> [round(x, 4) for x in schedule(jnp.arange(8)).tolist()]
    [0.1, 0.2, 0.4, 0.5, 0.4268, 0.25, 0.0732, 0.0]

    The momentum of Adam is `betas[0]`:

    >>> import optax
    >>> from jaxnets import optim
    >>> adam = optax.inject_hyperparams(lambda lr, beta1: optim.Adam(lr, betas=(beta1, 0.999)))
    >>> optimizer = adam(lr=schedule, beta1=schedule.momentum)
    >>> {name: round(float(x), 4) for name, x in optimizer.init(jnp.ones(1)).hyperparams.items()}
    {'lr': 0.1, 'beta1': 0.95}

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.OneCycleLR.html, Smith and Topin,
    arXiv:1708.07120
    """

    max_lr: Any
    total_steps: int | None = None
    epochs: int | None = None
    steps_per_epoch: int | None = None
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    cycle_momentum: bool = True
    base_momentum: float = 0.85
    max_momentum: float = 0.95
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    three_phase: bool = False
    last_epoch: int = -1

    def __post_init__(self) -> None:
        names = ("total_steps",) if self.total_steps is not None else ("epochs", "steps_per_epoch")
        if None in (given := [getattr(self, name) for name in names]):
            raise ValueError("total_steps: expected an int, or epochs and steps_per_epoch, got None")
        for name, value in zip(names, given, strict=True):
            if not isinstance(value, int) or value <= 0:
                raise ValueError(f"{name}: expected an int of at least 1, got {value!r}")
        if not isinstance(self.pct_start, float) or not 0 <= self.pct_start <= 1:
            raise ValueError(f"pct_start: expected a float in [0, 1], got {self.pct_start!r}")
        numbers = ("base_momentum", "max_momentum", "div_factor", "final_div_factor")
        self._set(
            max_lr=rate("max_lr", self.max_lr),
            anneal_strategy=choice("anneal_strategy", self.anneal_strategy, ("cos", "linear")),
            cycle_momentum=flag("cycle_momentum", self.cycle_momentum),
            three_phase=flag("three_phase", self.three_phase),
            **{name: number(name, getattr(self, name)) for name in numbers},
        )
        for name in ("div_factor", "final_div_factor"):
            if getattr(self, name) == 0:
                raise ValueError(f"{name}: expected a number other than 0, got 0.0")
        if self._ends()[0] == 0:
            raise ValueError(
                f"pct_start: expected another part of {self._total} steps than one of them, got {self.pct_start}"
            )

    @property
    def levels(self) -> tuple[Any, float, float]:
        """What torch keeps with the optimizer."""
        return self.max_lr, self.div_factor, self.final_div_factor

    @property
    def _total(self) -> int:
        if self.total_steps is not None:
            return self.total_steps
        return (self.epochs or 0) * (self.steps_per_epoch or 0)

    def _ends(self) -> tuple[float, ...]:
        """The last step of each phase."""
        first = self.pct_start * self._total
        return (first - 1, *((2 * first - 2,) if self.three_phase else ()), self._total - 1)

    def _initial_lr(self) -> Any:
        return self.max_lr / self.div_factor

    def _curve(self, epoch: jax.Array, *levels: Any) -> jax.Array:
        """From level to level, phase by phase."""
        ends = self._ends()
        last = self._total - (ends[-1] == ends[-2])  # after which torch raises, or divides by zero
        if concrete(epoch) and epoch > last:
            raise ValueError(f"count: expected at most {last}, got {epoch}: the cycle has {self._total} steps")
        epoch = jnp.where(epoch > last, self._total - 1, epoch)
        step, curve = floating(epoch), floating(0.0)
        for start, end, low, high in zip((0.0, *ends[:-1]), ends, levels[:-1], levels[1:], strict=True):
            done, rest = ((part / ((end - start) or 1.0)) for part in (step - start, end - step))
            if self.anneal_strategy == "cos":
                done, rest = half_cosine(done), half_cosine(rest)
            phase = floating(low) * rest + floating(high) * done  # not a difference: the last rate is tiny
            curve = phase if start == 0 else jnp.where(step > start, phase, curve)
        return curve

    def _value(self, epoch: jax.Array) -> jax.Array:
        first = self._initial_lr()
        return self._curve(
            epoch, first, self.max_lr, *((first,) if self.three_phase else ()), first / self.final_div_factor
        )

    def _momentum(self, epoch: jax.Array) -> jax.Array:
        low, high = self.base_momentum, self.max_momentum
        return self._curve(epoch, high, low, *((high,) if self.three_phase else ()), high)
