"""Arithmetic, comparisons, elementwise functions, products of matrices, reductions."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from jaxnets.convert import expressions as e
from jaxnets.convert.operators.rules import Rule, axes, cast, result_type, same, unified
from jaxnets.convert.trace import Op, Value

if TYPE_CHECKING:
    from jaxnets.convert.writing.body import Body

__all__ = ["RULES"]

DIFFERENTIABLE = "+-*/"


def _binary(operator: str, body: "Body", op: Op, input: Any, other: Any, *, alpha: Any = 1) -> e.Expr | None:
    pair = unified(body, input, other)
    if pair is None or (operator in DIFFERENTIABLE and _sums_halves(input, other)):
        return None
    left, right = pair
    if alpha != 1:
        right = e.binary(right, "*", e.literal(alpha))
    return e.binary(left, operator, right)


def _sums_halves(*operands: Any) -> bool:
    """Whether a gradient is a sum in half precision, for which `jaxnets.ops` has float32."""
    arrays = [x for x in operands if isinstance(x, Value)]
    return len({x.shape for x in arrays}) > 1 and result_type(*operands) in (torch.float16, torch.bfloat16)


def _reflected(operator: str, body: "Body", op: Op, input: Any, other: Any, **kwargs: Any) -> e.Expr | None:
    """`other operator input`: Python's reflected operators, `torch.rsub`."""
    return _binary(operator, body, op, other, input, **kwargs)


def _arithmetic(operator: str, body: "Body", op: Op, input: Any, other: Any, *, alpha: Any = 1) -> e.Expr | None:
    if isinstance(op.output, Value) and op.output.dtype == torch.bool:  # logical or, logical and
        return None
    return _binary(operator, body, op, input, other, alpha=alpha)


def _division(
    swap: bool, body: "Body", op: Op, input: Any, other: Any, *, rounding_mode: str | None = None
) -> e.Expr | None:
    if rounding_mode is not None:
        return None
    top, bottom = (other, input) if swap else (input, other)
    wanted = result_type(top, bottom)
    if wanted is None:
        return None
    if not wanted.is_floating_point and not wanted.is_complex:
        return e.binary(cast(body, top, torch.float32), "/", cast(body, bottom, torch.float32))
    return _binary("/", body, op, top, bottom)


def _power(swap: bool, body: "Body", op: Op, input: Any, exponent: Any) -> e.Expr | None:
    base, exponent = (exponent, input) if swap else (input, exponent)
    floating = isinstance(base, Value) and (base.dtype.is_floating_point or base.dtype.is_complex)
    if floating and isinstance(exponent, int | float) and exponent >= 0:
        if exponent == 0.5:
            return e.call("jnp.sqrt", body.expr(base))
        whole = int(exponent) if exponent == int(exponent) else exponent
        return e.binary(body.expr(base), "**", e.literal(whole))
    return None


def _unary(function: str, body: "Body", op: Op, input: Value) -> e.Expr | None:
    if not (input.dtype.is_floating_point or input.dtype.is_complex):
        return None  # torch computes with float32, JAX with its widest floats
    return e.call(function, body.expr(input))


def _any_dtype(function: str, body: "Body", op: Op, input: Value) -> e.Expr | None:
    return e.call(function, body.expr(input))


def _sign_change(body: "Body", op: Op, input: Value) -> e.Expr:
    return e.unary("-", body.expr(input))


def _not(body: "Body", op: Op, input: Value) -> e.Expr:
    return e.unary("~", body.expr(input))


def _logical_not(body: "Body", op: Op, input: Value) -> e.Expr:
    return _not(body, op, input) if input.dtype == torch.bool else e.call("jnp.logical_not", body.expr(input))


def _pair(function: str, body: "Body", op: Op, input: Any, other: Any) -> e.Expr | None:
    pair = unified(body, input, other)
    return None if pair is None else e.call(function, *pair)


def _matmul(body: "Body", op: Op, input: Value, other: Value) -> e.Expr | None:
    if input.dtype != other.dtype:
        return None
    return e.binary(body.expr(input), "@", body.expr(other))


def _rmatmul(body: "Body", op: Op, input: Value, other: Value) -> e.Expr | None:
    return _matmul(body, op, other, input)


def _addmm(
    body: "Body", op: Op, input: Value, mat1: Value, mat2: Value, *, beta: Any = 1, alpha: Any = 1
) -> e.Expr | None:
    if (beta, alpha) != (1, 1) or not (input.dtype == mat1.dtype == mat2.dtype):
        return None
    return e.binary(body.expr(input), "+", e.binary(body.expr(mat1), "@", body.expr(mat2)))


def _einsum(body: "Body", op: Op, equation: Any, *operands: Any) -> e.Expr | None:
    if len(operands) == 1 and isinstance(operands[0], tuple | list):
        operands = tuple(operands[0])
    if not isinstance(equation, str) or len({x.dtype for x in operands}) > 1:
        return None
    return e.call("jnp.einsum", equation, *map(body.expr, operands))


def _reduction(
    function: str, body: "Body", op: Op, input: Value, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> e.Expr | None:
    """`x.mean(axis, keepdims=True)` of floating numbers."""
    if not input.dtype.is_floating_point or dtype not in (None, input.dtype) or (dim is not None and _is_empty(dim)):
        return None
    if not input.ndim and dim is not None:  # an axis of what has none
        return None
    args = () if dim is None else (axes(dim),)
    return e.method(body.expr(input), function, *args, **({"keepdims": True} if keepdim else {}))


def _is_empty(dim: Any) -> bool:
    return isinstance(dim, tuple | list) and not dim


def _where(body: "Body", op: Op, condition: Value, input: Any = None, other: Any = None) -> e.Expr | None:
    if input is None or other is None or condition.dtype != torch.bool:
        return None
    pair = unified(body, input, other)
    return None if pair is None else e.call("jnp.where", body.expr(condition), *pair)


def _where_method(body: "Body", op: Op, input: Value, condition: Value, other: Any) -> e.Expr:
    """`x.where(condition, other)`: the method's order is another one."""
    found = _where(body, op, condition, input, other)
    return found or e.call("ops.where", body.expr(condition), body.expr(input), body.expr(other))


def _polygamma_method(body: "Body", op: Op, input: Value, n: int) -> e.Expr:
    return e.call("ops.polygamma", body.expr(n), body.expr(input))


def _masked_fill(body: "Body", op: Op, input: Value, mask: Value, value: Any) -> e.Expr | None:
    if isinstance(value, Value):
        fill = cast(body, value, input.dtype)
    elif input.dtype.is_floating_point or (isinstance(value, int) and input.dtype != torch.bool):
        fill = e.literal(value)
    else:
        return None
    return e.call("jnp.where", body.expr(mask), fill, body.expr(input))


def _alias(name: str) -> Rule:
    """A function of `jaxnets.functional` that torch has in its first room, too."""

    def rule(body: "Body", op: Op, input: Value, *args: Any, **kwargs: Any) -> e.Expr | None:
        if args or kwargs:
            return None
        return e.call(f"F.{name}", body.expr(input))

    return rule


ARITHMETIC = {"add": "+", "sub": "-", "mul": "*"}
COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
BITS = {"bitwise_and": "&", "bitwise_or": "|", "bitwise_xor": "^"}
FLOATING = {
    **{name: f"jnp.{name}" for name in ("exp", "log", "log2", "log10", "log1p", "expm1", "sin", "cos", "tan", "tanh")},
    **{name: f"jnp.{name}" for name in ("sinh", "cosh", "arcsin", "arccos", "arctan", "sqrt", "exp2")},
    "asin": "jnp.arcsin",
    "acos": "jnp.arccos",
    "atan": "jnp.arctan",
    "asinh": "jnp.arcsinh",
    "acosh": "jnp.arccosh",
    "atanh": "jnp.arctanh",
    "rsqrt": "jax.lax.rsqrt",
    "reciprocal": "jnp.reciprocal",
    "erf": "jax.scipy.special.erf",
    "erfc": "jax.scipy.special.erfc",
    "sigmoid": "F.sigmoid",
    **{name: f"jnp.{name}" for name in ("floor", "ceil", "trunc")},
}
ANY = {
    "isnan": "jnp.isnan",
    "isinf": "jnp.isinf",
    "isfinite": "jnp.isfinite",
    "square": "jnp.square",
    "abs": "jnp.abs",
}

RULES: Mapping[str, Rule] = {
    **{name: partial(_arithmetic, operator) for name, operator in ARITHMETIC.items()},
    **{name: partial(_binary, operator) for name, operator in COMPARISONS.items()},
    **{name: partial(_binary, operator) for name, operator in BITS.items()},
    "rsub": partial(_reflected, "-"),
    "div": partial(_division, False),
    "rdiv": partial(_division, True),
    "pow": partial(_power, False),
    **{name: partial(_unary, function) for name, function in FLOATING.items()},
    **{name: partial(_any_dtype, function) for name, function in ANY.items()},
    "neg": _sign_change,
    "positive": same,
    "bitwise_not": _not,
    "logical_not": _logical_not,
    "logical_and": partial(_pair, "jnp.logical_and"),
    "logical_or": partial(_pair, "jnp.logical_or"),
    "matmul": _matmul,
    "mm": _matmul,
    "bmm": _matmul,
    "rmatmul": _rmatmul,
    "addmm": _addmm,
    "einsum": _einsum,
    "sum": partial(_reduction, "sum"),
    "mean": partial(_reduction, "mean"),
    "where": _where,
    "Tensor.where": _where_method,
    "Tensor.polygamma": _polygamma_method,
    "masked_fill": _masked_fill,
    "relu": _alias("relu"),
    "selu": _alias("selu"),
}
