"""The scheduler that looks at what was reached."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.check import choice, number
from jaxnets.optim.lr_scheduler.schedule import floating, integers, rate, whole

__all__ = ["ReduceLROnPlateau", "ReduceLROnPlateauState"]


class ReduceLROnPlateauState(NamedTuple):
    """What a `ReduceLROnPlateau` remembers, by torch's names; arrays without axes.

    Attributes:
        lr: the learning rate.
        best: the best metric so far.
        num_bad_epochs: epochs since.
        cooldown_counter: epochs for which bad ones are not counted.
        last_epoch: epochs in all.
    """

    lr: jax.Array
    best: jax.Array
    num_bad_epochs: jax.Array
    cooldown_counter: jax.Array
    last_epoch: jax.Array


@dataclass(frozen=True)
class ReduceLROnPlateau:
    """Multiplies the rate by `factor` when a metric has not got better for more than `patience` epochs.

    Better, if less is better, is `metrics < best (1 - threshold)` ("rel") or `metrics < best - threshold` ("abs"); if
    more is, `metrics > best (1 + threshold)` or `metrics > best + threshold`. No schedule, but a state and a step,
    both pure, that can be traced.

    Args:
        lr: the first learning rate, at least 0.
        mode: "min" or "max": whether less or more is better.
        factor: below 1.
        patience: how many bad epochs are borne.
        threshold: what counts as better.
        threshold_mode: "rel" or "abs".
        cooldown: epochs after a reduction in which bad ones are not counted.
        min_lr: the least rate.
        eps: a change of the rate that is not greater is not made.

    Raises:
        TypeError: an argument is no number.
        ValueError: an argument is out of range.

    Differences from torch: the state is not held; `step` takes it and returns the next. `lr` in it may be replaced.

    >>> import optax
    >>> from jaxnets import optim
    >>> plateau = ReduceLROnPlateau(0.1, factor=0.5, patience=1)
    >>> optimizer = optax.inject_hyperparams(optim.SGD)(lr=plateau.lr)
    >>> state, opt_state = plateau.init(), optimizer.init(jnp.ones(1))
    >>> for loss in [3.0, 2.0, 2.0, 2.0, 1.0]:
    ...     updates, opt_state = optimizer.update(jnp.ones(1), opt_state, jnp.ones(1))
    ...     state = jax.jit(plateau.step)(state, loss)
    ...     opt_state.hyperparams["lr"] = state.lr
    ...     print(updates, state.lr, state.num_bad_epochs)
    [-0.1] 0.1 0
    [-0.1] 0.1 0
    [-0.1] 0.1 1
    [-0.1] 0.05 0
    [-0.05] 0.05 0

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ReduceLROnPlateau.html
    """

    lr: Any
    mode: str = "min"
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    cooldown: int = 0
    min_lr: float = 0
    eps: float = 1e-8

    def __post_init__(self) -> None:
        choice("mode", self.mode, ("min", "max"))
        choice("threshold_mode", self.threshold_mode, ("rel", "abs"))
        if not number("factor", self.factor) < 1:
            raise ValueError(f"factor: expected a number below 1, got {self.factor}")
        values: dict[str, Any] = {name: whole(name, getattr(self, name)) for name in ("patience", "cooldown")}
        values |= {name: number(name, getattr(self, name)) for name in ("threshold", "eps")}
        values |= {"lr": rate("lr", self.lr, 0), "min_lr": rate("min_lr", self.min_lr)}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def init(self) -> ReduceLROnPlateauState:
        """The state before the first step."""
        zero = integers(0)[0]
        best = floating(math.inf if self.mode == "min" else -math.inf)
        return ReduceLROnPlateauState(floating(self.lr), best, zero, zero, zero)

    def step(self, state: ReduceLROnPlateauState, metrics: Any) -> ReduceLROnPlateauState:
        """The state after one epoch more, whose metric is a number, or an array that holds one."""
        if jnp.size(metrics) != 1:
            raise ValueError(f"metrics: expected a number, got an array of shape {jnp.shape(metrics)}")
        current = floating(metrics).reshape(())
        lr, best = floating(state.lr), floating(state.best)
        better = self._is_better(current, best)
        cooling = state.cooldown_counter > 0
        bad = jnp.where(better | cooling, 0, state.num_bad_epochs + 1)
        reduce = bad > self.patience
        reduced = jnp.maximum(lr * self.factor, floating(self.min_lr))
        return ReduceLROnPlateauState(
            lr=jnp.where(reduce & (lr - reduced > self.eps), reduced, lr),
            best=jnp.where(better, current, best),
            num_bad_epochs=jnp.where(reduce, 0, bad),
            cooldown_counter=jnp.where(reduce, self.cooldown, state.cooldown_counter - cooling.astype(jnp.int32)),
            last_epoch=state.last_epoch + 1,
        )

    def _is_better(self, current: jax.Array, best: jax.Array) -> jax.Array:
        if self.mode == "min":
            return current < (best * (1.0 - self.threshold) if self.threshold_mode == "rel" else best - self.threshold)
        return current > (best * (self.threshold + 1.0) if self.threshold_mode == "rel" else best + self.threshold)
