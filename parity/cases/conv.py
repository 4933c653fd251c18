"""Convolutions, plain and transposed, in 1, 2 and 3 dimensions."""

from itertools import product

from parity.case import Case, normal

IMAGE = normal(2, 4, 9, 7)
SEQUENCE = normal(3, 4, 11)
VOLUME = normal(2, 4, 5, 6, 4)
MODES = ("reflect", "replicate", "circular")

PLAIN = (
    Case("Conv2d", (4, 6, 3), inputs=(IMAGE,)),
    Case("Conv2d", (4, 6, (3, 2)), {"stride": (2, 1), "padding": (1, 2)}, inputs=(IMAGE,)),
    Case("Conv2d", (4, 6, 3), {"stride": 3, "padding": 2}, inputs=(IMAGE,), note="rows left over"),
    Case("Conv2d", (4, 6, (2, 3)), {"dilation": (3, 2)}, inputs=(IMAGE,)),
    Case("Conv2d", (4, 6, 3), {"groups": 2}, inputs=(IMAGE,)),
    Case("Conv2d", (4, 8, 3), {"groups": 4, "bias": False}, inputs=(IMAGE,), note="depthwise with multiplier"),
    Case("Conv2d", (6, 9, 2), {"groups": 3, "stride": 2, "dilation": 2}, inputs=(normal(2, 6, 7, 8),)),
    Case("Conv2d", (3, 3, (3, 3)), {"stride": (2, 2), "padding": (0, 0), "groups": 3}, inputs=(normal(2, 3, 9, 8),)),
    Case("Conv2d", (4, 6, 1), inputs=(IMAGE,), note="1x1"),
    Case("Conv2d", (4, 6, (9, 7)), inputs=(IMAGE,), note="kernel of the whole picture"),
    Case("Conv2d", (4, 6, 3), {"padding": "same"}, inputs=(IMAGE,)),
    Case(
        "Conv2d", (4, 6, (2, 4)), {"padding": "same", "dilation": (1, 3)}, inputs=(IMAGE,), note="odd totals go right"
    ),
    Case("Conv2d", (4, 6, 3), {"padding": "valid", "stride": 2}, inputs=(IMAGE,)),
    Case("Conv2d", (4, 6, 3), {"padding": 1}, inputs=(normal(4, 9, 7),), note="no batch"),
    Case("Conv2d", (4, 6, 3), inputs=(normal(0, 4, 5, 6),), note="empty batch"),
    Case("Conv2d", (2, 3, 3), inputs=(normal(2, 2, 6, 5, mean=1000.0),), note="huge mean"),
    Case("Conv2d", (3, 2, 5), {"padding": 5}, inputs=(normal(1, 3, 2, 3),), note="padding larger than the picture"),
    Case("Conv1d", (4, 6, 3), inputs=(SEQUENCE,)),
    Case("Conv1d", (4, 6, 4), {"stride": 3, "padding": 2, "dilation": 2, "groups": 2}, inputs=(SEQUENCE,)),
    Case("Conv1d", (4, 2, 4), {"padding": "same", "dilation": 3}, inputs=(SEQUENCE,)),
    Case("Conv1d", (4, 4, 3), {"groups": 4, "bias": False}, inputs=(normal(4, 11),)),
    Case("Conv3d", (4, 6, (3, 2, 1)), {"stride": (1, 2, 1), "padding": (1, 0, 2)}, inputs=(VOLUME,)),
    Case("Conv3d", (4, 2, 2), {"dilation": (2, 1, 3), "groups": 2}, inputs=(VOLUME,)),
    Case("Conv3d", (4, 3, (2, 3, 4)), {"padding": "same", "bias": False}, inputs=(normal(4, 5, 6, 4),)),
)

PADDED = (
    *(
        Case(name, (4, 6, kernel), {"padding": padding, "padding_mode": mode}, inputs=(x,))
        for mode, (name, kernel, padding, x) in product(
            MODES,
            (
                ("Conv1d", 4, "same", SEQUENCE),
                ("Conv1d", 3, 5, SEQUENCE),
                ("Conv2d", (3, 2), (1, 4), IMAGE),
                ("Conv2d", (2, 4), "same", IMAGE),
                ("Conv2d", 3, "valid", IMAGE),
                ("Conv3d", (1, 2, 3), (0, 2, 1), VOLUME),
            ),
        )
    ),
    Case(
        "Conv2d",
        (4, 6, 3),
        {"padding": 3, "padding_mode": "circular", "stride": 2, "dilation": 2, "groups": 2},
        inputs=(normal(4, 9, 7),),
    ),
)

TRANSPOSED = (
    Case("ConvTranspose2d", (4, 6, 3), inputs=(IMAGE,)),
    Case("ConvTranspose2d", (4, 6, 3), {"groups": 2}, inputs=(IMAGE,), note="groups neither 1 nor channels"),
    Case("ConvTranspose2d", (6, 9, (2, 3)), {"groups": 3, "stride": (3, 2)}, inputs=(normal(2, 6, 4, 3),)),
    Case("ConvTranspose2d", (4, 8, 3), {"groups": 4, "bias": False, "stride": 2}, inputs=(IMAGE,)),
    Case("ConvTranspose2d", (4, 6, (3, 4)), {"stride": (2, 3), "padding": (1, 0)}, inputs=(IMAGE,)),
    Case("ConvTranspose2d", (4, 6, 3), {"stride": 2, "padding": 1, "output_padding": (0, 1)}, inputs=(IMAGE,)),
    Case("ConvTranspose2d", (4, 6, 3), {"stride": 2, "padding": 1, "output_padding": (1, 0)}, inputs=(IMAGE,)),
    Case(
        "ConvTranspose2d",
        (4, 6, (3, 2)),
        {"stride": (3, 1), "padding": (2, 1), "output_padding": (2, 1), "dilation": (2, 3), "groups": 2},
        inputs=(IMAGE,),
        note="dilation x stride x output_padding",
    ),
    Case(
        "ConvTranspose2d", (4, 6, 2), {"padding": 2, "dilation": 1, "stride": 3}, inputs=(IMAGE,), note="crops inputs"
    ),
    Case("ConvTranspose2d", (4, 6, 1), {"stride": 3}, inputs=(IMAGE,), note="kernel smaller than stride"),
    Case("ConvTranspose2d", (4, 6, 3), {"stride": 2, "padding": 1}, inputs=(IMAGE,), call={"output_size": (18, 13)}),
    Case("ConvTranspose2d", (4, 6, 3), {"stride": 2}, inputs=(IMAGE,), call={"output_size": (2, 6, 19, 16)}),
    Case("ConvTranspose2d", (4, 6, 3), {"padding": 1}, inputs=(normal(4, 9, 7),), note="no batch"),
    Case("ConvTranspose2d", (4, 6, 3), inputs=(normal(0, 4, 5, 6),), note="empty batch"),
    Case("ConvTranspose1d", (4, 6, 3), {"stride": 2, "output_padding": 1}, inputs=(SEQUENCE,)),
    Case("ConvTranspose1d", (4, 6, 4), {"stride": 3, "padding": 2, "dilation": 2, "groups": 2}, inputs=(SEQUENCE,)),
    Case(
        "ConvTranspose1d", (4, 2, 3), {"stride": 4, "bias": False}, inputs=(normal(4, 5),), call={"output_size": [21]}
    ),
    Case(
        "ConvTranspose3d",
        (4, 6, (3, 2, 1)),
        {"stride": (1, 2, 2), "padding": (1, 0, 0)},
        inputs=(normal(2, 4, 3, 4, 2),),
    ),
    Case(
        "ConvTranspose3d",
        (4, 2, 2),
        {"stride": 2, "dilation": (2, 1, 3), "groups": 2, "output_padding": (1, 0, 2)},
        inputs=(normal(1, 4, 3, 2, 4),),
    ),
)

FUNCTIONS = (
    Case("functional.conv1d", inputs=(SEQUENCE, normal(6, 2, 3), normal(6)), kwargs={"groups": 2, "padding": "same"}),
    Case("functional.conv2d", (None, 2, 1, 1, 2), inputs=(IMAGE, normal(6, 2, 3, 2)), note="arguments by place"),
    Case("functional.conv3d", inputs=(normal(4, 5, 6, 4), normal(3, 4, 2, 2, 2), normal(3)), kwargs={"stride": (2,)}),
    Case("functional.conv_tbc", inputs=(normal(7, 2, 3), normal(3, 3, 4), normal(4))),
    Case("functional.conv_tbc", (2,), inputs=(normal(5, 2, 3), normal(4, 3, 5), normal(5))),
    Case(
        "functional.conv_tbc", (-1,), inputs=(normal(6, 3, 2), normal(2, 2, 3), normal(3)), note="a cut, not a border"
    ),
    Case("functional.conv_tbc", inputs=(normal(1, 3, 2), normal(2, 2, 3), normal(3)), note="no steps are left"),
    Case("functional.conv_transpose1d", inputs=(SEQUENCE, normal(4, 3, 3)), kwargs={"stride": 2, "groups": 2}),
    Case("functional.conv_transpose2d", (None, 2, 1, 1, 2, 3), inputs=(IMAGE, normal(4, 3, 3, 2))),
    Case("functional.conv_transpose3d", inputs=(normal(4, 3, 2, 4), normal(4, 2, 2, 2, 2), normal(2))),
)

CASES = PLAIN + PADDED + TRANSPOSED + FUNCTIONS
