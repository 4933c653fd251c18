"""Arguments as torch understands them, and errors that say argument, expected, received, remedy."""

from collections.abc import Sequence
from numbers import Real
from operator import index
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp


def is_sequence(value: Any) -> TypeGuard[Sequence[Any]]:
    """Whether `value` is a list, a tuple or the like of values: neither text, nor bytes, nor a number."""
    return getattr(value, "ndim", 0) == 1 or (isinstance(value, Sequence) and not isinstance(value, str | bytes))


def ntuple(name: str, value: Any, n: int, *, least: int | None = None, repeat: bool = True) -> tuple[int, ...]:
    """`value` for each of `n` axes: an int is repeated (with `repeat`, one int in a list too), `n` ints are kept.

    >>> ntuple("stride", 2, 3), ntuple("stride", [1, 2], 2)
    ((2, 2, 2), (1, 2))
    """
    values: tuple[Any, ...] = tuple(value) if is_sequence(value) else (value,) * n
    if len(values) == 1 and repeat:
        values *= n
    if len(values) != n:
        raise ValueError(f"{name}: expected an int or {n} ints, one for each spatial axis, got {value!r}")
    return tuple(integer(name, v, least=least) for v in values)


def integer(name: str, value: Any, *, least: int | None = None) -> int:
    """`value`, an int of Python, numpy or JAX that is not below `least`, as an int."""
    try:
        if isinstance(value, bool):
            raise TypeError
        whole = index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an int, got {value!r} of type {type(value).__name__}") from None
    if least is not None and whole < least:
        raise ValueError(f"{name}: expected an int of at least {least}, got {whole}")
    return whole


def number(name: str, value: Any) -> float:
    """`value`, a real number of Python or numpy, as a float.

    >>> number("eps", 1)
    1.0
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}: expected a number, got {value!r} of type {type(value).__name__}")
    return float(value)


def flag(name: str, value: Any) -> bool:
    """`value`, True or False of Python or numpy, as a bool; numbers and strings are refused."""
    if type(value).__name__ not in ("bool", "bool_"):
        raise TypeError(f"{name}: expected True or False, got {value!r} of type {type(value).__name__}")
    return bool(value)


def truth(name: str, value: Any) -> bool:
    """Whether `value` holds, as Python sees it: where torch asks no more. An array has no truth."""
    try:
        return bool(value)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name}: expected True or False, got an object of type {type(value).__name__}") from None


def probability(name: str, value: Any) -> float:
    """`value` as a probability in [0, 1]."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}: expected a probability in [0, 1], got {value!r} of type {type(value).__name__}")
    if not 0 <= float(value) <= 1:
        raise ValueError(f"{name}: expected a probability in [0, 1], got {value}")
    return float(value)


def choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """`value`, which must be one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, choices))}, got {value!r}")
    return value


def dtype(name: str, value: Any) -> Any:
    """`value` as a dtype that JAX can hold."""
    try:
        return jax.dtypes.canonicalize_dtype(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected a dtype such as jnp.float32, got {value!r}") from None


def array(name: str, value: Any) -> jax.Array:
    """`value` as a jax array: anything array-like but a list, which torch refuses as well."""
    if isinstance(value, jax.Array):
        if jnp.issubdtype(value.dtype, jax.dtypes.extended):
            raise TypeError(f"{name}: expected an array of numbers, got an array of {value.dtype}")
        return value
    if not (hasattr(value, "__array__") or hasattr(value, "__jax_array__")):
        raise TypeError(f"{name}: expected an array, got {type(value).__name__}; convert it with jnp.asarray")
    try:
        return jnp.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:  # whatever the owner of `__array__` raises
        raise TypeError(f"{name}: expected an array of numbers, got {type(value).__name__}: {error}") from None


def scalar(name: str, value: Any) -> jax.Array:
    """`value`, a number or an array that holds one, as a jax array without axes."""
    number = jnp.asarray(value) if isinstance(value, int | float | complex) else array(name, value)
    if number.ndim:
        raise ValueError(f"{name}: expected a number, got an array of shape {number.shape}")
    return number


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


def unchanged(name: str, value: Any, converted: Any) -> None:
    """Refuses an argument that is no array and not the one for which a module was converted."""
    if value is not converted and not (type(value) is type(converted) and value == converted):
        raise ValueError(
            f"{name}: expected {converted!r}, for which this module was converted, got {value!r}; convert it for this"
        )


def shape(name: str, value: Any, expected: tuple[int | None, ...]) -> None:
    """Refuses an array of another shape than the one for which a module was converted; None is any size."""
    if len(value.shape) != len(expected) or any(e not in (None, s) for e, s in zip(expected, value.shape, strict=True)):
        wanted = "(" + ", ".join("any" if size is None else str(size) for size in expected) + ")"
        raise ValueError(
            f"{name}: expected shape {wanted}, for which this module was converted, got {tuple(value.shape)}; convert "
            "it with inputs of this shape"
        )
