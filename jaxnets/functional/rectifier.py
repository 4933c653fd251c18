"""Piecewise activations: `torch.nn.functional.relu`, `leaky_relu`, `hardtanh`, `hardshrink`, `threshold` and their kin.

At a kink, and where numbers are NaN, the derivative is torch's choice.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets import check
from jaxnets.functional.elementwise import curve, floating, real
from jaxnets.functional.precision import wide
from jaxnets.lowering.mesh import has_explicit_axes

__all__ = [
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "prelu",
    "relu",
    "relu6",
    "rrelu",
    "softshrink",
    "threshold",
]

ONE_SIXTH = float(np.float32(1 / 6))  # torch's constant is a C float, also where it computes in float64


def relu(input: jax.Array, inplace: bool = False) -> jax.Array:
    """Rectified linear unit, element by element.

    `max(x, 0)`; the derivative at 0 is 0, and NaN stays NaN.

    Args:
        input: real numbers, floating or integer.
        inplace: has no effect, arrays are immutable.

    Shape: `(*)` to the same.

    Raises:
        TypeError: `input` is complex or boolean.

    Differences from torch: `inplace` has no effect.

    >>> relu(jnp.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.relu.html
    """
    return curve(
        real("input", input),
        # asking for what is dropped lets NaN through, forward and backward, as torch does; -0 stays -0
        lambda x: jnp.where(x < 0, jnp.zeros((), x.dtype), x),
        lambda x, t: jnp.where(x <= 0, 0.0, t),
    )


def relu6(input: jax.Array, inplace: bool = False) -> jax.Array:
    """ReLU that goes no higher than 6, element by element.

    `min(max(x, 0), 6)`; the derivative at 0 and at 6 is 0.

    Args:
        input: real numbers, floating or integer.
        inplace: has no effect, arrays are immutable.

    Shape: `(*)` to the same.

    Raises:
        TypeError: `input` is complex or boolean.

    Differences from torch: as `hardtanh`.

    >>> relu6(jnp.array([-1.0, 2.0, 8.0])).tolist()
    [0.0, 2.0, 6.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.relu6.html
    """
    return hardtanh(input, 0.0, 6.0)


def leaky_relu(input: jax.Array, negative_slope: float = 0.01, inplace: bool = False) -> jax.Array:
    """ReLU with a slope below 0, element by element.

    `x` where `x > 0`, `negative_slope * x` elsewhere; the derivative at 0 is `negative_slope`.

    Args:
        input: floating numbers.
        negative_slope: slope below 0.
        inplace: has no effect, arrays are immutable.

    Shape: `(*)` to the same.

    Raises:
        TypeError: `input` is not floating, `negative_slope` is no number.

    Differences from torch: `inplace` has no effect.

    >>> leaky_relu(jnp.array([-1.0, 2.0]), 0.5).tolist()
    [-0.5, 2.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.leaky_relu.html
    """
    slope = check.number("negative_slope", negative_slope)
    return curve(
        floating("input", input),
        lambda x: jnp.where(x > 0, x, x * slope),
        lambda x, t: jnp.where(x > 0, t, t * slope),
    )


def prelu(input: jax.Array, weight: jax.Array) -> jax.Array:
    """ReLU with learned slopes below 0, one for all or one for each channel (He et al., 2015).

    `x` where `x > 0`, `weight * x` elsewhere; the derivative at 0 is `weight`.

    Args:
        input: floating numbers.
        weight: `()` or `(1,)`, or `(C,)` for C channels; dtype of `input`.

    Shape: `(N, C, *)` to the same; any shape if there is one weight.

    Raises:
        TypeError: dtypes that differ or are not floating.
        ValueError: `weight` has more than one axis, or not one number for each channel.

    Differences from torch: none.

    >>> prelu(jnp.array([[-1.0, -1.0, 2.0]]), jnp.array([0.5, 0.25, 0.0])).tolist()
    [[-0.5, -0.25, 2.0]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.prelu.html
    """
    input, weight = check.array("input", input), check.array("weight", weight)
    check.same_dtype(input=input, weight=weight)
    floating("input", input)
    if weight.ndim > 1:
        raise ValueError(f"weight: expected a number or one axis, got shape {weight.shape}")
    if weight.size != 1 and (input.ndim < 2 or input.shape[1] != weight.size):
        raise ValueError(
            f"weight: expected 1 number, or one for each channel on axis 1 of input {input.shape}, got {weight.size}"
        )
    slopes = weight.reshape((1, weight.size) + (1,) * (input.ndim - 2)) if input.ndim > 1 else weight.reshape(())
    lies = jax.typeof(input).sharding if has_explicit_axes(input) else None
    return _prelu(wide(input), jnp.broadcast_to(wide(slopes), input.shape, out_sharding=lies)).astype(input.dtype)


def rrelu(
    input: jax.Array,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
    *,
    key: jax.Array | None = None,
) -> jax.Array:
    """ReLU with random slopes below 0, one for each element (Xu et al., 2015).

    `x` where `x > 0`, `a * x` elsewhere, `a` drawn from `U(lower, upper)` in training, and else
    `(lower + upper) / 2`

    Args:
        input: floating numbers.
        lower: lower bound of the slopes, finite.
        upper: upper bound of the slopes, finite, not below `lower`.
        training: whether to draw.
        inplace: has no effect, arrays are immutable.
        key: a jax random key; needed in training, unless `input` is empty.

    Shape: `(*)` to the same.

    Raises:
        TypeError: `input` is not floating, a bound is no number.
        ValueError: bounds that are not finite or in the wrong order, `key` is missing.

    Differences from torch: random numbers come from `key`, not from a global generator; float16 can be drawn for,
    too.

    >>> rrelu(jnp.array([-2.0, 2.0]), 0.25, 0.75).tolist()
    [-1.0, 2.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.rrelu.html
    """
    x, (lower, upper) = floating("input", input), slopes_between(lower, upper)
    if not check.flag("training", training):
        return leaky_relu(x, (lower + upper) / 2)
    if not x.size:
        return x
    if key is None:
        raise ValueError("key: expected a jax random key in training, got None; pass key=jax.random.key(0)")
    drawn = jax.random.uniform(key, x.shape, wide(x).dtype, lower, upper)
    return curve(
        x,
        lambda x, drawn: jnp.where(x <= 0, x * drawn, x),
        lambda x, t, drawn: t * jnp.where(x <= 0, drawn, 1.0),
        drawn,
    )


def hardtanh(input: jax.Array, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> jax.Array:
    """Cuts off what is too small or too great, element by element.

    `min(max(x, min_val), max_val)`; the derivative at both bounds is 0.

    Args:
        input: real numbers, floating or integer; for integers the bounds are cut to integers.
        min_val: lower bound.
        max_val: upper bound, not below `min_val`.
        inplace: has no effect, arrays are immutable.

    Shape: `(*)` to the same.

    Raises:
        TypeError: `input` is complex or boolean, a bound is no number.
        ValueError: bounds in the wrong order or NaN, or that the integers of `input` cannot hold.

    Differences from torch: `inplace` has no effect; NaN is no bound. The derivative at NaN is 1, as in torch for
    single numbers and on GPUs; torch's vectorised loops on CPUs give 0.

    >>> hardtanh(jnp.array([-3.0, 0.5, 2.0])).tolist()
    [-1.0, 0.5, 1.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.hardtanh.html
    """
    x = real("input", input)
    low, high = check.number("min_val", min_val), check.number("max_val", max_val)
    if not low <= high:
        raise ValueError(f"max_val: expected a number not below min_val={min_val}, got {max_val}")
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        if jnp.issubdtype(x.dtype, jnp.unsignedinteger) and int(low) < 0:
            raise ValueError(f"min_val: expected a number from 0 up for {x.dtype}, got {min_val}")
        return jnp.clip(x, _whole("min_val", low, x.dtype), _whole("max_val", high, x.dtype))
    return curve(
        x,
        lambda x: jnp.where(x < low, low, jnp.where(x > high, high, x)),
        lambda x, t: jnp.where((x <= low) | (x >= high), 0.0, t),
    )


def hardshrink(input: jax.Array, lambd: float = 0.5) -> jax.Array:
    """Sets small numbers to 0, element by element.

    `0` where `-lambd <= x <= lambd`, `x` elsewhere

    Args:
        input: floating numbers.
        lambd: the greatest magnitude that becomes 0; below 0 nothing does.

    Shape: `(*)` to the same.

    Raises:
        TypeError: `input` is not floating, `lambd` is no number.

    Differences from torch: the derivative at NaN is 1, as in torch for single numbers and on GPUs; torch's vectorised
    loops on CPUs give 0.

    >>> hardshrink(jnp.array([-3.0, 0.5, 2.0])).tolist()
    [-3.0, 0.0, 2.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.hardshrink.html
    """
    x = floating("input", input)
    bound = _rounded_number(check.number("lambd", lambd), x.dtype)
    return curve(
        x,
        lambda x: jnp.where((x >= -bound) & (x <= bound), 0.0, x),
        lambda x, t: jnp.where((x >= -bound) & (x <= bound), 0.0, t),
    )


def softshrink(input: jax.Array, lambd: float = 0.5) -> jax.Array:
    """Moves numbers towards 0, small ones to 0, element by element.

    `x - lambd` where `x > lambd`, `x + lambd` where `x < -lambd`, `0` elsewhere

    Args:
        input: floating numbers.
        lambd: how far numbers are moved, from 0 up, finite.

    Shape: `(*)` to the same.

    Raises:
        TypeError: `input` is not floating, `lambd` is no number.
        ValueError: `lambd` is below 0 or not finite.

    Differences from torch: as `hardshrink`.

    >>> softshrink(jnp.array([-3.0, 0.5, 2.0])).tolist()
    [-2.5, 0.0, 1.5]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softshrink.html
    """
    x, lambd = floating("input", input), check.number("lambd", lambd)
    if not 0 <= lambd <= float(jnp.finfo(x.dtype).max):
        raise ValueError(f"lambd: expected a number from 0 up that {x.dtype} can hold, got {lambd}")
    # torch compares with the rounded number in the derivative alone
    bound = _rounded_number(lambd, x.dtype)
    return curve(
        x,
        # a product: NaN stays NaN
        lambda x: jnp.where(x > lambd, x - lambd, jnp.where(x < -lambd, x + lambd, x * 0.0)),
        lambda x, t: jnp.where((x >= -bound) & (x <= bound), 0.0, t),
    )


def threshold(input: jax.Array, threshold: float, value: float, inplace: bool = False) -> jax.Array:
    """Sets numbers up to a threshold to a value, element by element.

    `x` where `x > threshold`, `value` elsewhere; NaN stays NaN.

    Args:
        input: real numbers, floating or integer; for integers the other two are cut to integers.
        threshold: the greatest number that is replaced.
        value: what it is replaced with.
        inplace: has no effect, arrays are immutable.

    Shape: `(*)` to the same.

    Raises:
        TypeError: `input` is complex or boolean, an argument is no number.
        ValueError: a number that the integers of `input` cannot hold.

    Differences from torch: `inplace` has no effect.

    >>> threshold(jnp.array([-3.0, 0.5, 2.0]), 0.5, 9.0).tolist()
    [9.0, 9.0, 2.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.threshold.html
    """
    x = real("input", input)
    bound: Any = check.number("threshold", threshold)
    other: Any = check.number("value", value)
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        bound, other = _whole("threshold", bound, x.dtype), _whole("value", other, x.dtype)
    return curve(x, lambda x: jnp.where(x <= bound, other, x), lambda x, t: jnp.where(x <= bound, 0.0, t))


def hardsigmoid(input: jax.Array, inplace: bool = False) -> jax.Array:
    """Sigmoid of three straight pieces, element by element.

    `min(max(x + 3, 0), 6) / 6`; the derivative at -3, at 3 and at NaN is 0.

    Args:
        input: floating numbers.
        inplace: has no effect, arrays are immutable.

    Shape: `(*)` to the same.

    Raises:
        TypeError: `input` is not floating.

    Differences from torch: `inplace` has no effect.

    >>> hardsigmoid(jnp.array([-3.0, 0.0, 4.0])).tolist()
    [0.0, 0.5, 1.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.hardsigmoid.html
    """
    return curve(
        floating("input", input),
        lambda x: jnp.clip(x + 3, 0, 6) / 6,
        lambda x, t: jnp.where((x > -3) & (x < 3), t * ONE_SIXTH, 0.0),
    )


def hardswish(input: jax.Array, inplace: bool = False) -> jax.Array:
    """Swish of straight pieces and a parabola, element by element (Howard et al., 2019).

    `x * min(max(x + 3, 0), 6) / 6`; the derivative at -3 is 0, at 3 it is 1.

    Args:
        input: floating numbers.
        inplace: has no effect, arrays are immutable.

    Shape: `(*)` to the same. -inf gives NaN.

    Raises:
        TypeError: `input` is not floating.

    Differences from torch: `inplace` has no effect. The derivative at NaN is 1, as in torch for single numbers and on
    GPUs; torch's vectorised loops on CPUs give NaN.

    >>> hardswish(jnp.array([-4.0, 0.0, 4.0])).tolist()
    [-0.0, 0.0, 4.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.hardswish.html
    """

    def tangent(x: jax.Array, t: jax.Array) -> jax.Array:
        bend = jnp.where((x > -3) & (x < 3), x, 0.0) / 3 + 0.5
        return jnp.where(x <= -3, 0.0, jnp.where(x < 3, t * bend, t))

    return curve(floating("input", input), lambda x: x * jnp.clip(x + 3, 0, 6) / 6, tangent)


def slopes_between(lower: float, upper: float) -> tuple[float, float]:
    """The bounds of random slopes: finite and in order."""
    low, high = check.number("lower", lower), check.number("upper", upper)
    for name, bound in (("lower", low), ("upper", high)):
        if not math.isfinite(bound):
            raise ValueError(f"{name}: expected a finite number, got {bound}")
    if low > high:
        raise ValueError(f"upper: expected a number not below lower={lower}, got {upper}")
    return low, high


@jax.custom_jvp
def _prelu(x: jax.Array, slopes: jax.Array) -> jax.Array:
    return jnp.where(x > 0, x, slopes * x)


@_prelu.defjvp
def _prelu_tangent(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    (x, slopes), (t, t_slopes) = primals, tangents
    # torch's second derivative takes 0 for positive, its first one for negative
    slope, below = (jnp.where(x == 0, lax.stop_gradient(y), y) for y in (slopes, x))
    along = t * jnp.where(x > 0, 1.0, slope)
    return _prelu(x, slopes), along + jnp.where(x > 0, 0.0, jnp.where(x > 0, 0.0, below) * t_slopes)


def _rounded_number(number: float, dtype: Any) -> float:
    """The number as torch's kernel holds it, which compares in the input's own dtype."""
    with np.errstate(over="ignore"):
        return float(np.asarray(number, dtype))


def _whole(name: str, number: float, dtype: Any) -> jax.Array:
    """The number cut to an integer of `dtype`; a negative one wraps around in unsigned dtypes, as in C."""
    limits = jnp.iinfo(dtype)
    least = -limits.max if limits.min == 0 else limits.min
    if not math.isfinite(number) or not least <= int(number) <= limits.max:
        raise ValueError(f"{name}: expected a number that {dtype} can hold, got {number}")
    whole = int(number)
    return jnp.asarray(whole + (limits.max + 1 if whole < limits.min else 0), dtype)
