"""PixelShuffle and PixelUnshuffle."""

from parity.case import Case, integers, normal

CASES = (
    Case("PixelShuffle", (2,), inputs=(normal(2, 12, 3, 5),)),
    Case("PixelShuffle", (3,), inputs=(normal(18, 2, 3),), note="no batch"),
    Case("PixelShuffle", (2,), inputs=(normal(2, 3, 4, 2, 3),), note="two leading axes"),
    Case("PixelShuffle", (1,), inputs=(normal(2, 3, 4, 5),)),
    Case("PixelShuffle", (2,), inputs=(integers(0, 4, 2, 3),), note="empty batch"),
    Case("PixelShuffle", (2,), inputs=(integers(1, 4, 2, 3),)),
    Case("PixelUnshuffle", (2,), inputs=(normal(2, 3, 4, 6),)),
    Case("PixelUnshuffle", (3,), inputs=(normal(2, 6, 9),), note="no batch"),
    Case("PixelUnshuffle", (2,), inputs=(normal(2, 3, 1, 4, 6),), note="two leading axes"),
    Case("functional.pixel_shuffle", (2,), inputs=(normal(8, 3, 5),)),
    Case("functional.pixel_unshuffle", (2,), inputs=(normal(2, 6, 4),)),
)
