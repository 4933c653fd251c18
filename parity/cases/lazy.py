"""Layers that take one size from their first input."""

from parity.case import Case, normal

CASES = (
    Case("LazyLinear", (3,), inputs=(normal(2, 4, 5),)),
    Case("LazyLinear", (3, False), inputs=(normal(5),)),
    Case("LazyConv1d", (6, 3, 2), {"padding": 1, "groups": 2}, inputs=(normal(2, 4, 9),)),
    Case("LazyConv2d", (6, (3, 2)), {"padding_mode": "reflect", "padding": 1}, inputs=(normal(2, 3, 6, 7),)),
    Case("LazyConv3d", (4, 2), {"bias": False}, inputs=(normal(3, 4, 5, 3),), note="no batch"),
    Case("LazyConvTranspose1d", (4, 3, 2), {"output_padding": 1, "groups": 2}, inputs=(normal(2, 4, 5),)),
    Case("LazyConvTranspose2d", (4, 3), inputs=(normal(2, 3, 4, 5),)),
    Case("LazyConvTranspose3d", (2, 2), {"stride": (2, 1, 1)}, inputs=(normal(2, 3, 2, 3, 4),)),
    Case("LazyBatchNorm1d", (1e-3,), inputs=(normal(4, 3),)),
    Case("LazyBatchNorm2d", (1e-5, None), {"bias": False}, inputs=(normal(4, 3, 2, 3),)),
    Case("LazyBatchNorm3d", (), {"affine": False}, inputs=(normal(2, 3, 2, 3, 4),)),
    Case("LazyInstanceNorm1d", (), {"affine": True, "track_running_stats": True}, inputs=(normal(4, 3, 5),)),
    Case("LazyInstanceNorm2d", (), {"affine": True, "bias": False}, inputs=(normal(4, 3, 5, 2),)),
    Case("LazyInstanceNorm3d", (), {"track_running_stats": True}, inputs=(normal(2, 3, 2, 3, 2),)),
)
