"""Channels made pixels and pixels made channels: `torch.nn.functional.pixel_shuffle` and `pixel_unshuffle`."""

import jax

from jaxnets import check

__all__ = ["pixel_shuffle", "pixel_unshuffle"]


def pixel_shuffle(input: jax.Array, upscale_factor: int) -> jax.Array:
    """Makes squares of `r * r` pixels of as many channels.

    `y[..., c, h * r + a, w * r + b] = x[..., (c * r + a) * r + b, h, w]`

    Args:
        input: an array of any dtype.
        upscale_factor: r, at least 1.

    Shape:
        `(*, C * r^2, H, W)` to `(*, C, H * r, W * r)`.

    Raises:
        TypeError: `upscale_factor` is no int.
        ValueError: it is less than 1, too few axes, channels that are no multiple of its square.

    Differences from torch: none.

    >>> pixel_shuffle(jax.numpy.arange(4).reshape(4, 1, 1), 2).tolist()
    [[[0, 1], [2, 3]]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pixel_shuffle.html
    """
    input = check.array("input", input)
    r = check.integer("upscale_factor", upscale_factor, least=1)
    *leading, channels, height, width = _image(input)
    if channels % r**2:
        raise ValueError(
            f"input: expected channels in multiples of upscale_factor squared, {r**2}, got {channels}, "
            f"shape {input.shape}"
        )
    n, c = len(leading), channels // r**2
    x = input.reshape(*leading, c, r, r, height, width)
    x = x.transpose(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    x = x.reshape(*leading, c, height * r, width, r)  # in steps, as the first axes may lie on a mesh
    return x.reshape(*leading, c, height * r, width * r)


def pixel_unshuffle(input: jax.Array, downscale_factor: int) -> jax.Array:
    """Makes channels of the pixels of each `r * r` square: undoes `pixel_shuffle`.

    `y[..., (c * r + a) * r + b, h, w] = x[..., c, h * r + a, w * r + b]`

    Args:
        input: an array of any dtype.
        downscale_factor: r, at least 1.

    Shape:
        `(*, C, H * r, W * r)` to `(*, C * r^2, H, W)`.

    Raises:
        TypeError: `downscale_factor` is no int.
        ValueError: it is less than 1, too few axes, a height or width that is no multiple of it.

    Differences from torch: an empty input gets the shape above; torch returns it in its own shape.

    >>> pixel_unshuffle(jax.numpy.arange(4).reshape(1, 2, 2), 2).tolist()
    [[[0]], [[1]], [[2]], [[3]]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pixel_unshuffle.html
    """
    input = check.array("input", input)
    r = check.integer("downscale_factor", downscale_factor, least=1)
    *leading, channels, height, width = _image(input)
    if height % r or width % r:
        raise ValueError(
            f"input: expected height and width in multiples of downscale_factor={r}, got shape {input.shape}"
        )
    n, h, w = len(leading), height // r, width // r
    x = input.reshape(*leading, channels, h, r, width)  # in steps, as above
    x = x.reshape(*leading, channels, h, r, w, r)
    x = x.transpose(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return x.reshape(*leading, channels * r**2, h, w)


def _image(input: jax.Array) -> tuple[int, ...]:
    if input.ndim < 3:
        raise ValueError(f"input: expected at least 3 axes (*, C, H, W), got {input.ndim} axes, shape {input.shape}")
    return input.shape
