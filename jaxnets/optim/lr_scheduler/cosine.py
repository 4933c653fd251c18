"""Half a cosine, once or with restarts."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.check import integer, number
from jaxnets.optim.lr_scheduler.schedule import (
    LRScheduler,
    Value,
    floating,
    half_cosine,
    integers,
    whole,
)

__all__ = ["CosineAnnealingLR", "CosineAnnealingWarmRestarts"]


@dataclass(frozen=True)
class CosineAnnealingLR(LRScheduler):
    """Half a cosine down to `eta_min`, and up again: `eta_min + (lr - eta_min) (1 + cos(pi epoch / T_max)) / 2`.

    The steps are those of torch, so that it can be chained: what is above `eta_min` is multiplied by the ratio of two
    half cosines; after the `T_max`th, where it is 0, and each `2 T_max` later, the half cosine is added.

    Args:
        lr: base learning rate, at least 0.
        T_max: epochs of the way down, at least 1.
        eta_min: the least rate.
        last_epoch: the last epoch that was made, at least -1.

    Raises:
        TypeError: an argument is no number.
        ValueError: an argument is out of range.

    Differences from torch: none. The small rates near `T_max` keep their digits, where `1 + cos` loses some.

    >>> [round(x, 3) for x in CosineAnnealingLR(0.4, T_max=4)(jnp.arange(6)).tolist()]
    [0.4, 0.341, 0.2, 0.059, 0.0, 0.059]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CosineAnnealingLR.html, Loshchilov
    and Hutter, arXiv:1608.03983
    """

    lr: Any
    T_max: int
    eta_min: float = 0.0
    last_epoch: int = -1

    def __post_init__(self) -> None:
        self._set(T_max=whole("T_max", self.T_max, least=1), eta_min=number("eta_min", self.eta_min))

    def _enter(self, lr: jax.Array, epoch: int, initial: jax.Array) -> jax.Array:
        return lr

    def cosine(self, epoch: Any) -> jax.Array:
        """`(1 + cos(pi epoch / T_max)) / 2`."""
        return half_cosine(floating(self.T_max - epoch % (2 * self.T_max)) / self.T_max)

    def risen(self) -> jax.Array:
        """What the step after the `T_max`th adds."""
        return (floating(self.lr) - self.eta_min) * self.cosine(integers(self.T_max + 1)[0])

    def rise(self, stop: jax.Array) -> jax.Array:
        """The last epoch up to `stop` that comes after an odd multiple of `T_max`, where the half cosine is 0."""
        return stop - (stop - 1 - self.T_max) % (2 * self.T_max)

    def _run(self, lr: jax.Array, state: Any, i: Any, j: Any) -> jax.Array:
        start, stop = integers(state + i, state + j)
        rise = self.rise(stop)
        above = lr - self.eta_min
        # the step before the rise brought the rate to `eta_min`, if it was made
        above = jnp.where(rise > start, jnp.where(rise - 1 > start, 0.0, above) + self.risen(), above)
        start = jnp.maximum(start, rise)
        ratio = self.cosine(stop) / self.cosine(start)
        return self.eta_min + jnp.where(start == stop, above, above * ratio)

    def _restart(self, lr: jax.Array) -> jax.Array:
        return floating(self.lr)


@dataclass(frozen=True)
class CosineAnnealingWarmRestarts(Value):
    """Half a cosine down to `eta_min`, again and again: `eta_min + (lr - eta_min) (1 + cos(pi T_cur / T_i)) / 2`.

    `T_cur` are the epochs since the last start, `T_i` those up to the next: `T_0`, `T_0 T_mult`, `T_0 T_mult^2`, ...

    Args:
        lr: base learning rate, at least 0.
        T_0: epochs up to the first restart, an int of at least 1.
        T_mult: what a restart multiplies them by, an int of at least 1.
        eta_min: the least rate.
        last_epoch: the last epoch that was made, at least -1. From `T_0 + T_0 T_mult` on, torch forgets how many
            restarts there were, if `T_mult` is above 1; so does this.

    Raises:
        TypeError: an argument is no number.
        ValueError: an argument is out of range.

    Differences from torch: none.

    >>> schedule = CosineAnnealingWarmRestarts(0.4, T_0=2, T_mult=2)
    >>> [round(x, 3) for x in schedule(jnp.arange(7)).tolist()]
    [0.4, 0.2, 0.4, 0.341, 0.2, 0.059, 0.4]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CosineAnnealingWarmRestarts.html,
    Loshchilov and Hutter, arXiv:1608.03983
    """

    lr: Any
    T_0: int
    T_mult: int = 1
    eta_min: float = 0.0
    last_epoch: int = -1

    def __post_init__(self) -> None:
        lengths = {name: integer(name, getattr(self, name), least=1) for name in ("T_0", "T_mult")}
        self._set(**lengths, eta_min=number("eta_min", self.eta_min))

    def _value(self, epoch: jax.Array) -> jax.Array:
        first = self.last_epoch + 1
        begun, length = first, self.T_0
        if begun >= length:  # one restart, however many there were
            begun, length = begun % length, length * self.T_mult
        current = begun + (epoch - first)
        if self.T_mult == 1:
            return self._at(current % length, floating(length))
        starts, lengths = [0], [length]
        while starts[-1] + lengths[-1] < 2**31:  # some thirty
            starts.append(starts[-1] + lengths[-1])
            lengths.append(lengths[-1] * self.T_mult)
        restarts = (current >= jnp.asarray(starts[1:], jnp.int32)).sum(dtype=jnp.int32)
        return self._at(current - jnp.asarray(starts, jnp.int32)[restarts], floating(lengths)[restarts])

    def _at(self, current: jax.Array, length: jax.Array) -> jax.Array:
        rest = (length - floating(current)) / length
        return self.eta_min + (floating(self.lr) - self.eta_min) * half_cosine(rest)
