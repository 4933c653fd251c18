"""What `import jaxnets` costs beside `import flax.nnx`: `python -m benchmarks.import_time [ROUNDS]`.

Each import runs in a process of its own, the two interleaved; medians, and the quartiles of the ratio.
"""

import statistics
import subprocess
import sys

NAMES = ("flax.nnx", "jaxnets")
CODE = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def seconds(name: str) -> float:
    return float(subprocess.run([sys.executable, "-c", CODE.format(name)], stdout=subprocess.PIPE, check=True).stdout)


def main(rounds: int = 15) -> None:
    for name in NAMES:
        seconds(name)  # fills the file cache
    pairs = [[seconds(name) for name in NAMES] for _ in range(rounds)]
    for name, times in zip(NAMES, zip(*pairs, strict=True), strict=True):
        print(f"import {name:9} {statistics.median(times):.3f} s")
    low, middle, high = statistics.quantiles([ours / flax for flax, ours in pairs], n=4)
    print(f"ratio            {middle:.3f} (quartiles {low:.3f} to {high:.3f}, {rounds} rounds)")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
