"""The user's code while it runs: its lines, and how its local variables call tensors, sizes and numbers."""

import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch.nn.utils import rnn

from jaxnets.convert.sizes import Size
from jaxnets.convert.trace import Call, Place
from jaxnets.convert.tracing.aliasing import Aliases

__all__ = ["CONVERTER", "first_line", "line", "note_names", "own_backward", "running"]

CONVERTER = Path(__file__).parents[1]

PLUMBING = (f"{Path(torch.__file__).parent}{os.sep}", f"{CONVERTER}{os.sep}", "<@", inspect.__file__)
"""Files whose frames are not the user's code."""

TELLING = "telling"
"""The function that stands in the place of each forward; its variable `call` is what is written down of it."""


def running(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Runs a forward: only what it calls is at a line of it, not what is done before and behind it."""
    return function(*args, **kwargs)


AUTOGRAD = torch.autograd.function.__file__


def line(frame: FrameType | None = None) -> Place | None:
    """The line of the user's code that runs now, or from which `frame` was called."""
    for user in _frames(frame or sys._getframe()):
        return Place(user.f_code.co_filename, user.f_lineno, user.f_code.co_name)
    return None


def first_line(error: BaseException) -> tuple[str, Place | None]:
    """Where an error was raised: the innermost module's name, and the line of the user's code."""
    frames = list(traceback.walk_tb(error.__traceback__))
    users = [(f, number) for f, number in frames if not f.f_code.co_filename.startswith(PLUMBING)]
    calls = [f.f_locals["call"] for f, _ in frames if f.f_code.co_name == TELLING and "call" in f.f_locals]
    place = Place(users[-1][0].f_code.co_filename, users[-1][1], users[-1][0].f_code.co_name) if users else None
    return calls[-1].path if calls else "", place


def note_names(scope: Call, aliases: Aliases, frame: FrameType | None = None) -> None:
    """Notes how the local variables of the user's code call the tensors and sizes that there are."""
    for user in reversed(list(_frames(frame or sys._getframe()))):  # forward's own names first
        for name, x in user.f_locals.items():
            x = x.data if isinstance(x, rnn.PackedSequence) else x
            if isinstance(x, torch.Tensor):
                value = aliases.known(x)
                if value is not None:
                    names = value.names.setdefault(scope, [])
                    if name not in names:
                        names.append(name)
            elif isinstance(x, list) and x and all(isinstance(y, torch.Tensor) for y in x):
                held = tuple(aliases.known(y) for y in x)
                if all(held) and held not in scope.lists.values():
                    scope.lists[name, len(scope.lists)] = held
            elif isinstance(x, Size):
                scope.sizes.setdefault(id(x), (x, name))
            elif isinstance(x, float | int) and not isinstance(x, bool):
                scope.numbers.setdefault(x, name)


def own_backward() -> type | None:
    """The user's `torch.autograd.Function` in whose forward we are: JAX would take the derivative of that."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_name != TELLING:
        if frame.f_code.co_name == "apply" and frame.f_code.co_filename == AUTOGRAD:
            cls = frame.f_locals.get("cls")
            return cls if cls is not None and not cls.__module__.startswith("torch.") else None
        frame = frame.f_back
    return None


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    """The frames of the user's code in the module's forward, the innermost first."""
    while frame is not None:
        if not frame.f_code.co_filename.startswith(PLUMBING):
            yield frame
        elif frame.f_code is running.__code__:
            return
        frame = frame.f_back
