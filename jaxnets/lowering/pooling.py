"""Windows over the last axes of an array, sliding or placed anywhere: sum, maximum, and where the maximum is.

`padding` is a pair for each axis; a window is never cut, so what the pair behind adds decides how many there are.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets.lowering.alone import alone, alone_on_cpu
from jaxnets.lowering.choice import Form, choose
from jaxnets.lowering.derivative import with_derivative_of
from jaxnets.lowering.extremes import greatest
from jaxnets.lowering.interleave import interleaved
from jaxnets.lowering.mesh import automatic, has_explicit_axes, layout
from jaxnets.lowering.sliding import Windows, by_axis, by_window, sum_by_axis
from jaxnets.lowering.windows import padded, under

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def sum_pool(x: jax.Array, kernel: Ints, stride: Ints, padding: Pairs) -> jax.Array:
    """The sum of each window; padding is 0."""
    return _folded(SUMS, _sums, Windows(x.shape[-len(kernel) :], kernel, stride, padding, (1,) * len(kernel)), x)


def max_pool(x: jax.Array, kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> jax.Array:
    """The maximum of each window; NaN is above all, padding is below all.

    The derivative is that of the first greatest element. XLA's own (select and scatter) loses a NaN when
    something follows it, and has no dilation.
    """
    if jnp.issubdtype(x.dtype, jnp.floating):
        return _max_pool(x, kernel, stride, padding, dilation)
    return _greatest(x, kernel, stride, padding, dilation)


@partial(jax.jit, static_argnums=(1, 2, 3, 4))  # one program, not dozens, where nothing else compiles it
def argmax_pool(x: jax.Array, kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> jax.Array:
    """The flat index, in the plane of the last axes, of each window's maximum.

    The first of equals wins, as does the last NaN, which is what torch's loop over a window does. A window with
    nothing but padding gives -1.
    """
    plane = x.shape[-len(kernel) :]
    leading = [(0, 0, 0)] * (x.ndim - len(kernel))
    borders = [(low, high, 0) for low, high in padding]
    index = jnp.arange(math.prod(plane)).reshape(plane)
    index = lax.pad(index, jnp.full((), -1, index.dtype), borders)
    best = lax.pad(lax.stop_gradient(x), jnp.asarray(_lowest(x)), [*leading, *borders])
    index = jnp.broadcast_to(index, best.shape) + jnp.zeros_like(best, index.dtype)  # lies on the mesh as `best` does
    # one axis after the other, the last first: then equals meet in the order of rows
    for axis in range(-1, -len(kernel) - 1, -1):
        best, index = _slide(best, index, axis, kernel[axis], stride[axis], dilation[axis])
    return index


def _slide(
    best: jax.Array, index: jax.Array, axis: int, kernel: int, stride: int, dilation: int
) -> tuple[jax.Array, jax.Array]:
    """Windows along one axis: two windows of the same length, one of them shifted, make a longer one."""
    axis, span = axis % best.ndim, 1
    while span < kernel:
        step = min(span, kernel - span)
        size = best.shape[axis] - step * dilation

        def part(array: jax.Array, start: int, size: int = size) -> jax.Array:
            return lax.slice_in_dim(array, start, start + size, axis=axis)

        left, right = part(best, 0), part(best, step * dilation)
        left_index, right_index = part(index, 0), part(index, step * dilation)
        wins = (right > left) | (right != right) | (left_index < 0)
        best, index = jnp.where(wins, right, left), jnp.where(wins, right_index, left_index)
        span += step
    return tuple(lax.slice_in_dim(array, 0, None, stride, axis) for array in (best, index))  # type: ignore[return-value]


@partial(jax.custom_jvp, nondiff_argnums=(1, 2, 3, 4))
def _max_pool(x: jax.Array, kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> jax.Array:
    return _greatest(x, kernel, stride, padding, dilation)


def _greatest(x: jax.Array, kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> jax.Array:
    return _folded(MAXIMA, _maxima, Windows(x.shape[-len(kernel) :], kernel, stride, padding, dilation), x)


def _folded(
    forms: Sequence[Form], xlas: Callable[[Windows, jax.Array], jax.Array], windows: Windows, x: jax.Array
) -> jax.Array:
    """In the form that pays on CPU, elsewhere in XLA's own."""
    return lax.platform_dependent(x, cpu=partial(choose(forms, windows), windows), default=partial(xlas, windows))


def _sums(windows: Windows, x: jax.Array) -> jax.Array:
    return by_window(lax.add, np.zeros((), x.dtype), windows, x)


def _maxima(windows: Windows, x: jax.Array) -> jax.Array:
    return by_window(lax.max, _lowest(x), windows, x)


def _maxima_and_nan(windows: Windows, x: jax.Array) -> jax.Array:
    """Windows that lie side by side are a maximum along axes to XLA, in which its CPU backend may lose NaN."""
    found = _maxima(windows, x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return found
    has_nan = by_window(lax.bitwise_or, np.zeros((), bool), windows, x != x)
    return jnp.where(has_nan, np.full((), np.nan, x.dtype), found)


SUMS = (
    Form("by_axis", sum_by_axis, can=lambda windows: windows.are_short),
    Form("by_window", _sums),
)
MAXIMA = (
    Form(
        "by_axis",
        lambda windows, x: by_axis(lax.max, greatest, _lowest(x), windows, x),
        can=lambda windows: windows.are_short,
    ),
    Form("by_window", _maxima_and_nan),
)


@_max_pool.defjvp
def _max_pool_jvp(
    kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints, primals: Sequence, tangents: Sequence
) -> tuple[jax.Array, jax.Array]:
    (x,), (tangent,) = primals, tangents
    y = _max_pool(x, kernel, stride, padding, dilation)
    if max(math.prod(kernel), math.prod(stride)) > MAX_TAPS or not y.size:
        index = argmax_pool(x, kernel, stride, padding, dilation)
        taken = picked(tangent, jnp.maximum(index, 0), len(kernel))
        return y, jnp.where(index < 0, jnp.zeros((), tangent.dtype), taken)
    taps = _Taps(x.shape[-len(kernel) :], kernel, stride, padding, dilation)
    tap = taps.of_maximum(*lax.stop_gradient((x, y)))
    return y, jax.linear_transpose(lambda y: taps.back(y, tap), y)(tangent)[0]


MAX_TAPS = 27
"""Each tap of a window is a slice in the compiled program, and each place in a stride a sum."""


class _Taps(Windows):
    """The taps that the windows' maxima are under, and the way back."""

    def each(self) -> list[Ints]:
        return list(itertools.product(*map(range, self.kernel)))

    def under(self, x: jax.Array, fill: float, tap: Ints) -> jax.Array:
        """What lies under a tap of each window; padding is `fill`."""
        return under(padded(x, self.padding, jnp.asarray(fill, x.dtype)), tap, self.counts, self.stride, self.dilation)

    @partial(jax.jit, static_argnums=0)
    def of_maximum(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """Which tap each window's maximum `y` is under: the first of equals, the last NaN."""
        return alone(lambda: self._of_maximum(x, y))

    def _of_maximum(self, x: jax.Array, y: jax.Array) -> jax.Array:
        number = jnp.zeros(y.shape, jnp.uint8)
        of_nan = number
        for i, tap in reversed(list(enumerate(self.each()))):
            number = jnp.where(self.under(x, np.nan, tap) == y, jnp.uint8(i), number)
        for i, tap in enumerate(self.each()):
            part = self.under(x, 0.0, tap)
            of_nan = jnp.where(part != part, jnp.uint8(i), of_nan)
        return jnp.where(y != y, of_nan, number)

    @partial(jax.jit, static_argnums=0)
    def back(self, y: jax.Array, tap: jax.Array) -> jax.Array:
        """The numbers of each window at the place under its `tap`, those of windows that meet added, in the plane."""
        # on CPU what made `y` would be computed again for each place of a window
        return alone_on_cpu(self._back, y, tap)

    def _back(self, y: jax.Array, tap: jax.Array) -> jax.Array:
        axes, zero = len(self.kernel), jnp.zeros((), y.dtype)
        counts = [-(-n // s) for n, s in zip(self.plane, self.stride, strict=True)]
        phases = []
        for phase in itertools.product(*map(range, self.stride)):
            total = jnp.zeros((*y.shape[:-axes], *counts), y.dtype)
            for i, offsets in enumerate(self.each()):
                # place `q * stride + r` is under this tap of window `q + (r + low - offset) / stride`
                reach = [
                    r + low - t * d
                    for r, (low, _), t, d in zip(phase, self.padding, offsets, self.dilation, strict=True)
                ]
                if any(n % s for n, s in zip(reach, self.stride, strict=True)):
                    continue
                shift = [n // s for n, s in zip(reach, self.stride, strict=True)]
                borders = [(-m, n + m - o, 0) for m, n, o in zip(shift, counts, y.shape[-axes:], strict=True)]
                part = jnp.where(tap == i, y, zero)
                total = total + lax.pad(part, zero, (*((0, 0, 0),) * (y.ndim - axes), *borders))
            phases.append(total)
        return interleaved(phases, self.stride, self.plane)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def adaptive_max(x: jax.Array, output: Ints) -> jax.Array:
    """The maximum of each adaptive window of the last axes, `output` windows along each; NaN is above all.

    The derivative is that of the element that `adaptive_argmax` names.
    """
    for axis, positions in _last_first(x, adaptive_windows(x.shape, output)):
        if _are_slices(positions, x.shape[axis]):
            x = jnp.stack([greatest(part, (axis,)) for part in _slices(x, positions, axis)], axis)
        else:
            x = greatest(_windowed(x, positions, axis), (axis + 1,))
    return x


@adaptive_max.defjvp
def _adaptive_max_jvp(output: Ints, primals: Sequence, tangents: Sequence) -> tuple[jax.Array, jax.Array]:
    (x,), (tangent,) = primals, tangents
    index = adaptive_argmax(x, output)
    return picked(x, index, len(output)), picked(tangent, index, len(output))


@partial(jax.jit, static_argnums=1)
def adaptive_argmax(x: jax.Array, output: Ints) -> jax.Array:
    """The flat index, in the plane of the last axes, of each adaptive window's maximum; ties as in `argmax_pool`."""
    return argmax_of_windows(x, adaptive_windows(x.shape, output))


def adaptive_bounds(size: int, windows: int) -> tuple[np.ndarray, np.ndarray]:
    """The first element of each of the `windows` windows over `size` elements, and the one behind its last."""
    number = np.arange(windows)
    return number * size // max(windows, 1), -((number + 1) * -size // max(windows, 1))


def adaptive_windows(shape: Ints, output: Ints) -> tuple[np.ndarray, ...]:
    """The positions `(windows, longest)` of the windows' elements along each of the last axes.

    A window that is shorter than the longest has its last element again, which changes no maximum.
    """
    windows = []
    for size, count in zip(shape[-len(output) :], output, strict=True):
        start, end = adaptive_bounds(size, count)
        longest = int((end - start).max(initial=1))
        windows.append(np.minimum(start[:, None] + np.arange(longest), end[:, None] - 1))
    return tuple(windows)


def argmax_of_windows(x: jax.Array, windows: Sequence[np.ndarray | jax.Array]) -> jax.Array:
    """The flat index, in the plane of the last axes, of each window's maximum; ties as in `argmax_pool`.

    `windows` has the positions of the elements along each axis, in ascending order: `(windows, length)`, or
    `(*leading, windows, length)` where they differ from plane to plane.
    """
    best, weight = lax.stop_gradient(x), 1
    index = jnp.zeros_like(best, jnp.asarray(windows[0]).dtype)
    for axis, positions in _last_first(x, windows):
        best, index = _first_maxima(best, index, positions, axis, weight)
        weight *= x.shape[axis]
    return index


FEW = 25
"""Windows along an axis, of which each is a slice in the compiled program."""


def _first_maxima(
    best: jax.Array, index: jax.Array, positions: np.ndarray | jax.Array, axis: int, weight: int
) -> tuple[jax.Array, jax.Array]:
    """The maximum of each window along an axis, and the index of that: the one before, and `weight * position`."""
    if _are_slices(positions, best.shape[axis]):
        index = index + _along(jnp.arange(best.shape[axis], dtype=index.dtype) * weight, axis, 1, index.shape)
        windows = zip(*(_slices(array, positions, axis) for array in (best, index)), strict=True)
        found = [_first_maximum(part, places, axis) for part, places in windows]
        return tuple(jnp.stack(arrays, axis) for arrays in zip(*found, strict=True))  # type: ignore[return-value]
    best, index = _windowed(best, positions, axis), _windowed(index, positions, axis)
    return _first_maximum(best, index + _along(jnp.asarray(positions) * weight, axis, 2, index.shape), axis + 1)


def _are_slices(positions: np.ndarray | jax.Array, size: int) -> TypeGuard[np.ndarray]:
    """Whether windows along an axis are few slices of it; a gather would be done again for each that reads it."""
    return isinstance(positions, np.ndarray) and 0 < len(positions) <= FEW and not _is_every(positions, size)


def _slices(x: jax.Array, positions: np.ndarray, axis: int) -> list[jax.Array]:
    """Each window along an axis."""
    return [lax.slice_in_dim(x, first, last + 1, axis=axis) for first, *_, last in positions[:, [0, -1]].tolist()]


def _along(numbers: jax.Array, axis: int, count: int, shape: Ints) -> jax.Array:
    """Numbers `(*leading, *own)`, of which those are of the first axes and these of `count` from `axis` on."""
    leading, own = numbers.shape[:-count], numbers.shape[-count:]
    ones = (1,) * (axis - len(leading)), (1,) * (len(shape) - axis - count)
    return jnp.broadcast_to(numbers.reshape(*leading, *ones[0], *own, *ones[1]), shape)


def _is_every(positions: np.ndarray, size: int) -> bool:
    """Whether windows have every element of an axis once."""
    return np.array_equal(positions.ravel(), np.arange(size))


@partial(jax.jit, static_argnums=2)
def argmax_at(x: jax.Array, starts: tuple[jax.Array, ...], kernel: Ints) -> jax.Array:
    """The flat index of the maximum of windows of one size that start anywhere; ties as in `argmax_pool`.

    `starts` has an array `(*leading, windows)` for each of the last axes.
    """
    offsets = [
        jnp.broadcast_to(jnp.arange(k, dtype=s.dtype), (*s.shape, k)) for s, k in zip(starts, kernel, strict=True)
    ]
    return argmax_of_windows(x, [s[..., None] + offset for s, offset in zip(starts, offsets, strict=True)])


@partial(jax.jit, static_argnums=(1, 2, 3))
def fractional_starts(sample: jax.Array, size: int, kernel: int, windows: int) -> jax.Array:
    """Where `windows` windows of `kernel` elements start along an axis: `floor((i + u) * a) - floor(u * a)`.

    Every step is rounded to the dtype of the sample, as it is in torch: one window more to the left or right
    would be another pooling.
    """
    dtype = np.dtype(sample.dtype)
    last = np.full(1, size - kernel)
    if windows < 2:
        return jnp.broadcast_to(jnp.asarray(last[:windows], jnp.int32), (*sample.shape, windows))
    alpha = np.asarray(size - kernel, dtype) / np.asarray(windows - 1, dtype)
    number = np.arange(windows - 1).astype(dtype)
    info, u = jnp.finfo(dtype), sample[..., None]

    def rounded(x: jax.Array) -> jax.Array:
        # said aloud, since XLA may keep half precisions in float32 from one step to the next
        return lax.reduce_precision(x, exponent_bits=info.nexp, mantissa_bits=info.nmant)

    wide = dtype if dtype.itemsize > 2 else np.dtype(np.float32)
    u, alpha = u.astype(wide), jnp.asarray(alpha, wide)
    shape = (*sample.shape, windows - 1)
    moved = rounded(jnp.broadcast_to(u, shape) + jnp.broadcast_to(jnp.asarray(number, wide), shape))
    first = rounded(u * alpha).astype(jnp.int32)
    starts = rounded(moved * alpha).astype(jnp.int32) - jnp.broadcast_to(first, shape)
    starts = jnp.clip(starts, 0, size - kernel)
    return jnp.concatenate([starts, jnp.full((*sample.shape, 1), size - kernel, jnp.int32)], axis=-1)


@partial(jax.jit, static_argnums=2)
def unpool(x: jax.Array, index: jax.Array, plane: Ints) -> jax.Array:
    """Each number at its flat index in a plane of zeros, the last of several there; an index outside is left out.

    The derivative is the plane's at the index, also where another number has the same one and has won.
    """
    if has_explicit_axes(x):
        return automatic(lambda *arrays: unpool(*arrays, plane), layout(x)[: -len(plane)], x, index)
    size = math.prod(plane)
    leading = x.shape[: -len(plane)]
    rows = math.prod(leading)
    within = math.prod(x.shape[-len(plane) :])
    x, index = x.reshape(rows, within), index.reshape(rows, within)
    index = jnp.where(index < 0, jnp.full((), size, index.dtype), index)  # JAX counts those from the end
    row = jnp.broadcast_to(jnp.arange(rows, dtype=index.dtype)[:, None], index.shape)
    empty = jnp.zeros((rows, size), x.dtype)
    added = empty.at[row, index].add(x, mode="drop")

    def in_order(x: jax.Array) -> jax.Array:
        return empty.at[row, index].set(x, mode="drop")

    def by_the_last(x: jax.Array) -> jax.Array:  # elsewhere numbers are written in any order
        none = jnp.full((rows, size), -1, index.dtype)
        last = none.at[row, index].max(jnp.arange(within, dtype=index.dtype)[None], mode="drop")
        return jnp.where(last < 0, jnp.zeros((), x.dtype), jnp.take_along_axis(x, jnp.maximum(last, 0), axis=1))

    placed = lax.platform_dependent(lax.stop_gradient(x), cpu=in_order, default=by_the_last)
    return with_derivative_of(added, placed).reshape(*leading, *plane)


def picked(x: jax.Array, index: jax.Array, axes: int) -> jax.Array:
    """The elements at flat indices in the plane of the last `axes` axes."""
    plane = (1,) * axes
    flat = jnp.take_along_axis(_flat(x, plane), _flat(index, plane), axis=-1, mode="promise_in_bounds")
    return flat.reshape(index.shape)


def _last_first(x: jax.Array, windows: Sequence[Any]) -> list[tuple[int, Any]]:
    """Each of the last axes with what belongs to it, the last axis first: so equals meet in the order of rows."""
    return list(zip(range(x.ndim - 1, -1, -1), reversed(windows), strict=False))


def _windowed(x: jax.Array, positions: np.ndarray | jax.Array, axis: int) -> jax.Array:
    """The elements at `positions` along an axis, which becomes two: the window, and the element in it."""
    count, length = positions.shape[-2:]
    if not isinstance(positions, np.ndarray):
        leading = positions.shape[:-2]
        ones = (1,) * (axis - len(leading)), (1,) * (x.ndim - axis - 1)
        places = positions.reshape(*leading, *ones[0], count * length, *ones[1])
        x = jnp.take_along_axis(x, places, axis=axis, mode="clip")
    elif not _is_every(positions, x.shape[axis]):
        x = jnp.take(x, positions.ravel(), axis=axis, mode="clip")
    return x.reshape(*x.shape[:axis], count, length, *x.shape[axis + 1 :])


def _first_maximum(x: jax.Array, index: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    """The maximum along an axis and its index: of equals the smallest index, of NaN the greatest.

    Two folds of one array each: XLA's CPU backend takes ten times as long for one of two arrays.
    """
    best = x.max(axis)
    none = jnp.full((), jnp.iinfo(index.dtype).min, index.dtype)
    wins = x == jnp.broadcast_to(jnp.expand_dims(best, axis), x.shape)
    found = jnp.where(x != x, index, jnp.where(wins, -1 - index, none)).max(axis)
    best = jnp.where(found < 0, best, np.full((), np.nan, x.dtype))  # which XLA's CPU backend may have lost
    return best, jnp.where(found < 0, -1 - found, found)


def _flat(x: jax.Array, kernel: Ints) -> jax.Array:
    """The plane of the last axes as one axis."""
    leading = x.shape[: -len(kernel)]
    return x.reshape(*leading, math.prod(x.shape[-len(kernel) :]))


def _lowest(x: jax.Array) -> np.ndarray:
    floating = jnp.issubdtype(x.dtype, jnp.floating)
    return np.asarray(-np.inf if floating else jnp.iinfo(x.dtype).min, x.dtype)
