"""CTCLoss: lengths of every form, repeated labels, blanks, samples without a path."""

from parity.case import Case, integers, normal

LOGITS = normal(9, 3, 5)
LABELS = integers(3, 4, low=1, high=5)

CASES = (
    *(
        Case("CTCLoss", (), {"reduction": reduction}, inputs=(LOGITS, LABELS, (9, 7, 8), (4, 1, 3)))
        for reduction in ("none", "mean", "sum")
    ),
    Case(
        "CTCLoss", (4,), inputs=(LOGITS, integers(3, 4, high=4), (9, 7, 8), (4, 1, 3)), note="the last label is blank"
    ),
    Case("CTCLoss", inputs=(LOGITS, integers(8, low=1, high=5), (9, 7, 8), (4, 1, 3)), note="targets on one axis"),
    Case("CTCLoss", inputs=(normal(12, 2, 3), integers(2, 5, low=1, high=3), (12, 11), (5, 5)), note="repeated labels"),
    Case("CTCLoss", inputs=(LOGITS, LABELS, (9, 7, 8), (0, 2, 0)), note="no labels"),
    Case("CTCLoss", inputs=(LOGITS, integers(3, 0), (9, 7, 8), (0, 0, 0)), note="no labels at all"),
    Case("CTCLoss", (), {"reduction": "none"}, inputs=(LOGITS, LABELS, (2, 0, 0), (4, 1, 0)), note="no path: inf"),
    Case("CTCLoss", (0, "mean", True), inputs=(LOGITS, LABELS, (2, 7, 0), (4, 2, 1)), note="no path: 0"),
    Case("CTCLoss", inputs=(normal(9, 5), integers(4, low=1, high=5), (8,), (4,)), note="no batch"),
    Case("CTCLoss", inputs=(normal(1, 1, 3), integers(1, 1, low=1, high=3), (1,), (1,)), note="one step"),
    Case(
        "CTCLoss", inputs=(LOGITS, LABELS, integers(3, low=7, high=10), integers(3, high=5)), note="lengths are arrays"
    ),
    Case(
        "CTCLoss", inputs=(normal(9, 2, 5, std=30.0), integers(2, 4, low=1, high=5), (9, 9), (4, 3)), note="far from 0"
    ),
    Case("functional.ctc_loss", (3, "sum", True), inputs=(LOGITS, integers(3, 4, high=3), (9, 2, 8), (4, 3, 3))),
)
