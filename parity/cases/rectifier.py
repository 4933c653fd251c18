"""Piecewise activations: numbers right at the kinks above all, where the derivative is torch's choice."""

from itertools import product

from parity.case import Case, integers, normal, rounded, uniform

KINDS = (
    "ReLU",
    "ReLU6",
    "LeakyReLU",
    "PReLU",
    "RReLU",
    "Hardtanh",
    "Hardshrink",
    "Softshrink",
    "Hardsigmoid",
    "Hardswish",
)

ELEMENTWISE = tuple(
    Case(kind, inputs=(normal(*shape, std=3.0),)) for kind, shape in product(KINDS, ((), (7,), (0, 4), (2, 3, 4, 5)))
)

# halves from -7 to 7: every kink is hit
KINKS = tuple(Case(kind, inputs=(rounded(60, std=3.0),), note="the kinks") for kind in KINDS)

SETTINGS = (
    *(Case(kind, (True,), inputs=(normal(3, 4, std=4.0),)) for kind in ("ReLU", "ReLU6", "Hardsigmoid", "Hardswish")),
    Case("ReLU", inputs=(integers(4, 5, low=-3, high=3),)),
    Case("functional.relu", inputs=(integers(4, 5, low=-1, high=2),), note="zeros: the kink"),
    Case("functional.relu6", inputs=(integers(4, 5, low=-3, high=9),)),
    Case("LeakyReLU", (0.3, True), inputs=(normal(4, 5),)),
    Case("LeakyReLU", (-0.5,), inputs=(rounded(4, 5),)),
    Case("LeakyReLU", (1.5,), inputs=(rounded(4, 5),), note="steeper below 0"),
    Case("LeakyReLU", (0.0,), inputs=(rounded(4, 5),)),
    Case("Hardtanh", (-2.0, 0.5, True), inputs=(rounded(40),)),
    Case("Hardtanh", (0.25, 0.75), inputs=(uniform(40),), note="bounds of one sign"),
    Case("functional.hardtanh", (0.5, 0.5), inputs=(rounded(20),), note="no room"),
    Case("functional.hardtanh", (-1.7, 1.7), inputs=(integers(20, low=-4, high=5),), note="bounds cut to integers"),
    Case("Hardshrink", (1.5,), inputs=(rounded(40, std=2.0),)),
    Case("Hardshrink", (0.0,), inputs=(rounded(40),)),
    Case("Hardshrink", (-1.0,), inputs=(rounded(40),), note="nothing shrinks"),
    Case("Hardshrink", (0.3,), inputs=(uniform(40, low=0.29, high=0.31),), note="a bound no dtype holds"),
    Case("Softshrink", (1.5,), inputs=(rounded(40, std=2.0),)),
    Case("Softshrink", (0.0,), inputs=(rounded(40),)),
    Case("Softshrink", (0.3,), inputs=(uniform(40, low=0.29, high=0.31),), note="a bound no dtype holds"),
    Case("Threshold", (0.5, 20.0), inputs=(rounded(40),)),
    Case("Threshold", (-1.0, -3.5, True), inputs=(rounded(40),)),
    Case("Threshold", (0.1, 20), inputs=(normal(),), note="0-d"),
    Case("Threshold", (0, 20), inputs=(normal(0, 3),), note="empty"),
    Case("functional.threshold", (1, -2), inputs=(integers(20, low=-4, high=5),)),
    Case("functional.threshold", (-0.5, 2.7), inputs=(integers(20, low=-4, high=5),), note="cut to integers"),
    Case("RReLU", (0.2, 0.9), inputs=(normal(6, 5, std=2.0),)),
    Case("RReLU", (-0.5, 2.0, True), inputs=(rounded(40),)),
    Case("RReLU", (0.25, 0.25), inputs=(normal(6, 5),), note="one slope"),
    Case("functional.leaky_relu", (0.3,), inputs=(rounded(20),)),
    Case("functional.hardshrink", (0.7,), inputs=(rounded(20),)),
    Case("functional.softshrink", (0.7,), inputs=(rounded(20),)),
    Case("functional.hardsigmoid", inputs=(rounded(20, std=3.0),)),
    Case("functional.hardswish", inputs=(rounded(20, std=3.0),)),
    Case("functional.rrelu", (0.1, 0.4, False), inputs=(rounded(20),)),
    Case("functional.rrelu", (0.1, 0.1, False, True), inputs=(normal(4, 3),)),
)

LEARNED = (
    Case("PReLU", (5,), inputs=(normal(4, 5),)),
    Case("PReLU", (3, 0.7), inputs=(rounded(2, 3, 4, 5),)),
    Case("PReLU", (3,), {"init": -0.2}, inputs=(rounded(0, 3),)),
    Case("PReLU", (1, 0.1), inputs=(rounded(4, 5),)),
    Case("PReLU", (0,), inputs=(normal(4, 0),)),
    Case("functional.prelu", inputs=(normal(4, 3), normal(3))),
    Case("functional.prelu", inputs=(rounded(4, 3, 2), normal(1))),
    Case("functional.prelu", inputs=(rounded(4, 3), normal()), note="a weight without axes"),
    Case("functional.prelu", inputs=(rounded(5), normal(1))),
    Case("functional.prelu", inputs=(normal(), normal(1)), note="0-d"),
)

CASES = (*ELEMENTWISE, *KINKS, *SETTINGS, *LEARNED)
