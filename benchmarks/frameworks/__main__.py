"""The side of one framework: `python -m benchmarks.frameworks NAME FOLDER`."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.clock import serve
from benchmarks.rows import ROWS, SCALING


def main(framework: str, folder: str) -> None:
    """Serves rows, named `NAME | forward` or `NAME | train`, and leaves their results in the folder."""
    rows = {row.name: row for row in ROWS + SCALING}
    module = importlib.import_module(f"benchmarks.frameworks.{framework.removesuffix(' compiled')}")

    def prepare(name: str) -> tuple[Callable[[], Any], dict[str, Any]]:
        row, _, pass_ = name.rpartition(" | ")
        train = pass_ == "train"
        facts: dict[str, Any] = {}
        if hasattr(module, "pure"):
            from benchmarks.frameworks.jit import compiled_work

            work, results, facts["compile"] = compiled_work(module.pure(rows[row], train), train)
        else:
            work, results = module.prepared(rows[row], train, framework.endswith(" compiled"))
        np.savez(Path(folder) / f"{framework}.npz", **results)
        return work, facts

    serve(prepare)


if __name__ == "__main__":
    main(*sys.argv[1:])
