"""Layers against torch and other JAX libraries: `python -m benchmarks.layers [--only PATTERN] [--report FILE]`.

Each framework runs in a process of its own, and they take turns. Outputs and gradients are compared with torch's before
anything is timed. All JAX sides are jitted. `pip install equinox` for its column.
"""

from typing import Annotated

import typer

from benchmarks.compare import PASSES, On, Only, Report, Seconds, With, run
from benchmarks.drawn import DRAWN
from benchmarks.every import EVERY
from benchmarks.rows import ON_GPU, ROWS, SCALING
from benchmarks.where import Device

SIDES = ("torch", "jaxnets", "torch compiled", "flax", "equinox", "lax")
TOLERANCE = 1e-4
"""Greatest difference from torch's result, in terms of its greatest number, of what is timed."""


def main(
    only: Only = None,
    report: Report = None,
    seconds: Seconds = 1.0,
    with_: With = None,
    device: On = Device.CPU,
    scaling: Annotated[bool, typer.Option(help="The rows over batch, length and channels.")] = False,
    every: Annotated[bool, typer.Option(help="A row for each other layer.")] = False,
    drawn: Annotated[bool, typer.Option(help="Rows of drawn layers and shapes.")] = False,
) -> None:
    """Times the forward pass and a pass with gradients of each layer."""
    rows = ROWS + ON_GPU * (device == Device.GPU)
    for asked, others in ((scaling, SCALING), (every, EVERY), (drawn, DRAWN)):
        rows = others if asked else rows
    tasks = [f"{row.name} | {pass_}" for row in rows for pass_ in PASSES]
    options = {"only": only, "report": report, "seconds": seconds, "with_": with_, "device": device}
    run(tasks, ("benchmarks.frameworks",), SIDES, **options, tolerance=TOLERANCE)


if __name__ == "__main__":
    typer.run(main)
