"""Cosine similarity and distances."""

from parity.case import Case, integers, normal, rounded

INF = float("inf")
P = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, INF)

COSINE = (
    *(Case("CosineSimilarity", (dim,), inputs=(normal(3, 4, 5), normal(3, 4, 5))) for dim in (0, 1, -1)),
    Case("CosineSimilarity", inputs=(normal(3, 4), normal(3, 4))),
    Case("CosineSimilarity", (1, 3.0), inputs=(normal(6, 5), normal(6, 5)), note="some norms below eps"),
    Case("CosineSimilarity", (-1,), inputs=(normal(2, 3), normal(4, 1, 3)), note="broadcast"),
    Case("CosineSimilarity", (0,), inputs=(normal(), normal()), note="0-d"),
    Case("CosineSimilarity", inputs=(normal(2, 0), normal(2, 0)), note="empty vectors"),
    Case("functional.cosine_similarity", inputs=(normal(3, 4), integers(3, 4)), note="integers beside floats"),
)

PAIRWISE = (
    *(
        Case("PairwiseDistance", (p,), {"keepdim": p > 1}, inputs=(normal(3, 5), normal(3, 5)))
        for p in (*P, -1.0, -INF)
    ),
    Case("PairwiseDistance", (2.0, 0.5), inputs=(normal(5), normal(5)), note="no batch; an eps that matters"),
    Case("PairwiseDistance", inputs=(normal(2, 1, 3), normal(4, 3)), note="broadcast"),
    Case("PairwiseDistance", inputs=(normal(), normal()), note="0-d"),
    Case("PairwiseDistance", inputs=(normal(0, 3), normal(0, 3)), note="empty batch"),
    Case("PairwiseDistance", (1.0,), inputs=(normal(3, 0), normal(3, 0)), note="empty vectors"),
    *(
        Case("PairwiseDistance", (p, 0.0), inputs=(rounded(4, 7), rounded(4, 7)), note="ties, equal entries")
        for p in (1.0, 2.0, 3.0, INF)
    ),
    Case("functional.pairwise_distance", (1.0, 0.0), inputs=(integers(3, 4), integers(3, 4)), note="integers"),
    Case("functional.pairwise_distance", (2.0, 0.0, True), inputs=(normal(3, 4), integers(3, 4))),
)

ALL_PAIRS = (
    *(Case("functional.pdist", (p,), inputs=(normal(5, 4),)) for p in P),
    *(Case("functional.pdist", (p,), inputs=(rounded(6, 2),), note="ties, rows that are equal") for p in P),
    Case("functional.pdist", inputs=(normal(2, 3),)),
    *(
        Case("functional.pdist", inputs=(normal(*shape),)) for shape in ((1, 3), (3, 0))
    ),  # torch crashes on the gradient of (0, 3)
)

CASES = (*COSINE, *PAIRWISE, *ALL_PAIRS)
