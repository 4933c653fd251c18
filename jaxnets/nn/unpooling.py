"""What max pooling took, put back in its place: `torch.nn.MaxUnpool1d` to `MaxUnpool3d`."""

from collections.abc import Sequence

import jax

from jaxnets import check
from jaxnets import functional as F
from jaxnets.functional.pooling import stride_or
from jaxnets.nn.parameters import Family

__all__ = ["MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d"]

Size = int | Sequence[int]


class _MaxUnpool(Family):
    _axes: int

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0):
        n = self._axes
        self.kernel_size = check.ntuple("kernel_size", kernel_size, n)
        self.stride = check.ntuple("stride", stride_or(self.kernel_size, stride), n, least=1)
        self.padding = check.ntuple("padding", padding, n)

    def __call__(self, input: jax.Array, indices: jax.Array, output_size: Sequence[int] | None = None) -> jax.Array:
        unpool = (F.max_unpool1d, F.max_unpool2d, F.max_unpool3d)[self._axes - 1]
        return unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool1d(_MaxUnpool):
    """Partial inverse of `MaxPool1d`; see `MaxUnpool2d`, whose arguments it takes for one axis.

    Shape:
        `(N, C, L)` to `(N, C, L_out)`, or both without N.

    >>> MaxUnpool1d(2)(jax.numpy.ones((1, 2)), jax.numpy.array([[1, 2]])).tolist()
    [[0.0, 1.0, 1.0, 0.0]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxUnpool1d.html
    """

    _axes = 1


class MaxUnpool2d(_MaxUnpool):
    """Partial inverse of `MaxPool2d`: each number goes to where its index says, all else is 0.

    `y[n, c].flat[indices[n, c, i, j]] = x[n, c, i, j]`

    It is called with the input, the indices that `MaxPool2d` returns, and, where several sizes are pooled to the same
    one, `output_size`: `(H_out, W_out)`, or the whole shape of a batch, less than a stride away from what the formula
    below gives.

    Args:
        kernel_size: size of the pooling's window: one int for all axes, or one for each.
        stride: step of the pooling; `kernel_size` when not given.
        padding: of the pooling.

    Shape:
        `(N, C, H, W)` to `(N, C, H_out, W_out)`, or both without N, with
        `H_out = (H - 1) * stride - 2 * padding + kernel_size`.

    Raises:
        TypeError: an argument is no int, the input is not floating, indices are no ints of 32 or 64 bits.
        ValueError: shapes that do not match, sizes out of range, an index outside of the output.

    Differences from torch: int32 indices are taken as well. Where indices are traced (under `jax.jit`) no error can be
    raised: what has an index out of range is lost. Of several numbers with the same index, one is kept, on the CPU
    the last; as in torch, each of them gets the gradient.

    >>> pool, unpool = F.max_pool2d_with_indices, MaxUnpool2d(2)
    >>> unpool(*pool(jax.numpy.ones((1, 5, 4)), 2), output_size=(5, 4)).shape
    (1, 5, 4)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxUnpool2d.html
    """

    _axes = 2


class MaxUnpool3d(_MaxUnpool):
    """Partial inverse of `MaxPool3d`; see `MaxUnpool2d`, whose arguments it takes for three axes.

    Shape:
        `(N, C, D, H, W)` to `(N, C, D_out, H_out, W_out)`, or both without N.

    >>> MaxUnpool3d(2)(jax.numpy.ones((1, 1, 1, 2)), jax.numpy.array([[[[0, 9]]]])).shape
    (1, 2, 2, 4)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxUnpool3d.html
    """

    _axes = 3
