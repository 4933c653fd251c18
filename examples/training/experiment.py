"""What a training program declares: its data, its model in both frameworks, one loss, an optimizer."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from flax import nnx

Arrays = tuple[np.ndarray, ...]

__all__ = ["Arrays", "ByHand", "Data", "Experiment", "above_half", "same_class"]


@dataclass(frozen=True)
class Data:
    """Arrays that share their first axis: the model's inputs and, as the last one, what is wanted.

    Args:
        train: what is trained on.
        test: what accuracy is measured on; `train` if None.
        collate: what becomes of the arrays of a batch before the model sees them.
    """

    train: Arrays
    test: Arrays | None = None
    collate: Callable[[Arrays], Arrays] = tuple


class ByHand(NamedTuple):
    """An optimizer that a program writes itself: what makes it of an `lr`, in optax and in torch."""

    optax: Callable[..., Any]
    torch: Callable[..., Any]


def same_class(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether the greatest score, on the last axis, is that of the label."""
    return scores.argmax(-1) == labels


def above_half(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether a probability is on the label's side of 0.5."""
    return (probabilities >= 0.5) == (labels >= 0.5)


@dataclass(frozen=True)
class Experiment:
    """One model, trained one way, in JAX and in torch.

    Args:
        name: what its files are called.
        data: what is trained on.
        model: the model in JAX, of its random streams.
        torch_model: the same in torch, which it imports itself.
        loss: `(model, F, *batch)` to a number, written once: `F` is `jaxnets.functional` or `torch.nn.functional`.
        optimizer: the name of a class of `torch.optim` and of `jaxnets.optim`, or one written by hand.
        arguments: of the optimizer, the same for both.
        epochs: passes over the data.
        batch: rows of a batch; all of them if None.
        shuffle: whether each epoch has an order of its own.
        drop_last: whether the rows that fill no batch are left out.
        right: `(outputs, targets)` to which of them are right; None where nothing is classified.
        span: epochs between two measurements of the accuracy.
        block: steps that run as one compiled loop; they are what a small model's step costs least in.
        finish: called at the end with the model's outputs on the test data and the folder for pictures.
    """

    name: str
    data: Data
    model: Callable[[nnx.Rngs], nnx.Module]
    torch_model: Callable[[], Any]
    loss: Callable[..., Any]
    optimizer: str | ByHand = "SGD"
    arguments: dict[str, Any] = field(default_factory=dict)
    epochs: int = 10
    batch: int | None = None
    shuffle: bool = False
    drop_last: bool = False
    right: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    span: int = 1
    block: int = 1
    finish: Callable[[np.ndarray, Any], None] | None = None

    @property
    def test(self) -> Arrays:
        """The test data, as the model takes it."""
        return self.data.collate(self.data.test or self.data.train)
