"""Arrays made of numbers: ranges, constants, triangles of indices."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets import check
from jaxnets.ops.promotion import (
    BOOL,
    FLOATING,
    Number,
    Operand,
    as_dtype,
    category,
    common_dtype,
    dtype_or,
    int64,
    ints,
    is_number,
    number_dtype,
    operand,
)

__all__ = [
    "arange",
    "as_tensor",
    "asarray",
    "empty",
    "empty_like",
    "empty_permuted",
    "empty_strided",
    "eye",
    "from_numpy",
    "full",
    "full_like",
    "linspace",
    "logspace",
    "new_empty",
    "new_full",
    "new_ones",
    "new_tensor",
    "new_zeros",
    "ones",
    "ones_like",
    "range",
    "scalar_tensor",
    "tensor",
    "tril_indices",
    "triu_indices",
    "vander",
    "zeros",
    "zeros_like",
]


def _constant(size: tuple[Any, ...], value: Number, dtype: Any) -> jax.Array:
    return jnp.full(ints("size", size), value, dtype_or(dtype, jnp.float32))


def zeros(size: Any, *more: Any, dtype: Any = None) -> jax.Array:
    """Zeros; float32 unless said otherwise."""
    return _constant((size, *more), 0, dtype)


def ones(size: Any, *more: Any, dtype: Any = None) -> jax.Array:
    """Ones; float32 unless said otherwise."""
    return _constant((size, *more), 1, dtype)


def empty(size: Any, *more: Any, dtype: Any = None) -> jax.Array:
    """Zeros, where torch has no particular numbers; float32 unless said otherwise."""
    return _constant((size, *more), 0, dtype)


def empty_strided(size: Any, stride: Any, *, dtype: Any = None) -> jax.Array:
    """As `empty`: arrays have no strides."""
    return _constant((size,), 0, dtype)


def empty_permuted(size: Any, physical_layout: Any, *, dtype: Any = None) -> jax.Array:
    """As `empty`: arrays have no strides."""
    return _constant((size,), 0, dtype)


def full(size: Any, fill_value: Operand, *, dtype: Any = None) -> jax.Array:
    """One number everywhere; its dtype is that of the number unless said otherwise: int64, float32, bool."""
    value = operand("fill_value", fill_value)
    if not is_number(value) and value.ndim:
        raise ValueError(f"fill_value: expected a number, got an array of shape {value.shape}")
    return jnp.broadcast_to(as_dtype(value, dtype_or(dtype, common_dtype(value))), ints("size", (size,)))


def full_like(input: jax.Array, fill_value: Operand, *, dtype: Any = None) -> jax.Array:
    """One number everywhere, in the shape and dtype of `input`."""
    x = check.array("input", input)
    return full(x.shape, fill_value, dtype=x.dtype if dtype is None else dtype)


def zeros_like(input: jax.Array, *, dtype: Any = None) -> jax.Array:
    """Zeros in the shape and dtype of `input`."""
    return full_like(input, 0, dtype=dtype)


def ones_like(input: jax.Array, *, dtype: Any = None) -> jax.Array:
    """Ones in the shape and dtype of `input`."""
    return full_like(input, 1, dtype=dtype)


def empty_like(input: jax.Array, *, dtype: Any = None) -> jax.Array:
    """Zeros in the shape and dtype of `input`, where torch has no particular numbers."""
    return full_like(input, 0, dtype=dtype)


def new_zeros(input: jax.Array, size: Any, *more: Any, dtype: Any = None) -> jax.Array:
    """Zeros in the dtype of `input`."""
    return zeros(size, *more, dtype=check.array("input", input).dtype if dtype is None else dtype)


def new_ones(input: jax.Array, size: Any, *more: Any, dtype: Any = None) -> jax.Array:
    """Ones in the dtype of `input`."""
    return ones(size, *more, dtype=check.array("input", input).dtype if dtype is None else dtype)


def new_empty(input: jax.Array, size: Any, *more: Any, dtype: Any = None) -> jax.Array:
    """Zeros in the dtype of `input`, where torch has no particular numbers."""
    return new_zeros(input, size, *more, dtype=dtype)


def new_full(input: jax.Array, size: Any, fill_value: Operand, *, dtype: Any = None) -> jax.Array:
    """One number everywhere, in the dtype of `input`."""
    return full(size, fill_value, dtype=check.array("input", input).dtype if dtype is None else dtype)


def new_tensor(input: jax.Array, data: Any, *, dtype: Any = None) -> jax.Array:
    """`data` in the dtype of `input`."""
    return tensor(data, dtype=check.array("input", input).dtype if dtype is None else dtype)


def tensor(data: Any, *, dtype: Any = None) -> jax.Array:
    """An array of numbers in nested lists, or of an array; Python's floats are float32, its ints int64.

    >>> tensor([1, 2.5]).dtype
    dtype('float32')
    """
    if is_number(data):
        return as_dtype(data, dtype_or(dtype, number_dtype(data)))
    if hasattr(data, "__array__") or hasattr(data, "__jax_array__"):
        x = check.array("data", data)
        return x.astype(dtype_or(dtype, x.dtype))
    if not check.is_sequence(data):
        raise TypeError(f"data: expected numbers in nested lists, got {type(data).__name__}")
    items = [tensor(v) for v in data]
    if not items:
        return jnp.zeros(0, dtype_or(dtype, jnp.float32))
    common = dtype_or(dtype, common_dtype(*items))
    for x in items:
        if x.shape != items[0].shape:
            raise ValueError(f"data: expected lists of one length, got shapes {items[0].shape} and {x.shape}")
    return jnp.stack([as_dtype(x, common) for x in items])


def as_tensor(data: Any, dtype: Any = None) -> jax.Array:
    """As `tensor`."""
    return tensor(data, dtype=dtype)


def asarray(obj: Any, *, dtype: Any = None, copy: bool | None = None) -> jax.Array:
    """As `tensor`."""
    return tensor(obj, dtype=dtype)


def from_numpy(ndarray: Any) -> jax.Array:
    """A numpy array as a JAX array; 64 bits become 32 unless JAX's 64-bit types are on."""
    return check.array("ndarray", ndarray)


def scalar_tensor(s: Number, *, dtype: Any = None) -> jax.Array:
    """A number as an array without axes; float32 unless said otherwise."""
    return as_dtype(s, dtype_or(dtype, jnp.float32))


def _number(name: str, value: Any) -> Any:
    if is_number(value):
        return value
    x = check.array(name, value)
    if isinstance(x, jax.core.Tracer):
        raise ValueError(f"{name}: the size of the result depends on it, and it is not known under jax.jit")
    return x.item()


def arange(start: Any = 0, end: Any = None, step: Any = 1, *, dtype: Any = None) -> jax.Array:
    """`start`, `start + step`, ... before `end`; int64 if all three are integers, else float32.

    >>> arange(2, 8, 3).tolist()
    [2, 5]
    """
    if end is None:
        start, end = 0, start
    begin, stop, by = _number("start", start), _number("end", end), _number("step", step)
    if not by or not (math.isfinite(begin) and math.isfinite(stop)):
        raise ValueError(f"step: expected finite bounds and a step that is not 0, got {begin}, {stop}, {by}")
    if (stop - begin) / by < 0:
        raise ValueError(f"step: expected the sign of end - start, {stop - begin}, got {by}")
    whole = all(isinstance(v, int) for v in (begin, stop, by))
    found = dtype_or(dtype, int64() if whole else jnp.float32)
    if category(found) < FLOATING:
        begin, stop, by = int(begin), int(stop), int(by)
        count = -(-(stop - begin) // by)
    else:
        count = math.ceil((stop - begin) / by)
    if category(found) == BOOL or (category(found) == FLOATING and (begin != int(begin) or by != int(by))):
        # rounded once, as torch does, which computes in double precision
        return jnp.asarray((begin + by * np.arange(count)).astype(found))
    return lax.iota(found, count) * jnp.asarray(by, found) + jnp.asarray(begin, found)


def range(start: Any = 0, end: Any = None, step: Any = 1, *, dtype: Any = None) -> jax.Array:
    """`start`, `start + step`, ... up to `end` itself; float32 unless said otherwise. torch has deprecated it."""
    if end is None:
        start, end = 0, start
    count = math.floor((end - start) / step) + 1
    return jnp.asarray((start + step * np.arange(count)).astype(dtype_or(dtype, jnp.float32)))


def _ends(start: Any, end: Any, steps: int, dtype: Any) -> tuple[jax.Array, jax.Array, Any]:
    check.integer("steps", steps, least=0)
    a, b = operand("start", start), operand("end", end)
    for name, x in (("start", a), ("end", b)):
        if not is_number(x) and x.ndim:
            raise ValueError(f"{name}: expected a number, got an array of shape {x.shape}")
    kind = common_dtype(a, b)
    found = dtype_or(dtype, kind if category(kind) > FLOATING else jnp.float32)
    return a, b, found


def linspace(start: Operand, end: Operand, steps: int, *, dtype: Any = None) -> jax.Array:
    """`steps` numbers from `start` to `end`, both among them, equally far apart; float32 unless said otherwise."""
    a, b, found = _ends(start, end, steps, dtype)
    if steps == 1:
        return as_dtype(a, found).reshape(1)
    if not steps:
        return jnp.zeros(0, found)
    # from both ends, as torch does, so that both are exact
    wide = found if category(found) >= FLOATING else jnp.dtype(jnp.float32)
    low, high = as_dtype(a, found).astype(wide), as_dtype(b, found).astype(wide)
    by = (high - low) / (steps - 1)
    count = lax.iota(jnp.int32, steps)
    front = low + by * count.astype(wide)
    back = high - by * (steps - 1 - count).astype(wide)
    return jnp.where(count < steps // 2, front, back).astype(found)


def logspace(start: Operand, end: Operand, steps: int, base: float = 10.0, *, dtype: Any = None) -> jax.Array:
    """`base` to the power of `linspace(start, end, steps)`."""
    a, b, found = _ends(start, end, steps, dtype)
    wide = found if category(found) >= FLOATING else jnp.dtype(jnp.float32)
    exponents = linspace(as_dtype(a, found), as_dtype(b, found), steps, dtype=wide)
    return jnp.power(jnp.asarray(base, wide), exponents).astype(found)


def eye(n: int, m: int | None = None, *, dtype: Any = None) -> jax.Array:
    """Ones on the diagonal of an `n` by `m` matrix."""
    rows, columns = check.integer("n", n, least=0), n if m is None else check.integer("m", m, least=0)
    return jnp.eye(rows, columns, dtype=dtype_or(dtype, jnp.float32))


def _triangle(row: int, col: int, offset: int, dtype: Any, lower: bool) -> jax.Array:
    check.integer("row", row, least=0), check.integer("col", col, least=0)
    found = (np.tril_indices if lower else np.triu_indices)(row, check.integer("offset", offset), col)
    return jnp.asarray(np.stack(found).astype(dtype_or(dtype, int64())))


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None) -> jax.Array:
    """The indices of a matrix on and below a diagonal, row by row: `(2, n)`."""
    return _triangle(row, col, offset, dtype, True)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None) -> jax.Array:
    """The indices of a matrix on and above a diagonal, row by row: `(2, n)`."""
    return _triangle(row, col, offset, dtype, False)


def vander(x: jax.Array, N: int | None = None, increasing: bool = False) -> jax.Array:
    """The powers of a line's elements as columns, greatest first unless `increasing`."""
    x = check.array("x", x)
    check.rank("x", x, {1: "(N,)"})
    columns = x.shape[0] if N is None else check.integer("N", N, least=0)
    x = x.astype(int64()) if category(x.dtype) < FLOATING else x
    powers = [jnp.ones_like(x)]
    for _ in np.arange(1, columns):
        powers.append(powers[-1] * x)
    stacked = jnp.stack(powers[:columns] or powers, -1)[:, :columns]
    return stacked if increasing else jnp.flip(stacked, -1)
