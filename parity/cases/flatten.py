"""Flatten."""

from parity.case import Case, integers, normal

CASES = (
    Case("Flatten", inputs=(normal(2, 3, 4, 5),)),
    Case("Flatten", (0,), inputs=(normal(2, 3, 4),)),
    Case("Flatten", (1, 2), inputs=(normal(2, 3, 4, 5),)),
    Case("Flatten", (-3, -2), inputs=(normal(2, 3, 4, 5),)),
    Case("Flatten", (2, 2), inputs=(normal(2, 3, 4),)),
    Case("Flatten", (), {"end_dim": 1}, inputs=(normal(2, 3),)),
    Case("Flatten", (0, -1), inputs=(normal(),), note="a number"),
    Case("Flatten", inputs=(normal(0, 3, 4),), note="empty batch"),
    Case("Flatten", inputs=(integers(2, 3, 4),)),
)
