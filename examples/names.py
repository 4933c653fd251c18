"""Which country a surname comes from: a GRU reads it letter by letter."""

import csv
from pathlib import Path
from typing import Annotated

import jax.numpy as jnp
import numpy as np
import typer
from flax import nnx

from examples.training.experiment import Arrays, Data, Experiment, same_class
from examples.training.options import command
from jaxnets import nn
from jaxnets.nn.utils.rnn import pack_padded_sequence

LETTERS, HIDDEN = 128, 100  # ASCII; the size of the embedding and of each direction's state


class Net(nnx.Module):
    def __init__(self, countries: int, bidirectional: bool, *, rngs: nnx.Rngs):
        self.embedding = nn.Embedding(LETTERS, HIDDEN, rngs=rngs)
        self.gru = nn.GRU(HIDDEN, HIDDEN, num_layers=2, bidirectional=bidirectional, rngs=rngs)
        self.fc = nn.Linear(HIDDEN * (1 + bidirectional), countries, rngs=rngs)
        self.directions = 1 + bidirectional

    def __call__(self, letters, lengths):
        packed = pack_padded_sequence(self.embedding(letters.T), lengths)
        _, hidden = self.gru(packed)
        return self.fc(jnp.concatenate(list(hidden[-self.directions :]), axis=1))


def torch_net(countries: int, bidirectional: bool):
    import torch
    from torch import nn
    from torch.nn.utils.rnn import pack_padded_sequence

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(LETTERS, HIDDEN)
            self.gru = nn.GRU(HIDDEN, HIDDEN, num_layers=2, bidirectional=bidirectional)
            self.fc = nn.Linear(HIDDEN * (1 + bidirectional), countries)
            self.directions = 1 + bidirectional

        def forward(self, letters, lengths):
            packed = pack_padded_sequence(self.embedding(letters.T), lengths)
            _, hidden = self.gru(packed)
            return self.fc(torch.cat(list(hidden[-self.directions :]), dim=1))

    return Net()


def loss(model, F, letters, lengths, country):
    return F.cross_entropy(model(letters, lengths), country)


def longest_first(batch: Arrays) -> Arrays:
    """A batch in the order that packing needs."""
    order = np.argsort(-batch[1], kind="stable")
    return tuple(array[order] for array in batch)


def read_names(path: Path) -> tuple[Arrays, list[str]]:
    """Letters `(N, longest)` padded with 0, lengths, countries' numbers; and the countries.

    Raises:
        ValueError: a row is no pair of an ASCII name and a country.
    """
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    for i, row in enumerate(rows, start=1):
        if len(row) != 2 or not row[0] or not row[0].isascii():
            raise ValueError(f"{path}, row {i}: expected an ASCII name and a country, got {row}")
    countries = sorted({country for _, country in rows})
    lengths = np.array([len(name) for name, _ in rows])
    letters = np.zeros((len(rows), lengths.max()), np.int64)
    for i, (name, _) in enumerate(rows):
        letters[i, : len(name)] = list(name.encode("ascii"))
    return (letters, lengths, np.array([countries.index(country) for _, country in rows])), countries


def split(arrays: Arrays, seed: int = 0) -> tuple[Arrays, Arrays]:
    """Four fifths for training, the rest for the test, drawn once."""
    order = np.random.default_rng(seed).permutation(len(arrays[0]))
    held_out = len(order) // 5
    return tuple(array[order[held_out:]] for array in arrays), tuple(array[order[:held_out]] for array in arrays)


@command
def main(
    data: Annotated[Path, typer.Option(help="CSV of name,country.")] = Path(__file__).parent / "data" / "names.csv",
    bidirectional: Annotated[bool, typer.Option("--bidirectional", help="Read from the end, too.")] = False,
) -> Experiment:
    """Which country a surname comes from: a GRU reads it letter by letter."""
    arrays, countries = read_names(data)
    return Experiment(
        name="names" + "_bidirectional" * bidirectional,
        data=Data(*split(arrays), longest_first),
        model=lambda rngs: Net(len(countries), bidirectional, rngs=rngs),
        torch_model=lambda: torch_net(len(countries), bidirectional),
        loss=loss,
        arguments={"lr": 0.1},
        epochs=100,
        batch=256,
        shuffle=True,
        right=same_class,
    )


if __name__ == "__main__":
    main()
