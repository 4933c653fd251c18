"""`torch.nn.init` as functions of a key and a shape: torch's distributions, for arrays that do not exist yet."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets import check

__all__ = ["calculate_gain", "fan_in_and_fan_out", "kaiming_uniform", "normal", "ones", "uniform", "zeros"]

GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3.0,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4.0,
}


def zeros(key: Any, shape: Sequence[int], *, dtype: Any = jnp.float32) -> jax.Array:
    """Zeros; `key` is not used.

    >>> zeros(None, (2,))
    Array([0., 0.], dtype=float32)
    """
    return jnp.zeros(shape, dtype)


def ones(key: Any, shape: Sequence[int], *, dtype: Any = jnp.float32) -> jax.Array:
    """Ones; `key` is not used.

    >>> ones(None, (2,))
    Array([1., 1.], dtype=float32)
    """
    return jnp.ones(shape, dtype)


def uniform(
    key: jax.Array, shape: Sequence[int], a: float = 0.0, b: float = 1.0, *, dtype: Any = jnp.float32
) -> jax.Array:
    """Samples of the uniform distribution `U(a, b)`; of a complex dtype, both parts are drawn from it.

    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.uniform_
    """
    if not jnp.issubdtype(dtype, jnp.complexfloating):
        return jax.random.uniform(key, tuple(shape), dtype, a, b)
    parts = jax.random.uniform(key, (2, *shape), jnp.finfo(dtype).dtype, a, b)
    return jax.lax.complex(parts[0], parts[1])


def normal(
    key: jax.Array, shape: Sequence[int], mean: float = 0.0, std: float = 1.0, *, dtype: Any = jnp.float32
) -> jax.Array:
    """Samples of the normal distribution `N(mean, std²)`.

    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.normal_
    """
    return mean + std * jax.random.normal(key, tuple(shape), dtype)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The recommended gain of a nonlinearity; `param` is leaky_relu's negative slope, 0.01 when not given.

    >>> calculate_gain("tanh")
    1.6666666666666667

    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.calculate_gain
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    return GAINS[check.choice("nonlinearity", nonlinearity, (*GAINS, "leaky_relu"))]


def fan_in_and_fan_out(shape: Sequence[int]) -> tuple[int, int]:
    """Numbers of inputs and outputs of one unit of a weight in torch's layout, `(out, in, *kernel)`.

    >>> fan_in_and_fan_out((8, 3, 5, 5))
    (75, 200)
    """
    if len(shape) < 2:
        raise ValueError(f"shape: expected at least 2 axes to count fan in and fan out, got {tuple(shape)}")
    receptive_field = math.prod(shape[2:])
    return shape[1] * receptive_field, shape[0] * receptive_field


def kaiming_uniform(
    key: jax.Array,
    shape: Sequence[int],
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    dtype: Any = jnp.float32,
) -> jax.Array:
    """Samples of `U(-bound, bound)` with `bound = gain * sqrt(3 / fan)` (He et al., 2015).

    Args:
        key: a jax random key.
        shape: a weight's shape in torch's layout, two axes or more.
        a: negative slope of the leaky ReLU behind the layer.
        mode: "fan_in" keeps the variance of the forward pass, "fan_out" that of the backward pass.
        nonlinearity: a name that `calculate_gain` knows.
        dtype: the dtype of the samples.

    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.kaiming_uniform_
    """
    fans = dict(zip(("fan_in", "fan_out"), fan_in_and_fan_out(shape), strict=True))
    fan = fans[check.choice("mode", mode, tuple(fans))]
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3.0 / fan) if fan else 0.0
    return uniform(key, shape, -bound, bound, dtype=dtype)
