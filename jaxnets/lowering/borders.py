"""Axes that go on at their ends with numbers of their own, or are cropped there."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

__all__ = ["extended"]

Borders = Mapping[int, tuple[int, int]]

NUMPYS: Mapping[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""numpy's names of the modes."""


def extended(x: jax.Array, borders: Borders, mode: str) -> jax.Array:
    """`x` with so many numbers more before and behind each of some axes; fewer where that is negative.

    On CPU they are looked up, in one pass over memory; the gradient is that of slices put together, not a scatter.
    """
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return _of_slices(x, tuple(borders.items()), mode)
    return _extended(x, tuple(borders.items()), mode)


@partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _extended(x: jax.Array, borders: tuple[Any, ...], mode: str) -> jax.Array:
    forms = {"cpu": _looked_up, "default": _of_slices}
    return lax.platform_dependent(
        x, **{name: partial(form, borders=borders, mode=mode) for name, form in forms.items()}
    )


@_extended.defjvp
def _extended_jvp(borders: tuple[Any, ...], mode: str, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    (x,), (tangent,) = primals, tangents
    return _extended(x, borders, mode), _of_slices(tangent, borders, mode)


def _looked_up(x: jax.Array, borders: tuple[Any, ...], mode: str) -> jax.Array:
    for axis, (left, right) in borders:
        places = np.arange(x.shape[axis])
        crop = slice(max(-left, 0), len(places) - max(-right, 0))
        places = places[crop] if mode == "circular" else places
        places = np.pad(places, (max(left, 0), max(right, 0)), NUMPYS[mode])
        if mode != "circular":
            places = places[max(-left, 0) : len(places) - max(-right, 0)]
        x = jnp.take(x, places, axis=axis, mode="clip")
    return x


def _of_slices(x: jax.Array, borders: tuple[Any, ...], mode: str) -> jax.Array:
    for axis, (left, right) in borders:
        x = _along(x, axis, left, right, mode)
    return x


def _along(x: jax.Array, axis: int, left: int, right: int, mode: str) -> jax.Array:
    """What is added is a slice of the axis itself. A negative number crops: before a circular turn, else after."""
    if mode == "circular":
        x = lax.slice_in_dim(x, max(-left, 0), x.shape[axis] - max(-right, 0), axis=axis)
        left, right = max(left, 0), max(right, 0)
    n, before, after = x.shape[axis], max(left, 0), max(right, 0)

    def part(start: int, stop: int) -> jax.Array:
        return lax.slice_in_dim(x, start, stop, axis=axis)

    if mode == "reflect":
        ends = jnp.flip(part(1, before + 1), axis), jnp.flip(part(n - 1 - after, n - 1), axis)
    elif mode == "replicate":
        ends = jnp.repeat(part(0, 1), before, axis), jnp.repeat(part(n - 1, n), after, axis)
    else:
        ends = part(n - before, n), part(0, after)
    padded = jnp.concatenate([ends[0], x, ends[1]], axis) if before or after else x
    return lax.slice_in_dim(padded, max(-left, 0), padded.shape[axis] - max(-right, 0), axis=axis)
