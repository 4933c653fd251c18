"""Time of the same work in several frameworks: each in a process of its own, in turns, medians and their spread.

A side is a program that says it is ready with one line of JSON, and then for each line of its input does the work once
and prints the seconds it took. Thread pools of two frameworks in one process fight; two processes take turns.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

__all__ = ["Side", "Timing", "geometric_mean", "interleaved", "ratio", "serve"]


def serve(work: Callable[[], Any], **facts: Any) -> None:
    """What a side's program ends with: tells `facts`, and works as often as it is asked to."""
    print(json.dumps(facts), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        work()
        print(time.perf_counter() - began, flush=True)


class Side:
    """A side's process; a context. `facts` is what it told when it was ready."""

    def __init__(self, *arguments: str) -> None:
        environment = os.environ | {
            "OMP_WAIT_POLICY": "PASSIVE",
            "JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS", "cpu"),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def __enter__(self) -> Self:
        self.facts: dict[str, Any] = json.loads(self._line())
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()

    def seconds(self) -> float:
        """The time of the work, done once."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self._line())

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            _, errors = self.process.communicate()
            raise RuntimeError(errors.strip().splitlines()[-1] if errors.strip() else "the process ended")
        return line


@dataclass(frozen=True)
class Timing:
    """Seconds of each turn."""

    turns: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.turns)


def interleaved(sides: Mapping[str, Side], seconds: float = 5.0, least: int = 7, most: int = 100) -> dict[str, Timing]:
    """The times of all sides, one after the other in each turn, until `seconds` are used by each on the average."""
    for side in sides.values():  # caches and thread pools
        side.seconds()
    turns: dict[str, list[float]] = {name: [] for name in sides}
    began = time.monotonic()
    for turn in range(most):
        if turn >= least and time.monotonic() - began > seconds * len(sides):
            break
        for name, side in sides.items():
            turns[name].append(side.seconds())
    return {name: Timing(tuple(times)) for name, times in turns.items()}


def ratio(a: Timing, b: Timing) -> tuple[float, float, float]:
    """The median of `a / b`, turn by turn, with the first and the third quartile."""
    ratios = [x / y for x, y in zip(a.turns, b.turns, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return middle, low, high


def geometric_mean(values: Sequence[float]) -> float:
    return statistics.geometric_mean(values)
