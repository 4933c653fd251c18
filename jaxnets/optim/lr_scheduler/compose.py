"""Schedules made of others: all of them in each step, or one after the other."""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.optim.lr_scheduler.cosine import CosineAnnealingLR
from jaxnets.optim.lr_scheduler.cycle import CyclicLR, OneCycleLR
from jaxnets.optim.lr_scheduler.plateau import ReduceLROnPlateau
from jaxnets.optim.lr_scheduler.schedule import Factor, LRScheduler, Value, concrete, floating, integers, whole

__all__ = ["ChainedScheduler", "SequentialLR"]


def _members(schedulers: Any) -> tuple[LRScheduler, ...]:
    """The schedulers of a list; refuses what torch could not have given one optimizer."""
    if not isinstance(schedulers, Sequence):
        raise TypeError(f"schedulers: expected a list of schedulers, got {schedulers!r}")
    if not schedulers:
        raise ValueError("schedulers: expected at least one, got none")
    for i, scheduler in enumerate(schedulers):
        if isinstance(scheduler, ReduceLROnPlateau):
            raise ValueError(
                f"schedulers[{i}]: expected a schedule, got ReduceLROnPlateau, whose step asks for a metric"
            )
        if not isinstance(scheduler, LRScheduler):
            raise TypeError(
                f"schedulers[{i}]: expected a scheduler of jaxnets, got one of type {type(scheduler).__name__}"
            )
    _group_initial_lr(schedulers)
    return tuple(schedulers)


def _group_initial_lr(schedulers: Sequence[LRScheduler]) -> Any:
    """Torch's `group["initial_lr"]` after the schedulers were made in the order of the list.

    The first sets it, and a `OneCycleLR` sets it again; the others, but for a `CyclicLR`, take it.
    """
    first, *rest = (leaf for scheduler in schedulers for leaf in scheduler._leaves())
    initial = first._initial_lr()
    cycle = first
    for leaf in rest:
        lr = leaf._initial_lr()
        if isinstance(leaf, OneCycleLR):
            if isinstance(cycle, OneCycleLR) and concrete(lr, cycle.max_lr) and cycle.levels != leaf.levels:
                raise ValueError(
                    "schedulers: expected one max_lr, div_factor and final_div_factor for each OneCycleLR, as torch "
                    f"keeps them with the optimizer, got {cycle.levels} and {leaf.levels}; optax.join_schedules joins "
                    "what differs"
                )
            initial, cycle = lr, leaf
        elif not isinstance(leaf, CyclicLR) and concrete(lr, initial) and float(lr) != float(initial):
            raise ValueError(
                f"schedulers: expected one lr, as they are of one optimizer, got {initial} before a "
                f"{type(leaf).__name__} with {lr}"
            )
    return initial


@dataclass(frozen=True)
class ChainedScheduler(LRScheduler):
    """All schedulers in each step, one after the other: each changes the rate that the one before it leaves.

    What they multiply by is multiplied. A scheduler that does not look at the rate (`LambdaLR`, `CyclicLR`,
    `OneCycleLR`, `CosineAnnealingWarmRestarts`) undoes what stands before it in the list. These chains have closed
    forms, as has one `CosineAnnealingLR` with an `eta_min` of 0 among those that multiply. For others, with more of
    them, another `eta_min`, or a `SequentialLR`, a loop over all epochs is run in each step, and in float32 the error
    grows with them.

    Args:
        schedulers: at least one, made for one `lr`.

    Raises:
        TypeError: a member is no scheduler.
        ValueError: no members; members of several `lr` or `last_epoch`; a `ReduceLROnPlateau`.

    Differences from torch: no `optimizer`. The first step is made in the order of the list, as if schedulers had been
    made in it. One that stands twice in the list is two.

    >>> from jaxnets.optim.lr_scheduler import ConstantLR, ExponentialLR
    >>> ChainedScheduler([ConstantLR(0.5, factor=0.5, total_iters=2), ExponentialLR(0.5, gamma=0.5)])(jnp.arange(4))
    Array([0.25  , 0.125 , 0.125 , 0.0625], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ChainedScheduler.html
    """

    schedulers: Sequence[LRScheduler]
    last_epoch: int = field(default=-1, init=False, repr=False)

    def __post_init__(self) -> None:
        members: list[LRScheduler] = []
        for member in _members(self.schedulers):  # a chain in a chain is the same chain
            members.extend(member.schedulers if isinstance(member, ChainedScheduler) else [member])
        epochs = {member.last_epoch for member in members}
        if len(epochs) > 1:
            raise ValueError(f"schedulers: expected one last_epoch, got {sorted(epochs)}")
        if epochs != {-1} and any(isinstance(member, SequentialLR) for member in members):
            raise ValueError(f"schedulers: expected a last_epoch of -1 with a SequentialLR, got {epochs.pop()}")
        object.__setattr__(self, "schedulers", tuple(members))
        object.__setattr__(self, "last_epoch", epochs.pop())

    def _initial_lr(self) -> Any:
        return self.schedulers[0]._initial_lr()

    def _leaves(self) -> tuple[LRScheduler, ...]:
        return tuple(leaf for member in self.schedulers for leaf in member._leaves())

    def _state(self, epoch: int) -> Any:
        return tuple(member._state(epoch) for member in self.schedulers)

    def _enter(self, lr: jax.Array, epoch: int, initial: jax.Array) -> jax.Array:
        for at, member in enumerate(self.schedulers):
            lr = member._enter(lr, epoch, floating(_group_initial_lr(self.schedulers[: at + 1])))
        return lr

    def _reenter(self, lr: jax.Array, state: Any) -> jax.Array:
        return self._run(lr, state, 0, 1)  # torch makes the first step of the members once more as any other

    def _undone(self, state: Any) -> Any:
        return tuple(member._undone(s) for member, s in zip(self.schedulers, state, strict=True))

    def _advanced(self, state: Any) -> Any:
        return tuple(member._advanced(s) for member, s in zip(self.schedulers, state, strict=True))

    def _run(self, lr: jax.Array, state: Any, i: Any, j: Any) -> jax.Array:
        pairs = list(zip(self.schedulers, state, strict=True))
        values = [at for at, member in enumerate(self.schedulers) if isinstance(member, Value)]
        if values:
            if concrete(i, j) and i >= j:
                return lr
            return jnp.where(i < j, _in_turn(pairs[values[-1] :], lr, j - 1, j), lr)
        others = [at for at, member in enumerate(self.schedulers) if not isinstance(member, Factor)]
        if not others or len(pairs) == 1:
            return _in_turn(pairs, lr, i, j)
        cosine = self.schedulers[others[0]]
        if len(others) == 1 and isinstance(cosine, CosineAnnealingLR) and cosine.eta_min == 0:
            return _around_cosine(pairs, others[0], lr, i, j)
        start, stop = integers(i, j)
        return jax.lax.fori_loop(start + 1, stop + 1, lambda step, lr: _in_turn(pairs, lr, step - 1, step), lr)


def _in_turn(pairs: Sequence[tuple[LRScheduler, Any]], lr: jax.Array, i: Any, j: Any) -> jax.Array:
    for member, state in pairs:
        lr = member._run(lr, state, i, j)
    return lr


def _around_cosine(pairs: list[tuple[Any, Any]], at: int, lr: jax.Array, i: Any, j: Any) -> jax.Array:
    """A half cosine down to 0 multiplies as well, but for the step of its rise, from which on it is all anew."""
    (cosine, state), before, after = pairs[at], pairs[:at], pairs[at + 1 :]
    start, stop = integers(i, j)
    rise = cosine.rise(state + stop) - state
    if not (concrete(start, stop) and rise <= start):
        risen = _in_turn(before, jnp.where(rise - 1 > start, 0.0, lr), rise - 1, rise) + cosine.risen()
        lr = jnp.where(rise > start, _in_turn(after, risen, rise - 1, rise), lr)
        start = jnp.maximum(start, rise)
    ratio = cosine.cosine(state + stop) / cosine.cosine(state + start)
    return jnp.where(start == stop, lr, _in_turn(before + after, lr * ratio, start, stop))


@dataclass(frozen=True)
class SequentialLR(LRScheduler):
    """One scheduler after the other: the next from each milestone on, counted anew from epoch 0.

    At a milestone the rate is that of the new scheduler at its epoch 0, whatever it was before; but a
    `MultiplicativeLR` multiplies what it was.

    Args:
        schedulers: at least one, made for one `lr`.
        milestones: ascending epochs, one fewer than schedulers.
        last_epoch: the last epoch that was made, at least -1. As in torch, the rate is `lr` again, whatever it was,
            and the first scheduler makes its first step.

    Raises:
        TypeError: a member is no scheduler.
        ValueError: no members; members of several `lr`, or with a `last_epoch`; milestones that are too many, too few,
            or not ascending; a `ReduceLROnPlateau`; a `ChainedScheduler` or `SequentialLR` that a milestone starts,
            which torch cannot do.

    Differences from torch: no `optimizer`. One that stands twice in the list is two. As in torch, the rates of a
    `ChainedScheduler` inside depend on first steps that are made again as common ones, and a `SequentialLR` inside is a
    step ahead.

    >>> from jaxnets.optim.lr_scheduler import LinearLR
    >>> warmup = LinearLR(0.4, start_factor=0.25, total_iters=3)
    >>> schedule = SequentialLR([warmup, CosineAnnealingLR(0.4, T_max=4)], milestones=[3])
    >>> [round(x, 3) for x in schedule(jnp.arange(8)).tolist()]
    [0.1, 0.2, 0.3, 0.4, 0.341, 0.2, 0.059, 0.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.SequentialLR.html
    """

    schedulers: Sequence[LRScheduler]
    milestones: Sequence[int]
    last_epoch: int = -1

    def __post_init__(self) -> None:
        members = _members(self.schedulers)
        milestones = tuple(whole(f"milestones[{i}]", m) for i, m in enumerate(self.milestones))
        if len(milestones) != len(members) - 1:
            raise ValueError(
                f"milestones: expected one fewer than the {len(members)} schedulers, got {len(milestones)}"
            )
        if sorted(milestones) != list(milestones):
            raise ValueError(f"milestones: expected ascending numbers, got {list(self.milestones)}")
        for i, member in enumerate(members):
            if member.last_epoch != -1:
                raise ValueError(f"schedulers[{i}]: expected a last_epoch of -1, got {member.last_epoch}")
        self._set(schedulers=members, milestones=milestones)
        for _, _, i, restarts in self._phases(self.last_epoch + 1):
            if restarts and isinstance(members[i], ChainedScheduler | SequentialLR):
                raise ValueError(
                    f"schedulers[{i}]: expected a scheduler that can start at the milestone {milestones[i - 1]}, got "
                    f"{type(members[i]).__name__}, which torch cannot start there; put it first"
                )

    def _initial_lr(self) -> Any:
        return _group_initial_lr(self.schedulers)

    def _leaves(self) -> tuple[LRScheduler, ...]:
        return tuple(leaf for member in self.schedulers for leaf in member._leaves())

    def _state(self, epoch: int) -> Any:
        """Its epoch, and the states of its members; torch undoes their first steps, and makes one once more."""
        states, first = self._undone_members(), bisect_right(self.milestones, 0)
        states[first] = self.schedulers[first]._advanced(states[first])
        return self.last_epoch + 1, tuple(states)

    def _undone_members(self) -> list[Any]:
        return [member._undone(member._state(0)) for member in self.schedulers]

    def _undone(self, state: Any) -> Any:
        epoch, states = state  # the epoch itself stays
        return epoch, tuple(member._undone(s) for member, s in zip(self.schedulers, states, strict=True))

    def _advanced(self, state: Any) -> Any:
        epoch, states = state
        _, _, at, restarts = next(self._phases(epoch))
        stepped = 0 if restarts else self.schedulers[at]._advanced(states[at])
        return epoch + 1, (*states[:at], stepped, *states[at + 1 :])

    def _phases(self, epoch: int) -> Iterator[tuple[int, float, int, bool]]:
        """First step, first step of the next, member, and whether it restarts, counting steps after `epoch`."""
        bounds = [-math.inf, *self.milestones, math.inf]
        for at in range(len(self.schedulers)):
            first, end = max(bounds[at] - epoch, 1), bounds[at + 1] - epoch
            if first < end:
                yield int(first), end, at, bounds[at] > epoch

    def _begin(self) -> tuple[jax.Array, Any]:
        return self._enter(floating(0.0), 0, floating(0.0)), self._state(0)

    def _enter(self, lr: jax.Array, epoch: int, initial: jax.Array) -> jax.Array:
        first = bisect_right(self.milestones, 0)
        return self.schedulers[first]._reenter(floating(self._initial_lr()), self._undone_members()[first])

    def _reenter(self, lr: jax.Array, state: Any) -> jax.Array:
        return self._run(lr, state, 0, 1)

    def _run(self, lr: jax.Array, state: Any, i: Any, j: Any) -> jax.Array:
        epoch, states = state
        for first, end, at, restarts in self._phases(epoch):
            member, steps = self.schedulers[at], integers(i, j)
            start, stop = (jnp.clip(step, first - 1, None if math.isinf(end) else int(end) - 1) for step in steps)
            if concrete(start, stop) and start >= stop:
                continue
            if restarts:
                begun = jnp.where(start < first, member._restart(lr), lr)
                new = member._run(begun, 0, jnp.maximum(start, first) - first, jnp.maximum(stop, first) - first)
            else:
                new = member._run(lr, states[at], start - (first - 1), stop - (first - 1))
            lr = jnp.where(start < stop, new, lr)
        return lr
