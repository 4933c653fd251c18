"""Softmax along an axis: `torch.nn.Softmax`, `Softmax2d`, `Softmin`, `LogSoftmax`."""

import jax

from jaxnets import check
from jaxnets import functional as F
from jaxnets.nn.parameters import Layer

__all__ = ["LogSoftmax", "Softmax", "Softmax2d", "Softmin"]


class Softmax(Layer):
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


class LogSoftmax(Layer):
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


class Softmin(Layer):
    """Softmax of the negated input: the smallest number gets the greatest share.

    `y_i = exp(-x_i) / sum over j of exp(-x_j)`

    Args:
        dim: the axis. Without it, 0 for inputs of 0, 1 or 3 axes, else 1, with torch's warning.

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: the input is not floating.
        ValueError: `dim` is no axis of the input.

    Differences from torch: none.

    >>> Softmin(dim=0)(jax.numpy.array([3.0, 3.0, 1000.0])).tolist()
    [0.5, 0.5, 0.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmin.html
    """

    def __init__(self, dim: int | None = None):
        self.dim = None if dim is None else check.integer("dim", dim)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.softmin(input, self.dim, _stacklevel=4)


class Softmax2d(Layer):
    """Softmax over the channels, at each place of a plane.

    `y[c, i, j] = exp(x[c, i, j]) / sum over k of exp(x[k, i, j])`

    Shape:
        `(N, C, H, W)` or `(C, H, W)` to the same.

    Raises:
        TypeError: the input is not floating.
        ValueError: the input does not have 3 or 4 axes.

    Differences from torch: none.

    >>> Softmax2d()(jax.numpy.ones((2, 1, 1))).tolist()
    [[[0.5]], [[0.5]]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax2d.html
    """

    def __call__(self, input: jax.Array) -> jax.Array:
        input = check.array("input", input)
        check.rank("input", input, {3: "(C, H, W)", 4: "(N, C, H, W)"})
        return F.softmax(input, -3)
