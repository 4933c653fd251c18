"""Resizing: `torch.nn.Upsample`, `UpsamplingNearest2d` and `UpsamplingBilinear2d`."""

from collections.abc import Sequence

import jax

from jaxnets import check
from jaxnets import functional as F
from jaxnets.nn.parameters import Family

__all__ = ["Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"]

Size = int | Sequence[int]


class Upsample(Family):
    """Resizes the spatial axes of signals, planes or volumes.

    Output `o` of `n` over an axis of `m` elements looks at the position `s * (o + 0.5) - 0.5`, `s = m / n`; with
    `align_corners` at `s * o`, `s = (m - 1) / (n - 1)`. `jaxnets.functional.interpolate` tells what each mode takes
    there.

    Args:
        size: elements of each spatial axis of the output, at least 1.
        scale_factor: in place of `size`, a number or a tuple of them: `floor(m * scale_factor)` elements, and
            `s = 1 / scale_factor`.
        mode: "nearest", "nearest-exact", "area", "linear" (one spatial axis), "bilinear", "bicubic" (two) or
            "trilinear" (three).
        align_corners: whether the first and last elements of input and output lie at the same places; not for
            "nearest", "nearest-exact" and "area".
        recompute_scale_factor: whether `s` comes from the sizes where `scale_factor` was given.

    Shape:
        `(N, C, *)` to `(N, C, *size)`.

    Raises:
        TypeError: a dtype or an argument of the wrong kind.
        ValueError: arguments that do not fit the input or each other.

    Differences from torch: "nearest" and "nearest-exact" take every dtype.

    >>> Upsample(scale_factor=2, mode="bilinear")(jax.numpy.ones((1, 3, 4, 5))).shape
    (1, 3, 8, 10)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Upsample.html
    """

    def __init__(
        self,
        size: Size | None = None,
        scale_factor: float | tuple[float, ...] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ):
        self.name = type(self).__name__
        self.size = tuple(size) if check.is_sequence(size) else size
        if isinstance(scale_factor, tuple):
            self.scale_factor: float | tuple[float, ...] | None = tuple(
                check.number("scale_factor", factor) for factor in scale_factor
            )
        else:  # 0 is none, as in torch
            self.scale_factor = check.number("scale_factor", scale_factor) if scale_factor else None
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.interpolate(
            input,
            self.size,
            self.scale_factor,
            self.mode,
            self.align_corners,
            recompute_scale_factor=self.recompute_scale_factor,
        )


class UpsamplingNearest2d(Upsample):
    """`Upsample` with `mode="nearest"`, by its old name; see there.

    >>> UpsamplingNearest2d(scale_factor=2)(jax.numpy.ones((1, 3, 4, 5))).shape
    (1, 3, 8, 10)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.UpsamplingNearest2d.html
    """

    def __init__(self, size: Size | None = None, scale_factor: float | tuple[float, float] | None = None):
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """`Upsample` with `mode="bilinear"` and `align_corners=True`, by its old name; see there.

    >>> UpsamplingBilinear2d((7, 9))(jax.numpy.ones((1, 3, 4, 5))).shape
    (1, 3, 7, 9)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.UpsamplingBilinear2d.html
    """

    def __init__(self, size: Size | None = None, scale_factor: float | tuple[float, float] | None = None):
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)
