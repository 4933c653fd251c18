"""NLLLoss, CrossEntropyLoss, BCELoss, BCEWithLogitsLoss."""

from itertools import product

from parity.case import Case, integers, normal, uniform

REDUCTIONS = ("none", "mean", "sum")
SHAPES = ((5, 4), (3, 4, 6), (2, 4, 3, 5))


def classes(shape: tuple[int, ...], low: int = 0):
    """Classes for logits of that shape, of 4 classes."""
    return integers(shape[0], *shape[2:], low=low, high=4)


PLAIN = tuple(
    Case(kind, (), {"reduction": reduction}, inputs=pair)
    for kind, pair in (
        ("BCELoss", (uniform(3, 4), uniform(3, 4))),
        ("BCEWithLogitsLoss", (normal(3, 4, std=3.0), uniform(3, 4))),
    )
    for reduction in REDUCTIONS
)

WEIGHTED = tuple(
    Case(
        kind,
        (),
        {"reduction": reduction, "ignore_index": ignored, **({"weight": uniform(4)} if weighted else {})},
        inputs=(normal(*shape), classes(shape)),
    )
    for kind, reduction, (weighted, ignored, shape) in product(
        ("NLLLoss", "CrossEntropyLoss"),
        REDUCTIONS,
        ((False, -100, SHAPES[0]), (True, 1, SHAPES[0]), (True, 2, SHAPES[1]), (False, 3, SHAPES[2])),
    )
)

SMOOTHED = tuple(
    Case(
        "CrossEntropyLoss",
        (uniform(4) if weighted else None,),
        {"label_smoothing": 0.3, "reduction": reduction, "ignore_index": ignored},
        inputs=(normal(*shape), classes(shape)),
    )
    for reduction, (weighted, ignored, shape) in product(
        REDUCTIONS, ((False, -100, SHAPES[0]), (True, 1, SHAPES[0]), (True, 2, SHAPES[2]), (False, 0, SHAPES[1]))
    )
)

PROBABILITIES = tuple(
    Case(
        "CrossEntropyLoss",
        (uniform(4) if weighted else None,),
        {"label_smoothing": smoothing, "reduction": reduction},
        inputs=(normal(*shape), uniform(*shape)),
    )
    for reduction, (weighted, smoothing, shape) in product(
        REDUCTIONS, ((False, 0.0, SHAPES[0]), (True, 0.0, SHAPES[1]), (True, 0.2, SHAPES[0]), (False, 1.0, SHAPES[2]))
    )
)

REST = (
    Case("BCELoss", (uniform(4),), inputs=(uniform(3, 4), uniform(3, 4)), note="a weight for each column"),
    Case("BCELoss", (uniform(3, 1),), {"reduction": "none"}, inputs=(uniform(3, 4), uniform(3, 4))),
    Case("BCELoss", inputs=(uniform(2, 9, low=0.0, high=1e-30), uniform(2, 9)), note="logarithms near their bound"),
    Case("functional.binary_cross_entropy", (uniform(5), None, None, "sum"), inputs=(uniform(2, 5), uniform(2, 5))),
    Case("BCEWithLogitsLoss", (uniform(4),), inputs=(normal(3, 4), uniform(3, 4)), note="a weight for each column"),
    Case("BCEWithLogitsLoss", (), {"pos_weight": uniform(4, high=5.0)}, inputs=(normal(2, 3, 4), uniform(2, 3, 4))),
    Case(
        "BCEWithLogitsLoss",
        (uniform(3, 1),),
        {"reduction": "none", "pos_weight": uniform(high=5.0)},
        inputs=(normal(3, 4), uniform(3, 4)),
    ),
    Case("BCEWithLogitsLoss", (), {"reduction": "none"}, inputs=(normal(2, 9, std=300.0), uniform(2, 9))),
    Case("BCEWithLogitsLoss", inputs=(normal(), uniform()), note="numbers"),
    Case("BCEWithLogitsLoss", inputs=(normal(0, 3), uniform(0, 3)), note="the mean of nothing"),
    Case(
        "functional.binary_cross_entropy_with_logits",
        (uniform(5), None, None, "sum", uniform(2, 1)),
        inputs=(normal(2, 5), uniform(2, 5)),
    ),
    Case("NLLLoss2d", inputs=(normal(2, 4, 3, 5), integers(2, 3, 5, high=4))),
    Case("NLLLoss", inputs=(normal(4), integers(high=4)), note="no batch"),
    Case("CrossEntropyLoss", (uniform(4),), inputs=(normal(4), integers(high=4)), note="no batch"),
    Case("CrossEntropyLoss", (), {"label_smoothing": 0.1}, inputs=(normal(4), uniform(4)), note="no batch"),
    Case("NLLLoss", inputs=(normal(0, 4), integers(0, high=4)), note="the mean of nothing"),
    Case("CrossEntropyLoss", (), {"reduction": "sum"}, inputs=(normal(0, 4), integers(0, high=4)), note="empty batch"),
    Case(
        "CrossEntropyLoss",
        (),
        {"ignore_index": 2},
        inputs=(normal(3, 4), integers(3, low=2, high=3)),
        note="all ignored",
    ),
    Case(
        "NLLLoss", (), {"reduction": "sum"}, inputs=(normal(3, 4), integers(3, low=-100, high=-99)), note="all ignored"
    ),
    Case("CrossEntropyLoss", inputs=(normal(6, 10, std=50.0), integers(6, high=10)), note="seed systems C6, C7"),
    Case("CrossEntropyLoss", inputs=(normal(3, 2), integers(3, high=2)), note="seed system E10"),
    Case("CrossEntropyLoss", inputs=(normal(2, 3, 2, 3, 2), integers(2, 2, 3, 2, high=3)), note="volumes"),
    Case("functional.nll_loss", (uniform(4), None, 0, None, "mean"), inputs=(normal(5, 4), integers(5, high=4))),
    Case(
        "functional.cross_entropy",
        (uniform(4), None, 3, None, "none", 0.4),
        inputs=(normal(5, 4, 2), integers(5, 2, high=4)),
    ),
)

CASES = (*PLAIN, *WEIGHTED, *SMOOTHED, *PROBABILITIES, *REST)
