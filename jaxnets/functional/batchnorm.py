"""Batch normalisation: `torch.nn.functional.batch_norm`."""

import math

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets import check
from jaxnets.functional.normalized import check_floating, check_parameters, per_channel
from jaxnets.functional.precision import wide
from jaxnets.lowering.standardize import AxisName, moments, standardized

__all__ = ["batch_norm", "batch_norm_with_statistics"]


def batch_norm(
    input: jax.Array,
    running_mean: jax.Array | None,
    running_var: jax.Array | None,
    weight: jax.Array | None = None,
    bias: jax.Array | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> jax.Array:
    """Normalises each channel by a mean and a variance, of the batch (training) or given (evaluation).

    `y = (x - mean) / sqrt(var + eps) * weight + bias`

    Args:
        input: `(N, C, *)`, floating.
        running_mean: `(C,)`, the mean in evaluation; not read in training, where it may be None.
        running_var: `(C,)`, the variance in evaluation; None where `running_mean` is.
        weight: `(C,)`.
        bias: `(C,)`.
        training: whether mean and (biased) variance are those of the batch.
        momentum: accepted, see below.
        eps: positive in training, not negative in evaluation.

    Shape:
        `(N, C, *)` to the same.

    Raises:
        TypeError: dtypes do not fit: parameters have the input's dtype, or float32 beside a half precision input.
        ValueError: sizes do not fit, statistics are missing in evaluation, one value per channel in training.

    Differences from torch: the running statistics are not updated in place, so `momentum` has no effect;
    `batch_norm_with_statistics` returns what to update them with, and `jaxnets.nn.BatchNorm2d` does it.

    >>> batch_norm(jnp.array([[1.0], [3.0]]), jnp.zeros(1), jnp.ones(1), eps=0.0).tolist()
    [[1.0], [3.0]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.batch_norm.html
    """
    check.flag("training", training)
    if (running_mean is None) != (running_var is None):
        raise ValueError("running_mean, running_var: expected both or neither, got one of them")
    input = _validated(
        input, eps, training, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias
    )
    if training:
        return batch_norm_with_statistics(input, weight, bias, eps)[0]
    if running_mean is None or running_var is None:
        raise ValueError("running_mean, running_var: expected arrays in evaluation, got None; pass training=True")
    if not input.size:
        return input
    x = wide(input)
    centred = x - per_channel(running_mean, x)
    return _scaled(centred, running_var, weight, bias, eps).astype(input.dtype)


def batch_norm_with_statistics(
    input: jax.Array,
    weight: jax.Array | None = None,
    bias: jax.Array | None = None,
    eps: float = 1e-5,
    axis_name: AxisName | None = None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Batch normalisation in training, and the batch's statistics: what a layer needs to keep running ones.

    `y = (x - mean) / sqrt(var + eps) * weight + bias`

    Args:
        input: `(N, C, *)`, floating, more than one value per channel.
        weight: `(C,)`.
        bias: `(C,)`.
        eps: positive.
        axis_name: the mapped axis, or axes, of `jax.shard_map` or `jax.vmap` whose batches are taken as one.

    Returns:
        The output; the mean `(C,)`; the unbiased variance `(C,)`, though the output is normalised by the biased
        one. The statistics of half precision inputs are in float32; those of no values are NaN.

    Raises:
        TypeError, ValueError: as `batch_norm`.

    Differences from torch: not in torch, which updates statistics in place.

    >>> output, mean, var = batch_norm_with_statistics(jnp.array([[1.0], [3.0]]))
    >>> mean.tolist(), var.tolist()
    ([2.0], [2.0])
    """
    input = _validated(input, eps, axis_name is None, weight=weight, bias=bias)
    x = wide(input)
    if x.ndim < 2 or not x.size:
        return input, *(jnp.full(x.shape[1:2], jnp.nan, x.dtype),) * 2
    count = math.prod(x.shape[:1] + x.shape[2:]) * (1 if axis_name is None else lax.axis_size(axis_name))
    axes = (0, *range(2, x.ndim))
    if axis_name is None:
        output, mean, var = standardized(x, per_channel(weight, x), per_channel(bias, x), axes, float(eps))
    else:
        centred, mean, var = moments(x, axes, axis_name)
        output = _scaled(centred, var.ravel(), weight, bias, eps)
    mean, var = mean.ravel(), var.ravel()
    return output.astype(input.dtype), mean, var * (count / jax.core.max_dim(count - 1, 1))


def _scaled(
    centred: jax.Array, var: jax.Array, weight: jax.Array | None, bias: jax.Array | None, eps: float
) -> jax.Array:
    scale = 1 / jnp.sqrt(var.astype(centred.dtype) + float(eps))
    if weight is not None:
        scale = scale * weight.astype(centred.dtype)
    output = centred * per_channel(scale, centred)
    return output if bias is None else output + per_channel(bias, centred)


def _validated(input: jax.Array, eps: float, training: bool, **parameters: jax.Array | None) -> jax.Array:
    input = check.array("input", input)
    check_floating(input)
    if input.ndim < 2 and input.shape != (0,):  # which torch takes for a batch without channels
        raise ValueError(f"input: expected at least 2 axes (N, C, *), got shape {input.shape}")
    if training and math.prod(input.shape[:1] + input.shape[2:]) == 1:
        raise ValueError(
            f"input: expected more than 1 value per channel when training, got shape {input.shape}; "
            "use a larger batch, or eval()"
        )
    if check.number("eps", eps) < 0 or (training and eps == 0):
        raise ValueError(f"eps: expected a {'positive' if training else 'non-negative'} number, got {eps}")
    channels = input.shape[1:2] or (0,)
    check_parameters(input, channels, f"one entry for each channel of input {input.shape}", **parameters)
    return input
