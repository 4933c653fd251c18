"""The training steps of the programs in `examples/`, beside torch: `python -m benchmarks.steps [--report FILE]`.

One call of the compiled loop, a block of steps, against the same steps in torch, eager and with the loss in
`torch.compile`. Each framework runs in a process of its own and they take turns; the losses of the first block are
compared before anything is timed.
"""

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import typer

from benchmarks.clock import serve
from benchmarks.compare import On, Only, Report, Seconds, With, run
from benchmarks.where import Device, to_device

SIDES = ("torch", "jaxnets", "torch compiled")
OPTIMIZERS = ("SGD", "Adam", "RMSprop", "Rprop", "LBFGS")
PROGRAMS: dict[str, tuple[str, dict[str, Any]]] = {
    "a quadratic, by hand": ("quadratic", {}),
    **{f"a line, {name}": ("linear_regression", {"optimizer": name}) for name in OPTIMIZERS},
    "logistic regression": ("logistic_regression", {}),
    "breast cancer": ("breast_cancer", {"norm": False, "mini_batches": False}),
    "breast cancer, BatchNorm1d": ("breast_cancer", {"norm": True, "mini_batches": False}),
    "breast cancer, mini-batches": ("breast_cancer", {"norm": False, "mini_batches": True}),
    **{f"digits, {net}": ("digits_nets", {"net": net}) for net in ("mlp", "cnn1", "cnn2", "inception", "residual")},
    **{f"hello, {net}": ("hello", {"net": net}) for net in ("cell", "rnn", "embedding")},
    "names, GRU": ("names", {"bidirectional": False}),
    "names, bidirectional GRU": ("names", {"bidirectional": True}),
}
TOLERANCE = 2e-3


def experiment(name: str) -> Any:
    """A program's experiment, its options' own defaults where none are named."""
    program, options = PROGRAMS[name]
    module = importlib.import_module(f"examples.{program}")
    parameters = inspect.signature(module.main.make).parameters
    given = {key: parameter.default for key, parameter in parameters.items()} | options
    for key, value in given.items():  # a choice by name is one of an enumeration
        kind = type(parameters[key].default)
        if isinstance(value, str) and hasattr(kind, "__members__"):
            given[key] = kind(value)
    if program == "linear_regression":
        given["optimizer"] = module.Optimizer(given["optimizer"])
    made = module.main.make(**given)
    return made[0] if isinstance(made, list) else made


def by_jaxnets(name: str) -> tuple[Callable[[], Any], np.ndarray]:
    from examples.training import devices, in_jax
    from examples.training.loader import Blocks

    chosen = experiment(name)
    mesh = devices.mesh_of(1, 1)
    trainer, block = in_jax.Trainer(chosen, 0, mesh), Blocks(chosen, 0)[0]
    state = trainer.state

    def work() -> Any:
        nonlocal state
        state, losses = trainer.steps(state, devices.put_block(block, mesh, False))
        return losses

    return work, np.asarray(work())


def by_torch(name: str, compiled: bool) -> tuple[Callable[[], Any], np.ndarray]:
    import torch

    import jaxnets
    from examples.training import in_torch
    from examples.training.loader import Blocks

    chosen = experiment(name)
    torch.manual_seed(0)
    weights = {k: np.asarray(v) for k, v in jaxnets.state_dict(chosen.model(jaxnets.TorchRngs(0))).items()}
    model = to_device(in_torch.first_model(chosen, 0, weights, "float32")[0])
    optimizer = in_torch.make_optimizer(chosen, model)
    loss = torch.compile(chosen.loss) if compiled else chosen.loss
    block = [to_device(torch.from_numpy(array)) for array in Blocks(chosen, 0)[0]]

    def step(batch: Any) -> torch.Tensor:
        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            value = loss(model, torch.nn.functional, *batch)
            value.backward()
            return value

        return optimizer.step(closure).detach()

    def work() -> torch.Tensor:
        return torch.stack([step(batch) for batch in zip(*block, strict=True)])

    return work, work().cpu().numpy()


def side(framework: str, results: str) -> None:
    """Serves programs, named `NAME | train`."""

    def prepare(task: str) -> tuple[Callable[[], Any], dict[str, Any], dict[str, Any]]:
        name = task.removesuffix(" | train")
        work, losses = by_jaxnets(name) if framework == "jaxnets" else by_torch(name, framework.endswith("compiled"))
        return work, {"steps": len(losses)}, {"losses": losses}

    serve(prepare, Path(results))


def main(
    only: Only = None, report: Report = None, seconds: Seconds = 2.0, with_: With = None, device: On = Device.CPU
) -> None:
    """Times the training steps of the programs."""
    tasks = [f"{name} | train" for name in PROGRAMS]
    options = {"only": only, "report": report, "seconds": seconds, "with_": with_, "device": device}
    run(tasks, ("benchmarks.steps", "--side"), SIDES, **options, tolerance=TOLERANCE)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        side(*sys.argv[2:])
    else:
        typer.run(main)
