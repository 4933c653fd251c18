"""Weights as a length and a direction, in torch's old form: `torch.nn.utils.weight_norm`."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxnets import check
from jaxnets.functional.precision import wide
from jaxnets.nn.utils import computed

__all__ = ["remove_weight_norm", "weight_norm"]


def norm_except_dim(v: jax.Array, dim: int | None) -> jax.Array:
    """The norm of each slice along `dim`, with axes of size 1 for the others; of the whole for None (or -1)."""
    axis = None if dim in (None, -1) else check.integer("dim", dim)
    if axis is not None and not -v.ndim <= axis < v.ndim:
        raise ValueError(f"dim: expected an axis of an array of shape {v.shape}, got {dim}")
    axes = None if axis is None else tuple(i for i in range(v.ndim) if i != axis % v.ndim)
    squares = jnp.square(jnp.abs(wide(v)))
    return jnp.sqrt(squares.sum(axes, keepdims=axis is not None)).astype(v.real.dtype)


def with_norm(v: jax.Array, g: jax.Array, dim: int | None) -> jax.Array:
    """`g * v / |v|`, the norm taken over all axes but `dim`."""
    x = wide(v)
    scale = wide(g) / norm_except_dim(x, dim)
    return (x * (scale if scale.ndim else scale.reshape((1,) * v.ndim))).astype(v.dtype)


@dataclass(frozen=True)
class WeightNorm(computed.Rule):
    dim: int | None = 0

    def compute(self, module: Any) -> jax.Array:
        g, v = (getattr(module, self.name + suffix)[...] for suffix in ("_g", "_v"))
        return with_norm(v, g, self.dim)


def weight_norm(module: nnx.Module, name: str = "weight", dim: int | None = 0) -> nnx.Module:
    """Replaces a weight by its length and its direction, two parameters (Salimans and Kingma, 2016).

    `w = g * v / |v|`

    torch's old form, with the keys `weight_g` and `weight_v`; `parametrizations.weight_norm` is the new one.

    Args:
        module: the layer, changed in place.
        name: the name of the weight; `<name>_g` and `<name>_v` take its place.
        dim: the axis along which there is a norm for each slice; None (or -1) for one norm of the whole.

    Returns:
        The layer.

    Raises:
        TypeError: `module` is no `nnx.Module`.
        ValueError: no such parameter, it is normalised already, or it has no such axis.

    Differences from torch: the weight is computed whenever it is read, not once in each call. No warning.

    >>> from jaxnets import nn
    >>> layer = weight_norm(nn.Linear(20, 40, rngs=nnx.Rngs(0)))
    >>> layer.weight_g.shape, layer.weight_v.shape, layer.weight.shape
    ((40, 1), (40, 20), (40, 20))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.weight_norm.html
    """
    if computed.find(module, name, WeightNorm):
        raise ValueError(f"name: expected a parameter without weight_norm, but {name!r} has one already")
    weight = computed.variable(module, name)
    g = nnx.Param(norm_except_dim(weight.get_value(), dim))
    computed.drop(module, name)
    setattr(module, name + "_g", g)
    setattr(module, name + "_v", weight)
    computed.attach(module, WeightNorm(name, dim))
    return module


def remove_weight_norm(module: nnx.Module, name: str = "weight") -> nnx.Module:
    """Makes one parameter of length and direction again.

    Args:
        module: the layer, changed in place.
        name: the name of the weight.

    Returns:
        The layer.

    Raises:
        ValueError: the weight has no `weight_norm`.

    Differences from torch: none.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.remove_weight_norm.html
    """
    rule = computed.find(module, name, WeightNorm)
    if rule is None:
        raise ValueError(f"name: expected a parameter with weight_norm, got {name!r}")
    weight = nnx.Param(rule.compute(module))
    computed.drop(module, name + "_g", name + "_v")
    computed.detach(module, name, weight)
    return module
