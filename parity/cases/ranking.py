"""MarginRankingLoss, HingeEmbeddingLoss, CosineEmbeddingLoss, TripletMarginLoss, TripletMarginWithDistanceLoss."""

from parity.case import Case, integers, normal, rounded

REDUCTIONS = ("none", "mean", "sum")
SIGN = {"low": -1, "high": 2}
TRIPLET = (normal(4, 5), normal(4, 5), normal(4, 5))

INPUTS = {
    "MarginRankingLoss": (normal(4, 5), normal(4, 5), normal(4, 5)),
    "HingeEmbeddingLoss": (normal(4, 5), integers(4, 5, **SIGN)),
    "CosineEmbeddingLoss": (normal(9, 3), normal(9, 3), integers(9, **SIGN)),
    "TripletMarginLoss": TRIPLET,
    "TripletMarginWithDistanceLoss": TRIPLET,
}

PLAIN = tuple(
    Case(kind, (), {"reduction": reduction}, inputs=inputs)
    for kind, inputs in INPUTS.items()
    for reduction in REDUCTIONS
)

REST = (
    Case(
        "MarginRankingLoss", (0.5,), inputs=(rounded(6, 5), rounded(6, 5), integers(6, 5, **SIGN)), note="at the margin"
    ),
    Case(
        "MarginRankingLoss", (-0.3,), {"reduction": "none"}, inputs=(normal(3, 1), normal(1, 4), integers(3, 4, **SIGN))
    ),
    Case("MarginRankingLoss", (1.5,), inputs=(integers(7), integers(7), integers(7, **SIGN)), note="integers"),
    Case("MarginRankingLoss", inputs=(normal(), normal(), normal()), note="numbers"),
    Case("MarginRankingLoss", inputs=(normal(0), normal(0), normal(0)), note="the mean of nothing"),
    Case("functional.margin_ranking_loss", (1, False, None), inputs=(normal(5), normal(5), normal(5))),
    Case("HingeEmbeddingLoss", (0.5,), inputs=(rounded(6, 5), integers(6, 5, **SIGN)), note="at the margin"),
    Case(
        "HingeEmbeddingLoss",
        (-0.5,),
        {"reduction": "none"},
        inputs=(normal(4), integers(3, 1, **SIGN)),
        note="broadcast",
    ),
    Case(
        "HingeEmbeddingLoss", (2.5,), {"reduction": "sum"}, inputs=(integers(7), integers(7, **SIGN)), note="integers"
    ),
    Case("HingeEmbeddingLoss", inputs=(normal(), integers(**SIGN)), note="numbers"),
    Case("HingeEmbeddingLoss", inputs=(normal(0, 2), integers(0, 2, **SIGN)), note="the mean of nothing"),
    Case("functional.hinge_embedding_loss", (2.0, None, False), inputs=(normal(5), integers(5, **SIGN))),
    Case("CosineEmbeddingLoss", (0.3,), inputs=(normal(9, 3), normal(1, 3), integers(9, **SIGN)), note="broadcast"),
    Case("CosineEmbeddingLoss", (-0.4,), inputs=(normal(3), normal(3), integers(low=-1, high=0)), note="no batch"),
    Case("CosineEmbeddingLoss", (0.3,), inputs=(normal(4, 0), normal(4, 0), integers(4, **SIGN)), note="empty vectors"),
    Case("CosineEmbeddingLoss", (0.5,), inputs=(integers(9, 3), integers(9, 3), integers(9, **SIGN)), note="integers"),
    Case(
        "CosineEmbeddingLoss",
        inputs=(rounded(9, 2, std=0.5), rounded(9, 2, std=0.5), integers(9, **SIGN)),
        note="zeros",
    ),
    Case(
        "functional.cosine_embedding_loss", (0.2, None, None, "none"), inputs=(normal(5, 4), normal(5, 4), integers(5))
    ),
    *(
        Case("TripletMarginLoss", (margin, p, eps, swap), {"reduction": "none"}, inputs=TRIPLET)
        for margin, p, eps, swap in ((0.3, 1.0, 1e-6, False), (2.0, 3.0, 0.1, True), (1.0, 0.5, 1e-3, True))
    ),
    Case("TripletMarginLoss", (3.0,), {"swap": True}, inputs=(normal(6), normal(6), normal(6)), note="no batch"),
    Case("TripletMarginLoss", inputs=(normal(2, 3, 4), normal(2, 3, 4), normal(1, 1, 4)), note="more axes, broadcast"),
    Case("TripletMarginLoss", inputs=(integers(4, 3), integers(4, 3), integers(4, 3)), note="integers"),
    Case("functional.triplet_margin_loss", (0.7, 1, 1e-3, True, False), inputs=TRIPLET),
    Case("TripletMarginWithDistanceLoss", (), {"margin": 2.0, "swap": True}, inputs=TRIPLET),
    Case("functional.triplet_margin_with_distance_loss", (), {"margin": 0.4, "reduction": "none"}, inputs=TRIPLET),
)

CASES = (*PLAIN, *REST)
