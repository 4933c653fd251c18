"""Arithmetic of two and three operands, promoted as torch does."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets import check
from jaxnets.lowering.extremes import greater, smaller
from jaxnets.ops.derivative import with_slope_of
from jaxnets.ops.promotion import (
    BOOL,
    COMPLEX,
    FLOATING,
    INTEGER,
    Operand,
    as_dtype,
    category,
    common_dtype,
    complex_of,
    in_wide,
    is_number,
    numbers,
    operand,
    promoted,
    together,
)

__all__ = [
    "add",
    "addcdiv",
    "addcmul",
    "arctan2",
    "atan2",
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "copysign",
    "div",
    "divide",
    "float_power",
    "floor_divide",
    "fmax",
    "fmin",
    "fmod",
    "gcd",
    "heaviside",
    "hypot",
    "lcm",
    "ldexp",
    "lerp",
    "logaddexp",
    "logaddexp2",
    "maximum",
    "minimum",
    "mul",
    "multiply",
    "nan_to_num",
    "nextafter",
    "pow",
    "remainder",
    "rsub",
    "sub",
    "subtract",
    "true_divide",
    "xlogy",
]


def _refused(kind: int, dtype: Any, what: str) -> None:
    if category(dtype) == kind:
        raise TypeError(f"input: {what} takes no {dtype}; cast it first")


def add(input: Operand, other: Operand, alpha: Operand = 1) -> jax.Array:
    """`input + alpha * other`; of booleans whether any holds."""
    a, b = together(input=input, other=other)
    return a + _scaled(b, alpha)


def sub(input: Operand, other: Operand, alpha: Operand = 1) -> jax.Array:
    """`input - alpha * other`; booleans are refused."""
    for name, x in (("input", operand("input", input)), ("other", operand("other", other))):
        if isinstance(x, bool) or (not is_number(x) and x.dtype == bool):
            raise TypeError(f"{name}: subtraction takes no bool; use logical_xor, or cast it first")
    a, b = together(input=input, other=other)
    return a - _scaled(b, alpha)


def rsub(input: Operand, other: Operand, alpha: Operand = 1) -> jax.Array:
    """`other - alpha * input`."""
    return sub(other, input, alpha)


def _scaled(x: jax.Array, alpha: Operand) -> jax.Array:
    if is_number(alpha):
        if alpha == 1:
            return x
        if isinstance(alpha, float) and category(x.dtype) < FLOATING:
            raise TypeError(f"alpha: expected an int for operands of {x.dtype}, got {alpha}")
    return x * jnp.broadcast_to(as_dtype(operand("alpha", alpha), x.dtype), x.shape)


def mul(input: Operand, other: Operand) -> jax.Array:
    """`input * other`; of booleans whether both hold."""
    a, b = together(input=input, other=other)
    return a * b


def div(input: Operand, other: Operand, rounding_mode: str | None = None) -> jax.Array:
    """`input / other`: integers give float32; with `rounding_mode` "trunc" or "floor" whole numbers of their dtype.

    Differences from torch: integers divided by 0 give no error.
    """
    if rounding_mode is None:
        a, b = together(input=input, other=other, floating=True)
        return in_wide(jnp.divide, a, b)
    check.choice("rounding_mode", rounding_mode, ("trunc", "floor"))
    a, b = together(input=input, other=other)
    _refused(BOOL, a.dtype, "division with a rounding mode")
    _refused(COMPLEX, a.dtype, "division with a rounding mode")
    if rounding_mode == "trunc":
        return lax.div(a, b) if category(a.dtype) == INTEGER else in_wide(lambda a, b: jnp.trunc(a / b), a, b)
    if category(a.dtype) == INTEGER:
        return jnp.floor_divide(a, b)
    return in_wide(_floor_division, lax.stop_gradient(a), lax.stop_gradient(b)).astype(a.dtype)


def _floor_division(a: jax.Array, b: jax.Array) -> jax.Array:
    """Python's: by the exact remainder, so that it agrees with `remainder`."""
    rest = lax.rem(a, b)
    quotient = (a - rest) / b
    quotient = jnp.where((rest != 0) & ((b < 0) != (rest < 0)), quotient - 1, quotient)
    whole = jnp.floor(quotient)
    whole = jnp.where(quotient - whole > 0.5, whole + 1, whole)
    whole = jnp.where(quotient == 0, jnp.copysign(jnp.zeros_like(a), a / b), whole)
    return jnp.where(b == 0, a / b, whole)


def true_divide(input: Operand, other: Operand) -> jax.Array:
    """`div` without rounding."""
    return div(input, other)


def floor_divide(input: Operand, other: Operand) -> jax.Array:
    """`div` with `rounding_mode="floor"`."""
    return div(input, other, rounding_mode="floor")


def remainder(input: Operand, other: Operand) -> jax.Array:
    """What floor division leaves, with the sign of `other`: Python's `%`."""
    a, b = together(input=input, other=other)
    _refused(BOOL, a.dtype, "remainder")
    if category(a.dtype) == INTEGER:
        return jnp.remainder(a, b)

    def rest(a: jax.Array, b: jax.Array) -> jax.Array:
        value = jnp.fmod(lax.stop_gradient(a), lax.stop_gradient(b))
        value = jnp.where((value != 0) & ((b < 0) != (value < 0)), value + b, value)
        return _with_slope(value, a, b, jnp.floor(a / b))

    return in_wide(rest, a, b)


def fmod(input: Operand, other: Operand) -> jax.Array:
    """What truncated division leaves, with the sign of `input`: C's `fmod`."""
    a, b = together(input=input, other=other)
    _refused(BOOL, a.dtype, "fmod")
    if category(a.dtype) == INTEGER:
        return lax.rem(a, b)
    return in_wide(lambda a, b: _with_slope(lax.rem(a, b), a, b, jnp.trunc(a / b)), a, b)


@jax.custom_jvp
def _with_slope(value: jax.Array, a: jax.Array, b: jax.Array, times: jax.Array) -> jax.Array:
    """`value`, differentiated as `a - times * b` with `times` held."""
    return value


@_with_slope.defjvp
def _with_slope_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    return primals[0], tangents[1] - tangents[2] * lax.stop_gradient(primals[3])


def pow(input: Operand, exponent: Operand) -> jax.Array:
    """`input` to the power of `exponent`; whole numbers stay whole, and take no negative number as exponent."""
    if is_number(input) and is_number(exponent):
        return jnp.asarray(np.asarray(input**exponent), common_dtype(input**exponent))
    dtype = common_dtype(operand("input", input), operand("exponent", exponent))
    if category(dtype) < FLOATING and is_number(exponent) and exponent < 0:  # type: ignore[operator]
        raise ValueError(f"exponent: expected a number that is not negative for {dtype}, got {exponent}; cast to float")
    if is_number(exponent) and not isinstance(exponent, complex):
        x = as_dtype(check.array("input", input), dtype)
        if _is_whole(exponent):
            if dtype == jnp.bool_:
                return jnp.ones_like(x) if exponent == 0 else x
            return in_wide(lambda x: lax.integer_pow(x, int(exponent)), x)
        if category(dtype) == FLOATING and exponent in (0.5, -0.5):
            return in_wide(jnp.sqrt if exponent > 0 else lax.rsqrt, x)
    a, b = together(input=input, exponent=exponent)
    _refused(BOOL, a.dtype, "a power")
    return in_wide(_power, a, b)


@jax.custom_jvp
def _power(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.power(a, b)


@_power.defjvp
def _power_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    """0 to the power of 0 is flat, and so is 0 along exponents that are not negative."""
    (a, b), (da, db) = primals, tangents
    value, one = _power(a, b), jnp.ones_like(a)
    steady, still = b == 0, (a == 0) & (b.real >= 0)
    slope = jnp.where(steady, jnp.zeros_like(a), b * _power(a, jnp.where(steady, one, b - 1)))
    growth = jnp.where(still, jnp.zeros_like(a), value * jnp.log(jnp.where(still, one, a)))
    return value, da * slope + db * growth


def _is_whole(value: float) -> bool:
    return math.isfinite(value) and value == int(value) and -(2**31) < value < 2**31


def float_power(input: Operand, exponent: Operand) -> jax.Array:
    """`pow` in double precision, whatever the dtypes.

    Differences from torch: single precision where JAX's 64-bit types are off.
    """
    a, b = operand("input", input), operand("exponent", exponent)
    double = jax.dtypes.canonicalize_dtype(np.float64)
    dtype = complex_of(double) if category(common_dtype(a, b)) == COMPLEX else double
    return _power(*together(input=a, exponent=b, dtype=dtype))


def maximum(input: Operand, other: Operand) -> jax.Array:
    """The greater of two; NaN where either is. The derivative of a tie is shared in halves."""
    return _ordered(greater, input, other)


def minimum(input: Operand, other: Operand) -> jax.Array:
    """The smaller of two; NaN where either is. The derivative of a tie is shared in halves."""
    return _ordered(smaller, input, other)


def _ordered(f: Callable[..., jax.Array], input: Operand, other: Operand) -> jax.Array:
    a, b = together(input=input, other=other)
    _refused(COMPLEX, a.dtype, "an order")
    return f(a, b)


def fmax(input: Operand, other: Operand) -> jax.Array:
    """The greater of two; a number where only one is NaN. The derivative of a tie goes to `input`."""
    return _ordered(lambda a, b: jnp.where((a >= b) | jnp.isnan(b), a, b), input, other)


def fmin(input: Operand, other: Operand) -> jax.Array:
    """The smaller of two; a number where only one is NaN. The derivative of a tie goes to `input`."""
    return _ordered(lambda a, b: jnp.where((a <= b) | jnp.isnan(b), a, b), input, other)


def clamp(input: jax.Array, min: Operand | None = None, max: Operand | None = None) -> jax.Array:
    """`input` brought between `min` and `max`, either of which may be missing; `max` wins where they cross.

    At a bound the derivative is that of `input`.
    """
    if min is None and max is None:
        raise ValueError("min, max: expected at least one of them, got None for both")
    bounds: dict[str, Any] = {name: x for name, x in (("min", min), ("max", max)) if x is not None}
    a, *rest = together(input=input, **bounds)
    _refused(COMPLEX, a.dtype, "an order")
    if category(a.dtype) == FLOATING:
        a = jnp.where(jnp.isnan(a), lax.stop_gradient(a), a)
    limits = dict(zip(bounds, rest, strict=True))
    if "min" in limits:
        low = limits["min"]
        a = jnp.where((a < low) | jnp.isnan(low), low, a)
    if "max" in limits:
        high = limits["max"]
        a = jnp.where((a > high) | jnp.isnan(high), high, a)
    return a


def clip(input: jax.Array, min: Operand | None = None, max: Operand | None = None) -> jax.Array:
    """`clamp` by its other name."""
    return clamp(input, min, max)


def clamp_min(input: jax.Array, min: Operand) -> jax.Array:
    """`input`, at least `min`; at the bound the derivative is that of `input`."""
    return clamp(input, min)


def clamp_max(input: jax.Array, max: Operand) -> jax.Array:
    """`input`, at most `max`; at the bound the derivative is that of `input`."""
    return clamp(input, None, max)


def _floats(f: Callable[..., jax.Array], input: Operand, other: Operand, most: int = FLOATING) -> jax.Array:
    a, b = together(input=input, other=other, floating=True)
    numbers("input", a, least=FLOATING, most=most)
    return in_wide(f, a, b)


def atan2(input: Operand, other: Operand) -> jax.Array:
    """Angle of the point (other, input), in (-pi, pi]; at the origin the derivative is 0."""
    return _floats(_angle, input, other)


@jax.custom_jvp
def _angle(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.arctan2(a, b)


@_angle.defjvp
def _angle_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    (a, b), (da, db) = primals, tangents
    size = a * a + b * b
    share = lax.integer_pow(jnp.where(size == 0, jnp.full((), jnp.inf, a.dtype), size), -1)
    return _angle(a, b), da * (b * share) - db * (a * share)


arctan2 = atan2


def hypot(input: jax.Array, other: jax.Array) -> jax.Array:
    """`sqrt(input² + other²)` without overflow; at the origin the derivative is NaN."""
    return _floats(_hypotenuse, input, other)


@jax.custom_jvp
def _hypotenuse(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.hypot(a, b)


@_hypotenuse.defjvp
def _hypotenuse_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    (a, b), (da, db) = primals, tangents
    value = _hypotenuse(a, b)
    return value, da * (a / value) + db * (b / value)


def copysign(input: Operand, other: Operand) -> jax.Array:
    """The magnitude of `input` with the sign of `other`; its derivative is 0 where `input` is 0."""

    def value(a: jax.Array, b: jax.Array) -> jax.Array:
        flips = jnp.signbit(a) != jnp.signbit(lax.stop_gradient(b))
        signed = jnp.where(flips, -a, a)
        return jnp.where(a == 0, lax.stop_gradient(signed), signed)

    return _floats(value, input, other)


def nextafter(input: jax.Array, other: jax.Array) -> jax.Array:
    """The next floating number after `input` towards `other`, with the derivative of `input` where they differ."""
    a, b = together(input=input, other=other)
    value = jnp.nextafter(*lax.stop_gradient((numbers("input", a, least=FLOATING, most=FLOATING), b)))
    return with_slope_of(jnp.where(a != b, a, lax.stop_gradient(a)), value)


def xlogy(input: Operand, other: Operand) -> jax.Array:
    """`input * log(other)`, 0 where `input` is 0, NaN where `other` is."""
    return _floats(lambda a, b: times_logarithm(a, b, 0), input, other)


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def times_logarithm(a: jax.Array, b: jax.Array, shift: int) -> jax.Array:
    """`a * log(shift + b)`, 0 where `a` is 0 unless `b` is NaN."""
    product = a * (jnp.log1p(b) if shift else jnp.log(b))
    return jnp.where((a == 0) & ~jnp.isnan(b), jnp.zeros_like(product), product)


@times_logarithm.defjvp
def _times_logarithm_jvp(shift: int, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    (a, b), (da, db) = primals, tangents
    out = (a == 0) & (b <= -shift)
    positive = jnp.where(out, jnp.ones_like(b), b)
    growth = da * (jnp.log1p(positive) if shift else jnp.log(positive))
    slope = db * (a / (b + shift))
    return times_logarithm(a, b, shift), jnp.where(out, jnp.zeros_like(a), growth) + slope


def logaddexp(input: jax.Array, other: jax.Array) -> jax.Array:
    """`log(exp(input) + exp(other))` without overflow."""
    return _floats(partial(_log_sum, jnp.logaddexp, 1.0), input, other, COMPLEX)


def logaddexp2(input: jax.Array, other: jax.Array) -> jax.Array:
    """`log2(2 ** input + 2 ** other)` without overflow."""
    return _floats(partial(_log_sum, jnp.logaddexp2, math.log(2)), input, other)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _log_sum(f: Callable[..., jax.Array], scale: float, a: jax.Array, b: jax.Array) -> jax.Array:
    return f(a, b)


@_log_sum.defjvp
def _log_sum_jvp(f: Callable[..., jax.Array], scale: float, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    """By the difference, which large numbers have exactly and their logarithm has not."""
    (a, b), (da, db) = primals, tangents
    return _log_sum(f, scale, a, b), da * lax.logistic(scale * (a - b)) + db * lax.logistic(scale * (b - a))


def ldexp(input: Operand, other: Operand) -> jax.Array:
    """`input * 2 ** other`."""
    return mul(input, pow(2.0, check.array("other", other)))


def heaviside(input: jax.Array, values: jax.Array) -> jax.Array:
    """0 below 0, 1 above, `values` at 0."""
    a, b = check.array("input", input), check.array("values", values)
    check.same_dtype(input=a, values=b)
    a, b = together(input=a, values=b)
    zero = jnp.zeros((), a.dtype)
    return jnp.where(a == zero, b, (a > zero).astype(a.dtype))


def gcd(input: jax.Array, other: jax.Array) -> jax.Array:
    """Greatest common divisor of integers, not negative."""
    a, b = together(input=input, other=other)
    return jnp.gcd(numbers("input", a, most=INTEGER), b)


def lcm(input: jax.Array, other: jax.Array) -> jax.Array:
    """Least common multiple of integers, not negative."""
    a, b = together(input=input, other=other)
    return jnp.lcm(numbers("input", a, most=INTEGER), b)


def lerp(input: jax.Array, end: jax.Array, weight: Operand) -> jax.Array:
    """`input + weight * (end - input)`, exact at both ends."""
    a, b = check.array("input", input), check.array("end", end)
    w = operand("weight", weight)
    check.same_dtype(input=a, end=b, weight=None if is_number(w) else w)
    a, b, w = together(input=a, end=b, weight=w, dtype=numbers("input", a, least=FLOATING).dtype)

    def mixed(a: jax.Array, b: jax.Array, w: jax.Array) -> jax.Array:
        return jnp.where(jnp.abs(lax.stop_gradient(w)) < 0.5, a + w * (b - a), b - (b - a) * (1 - w))

    return in_wide(mixed, a, b, w)


def addcmul(input: jax.Array, tensor1: jax.Array, tensor2: jax.Array, *, value: Operand = 1) -> jax.Array:
    """`input + value * tensor1 * tensor2`."""
    x, a, b = together(input=input, tensor1=tensor1, tensor2=tensor2)
    return in_wide(lambda x, a, b: x + _scaled(a, value) * b, x, a, b)


def addcdiv(input: jax.Array, tensor1: jax.Array, tensor2: jax.Array, *, value: Operand = 1) -> jax.Array:
    """`input + value * tensor1 / tensor2`; integers are refused."""
    x, a, b = together(input=input, tensor1=tensor1, tensor2=tensor2)
    if category(promoted(jnp.result_type(a), jnp.result_type(b))) < FLOATING:
        raise TypeError(f"tensor1: expected a floating dtype, got {a.dtype}; cast it first")
    return in_wide(lambda x, a, b: x + _scaled(a, value) / b, x, a, b)


def nan_to_num(
    input: jax.Array, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> jax.Array:
    """NaN and infinities replaced: by 0, and by the greatest and smallest number of the dtype, when not given."""
    x = check.array("input", input)
    if category(x.dtype) < FLOATING:
        return x
    if category(x.dtype) == COMPLEX:
        return lax.complex(nan_to_num(x.real, nan, posinf, neginf), nan_to_num(x.imag, nan, posinf, neginf))
    limits = jnp.finfo(x.dtype)
    top, bottom = (limits.max if posinf is None else posinf), (limits.min if neginf is None else neginf)
    fill = [jnp.asarray(v, x.dtype) for v in (0.0 if nan is None else nan, top, bottom)]
    x = jnp.where(jnp.isnan(x), fill[0], x)
    return jnp.where(x == jnp.inf, fill[1], jnp.where(x == -jnp.inf, fill[2], x))


multiply = mul
divide = div
subtract = sub
