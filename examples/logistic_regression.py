"""Whether a student passes after x hours: a line through a sigmoid."""

from pathlib import Path

import numpy as np
from flax import nnx
from matplotlib.figure import Figure

import jaxnets.functional as F
from examples.training.experiment import Data, Experiment, above_half
from examples.training.options import command
from jaxnets import nn


class Net(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs):
        self.linear = nn.Linear(1, 1, rngs=rngs)

    def __call__(self, x):
        return F.sigmoid(self.linear(x))


def torch_net():
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(1, 1)

        def forward(self, x):
            return torch.sigmoid(self.linear(x))

    return Net()


def loss(model, F, x, y):
    return F.binary_cross_entropy(model(x), y)


def draw(probabilities: np.ndarray, out: Path) -> None:
    """p(x) for 0 to 10 hours; the first three outputs belong to the data."""
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    panel = figure.subplots()
    panel.plot(HOURS, probabilities[3:])
    panel.axhline(0.5, color="tab:red", linewidth=1)
    panel.set(xlabel="hours", ylabel="probability of passing", ylim=(0, 1))
    figure.savefig(out / "probability.png", dpi=80)


HOURS = np.linspace(0, 10, 200, dtype=np.float32)


@command
def main() -> Experiment:
    """Whether a student passes after x hours: a line through a sigmoid."""
    x, y = np.array([[1], [2], [3]], np.float32), np.array([[0], [0], [1]], np.float32)
    asked = np.concatenate([x, HOURS[:, None]])
    return Experiment(
        name="logistic_regression",
        data=Data((x, y), (asked, (asked > 2.5).astype(np.float32))),
        model=lambda rngs: Net(rngs=rngs),
        torch_model=torch_net,
        loss=loss,
        arguments={"lr": 0.01},
        epochs=500,
        span=100,
        block=100,
        right=above_half,
        finish=draw,
    )


if __name__ == "__main__":
    main()
