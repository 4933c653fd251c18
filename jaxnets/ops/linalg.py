"""`torch.linalg`: norms, decompositions, solutions of linear systems, of matrices on the last two axes."""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
from jax import lax

from jaxnets import check
from jaxnets.functional.distance import vector_norm as _vector_norm
from jaxnets.ops.creation import vander as _vander
from jaxnets.ops.derivative import with_slope_of
from jaxnets.ops.extrema import amax, amin
from jaxnets.ops.products import cross as _cross
from jaxnets.ops.products import matmul
from jaxnets.ops.promotion import FLOATING, Dims, axes, axis, dtype_or, in_wide, numbers, real_of, together
from jaxnets.ops.shape import diagonal as _diagonal

__all__ = [
    "cholesky",
    "cholesky_ex",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "householder_product",
    "inv",
    "inv_ex",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]


class SignAndLogarithm(NamedTuple):
    """The sign of a determinant, and the logarithm of its size."""

    sign: jax.Array
    logabsdet: jax.Array


class SingularValues(NamedTuple):
    """`A = U @ diag(S) @ Vh`."""

    U: jax.Array
    S: jax.Array
    Vh: jax.Array


class Eigen(NamedTuple):
    """`A @ eigenvectors = eigenvectors * eigenvalues`."""

    eigenvalues: jax.Array
    eigenvectors: jax.Array


class Orthogonal(NamedTuple):
    """`A = Q @ R`."""

    Q: jax.Array
    R: jax.Array


class Triangles(NamedTuple):
    """`A = P @ L @ U`."""

    P: jax.Array
    L: jax.Array
    U: jax.Array


class Factor(NamedTuple):
    """Both triangles in one matrix, and which rows were swapped, from 1 as LAPACK counts."""

    LU: jax.Array
    pivots: jax.Array


class LeastSquares(NamedTuple):
    """The solution, the sums of squares that are left, the ranks, the singular values."""

    solution: jax.Array
    residuals: jax.Array
    rank: jax.Array
    singular_values: jax.Array


class Checked(NamedTuple):
    """A result, and 0 for each matrix for which there is one."""

    result: jax.Array
    info: jax.Array


def matrices(name: str, value: Any, square: bool = False) -> jax.Array:
    """`value` as floating or complex matrices on the last two axes."""
    x = numbers(name, value, least=FLOATING)
    if x.ndim < 2 or (square and x.shape[-1] != x.shape[-2]):
        shape = "(*, N, N)" if square else "(*, N, M)"
        raise ValueError(f"{name}: expected {'square ' if square else ''}matrices {shape}, got shape {x.shape}")
    return x


def _adjoint(x: jax.Array) -> jax.Array:
    """Complex conjugates of the transposed matrices."""
    return jnp.conj(x).swapaxes(-2, -1)


def _hermitian(x: jax.Array, source: jax.Array | None = None) -> jax.Array:
    """The matrices that a lower triangle stands for, with the derivative of `(x + x^H) / 2`, or of `source`."""
    lower = jnp.tril(lax.stop_gradient(x), -1)
    middle = jnp.real(jnp.diagonal(lax.stop_gradient(x), 0, -2, -1)).astype(x.dtype)
    diagonal = jnp.broadcast_to(jnp.eye(x.shape[-1], dtype=x.dtype), x.shape) * middle[..., None]
    source = (x + _adjoint(x)) / 2 if source is None else source
    return with_slope_of(source, lower + _adjoint(lower) + diagonal)


def vector_norm(
    x: jax.Array, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None
) -> jax.Array:
    """`(sum of |x| ** ord) ** (1 / ord)` over axes; inf is the greatest, 0 counts. Its derivative at 0 is 0."""
    x = numbers("x", x, least=FLOATING)
    x = x.astype(dtype_or(dtype, x.dtype))
    return _vector_norm(x, check.number("ord", ord), axes(dim, x), keepdim=keepdim)


def matrix_norm(
    A: jax.Array, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> jax.Array:
    """Norm of matrices on two axes.

    "fro": root of the sum of squares; "nuc": sum of the singular values; 2 and -2: the greatest and smallest of
    them; 1 and -1: the greatest and smallest sum of a column; inf and -inf: of a row.
    """
    x = numbers("A", A, least=FLOATING)
    x = x.astype(dtype_or(dtype, x.dtype))
    over = axes(dim, x)
    if len(over) != 2:
        raise ValueError(f"dim: expected two axes of A {x.shape}, got {dim}")
    x = jnp.moveaxis(x, over, (-2, -1))
    if ord == "fro":
        found = _vector_norm(x, 2.0, (-2, -1), keepdim=False)
    elif ord == "nuc":
        found = svdvals(x).sum(-1)
    elif ord in (2, -2):
        found = _most(svdvals(x), ord)
    elif ord in (1, -1, math.inf, -math.inf):
        sums = _vector_norm(x, 1.0, -2 if abs(ord) == 1 else -1, keepdim=False)
        found = _most(sums, ord)
    else:
        raise ValueError(f"ord: expected 'fro', 'nuc', inf, -inf, 1, -1, 2 or -2, got {ord!r}")
    return jnp.expand_dims(found, tuple(sorted(over))) if keepdim else found


def _most(x: jax.Array, ord: float) -> jax.Array:
    """The greatest on the last axis, 0 of nothing; the smallest for negative `ord`."""
    if ord > 0 and not x.shape[-1]:
        return jnp.zeros(x.shape[:-1], x.dtype)
    return amax(x, -1) if ord > 0 else amin(x, -1)


def norm(A: jax.Array, ord: Any = None, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> jax.Array:
    """`vector_norm` over one axis, or over all without `ord`; `matrix_norm` over two."""
    x = numbers("A", A, least=FLOATING)
    if ord is None:
        return vector_norm(x, 2, dim, keepdim, dtype=dtype)
    over = axes(dim, x)
    if dim is None and x.ndim not in (1, 2):
        raise ValueError(f"dim: expected one or two axes of A {x.shape} where ord is given, got None")
    if len(over) == 2:
        return matrix_norm(x, ord, over if dim is None else dim, keepdim, dtype=dtype)
    if isinstance(ord, str):
        raise ValueError(f"dim: expected two axes for ord={ord!r}, got {dim} of A {x.shape}")
    return vector_norm(x, ord, over, keepdim, dtype=dtype)


def cond(A: jax.Array, p: Any = None) -> jax.Array:
    """Condition number: the norm of a matrix times that of its inverse; of the singular values without `p`."""
    x = matrices("A", A, square=p not in (None, 2, -2))
    if p in (None, 2, -2):
        values = svdvals(x)
        ratio = values[..., 0] / values[..., -1]
        return 1 / ratio if p == -2 else ratio
    return matrix_norm(x, p) * matrix_norm(inv(x), p)


def det(A: jax.Array) -> jax.Array:
    """Determinant."""
    x = matrices("A", A, square=True)
    return jnp.linalg.det(x) if x.shape[-1] else jnp.ones(x.shape[:-2], x.dtype)


def slogdet(A: jax.Array) -> SignAndLogarithm:
    """Sign of the determinant, and the logarithm of its size."""
    return SignAndLogarithm(*jnp.linalg.slogdet(matrices("A", A, square=True)))


def inv(A: jax.Array) -> jax.Array:
    """Inverse; not finite where there is none, which torch refuses."""
    x = matrices("A", A, square=True)
    return jnp.linalg.inv(x) if x.size else x


def inv_ex(A: jax.Array, *, check_errors: bool = False) -> Checked:
    """`inv`, and whether there was one: 0, else 1."""
    found = inv(A)
    return Checked(found, _failed(found, (-2, -1)))


def _failed(x: jax.Array, over: tuple[int, ...]) -> jax.Array:
    return (~jnp.isfinite(x).all(over)).astype(jnp.int32)


def solve(A: jax.Array, B: jax.Array, *, left: bool = True) -> jax.Array:
    """`X` of `A @ X = B`, or of `X @ A = B` unless `left`; `B` may be vectors: `(N,)`, or `A`'s shape less an axis."""
    a, b = matrices("A", A, square=True), numbers("B", B, least=FLOATING)
    check.same_dtype(A=a, B=b)
    vector = b.ndim == 1 or (a.ndim - 1 == b.ndim and b.shape == a.shape[:-1])
    if vector:
        b = b[..., None]
    if not left:
        a, b = a.swapaxes(-2, -1), b if vector else b.swapaxes(-2, -1)
    if b.shape[-2] != a.shape[-1]:
        raise ValueError(f"B: expected {a.shape[-1]} rows, as many as A has, got shape {b.shape}")
    batch = jnp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (jnp.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (a, b))
    found = jnp.linalg.solve(a, b)
    return found[..., 0] if vector else found if left else found.swapaxes(-2, -1)


def solve_ex(A: jax.Array, B: jax.Array, *, left: bool = True, check_errors: bool = False) -> Checked:
    """`solve`, and whether there was a solution: 0, else 1."""
    found = solve(A, B, left=left)
    batch = matrices("A", A).shape[:-2]
    return Checked(found, _failed(jnp.broadcast_to(inv(A), (*batch, *A.shape[-2:])), (-2, -1)))


def solve_triangular(
    A: jax.Array, B: jax.Array, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> jax.Array:
    """`X` of `A @ X = B`, or of `X @ A = B` unless `left`, where only a triangle of `A` is read."""
    a, b = matrices("A", A, square=True), matrices("B", B)
    check.same_dtype(A=a, B=b)
    batch = jnp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (jnp.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (a, b))
    # said by lax, so that the other triangle has no gradient
    return lax.linalg.triangular_solve(a, b, left_side=left, lower=not upper, unit_diagonal=unitriangular)


def cholesky(A: jax.Array, *, upper: bool = False) -> jax.Array:
    """The lower triangle `L` of `A = L @ L^H`, or `L^H` with `upper`; NaN where there is none, which torch refuses."""
    x = matrices("A", A, square=True)
    found = jnp.tril(lax.linalg.cholesky(_hermitian(_adjoint(x) if upper else x), symmetrize_input=False))
    return _adjoint(found) if upper else found


def cholesky_ex(A: jax.Array, *, upper: bool = False, check_errors: bool = False) -> Checked:
    """`cholesky`, and whether there was one: 0, else 1."""
    found = cholesky(A, upper=upper)
    return Checked(found, _failed(found, (-2, -1)))


def qr(A: jax.Array, mode: str = "reduced") -> Orthogonal:
    """Orthogonal columns and an upper triangle; with mode "r" only the triangle, with "complete" a square `Q`."""
    x = matrices("A", A)
    if check.choice("mode", mode, ("reduced", "complete", "r")) == "r":
        return Orthogonal(jnp.zeros(0, x.dtype), jnp.linalg.qr(x, mode="r"))
    return Orthogonal(*jnp.linalg.qr(x, mode=mode))


def svd(A: jax.Array, full_matrices: bool = True, *, driver: str | None = None) -> SingularValues:
    """Singular values in descending order, and both bases, square ones with `full_matrices`."""
    x = matrices("A", A)
    # of square matrices both are one, and JAX differentiates the other alone
    full = check.truth("full_matrices", full_matrices) and x.shape[-1] != x.shape[-2]
    return SingularValues(*jnp.linalg.svd(x, full_matrices=full))


def svdvals(A: jax.Array, *, driver: str | None = None) -> jax.Array:
    """Singular values in descending order."""
    x = matrices("A", A)
    if not x.size:
        return jnp.zeros((*x.shape[:-2], min(x.shape[-2:])), real_of(x.dtype))
    return jnp.linalg.svd(x, compute_uv=False)


def eigh(A: jax.Array, UPLO: str = "L") -> Eigen:
    """Eigenvalues of Hermitian matrices in ascending order, and eigenvectors; one triangle is read."""
    x = matrices("A", A, square=True)
    lower = x if check.choice("UPLO", UPLO.upper(), ("L", "U")) == "L" else _adjoint(x)
    found = jnp.linalg.eigh(_hermitian(lower), UPLO="L", symmetrize_input=False)
    return Eigen(found.eigenvalues, found.eigenvectors)


def eigvalsh(A: jax.Array, UPLO: str = "L") -> jax.Array:
    """Eigenvalues of Hermitian matrices in ascending order."""
    return eigh(A, UPLO).eigenvalues


def eig(A: jax.Array) -> Eigen:
    """Complex eigenvalues, in no order, and eigenvectors. JAX has it on CPU alone."""
    found = jnp.linalg.eig(matrices("A", A, square=True))
    return Eigen(found.eigenvalues, found.eigenvectors)


def eigvals(A: jax.Array) -> jax.Array:
    """Complex eigenvalues, in no order. JAX has it on CPU alone."""
    return jnp.linalg.eigvals(matrices("A", A, square=True))


def lu_factor(A: jax.Array, *, pivot: bool = True) -> Factor:
    """Both triangles of `A = P @ L @ U` in one matrix, and which rows were swapped, from 1."""
    _check_pivot(pivot)
    found, pivots, _ = lax.linalg.lu(matrices("A", A))
    return Factor(found, pivots + 1)


def _check_pivot(pivot: bool) -> None:
    if not pivot:
        raise ValueError("pivot: expected True, got False; JAX has no LU decomposition without pivots")


def lu_factor_ex(
    A: jax.Array, *, pivot: bool = True, check_errors: bool = False
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`lu_factor`, and 0 for each matrix for which there is one, else 1."""
    found = lu_factor(A, pivot=pivot)
    singular = (jnp.diagonal(found.LU, 0, -2, -1) == 0).any(-1)
    return *found, singular.astype(jnp.int32)


def lstsq(A: jax.Array, B: jax.Array, rcond: float | None = None, *, driver: str | None = None) -> LeastSquares:
    """`X` of the least `|A @ X - B|`, and of those the least `|X|`.

    Differences from torch: the singular values are given, whatever the driver is.
    """
    a, b = matrices("A", A), numbers("B", B, least=FLOATING)
    check.same_dtype(A=a, B=b)
    vector = b.ndim == a.ndim - 1
    b = b[..., None] if vector else b
    values = svdvals(a)
    rank = matrix_rank(a, rtol=rcond)
    found = pinv(a, rtol=rcond) @ b
    full = a.shape[-2] > a.shape[-1] and bool(a.size)
    rest = (jnp.abs(a @ found - b) ** 2).sum(-2) if full else jnp.zeros(0, real_of(a.dtype))
    return LeastSquares(found[..., 0] if vector else found, rest, rank, values)


def lu(A: jax.Array, *, pivot: bool = True) -> Triangles:
    """`A = P @ L @ U`: a permutation, a lower triangle of ones on the diagonal, an upper triangle."""
    _check_pivot(pivot)
    x = matrices("A", A)
    found, _, order = lax.linalg.lu(x)
    n, m = x.shape[-2:]
    k = min(n, m)
    ones = jnp.eye(n, k, dtype=x.dtype)
    lower = jnp.tril(found[..., :, :k], -1) + jnp.broadcast_to(ones, (*x.shape[:-2], n, k))
    rows = jnp.arange(n, dtype=order.dtype)
    permutation = (order[..., None, :] == jnp.broadcast_to(rows[:, None], (*order.shape[:-1], n, n))).astype(x.dtype)
    return Triangles(permutation, lower, jnp.triu(found[..., :k, :]))


def lu_solve(LU: jax.Array, pivots: jax.Array, B: jax.Array, *, left: bool = True, adjoint: bool = False) -> jax.Array:
    """`X` of `A @ X = B`, or of `X @ A = B` unless `left`, by what `lu_factor` made of `A`."""
    lu, b = matrices("LU", LU, square=True), matrices("B", B)
    batch = jnp.broadcast_shapes(lu.shape[:-2], b.shape[:-2])
    lu, b = (jnp.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (lu, b))
    swaps = jnp.broadcast_to(check.array("pivots", pivots) - 1, (*batch, lu.shape[-1]))
    right = b if left else b.swapaxes(-2, -1)
    trans = (2 if left else 1) if adjoint else (0 if left else 1)
    if adjoint and not left:
        lu, trans = jnp.conj(lu), 0
    found = jsl.lu_solve((lu, swaps), right, trans)
    return found if left else found.swapaxes(-2, -1)


def pinv(A: jax.Array, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> jax.Array:
    """Pseudo-inverse: singular values up to `max(atol, rtol * greatest)` count as 0."""
    x = matrices("A", A, square=hermitian)
    x = _hermitian(x, x) if hermitian else x
    rtol = rcond if rtol is None else rtol
    if not x.size:
        return jnp.zeros((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)
    greatest = svdvals(lax.stop_gradient(x))[..., 0]
    limit = _limit(x, greatest, atol, rtol)
    share = limit / jnp.where(greatest == 0, jnp.ones_like(greatest), greatest)
    return _pinv(x, jnp.where(limit < greatest, share, jnp.inf))


@jax.custom_jvp
def _pinv(x: jax.Array, rtol: jax.Array) -> jax.Array:
    """With a derivative under which `rtol` is an argument: JAX's keeps it, which may be of another trace."""
    return jnp.linalg.pinv(x, rtol=rtol)


@_pinv.defjvp
def _pinv_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    """`-P dX P + P P' dX' (I - X P) + (I - P X) dX' P' P` (Golub, Pereyra, 1973), `'` the conjugate transpose."""
    (x, rtol), (dx, _) = primals, tangents
    p, is_wide = _pinv(x, rtol), x.shape[-2] < x.shape[-1]

    def product(a: jax.Array, b: jax.Array, c: jax.Array) -> jax.Array:  # by way of the smaller one
        times = partial(jnp.matmul, precision="highest")
        return times(a, times(b, c)) if is_wide else times(times(a, b), c)

    p_turned, dx_turned = (y.swapaxes(-2, -1).conj() for y in (p, dx))
    left, right = product(p, p_turned, dx_turned), product(dx_turned, p_turned, p)
    return p, left + right - product(p, dx, p) - product(left, x, p) - product(p, x, right)


def _limit(x: jax.Array, greatest: jax.Array, atol: Any, rtol: Any) -> jax.Array:
    greatest = lax.stop_gradient(greatest)
    if rtol is None:
        rtol = 0.0 if atol is not None else max(x.shape[-2:]) * float(jnp.finfo(x.dtype).eps)
    relative, absolute = together(rtol=rtol, atol=0.0 if atol is None else atol, dtype=greatest.dtype)
    shape = jnp.broadcast_shapes(relative.shape, greatest.shape)
    relative, absolute, greatest = (jnp.broadcast_to(v, shape) for v in (relative, absolute, greatest))
    return jnp.maximum(relative * greatest, absolute)


def matrix_rank(
    A: jax.Array, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> jax.Array:
    """How many singular values are above `max(atol, rtol * greatest)`, int64."""
    x = matrices("A", A, square=hermitian)
    x = _hermitian(x) if hermitian else x
    values = svdvals(x)
    if not x.size:
        return jnp.zeros(x.shape[:-2], int)
    atol, rtol = (tol, 0.0) if tol is not None else (atol, rtol)
    return (values > _limit(x, values[..., 0], atol, rtol)[..., None]).sum(-1)


def matrix_power(A: jax.Array, n: int) -> jax.Array:
    """The matrix times itself, `n` times in all; its inverse for negative `n`."""
    return jnp.linalg.matrix_power(matrices("A", A, square=True), check.integer("n", n))


def matrix_exp(A: jax.Array) -> jax.Array:
    """The exponential series of matrices."""
    x = matrices("A", A, square=True)
    return in_wide(jsl.expm, x) if x.size else x


def multi_dot(tensors: Any) -> jax.Array:
    """Product of two or more matrices, in the cheapest order; the first and the last may be vectors."""
    arrays = [numbers("tensors", x, least=1) for x in tensors]
    if len(arrays) < 2:
        raise ValueError(f"tensors: expected at least two matrices, got {len(arrays)}")
    check.same_dtype(**{f"tensors[{i}]": x for i, x in enumerate(arrays)})
    try:
        return jnp.linalg.multi_dot(arrays)
    except (ValueError, TypeError) as error:
        raise ValueError(f"tensors: expected shapes that fit, got {[x.shape for x in arrays]}: {error}") from None


def vecdot(x: jax.Array, y: jax.Array, *, dim: int = -1) -> jax.Array:
    """Sums of the products of `conj(x)` and `y` along an axis."""
    a, b = together(x=x, y=y)
    at = axis(dim, a)
    return in_wide(lambda a, b: (jnp.conj(a) * b).sum(at, dtype=a.dtype), a, b)


def cross(input: jax.Array, other: jax.Array, *, dim: int = -1) -> jax.Array:
    """Vector product along an axis of size 3."""
    return _cross(input, other, dim)


def diagonal(A: jax.Array, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> jax.Array:
    """The diagonals of two axes, the last ones unless said otherwise, on a last axis."""
    return _diagonal(A, offset, dim1, dim2)


def vander(x: jax.Array, N: int | None = None) -> jax.Array:
    """The powers of elements from 0 to `N - 1`, on a last axis."""
    x = check.array("x", x)
    flat = x.reshape(-1)
    found = _vander(flat, x.shape[-1] if N is None and x.ndim else N, True)
    return found.reshape(*(x.shape or (1,)), -1)


def tensorinv(A: jax.Array, ind: int = 2) -> jax.Array:
    """Inverse of an array as a matrix whose rows are its first `ind` axes."""
    return jnp.linalg.tensorinv(numbers("A", A, least=FLOATING), check.integer("ind", ind, least=1))


def tensorsolve(A: jax.Array, B: jax.Array, dims: Any = None) -> jax.Array:
    """`X` of `tensordot(A, X, X.ndim) = B`; `dims` of `A` are moved to its end before."""
    a, b = numbers("A", A, least=FLOATING), numbers("B", B, least=FLOATING)
    if dims is not None:
        a = jnp.moveaxis(a, axes(dims, a, "dims"), range(a.ndim - len(dims), a.ndim))
    left = a.shape[b.ndim :]
    return jnp.linalg.solve(a.reshape(b.size, -1), b.reshape(-1)).reshape(left)


def householder_product(A: jax.Array, tau: jax.Array) -> jax.Array:
    """The first columns of the product of Householder reflections, whose vectors stand below the diagonal of `A`."""
    x, tau = matrices("A", A), numbers("tau", tau, least=FLOATING)
    n, m = x.shape[-2:]
    if not x.size or not tau.shape[-1]:
        return jnp.broadcast_to(jnp.eye(n, m, dtype=x.dtype), x.shape)
    vectors = jnp.tril(x, -1) + jnp.broadcast_to(jnp.eye(n, m, dtype=x.dtype), x.shape)
    start = jnp.broadcast_to(jnp.eye(n, m, dtype=x.dtype), x.shape)

    def reflected(q: jax.Array, k: jax.Array) -> tuple[jax.Array, None]:
        v = lax.dynamic_index_in_dim(vectors, k, -1, keepdims=True)
        scale = lax.dynamic_index_in_dim(tau, k, -1, keepdims=True)[..., None]
        return q - scale * v * (_adjoint(v) @ q), None

    return lax.scan(reflected, start, jnp.arange(tau.shape[-1]), reverse=True)[0]
