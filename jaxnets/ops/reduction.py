"""Sums, products, moments and logic over axes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets import check
from jaxnets.functional.distance import vector_norm as _vector_norm
from jaxnets.functional.elementwise import in_float32
from jaxnets.functional.precision import wide
from jaxnets.lowering.standardize import moments
from jaxnets.ops.binary import sub
from jaxnets.ops.promotion import (
    BOOL,
    COMPLEX,
    FLOATING,
    Dims,
    Number,
    axes,
    category,
    dtype_or,
    int64,
    ints,
    numbers,
    real_of,
)

__all__ = [
    "all",
    "any",
    "count_nonzero",
    "dist",
    "logsumexp",
    "mean",
    "nanmean",
    "nansum",
    "norm",
    "prod",
    "std",
    "std_mean",
    "sum",
    "sum_to_size",
    "trace",
    "var",
    "var_mean",
]


def _summand(input: jax.Array, dtype: Any) -> jax.Array:
    """`input` in the dtype of its sum: int64 for integers and booleans."""
    x = check.array("input", input)
    return x.astype(dtype_or(dtype, int64() if category(x.dtype) < FLOATING else x.dtype))


def sum(input: jax.Array, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> jax.Array:
    """Sum over all axes, or those of `dim`; int64 for integers and booleans. `dtype` is cast to before.

    >>> sum(jnp.array([True, True])).tolist()
    2
    """
    x = _summand(input, dtype)
    return jnp.sum(x, axes(dim, x), keepdims=keepdim, dtype=x.dtype)


def nansum(input: jax.Array, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> jax.Array:
    """Sum that takes NaN for 0."""
    x = _summand(input, dtype)
    numbers("input", x, least=BOOL, most=FLOATING)
    return sum(jnp.where(jnp.isnan(x), jnp.zeros_like(x), x), dim, keepdim)


def prod(input: jax.Array, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> jax.Array:
    """Product of all elements, or along one axis; int64 for integers and booleans. Zeros have the true derivative."""
    x = _summand(input, dtype)
    over = axes(None, x) if dim is None else axes(check.integer("dim", dim), x)
    return jnp.prod(x, over, keepdims=keepdim, dtype=x.dtype)


def _mean_of(input: jax.Array, dtype: Any) -> jax.Array:
    x = check.array("input", input)
    x = x.astype(dtype_or(dtype, x.dtype))
    return numbers("input" if dtype is None else "dtype", x, least=FLOATING)


def mean(input: jax.Array, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> jax.Array:
    """Mean over all axes, or those of `dim`; integers are refused unless `dtype` is given. NaN of nothing."""
    x = _mean_of(input, dtype)
    return jnp.mean(x, axes(dim, x), keepdims=keepdim)


def nanmean(input: jax.Array, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> jax.Array:
    """Mean of what is not NaN."""
    x = _mean_of(input, dtype)
    over = axes(dim, x)
    missing = jnp.isnan(x)
    count = jnp.sum(~missing, over, keepdims=keepdim)
    total = jnp.sum(wide(jnp.where(missing, jnp.zeros_like(x), x)), over, keepdims=keepdim)
    return (total / count.astype(total.dtype)).astype(x.dtype)


def _degrees(unbiased: Any, correction: Number | None) -> Any:
    return (1 if check.truth("unbiased", unbiased) else 0) if correction is None else correction


def _spread(
    input: jax.Array, dim: Any, unbiased: Any, keepdim: bool, correction: Number | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The input, its variance and its mean."""
    if isinstance(dim, bool):  # var(input, unbiased)
        dim, unbiased = None, dim
    x = numbers("input", input, least=FLOATING)
    over = axes(dim, x)
    free = _degrees(unbiased, correction)
    count = 1
    for i in over:
        count *= x.shape[i]
    parts = (x.real, x.imag) if category(x.dtype) == COMPLEX else (wide(x),)
    found = [moments(part, over) for part in parts]
    var, centre = found[0][2], found[0][1]
    if len(found) == 2:
        var, centre = var + found[1][2], lax.complex(centre, found[1][1])
    divisor = count - free if count > free else 0
    if divisor != count:
        var = var * (count / divisor) if divisor and count else jnp.where(var > 0, jnp.inf, jnp.nan).astype(var.dtype)
    if not keepdim:
        var, centre = (v.squeeze(over) for v in (var, centre))
    return x, var, centre


def _root(var: jax.Array) -> jax.Array:
    """The square root, whose derivative at 0 is 0."""
    still = var == 0
    return jnp.where(still, jnp.zeros_like(var), jnp.sqrt(jnp.where(still, jnp.ones_like(var), var)))


def var(
    input: jax.Array,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: Number | None = None,
) -> jax.Array:
    """Variance: the mean square from the mean, times `n / (n - correction)`.

    `correction` is 1 unless given, or 0 with `unbiased=False`. A bool in the place of `dim` is `unbiased`.
    """
    x, found, _ = _spread(input, dim, unbiased, keepdim, correction)
    return found.astype(real_of(x.dtype))


def std(
    input: jax.Array,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: Number | None = None,
) -> jax.Array:
    """Square root of `var`; its derivative is 0 where it is 0."""
    x, found, _ = _spread(input, dim, unbiased, keepdim, correction)
    return _root(found).astype(real_of(x.dtype))


def var_mean(
    input: jax.Array,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: Number | None = None,
) -> tuple[jax.Array, jax.Array]:
    """`var` and `mean`."""
    x, found, centre = _spread(input, dim, unbiased, keepdim, correction)
    return found.astype(real_of(x.dtype)), centre.astype(x.dtype)


def std_mean(
    input: jax.Array,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: Number | None = None,
) -> tuple[jax.Array, jax.Array]:
    """`std` and `mean`."""
    x, found, centre = _spread(input, dim, unbiased, keepdim, correction)
    return _root(found).astype(real_of(x.dtype)), centre.astype(x.dtype)


def _logic(f: Callable[..., jax.Array], input: jax.Array, dim: Dims, keepdim: bool) -> jax.Array:
    x = check.array("input", input)
    # an empty list is all axes to a sum, and none to these
    over = () if check.is_sequence(dim) and not len(dim) else axes(dim, x)
    found = f(x != jnp.zeros((), x.dtype), over, keepdims=keepdim)
    return found.astype(jnp.uint8) if x.dtype == jnp.uint8 else found


def all(input: jax.Array, dim: Dims = None, keepdim: bool = False) -> jax.Array:
    """Whether no element is 0; bool, but uint8 for uint8. NaN is not 0."""
    return _logic(jnp.all, input, dim, keepdim)


def any(input: jax.Array, dim: Dims = None, keepdim: bool = False) -> jax.Array:
    """Whether an element is not 0; bool, but uint8 for uint8. NaN is not 0."""
    return _logic(jnp.any, input, dim, keepdim)


def count_nonzero(input: jax.Array, dim: Dims = None) -> jax.Array:
    """How many elements are not 0, int64."""
    x = check.array("input", input)
    return jnp.sum(x != jnp.zeros((), x.dtype), axes(dim, x), dtype=int64())


def logsumexp(input: jax.Array, dim: int | Any, keepdim: bool = False) -> jax.Array:
    """`log(sum of exp(x))` over axes without overflow; -inf of nothing. Integers give float32."""
    x = check.array("input", input)
    over = axes(dim, x)
    return in_float32(lambda x: jax.nn.logsumexp(x, axis=over, keepdims=keepdim), x)


def norm(input: jax.Array, p: Any = "fro", dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> jax.Array:
    """Norm of vectors: `(sum of |x| ** p) ** (1 / p)`; "fro" is 2, "nuc" the sum of the singular values of matrices.

    Its derivative at 0 is 0.
    """
    x = check.array("input", input)
    x = numbers("input", x.astype(dtype_or(dtype, x.dtype)), least=FLOATING)
    if p == "nuc":
        over = axes(dim, x)
        if len(over) != 2:
            raise ValueError(f'dim: expected two axes for p="nuc", got {dim} for input {x.shape}')
        values = jnp.linalg.svd(jnp.moveaxis(x, over, (-2, -1)), compute_uv=False).sum(-1)
        return jnp.expand_dims(values, sorted(over)) if keepdim else values
    number = 2.0 if p in ("fro", None) else check.number("p", p)
    return _vector_norm(x, number, axes(dim, x), keepdim=keepdim)


def dist(input: jax.Array, other: jax.Array, p: float = 2) -> jax.Array:
    """Norm of the difference of two arrays."""
    return norm(sub(input, other), float(p))


def sum_to_size(input: jax.Array, *size: Any) -> jax.Array:
    """Summed over the axes along which `size` was broadcast to the input's shape."""
    x, shape = check.array("input", input), ints("size", size)
    before = x.ndim - len(shape)
    if before < 0 or False in [n in (1, m) for n, m in zip(shape, x.shape[before:], strict=True)]:
        raise ValueError(f"size: expected a shape that broadcasts to {x.shape}, got {shape}")
    over = (*range(before), *(i + before for i, n in enumerate(shape) if n == 1 and x.shape[i + before] != 1))
    return sum(x, over, keepdim=True).reshape(shape) if over else x


def trace(input: jax.Array) -> jax.Array:
    """Sum of a matrix's diagonal; int64 for integers."""
    x = check.array("input", input)
    check.rank("input", x, {2: "(N, M)"})
    return sum(jnp.diagonal(x))
