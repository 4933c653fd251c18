"""Fold and Unfold."""

from itertools import product

from parity.case import Case, bools, normal

UNFOLD = tuple(
    Case("Unfold", (3,), {"dilation": dilation, "padding": padding, "stride": stride}, inputs=(normal(2, 3, 9, 7),))
    for dilation, padding, stride in product((1, 2), (0, 2), (1, 2))
)

UNFOLD_REST = (
    Case("Unfold", ((2, 3), (2, 1), (1, 0), (1, 3)), inputs=(normal(2, 3, 9, 7),)),
    Case(
        "Unfold", ((3, 2),), {"stride": (3, 2)}, inputs=(normal(2, 3, 10, 7),), note="blocks side by side, with a rest"
    ),
    Case("Unfold", (2,), {"stride": 4}, inputs=(normal(2, 3, 9, 7),), note="blocks apart"),
    Case("Unfold", (2,), {"padding": 3}, inputs=(normal(1, 2, 3, 4),), note="blocks in nothing but padding"),
    Case("Unfold", ((1, 40),), inputs=(normal(1, 2, 2, 44),), note="a long window"),
    Case("Unfold", ((40, 1), 2), {"padding": (20, 0)}, inputs=(normal(2, 44, 2),), note="a long window, no batch"),
    Case("Unfold", ((1, 40),), {"stride": (1, 16)}, inputs=(normal(1, 2, 2, 100),), note="frames of a signal"),
    Case("Unfold", (2,), inputs=(normal(3, 9, 7),), note="no batch"),
    Case("Unfold", (2,), inputs=(normal(0, 3, 9, 7),), note="empty batch"),
    Case("Unfold", (2,), inputs=(bools(2, 3, 5, 4),)),
    Case("functional.unfold", ((2, 3),), {"padding": 1}, inputs=(normal(2, 3, 9, 7),)),
)

FOLD = tuple(
    Case(
        "Fold",
        ((9, 7), (3, 2)),
        {"dilation": dilation, "padding": padding, "stride": stride},
        inputs=(normal(2, 12, columns),),
    )
    for dilation, padding, stride, columns in (
        (1, 0, 1, 42),
        (1, 0, 2, 12),
        (1, 1, 1, 72),
        (2, 0, 1, 25),
        ((2, 1), (1, 0), (1, 3), 14),
        (2, 1, 2, 16),
    )
)

FOLD_REST = (
    Case("Fold", (6, 3), {"stride": 3}, inputs=(normal(2, 18, 4),), note="blocks side by side"),
    Case("Fold", ((8, 6), 2), {"stride": 3}, inputs=(normal(2, 8, 6),), note="blocks apart"),
    Case("Fold", ((1, 44), (1, 40)), inputs=(normal(2, 40, 5),), note="a long window"),
    Case("Fold", ((3, 4), 2), inputs=(normal(8, 6),), note="no batch"),
    Case("Fold", ((3, 4), 2), inputs=(normal(0, 8, 6),), note="empty batch"),
    Case("Fold", ((3, 4), 2), inputs=(bools(2, 8, 6, p=0.2),)),
    Case("functional.fold", ((4, 5), 2, 1, 1, 2), inputs=(normal(2, 8, 9),)),
)

CASES = (*UNFOLD, *UNFOLD_REST, *FOLD, *FOLD_REST)
