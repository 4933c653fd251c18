"""Arguments as torch understands them, and errors that say argument, expected, received, remedy."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp


def ntuple(name: str, value: Any, n: int, *, least: int | None = None) -> tuple[int, ...]:
    """`value` for each of `n` axes: an int is repeated, a sequence of `n` ints is kept.

    >>> ntuple("stride", 2, 3), ntuple("stride", [1, 2], 2)
    ((2, 2, 2), (1, 2))
    """
    values: tuple[Any, ...] = (value,) * n if not isinstance(value, Sequence) else tuple(value)
    if len(values) == 1 and n > 1:
        values *= n
    if len(values) != n:
        raise ValueError(f"{name}: expected an int or {n} ints, one for each spatial axis, got {value!r}")
    return tuple(integer(name, v, least=least) for v in values)


def integer(name: str, value: Any, *, least: int | None = None) -> int:
    """`value` as an int that is not below `least`."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: expected an int, got {value!r} of type {type(value).__name__}")
    value = value.__index__()
    if least is not None and value < least:
        raise ValueError(f"{name}: expected an int of at least {least}, got {value}")
    return value


def flag(name: str, value: Any) -> bool:
    """`value` as a bool; numbers and strings are refused."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected True or False, got {value!r} of type {type(value).__name__}")
    return value


def probability(name: str, value: Any) -> float:
    """`value` as a probability in [0, 1]."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}: expected a number in [0, 1], got {value!r} of type {type(value).__name__}")
    if not 0 <= value <= 1:
        raise ValueError(f"{name}: expected a probability in [0, 1], got {value}")
    return float(value)


def choice(name: str, value: Any, choices: Sequence[Any]) -> Any:
    """`value`, which must be one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, choices))}, got {value!r}")
    return value


def array(name: str, value: Any) -> jax.Array:
    """`value` as a jax array: anything array-like but a list, which torch refuses as well."""
    if isinstance(value, jax.Array):
        return value
    if not (hasattr(value, "__array__") or hasattr(value, "__jax_array__")):
        raise TypeError(f"{name}: expected an array, got {type(value).__name__}; convert it with jnp.asarray")
    return jnp.asarray(value)


def rank(name: str, value: jax.Array, shapes: dict[int, str]) -> None:
    """Refuses an array whose number of axes is not a key of `shapes`, e.g. `{2: "(C, L)", 3: "(N, C, L)"}`."""
    if value.ndim not in shapes:
        wanted = " or ".join(f"{n} axes {shape}" for n, shape in shapes.items())
        raise ValueError(f"{name}: expected {wanted}, got {value.ndim} axes, shape {value.shape}")


def same_dtype(**arrays: jax.Array | None) -> None:
    """Refuses arrays of different dtypes: torch does not promote, and silent promotion hides mistakes."""
    given = {name: x.dtype for name, x in arrays.items() if x is not None}
    (first, wanted), *rest = given.items()
    for name, dtype in rest:
        if dtype != wanted:
            raise TypeError(
                f"{first} is {wanted} but {name} is {dtype}: expected one dtype; "
                f"cast one of them, e.g. {first}.astype({name}.dtype)"
            )
