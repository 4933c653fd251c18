"""Lookups in tables: `torch.nn.Embedding`."""

from typing import Any, Self

import jax
from flax import nnx

from jaxnets import check
from jaxnets import functional as F
from jaxnets.nn import init
from jaxnets.nn.parameters import float_dtype, parameter

__all__ = ["Embedding"]


class Embedding(nnx.Module):
    """Looks up vectors by their index.

    `y[i] = weight[input[i]]`

    Args:
        num_embeddings: the number of vectors, V.
        embedding_dim: the size of a vector, D.
        padding_idx: a row (from the end if negative) that is zeros at first and gets no gradient.
        max_norm: rows that are looked up and have a greater norm are scaled down to it, in `weight` itself.
        norm_type: p of the norm, 2 for Euclid's.
        scale_grad_by_freq: whether the gradient of a row is divided by the number of its indices in the input.
        sparse: has no effect; gradients are dense.
        _weight: `(V, D)`, the table to begin with; nothing is drawn then.
        _freeze: whether the table gets no gradient: it is zeros, and the weight has `requires_grad=False` in its
            metadata, by which an optimizer can leave it out.
        dtype: dtype of the table, float32 when not given.
        rngs: random streams; `params` draws the table from `N(0, 1)`. Not needed with `_weight`.

    Attributes:
        weight: `(V, D)`.

    Shape:
        `(*)` to `(*, D)`.

    Raises:
        TypeError: indices that are not int32 or int64.
        ValueError: an index, a shape or `padding_idx` that does not fit the table.

    Differences from torch: no `device`; `rngs` is new. Where indices are traced (under `jax.jit`) an index out of
    range gives a row of NaN.

    >>> layer = Embedding(10, 3, padding_idx=0, rngs=nnx.Rngs(0))
    >>> layer(jax.numpy.array([[1, 2, 0]])).shape
    (1, 3, 3)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Embedding.html
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: jax.Array | None = None,
        _freeze: bool = False,
        dtype: Any = None,
        *,
        rngs: nnx.Rngs | None = None,
    ):
        self.num_embeddings = check.integer("num_embeddings", num_embeddings, least=0)
        self.embedding_dim = check.integer("embedding_dim", embedding_dim, least=0)
        if padding_idx is not None:
            if not -num_embeddings <= check.integer("padding_idx", padding_idx) < num_embeddings:
                raise ValueError(
                    f"padding_idx: expected a row from {-num_embeddings} to {num_embeddings - 1}, got {padding_idx}"
                )
            padding_idx %= num_embeddings
        self.padding_idx = padding_idx
        self.max_norm = None if max_norm is None else check.number("max_norm", max_norm)
        self.norm_type = check.number("norm_type", norm_type)
        self.scale_grad_by_freq = check.flag("scale_grad_by_freq", scale_grad_by_freq)
        self.sparse = check.flag("sparse", sparse)
        shape = (num_embeddings, embedding_dim)
        if _weight is None:
            if rngs is None:
                raise ValueError("rngs: expected flax.nnx.Rngs to draw the table, got None; pass rngs=nnx.Rngs(0)")
            self.weight = parameter(rngs, init.normal, shape, dtype)
            if padding_idx is not None:
                self.weight[...] = self.weight[...].at[padding_idx].set(0)
        else:
            _weight = check.array("_weight", _weight)
            if _weight.shape != shape:
                raise ValueError(f"_weight: expected shape {shape}, got {_weight.shape}")
            float_dtype(_weight.dtype)
            self.weight = nnx.Param(_weight)
        if check.flag("_freeze", _freeze):
            self.weight.set_metadata(requires_grad=False)

    def __call__(self, input: jax.Array) -> jax.Array:
        weight = self.weight[...]
        if self.max_norm is not None:
            weight = F.renormalised(input, weight, self.max_norm, self.norm_type)
            self.weight[...] = weight
        if not self.weight.get_metadata("requires_grad", True):
            weight = jax.lax.stop_gradient(weight)
        return F.embedding(input, weight, self.padding_idx, scale_grad_by_freq=self.scale_grad_by_freq)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: jax.Array,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Self:
        """A layer with the table `embeddings`, `(V, D)`, which is not trained unless `freeze=False`.

        >>> Embedding.from_pretrained(jax.numpy.array([[1.0, 2.3], [4.0, 5.1]])).weight.shape
        (2, 2)
        """
        embeddings = check.array("embeddings", embeddings)
        check.rank("embeddings", embeddings, {2: "(num_embeddings, embedding_dim)"})
        rows, columns = embeddings.shape
        return cls(
            rows,
            columns,
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            sparse,
            _weight=embeddings,
            _freeze=freeze,
        )
