"""Products of vectors, matrices and batches of them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import check
from jaxnets.functional.precision import spread
from jaxnets.ops.binary import div, mul
from jaxnets.ops.promotion import (
    FLOATING,
    Number,
    Operand,
    as_dtype,
    axis,
    category,
    common_dtype,
    int64,
    is_number,
    numbers,
    operand,
    together,
)

__all__ = [
    "addbmm",
    "addmm",
    "addmv",
    "addr",
    "baddbmm",
    "bmm",
    "corrcoef",
    "cov",
    "cross",
    "dot",
    "einsum",
    "ger",
    "inner",
    "kron",
    "matmul",
    "mm",
    "mv",
    "outer",
    "tensordot",
    "vdot",
]


def _pair(least: int = 1, **arrays: Any) -> list[jax.Array]:
    found = {name: numbers(name, x, least=least) for name, x in arrays.items()}
    check.same_dtype(**found)
    return list(found.values())


def _ranked(n: int, **arrays: Any) -> list[jax.Array]:
    found = _pair(**arrays)
    letters = {1: "(N,)", 2: "(N, M)", 3: "(B, N, M)"}
    for name, x in zip(arrays, found, strict=True):
        check.rank(name, x, {n: letters[n]})
    return found


def _fit(name: str, a: jax.Array, b: jax.Array) -> None:
    inner = b.shape[-2] if b.ndim > 1 else b.shape[0]
    if a.shape[-1] != inner:
        raise ValueError(f"{name}: expected {a.shape[-1]} rows, as many as the other has columns, got shape {b.shape}")


def matmul(input: jax.Array, other: jax.Array) -> jax.Array:
    """Product of matrices, over the last two axes; lines are rows on the left and columns on the right."""
    a, b = _pair(input=input, other=other)
    if not a.ndim or not b.ndim:
        raise ValueError(f"input, other: expected at least one axis each, got shapes {a.shape} and {b.shape}")
    _fit("other", a, b)
    try:
        np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ValueError(f"other: expected batches that broadcast, got shapes {a.shape} and {b.shape}") from None
    return jnp.matmul(a, b)


def mm(input: jax.Array, mat2: jax.Array) -> jax.Array:
    """Product of two matrices."""
    a, b = _ranked(2, input=input, mat2=mat2)
    _fit("mat2", a, b)
    return a @ b


def bmm(input: jax.Array, mat2: jax.Array) -> jax.Array:
    """Products of two batches of matrices."""
    a, b = _ranked(3, input=input, mat2=mat2)
    _fit("mat2", a, b)
    if a.shape[0] != b.shape[0]:
        raise ValueError(f"mat2: expected a batch of {a.shape[0]}, got shape {b.shape}")
    return a @ b


def mv(input: jax.Array, vec: jax.Array) -> jax.Array:
    """Product of a matrix and a vector."""
    a, b = _pair(input=input, vec=vec)
    check.rank("input", a, {2: "(N, M)"})
    check.rank("vec", b, {1: "(M,)"})
    _fit("vec", a, b)
    return a @ b


def dot(input: jax.Array, tensor: jax.Array) -> jax.Array:
    """Sum of the products of two vectors' elements, without conjugates."""
    a, b = _ranked(1, input=input, tensor=tensor)
    _fit("tensor", a, b)
    return a @ b


def vdot(input: jax.Array, other: jax.Array) -> jax.Array:
    """`dot` with the conjugate of `input`."""
    a, b = _ranked(1, input=input, other=other)
    _fit("other", a, b)
    return jnp.conj(a) @ b


def inner(input: jax.Array, other: jax.Array) -> jax.Array:
    """Sums of products over the last axis of both; a number multiplies."""
    a, b = _pair(input=input, other=other)
    if not a.ndim or not b.ndim:
        a, b = together(input=a, other=b)
        return a * b
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(f"other: expected a last axis of size {a.shape[-1]}, got shape {b.shape}")
    return jnp.tensordot(a, b, (-1, -1))


def outer(input: jax.Array, vec2: jax.Array) -> jax.Array:
    """Products of each two elements of two vectors: `(N, M)`."""
    a, b = check.array("input", input), check.array("vec2", vec2)
    check.rank("input", a, {1: "(N,)"})
    check.rank("vec2", b, {1: "(M,)"})
    a, b = together(input=a[:, None], vec2=b[None, :])
    return a * b


ger = outer


def _number(name: str, value: Operand, dtype: Any) -> Any:
    if not is_number(value):
        return as_dtype(operand(name, value), dtype)
    if isinstance(value, float) and category(dtype) < FLOATING:
        return int(value)  # as torch does
    return value


def _accumulated(name: str, x: Any, product: jax.Array, beta: Number, alpha: Number) -> jax.Array:
    """`beta * x + alpha * product`, `x` expanded to it; of `beta=0` not even NaN is left."""
    x = check.array(name, x)
    check.same_dtype(**{name: x, "product": product})
    try:
        x = spread(x, product.shape)
    except ValueError:
        raise ValueError(f"{name}: expected a shape that expands to {product.shape}, got {x.shape}") from None
    beta, alpha = _number("beta", beta, product.dtype), _number("alpha", alpha, product.dtype)
    scaled = product if is_number(alpha) and alpha == 1 else product * alpha
    if is_number(beta) and beta in (0, 1):
        return x + scaled if beta else scaled
    return x * beta + scaled


def addmm(input: jax.Array, mat1: jax.Array, mat2: jax.Array, *, beta: Number = 1, alpha: Number = 1) -> jax.Array:
    """`beta * input + alpha * (mat1 @ mat2)`."""
    return _accumulated("input", input, mm(mat1, mat2), beta, alpha)


def addmv(input: jax.Array, mat: jax.Array, vec: jax.Array, *, beta: Number = 1, alpha: Number = 1) -> jax.Array:
    """`beta * input + alpha * (mat @ vec)`."""
    return _accumulated("input", input, mv(mat, vec), beta, alpha)


def addr(input: jax.Array, vec1: jax.Array, vec2: jax.Array, *, beta: Number = 1, alpha: Number = 1) -> jax.Array:
    """`beta * input + alpha * outer(vec1, vec2)`; of booleans whether either holds."""
    x, product = check.array("input", input), outer(vec1, vec2)
    if x.dtype == bool and product.dtype == bool:
        kept = product if alpha else jnp.zeros_like(product)
        return kept | jnp.broadcast_to(x, product.shape) if beta else kept
    x, product = together(input=x, product=product)
    return _accumulated("input", x, product, beta, alpha)


def baddbmm(
    input: jax.Array, batch1: jax.Array, batch2: jax.Array, *, beta: Number = 1, alpha: Number = 1
) -> jax.Array:
    """`beta * input + alpha * bmm(batch1, batch2)`."""
    return _accumulated("input", input, bmm(batch1, batch2), beta, alpha)


def addbmm(input: jax.Array, batch1: jax.Array, batch2: jax.Array, *, beta: Number = 1, alpha: Number = 1) -> jax.Array:
    """`beta * input + alpha * (sum of bmm(batch1, batch2))`."""
    return _accumulated("input", input, bmm(batch1, batch2).sum(0, dtype=jnp.asarray(batch1).dtype), beta, alpha)


def einsum(equation: str, *operands: Any) -> jax.Array:
    """Products summed over the axes that an equation names: `einsum("bij,bjk->bik", a, b)`."""
    if not isinstance(equation, str):
        raise TypeError(f"equation: expected text such as 'ij,jk->ik', got {type(equation).__name__}")
    given = operands[0] if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands
    arrays = [check.array("operands", x) for x in given]
    if not arrays:
        raise ValueError("operands: expected at least one array, got none")
    for x in arrays:
        check.same_dtype(operands=arrays[0], operand=x)
    try:
        return jnp.einsum(equation, *arrays)
    except (ValueError, TypeError, IndexError, KeyError) as error:
        shapes = ", ".join(str(x.shape) for x in arrays)
        raise ValueError(f"equation: {equation!r} does not fit operands of shapes {shapes}: {error}") from None


def tensordot(a: jax.Array, b: jax.Array, dims: Any = 2) -> jax.Array:
    """Products summed over the last `dims` axes of `a` and the first of `b`, or over two lists of axes."""
    a, b = _pair(a=a, b=b)
    if check.is_sequence(dims) or hasattr(dims, "ndim"):
        pairs = np.asarray(dims).tolist() if hasattr(dims, "ndim") else list(dims)
        if not isinstance(pairs, list):
            over: Any = int(pairs)
        else:
            first, second = ([v] if isinstance(v, int) else list(v) for v in pairs)
            over = [axis(d, a, "dims") for d in first], [axis(d, b, "dims") for d in second]
            if len(first) != len(second):
                raise ValueError(f"dims: expected as many axes of a as of b, got {dims}")
    else:
        over = check.integer("dims", dims, least=0)
        if over > min(a.ndim, b.ndim):
            raise ValueError(f"dims: expected at most {min(a.ndim, b.ndim)} axes, got {dims}")
    if not isinstance(over, int):
        # torch lets an axis of size 1 meet one of any size, and sums the other
        ones = [(i, j) for i, j in zip(*over, strict=True) if 1 in (a.shape[i], b.shape[j])]
        a = a.sum([i for i, j in ones if b.shape[j] == 1], keepdims=True)
        b = b.sum([j for i, j in ones if a.shape[i] == 1], keepdims=True)
    try:
        return jnp.tensordot(a, b, over)
    except (ValueError, TypeError) as error:
        raise ValueError(f"dims: {dims} does not fit shapes {a.shape} and {b.shape}: {error}") from None


def kron(input: jax.Array, other: jax.Array) -> jax.Array:
    """Kronecker product: each element of `input` times all of `other`."""
    a, b = check.array("input", input), check.array("other", other)
    n = max(a.ndim, b.ndim)
    a, b = (x.reshape((1,) * (n - x.ndim) + x.shape) for x in (a, b))
    rows = a.reshape([v for size in a.shape for v in (size, 1)])
    columns = b.reshape([v for size in b.shape for v in (1, size)])
    rows, columns = together(input=rows, other=columns)
    return (rows * columns).reshape([i * j for i, j in zip(a.shape, b.shape, strict=True)])


def cross(input: jax.Array, other: jax.Array, dim: int | None = None) -> jax.Array:
    """Vector product along an axis of size 3, the first such unless `dim` says which; other axes broadcast."""
    a, b = together(input=input, other=other)
    if dim is None:
        found = [i for i, size in enumerate(a.shape) if size == 3]
        if not found:
            raise ValueError(f"input: expected an axis of size 3, got shape {a.shape}")
        dim = found[0]
    dim = axis(dim, a)
    if not a.ndim or a.shape[dim] != 3:
        raise ValueError(f"dim: expected an axis of size 3, got {dim} of shape {a.shape}")
    return jnp.roll(a, -1, dim) * jnp.roll(b, 1, dim) - jnp.roll(a, 1, dim) * jnp.roll(b, -1, dim)


def cov(
    input: jax.Array, *, correction: int = 1, fweights: jax.Array | None = None, aweights: jax.Array | None = None
) -> jax.Array:
    """Covariances of rows: `(N, M)` to `(N, N)`, a line to a number. Columns may be repeated and weighted."""
    x = check.array("input", input)
    check.rank("input", x, {0: "()", 1: "(M,)", 2: "(N, M)"})
    if x.dtype == bool:
        raise TypeError("input: expected numbers, got bool; cast it first")
    x = x.astype(jnp.float32) if category(x.dtype) < FLOATING else x
    x = x if aweights is None else x.astype(common_dtype(x, check.array("aweights", aweights)))
    rows = x.reshape(1, -1) if x.ndim < 2 else x
    weights = None
    for name, given in (("fweights", fweights), ("aweights", aweights)):
        if given is not None:
            w = check.array(name, given)
            if w.shape != rows.shape[1:]:
                raise ValueError(f"{name}: expected shape {rows.shape[1:]}, got {w.shape}")
            weights = w if weights is None else mul(weights, w)
    total: Any = rows.shape[1]
    if weights is None:
        mean = rows.mean(1, keepdims=True)
        free: Any = total - correction
    else:
        total = weights.sum()
        total = total.astype(int64()) if category(total.dtype) < FLOATING else total
        mean = (rows * weights.astype(rows.dtype)[None]).sum(1, keepdims=True) / total.astype(rows.dtype)
        free = total - correction
        if aweights is not None and correction:
            free = total - div(correction * mul(weights, aweights).sum(), total)
    centred = rows - mean
    scaled = centred if weights is None else centred * weights.astype(rows.dtype)[None]
    free = jnp.maximum(jnp.asarray(free, rows.real.dtype), 0).astype(rows.dtype)
    product = scaled @ jnp.conj(centred).T / free
    return product.squeeze()


def corrcoef(input: jax.Array) -> jax.Array:
    """Correlations of rows: `(N, M)` to `(N, N)`; a line to 1."""
    c = cov(input)
    if not c.ndim:
        return c / c
    deviation = jnp.sqrt(jnp.diagonal(c))
    c = c / deviation[:, None] / deviation[None, :]
    if jnp.iscomplexobj(c):
        return jax.lax.complex(jnp.clip(c.real, -1, 1), jnp.clip(c.imag, -1, 1))
    return jnp.clip(c, -1, 1)
