"""Lookups in tables: `torch.nn.Embedding` and `EmbeddingBag`."""

from typing import Any, Self

import jax
from flax import nnx

from jaxnets import check
from jaxnets import functional as F
from jaxnets.functional.sparse import row_number
from jaxnets.nn import init, precision
from jaxnets.nn.parameters import Layer, float_dtype, parameter

__all__ = ["Embedding", "EmbeddingBag"]


class Embedding(Layer):
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
        param_dtype: dtype of the table in place of `dtype`, which is then that of the output; see `Layer`.
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
        param_dtype: Any = None,
        rngs: nnx.Rngs | None = None,
    ):
        dtype = self._dtype_of_parameters(dtype, param_dtype)
        self.num_embeddings = check.integer("num_embeddings", num_embeddings, least=0)
        self.embedding_dim = check.integer("embedding_dim", embedding_dim, least=0)
        self.padding_idx = None if padding_idx is None else row_number(padding_idx, num_embeddings)
        self.max_norm = None if max_norm is None else check.number("max_norm", max_norm)
        self.norm_type = check.number("norm_type", norm_type)
        self.scale_grad_by_freq = check.flag("scale_grad_by_freq", scale_grad_by_freq)
        self.sparse = check.flag("sparse", sparse)
        self.weight = _table(
            rngs, (self.num_embeddings, self.embedding_dim), self.padding_idx, _weight, dtype, param_dtype
        )
        if check.flag("_freeze", _freeze):
            self.weight.set_metadata(requires_grad=False)

    def __call__(self, input: jax.Array) -> jax.Array:
        weight = _looked_up(self, input)
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


class EmbeddingBag(Layer):
    """Sums, means or maxima of bags of vectors that are looked up by their index.

    `y[b] = sum over i in bag b of per_sample_weights[i] * weight[input[i]]`, or mean or maximum without weights

    A bag without vectors gives zeros.

    Args:
        num_embeddings: the number of vectors, V.
        embedding_dim: the size of a vector, D.
        max_norm: rows that are looked up and have a greater norm are scaled down to it, in `weight` itself.
        norm_type: p of the norm, 2 for Euclid's.
        scale_grad_by_freq: whether the gradient of a row is divided by the number of its indices in the input; not for
            "max".
        mode: "sum", "mean" or "max".
        sparse: has no effect; gradients are dense. Not for "max".
        _weight: `(V, D)`, the table to begin with; nothing is drawn then.
        include_last_offset: whether the last of the call's `offsets` is where the last bag ends, and begins none.
        padding_idx: a row (from the end if negative) that is zeros at first, counts in no bag and gets no gradient.
        dtype: dtype of the table, float32 when not given.
        param_dtype: dtype of the table in place of `dtype`, which is then that of the output; see `Layer`.
        rngs: random streams; `params` draws the table from `N(0, 1)`. Not needed with `_weight`.

    Attributes:
        weight: `(V, D)`.

    Shape:
        `(B, N)`, or `(N)` and offsets `(B)`, to `(B, D)`; `per_sample_weights` has the shape of the input.

    Raises:
        TypeError: indices that are not int32 or int64, dtypes that differ.
        ValueError: an index, an offset, a shape or a combination of arguments that does not fit.

    Differences from torch: no `device`; `rngs` is new. Where indices are traced (under `jax.jit`) an index out of
    range gives NaN, and offsets are taken as they are. More in `jaxnets.functional.embedding_bag`.

    >>> layer = EmbeddingBag(10, 3, mode="sum", rngs=nnx.Rngs(0))
    >>> layer(jax.numpy.array([1, 2, 4, 5]), jax.numpy.array([0, 3])).shape
    (2, 3)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.EmbeddingBag.html
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: jax.Array | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        dtype: Any = None,
        *,
        param_dtype: Any = None,
        rngs: nnx.Rngs | None = None,
    ):
        dtype = self._dtype_of_parameters(dtype, param_dtype)
        self.num_embeddings = check.integer("num_embeddings", num_embeddings, least=0)
        self.embedding_dim = check.integer("embedding_dim", embedding_dim, least=0)
        self.max_norm = None if max_norm is None else check.number("max_norm", max_norm)
        self.norm_type = check.number("norm_type", norm_type)
        self.scale_grad_by_freq = check.flag("scale_grad_by_freq", scale_grad_by_freq)
        self.padding_idx = None if padding_idx is None else row_number(padding_idx, num_embeddings)
        self.weight = _table(
            rngs, (self.num_embeddings, self.embedding_dim), self.padding_idx, _weight, dtype, param_dtype
        )
        self.mode = check.choice("mode", mode, ("sum", "mean", "max"))
        self.sparse = check.flag("sparse", sparse)
        self.include_last_offset = check.flag("include_last_offset", include_last_offset)

    def __call__(
        self, input: jax.Array, offsets: jax.Array | None = None, per_sample_weights: jax.Array | None = None
    ) -> jax.Array:
        return F.embedding_bag(
            input,
            _looked_up(self, input),
            offsets,
            scale_grad_by_freq=self.scale_grad_by_freq,
            mode=self.mode,
            sparse=self.sparse,
            per_sample_weights=per_sample_weights,
            include_last_offset=self.include_last_offset,
            padding_idx=self.padding_idx,
        )

    @classmethod
    def from_pretrained(
        cls,
        embeddings: jax.Array,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> Self:
        """A layer with the table `embeddings`, `(V, D)`, which is not trained unless `freeze=False`.

        >>> EmbeddingBag.from_pretrained(jax.numpy.array([[1.0, 2.3], [4.0, 5.1]])).weight.shape
        (2, 2)
        """
        embeddings = check.array("embeddings", embeddings)
        check.rank("embeddings", embeddings, {2: "(num_embeddings, embedding_dim)"})
        rows, columns = embeddings.shape
        layer = cls(
            rows,
            columns,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            mode,
            sparse,
            embeddings,
            include_last_offset,
            padding_idx,
        )
        if check.flag("freeze", freeze):
            layer.weight.set_metadata(requires_grad=False)
        return layer


def _table(
    rngs: nnx.Rngs | None,
    shape: tuple[int, int],
    padding_idx: int | None,
    given: jax.Array | None,
    dtype: Any,
    param_dtype: Any,
) -> nnx.Param:
    """The table that is given, or one that is drawn and has zeros at `padding_idx`."""
    if given is None:
        if rngs is None:
            raise ValueError("rngs: expected flax.nnx.Rngs to draw the table, got None; pass rngs=nnx.Rngs(0)")
        weight = parameter(rngs, init.normal, shape, dtype)
        if padding_idx is not None:
            weight[...] = weight[...].at[padding_idx].set(0)
        return weight
    given = check.array("_weight", given)
    if given.shape != shape:
        raise ValueError(f"_weight: expected shape {shape}, got {given.shape}")
    float_dtype(given.dtype)
    return nnx.Param(given if param_dtype is None else given.astype(dtype))


def _looked_up(layer: Embedding | EmbeddingBag, input: jax.Array) -> jax.Array:
    """The table of a layer: renormalised, and kept so, where it has a `max_norm`; without gradient if frozen."""
    weight = layer.weight[...]
    if layer.max_norm is not None:
        with precision.as_held():  # it is the table that is scaled, not what it is cast to
            layer.weight[...] = F.renormalised(input, layer.weight[...], layer.max_norm, layer.norm_type)
        weight = layer.weight[...]
    if not layer.weight.get_metadata("requires_grad", True):
        weight = jax.lax.stop_gradient(weight)
    return weight
