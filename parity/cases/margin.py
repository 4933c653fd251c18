"""SoftMarginLoss, MultiLabelSoftMarginLoss, MultiMarginLoss, MultiLabelMarginLoss."""

from parity.case import Case, integers, normal, rounded, uniform

REDUCTIONS = ("none", "mean", "sum")
INPUTS = {
    "SoftMarginLoss": (normal(3, 5), normal(3, 5)),
    "MultiLabelSoftMarginLoss": (normal(3, 5), uniform(3, 5)),
    "MultiMarginLoss": (normal(3, 5), integers(3, high=5)),
    "MultiLabelMarginLoss": (normal(3, 5), integers(3, 5, low=-1, high=5)),
}

PLAIN = tuple(
    Case(kind, (), {"reduction": reduction}, inputs=inputs)
    for kind, inputs in INPUTS.items()
    for reduction in REDUCTIONS
)

REST = (
    Case("SoftMarginLoss", inputs=(normal(), normal()), note="numbers"),
    Case("SoftMarginLoss", inputs=(normal(0, 3), normal(0, 3)), note="the mean of nothing"),
    Case("SoftMarginLoss", (), {"reduction": "none"}, inputs=(normal(4, 5, std=20.0), normal(5)), note="broadcast"),
    Case("SoftMarginLoss", inputs=(normal(4, 5), integers(4, 5, low=-1, high=2)), note="integer targets"),
    Case("functional.soft_margin_loss", (None, False, "mean"), inputs=(normal(3, 4), normal(3, 4))),
    Case("MultiLabelSoftMarginLoss", (uniform(5),), inputs=(normal(3, 5), uniform(3, 5))),
    Case("MultiLabelSoftMarginLoss", (uniform(3, 1),), {"reduction": "none"}, inputs=(normal(3, 5), uniform(3, 5))),
    Case("MultiLabelSoftMarginLoss", inputs=(normal(5, std=200.0), uniform(5)), note="no batch, far from 0"),
    Case("MultiLabelSoftMarginLoss", (), {"reduction": "none"}, inputs=(normal(2, 3, 4), uniform(2, 3, 4))),
    Case("MultiLabelSoftMarginLoss", inputs=(normal(3, 4), integers(3, 4, high=2)), note="integer targets"),
    Case(
        "functional.multilabel_soft_margin_loss", (uniform(4), False, None, "none"), inputs=(normal(2, 4), uniform(4))
    ),
    *(
        Case(
            "MultiMarginLoss",
            (p, margin, uniform(5)),
            {"reduction": "none"},
            inputs=(normal(3, 5), integers(3, high=5)),
        )
        for p, margin in ((1, 0.3), (2, 2.0), (2, -0.5))
    ),
    Case("MultiMarginLoss", (2,), inputs=(rounded(9, 5), integers(9, high=5)), note="right at the margin"),
    Case("MultiMarginLoss", inputs=(normal(5), integers(high=5)), note="no batch"),
    Case("MultiMarginLoss", (), {"reduction": "none"}, inputs=(normal(5), integers(1, high=5)), note="no batch"),
    Case("MultiMarginLoss", inputs=(normal(), integers(high=1)), note="one class"),
    Case("functional.multi_margin_loss", (2, 0.7, uniform(4), False), inputs=(normal(3, 4), integers(3, high=4))),
    Case("MultiLabelMarginLoss", inputs=(rounded(9, 4), integers(9, 4, low=-1, high=4)), note="ties, classes twice"),
    Case("MultiLabelMarginLoss", inputs=(normal(6), integers(6, low=-1, high=6)), note="no batch"),
    Case("MultiLabelMarginLoss", inputs=(normal(3, 4), integers(3, 4, low=-1, high=0)), note="no class"),
    Case("MultiLabelMarginLoss", inputs=(normal(), integers(high=1)), note="one class"),
    Case(
        "functional.multilabel_margin_loss", (None, None, "none"), inputs=(normal(3, 7), integers(3, 7, low=-1, high=7))
    ),
)

CASES = (*PLAIN, *REST)
