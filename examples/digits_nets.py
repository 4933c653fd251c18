"""Which digit a picture shows: a fully connected net, two CNNs, Inception blocks, residual blocks."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from examples.nets import in_jax
from examples.training.digits import digits, draw
from examples.training.experiment import Experiment, same_class
from examples.training.options import command

Net = StrEnum("Net", ["mlp", "cnn1", "cnn2", "inception", "residual"])


def loss(model, F, pictures, labels):
    return F.cross_entropy(model(pictures), labels)


def torch_net(net: Net):
    from examples.nets import in_torch

    return in_torch.NETS[net]()


@command
def main(
    net: Annotated[Net, typer.Option(help="Which model.")] = Net.mlp,
    data: Annotated[Path | None, typer.Option(help="Folder with MNIST's four IDX files.", show_default=False)] = None,
) -> Experiment:
    """Which digit a picture shows: a fully connected net, two CNNs, Inception blocks, residual blocks."""
    pictures = digits(data)
    return Experiment(
        name=f"digits_{net}",
        data=pictures,
        model=lambda rngs: in_jax.NETS[net](rngs=rngs),
        torch_model=lambda: torch_net(net),
        loss=loss,
        arguments={"lr": 0.01, "momentum": 0.5},
        epochs=10,
        batch=64,
        shuffle=True,
        right=same_class,
        finish=lambda scores, out: draw(pictures.test[0], scores, pictures.test[1], out / "predictions.png"),
    )


if __name__ == "__main__":
    main()
