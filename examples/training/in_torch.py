"""The same training in torch, in the open: no compiled step, as most programs are written."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from examples.training.experiment import Arrays, ByHand, Experiment
from examples.training.history import History
from examples.training.loader import Blocks, read

__all__ = ["first_model", "train"]


def first_model(
    experiment: Experiment, seed: int, weights: dict[str, np.ndarray], dtype: str
) -> tuple[torch.nn.Module, bool]:
    """The model as the seed makes it, with `weights` loaded; and whether it had just these, bit for bit."""
    torch.manual_seed(seed)
    model = experiment.torch_model()
    own = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    same = own.keys() == weights.keys() and all(np.array_equal(own[name], weights[name]) for name in own)
    model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
    return model.to(getattr(torch, dtype)), same


def train(
    experiment: Experiment, model: torch.nn.Module, blocks: Blocks, workers: int, say: Callable[[int, float], None]
) -> History:
    """Trains to the end on the batches of `blocks`."""
    optimizer = make_optimizer(experiment, model)
    history = History()
    history.start(time.perf_counter())
    with read(blocks, workers) as loader:
        for i, block in enumerate(loader):
            batches = zip(*map(torch.from_numpy, block), strict=True)
            losses = [step(experiment, model, optimizer, batch) for batch in batches]
            history.add(torch.stack(losses).numpy(), time.perf_counter())
            say(len(history), history.losses[-1][-1])
            if i in blocks.measured:
                history.measure(accuracy(experiment, model))
                history.start(time.perf_counter())
    return history


def make_optimizer(experiment: Experiment, model: torch.nn.Module) -> torch.optim.Optimizer:
    """The experiment's optimizer from `torch.optim`, or its own."""
    if isinstance(experiment.optimizer, ByHand):
        return experiment.optimizer.torch(model.parameters(), **experiment.arguments)
    return getattr(torch.optim, experiment.optimizer)(model.parameters(), **experiment.arguments)


def step(experiment: Experiment, model: torch.nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> torch.Tensor:
    """One step; the loss before it."""

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = experiment.loss(model, F, *batch)
        loss.backward()
        return loss

    return optimizer.step(closure).detach()


@torch.no_grad()
def outputs(model: torch.nn.Module, inputs: Arrays) -> np.ndarray:
    """What the model, in evaluation, says of the inputs."""
    model.eval()
    result = model(*map(torch.from_numpy, inputs)).numpy()
    model.train()
    return result


def accuracy(experiment: Experiment, model: torch.nn.Module) -> float | None:
    """The share of the test data that it says right."""
    if experiment.right is None:
        return None
    *inputs, wanted = experiment.test
    return float(experiment.right(outputs(model, tuple(inputs)), wanted).mean())
