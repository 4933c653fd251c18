"""Transformers: `torch.nn.Transformer`, `TransformerEncoder`, `TransformerDecoder` and their layers."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from jaxnets import check
from jaxnets import functional as F
from jaxnets.functional.attention import canonical_mask
from jaxnets.nn import init
from jaxnets.nn.attention import MultiheadAttention
from jaxnets.nn.container import ModuleList
from jaxnets.nn.dropout import Dropout
from jaxnets.nn.linear import Linear
from jaxnets.nn.normalization import LayerNorm
from jaxnets.nn.parameters import Layer, float_dtype, stream

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]

Activation = str | Callable[[jax.Array], jax.Array]
Mask = jax.Array | None


class _Layer(Layer):
    """What the layers of encoder and decoder have in common: `attentions` and `norms` name their parts."""

    attentions: tuple[str, ...]

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        dtype: Any = None,
        *,
        param_dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        self._dtype_of_parameters(dtype, param_dtype)
        dtypes = {"dtype": dtype, "param_dtype": param_dtype}
        # in torch's order, which is that of the draws and of state_dict
        for name in self.attentions:
            attention = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **dtypes, rngs=rngs)
            setattr(self, name, attention)
        draws = rngs if dropout else None
        self.linear1 = Linear(d_model, dim_feedforward, bias, **dtypes, rngs=rngs)
        self.dropout = Dropout(dropout, rngs=draws)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **dtypes, rngs=rngs)
        self.norm_first = check.truth("norm_first", norm_first)
        blocks = range(1, len(self.attentions) + 2)
        for i in blocks:
            setattr(self, f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias, **dtypes))
        for i in blocks:
            setattr(self, f"dropout{i}", Dropout(dropout, rngs=draws))
        if isinstance(activation, str):
            activation = getattr(F, check.choice("activation", activation, ("relu", "gelu")))
        if not callable(activation):
            raise TypeError(f"activation: expected 'relu', 'gelu' or a callable, got {activation!r}")
        self.activation: Callable[[jax.Array], jax.Array] = activation
        self.activation_lost = False

    def _residual(self, i: int, x: jax.Array, block: Callable[[jax.Array], jax.Array]) -> jax.Array:
        """`x` plus what the i-th block makes of it; the norm stands before the block or behind the sum."""
        norm, dropout = getattr(self, f"norm{i}"), getattr(self, f"dropout{i}")
        if self.norm_first:
            return x + dropout(block(norm(x)))
        return norm(x + dropout(block(x)))

    def _attend(self, name: str, x: jax.Array, memory: jax.Array, mask: Mask, padding: Mask, causal: Any) -> jax.Array:
        output, _ = getattr(self, name)(x, memory, memory, padding, False, mask, is_causal=causal)
        return output

    def _feedforward(self, x: jax.Array) -> jax.Array:
        activation = F.relu if self.activation_lost else self.activation
        return self.linear2(self.dropout(activation(self.linear1(x))))


class TransformerEncoderLayer(_Layer):
    """Attention of a sequence to itself, and a network of two linear maps, each with a residual and a norm.

    `x = norm1(x + dropout1(self_attn(x)))`, `y = norm2(x + dropout2(linear2(dropout(activation(linear1(x))))))`, or
    with `norm_first`: `x = x + dropout1(self_attn(norm1(x)))`, `y = x + dropout2(linear2(...(norm2(x))))`

    Args:
        d_model: `E`, size of the elements of the sequence, at least 1.
        nhead: number of heads, a divisor of `d_model`.
        dim_feedforward: size between the two linear maps.
        dropout: probability that an element is dropped in training, in [0, 1]; of the attention's weights too.
        activation: "relu", "gelu", or a function of an array.
        layer_norm_eps: `eps` of the norms.
        batch_first: whether batched arrays are `(N, S, E)`, not `(S, N, E)`.
        norm_first: whether the norms stand before the blocks.
        bias: whether linear maps and norms learn biases.
        dtype: dtype of the parameters, float32 when not given.
        param_dtype: dtype of the parameters in place of `dtype`, which is then that of the computation; see `Layer`.
        rngs: random streams; `params` draws the parameters, `dropout` is forked and kept for each dropout.

    Shape:
        `(S, N, E)`, `(N, S, E)` if `batch_first`, or `(S, E)`, to the same.

    Raises:
        TypeError: dtypes that differ; a mask that is neither boolean nor floating; `activation` is no function.
        ValueError: sizes that do not fit; a hint without a mask; an unknown activation.

    Differences from torch: no `device`; `rngs` is new. There are no nested tensors and there is one path, that of
    torch with gradients: the outputs at padded places are computed too, where torch's fast path for evaluation
    without gradients may give zeros.

    >>> layer = TransformerEncoderLayer(8, 2, 16, rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((10, 3, 8))).shape
    (10, 3, 8)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerEncoderLayer.html
    """

    attentions = ("self_attn",)

    def __call__(
        self,
        src: jax.Array,
        src_mask: jax.Array | None = None,
        src_key_padding_mask: jax.Array | None = None,
        is_causal: bool = False,
    ) -> jax.Array:
        """The output.

        Args:
            src: the sequence.
            src_mask: `(S, S)` or `(N * nhead, S, S)`: booleans, True where attention is not allowed, or numbers that
                are added.
            src_key_padding_mask: `(N, S)` or `(S,)`: booleans, True where an element is ignored, or numbers.
            is_causal: a hint that `src_mask` is causal: without a padding mask, a causal mask is put in its place.
        """
        src = check.array("src", src)
        mask, padding = _canonical(src, "src_mask", src_mask, src_key_padding_mask)
        x = self._residual(1, src, lambda x: self._attend("self_attn", x, x, mask, padding, is_causal))
        return self._residual(2, x, self._feedforward)


class TransformerDecoderLayer(_Layer):
    """Attention of a sequence to itself, to the encoder's output, and a network of two linear maps.

    `x = norm1(x + dropout1(self_attn(x)))`, `x = norm2(x + dropout2(multihead_attn(x, memory)))`,
    `y = norm3(x + dropout3(linear2(dropout(activation(linear1(x))))))`, or with `norm_first` each norm before its block

    The arguments are those of `TransformerEncoderLayer`.

    Shape:
        tgt `(T, N, E)` and memory `(S, N, E)`, `(N, T, E)` and `(N, S, E)` if `batch_first`, or both without `N`, to
        the shape of tgt.

    Raises:
        TypeError: dtypes that differ; a mask that is neither boolean nor floating; `activation` is no function.
        ValueError: sizes that do not fit; a hint without a mask; an unknown activation.

    Differences from torch: no `device`; `rngs` is new.

    >>> layer = TransformerDecoderLayer(8, 2, 16, rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((20, 3, 8)), jnp.ones((10, 3, 8))).shape
    (20, 3, 8)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerDecoderLayer.html
    """

    attentions = ("self_attn", "multihead_attn")

    def __call__(
        self,
        tgt: jax.Array,
        memory: jax.Array,
        tgt_mask: jax.Array | None = None,
        memory_mask: jax.Array | None = None,
        tgt_key_padding_mask: jax.Array | None = None,
        memory_key_padding_mask: jax.Array | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> jax.Array:
        """The output.

        Args:
            tgt: the sequence.
            memory: the output of the encoder.
            tgt_mask: `(T, T)` or `(N * nhead, T, T)`, of the attention of `tgt` to itself.
            memory_mask: `(T, S)` or `(N * nhead, T, S)`, of its attention to `memory`.
            tgt_key_padding_mask: `(N, T)` or `(T,)`: elements of `tgt` to ignore.
            memory_key_padding_mask: `(N, S)` or `(S,)`: elements of `memory` to ignore.
            tgt_is_causal: a hint that `tgt_mask` is causal: without a padding mask, a causal mask is put in its place.
            memory_is_causal: the same of `memory_mask`.
        """
        tgt, memory = check.array("tgt", tgt), check.array("memory", memory)
        own, other = (
            (tgt_mask, tgt_key_padding_mask, tgt_is_causal),
            (
                memory_mask,
                memory_key_padding_mask,
                memory_is_causal,
            ),
        )
        x = self._residual(1, tgt, lambda x: self._attend("self_attn", x, x, *own))
        x = self._residual(2, x, lambda x: self._attend("multihead_attn", x, memory, *other))
        return self._residual(3, x, self._feedforward)


class TransformerEncoder(Layer):
    """A stack of encoder layers.

    `y = norm(layer_n(... layer_1(x)))`

    Args:
        encoder_layer: a layer; the stack holds copies of it, with its weights and random streams of their own.
        num_layers: the number of copies, at least 1.
        norm: a module for the end, or None.
        enable_nested_tensor: has no effect.
        mask_check: has no effect.

    Attributes:
        layers: a `ModuleList`.
        norm: the module, or None.

    Shape:
        That of the layer.

    Raises:
        TypeError: `encoder_layer` is no `nnx.Module`; what the layer refuses.
        ValueError: `num_layers` is not positive; what the layer refuses.

    Differences from torch: there are no nested tensors, and there is one path, that of torch with gradients: the
    outputs at padded places are computed too, where torch's fast path for evaluation without gradients gives zeros.

    >>> layer = TransformerEncoderLayer(8, 2, 16, rngs=nnx.Rngs(0))
    >>> TransformerEncoder(layer, 3)(jnp.ones((10, 3, 8))).shape
    (10, 3, 8)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerEncoder.html
    """

    def __init__(
        self,
        encoder_layer: nnx.Module,
        num_layers: int,
        norm: nnx.Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ):
        self.layers = ModuleList(_copies("encoder_layer", encoder_layer, num_layers))
        self.num_layers = len(self.layers)
        self.norm = norm
        self.enable_nested_tensor = check.truth("enable_nested_tensor", enable_nested_tensor)
        self.mask_check = check.truth("mask_check", mask_check)

    def __call__(
        self,
        src: jax.Array,
        mask: jax.Array | None = None,
        src_key_padding_mask: jax.Array | None = None,
        is_causal: bool | None = None,
    ) -> jax.Array:
        """The output.

        Args:
            src: the sequence.
            mask: `(S, S)` or `(N * nhead, S, S)`: booleans, True where attention is not allowed, or numbers that are
                added.
            src_key_padding_mask: `(N, S)` or `(S,)`: booleans, True where an element is ignored, or numbers.
            is_causal: a hint that `mask` is causal; None to find out.
        """
        src = check.array("src", src)
        mask, padding = _canonical(src, "mask", mask, src_key_padding_mask)
        mask, causal = _hinted(self.layers[0], src, mask, padding, is_causal)
        for layer in self.layers:
            src = layer(src, src_mask=mask, is_causal=causal, src_key_padding_mask=padding)
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Layer):
    """A stack of decoder layers.

    `y = norm(layer_n(... layer_1(x, memory), memory))`

    Args:
        decoder_layer: a layer; the stack holds copies of it, with its weights and random streams of their own.
        num_layers: the number of copies, at least 1.
        norm: a module for the end, or None.

    Attributes:
        layers: a `ModuleList`. As in torch, the copies of a layer whose activation is a module, not a function, keep
            it but compute relu: pass "gelu" or `F.gelu`, not `GELU()`.
        norm: the module, or None.

    Shape:
        That of the layer.

    Raises:
        TypeError: `decoder_layer` is no `nnx.Module`; what the layer refuses.
        ValueError: `num_layers` is not positive; what the layer refuses.

    Differences from torch: none.

    >>> layer = TransformerDecoderLayer(8, 2, 16, rngs=nnx.Rngs(0))
    >>> TransformerDecoder(layer, 3)(jnp.ones((20, 3, 8)), jnp.ones((10, 3, 8))).shape
    (20, 3, 8)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerDecoder.html
    """

    def __init__(self, decoder_layer: nnx.Module, num_layers: int, norm: nnx.Module | None = None):
        self.layers = ModuleList(_copies("decoder_layer", decoder_layer, num_layers))
        for layer in self.layers:
            # torch's __setstate__, which copies go through, looks for a function and puts relu where it finds a module
            if isinstance(layer, TransformerDecoderLayer) and isinstance(layer.activation, nnx.Module):
                layer.activation_lost = True
        self.num_layers = len(self.layers)
        self.norm = norm

    def __call__(
        self,
        tgt: jax.Array,
        memory: jax.Array,
        tgt_mask: jax.Array | None = None,
        memory_mask: jax.Array | None = None,
        tgt_key_padding_mask: jax.Array | None = None,
        memory_key_padding_mask: jax.Array | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> jax.Array:
        """The output; the arguments are those of `TransformerDecoderLayer`, `tgt_is_causal` may be None to find out."""
        tgt = check.array("tgt", tgt)
        tgt_mask = None if tgt_mask is None else check.array("tgt_mask", tgt_mask)
        tgt_mask, causal = _hinted(self.layers[0], tgt, tgt_mask, tgt_key_padding_mask, tgt_is_causal)
        for layer in self.layers:
            tgt = layer(
                tgt,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=causal,
                memory_is_causal=memory_is_causal,
            )
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Layer):
    """An encoder and a decoder that attends to its output (Vaswani et al., 2017).

    `y = decoder(tgt, encoder(src))`

    Args:
        d_model: `E`, size of the elements of both sequences, at least 1.
        nhead: number of heads, a divisor of `d_model`.
        num_encoder_layers: number of layers of the encoder, at least 1.
        num_decoder_layers: number of layers of the decoder, at least 1.
        dim_feedforward: size between the two linear maps of each layer.
        dropout: probability that an element is dropped in training, in [0, 1].
        activation: "relu", "gelu", or a function of an array; of a module, see `TransformerDecoder`.
        custom_encoder: what to take in place of a `TransformerEncoder`.
        custom_decoder: what to take in place of a `TransformerDecoder`.
        layer_norm_eps: `eps` of the norms.
        batch_first: whether batched arrays are `(N, S, E)`, not `(S, N, E)`.
        norm_first: whether the norms stand before the blocks of a layer.
        bias: whether linear maps and norms learn biases.
        dtype: dtype of the parameters, float32 when not given.
        param_dtype: dtype of the parameters in place of `dtype`, which is then that of the computation; see `Layer`.
        rngs: random streams; `params` draws the parameters, in the end all that have more than one axis once more from
            Xavier's uniform distribution, those of custom parts too; `dropout` is forked and kept for each dropout.

    Attributes:
        encoder: a `TransformerEncoder` with a `LayerNorm` at the end, or the custom one.
        decoder: a `TransformerDecoder` with a `LayerNorm` at the end, or the custom one.

    Shape:
        src `(S, N, E)` and tgt `(T, N, E)`, `(N, S, E)` and `(N, T, E)` if `batch_first`, or both without `N`, to the
        shape of tgt.

    Raises:
        TypeError: dtypes that differ; a mask that is neither boolean nor floating; `activation` is no function.
        ValueError: sizes that do not fit; a hint without a mask; an unknown activation.

    Differences from torch: no `device`; `rngs` is new; those of `TransformerEncoder`.

    >>> model = Transformer(8, 2, 1, 1, 16, rngs=nnx.Rngs(0))
    >>> model(jnp.ones((10, 3, 8)), jnp.ones((20, 3, 8))).shape
    (20, 3, 8)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Transformer.html
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        dtype: Any = None,
        *,
        param_dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        self._dtype_of_parameters(dtype, param_dtype)
        dtypes = {"dtype": dtype, "param_dtype": param_dtype}
        common = (dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias)
        if custom_encoder is None:
            encoder_layer = TransformerEncoderLayer(d_model, nhead, *common, **dtypes, rngs=rngs)
            norm = LayerNorm(d_model, layer_norm_eps, bias=bias, **dtypes)
            custom_encoder = TransformerEncoder(encoder_layer, num_encoder_layers, norm)
        self.encoder = custom_encoder
        if custom_decoder is None:
            decoder_layer = TransformerDecoderLayer(d_model, nhead, *common, **dtypes, rngs=rngs)
            norm = LayerNorm(d_model, layer_norm_eps, bias=bias, **dtypes)
            custom_decoder = TransformerDecoder(decoder_layer, num_decoder_layers, norm)
        self.decoder = custom_decoder
        for weight in {id(p): p for part in (self.encoder, self.decoder) for p in _parameters(part)}.values():
            if weight.ndim > 1:
                weight[...] = init.xavier_uniform(stream(rngs, "params")(), weight.shape, dtype=weight.dtype)
        self.d_model = check.integer("d_model", d_model, least=1)
        self.nhead = check.integer("nhead", nhead, least=1)
        self.batch_first = check.truth("batch_first", batch_first)

    def __call__(
        self,
        src: jax.Array,
        tgt: jax.Array,
        src_mask: jax.Array | None = None,
        tgt_mask: jax.Array | None = None,
        memory_mask: jax.Array | None = None,
        src_key_padding_mask: jax.Array | None = None,
        tgt_key_padding_mask: jax.Array | None = None,
        memory_key_padding_mask: jax.Array | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> jax.Array:
        """The output of the decoder; masks and hints are those of `TransformerEncoder` and `TransformerDecoder`."""
        src, tgt = check.array("src", src), check.array("tgt", tgt)
        for name, x in (("src", src), ("tgt", tgt)):
            if x.ndim < 2 or x.shape[-1] != self.d_model:
                raise ValueError(
                    f"{name}: expected the last of 2 or 3 axes to have d_model={self.d_model}, got {x.shape}"
                )
        batch = 0 if self.batch_first else 1
        if src.ndim == 3 and src.shape[batch] != tgt.shape[batch]:
            raise ValueError(f"tgt: expected the batch of src, {src.shape[batch]}, got {tgt.shape[batch]}")
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, dtype: Any = None) -> jax.Array:
        """A causal mask: -inf above the diagonal, where the future is, else 0; of booleans True and False.

        Args:
            sz: the length of the sequence.
            dtype: float32 when not given.

        >>> Transformer.generate_square_subsequent_mask(2).tolist()
        [[0.0, -inf], [0.0, 0.0]]
        """
        future = ~jnp.tri(check.integer("sz", sz, least=0), dtype=bool)
        if dtype is not None and check.dtype("dtype", dtype) == jnp.bool_:
            return future
        return jnp.where(future, -jnp.inf, jnp.zeros((), float_dtype(dtype)))


def _canonical(src: jax.Array, name: str, mask: Mask, padding: Mask) -> tuple[Mask, Mask]:
    """Both masks as numbers, so that the layers of a stack neither convert nor warn again."""
    if padding is not None:
        padding = canonical_mask("src_key_padding_mask", padding, src.dtype, name, mask)
    return None if mask is None else canonical_mask(name, mask, src.dtype), padding


def _hinted(layer: Any, x: jax.Array, mask: Mask, padding: Mask, is_causal: bool | None) -> tuple[Mask, bool]:
    """The mask and the hint for the layers.

    Where it is not told, torch looks whether a mask is causal, and then computes without it: with the same numbers,
    but the mask gets no gradient. A traced mask cannot be looked at; to cut its gradient comes to the same.
    """
    if is_causal is not None:
        return mask, check.truth("is_causal", is_causal)
    if mask is None or padding is not None or mask.dtype == bool:
        return mask, False
    size = x.shape[1 if x.ndim == 3 and layer.self_attn.batch_first else 0]
    if mask.shape != (size, size):
        return mask, False
    causal = jnp.all(mask == Transformer.generate_square_subsequent_mask(size, mask.dtype))
    return jnp.where(causal, lax.stop_gradient(mask), mask), False


def _copies(name: str, layer: nnx.Module, number: int) -> list[nnx.Module]:
    """Copies with the layer's weights, in arrays of their own, and each with random streams of its own."""
    if not isinstance(layer, nnx.Module):
        raise TypeError(f"{name}: expected a flax.nnx.Module, got {type(layer).__name__}")
    copies = [nnx.clone(layer, arrays=True) for _ in range(check.integer("num_layers", number, least=1))]
    for i, copy in enumerate(copies):
        for _, node in nnx.iter_graph(copy):
            if isinstance(node, nnx.RngStream):
                node.key[...] = jax.random.split(node(), len(copies))[i]
    return copies


def _parameters(node: Any) -> Iterator[nnx.Param]:
    """Parameters in torch's order: a module's own before those of its children."""
    if isinstance(node, nnx.Module):
        # Flax's notes keep the order of assignment, which a copy's dict has lost
        names = [
            name for name in dict.fromkeys((*getattr(node, "_pytree__nodes", ()), *vars(node))) if name in vars(node)
        ]
        values = [getattr(node, name) for name in names if not name.startswith("_pytree__")]
        yield from (x for x in values if isinstance(x, nnx.Param))
        for x in values:
            yield from _parameters(x)
    elif isinstance(node, list | tuple | dict):
        for x in node.values() if isinstance(node, dict) else node:
            yield from [x] if isinstance(x, nnx.Param) else _parameters(x)
