"""What the schedules share: how torch makes a scheduler, steps it, and starts it anew at a milestone."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.check import integer
from jaxnets.optim import arguments

__all__ = [
    "Factor",
    "LRScheduler",
    "Value",
    "concrete",
    "crossed",
    "floating",
    "half_cosine",
    "integers",
    "per_epoch",
    "power",
    "rate",
    "whole",
]

ONE_PER_GROUP = "torch's list with an entry for each parameter group is here one schedule for each group"


class LRScheduler:
    """A learning rate as a function of the number of steps made: a schedule of `optax`.

    `_enter`, `_run` and `_restart` are what torch does to the rate of an optimizer. A state, from which steps are
    counted, is an epoch, or, of a scheduler made of others, theirs; it is known when the schedule is traced.
    """

    last_epoch: int

    def _set(self, **values: Any) -> None:
        """Sets the fields of a frozen dataclass when it is made."""
        if hasattr(self, "lr"):
            values["lr"] = rate("lr", self.lr, 0)
        for name, value in (values | {"last_epoch": whole("last_epoch", self.last_epoch, least=-1)}).items():
            object.__setattr__(self, name, value)

    def __call__(self, count: Any) -> jax.Array:
        """The learning rate of step `count`.

        Args:
            count: how many steps were made, at least 0: an int, or an array, traced or not.
        """
        if jnp.ndim(count):
            return jax.jit(jax.vmap(self))(jnp.asarray(count))
        lr, state = self._begin()
        return self._run(lr, state, 0, jnp.asarray(count, jnp.int32))

    def _begin(self) -> tuple[jax.Array, Any]:
        """The rate and the state of the scheduler as made for an optimizer that has its initial rate."""
        initial = floating(self._initial_lr())
        lr, state = self._enter(initial, 0, initial), self._state(0)
        if self.last_epoch < 0:
            return lr, state
        lr = self._run(lr, state, 0, self.last_epoch)
        return self._enter(lr, self.last_epoch + 1, initial), self._state(self.last_epoch + 1)

    def _initial_lr(self) -> Any:
        """Torch's `group["initial_lr"]`."""
        return self.lr  # type: ignore[attr-defined]

    def _leaves(self) -> tuple["LRScheduler", ...]:
        """The schedulers that this one is made of."""
        return (self,)

    def _state(self, epoch: int) -> Any:
        """The state of the scheduler as made, at this epoch."""
        return epoch

    def _undone(self, state: Any) -> Any:
        """The state before the last step."""
        return state - 1

    def _advanced(self, state: Any) -> Any:
        """The state after one step."""
        return state + 1

    def _enter(self, lr: jax.Array, epoch: int, initial: jax.Array) -> jax.Array:
        """The rate after the step that torch makes when a scheduler is made, to this epoch.

        `initial` is the initial rate of the optimizer.
        """
        return self._run(lr, epoch - 1, 0, 1)

    def _reenter(self, lr: jax.Array, state: Any) -> jax.Array:
        """The rate after that step was undone, and is made once more in the constructor of a `SequentialLR`."""
        return self._enter(lr, state + 1, lr)

    def _run(self, lr: jax.Array, state: Any, i: Any, j: Any) -> jax.Array:
        """The rate after step `j` from `state`, if it is `lr` after step `i <= j`."""
        raise NotImplementedError

    def _restart(self, lr: jax.Array) -> jax.Array:
        """The rate after torch's `_update_lr(0)`, which is what a milestone of `SequentialLR` calls."""
        raise NotImplementedError


class Factor(LRScheduler):
    """A scheduler that multiplies the rate."""

    def _factor(self, start: jax.Array, stop: jax.Array) -> jax.Array:
        """By what the steps to the epochs `start + 1`, ..., `stop` multiply; `start >= -1`."""
        raise NotImplementedError

    def _run(self, lr: jax.Array, state: Any, i: Any, j: Any) -> jax.Array:
        return lr * self._factor(*integers(state + i, state + j))


class Value(LRScheduler):
    """A scheduler that asks for the epoch only."""

    def _value(self, epoch: jax.Array) -> jax.Array:
        raise NotImplementedError

    def _run(self, lr: jax.Array, state: Any, i: Any, j: Any) -> jax.Array:
        if concrete(i, j):
            return self._value(integers(state + j)[0]) if i < j else lr
        return jnp.where(i < j, self._value(integers(state + j)[0]), lr)

    def _restart(self, lr: jax.Array) -> jax.Array:
        return self._value(integers(0)[0])


def per_epoch(schedule: Callable[[Any], jax.Array], steps_per_epoch: int) -> Callable[[Any], jax.Array]:
    """The schedule for a loop that calls torch's `scheduler.step()` once in an epoch, not once in a step.

    Args:
        schedule: a function of the number of epochs.
        steps_per_epoch: steps of the optimizer in an epoch, at least 1.

    >>> from jaxnets.optim.lr_scheduler import ExponentialLR
    >>> per_epoch(ExponentialLR(0.5, gamma=0.5), steps_per_epoch=3)(jnp.arange(7))
    Array([0.5  , 0.5  , 0.5  , 0.25 , 0.25 , 0.25 , 0.125], dtype=float32)
    """
    steps = integer("steps_per_epoch", steps_per_epoch, least=1)
    return lambda count: schedule(count // steps)


def rate(name: str, value: Any, low: float = -math.inf) -> Any:
    """`value`, a number or an array that holds one, at least `low`; as a float, so that schedules can be hashed."""
    if isinstance(value, list | tuple) or len(getattr(value, "shape", ())):
        raise TypeError(f"{name}: expected a number, got {value!r}; {ONE_PER_GROUP}")
    if callable(value) or value is None:
        raise TypeError(f"{name}: expected a number, got {value!r} of type {type(value).__name__}")
    arguments.within(name, value, low, math.inf, "a number" if low < 0 else "a number of at least 0")
    return float(value) if concrete(value) else value


def whole(name: str, value: Any, least: int | None = None) -> int:
    """`value`, a whole number that may be written as a float, as an int."""
    return integer(name, int(value) if isinstance(value, float) and value.is_integer() else value, least=least)


def function(name: str, value: Any) -> Any:
    """`value`, a function."""
    if isinstance(value, list | tuple):
        raise TypeError(f"{name}: expected a function, got {value!r}; {ONE_PER_GROUP}")
    if not callable(value):
        raise TypeError(f"{name}: expected a function, got {value!r} of type {type(value).__name__}")
    return value


def concrete(*values: Any) -> bool:
    """Whether all of the values are known."""
    return not any(isinstance(value, jax.core.Tracer) for value in values)


def called(f: Callable[[Any], Any], epoch: jax.Array) -> jax.Array:
    """`f(epoch)`; of an int of Python's, if it is known, as torch calls it."""
    return floating(f(int(epoch) if concrete(epoch) else epoch))


def floating(x: Any) -> jax.Array:
    """`x` in JAX's default dtype of floats."""
    return jnp.asarray(x, jnp.result_type(float))


def integers(*values: Any) -> tuple[jax.Array, ...]:
    return tuple(jnp.asarray(value, jnp.int32) for value in values)


def crossed(start: jax.Array, epoch: int, stop: jax.Array) -> jax.Array:
    """Whether one of the steps to `start + 1`, ..., `stop` is the one to `epoch`."""
    return (start < epoch) & (epoch <= stop)


def power(base: float, n: jax.Array) -> jax.Array:
    """`base^n` for an int32 `n >= 0`: the product of those `base^(2^k)` whose bit is set in `n`.

    `exp(n log(base))` and a rounded `base` would each cost float32 a digit or two.

    >>> power(-0.5, jnp.int32(3)), power(0.0, jnp.int32(0))
    (Array(-0.125, dtype=float32), Array(1., dtype=float32))
    """
    bits = np.arange(31)
    with np.errstate(over="ignore", under="ignore"):
        powers = floating(np.float64(base) ** 2.0**bits)
    return jnp.where((n >> jnp.asarray(bits, jnp.int32)) & 1 == 1, powers, 1.0).prod()


def half_cosine(rest: Any) -> jax.Array:
    """`(1 + cos(pi (1 - rest))) / 2`, where `rest` is what is left of the way down.

    Without the sum, which takes the digits of small ones.

    >>> [f"{x:.4g}" for x in half_cosine(jnp.array([1.0, 0.5, 1e-6, 0.0])).tolist()]
    ['1', '0.5', '2.467e-12', '0']
    """
    return jnp.sin(math.pi / 2 * rest) ** 2
