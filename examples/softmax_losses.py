"""Cross entropy is a log-softmax and a negative log-likelihood; targets may be classes or probabilities."""

from typing import Annotated

import jax.numpy as jnp
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from jaxnets import nn

SCORES = np.array([[2.0, 1.0, 0.1], [0.8, 2.0, 0.3], [0.1, 0.2, 3.0]], np.float32)
LABELS = np.array([0, 1, 1])
ONE_HOT = np.eye(3, dtype=np.float32)[LABELS]

app = typer.Typer(add_completion=False)


def losses(nn, scores, labels, one_hot) -> dict[str, float]:
    """The same loss, four ways: `nn` is `jaxnets.nn` or `torch.nn`."""
    softmax = nn.Softmax(dim=1)(scores)
    log_softmax = nn.LogSoftmax(dim=1)(scores)
    return {
        "by hand: -mean(sum(one-hot * log(softmax)))": float(-(one_hot * xlog(softmax)).sum() / len(labels)),
        "NLLLoss of LogSoftmax": float(nn.NLLLoss()(log_softmax, labels)),
        "CrossEntropyLoss, classes": float(nn.CrossEntropyLoss()(scores, labels)),
        "CrossEntropyLoss, one-hot": float(nn.CrossEntropyLoss()(scores, one_hot)),
    }


def xlog(x):
    return jnp.log(x) if isinstance(x, jnp.ndarray) else x.log()


@app.command()
def main(torch: Annotated[bool, typer.Option("--torch", help="The same in torch beside it.")] = False) -> None:
    """Cross entropy is a log-softmax and a negative log-likelihood; targets may be classes or probabilities."""
    sides = {"JAX": losses(nn, *map(jnp.asarray, (SCORES, LABELS, ONE_HOT)))}
    if torch:
        import torch

        sides["torch"] = losses(torch.nn, *map(torch.from_numpy, (SCORES, LABELS, ONE_HOT)))
    table = Table("loss", *sides)
    for name in sides["JAX"]:
        table.add_row(name, *(f"{side[name]:.7f}" for side in sides.values()))
    Console().print(table)


if __name__ == "__main__":
    app()
