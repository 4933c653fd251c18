"""`torch.nn.Flatten` and `torch.nn.Unflatten`."""

from collections.abc import Sequence

import jax

from jaxnets import check
from jaxnets import functional as F
from jaxnets.functional.flatten import new_axes
from jaxnets.nn.parameters import Layer

__all__ = ["Flatten", "Unflatten"]


class Flatten(Layer):
    """Makes one axis of several neighbours, by default of all but the batch.

    Args:
        start_dim: the first axis, counted from the end if negative.
        end_dim: the last axis, not before `start_dim`.

    Shape:
        `(*, S_start, ..., S_end, *)` to `(*, S_start * ... * S_end, *)`; a number becomes `(1,)`.

    Raises:
        ValueError: an axis that the input does not have, or `end_dim` before `start_dim`.

    Differences from torch: none.

    >>> Flatten()(jax.numpy.ones((2, 3, 4))).shape
    (2, 12)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Flatten.html
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        self.start_dim = check.integer("start_dim", start_dim)
        self.end_dim = check.integer("end_dim", end_dim)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.flatten(input, self.start_dim, self.end_dim)


class Unflatten(Layer):
    """Makes several axes of one.

    Args:
        dim: the axis, counted from the end if negative.
        unflattened_size: of the new axes; one of them may be -1, which stands for what is left.

    Shape:
        `(*, S_dim, *)` to `(*, *unflattened_size, *)`, where the product of the sizes is `S_dim`.

    Raises:
        TypeError: `dim` or a size is no int, `unflattened_size` is no sequence.
        ValueError: an axis that the input does not have, sizes that do not make up its size.

    Differences from torch: none.

    >>> Unflatten(1, (3, -1))(jax.numpy.ones((2, 12))).shape
    (2, 3, 4)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Unflatten.html
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]):
        self.dim = check.integer("dim", dim)
        self.unflattened_size = new_axes("unflattened_size", unflattened_size)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.unflatten(input, self.dim, self.unflattened_size)
