"""Smooth activations: `torch.nn.Sigmoid`, `Tanh`, `ELU`, `GELU`, `SiLU`, `Softplus` and their kin."""

import jax

from jaxnets import check
from jaxnets import functional as F
from jaxnets.nn.parameters import Layer

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "LogSigmoid",
    "Mish",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Softsign",
    "Tanh",
    "Tanhshrink",
]


class Sigmoid(Layer):
    """Logistic function, element by element.

    `1 / (1 + exp(-x))`

    Shape:
        `(*)` to the same.

    Differences from torch: none.

    >>> Sigmoid()(jax.numpy.array(0.0)).item()
    0.5

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Sigmoid.html
    """

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.sigmoid(input)


class Tanh(Layer):
    """Hyperbolic tangent, element by element.

    `(exp(x) - exp(-x)) / (exp(x) + exp(-x))`

    Shape:
        `(*)` to the same.

    Differences from torch: none.

    >>> Tanh()(jax.numpy.array(0.0)).item()
    0.0

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Tanh.html
    """

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.tanh(input)


class ELU(Layer):
    """Exponential linear unit, element by element (Clevert et al., 2016).

    `x` where `x > 0`, `alpha * (exp(x) - 1)` elsewhere

    Args:
        alpha: what the output tends to, negated, for very negative inputs.
        inplace: has no effect, arrays are immutable.

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: the input is not floating, `alpha` is no number.

    Differences from torch: `inplace` has no effect; see `jaxnets.functional.elu` for the derivative at NaN.

    >>> ELU(2.0)(jax.numpy.array([-1000.0, 3.0])).tolist()
    [-2.0, 3.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ELU.html
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False):
        self.alpha = check.number("alpha", alpha)
        self.inplace = check.flag("inplace", inplace)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.elu(input, self.alpha)


class CELU(Layer):
    """ELU whose derivative is continuous for every alpha, element by element (Barron, 2017).

    `x` where `x > 0`, `alpha * (exp(x / alpha) - 1)` elsewhere

    Args:
        alpha: what the output tends to, negated, for very negative inputs; not 0.
        inplace: has no effect, arrays are immutable.

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: the input is not floating, `alpha` is no number.
        ValueError: `alpha` is 0; torch says so at the first call.

    Differences from torch: as `ELU`.

    >>> CELU(2.0)(jax.numpy.array([-1000.0, 3.0])).tolist()
    [-2.0, 3.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CELU.html
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False):
        self.alpha = check.number("alpha", alpha)
        if self.alpha == 0:
            raise ValueError("alpha: expected a number other than 0, got 0; for a derivative of 0 use ReLU")
        self.inplace = check.flag("inplace", inplace)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.celu(input, self.alpha)


class SELU(Layer):
    """Scaled ELU, which keeps mean 0 and variance 1 from layer to layer (Klambauer et al., 2017).

    `scale * x` where `x > 0`, `scale * alpha * (exp(x) - 1)` elsewhere, `scale = 1.0507...`, `alpha = 1.6732...`

    Args:
        inplace: has no effect, arrays are immutable.

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: the input is not floating.

    Differences from torch: as `ELU`.

    >>> SELU()(jax.numpy.array([0.0, 1.0])).tolist()
    [0.0, 1.0507010221481323]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.SELU.html
    """

    def __init__(self, inplace: bool = False):
        self.inplace = check.flag("inplace", inplace)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.selu(input)


class GELU(Layer):
    """Gaussian error linear unit, element by element (Hendrycks and Gimpel, 2016).

    `x * P(X <= x)` for a standard normal X; approximated by
    `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x³)))`

    Args:
        approximate: "none" for the exact function, "tanh" for the approximation.

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: the input is not floating.
        ValueError: `approximate` is neither of the two; torch says so at the first call.

    Differences from torch: see `jaxnets.functional.gelu` for inf.

    >>> GELU()(jax.numpy.array([0.0, 10.0])).tolist()
    [0.0, 10.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.GELU.html
    """

    def __init__(self, approximate: str = "none"):
        self.approximate = check.choice("approximate", approximate, ("none", "tanh"))

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.gelu(input, approximate=self.approximate)


class GLU(Layer):
    """Gated linear unit: one half of an axis, gated by the other (Dauphin et al., 2017).

    `a * sigmoid(b)`, `a` and `b` the halves of the input

    Args:
        dim: the axis that is halved; its size is even.

    Shape:
        `(*, N, *)` to `(*, N / 2, *)`.

    Raises:
        TypeError: the input is not floating.
        ValueError: the input has no such axis, or its size is odd.

    Differences from torch: none.

    >>> GLU()(jax.numpy.array([3.0, 4.0, 0.0, 0.0])).tolist()
    [1.5, 2.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.GLU.html
    """

    def __init__(self, dim: int = -1):
        self.dim = check.integer("dim", dim)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.glu(input, self.dim)


class LogSigmoid(Layer):
    """Logarithm of the logistic function, element by element, exact in both tails.

    `-log(1 + exp(-x))`

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: the input is not floating.

    Differences from torch: none.

    >>> LogSigmoid()(jax.numpy.array([-1000.0, 1000.0])).tolist()
    [-1000.0, 0.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LogSigmoid.html
    """

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.logsigmoid(input)


class Mish(Layer):
    """Self-regularised activation, element by element (Misra, 2020).

    `x * tanh(log(1 + exp(x)))`

    Args:
        inplace: has no effect, arrays are immutable.

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: the input is not floating.

    Differences from torch: `inplace` has no effect.

    >>> Mish()(jax.numpy.array([0.0, 50.0])).tolist()
    [0.0, 50.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Mish.html
    """

    def __init__(self, inplace: bool = False):
        self.inplace = check.flag("inplace", inplace)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.mish(input)


class SiLU(Layer):
    """Sigmoid linear unit, also called swish, element by element.

    `x / (1 + exp(-x))`

    Args:
        inplace: has no effect, arrays are immutable.

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: the input is neither floating nor complex.

    Differences from torch: `inplace` has no effect. Complex inputs have a derivative.

    >>> SiLU()(jax.numpy.array([0.0, 50.0])).tolist()
    [0.0, 50.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.SiLU.html
    """

    def __init__(self, inplace: bool = False):
        self.inplace = check.flag("inplace", inplace)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.silu(input)


class Softplus(Layer):
    """Smooth form of `ReLU`, element by element.

    `log(1 + exp(beta * x)) / beta`, and `x` itself where `beta * x > threshold`

    Args:
        beta: how sharp the bend is.
        threshold: where the function goes on as a line; above 88 in float32 the exponential may overflow.

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: the input is not floating, an argument is no number.

    Differences from torch: none.

    >>> Softplus()(jax.numpy.array([-1000.0, 1000.0])).tolist()
    [0.0, 1000.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Softplus.html
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0):
        self.beta = check.number("beta", beta)
        self.threshold = check.number("threshold", threshold)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.softplus(input, self.beta, self.threshold)


class Softsign(Layer):
    """Quotient that tends to -1 and 1, element by element.

    `x / (1 + |x|)`

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: the input is boolean.

    Differences from torch: none.

    >>> Softsign()(jax.numpy.array([-1.0, 3.0])).tolist()
    [-0.5, 0.75]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Softsign.html
    """

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.softsign(input)


class Tanhshrink(Layer):
    """What `Tanh` takes away, element by element.

    `x - tanh(x)`

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: the input is boolean.

    Differences from torch: none.

    >>> Tanhshrink()(jax.numpy.array([0.0, 50.0])).tolist()
    [0.0, 49.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Tanhshrink.html
    """

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.tanhshrink(input)
