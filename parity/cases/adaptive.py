"""AdaptiveLogSoftmaxWithLoss."""

from parity.case import Case, integers, normal

CASES = (
    Case("AdaptiveLogSoftmaxWithLoss", (8, 20, [4, 10, 15], 2.0), inputs=(normal(9, 8), integers(9, high=20))),
    Case("AdaptiveLogSoftmaxWithLoss", (16, 12, [5], 4.0, True), inputs=(normal(7, 16), integers(7, high=12))),
    Case(
        "AdaptiveLogSoftmaxWithLoss", (16, 12, [5]), inputs=(normal(16), integers(high=5)), note="no batch, shortlist"
    ),
    Case(
        "AdaptiveLogSoftmaxWithLoss",
        (16, 12, [5]),
        inputs=(normal(16), integers(low=5, high=12)),
        note="no batch, tail",
    ),
    Case("AdaptiveLogSoftmaxWithLoss", (8, 9, [2, 8], 2.0), inputs=(normal(5, 8), integers(5, low=2, high=9))),
    Case(
        "AdaptiveLogSoftmaxWithLoss",
        (8, 9, [2, 8], 2.0),
        inputs=(normal(4, 8), integers(4, high=2)),
        note="shortlist only",
    ),
)
