"""Python expressions as syntax trees, made from names and values."""

import ast
import math
from typing import Any

import numpy as np
import torch

from jaxnets.convert.errors import ConversionError
from jaxnets.convert.sizes import Size

__all__ = ["UnsaidError", "call", "dotted", "dtype", "literal", "method", "template", "unparse"]

Expr = ast.expr


class UnsaidError(ConversionError, TypeError):
    """A value that no expression says."""


DTYPES = {
    torch.bool: "bool",
    torch.int64: "int",
    torch.float64: "float",
    torch.complex128: "complex",
    **{
        getattr(torch, name): f"jnp.{name}"
        for name in (
            *("float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "complex64"),
            *("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32"),
        )
    },
}
"""torch's dtypes in source. Python's own types are those that JAX holds in 32 bits unless `jax_enable_x64` is set."""


def dotted(name: str) -> Expr:
    """`a.b.c`."""
    head, *rest = name.split(".")
    expr: Expr = ast.Name(head)
    for part in rest:
        expr = ast.Attribute(expr, part)
    return expr


def call(function: str | Expr, *args: Any, **kwargs: Any) -> Expr:
    """`function(*args, **kwargs)`; what is no expression yet is a literal."""
    func = dotted(function) if isinstance(function, str) else function
    return ast.Call(func, [literal(x) for x in args], [ast.keyword(name, literal(x)) for name, x in kwargs.items()])


def method(owner: Expr, name: str, *args: Any, **kwargs: Any) -> Expr:
    """`owner.name(*args, **kwargs)`."""
    return call(ast.Attribute(owner, name), *args, **kwargs)


def binary(left: Expr, operator: str, right: Expr) -> Expr:
    """`left operator right`, arithmetic or comparison."""
    shape = ast.parse(f"a {operator} b", mode="eval").body
    if isinstance(shape, ast.Compare):
        return ast.Compare(left, shape.ops, [right])
    assert isinstance(shape, ast.BinOp)
    return ast.BinOp(left, shape.op, right)


def unary(operator: str, operand: Expr) -> Expr:
    shape = ast.parse(f"{operator} a", mode="eval").body
    assert isinstance(shape, ast.UnaryOp)
    return ast.UnaryOp(shape.op, operand)


def template(text: str, **parts: Expr) -> Expr:
    """The expression `text` with names replaced by expressions."""

    class Fill(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> Expr:
            return parts.get(node.id, node)

    return Fill().visit(ast.parse(text, mode="eval").body)


def dtype(value: torch.dtype) -> Expr:
    """torch's dtype as JAX's."""
    if value not in DTYPES:
        raise UnsaidError(f"{value} has no counterpart in JAX; use another dtype")
    return dotted(DTYPES[value])


def literal(value: Any) -> Expr:
    """Python's numbers, strings, None, containers of them; a syntax tree is itself."""
    if isinstance(value, ast.AST):
        return value  # type: ignore[return-value]
    if isinstance(value, torch.dtype):
        return dtype(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Size):
        value = int.__add__(value, 0)
    if isinstance(value, float) and not math.isfinite(value):
        return dotted("jnp.nan") if math.isnan(value) else _signed(dotted("jnp.inf"), value < 0)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _signed(ast.Constant(abs(value)), value < 0 or (value == 0 and math.copysign(1, value) < 0))
    if isinstance(value, complex):
        return call("complex", value.real, value.imag)
    if isinstance(value, bool | str | bytes) or value is None or value is ...:
        return ast.Constant(value)
    if isinstance(value, slice):
        return call("slice", *((value.stop,) if value.start is None and value.step is None else _slice_parts(value)))
    if isinstance(value, list):
        return ast.List([literal(x) for x in value])
    if isinstance(value, tuple):
        return ast.Tuple([literal(x) for x in value])
    if isinstance(value, dict):
        return ast.Dict([literal(k) for k in value], [literal(x) for x in value.values()])
    found = f"{value!r} of type {type(value).__name__}"
    raise UnsaidError(f"expected what a literal of Python says, got {found}; use a number, a string or an array")


def _slice_parts(value: slice) -> tuple[Any, ...]:
    parts = (value.start, value.stop, value.step)
    return parts if value.step is not None else parts[:2]


def _signed(expr: Expr, negative: bool) -> Expr:
    return ast.UnaryOp(ast.USub(), expr) if negative else expr


def subscript(owner: Expr, *index: Any) -> Expr:
    """`owner[index, ...]`, slices as `a:b`."""
    parts = [_index(i) for i in index]
    return ast.Subscript(owner, parts[0] if len(parts) == 1 else ast.Tuple(parts))


def _index(value: Any) -> Expr:
    if isinstance(value, slice):
        return ast.Slice(*(None if x is None else literal(x) for x in (value.start, value.stop, value.step)))
    return literal(value)


def unparse(node: ast.AST) -> str:
    return ast.unparse(ast.fix_missing_locations(node))
