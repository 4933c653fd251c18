"""Channels in another order: `torch.nn.ChannelShuffle`."""

import jax

from jaxnets import check
from jaxnets import functional as F
from jaxnets.nn.parameters import Layer

__all__ = ["ChannelShuffle"]


class ChannelShuffle(Layer):
    """Deals the channels out anew: the first of each group, then the second of each, and so on.

    `y[:, i * groups + g] = x[:, g * (C / groups) + i]`

    Args:
        groups: number of groups, at least 1, of which C is a multiple.

    Shape:
        `(N, C, *)` with at least one axis behind C, to the same.

    Raises:
        TypeError: `groups` is no int.
        ValueError: it is less than 1 or does not divide C, too few axes.

    Differences from torch: none.

    >>> ChannelShuffle(2)(jax.numpy.arange(6).reshape(1, 6, 1)).ravel().tolist()
    [0, 3, 1, 4, 2, 5]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ChannelShuffle.html
    """

    def __init__(self, groups: int):
        self.groups = check.integer("groups", groups, least=1)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.channel_shuffle(input, self.groups)
