"""Layers without initial values: `torch.nn.utils.skip_init`."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx

from jaxnets.nn import init
from jaxnets.nn.parameters import DrawsStream

__all__ = ["skip_init"]


class _Zeros(init.Draws):
    """Draws nothing."""

    def uniform(self, shape: Sequence[int], a: float, b: float, dtype: Any) -> Any:
        return _zeros(shape, dtype)

    def normal(self, shape: Sequence[int], mean: float, std: float, dtype: Any) -> Any:
        return _zeros(shape, dtype)

    def trunc_normal(self, shape: Sequence[int], mean: float, std: float, a: float, b: float, dtype: Any) -> Any:
        return _zeros(shape, dtype)

    def permutations(self, n: int, count: int) -> Any:
        return np.tile(np.arange(n), (count, 1))


def _zeros(shape: Sequence[int], dtype: Any) -> jax.Array:
    return jax.device_put(np.zeros(tuple(shape), dtype))  # `jnp.zeros` would be a program to compile for each shape


def skip_init(module_cls: type, *args: Any, rngs: nnx.Rngs | None = None, **kwargs: Any) -> Any:
    """A layer whose random initial values are not drawn: zeros, to be filled from a checkpoint.

    Args:
        module_cls: a class of `jaxnets.nn`.
        args: what it is called with.
        rngs: random streams for what is random in its calls, such as dropout; `nnx.Rngs(0)` when not given.
        kwargs: what it is called with.

    Returns:
        The layer.

    Raises:
        TypeError: `module_cls` is no subclass of `nnx.Module`.

    Differences from torch: parameters that are not random have their initial values. `rngs` is new.

    >>> from jaxnets import nn
    >>> skip_init(nn.Linear, 2, 1).weight[...]
    Array([[0., 0.]], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.skip_init.html
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, nnx.Module)):
        raise TypeError(f"module_cls: expected a subclass of flax.nnx.Module, got {module_cls!r}")
    build: Any = module_cls
    return build(*args, rngs=unfilled_rngs(nnx.Rngs(0) if rngs is None else rngs), **kwargs)


def unfilled_rngs(rngs: nnx.Rngs) -> nnx.Rngs:
    """Random streams of which `params` gives zeros."""
    streams: Any = rngs.fork()
    streams.params = DrawsStream(_Zeros(), jax.random.key(0))
    return streams
