"""Resizing: every mode, sizes and factors that decide between neighbours, and the old names."""

from itertools import product
from typing import Any

from parity.case import Case, normal

BOTH = (False, True)
SIZES = {1: (11,), 2: (7, 5), 3: (4, 5, 3)}
OUTPUTS = {1: ((29,), (4,)), 2: ((10, 3), (5, 13)), 3: ((5, 3, 4),)}
FACTORS = {1: (1.3, 0.6, 2.0), 2: ((1.3, 0.6),), 3: ((1.5, 0.7, 2.0),)}
ALIGNED = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}


def plane(n: int, *leading: int):
    """`n` axes of unequal sizes behind the leading ones."""
    return normal(*leading, *SIZES[n])


def amounts(n: int) -> list[dict[str, Any]]:
    """Each size and each factor."""
    return [*({"size": s} for s in OUTPUTS[n]), *({"scale_factor": f} for f in FACTORS[n])]


UNALIGNED = tuple(
    Case("Upsample", kwargs={"mode": mode, **amount}, inputs=(plane(n, 2, 3),))
    for n, mode in product((1, 2, 3), ("nearest", "nearest-exact", "area"))
    for amount in amounts(n)
)

WEIGHTED = tuple(
    Case("Upsample", kwargs={"mode": mode, "align_corners": align, **amount}, inputs=(plane(n, 2, 3),))
    for (mode, n), align in product(ALIGNED.items(), BOTH)
    for amount in amounts(n)
)

ANTIALIASED = tuple(
    Case("functional.interpolate", (size, None, mode, align, None, True), inputs=(normal(2, 3, 13, 9),))
    for (mode, align), size in product(
        (("bilinear", False), ("bilinear", True), ("bicubic", False), ("bicubic", True), ("lanczos", False)),
        ((5, 20), (13, 2)),
    )
)

RECOMPUTED = tuple(
    Case(
        "functional.interpolate",
        kwargs={"scale_factor": 1.37, "mode": mode, "recompute_scale_factor": recompute},
        inputs=(plane(n, 2, 3),),
    )
    for (mode, n), recompute in product((("nearest", 1), ("linear", 1), ("bicubic", 2)), BOTH)
)

SAME = tuple(
    Case(
        "functional.interpolate",
        kwargs={"scale_factor": (1.01, 1.6), "mode": mode, "antialias": antialias},
        inputs=(normal(2, 3, 6, 5),),
        note="an axis keeps its size under a factor other than 1",
    )
    for mode, antialias in (("nearest", False), ("bilinear", False), ("bilinear", True), ("bicubic", True))
)

CASES = (
    *UNALIGNED,
    *WEIGHTED,
    *ANTIALIASED,
    *RECOMPUTED,
    *SAME,
    Case("functional.interpolate", kwargs={"scale_factor": 1.01, "mode": "bicubic"}, inputs=(normal(1, 2, 9, 9),)),
    Case(
        "functional.interpolate", ((93, 3),), inputs=(normal(1, 1, 61, 7),), note="a small plane is rounded otherwise"
    ),
    Case("functional.interpolate", ((190, 3),), inputs=(normal(1, 1, 61, 7),)),
    Case("functional.interpolate", ((7, 9),), {"mode": "bilinear"}, inputs=(normal(0, 3, 5, 6),), note="empty batch"),
    Case("functional.interpolate", (1,), {"mode": "bilinear", "align_corners": True}, inputs=(normal(1, 2, 5, 6),)),
    Case("functional.interpolate", (4,), {"mode": "bicubic"}, inputs=(normal(1, 2, 1, 2),), note="fewer than four"),
    Case("functional.interpolate", (6,), {"mode": "linear"}, inputs=(normal(1, 2, 3, mean=1e4),)),
    Case("UpsamplingNearest2d", ((9, 4),), inputs=(plane(2, 2, 3),)),
    Case("UpsamplingNearest2d", kwargs={"scale_factor": 2}, inputs=(plane(2, 2, 3),)),
    Case("UpsamplingBilinear2d", ((9, 4),), inputs=(plane(2, 2, 3),)),
    Case("UpsamplingBilinear2d", kwargs={"scale_factor": (1.7, 2)}, inputs=(plane(2, 2, 3),)),
    Case("functional.upsample", (None, 2, "bilinear", True), inputs=(plane(2, 2, 3),)),
    Case("functional.upsample_nearest", ((5, 6, 7),), inputs=(plane(3, 2, 3),)),
    Case("functional.upsample_bilinear", (None, 1.5), inputs=(plane(2, 2, 3),)),
)
