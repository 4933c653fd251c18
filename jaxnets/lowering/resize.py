"""The last axes of an array, each seen through a table of positions that is known when a program is traced."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets.lowering.alone import alone_on_cpu

FEW, UNROLLED = 4, 20
"""So many taps are slices where the table is regular; and so many are added up one by one, which every backend fuses
into one loop. More are gathered and reduced."""


PHASES = 8
"""Steps in which so many positions recur are said by as many slices; longer ones are gathered."""


@dataclass(frozen=True, eq=False)
class Taps:
    """What makes an axis of `outputs` elements: `y[o] = sum over k of weight[o, k] * x[source[o, k]]`.

    Args:
        source: `(outputs, taps)`, positions in the input.
        weight: `(outputs, taps)`, in the dtype of the input; None for one tap of weight 1.
        used: `(outputs, taps)`, which taps there are; None for all of them. An inf elsewhere must not reach the sum.
    """

    source: np.ndarray
    weight: np.ndarray | None = None
    used: np.ndarray | None = None

    @cached_property
    def _content(self) -> tuple[Any, ...]:
        arrays = (getattr(self, field.name) for field in fields(self))
        return tuple(None if a is None else (a.shape, a.dtype.str, a.tobytes()) for a in arrays)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Taps) and self._content == other._content

    def __hash__(self) -> int:
        return hash(self._content)

    def transposed(self, size: int) -> "Taps":
        """What makes the gradient of an axis of `size` elements, given that of the outputs."""
        count = self.source.shape[1]
        used = np.ones(self.source.shape, bool) if self.used is None else self.used
        taps = np.flatnonzero(used)
        source = self.source.ravel()[taps]
        order = np.argsort(source, kind="stable")
        source, taps = source[order], taps[order]
        times = np.bincount(source, minlength=size)
        place = np.arange(len(source)) - (np.cumsum(times) - times)[source]
        most = int(times.max(initial=0))
        output, weight = np.zeros((size, most), np.int64), None
        output[source, place] = taps // count
        if self.weight is not None:
            weight = np.zeros((size, most), self.weight.dtype)
            weight[source, place] = self.weight.ravel()[taps]
        there = np.arange(most) < times[:, None]
        # where there is no tap, any element that is near
        near = np.maximum.accumulate(np.maximum.accumulate(output, 1), 0)
        return Taps(np.where(there, output, near), weight, None if there.all() else there)


def resample(x: jax.Array, tables: Mapping[int, Taps], derivative: Mapping[int, Taps] | None = None) -> jax.Array:
    """`x` with each of these axes made anew by its table, and differentiated as if by those of `derivative`.

    The gradient is made by the transposed tables: the transpose of a gather is a scatter, ten times as slow on a CPU.
    """
    last_first = tuple(sorted(tables.items(), reverse=True))
    return _resampled(last_first, tuple(sorted((derivative or tables).items())), x)


Tables = tuple[tuple[int, Taps], ...]


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _resampled(tables: Tables, derivative: Tables, x: jax.Array) -> jax.Array:
    return _through(tables, x)


@_resampled.defjvp
def _resampled_jvp(
    tables: Tables, derivative: Tables, primals: Sequence, tangents: Sequence
) -> tuple[jax.Array, jax.Array]:
    (x,) = primals
    y = _resampled(tables, derivative, x)
    back = tuple((axis, taps.transposed(x.shape[axis])) for axis, taps in derivative)
    return y, jax.linear_transpose(partial(_through, back), y)(*tangents)[0]


@partial(jax.jit, static_argnums=0)
def _through(tables: Tables, x: jax.Array) -> jax.Array:
    """One axis after the other."""
    several = [taps.source.shape[1] > 1 for _, taps in tables[1:]]
    for (axis, taps), is_read_often in zip(tables, [*several, False], strict=True):
        along = partial(_along, axis=axis, taps=taps)
        # on CPU it would be made anew for each tap of the next one
        x = alone_on_cpu(along, x) if is_read_often else along(x)
    return x


def _along(x: jax.Array, axis: int, taps: Taps) -> jax.Array:
    outputs, count = taps.source.shape
    if not count:
        return jnp.zeros((*x.shape[:axis], outputs, *x.shape[axis + 1 :]), x.dtype)
    if count <= UNROLLED:
        return sum(_tap(x, axis, taps, k) for k in range(count))  # type: ignore[return-value]
    shape = (*x.shape[:axis], outputs, count, *x.shape[axis + 1 :])
    taken = _gathered(x, axis, taps.source.ravel()).reshape(shape)
    return _weighted(taken, (axis, axis + 1), taps.weight, taps.used).sum(axis + 1)


def _tap(x: jax.Array, axis: int, taps: Taps, k: int) -> jax.Array:
    weight, used = (None if table is None else table[:, k] for table in (taps.weight, taps.used))
    taken = (take if taps.source.shape[1] <= FEW else _gathered)(x, axis, taps.source[:, k])
    return _weighted(taken, (axis,), weight, used)


def _weighted(x: jax.Array, axes: tuple[int, ...], weight: np.ndarray | None, used: np.ndarray | None) -> jax.Array:
    """The numbers times their weights along some axes, and zeros where they are not used."""
    if weight is not None:
        x = x * lax.broadcast_in_dim(jnp.asarray(weight), x.shape, axes)
    if used is not None and not used.all():
        x = jnp.where(lax.broadcast_in_dim(jnp.asarray(used), x.shape, axes), x, jnp.zeros((), x.dtype))
    return x


def take(x: jax.Array, axis: int, source: np.ndarray) -> jax.Array:
    """The elements of an axis at fixed positions.

    Most of what occurs goes on in equal steps, all but the borders. Slices say that, of which a CPU fills vectors.
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
    is_sorted = bool((np.diff(source) >= 0).all())
    rows = x.at[(slice(None),) * axis + (np.asarray(source, np.int32),)]
    return rows.get(mode="promise_in_bounds", wrap_negative_indices=False, indices_are_sorted=is_sorted)
