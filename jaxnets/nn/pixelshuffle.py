"""Channels made pixels and pixels made channels: `torch.nn.PixelShuffle` and `PixelUnshuffle`."""

import jax

from jaxnets import check
from jaxnets import functional as F
from jaxnets.nn.parameters import Layer

__all__ = ["PixelShuffle", "PixelUnshuffle"]


class PixelShuffle(Layer):
    """Makes squares of `r * r` pixels of as many channels.

    `y[..., c, h * r + a, w * r + b] = x[..., (c * r + a) * r + b, h, w]`

    Args:
        upscale_factor: r, at least 1.

    Shape:
        `(*, C * r^2, H, W)` to `(*, C, H * r, W * r)`.

    Raises:
        TypeError: `upscale_factor` is no int.
        ValueError: it is less than 1, too few axes, channels that are no multiple of its square.

    Differences from torch: none.

    >>> PixelShuffle(3)(jax.numpy.ones((1, 9, 4, 5))).shape
    (1, 1, 12, 15)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.PixelShuffle.html
    """

    def __init__(self, upscale_factor: int):
        self.upscale_factor = check.integer("upscale_factor", upscale_factor, least=1)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.pixel_shuffle(input, self.upscale_factor)


class PixelUnshuffle(Layer):
    """Makes channels of the pixels of each `r * r` square: undoes `PixelShuffle`.

    `y[..., (c * r + a) * r + b, h, w] = x[..., c, h * r + a, w * r + b]`

    Args:
        downscale_factor: r, at least 1.

    Shape:
        `(*, C, H * r, W * r)` to `(*, C * r^2, H, W)`.

    Raises:
        TypeError: `downscale_factor` is no int.
        ValueError: it is less than 1, too few axes, a height or width that is no multiple of it.

    Differences from torch: an empty input gets the shape above; torch returns it in its own shape.

    >>> PixelUnshuffle(3)(jax.numpy.ones((1, 1, 12, 15))).shape
    (1, 9, 4, 5)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.PixelUnshuffle.html
    """

    def __init__(self, downscale_factor: int):
        self.downscale_factor = check.integer("downscale_factor", downscale_factor, least=1)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.pixel_unshuffle(input, self.downscale_factor)
