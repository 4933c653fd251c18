"""The page of the benchmarks, from their results: `python -m benchmarks.page`, the end of `make bench`.

Reads the JSON lines that `benchmarks.layers`, `benchmarks.models` and `benchmarks.checkpoints` leave in the folder of
results, writes the tables and the pictures, and adds a line to the history. With `--device gpu` it does so with a GPU's
results, which have a folder and a page of their own.
"""

import json
import os
import platform
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import typer

from benchmarks import layout
from benchmarks.compare import PASSES, On, summary
from benchmarks.where import Device

DOCS = Path(__file__).parents[1] / "docs"
SHOWN = ("jaxnets", "torch compiled", "flax", "equinox", "lax", "torchax")

TEXT = """# Speed{title}

`{command}` measures and writes this page.

Each framework runs in a process of its own, and they take turns; a time is the median of the turns, a ratio the median
of the turns' ratios. Who has waited for half a second does the work once before it is timed: the host of a virtual
machine takes back what is free for two, and a program that frees its memory after each call would wait for it; in a
training run it does not. What is timed has been compared with torch's numbers: outputs, and gradients where layouts
agree. Everything in JAX is jitted; "train" is a forward pass and the gradients of parameters and inputs, of models a
whole step with SGD and momentum; "in a loop" a layer is fed its own output, in JAX by `lax.scan`. Flax has channels
last, as its layers want them. Peaks are of whole processes; that of a converted model holds torch and the model that
was converted, too. What is compared stands in one row and was measured in one run; rows of a table may be of different
runs, of which the last is named here.{more}

{machine}

"""


ON_CPU = """

A model's training step donates its parameters. XLA's CPU backend copies them first, unless it is told to look closer,
`jax.jit(step, donate_argnums=..., compiler_options={"xla_cpu_copy_insertion_use_region_analysis": True})`, as the
command does. The larger the parameters beside the work, the more that is worth.

JAX asks the system for a program's memory anew at each call. On Linux (glibc 2.35 or later) it comes faster in huge
pages: `GLIBC_TUNABLES=glibc.malloc.hugetlb=1` in front of the command. It is not set in these tables; in front of
`python -m benchmarks.models --only resnet50` it is for all sides, and shows what it is worth on a machine."""


ON_GPU = """

All multiply in TF32, and ten calls are made one after another before their results are waited for. Most rows are small
for such a card: what is measured of them is mostly the time to launch programs. Of the other layers, densenet121 and
shufflenet four rows at a time shared the card. `python -m benchmarks.forms` times the
forms of a convolution on a GPU, too."""

LAYOUT = """Trunks of networks by jaxnets with the channels first, as its layers have them, and with the channels last
between the layers, and both by plain `lax` (`python -m benchmarks.layout`): whether such a route would pay.
"""

DRAWN = """Layers and shapes that nobody chose (`python -m benchmarks.layers --drawn`); shown are the slowest of them.
"""
SLOWEST = 12

STEPS = "Blocks of steps of the programs in `examples/`; [their page](examples.md) shows them at full length.\n"


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(rows: list[dict[str, Any]], pass_: str, memory: bool = False) -> str:
    """torch's time, and everybody's in terms of it."""
    rows = [row for row in rows if row["row"].endswith(f" | {pass_}")]
    shown = [side for side in SHOWN if any("median" in row["sides"].get(side, {}) for row in rows)]
    titles = [
        "",
        "torch (ms)",
        *(f"{side} / torch" for side in shown),
        "jaxnets, quartiles",
        "compile (s)",
        "difference",
    ]
    titles += ["peak MB, jaxnets / torch"] * memory
    lines = [f"| {' | '.join(titles)} |", f"| --- |{' ---: |' * (len(titles) - 1)}"]
    for row in rows:
        sides = row["sides"]
        ours = sides.get("jaxnets", {})
        cells = [row["row"].removesuffix(f" | {pass_}"), f"{1e3 * sides['torch']['median']:.3g}"]
        cells += [f"{sides[s]['to torch'][0]:.2f}" if "median" in sides.get(s, {}) else "" for s in shown]
        if "median" in ours:
            cells += [f"{ours['to torch'][1]:.2f} to {ours['to torch'][2]:.2f}"]
            cells.append(f"{ours['compile']:.1f}" if "compile" in ours else "")
            cells += [f"{ours['difference']:.0e}"]
        else:
            cells += ["failed", "", ""]
        if memory:
            cells.append(f"{ours.get('bytes', 0) / 1e6:.0f} / {sides['torch']['bytes'] / 1e6:.0f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def slowest(rows: list[dict[str, Any]], pass_: str) -> list[dict[str, Any]]:
    """Those of a pass in which jaxnets is slowest beside torch."""
    measured = [row for row in rows if row["row"].endswith(f" | {pass_}") and "to torch" in row["sides"]["jaxnets"]]
    return sorted(measured, key=lambda row: -row["sides"]["jaxnets"]["to torch"][0])[:SLOWEST]


def means(rows: list[dict[str, Any]]) -> str:
    """Geometric means and extremes."""
    lines = ["| pass | ratio | geometric mean | greatest | rows |", "| --- | --- | ---: | ---: | ---: |"]
    for pass_, label, mean, worst, count in summary(rows):
        lines.append(f"| {pass_} | {label} | {mean:.2f} | {worst:.2f} | {count} |")
    return "\n".join(lines) + "\n"


def files(rows: list[dict[str, Any]]) -> str:
    lines = ["| file | torch (ms) | jaxnets (ms) | safetensors (ms) |", "| --- | ---: | ---: | ---: |"]
    for row in rows:
        cells = [
            f"{1e3 * row['sides'][side]['median']:.2f}" if "median" in row["sides"].get(side, {}) else ""
            for side in ("torch", "jaxnets", "safetensors")
        ]
        lines.append(f"| {row['row'].replace(' | ', ', ')} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def picture(rows: list[dict[str, Any]], path: Path) -> None:
    """Each row's ratios to torch, on a logarithmic axis."""
    figure, axes = plt.subplots(1, 2, figsize=(12, 0.24 * len(rows) / 2 + 1.5), sharey=True, layout="constrained")
    for panel, pass_ in zip(axes, PASSES, strict=True):
        chosen = [row for row in rows if row["row"].endswith(f" | {pass_}")]
        for side, mark in (("jaxnets", "o"), ("lax", "x"), ("flax", "+"), ("torch compiled", "|"), ("torchax", "x")):
            points = [
                (row["sides"][side]["to torch"][0], i)
                for i, row in enumerate(chosen)
                if "median" in row["sides"].get(side, {})
            ]
            if points:
                panel.plot(*zip(*points, strict=True), mark, label=side)
        panel.axvline(1, color="black", linewidth=0.7)
        panel.set(xscale="log", title=f"{pass_}: time in terms of torch's")
        panel.set_yticks(range(len(chosen)), [row["row"].removesuffix(f" | {pass_}") for row in chosen], fontsize=7)
        panel.grid(axis="x", alpha=0.3)
    axes[0].invert_yaxis()
    axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def machine(rows: list[dict[str, Any]]) -> str:
    """The devices, and the versions of the last run."""
    if not rows:
        raise SystemExit("benchmarks.page: no results; run make bench first")
    on = max((row["on"] for row in rows), key=lambda on: on["date"])
    where = f"device {' or '.join(sorted({row['on']['device'] for row in rows}))}"
    if on["device"] == "cpu":
        where = f"{platform.machine()}, {os.cpu_count()} cores, {where}"
    return f"{where}, torch {on['torch']}, JAX {on['JAX']}, {on['date']}."


def main(device: On = Device.CPU) -> None:
    """Writes the page of a device."""
    gpu = device == Device.GPU
    page, results = ("benchmarks_gpu.md", "benchmarks/gpu") if gpu else ("benchmarks.md", "benchmarks")
    names = "layers", "every", "drawn", "models", "scaling", "layout", "steps", "checkpoints"
    layers, every, drawn, models, scaling, layouts, steps, checkpoints = (
        read(DOCS / results / f"{name}.jsonl") for name in names
    )
    where = machine([*layers, *every, *drawn, *models, *scaling, *steps])
    command, title = ("make bench DEVICE=gpu", " on a GPU") if gpu else ("make bench", "")
    text = TEXT.format(title=title, command=command, more=ON_GPU if gpu else ON_CPU, machine=where)
    parts = (
        ("Layers", layers, "layers"),
        ("Other layers", every, ""),
        ("Models", models, "models"),
        ("Scaling", scaling, ""),
    )
    for title, rows, name in parts:
        if not rows:
            continue
        text += f"## {title}\n\n{means(rows)}\n"
        if name:
            picture(rows, DOCS / results / f"{name}.png")
            text += f"![{title}: time in terms of torch's]({results}/{name}.png)\n\n"
        for pass_ in PASSES:
            text += f"### {title}, {pass_}\n\n{table(rows, pass_, memory=name == 'models' and not gpu)}\n"
    if drawn:
        text += f"## Drawn layers\n\n{DRAWN}\n{means(drawn)}\n"
        for pass_ in PASSES:
            text += f"### Drawn layers, {pass_}\n\n{table(slowest(drawn, pass_), pass_)}\n"
    if layouts:
        text += f"## Channels last\n\n{LAYOUT}\n{layout.table(layouts)}\n"
    if steps:
        text += f"## Training steps of the examples\n\n{STEPS}\n{means(steps)}\n{table(steps, 'train')}\n"
    if checkpoints:
        text += (
            f"## Files\n\nUntil names and shapes are known (open), and all numbers are read.\n\n{files(checkpoints)}\n"
        )
    (DOCS / page).write_text(text)
    found = {
        name: summary(rows)
        for name, rows in (
            ("layers", layers),
            ("other layers", every),
            ("drawn layers", drawn),
            ("models", models),
            ("steps", steps),
        )
    }
    with (DOCS / results / "history.jsonl").open("a") as file:
        file.write(json.dumps({"machine": where, **found}) + "\n")


if __name__ == "__main__":
    typer.run(main)
