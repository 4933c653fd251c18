"""Linear, Bilinear, Identity."""

from parity.case import Case, normal

CASES = (
    Case("Identity", (3,), {"unused": True}, inputs=(normal(2, 3),)),
    Case("Linear", (5, 3), inputs=(normal(4, 5),)),
    Case("Linear", (5, 3), {"bias": False}, inputs=(normal(2, 3, 4, 5),)),
    Case("Linear", (5, 1), inputs=(normal(5),), note="no batch"),
    Case("Linear", (7, 2), inputs=(normal(0, 7),), note="empty batch"),
    Case("Linear", (1, 1), inputs=(normal(6, 1, mean=1000.0),), note="huge mean"),
    Case("Bilinear", (3, 4, 5), inputs=(normal(6, 3), normal(6, 4))),
    Case("Bilinear", (2, 3, 1), {"bias": False}, inputs=(normal(2, 4, 2), normal(2, 4, 3))),
    Case("Bilinear", (2, 3, 4), inputs=(normal(2), normal(3)), note="no batch"),
    Case("functional.linear", inputs=(normal(4, 5), normal(5)), note="one output, no axis"),
    Case("functional.linear", inputs=(normal(2, 3, 5), normal(2, 5))),
    Case("functional.bilinear", inputs=(normal(4, 2), normal(4, 3), normal(5, 2, 3), normal(5))),
)
