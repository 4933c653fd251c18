"""Layers against torch and other JAX libraries: `python -m benchmarks.layers [--only PATTERN] [--report FILE]`.

Each framework runs in a process of its own, and they take turns. Outputs and gradients are compared with torch's before
anything is timed. All JAX sides are jitted. `pip install equinox` for its column.
"""

import contextlib
import json
import tempfile
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.clock import Side, SideError, geometric_mean, interleaved, ratio
from benchmarks.rows import ROWS, SCALING

SIDES = ("torch", "jaxnets", "torch compiled", "flax", "equinox", "lax")
PASSES = ("forward", "train")
TOLERANCE = 1e-4
"""Greatest difference from torch's result, in terms of its greatest number, of what is timed."""


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
    name: str, sides: dict[str, Side], folder: Path, seconds: float, tolerance: float = TOLERANCE
) -> dict[str, Any]:
    """A row of results: for each side its median, its ratio to torch with quartiles, compile time, difference."""
    row: dict[str, Any] = {"row": name, "sides": {}}
    expected: Any = None
    ready: dict[str, Side] = {}
    for framework, side in sides.items():
        try:
            facts = side.prepare(name)
            with np.load(folder / f"{framework}.npz") as file:
                results = dict(file)
            expected = results if expected is None else expected
            facts["difference"] = difference(results, expected)
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


def main(
    only: Annotated[list[str] | None, typer.Option(help="Rows whose name matches. Repeatable.")] = None,
    report: Annotated[Path | None, typer.Option(help="JSON lines file of the results.")] = None,
    seconds: Annotated[float, typer.Option(help="Time for each side of a row.")] = 1.0,
    with_: Annotated[list[str] | None, typer.Option("--with", help="Sides beside torch; all when not given.")] = None,
    scaling: Annotated[bool, typer.Option(help="The rows over batch, length and channels.")] = False,
) -> None:
    """Times the forward pass and a pass with gradients of each layer."""
    rows = []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        chosen = [side for side in SIDES if side == "torch" or not with_ or side in with_]
        sides = {side: stack.enter_context(Side("benchmarks.frameworks", side, folder)) for side in chosen}
        for layer in SCALING if scaling else ROWS:
            for pass_ in PASSES:
                name = f"{layer.name} | {pass_}"
                if only and not any(fnmatch(name, f"*{pattern}*") for pattern in only):
                    continue
                rows.append(measured(name, sides, Path(folder), seconds))
                print(line(rows[-1]), flush=True)
                if report:
                    report.parent.mkdir(parents=True, exist_ok=True)
                    report.write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(printed(rows))


if __name__ == "__main__":
    typer.run(main)
