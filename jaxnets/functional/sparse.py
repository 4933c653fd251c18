"""Lookups in tables: `torch.nn.functional.embedding`, `embedding_bag` and `one_hot`."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets import check
from jaxnets.functional.distance import vector_norm
from jaxnets.functional.precision import wide
from jaxnets.lowering.derivative import with_derivative_of
from jaxnets.lowering.mesh import alike, automatic, layout, rows_at

__all__ = ["embedding", "embedding_bag", "one_hot", "renormalised"]


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
    rows = rows_at(weight, input, "fill")
    source = rows
    if padding_idx is not None:
        padded = input == row_number(padding_idx, weight.shape[0])
        source = jnp.where(padded[..., None], jnp.zeros((), rows.dtype), source)
    if check.flag("scale_grad_by_freq", scale_grad_by_freq):
        source = _per_frequency(source, input, weight.shape[0])
    return rows if source is rows else with_derivative_of(source, rows)


def embedding_bag(
    input: jax.Array,
    weight: jax.Array,
    offsets: jax.Array | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: jax.Array | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> jax.Array:
    """Sums, means or maxima of bags of rows of a table.

    `y[b] = sum over i in bag b of per_sample_weights[i] * weight[input[i]]`, or mean or maximum without weights

    A bag without rows gives zeros. A maximum takes the first of equals, and NaN only where the bag begins with it.

    Args:
        input: indices of rows, int32 or int64, from 0 to V - 1: `(B, N)`, each row a bag, or `(N)` with `offsets`.
        weight: `(V, D)`.
        offsets: where each bag begins in a flat `input`, int32 or int64: begins with 0, never decreases.
        max_norm: rows that are looked up and have a greater norm are scaled down to it first.
        norm_type: p of the norm, 2 for Euclid's.
        scale_grad_by_freq: whether the gradient of a row is divided by the number of its indices in `input`; not for
            "max".
        mode: "sum", "mean" or "max".
        sparse: has no effect; gradients are dense. Not for "max".
        per_sample_weights: factors, shape of `input`, dtype of `weight`; for "sum" only.
        include_last_offset: whether the last of `offsets` is where the last bag ends, and begins none.
        padding_idx: a row (from the end if negative) that counts in no bag and gets no gradient.

    Shape:
        `(B, N)`, or `(N)` and `(B)`, to `(B, D)`.

    Raises:
        TypeError: indices that are not int32 or int64, a table that is not floating, dtypes that differ.
        ValueError: an index, an offset, a shape or a combination of arguments that does not fit.

    Differences from torch: `weight` is not renormalised in place: `renormalised` returns the new table, and
    `jaxnets.nn.EmbeddingBag` keeps it. Where indices are traced (under `jax.jit`) no error can be raised: an index out
    of range gives NaN, offsets are taken as they are. What lies behind a last offset is in no bag; torch reads memory
    that is not its own. Offsets that decrease are refused. `scale_grad_by_freq` divides by the row's own number, as
    torch says and does on GPUs; its CPU kernel takes another row's up to version 2.13 (pytorch issue 190063).

    >>> table = jnp.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    >>> embedding_bag(jnp.array([2, 0, 1]), table, jnp.array([0, 2])).tolist()
    [[2.0, 3.0], [2.0, 3.0]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.embedding_bag.html
    """
    input, weight = check.array("input", input), check.array("weight", weight)
    if jnp.issubdtype(weight.dtype, jnp.integer) and jnp.issubdtype(input.dtype, jnp.floating):
        warnings.warn(
            "Argument order of nn.functional.embedding_bag was changed. Usage `embedding_bag(weight, input, ...)` is "
            "deprecated, and should now be `embedding_bag(input, weight, ...)`.",
            stacklevel=2,
        )
        input, weight = weight, input
    check.choice("mode", mode, ("sum", "mean", "max"))
    scale_grad_by_freq = check.flag("scale_grad_by_freq", scale_grad_by_freq)
    if mode == "max" and (scale_grad_by_freq or check.truth("sparse", sparse)):
        name = "scale_grad_by_freq" if scale_grad_by_freq else "sparse"
        raise ValueError(f"{name}: mode='max' takes False only, got True")
    if max_norm is not None:
        weight = renormalised(input, weight, max_norm, norm_type)
    input, weight = _validated(input, weight)
    if not jnp.issubdtype(weight.dtype, jnp.floating):
        raise TypeError(f"weight: expected a floating dtype, got {weight.dtype}; cast it first")
    if per_sample_weights is not None:
        per_sample_weights = check.array("per_sample_weights", per_sample_weights)
        if mode != "sum":
            raise ValueError(f"per_sample_weights: expected None or mode='sum', got mode={mode!r}")
        if per_sample_weights.shape != input.shape:
            raise ValueError(
                f"per_sample_weights: expected the shape of input, {input.shape}, got {per_sample_weights.shape}"
            )
        check.same_dtype(weight=weight, per_sample_weights=per_sample_weights)
        per_sample_weights = per_sample_weights.ravel()
    bags = _bags(input, offsets, check.truth("include_last_offset", include_last_offset))
    input, (size, width) = input.ravel(), weight.shape
    kept = jnp.ones(input.shape, bool)
    if padding_idx is not None:
        kept = input != row_number(padding_idx, size)
    if not input.size:
        return jnp.zeros((bags.number, width), weight.dtype)
    if mode == "max":
        return automatic(partial(_greatest, bags), layout(input), input, weight, kept)
    rows = rows_at(weight, input, "fill")
    if scale_grad_by_freq:
        rows = with_derivative_of(_per_frequency(rows, input, size), rows)
    rows = wide(rows)
    rows = jnp.where(kept[:, None], rows, jnp.zeros((), rows.dtype))
    if per_sample_weights is not None:
        # Both are cleared before they meet: a NaN in the padding must not reach the other's gradient.
        factors = jnp.where(kept, wide(per_sample_weights), jnp.zeros((), rows.dtype))
        rows = rows * jnp.broadcast_to(factors[:, None], rows.shape)
    total = bags.sum(rows)
    if mode == "mean":
        count = jnp.maximum(bags.sum(kept.astype(jnp.int32)), 1).astype(total.dtype)
        total = total / jnp.broadcast_to(count[:, None], total.shape)
    return total.astype(weight.dtype)


class _Bags(NamedTuple):
    """How a flat array falls into bags: their number, and the sum and the least of each.

    A bag's least of nothing is the greatest number. `spread` gives every element the number of its bag.
    """

    number: int
    sum: Callable[[jax.Array], jax.Array]
    min: Callable[[jax.Array], jax.Array]
    spread: Callable[[jax.Array], jax.Array]


def _bags(input: jax.Array, offsets: jax.Array | None, include_last_offset: bool) -> _Bags:
    check.rank("input", input, {1: "(N,)", 2: "(B, N)"})
    if input.ndim == 2:
        number, length = input.shape
        if offsets is not None:
            raise ValueError("offsets: expected None for input of shape (B, N), where every row is a bag")
        if not length:
            raise ValueError(f"input: expected bags of at least one index, got shape {input.shape}")

        def reduced(reduce: Callable[..., jax.Array]) -> Callable[[jax.Array], jax.Array]:
            return lambda x: reduce(x.reshape(number, length, *x.shape[1:]), axis=1)

        return _Bags(number, reduced(jnp.sum), reduced(jnp.min), lambda x: jnp.repeat(x, length, axis=0))
    if offsets is None:
        raise ValueError("offsets: expected where each bag begins for input of shape (N,), got None")
    offsets = check.array("offsets", offsets)
    if offsets.dtype not in (jnp.int32, jnp.int64):
        raise TypeError(f"offsets: expected dtype int32 or int64, got {offsets.dtype}; cast them first")
    check.rank("offsets", offsets, {1: "(B,)"})
    if include_last_offset and not offsets.size:
        raise ValueError("offsets: expected at least one, the end of the last bag, got none")
    total, number = input.shape[0], offsets.shape[0] - include_last_offset
    if not isinstance(offsets, jax.core.Tracer) and offsets.size:
        given = np.asarray(offsets)
        if given[0] != 0 or given[-1] > total or (np.diff(given) < 0).any():
            raise ValueError(
                f"offsets: expected to begin with 0, not to decrease, and not to exceed the {total} indices of input, "
                f"got {given.tolist()}"
            )
    begun = jnp.zeros(total + 1, jnp.int32).at[offsets].add(1, mode="drop")
    bag = lax.cumsum(begun)[:total] - 1
    return _Bags(
        number,
        lambda x: jax.ops.segment_sum(x, bag, number, indices_are_sorted=True),
        lambda x: jax.ops.segment_min(x, bag, number, indices_are_sorted=True),
        lambda x: x.at[bag].get(mode="fill"),
    )


def _greatest(bags: _Bags, input: jax.Array, weight: jax.Array, kept: jax.Array) -> jax.Array:
    """The maximum of each bag: which index wins is found first, so that only the winner is looked up for gradients."""
    rows = rows_at(lax.stop_gradient(weight), input, "fill")
    place = jnp.broadcast_to(jnp.arange(input.size)[:, None], rows.shape)
    none, kept = jnp.full((), input.size, place.dtype), jnp.broadcast_to(kept[:, None], rows.shape)
    first = bags.min(jnp.where(kept, place, none))
    # Less than minus infinity there is no number: what is out of the race is told by its place.
    running = kept & ~jnp.isnan(rows)
    best = -bags.min(jnp.where(running, -rows, jnp.full((), jnp.inf, rows.dtype)))
    winner = bags.min(jnp.where(running & (rows == bags.spread(best)), place, none))
    opened = jnp.take_along_axis(rows, jnp.minimum(first, input.size - 1), axis=0)
    winner = jnp.where(jnp.isnan(opened) | (winner >= none), first, winner)
    column = jnp.broadcast_to(jnp.arange(weight.shape[1])[None], winner.shape)
    row = input[jnp.minimum(winner, input.size - 1)]
    value = weight.at[row, column].get(mode="fill")
    return jnp.where(winner < none, value, jnp.zeros((), value.dtype))


def _per_frequency(rows: jax.Array, input: jax.Array, size: int) -> jax.Array:
    """Each row divided by the number of times that its index stands in `input`."""

    def frequency(input: jax.Array) -> jax.Array:
        return jnp.zeros(size, jnp.int32).at[input].add(1, mode="drop")[input]

    return rows / automatic(frequency, layout(input), input)[..., None].astype(rows.dtype)


def one_hot(input: jax.Array, num_classes: int = -1) -> jax.Array:
    """Ones at the classes, zeros elsewhere.

    `y[..., k] = 1 if input[...] == k else 0`

    Args:
        input: classes, int32 or int64, from 0 to `num_classes - 1`.
        num_classes: K; one more than the greatest class when -1.

    Shape:
        `(*)` to `(*, K)`, dtype of `input`.

    Raises:
        TypeError: `input` is not int32 or int64.
        ValueError: a class out of range, or -1 where no class is there or classes are traced.

    Differences from torch: int32 as well as int64. Where `input` is traced (under `jax.jit`) `num_classes` must be
    given, and a class out of range gives zeros.

    >>> one_hot(jnp.array([0, 2])).tolist()
    [[1, 0, 0], [0, 0, 1]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.one_hot.html
    """
    input, number = check.array("input", input), check.integer("num_classes", num_classes)
    if input.dtype not in (jnp.int32, jnp.int64):
        raise TypeError(f"input: expected classes of dtype int32 or int64, got {input.dtype}; cast them first")
    if not input.size and number < 1:
        raise ValueError(f"num_classes: expected at least 1 where input has no classes, got {number}")
    if isinstance(input, jax.core.Tracer):
        if number < 1:
            raise ValueError(f"num_classes: expected their number where input is traced, got {number}")
    elif input.size:
        classes = np.asarray(input)
        if number == -1:
            number = int(classes.max()) + 1
        if classes.min() < 0 or classes.max() >= number:
            raise ValueError(f"input: expected classes from 0 to {number - 1}, got {classes.min()} to {classes.max()}")
    shape = (*input.shape, number)
    return (jnp.broadcast_to(input[..., None], shape) == lax.broadcasted_iota(input.dtype, shape, input.ndim)).astype(
        input.dtype
    )


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

    def table(input: jax.Array, weight: jax.Array) -> jax.Array:
        rows = weight.at[input].get(mode="fill")
        norm = vector_norm(wide(rows), norm_type, -1)
        scale = jnp.where(norm > max_norm, max_norm / (norm + 1e-7), jnp.ones_like(norm)).astype(rows.dtype)
        return weight.at[input].set(rows * jnp.broadcast_to(scale, rows.shape), mode="drop")

    found = automatic(table, layout(weight), input, lax.stop_gradient(weight))
    return with_derivative_of(*alike(weight, found))


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


def row_number(padding_idx: int, size: int) -> int:
    """`padding_idx` from the front of a table of `size` rows."""
    if not -size <= check.integer("padding_idx", padding_idx) < size:
        raise ValueError(f"padding_idx: expected a row from {-size} to {size - 1}, got {padding_idx}")
    return padding_idx % size
