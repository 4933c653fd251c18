"""`torch.linalg`: norms, decompositions, solutions of linear systems."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxnets import check
from jaxnets.functional.distance import vector_norm as _vector_norm
from jaxnets.ops.promotion import FLOATING, Dims, axes, dtype_or, numbers

__all__ = [
    "cdist",
    "vector_norm",
]


def cdist(x1: jax.Array, x2: jax.Array, p: float = 2.0, compute_mode: Any = None) -> jax.Array:
    """Norms of the differences of each two rows: `(*, N, D)` and `(*, M, D)` to `(*, N, M)`.

    Differences from torch: `compute_mode` has no effect, distances are never computed by a matrix product.
    """
    a, b = (numbers(n, x, least=FLOATING, most=FLOATING) for n, x in (("x1", x1), ("x2", x2)))
    check.same_dtype(x1=a, x2=b)
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-1]:
        raise ValueError(f"x2: expected at least 2 axes, and the columns of x1, got {a.shape} and {b.shape}")
    if check.number("p", p) < 0:
        raise ValueError(f"p: expected a number that is not negative, got {p}")
    try:
        batch = jnp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ValueError(f"x2: expected batches that broadcast, got {a.shape} and {b.shape}") from None
    rows = jnp.broadcast_to(a, (*batch, *a.shape[-2:]))[..., :, None, :]
    columns = jnp.broadcast_to(b, (*batch, *b.shape[-2:]))[..., None, :, :]
    shape = (*batch, a.shape[-2], b.shape[-2], a.shape[-1])
    difference = jnp.broadcast_to(rows, shape) - jnp.broadcast_to(columns, shape)
    if not a.shape[-1]:
        return jnp.zeros(shape[:-1], a.dtype)
    return _vector_norm(difference, float(p), -1, keepdim=False)


def vector_norm(
    x: jax.Array, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None
) -> jax.Array:
    """`(sum of |x| ** ord) ** (1 / ord)` over axes; inf is the greatest, 0 counts. Its derivative at 0 is 0."""
    x = numbers("x", x, least=FLOATING)
    x = x.astype(dtype_or(dtype, x.dtype))
    return _vector_norm(x, check.number("ord", ord), axes(dim, x), keepdim=keepdim)
