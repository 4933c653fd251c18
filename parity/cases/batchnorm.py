"""Batch normalisation."""

from itertools import product

from parity.case import Case, normal, uniform

INPUTS = {"BatchNorm1d": (6, 3, 5), "BatchNorm2d": (4, 3, 5, 2), "BatchNorm3d": (3, 3, 2, 5, 4)}
BOTH = (False, True)

OPTIONS = tuple(
    Case(
        kind,
        (3,),
        {"momentum": momentum, "affine": affine, "track_running_stats": track},
        inputs=(normal(*shape, mean=2.0, std=3.0),),
    )
    for (kind, shape), momentum, affine, track in product(INPUTS.items(), (0.1, None), BOTH, BOTH)
)

REST = (
    Case("BatchNorm1d", (4,), inputs=(normal(2, 4),), note="seed system E3: two values for each channel"),
    Case("BatchNorm1d", (5,), inputs=(normal(7, 5),)),
    Case("BatchNorm1d", (5, 1e-2, 0.7), inputs=(normal(7, 5, std=0.1),), note="an eps that matters"),
    Case("BatchNorm1d", (3,), {"bias": False}, inputs=(normal(7, 3),)),
    Case("BatchNorm1d", (3,), inputs=(normal(0, 3),), note="empty batch"),
    Case("BatchNorm1d", (3,), {"momentum": None}, inputs=(normal(2, 3, 0),), note="empty sequence"),
    Case("BatchNorm1d", (3,), inputs=(normal(1, 3, 6),), note="a batch of one"),
    Case("BatchNorm2d", (1,), inputs=(normal(2, 1, 3, 5),), note="one channel"),
    Case("BatchNorm2d", (3,), {"momentum": 0.0}, inputs=(normal(2, 3, 4, 5),)),
    Case("BatchNorm2d", (3,), {"momentum": 1.0}, inputs=(normal(2, 3, 4, 5),)),
    # not affine: torch's gradient of the weight has lost digits in float32 by then
    Case("BatchNorm2d", (2,), {"affine": False}, inputs=(normal(3, 2, 4, 5, mean=50.0),), note="a mean far from 0"),
    Case(
        "BatchNorm1d",
        (5,),
        {"affine": False, "track_running_stats": False},
        inputs=(normal(7, 3),),
        note="nothing is held that the channels must fit",
    ),
    Case("BatchNorm2d", (3, 1e-3), {"track_running_stats": False}, inputs=(normal(1, 3, 1, 2),)),
)

FUNCTIONS = (
    Case("functional.batch_norm", inputs=(normal(4, 3), normal(3), uniform(3, low=0.5, high=2.0))),
    Case(
        "functional.batch_norm",
        (normal(3), normal(3), False, 0.3, 1e-2),
        inputs=(normal(4, 3, 5), normal(3), uniform(3, low=0.5, high=2.0)),
    ),
    Case("functional.batch_norm", inputs=(normal(4, 3, 2, 5), None, None, normal(3), normal(3), True)),
    Case("functional.batch_norm", (None, normal(3)), {"training": True}, inputs=(normal(4, 3), None, None)),
    Case(
        "functional.batch_norm",
        (),
        {"weight": normal(3), "eps": 0.0},
        inputs=(normal(4, 3, 2, 2, 2), normal(3), uniform(3, low=0.5, high=2.0)),
    ),
)

SYNC = (
    Case("SyncBatchNorm", (3,), inputs=(normal(6, 3),)),
    Case("SyncBatchNorm", (3, 1e-3, None, True, False), {"bias": False}, inputs=(normal(4, 3, 5, 2),)),
    Case("SyncBatchNorm", (2,), {"affine": False}, inputs=(normal(2, 2, 2, 3, 2, 2),), note="four spatial axes"),
)

CASES = (*OPTIONS, *REST, *SYNC, *FUNCTIONS)
