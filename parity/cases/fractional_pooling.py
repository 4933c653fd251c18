"""Fractional max pooling, with the samples given: nothing is drawn."""

from parity.case import Case, normal, rounded, uniform

CASES = (
    Case("FractionalMaxPool2d", (2, (4, 3)), {"_random_samples": uniform(2, 3, 2)}, inputs=(normal(2, 3, 9, 7),)),
    Case(
        "FractionalMaxPool2d",
        ((2, 3),),
        {"output_ratio": (0.7, 0.4), "return_indices": True, "_random_samples": uniform(2, 3, 2)},
        inputs=(rounded(2, 3, 13, 11),),
        note="ties",
    ),
    Case(
        "FractionalMaxPool2d",
        (3, 1, None, True),
        {"_random_samples": uniform(1, 3, 2)},
        inputs=(normal(3, 9, 7),),
        note="no batch, one window",
    ),
    Case(
        "FractionalMaxPool2d",
        (2, (8, 6), None, True, uniform(3, 2, 2)),
        inputs=(rounded(2, 2, 9, 7),),
        note="as many windows as fit, more samples than needed",
    ),
    Case("FractionalMaxPool2d", (2, 3, None, True, uniform(1, 2, 2)), inputs=(normal(0, 2, 9, 7),), note="empty batch"),
    Case("FractionalMaxPool2d", (2, (0, 3), None, True, uniform(1, 2, 2)), inputs=(normal(1, 2, 9, 7),), note="no row"),
    Case("FractionalMaxPool3d", (2, (3, 2, 4)), {"_random_samples": uniform(2, 3, 3)}, inputs=(normal(2, 3, 6, 7, 8),)),
    Case(
        "FractionalMaxPool3d",
        ((1, 2, 3),),
        {"output_ratio": 0.5, "return_indices": True, "_random_samples": uniform(1, 3, 3)},
        inputs=(rounded(3, 5, 7, 9),),
        note="no batch, ties",
    ),
    Case(
        "functional.fractional_max_pool2d",
        (2,),
        {"output_ratio": (0.6, 0.5), "_random_samples": uniform(2, 3, 2)},
        inputs=(normal(2, 3, 9, 7),),
    ),
    Case(
        "functional.fractional_max_pool2d_with_indices",
        ((3, 2), 4),
        {"_random_samples": uniform(2, 3, 2)},
        inputs=(normal(2, 3, 9, 7),),
    ),
    Case(
        "functional.fractional_max_pool3d",
        (2, 3, None, True),
        {"_random_samples": uniform(2, 3, 3)},
        inputs=(rounded(2, 3, 6, 7, 8),),
    ),
    Case(
        "functional.fractional_max_pool3d_with_indices",
        (2, (2, 3, 5)),
        {"_random_samples": uniform(1, 3, 3)},
        inputs=(normal(3, 6, 7, 8),),
    ),
)
