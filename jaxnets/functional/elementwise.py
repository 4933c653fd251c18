"""Functions of single elements, with torch's derivative in place of the one that JAX would find."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets import check
from jaxnets.functional.precision import wide


def floating(name: str, value: Any) -> jax.Array:
    """`value` as an array of real floating numbers."""
    x = check.array(name, value)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"{name}: expected a floating dtype, got {x.dtype}; cast it first")
    return x


def real(name: str, value: Any) -> jax.Array:
    """`value` as an array of real numbers, floating or integer."""
    x = check.array(name, value)
    if x.dtype == bool or jnp.iscomplexobj(x):
        raise TypeError(f"{name}: expected real numbers, got {x.dtype}; cast it first")
    return x


def in_float32(f: Callable[..., jax.Array], x: jax.Array) -> jax.Array:
    """`f(x)`, half precisions computed in float32 and rounded once, integers as the default floating dtype."""
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return f(x.astype(jnp.float32))
    return f(wide(x)).astype(x.dtype)


def curve(
    x: jax.Array, value: Callable[..., jax.Array], tangent: Callable[..., jax.Array], *rest: jax.Array
) -> jax.Array:
    """`value(x, *rest)`, whose derivative at `x` along `t` is `tangent(x, t, *rest)`, and can be differentiated again.

    The rest are arrays without a derivative; the functions close over none, which would be of another trace. Half
    precisions are computed in float32 and rounded once. A tangent that is 0 should be selected, not multiplied: torch
    lets no infinite gradient through there. What is not selected must be finite, or its 0 turns into NaN.
    """
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return value(x, *rest)
    function = jax.custom_jvp(value)

    @function.defjvp
    def _(primals: tuple[jax.Array, ...], tangents: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
        x, *rest = primals
        return function(*primals), tangent(x, tangents[0], *rest)

    return function(wide(x), *rest).astype(x.dtype)


@jax.custom_jvp
def absolute(x: jax.Array) -> jax.Array:
    """The absolute value of real numbers, whose derivative at 0 and at NaN is torch's sign, 0; JAX's is 1 there."""
    return jnp.abs(x)


@absolute.defjvp
def _absolute_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    (x,), (dx,) = primals, tangents
    return absolute(x), dx * (jnp.greater(x, 0).astype(dx.dtype) - jnp.less(x, 0).astype(dx.dtype))


def rounded(x: jax.Array, dtype: Any) -> jax.Array:
    """`x` rounded to `dtype`'s precision, where torch rounds between two steps; a cast there and back compiles away."""
    if x.dtype == dtype:
        return x
    precision = jnp.finfo(dtype)
    return lax.reduce_precision(x, precision.nexp, precision.nmant)
