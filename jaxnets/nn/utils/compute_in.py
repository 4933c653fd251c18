"""The dtype that a model computes in, chosen after it is built."""

from typing import Any

import jax.numpy as jnp
from flax import nnx

from jaxnets.nn import precision
from jaxnets.nn.parameters import float_dtype
from jaxnets.nn.utils import computed

__all__ = ["compute_in"]


def compute_in(module: Any, dtype: Any, *, except_: Any = ()) -> Any:
    """Makes a model compute in a dtype, e.g. `jnp.bfloat16`, with its parameters as they are.

    Each layer with parameters then works as if it were built with this `dtype` and its parameters' as `param_dtype`:
    it casts floating inputs and parameters in its call, and gives an output in `dtype`; parameters, gradients and
    running statistics keep their dtype. In the calls of other modules, of your own or converted ones, only their
    parameters read as cast. Layers of Flax's own `nnx`, which have a `dtype` themselves, are left alone.

    Args:
        module: a Flax NNX module; changed in place. Before `nnx.split`: what was split off keeps what it was.
        dtype: a floating or complex dtype; None takes everything back, what constructors said too.
        except_: a module of the model, a class of modules, or a tuple of those: they, and all in them, compute in the
            dtype of their parameters, float32 if they have none; floating inputs are cast to it.

    Returns:
        `module`.

    Raises:
        TypeError: `module` is no module, `dtype` is none of those, or `except_` holds something else.
        ValueError: a module of `except_` is not in the model.

    Differences from torch: torch has `torch.autocast`, which chooses for each operation.

    >>> from jaxnets import nn
    >>> net = nn.Sequential(nn.Linear(2, 3, rngs=nnx.Rngs(0)), nn.ReLU(), nn.Linear(3, 1, rngs=nnx.Rngs(0)))
    >>> x = jnp.ones((4, 2))
    >>> compute_in(net, jnp.bfloat16)(x).dtype.name, net[0].weight.dtype.name
    ('bfloat16', 'float32')
    >>> compute_in(net, jnp.bfloat16, except_=net[2])(x).dtype.name, compute_in(net, None)(x).dtype.name
    ('float32', 'float32')
    """
    if not isinstance(module, nnx.Module):
        raise TypeError(f"module: expected a flax.nnx.Module, got {type(module).__name__}")
    dtype = None if dtype is None else float_dtype(dtype)
    modules = _modules(module)
    excepted = _excepted(modules, except_ if isinstance(except_, tuple | list) else (except_,))
    kept = {id(x): _held(node) for node in excepted for x in _modules(node)}
    for node in modules:
        layer = getattr(node, "takes_param_dtype", False)
        inputs = layer or any(node is x for x in excepted)
        _mark(node, None if dtype is None else kept.get(id(node), dtype), inputs, nnx.Variable if layer else KINDS)
    return module


KINDS = (nnx.Param, computed.Computed)
"""What is cast of a module that is none of our layers: buffers may hold what must be exact."""


def _modules(module: nnx.Module) -> list[nnx.Module]:
    """Those whose dtype is chosen here: what parametrizations compute is cast, not what they compute it from."""
    return [
        node
        for path, node in nnx.iter_graph(module)
        if isinstance(node, nnx.Module)
        and "parametrizations" not in path
        and not precision.origin(computed.origin(type(node))[0]).__module__.startswith("flax.")
    ]


def _excepted(modules: list[nnx.Module], wanted: tuple[Any, ...] | list[Any]) -> list[nnx.Module]:
    for x in wanted:
        if not isinstance(x, nnx.Module) and not (isinstance(x, type) and issubclass(x, nnx.Module)):
            raise TypeError(f"except_: expected modules and classes of modules, got {x!r} of type {type(x).__name__}")
        if not isinstance(x, type) and all(x is not node for node in modules):
            raise ValueError(f"except_: expected modules of the model, got a {type(x).__name__} that is not in it")
    return [n for n in modules if any(isinstance(n, x) if isinstance(x, type) else n is x for x in wanted)]


def _held(module: nnx.Module) -> Any:
    """The dtype of the parameters in a module."""
    arrays = [x.get_value() for _, x in nnx.iter_graph(module) if isinstance(x, nnx.Param)]
    found = {x.dtype for x in arrays if jnp.issubdtype(x.dtype, jnp.inexact)}
    return precision.widest(*found) if found else jnp.dtype(jnp.float32)


def _mark(module: nnx.Module, dtype: Any, inputs: bool, kinds: Any) -> None:
    """The rules of a module with computed attributes stay above."""
    base, rules = computed.origin(type(module))
    cls = precision.computing(base, dtype, inputs, kinds)
    object.__setattr__(module, "__class__", computed.with_rules(cls, rules))
