"""What is shown: progress, a table, curves."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from examples.training.history import History
from examples.training.loader import Blocks

__all__ = ["CLOSE", "HEADINGS", "Result", "console", "progress", "relative_differences", "row", "show"]

CLOSE = 1e-3
"""Two curves are told apart in a picture from about here on."""

HEADINGS = (
    "program",
    "steps",
    "last loss",
    "greatest difference",
    f"steps within {CLOSE:g}",
    "accuracy",
    "best accuracy",
    "microseconds a step",
)

console = Console(width=None if sys.stdout.isatty() else 140)  # a file has room for the whole table


class Result(NamedTuple):
    """What came of an experiment, in torch too if it was asked for."""

    name: str
    ours: History
    theirs: History | None = None
    same_start: bool | None = None


def relative_differences(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """The differences of two curves, relative to torch's loss at that step.

    Losses below a thousandth of the first one are compared as if they were that: what is left of a loss there is
    the rounding of numbers of the data's size.
    """
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    return abs(ours - theirs) / np.maximum(abs(theirs), 1e-3 * abs(theirs[0]))


@contextmanager
def progress(title: str, blocks: Blocks, visible: bool) -> Iterator[Callable[[int, float], None]]:
    """A bar over all steps, as a function of the steps done and the last loss."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=not visible) as bar:
        task = bar.add_task(title, total=sum(map(len, blocks.plan)), loss="")
        yield lambda steps, loss: bar.update(task, completed=steps, loss=f"{loss:.4g}")


def show(results: list[Result], out: Path) -> None:
    """Prints the table, writes its numbers as `results.json`, draws the curves into `losses.png`."""
    table = Table(*HEADINGS)
    for result in results:
        numbers = summary(result)
        table.add_row(result.name, *row(numbers))
        (out / result.name / "results.json").write_text(json.dumps(numbers, indent=1) + "\n")
        draw([result], out / result.name / "losses.png")
    console.print(table)
    if len(results) > 1:
        draw(results, out / "losses.png")


def summary(result: Result) -> dict[str, Any]:
    """The numbers of a result; a pair is JAX's and torch's."""
    sides = [history for history in (result.ours, result.theirs) if history]
    numbers = {
        "steps": len(result.ours),
        "loss": [float(history.curve[-1]) for history in sides],
        "accuracy": [history.accuracies[-1] for history in sides if history.accuracies],
        "best": [max(history.accuracies) for history in sides if history.accuracies],
        "microseconds": [1e6 * history.seconds_per_step for history in sides],
    }
    if result.theirs:
        differences = relative_differences(result.ours.curve, result.theirs.curve)
        apart = np.flatnonzero(differences > CLOSE)
        numbers |= {
            "difference": float(differences.max()),
            "close_for": int(apart[0]) if len(apart) else len(differences),
            "same_start": result.same_start,
        }
    return numbers


def row(numbers: dict[str, Any]) -> list[str]:
    """The numbers as the cells of a table, below `HEADINGS`."""
    pairs = {name: " / ".join(f"{x:.4g}" for x in numbers[name]) for name in ("loss", "accuracy", "best")}
    cells = [str(numbers["steps"]), pairs["loss"]]
    if "difference" in numbers:
        cells += [f"{numbers['difference']:.1e}", str(numbers["close_for"])]
    else:
        cells += ["", ""]
    return [*cells, pairs["accuracy"], pairs["best"], " / ".join(f"{x:.0f}" for x in numbers["microseconds"])]


def draw(results: list[Result], path: Path) -> None:
    """The loss of every step: one panel for each experiment, torch's curve dashed over ours."""
    columns = min(4, len(results))
    rows = -(-len(results) // columns)
    figure = Figure(
        figsize=(5 if columns == 1 else 3 * columns, 3.2 if rows == 1 else 2.6 * rows), layout="constrained"
    )
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, result in zip(panels, results, strict=False):
        panel.plot(result.ours.curve, label="JAX", linewidth=2.5, color="tab:orange")
        if result.theirs:
            panel.plot(result.theirs.curve, "--", label="torch", linewidth=1, color="black")
        panel.set(title=result.name, xlabel="step", ylabel="loss")
        if result.ours.curve.min() > 0 and result.ours.curve.max() > 100 * result.ours.curve.min():
            panel.set_yscale("log")
        panel.legend()
    for panel in panels[len(results) :]:
        panel.set_axis_off()
    figure.savefig(path, dpi=80)
