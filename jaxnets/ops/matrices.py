"""What `torch` itself offers of linear algebra, by its older names, beside `torch.linalg`."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets import check
from jaxnets.functional.distance import norm_of_difference
from jaxnets.functional.distance import vector_norm as _vector_norm
from jaxnets.functional.elementwise import absolute
from jaxnets.ops import linalg
from jaxnets.ops.derivative import with_slope_of
from jaxnets.ops.linalg import det, matrix_exp, matrix_power, slogdet
from jaxnets.ops.promotion import FLOATING, axis, numbers
from jaxnets.ops.reduction import norm

__all__ = [
    "cdist",
    "chain_matmul",
    "cholesky",
    "cholesky_inverse",
    "cholesky_solve",
    "det",
    "frobenius_norm",
    "inverse",
    "logdet",
    "lu",
    "lu_solve",
    "lu_unpack",
    "matrix_exp",
    "matrix_power",
    "nuclear_norm",
    "pinverse",
    "qr",
    "renorm",
    "slogdet",
    "svd",
    "triangular_solve",
]


class Bases(NamedTuple):
    """`A = U @ diag(S) @ V^H`."""

    U: jax.Array
    S: jax.Array
    V: jax.Array


class Solution(NamedTuple):
    """The solution of a triangular system, and a copy of the matrix."""

    solution: jax.Array
    cloned_coefficient: jax.Array


def cdist(x1: jax.Array, x2: jax.Array, p: float = 2.0, compute_mode: Any = None) -> jax.Array:
    """Norms of the differences of each two rows: `(*, N, D)` and `(*, M, D)` to `(*, N, M)`.

    Differences from torch: `compute_mode` has no effect, distances are never computed by a matrix product; NaN stays in
    the maximum norm.
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
    shape = (*batch, a.shape[-2], b.shape[-2], a.shape[-1])
    rows = jnp.broadcast_to(jnp.broadcast_to(a, (*batch, *a.shape[-2:]))[..., :, None, :], shape)
    columns = jnp.broadcast_to(jnp.broadcast_to(b, (*batch, *b.shape[-2:]))[..., None, :, :], shape)
    if not a.shape[-1]:
        return jnp.zeros(shape[:-1], a.dtype)
    difference = rows - columns
    found = norm_of_difference(difference, float(p))[..., 0]
    if p != math.inf:
        return found
    # at a tie of the maximum norm each of the greatest entries has all of the derivative, as in torch
    sizes = absolute(difference)
    greatest = sizes == jnp.broadcast_to(found[..., None], shape)
    return with_slope_of(jnp.where(greatest, sizes, jnp.zeros_like(sizes)).sum(-1), lax.stop_gradient(found))


def frobenius_norm(input: jax.Array, dim: Any, keepdim: bool = False) -> jax.Array:
    """Root of the sum of squares over axes."""
    return norm(input, "fro", dim, keepdim)


def nuclear_norm(input: jax.Array, dim: Any = (-2, -1), keepdim: bool = False) -> jax.Array:
    """Sum of the singular values of matrices on two axes."""
    return norm(input, "nuc", dim, keepdim)


def inverse(input: jax.Array) -> jax.Array:
    """`linalg.inv`."""
    return linalg.inv(input)


def pinverse(input: jax.Array, rcond: float = 1e-15) -> jax.Array:
    """`linalg.pinv`, where singular values up to `rcond` times the greatest count as 0."""
    return linalg.pinv(input, rcond)


def logdet(input: jax.Array) -> jax.Array:
    """Logarithm of the determinant: NaN where it is negative, -inf where it is 0."""
    sign, size = slogdet(input)
    if jnp.iscomplexobj(sign):
        return size.astype(sign.dtype) + jnp.log(sign)
    return jnp.where(sign < 0, jnp.full_like(size, jnp.nan), size)


def cholesky(input: jax.Array, upper: bool = False) -> jax.Array:
    """`linalg.cholesky`."""
    return linalg.cholesky(input, upper=upper)


def cholesky_solve(B: jax.Array, L: jax.Array, upper: bool = False) -> jax.Array:
    """`X` of `A @ X = B`, by the triangle that `cholesky` made of `A`."""
    other = jnp.conj(L).swapaxes(-2, -1)
    first, second = (other, L) if upper else (L, other)
    return linalg.solve_triangular(second, linalg.solve_triangular(first, B, upper=False), upper=True)


def cholesky_inverse(L: jax.Array, upper: bool = False) -> jax.Array:
    """The inverse of `A`, by the triangle that `cholesky` made of it."""
    x = linalg.matrices("L", L, square=True)
    return cholesky_solve(jnp.broadcast_to(jnp.eye(x.shape[-1], dtype=x.dtype), x.shape), x, upper)


def triangular_solve(
    b: jax.Array, A: jax.Array, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> Solution:
    """`X` of `A @ X = b` where only a triangle of `A` is read, and `A` itself."""
    a, turned = (A.swapaxes(-2, -1), not upper) if transpose else (A, upper)
    return Solution(linalg.solve_triangular(a, b, upper=turned, unitriangular=unitriangular), A)


def qr(input: jax.Array, some: bool = True) -> linalg.Orthogonal:
    """`linalg.qr`, complete unless `some`."""
    return linalg.qr(input, "reduced" if some else "complete")


def svd(input: jax.Array, some: bool = True, compute_uv: bool = True) -> Bases:
    """Singular values and both bases, of which the second is `V`, not its adjoint; zeros without `compute_uv`."""
    x = linalg.matrices("input", input)
    if not compute_uv:
        n, m = x.shape[-2:]
        left, right = (jnp.zeros((*x.shape[:-2], k, k), x.dtype) for k in (n, m))
        return Bases(left, linalg.svdvals(x), right)
    u, s, vh = linalg.svd(x, full_matrices=not some)
    return Bases(u, s, jnp.conj(vh).swapaxes(-2, -1))


def lu(input: jax.Array, pivot: bool = True, get_infos: bool = False) -> Any:
    """`linalg.lu_factor`, and 0 for each matrix for which there is one with `get_infos`."""
    found = linalg.lu_factor(input, pivot=pivot)
    return (*found, jnp.zeros(found.LU.shape[:-2], jnp.int32)) if get_infos else tuple(found)


def lu_unpack(
    LU_data: jax.Array, LU_pivots: jax.Array, unpack_data: bool = True, unpack_pivots: bool = True
) -> linalg.Triangles:
    """The permutation and the triangles of what `linalg.lu_factor` gives; an empty array for what is not asked for."""
    x, pivots = linalg.matrices("LU_data", LU_data), check.array("LU_pivots", LU_pivots)
    none = jnp.zeros(0, x.dtype)
    n, k = x.shape[-2], min(x.shape[-2:])
    lower = upper = permutation = none
    if unpack_data:
        ones = jnp.broadcast_to(jnp.eye(n, k, dtype=x.dtype), (*x.shape[:-2], n, k))
        lower, upper = jnp.tril(x[..., :, :k], -1) + ones, jnp.triu(x[..., :k, :])
    if unpack_pivots:
        order = lax.linalg.lu_pivots_to_permutation((pivots - 1).astype(jnp.int32), n)
        rows = jnp.broadcast_to(jnp.arange(n, dtype=order.dtype)[:, None], (*order.shape[:-1], n, n))
        permutation = (order[..., None, :] == rows).astype(x.dtype)
    return linalg.Triangles(permutation, lower, upper)


def lu_solve(b: jax.Array, LU_data: jax.Array, LU_pivots: jax.Array) -> jax.Array:
    """`X` of `A @ X = b`, by what `linalg.lu_factor` made of `A`."""
    return linalg.lu_solve(LU_data, LU_pivots, b)


def chain_matmul(*matrices: Any) -> jax.Array:
    """Product of matrices one after the other."""
    given = matrices[0] if len(matrices) == 1 and isinstance(matrices[0], list | tuple) else matrices
    for x in given:
        check.rank("matrices", check.array("matrices", x), {2: "(N, M)"})
    return linalg.multi_dot(given) if len(given) > 1 else check.array("matrices", given[0])


def renorm(input: jax.Array, p: float, dim: int, maxnorm: float) -> jax.Array:
    """The slices along an axis whose norm exceeds `maxnorm` scaled down to it."""
    x = numbers("input", input, least=FLOATING)
    over = tuple(i for i in range(x.ndim) if i != axis(dim, x))
    size = _vector_norm(x, float(p), over)
    limit = jnp.asarray(maxnorm, size.dtype)
    scale = jnp.where(size > limit, limit / (size + 1e-7), jnp.ones_like(size))
    return x * jnp.broadcast_to(scale.astype(x.dtype), x.shape)
