"""The greater of two numbers, the greatest along axes, and so the smaller and the least: NaN where there is one.

XLA's CPU backend (jaxlib 0.10) loses NaN where a reduction of 4,096 numbers or more is by, or reads, its own `maximum`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["at_least", "greater", "greatest", "least", "smaller"]

Axes = tuple[int, ...] | None


def greatest(x: jax.Array, axes: Axes = None, *, keepdims: bool = False) -> jax.Array:
    """The maximum over axes, over all without; equals share the derivative."""
    return _extreme(x, jnp.max, axes, keepdims)


def least(x: jax.Array, axes: Axes = None, *, keepdims: bool = False) -> jax.Array:
    """The minimum over axes, over all without; equals share the derivative."""
    return _extreme(x, jnp.min, axes, keepdims)


@partial(jax.custom_jvp, nondiff_argnums=(1, 2, 3))
def _extreme(x: jax.Array, fold: Callable[..., jax.Array], axes: Axes, keepdims: bool) -> jax.Array:
    found = fold(x, axis=axes, keepdims=keepdims)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return found
    return jnp.where(jnp.any(x != x, axis=axes, keepdims=keepdims), np.full((), np.nan, x.dtype), found)


@_extreme.defjvp
def _extreme_jvp(
    fold: Callable[..., jax.Array], axes: Axes, keepdims: bool, primals: Any, tangents: Any
) -> tuple[jax.Array, jax.Array]:
    (x,), (tangent,) = primals, tangents
    found = _extreme(x, fold, axes, True)
    equal = x == jnp.broadcast_to(found, x.shape)
    none = jnp.where(found != found, np.full((), np.nan, x.dtype), jnp.zeros((), x.dtype))
    share = jnp.where(equal, 1 / equal.sum(axes, keepdims=True, dtype=x.dtype), none)
    along = (share * tangent).sum(axes, keepdims=True)
    if not keepdims:
        found, along = found.squeeze(axes), along.squeeze(axes)
    return found, along


def greater(a: jax.Array, b: jax.Array) -> jax.Array:
    """The greater of two; equals share the derivative, and both have it where one is NaN, as in torch."""
    return _greater(a, b) if jnp.issubdtype(a.dtype, jnp.floating) else jnp.maximum(a, b)


def smaller(a: jax.Array, b: jax.Array) -> jax.Array:
    """The smaller of two; equals share the derivative, and both have it where one is NaN, as in torch."""
    return -_greater(-a, -b) if jnp.issubdtype(a.dtype, jnp.floating) else jnp.minimum(a, b)


@jax.custom_jvp
def _greater(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.where((a >= b) | (a != a), a, b)


@_greater.defjvp
def _greater_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    (a, b), (of_a, of_b) = primals, tangents
    half, none = jnp.full((), 0.5, a.dtype), jnp.zeros((), a.dtype)
    mine = jnp.where(a == b, half * of_a, jnp.where(a < b, none, of_a))
    others = jnp.where(a == b, half * of_b, jnp.where(b < a, none, of_b))
    return _greater(a, b), mine + others


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def at_least(x: jax.Array, bound: float) -> jax.Array:
    """`max(x, bound)`, differentiated as if it were `x`: torch's clamp that leaves the gradient alone."""
    return jnp.where(x < bound, jnp.full((), bound, x.dtype), x)


at_least.defjvp(lambda bound, primals, tangents: (at_least(primals[0], bound), tangents[0]))
