"""Runs every program of the seed at full length, beside torch, and writes the page of results: `make examples`."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from examples.training.report import CLOSE, row

DOCS = Path(__file__).parents[1] / "docs"

# what it shows, and the command that shows it
PROGRAMS = {
    "a quadratic, its steps by hand": "quadratic",
    "a line, by eight optimizers": "linear_regression",
    "logistic regression": "logistic_regression",
    "breast cancer": "breast_cancer",
    "breast cancer, BatchNorm1d first": "breast_cancer --norm",
    "breast cancer, mini-batches": "breast_cancer --mini-batches --workers 2",
    "digits, fully connected": "digits_nets --net mlp",
    "digits, CNN 1": "digits_nets --net cnn1",
    "digits, CNN 2": "digits_nets --net cnn2",
    "digits, Inception": "digits_nets --net inception",
    "digits, residual, BatchNorm2d": "digits_nets --net residual",
    "hello, RNNCell": "hello --net cell",
    "hello, RNN": "hello --net rnn",
    "hello, embedding": "hello --net embedding",
    "names, GRU": "names",
    "names, bidirectional GRU": "names --bidirectional",
}

# those whose rounding grows, shorter, and in float64
IN_FLOAT64 = {
    "breast cancer": "breast_cancer --epochs 250",
    "digits, residual, BatchNorm2d": "digits_nets --net residual --epochs 1",
}

TEXT = f"""# Training beside torch

Each program of `examples/` trains one model twice: in JAX, with `jaxnets.nn` and `jaxnets.optim` in one compiled step,
and in torch. Both begin with the same weights, those of `torch.manual_seed(0)`, see the same batches in the same
order, and compute in float32 on a CPU. `python -m examples.breast_cancer --torch` runs one of them, `--help` lists its
flags, `make examples` writes this page.

"greatest difference" is that of the two losses of a step, over all steps, relative to torch's loss (to a thousandth of
the first loss where torch's is less). "steps within {CLOSE:g}" is for how many steps no difference exceeds that. A pair
is JAX / torch. A step's time is the median, with the data's way to the device, without compiling.
"""

ROUNDING = """
## Where rounding grows

Training can make much of the last bit: with data of very different scales and a large learning rate, with batch
normalisation, with an optimizer that divides a vanishing gradient by its own size. Two float32 runs part then, whoever
computes them. In float64 the first steps, which these tables count, differ by that precision's last bits. Breast cancer
without normalisation is chaotic: its float64 runs part, too, only later (from about step 390 on, in float32 from 340).

"""


def main() -> int:
    environment = {"OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu"} | dict(os.environ)
    pictures = DOCS / "examples"
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir()
    with tempfile.TemporaryDirectory(prefix="jaxnets-examples-") as name:

        def run(command: str, folder: str, *more: str) -> Path:
            out = Path(name) / folder
            arguments = [*command.split(), "--torch", "--out", str(out), *more]
            subprocess.run(
                [sys.executable, "-m", f"examples.{arguments[0]}", *arguments[1:]], check=True, env=environment
            )
            return out

        runs = {title: run(command, slug(title)) for title, command in PROGRAMS.items()}
        exact = {
            title: run(command, slug(title) + "_64", "--precision", "float64") for title, command in IN_FLOAT64.items()
        }
        (DOCS / "examples.md").write_text(page(runs, exact, pictures))
    return 0


def page(runs: dict[str, Path], exact: dict[str, Path], pictures: Path) -> str:
    """The page's text; its pictures are copied to `pictures`."""
    lines = [TEXT, table_of(runs), f"\n{machine()}\n", ROUNDING, table_of(exact), "\n## Curves\n"]
    for title, out in runs.items():
        curves = out / "losses.png" if (out / "losses.png").exists() else next(out.glob("*/losses.png"))
        lines.append(f"### {title}\n\n`python -m examples.{PROGRAMS[title]} --torch`\n")
        for picture in (curves, *sorted(out.glob("*/p*.png"))):
            target = pictures / f"{slug(title)}_{picture.name}"
            shutil.copy(picture, target)
            lines.append(f"![{title}: {picture.stem}](examples/{target.name})\n")
    return "\n".join(lines)


def table_of(runs: dict[str, Path]) -> str:
    """A row for each experiment."""
    lines = [
        "| program | steps | last loss | greatest difference | steps within 1e-3 | accuracy | best | µs a step |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for title, out in runs.items():
        results = sorted(out.glob("*/results.json"))
        for path in results:
            numbers: dict[str, Any] = json.loads(path.read_text())
            name = title if len(results) == 1 else f"{title}: {path.parent.name.partition('_')[2]}"
            lines.append(f"| {' | '.join([name, *row(numbers)])} |")
    return "\n".join(lines)


def slug(title: str) -> str:
    return re.sub(r"\W+", "_", title.lower())


def machine() -> str:
    """Where this was measured, and with what."""
    import jax
    import torch

    versions = f"torch {torch.__version__} on one thread, JAX {jax.__version__}"
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {versions}; "
        f"load average {os.getloadavg()[2]:.1f}, of which the programs themselves are about one."
    )


if __name__ == "__main__":
    sys.exit(main())
