"""Embedding."""

from itertools import product

from parity.case import Case, integers, normal

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

CASES = (
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
