"""Embedding, EmbeddingBag, one_hot."""

from itertools import product

import numpy as np

from parity.case import Case, integers, normal, rounded

PADDING = (None, 0, 3, -2)

OPTIONS = tuple(
    Case("Embedding", (6, 5), {"padding_idx": padding, "scale_grad_by_freq": scale}, inputs=(integers(4, 7, high=6),))
    for padding, scale in product(PADDING, (False, True))
)

RENORMALISED = tuple(
    Case(
        "Embedding", (6, 5), {"max_norm": 1.3, "norm_type": norm, "padding_idx": padding}, inputs=(integers(9, high=6),)
    )
    for norm, padding in product((2.0, 1.0, 3.5, float("inf")), (None, 2))
)

BAG_OPTIONS = tuple(
    Case(
        "EmbeddingBag",
        (6, 5),
        {"mode": mode, "padding_idx": padding},
        inputs=(integers(4, 7, high=6),),
    )
    for mode, padding in product(("sum", "mean", "max"), (None, 3, -2))
)

BAG_FREQUENCIES = tuple(
    Case(
        "EmbeddingBag",
        (6, 5),
        {"mode": mode, "padding_idx": padding, "scale_grad_by_freq": True},
        inputs=(np.array([[0, 2, 3, 2], [5, 0, 3, 5]]),),
        note="equally frequent rows: others torch's CPU kernel divides by each other's number, pytorch issue 190063",
    )
    for mode, padding in product(("sum", "mean"), (None, 3))
)

OFFSETS = np.array([0, 0, 3, 3, 5, 9])
WHOLE = np.array([0, 2, 2, 9])

BAG_OFFSETS = tuple(
    Case(
        "EmbeddingBag",
        (6, 5),
        {"mode": mode, "padding_idx": padding},
        inputs=(integers(9, high=6), OFFSETS),
        note="empty bags: the first, one within and the last",
    )
    for mode, padding in product(("sum", "mean", "max"), (None, 1))
)

BAGS = (
    Case("EmbeddingBag", (6, 5), {"include_last_offset": True}, inputs=(integers(9, high=6), WHOLE)),
    Case("EmbeddingBag", (6, 5), {"mode": "sum"}, inputs=(integers(9, high=6), OFFSETS, normal(9))),
    Case(
        "EmbeddingBag",
        (6, 5),
        {"mode": "sum", "padding_idx": 2, "include_last_offset": True},
        inputs=(integers(9, high=6), WHOLE, normal(9)),
    ),
    Case("EmbeddingBag", (6, 5), {"mode": "sum"}, inputs=(integers(3, 4, high=6), None, normal(3, 4))),
    Case("EmbeddingBag", (6, 5), {"max_norm": 1.3, "norm_type": 1.0}, inputs=(integers(3, 4, high=6),)),
    Case(
        "EmbeddingBag", (6, 5), {"max_norm": 0.9, "mode": "max", "padding_idx": 0}, inputs=(integers(9, high=6), WHOLE)
    ),
    Case("EmbeddingBag", (3, 4, None, 2.0, False, "sum", False, normal(3, 4)), inputs=(integers(2, 5, high=3),)),
    Case("EmbeddingBag", (6, 5), {"mode": "max"}, inputs=(integers(0, 4, high=6),), note="no bag"),
    Case("EmbeddingBag", (6, 5), inputs=(integers(0, high=6), np.array([0, 0])), note="empty bags only"),
    Case("EmbeddingBag", (1, 3), {"padding_idx": 0, "mode": "mean"}, inputs=(integers(2, 3, high=1),)),
    Case(
        "functional.embedding_bag",
        (rounded(4, 30), np.array([0, 3, 12])),
        {"mode": "max"},
        inputs=(integers(20, high=4),),
        note="ties",
    ),
    Case("functional.embedding_bag", (normal(4, 3), None, 0.7, 1.0), inputs=(integers(3, 4, high=4),)),
    Case("functional.embedding_bag", (normal(4, 3, mean=300.0),), inputs=(integers(3, 40, high=4),)),
)

ONE_HOT = (
    Case("functional.one_hot", (7,), inputs=(integers(4, 3, high=7),)),
    Case("functional.one_hot", (7,), inputs=(integers(high=7),), note="no axis"),
    Case("functional.one_hot", (3,), inputs=(integers(2, 0, high=7),), note="empty"),
)

CASES = (
    *BAG_OPTIONS,
    *BAG_OFFSETS,
    *BAG_FREQUENCIES,
    *BAGS,
    *ONE_HOT,
    *OPTIONS,
    *RENORMALISED,
    Case("Embedding", (10, 3), inputs=(integers(high=10),), note="one index, no axis"),
    Case("Embedding", (10, 3), inputs=(integers(0, 4),), note="empty batch"),
    Case("Embedding", (1, 1), inputs=(integers(2, 3, 4, high=1),)),
    Case("Embedding", (4, 10), inputs=(integers(1, 5, high=4),), note="seed system C15: characters of hello"),
    Case("Embedding", (128, 100), inputs=(integers(2, 6, low=97, high=123),), note="seed system C17: ASCII"),
    Case("Embedding", (5, 4), {"max_norm": 0.5, "scale_grad_by_freq": True}, inputs=(integers(3, 6, high=5),)),
    Case("Embedding", (5, 4, None, None, 2.0, True, False, normal(5, 4)), inputs=(integers(8, high=5),)),
    Case("functional.embedding", (normal(5, 4),), inputs=(integers(2, 3, high=5),)),
    Case("functional.embedding", (normal(5, 4), 1), inputs=(integers(2, 9, high=5),)),
    Case("functional.embedding", (normal(5, 4), -1, None, 2.0, True), inputs=(integers(20, high=5),)),
)
