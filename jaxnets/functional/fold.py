"""Sliding blocks: `torch.nn.functional.unfold` and `fold`."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets import check
from jaxnets.functional.precision import wide
from jaxnets.lowering import fold as lowering

__all__ = ["fold", "unfold"]

Size = int | Sequence[int]


def unfold(input: jax.Array, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1) -> jax.Array:
    """The blocks that a window meets as it slides over `(N, C, H, W)`, each as a column.

    `y[n, (c * kH + a) * kW + b, i * W_out + j] = x[n, c, i * stride + a * dilation - padding, ...]`

    Args:
        input: `(N, C, H, W)` or `(C, H, W)`, floating, complex or boolean.
        kernel_size: `(kH, kW)`, or one int for both; at least 1.
        dilation: distance between the elements of a block, at least 1.
        padding: zeros at both ends of each axis, not negative.
        stride: step from block to block, at least 1.

    Shape:
        `(N, C, H, W)` to `(N, C * kH * kW, H_out * W_out)` with
        `H_out = floor((H + 2 * padding - dilation * (kernel_size - 1) - 1) / stride) + 1`, or both without N.

    Raises:
        TypeError: an argument is no int, `input` is of an integer dtype.
        ValueError: sizes out of range, no block at all, an empty axis other than the batch.

    Differences from torch: none.

    >>> unfold(jnp.arange(6.0).reshape(1, 2, 3), (2, 2)).tolist()
    [[0.0, 1.0], [1.0, 2.0], [3.0, 4.0], [4.0, 5.0]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.unfold.html
    """
    input = _taken("input", input)
    check.rank("input", input, {3: "(C, H, W)", 4: "(N, C, H, W)"})
    if 0 in input.shape[-3:]:
        raise ValueError(f"input: expected no empty axis but the batch, got shape {input.shape}")
    kernel, *others = _settings(kernel_size, dilation, padding, stride)
    _blocks(input.shape[-2:], kernel, *others)
    y = lowering.unfold(input, kernel, *others)
    *leading, channels, kh, kw, rows, columns = y.shape
    y = y.reshape(*leading, channels * kh * kw, rows, columns)  # in steps, as the batch may lie on a mesh
    return y.reshape(*leading, channels * kh * kw, rows * columns)


def fold(
    input: jax.Array,
    output_size: Size,
    kernel_size: Size,
    dilation: Size = 1,
    padding: Size = 0,
    stride: Size = 1,
) -> jax.Array:
    """Puts the columns that `unfold` made back as blocks; where blocks overlap, they are added.

    Args:
        input: `(N, C * kH * kW, L)` or `(C * kH * kW, L)`, floating, complex or boolean (of which the sum is "any").
        output_size: `(H, W)`, or one int for both; at least 1.
        kernel_size, dilation, padding, stride: as for `unfold`.

    Shape:
        `(N, C * kH * kW, L)` to `(N, C, H, W)`, or both without N; L is the number of blocks that `unfold` finds in
        `output_size`.

    Raises:
        TypeError: an argument is no int, `input` is of an integer dtype.
        ValueError: sizes out of range, shapes that do not match, an empty axis other than the batch.

    Differences from torch: none.

    >>> fold(jnp.ones((4, 2)), (2, 3), (2, 2)).tolist()
    [[[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.fold.html
    """
    input = _taken("input", input)
    check.rank("input", input, {2: "(C * kH * kW, L)", 3: "(N, C * kH * kW, L)"})
    if 0 in input.shape[-2:]:
        raise ValueError(f"input: expected no empty axis but the batch, got shape {input.shape}")
    plane = _pair("output_size", output_size, 1)
    kernel, *others = _settings(kernel_size, dilation, padding, stride)
    blocks = _blocks(plane, kernel, *others)
    *leading, rows, columns = input.shape
    if rows % math.prod(kernel):
        raise ValueError(f"input: expected rows in multiples of {math.prod(kernel)}, kernel_size={kernel}, got {rows}")
    if columns != math.prod(blocks):
        raise ValueError(
            f"input: expected {math.prod(blocks)} columns, the {blocks} blocks of output_size={plane}, got {columns}"
        )
    x = input.astype(jnp.float32) if input.dtype == bool else wide(input)
    x = x.reshape(*leading, rows // math.prod(kernel), *kernel, columns)  # in steps, as above
    y = lowering.fold(x.reshape(*x.shape[:-1], *blocks), plane, *others)
    return y != 0 if input.dtype == bool else y.astype(input.dtype)


def _taken(name: str, value: Any) -> jax.Array:
    value = check.array(name, value)
    if jnp.issubdtype(value.dtype, jnp.integer):
        raise TypeError(f"{name}: expected a floating, complex or boolean dtype, got {value.dtype}; cast it first")
    return value


def _pair(name: str, value: Size, least: int) -> tuple[int, ...]:
    return check.ntuple(name, value, 2, least=least, repeat=False)


def _settings(kernel_size: Size, dilation: Size, padding: Size, stride: Size) -> list[tuple[int, ...]]:
    return [
        _pair("kernel_size", kernel_size, 1),
        _pair("dilation", dilation, 1),
        _pair("padding", padding, 0),
        _pair("stride", stride, 1),
    ]


def _blocks(
    plane: tuple[int, ...],
    kernel: tuple[int, ...],
    dilation: tuple[int, ...],
    padding: tuple[int, ...],
    stride: tuple[int, ...],
) -> tuple[int, ...]:
    """How many blocks there are along each axis: at least one."""
    counts = tuple(
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, k, d, p, s in zip(plane, kernel, dilation, padding, stride, strict=True)
    )
    if min(counts) < 1:
        raise ValueError(
            f"kernel_size: expected a block that fits into {plane} with padding={padding}, got {kernel} with "
            f"dilation={dilation}"
        )
    return counts
