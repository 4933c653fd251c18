"""Which tumours are malignant: six linear layers on the breast-cancer data of scikit-learn."""

from itertools import pairwise
from typing import Annotated

import numpy as np
import typer
from flax import nnx
from sklearn.datasets import load_breast_cancer

import jaxnets.functional as F
from examples.training.experiment import Data, Experiment, above_half
from examples.training.options import command
from jaxnets import nn

SIZES = (30, 25, 20, 15, 10, 5, 1)


class Net(nnx.Module):
    def __init__(self, norm: bool, *, rngs: nnx.Rngs):
        self.norm = nn.BatchNorm1d(30) if norm else nn.Identity()
        self.layers = nn.ModuleList([nn.Linear(a, b, rngs=rngs) for a, b in pairwise(SIZES)])

    def __call__(self, x):
        x = self.norm(x)
        for layer in self.layers[:3]:
            x = F.relu(layer(x))
        for layer in self.layers[3:]:
            x = F.sigmoid(layer(x))
        return x


def torch_net(norm: bool):
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(30) if norm else nn.Identity()
            self.layers = nn.ModuleList([nn.Linear(a, b) for a, b in pairwise(SIZES)])

        def forward(self, x):
            x = self.norm(x)
            for layer in self.layers[:3]:
                x = torch.relu(layer(x))
            for layer in self.layers[3:]:
                x = torch.sigmoid(layer(x))
            return x

    return Net()


def loss(model, F, x, y):
    return F.binary_cross_entropy(model(x), y)


def parts() -> tuple[tuple[np.ndarray, ...], ...]:
    """The first 60 % of the rows for training, the next 20 % for validation, the last for the test."""
    x, y = load_breast_cancer(return_X_y=True)
    x, y = x.astype(np.float32), y.astype(np.float32)[:, None]
    bounds = [round(0.6 * len(x)), round(0.8 * len(x))]
    return tuple(zip(np.split(x, bounds), np.split(y, bounds), strict=True))


@command
def main(
    norm: Annotated[bool, typer.Option("--norm", help="Normalise the 30 numbers by a BatchNorm1d.")] = False,
    mini_batches: Annotated[bool, typer.Option("--mini-batches", help="Shuffled batches of 10 rows.")] = False,
) -> Experiment:
    """Which tumours are malignant: six linear layers on the breast-cancer data of scikit-learn."""
    train, _, test = parts()
    return Experiment(
        name="breast_cancer" + "_norm" * norm + "_mini_batches" * mini_batches,
        data=Data(train, test),
        model=lambda rngs: Net(norm, rngs=rngs),
        torch_model=lambda: torch_net(norm),
        loss=loss,
        arguments={"lr": 0.05, "weight_decay": 0.001},
        epochs=100 if mini_batches else 10_000,
        batch=10 if mini_batches else None,
        shuffle=mini_batches,
        drop_last=mini_batches,  # of 341 rows one is left over, and one has no variance
        right=above_half,
        span=1 if mini_batches else 100,
        block=50,
    )


if __name__ == "__main__":
    main()
