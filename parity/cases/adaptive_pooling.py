"""Adaptive average and max pooling."""

from itertools import product

from parity.case import Case, normal, rounded

SIZES = {1: (11,), 2: (9, 7), 3: (6, 7, 5)}


def plane(n: int, *leading: int):
    """`n` axes of unequal sizes behind the leading ones."""
    return normal(*leading, *SIZES[n])


AVERAGE = tuple(
    Case(f"AdaptiveAvgPool{n}d", (size,), inputs=(plane(n, 2, 3),)) for n, size in product((1, 2, 3), (1, 3, 4, 13))
)

AVERAGE_REST = (
    Case("AdaptiveAvgPool2d", ((5, None),), inputs=(plane(2, 2, 3),)),
    Case("AdaptiveAvgPool2d", ((None, 2),), inputs=(plane(2, 3),), note="no batch"),
    Case("AdaptiveAvgPool3d", ((None, 4, 1),), inputs=(plane(3, 2, 3),)),
    Case("AdaptiveAvgPool1d", ((4,),), inputs=(plane(1, 3),), note="no batch"),
    Case("AdaptiveAvgPool2d", (2,), inputs=(plane(2, 0, 3),), note="empty batch"),
    Case("functional.adaptive_avg_pool1d", (5,), inputs=(plane(1, 2, 3),)),
    Case("functional.adaptive_avg_pool2d", ((2, 10),), inputs=(plane(2, 2, 3),)),
    Case("functional.adaptive_avg_pool3d", ((2, 3, 7),), inputs=(plane(3, 3),)),
)

MAX = tuple(
    Case(f"AdaptiveMaxPool{n}d", (size, True), inputs=(plane(n, 2, 3),)) for n, size in product((1, 2, 3), (1, 4, 13))
)

MAX_REST = (
    Case("AdaptiveMaxPool2d", (3,), inputs=(plane(2, 2, 3),)),
    Case("AdaptiveMaxPool2d", ((5, None), True), inputs=(rounded(2, 3, 9, 7),), note="ties"),
    Case("AdaptiveMaxPool2d", ((None, 2),), {"return_indices": True}, inputs=(plane(2, 3),), note="no batch"),
    Case("AdaptiveMaxPool3d", ((None, 4, 1), True), inputs=(rounded(2, 3, 6, 7, 5),), note="ties"),
    Case("AdaptiveMaxPool3d", (2,), inputs=(plane(3, 3),), note="no batch"),
    Case("AdaptiveMaxPool1d", ((4,), True), inputs=(rounded(3, 11),), note="no batch, ties"),
    Case("AdaptiveMaxPool2d", (2, True), inputs=(plane(2, 0, 3),), note="empty batch"),
    Case("functional.adaptive_max_pool1d", (5,), inputs=(plane(1, 2, 3),)),
    Case("functional.adaptive_max_pool2d", ((2, 10),), {"return_indices": True}, inputs=(plane(2, 2, 3),)),
    Case("functional.adaptive_max_pool3d", ((2, 3, 7),), inputs=(plane(3, 3),)),
    Case("functional.adaptive_max_pool1d_with_indices", (5,), inputs=(plane(1, 2, 3),)),
    Case("functional.adaptive_max_pool2d_with_indices", (3,), inputs=(plane(2, 2, 3),)),
    Case("functional.adaptive_max_pool3d_with_indices", (3,), inputs=(plane(3, 3),)),
)

CASES = (*AVERAGE, *AVERAGE_REST, *MAX, *MAX_REST)
