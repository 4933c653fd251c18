"""Layer, RMS and group normalisation, local response normalisation, normalize."""

from itertools import product

from parity.case import Case, normal, rounded

BOTH = (False, True)

LAYER = (
    *(
        Case("LayerNorm", (shape,), {"elementwise_affine": affine}, inputs=(normal(4, 3, 5, mean=2.0, std=3.0),))
        for shape, affine in product((5, (3, 5), (4, 3, 5)), BOTH)
    ),
    Case("LayerNorm", ((5,), 1e-2), {"bias": False}, inputs=(normal(2, 5, std=0.1),), note="an eps that matters"),
    Case("LayerNorm", (6,), inputs=(normal(6),), note="no batch"),
    Case("LayerNorm", (1,), inputs=(normal(4, 1),), note="one value: no variance"),
    Case("LayerNorm", ((2, 3),), inputs=(normal(0, 2, 3),), note="empty batch"),
    Case("LayerNorm", ((0,),), inputs=(normal(3, 0),), note="nothing to normalise"),
    Case("LayerNorm", (64,), {"elementwise_affine": False}, inputs=(normal(3, 64, mean=100.0),), note="a distant mean"),
    Case("LayerNorm", (5, 0.0), {"elementwise_affine": False}, inputs=(normal(2, 5),), note="no eps"),
    Case("functional.layer_norm", ((3, 4),), inputs=(normal(2, 3, 4),)),
    Case("functional.layer_norm", ([4], normal(4), normal(4), 0.5), inputs=(normal(3, 4),)),
    Case("functional.layer_norm", ((4,),), {"eps": -0.5}, inputs=(normal(2, 4, std=0.5),), note="NaN and numbers"),
)

RMS = (
    Case("RMSNorm", (5,), inputs=(normal(4, 3, 5),)),
    Case("RMSNorm", ((3, 5), 1e-2), inputs=(normal(4, 3, 5, std=0.2),)),
    Case("RMSNorm", (5,), {"elementwise_affine": False}, inputs=(normal(2, 5, mean=30.0),)),
    Case("RMSNorm", (4,), inputs=(normal(2, 4, mean=0.0, std=1e-4),), note="the dtype's eps matters"),
    Case("RMSNorm", (3,), inputs=(normal(0, 3),), note="empty batch"),
    Case("functional.rms_norm", ((2, 4), normal(2, 4), 0.5), inputs=(normal(3, 2, 4),)),
)

GROUP = (
    *(
        Case("GroupNorm", (groups, 6), {"affine": affine}, inputs=(normal(3, 6, 5, mean=2.0, std=3.0),))
        for groups, affine in product((1, 2, 6), BOTH)
    ),
    Case("GroupNorm", (2, 4, 1e-2), {"bias": False}, inputs=(normal(3, 4, 3, 2),)),
    Case("GroupNorm", (3, 12), inputs=(normal(4, 12),), note="no spatial axes"),
    Case("GroupNorm", (2, 4), inputs=(normal(2, 4, 2, 3, 2),)),
    Case("GroupNorm", (3, 3), inputs=(normal(2, 3),), note="one value in a group"),
    Case("GroupNorm", (2, 4), inputs=(normal(0, 4, 3),), note="empty batch"),
    Case("GroupNorm", (2, 4), {"affine": False}, inputs=(normal(2, 4, 0),), note="empty plane"),
    Case("GroupNorm", (2, 4), {"affine": False}, inputs=(normal(2, 4, 16, mean=100.0),), note="a distant mean"),
    Case("functional.group_norm", (2, normal(6), None, 0.5), inputs=(normal(2, 6, 3),)),
)

RESPONSE = (
    *(Case("LocalResponseNorm", (size, 0.5), inputs=(normal(2, 7, 3, 4),)) for size in (1, 2, 5, 20)),
    Case("LocalResponseNorm", (3, 0.3, 0.5, 2.0), inputs=(normal(2, 5, 6),)),
    Case("LocalResponseNorm", (4,), inputs=(normal(2, 5, 3, 2, 2, std=20.0),)),
    Case("LocalResponseNorm", (2,), inputs=(normal(0, 5, 3),), note="empty batch"),
    Case("LocalResponseNorm", (2, 1.0), {"k": 0.0}, inputs=(normal(2, 4, 3),), note="no constant"),
    Case("functional.local_response_norm", (3,), {"alpha": 0.2, "beta": -0.5}, inputs=(normal(2, 4, 3),)),
    *(Case("CrossMapLRN2d", (size, 0.5), inputs=(normal(2, 9, 3, 4),)) for size in (2, 3, 5)),
    Case("CrossMapLRN2d", (5, 0.3, 0.6, 1.2), inputs=(normal(2, 3, 2, 4),), note="a window wider than the channels"),
)

NORMALIZE = (
    *(
        Case("functional.normalize", (p, dim), inputs=(normal(3, 4, 5),))
        for p, dim in product((0.5, 1, 2.0, 3.5, float("inf")), (1, -1))
    ),
    Case("functional.normalize", inputs=(normal(3, 4),)),
    Case("functional.normalize", (0.0,), inputs=(rounded(5, 7),), note="the number of entries that are not 0"),
    Case("functional.normalize", (-1.0,), inputs=(normal(3, 4, mean=2.0),)),
    Case("functional.normalize", (2.0, (0, 2)), inputs=(normal(3, 4, 5),)),
    Case("functional.normalize", (2.0, 1, 3.0), inputs=(normal(6, 5),), note="some norms below eps"),
    Case("functional.normalize", (2.0, 0), inputs=(normal(),), note="0-d"),
    Case("functional.normalize", inputs=(normal(2, 0),), note="empty vectors"),
    Case("functional.normalize", (float("inf"), 1), inputs=(rounded(6, 9),), note="ties"),
)

CASES = (*LAYER, *RMS, *GROUP, *RESPONSE, *NORMALIZE)
