"""Sliding windows over the last axes of an array: what lies under one of their taps."""

from collections.abc import Sequence

import jax
from jax import lax

__all__ = ["padded", "under"]

Ints = Sequence[int]


def padded(x: jax.Array, padding: Sequence[tuple[int, int]], fill: jax.Array) -> jax.Array:
    """`x` with `fill` before and behind its last axes, or less of it where `padding` is negative."""
    return lax.pad(x, fill, [*((0, 0, 0),) * (x.ndim - len(padding)), *((*pair, 0) for pair in padding)])


def under(padded: jax.Array, tap: Ints, windows: Ints, stride: Ints, dilation: Ints) -> jax.Array:
    """`(*leading, *windows)`: window `o` has this tap at `o * stride + tap * dilation`."""
    leading = padded.shape[: -len(tap)]
    first = [t * d for t, d in zip(tap, dilation, strict=True)]
    last = [f + (n - 1) * s + 1 for f, n, s in zip(first, windows, stride, strict=True)]
    zeros, ones = (0,) * len(leading), (1,) * len(leading)
    return lax.slice(padded, (*zeros, *first), (*leading, *last), (*ones, *stride))
