"""Affine and bilinear layers: `torch.nn.Linear`, `Bilinear`, `Identity`."""

import math
from functools import partial
from typing import Any

import jax
from flax import nnx

from jaxnets import check
from jaxnets import functional as F
from jaxnets.nn import init
from jaxnets.nn.parameters import Layer, parameter, value

__all__ = ["Bilinear", "Identity", "Linear"]


class Identity(Layer):
    """Returns its input; takes and ignores any arguments.

    >>> Identity(54, unused=True)(3)
    3

    Differences from torch: none.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Identity.html
    """

    def __init__(self, *args: Any, **kwargs: Any):
        del args, kwargs

    def __call__(self, input: Any) -> Any:
        return input


class Linear(Layer):
    """Affine map of the last axis.

    `y = x Aᵀ + b`

    Args:
        in_features: size of the last axis of the input.
        out_features: size of the last axis of the output.
        bias: whether to learn `b`.
        dtype: dtype of the parameters, float32 when not given.
        param_dtype: dtype of the parameters in place of `dtype`, which is then that of the computation; see `Layer`.
        rngs: random streams; `params` draws both parameters from `U(-1/sqrt(in_features), 1/sqrt(in_features))`.

    Attributes:
        weight: `(out_features, in_features)`.
        bias: `(out_features,)`, or None.

    Shape:
        `(*, in_features)` to `(*, out_features)`.

    Differences from torch: no `device`; `rngs` is new.

    >>> layer = Linear(20, 30, rngs=nnx.Rngs(0))
    >>> layer(jax.numpy.ones((128, 20))).shape
    (128, 30)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        dtype: Any = None,
        *,
        param_dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        dtype = self._dtype_of_parameters(dtype, param_dtype)
        self.in_features = check.integer("in_features", in_features, least=0)
        self.out_features = check.integer("out_features", out_features, least=0)
        bias = check.truth("bias", bias)
        self.weight = parameter(rngs, partial(init.kaiming_uniform, a=math.sqrt(5)), (out_features, in_features), dtype)
        bound = 1 / math.sqrt(in_features) if in_features else 0.0
        self.bias = parameter(rngs, partial(init.uniform, a=-bound, b=bound), (out_features,), dtype) if bias else None

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.linear(input, self.weight[...], value(self.bias))


class Bilinear(Layer):
    """Bilinear map of the last axes of two inputs.

    `y_k = x1ᵀ A_k x2 + b_k`

    Args:
        in1_features: size of the last axis of the first input, at least 1.
        in2_features: size of the last axis of the second input.
        out_features: size of the last axis of the output.
        bias: whether to learn `b`.
        dtype: dtype of the parameters, float32 when not given.
        param_dtype: dtype of the parameters in place of `dtype`, which is then that of the computation; see `Layer`.
        rngs: random streams; `params` draws both from `U(-1/sqrt(in1_features), 1/sqrt(in1_features))`.

    Attributes:
        weight: `(out_features, in1_features, in2_features)`.
        bias: `(out_features,)`, or None.

    Shape:
        `(*, in1_features)`, `(*, in2_features)` to `(*, out_features)`.

    Differences from torch: no `device`; `rngs` is new.

    >>> layer = Bilinear(20, 30, 40, rngs=nnx.Rngs(0))
    >>> layer(jax.numpy.ones((128, 20)), jax.numpy.ones((128, 30))).shape
    (128, 40)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Bilinear.html
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        dtype: Any = None,
        *,
        param_dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        dtype = self._dtype_of_parameters(dtype, param_dtype)
        self.in1_features = check.integer("in1_features", in1_features, least=1)
        self.in2_features = check.integer("in2_features", in2_features, least=0)
        self.out_features = check.integer("out_features", out_features, least=0)
        bias = check.truth("bias", bias)
        bound = 1 / math.sqrt(in1_features)
        draw = partial(init.uniform, a=-bound, b=bound)
        self.weight = parameter(rngs, draw, (out_features, in1_features, in2_features), dtype)
        self.bias = parameter(rngs, draw, (out_features,), dtype) if bias else None

    def __call__(self, input1: jax.Array, input2: jax.Array) -> jax.Array:
        return F.bilinear(input1, input2, self.weight[...], value(self.bias))
