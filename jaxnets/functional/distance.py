"""Distances between vectors: `torch.nn.functional.cosine_similarity`, `pairwise_distance`, `pdist`."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets import check
from jaxnets.functional.precision import wide
from jaxnets.lowering.extremes import at_least, greatest, least

__all__ = ["cosine_similarity", "pairwise_distance", "pdist"]


def cosine_similarity(x1: jax.Array, x2: jax.Array, dim: int = 1, eps: float = 1e-8) -> jax.Array:
    """Cosine of the angle between vectors.

    `sum of x1 / max(‖x1‖, eps) * x2 / max(‖x2‖, eps)`

    The maxima have the derivative of the norms, as in torch.

    Args:
        x1: real numbers, floating unless `x2` is.
        x2: broadcast with `x1`.
        dim: the axis of a vector, after both are broadcast.
        eps: the least norm.

    Shape:
        `(*, D, *)` to `(*, *)`.

    Raises:
        TypeError: neither input is floating, or one is complex.
        ValueError: shapes do not fit, `dim` is no axis.

    Differences from torch: none.

    >>> cosine_similarity(jnp.array([[1.0, 1.0]]), jnp.array([[2.0, 2.0]])).round(4).tolist()
    [1.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cosine_similarity.html
    """
    x1, x2 = _common("x1", x1, "x2", x2)
    if not jnp.issubdtype(x1.dtype, jnp.floating):
        raise TypeError(f"x1: expected a floating dtype of it or of x2, got {x1.dtype}; cast one of them")
    least, (axis,) = check.number("eps", eps), _axes("dim", check.integer("dim", dim), x1.ndim)
    product = _unit(wide(x1), axis, least) * _unit(wide(x2), axis, least)
    return product.sum(() if x1.ndim == 0 else axis).astype(x1.dtype)


def _unit(x: jax.Array, axis: int, eps: float) -> jax.Array:
    return x / at_least(vector_norm(x, 2.0, axis), eps)


def pairwise_distance(
    x1: jax.Array, x2: jax.Array, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> jax.Array:
    """Norm of the difference of vectors, which lie on the last axis.

    `‖x1 - x2 + eps‖_p`

    Args:
        x1: numbers; not boolean.
        x2: broadcast with `x1`.
        p: exponent of the norm, any number or infinity.
        eps: added to each difference.
        keepdim: whether to keep the last axis, with size 1.

    Shape:
        `(*, D)` to `(*)`, or `(*, 1)`.

    Raises:
        TypeError: an input is boolean.
        ValueError: shapes do not fit; vectors without entries, whose norm is not defined.

    Differences from torch: none.

    >>> pairwise_distance(jnp.array([[3.0, 0.0]]), jnp.array([[0.0, 4.0]]), eps=0.0).tolist()
    [5.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pairwise_distance.html
    """
    for name, x in (("x1", x1), ("x2", x2)):
        if check.array(name, x).dtype == bool:
            raise TypeError(f"{name}: expected numbers, got bool; cast it first")
    x1, x2 = _common("x1", x1, "x2", x2)
    p, eps, keepdim = check.number("p", p), check.number("eps", eps), check.flag("keepdim", keepdim)
    difference = x1 - x2
    if not jnp.issubdtype(difference.dtype, jnp.inexact):
        difference = difference.astype(jnp.float32)
    return vector_norm(difference + eps, p, -1, keepdim=keepdim)


def pdist(input: jax.Array, p: float = 2.0) -> jax.Array:
    """Norm of the difference of each two rows.

    `‖x_i - x_j‖_p` for all `i < j`, in the order (0, 1), (0, 2), ..., (1, 2), ...

    Args:
        input: `(N, M)`, float32 or float64.
        p: exponent of the norm, at least 0, or infinity. 0 counts the entries that differ.

    Shape:
        `(N, M)` to `(N * (N - 1) / 2,)`. Memory is that of `(N, N)`.

    Raises:
        TypeError: the input is not float32 or float64.
        ValueError: not two axes, or a negative `p`.

    Differences from torch: has a second derivative.

    >>> pdist(jnp.array([[0.0, 0.0], [3.0, 4.0], [0.0, 8.0]])).tolist()
    [5.0, 8.0, 5.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pdist.html
    """
    input, p = check.array("input", input), check.number("p", p)
    if input.dtype not in (jnp.float32, jnp.float64):
        raise TypeError(f"input: expected float32 or float64, got {input.dtype}; cast it first")
    check.rank("input", input, {2: "(N, M)"})
    if not p >= 0:
        raise ValueError(f"p: expected a number of at least 0, got {p}")
    n, table = len(input), _distances(input, p)
    first = jnp.repeat(jnp.arange(n), jnp.arange(n)[::-1], total_repeat_length=n * (n - 1) // 2)
    before = first * (2 * n - first - 1) // 2  # pairs whose first row comes before
    second = jnp.arange(n * (n - 1) // 2) - before + first + 1
    return table[first, second]


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _distances(x: jax.Array, p: float) -> jax.Array:
    """`(N, N)` distances of the rows."""
    if p == math.inf and not x.shape[1]:
        return jnp.zeros((len(x), len(x)), x.dtype)
    return _by_rows(lambda row: norm_of_difference(row[None] - x, p)[:, 0], x)


@_distances.defjvp
def _distances_jvp(p: float, primals: Sequence, tangents: Sequence) -> tuple[jax.Array, jax.Array]:
    """Torch's gradient: at a tie of the maximum norm each of the greatest entries has all of it."""
    (x,), (tangent,) = primals, tangents

    @jax.checkpoint  # the slopes of all pairs are computed again, not kept
    def change(row: jax.Array, norm: jax.Array, tangent: jax.Array) -> jax.Array:
        difference, norm = row[None] - x, norm[:, None]
        if p == math.inf:
            slope = jnp.where(jnp.abs(difference) == norm, _sign(difference), jnp.zeros_like(difference))
        else:
            slope = _slope(difference, norm, p, (1,))
        return (slope * tangent[None]).sum(1)

    norms = _distances(x, p)
    # Half of the table mirrors the other: the gradient is then one sum along an axis, not two, and no scatter.
    changes = _by_rows(change, x, norms, tangent)
    return norms, changes + changes.T


def _by_rows(f: Callable[..., jax.Array], x: jax.Array, *rest: jax.Array) -> jax.Array:
    """`f` of each row, as many at once as all rows' differences from them take 2^20 entries."""
    at_once = max(2**20 // max(x.size, 1), 1)
    if at_once >= len(x):
        return jax.vmap(f)(x, *rest)
    return lax.map(lambda rows: f(*rows), (x, *rest), batch_size=at_once)


def vector_norm(x: jax.Array, p: float, dim: int | Sequence[int] | None = None, *, keepdim: bool = True) -> jax.Array:
    """`torch.linalg.vector_norm` with torch's derivatives: 0 at 0, and shared by equals in the maximum norm."""
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        raise TypeError(f"input: expected a floating or complex dtype, got {x.dtype}; cast it first")
    p, axes = check.number("p", p), _axes("dim", dim, x.ndim)
    empty = [axis for axis in axes if x.ndim and not x.shape[axis]]
    if empty and (p < 0 or p == math.inf):
        raise ValueError(f"input: expected entries on axis {empty[0]} for the norm with p={p}, got shape {x.shape}")
    if x.ndim == 0:
        return vector_norm(x[None], p, 0)[0]
    norm = _norm(wide(x), p, axes)
    norm = norm.astype(x.dtype) if jnp.isrealobj(x) else norm
    return norm if keepdim else norm.squeeze(axes)


def norm_of_difference(x: jax.Array, p: float) -> jax.Array:
    """The norm over the last axis, which is kept. The count of what is not 0 is NaN where there is one, as in torch."""
    if p == 0:
        counted = jnp.where(jnp.isnan(x), np.full((), np.nan, x.dtype), (x != 0).astype(x.dtype))
        return counted.sum(-1, keepdims=True)
    return vector_norm(x, p, -1)


@partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _norm(x: jax.Array, p: float, axes: tuple[int, ...]) -> jax.Array:
    """The norm with its axes kept."""
    if p == 2:
        return jnp.sqrt(
            (jnp.square(x.real) + jnp.square(x.imag) if jnp.iscomplexobj(x) else jnp.square(x)).sum(axes, keepdims=True)
        )
    size = jnp.abs(x)
    if p == 0:
        return (size != 0).astype(size.dtype).sum(axes, keepdims=True)
    if math.isinf(p):
        return (greatest if p > 0 else least)(size, axes, keepdims=True)
    if p == 1:
        return size.sum(axes, keepdims=True)
    return (size**p).sum(axes, keepdims=True) ** (1 / p)


@_norm.defjvp
def _norm_jvp(p: float, axes: tuple[int, ...], primals: Sequence, tangents: Sequence) -> tuple[jax.Array, jax.Array]:
    (x,), (tangent,) = primals, tangents
    norm = _norm(x, p, axes)
    slope = _slope(x, norm, p, axes)
    products = (jnp.conj(slope) * tangent).real if jnp.iscomplexobj(x) else slope * tangent
    return norm, products.sum(axes, keepdims=True)


def _slope(x: jax.Array, norm: jax.Array, p: float, axes: tuple[int, ...]) -> jax.Array:
    """The gradient of the norm: 0 where the formula is not defined."""
    if p == 0:
        return jnp.zeros_like(x)
    if p == 1:
        return _sign(x)
    if p == 2:
        return x / _nonzero(norm).astype(x.dtype)
    size = jnp.abs(x)
    if math.isinf(p):
        chosen = ((size == norm) | jnp.isnan(size)).astype(size.dtype)
        return _sign(x) * (chosen / chosen.sum(axes, keepdims=True)).astype(x.dtype)
    power = jnp.where(size == 0, jnp.zeros_like(size), _nonzero(size) ** (p - 1))
    scale = norm ** (1 - p) if p < 1 else jnp.where(norm == 0, jnp.zeros_like(norm), _nonzero(norm) ** (1 - p))
    return _sign(x) * (power * scale).astype(x.dtype)


def _sign(x: jax.Array) -> jax.Array:
    """The sign; of NaN it is 0, as in torch."""
    return jnp.where(jnp.isnan(x), jnp.zeros_like(x), jnp.sign(x))


def _nonzero(x: jax.Array) -> jax.Array:
    """1 in place of 0, so that what is chosen away has finite derivatives."""
    return jnp.where(x == 0, jnp.ones_like(x), x)


def _axes(name: str, dim: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """Axes counted from the first; a number has one axis, as in torch. None and no axes are all."""
    given = tuple(dim) if check.is_sequence(dim) else () if dim is None else (dim,)
    axes, least = [], max(ndim, 1)
    for d in given or range(ndim):
        d = check.integer(name, d)
        if not -least <= d < least:
            raise ValueError(f"{name}: expected an axis from {-least} to {least - 1}, got {d}")
        axes.append(d % least)
    if len(set(axes)) < len(axes):
        raise ValueError(f"{name}: expected different axes, got {given}")
    return tuple(axes)


def _common(name1: str, x1: jax.Array, name2: str, x2: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Both arrays in their common dtype and shape."""
    x1, x2 = check.array(name1, x1), check.array(name2, x2)
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.promote_types(x1.dtype, x2.dtype)
    try:
        shape = jnp.broadcast_shapes(x1.shape, x2.shape)
    except ValueError:
        raise ValueError(
            f"{name2}: expected a shape that broadcasts with {name1}'s {x1.shape}, got {x2.shape}"
        ) from None
    return jnp.broadcast_to(x1.astype(dtype), shape), jnp.broadcast_to(x2.astype(dtype), shape)
