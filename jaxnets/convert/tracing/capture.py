"""One look at a module: it runs in one mode, with one size of the batch."""

import logging
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.utils.checkpoint
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedOperatorException,
)

from jaxnets.convert.errors import ConversionError, Refusal, UnknownError, refuse
from jaxnets.convert.sizes import BATCH
from jaxnets.convert.trace import Call, Place
from jaxnets.convert.tracing import packing, repeats
from jaxnets.convert.tracing.copies import copied
from jaxnets.convert.tracing.draws import drawing, first_draw
from jaxnets.convert.tracing.leaves import Leaves
from jaxnets.convert.tracing.lift import lift
from jaxnets.convert.tracing.listeners import DispatchListener, FunctionListener
from jaxnets.convert.tracing.objects import map_objects, object_tensors
from jaxnets.convert.tracing.recorder import Recorder
from jaxnets.convert.tracing.unstack import unstack
from jaxnets.convert.tracing.user_code import CONVERTER, first_line, running

__all__ = ["Trace", "capture"]

SHAPED_BY_NUMBERS = DataDependentOutputException, DynamicOutputShapeException, UnsupportedOperatorException
"""What torch raises for arrays without numbers where it looks at some."""

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
    error = _listen(recorder, inputs)
    if error is not None:
        _explain(recorder, error, None if dynamic else _own_error(module, args, kwargs, train))
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
        unstack(root)
    return Trace(root, recorder.refusals, recorder.reads.decides, recorder.length)


def _repeats(first: Recorder, again: Recorder, inputs: Any, size: int) -> bool:
    """Whether a second call does what the first one did."""
    again.holds_what(first)
    error = _listen(again, inputs)
    try:
        if error is not None:
            _explain(again, error)
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


def _listen(recorder: Recorder, inputs: tuple[tuple[Any, ...], dict[str, Any]]) -> Exception | None:
    """Runs the module while the recorder writes down what it does; gives the error that ended it."""
    module, (args, kwargs) = recorder.module, inputs
    with (
        drawing() as drawn,
        packing.intercepted(recorder.packed),
        _quiet(),
        _checkpoints_called(),
        recorder.modules.told(),
        recorder.fake,
        DispatchListener(recorder),
        FunctionListener(recorder),
    ):
        error = _raised(lambda: running(module.forward, args, kwargs))
    for name in drawn:
        with recorder.fake, _quiet():
            path, place = first_draw(name, module, lambda: module(*args, **kwargs))
        remedy = "draw with torch, whose draws are written, or pass the numbers as arguments"
        recorder.refusals.append(_refusal(f"random numbers of the Python module {name}", path, place, remedy))
    return error


def _raised(function: Callable[[], Any]) -> Exception | None:
    try:
        function()
    except Exception as error:
        return error
    return None


@contextmanager
def _checkpoints_called() -> Iterator[None]:
    """`torch.utils.checkpoint` calls its function and no more: what is kept for a gradient changes no number.

    Reentrant, it would call it without a gradient, and again, with one, when the gradient is asked for.
    """
    function = torch.utils.checkpoint.CheckpointFunction
    function.apply = staticmethod(lambda run, preserve_rng_state, *args: run(*args))  # type: ignore[method-assign]
    try:
        yield
    finally:
        del function.apply


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


# -- what went wrong -------------------------------------------------------------------------------------------------


def _explain(recorder: Recorder, error: Exception, own: Exception | None = None) -> None:
    """Says what ended a look. What goes wrong after something was refused, goes wrong because of that.

    Args:
        recorder: takes what cannot be converted.
        error: what was raised.
        own: what the torch module itself raises for the example.
    """
    name, place = type(recorder.module).__name__, first_line(error)
    if isinstance(error, SHAPED_BY_NUMBERS):
        what = f"{getattr(error, 'func', error)}, which depends on the numbers of arrays,"
        remedy = "no array of JAX has a size that depends on numbers; write it with masks, or outside of the module"
        recorder.refusals.append(_refusal(what, *place, remedy))
    if recorder.refusals:
        return
    if isinstance(error, UnknownError):
        raise ConversionError(f"{name} cannot be converted: {error}") from None
    if own is not None:
        what = f"{type(own).__name__}: {own}, raised by the torch module itself,"
        place, remedy = (place[0], first_line(own)[1]), "mend it, or give example inputs with which it runs"
    elif _is_ours(error):
        raise error
    else:
        what = f"{type(error).__name__}: {error}, raised by torch for arrays without numbers,"
        remedy = "write it with other functions, or as a module of its own in Flax"
    recorder.refusals.append(_refusal(what, *place, remedy))
    refuse(recorder.refusals, name, own or error)


def _refusal(what: str, path: str, place: Place | None, remedy: str) -> Refusal:
    return Refusal(what, path, str(place or ""), remedy)


def _own_error(
    module: torch.nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], train: bool
) -> Exception | None:
    """What a module raises for arrays that have their numbers."""
    inside = copied(module).train(train)
    for copy, parameter in zip(inside.parameters(), module.parameters(), strict=True):
        copy.requires_grad_(parameter.requires_grad)
    args, kwargs = map_objects(lambda x: x.clone() if isinstance(x, torch.Tensor) else x, (tuple(args), dict(kwargs)))
    with drawing(), torch.random.fork_rng(devices=[]):
        return _raised(lambda: inside(*args, **kwargs))


def _is_ours(error: Exception) -> bool:
    """Whether an error was raised in the converter's code."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return Path(last.filename).is_relative_to(CONVERTER) and last.name not in TORCHS
