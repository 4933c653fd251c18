"""Schedules that multiply the rate, and the one that is any function."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.check import number
from jaxnets.optim.lr_scheduler.schedule import (
    Factor,
    Value,
    called,
    concrete,
    crossed,
    floating,
    function,
    integers,
    power,
    whole,
)

__all__ = [
    "ConstantLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "PolynomialLR",
    "StepLR",
]


@dataclass(frozen=True)
class LambdaLR(Value):
    """Any function: `lr f(epoch)`.

    Args:
        lr: base learning rate, at least 0.
        lr_lambda: `f`, a function of the epoch, an int from 0, that JAX can trace: an int32 array. Where the count is
            known, it is called with an int, as in torch.
        last_epoch: the last epoch that was made, at least -1.

    Raises:
        TypeError: `lr_lambda` is no function; an argument is no number.
        ValueError: an argument is out of range.

    Differences from torch: the function must be traceable.

    >>> schedule = LambdaLR(0.1, lambda epoch: 1 / (1 + epoch))
    >>> schedule(4), jax.jit(schedule)(4)
    (Array(0.02, dtype=float32), Array(0.02, dtype=float32))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LambdaLR.html
    """

    lr: Any
    lr_lambda: Callable[[Any], Any]
    last_epoch: int = -1

    def __post_init__(self) -> None:
        self._set(lr_lambda=function("lr_lambda", self.lr_lambda))

    def _value(self, epoch: jax.Array) -> jax.Array:
        return floating(self.lr) * called(self.lr_lambda, epoch)


@dataclass(frozen=True)
class MultiplicativeLR(Factor):
    """Any function as a factor: `lr f(1) f(2) ... f(epoch)`.

    Args:
        lr: base learning rate, at least 0.
        lr_lambda: `f`, a function of the epoch, an int from 1, that JAX can trace: an int32 array. Where the count is
            known, it is called with ints, as in torch.
        last_epoch: the last epoch that was made, at least -1.

    Raises:
        TypeError: `lr_lambda` is no function; an argument is no number.
        ValueError: an argument is out of range.

    Differences from torch: the function must be traceable. The product has no closed form: a loop over all epochs is
    run in each step, and in float32 its error grows with them. `LambdaLR` of the product, if it is known, is better.

    >>> MultiplicativeLR(0.1, lambda epoch: 0.5)(2)
    Array(0.025, dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.MultiplicativeLR.html
    """

    lr: Any
    lr_lambda: Callable[[Any], Any]
    last_epoch: int = -1

    def __post_init__(self) -> None:
        self._set(lr_lambda=function("lr_lambda", self.lr_lambda))

    def _enter(self, lr: jax.Array, epoch: int, initial: jax.Array) -> jax.Array:
        return lr

    def _factor(self, start: jax.Array, stop: jax.Array) -> jax.Array:
        if concrete(start, stop):
            product: Any = 1.0
            for epoch in range(int(start) + 1, int(stop) + 1):
                product = product * self.lr_lambda(epoch)
            return floating(product)
        return jax.lax.fori_loop(
            start + 1, stop + 1, lambda epoch, product: product * floating(self.lr_lambda(epoch)), floating(1.0)
        )

    def _restart(self, lr: jax.Array) -> jax.Array:
        return lr * called(self.lr_lambda, integers(0)[0])


@dataclass(frozen=True)
class StepLR(Factor):
    """Decays every so many epochs: `lr gamma^floor(epoch / step_size)`.

    Args:
        lr: base learning rate, at least 0.
        step_size: epochs between decays, at least 1.
        gamma: what a decay multiplies by.
        last_epoch: the last epoch that was made, at least -1.

    Raises:
        TypeError: an argument is no number.
        ValueError: an argument is out of range.

    Differences from torch: none.

    >>> StepLR(0.5, step_size=2, gamma=0.5)(jnp.arange(6))
    Array([0.5  , 0.5  , 0.25 , 0.25 , 0.125, 0.125], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.StepLR.html
    """

    lr: Any
    step_size: int
    gamma: float = 0.1
    last_epoch: int = -1

    def __post_init__(self) -> None:
        self._set(step_size=whole("step_size", self.step_size, least=1), gamma=number("gamma", self.gamma))

    def _factor(self, start: jax.Array, stop: jax.Array) -> jax.Array:
        multiples = stop // self.step_size - start // self.step_size
        return power(self.gamma, multiples - crossed(start, 0, stop).astype(jnp.int32))

    def _restart(self, lr: jax.Array) -> jax.Array:
        return floating(self.lr)


@dataclass(frozen=True)
class MultiStepLR(Factor):
    """Decays at the milestones: `lr gamma^n`, where `n` is how many milestones are at most the epoch.

    Args:
        lr: base learning rate, at least 0.
        milestones: epochs, in any order; one that stands twice decays twice, one below 0 does not.
        gamma: what a decay multiplies by.
        last_epoch: the last epoch that was made, at least -1.

    Raises:
        TypeError: an argument is no number.
        ValueError: an argument is out of range.

    Differences from torch: none.

    >>> MultiStepLR(0.5, milestones=[2, 3], gamma=0.5)(jnp.arange(6))
    Array([0.5  , 0.5  , 0.25 , 0.125, 0.125, 0.125], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.MultiStepLR.html
    """

    lr: Any
    milestones: Sequence[int]
    gamma: float = 0.1
    last_epoch: int = -1

    def __post_init__(self) -> None:
        milestones = tuple(whole(f"milestones[{i}]", m) for i, m in enumerate(self.milestones))
        self._set(milestones=milestones, gamma=number("gamma", self.gamma))

    def _factor(self, start: jax.Array, stop: jax.Array) -> jax.Array:
        milestones = jnp.asarray(self.milestones, jnp.int32)
        return power(self.gamma, ((start < milestones) & (milestones <= stop)).sum(dtype=jnp.int32))

    def _restart(self, lr: jax.Array) -> jax.Array:
        return floating(self.lr) * power(self.gamma, integers(sum(m <= 0 for m in self.milestones))[0])


@dataclass(frozen=True)
class ConstantLR(Factor):
    """A smaller rate at first: `lr factor` up to the epoch `total_iters`, from there on `lr`.

    Args:
        lr: base learning rate, at least 0.
        factor: in [0, 1].
        total_iters: epochs of the smaller rate, at least 0; with 0 it stays small, as in torch.
        last_epoch: the last epoch that was made, at least -1.

    Raises:
        TypeError: an argument is no number.
        ValueError: an argument is out of range; `factor` is 0 and the count, where it is known, at `total_iters`:
            torch divides by it.

    Differences from torch: where the count is traced and `factor` is 0, the rate stays 0.

    >>> ConstantLR(0.1, factor=0.5, total_iters=2)(jnp.arange(4))
    Array([0.05, 0.05, 0.1 , 0.1 ], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ConstantLR.html
    """

    lr: Any
    factor: float = 1.0 / 3
    total_iters: int = 5
    last_epoch: int = -1

    def __post_init__(self) -> None:
        factor = _fraction("factor", self.factor)
        self._set(factor=factor, total_iters=whole("total_iters", self.total_iters, least=0))

    def _factor(self, start: jax.Array, stop: jax.Array) -> jax.Array:
        factor = jnp.where(crossed(start, 0, stop), floating(self.factor), 1.0)
        if self.total_iters == 0:
            return factor
        back = crossed(start, self.total_iters, stop)
        if self.factor == 0 and concrete(back) and back:
            raise ValueError(f"factor: expected more than 0 to get back from it at epoch {self.total_iters}, got 0.0")
        return factor * jnp.where(back, floating(1 / (self.factor or 1.0)), 1.0)

    def _restart(self, lr: jax.Array) -> jax.Array:
        return floating(self.lr) * (1.0 if self.total_iters == 0 else self.factor)


@dataclass(frozen=True)
class LinearLR(Factor):
    """A factor that changes evenly: `lr (start_factor + (end_factor - start_factor) min(epoch / total_iters, 1))`.

    Args:
        lr: base learning rate, at least 0.
        start_factor: in (0, 1].
        end_factor: in [0, 1].
        total_iters: epochs from one to the other, at least 0; with 0 it stays at `start_factor`, as in torch.
        last_epoch: the last epoch that was made, at least -1.

    Raises:
        TypeError: an argument is no number.
        ValueError: an argument is out of range.

    Differences from torch: none. An `end_factor` of 0 is reached, where torch's is off by a rounding error.

    >>> [round(x, 3) for x in LinearLR(0.4, start_factor=0.25, total_iters=3)(jnp.arange(5)).tolist()]
    [0.1, 0.2, 0.3, 0.4, 0.4]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LinearLR.html
    """

    lr: Any
    start_factor: float = 1.0 / 3
    end_factor: float = 1.0
    total_iters: int = 5
    last_epoch: int = -1

    def __post_init__(self) -> None:
        start = number("start_factor", self.start_factor)
        if not 0 < start <= 1:
            raise ValueError(f"start_factor: expected a number in (0, 1], got {start}")
        end = _fraction("end_factor", self.end_factor)
        total = whole("total_iters", self.total_iters, least=0)
        self._set(start_factor=start, end_factor=end, total_iters=total)

    def _enter(self, lr: jax.Array, epoch: int, initial: jax.Array) -> jax.Array:
        return lr * self.start_factor if epoch == 0 else lr

    def _factor(self, start: jax.Array, stop: jax.Array) -> jax.Array:
        total = self.total_iters
        if total == 0:
            return jnp.where(crossed(start, 0, stop), floating(self.start_factor), 1.0)

        def factor(epoch: jax.Array) -> jax.Array:
            epoch = jnp.minimum(epoch, total)
            between = floating(total - epoch) * self.start_factor + floating(epoch) * self.end_factor
            return jnp.where(epoch < 0, 1.0, between / total)

        return jnp.where(start < total, factor(stop) / factor(jnp.minimum(start, total - 1)), 1.0)

    def _restart(self, lr: jax.Array) -> jax.Array:
        _lasts("LinearLR", self.total_iters)
        return floating(self.lr) * self.start_factor


@dataclass(frozen=True)
class ExponentialLR(Factor):
    """Decays in each epoch: `lr gamma^epoch`.

    Args:
        lr: base learning rate, at least 0.
        gamma: what an epoch multiplies by.
        last_epoch: the last epoch that was made, at least -1.

    Raises:
        TypeError: an argument is no number.
        ValueError: an argument is out of range.

    Differences from torch: none.

    >>> ExponentialLR(0.5, gamma=0.5)(jnp.arange(4))
    Array([0.5   , 0.25  , 0.125 , 0.0625], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ExponentialLR.html
    """

    lr: Any
    gamma: float
    last_epoch: int = -1

    def __post_init__(self) -> None:
        self._set(gamma=number("gamma", self.gamma))

    def _enter(self, lr: jax.Array, epoch: int, initial: jax.Array) -> jax.Array:
        return lr

    def _factor(self, start: jax.Array, stop: jax.Array) -> jax.Array:
        return power(self.gamma, stop - start)

    def _restart(self, lr: jax.Array) -> jax.Array:
        return floating(self.lr)


@dataclass(frozen=True)
class PolynomialLR(Factor):
    """Decays to zero: `lr (1 - min(epoch / total_iters, 1))^power`.

    Args:
        lr: base learning rate, at least 0.
        total_iters: epochs of the decay, at least 0; with 0 the rate stays `lr`, as in torch.
        power: of the polynomial.
        last_epoch: the last epoch that was made, at least -1.

    Raises:
        TypeError: an argument is no number.
        ValueError: an argument is out of range; `power` is below 0 and the count, where it is known, at
            `total_iters`: torch divides by zero.

    Differences from torch: where the count is traced and `power` is below 0, the rate gets infinite.

    >>> [round(x, 3) for x in PolynomialLR(0.4, total_iters=4, power=2)(jnp.arange(6)).tolist()]
    [0.4, 0.225, 0.1, 0.025, 0.0, 0.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.PolynomialLR.html
    """

    lr: Any
    total_iters: int = 5
    power: float = 1.0
    last_epoch: int = -1

    def __post_init__(self) -> None:
        total = whole("total_iters", self.total_iters, least=0)
        self._set(total_iters=total, power=number("power", self.power))

    def _enter(self, lr: jax.Array, epoch: int, initial: jax.Array) -> jax.Array:
        return lr

    def _factor(self, start: jax.Array, stop: jax.Array) -> jax.Array:
        total = self.total_iters
        ends = crossed(start, total, stop)
        if self.power < 0 and total and concrete(ends) and ends:
            raise ValueError(
                f"power: expected at least 0 to step to epoch {total}, where it is taken of 0, got {self.power}"
            )
        rest = floating(total - jnp.minimum(stop, total)) / floating(total - jnp.minimum(start, total - 1))
        return jnp.where(start < total, rest**self.power, 1.0)

    def _restart(self, lr: jax.Array) -> jax.Array:
        _lasts("PolynomialLR", self.total_iters)
        return floating(self.lr)


def _fraction(name: str, value: Any) -> float:
    value = number(name, value)
    if not 0 <= value <= 1:
        raise ValueError(f"{name}: expected a number in [0, 1], got {value}")
    return value


def _lasts(name: str, total_iters: int) -> None:
    if total_iters == 0:
        raise ValueError(f"total_iters: expected at least 1 of a {name} that starts at a milestone, got 0")
