"""What rules are made of."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from jaxnets.convert import expressions as e
from jaxnets.convert.trace import Value

if TYPE_CHECKING:
    from jaxnets.convert.writing.body import Body

__all__ = ["DROPPED", "Rule", "axes", "cast", "same", "unified"]

Rule = Callable[..., e.Expr | None]
"""A function of the body, the operation, and the operation's arguments as torch names them.

It gives the expression, or None where JAX's own functions differ from torch's.
"""

DROPPED = (
    "device",
    "layout",
    "pin_memory",
    "memory_format",
    "generator",
    "requires_grad",
    "non_blocking",
    "copy",
    "out",
)
"""Arguments that change no number."""


def same(body: "Body", op: Any, input: Value, *args: Any, **kwargs: Any) -> e.Expr:
    """The array as it is: what torch does to memory has no meaning for values."""
    return body.expr(input)


def cast(body: "Body", x: Any, dtype: torch.dtype) -> e.Expr:
    """A value in another dtype."""
    if not isinstance(x, Value) or x.dtype == dtype:
        return body.expr(x)
    return e.method(body.expr(x), "astype", dtype)


def unified(body: "Body", *operands: Any) -> list[e.Expr] | None:
    """Operands such that JAX computes in the dtype in which torch does; None where an operand is no number."""
    arrays = [x for x in operands if isinstance(x, Value)]
    if not arrays:
        return None
    wanted = result_type(*operands)
    if wanted is None:
        return None
    jaxs = arrays[0].dtype
    for x in arrays[1:]:
        jaxs = torch.promote_types(jaxs, x.dtype)
    floats = any(isinstance(x, float) for x in operands)
    agree = jaxs == wanted and not (floats and not jaxs.is_floating_point and not jaxs.is_complex)
    return [body.expr(x) if agree else cast(body, x, wanted) for x in operands]


def result_type(*operands: Any) -> torch.dtype | None:
    """The dtype in which torch computes with arrays, arrays without axes, and Python's numbers."""
    stand_ins: list[Any] = []
    for x in operands:
        if isinstance(x, Value):
            stand_ins.append(torch.empty((1,) * bool(x.ndim), dtype=x.dtype, device="meta"))
        elif isinstance(x, bool | int | float | complex):
            stand_ins.append(x)
        else:
            return None
    wanted = None
    for x in stand_ins:
        wanted = (
            x
            if wanted is None
            else torch.empty(
                (1,) * max(getattr(wanted, "ndim", 0), getattr(x, "ndim", 0)),
                dtype=torch.result_type(wanted, x),
                device="meta",
            )
        )
    return wanted.dtype if isinstance(wanted, torch.Tensor) else None


def axes(dim: Any) -> Any:
    """torch's `dim` as JAX's `axis`: a tuple for several."""
    return tuple(dim) if isinstance(dim, list | tuple) else dim
