"""What max pooling took, put back in its place: `torch.nn.functional.max_unpool1d` to `max_unpool3d`."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import check
from jaxnets.functional.pooling import AXES, Size, stride_or
from jaxnets.lowering import pooling as lowering

__all__ = ["max_unpool1d", "max_unpool2d", "max_unpool3d"]


def max_unpool1d(
    input: jax.Array,
    indices: jax.Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> jax.Array:
    """Partial inverse of `max_pool1d`; see `max_unpool2d`, whose arguments it takes for one axis.

    >>> max_unpool1d(jnp.array([[3.0, 2.0]]), jnp.array([[1, 2]]), 2).tolist()
    [[0.0, 3.0, 2.0, 0.0]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.max_unpool1d.html
    """
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: jax.Array,
    indices: jax.Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> jax.Array:
    """Partial inverse of `max_pool2d`: each number goes to where its index says, all else is 0.

    `y[n, c].flat[indices[n, c, i, j]] = x[n, c, i, j]`

    Args:
        input: `(N, C, H, W)` or `(C, H, W)`, floating.
        indices: flat positions in the planes of the output, int32 or int64, of the same shape: what `max_pool2d`
            returns with `return_indices`.
        kernel_size: size of the pooling's window for each axis.
        stride: step of the pooling; `kernel_size` when not given.
        padding: of the pooling.
        output_size: `(H_out, W_out)`, or the whole shape of a batch, of which only these two count. Less than a
            stride away from what the formula below gives.

    Shape:
        `(N, C, H, W)` to `(N, C, H_out, W_out)` with `H_out = (H - 1) * stride - 2 * padding + kernel_size`.

    Raises:
        TypeError: an argument is no int, `input` is not floating, `indices` are no ints of 32 or 64 bits.
        ValueError: shapes that do not match, sizes out of range, an index outside of the output.

    Differences from torch: int32 indices are taken as well. Where indices are traced (under `jax.jit`) no error can be
    raised: what has an index out of range is lost. Of several numbers with the same index, one is kept, on the CPU
    the last; as in torch, each of them gets the gradient.

    >>> max_unpool2d(jnp.array([[[3.0]]]), jnp.array([[[1]]]), 2).tolist()
    [[[0.0, 3.0], [0.0, 0.0]]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.max_unpool2d.html
    """
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: jax.Array,
    indices: jax.Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> jax.Array:
    """Partial inverse of `max_pool3d`; see `max_unpool2d`, whose arguments it takes for three axes.

    >>> max_unpool3d(jnp.ones((1, 1, 1, 2)), jnp.array([[[[0, 9]]]]), 2).shape
    (1, 2, 2, 4)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.max_unpool3d.html
    """
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)


def _max_unpool(
    n: int,
    input: jax.Array,
    indices: jax.Array,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    output_size: Sequence[int] | None,
) -> jax.Array:
    input, indices = check.array("input", input), check.array("indices", indices)
    if not jnp.issubdtype(input.dtype, jnp.floating):
        raise TypeError(f"input: expected a floating dtype, got {input.dtype}; cast it first")
    if indices.dtype not in (jnp.int32, jnp.int64):
        raise TypeError(f"indices: expected dtype int32 or int64, got {indices.dtype}; cast them first")
    check.rank("input", input, {n + 1: f"(C, {AXES[n]})", n + 2: f"(N, C, {AXES[n]})"})
    if 0 in input.shape[1:]:
        raise ValueError(f"input: expected no empty axis but the first, got shape {input.shape}")
    if indices.shape != input.shape:
        raise ValueError(f"indices: expected the shape of input {input.shape}, got {indices.shape}")
    kernel = check.ntuple("kernel_size", kernel_size, n)
    step = check.ntuple("stride", stride_or(kernel, stride), n, least=1)
    pad = check.ntuple("padding", padding, n)
    usual = tuple((size - 1) * s + k - 2 * p for size, k, s, p in zip(input.shape[-n:], kernel, step, pad, strict=True))
    plane = usual if output_size is None else _asked_for(n, output_size, usual, step)
    if min(plane) < 0:
        raise ValueError(
            f"output_size: expected no negative size, got {plane} from kernel_size={kernel}, stride={step}, "
            f"padding={pad} and input {input.shape}"
        )
    if not isinstance(indices, jax.core.Tracer):
        positions = np.asarray(indices)
        outside = positions[(positions < 0) | (positions >= np.prod(plane))]
        if outside.size:
            raise ValueError(
                f"indices: expected positions from 0 to {np.prod(plane) - 1} in the output {plane}, "
                f"got {outside.flat[0]}; give the output_size that was pooled"
            )
    return lowering.unpool(input, indices, plane)


def _asked_for(n: int, output_size: Sequence[int], usual: tuple[int, ...], step: tuple[int, ...]) -> tuple[int, ...]:
    """The last `n` numbers of `output_size`, each less than a step away from the usual one."""
    if not check.is_sequence(output_size) or len(output_size) not in (n, n + 2):
        raise ValueError(f"output_size: expected {n} or {n + 2} ints in a sequence, got {output_size!r}")
    plane = tuple(check.integer("output_size", size) for size in output_size[-n:])
    for size, middle, s in zip(plane, usual, step, strict=True):
        if not middle - s < size < middle + s:
            raise ValueError(
                f"output_size: expected sizes less than stride={step} away from {usual}, got {tuple(output_size)}"
            )
    return plane
