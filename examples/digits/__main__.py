"""Trains two models in PyTorch, runs their checkpoints in JAX, gives them back, and shows that all are the same."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from examples.digits import in_torch

LIMIT = 1e-4  # of a layer's greatest difference: float32 sums of some hundred terms in another order


def main() -> int:
    console = Console(width=100)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="jaxnets-demo-") as name:
        folder = Path(name)
        console.print("[1/3] PyTorch trains two models on handwritten digits and saves their checkpoints")
        in_torch.train(folder, console.print)
        console.print("[2/3] JAX, in a process that cannot import torch, loads, evaluates and saves them")
        process = subprocess.run(
            [sys.executable, "-m", "examples.digits.in_jax", name], stdout=subprocess.PIPE, text=True, check=True
        )
        measured = json.loads(process.stdout)
        console.print("[3/3] PyTorch loads what JAX saved\n")
        verdicts = [show(console, folder, model, measured[model]) for model in measured]
    console.print(
        f"{'Equal' if all(verdicts) else 'NOT EQUAL'}: {sum(verdicts)} of {len(verdicts)} models, "
        f"{time.perf_counter() - begin:.0f} s in all"
    )
    return 0 if all(verdicts) else 1


def show(console: Console, folder: Path, name: str, measured: dict) -> bool:
    """Prints one model's tables; True if JAX and PyTorch agree on all of it."""
    table = Table("layer", "class", "greatest difference", title=name, title_justify="left")
    classes = {layer: type(module).__name__ for layer, module in in_torch.MODELS[name]().named_modules()}
    for layer, difference in measured["differences"].items():
        table.add_row(layer, classes.get(layer, classes[""]), f"{difference:.1e}")
    console.print(table)

    identical, predicts_same = in_torch.read_back(folder, name)
    seconds = ", ".join(f"{what} {s:.2f} s" for what, s in measured["seconds"].items())
    console.print(f"  accuracy           {measured['torch_accuracy']:.4f} in torch, {measured['accuracy']:.4f} in JAX")
    console.print(f"  other predictions  {measured['disagreements']}")
    console.print(f"  round trip         {'bit for bit' if identical else 'CHANGED'}, loads into torch")
    console.print(f"  time in JAX        {seconds}\n")
    return (
        max(measured["differences"].values()) < LIMIT
        and measured["disagreements"] == 0
        and measured["accuracy"] == measured["torch_accuracy"]
        and identical
        and predicts_same
    )


if __name__ == "__main__":
    sys.exit(main())
