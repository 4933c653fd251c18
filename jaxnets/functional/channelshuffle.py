"""Channels in another order: `torch.nn.functional.channel_shuffle`."""

import jax

from jaxnets import check

__all__ = ["channel_shuffle", "native_channel_shuffle"]


def channel_shuffle(input: jax.Array, groups: int) -> jax.Array:
    """Deals the channels out anew: the first of each group, then the second of each, and so on.

    `y[:, i * groups + g] = x[:, g * (C / groups) + i]`

    Args:
        input: an array of any dtype.
        groups: number of groups, at least 1, of which C is a multiple.

    Shape:
        `(N, C, *)` with at least one axis behind C, to the same.

    Raises:
        TypeError: `groups` is no int.
        ValueError: it is less than 1 or does not divide C, too few axes.

    Differences from torch: none.

    >>> channel_shuffle(jax.numpy.arange(6).reshape(1, 6, 1), 2).ravel().tolist()
    [0, 3, 1, 4, 2, 5]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ChannelShuffle.html
    """
    input = check.array("input", input)
    groups = check.integer("groups", groups, least=1)
    if input.ndim < 3:
        raise ValueError(f"input: expected at least 3 axes (N, C, *), got {input.ndim} axes, shape {input.shape}")
    channels = input.shape[1]
    if channels % groups:
        raise ValueError(f"groups: expected a divisor of the {channels} channels, got {groups}")
    x = input.reshape(input.shape[0], groups, channels // groups, *input.shape[2:])
    return x.swapaxes(1, 2).reshape(input.shape)


def native_channel_shuffle(input: jax.Array, groups: int) -> jax.Array:
    """`channel_shuffle`, under the name of torch's own kernel.

    >>> native_channel_shuffle(jax.numpy.arange(4).reshape(1, 4, 1), 2).ravel().tolist()
    [0, 2, 1, 3]
    """
    return channel_shuffle(input, groups)
