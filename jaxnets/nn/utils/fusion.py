"""Batch normalisation folded into the layer before it: `torch.nn.utils.fuse_conv_bn_eval` and its like."""

from functools import partial
from typing import Any

import jax
from flax import nnx

from jaxnets import check
from jaxnets.nn.utils.convert_parameters import common_dtype

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]


def fuse_conv_bn_weights(
    conv_w: Any,
    conv_b: Any,
    bn_rm: Any,
    bn_rv: Any,
    bn_eps: float,
    bn_w: Any,
    bn_b: Any,
    transpose: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """Weight and bias of the convolution that computes what a convolution and a batch normalisation behind it do.

    `w * s`, `(b - mean) * s + bias` with `s = weight / sqrt(var + eps)`

    Args:
        conv_w: the convolution's weight.
        conv_b: its bias, or None.
        bn_rm: the normalisation's running mean, `(C,)`.
        bn_rv: its running variance.
        bn_eps: its eps.
        bn_w: its weight, or None.
        bn_b: its bias, or None.
        transpose: whether the convolution is a transposed one, whose outputs are on axis 1.

    Returns:
        Weight and bias, in the dtypes of the convolution's.

    Raises:
        ValueError: the convolution has another number of outputs than the normalisation has channels.

    Differences from torch: arrays are returned; `nnx.Param` makes parameters of them.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.fuse_conv_bn_weights.html
    """
    weight, mean, var = _array("conv_w", conv_w), _array("bn_rm", bn_rm), _array("bn_rv", bn_rv)
    axis = int(check.flag("transpose", transpose))
    if weight.ndim < 2 or weight.shape[axis] != mean.size:
        raise ValueError(
            f"conv_w: expected {mean.size} outputs on axis {axis}, as many as in bn_rm, got shape {weight.shape}"
        )
    shape = [1] * weight.ndim
    shape[axis] = -1
    scale, bias = _scale(mean, var, bn_eps, bn_w), _array("conv_b", conv_b)
    return _fused(weight, scale.reshape(shape)), _shifted(bias, weight.dtype, mean, scale, bn_b)


def fuse_linear_bn_weights(
    linear_w: Any, linear_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any
) -> tuple[jax.Array, jax.Array]:
    """Weight and bias of the linear map that computes what one and a batch normalisation behind it do.

    The arguments are those of `fuse_conv_bn_weights`, with the linear map's weight and bias.

    Differences from torch: arrays are returned; `bn_w` and `bn_b` may be None.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.fuse_linear_bn_weights.html
    """
    weight, mean, var = _array("linear_w", linear_w), _array("bn_rm", bn_rm), _array("bn_rv", bn_rv)
    scale, bias = _scale(mean, var, bn_eps, bn_w), _array("linear_b", linear_b)
    return _fused(weight, scale[:, None].astype(weight.dtype)), _shifted(bias, weight.dtype, mean, scale, bn_b)


def _array(name: str, value: Any) -> Any:
    return None if value is None else check.array(name, value.get_value() if isinstance(value, nnx.Variable) else value)


def _scale(mean: jax.Array, var: jax.Array, eps: float, weight: Any) -> jax.Array:
    scale = jax.lax.rsqrt(var + check.number("bn_eps", eps))
    return scale if weight is None else scale * _array("bn_w", weight).astype(mean.dtype)


def _fused(weight: jax.Array, scale: jax.Array) -> jax.Array:
    dtype = common_dtype(weight, scale)
    return (weight.astype(dtype) * scale.astype(dtype)).astype(weight.dtype)


def _shifted(bias: Any, dtype: Any, mean: jax.Array, scale: jax.Array, shift: Any) -> jax.Array:
    """The bias: where there was none, of the weight's dtype."""
    dtype = dtype if bias is None else bias.dtype
    moved = (-mean if bias is None else bias.astype(mean.dtype) - mean) * scale
    return (moved if shift is None else moved + _array("bn_b", shift).astype(mean.dtype)).astype(dtype)


def fuse_conv_bn_eval(conv: nnx.Module, bn: nnx.Module, transpose: bool = False) -> nnx.Module:
    """A convolution that computes what a convolution and a batch normalisation behind it do in evaluation.

    Args:
        conv: a convolution; it is not changed.
        bn: a batch normalisation in evaluation mode (`eval()`), with running statistics.
        transpose: whether the convolution is a transposed one.

    Returns:
        A new convolution, with a bias.

    Raises:
        ValueError: `bn` is in training mode or has no running statistics; numbers of channels differ.

    Differences from torch: a convolution has no mode here, and none is asked for.

    >>> from jaxnets import nn
    >>> conv, bn = nn.Conv2d(3, 8, 3, bias=False, rngs=nnx.Rngs(0)), nn.BatchNorm2d(8)
    >>> bn.eval()
    >>> x = jax.numpy.ones((2, 3, 5, 5))
    >>> bool(jax.numpy.allclose(fuse_conv_bn_eval(conv, bn)(x), bn(conv(x)), atol=1e-6))
    True

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.fuse_conv_bn_eval.html
    """
    return _fuse(conv, bn, partial(fuse_conv_bn_weights, transpose=transpose))


def fuse_linear_bn_eval(linear: nnx.Module, bn: nnx.Module) -> nnx.Module:
    """A linear map that computes what one and a batch normalisation behind it do in evaluation.

    Args:
        linear: a linear map; it is not changed.
        bn: a batch normalisation in evaluation mode (`eval()`), with running statistics, of as many channels as
            `linear` has outputs, or of one.

    Returns:
        A new linear map, with a bias.

    Raises:
        ValueError: `bn` is in training mode or has no running statistics; numbers of channels differ.

    Differences from torch: a linear map has no mode here, and none is asked for.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.fuse_linear_bn_eval.html
    """
    outputs, channels = getattr(linear, "out_features", None), getattr(bn, "num_features", None)
    if channels not in (outputs, 1):
        raise ValueError(f"bn: expected {outputs} channels, one for each output of linear, or 1, got {channels}")
    return _fuse(linear, bn, fuse_linear_bn_weights)


def _fuse(layer: Any, bn: Any, fuse: Any) -> Any:
    if not getattr(bn, "use_running_average", False):
        raise ValueError("bn: expected evaluation mode, got training mode; call bn.eval()")
    if bn.running_mean is None or bn.running_var is None:
        raise ValueError("bn: expected running statistics, got None; they need track_running_stats=True")
    fused = nnx.clone(layer)
    weight, bias = fuse(layer.weight, layer.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias)
    fused.weight[...] = weight
    fused.bias = nnx.data(nnx.Param(bias))
    return fused
