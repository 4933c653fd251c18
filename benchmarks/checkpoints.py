"""Reading a checkpoint with jaxnets, torch and safetensors: `python -m benchmarks.checkpoints [--report FILE]`.

A ResNet-50's and a ViT-B/16's state, in torch's own format and as safetensors. "open" is until the names and shapes are
known, "read" until every number has been read once; files are in the page cache. Each reader is a process of its own.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import typer

from benchmarks.clock import serve
from benchmarks.compare import Only, Report, Seconds, With, run

MODELS = ("resnet50", "vit_b_16")
READERS = ("torch", "jaxnets", "safetensors")
HOW = ("open", "read")
TOLERANCE = 1e-3
"""Of the sum of all numbers, most of which cancel, in each reader's own float32."""


def side(reader: str, folder: str, results: str) -> None:
    """Serves `MODEL.EXTENSION | open` and `MODEL.EXTENSION | read`."""

    def load(path: Path) -> dict[str, Any]:
        if reader == "jaxnets":
            import jaxnets

            return jaxnets.load(path)
        if reader == "safetensors" or path.suffix == ".safetensors":
            from safetensors import safe_open
            from safetensors.torch import load_file

            if reader == "torch":
                return load_file(path)
            with safe_open(path, "numpy") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        import torch

        return torch.load(path, mmap=True, weights_only=True)

    def prepare(task: str) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        name, _, how = task.partition(" | ")
        path = Path(folder) / name
        if reader == "safetensors" and path.suffix != ".safetensors":
            raise ValueError("not its format")

        def work() -> float:
            state = load(path)
            return sum(float(np.asarray(value).sum()) for value in state.values()) if how == "read" else len(state)

        return work, {}, {"found": np.asarray(work())}

    serve(prepare, Path(results))


def main(only: Only = None, report: Report = None, seconds: Seconds = 1.0, with_: With = None) -> None:
    """Times the opening and the reading of files."""
    import torch

    import jaxnets
    from examples import vision

    with tempfile.TemporaryDirectory() as folder:
        for model in MODELS:
            state = {name: value.detach() for name, value in vision.prepared(model).state_dict().items()}
            torch.save(state, Path(folder) / f"{model}.pt")
            jaxnets.save({k: v.numpy() for k, v in state.items()}, Path(folder) / f"{model}.safetensors")
        tasks = [f"{model}{end} | {how}" for model in MODELS for end in (".pt", ".safetensors") for how in HOW]
        options = {"only": only, "report": report, "seconds": seconds, "with_": with_}
        run(tasks, ("benchmarks.checkpoints", "--side", folder), READERS, **options, tolerance=TOLERANCE)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        folder, reader, results = sys.argv[2:]
        side(reader, folder, results)
    else:
        typer.run(main)
