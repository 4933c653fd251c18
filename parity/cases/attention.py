"""Attention: sizes of its own for each array, masks of every kind, what is appended, what is returned."""

from itertools import product

from parity.case import Case, bools, normal

BOTH = (False, True)
Q, K, V = normal(3, 2, 6), normal(5, 2, 6), normal(5, 2, 6)
"""Three queries, five keys, a batch of two, six features."""

UNBATCHED = (normal(3, 6), normal(5, 6), normal(5, 6))
FEW = 0.3
"""How many places a boolean mask covers: with luck, no row is covered throughout."""

OPTIONS = tuple(
    Case(
        "MultiheadAttention",
        (6, 3),
        {"bias": bias, "add_bias_kv": bias_kv, "add_zero_attn": zero},
        inputs=(Q, K, V),
        call={"need_weights": weights, "attn_mask": normal(3, 5)},
    )
    for bias, bias_kv, zero, weights in product(BOTH, repeat=4)
)

MASKS = tuple(
    Case(
        "MultiheadAttention",
        (6, 2),
        {"add_bias_kv": True},
        inputs=(Q, K, V),
        call={"need_weights": weights, "key_padding_mask": padding, "attn_mask": mask},
    )
    for weights, padding, mask in product(
        BOTH, (None, bools(2, 5, p=FEW), normal(2, 5)), (bools(3, 5, p=FEW), normal(3, 5), normal(4, 3, 5))
    )
)

SIZES = tuple(
    Case("MultiheadAttention", (6, 2), named, inputs=inputs, call=call)
    for named, inputs in (
        ({}, (Q, K, V)),
        ({"batch_first": True}, (normal(2, 3, 6), normal(2, 5, 6), normal(2, 5, 6))),
        ({"batch_first": True}, UNBATCHED),
        ({"kdim": 4, "vdim": 7}, (Q, normal(5, 2, 4), normal(5, 2, 7))),
        ({"kdim": 6, "vdim": 4, "batch_first": True}, (normal(2, 3, 6), normal(2, 5, 6), normal(2, 5, 4))),
        ({"vdim": 4, "bias": False, "add_bias_kv": True}, (normal(3, 6), normal(5, 6), normal(5, 4))),
    )
    for call in ({}, {"average_attn_weights": False}, {"need_weights": False})
)

REST = (
    Case("MultiheadAttention", (6, 1), inputs=(Q, K, V), note="one head"),
    Case("MultiheadAttention", (6, 6), inputs=(Q, K, V), note="heads of one feature"),
    Case("MultiheadAttention", (1, 1), inputs=(normal(1, 1, 1), normal(1, 1, 1), normal(1, 1, 1))),
    Case("MultiheadAttention", (6, 2), inputs=(normal(3, 2, 6, mean=8.0), K, V), note="great scores"),
    Case("MultiheadAttention", (6, 2, 0.4), inputs=(Q, K, V), note="drawn with the weights"),
    Case("MultiheadAttention", (6, 2, 0.4), inputs=(Q, K, V), call={"need_weights": False}),
    Case("MultiheadAttention", (6, 2), inputs=UNBATCHED, call={"key_padding_mask": bools(5, p=FEW)}),
    Case("MultiheadAttention", (6, 2), inputs=UNBATCHED, call={"attn_mask": bools(2, 3, 5, p=FEW)}),
    Case(
        "MultiheadAttention",
        (6, 2),
        inputs=(Q, K, V),
        call={"attn_mask": bools(3, 5, p=1.0)},
        note="nothing to look at: NaN",
    ),
    Case(
        "MultiheadAttention",
        (6, 2),
        inputs=(Q, K, V),
        call={"attn_mask": bools(3, 5, p=1.0), "need_weights": False},
        note="nothing to look at: zeros in the heads",
    ),
    Case(
        "MultiheadAttention",
        (6, 2),
        {"add_zero_attn": True},
        inputs=(Q, K, V),
        call={"key_padding_mask": bools(2, 5, p=1.0)},
        note="nothing but what is appended",
    ),
    *(
        Case("MultiheadAttention", (6, 2), named, inputs=(Q, K, V), call={"is_causal": True} | call)
        for named in ({}, {"add_bias_kv": True, "add_zero_attn": True})
        for call in (
            {"attn_mask": normal(3, 5)},
            {"attn_mask": normal(3, 5), "need_weights": False},
            {"attn_mask": normal(3, 5), "need_weights": False, "key_padding_mask": bools(2, 5, p=FEW)},
        )
    ),
    Case("MultiheadAttention", (6, 2), inputs=(normal(0, 2, 6), K, V), note="no queries"),
    Case("MultiheadAttention", (6, 2), inputs=(Q, normal(0, 2, 6), normal(0, 2, 6)), note="no keys"),
    Case(
        "MultiheadAttention",
        (6, 2),
        inputs=(Q, normal(0, 2, 6), normal(0, 2, 6)),
        call={"need_weights": False},
        note="no keys",
    ),
    Case("MultiheadAttention", (6, 2), inputs=(normal(3, 0, 6), normal(5, 0, 6), normal(5, 0, 6)), note="no batch"),
)

PACKED = (normal(18, 6, std=0.4), normal(18), None, None, False, 0.0, normal(6, 6), normal(6))
APART = {
    "use_separate_proj_weight": True,
    "q_proj_weight": normal(6, 6),
    "k_proj_weight": normal(6, 4),
    "v_proj_weight": normal(6, 7),
}

FORWARD = (
    Case("functional.multi_head_attention_forward", inputs=(Q, K, V, 6, 3, *PACKED)),
    Case("functional.multi_head_attention_forward", inputs=(*UNBATCHED, 6, 2, *PACKED)),
    Case(
        "functional.multi_head_attention_forward",
        inputs=(
            Q,
            K,
            V,
            6,
            2,
            normal(18, 6, std=0.4),
            None,
            normal(6),
            normal(1, 1, 6),
            True,
            0.5,
            normal(4, 6),
            None,
            False,
        ),
        note="a bias of one axis, an output of another size, dropout that is off",
    ),
    Case(
        "functional.multi_head_attention_forward",
        kwargs=APART,
        inputs=(Q, normal(5, 2, 4), normal(5, 2, 7), 6, 2, None, *PACKED[1:]),
    ),
    Case(
        "functional.multi_head_attention_forward",
        kwargs={"static_k": normal(4, 7, 3), "static_v": normal(4, 7, 3)},
        inputs=(Q, K, V, 6, 2, *PACKED),
    ),
    Case(
        "functional.multi_head_attention_forward",
        kwargs={"static_v": normal(4, 5, 3), "need_weights": False, "attn_mask": normal(3, 5)},
        inputs=(Q, K, V, 6, 2, *PACKED[:4], True, *PACKED[5:]),
    ),
)

QUERY, KEY, VALUE = normal(2, 3, 4, 5), normal(2, 3, 6, 5), normal(2, 3, 6, 7)

PRODUCTS = tuple(
    Case("functional.scaled_dot_product_attention", kwargs=named, inputs=inputs)
    for inputs in ((QUERY, KEY, VALUE), (QUERY, KEY, normal(2, 3, 6, 5)), (normal(4, 5), normal(6, 5), normal(6, 2)))
    for named in (
        {},
        {"is_causal": True},
        {"scale": -0.3},
        {"attn_mask": normal(4, 6)},
        {"attn_mask": bools(4, 6), "scale": 1.5},
    )
)

SCALED = (
    *PRODUCTS,
    Case("functional.scaled_dot_product_attention", inputs=(normal(5, 2), normal(3, 2), normal(3, 2), None, 0.0, True)),
    Case("functional.scaled_dot_product_attention", inputs=(QUERY, KEY, VALUE, normal(2, 1, 1, 6))),
    Case("functional.scaled_dot_product_attention", inputs=(QUERY, KEY, VALUE, bools(1, 3, 4, 1))),
    Case("functional.scaled_dot_product_attention", inputs=(QUERY, KEY, VALUE, bools(4, 6, p=0.0)), note="zeros"),
    Case("functional.scaled_dot_product_attention", inputs=(normal(4, 5), KEY, normal(3, 6, 2)), note="broadcast"),
    Case("functional.scaled_dot_product_attention", inputs=(normal(1, 3, 4, 5), KEY, normal(2, 1, 6, 2))),
    Case("functional.scaled_dot_product_attention", inputs=(normal(2, 1, 3, 2, 5), normal(3, 6, 5), normal(3, 6, 5))),
    Case("functional.scaled_dot_product_attention", inputs=(QUERY, KEY, VALUE, None, 1.0), note="all dropped"),
    Case("functional.scaled_dot_product_attention", inputs=(normal(3, 2, std=300.0), normal(4, 2), normal(4, 3))),
    Case("functional.scaled_dot_product_attention", inputs=(normal(3, 0), normal(4, 0), normal(4, 2)), note="a mean"),
    Case("functional.scaled_dot_product_attention", inputs=(normal(3, 5), normal(0, 5), normal(0, 2)), note="no keys"),
    Case(
        "functional.scaled_dot_product_attention", inputs=(normal(0, 5), normal(4, 5), normal(4, 2)), note="none asks"
    ),
    *(
        Case("functional.scaled_dot_product_attention", kwargs={"enable_gqa": True} | named, inputs=inputs)
        for inputs, named in (
            ((normal(2, 6, 4, 5), normal(2, 3, 7, 5), normal(2, 3, 7, 2)), {}),
            ((normal(2, 6, 4, 5), normal(2, 3, 7, 5), normal(2, 3, 7, 2)), {"is_causal": True}),
            ((normal(2, 6, 4, 5), normal(2, 2, 7, 5), normal(2, 3, 7, 2)), {"attn_mask": normal(6, 4, 7)}),
            ((normal(6, 4, 5), normal(1, 7, 5), normal(1, 7, 2)), {}),
            ((normal(2, 6, 4, 5), normal(1, 3, 7, 5), normal(1, 3, 7, 2)), {"attn_mask": bools(2, 1, 4, 7)}),
        )
    ),
)

CASES = (*OPTIONS, *MASKS, *SIZES, *REST, *FORWARD, *SCALED)
