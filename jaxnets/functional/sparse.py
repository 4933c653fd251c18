"""Lookups in tables: `torch.nn.functional.embedding`."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets import check
from jaxnets.functional.precision import wide

__all__ = ["embedding", "renormalised"]


def embedding(
    input: jax.Array,
    weight: jax.Array,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> jax.Array:
    """Rows of a table by their index.

    `y[i] = weight[input[i]]`

    Args:
        input: indices of rows, int32 or int64, from 0 to V - 1.
        weight: `(V, D)`.
        padding_idx: a row (from the end if negative) that gets no gradient.
        max_norm: rows that are looked up and have a greater norm are scaled down to it first.
        norm_type: p of the norm, 2 for Euclid's.
        scale_grad_by_freq: whether the gradient of a row is divided by the number of its indices in `input`.
        sparse: has no effect; gradients are dense.

    Shape:
        `(*)` to `(*, D)`.

    Raises:
        TypeError: `input` is not int32 or int64.
        ValueError: an index or `padding_idx` out of range, `weight` does not have two axes.

    Differences from torch: `weight` is not renormalised in place: `renormalised` returns the new table, and
    `jaxnets.nn.Embedding` keeps it. Where indices are traced (under `jax.jit`) no error can be raised: an index out
    of range gives a row of NaN.

    >>> embedding(jnp.array([2, 0]), jnp.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])).tolist()
    [[4.0, 5.0], [0.0, 1.0]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.embedding.html
    """
    if max_norm is not None:
        weight = renormalised(input, weight, max_norm, norm_type)
    input, weight = _validated(input, weight)
    rows = weight.at[input].get(mode="fill")
    source = rows
    if padding_idx is not None:
        size = weight.shape[0]
        if not -size <= check.integer("padding_idx", padding_idx) < size:
            raise ValueError(f"padding_idx: expected a row from {-size} to {size - 1}, got {padding_idx}")
        source = jnp.where((input == padding_idx % size)[..., None], jnp.zeros((), rows.dtype), source)
    if check.flag("scale_grad_by_freq", scale_grad_by_freq):
        counts = jnp.zeros(weight.shape[0], jnp.int32).at[input].add(1, mode="drop")
        source = source / jnp.broadcast_to(counts[input][..., None].astype(rows.dtype), source.shape)
    return rows if source is rows else _with_derivative_of(source, rows)


def renormalised(input: jax.Array, weight: jax.Array, max_norm: float, norm_type: float = 2.0) -> jax.Array:
    """The table in which the rows that `input` names are scaled down to the norm `max_norm`.

    `row * max_norm / (norm(row) + 1e-7)` where `norm(row) > max_norm`

    As torch does it outside of the graph, the derivative is that of the table itself.

    Args:
        input: indices of rows, int32 or int64.
        weight: `(V, D)`.
        max_norm: the greatest norm.
        norm_type: p of the norm, 2 for Euclid's.

    Shape:
        `(*)` and `(V, D)` to `(V, D)`.

    Raises:
        TypeError, ValueError: as `embedding`.

    Differences from torch: not in torch, which does this in place.

    >>> renormalised(jnp.array([1]), jnp.array([[0.0, 8.0], [0.0, 8.0]]), 4.0).tolist()
    [[0.0, 8.0], [0.0, 4.0]]
    """
    input, weight = _validated(input, weight)
    max_norm, norm_type = check.number("max_norm", max_norm), check.number("norm_type", norm_type)
    table = lax.stop_gradient(weight)
    rows = table.at[input].get(mode="fill")
    norm = jnp.linalg.norm(wide(rows), ord=norm_type, axis=-1, keepdims=True)
    scale = jnp.where(norm > max_norm, max_norm / (norm + 1e-7), jnp.ones_like(norm)).astype(rows.dtype)
    table = table.at[input].set(rows * jnp.broadcast_to(scale, rows.shape), mode="drop")
    return _with_derivative_of(weight, table)


@jax.custom_jvp
def _with_derivative_of(source: jax.Array, value: jax.Array) -> jax.Array:
    """`value`, which is differentiated as if it were `source`."""
    return value


_with_derivative_of.defjvp(lambda primals, tangents: (primals[1], tangents[0]))


def _validated(input: jax.Array, weight: jax.Array) -> tuple[jax.Array, jax.Array]:
    input, weight = check.array("input", input), check.array("weight", weight)
    if input.dtype not in (jnp.int32, jnp.int64):
        raise TypeError(f"input: expected indices of dtype int32 or int64, got {input.dtype}; cast them first")
    check.rank("weight", weight, {2: "(num_embeddings, embedding_dim)"})
    size = weight.shape[0]
    if isinstance(input, jax.core.Tracer):
        # an index below 0 must be out of range: JAX counts it from the end
        return jnp.where(input < 0, jnp.full((), size, input.dtype), input), weight
    indices = np.asarray(input)
    outside = indices[(indices < 0) | (indices >= size)]
    if outside.size:
        raise ValueError(f"input: expected indices from 0 to {size - 1}, got {outside.flat[0]}")
    return input, weight
