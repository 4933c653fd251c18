"""Functions of one element: most are a line of a table."""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy import special as jsp

from jaxnets import check
from jaxnets.functional.elementwise import absolute as absolute_value
from jaxnets.functional.elementwise import curve, in_float32
from jaxnets.ops.promotion import BOOL, COMPLEX, FLOATING, INTEGER, category, in_wide, int64, numbers

__all__ = [
    "abs",
    "absolute",
    "acos",
    "acosh",
    "angle",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctanh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "bitwise_not",
    "ceil",
    "conj",
    "conj_physical",
    "cos",
    "cosh",
    "deg2rad",
    "digamma",
    "erf",
    "erfc",
    "erfinv",
    "exp",
    "exp2",
    "expit",
    "expm1",
    "fix",
    "floor",
    "frac",
    "frexp",
    "i0",
    "imag",
    "isfinite",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "isreal",
    "lgamma",
    "log",
    "log1p",
    "log2",
    "log10",
    "logical_not",
    "logit",
    "mvlgamma",
    "neg",
    "negative",
    "polygamma",
    "positive",
    "rad2deg",
    "real",
    "reciprocal",
    "resolve_conj",
    "resolve_neg",
    "round",
    "rsqrt",
    "sgn",
    "sigmoid",
    "sign",
    "signbit",
    "sin",
    "sinc",
    "sinh",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "trunc",
]

Function = Callable[[jax.Array], jax.Array]


def elementwise(name: str, f: Function, doc: str, least: int = BOOL, most: int = COMPLEX) -> Function:
    """`f` under torch's name, for dtypes of a kind between two, whose dtype the result keeps."""

    def function(input: jax.Array) -> jax.Array:
        return f(numbers("input", input, least=least, most=most))

    return _named(function, name, doc)


def floating(name: str, f: Function, doc: str, most: int = COMPLEX) -> Function:
    """`f` under torch's name: integers and booleans become float32, half precisions are rounded once."""

    def function(input: jax.Array) -> jax.Array:
        return in_float32(f, numbers("input", input, least=BOOL, most=most))

    return _named(function, name, doc)


def _named(function: Function, name: str, doc: str) -> Function:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def _kept(f: Function) -> Function:
    """`f` of floating numbers; integers are whole already."""
    return lambda x: f(x) if category(x.dtype) >= FLOATING else x


def _imaginary(x: jax.Array) -> jax.Array:
    return x.imag if category(x.dtype) == COMPLEX else jnp.zeros(x.shape, jnp.int32)


def _absolute(x: jax.Array) -> jax.Array:
    return absolute_value(x) if category(x.dtype) == FLOATING else jnp.abs(x)


def _reciprocal(x: jax.Array) -> jax.Array:
    return lax.integer_pow(x, -1)


def _sinc(x: jax.Array) -> jax.Array:
    unknown = jnp.where(jnp.isinf(x), jnp.nan, 1)  # JAX's value and derivative there are NaN or 0, by its version
    return jnp.sinc(x * unknown)


def _arccosh(x: jax.Array) -> jax.Array:
    """With the derivative of torch at infinity and at -1, of which JAX's depends on its version."""
    if category(x.dtype) == COMPLEX:
        return jnp.arccosh(x)
    return curve(x, jnp.arccosh, lambda x, t: lax.rsqrt(x * x - 1) * t)


def _round(x: jax.Array) -> jax.Array:
    return lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN)


def _sign(x: jax.Array) -> jax.Array:
    if x.dtype == bool:
        return x
    zero = jnp.zeros((), x.dtype)
    return (x > zero).astype(x.dtype) - (x < zero).astype(x.dtype)


def _i0(x: jax.Array) -> jax.Array:
    """With the derivative of torch, of which JAX's is not 0 at 0."""
    return curve(x, jsp.i0, lambda x, t: jsp.i1(x) * t)


def _lgamma(x: jax.Array) -> jax.Array:
    """With the derivative of torch, of which JAX's is inexact below 0."""
    return curve(x, jsp.gammaln, lambda x, t: _polygamma(0, x) * t)


acos = arccos = floating("acos", jnp.arccos, "Angle whose cosine is `input`, NaN outside [-1, 1].")
acosh = arccosh = floating("acosh", _arccosh, "Inverse hyperbolic cosine, NaN below 1.")
asin = arcsin = floating("asin", jnp.arcsin, "Angle whose sine is `input`, NaN outside [-1, 1].")
asinh = arcsinh = floating("asinh", jnp.arcsinh, "Inverse hyperbolic sine.")
atan = arctan = floating("atan", jnp.arctan, "Angle whose tangent is `input`.")
atanh = arctanh = floating("atanh", jnp.arctanh, "Inverse hyperbolic tangent, NaN outside [-1, 1].")
cos = floating("cos", jnp.cos, "Cosine of an angle in radians.")
cosh = floating("cosh", jnp.cosh, "Hyperbolic cosine.")
deg2rad = floating("deg2rad", lambda x: x * (math.pi / 180), "Degrees as radians.", FLOATING)
digamma = floating(
    "digamma", lambda x: _polygamma(0, x), "Derivative of the logarithm of the gamma function.", FLOATING
)
erf = floating("erf", jsp.erf, "Error function.", FLOATING)
erfc = floating("erfc", jsp.erfc, "`1 - erf(x)`, exact where it is small.", FLOATING)
erfinv = floating("erfinv", jsp.erfinv, "Inverse of the error function, NaN outside [-1, 1].", FLOATING)
exp = floating("exp", jnp.exp, "`e` to the power of `input`.")
exp2 = floating("exp2", jnp.exp2, "2 to the power of `input`.")
expm1 = floating("expm1", jnp.expm1, "`exp(x) - 1`, exact near 0.")
i0 = floating("i0", _i0, "Modified Bessel function of the first kind, order 0.", FLOATING)
lgamma = floating("lgamma", _lgamma, "Logarithm of the absolute value of the gamma function.", FLOATING)
log = floating("log", jnp.log, "Natural logarithm: -inf at 0, NaN below.")
log10 = floating("log10", jnp.log10, "Logarithm to the base 10.")
log1p = floating("log1p", jnp.log1p, "`log(1 + x)`, exact near 0.")
log2 = floating("log2", jnp.log2, "Logarithm to the base 2.")
rad2deg = floating("rad2deg", lambda x: x * (180 / math.pi), "Radians as degrees.", FLOATING)
reciprocal = floating("reciprocal", _reciprocal, "`1 / x`; of integers too, as float32.")
rsqrt = floating("rsqrt", lax.rsqrt, "`1 / sqrt(x)`.")
sigmoid = expit = floating("sigmoid", jax.nn.sigmoid, "`1 / (1 + exp(-x))`.")
sin = floating("sin", jnp.sin, "Sine of an angle in radians.")
sinc = floating("sinc", _sinc, "`sin(pi x) / (pi x)`, 1 at 0.")
sinh = floating("sinh", jnp.sinh, "Hyperbolic sine.")
sqrt = floating("sqrt", jnp.sqrt, "Square root, NaN below 0; its derivative at 0 is inf.")
tan = floating("tan", jnp.tan, "Tangent of an angle in radians.")
tanh = floating("tanh", jnp.tanh, "Hyperbolic tangent.")

abs = absolute = elementwise("abs", _absolute, "Absolute value, real for complex numbers; its derivative at 0 is 0.", 1)
neg = negative = elementwise("neg", jnp.negative, "`-x`; booleans are refused.", INTEGER)
positive = elementwise("positive", lambda x: x, "`input` itself; booleans are refused.", INTEGER)
square = elementwise("square", lambda x: x * x if x.dtype != bool else x.astype(int64()), "`x * x`.")
sign = elementwise("sign", _sign, "-1, 0 or 1; 0 for NaN.", BOOL, FLOATING)
sgn = elementwise("sgn", lambda x: _direction(x), "`x / abs(x)`, 0 at 0; of real numbers `sign`.")
ceil = elementwise("ceil", _kept(jnp.ceil), "The next whole number above.", INTEGER, FLOATING)
floor = elementwise("floor", _kept(jnp.floor), "The next whole number below.", INTEGER, FLOATING)
trunc = fix = elementwise("trunc", _kept(jnp.trunc), "The next whole number towards 0.", INTEGER, FLOATING)
frac = elementwise(
    "frac", lambda x: x - jnp.trunc(x), "What `trunc` takes away, with the sign of x.", FLOATING, FLOATING
)
bitwise_not = elementwise("bitwise_not", jnp.bitwise_not, "All bits turned; of booleans the other.", BOOL, INTEGER)
logical_not = elementwise("logical_not", lambda x: x == jnp.zeros((), x.dtype), "Whether elements are 0.")
isnan = elementwise("isnan", jnp.isnan, "Whether elements are NaN.")
isinf = elementwise("isinf", jnp.isinf, "Whether elements are infinite.")
isfinite = elementwise("isfinite", jnp.isfinite, "Whether elements are neither infinite nor NaN.")
isposinf = elementwise("isposinf", jnp.isposinf, "Whether elements are inf.", BOOL, FLOATING)
isneginf = elementwise("isneginf", jnp.isneginf, "Whether elements are -inf.", BOOL, FLOATING)
isreal = elementwise("isreal", lambda x: _imaginary(x) == 0, "Whether elements have no imaginary part.")
conj = elementwise("conj", jnp.conj, "The complex conjugate; real numbers as they are.")
conj_physical = conj
real = elementwise("real", jnp.real, "The real part; real numbers as they are.")
imag = elementwise("imag", jnp.imag, "The imaginary part of complex numbers; real ones are refused.", COMPLEX)


def resolve_conj(input: jax.Array) -> jax.Array:
    """`input` itself: arrays have no lazy conjugate."""
    return check.array("input", input)


def resolve_neg(input: jax.Array) -> jax.Array:
    """`input` itself: arrays have no lazy sign."""
    return check.array("input", input)


def _direction(x: jax.Array) -> jax.Array:
    if category(x.dtype) < COMPLEX:
        return _sign(x)
    size = jnp.abs(x)
    zero = size == 0
    return jnp.where(zero, jnp.zeros_like(x), x / jnp.where(zero, jnp.ones_like(size), size).astype(x.dtype))


def signbit(input: jax.Array) -> jax.Array:
    """Whether elements are negative; of floating numbers the bit of the sign, also of -0."""
    x = numbers("input", input, least=BOOL, most=FLOATING)
    return jnp.signbit(x) if category(x.dtype) == FLOATING else x < jnp.zeros((), x.dtype)


def angle(input: jax.Array) -> jax.Array:
    """The angle of complex numbers; of real ones 0, pi below 0, NaN for NaN. Integers give float32."""
    x = check.array("input", input)
    if category(x.dtype) == COMPLEX:
        return jnp.angle(x)
    x = x.astype(jnp.float32) if category(x.dtype) < FLOATING else x
    turned = jnp.where(x < 0, jnp.full((), math.pi, x.dtype), jnp.zeros((), x.dtype))
    return jnp.where(jnp.isnan(x), np.full((), np.nan, x.dtype), turned)


def round(input: jax.Array, *, decimals: int = 0) -> jax.Array:
    """The nearest whole number, halves to the even one; `decimals` digits behind the point."""
    x = numbers("input", input, most=FLOATING)
    if category(x.dtype) == INTEGER:
        if decimals:
            raise TypeError(f"input: expected a floating dtype where decimals is not 0, got {x.dtype}; cast it first")
        return x
    if not check.integer("decimals", decimals):
        return _round(x)
    scale = float(10 ** max(decimals, -decimals))

    def rounded(x: jax.Array) -> jax.Array:
        return _round(x * scale) / scale if decimals > 0 else _round(x / scale) * scale

    return in_wide(rounded, x)


def frexp(input: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mantissa in [0.5, 1) and exponent of two, int32: `x = mantissa * 2 ** exponent`."""
    x = numbers("input", input, least=FLOATING, most=FLOATING)
    exponent = jnp.frexp(lax.stop_gradient(x.astype(jnp.float32) if x.dtype.itemsize == 2 else x))[1].astype(jnp.int32)
    scale = jnp.where(jnp.isfinite(x) & (x != 0), exponent, 0)
    half = scale // 2
    return in_wide(lambda x: jnp.ldexp(jnp.ldexp(x, -half), half - scale), x), scale


def logit(input: jax.Array, eps: float | None = None) -> jax.Array:
    """`log(x / (1 - x))`; with `eps`, of `x` brought into `[eps, 1 - eps]`, without a gradient beyond."""
    x = numbers("input", input, least=BOOL, most=FLOATING)

    def odds(x: jax.Array) -> jax.Array:
        if eps is not None:
            x = jnp.where(x < eps, eps, jnp.where(x > 1 - eps, 1 - eps, x))
        return _log_odds(x)

    return in_float32(odds, x)


@jax.custom_jvp
def _log_odds(x: jax.Array) -> jax.Array:
    return jnp.log(x / (1 - x))


@_log_odds.defjvp
def _log_odds_jvp(primals: Sequence, tangents: Sequence) -> tuple[jax.Array, jax.Array]:
    """NaN where the value is, infinite at 0 and 1."""
    (x,), (tangent,) = primals, tangents
    slope = jnp.where((x >= 0) & (x <= 1), lax.integer_pow(x * (1 - x), -1), np.full((), np.nan, x.dtype))
    return _log_odds(x), slope * tangent


def polygamma(n: int, input: jax.Array) -> jax.Array:
    """The `n`-th derivative of `digamma`."""
    x = numbers("input", input, least=BOOL, most=FLOATING)
    check.integer("n", n, least=0)
    return in_float32(lambda x: _polygamma(n, x), x)


def _polygamma(n: int, x: jax.Array) -> jax.Array:
    """By the Hurwitz zeta function; the derivative is the next polygamma."""

    @jax.custom_jvp
    def value(x: jax.Array) -> jax.Array:
        if n == 0:
            return jnp.where(x == 0, jnp.copysign(jnp.full_like(x, jnp.inf), -x), jsp.digamma(x))
        sign = -1.0 if n % 2 == 0 else 1.0
        right = jnp.where(x < 0, 1 - x, x)
        found = sign * math.gamma(n + 1) * jsp.zeta(jnp.full_like(x, n + 1), right)
        found = jnp.where(right == jnp.inf, jnp.zeros_like(x), found)
        # below 0 by reflection: the n-th derivative of pi cot(pi x), a polynomial in cot(pi x)
        bend = np.polynomial.Polynomial([0.0, math.pi])
        for _ in range(n):
            bend = -math.pi * np.polynomial.Polynomial([1.0, 0.0, 1.0]) * bend.deriv()
        apart = x - jnp.round(x)
        steep = jnp.abs(apart) < 0.25  # beyond by the tangent of what is left, which is exact where the cotangent is 0
        near, left = jnp.where(steep, apart, 0.25), jnp.where(steep, 0.25, 0.5 - jnp.abs(apart))
        cot = jnp.where(steep, 1 / jnp.tan(math.pi * near), jnp.sign(apart) * jnp.tan(math.pi * left))
        return jnp.where(x < 0, -sign * found - jnp.polyval(jnp.asarray(bend.coef[::-1], x.dtype), cot), found)

    value.defjvp(lambda primals, tangents: (value(*primals), _polygamma(n + 1, *primals) * tangents[0]))
    return value(x)


def mvlgamma(input: jax.Array, p: int) -> jax.Array:
    """Logarithm of the gamma function of `p` dimensions: `p (p - 1) / 4 log(pi) + sum of lgamma(x - j / 2)`."""
    x = numbers("input", input, least=BOOL, most=FLOATING)
    check.integer("p", p, least=1)

    def value(x: jax.Array) -> jax.Array:
        total = jnp.full_like(x, p * (p - 1) / 4 * math.log(math.pi))
        for j in range(p):
            total = total + _lgamma(x - j / 2)
        return total

    return in_float32(value, x)
