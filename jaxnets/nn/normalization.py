"""Normalisation without running statistics: `torch.nn.LayerNorm`, `RMSNorm`, `GroupNorm` and others."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxnets import check
from jaxnets import functional as F
from jaxnets.nn.parameters import Layer, float_dtype, value

__all__ = ["CrossMapLRN2d", "GroupNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]


class LayerNorm(Layer):
    """Normalises the last axes by their mean and biased variance (Ba et al., 2016).

    `y = (x - mean) / sqrt(var + eps) * weight + bias`

    Args:
        normalized_shape: sizes of the last axes, which are normalised together; an int is one axis.
        eps: added to the variance.
        elementwise_affine: whether to learn `weight` and `bias`.
        bias: whether an affine layer learns `bias`.
        dtype: dtype of the parameters, float32 when not given.
        param_dtype: dtype of the parameters in place of `dtype`, which is then that of the output; see `Layer`.
        rngs: accepted like that of other layers; nothing is random here.

    Attributes:
        weight: of shape `normalized_shape`, ones at first; None if not affine.
        bias: of shape `normalized_shape`, zeros at first; None if not affine or without bias.

    Shape:
        `(*, *normalized_shape)` to the same.

    Raises:
        TypeError: the input is not floating, or neither of the parameters' dtype nor half beside float32.
        ValueError: the input's last axes are not `normalized_shape`.

    Differences from torch: no `device`.

    >>> layer = LayerNorm((5, 3))
    >>> layer.weight.shape, layer(jnp.ones((2, 5, 3))).shape
    ((5, 3), (2, 5, 3))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html
    """

    wide_parameters = True

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: Any = None,
        *,
        param_dtype: Any = None,
        rngs: nnx.Rngs | None = None,
    ):
        self.normalized_shape = _shape(normalized_shape)
        self.eps = check.number("eps", eps)
        self.elementwise_affine = check.truth("elementwise_affine", elementwise_affine)
        bias = self.elementwise_affine and check.truth("bias", bias)
        dtype = float_dtype(self._dtype_of_parameters(dtype, param_dtype))
        self.weight = nnx.Param(jnp.ones(self.normalized_shape, dtype)) if self.elementwise_affine else None
        self.bias = nnx.Param(jnp.zeros(self.normalized_shape, dtype)) if bias else None

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.layer_norm(input, self.normalized_shape, value(self.weight), value(self.bias), self.eps)


class RMSNorm(Layer):
    """Divides the last axes by their root mean square (Zhang and Sennrich, 2019).

    `y = x / sqrt(mean of x² + eps) * weight`

    Args:
        normalized_shape: sizes of the last axes, which are normalised together; an int is one axis.
        eps: added to the mean of squares; None is the machine epsilon of the dtype that is computed in: float32's
            for half precisions.
        elementwise_affine: whether to learn `weight`.
        dtype: dtype of the parameter, float32 when not given.
        param_dtype: dtype of the parameter in place of `dtype`, which is then that of the output; see `Layer`.
        rngs: accepted like that of other layers; nothing is random here.

    Attributes:
        weight: of shape `normalized_shape`, ones at first; None if not affine.

    Shape:
        `(*, *normalized_shape)` to the same, in the input's dtype.

    Raises:
        TypeError: the input is neither floating nor complex.
        ValueError: the input's last axes are not `normalized_shape`.

    Differences from torch: no `device`.

    >>> RMSNorm(2, eps=0.0)(jnp.array([3.0, -3.0])).tolist()
    [1.0, -1.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RMSNorm.html
    """

    wide_parameters = True

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        dtype: Any = None,
        *,
        param_dtype: Any = None,
        rngs: nnx.Rngs | None = None,
    ):
        self.normalized_shape = _shape(normalized_shape)
        self.eps = None if eps is None else check.number("eps", eps)
        self.elementwise_affine = check.truth("elementwise_affine", elementwise_affine)
        dtype = float_dtype(self._dtype_of_parameters(dtype, param_dtype))
        self.weight = nnx.Param(jnp.ones(self.normalized_shape, dtype)) if self.elementwise_affine else None

    def __call__(self, x: jax.Array) -> jax.Array:
        return F.rms_norm(x, self.normalized_shape, value(self.weight), self.eps)


class GroupNorm(Layer):
    """Normalises each group of channels of each sample by its mean and biased variance (Wu and He, 2018).

    `y = (x - mean) / sqrt(var + eps) * weight + bias`

    Args:
        num_groups: number of groups, a divisor of `num_channels`.
        num_channels: number of channels, C.
        eps: added to the variance.
        affine: whether to learn `weight` and `bias`.
        dtype: dtype of the parameters, float32 when not given.
        param_dtype: dtype of the parameters in place of `dtype`, which is then that of the output; see `Layer`.
        bias: whether an affine layer learns `bias`.
        rngs: accepted like that of other layers; nothing is random here.

    Attributes:
        weight: `(C,)`, ones at first; None if not affine.
        bias: `(C,)`, zeros at first; None if not affine or without bias.

    Shape:
        `(N, C, *)` to the same.

    Raises:
        TypeError: the input is not floating, or neither of the parameters' dtype nor half beside float32.
        ValueError: channels are no multiple of the groups, or not those of the parameters; one value in all.

    Differences from torch: no `device`.

    >>> GroupNorm(3, 6)(jnp.ones((20, 6, 10, 10))).shape
    (20, 6, 10, 10)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.GroupNorm.html
    """

    wide_parameters = True

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: Any = None,
        *,
        bias: bool = True,
        param_dtype: Any = None,
        rngs: nnx.Rngs | None = None,
    ):
        self.num_groups = check.integer("num_groups", num_groups, least=1)
        self.num_channels = check.integer("num_channels", num_channels, least=0)
        if num_channels % num_groups:
            raise ValueError(f"num_groups: expected a divisor of num_channels={num_channels}, got {num_groups}")
        self.eps = check.number("eps", eps)
        self.affine = check.truth("affine", affine)
        bias = self.affine and check.truth("bias", bias)
        dtype = float_dtype(self._dtype_of_parameters(dtype, param_dtype))
        self.weight = nnx.Param(jnp.ones(self.num_channels, dtype)) if self.affine else None
        self.bias = nnx.Param(jnp.zeros(self.num_channels, dtype)) if bias else None

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.group_norm(input, self.num_groups, value(self.weight), value(self.bias), self.eps)


class LocalResponseNorm(Layer):
    """Divides each channel by a power of the mean square of its neighbours (Krizhevsky et al., 2012).

    `y_c = x_c / (k + alpha / size * sum of x_j²) ** beta`, j from `c - size // 2` to `c + (size - 1) // 2`

    Args:
        size: number of neighbouring channels, at least 1; those outside are 0.
        alpha: factor of the mean square.
        beta: exponent.
        k: added to it.

    Shape:
        `(N, C, *)`, three axes or more, to the same.

    Raises:
        TypeError: an argument is no number, or the input is boolean or complex.
        ValueError: a size below 1, or an input of fewer than three axes.

    Differences from torch: none.

    >>> LocalResponseNorm(2)(jnp.ones((32, 5, 24, 24))).shape
    (32, 5, 24, 24)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LocalResponseNorm.html
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0):
        self.size = check.integer("size", size, least=1)
        self.alpha, self.beta, self.k = (check.number(n, v) for n, v in (("alpha", alpha), ("beta", beta), ("k", k)))

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)


class CrossMapLRN2d(Layer):
    """Caffe's form of `LocalResponseNorm`, with torch's oddities; see `jaxnets.functional.cross_map_lrn2d`.

    `y_c = x_c * (k + alpha / size * s_c) ** -beta`

    Args:
        size: number of neighbouring channels, at least 2.
        alpha: factor of the mean square.
        beta: exponent.
        k: added to it.

    Shape:
        `(N, C, H, W)` to the same.

    Raises:
        TypeError: an argument is no number, or the input is not floating.
        ValueError: a size below 2, or an input without four axes or without channels.

    Differences from torch: none; the gradient is torch's too, whose window begins one channel before the true one.

    >>> CrossMapLRN2d(3)(jnp.ones((1, 5, 4, 4))).shape
    (1, 5, 4, 4)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossMapLRN2d.html
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1):
        self.size = check.integer("size", size, least=2)
        self.alpha, self.beta, self.k = (check.number(n, v) for n, v in (("alpha", alpha), ("beta", beta), ("k", k)))

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.cross_map_lrn2d(input, self.size, self.alpha, self.beta, self.k)


def _shape(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    sizes = normalized_shape if check.is_sequence(normalized_shape) else (normalized_shape,)
    return tuple(check.integer("normalized_shape", size, least=0) for size in sizes)
