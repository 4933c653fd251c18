"""Sequential, alone and nested: names, order, and that one value is passed on."""

from parity.case import Case, integers, normal

CASES = (
    Case("Sequential", inputs=(normal(2, 3),), note="empty: the input comes back"),
    Case("Sequential", (Case("Linear", (3, 4)), Case("ReLU"), Case("Linear", (4, 2))), inputs=(normal(5, 3),)),
    Case(
        "Sequential",
        (
            Case("Conv2d", (1, 10, 3)),
            Case("MaxPool2d", (2,)),
            Case("ReLU"),
            Case("Conv2d", (10, 20, 3)),
            Case("MaxPool2d", (2,)),
            Case("ReLU"),
            Case("Conv2d", (20, 30, 3)),
            Case("MaxPool2d", (2,)),
            Case("ReLU"),
            Case("Flatten"),
            Case("Linear", (30, 10)),
        ),
        inputs=(normal(2, 1, 28, 28),),
        seed=1,  # with which half precision finds the same maxima and the same signs
        note="seed system C8; more than ten children",
    ),
    Case(
        "Sequential",
        (
            Case("Linear", (30, 25)),
            Case("ReLU"),
            Case("Linear", (25, 20)),
            Case("ReLU"),
            Case("Linear", (20, 15)),
            Case("ReLU"),
            Case("Linear", (15, 10)),
            Case("Sigmoid"),
            Case("Linear", (10, 5)),
            Case("Sigmoid"),
            Case("Linear", (5, 1)),
            Case("Sigmoid"),
        ),
        inputs=(normal(7, 30),),
        note="seed system C4",
    ),
    Case(
        "Sequential",
        (Case("Sequential", (Case("Linear", (3, 4)), Case("Tanh"))), Case("Sequential", (Case("Linear", (4, 4)),))),
        inputs=(normal(5, 3),),
        note="nested",
    ),
    Case(
        "Sequential",
        (Case("Linear", (3, 4)), Case("BatchNorm1d", (4,))),
        inputs=(normal(6, 3),),
        note="seed system E3",
    ),
    Case(
        "Sequential",
        (Case("Embedding", (6, 4)), Case("Flatten"), Case("Linear", (12, 2)), Case("LogSoftmax", (1,))),
        inputs=(integers(5, 3, high=6),),
    ),
    Case(
        "Sequential",
        (Case("Conv1d", (2, 4, 3)), Case("BatchNorm1d", (4,)), Case("AdaptiveAvgPool1d", (2,)), Case("Softmax", (1,))),
        inputs=(normal(3, 2, 9),),
    ),
)
