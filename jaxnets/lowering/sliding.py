"""Sliding windows over the last axes of an array, each folded into one number, and the way back of their sums.

`padding` is a pair for each axis; a window is never cut, so what the pair behind adds decides how many there are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets.lowering.alone import alone
from jaxnets.lowering.interleave import interleaved
from jaxnets.lowering.windows import padded

__all__ = ["MAX_LENGTH", "Windows", "by_axis", "by_window", "sum_by_axis"]

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]
Fold = Callable[[jax.Array, jax.Array], jax.Array]
Whole = Callable[..., jax.Array]

MAX_LENGTH = 25
"""Each place of a window along an axis, and each of a stride, is a slice in the compiled program."""


@dataclass(frozen=True)
class Windows:
    """Sliding windows over a plane: `tap` of window `o` is at `o * stride + tap * dilation - padding`."""

    plane: Ints
    kernel: Ints
    stride: Ints
    padding: Pairs
    dilation: Ints

    @property
    def counts(self) -> Ints:
        """How many windows there are along each axis."""
        axes = zip(self.plane, self.padding, self.kernel, self.dilation, self.stride, strict=True)
        return tuple((n + low + high - (k - 1) * d - 1) // s + 1 for n, (low, high), k, d, s in axes)

    @property
    def are_short(self) -> bool:
        """Whether what is done along each axis is a program of bounded size, and there are windows."""
        axes = zip(self.kernel, self.stride, self.counts, strict=True)
        return all(n > 0 and (max(k, s) <= MAX_LENGTH or n == 1) for k, s, n in axes)


def by_window(operation: Fold, start: np.ndarray, windows: Windows, x: jax.Array) -> jax.Array:
    """XLA's own operation: on CPU a loop over the windows."""
    axes = x.ndim - len(windows.plane)
    ones, none = (1,) * axes, ((0, 0),) * axes
    sizes, steps, dilation = (*ones, *windows.kernel), (*ones, *windows.stride), (*ones, *windows.dilation)
    return lax.reduce_window(x, start, operation, sizes, steps, (*none, *windows.padding), window_dilation=dilation)


def by_axis(operation: Fold, whole: Whole, start: np.ndarray, windows: Windows, x: jax.Array) -> jax.Array:
    """One axis after the other, each as a few slices of everything: on CPU two to ten times as fast.

    `whole` does what `operation` does to two numbers to all along axes, which it keeps.
    """

    def compute() -> jax.Array:
        y, first = padded(x, windows.padding, jnp.asarray(start)), x.ndim - len(windows.plane)
        axes = zip(windows.kernel, windows.stride, windows.dilation, windows.counts, strict=True)
        for axis, (kernel, stride, dilation, count) in enumerate(axes, first):
            if kernel > MAX_LENGTH:  # a single window
                places = lax.slice_in_dim(y, 0, (kernel - 1) * dilation + 1, dilation, axis)
                y = whole(places, (axis,), keepdims=True)
            else:
                starts, length = range(0, kernel * dilation, dilation), (count - 1) * stride + 1
                y = reduce(operation, [lax.slice_in_dim(y, tap, tap + length, stride, axis) for tap in starts])
        return y

    # what made `x` would be computed again for each place of a window
    return alone(compute)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def sum_by_axis(windows: Windows, x: jax.Array) -> jax.Array:
    """The sum of each window, by axis; so are its gradient's."""
    return by_axis(lax.add, jnp.sum, np.zeros((), x.dtype), windows, x)


@sum_by_axis.defjvp
def _sum_by_axis_jvp(windows: Windows, primals: Sequence, tangents: Sequence) -> tuple[jax.Array, jax.Array]:
    (x,), (tangent,) = primals, tangents
    y = sum_by_axis(windows, x)
    return y, jax.linear_transpose(lambda y: _places(windows, y), y)(tangent)[0]


@partial(jax.jit, static_argnums=0)
def _places(windows: Windows, y: jax.Array) -> jax.Array:
    """The transpose of the windows' sums: at each place of the plane the sum of the windows which that is in."""
    # what made `y` would be computed again for each place of a window
    return alone(lambda: _places_by_axis(windows, y))


def _places_by_axis(windows: Windows, y: jax.Array) -> jax.Array:
    first = y.ndim - len(windows.plane)
    each = zip(windows.plane, windows.kernel, windows.stride, windows.padding, strict=True)
    for axis, (size, kernel, stride, (low, _)) in enumerate(each, first):
        y = _places_along(y, axis, size, kernel, stride, low)
    return y


def _places_along(y: jax.Array, axis: int, size: int, kernel: int, stride: int, low: int) -> jax.Array:
    after = y.shape[axis + 1 :]

    def fitted(y: jax.Array, before: int, length: int) -> jax.Array:
        """From `before` places before the first, zeros where there is nothing."""
        borders = [(before, length - before - y.shape[axis]), *((0, 0),) * len(after)]
        return padded(y, borders, jnp.zeros((), y.dtype))

    if y.shape[axis] == 1:
        repeated = jnp.broadcast_to(y, (*y.shape[:axis], kernel, *after))
        return fitted(repeated, -low, size)
    count, phases = -(-size // stride), []
    for phase in range(stride):
        # place `q * stride + phase` is in the windows from `q + lowest` to `q + highest`
        lowest, highest = -((kernel - 1 - phase - low) // stride), (phase + low) // stride
        near = fitted(y, -lowest, count + max(highest - lowest, 0))
        parts = [lax.slice_in_dim(near, i, i + count, axis=axis) for i in range(highest - lowest + 1)]
        phases.append(reduce(lax.add, parts) if parts else jnp.zeros_like(near))
    return interleaved(phases, (stride, *(1,) * len(after)), (size, *after))
