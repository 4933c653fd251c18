"""Tasks in several frameworks: compared first, then timed, then summed up. What the commands of the benchmarks share.

A task is named `NAME | PASS`; a framework is a side, a program that prepares tasks by name.
"""

import datetime
import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.clock import Side, SideError, geometric_mean, interleaved, ratio
from benchmarks.where import Device

__all__ = ["PASSES", "On", "Only", "Report", "Seconds", "With", "line", "printed", "run", "summary"]

PASSES = ("forward", "train")

OF_TF32 = 5e-2
"""Greatest difference of what is computed in TF32, of which a product of two numbers has ten bits."""

On = Annotated[Device, typer.Option("--device", help="Where all sides run.")]
Only = Annotated[list[str] | None, typer.Option(help="Rows whose name matches. Repeatable.")]
Report = Annotated[Path | None, typer.Option(help="JSON lines file of the results; --only changes its own rows there.")]
Seconds = Annotated[float, typer.Option(help="Time for each side of a row.")]
With = Annotated[list[str] | None, typer.Option("--with", help="Sides beside torch; all when not given.")]


def run(
    tasks: Sequence[str],
    program: Sequence[str],
    frameworks: Sequence[str],
    *,
    only: list[str] | None,
    report: Path | None,
    seconds: float,
    with_: list[str] | None,
    tolerance: float,
    device: Device = Device.CPU,
    alone: bool = False,
) -> None:
    """Measures the tasks, prints a line for each and a summary, and leaves the results in `report`.

    `program` and the name of a framework make its side; torch is the first of them. With `alone` each task has
    processes of its own, so that the memory it reached is its own. On a GPU the sides get ready side by side, and once.
    """
    if device == Device.GPU:
        tolerance, alone = max(tolerance, OF_TF32), False
    chosen = [name for name in frameworks if name == "torch" or not with_ or name in with_]
    wanted = [task for task in tasks if not only or any(fnmatch(task, f"*{pattern}*") for pattern in only)]
    rows: list[dict[str, Any]] = []
    for together in [[task] for task in wanted] if alone else [wanted]:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            sides = {
                name: stack.enter_context(Side(*program, name, str(results(folder, name)), device=device))
                for name in chosen
            }
            for task in together:
                rows.append(measured(task, sides, Path(folder), seconds, tolerance, device == Device.GPU))
                print(line(rows[-1]), flush=True)
                if report:
                    write(rows, report, tasks, keep=bool(only))
    print(printed(rows))


def write(rows: Sequence[dict[str, Any]], report: Path, tasks: Sequence[str], keep: bool) -> None:
    """Leaves the rows in a file, in the order of the tasks; `keep` those that it has of others."""
    kept = [json.loads(line) for line in report.read_text().splitlines()] if keep and report.exists() else []
    known = {row["row"]: row for row in (*kept, *rows)}
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text("".join(json.dumps(known[task]) + "\n" for task in tasks if task in known))


def results(folder: str | Path, framework: str) -> Path:
    """Where a framework's side leaves what it computed."""
    return Path(folder) / f"{framework}.npz"


def difference(results: Any, expected: Any) -> float:
    """The greatest, over the results that both have, in terms of the greatest number of each."""
    worst = 0.0
    for name in set(results) & set(expected):
        a, b = results[name], expected[name]
        if a.shape != b.shape:
            raise SideError(f"{name}: shape {a.shape}, torch has {b.shape}")
        worst = max(worst, float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)))
    return worst


def measured(
    name: str, sides: dict[str, Side], folder: Path, seconds: float, tolerance: float, at_once: bool
) -> dict[str, Any]:
    """A row of results: for each side its median, its ratio to torch with quartiles, compile time, difference.

    With `at_once` the sides get ready side by side.
    """
    row: dict[str, Any] = {"row": name, "on": {"date": datetime.date.today().isoformat()}, "sides": {}}
    expected: Any = None
    ready: dict[str, Side] = {}
    if at_once:
        for side in sides.values():
            side.begin(name)
    for framework, side in sides.items():
        try:
            if not at_once:
                side.begin(name)
            facts = side.prepared()
            row["on"] |= {key: facts.pop(key) for key in ("torch", "JAX", "device") if key in facts}
            with np.load(results(folder, framework)) as file:
                found = dict(file)
            expected = found if expected is None else expected
            facts["difference"] = difference(found, expected)
            if facts["difference"] > tolerance:
                raise SideError(f"differs from torch by {facts['difference']:.1e}")
        except SideError as error:
            row["sides"][framework] = {"error": str(error)}
            continue
        row["sides"][framework] = facts
        ready[framework] = side
    times = interleaved(ready, seconds)
    for framework, timing in times.items():
        row["sides"][framework] |= {"median": timing.median, "bytes": timing.bytes}
        row["sides"][framework]["to torch"] = ratio(timing, times["torch"])
        if "jaxnets" in times:
            row["sides"][framework]["of jaxnets"] = ratio(times["jaxnets"], timing)
    return row


def line(row: dict[str, Any]) -> str:
    """What is printed while it works."""
    cells = [f"{row['row']:60}"]
    for side, facts in row["sides"].items():
        shown = f"{1e3 * facts['median']:.1f} ms {facts['to torch'][0]:.2f}" if "median" in facts else "-"
        cells.append(f"{side} {shown}")
    return "  ".join(cells)


def summary(rows: list[dict[str, Any]]) -> list[tuple[str, str, float, float, int]]:
    """Pass, comparison, geometric mean, greatest ratio, number of rows."""
    found = []
    for pass_ in PASSES:
        for side in dict.fromkeys(side for row in rows for side in row["sides"]):
            key, label = ("to torch", f"{side} / torch") if side == "jaxnets" else ("of jaxnets", f"jaxnets / {side}")
            if side == "torch":
                continue
            values = [
                row["sides"][side][key][0]
                for row in rows
                if row["row"].endswith(pass_) and key in row["sides"].get(side, {})
            ]
            if values:
                found.append((pass_, label, geometric_mean(values), max(values), len(values)))
    return found


def printed(rows: list[dict[str, Any]]) -> str:
    """The summary as lines."""
    return "\n".join(
        f"{pass_:8} {label:28} geometric mean {mean:.2f}, greatest {worst:.2f}, {count} rows"
        for pass_, label, mean, worst, count in summary(rows)
    )
