"""The flags that all training programs share."""

import dataclasses
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import numpy as np
import typer

from examples.training.experiment import Arrays, Data, Experiment

__all__ = ["Options", "Precision", "command"]


class Precision(StrEnum):
    """What is computed in."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"


def option(help: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, show_default=False, **more)


@dataclass(frozen=True)
class Options:
    """What can be said on the command line of every program."""

    epochs: Annotated[int | None, option("Passes over the data.", min=1)] = None
    lr: Annotated[float | None, option("Learning rate.", min=0)] = None
    batch: Annotated[int | None, option("Rows of a batch.", min=1)] = None
    seed: Annotated[int, option("Of the weights (those of torch.manual_seed) and of the order.", min=0)] = 0
    precision: Annotated[Precision, option("What both sides compute in.")] = Precision.FLOAT32
    workers: Annotated[int, option("Processes that read batches ahead.", min=0)] = 0
    out: Annotated[Path, option("Folder for losses, weights, pictures, results.")] = Path("out")
    torch: Annotated[bool, option("Train the same in torch, too, and compare.", "--torch")] = False
    checkpoints: Annotated[Path | None, option("Folder for checkpoints.")] = None
    every: Annotated[int, option("Steps between two checkpoints.", min=1)] = 100
    resume: Annotated[bool, option("Go on from the newest checkpoint.", "--resume")] = False
    data_parallel: Annotated[int | None, option("Devices over which a batch is split.", min=1)] = None
    fsdp: Annotated[int, option("Devices over which parameters and batches are split.", min=1)] = 1
    coordinator: Annotated[str | None, option("HOST:PORT of process 0, where there are several.")] = None
    processes: Annotated[int, option("How many processes there are.", min=1)] = 1
    process: Annotated[int, option("Which one this is.", min=0)] = 0

    def applied(self, experiment: Experiment) -> Experiment:
        """The experiment with what was said in the place of what it says itself."""
        said = {name: value for name in ("epochs", "batch") if (value := getattr(self, name)) is not None}
        arguments = experiment.arguments if self.lr is None else experiment.arguments | {"lr": self.lr}
        train, test, collate = experiment.data.train, experiment.data.test, experiment.data.collate
        data = Data(self._cast(train), test and self._cast(test), collate)
        return dataclasses.replace(experiment, data=data, arguments=arguments, **said)

    def _cast(self, arrays: Arrays) -> Arrays:
        return tuple(a.astype(self.precision) if np.issubdtype(a.dtype, np.floating) else a for a in arrays)


def command(make: Callable[..., Experiment | Iterable[Experiment]]) -> typer.Typer:
    """The program that trains what `make` returns; its options are those of `make`, then `Options`."""

    def run(**given: Any) -> None:
        from examples.training.run import run_all

        own = {name: given.pop(name) for name in inspect.signature(make).parameters}
        run_all(lambda: make(**own), Options(**given))

    hints = get_type_hints(Options, include_extras=True)
    shared = [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=hints[f.name])
        for f in dataclasses.fields(Options)
    ]
    own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in inspect.signature(make).parameters.values()]
    run.__signature__ = inspect.Signature([*own, *shared])
    run.__annotations__ = {p.name: p.annotation for p in (*own, *shared)}
    run.__doc__ = make.__doc__
    app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)
    app.command()(run)
    app.make = make  # type: ignore[attr-defined]  # for those who want the experiment without the program
    return app
