"""Dtypes: what operands promote to, and casts."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxnets import check
from jaxnets.ops.promotion import (
    COMPLEX,
    FLOATING,
    Operand,
    as_dtype,
    category,
    common_dtype,
    dtype_or,
    operand,
    promoted,
)

__all__ = [
    "can_cast",
    "is_complex",
    "is_floating_point",
    "is_nonzero",
    "is_signed",
    "promote_types",
    "result_type",
    "to",
    "type_as",
]


def to(input: jax.Array, dtype: Any = None, non_blocking: bool = False, copy: bool = False) -> jax.Array:
    """`input` in another dtype; given an array, in its dtype. Devices are not torch's: see `jax.device_put`."""
    x = check.array("input", input)
    if hasattr(dtype, "ndim") and hasattr(dtype, "dtype"):
        dtype = dtype.dtype
    return as_dtype(x, dtype_or(dtype, x.dtype))


def type_as(input: jax.Array, other: jax.Array) -> jax.Array:
    """`input` in the dtype of `other`."""
    return as_dtype(check.array("input", input), check.array("other", other).dtype)


def result_type(tensor1: Operand, tensor2: Operand) -> Any:
    """The dtype in which two operands meet."""
    return common_dtype(operand("tensor1", tensor1), operand("tensor2", tensor2))


def promote_types(type1: Any, type2: Any) -> Any:
    """The smallest dtype that is not below either, in size nor in kind."""
    return promoted(check.dtype("type1", type1), check.dtype("type2", type2))


def can_cast(from_: Any, to: Any) -> bool:
    """Whether torch casts one dtype to another in place: not to a lower kind."""
    source, target = check.dtype("from_", from_), check.dtype("to", to)
    if target == jnp.bool_:
        return source == jnp.bool_
    return category(source) <= category(target)


def is_floating_point(input: jax.Array) -> bool:
    """Whether the dtype is floating."""
    return category(check.array("input", input).dtype) == FLOATING


def is_complex(input: jax.Array) -> bool:
    """Whether the dtype is complex."""
    return category(check.array("input", input).dtype) == COMPLEX


def is_signed(input: jax.Array) -> bool:
    """Whether the dtype has negative numbers."""
    return check.array("input", input).dtype.kind not in "bu"


def is_nonzero(input: jax.Array) -> Any:
    """Whether the one element is not 0: a bool, or an array of one under `jax.jit`."""
    x = check.array("input", input)
    if x.size != 1:
        raise ValueError(f"input: expected one element, got shape {x.shape}")
    holds = x.reshape(()) != jnp.zeros((), x.dtype)
    return holds if isinstance(holds, jax.core.Tracer) else bool(holds)
