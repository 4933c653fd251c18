"""ATen's backward operators: the derivatives of what `jaxnets.functional` computes."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

import jaxnets.functional as F
from jaxnets import check
from jaxnets.functional.precision import wide
from jaxnets.ops.aten_images import avg_pool2d, convolution

__all__ = [
    "_adaptive_avg_pool2d_backward",
    "avg_pool2d_backward",
    "convolution_backward",
    "embedding_dense_backward",
    "max_pool2d_with_indices_backward",
    "native_group_norm_backward",
    "native_layer_norm_backward",
]

Size = int | Sequence[int]
Three = tuple[jax.Array | None, jax.Array | None, jax.Array | None]


def _pulled(f: Callable[..., jax.Array], gradient: Any, *arrays: jax.Array) -> Any:
    """The gradients of arrays, given that of `f` of them."""
    output, pull = jax.vjp(f, *arrays)
    return pull(check.array("grad_output", gradient).astype(output.dtype))


def _masked(gradients: Sequence[jax.Array], mask: Sequence[bool]) -> Three:
    first, second, third = (g if wanted else None for g, wanted in zip(gradients, mask, strict=True))
    return first, second, third


def _adaptive_avg_pool2d_backward(grad_output: jax.Array, input: jax.Array) -> jax.Array:
    """Gradient of the input of `adaptive_avg_pool2d`."""
    sizes = check.array("grad_output", grad_output).shape[-2:]
    return _pulled(lambda x: F.adaptive_avg_pool2d(x, sizes), grad_output, input)[0]


def avg_pool2d_backward(
    grad_output: jax.Array,
    input: jax.Array,
    kernel_size: Size,
    stride: Size,
    padding: Size,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> jax.Array:
    """Gradient of the input of `avg_pool2d`."""
    settings = kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    return _pulled(lambda x: avg_pool2d(x, *settings), grad_output, input)[0]


def max_pool2d_with_indices_backward(
    grad_output: jax.Array,
    input: jax.Array,
    kernel_size: Size,
    stride: Size,
    padding: Size,
    dilation: Size,
    ceil_mode: bool,
    indices: jax.Array,
) -> jax.Array:
    """Gradient of the input of `max_pool2d`, at the places of its maxima."""
    x, gradient = check.array("input", input), check.array("grad_output", grad_output)
    flat = jnp.zeros((*x.shape[:-2], x.shape[-2] * x.shape[-1]), x.dtype)

    def added(plane: jax.Array, place: jax.Array, values: jax.Array) -> jax.Array:
        return plane.at[place.reshape(-1)].add(values.reshape(-1))

    add = added
    for _ in x.shape[:-2]:
        add = jax.vmap(add)
    return add(flat, check.array("indices", indices), gradient.astype(x.dtype)).reshape(x.shape)


def convolution_backward(
    grad_output: jax.Array,
    input: jax.Array,
    weight: jax.Array,
    bias_sizes: Sequence[int] | None,
    stride: Size,
    padding: Size,
    dilation: Size,
    transposed: bool,
    output_padding: Size,
    groups: int,
    output_mask: Sequence[bool],
) -> Three:
    """Gradients of the input, the weight and the bias of `convolution`; None for those not asked for."""
    x, w = check.array("input", input), check.array("weight", weight)
    channels = w.shape[1] * groups if transposed else w.shape[0]
    settings = stride, padding, dilation, transposed, output_padding, groups
    bias = jnp.zeros(channels, x.dtype)
    return _masked(_pulled(lambda x, w, b: convolution(x, w, b, *settings), grad_output, x, w, bias), output_mask)


def embedding_dense_backward(
    grad_output: jax.Array, indices: jax.Array, num_weights: int, padding_idx: int, scale_grad_by_freq: bool
) -> jax.Array:
    """Gradient of the table of `embedding`."""
    gradient = check.array("grad_output", grad_output)
    table = jnp.zeros((num_weights, gradient.shape[-1]), gradient.dtype)
    skipped = None if padding_idx < 0 else padding_idx

    def rows(table: jax.Array) -> jax.Array:
        return F.embedding(indices, table, skipped, scale_grad_by_freq=scale_grad_by_freq)

    return _pulled(rows, gradient, table)[0]


def _normalised_back(g: jax.Array, x: jax.Array, mean: jax.Array, rstd: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """Gradient of `x`, given that of `(x - mean) * rstd`, of which both are made over `axes`."""
    unit = (x - mean) * rstd
    return rstd * (g - g.mean(axes, keepdims=True) - unit * (g * unit).mean(axes, keepdims=True))


def native_layer_norm_backward(
    grad_out: jax.Array,
    input: jax.Array,
    normalized_shape: Sequence[int],
    mean: jax.Array,
    rstd: jax.Array,
    weight: jax.Array | None,
    bias: jax.Array | None,
    output_mask: Sequence[bool],
) -> Three:
    """Gradients of the input, the weight and the bias of `layer_norm`; None for those not asked for."""
    x, g = wide(check.array("input", input)), wide(check.array("grad_out", grad_out))
    mean, rstd = mean.astype(x.dtype), rstd.astype(x.dtype)
    split = x.ndim - len(normalized_shape)
    outer, inner = tuple(range(split)), tuple(range(split, x.ndim))
    shape = (1,) * split + tuple(normalized_shape)
    scaled = g if weight is None else g * weight.astype(x.dtype).reshape(shape)
    dtype = check.array("input", input).dtype
    gradients = (
        _normalised_back(scaled, x, mean, rstd, inner).astype(dtype),
        (g * (x - mean) * rstd).sum(outer).astype(dtype),
        g.sum(outer).astype(dtype),
    )
    return _masked(gradients, (output_mask[0], output_mask[1] and weight is not None, output_mask[2]))


def native_group_norm_backward(
    grad_out: jax.Array,
    input: jax.Array,
    mean: jax.Array,
    rstd: jax.Array,
    weight: jax.Array | None,
    N: int,
    C: int,
    HxW: int,
    group: int,
    output_mask: Sequence[bool],
) -> Three:
    """Gradients of the input, the weight and the bias of `group_norm`; None for those not asked for."""
    given = check.array("input", input)
    x, g = (wide(v).reshape(N, group, C // group, HxW) for v in (given, check.array("grad_out", grad_out)))
    centre, scale = (v.astype(x.dtype).reshape(N, group, 1, 1) for v in (mean, rstd))
    scaled = g if weight is None else g * weight.astype(x.dtype).reshape(1, group, C // group, 1)
    gradients = (
        _normalised_back(scaled, x, centre, scale, (2, 3)).reshape(given.shape).astype(given.dtype),
        (g * (x - centre) * scale).sum((0, 3)).reshape(C).astype(given.dtype),
        g.sum((0, 3)).reshape(C).astype(given.dtype),
    )
    return _masked(gradients, output_mask)
