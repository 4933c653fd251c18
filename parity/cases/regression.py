"""MSELoss, L1Loss, SmoothL1Loss, HuberLoss, KLDivLoss, PoissonNLLLoss, GaussianNLLLoss."""

from parity.case import Case, integers, normal, rounded, uniform

REDUCTIONS = ("none", "mean", "sum")
DISTANCES = ("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss")

PLAIN = tuple(
    Case(kind, (), {"reduction": reduction}, inputs=(normal(3, 4), normal(3, 4)))
    for kind in (*DISTANCES, "PoissonNLLLoss")
    for reduction in REDUCTIONS
)

EDGES = tuple(
    case
    for kind in DISTANCES
    for case in (
        Case(kind, inputs=(normal(), normal()), note="numbers"),
        Case(kind, inputs=(normal(0, 3), normal(0, 3)), note="the mean of nothing"),
        Case(kind, inputs=(normal(4, 3, mean=1000.0), normal(4, 3, mean=1001.0))),
        Case(kind, (), {"reduction": "none"}, inputs=(rounded(4, 5), rounded(4, 5)), note="differences of 0, 0.5, 1"),
        Case(kind, inputs=(normal(2, 1, 3), normal(4, 1)), note="broadcast"),
    )
)

SETTINGS = (
    Case("functional.mse_loss", (), {"weight": uniform(3, 4)}, inputs=(normal(3, 4), normal(3, 4))),
    Case("functional.mse_loss", (None, None, "none", uniform(3, 4)), inputs=(normal(3, 4), normal(3, 4))),
    Case("functional.l1_loss", (), {"weight": uniform(3, 4)}, inputs=(normal(3, 4), normal(3, 4))),
    Case("functional.l1_loss", (False, None, "none", uniform(3, 4)), inputs=(normal(3, 4), normal(3, 4))),
    Case("functional.l1_loss", (), {"reduction": "sum"}, inputs=(integers(3, 4), integers(3, 4)), note="integers"),
    Case("SmoothL1Loss", (), {"beta": 0.3}, inputs=(normal(3, 4), normal(3, 4))),
    Case("SmoothL1Loss", (), {"beta": 0.0, "reduction": "sum"}, inputs=(rounded(3, 4), rounded(3, 4)), note="L1Loss"),
    Case("SmoothL1Loss", (None, None, "none", 2), inputs=(normal(3, 4, std=4.0), integers(3, 4, low=-3, high=3))),
    Case("functional.smooth_l1_loss", (True, False, "mean", 0.5), inputs=(rounded(3, 4), rounded(3, 4))),
    Case("HuberLoss", ("mean", 0.3), inputs=(normal(3, 4), normal(3, 4))),
    Case("HuberLoss", ("none", 2), inputs=(normal(3, 4, std=4.0), rounded(3, 4))),
    Case("functional.huber_loss", ("mean", 0.5, uniform(3, 4)), inputs=(normal(3, 4), normal(3, 4))),
    Case("functional.huber_loss", ("none",), {"weight": uniform(3, 4)}, inputs=(rounded(3, 4), rounded(3, 4))),
)

DIVERGENCE = (
    *(
        Case("KLDivLoss", (), {"reduction": reduction}, inputs=(normal(3, 4, mean=-2.0), uniform(3, 4)))
        for reduction in (*REDUCTIONS, "batchmean")
    ),
    *(
        Case("KLDivLoss", (None, None, reduction, True), inputs=(normal(3, 4, mean=-2.0), normal(3, 4, mean=-2.0)))
        for reduction in ("none", "batchmean")
    ),
    Case("KLDivLoss", (), {"reduction": "batchmean"}, inputs=(normal(), uniform()), note="numbers"),
    Case("KLDivLoss", (), {"reduction": "batchmean"}, inputs=(normal(5, 1, 3), uniform(2, 1)), note="broadcast"),
    Case("functional.kl_div", (True, None, "none", True), inputs=(normal(3, 4), normal(3, 4))),
)

LIKELIHOOD = (
    Case("PoissonNLLLoss", (False,), inputs=(uniform(3, 4, high=5.0), integers(3, 4, high=4))),
    Case("PoissonNLLLoss", (True, True), inputs=(normal(3, 4), uniform(3, 4, low=0.5, high=5.0))),
    Case("PoissonNLLLoss", (False, True), {"eps": 0.1}, inputs=(uniform(3, 4), uniform(3, 4, low=0.5, high=5.0))),
    Case(
        "PoissonNLLLoss", (), {"full": True, "reduction": "none"}, inputs=(normal(6, 1), uniform(9, low=0.5, high=5.0))
    ),
    Case(
        "functional.poisson_nll_loss",
        (False, True, False, 1e-3, None),
        inputs=(uniform(7), uniform(7, low=0.5, high=5.0)),
    ),
    *(
        Case(
            "GaussianNLLLoss",
            (),
            {"full": full, "reduction": reduction},
            inputs=(normal(3, 4), normal(3, 4), uniform(*shape)),
        )
        for full, reduction, shape in ((False, "mean", (3, 4)), (True, "none", (3,)), (True, "sum", (3, 1)))
    ),
    Case("GaussianNLLLoss", inputs=(normal(3, 4), normal(3, 4), uniform(1, 4, high=9.0)), note="a variance per column"),
    Case("GaussianNLLLoss", (), {"eps": 0.5}, inputs=(normal(3, 4), normal(3, 4), uniform(3, 4)), note="below eps"),
    Case("GaussianNLLLoss", inputs=(normal(3, 4), normal(3, 4), 0.7), note="one variance"),
    Case("functional.gaussian_nll_loss", (True, 0.3, "none"), inputs=(normal(5), normal(5), uniform(5))),
)

CASES = (*PLAIN, *EDGES, *SETTINGS, *DIVERGENCE, *LIKELIHOOD)
