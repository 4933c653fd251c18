"""Time of the same work in several frameworks: each in a process of its own, in turns, medians and their spread.

A side is a program that reads lines of JSON: the name of a piece of work, which it prepares, or null, and it does the
work once. It answers with facts about the work, or with the seconds that it took and the memory that it reached.
Thread pools of two frameworks in one process fight; two processes take turns.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from benchmarks.where import REPEATS, Device, described, environment, forget_peak, peak, wait

__all__ = ["Side", "SideError", "Timing", "geometric_mean", "interleaved", "ratio", "serve"]

Work = Callable[[], Any]

PAUSE = 0.5
"""Seconds; the Linux kernel reports free memory to a host after two."""


class SideError(RuntimeError):
    """A side could not do what was asked."""


def serve(prepare: Callable[[str], tuple[Work, dict[str, Any], dict[str, Any]]], results: Path) -> None:
    """What a side's program ends with.

    `prepare` makes of a name the work, facts about it, and what it computes, arrays by name, which `results` will hold.
    The work returns what is to be waited for.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else prints
    work: Work | None = None
    for line in sys.stdin:
        name = json.loads(line)
        answer: dict[str, Any]
        if name is not None:
            work = None
            try:
                work, answer, arrays = prepare(name)
                answer |= described()
                np.savez(results, **arrays)
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"[:300]}
            forget_peak()
        else:
            assert work is not None
            began = time.perf_counter()
            for _ in range(REPEATS):
                found = work()
            wait(found)
            answer = {"seconds": (time.perf_counter() - began) / REPEATS, "bytes": peak()}
            del found
        print(json.dumps(answer), file=answers, flush=True)


class Side:
    """A side's process; a context."""

    def __init__(self, *arguments: str, device: Device = Device.CPU) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=os.environ | environment(device),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def begin(self, name: str) -> None:
        """Makes the work of this name the work to do."""
        self._tell(name)

    def prepared(self) -> dict[str, Any]:
        """The facts about the work that was begun last, when it is ready."""
        facts = self._answer()
        if "error" in facts:
            raise SideError(facts["error"])
        return facts

    def work(self) -> tuple[float, int]:
        """Seconds that the work took, done once, and the most bytes in memory since it was prepared."""
        self._tell(None)
        answer = self._answer()
        return answer["seconds"], answer["bytes"]

    def _tell(self, question: str | None) -> None:
        process = self._process
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass

    def _answer(self) -> dict[str, Any]:
        process = self._process
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            process.wait()
            self._errors.seek(0)
            lines = self._errors.read().strip().splitlines()
            raise SideError(lines[-1] if lines else f"the process ended with status {process.returncode}")
        return json.loads(line)


@dataclass(frozen=True)
class Timing:
    """Seconds of each turn, and the most bytes that the process had in memory meanwhile, its frameworks included."""

    turns: tuple[float, ...]
    bytes: int = 0

    @property
    def median(self) -> float:
        return statistics.median(self.turns)


def interleaved(sides: Mapping[str, Side], seconds: float = 5.0, least: int = 7, most: int = 100) -> dict[str, Timing]:
    """The times of all sides, one after the other in each turn, until `seconds` are used by each on the average.

    A side that has waited long does the work once before it is timed: memory that it frees and asks for again each time
    may be the host's meanwhile, of a virtual machine, and would come back slowly.
    """
    for side in sides.values():  # caches and thread pools
        side.work()
    turns: dict[str, list[float]] = {name: [] for name in sides}
    peak = dict.fromkeys(sides, 0)
    last = dict.fromkeys(sides, 0.0)
    began = time.monotonic()
    for turn in range(most):
        if turn >= least and time.monotonic() - began > seconds * len(sides):
            break
        for name, side in sides.items():
            if time.monotonic() - last[name] > PAUSE:
                side.work()
            took, peak[name] = side.work()
            turns[name].append(took)
            last[name] = time.monotonic()
    return {name: Timing(tuple(times), peak[name]) for name, times in turns.items()}


def ratio(a: Timing, b: Timing) -> tuple[float, float, float]:
    """The median of `a / b`, turn by turn, with the first and the third quartile."""
    ratios = [x / y for x, y in zip(a.turns, b.turns, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return middle, low, high


def geometric_mean(values: Sequence[float]) -> float:
    return statistics.geometric_mean(values)
