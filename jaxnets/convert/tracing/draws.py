"""Random numbers of Python's and of numpy's global generators, which no traced program draws anew."""

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np
import torch

from jaxnets.convert.trace import Place
from jaxnets.convert.tracing.user_code import PLUMBING

__all__ = ["drawing", "first_draw"]


def _states() -> dict[str, Any]:
    """How far the generators are: each has the Mersenne Twister's numbers and a position among them."""
    numpys = np.random.get_state(legacy=False)["state"]
    return {"random": random.getstate(), "numpy.random": (numpys["key"].tobytes(), numpys["pos"])}


@contextmanager
def drawing() -> Iterator[list[str]]:
    """Fills a list with Python modules of which random numbers were drawn inside; these are the next ones again."""
    before, drawn = _states(), list[str]()
    states = random.getstate(), np.random.get_state()
    try:
        yield drawn
    finally:
        after = _states()
        drawn += [name for name, state in before.items() if after[name] != state]
        random.setstate(states[0])
        np.random.set_state(states[1])


def first_draw(generator: str, module: torch.nn.Module, function: Callable[[], Any]) -> tuple[str, Place | None]:
    """The name of the module in whose forward, and the line at which, a call draws a generator's first number."""
    names = {id(part): name for name, part in module.named_modules()}
    skipped = (*PLUMBING, random.__file__)
    with drawing():
        before, frames, found = _states()[generator], list[tuple[FrameType, int]](), list[tuple[FrameType, int]]()

        def trace(frame: FrameType, event: str, arg: Any) -> Any:
            if found:
                return None
            if frame.f_code.co_filename.startswith(skipped):
                return None  # what it calls is asked for again
            if frames and _states()[generator] != before:
                found.append(frames[-1])
                return None
            # behind a call, the rest of the line that made it runs
            here = frame.f_back if event == "return" and frame.f_back is not None else frame
            frames[:] = [(here, here.f_lineno)]
            return trace

        former = sys.gettrace()
        sys.settrace(trace)
        try:
            function()
        except Exception:
            pass  # where it was drawn is asked, not whether it works
        finally:
            sys.settrace(former)
        if not found and _states()[generator] != before:
            found = frames
    if not found:
        return "", None
    frame, number = found[0]
    place = Place(frame.f_code.co_filename, number, frame.f_code.co_name)
    inside: FrameType | None = frame
    while inside is not None:
        name = names.get(id(inside.f_locals.get("self")))
        if name is not None:
            return name, place
        inside = inside.f_back
    return "", place
