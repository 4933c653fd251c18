"""RNN, LSTM, GRU, their cells, and packed sequences."""

from itertools import product

from parity.case import Case, Packed, normal

NETWORKS = ("RNN", "LSTM", "GRU")
BOTH = (False, True)


def state(kind: str, *leading: int, hidden: int, output: int | None = None):
    """h_0, or for an LSTM the pair (h_0, c_0)."""
    h = normal(*leading, output or hidden)
    return (h, normal(*leading, hidden)) if kind.startswith("LSTM") else h


PLAIN = tuple(
    Case(
        kind,
        (3, 5, 2),
        {"bias": bias, "batch_first": batch_first, "bidirectional": bidirectional},
        inputs=(
            normal(*((4, 7) if batch_first else (7, 4)), 3),
            state(kind, 4 if bidirectional else 2, 4, hidden=5),
        ),
    )
    for kind, (bias, batch_first), bidirectional in product(NETWORKS, ((True, False), (False, True)), BOTH)
)

PACKED = tuple(
    Case(
        kind,
        (3, 5, layers),
        {"bidirectional": bidirectional, "batch_first": batch_first},
        inputs=(
            Packed(
                normal(*((5, 8) if batch_first else (8, 5)), 3),
                (7, 7, 4, 2, 1) if enforce_sorted else (2, 7, 1, 7, 4),
                batch_first=batch_first,
                enforce_sorted=enforce_sorted,
            ),
            *([state(kind, layers * (2 if bidirectional else 1), 5, hidden=5)] if layers == 2 else []),
        ),
        note="with an initial state when stacked; ties in the lengths; one step of padding more than is needed",
    )
    for kind, (layers, batch_first), bidirectional, enforce_sorted in product(
        NETWORKS, ((1, False), (2, True)), BOTH, BOTH
    )
)

PROJECTED = tuple(
    Case(
        "LSTM",
        (3, 6, layers, bias),
        {"bidirectional": bidirectional, "proj_size": proj_size},
        inputs=(
            normal(5, 2, 3),
            state("LSTM", layers * (2 if bidirectional else 1), 2, hidden=6, output=proj_size),
        ),
    )
    for layers, bias, bidirectional, proj_size in (
        (1, True, False, 1),
        (1, False, True, 5),
        (2, True, True, 2),
        (3, False, False, 4),
    )
)

SPECIAL = (
    Case("RNN", (2, 3), {"nonlinearity": "relu"}, inputs=(normal(6, 4, 2),)),
    Case("RNN", (4, 5, 3, "relu", False, True, 0.0, True), inputs=(normal(2, 6, 4),), note="all by position"),
    Case("RNN", (3, 5), {"nonlinearity": "relu"}, inputs=(Packed(normal(6, 3, 3), (6, 3, 2)),)),
    Case("RNN", (1, 1), inputs=(normal(1, 1, 1),), note="all sizes one"),
    Case("LSTM", (7, 1), inputs=(normal(5, 3, 7),), note="hidden size one: gates of one row each"),
    Case("GRU", (1, 7), inputs=(normal(5, 3, 1),)),
    Case("LSTM", (4, 6), inputs=(normal(1, 5, 4),), note="one step"),
    Case("GRU", (4, 6), {"bidirectional": True}, inputs=(normal(5, 1, 4),), note="one sequence"),
    Case("LSTM", (4, 6, 4), inputs=(normal(3, 2, 4),), note="deep"),
    Case("GRU", (4, 6), inputs=(normal(5, 3, 4, mean=8.0, std=3.0),), note="saturated gates"),
    Case("LSTM", (4, 6, 2), inputs=(normal(5, 3, 4, mean=-5.0, std=5.0),), note="saturated gates"),
    Case(
        "RNN",
        (5, 64),
        inputs=(normal(100, 3, 5, std=0.25),),
        note="long and wide; inputs of scale one would add up to gradients that torch itself gets wrong by 3e-5 in f32",
    ),
    Case("LSTM", (5, 64), {"bidirectional": True}, inputs=(normal(100, 3, 5),), note="long and wide"),
    Case("GRU", (5, 64), {"batch_first": True}, inputs=(normal(3, 100, 5),), note="long and wide"),
    Case("LSTM", (3, 5, 2), {"dropout": 1.0}, inputs=(normal(4, 2, 3),), note="all that is between the layers is lost"),
    Case("GRU", (3, 5), {"bidirectional": True}, inputs=(normal(4, 0, 3),), note="empty batch"),
    Case("RNN", (3, 5), inputs=(normal(6, 3),), note="no batch, no state"),
    Case("GRU", (3, 5, 2), inputs=(Packed(normal(6, 1, 3), (4,)),), note="one sequence, cut short"),
    Case(
        "LSTM",
        (3, 6, 2),
        {"proj_size": 2, "bidirectional": True},
        inputs=(Packed(normal(6, 4, 3), (2, 5, 5, 1), enforce_sorted=False), state("LSTM", 4, 4, hidden=6, output=2)),
    ),
    *(
        Case(
            kind,
            (3, 5, 2),
            {"bidirectional": True, "batch_first": batch_first},
            inputs=(normal(6, 3), state(kind, 4, hidden=5)),
            note="no batch: batch_first has no say",
        )
        for kind, batch_first in product(NETWORKS, BOTH)
    ),
)

CELLS = (
    *(
        Case(kind, (4, 3), {"bias": bias}, inputs=(normal(5, 4), state(kind, 5, hidden=3)))
        for kind, bias in product(("RNNCell", "LSTMCell", "GRUCell"), BOTH)
    ),
    *(
        Case(kind, (4, 3), inputs=(normal(4), state(kind, hidden=3)), note="no batch")
        for kind in ("RNNCell", "LSTMCell", "GRUCell")
    ),
    *(Case(kind, (4, 3), inputs=(normal(5, 4),), note="no state") for kind in ("RNNCell", "LSTMCell", "GRUCell")),
    Case("RNNCell", (4, 3, True, "relu"), inputs=(normal(5, 4), normal(5, 3))),
    Case("RNNCell", (4, 3, False, "relu"), inputs=(normal(4),), note="no batch, no state"),
    Case("LSTMCell", (4, 3), inputs=(normal(0, 4),), note="empty batch"),
    Case("GRUCell", (1, 1), inputs=(normal(2, 1, mean=50.0), normal(2, 1)), note="saturated gates"),
)

SEED_SYSTEMS = (
    Case("RNN", (3, 5), {"bias": False}, inputs=(normal(2, 4, 3),), note="A4"),
    Case("LSTM", (3, 5), {"bias": False}, inputs=(normal(2, 4, 3),), note="A5"),
    Case("RNNCell", (4, 2), inputs=(normal(64, 4), normal(64, 2)), note="C12"),
    Case("RNN", (4, 2, 3), {"batch_first": True}, inputs=(normal(64, 3, 4), normal(3, 64, 2)), note="C12"),
    Case("RNN", (2, 3), {"batch_first": True}, inputs=(normal(2, 3, 2), normal(1, 2, 3)), note="D4"),
    Case(
        "RNN",
        (2, 3),
        {"batch_first": True, "bidirectional": True},
        inputs=(normal(2, 3, 2), normal(2, 2, 3)),
        note="D5",
    ),
    Case("LSTM", (4, 3, 1), inputs=(normal(2, 3, 4), (normal(1, 3, 3), normal(1, 3, 3))), note="E8"),
)

CASES = (*PLAIN, *PACKED, *PROJECTED, *SPECIAL, *CELLS, *SEED_SYSTEMS)
