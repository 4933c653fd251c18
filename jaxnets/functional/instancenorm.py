"""Instance normalisation: `torch.nn.functional.instance_norm`."""

import math

import jax
import jax.numpy as jnp

from jaxnets import check
from jaxnets.functional.normalized import check_floating, check_parameters, per_channel
from jaxnets.functional.precision import wide
from jaxnets.lowering.standardize import standardized

__all__ = ["instance_norm", "instance_norm_with_statistics"]


def instance_norm(
    input: jax.Array,
    running_mean: jax.Array | None = None,
    running_var: jax.Array | None = None,
    weight: jax.Array | None = None,
    bias: jax.Array | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> jax.Array:
    """Normalises each channel of each sample by a mean and a variance, its own or given (Ulyanov et al., 2017).

    `y = (x - mean) / sqrt(var + eps) * weight + bias`

    Args:
        input: `(N, C, *)`, floating.
        running_mean: `(C,)`, the mean without `use_input_stats`; not read with it.
        running_var: `(C,)`, the variance without `use_input_stats`; None where `running_mean` is.
        weight: `(C,)`.
        bias: `(C,)`.
        use_input_stats: whether mean and (biased) variance are those of each channel of each sample.
        momentum: accepted, see below.
        eps: added to the variance.

    Shape:
        `(N, C, *)` to the same.

    Raises:
        TypeError: dtypes do not fit: parameters have the input's dtype, or float32 beside a half precision input.
        ValueError: sizes do not fit, statistics are missing, one value per channel with `use_input_stats`.

    Differences from torch: the running statistics are not updated in place, so `momentum` has no effect;
    `instance_norm_with_statistics` returns what to update them with, and `jaxnets.nn.InstanceNorm2d` does it.

    >>> instance_norm(jnp.array([[[1.0, 3.0], [10.0, 30.0]]]), eps=0.0).tolist()
    [[[-1.0, 1.0], [-1.0, 1.0]]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.instance_norm.html
    """
    if (running_mean is None) != (running_var is None):
        raise ValueError("running_mean, running_var: expected both or neither, got one of them")
    if running_mean is not None and running_var is not None:
        input, what = check.array("input", input), f"one entry for each channel of input {jnp.shape(input)}"
        for name, statistic in (("running_mean", running_mean), ("running_var", running_var)):
            if check.array(name, statistic).shape != input.shape[1:2]:
                raise ValueError(f"{name}: expected shape {input.shape[1:2]}, {what}, got {statistic.shape}")
    if check.flag("use_input_stats", use_input_stats):
        return instance_norm_with_statistics(input, weight, bias, eps)[0]
    if running_mean is None or running_var is None:
        raise ValueError("running_mean, running_var: expected arrays without use_input_stats, got None")
    input = _validated(input, weight, bias)
    x = wide(input)
    return _scaled(x - per_channel(running_mean, x), per_channel(running_var, x), weight, bias, eps, input)


def instance_norm_with_statistics(
    input: jax.Array, weight: jax.Array | None = None, bias: jax.Array | None = None, eps: float = 1e-5
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Instance normalisation and the statistics that a layer needs to keep running ones.

    `y = (x - mean) / sqrt(var + eps) * weight + bias`

    Args:
        input: `(N, C, *)`, floating, more than one value for each channel of a sample.
        weight: `(C,)`.
        bias: `(C,)`.
        eps: added to the variance.

    Returns:
        The output; the samples' average of the means `(C,)` and of the unbiased variances `(C,)`. They are in
        float32 for half precision inputs, and NaN where there are no values.

    Raises:
        TypeError, ValueError: as `instance_norm`.

    Differences from torch: not in torch, which updates statistics in place.

    >>> output, mean, var = instance_norm_with_statistics(jnp.array([[[1.0, 3.0]]]))
    >>> mean.tolist(), var.tolist()
    ([2.0], [2.0])
    """
    input = _validated(input, weight, bias)
    count = math.prod(input.shape[2:])
    if count == 1:
        raise ValueError(
            f"input: expected more than 1 value for each channel of a sample, got shape {input.shape}; "
            "use larger inputs, or eval() with running statistics"
        )
    x = wide(input)
    if not x.size:
        return input, *(jnp.full(x.shape[1:2], jnp.nan, x.dtype),) * 2
    parameters = per_channel(weight, x), per_channel(bias, x)
    output, mean, var = standardized(x, *parameters, range(2, x.ndim), check.number("eps", eps))
    average, spread = (v.reshape(x.shape[:2]).mean(0) for v in (mean, var))
    return output.astype(input.dtype), average, spread * (count / (count - 1))


def _scaled(
    centred: jax.Array, var: jax.Array, weight: jax.Array | None, bias: jax.Array | None, eps: float, input: jax.Array
) -> jax.Array:
    scale = 1 / jnp.sqrt(var + check.number("eps", eps))
    if weight is not None:
        scale = scale * per_channel(weight, centred)
    output = centred * scale
    return (output if bias is None else output + per_channel(bias, centred)).astype(input.dtype)


def _validated(input: jax.Array, weight: jax.Array | None, bias: jax.Array | None) -> jax.Array:
    input = check.array("input", input)
    check_floating(input)
    if input.ndim < 2:
        raise ValueError(f"input: expected at least 2 axes (N, C, *), got shape {input.shape}")
    what = f"one entry for each channel of input {input.shape}"
    check_parameters(input, input.shape[1:2], what, weight=weight, bias=bias)
    return input
