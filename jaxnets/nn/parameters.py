"""What every layer needs to hold parameters: their dtype, their random stream, their value."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxnets import check
from jaxnets.nn import init

Initializer = Callable[..., jax.Array]
"""A function of a key and a shape, with a keyword `dtype`: see `jaxnets.nn.init`."""


class _Signature:
    """The arguments of a class's `__init__`, where Flax's classes show `(*args, **kwargs)`."""

    def __get__(self, layer: Any, cls: type) -> inspect.Signature:
        if layer is not None:  # which has the arguments of its call
            raise AttributeError("__signature__")
        begin: Any = getattr(cls, "__init__")  # noqa: B009 - mypy would have it of an instance
        if begin is object.__init__:
            return inspect.Signature()
        signature = inspect.signature(begin)
        return signature.replace(parameters=list(signature.parameters.values())[1:])


class Layer(nnx.Module):
    """A Flax module that `inspect.signature` and `help` show with its own arguments."""

    __signature__ = _Signature()


class Family(Layer):
    """A layer in several forms (1d, 2d, 3d, ...) that share one `__call__`.

    Each form gets it as its own: `nnx.capture` records the methods that stand in a layer's class, not inherited ones.
    """

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        inherited = [vars(base)["__call__"] for base in cls.__mro__ if "__call__" in vars(base)]
        if inherited:
            cls.__call__ = inherited[0]  # type: ignore[method-assign]


class Buffer(nnx.Variable):
    """An array that is part of a module's state but is not trained, as torch's `register_buffer` makes.

    `Buffer(x, persistent=False)` is left out of `state_dict`.
    """


class DrawsStream(nnx.RngStream):
    """A random stream whose keys draw by themselves: `draws`, each time."""

    def __init__(self, draws: init.Draws, key: jax.Array):
        super().__init__(key, tag="params")
        self.draws = draws

    def __call__(self) -> Any:
        return self.draws


def parameter(rngs: nnx.Rngs, initializer: Initializer, shape: tuple[int, ...], dtype: Any = None) -> nnx.Param:
    """A parameter drawn from `rngs.params()`; layers draw in torch's order.

    `dtype` is torch's argument: the parameter's dtype, float32 when not given.
    """
    return nnx.Param(initializer(stream(rngs, "params")(), shape, dtype=float_dtype(dtype)))


def stream(rngs: Any, name: str) -> nnx.RngStream:
    """The random stream of that name, or the default one."""
    if not isinstance(rngs, nnx.Rngs):
        raise TypeError(f"rngs: expected flax.nnx.Rngs, got {type(rngs).__name__}; pass rngs=nnx.Rngs(0)")
    if name not in rngs and "default" not in rngs:
        raise ValueError(f"rngs: expected a stream {name!r} or a default one, got {list(rngs)}; pass rngs=nnx.Rngs(0)")
    return rngs[name]


def float_dtype(dtype: Any) -> jnp.dtype:
    """The dtype of a layer's parameters: float32, torch's default, when none is asked for."""
    dtype = check.dtype("dtype", jnp.float32 if dtype is None else dtype)
    if not jnp.issubdtype(dtype, jnp.inexact):
        raise TypeError(f"dtype: expected a floating or complex dtype, got {dtype}")
    return dtype


def value(variable: nnx.Variable | None) -> jax.Array | None:
    """The array in an optional parameter or buffer."""
    return None if variable is None else variable[...]
