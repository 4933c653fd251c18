"""Max unpooling, at indices that need be no pooling's."""

from parity.case import Case, integers, normal

CASES = (
    Case("MaxUnpool1d", (2,), inputs=(normal(2, 3, 5), integers(2, 3, 5, high=10))),
    Case("MaxUnpool1d", ((3,), 2, 1), inputs=(normal(3, 5), integers(3, 5, high=9)), note="no batch"),
    Case("MaxUnpool1d", (2,), inputs=(normal(2, 3, 5), integers(2, 3, 5, high=11)), call={"output_size": (2, 3, 11)}),
    Case("MaxUnpool2d", (2,), inputs=(normal(2, 3, 4, 5), integers(2, 3, 4, 5, high=80))),
    Case(
        "MaxUnpool2d",
        ((3, 2), (2, 1), (1, 0)),
        inputs=(normal(2, 3, 4, 5), integers(2, 3, 4, 5, high=48)),
        call={"output_size": (8, 6)},
    ),
    Case("MaxUnpool2d", (3, 3), inputs=(normal(3, 2, 3), integers(3, 2, 3, high=54)), note="no batch"),
    Case("MaxUnpool2d", (2,), inputs=(normal(0, 3, 4, 5), integers(0, 3, 4, 5, high=80)), note="empty batch"),
    Case("MaxUnpool2d", (2,), inputs=(normal(2, 3, 4, 5), integers(2, 3, 4, 5, high=7)), note="indices meet"),
    Case("MaxUnpool3d", (2,), inputs=(normal(2, 3, 2, 3, 4), integers(2, 3, 2, 3, 4, high=192))),
    Case(
        "MaxUnpool3d",
        ((2, 3, 1), (2, 2, 1), (0, 1, 0)),
        inputs=(normal(3, 2, 3, 4), integers(3, 2, 3, 4, high=80)),
        note="no batch",
    ),
    Case("functional.max_unpool1d", (2, 1), inputs=(normal(2, 3, 5), integers(2, 3, 5, high=6))),
    Case(
        "functional.max_unpool2d", (2,), {"output_size": [9, 11]}, inputs=(normal(3, 4, 5), integers(3, 4, 5, high=99))
    ),
    Case("functional.max_unpool3d", (2, (1, 2, 2)), inputs=(normal(3, 2, 3, 4), integers(3, 2, 3, 4, high=144))),
)
