"""LinearCrossEntropyLoss. Its options are objects of their own: torch's database of modules has samples of them."""

from parity.case import Case, integers, normal, uniform

CASES = (
    *(
        Case("LinearCrossEntropyLoss", (5, 4), {"reduction": reduction}, inputs=(normal(7, 5), integers(7, high=4)))
        for reduction in ("none", "mean", "sum")
    ),
    Case(
        "LinearCrossEntropyLoss",
        (5, 4),
        {"bias": True, "weight": uniform(4)},
        inputs=(normal(7, 5), integers(7, high=4)),
    ),
    Case("LinearCrossEntropyLoss", (5, 4), {"ignore_index": 2}, inputs=(normal(7, 5), integers(7, high=4))),
    Case("LinearCrossEntropyLoss", (5, 4), {"label_smoothing": 0.3}, inputs=(normal(7, 5), integers(7, high=4))),
    Case("LinearCrossEntropyLoss", (5, 4), {"bias": True}, inputs=(normal(7, 5), uniform(7, 4)), note="probabilities"),
    Case("LinearCrossEntropyLoss", (5, 4), inputs=(normal(5), integers(high=4)), note="no batch"),
    Case(
        "LinearCrossEntropyLoss",
        (5, 4),
        {"out_features": (3, 2), "bias": True, "reduction": "none"},
        inputs=(normal(7, 5), integers(7, 3, 2, high=4)),
    ),
    Case(
        "LinearCrossEntropyLoss",
        (5, 4),
        {"out_features": (3,)},
        inputs=(normal(7, 5), uniform(7, 4, 3)),
        note="probabilities",
    ),
    Case(
        "functional.linear_cross_entropy",
        (),
        {"linear_bias": normal(4, 3), "weight": uniform(4), "ignore_index": 1, "reduction": "sum"},
        inputs=(normal(7, 5), normal(4, 3, 5), integers(7, 3, high=4)),
    ),
)
