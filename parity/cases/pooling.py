"""Max, average and power-mean pooling."""

from itertools import product

from parity.case import Case, integers, normal, rounded, uniform

SIZES = {1: (11,), 2: (9, 7), 3: (6, 7, 5)}
BOTH = (False, True)


def plane(n: int, *leading: int):
    """`n` axes of unequal sizes behind the leading ones."""
    return normal(*leading, *SIZES[n])


MAX = tuple(
    Case(f"MaxPool{n}d", (3,), {"stride": stride, "padding": padding, "ceil_mode": ceil}, inputs=(plane(n, 2, 3),))
    for n, stride, padding, ceil in product((1, 2, 3), (None, 2), (0, 1), BOTH)
)

MAX_REST = (
    Case("MaxPool1d", (2,), {"dilation": 3}, inputs=(plane(1, 2, 3),)),
    Case("MaxPool2d", ((2, 3),), {"dilation": (3, 1), "stride": (1, 2)}, inputs=(plane(2, 2, 3),)),
    Case("MaxPool2d", ((4, 2),), {"padding": (2, 1), "dilation": (2, 3), "ceil_mode": True}, inputs=(plane(2, 2, 3),)),
    Case("MaxPool3d", ((2, 3, 1), (1, 2, 3), (1, 1, 0), (2, 1, 1)), inputs=(plane(3, 2, 3),)),
    Case("MaxPool1d", (3, 2, 1), {"return_indices": True}, inputs=(plane(1, 2, 3),)),
    Case("MaxPool2d", (3, 2, 1, 2), {"return_indices": True, "ceil_mode": True}, inputs=(plane(2, 2, 3),)),
    Case("MaxPool3d", ((2, 3, 2),), {"return_indices": True}, inputs=(plane(3, 2, 3),)),
    Case("MaxPool1d", (2,), inputs=(plane(1, 3),), note="no batch"),
    Case("MaxPool2d", (2,), {"return_indices": True}, inputs=(plane(2, 3),), note="no batch"),
    Case("MaxPool3d", (2,), inputs=(plane(3, 3),), note="no batch"),
    Case("MaxPool2d", (2,), inputs=(plane(2, 0, 3),), note="empty batch"),
    Case(
        "MaxPool2d",
        (2, 4),
        {"ceil_mode": True},
        inputs=(normal(1, 2, 5, 6),),
        note="a last window may not start in the padding",
    ),
    Case(
        "MaxPool2d", (3, 2, 1), {"return_indices": True}, inputs=(integers(2, 3, 7, 9, high=3),), note="ties, integers"
    ),
    Case("functional.max_pool1d", ((3,), 2), inputs=(plane(1, 2, 3),)),
    Case("functional.max_pool2d", (2,), {"stride": ()}, inputs=(plane(2, 2, 3),)),
    Case("functional.max_pool1d_with_indices", (3, 2, 1), inputs=(plane(1, 2, 3),)),
    Case("functional.max_pool3d_with_indices", (2, 1), inputs=(plane(3, 3),)),
    Case("functional.max_pool2d_with_indices", ((2, 3), 1), inputs=(plane(2, 2, 3),)),
    Case("functional.max_pool3d", (2, 2, 1, 1, True, True), inputs=(plane(3, 2, 3),)),
    Case("MaxPool2d", (13,), {"stride": 1, "padding": 6}, inputs=(normal(1, 2, 14, 13),), note="a long window"),
)

AVERAGE = tuple(
    Case(
        f"AvgPool{n}d",
        (3,),
        {"stride": 2, "padding": padding, "ceil_mode": ceil, "count_include_pad": include},
        inputs=(plane(n, 2, 3),),
    )
    for n, padding, ceil, include in product((1, 2, 3), (0, 1), BOTH, BOTH)
)

AVERAGE_REST = (
    Case("AvgPool2d", (2, 2), inputs=(normal(1, 3, 318, 320),), note="seed system E2"),
    Case("AvgPool2d", ((3, 2),), {"stride": (2, 1), "padding": (1, 0)}, inputs=(plane(2, 2, 3),)),
    Case("AvgPool2d", (3, 2, 1, True, False, 5), inputs=(plane(2, 2, 3),)),
    Case("AvgPool3d", ((2, 3, 1),), {"divisor_override": 4, "padding": (1, 1, 0)}, inputs=(plane(3, 2, 3),)),
    Case("AvgPool2d", (2, 4), {"ceil_mode": True}, inputs=(normal(1, 2, 5, 6),)),
    Case("AvgPool1d", (2,), inputs=(plane(1, 3),), note="no batch"),
    Case("AvgPool2d", (2,), inputs=(plane(2, 3),), note="no batch"),
    Case("AvgPool3d", (2,), inputs=(plane(3, 3),), note="no batch"),
    Case("AvgPool1d", (2,), inputs=(plane(1, 0, 3),), note="empty batch"),
    Case("functional.avg_pool1d", (4, 3, 2, True, False), inputs=(plane(1, 2, 3),)),
    Case("functional.avg_pool2d", ((4, 3),), {"padding": (2, 1), "divisor_override": -2}, inputs=(plane(2, 2, 3),)),
    Case("functional.avg_pool3d", (2, 3), {"ceil_mode": True}, inputs=(plane(3, 2, 3),)),
)

LP = tuple(
    Case(f"LPPool{n}d", (p, 4), {"stride": stride, "ceil_mode": ceil}, inputs=(plane(n, 2, 3),))
    for n, p, (stride, ceil) in product((1, 2, 3), (2, 1.5), ((None, False), (2, True)))
)

LP_REST = (
    Case("LPPool2d", (3.0, (3, 2)), {"stride": (2, 1)}, inputs=(plane(2, 2, 3),), note="negative sums have no root"),
    Case("LPPool2d", (1, 2), inputs=(rounded(2, 3, 9, 7),), note="sums of 0 have no gradient"),
    Case("LPPool1d", (4, 2), inputs=(rounded(2, 3, 11, mean=0.0, std=0.3),), note="windows of zeros"),
    Case("LPPool2d", (-2, 2), inputs=(uniform(2, 3, 9, 7, low=0.5, high=2.0),)),
    Case("LPPool2d", (float("inf"), (2, 3), 2, True), inputs=(plane(2, 2, 3),), since="2.13"),
    Case("LPPool3d", (-float("inf"), 2), inputs=(plane(3, 3),), note="no batch", since="2.13"),
    Case("LPPool1d", (2, 3), inputs=(plane(1, 0, 3),), note="empty batch"),
    Case("functional.lp_pool1d", (2.5, 3, 2), inputs=(uniform(3, 11, low=0.1),)),
    Case("functional.lp_pool2d", (2, (3, 2)), {"ceil_mode": True}, inputs=(plane(2, 2, 3),)),
    Case("functional.lp_pool3d", (2, 3), {"stride": (1, 2, 1)}, inputs=(plane(3, 3),)),
)

CASES = (*MAX, *MAX_REST, *AVERAGE, *AVERAGE_REST, *LP, *LP_REST)
