"""Arrays from numbers, constants, ranges; what writes over a whole array."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jaxnets.convert import expressions as e
from jaxnets.convert.constants import constant
from jaxnets.convert.operators.rules import Rule, cast
from jaxnets.convert.trace import Op, Value, tree_leaves

if TYPE_CHECKING:
    from jaxnets.convert.writing.body import Body

__all__ = ["RULES"]


def _filled(function: str, body: "Body", op: Op, *size: Any, **kwargs: Any) -> e.Expr:
    """`jnp.zeros(shape, dtype)`."""
    return e.call(function, body.sizes(_listed(size or (kwargs["size"],))), op.output.dtype)


def _listed(size: Any) -> Any:
    """Sizes, given one by one or in one sequence."""
    return size[0] if len(size) == 1 and isinstance(size[0], tuple | list) else size


def _filled_like(function: str, body: "Body", op: Op, input: Value, *args: Any, **kwargs: Any) -> e.Expr:
    if input.dtype == op.output.dtype:
        return e.call(f"{function}_like", body.expr(input))
    return e.call(f"{function}_like", body.expr(input), op.output.dtype)


def _new_filled(function: str, body: "Body", op: Op, input: Value, *size: Any, **kwargs: Any) -> e.Expr:
    return _filled(function, body, op, *size, **kwargs)


def _full(body: "Body", op: Op, size: Any, fill_value: Any, **kwargs: Any) -> e.Expr:
    return e.call("jnp.full", body.sizes(_listed((size,))), cast(body, fill_value, op.output.dtype), op.output.dtype)


def _full_like(body: "Body", op: Op, input: Value, fill_value: Any, **kwargs: Any) -> e.Expr:
    named = {} if input.dtype == op.output.dtype else {"dtype": op.output.dtype}
    return e.call("jnp.full_like", body.expr(input), cast(body, fill_value, op.output.dtype), **named)


def _new_full(body: "Body", op: Op, input: Value, size: Any, fill_value: Any, **kwargs: Any) -> e.Expr:
    return _full(body, op, size, fill_value)


def _zero(body: "Body", op: Op, input: Value) -> e.Expr:
    return e.call("jnp.zeros_like", body.expr(input))


def _copy(body: "Body", op: Op, input: Value, source: Any, *args: Any) -> e.Expr:
    if not isinstance(source, Value):
        return e.call("jnp.full_like", body.expr(input), source)
    copied = cast(body, source, input.dtype)
    if [str(x) for x in source.shape] == [str(x) for x in input.shape]:
        return copied
    return e.call("jnp.broadcast_to", copied, body.shape(input))


def _fill_diagonal(body: "Body", op: Op, input: Value, fill_value: Any, wrap: bool = False) -> e.Expr:
    named = {"wrap": True} if wrap else {}
    return e.call("jnp.fill_diagonal", body.expr(input), cast(body, fill_value, input.dtype), **named, inplace=False)


def _arange(body: "Body", op: Op, *bounds: Any, **kwargs: Any) -> e.Expr | None:
    bounds = (*bounds, *(kwargs[name] for name in ("start", "end", "step") if name in kwargs))
    dtype = op.output.dtype
    if len(bounds) == 2 and bounds[0] == 0:
        bounds = bounds[1:]
    named = {} if dtype == torch.int64 and not any(isinstance(x, float) for x in bounds) else {"dtype": dtype}
    return e.call("jnp.arange", *map(body.expr, bounds), **named)


def _tensor(body: "Body", op: Op, data: Any, *args: Any, **kwargs: Any) -> e.Expr | None:
    if isinstance(data, np.ndarray | np.generic):
        return constant(torch.as_tensor(data).to(op.output.dtype))
    if isinstance(data, Value):
        return cast(body, data, op.output.dtype)
    if any(isinstance(x, Value) for x in tree_leaves(data)):
        return e.method(e.call("jnp.array", body.expr(data)), "astype", op.output.dtype)
    return e.call("jnp.array", body.expr(data), op.output.dtype)


def _bernoulli(body: "Body", op: Op, input: Value, p: Any = 0.5) -> e.Expr:
    drawn = e.call("jax.random.bernoulli", body.key(), body.expr(p), body.shape(input))
    return e.method(drawn, "astype", op.output.dtype)


def _normal(body: "Body", op: Op, input: Value, mean: Any = 0.0, std: Any = 1.0) -> e.Expr:
    drawn = e.call("jax.random.normal", body.key(), body.shape(input), op.output.dtype)
    scaled = drawn if std == 1 else e.binary(body.expr(std), "*", drawn)
    return scaled if mean == 0 else e.binary(body.expr(mean), "+", scaled)


def _random(name: str, body: "Body", op: Op, input: Value, *args: Any, **kwargs: Any) -> e.Expr:
    """torch's writing draws, by the function of `jaxnets.ops` that gives a new array."""
    named = {("from_" if key == "from" else key): body.expr(x) for key, x in kwargs.items()}
    return e.call(f"ops.{name}", body.expr(input), *map(body.expr, args), **named, key=body.key())


def _drawn(function: str, body: "Body", op: Op, *size: Any, **kwargs: Any) -> e.Expr:
    """`randn`, `rand`, and those like an array."""
    size = size or (kwargs.get("size", kwargs.get("input")),)
    shape = body.shape(size[0]) if isinstance(size[0], Value) else body.sizes(_listed(size))
    return e.call(f"jax.random.{function}", body.key(), shape, op.output.dtype)


RULES: Mapping[str, Rule] = {
    "bernoulli_": _bernoulli,
    "normal_": _normal,
    **{f"{name}_": partial(_random, name) for name in ("uniform", "exponential", "log_normal", "cauchy", "geometric")},
    **dict.fromkeys(("randn", "randn_like"), partial(_drawn, "normal")),
    **dict.fromkeys(("rand", "rand_like"), partial(_drawn, "uniform")),
    **{name: partial(_filled, f"jnp.{name}") for name in ("zeros", "ones")},
    "empty": partial(_filled, "jnp.zeros"),
    **{f"{name}_like": partial(_filled_like, f"jnp.{name}") for name in ("zeros", "ones")},
    "empty_like": partial(_filled_like, "jnp.zeros"),
    **{f"new_{name}": partial(_new_filled, f"jnp.{name}") for name in ("zeros", "ones")},
    "new_empty": partial(_new_filled, "jnp.zeros"),
    "full": _full,
    "full_like": _full_like,
    "new_full": _new_full,
    "zero_": _zero,
    "fill_": _full_like,
    "copy_": _copy,
    "fill_diagonal": _fill_diagonal,
    "arange": _arange,
    **dict.fromkeys(("tensor", "as_tensor", "asarray", "scalar_tensor", "from_numpy"), _tensor),
}
RULES = {**RULES, "new_tensor": lambda body, op, input, data, **kwargs: _tensor(body, op, data)}
