"""Softmax over clusters of classes, rare ones behind smaller matrices: what `AdaptiveLogSoftmaxWithLoss` computes."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import check
from jaxnets.functional.linear import linear
from jaxnets.functional.precision import wide
from jaxnets.functional.softmax import log_softmax

Cluster = tuple[jax.Array, jax.Array]
"""The two matrices of a cluster: `(H, F)` and `(classes of the cluster, H)`."""


def target_log_probabilities(
    input: jax.Array,
    target: jax.Array,
    head: jax.Array,
    bias: jax.Array | None,
    tail: Sequence[Cluster],
    cutoffs: Sequence[int],
) -> jax.Array:
    """Log probability of the target of each sample.

    torch computes of a cluster only the samples whose target is in it. Shapes that depend on numbers cannot be
    compiled: here all samples go through all clusters, those of other clusters as zeros, so that what they hold
    reaches no gradient.

    Args:
        input: `(N, F)`.
        target: classes, `(N,)`. Those out of range give NaN.
        head: `(shortlist + clusters, F)`.
        bias: of the head, or None.
        tail: the matrices of each cluster.
        cutoffs: the first class behind the shortlist and behind each cluster.

    Shape:
        `(N, F)` and `(N,)` to `(N,)`.
    """
    shortlist = cutoffs[0]
    zero = jnp.zeros((), input.dtype)
    place = jnp.where((target >= 0) & (target < shortlist), target, head.shape[0])  # out of range gives NaN
    within = jnp.zeros_like(input[:, 0])
    for i, (matrices, low, high) in enumerate(zip(tail, cutoffs[:-1], cutoffs[1:], strict=True)):
        member = (target >= low) & (target < high)
        rows = jnp.where(member[:, None], input, zero)
        place = jnp.where(member, shortlist + i, place)
        likelihood = _picked(_scores(rows, matrices), jnp.where(member, target - low, 0))
        within = jnp.where(member, likelihood, within)
    return within + _picked(linear(input, head, bias), place)


def log_probabilities(
    input: jax.Array, head: jax.Array, bias: jax.Array | None, tail: Sequence[Cluster], cutoffs: Sequence[int]
) -> jax.Array:
    """Log probabilities of all classes: `(N, F)` to `(N, C)`."""
    first = log_softmax(linear(input, head, bias), 1)
    shortlist = cutoffs[0]
    parts = [first[:, :shortlist]]
    for i, matrices in enumerate(tail):
        inner = log_softmax(_scores(input, matrices), 1)
        parts.append(inner + jnp.broadcast_to(first[:, shortlist + i, None], inner.shape))
    return jnp.concatenate(parts, 1)


def most_likely(
    input: jax.Array, head: jax.Array, bias: jax.Array | None, tail: Sequence[Cluster], cutoffs: Sequence[int]
) -> jax.Array:
    """The class of the greatest probability: `(N, F)` to `(N,)`. The shortlist's where the head's greatest score is."""
    first = linear(input, head, bias).argmax(1)
    likely = log_probabilities(input, head, bias, tail, cutoffs).argmax(1)
    return jnp.where(first < cutoffs[0], first, likely)


def check_targets(input: jax.Array, target: jax.Array, classes: int) -> None:
    """Refuses shapes that do not fit, and classes out of range where they are known."""
    check.rank("target", target, {0: "()", 1: "(N,)"})
    check.rank("input", input, {target.ndim + 1: "(N, in_features)" if target.ndim else "(in_features,)"})
    if target.ndim and len(input) != len(target):
        raise ValueError(f"target: expected {len(input)} classes, one for each sample, got {len(target)}")
    if not jnp.issubdtype(target.dtype, jnp.integer):
        raise TypeError(f"target: expected classes of an integer dtype, got {target.dtype}")
    if not isinstance(target, jax.core.Tracer):
        given = np.asarray(target)
        outside = given[(given < 0) | (given >= classes)]
        if outside.size:
            raise ValueError(f"target: expected classes from 0 to {classes - 1}, got {outside.flat[0]}")


def _scores(input: jax.Array, matrices: Cluster) -> jax.Array:
    return linear(linear(input, matrices[0]), matrices[1])


def _picked(scores: jax.Array, place: jax.Array) -> jax.Array:
    """One log probability of each row."""
    likelihood = wide(log_softmax(scores, 1))
    return jnp.take_along_axis(likelihood, place[:, None], 1, mode="fill")[:, 0].astype(scores.dtype)
