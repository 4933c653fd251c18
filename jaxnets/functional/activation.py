"""Smooth activations: `torch.nn.functional.sigmoid`, `tanh`, `elu`, `gelu`, `silu`, `softplus` and their kin."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets import check
from jaxnets.functional.elementwise import absolute, curve, floating, in_float32, rounded

__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "logsigmoid",
    "mish",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "tanh",
    "tanhshrink",
]

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946
GELU_CUBIC = 0.044715


def sigmoid(input: jax.Array) -> jax.Array:
    """Logistic function, element by element.

    `1 / (1 + exp(-x))`

    Args:
        input: numbers of any dtype; integers and booleans become the default floating dtype.

    Shape: `(*)` to the same.

    Differences from torch: none.

    >>> sigmoid(jnp.array(0.0)).item()
    0.5

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.sigmoid.html
    """
    return in_float32(lax.logistic, check.array("input", input))


def tanh(input: jax.Array) -> jax.Array:
    """Hyperbolic tangent, element by element.

    `(exp(x) - exp(-x)) / (exp(x) + exp(-x))`

    Args:
        input: numbers of any dtype; integers and booleans become the default floating dtype.

    Shape: `(*)` to the same.

    Differences from torch: none.

    >>> tanh(jnp.array(0.0)).item()
    0.0

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.tanh.html
    """
    return in_float32(jnp.tanh, check.array("input", input))


def elu(input: jax.Array, alpha: float = 1.0, inplace: bool = False) -> jax.Array:
    """Exponential linear unit, element by element (Clevert et al., 2016).

    `x` where `x > 0`, `alpha * (exp(x) - 1)` elsewhere; the derivative at 0 is `alpha`.

    Args:
        input: floating numbers.
        alpha: what the output tends to, negated, for very negative inputs.
        inplace: has no effect, arrays are immutable.

    Shape: `(*)` to the same.

    Raises:
        TypeError: `input` is not floating, `alpha` is no number.

    Differences from torch: `inplace` has no effect. The derivative at NaN is 1, as in torch for single numbers and
    on GPUs; torch's vectorised loops on CPUs give NaN.

    >>> elu(jnp.array([-1000.0, 3.0]), 2.0).tolist()
    [-2.0, 3.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.elu.html
    """
    return _elu(input, check.number("alpha", alpha))


def celu(input: jax.Array, alpha: float = 1.0, inplace: bool = False) -> jax.Array:
    """ELU whose derivative is continuous for every alpha, element by element (Barron, 2017).

    `x` where `x > 0`, `alpha * (exp(x / alpha) - 1)` elsewhere

    Args:
        input: floating numbers.
        alpha: what the output tends to, negated, for very negative inputs; not 0.
        inplace: has no effect, arrays are immutable.

    Shape: `(*)` to the same.

    Raises:
        TypeError: `input` is not floating, `alpha` is no number.
        ValueError: `alpha` is 0.

    Differences from torch: as `elu`.

    >>> celu(jnp.array([-1000.0, 3.0]), 2.0).tolist()
    [-2.0, 3.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.celu.html
    """
    alpha = check.number("alpha", alpha)
    if alpha == 0:
        raise ValueError("alpha: expected a number other than 0, got 0; for a derivative of 0 use relu")
    return _elu(input, alpha, width=alpha)


def selu(input: jax.Array, inplace: bool = False) -> jax.Array:
    """Scaled ELU, which keeps mean 0 and variance 1 from layer to layer (Klambauer et al., 2017).

    `scale * x` where `x > 0`, `scale * alpha * (exp(x) - 1)` elsewhere, `scale = 1.0507...`, `alpha = 1.6732...`

    Args:
        input: floating numbers.
        inplace: has no effect, arrays are immutable.

    Shape: `(*)` to the same.

    Raises:
        TypeError: `input` is not floating.

    Differences from torch: as `elu`.

    >>> selu(jnp.array([0.0, 1.0])).tolist()
    [0.0, 1.0507010221481323]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.selu.html
    """
    return _elu(input, SELU_ALPHA, SELU_SCALE)


def gelu(input: jax.Array, approximate: str = "none") -> jax.Array:
    """Gaussian error linear unit, element by element (Hendrycks and Gimpel, 2016).

    `x * P(X <= x)` for a standard normal X; approximated by
    `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x³)))`

    Args:
        input: floating numbers.
        approximate: "none" for the exact function, "tanh" for the approximation.

    Shape: `(*)` to the same.

    Raises:
        TypeError: `input` is not floating.
        ValueError: `approximate` is neither of the two.

    Differences from torch: `approximate` may be given by position. inf gives inf, as in torch's float64; torch's
    vectorised float32 on CPUs gives NaN.

    >>> gelu(jnp.array([0.0, 10.0])).tolist()
    [0.0, 10.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.gelu.html
    """
    x = floating("input", input)
    if check.choice("approximate", approximate, ("none", "tanh")) == "tanh":
        return curve(x, _gelu_tanh, _gelu_tanh_tangent)
    return curve(x, lambda x: x * _normal_cdf(x), _gelu_tangent)


def glu(input: jax.Array, dim: int = -1) -> jax.Array:
    """Gated linear unit: one half of an axis, gated by the other (Dauphin et al., 2017).

    `a * sigmoid(b)`, `a` and `b` the halves of the input

    Args:
        input: floating numbers, at least one axis.
        dim: the axis that is halved; its size is even.

    Shape: `(*, N, *)` to `(*, N / 2, *)`.

    Raises:
        TypeError: `input` is not floating.
        ValueError: `input` has no axes, `dim` is not one of them, its size is odd.

    Differences from torch: none.

    >>> glu(jnp.array([3.0, 4.0, 0.0, 0.0])).tolist()
    [1.5, 2.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.glu.html
    """
    x = floating("input", input)
    if not x.ndim:
        raise ValueError("input: expected at least 1 axis to halve, got a number")
    dim = check.integer("dim", dim)
    if not -x.ndim <= dim < x.ndim:
        raise ValueError(f"dim: expected an axis from {-x.ndim} to {x.ndim - 1} of input {x.shape}, got {dim}")
    if x.shape[dim] % 2:
        raise ValueError(f"input: expected an even size on axis {dim}, got shape {x.shape}")

    def gated(x: jax.Array) -> jax.Array:
        a, b = jnp.split(x, 2, axis=dim)
        return a * lax.logistic(b)

    return in_float32(gated, x)


def logsigmoid(input: jax.Array) -> jax.Array:
    """Logarithm of the logistic function, element by element, exact in both tails.

    `-log(1 + exp(-x))`

    Args:
        input: floating numbers.

    Shape: `(*)` to the same.

    Raises:
        TypeError: `input` is not floating.

    Differences from torch: none.

    >>> logsigmoid(jnp.array([-1000.0, 1000.0])).tolist()
    [-1000.0, 0.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.logsigmoid.html
    """
    return curve(
        floating("input", input),
        lambda x: jnp.minimum(x, 0) - jnp.log1p(jnp.exp(-jnp.abs(x))),
        lambda x, t: t * lax.logistic(-x),
    )


def mish(input: jax.Array, inplace: bool = False) -> jax.Array:
    """Self-regularised activation, element by element (Misra, 2020).

    `x * tanh(log(1 + exp(x)))`

    Args:
        input: floating numbers.
        inplace: has no effect, arrays are immutable.

    Shape: `(*)` to the same.

    Raises:
        TypeError: `input` is not floating.

    Differences from torch: `inplace` has no effect.

    >>> mish(jnp.array([0.0, 50.0])).tolist()
    [0.0, 50.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.mish.html
    """

    def tangent(x: jax.Array, t: jax.Array) -> jax.Array:
        y = jnp.tanh(_softplus(x))
        return t * (y + x * lax.logistic(x) * (1 - y * y))

    return curve(floating("input", input), lambda x: x * jnp.tanh(_softplus(x)), tangent)


def silu(input: jax.Array, inplace: bool = False) -> jax.Array:
    """Sigmoid linear unit, also called swish, element by element.

    `x / (1 + exp(-x))`

    Args:
        input: floating or complex numbers.
        inplace: has no effect, arrays are immutable.

    Shape: `(*)` to the same.

    Raises:
        TypeError: `input` is neither floating nor complex.

    Differences from torch: `inplace` has no effect. Complex inputs have a derivative.

    >>> silu(jnp.array([0.0, 50.0])).tolist()
    [0.0, 50.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.silu.html
    """
    x = check.array("input", input)
    if jnp.iscomplexobj(x):
        return x / (1 + jnp.exp(-x))

    def tangent(x: jax.Array, t: jax.Array) -> jax.Array:
        y = lax.logistic(x)
        return t * (y * (1 + x * (1 - y)))

    return curve(floating("input", x), lambda x: x * lax.logistic(x), tangent)


def softplus(input: jax.Array, beta: float = 1.0, threshold: float = 20.0) -> jax.Array:
    """Smooth form of `relu`, element by element.

    `log(1 + exp(beta * x)) / beta`, and `x` itself where `beta * x > threshold`

    Args:
        input: floating numbers.
        beta: how sharp the bend is.
        threshold: where the function goes on as a line; above 88 in float32 the exponential may overflow.

    Shape: `(*)` to the same.

    Raises:
        TypeError: `input` is not floating, an argument is no number.

    Differences from torch: none.

    >>> softplus(jnp.array([-1000.0, 1000.0])).tolist()
    [0.0, 1000.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softplus.html
    """
    return _softplus(floating("input", input), check.number("beta", beta), check.number("threshold", threshold))


def softsign(input: jax.Array) -> jax.Array:
    """Quotient that tends to -1 and 1, element by element.

    `x / (1 + |x|)`

    Args:
        input: numbers; integers become the default floating dtype.

    Shape: `(*)` to the same. Infinite numbers give NaN.

    Raises:
        TypeError: `input` is boolean.

    Differences from torch: none.

    >>> softsign(jnp.array([-1.0, 3.0])).tolist()
    [-0.5, 0.75]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softsign.html
    """
    x = _number(input)
    if jnp.iscomplexobj(x):
        return x / (jnp.abs(x) + 1).astype(x.dtype)

    def divisor(y: jax.Array) -> jax.Array:
        return rounded(absolute(y) + 1, x.dtype)

    def tangent(y: jax.Array, t: jax.Array) -> jax.Array:
        d, t = divisor(y), rounded(t, x.dtype)
        return t / d - t * (jnp.sign(y) * rounded(rounded(y / d, x.dtype) / d, x.dtype))

    return curve(x, lambda y: y / divisor(y), tangent)


def tanhshrink(input: jax.Array) -> jax.Array:
    """What `tanh` takes away, element by element.

    `x - tanh(x)`

    Args:
        input: numbers; integers become the default floating dtype.

    Shape: `(*)` to the same.

    Raises:
        TypeError: `input` is boolean.

    Differences from torch: none.

    >>> tanhshrink(jnp.array([0.0, 50.0])).tolist()
    [0.0, 49.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.tanhshrink.html
    """
    x = _number(input)
    if jnp.iscomplexobj(x):
        return x - jnp.tanh(x)

    def tangent(y: jax.Array, t: jax.Array) -> jax.Array:
        return t - (1 - jnp.square(rounded(jnp.tanh(y), x.dtype))) * rounded(t, x.dtype)

    # rounding takes float16's subnormal numbers for 0, where the two are the same number
    tiny = float(jnp.finfo(x.dtype).smallest_normal)
    return curve(x, lambda y: jnp.where(jnp.abs(y) < tiny, 0.0, y - rounded(jnp.tanh(y), x.dtype)), tangent)


def _elu(input: jax.Array, alpha: float, scale: float = 1.0, width: float = 1.0) -> jax.Array:
    """`scale * x` where `x > 0`, `scale * alpha * (exp(x / width) - 1)` elsewhere."""
    # torch's derivative holds the width as a C float, also where it computes in float64
    narrow = 1 / float(np.float32(width))

    def value(x: jax.Array) -> jax.Array:
        return jnp.where(x <= 0, alpha * scale * jnp.expm1(x * (1 / width)), x * scale)

    def tangent(x: jax.Array, t: jax.Array) -> jax.Array:
        # torch's first derivative takes 0 for negative, its second one for positive
        bend = narrow * (alpha * scale) * jnp.exp(jnp.where(x < 0, x, 0.0) * narrow)
        return t * jnp.where(x <= 0, bend, scale)

    return curve(floating("input", input), value, tangent)


def _softplus(x: jax.Array, beta: float = 1.0, threshold: float = 20.0) -> jax.Array:
    def value(x: jax.Array) -> jax.Array:
        return jnp.where(x * beta > threshold, x, jnp.log1p(jnp.exp(x * beta)) / beta)

    def tangent(x: jax.Array, t: jax.Array) -> jax.Array:
        z = x * beta
        line = z > threshold
        # torch's first derivative takes the threshold for the curve's, its second one for the line's
        z = jnp.where(line, 0.0, jnp.where(z == threshold, lax.stop_gradient(z), z))
        e = jnp.exp(z)
        return t * jnp.where(line, 1.0, e / (e + 1))

    return curve(x, value, tangent)


def _gelu_tanh(x: jax.Array) -> jax.Array:
    # (1 + tanh(z)) / 2 = sigmoid(2 z), which does not cancel far below 0
    return x * lax.logistic(_gelu_inner(x))


def _gelu_tanh_tangent(x: jax.Array, t: jax.Array) -> jax.Array:
    z = _gelu_inner(x)
    slope = math.sqrt(8 / math.pi) * (1 + 3 * GELU_CUBIC * (x * x))
    return t * (lax.logistic(z) + x * (lax.logistic(z) * lax.logistic(-z)) * slope)


def _gelu_inner(x: jax.Array) -> jax.Array:
    return math.sqrt(8 / math.pi) * (x + GELU_CUBIC * (x * x * x))


def _gelu_tangent(x: jax.Array, t: jax.Array) -> jax.Array:
    # erf is odd: the same number, which XLA computes again so, where it would keep what the value has in memory
    cdf = 0.5 * (1 - lax.erf(x * -math.sqrt(0.5)))
    return t * (cdf + x * _normal_pdf(x))


def _normal_cdf(x: jax.Array) -> jax.Array:
    return 0.5 * (1 + lax.erf(x * math.sqrt(0.5)))  # torch's way, which cancels far below 0; erfc takes twice the time


def _normal_pdf(x: jax.Array) -> jax.Array:
    return math.sqrt(0.5 / math.pi) * jnp.exp(-0.5 * x * x)


def _number(input: jax.Array) -> jax.Array:
    """Floating and complex numbers as they are, integers as the default floating dtype."""
    x = check.array("input", input)
    if x.dtype == bool:
        raise TypeError("input: expected numbers, got bool; cast it first")
    return x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(jnp.float32)
