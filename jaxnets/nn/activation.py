"""Activations: `torch.nn.ReLU`, `Sigmoid`, `Tanh`, `Softmax`, `LogSoftmax`."""

import jax
from flax import nnx

from jaxnets import check
from jaxnets import functional as F

__all__ = ["LogSoftmax", "ReLU", "Sigmoid", "Softmax", "Tanh"]


class ReLU(nnx.Module):
    """Rectified linear unit, element by element.

    `max(x, 0)`; the derivative at 0 is 0.

    Args:
        inplace: has no effect, arrays are immutable.

    Shape:
        `(*)` to the same.

    Differences from torch: `inplace` has no effect.

    >>> ReLU()(jax.numpy.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU.html
    """

    def __init__(self, inplace: bool = False):
        self.inplace = check.flag("inplace", inplace)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.relu(input)


class Sigmoid(nnx.Module):
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


class Tanh(nnx.Module):
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


class Softmax(nnx.Module):
    """Exponentials along one axis, scaled to the sum 1.

    `y_i = exp(x_i) / sum over j of exp(x_j)`

    Args:
        dim: the axis. Without it, 0 for inputs of 0, 1 or 3 axes, else 1, with torch's warning.

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: the input is not floating.
        ValueError: `dim` is no axis of the input.

    Differences from torch: none.

    >>> Softmax(dim=1)(jax.numpy.array([[1.0, 1.0]])).tolist()
    [[0.5, 0.5]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax.html
    """

    def __init__(self, dim: int | None = None):
        self.dim = None if dim is None else check.integer("dim", dim)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.softmax(input, self.dim, _stacklevel=4)


class LogSoftmax(nnx.Module):
    """Logarithm of `Softmax`, exact where the softmax would be rounded to 0.

    `y_i = x_i - log(sum over j of exp(x_j))`

    Args:
        dim: the axis. Without it, 0 for inputs of 0, 1 or 3 axes, else 1, with torch's warning.

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: the input is not floating.
        ValueError: `dim` is no axis of the input.

    Differences from torch: none.

    >>> LogSoftmax(dim=0)(jax.numpy.array([0.0, -1000.0])).tolist()
    [0.0, -1000.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LogSoftmax.html
    """

    def __init__(self, dim: int | None = None):
        self.dim = None if dim is None else check.integer("dim", dim)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.log_softmax(input, self.dim, _stacklevel=4)
