"""Convolution and transposed convolution over any number of spatial axes, channels first.

Both take a batch: `x` is `(N, C_in, *spatial)`. The numbers are torch's; how they are computed is this room's. A
convolution and its two gradients are those of one trilinear form, and a transposed convolution is one of the three. On
CPU and on CUDA each has forms of its own, in `jaxnets.lowering.conv_forms`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.lowering.choice import is_known
from jaxnets.lowering.conv_forms import (
    direct,
    direct_of_input,
    direct_of_weight,
    gradient_of_input,
    gradient_of_weight,
    output,
    plain,
    transposed_kernel,
)
from jaxnets.lowering.conv_problem import Compute, Problem, conv_output_size
from jaxnets.lowering.mesh import automatic, has_explicit_axes, layout
from jaxnets.lowering.trilinear import gradient

__all__ = ["Convolution", "conv", "conv_output_size", "conv_transpose"]

Ints = Sequence[int]

X, WEIGHT, Y = range(3)
CHOSEN: dict[int, Compute] = {X: gradient_of_input, WEIGHT: gradient_of_weight, Y: output}
XLAS: dict[int, Compute] = {X: direct_of_input, WEIGHT: direct_of_weight, Y: direct}


@dataclass(frozen=True)
class Convolution:
    """`t(x, weight, y) = sum of conv(x, weight) * y`."""

    problem: Problem

    def shape(self, slot: int) -> tuple[int, ...]:
        p = self.problem
        if slot == WEIGHT:
            return p.channels[1], p.fan_in, *p.kernel
        return p.batch, *((p.channels[0], *p.size) if slot == X else (p.channels[1], *p.out))

    def gradient(self, platform: str, slot: int, *arrays: jax.Array) -> jax.Array:
        """That in `x` is the transposed convolution, and that in `y` the convolution, each in the form that pays."""
        compute = (XLAS if platform == "default" else CHOSEN)[slot]
        a, b = arrays if slot != X else arrays[::-1]
        return compute(replace(self.problem, on_gpu=platform != "cpu"), a, b)

    def merged(self, size: int, mapped: frozenset[int]) -> tuple[Self, dict[int, int]] | None:
        """Of many inputs it has more examples; of many kernels more channels; of many of both more groups."""
        p, (c_in, c_out) = self.problem, self.problem.channels
        if mapped == {X, Y}:
            longer, axes = replace(p, batch=size * p.batch), {X: 0, Y: 0}
        elif p.is_pointwise or p.is_depthwise:
            return None  # a product is mapped as fast, and so is a sum
        elif mapped == {X, WEIGHT, Y}:
            channels = size * c_in, size * c_out
            longer, axes = replace(p, channels=channels, groups=size * p.groups), {X: 1, WEIGHT: 0, Y: 1}
        elif p.groups > 1:
            return None
        elif mapped == {WEIGHT, Y}:
            longer, axes = replace(p, channels=(c_in, size * c_out)), {WEIGHT: 0, Y: 1}
        else:
            longer, axes = replace(p, channels=(size * c_in, c_out)), {X: 1, WEIGHT: 1}
        return replace(self, problem=longer), axes


def conv(
    x: jax.Array, weight: jax.Array, stride: Ints, padding: Sequence[tuple[int, int]], dilation: Ints, groups: int
) -> jax.Array:
    """Cross-correlation with `weight` of `(C_out, C_in / groups, *kernel)`."""
    if has_explicit_axes(x):
        settings = stride, padding, dilation, groups
        result = layout(x)[0], layout(weight)[0]
        return automatic(lambda x, weight: conv(x, weight, *settings), result, x, weight)
    problem = Problem.of(x, weight, stride, padding, dilation, groups)
    if not is_known(x.shape) or not x.size * weight.size:
        return plain(problem, x, weight)
    return gradient(Convolution(problem), Y, x, weight)


def conv_transpose(
    x: jax.Array,
    weight: jax.Array,
    stride: Ints,
    padding: Ints,
    output_padding: Ints,
    dilation: Ints,
    groups: int,
) -> jax.Array:
    """The transpose of `conv` in its first argument; `weight` is `(C_in, C_out / groups, *kernel)`.

    By default it is the cross-correlation of `x`, spread by `stride`, with the flipped kernel. The spread and the crop
    or padding at the borders are one `lax.pad`: `(stride - 1)` zeros between, `dilation * (kernel - 1) - padding`
    around, and `output_padding` more behind.
    """
    if has_explicit_axes(x):
        settings = stride, padding, output_padding, dilation, groups
        result = layout(x)[0], layout(weight)[1] if groups == 1 else None
        return automatic(lambda x, weight: conv_transpose(x, weight, *settings), result, x, weight)
    kernel = weight.shape[2:]
    edges = [d * (k - 1) - p for d, k, p in zip(dilation, kernel, padding, strict=True)]
    borders = [(e, e + o, s - 1) for e, o, s in zip(edges, output_padding, stride, strict=True)]
    # the convolution that this is the transpose of reads what `output_padding` adds, but is as long as `x`
    pairs = [(p, p - o) for p, o in zip(padding, output_padding, strict=True)]
    size = tuple(
        (n - 1) * s + e + o - p + 1
        for n, s, e, o, p in zip(x.shape[2:], stride, edges, output_padding, padding, strict=True)
    )
    shape = jax.ShapeDtypeStruct((x.shape[0], weight.shape[1] * groups, *size), x.dtype)
    problem = Problem.of(shape, weight, stride, pairs, dilation, groups)

    def spread(x: jax.Array, weight: jax.Array) -> jax.Array:
        spread = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), (0, 0, 0), *borders])
        ones, none = (1,) * len(kernel), [(0, 0)] * len(kernel)
        flipped = transposed_kernel(weight, groups)
        return plain(Problem.of(spread, flipped, ones, none, dilation, groups), spread, flipped)

    if not is_known(x.shape) or not x.size * weight.size or not math.prod(size):
        return spread(x, weight)
    return gradient(Convolution(problem), X, weight, x)
