"""What every layer needs to hold parameters: their dtype, their random stream, their value."""

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from jaxnets import check
from jaxnets.nn import init, precision

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
    """A Flax module that `inspect.signature` and `help` show with its own arguments.

    A layer with parameters takes `dtype` and `param_dtype`. Alone, `dtype` is torch's: the dtype of the parameters,
    which the input must have. Together they are Flax's: parameters, their gradients and running statistics are of
    `param_dtype`, while inputs and parameters are cast to `dtype` for the computation, which is that of the output.
    Integers and booleans are never cast; normalisations compute in float32 at least. See also
    `jaxnets.nn.utils.compute_in`.
    """

    __signature__ = _Signature()
    takes_param_dtype: ClassVar[bool] = False
    compute_dtype: ClassVar[Any] = None
    """The dtype of computation, where it is not that of the parameters."""
    wide_parameters: ClassVar[bool] = False
    """Whether parameters are computed with in float32 at least."""
    computing_methods: ClassVar[tuple[str, ...]] = ("__call__",)
    """What computes with parameters and inputs."""

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if "param_dtype" in inspect.signature(vars(cls).get("__init__", object)).parameters:
            cls.takes_param_dtype = True

    def _dtype_of_parameters(self, dtype: Any, param_dtype: Any) -> Any:
        """The dtype that the constructor gives to parameters; with `param_dtype`, the layer computes in `dtype`."""
        if param_dtype is None:
            return dtype
        param_dtype = float_dtype(param_dtype, "param_dtype")
        dtype = param_dtype if dtype is None else float_dtype(dtype)
        if jnp.issubdtype(param_dtype, jnp.complexfloating) and not jnp.issubdtype(dtype, jnp.complexfloating):
            raise TypeError(f"dtype: expected a complex dtype, as param_dtype={param_dtype} is, got {dtype}")
        precision.mark(self, dtype)
        return param_dtype


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


def float_dtype(dtype: Any, name: str = "dtype") -> jnp.dtype:
    """The dtype of a layer's parameters: float32, torch's default, when none is asked for."""
    dtype = check.dtype(name, jnp.float32 if dtype is None else dtype)
    if not jnp.issubdtype(dtype, jnp.inexact):
        raise TypeError(f"{name}: expected a floating or complex dtype, got {dtype}")
    return dtype


def value(variable: nnx.Variable | None) -> jax.Array | None:
    """The array in an optional parameter or buffer."""
    return None if variable is None else variable[...]
