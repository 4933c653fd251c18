"""ReLU, Sigmoid, Tanh, Softmax, LogSoftmax."""

from itertools import product

from parity.case import Case, integers, normal

SHAPES = ((), (7,), (3, 5), (0, 4), (2, 3, 4, 5))

ELEMENTWISE = tuple(
    Case(kind, inputs=(normal(*shape, std=3.0),)) for kind, shape in product(("ReLU", "Sigmoid", "Tanh"), SHAPES)
)

ALONG = tuple(
    Case(kind, (dim,), inputs=(normal(*shape, std=4.0),))
    for kind, (dim, shape) in product(
        ("Softmax", "LogSoftmax"),
        (
            (0, ()),
            (0, (7,)),
            (1, (3, 5)),
            (-2, (3, 5)),
            (2, (2, 3, 4, 5)),
            (-4, (2, 3, 1, 5)),
            (1, (0, 4)),
            (1, (3, 0)),
        ),
    )
)

REST = (
    Case("ReLU", (True,), inputs=(normal(3, 4),), note="inplace has no effect"),
    Case("ReLU", inputs=(integers(4, 5, low=-3, high=3),)),
    Case("functional.relu", inputs=(integers(4, 5, low=-1, high=2),), note="zeros: the kink"),
    Case("functional.sigmoid", inputs=(normal(30, std=60.0),), note="saturated"),
    Case("functional.tanh", inputs=(normal(30, std=20.0),), note="saturated"),
    Case("functional.softmax", (1,), inputs=(normal(4, 6, mean=1000.0, std=30.0),), note="overflows unless shifted"),
    Case("functional.log_softmax", (-1,), inputs=(normal(4, 6, std=300.0),), note="most probabilities are 0"),
    Case("functional.softmax", (0,), inputs=(normal(5, 1),)),
    Case("functional.log_softmax", (), {"dim": 1}, inputs=(normal(2, 3, 4),)),
)

CASES = (*ELEMENTWISE, *ALONG, *REST)
