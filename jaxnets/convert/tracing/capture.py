"""One look at a module: it runs in one mode, with one size of the batch."""

import logging
import random
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedOperatorException,
)

from jaxnets.convert.errors import ConversionError, Refusal, UnknownError, refuse
from jaxnets.convert.sizes import BATCH
from jaxnets.convert.trace import Call
from jaxnets.convert.tracing import packing, repeats
from jaxnets.convert.tracing.copies import copied
from jaxnets.convert.tracing.leaves import Leaves
from jaxnets.convert.tracing.lift import lift
from jaxnets.convert.tracing.listeners import DispatchListener, FunctionListener
from jaxnets.convert.tracing.objects import map_objects, object_tensors
from jaxnets.convert.tracing.recorder import Recorder
from jaxnets.convert.tracing.user_code import CONVERTER, first_line

__all__ = ["Trace", "capture"]

TORCHS = ("computed", "unheard", "__torch_function__", "__torch_dispatch__")
"""Functions of ours in which torch's own are called: what they raise is not ours."""


@dataclass
class Trace:
    """What `capture` found.

    Args:
        root: the call of the module.
        refusals: what cannot be converted.
        decides: whether the code decided something by the sizes of its arrays.
        length: how many calls of functions and modules there are.
    """

    root: Call
    refusals: list[Refusal] = field(default_factory=list)
    decides: bool = False
    length: int = 0


def capture(
    module: torch.nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    train: bool,
    dynamic: set[int],
    size: int = BATCH,
    longest: int | None = None,
    leaves: Leaves | None = None,
) -> Trace:
    """The trace of `module(*args, **kwargs)`.

    Args:
        module: left as it is; a copy runs.
        args: positional arguments.
        kwargs: keyword arguments.
        train: whether the whole module is in training mode.
        dynamic: which of the tensors among the arguments have a batch of any size as their first axis.
        size: that the batch has meanwhile.
        longest: after how many calls of functions and modules it is enough, since it was that many with another batch.
        leaves: what its layers gave before.
    """
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    inside = copied(module)
    inside.train(train)
    batch, leaves = _batch((args, kwargs), dynamic), leaves or Leaves()
    recorder = Recorder(inside, fake, batch, leaves, longest)
    inputs = _faked((tuple(args), dict(kwargs)), fake, dynamic, size)
    before = repeats.attributes(inside)
    _listen(recorder, inputs)
    changed = repeats.changed(before, repeats.attributes(inside))
    if changed and not recorder.refusals:
        again = Recorder(inside, fake, batch, leaves, longest=recorder.length)
        inputs = _faked((tuple(args), dict(kwargs)), fake, dynamic, size)
        if not (_repeats(recorder, again, inputs, size) or again.refusals):
            what = f"a result that depends on earlier calls, by the attribute {' or '.join(map(repr, changed))},"
            recorder.refusals.append(Refusal(what, "", "", "make it a buffer, or an argument and a result of forward"))
    recorder.reads.end()
    root = recorder.modules.root
    if not recorder.refusals:
        lift(root)
    return Trace(root, recorder.refusals, recorder.reads.decides, recorder.length)


def _repeats(first: Recorder, again: Recorder, inputs: Any, size: int) -> bool:
    """Whether a second call does what the first one did."""
    again.holds_what(first)
    try:
        _listen(again, inputs)
    except ConversionError:
        return False
    return repeats.repeats(first, again, inputs, size)


def _batch(tree: Any, dynamic: set[int]) -> int | None:
    """The batch of the arguments, where it may be of any size."""
    return object_tensors(tree)[min(dynamic)].shape[0] if dynamic else None


def _faked(tree: Any, fake: FakeTensorMode, dynamic: set[int], size: int) -> Any:
    """The arguments with tensors that have no data, and with a batch of another size."""
    count = iter(range(sys.maxsize))

    def make(x: Any) -> Any:
        if not isinstance(x, torch.Tensor):
            return x
        sizes = (size, *x.shape[1:]) if next(count) in dynamic else x.shape
        with fake:
            return torch.empty(sizes, dtype=x.dtype)

    return map_objects(make, tree)


# -- running ---------------------------------------------------------------------------------------------------------


def _listen(recorder: Recorder, inputs: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
    """Runs the module while the recorder writes down what it does."""
    module, (args, kwargs) = recorder.module, inputs
    states = random.getstate(), np.random.get_state()
    with (
        packing.intercepted(recorder.packed),
        _quiet(),
        recorder.modules.told(),
        recorder.fake,
        DispatchListener(recorder),
        FunctionListener(recorder),
    ):
        _run(recorder, lambda: module.forward(*args, **kwargs))
    drawn = [
        *(["random"] if random.getstate() != states[0] else []),
        *(["numpy.random"] if str(np.random.get_state()) != str(states[1]) else []),
    ]
    random.setstate(states[0])
    np.random.set_state(states[1])
    for name in drawn:
        remedy = "draw with torch, whose draws are written, or pass the numbers as arguments"
        recorder.refusals.append(Refusal(f"random numbers of the Python module {name}", "", "", remedy))


@contextmanager
def _quiet() -> Iterator[None]:
    """torch logs nothing, and takes no path of its own for inference."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    was_off, was_fast = log.disabled, torch.backends.mha.get_fastpath_enabled()
    log.disabled = True
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        log.disabled = was_off
        torch.backends.mha.set_fastpath_enabled(was_fast)


def _run(recorder: Recorder, function: Callable[[], Any]) -> None:
    """Runs what is to be looked at. What goes wrong after something was refused, goes wrong because of that."""
    name = type(recorder.module).__name__
    try:
        function()
    except (DataDependentOutputException, DynamicOutputShapeException, UnsupportedOperatorException) as error:
        operator = getattr(error, "func", error)
        remedy = "no array of JAX has a size that depends on numbers; write it with masks, or outside of the module"
        _refuse_at(recorder, error, f"{operator}, which depends on the numbers of arrays,", remedy)
    except UnknownError as error:
        if not recorder.refusals:
            raise ConversionError(f"{name} cannot be converted: {error}") from None
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        own = Path(last.filename).is_relative_to(CONVERTER) and last.name not in TORCHS
        if own and not recorder.refusals:
            raise
        if not recorder.refusals:
            remedy = "give example inputs with which the torch module itself runs"
            _refuse_at(recorder, error, f"{type(error).__name__}: {error},", remedy)
            refuse(recorder.refusals, name, error)


def _refuse_at(recorder: Recorder, error: BaseException, what: str, remedy: str) -> None:
    path, place = first_line(error)
    recorder.refusals.append(Refusal(what, path, str(place or ""), remedy))
