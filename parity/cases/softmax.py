"""Softmax, its logarithm, softmin."""

from itertools import product

from parity.case import Case, normal

ALONG = tuple(
    Case(kind, (dim,), inputs=(normal(*shape, std=4.0),))
    for kind, (dim, shape) in product(
        ("Softmax", "LogSoftmax", "Softmin"),
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

IMPLICIT = tuple(
    Case(kind, inputs=(normal(*shape),), note="the implicit axis")
    for kind, shape in product(("Softmax", "LogSoftmax", "Softmin"), ((), (4,), (3, 4), (2, 3, 4), (2, 3, 4, 5)))
)

REST = (
    Case("Softmax2d", inputs=(normal(2, 3, 4, 5, std=4.0),)),
    Case("Softmax2d", inputs=(normal(3, 4, 5, std=4.0),), note="no batch"),
    Case("Softmax2d", inputs=(normal(0, 3, 4, 5),), note="empty batch"),
    Case("functional.softmax", (1,), inputs=(normal(4, 6, mean=1000.0, std=30.0),), note="overflows unless shifted"),
    Case("functional.softmin", (1,), inputs=(normal(4, 6, mean=-1000.0, std=30.0),), note="overflows unless shifted"),
    Case("functional.log_softmax", (-1,), inputs=(normal(4, 6, std=300.0),), note="most probabilities are 0"),
    Case("functional.softmax", (0,), inputs=(normal(5, 1),)),
    Case("functional.softmin", (-1,), inputs=(normal(5, 1),)),
    Case("functional.log_softmax", (), {"dim": 1}, inputs=(normal(2, 3, 4),)),
)

CASES = (*ALONG, *IMPLICIT, *REST)
