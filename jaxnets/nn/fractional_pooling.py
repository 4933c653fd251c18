"""Fractional max pooling: `torch.nn.FractionalMaxPool2d` and `FractionalMaxPool3d`."""

from collections.abc import Sequence
from typing import Any

import jax
from flax import nnx

from jaxnets import check
from jaxnets import functional as F
from jaxnets.functional.fractional_pooling import ratios
from jaxnets.nn.parameters import Buffer, Family, stream, value

__all__ = ["FractionalMaxPool2d", "FractionalMaxPool3d"]

Size = int | Sequence[int]
Ratio = float | Sequence[float]


class _FractionalMaxPool(Family):
    _axes: int

    def __init__(
        self,
        kernel_size: Size,
        output_size: Size | None = None,
        output_ratio: Ratio | None = None,
        return_indices: bool = False,
        _random_samples: jax.Array | None = None,
        *,
        rngs: nnx.Rngs | None = None,
    ):
        n = self._axes
        if (output_size is None) == (output_ratio is None):
            raise ValueError(
                f"output_size: expected either output_size or output_ratio, got {output_size} and {output_ratio}"
            )
        self.kernel_size = check.ntuple("kernel_size", kernel_size, n, least=1)
        self.return_indices = check.flag("return_indices", return_indices)
        given = None if _random_samples is None else check.array("_random_samples", _random_samples)
        self._random_samples = nnx.data(None) if given is None else Buffer(given)
        self.output_size = None if output_size is None else check.ntuple("output_size", output_size, n, least=0)
        self.output_ratio = None if output_ratio is None else ratios(n, output_ratio)
        if self.output_ratio is not None and not all(0 < ratio < 1 for ratio in self.output_ratio):
            raise ValueError(f"output_ratio: expected numbers between 0 and 1, got {output_ratio}")
        self.rngs = nnx.data(None) if rngs is None else stream(rngs, "pooling").fork()

    def __call__(self, input: jax.Array, *, rngs: nnx.Rngs | None = None) -> Any:
        samples, key = value(self._random_samples), None
        if samples is None:
            source = self.rngs if rngs is None else stream(rngs, "pooling")
            if source is None:
                raise ValueError(
                    "rngs: expected flax.nnx.Rngs or _random_samples, got None; pass rngs=nnx.Rngs(0) to "
                    f"{type(self).__name__} or to the call"
                )
            key = source()
        pool = F.fractional_max_pool2d if self._axes == 2 else F.fractional_max_pool3d
        return pool(input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices, samples, key=key)


class FractionalMaxPool2d(_FractionalMaxPool):
    """Maximum over windows of planes that stand at random, about evenly spread, in training and in evaluation.

    Along an axis of `H` elements window `i` of `n` has `kernel_size` elements, the first of them at
    `floor((i + u) * a) - floor(u * a)` with `a = (H - kernel_size) / (n - 1)`, the last window at `H - kernel_size`.
    Each plane has its own `u`, drawn from U(0, 1), for each axis. NaN counts as the greatest number. The gradient goes
    to the first greatest element of a window, and adds up where windows share it.

    Args:
        kernel_size: size of a window, at least 1: one int for all axes, or one for each.
        output_size: the number of windows for each axis.
        output_ratio: the number of windows as a part of the input's size, between 0 and 1; either this or
            `output_size` is given.
        return_indices: whether to return the pair of output and indices.
        _random_samples: the numbers `u`, `(N, C, 2)` in the dtype of the input, of which the first is that of W; with
            them nothing is drawn. They are part of `state_dict`.
        rngs: random streams; `pooling` is forked and kept. The call takes `rngs`, too, which wins.

    Shape:
        `(N, C, H, W)` to `(N, C, *output_size)`, or both without N. Indices have the same shape: flat positions in a
        plane of H x W.

    Raises:
        TypeError: an argument is no number, the input is not floating, samples of another dtype.
        ValueError: sizes out of range, too many windows, samples of another shape, not just one of size and ratio, no
            `rngs` where numbers are drawn.

    Differences from torch: random numbers come from `rngs`. Indices are int32 unless JAX's 64-bit types are on. An
    empty window is refused.

    >>> FractionalMaxPool2d(2, output_ratio=0.5, rngs=nnx.Rngs(0))(jax.numpy.ones((2, 3, 10, 8))).shape
    (2, 3, 5, 4)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.FractionalMaxPool2d.html
    """

    _axes = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """Maximum over windows of volumes that stand at random; see `FractionalMaxPool2d`.

    It takes the arguments of `FractionalMaxPool2d` for three axes; samples are `(N, C, 3)`, of which the first is that
    of D. As in torch, windows side by side may not take up a whole axis: `output_size + kernel_size - 1` is less than
    its size.

    Shape:
        `(N, C, D, H, W)` to `(N, C, *output_size)`, or both without N.

    >>> FractionalMaxPool3d(2, (2, 3, 1), rngs=nnx.Rngs(0))(jax.numpy.ones((2, 3, 4, 5, 6))).shape
    (2, 3, 2, 3, 1)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.FractionalMaxPool3d.html
    """

    _axes = 3
