"""One axis of an array seen through a table of positions that is known when a program is traced."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

UNROLLED = 4
"""So many taps are added up one by one, which every backend fuses into one loop; more are gathered and reduced."""


PHASES = 8
"""Steps in which so many positions recur are said by as many slices; longer ones are gathered."""


class Taps(NamedTuple):
    """What makes an axis of `outputs` elements: `y[o] = sum over k of weight[o, k] * x[source[o, k]]`.

    Args:
        source: `(outputs, taps)`, positions in the input.
        weight: `(outputs, taps)`, in the dtype of the input; None for one tap of weight 1.
        used: `(outputs, taps)`, which taps there are; None for all of them. An inf elsewhere must not reach the sum.
    """

    source: np.ndarray
    weight: np.ndarray | None = None
    used: np.ndarray | None = None

    def same(self, other: "Taps") -> bool:
        """Whether both tables say the same."""
        return all(
            a is b or (a is not None and b is not None and np.array_equal(a, b))
            for a, b in zip(self, other, strict=True)
        )


def resample(x: jax.Array, axis: int, taps: Taps) -> jax.Array:
    """`x` with the axis made anew by the taps."""
    if taps.weight is None:
        return take(x, axis, taps.source[:, 0])
    outputs, count = taps.source.shape
    if count <= UNROLLED:
        return sum(_tap(x, axis, taps, k) for k in range(count))  # type: ignore[return-value]
    shape = (*x.shape[:axis], outputs, count, *x.shape[axis + 1 :])
    taken = take(x, axis, taps.source.ravel()).reshape(shape)

    def spread(table: np.ndarray) -> jax.Array:
        return lax.broadcast_in_dim(jnp.asarray(table), shape, (axis, axis + 1))

    product = taken * spread(taps.weight)
    if taps.used is not None:
        product = jnp.where(spread(taps.used), product, jnp.zeros((), x.dtype))
    return product.sum(axis + 1)


def _tap(x: jax.Array, axis: int, taps: Taps, k: int) -> jax.Array:
    taken = take(x, axis, taps.source[:, k])

    def spread(table: np.ndarray) -> jax.Array:
        return lax.broadcast_in_dim(jnp.asarray(table), taken.shape, (axis,))

    product = taken * spread(taps.weight[:, k])  # type: ignore[index]
    if taps.used is None or taps.used[:, k].all():
        return product
    return jnp.where(spread(taps.used[:, k]), product, jnp.zeros((), x.dtype))


def take(x: jax.Array, axis: int, source: np.ndarray) -> jax.Array:
    """The elements of an axis at fixed positions.

    Most of what occurs goes on in equal steps, all but the borders. Slices say that, whose gradients are pads: those of
    a gather are scattered, ten times as slow on a CPU.
    """
    size, outputs = x.shape[axis], len(source)
    if np.array_equal(source, np.arange(size)):
        return x
    rounds = math.gcd(size, outputs)
    phases, step = outputs // max(rounds, 1), size // max(rounds, 1)
    if not 0 < phases <= PHASES:
        return _gathered(x, axis, source)
    table = source.reshape(rounds, phases)
    regular = (np.diff(table, axis=0) == step).all(axis=1)
    odd = np.flatnonzero(~regular)
    first = int(odd[odd < rounds // 2].max(initial=-1)) + 1
    last = int(odd[odd >= rounds // 2].min(initial=rounds - 1))
    if last - first < max(first, rounds - 1 - last):
        return _gathered(x, axis, source)
    parts = [
        lax.slice_in_dim(x, int(start), int(start) + (last - first) * step + 1, step, axis) for start in table[first]
    ]
    middle = jnp.stack(parts, axis + 1) if phases > 1 else parts[0]
    middle = middle.reshape(*x.shape[:axis], (last - first + 1) * phases, *x.shape[axis + 1 :])
    ends = table[:first].ravel(), table[last + 1 :].ravel()
    before, after = (_gathered(x, axis, end) if end.size else None for end in ends)
    whole = [part for part in (before, middle, after) if part is not None]
    return jnp.concatenate(whole, axis) if len(whole) > 1 else middle


def _gathered(x: jax.Array, axis: int, source: np.ndarray) -> jax.Array:
    rows = x.at[(slice(None),) * axis + (np.asarray(source, np.int32),)]
    return rows.get(mode="promise_in_bounds", indices_are_sorted=bool((np.diff(source) >= 0).all()))
