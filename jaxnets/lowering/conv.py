"""Convolution and transposed convolution over any number of spatial axes, channels first.

Both take a batch: `x` is `(N, C_in, *spatial)`. The numbers are torch's; how they are computed is this room's. A
convolution is bilinear, and so are its two gradients; a transposed convolution is one of the three. On CPU and on CUDA
each of the three has forms of its own, in `jaxnets.lowering.conv_forms`.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.lowering.bilinear import bilinear
from jaxnets.lowering.choice import is_known
from jaxnets.lowering.conv_forms import (
    gradient_of_input,
    gradient_of_weight,
    output,
    plain,
    transposed_kernel,
)
from jaxnets.lowering.conv_problem import Problem, conv_output_size
from jaxnets.lowering.mesh import automatic, has_explicit_axes, layout

__all__ = ["conv", "conv_output_size", "conv_transpose"]

Ints = Sequence[int]


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
    on_cpu, on_gpu = partial(conv_in_form, problem), partial(conv_in_form, replace(problem, on_gpu=True))
    return lax.platform_dependent(x, weight, cpu=on_cpu, cuda=on_gpu, default=partial(plain, problem))


def conv_in_form(problem: Problem, x: jax.Array, weight: jax.Array) -> jax.Array:
    """A convolution and its gradients, each in the form that pays."""
    return bilinear(
        lambda x, weight: output(problem, x, weight),
        lambda y, weight: gradient_of_input(problem, y, weight),
        lambda x, y: gradient_of_weight(problem, x, y),
    )(x, weight)


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
    on_cpu = partial(conv_transpose_in_form, problem)
    on_gpu = partial(conv_transpose_in_form, replace(problem, on_gpu=True))
    return lax.platform_dependent(x, weight, cpu=on_cpu, cuda=on_gpu, default=spread)


def conv_transpose_in_form(problem: Problem, x: jax.Array, weight: jax.Array) -> jax.Array:
    """The transpose of a convolution, and its gradients, each in the form that pays."""
    return bilinear(
        lambda x, weight: gradient_of_input(problem, x, weight),
        lambda y, weight: output(problem, y, weight),
        lambda x, y: gradient_of_weight(problem, y, x),
    )(x, weight)
