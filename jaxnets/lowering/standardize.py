"""Less the mean and divided by the standard deviation, then scaled and shifted: what all normalisations compute."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.lowering.mesh import has_explicit_axes
from jaxnets.lowering.sums import sum_of_first_axis, sums

__all__ = ["AxisName", "moments", "standardized"]

AxisName = str | tuple[str, ...]
Axes = tuple[int, ...]
Result = tuple[jax.Array, jax.Array, jax.Array]

SPREAD, NEIGHBOURS = 4, 16


def moments(x: jax.Array, axes: Sequence[int], axis_name: AxisName | None = None) -> Result:
    """`x` less its mean, the mean and the biased variance over `axes`, which are kept with size 1.

    Shifted data (Chan, Golub, LeVeque, 1983): `shift` is the mean of a few numbers, and `rest` what the
    mean of all is beside it. The formulas hold for any shift, so it needs no gradient. With `axis_name`, a mapped axis
    (or several) of `jax.shard_map` or `jax.vmap`, the mean and the variance are those over all of it.
    """

    def over_all(local: jax.Array) -> jax.Array:
        return local if axis_name is None else lax.pmean(local, axis_name)

    shift = lax.stop_gradient(over_all(_some(x, axes).mean(axes, keepdims=True)))
    shifted = x - shift
    count = math.prod(x.shape[axis] for axis in axes)
    totals = (values.sum(tuple(axes), keepdims=True) for values in (shifted, jnp.square(shifted)))
    rest, of_squares = (over_all(total / count) for total in totals)
    var = of_squares - jnp.square(rest)
    # Rounding may leave less than nothing. At 0 itself the derivatives are those of the formula.
    return shifted - rest, shift + rest, jnp.where(var < 0, jnp.zeros_like(var), var)


def _some(x: jax.Array, axes: Sequence[int]) -> jax.Array:
    """A few of the numbers along `axes`: neighbours on the last of them, some distance apart on the others."""
    taken = [slice(None)] * x.ndim
    *others, last = sorted(axis % x.ndim for axis in axes)
    for axis in others:
        taken[axis] = slice(None, None, -(-x.shape[axis] // SPREAD) or 1)
    first = max(x.shape[last] - NEIGHBOURS, 0) // 2
    taken[last] = slice(first, first + NEIGHBOURS)
    return x[tuple(taken)]


def standardized(
    x: jax.Array, weight: jax.Array | None, bias: jax.Array | None, axes: Sequence[int], eps: float
) -> Result:
    """`(x - mean) / sqrt(var + eps) * weight + bias`, and the moments over `axes`, which are kept with size 1.

    The parameters broadcast to `x`. The gradient is said by hand: `g` is that of the output, `h` what is scaled,
    `g - mean of g - h * (mean of g * h)` that of `x` but for factors. Its means and the gradients of the parameters are
    sums of the same products.
    """
    like = (1,) * x.ndim
    weight = jnp.ones(like, x.dtype) if weight is None else weight
    bias = jnp.zeros(like, x.dtype) if bias is None else bias
    places = _places(x, weight, bias, axes)
    if places < 2:
        return _standardized(x, weight, bias, tuple(axes), eps)

    def in_a_row(x: jax.Array) -> jax.Array:
        return x.reshape(*x.shape[: x.ndim - places], -1)

    row = x.ndim - places
    over = (*(axis for axis in axes if axis < row), row)
    y, *rest = _standardized(*map(in_a_row, (x, weight, bias)), over, eps)
    mean, var = (moment.reshape(*moment.shape, *(1,) * (places - 1)) for moment in rest)
    return y.reshape(x.shape), mean, var


def _places(x: jax.Array, weight: jax.Array, bias: jax.Array, axes: Sequence[int]) -> int:
    """How many last axes are places of one row, with one number of each parameter: loops are longer over that."""
    if has_explicit_axes(x):
        return 0
    of_places = [axis in axes and weight.shape[axis] == bias.shape[axis] == 1 for axis in range(x.ndim)]
    return next((i for i, is_place in enumerate(reversed(of_places)) if not is_place), x.ndim)


@partial(jax.custom_jvp, nondiff_argnums=(3, 4))
def _standardized(x: jax.Array, weight: jax.Array, bias: jax.Array, axes: Axes, eps: float) -> Result:
    centred, mean, var = moments(x, axes)
    return centred * lax.rsqrt(var + eps) * weight + bias, mean, var


@_standardized.defjvp
def _standardized_jvp(axes: Axes, eps: float, primals: Any, tangents: Any) -> tuple[Result, Result]:
    x, weight, bias = primals
    result = _standardized(x, weight, bias, axes, eps)
    h, mean, var = standardized(x, None, None, axes, eps)
    scale = lax.rsqrt(var + eps)
    count = math.prod(x.shape[axis] for axis in axes)
    single = tuple(axis for axis in axes if weight.shape[axis] == bias.shape[axis] == 1)

    def gradients(cotangents: Result) -> Result:
        g, of_mean, of_var = cotangents
        if single:  # sums over axes along which the parameters are one number serve both
            totals = sums((g, g * h), single)
            of_bias, of_weight = (_summed_to(total, p.shape) for total, p in zip(totals, (bias, weight), strict=True))
            means = [(weight * total).sum(axes, keepdims=True) / count for total in totals]
        else:
            of_bias, of_weight = _summed_to(g, bias.shape), _summed_to(g * h, weight.shape)
            means = [total / count for total in sums((weight * g, weight * g * h), axes)]
        of_x = scale * (weight * g - means[0] - h * means[1]) + (of_mean + 2 * of_var * (x - mean)) / count
        return of_x, of_weight, of_bias

    return result, jax.linear_transpose(gradients, result)(tangents)[0]


def _summed_to(x: jax.Array, shape: Sequence[int]) -> jax.Array:
    """Sums over the axes that are 1 in `shape`; over one after the other, which XLA's CPU backend is faster at."""
    for axis in reversed(range(x.ndim)):
        if shape[axis] == 1 != x.shape[axis]:
            x = x.sum(axis, keepdims=True) if axis else sum_of_first_axis(x)[None]
    return x
