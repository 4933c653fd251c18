"""What the graphs of `torch.export` call by ATen's own names: each calls what it is a name for.

The order of arguments is that of ATen's schema. What torch returns for the backward pass is returned too.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

import jaxnets.functional as F
from jaxnets import check
from jaxnets.functional.activation import _elu
from jaxnets.functional.batchnorm import batch_norm, batch_norm_with_statistics
from jaxnets.functional.precision import wide
from jaxnets.lowering.standardize import moments
from jaxnets.ops.matrices import cdist
from jaxnets.ops.promotion import Number, Operand, as_dtype, dtype_or, int64, operand
from jaxnets.ops.shape import view

__all__ = [
    "_cdist_forward",
    "_embedding_bag",
    "_fft_c2c",
    "_fft_c2r",
    "_fft_r2c",
    "_local_scalar_dense",
    "_log_softmax",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_functional",
    "_native_batch_norm_legit_no_training",
    "_pdist_forward",
    "_safe_softmax",
    "_softmax",
    "_to_copy",
    "_unsafe_view",
    "_weight_norm",
    "_weight_norm_interface",
    "alias",
    "copy",
    "elu",
    "embedding",
    "fill",
    "gelu",
    "hardtanh",
    "item",
    "leaky_relu",
    "log_softmax",
    "native_batch_norm",
    "native_dropout",
    "native_group_norm",
    "native_layer_norm",
    "relu",
    "softmax",
    "sym_is_contiguous",
    "sym_numel",
    "sym_size",
    "sym_storage_offset",
    "sym_stride",
]

Size = int | Sequence[int]


def alias(input: jax.Array) -> jax.Array:
    """`input` itself: arrays are immutable."""
    return check.array("input", input)


def copy(input: jax.Array, src: jax.Array, non_blocking: bool = False) -> jax.Array:
    """`src` in the dtype and the shape of `input`."""
    x, src = check.array("input", input), check.array("src", src)
    return jnp.broadcast_to(as_dtype(src, x.dtype), x.shape)


def fill(input: jax.Array, value: Operand) -> jax.Array:
    """One number everywhere, in the dtype and the shape of `input`."""
    x, value = check.array("input", input), operand("value", value)
    return jnp.broadcast_to(as_dtype(value, x.dtype), x.shape)


def _to_copy(input: jax.Array, *, dtype: Any = None) -> jax.Array:
    """`input` in another dtype."""
    x = check.array("input", input)
    return as_dtype(x, dtype_or(dtype, x.dtype))


def _local_scalar_dense(input: jax.Array) -> Number:
    """The number that an array of one element holds; not under `jax.jit`."""
    return item(input)


def item(input: jax.Array) -> Number:
    """The number that an array of one element holds; not under `jax.jit`."""
    x = check.array("input", input)
    if x.size != 1:
        raise ValueError(f"input: expected one element, got shape {x.shape}")
    if isinstance(x, jax.core.Tracer):
        raise ValueError("input: its number is not known under jax.jit; compute with the array instead")
    return x.item()


def sym_size(input: jax.Array, dim: int) -> int:
    """The size of an axis."""
    return check.array("input", input).shape[dim]


def sym_numel(input: jax.Array) -> int:
    """How many elements there are."""
    return check.array("input", input).size


def sym_stride(input: jax.Array, dim: int) -> int:
    """The stride of an axis, as torch counts it: in elements of a contiguous array."""
    shape, count = check.array("input", input).shape, 1
    for size in shape[dim % len(shape) + 1 :]:
        count *= max(size, 1)
    return count


def sym_storage_offset(input: jax.Array) -> int:
    """0: every array begins its own memory."""
    check.array("input", input)
    return 0


def sym_is_contiguous(input: jax.Array, memory_format: Any = None) -> bool:
    """True: arrays have no strides."""
    check.array("input", input)
    return True


def relu(input: jax.Array) -> jax.Array:
    """`max(x, 0)`: `jaxnets.functional.relu`."""
    return F.relu(input)


def elu(input: jax.Array, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> jax.Array:
    """`scale * x` where `x > 0`, else `scale * alpha * (exp(input_scale * x) - 1)`."""
    return _elu(input, float(alpha), float(scale), 1 / input_scale)


def gelu(input: jax.Array, *, approximate: str = "none") -> jax.Array:
    """`x * Phi(x)`: `jaxnets.functional.gelu`."""
    return F.gelu(input, approximate)


def hardtanh(input: jax.Array, min_val: float = -1, max_val: float = 1) -> jax.Array:
    """`x` brought between two numbers: `jaxnets.functional.hardtanh`."""
    return F.hardtanh(input, min_val, max_val)


def leaky_relu(input: jax.Array, negative_slope: float = 0.01) -> jax.Array:
    """`x`, times `negative_slope` where it is negative: `jaxnets.functional.leaky_relu`."""
    return F.leaky_relu(input, negative_slope)


def _softmax(input: jax.Array, dim: int, half_to_float: bool = False) -> jax.Array:
    """`jaxnets.functional.softmax`, in float32 with `half_to_float`."""
    return F.softmax(input, dim, dtype=jnp.float32 if half_to_float else None)


def _log_softmax(input: jax.Array, dim: int, half_to_float: bool = False) -> jax.Array:
    """`jaxnets.functional.log_softmax`, in float32 with `half_to_float`."""
    return F.log_softmax(input, dim, dtype=jnp.float32 if half_to_float else None)


def _safe_softmax(input: jax.Array, dim: int, dtype: Any = None) -> jax.Array:
    """`jaxnets.functional.softmax`, zeros where all of a line is minus infinity."""
    x = check.array("input", input)
    hidden = (x == -jnp.inf).all(dim if x.ndim else None, keepdims=True)
    return jnp.where(hidden, 0, F.softmax(jnp.where(hidden, 0, x), dim, dtype=dtype))


def _weight_norm(v: jax.Array, g: jax.Array, dim: int = 0) -> jax.Array:
    """`g * v / norm(v)`, the norm taken over all axes of `v` but `dim`."""
    return _weight_norm_interface(v, g, dim)[0]


def _weight_norm_interface(v: jax.Array, g: jax.Array, dim: int = 0) -> tuple[jax.Array, jax.Array]:
    """`g * v / norm(v)`, the norm taken over all axes of `v` but `dim`, and that norm in the shape of `g`."""
    v, g = check.array("v", v), check.array("g", g)
    axes = tuple(i for i in range(v.ndim) if dim == -1 or i != dim % v.ndim)
    norm = jnp.sqrt((v * v).sum(axes, keepdims=True))
    return v * (g / norm), norm.reshape(g.shape)


def softmax(input: jax.Array, dim: int, dtype: Any = None) -> jax.Array:
    """`torch.softmax`: `jaxnets.functional.softmax`."""
    return F.softmax(input, dim, dtype=dtype)


def log_softmax(input: jax.Array, dim: int, dtype: Any = None) -> jax.Array:
    """`torch.log_softmax`: `jaxnets.functional.log_softmax`."""
    return F.log_softmax(input, dim, dtype=dtype)


def embedding(
    weight: jax.Array,
    indices: jax.Array,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> jax.Array:
    """`jaxnets.functional.embedding`; the weight comes first, and a negative `padding_idx` means none."""
    return F.embedding(indices, weight, None if padding_idx < 0 else padding_idx, scale_grad_by_freq=scale_grad_by_freq)


_BAGS = ("sum", "mean", "max")


def _embedding_bag(
    weight: jax.Array,
    indices: jax.Array,
    offsets: jax.Array,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: jax.Array | None = None,
    include_last_offset: bool = False,
    padding_idx: int = -1,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """`jaxnets.functional.embedding_bag`, the bag of each index, the size of each bag, and zeros.

    Differences from torch: torch's last three outputs are for its backward pass, and have other numbers where that
    does not read them.
    """
    output = F.embedding_bag(
        indices,
        weight,
        offsets,
        scale_grad_by_freq=scale_grad_by_freq,
        mode=_BAGS[mode],
        per_sample_weights=per_sample_weights,
        include_last_offset=include_last_offset,
        padding_idx=None if padding_idx < 0 else padding_idx,
    )
    starts = offsets[:-1] if include_last_offset else offsets
    bag = jnp.searchsorted(starts, jnp.arange(indices.shape[0], dtype=starts.dtype), side="right") - 1
    kept = jnp.ones(indices.shape, bool) if padding_idx < 0 else indices != padding_idx
    sizes = jnp.zeros(starts.shape, int64()).at[bag].add(kept.astype(int64()))
    return output, bag.astype(indices.dtype), sizes.astype(indices.dtype), jnp.zeros_like(sizes).astype(indices.dtype)


def native_dropout(
    input: jax.Array, p: float, train: bool | None, *, key: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """`jaxnets.functional.dropout`, and the mask of what was kept."""
    x = check.array("input", input)
    if train is False or p == 0:
        return x, jnp.ones(x.shape, bool)
    kept = F.dropout(jnp.ones(x.shape, x.dtype), p, key=key)
    return x * kept, kept != 0


def _kept(input: jax.Array, weight: jax.Array | None) -> Any:
    """The dtype of statistics: that of the weight, as on torch's CPU."""
    return check.array("input", input).dtype if weight is None else check.array("weight", weight).dtype


def native_layer_norm(
    input: jax.Array, normalized_shape: Sequence[int], weight: jax.Array | None, bias: jax.Array | None, eps: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`jaxnets.functional.layer_norm`, and the means and reciprocal deviations of what was normalised."""
    output = F.layer_norm(input, normalized_shape, weight, bias, eps)
    x = wide(check.array("input", input))
    _, mean, var = moments(x, range(x.ndim - len(normalized_shape), x.ndim))
    kept = _kept(input, weight)
    # torch lets no derivative through the last two
    return output, lax.stop_gradient(mean).astype(kept), lax.stop_gradient(lax.rsqrt(var + eps)).astype(kept)


def native_group_norm(
    input: jax.Array,
    weight: jax.Array | None,
    bias: jax.Array | None,
    N: int,
    C: int,
    HxW: int,
    group: int,
    eps: float,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`jaxnets.functional.group_norm`, and the means and reciprocal deviations of each group: `(N, group)`."""
    x = check.array("input", input)
    _, mean, var = moments(wide(x).reshape(N, group, C // group * HxW), (2,))
    mean, rstd = mean[..., 0].astype(x.dtype), lax.rsqrt(var + eps)[..., 0].astype(x.dtype)
    return F.group_norm(x, group, weight, bias, eps), mean, rstd


def native_batch_norm(
    input: jax.Array,
    weight: jax.Array | None,
    bias: jax.Array | None,
    running_mean: jax.Array | None,
    running_var: jax.Array | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`jaxnets.functional.batch_norm`, and in training the means and reciprocal deviations of the batch.

    Differences from torch: the running statistics are not updated in place.
    """
    if not training:
        empty = jnp.zeros(0, _kept(input, weight))
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps), empty, empty
    output, mean, unbiased = batch_norm_with_statistics(input, weight, bias, eps)
    count = input.size // input.shape[1]
    # torch lets no derivative through the last two
    mean, unbiased = lax.stop_gradient((mean, unbiased))
    kept = _kept(input, weight)
    return output, mean.astype(kept), lax.rsqrt(unbiased * ((count - 1) / count) + eps).astype(kept)


def _native_batch_norm_legit(
    input: jax.Array, weight: jax.Array | None, bias: jax.Array | None, *rest: Any, **named: Any
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`native_batch_norm`; its overload without statistics has `training, momentum, eps` behind the bias.

    Differences from torch: the running statistics are not updated in place.
    """
    if len(rest) + len(named) == 3:
        rest = (None, None, *rest)
    return native_batch_norm(input, weight, bias, *rest, **named)


def _native_batch_norm_legit_no_training(
    input: jax.Array,
    weight: jax.Array | None,
    bias: jax.Array | None,
    running_mean: jax.Array,
    running_var: jax.Array,
    momentum: float,
    eps: float,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`native_batch_norm` in evaluation."""
    return native_batch_norm(input, weight, bias, running_mean, running_var, False, momentum, eps)


def _native_batch_norm_legit_functional(
    input: jax.Array,
    weight: jax.Array | None,
    bias: jax.Array | None,
    running_mean: jax.Array,
    running_var: jax.Array,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array]:
    """`native_batch_norm`, and the running mean and variance after it."""
    found = native_batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)
    if not training:
        return *found, running_mean, running_var
    _, mean, unbiased = batch_norm_with_statistics(input, weight, bias, eps)
    return (
        *found,
        (1 - momentum) * running_mean + momentum * mean.astype(running_mean.dtype),
        (1 - momentum) * running_var + momentum * unbiased.astype(running_var.dtype),
    )


def _cdist_forward(x1: jax.Array, x2: jax.Array, p: float, compute_mode: int | None) -> jax.Array:
    """`cdist`."""
    return cdist(x1, x2, p)


def _pdist_forward(input: jax.Array, p: float = 2.0) -> jax.Array:
    """`jaxnets.functional.pdist`."""
    return F.pdist(input, p)


_FORWARD = ("backward", "ortho", "forward")  # torch's 0: none, 1: by the root of n, 2: by n


def _fft_r2c(input: jax.Array, dim: Sequence[int], normalization: int, onesided: bool) -> jax.Array:
    """`fft.rfftn`, or `fft.fftn` of real numbers unless `onesided`."""
    transform = jnp.fft.rfftn if onesided else jnp.fft.fftn
    return transform(check.array("input", input), axes=tuple(dim), norm=_FORWARD[normalization])


def _fft_c2r(input: jax.Array, dim: Sequence[int], normalization: int, last_dim_size: int) -> jax.Array:
    """`fft.irfftn` to `last_dim_size` elements along the last of the axes."""
    x, over = check.array("input", input), tuple(dim)
    sizes = [*(x.shape[d] for d in over[:-1]), last_dim_size]
    return jnp.fft.irfftn(x, s=sizes, axes=over, norm=_FORWARD[2 - normalization])


def _fft_c2c(input: jax.Array, dim: Sequence[int], normalization: int, forward: bool) -> jax.Array:
    """`fft.fftn`, or `fft.ifftn` unless `forward`."""
    x, over = check.array("input", input), tuple(dim)
    if forward:
        return jnp.fft.fftn(x, axes=over, norm=_FORWARD[normalization])
    return jnp.fft.ifftn(x, axes=over, norm=_FORWARD[2 - normalization])


def _unsafe_view(input: jax.Array, size: Sequence[int]) -> jax.Array:
    """`view`."""
    return view(input, size)
