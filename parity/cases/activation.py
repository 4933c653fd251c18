"""Smooth activations: sigmoids, exponential units, GELU, GLU, SiLU, softplus and their kin."""

from itertools import product

from parity.case import Case, integers, normal, rounded, uniform

SHAPES = ((), (7,), (0, 4), (2, 3, 4, 5))

ELEMENTWISE = tuple(
    Case(kind, inputs=(normal(*shape, std=3.0),))
    for kind, shape in product(
        (
            "Sigmoid",
            "Tanh",
            "ELU",
            "CELU",
            "SELU",
            "GELU",
            "LogSigmoid",
            "Mish",
            "SiLU",
            "Softplus",
            "Softsign",
            "Tanhshrink",
        ),
        SHAPES,
    )
)

# each function over all magnitudes: near 0, where digits cancel, and far out, where exponentials end
TAILS = tuple(
    Case(f"functional.{name}", inputs=(draw,), note=note)
    for name, (draw, note) in product(
        (
            "sigmoid",
            "tanh",
            "elu",
            "celu",
            "selu",
            "gelu",
            "logsigmoid",
            "mish",
            "silu",
            "softplus",
            "softsign",
            "tanhshrink",
        ),
        (
            (normal(40, mean=0.0, std=1e-3), "close to 0"),
            (uniform(40, low=-12.0, high=12.0), "the bend"),
            (normal(40, mean=-10.0, std=60.0), "saturated"),
            (rounded(40, mean=0.0), "zeros and ties"),
        ),
    )
)

SETTINGS = (
    Case("ELU", (0.3,), inputs=(normal(4, 5, std=3.0),)),
    Case("ELU", (-1.7,), inputs=(rounded(4, 5),), note="zeros: the kink"),
    Case("ELU", (0.0, True), inputs=(normal(4, 5),), note="inplace has no effect"),
    Case("CELU", (0.3,), inputs=(normal(4, 5, std=3.0),)),
    Case("CELU", (2.5, True), inputs=(rounded(4, 5),)),
    Case("CELU", (-1.5,), inputs=(normal(4, 5),), note="grows without bound below 0"),
    Case("SELU", (True,), inputs=(rounded(4, 5, mean=0.0),), note="zeros: the kink"),
    Case("GELU", ("tanh",), inputs=(normal(3, 5, std=3.0),)),
    Case("GELU", ("tanh",), inputs=(normal(),), note="0-d"),
    Case("GELU", (), {"approximate": "none"}, inputs=(normal(3, 5, mean=-5.0),), note="the far tail"),
    Case("functional.gelu", (), {"approximate": "tanh"}, inputs=(normal(40, mean=-6.0, std=4.0),)),
    Case("functional.gelu", (), {"approximate": "tanh"}, inputs=(normal(40, std=300.0),), note="saturated"),
    Case("Mish", (True,), inputs=(normal(4, 5),)),
    Case("SiLU", (True,), inputs=(normal(4, 5),)),
    Case("Softplus", (2.5, 1.0), inputs=(normal(4, 5),), note="a threshold that shows"),
    Case("Softplus", (0.2,), inputs=(normal(4, 5, std=30.0),)),
    Case("Softplus", (-1.5, 3.0), inputs=(normal(4, 5, std=3.0),), note="a negative beta"),
    Case("Softplus", (), {"threshold": 0.0}, inputs=(rounded(4, 5),)),
    Case("functional.softplus", (2, 0.5), inputs=(rounded(4, 5),), note="numbers right at the threshold"),
    Case("functional.sigmoid", inputs=(integers(4, 5, low=-3, high=3),)),
    Case("functional.tanh", inputs=(integers(4, 5, low=-3, high=3),)),
    Case("functional.softsign", inputs=(integers(4, 5, low=-3, high=3),)),
    Case("functional.tanhshrink", inputs=(integers(4, 5, low=-3, high=3),)),
)

GATED = (
    Case("GLU", inputs=(normal(3, 6),)),
    Case("GLU", (0,), inputs=(normal(4, 3),)),
    Case("GLU", (-2,), inputs=(normal(3, 8, 5, std=4.0),)),
    Case("GLU", (), {"dim": 1}, inputs=(normal(2, 0, 3),), note="two empty halves"),
    Case("functional.glu", inputs=(normal(10, std=40.0),), note="saturated gates"),
    Case("functional.glu", (1,), inputs=(normal(2, 4, 3),)),
)

CASES = (*ELEMENTWISE, *TAILS, *SETTINGS, *GATED)
