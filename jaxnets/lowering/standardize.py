"""Less the mean and divided by the standard deviation, then scaled and shifted: what normalisations compute.

And divided by the root of the mean square, then scaled, which is what is left of it in RMS norm.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.lowering.alone import in_memory
from jaxnets.lowering.choice import is_known
from jaxnets.lowering.mesh import alike, has_explicit_axes
from jaxnets.lowering.sums import sum_of_first_axis, sums

__all__ = ["AxisName", "divided_by_rms", "moments", "standardized"]

AxisName = str | tuple[str, ...]
Axes = tuple[int, ...]
Result = tuple[jax.Array, jax.Array, jax.Array]

SPREAD, NEIGHBOURS = 4, 16
LARGE = 4096
"""XLA's CPU backend has in memory what a sum of so many numbers reads. Fewer it computes again where they are summed,
and what they are computed of, back to the model's input: programs grow with the square of the model's depth."""


def moments(x: jax.Array, axes: Sequence[int], axis_name: AxisName | None = None) -> Result:
    """`x` less its mean, the mean and the biased variance over `axes`, which are kept with size 1.

    Shifted data (Chan, Golub, LeVeque, 1983): `shift` is the mean of some numbers, and `rest` what the
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
    """Some numbers along `axes`: neighbours on the last of them, some distance apart on the others.

    There are `LARGE` of them, or all that there are, so that their sum is one that XLA leaves alone.
    """
    if has_explicit_axes(x):
        return x  # the part of an axis may be none that the mesh can hold
    *others, last = sorted(axis % x.ndim for axis in axes)
    for axis in others:
        x = lax.slice_in_dim(x, 0, None, -(-x.shape[axis] // SPREAD) or 1, axis)
    size = x.shape[last]
    if not is_known(x.shape):
        return lax.slice_in_dim(x, 0, min(NEIGHBOURS, size), axis=last) if is_known([size]) else x
    count = min(max(NEIGHBOURS, -(-LARGE * size // max(x.size, 1))), size)
    return lax.slice_in_dim(x, (size - count) // 2, (size + count) // 2, axis=last)


def standardized(
    x: jax.Array, weight: jax.Array | None, bias: jax.Array | None, axes: Sequence[int], eps: float
) -> Result:
    """`(x - mean) / sqrt(var + eps) * weight + bias`, and the moments over `axes`, which are kept with size 1.

    The parameters broadcast to `x`. The gradient is said by hand: `g` is that of the output, `h` what is scaled,
    `g - mean of g - h * (mean of g * h)` that of `x` but for factors. Its means and the gradients of the parameters are
    sums of the same products.
    """
    if is_known(x.shape) and x.size < LARGE and not has_explicit_axes(x):
        x = in_memory(x)
    x, weight, bias = _filled(x, weight, bias)
    places = _places(x, weight, bias, axes)
    if places < 2:
        return _standardized(x, weight, bias, tuple(axes), eps)

    row = x.ndim - places

    def in_a_row(x: jax.Array) -> jax.Array:
        return x.reshape(*x.shape[:row], math.prod(x.shape[row:]))

    over = (*(axis for axis in axes if axis < row), row)
    y, *rest = _standardized(*map(in_a_row, (x, weight, bias)), over, eps)
    mean, var = (moment.reshape(*moment.shape, *(1,) * (places - 1)) for moment in rest)
    return y.reshape(x.shape), mean, var


def _filled(x: jax.Array, weight: jax.Array | None, bias: jax.Array | None) -> tuple[jax.Array, ...]:
    """With parameters that change nothing in the place of those that are not there."""
    like = (1,) * x.ndim
    weight = jnp.ones(like, x.dtype) if weight is None else weight
    return alike(x, weight, jnp.zeros(like, x.dtype) if bias is None else bias)


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
    h, mean, var = _standardized(*_filled(x, None, None), axes, eps)
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
            of_bias = _summed_to(g, bias.shape)
            (of_means, _), (of_products, of_weight) = (_weighted(x, weight, axes) for x in (g, g * h))
            means = [of_means / count, of_products / count]
        of_x = scale * (weight * g - means[0] - h * means[1]) + (of_mean + 2 * of_var * (x - mean)) / count
        return of_x, of_weight, of_bias

    return result, jax.linear_transpose(gradients, result)(tangents)[0]


def divided_by_rms(x: jax.Array, weight: jax.Array | None, axes: Sequence[int], eps: float) -> jax.Array:
    """`x / sqrt(mean of x² + eps) * weight`, the mean being that over `axes`; the weight broadcasts to `x`.

    The gradient is said by hand, as that of `standardized`, of which it has the terms without a mean.
    """
    weight = jnp.ones((1,) * x.ndim, x.dtype) if weight is None else weight
    return _divided(*alike(x, weight), tuple(axes), eps)


@partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _divided(x: jax.Array, weight: jax.Array, axes: Axes, eps: float) -> jax.Array:
    return x * _one_over_rms(x, axes, eps) * weight


def _one_over_rms(x: jax.Array, axes: Axes, eps: float) -> jax.Array:
    return lax.rsqrt(jnp.square(x).mean(axes, keepdims=True) + eps)


@_divided.defjvp
def _divided_jvp(axes: Axes, eps: float, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    x, weight = primals
    result, h, scale = _divided(x, weight, axes, eps), divided_by_rms(x, None, axes, eps), _one_over_rms(x, axes, eps)
    count = math.prod(x.shape[axis] for axis in axes)

    def gradients(g: jax.Array) -> tuple[jax.Array, jax.Array]:
        total, of_weight = _weighted(g * h, weight, axes)
        return scale * (weight * g - h * total / count), of_weight

    return result, jax.linear_transpose(gradients, result)(tangents)[0]


def _weighted(x: jax.Array, weight: jax.Array, axes: Axes) -> tuple[jax.Array, jax.Array]:
    """The sums of `x * weight` over `axes`, which are kept with size 1, and those of `x` for each weight."""

    def apart(x: jax.Array, weight: jax.Array) -> tuple[jax.Array, jax.Array]:
        return (x * weight).sum(axes, keepdims=True), _summed_to(x, weight.shape)

    def as_product(x: jax.Array, weight: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = lax.optimization_barrier(x)  # computed once for both
        whole = jnp.broadcast_to(weight, (*weight.shape[: -len(axes)], *x.shape[-len(axes) :]))
        contracted = axes, tuple(range(len(axes)))
        total = lax.dot_general(x, whole.reshape(whole.shape[-len(axes) :]), (contracted, ((), ())))
        return lax.expand_dims(total, axes), _summed_to(x, weight.shape)

    is_last = axes == tuple(range(x.ndim - len(axes), x.ndim)) and math.prod(weight.shape[: -len(axes)]) == 1
    if not is_last or has_explicit_axes(x):
        return apart(x, weight)
    return lax.platform_dependent(x, weight, cpu=as_product, default=apart)


def _summed_to(x: jax.Array, shape: Sequence[int]) -> jax.Array:
    """Sums over the axes that are 1 in `shape`; over one after the other, which XLA's CPU backend is faster at."""
    for axis in reversed(range(x.ndim)):
        if shape[axis] == 1 != x.shape[axis]:
            x = x.sum(axis, keepdims=True) if axis else sum_of_first_axis(x)[None]
    return x
