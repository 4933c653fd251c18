"""How operands meet: torch's promotion of dtypes, shapes brought to one, axes counted from either end."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import check
from jaxnets.functional.precision import spread, wide

Number = bool | int | float | complex
Operand = Any  # an array or a number of Python
Dims = int | Sequence[int] | None

BOOL, INTEGER, FLOATING, COMPLEX = range(4)


def is_number(value: Any) -> TypeGuard[Number]:
    """Whether `value` is a number of Python: it gives its kind to a result, not its width."""
    return isinstance(value, bool | int | float | complex)


def int64() -> Any:
    """int64 as JAX holds it: int32 unless its 64-bit types are on."""
    return jax.dtypes.canonicalize_dtype(np.int64)


def category(dtype: Any) -> int:
    """Of what kind a dtype is: bool, integer, floating, complex, in torch's order."""
    if dtype == jnp.bool_:
        return BOOL
    if jnp.issubdtype(dtype, jnp.integer):
        return INTEGER
    return COMPLEX if jnp.issubdtype(dtype, jnp.complexfloating) else FLOATING


def complex_of(dtype: Any) -> Any:
    """The complex dtype whose parts have the floating dtype, at least in single precision."""
    return jnp.dtype(jnp.complex128 if dtype == jnp.float64 else jnp.complex64)


def real_of(dtype: Any) -> Any:
    """The dtype of the parts of a complex dtype; other dtypes as they are."""
    return {"complex64": jnp.dtype(jnp.float32), "complex128": jnp.dtype(jnp.float64)}.get(str(dtype), dtype)


def promoted(a: Any, b: Any) -> Any:
    """The dtype of a sum of arrays of these dtypes: `torch.promote_types`."""
    a, b = jnp.dtype(a), jnp.dtype(b)
    (low, high) = sorted((a, b), key=category)
    kind = category(high)
    if a == b or category(low) == BOOL:
        return high
    if "float8" in f"{a} {b}":
        raise TypeError(f"input: torch does not promote {a} and {b}; cast one of them first")
    if kind == COMPLEX:
        both = complex_of(low) if category(low) == FLOATING else low
        return max(high, both, key=lambda t: t.itemsize) if category(both) == COMPLEX else high
    if category(low) != kind:
        return high
    if kind == FLOATING:
        return jnp.dtype(jnp.float32) if a.itemsize == b.itemsize else max(a, b, key=lambda t: t.itemsize)
    if (a.kind == "u") == (b.kind == "u"):
        return max(a, b, key=lambda t: t.itemsize)
    unsigned, signed = (a, b) if a.kind == "u" else (b, a)
    wider = max(2 * unsigned.itemsize, signed.itemsize) if unsigned.itemsize >= signed.itemsize else signed.itemsize
    return jax.dtypes.canonicalize_dtype(f"int{8 * min(wider, 8)}")


def number_dtype(value: Number) -> Any:
    """The dtype that torch gives an array made of a number of Python."""
    if isinstance(value, bool):
        return jnp.dtype(jnp.bool_)
    if isinstance(value, int):
        return int64()
    return jnp.dtype(jnp.float32 if isinstance(value, float) else jnp.complex64)


def common_dtype(*operands: Operand) -> Any:
    """The dtype in which operands meet: `torch.result_type`.

    Arrays with axes say it; an array without axes, and behind it a number, only where it is of a higher kind.
    """
    ranks: list[Any] = [None, None, None]
    for x in operands:
        rank, dtype = (2, number_dtype(x)) if is_number(x) else (int(not x.ndim), x.dtype)
        ranks[rank] = dtype if ranks[rank] is None else promoted(ranks[rank], dtype)
    return _over(ranks[0], _over(ranks[1], ranks[2]))


def _over(higher: Any, lower: Any) -> Any:
    if higher is None or lower is None:
        return lower if higher is None else higher
    if category(higher) >= category(lower):
        return higher
    if category(higher) == FLOATING:
        return complex_of(higher)
    return lower


def as_dtype(value: Operand, dtype: Any) -> jax.Array:
    """An operand as an array of that dtype; a number wraps as it does in torch."""
    if is_number(value):
        if isinstance(value, complex) and category(dtype) != COMPLEX:
            raise TypeError(f"other: {value} does not fit into {dtype}")
        return jnp.asarray(np.asarray(value).astype(dtype))
    if category(value.dtype) == COMPLEX and category(dtype) < COMPLEX:
        return value.real.astype(dtype) if dtype != jnp.bool_ else value != 0
    return value.astype(dtype)


def operand(name: str, value: Any) -> Operand:
    """A number of Python as it is, anything else as an array."""
    return value if is_number(value) else check.array(name, value)


def shapes_together(**arrays: jax.Array) -> tuple[int, ...]:
    """The shape that arrays broadcast to."""
    try:
        return np.broadcast_shapes(*(x.shape for x in arrays.values()))
    except ValueError:
        shapes = " and ".join(str(x.shape) for x in arrays.values())
        raise ValueError(f"{', '.join(arrays)}: expected shapes that broadcast, got {shapes}") from None


def together(*, dtype: Any = None, floating: bool = False, **operands: Any) -> list[jax.Array]:
    """Operands as arrays of one dtype and one shape.

    Args:
        dtype: the dtype; torch's promotion of the operands when not given.
        floating: whether integers and booleans become float32, torch's default dtype.
        operands: arrays and numbers by the name of their argument.
    """
    values = [operand(name, x) for name, x in operands.items()]
    if dtype is None:
        dtype = common_dtype(*values)
        if floating and category(dtype) < FLOATING:
            dtype = jnp.dtype(jnp.float32)
    cast = [as_dtype(x, dtype) for x in values]
    shape = shapes_together(**dict(zip(operands, cast, strict=True)))
    return [spread(x, shape) for x in cast]


def in_wide(f: Callable[..., jax.Array], *arrays: jax.Array) -> jax.Array:
    """`f` of arrays of one dtype, half precisions computed in float32 and rounded once."""
    return f(*map(wide, arrays)).astype(arrays[0].dtype)


def numbers(name: str, value: Any, *, least: int = INTEGER, most: int = COMPLEX) -> jax.Array:
    """`value` as an array of a kind between two."""
    x = check.array(name, value)
    if not least <= category(x.dtype) <= most:
        kinds = ("boolean", "integer", "floating", "complex")[least : most + 1]
        raise TypeError(f"{name}: expected a {' or '.join(kinds)} dtype, got {x.dtype}; cast it first")
    return x


def axis(dim: Any, x: jax.Array, name: str = "dim", extra: int = 0) -> int:
    """`dim` counted from the front. An array without axes is a line of one element; `extra` axes are to be added."""
    n = max(x.ndim + extra, 1)
    if not -n <= check.integer(name, dim) < n:
        raise IndexError(f"{name}: expected an axis from {-n} to {n - 1} of input {x.shape}, got {dim}")
    return int(dim) % n


def axes(dim: Dims, x: jax.Array, name: str = "dim") -> tuple[int, ...]:
    """The axes that `dim` names, all of them for None and for an empty list; none of an array that has none."""
    if dim is None or (check.is_sequence(dim) and not len(dim)):
        return tuple(range(x.ndim))
    given: Sequence[Any] = dim if check.is_sequence(dim) else (dim,)
    found = tuple(axis(d, x, name) for d in given)
    if len(set(found)) != len(found):
        raise ValueError(f"{name}: expected each axis once, got {tuple(given)}")
    return found if x.ndim else ()


def line(x: jax.Array) -> jax.Array:
    """An array without axes as a line of one element; others as they are."""
    return x.reshape(1) if not x.ndim else x


def ints(name: str, values: tuple[Any, ...]) -> tuple[int, ...]:
    """Ints given one by one, or as one list: `view(x, 2, 3)` and `view(x, (2, 3))`."""
    given = tuple(values[0]) if len(values) == 1 and check.is_sequence(values[0]) else values
    return tuple(check.integer(name, v) for v in given)


def filled(name: str, sizes: Sequence[int], total: int) -> tuple[int, ...]:
    """Sizes whose product is `total`; one of them may be -1."""
    known = math.prod(size for size in sizes if size != -1)
    open_ = list(sizes).count(-1)
    fits = (known and total % known == 0) if open_ == 1 else not open_ and known == total
    if not fits or min(sizes, default=0) < -1:
        raise ValueError(f"{name}: expected sizes that make up {total} elements, got {tuple(sizes)}")
    return tuple(total // known if size == -1 else size for size in sizes)


def concrete(name: str, value: jax.Array, what: str) -> np.ndarray:
    """The numbers of an array that the shape of a result depends on."""
    if isinstance(value, jax.core.Tracer):
        raise ValueError(f"{name}: {what} depends on its numbers, not known under jax.jit; compute it outside")
    return np.asarray(value)


def dtype_or(value: Any, default: Any) -> Any:
    """The dtype that was asked for, as JAX holds it, or the default."""
    return default if value is None else check.dtype("dtype", value)
