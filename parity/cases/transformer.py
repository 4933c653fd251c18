"""Transformers: where the norms stand, layouts, activations, masks of every kind, hints."""

from itertools import product

from parity.case import Case, bools, normal

BOTH = (False, True)
AWAY = 1
"""A seed with which no input of a ReLU is so near to 0 that half precision has another sign there."""

STILL = (6, 2, 5, 0.0)
"""Six features, two heads, five hidden features, no dropout."""

SRC, TGT = normal(5, 3, 6), normal(4, 3, 6)
FIRST = (normal(3, 5, 6), normal(3, 4, 6))
"""As source and target are, with the batch first."""

FEW = 0.2
"""How many places a boolean mask covers: with luck, no row is covered throughout."""

MASKS = (
    {"mask": bools(5, 5, p=FEW)},
    {"mask": normal(5, 5)},
    {"mask": normal(6, 5, 5)},
    {"padding": bools(3, 5, p=FEW)},
    {"mask": bools(5, 5, p=FEW), "padding": bools(3, 5, p=FEW)},
    {"mask": normal(5, 5), "padding": bools(3, 5, p=FEW)},
    {"mask": normal(5, 5), "is_causal": True},
    {"mask": normal(5, 5), "padding": normal(3, 5), "is_causal": True},
    {"mask": bools(5, 5, p=1.0)},
)
"""What an attention of a sequence of five to itself may be called with; the last covers all."""


def called(mask: str, padding: str, hint: str) -> list[dict]:
    """`MASKS` under the names of a layer."""
    names = {"mask": mask, "padding": padding, "is_causal": hint}
    return [{names[name]: value for name, value in masks.items()} for masks in MASKS]


ENCODER_LAYERS = (
    *(
        Case("TransformerEncoderLayer", STILL, {"norm_first": first, "bias": bias}, inputs=(SRC,))
        for first, bias in product(BOTH, BOTH)
    ),
    Case("TransformerEncoderLayer", STILL, {"batch_first": True}, inputs=(FIRST[0],), seed=AWAY),
    Case("TransformerEncoderLayer", (*STILL, "gelu", 0.5), inputs=(SRC,), note="an eps that matters"),
    Case("TransformerEncoderLayer", (*STILL, Case("Tanh")), inputs=(normal(5, 6),), note="a layer, no batch"),
    Case("TransformerEncoderLayer", (6, 2, 5, 0.3), inputs=(SRC,)),
    Case("TransformerEncoderLayer", (6, 3, 1, 0.0), {"norm_first": True}, inputs=(normal(1, 1, 6),)),
    Case("TransformerEncoderLayer", STILL, inputs=(normal(5, 0, 6),), note="empty batch"),
    Case("TransformerEncoderLayer", STILL, inputs=(SRC, normal(5, 5), bools(3, 5, p=FEW), False)),
    *(
        Case("TransformerEncoderLayer", STILL, inputs=(SRC,), call=call)
        for call in called("src_mask", "src_key_padding_mask", "is_causal")
    ),
)

DECODER_LAYERS = (
    *(
        Case("TransformerDecoderLayer", STILL, {"norm_first": first, "bias": bias}, inputs=(TGT, SRC))
        for first, bias in product(BOTH, BOTH)
    ),
    Case("TransformerDecoderLayer", STILL, {"batch_first": True}, inputs=FIRST[::-1]),
    Case("TransformerDecoderLayer", (*STILL, "gelu", 0.5), inputs=(TGT, SRC)),
    Case("TransformerDecoderLayer", STILL, inputs=(normal(4, 6), normal(5, 6))),
    Case("TransformerDecoderLayer", (6, 2, 5, 0.3), inputs=(TGT, SRC)),
    *(
        Case("TransformerDecoderLayer", STILL, inputs=(SRC, normal(7, 3, 6)), call=call)
        for call in called("tgt_mask", "tgt_key_padding_mask", "tgt_is_causal")
    ),
    *(
        Case("TransformerDecoderLayer", STILL, inputs=(TGT, SRC), call=call)
        for call in (
            {"memory_mask": normal(4, 5)},
            {"memory_mask": bools(6, 4, 5, p=FEW), "memory_key_padding_mask": bools(3, 5, p=FEW)},
            {"memory_mask": normal(4, 5), "memory_is_causal": True},
            {"tgt_mask": normal(4, 4), "memory_key_padding_mask": normal(3, 5), "tgt_is_causal": True},
        )
    ),
)

STACKS = (
    *(
        Case("TransformerEncoder", (Case("TransformerEncoderLayer", STILL), 2), inputs=(SRC,), call=call)
        for call in (
            {},
            *called("mask", "src_key_padding_mask", "is_causal"),
            {"mask": normal(5, 5), "is_causal": False},
        )
    ),
    Case(
        "TransformerEncoder",
        (Case("TransformerEncoderLayer", STILL, {"batch_first": True, "norm_first": True}), 3, Case("LayerNorm", (6,))),
        {"enable_nested_tensor": False, "mask_check": False},
        inputs=(FIRST[0],),
        call={"src_key_padding_mask": bools(3, 5, p=FEW)},
    ),
    Case("TransformerEncoder", (Case("TransformerEncoderLayer", (6, 2, 5, 0.2)), 2), inputs=(SRC,)),
    Case("TransformerDecoder", (Case("TransformerDecoderLayer", STILL), 2), inputs=(TGT, SRC)),
    Case(
        "TransformerDecoder",
        (Case("TransformerDecoderLayer", (*STILL, Case("PReLU"))), 2),
        inputs=(TGT, SRC),
        note="torch's copies lose an activation that is a layer, but not its weight",
    ),
    Case(
        "TransformerDecoder",
        (Case("TransformerDecoderLayer", STILL, {"batch_first": True}), 2, Case("LayerNorm", (6,))),
        inputs=FIRST[::-1],
        call={"tgt_mask": normal(4, 4), "memory_mask": normal(4, 5), "memory_is_causal": True},
    ),
    Case(
        "TransformerDecoder",
        (Case("TransformerDecoderLayer", STILL), 1),
        inputs=(normal(4, 6), normal(5, 6)),
        call={"tgt_mask": normal(4, 4), "tgt_is_causal": True, "memory_key_padding_mask": bools(5, p=FEW)},
    ),
)

WHOLE = (
    *(
        Case(
            "Transformer",
            (6, 2, 1, 1, 5, 0.0),
            {"batch_first": batch_first, "norm_first": norm_first, "bias": bias},
            inputs=FIRST if batch_first else (SRC, TGT),
            seed=AWAY,
        )
        for batch_first, norm_first, bias in product(BOTH, repeat=3)
    ),
    Case("Transformer", (6, 3, 1, 2, 5, 0.0, "gelu"), {"layer_norm_eps": 0.5}, inputs=(normal(5, 6), normal(4, 6))),
    Case("Transformer", (6, 2, 1, 1, 5, 0.2), inputs=(SRC, TGT)),
    Case("Transformer", (6, 2, 1, 1, 5, 0.0), inputs=(SRC, TGT, normal(5, 5), bools(4, 4, p=FEW), normal(4, 5))),
    Case(
        "Transformer",
        (6, 2, 1, 1, 5, 0.0),
        inputs=(SRC, TGT),
        call={
            "src_mask": normal(5, 5),
            "tgt_mask": normal(4, 4),
            "memory_mask": normal(4, 5),
            "src_is_causal": True,
            "tgt_is_causal": False,
            "memory_is_causal": True,
        },
        seed=AWAY,
    ),
    Case(
        "Transformer",
        (6, 2, 1, 1, 5, 0.0),
        inputs=(SRC, TGT),
        call={
            "src_key_padding_mask": bools(3, 5, p=FEW),
            "tgt_key_padding_mask": bools(3, 4, p=FEW),
            "memory_key_padding_mask": normal(3, 5),
        },
        seed=AWAY,
    ),
    Case(
        "Transformer",
        (6, 2),
        {
            "custom_encoder": Case("TransformerEncoder", (Case("TransformerEncoderLayer", STILL), 1)),
            "custom_decoder": Case("TransformerDecoder", (Case("TransformerDecoderLayer", STILL), 1)),
        },
        inputs=(SRC, TGT),
    ),
)

CASES = (*ENCODER_LAYERS, *DECODER_LAYERS, *STACKS, *WHOLE)
