"""The side of one framework: `python -m benchmarks.frameworks NAME RESULTS`."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.clock import serve
from benchmarks.drawn import DRAWN
from benchmarks.every import EVERY
from benchmarks.rows import ON_GPU, ROWS, SCALING


def main(framework: str, results: str) -> None:
    """Serves rows, named `NAME | forward` or `NAME | train`."""
    rows = {row.name: row for row in ROWS + SCALING + ON_GPU + EVERY + DRAWN}
    module = importlib.import_module(f"benchmarks.frameworks.{framework.removesuffix(' compiled')}")

    def prepare(task: str) -> tuple[Callable[[], Any], dict[str, Any], dict[str, Any]]:
        name, _, pass_ = task.rpartition(" | ")
        train = pass_ == "train"
        if not hasattr(module, "pure"):
            work, arrays = module.prepared(rows[name], train, framework.endswith(" compiled"))
            return work, {}, arrays
        from benchmarks.frameworks.jit import compiled_work, in_half, repeated

        pure = repeated(module.pure(rows[name], train), rows[name].times)
        pure = in_half(pure) if rows[name].half else pure
        work, arrays, seconds = compiled_work(pure, train)
        return work, {"compile": seconds}, arrays

    serve(prepare, Path(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
