"""Reading a checkpoint with jaxnets, torch and safetensors: `python -m benchmarks.checkpoints [--report FILE]`.

A ResNet-50's and a ViT-B/16's state, in torch's own format and as safetensors. "open" is until the names and shapes are
known, "read" until every number has been read once; files are in the page cache. Each reader is a process of its own.
"""

import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.clock import Side, interleaved, serve
from benchmarks.layers import line

MODELS = ("resnet50", "vit_b_16")
READERS = ("torch", "jaxnets", "safetensors")


def side(reader: str, folder: str) -> None:
    """Serves `MODEL.EXTENSION | open` and `MODEL.EXTENSION | read`."""
    import numpy as np

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

    def prepare(task: str) -> tuple[Any, dict[str, Any]]:
        name, _, how = task.partition(" | ")
        path = Path(folder) / name
        if reader == "safetensors" and path.suffix != ".safetensors":
            raise ValueError("not its format")

        def work() -> float:
            state = load(path)
            return sum(float(np.asarray(value).sum()) for value in state.values()) if how == "read" else len(state)

        return work, {"sum": work()}

    serve(prepare)


def main(report: Annotated[Path | None, typer.Option(help="JSON lines file of the results.")] = None) -> None:
    """Times the opening and the reading of files."""
    import torch

    import jaxnets
    from examples import vision

    rows = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for model in MODELS:
            state = {name: value.detach() for name, value in vision.prepared(model).state_dict().items()}
            torch.save(state, Path(folder) / f"{model}.pt")
            jaxnets.save({k: v.numpy() for k, v in state.items()}, Path(folder) / f"{model}.safetensors")
        sides = {r: stack.enter_context(Side("benchmarks.checkpoints", "--side", r, folder)) for r in READERS}
        for model in MODELS:
            for task in (f"{model}{end} | {how}" for end in (".pt", ".safetensors") for how in ("open", "read")):
                ready = {r: s for r, s in sides.items() if r != "safetensors" or ".safetensors" in task}
                for reader in ready.values():
                    reader.prepare(task)
                times = interleaved(ready, 1.0)
                row: dict[str, Any] = {"row": task, "sides": {}}
                for reader_name, timing in times.items():
                    own = timing.median / times["torch"].median
                    row["sides"][reader_name] = {"median": timing.median, "to torch": (own, own, own)}
                rows.append(row)
                print(line(row), flush=True)
    if report:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        side(*sys.argv[2:])
    else:
        typer.run(main)
