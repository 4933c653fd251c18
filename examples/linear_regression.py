"""y = 2 x from three points, by each of eight optimizers."""

from enum import StrEnum
from typing import Annotated

import numpy as np
import typer
from flax import nnx

from examples.training.experiment import Data, Experiment
from examples.training.options import command
from jaxnets import nn

NAMES = ("SGD", "Adagrad", "Adam", "Adamax", "ASGD", "LBFGS", "RMSprop", "Rprop")
Optimizer = StrEnum("Optimizer", [(name, name) for name in NAMES])  # the names alone would be made lower case


class Line(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs):
        self.linear = nn.Linear(1, 1, rngs=rngs)

    def __call__(self, x):
        return self.linear(x)


def torch_line():
    from torch import nn

    class Line(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(1, 1)

        def forward(self, x):
            return self.linear(x)

    return Line()


def loss(model, F, x, y):
    return F.mse_loss(model(x), y)


@command
def main(
    optimizer: Annotated[
        Optimizer | None, typer.Option(help="One of them; all if not given.", show_default=False)
    ] = None,
) -> list[Experiment]:
    """y = 2 x from three points, by each of eight optimizers."""
    x = np.array([[1], [2], [3]], np.float32)
    return [
        Experiment(
            name=f"line_{name.lower()}",
            data=Data((x, 2 * x)),
            model=lambda rngs: Line(rngs=rngs),
            torch_model=torch_line,
            loss=loss,
            optimizer=name,
            arguments={"lr": 0.01},
            epochs=1000,
            span=100,
            block=100,
        )
        for name in ([optimizer] if optimizer else Optimizer)
    ]


if __name__ == "__main__":
    main()
