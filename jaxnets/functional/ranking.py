"""Losses of pairs and triplets: `torch.nn.functional.margin_ranking_loss`, `triplet_margin_loss` and the like."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import check
from jaxnets.functional.distance import pairwise_distance
from jaxnets.functional.precision import wide
from jaxnets.functional.reduction import (
    arrays,
    at_least_zero,
    broadcast,
    common_dtype,
    floating,
    floating_or_default,
    legacy_reduction,
    not_bool,
    reduced,
)
from jaxnets.lowering.extremes import smaller

__all__ = [
    "cosine_embedding_loss",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]

EPSILON = float(np.float32(1e-12))  # torch's constant is a C float, also where it computes in float64


def margin_ranking_loss(
    input1: jax.Array,
    input2: jax.Array,
    target: jax.Array,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """Whether the right one of two numbers is the greater one, by a margin.

    `l = max(0, -target * (input1 - input2) + margin)`; the derivative where both are equal is that of the second.

    Args:
        input1: real numbers.
        input2: real numbers, as many axes.
        target: 1 where `input1` should be greater, -1 where `input2` should; as many axes.
        margin: by how much.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Shape:
        `(*)`, `(*)` and `(*)`, which broadcast, to `()`, or to `(*)` without reduction.

    Raises:
        TypeError: booleans or complex numbers.
        ValueError: shapes do not broadcast, the number of axes differs, or an unknown reduction.

    Differences from torch: none.

    >>> margin_ranking_loss(jnp.array([1.0]), jnp.array([3.0]), jnp.array([1.0])).item()
    2.0

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.margin_ranking_loss.html
    """
    input1, input2, target = arrays(input1=input1, input2=input2, target=target)
    margin, reduction = check.number("margin", margin), legacy_reduction(size_average, reduce, reduction)
    if not input1.ndim == input2.ndim == target.ndim:
        raise ValueError(
            f"input1, input2, target: expected as many axes, got shapes {input1.shape}, {input2.shape}, {target.shape}"
        )
    not_bool(input1=input1, input2=input2, target=target)
    common, dtype = common_dtype(input1, input2, target), _real(input1, input2, target)
    a, b, t = (wide(x.astype(common)) for x in broadcast(input1=input1, input2=input2, target=target))
    loss = at_least_zero(_as_floating(-t * (a - b)) + margin)
    return reduced(loss, None, reduction, dtype)


def hinge_embedding_loss(
    input: jax.Array,
    target: jax.Array,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """Distances that should be small, or greater than a margin.

    `l = input` where `target` is 1, `max(0, margin - input)` where it is -1, the sum of both elsewhere

    Args:
        input: distances.
        target: 1 or -1; broadcasts with `input`.
        margin: the least distance where `target` is -1.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Shape:
        `(*)` and `(*)` to `()`, or to the broadcast `(*)` without reduction.

    Raises:
        TypeError: booleans, complex numbers, or the mean of integers.
        ValueError: shapes do not broadcast, or an unknown reduction.

    Differences from torch: none.

    >>> hinge_embedding_loss(jnp.array([0.5, 0.25]), jnp.array([1, -1]), reduction="none").tolist()
    [0.5, 0.75]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.hinge_embedding_loss.html
    """
    input, target = arrays(input=input, target=target)
    margin, reduction = check.number("margin", margin), legacy_reduction(size_average, reduce, reduction)
    not_bool(input=input)
    _real(input)
    x, t = wide(input), target
    margin_ = jnp.asarray(margin).astype(x.dtype)  # torch rounds it too: of integers the margin is one
    apart = margin_ - x
    apart = at_least_zero(apart) if jnp.issubdtype(x.dtype, jnp.floating) else jnp.maximum(apart, 0)
    x, apart, t = broadcast(input=x, margin=apart, target=t)
    zero = jnp.zeros((), x.dtype)
    loss = jnp.where(t != 1, apart, zero) + jnp.where(t != -1, x, zero)
    return reduced(loss, None, reduction, input.dtype)


def cosine_embedding_loss(
    input1: jax.Array,
    input2: jax.Array,
    target: jax.Array,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """Vectors whose angle should be small, or greater than a margin.

    `l = 1 - cos` where `target` is 1, `max(0, cos - margin)` where it is -1, 0 elsewhere, with
    `cos = x1 · x2 / sqrt((x1 · x1 + 1e-12) (x2 · x2 + 1e-12))`

    Args:
        input1: `(N, D)` or `(D,)`, real numbers.
        input2: broadcasts with `input1`, as many axes.
        target: 1 or -1, `(N,)` or `()`.
        margin: cosines up to this one cost nothing where `target` is -1, from -1 to 1.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Shape:
        `(N, D)`, `(N, D)` and `(N,)` to `()`, or to `(N,)` without reduction. Without a batch no `N`.

    Raises:
        TypeError: complex numbers.
        ValueError: shapes do not fit, or an unknown reduction.

    Differences from torch: none.

    >>> x1, x2 = jnp.array([[1.0, 0.0], [1.0, 0.0]]), jnp.array([[0.0, 1.0], [2.0, 0.0]])
    >>> cosine_embedding_loss(x1, x2, jnp.array([1, -1]), margin=0.5, reduction="none").tolist()
    [1.0, 0.5]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cosine_embedding_loss.html
    """
    input1, input2, target = arrays(input1=input1, input2=input2, target=target)
    margin, reduction = check.number("margin", margin), legacy_reduction(size_average, reduce, reduction)
    check.rank("target", target, {0: "()", 1: "(N,)"})
    for name, x in (("input1", input1), ("input2", input2)):
        check.rank(name, x, {target.ndim + 1: "(N, D)" if target.ndim else "(D,)"})
    common, dtype = common_dtype(input1, input2), _real(input1, input2)
    a, b = (wide(x.astype(common)) for x in broadcast(input1=input1, input2=input2))

    def dot(x: jax.Array, y: jax.Array) -> jax.Array:
        return _as_floating((x * y).sum(-1))

    epsilon = wide(jnp.asarray(EPSILON, dtype))  # 0 in float16
    cosine = dot(a, b) / jnp.sqrt((dot(a, a) + epsilon) * (dot(b, b) + epsilon))
    cosine, target = broadcast(input1=cosine, target=target)
    zero = jnp.zeros((), cosine.dtype)
    loss = jnp.where(target == 1, 1 - cosine, zero) + jnp.where(target == -1, at_least_zero(cosine - margin), zero)
    return reduced(loss, None, reduction, dtype)


def triplet_margin_loss(
    anchor: jax.Array,
    positive: jax.Array,
    negative: jax.Array,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """Whether an anchor is nearer to its positive than to its negative example, by a margin.

    `l = max(0, margin + d(anchor, positive) - d(anchor, negative))` with `pairwise_distance` for `d`

    Args:
        anchor: `(*, D)`.
        positive: as many axes; broadcasts with `anchor`.
        negative: as many axes; broadcasts with `anchor`.
        margin: by how much, more than 0.
        p: exponent of the norm.
        eps: added to each difference.
        swap: whether the distance between the two examples counts where it is less than that of the negative one.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Shape:
        `(*, D)`, `(*, D)` and `(*, D)` to `()`, or to `(*)` without reduction.

    Raises:
        TypeError: booleans.
        ValueError: shapes do not fit, `margin` is not positive, or an unknown reduction.

    Differences from torch: none.

    >>> x = jnp.array([[0.0, 0.0]])
    >>> round(triplet_margin_loss(x, x + 1, x - 1).item(), 4)
    1.0

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.triplet_margin_loss.html
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    swap = check.flag("swap", swap)
    distance = partial(pairwise_distance, p=check.number("p", p), eps=check.number("eps", eps))
    return _triplet(anchor, positive, negative, distance, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor: jax.Array,
    positive: jax.Array,
    negative: jax.Array,
    *,
    distance_function: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> jax.Array:
    """`triplet_margin_loss` with any distance.

    `l = max(0, margin + d(anchor, positive) - d(anchor, negative))`

    Args:
        anchor: what `distance_function` takes.
        positive: as many axes.
        negative: as many axes.
        distance_function: `d`, a function of two arrays; `pairwise_distance` when not given.
        margin: by how much, more than 0.
        swap: whether the distance between the two examples counts where it is less than that of the negative one.
        reduction: "none" for `l`, "sum" for its sum, "mean" for its mean.

    Shape:
        `(*, D)`, `(*, D)` and `(*, D)` to `()`, or to the distances' shape without reduction.

    Raises:
        TypeError: `distance_function` is no function.
        ValueError: shapes do not fit, `margin` is not positive, or an unknown reduction.

    Differences from torch: none.

    >>> x = jnp.array([[0.0, 0.0]])
    >>> triplet_margin_with_distance_loss(x, x + 1, x, distance_function=lambda a, b: jnp.abs(a - b).sum(-1)).item()
    3.0

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.triplet_margin_with_distance_loss.html
    """
    reduction = legacy_reduction(None, None, reduction)
    swap = check.truth("swap", swap)
    if distance_function is None:
        distance_function = pairwise_distance
    elif not callable(distance_function):
        raise TypeError(f"distance_function: expected a function of two arrays, got {distance_function!r}")
    return _triplet(anchor, positive, negative, distance_function, margin, swap, reduction)


def _triplet(
    anchor: jax.Array,
    positive: jax.Array,
    negative: jax.Array,
    distance: Callable[[jax.Array, jax.Array], jax.Array],
    margin: float,
    swap: bool,
    reduction: str,
) -> jax.Array:
    anchor, positive, negative = arrays(anchor=anchor, positive=positive, negative=negative)
    margin = positive_margin(margin)
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise ValueError(
            f"anchor, positive, negative: expected as many axes, got shapes {anchor.shape}, {positive.shape}, "
            f"{negative.shape}"
        )
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        between = distance(positive, negative)
        common = floating(far, between)
        far = smaller(*broadcast(negative=far.astype(common), positive=between.astype(common)))
    dtype = floating_or_default(near, far)
    near, far = (wide(x.astype(dtype)) for x in broadcast(positive=near, negative=far))
    return reduced(at_least_zero(margin + near - far), None, reduction, dtype)


def positive_margin(margin: Any) -> float:
    """The margin of triplets, more than 0."""
    margin = check.number("margin", margin)
    if margin <= 0:
        raise ValueError(f"margin: expected a positive number, got {margin}")
    return margin


def _real(*arrays: jax.Array) -> Any:
    """The dtype of the result for real numbers of any kind."""
    for x in arrays:
        if jnp.iscomplexobj(x):
            raise TypeError(f"input: expected real numbers, got {x.dtype}; take their real parts")
    return floating_or_default(*arrays)


def _as_floating(x: jax.Array) -> jax.Array:
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.float32)
