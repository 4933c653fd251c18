"""A recurrent net that is told "hello" and says "ohlol": by RNNCell, by RNN, by an embedding and two layers."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import jax.numpy as jnp
import numpy as np
import typer
from flax import nnx

from examples.training.experiment import Data, Experiment, same_class
from examples.training.options import command
from jaxnets import nn

LETTERS = "ehlo"
Net = StrEnum("Net", ["cell", "rnn", "embedding"])


class Cell(nnx.Module):
    """One-hot letters `(N, L, 4)` through an RNNCell, whose state of 4 are the scores."""

    def __init__(self, *, rngs: nnx.Rngs):
        self.cell = nn.RNNCell(4, 4, rngs=rngs)

    def __call__(self, x):
        hidden, states = jnp.zeros((len(x), 4), x.dtype), []
        for t in range(x.shape[1]):
            hidden = self.cell(x[:, t], hidden)
            states.append(hidden)
        return jnp.stack(states, axis=1)


class RNN(nnx.Module):
    """The same by one RNN layer."""

    def __init__(self, *, rngs: nnx.Rngs):
        self.rnn = nn.RNN(4, 4, batch_first=True, rngs=rngs)

    def __call__(self, x):
        return self.rnn(x)[0]


class Embedded(nnx.Module):
    """Letters' numbers `(N, L)` through an embedding, two recurrent layers, and a linear one."""

    def __init__(self, *, rngs: nnx.Rngs):
        self.embedding = nn.Embedding(4, 10, rngs=rngs)
        self.rnn = nn.RNN(10, 8, num_layers=2, batch_first=True, rngs=rngs)
        self.fc = nn.Linear(8, 4, rngs=rngs)

    def __call__(self, x):
        return self.fc(self.rnn(self.embedding(x))[0])


NETS = {"cell": Cell, "rnn": RNN, "embedding": Embedded}


def torch_net(net: Net):
    import torch
    from torch import nn

    class Cell(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.RNNCell(4, 4)

        def forward(self, x):
            hidden, states = x.new_zeros(len(x), 4), []
            for t in range(x.shape[1]):
                hidden = self.cell(x[:, t], hidden)
                states.append(hidden)
            return torch.stack(states, dim=1)

    class RNN(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.RNN(4, 4, batch_first=True)

        def forward(self, x):
            return self.rnn(x)[0]

    class Embedded(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(4, 10)
            self.rnn = nn.RNN(10, 8, num_layers=2, batch_first=True)
            self.fc = nn.Linear(8, 4)

        def forward(self, x):
            return self.fc(self.rnn(self.embedding(x))[0])

    return {"cell": Cell, "rnn": RNN, "embedding": Embedded}[net]()


def summed(model, F, x, y):
    """The loss of a cell: those of its steps, added."""
    scores = model(x)
    return sum(F.cross_entropy(scores[:, t], y[:, t]) for t in range(y.shape[1]))


def averaged(model, F, x, y):
    return F.cross_entropy(model(x).reshape(-1, 4), y.reshape(-1))


def spell(scores: np.ndarray, out: Path) -> None:
    (out / "said.txt").write_text("".join(LETTERS[i] for i in scores[0].argmax(-1)) + "\n")


@command
def main(net: Annotated[Net, typer.Option(help="Which model.")] = Net.cell) -> Experiment:
    """A recurrent net that is told "hello" and says "ohlol"."""
    heard, wanted = (np.array([[LETTERS.index(letter) for letter in word]]) for word in ("hello", "ohlol"))
    one_hot = np.eye(4, dtype=np.float32)[heard]
    return Experiment(
        name=f"hello_{net}",
        data=Data((heard if net is Net.embedding else one_hot, wanted)),
        model=lambda rngs: NETS[net](rngs=rngs),
        torch_model=lambda: torch_net(net),
        loss=summed if net is Net.cell else averaged,
        arguments={"lr": 0.05 if net is Net.rnn else 0.1},
        epochs={Net.cell: 100, Net.rnn: 1000, Net.embedding: 200}[net],
        right=same_class,
        span=20,
        block=20,
        finish=spell,
    )


if __name__ == "__main__":
    main()
