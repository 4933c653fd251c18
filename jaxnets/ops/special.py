"""`torch.special`: functions of mathematical physics and statistics."""

import jax
import jax.numpy as jnp
from jax.scipy import special as jsp

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


def _entropy(x: jax.Array) -> jax.Array:
    value = jax.custom_jvp(jsp.entr)
    value.defjvp(lambda primals, tangents: (value(*primals), -(jnp.log(*primals) + 1) * tangents[0]))
    return value(x)


psi = digamma
gammaln = lgamma
multigammaln = mvlgamma

entr = floating("entr", _entropy, "`-x log(x)`: 0 at 0, -inf below.", FLOATING)
i0e = floating("i0e", jsp.i0e, "`exp(-|x|) * i0(x)`.", FLOATING)
i1 = floating("i1", jsp.i1, "Modified Bessel function of the first kind, order 1.", FLOATING)
i1e = floating("i1e", jsp.i1e, "`exp(-|x|) * i1(x)`.", FLOATING)
ndtr = floating("ndtr", jsp.ndtr, "Distribution function of the standard normal distribution.", FLOATING)
ndtri = floating("ndtri", jsp.ndtri, "Inverse of `ndtr`, NaN outside [0, 1].", FLOATING)
log_ndtr = floating("log_ndtr", jsp.log_ndtr, "Logarithm of `ndtr`, exact where that is rounded to 0.", FLOATING)


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
