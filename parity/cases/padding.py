"""functional.pad in its four modes."""

from parity.case import Case, normal

CASES = (
    Case("functional.pad", ((2, 1),), inputs=(normal(3),)),
    Case("functional.pad", ((1, 2, 0, 3), "constant", 1.5), inputs=(normal(2, 3, 4, 5),)),
    Case("functional.pad", ((-1, 2, 3, -2),), inputs=(normal(3, 4, 5),), note="negative numbers crop"),
    Case("functional.pad", ((),), inputs=(normal(2, 3),)),
    Case("functional.pad", ((4, 2), "reflect"), inputs=(normal(2, 5),)),
    Case("functional.pad", ((1, 3, 2, 0), "reflect"), inputs=(normal(2, 3, 4, 5),)),
    Case("functional.pad", ((1, 2, 3, 1, 0, 2), "reflect"), inputs=(normal(1, 2, 3, 4, 5),)),
    Case("functional.pad", ((-2, 3, 1, -1), "reflect"), inputs=(normal(2, 4, 5),)),
    Case("functional.pad", ((7, 2), "replicate"), inputs=(normal(3, 2, 4),), note="more than the axis"),
    Case("functional.pad", ((1, 3, 2, 0), "replicate"), inputs=(normal(3, 4, 5),)),
    Case("functional.pad", ((1, 2, 3, 1, 4, 2), "replicate"), inputs=(normal(2, 3, 4, 5),)),
    Case("functional.pad", ((5, 3), "circular"), inputs=(normal(3, 5),), note="the whole axis again"),
    Case("functional.pad", ((1, 3, 2, 0), "circular"), inputs=(normal(2, 3, 4, 5),)),
    Case("functional.pad", ((1, 2, 3, 1, 0, 2), "circular"), inputs=(normal(1, 2, 3, 4, 5),)),
    Case("functional.pad", ((-1, 2), "circular"), inputs=(normal(2, 3, 6),)),
)
