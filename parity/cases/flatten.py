"""Flatten and Unflatten."""

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
    Case("Unflatten", (1, (3, 4)), inputs=(normal(2, 12, 5),)),
    Case("Unflatten", (-1, (2, -1)), inputs=(normal(3, 8),)),
    Case("Unflatten", (0, [2, 1, 3]), inputs=(normal(6, 2),)),
    Case("Unflatten", (0, (-1, 3)), inputs=(normal(0, 2),), note="empty batch"),
    Case("Unflatten", (1, (2, 2)), inputs=(integers(3, 4),)),
)
