"""functional.pad in its four modes, and the padding layers."""

from itertools import product

from parity.case import Case, normal

SIZES = {1: (5,), 2: (4, 5), 3: (3, 4, 5)}
AMOUNTS = {1: (1, (2, 0), (-1, 3)), 2: ((1, 3, 2, 0), (2, -1, -2, 2)), 3: ((1, 0, 2, 1, 0, 2), (-1, 2, 1, -2, 2, 0))}
KINDS = ("ConstantPad", "ZeroPad", "ReflectionPad", "ReplicationPad", "CircularPad")

LAYERS = tuple(
    Case(
        f"{kind}{n}d",
        (amount, 1.5) if kind == "ConstantPad" else (amount,),
        inputs=(normal(*leading, *SIZES[n]),),
    )
    for kind, n in product(KINDS, (1, 2, 3))
    for amount, leading in zip(AMOUNTS[n], ((2, 3), (3,), (2, 3)), strict=False)
)

FUNCTIONS = (
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

REST = (
    Case("ReplicationPad2d", (6,), inputs=(normal(2, 3, 4, 5),), note="more than the axes"),
    Case("CircularPad1d", (5,), inputs=(normal(2, 3, 5),), note="the whole axis again"),
    Case("ReflectionPad1d", (4,), inputs=(normal(3, 5),), note="no batch"),
    Case("ReflectionPad2d", (1,), inputs=(normal(0, 3, 4, 5),), note="empty batch"),
    Case("ReplicationPad3d", (1,), inputs=(normal(0, 3, 3, 4, 5),), note="empty batch"),
    Case("CircularPad2d", (1,), inputs=(normal(0, 3, 4, 5),), note="empty batch"),
    Case("ConstantPad1d", (2, -3.0), inputs=(normal(0),), note="empty"),
    Case("ConstantPad2d", ((1, 2), 3), inputs=(normal(2, 3),), note="two numbers pad one axis"),
    Case("ZeroPad3d", ((1, 0, 2, 1, 0, 2),), inputs=(normal(3, 4, 5),), note="no channels"),
)

CASES = (*LAYERS, *FUNCTIONS, *REST)
