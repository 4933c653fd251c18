"""Attention: `torch.nn.MultiheadAttention`."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxnets import check
from jaxnets import functional as F
from jaxnets.functional.attention import each
from jaxnets.nn import init
from jaxnets.nn.linear import Linear
from jaxnets.nn.parameters import Layer, parameter, stream
from jaxnets.nn.parameters import value as array

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Layer):
    """Attention in several heads, each in its own projection of queries, keys and values.

    `concat(head_1, ..., head_H) W_oᵀ + b_o`, `head_i = softmax(q_i k_iᵀ / sqrt(E / H) + mask) v_i`,
    `q = query W_qᵀ + b_q`, and `k`, `v` likewise

    What is one array in the call, `attention(x, x, x)` or `attention(x, y, y)`, is projected in one matrix product.

    Args:
        embed_dim: `E`, size of the queries and of the output, at least 1.
        num_heads: `H`, a divisor of `embed_dim`.
        dropout: probability that a weight is dropped in training, in [0, 1].
        bias: whether to learn the biases of the projections.
        add_bias_kv: whether to learn one more key and value for every sequence.
        add_zero_attn: whether to append a key and a value of zeros.
        kdim: size of the keys, `embed_dim` when not given.
        vdim: size of the values, `embed_dim` when not given.
        batch_first: whether batched arrays are `(N, L, E)`, not `(L, N, E)`.
        dtype: dtype of the parameters, float32 when not given.
        param_dtype: dtype of the parameters in place of `dtype`, which is then that of the computation; see `Layer`.
        rngs: random streams; `params` draws the parameters, `dropout` is forked and kept if `dropout` is not 0.

    Attributes:
        in_proj_weight: `(3 * E, E)`, rows of query, key, value in this order; None if `kdim` or `vdim` is not `E`.
        q_proj_weight, k_proj_weight, v_proj_weight: `(E, E)`, `(E, kdim)`, `(E, vdim)` in its place, else None.
        in_proj_bias: `(3 * E,)`, or None.
        bias_k, bias_v: `(1, 1, E)`, or None.
        out_proj: a `Linear` of `E` to `E`.

    Shape:
        query `(L, N, E)`, key `(S, N, kdim)`, value `(S, N, vdim)`, or without `N`, to `(L, N, E)` and the weights:
        `(N, L, S)`, `(N, H, L, S)` for each head, None if not asked for. `add_bias_kv` and `add_zero_attn` make S
        greater by one each.

    Raises:
        TypeError: dtypes that differ; a mask that is neither boolean nor of the query's dtype.
        ValueError: sizes that do not fit; a hint without a mask; no `rngs` for dropout in training.

    Differences from torch: no `device`; `rngs` is new, in the call too, where it draws the dropout. There is one path:
    torch's fast path for evaluation without gradients gives zeros, not NaN, for a query that may look at no key.

    >>> attention = MultiheadAttention(4, 2, rngs=nnx.Rngs(0))
    >>> x = jnp.ones((3, 5, 4))
    >>> y, weights = attention(x, x, x)
    >>> y.shape, weights.shape
    ((3, 5, 4), (5, 3, 3))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        dtype: Any = None,
        *,
        param_dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        self.embed_dim = E = check.integer("embed_dim", embed_dim, least=1)
        self.num_heads = check.integer("num_heads", num_heads, least=1)
        if E % num_heads:
            raise ValueError(f"num_heads: expected a divisor of embed_dim={E}, got {num_heads}")
        self.kdim = E if kdim is None else check.integer("kdim", kdim, least=0)
        self.vdim = E if vdim is None else check.integer("vdim", vdim, least=0)
        self.head_dim = E // num_heads
        self.dropout = check.probability("dropout", dropout)
        self.batch_first = check.truth("batch_first", batch_first)
        self.add_zero_attn = check.truth("add_zero_attn", add_zero_attn)
        bias = check.truth("bias", bias)

        # drawn first, as torch does
        self.out_proj = Linear(E, E, bias, dtype, param_dtype=param_dtype, rngs=rngs)
        dtype = self._dtype_of_parameters(dtype, param_dtype)
        packed = self.kdim == self.vdim == E
        self.in_proj_weight = parameter(rngs, init.xavier_uniform, (3 * E, E), dtype) if packed else None
        self.q_proj_weight = None if packed else parameter(rngs, init.xavier_uniform, (E, E), dtype)
        self.k_proj_weight = None if packed else parameter(rngs, init.xavier_uniform, (E, self.kdim), dtype)
        self.v_proj_weight = None if packed else parameter(rngs, init.xavier_uniform, (E, self.vdim), dtype)
        self.in_proj_bias = parameter(rngs, init.zeros, (3 * E,), dtype) if bias else None
        if bias:
            self.out_proj.bias = parameter(rngs, init.zeros, (E,), dtype)
        self.bias_k = parameter(rngs, init.xavier_normal, (1, 1, E), dtype) if add_bias_kv else None
        self.bias_v = parameter(rngs, init.xavier_normal, (1, 1, E), dtype) if add_bias_kv else None
        self.deterministic = False
        self.rngs = stream(rngs, "dropout").fork() if self.dropout else nnx.data(None)

    def set_view(self, deterministic: bool | None = None) -> None:
        """What `nnx.view(model, deterministic=True)` calls."""
        self.deterministic = self.deterministic if deterministic is None else deterministic

    def _key(self, rngs: nnx.Rngs | None) -> jax.Array | None:
        if self.deterministic or self.dropout in (0, 1):
            return None
        source = self.rngs if rngs is None else stream(rngs, "dropout")
        if source is None:
            raise ValueError("rngs: expected random streams for dropout in training, got None; pass rngs=nnx.Rngs(0)")
        return source()

    def __call__(
        self,
        query: jax.Array,
        key: jax.Array,
        value: jax.Array,
        key_padding_mask: jax.Array | None = None,
        need_weights: bool = True,
        attn_mask: jax.Array | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
        *,
        rngs: nnx.Rngs | None = None,
    ) -> tuple[jax.Array, jax.Array | None]:
        """The output and the weights.

        Args:
            query: what asks.
            key: what each value is known by.
            value: what the output is made of.
            key_padding_mask: `(N, S)` or `(S,)`: booleans, True where a key is ignored, or numbers that are added.
            need_weights: whether to return the weights.
            attn_mask: `(L, S)` or `(N * H, L, S)`: booleans, True where a query may not look, or numbers that are
                added.
            average_attn_weights: whether the weights are averaged over heads.
            is_causal: a hint that `attn_mask` is causal. With neither weights to return nor a `key_padding_mask`, a
                causal mask is then put in its place, whatever it says.
            rngs: random streams in place of the layer's own.
        """
        swapped = self.batch_first and getattr(query, "ndim", 0) == 3
        if swapped:
            given = {"query": query, "key": key, "value": value}
            for name, x in given.items():
                check.rank(name, check.array(name, x), {3: "(N, L, E), as query has"})
            query, key, value = each(lambda x: jnp.swapaxes(jnp.asarray(x), 0, 1), query, key, value)
        output, weights = F.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            array(self.in_proj_weight),
            array(self.in_proj_bias),
            array(self.bias_k),
            array(self.bias_v),
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight[...],
            array(self.out_proj.bias),
            not self.deterministic,
            key_padding_mask,
            need_weights,
            attn_mask,
            self.in_proj_weight is None,
            array(self.q_proj_weight),
            array(self.k_proj_weight),
            array(self.v_proj_weight),
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
            dropout_key=self._key(rngs),
        )
        return jnp.swapaxes(output, 0, 1) if swapped else output, weights
