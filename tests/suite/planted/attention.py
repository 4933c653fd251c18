"""Attention and transformers."""

import jax.numpy as jnp

from jaxnets.functional import attention
from jaxnets.nn import transformer as transformer_layers
from planted import FORWARD, UNWEIGHTED, plant


@plant(["attention/MultiheadAttention(6, 3, *"], FORWARD)
def scores_divided_by_the_root_of_the_model(patch):
    """`1 / sqrt(E)` in place of `1 / sqrt(E / H)`."""
    true = attention._attend

    def wrong(query, key, value, mask, is_causal, scale, *rest):
        return true(query, key, value, mask, is_causal, scale * query.shape[-3] ** -0.5, *rest)

    patch.setattr(attention, "_attend", wrong)


@plant(["attention/MultiheadAttention(6, 2*attn_mask=bools(3,5,p=0.3)*"], FORWARD)
def true_means_look(patch):
    """Boolean masks the other way round, as most other frameworks have them."""
    true = attention.canonical_mask

    def wrong(name, mask, *rest):
        return true(name, ~mask if mask.dtype == bool else mask, *rest)

    patch.setattr(attention, "canonical_mask", wrong)


@plant(["attention/MultiheadAttention(6, 2)*attn_mask=bools(3,5,p=1.0)*"], FORWARD)
def minus_a_billion_for_infinity(patch):
    """A query that may look at no key then looks at all."""
    true = attention.canonical_mask
    patch.setattr(attention, "canonical_mask", lambda *arguments: jnp.maximum(true(*arguments), -1e9))


@plant(["attention/MultiheadAttention(6, 3, *"], FORWARD)
def packed_weight_read_head_by_head(patch):
    """Rows in the order of heads, each with its query, key and value, as in Megatron's checkpoints."""
    true = attention._project_packed

    def wrong(query, key, value, weight, bias):
        order = jnp.arange(len(weight)).reshape(3, 3, -1).swapaxes(0, 1).reshape(-1)
        return true(query, key, value, weight[order], None if bias is None else bias[order])

    patch.setattr(attention, "_project_packed", wrong)


@plant(["attention/functional.scaled_dot_product_attention(is_causal=True)*"], UNWEIGHTED)
def causal_from_the_lower_right(patch):
    """The last query sees the last key, in place of the first query the first one: equal only where L is S."""
    true = attention._attend

    def wrong(query, key, value, mask, is_causal, *rest):
        L, S = query.shape[-2], key.shape[-2]
        if is_causal:
            mask = jnp.tri(L, S, S - L, dtype=bool).reshape((1,) * (query.ndim - 2) + (L, S))
        return true(query, key, value, mask, False, *rest)

    patch.setattr(attention, "_attend", wrong)


@plant(["attention/functional.scaled_dot_product_attention(enable_gqa=True)*"], UNWEIGHTED)
def heads_served_in_turns(patch):
    """The heads of the keys are tiled, not repeated: head i serves i, i + 3, ... in place of 2i, 2i + 1."""
    true = attention._product

    def wrong(a, b):
        groups = a.shape[-3] // b.shape[-3]
        return true(a, jnp.concatenate([b] * groups, axis=-3))

    patch.setattr(attention, "_product", wrong)


@plant(["transformer/Transformer*Layer(*norm_first=True, bias=True)*"], FORWARD)
def norm_always_behind_the_sum(patch):
    def wrong(self, i, x, block):
        return getattr(self, f"norm{i}")(x + getattr(self, f"dropout{i}")(block(x)))

    patch.setattr(transformer_layers._Layer, "_residual", wrong)


@plant(["transformer/TransformerDecoderLayer(*"], FORWARD)
def memory_masked_as_the_target(patch):
    """The decoder's second attention looks at its own sequence, not at the memory."""
    true = transformer_layers._Layer._attend

    def wrong(self, name, x, memory, mask, padding, causal):
        return true(
            self, name, x, memory[: x.shape[0]][::-1] if name == "multihead_attn" else memory, mask, padding, causal
        )

    patch.setattr(transformer_layers._Layer, "_attend", wrong)
