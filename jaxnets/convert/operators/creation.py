"""Arrays from numbers, constants, ranges; what writes over a whole array."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from jaxnets.convert import expressions as e
from jaxnets.convert.operators.rules import Rule, cast
from jaxnets.convert.trace import Op, Value, tree_leaves

if TYPE_CHECKING:
    from jaxnets.convert.body import Body

__all__ = ["RULES"]


def _filled(function: str, body: "Body", op: Op, *size: Any, **kwargs: Any) -> e.Expr:
    """`jnp.zeros(shape, dtype)`."""
    return e.call(function, body.sizes(op.output.shape), op.output.dtype)


def _filled_like(function: str, body: "Body", op: Op, input: Value, *args: Any, **kwargs: Any) -> e.Expr:
    if input.dtype == op.output.dtype:
        return e.call(f"{function}_like", body.expr(input))
    return e.call(f"{function}_like", body.expr(input), op.output.dtype)


def _new_filled(function: str, body: "Body", op: Op, input: Value, *args: Any, **kwargs: Any) -> e.Expr:
    return _filled(function, body, op)


def _full(body: "Body", op: Op, size: Any, fill_value: Any, **kwargs: Any) -> e.Expr:
    return e.call("jnp.full", body.sizes(op.output.shape), cast(body, fill_value, op.output.dtype), op.output.dtype)


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


def _arange(body: "Body", op: Op, *bounds: Any, **kwargs: Any) -> e.Expr | None:
    bounds = (*bounds, *(kwargs[name] for name in ("start", "end", "step") if name in kwargs))
    dtype = op.output.dtype
    if len(bounds) == 2 and not isinstance(bounds[0], torch.SymInt) and bounds[0] == 0:
        bounds = bounds[1:]
    named = {} if dtype == torch.int64 and not any(isinstance(x, float) for x in bounds) else {"dtype": dtype}
    return e.call("jnp.arange", *map(body.expr, bounds), **named)


def _tensor(body: "Body", op: Op, data: Any, *args: Any, **kwargs: Any) -> e.Expr | None:
    if isinstance(data, Value):
        return cast(body, data, op.output.dtype)
    if any(isinstance(x, Value) for x in tree_leaves(data)):
        return e.method(e.call("jnp.array", body.expr(data)), "astype", op.output.dtype)
    return e.call("jnp.array", body.expr(data), op.output.dtype)


RULES: Mapping[str, Rule] = {
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
    "arange": _arange,
    **dict.fromkeys(("tensor", "as_tensor", "scalar_tensor", "new_tensor"), _tensor),
}
RULES = {**RULES, "new_tensor": lambda body, op, input, data, **kwargs: _tensor(body, op, data)}
