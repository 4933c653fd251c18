"""`torch.nn.Flatten`."""

import jax
from flax import nnx

from jaxnets import check
from jaxnets import functional as F

__all__ = ["Flatten"]


class Flatten(nnx.Module):
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
