"""Computing in another dtype than that of the parameters: what `param_dtype` and `nn.utils.compute_in` stand on.

A module that computes in another dtype gets a subclass of its class. While such a module is called, its parameters read
as cast to that dtype; at all other times, and for `nnx.split`, `nnx.grad`, optimizers and `state_dict`, they are what
they are. Modules that do not use it keep their class: for them there is nothing to test and nothing to pay.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, wraps
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

_calling: ContextVar[bool] = ContextVar("_calling", default=False)
"""Whether parameters are read in order to compute with them."""


class _Cast(nnx.Variable):
    """What a variable reads as in a call: its value in the dtype of computation. What is set is set in the variable."""

    def __init__(self, held: nnx.Variable, value: jax.Array):
        metadata = held.get_metadata(exclude_required=True)
        super().__init__(value, hijax=False, ref=False, eager_sharding=False, **{**metadata, "held": held})

    def set_value(self, value: Any, *, index: Any = ...) -> None:
        held = object.__getattribute__(self, "_var_metadata")["held"]
        dtype = self.get_value().dtype
        super().set_value(jnp.asarray(value, dtype), index=index)
        held.set_value(jnp.asarray(value, held.get_value().dtype), index=index)


@contextmanager
def as_held(held: bool = True) -> Iterator[None]:
    """Parameters read as they are inside, in a call too: for what is done to them, not with them."""
    token = _calling.set(not held)
    try:
        yield
    finally:
        _calling.reset(token)


def mark(module: Any, dtype: Any, inputs: bool = True, kinds: Any = nnx.Variable) -> None:
    """Makes a module compute in a dtype: variables of these kinds, and inputs or not. None takes it back."""
    object.__setattr__(module, "__class__", computing(type(module), dtype, inputs, kinds))


def origin(cls: type) -> type:
    """The class without what makes it compute in a dtype."""
    return vars(cls)["_computing"][0] if "_computing" in vars(cls) else cls


def computing(cls: type, dtype: Any, inputs: bool, kinds: Any) -> type:
    """The class that computes in a dtype; with None the plain one."""
    base = origin(cls)
    return base if dtype is None else _subclass(base, jnp.dtype(dtype), inputs, kinds)


def like(cls: type, plain: type) -> type:
    """The class `plain`, computing as `cls` does."""
    _, *settings = getattr(cls, "_computing", (cls, None, False, ()))
    return computing(plain, *settings)


def widest(*dtypes: Any) -> Any:
    """The dtype that holds all, promoted even where JAX is told not to promote by itself."""
    with jax.numpy_dtype_promotion("standard"):
        return jnp.result_type(*dtypes)


def cast(tree: Any, dtype: Any) -> Any:
    """Floating arrays in that dtype, all else as it is; an array that is there twice stays one."""
    seen: dict[int, Any] = {}

    def leaf(x: Any) -> Any:
        if not (isinstance(x, jax.Array | np.ndarray) and _fits(x.dtype, dtype)):
            return x
        return seen.setdefault(id(x), jnp.asarray(x).astype(dtype))

    return jax.tree.map(leaf, tree, is_leaf=lambda x: isinstance(x, nnx.Pytree | nnx.Variable))


def _fits(dtype: Any, wanted: Any) -> bool:
    """Whether arrays of a dtype are cast to `wanted`: numbers that lose no imaginary part and are no integers."""
    kind = jnp.inexact if jnp.issubdtype(wanted, jnp.complexfloating) else jnp.floating
    return dtype != wanted and jnp.issubdtype(dtype, kind)


@cache
def _subclass(base: type, dtype: Any, inputs: bool, kinds: Any) -> type:
    """The same class for the same dtype, so that equal modules have equal graph definitions."""
    of: Any = base
    parameters = widest(dtype, jnp.float32) if getattr(of, "wide_parameters", False) else dtype

    def read(self: Any, name: str) -> Any:
        found = of.__getattribute__(self, name)
        return _read(found, parameters) if isinstance(found, kinds) and _calling.get() else found

    def reduce(self: Any, protocol: Any) -> tuple[Any, ...]:
        return _blank, (base, dtype, inputs, kinds), *of.__reduce_ex__(self, protocol)[2:]

    body: dict[str, Any] = {
        "__module__": base.__module__,
        "__doc__": base.__doc__,
        "__getattribute__": read,
        "__reduce_ex__": reduce,
        "_computing": (base, dtype, inputs, kinds),
        "compute_dtype": dtype,
    }
    for name in getattr(of, "computing_methods", ("__call__",)):
        if any(name in vars(cls) for cls in base.__mro__):
            body[name] = _call(getattr(of, name), dtype if inputs else None)
    return type(base.__name__, (base,), body)


def _blank(*settings: Any) -> Any:
    """What copying and unpickling fill."""
    return object.__new__(_subclass(*settings))


def _read(held: nnx.Variable, dtype: Any) -> nnx.Variable:
    with as_held():  # what is computed from parameters is computed in their dtype, and cast then
        value = held.get_value()
    if not (isinstance(value, jax.Array) and _fits(value.dtype, dtype)):
        return held
    return _Cast(held, value.astype(dtype))


def _call(method: Callable[..., Any], dtype: Any) -> Callable[..., Any]:
    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if dtype is not None:
            args, kwargs = cast((args, kwargs), dtype)
        with as_held(False):
            return method(self, *args, **kwargs)

    return call
