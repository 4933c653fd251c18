"""`torch.special`: functions of mathematical physics and statistics."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import special as jsp

from jaxnets.functional.elementwise import curve
from jaxnets.ops.aten import log_softmax, softmax
from jaxnets.ops.binary import _floats, times_logarithm, xlogy
from jaxnets.ops.promotion import FLOATING, Operand
from jaxnets.ops.reduction import logsumexp
from jaxnets.ops.unary import (
    digamma,
    erf,
    erfc,
    erfinv,
    exp2,
    expit,
    expm1,
    floating,
    i0,
    lgamma,
    log1p,
    logit,
    mvlgamma,
    polygamma,
    round,
    sinc,
)

__all__ = [
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "gammainc",
    "gammaincc",
    "gammaln",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "log1p",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "round",
    "sinc",
    "softmax",
    "xlog1py",
    "xlogy",
    "zeta",
]


@jax.custom_jvp
def _ndtri(x: jax.Array) -> jax.Array:
    """With the derivative of torch: infinite at 0 and 1, where JAX's is 0."""
    return jsp.ndtri(x)


@_ndtri.defjvp
def _ndtri_jvp(primals: Sequence, tangents: Sequence) -> tuple[jax.Array, jax.Array]:
    value = _ndtri(*primals)
    return value, math.sqrt(2 * math.pi) * jnp.exp(value * value / 2) * tangents[0]


def _log_ndtr(x: jax.Array) -> jax.Array:
    """Above 0 by what is missing from 1, below -12 by the asymptotic series, of which JAX has fewer terms."""
    above, far = x > 0, x < -12
    right = jnp.log1p(-jsp.ndtr(-jnp.where(above, x, 0)))
    middle = jnp.log(jsp.ndtr(jnp.where(above | far, 0, x)))
    t = jnp.where(far, x, -12)
    terms = np.cumprod([1.0, *range(-1, -21, -2)])  # of (1 / t²)^n: (-1)^n (2 n - 1)!!
    left = -t * t / 2 - jnp.log(-t) - math.log(2 * math.pi) / 2
    left += jnp.log(jnp.polyval(jnp.asarray(terms[::-1], x.dtype), 1 / (t * t)))
    return jnp.where(above, right, jnp.where(far, left, middle))


def _entropy(x: jax.Array) -> jax.Array:
    return curve(x, jsp.entr, lambda x, t: -(jnp.log(x) + 1) * t)


psi = digamma
gammaln = lgamma
multigammaln = mvlgamma

entr = floating("entr", _entropy, "`-x log(x)`: 0 at 0, -inf below.", FLOATING)
i0e = floating("i0e", jsp.i0e, "`exp(-|x|) * i0(x)`.", FLOATING)
i1 = floating("i1", jsp.i1, "Modified Bessel function of the first kind, order 1.", FLOATING)
i1e = floating("i1e", jsp.i1e, "`exp(-|x|) * i1(x)`.", FLOATING)
ndtr = floating("ndtr", jsp.ndtr, "Distribution function of the standard normal distribution.", FLOATING)
ndtri = floating("ndtri", _ndtri, "Inverse of `ndtr`, NaN outside [0, 1].", FLOATING)
log_ndtr = floating("log_ndtr", _log_ndtr, "Logarithm of `ndtr`, exact where that is rounded to 0.", FLOATING)


def gammainc(input: Operand, other: Operand) -> jax.Array:
    """Regularised lower incomplete gamma function of `input` up to `other`."""
    return _floats(jsp.gammainc, input, other)


def gammaincc(input: Operand, other: Operand) -> jax.Array:
    """Regularised upper incomplete gamma function of `input` from `other` on."""
    return _floats(jsp.gammaincc, input, other)


def zeta(input: Operand, other: Operand) -> jax.Array:
    """Hurwitz zeta function: sum over k of `(k + other) ** -input`."""

    def value(a: jax.Array, b: jax.Array) -> jax.Array:
        nan, inf = jnp.full_like(a, jnp.nan), jnp.full_like(a, jnp.inf)
        left = jnp.where(b == jnp.floor(b), inf, jnp.where(a != jnp.floor(a), nan, jsp.zeta(a, b)))
        found = jnp.where(b <= 0, left, jsp.zeta(a, b))
        return jnp.where(a == 1, inf, jnp.where(a < 1, nan, found))

    return _floats(value, input, other)


def xlog1py(input: Operand, other: Operand) -> jax.Array:
    """`input * log1p(other)`, 0 where `input` is 0, NaN where `other` is."""
    return _floats(lambda a, b: times_logarithm(a, b, 1), input, other)
