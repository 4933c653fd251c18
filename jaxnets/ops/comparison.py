"""Comparisons, logic and bits."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets import check
from jaxnets.functional.precision import spread
from jaxnets.ops.promotion import (
    COMPLEX,
    FLOATING,
    INTEGER,
    Operand,
    category,
    concrete,
    int64,
    is_number,
    numbers,
    operand,
    together,
)

__all__ = [
    "allclose",
    "argwhere",
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "eq",
    "equal",
    "ge",
    "greater",
    "greater_equal",
    "gt",
    "isclose",
    "isin",
    "le",
    "less",
    "less_equal",
    "logical_and",
    "logical_or",
    "logical_xor",
    "lt",
    "ne",
    "nonzero",
    "nonzero_static",
    "not_equal",
    "where",
]


def _compared(f: Callable[..., jax.Array], input: Operand, other: Operand, most: int = FLOATING) -> jax.Array:
    a, b = together(input=input, other=other)
    return f(numbers("input", a, least=0, most=most), b)


def eq(input: Operand, other: Operand) -> jax.Array:
    """Where two operands are equal; NaN never is."""
    return _compared(jnp.equal, input, other, COMPLEX)


def ne(input: Operand, other: Operand) -> jax.Array:
    """Where two operands differ."""
    return _compared(jnp.not_equal, input, other, COMPLEX)


def lt(input: Operand, other: Operand) -> jax.Array:
    """Where `input < other`."""
    return _compared(jnp.less, input, other)


def le(input: Operand, other: Operand) -> jax.Array:
    """Where `input <= other`."""
    return _compared(jnp.less_equal, input, other)


def gt(input: Operand, other: Operand) -> jax.Array:
    """Where `input > other`."""
    return _compared(jnp.greater, input, other)


def ge(input: Operand, other: Operand) -> jax.Array:
    """Where `input >= other`."""
    return _compared(jnp.greater_equal, input, other)


not_equal = ne
less = lt
less_equal = le
greater = gt
greater_equal = ge


def equal(input: jax.Array, other: jax.Array) -> Any:
    """Whether two arrays have one shape and the same elements: a bool, or an array of one under `jax.jit`."""
    a, b = check.array("input", input), check.array("other", other)
    if a.shape != b.shape:
        return False
    return _truth(jnp.all(eq(a, b)))


def isclose(
    input: jax.Array, other: jax.Array, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> jax.Array:
    """Where `|input - other| <= atol + rtol * |other|`; equal infinities are close, NaN to NaN with `equal_nan`."""
    a, b = check.array("input", input), check.array("other", other)
    check.same_dtype(input=a, other=b)
    if rtol < 0 or atol < 0:
        raise ValueError(f"rtol, atol: expected numbers that are not negative, got {rtol} and {atol}")
    a, b = together(input=a, other=b)
    close = a == b
    if equal_nan and category(a.dtype) >= FLOATING:
        close |= jnp.isnan(a) & jnp.isnan(b)
    if not rtol and not atol:
        return close
    if category(a.dtype) < FLOATING:
        a, b = a.astype(jnp.float32), b.astype(jnp.float32)
    difference = jnp.abs(a - b)
    allowed = atol + jnp.abs(rtol * b)
    return close | (jnp.isfinite(difference) & (difference <= allowed))


def allclose(
    input: jax.Array, other: jax.Array, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Any:
    """Whether `isclose` holds everywhere: a bool, or an array of one under `jax.jit`."""
    return _truth(jnp.all(isclose(input, other, rtol, atol, equal_nan)))


def _truth(x: jax.Array) -> Any:
    return x if isinstance(x, jax.core.Tracer) else bool(x)


def isin(elements: Operand, test_elements: Operand, *, assume_unique: bool = False, invert: bool = False) -> jax.Array:
    """Where elements are among `test_elements`, or are not with `invert`."""
    a, b = operand("elements", elements), operand("test_elements", test_elements)
    dtype = together(elements=_first(a), test_elements=_first(b))[0].dtype
    return jnp.isin(jnp.asarray(a).astype(dtype), jnp.asarray(b).astype(dtype), invert=invert)


def _first(x: Operand) -> Operand:
    """An operand of the same weight in promotion, with at most one element."""
    return x if is_number(x) or not x.ndim else jnp.zeros(1, x.dtype)


def _logical(f: Callable[..., jax.Array], input: jax.Array, other: jax.Array) -> jax.Array:
    a, b = (numbers(name, x, least=0) for name, x in (("input", input), ("other", other)))
    return f(*together(input=a != jnp.zeros((), a.dtype), other=b != jnp.zeros((), b.dtype)))


def logical_and(input: jax.Array, other: jax.Array) -> jax.Array:
    """Where neither operand is 0."""
    return _logical(jnp.logical_and, input, other)


def logical_or(input: jax.Array, other: jax.Array) -> jax.Array:
    """Where an operand is not 0."""
    return _logical(jnp.logical_or, input, other)


def logical_xor(input: jax.Array, other: jax.Array) -> jax.Array:
    """Where one operand is 0 and the other is not."""
    return _logical(jnp.logical_xor, input, other)


def _bitwise(f: Callable[..., jax.Array], input: Operand, other: Operand, least: int = 0) -> jax.Array:
    a, b = together(input=input, other=other)
    return f(numbers("input", a, least=least, most=INTEGER), b)


def bitwise_and(input: Operand, other: Operand) -> jax.Array:
    """Bits that both have; integers and booleans only."""
    return _bitwise(jnp.bitwise_and, input, other)


def bitwise_or(input: Operand, other: Operand) -> jax.Array:
    """Bits that either has; integers and booleans only."""
    return _bitwise(jnp.bitwise_or, input, other)


def bitwise_xor(input: Operand, other: Operand) -> jax.Array:
    """Bits that one has and the other has not; integers and booleans only."""
    return _bitwise(jnp.bitwise_xor, input, other)


def bitwise_left_shift(input: Operand, other: Operand) -> jax.Array:
    """Bits moved up by `other` places."""
    return _bitwise(lax.shift_left, input, other, INTEGER)


def bitwise_right_shift(input: Operand, other: Operand) -> jax.Array:
    """Bits moved down by `other` places; the sign is kept."""
    return _bitwise(jnp.right_shift, input, other, INTEGER)


def where(condition: jax.Array, input: Operand | None = None, other: Operand | None = None) -> Any:
    """`input` where the condition holds, else `other`; without both, the indices where it holds, axis by axis.

    The indices have a shape that depends on numbers: they cannot be computed under `jax.jit`.
    """
    condition = numbers("condition", condition, least=0)
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    if input is None or other is None:
        raise TypeError("input, other: expected both or neither, got one of them")
    if condition.dtype not in (jnp.bool_, jnp.uint8):
        raise TypeError(f"condition: expected dtype bool, got {condition.dtype}; compare it with 0")
    a, b = operand("input", input), operand("other", other)
    arrays = together(input=a, other=b)
    shape = np.broadcast_shapes(condition.shape, arrays[0].shape) if _fits(condition, arrays[0]) else None
    if shape is None:
        raise ValueError(f"condition: expected a shape that broadcasts with {arrays[0].shape}, got {condition.shape}")
    condition, *arrays = (spread(x, shape) for x in (condition.astype(bool), *arrays))
    return jnp.where(condition, *arrays)


def _fits(a: jax.Array, b: jax.Array) -> bool:
    pairs = zip(a.shape[::-1], b.shape[::-1], strict=False)
    return all(m == n or 1 in (m, n) for m, n in pairs)


def nonzero(input: jax.Array, *, as_tuple: bool = False) -> Any:
    """The indices of elements that are not 0: `(n, axes)`, or a tuple of `(n,)` for each axis.

    Their number depends on numbers: not under `jax.jit`; `nonzero_static` is.
    """
    x = check.array("input", input)
    found = np.asarray(concrete("input", x, "the number of indices"))
    if as_tuple:
        return tuple(jnp.asarray(i.astype(int64())) for i in np.nonzero(np.atleast_1d(found)))
    return jnp.asarray(np.argwhere(found).astype(int64()))


def argwhere(input: jax.Array) -> jax.Array:
    """The indices of elements that are not 0, `(n, axes)`; see `nonzero`."""
    return nonzero(input)


def nonzero_static(input: jax.Array, *, size: int, fill_value: int = -1) -> jax.Array:
    """The first `size` indices of elements that are not 0, `(size, axes)`, filled up with `fill_value`."""
    x = check.array("input", input)
    check.integer("size", size, least=0)
    if not x.ndim:
        return jnp.zeros((size, 0), int64())
    if not x.size:
        return jnp.full((size, x.ndim), fill_value, int64())
    found = jnp.stack(jnp.nonzero(x, size=size, fill_value=fill_value), -1)
    return found.astype(int64())
