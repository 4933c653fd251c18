"""Instance normalisation."""

from itertools import product

from parity.case import Case, normal, uniform

INPUTS = {"InstanceNorm1d": (4, 3, 5), "InstanceNorm2d": (3, 3, 5, 2), "InstanceNorm3d": (2, 3, 2, 5, 4)}
BOTH = (False, True)
STATISTICS = (normal(3), uniform(3, low=0.5, high=2.0))

OPTIONS = tuple(
    Case(
        kind, (3,), {"affine": affine, "track_running_stats": track}, inputs=(normal(*shape[cut:], mean=2.0, std=3.0),)
    )
    for (kind, shape), affine, track, cut in product(INPUTS.items(), BOTH, BOTH, (0, 1))
)

REST = (
    Case("InstanceNorm1d", (3, 1e-2, 0.7, True, True), inputs=(normal(4, 3, 5, std=0.1),), note="an eps that matters"),
    Case("InstanceNorm1d", (3,), {"affine": True, "bias": False}, inputs=(normal(4, 3, 5),)),
    Case("InstanceNorm1d", (3,), {"momentum": None, "track_running_stats": True}, inputs=(normal(4, 3, 5),)),
    Case("InstanceNorm1d", (3,), inputs=(normal(0, 3, 4),), note="empty batch; with a weight torch has no gradient"),
    Case("InstanceNorm1d", (3,), {"affine": True, "track_running_stats": True}, inputs=(normal(2, 3, 0),)),
    Case("InstanceNorm2d", (2,), inputs=(normal(2, 2, 4, 4, mean=100.0),), note="a distant mean"),
    Case("InstanceNorm1d", (3, 0.0), inputs=(normal(2, 3, 4),), note="no eps"),
)

FUNCTIONS = (
    Case("functional.instance_norm", inputs=(normal(4, 3, 5),)),
    Case("functional.instance_norm", (normal(3), None, False, 0.3, 1e-2), inputs=(normal(4, 3, 5), *STATISTICS)),
    Case("functional.instance_norm", (), {"weight": normal(3), "eps": 0.5}, inputs=(normal(2, 3, 2, 2),)),
    Case(
        "functional.instance_norm", (normal(3), normal(3), False), inputs=(normal(4, 3), *STATISTICS), note="no plane"
    ),
)

CASES = (*OPTIONS, *REST, *FUNCTIONS)
