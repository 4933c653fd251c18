"""Distances between vectors: `torch.nn.CosineSimilarity`, `PairwiseDistance`."""

import jax

from jaxnets import check
from jaxnets import functional as F
from jaxnets.nn.parameters import Layer

__all__ = ["CosineSimilarity", "PairwiseDistance"]


class CosineSimilarity(Layer):
    """Cosine of the angle between vectors.

    `sum of x1 / max(‖x1‖, eps) * x2 / max(‖x2‖, eps)`

    Args:
        dim: the axis of a vector, after both inputs are broadcast.
        eps: the least norm.

    Shape:
        two `(*, D, *)`, which broadcast, to `(*, *)`.

    Raises:
        TypeError: neither input is floating, or one is complex.
        ValueError: shapes do not fit, `dim` is no axis.

    Differences from torch: none.

    >>> x = jax.numpy.array([[1.0, 0.0], [0.0, 2.0]])
    >>> CosineSimilarity()(x, jax.numpy.array([[3.0, 0.0], [4.0, 0.0]])).tolist()
    [1.0, 0.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CosineSimilarity.html
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8):
        self.dim = check.integer("dim", dim)
        self.eps = check.number("eps", eps)

    def __call__(self, x1: jax.Array, x2: jax.Array) -> jax.Array:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Layer):
    """Norm of the difference of vectors, which lie on the last axis.

    `‖x1 - x2 + eps‖_p`

    Args:
        p: exponent of the norm, any number or infinity.
        eps: added to each difference.
        keepdim: whether to keep the last axis, with size 1.

    Attributes:
        norm: `p`, by torch's name.

    Shape:
        two `(*, D)`, which broadcast, to `(*)`, or `(*, 1)`.

    Raises:
        TypeError: an input is boolean.
        ValueError: shapes do not fit; vectors without entries, whose norm is not defined.

    Differences from torch: none.

    >>> PairwiseDistance(p=1, eps=0.0)(jax.numpy.array([[3.0, 0.0]]), jax.numpy.array([[0.0, 4.0]])).tolist()
    [7.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.PairwiseDistance.html
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False):
        self.norm = check.number("p", p)
        self.eps = check.number("eps", eps)
        self.keepdim = check.flag("keepdim", keepdim)

    def __call__(self, x1: jax.Array, x2: jax.Array) -> jax.Array:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
