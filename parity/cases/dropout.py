"""Dropout: in training the suite compares distributions, in evaluation numbers."""

from parity.case import Case, normal

CASES = (
    Case("Dropout", inputs=(normal(8, 6, mean=2.0, std=0.5),)),
    Case("Dropout", (0.2,), inputs=(normal(5, 7, mean=2.0, std=0.5),)),
    Case("Dropout", (0.0,), inputs=(normal(3, 4),)),
    Case("Dropout", (1.0,), inputs=(normal(3, 4),)),
    Case("Dropout", (0.9, True), inputs=(normal(40, mean=2.0),), note="inplace has no effect"),
    Case("Dropout1d", (0.4,), inputs=(normal(4, 3, 5, mean=2.0, std=0.5),)),
    Case("Dropout1d", inputs=(normal(6, 5, mean=2.0, std=0.5),), note="no batch"),
    Case("Dropout2d", (0.3,), inputs=(normal(4, 3, 2, 3, mean=2.0, std=0.5),)),
    Case("Dropout2d", (1.0,), inputs=(normal(2, 3, 2, 3),)),
    Case("Dropout3d", (0.6,), inputs=(normal(3, 2, 2, 1, 3, mean=2.0, std=0.5),)),
    Case("Dropout3d", inputs=(normal(5, 2, 1, 3, mean=2.0, std=0.5),), note="no batch"),
    Case("Dropout", inputs=(normal(0, 3),), note="empty batch"),
    Case("functional.dropout", (0.5, False), inputs=(normal(4, 5),)),
    Case("functional.dropout", (0.0, True), inputs=(normal(4, 5),)),
    Case("functional.dropout", (1.0,), inputs=(normal(4, 5),)),
    Case("functional.dropout1d", (0.5, False), inputs=(normal(4, 3, 5),)),
    Case("functional.dropout2d", (1.0, True), inputs=(normal(2, 3, 4, 5),)),
    Case("functional.dropout3d", (), {"training": False}, inputs=(normal(2, 3, 4, 5),)),
)
