"""From a live torch module to Flax: `to_source`, `from_torch`."""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import torch
from flax import nnx
import linecache

from jaxnets.arrays import to_numpy
from jaxnets.convert.assemble import Assembler
from jaxnets.convert.capture import Trace, capture
from jaxnets.convert.errors import ConversionError, refuse
from jaxnets.nn.utils.skip_init import unfilled_rngs
from jaxnets.state import load_state_dict

__all__ = ["from_torch", "to_source"]


def to_source(
    module: torch.nn.Module,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    dynamic_batch: bool = True,
) -> str:
    """The Flax source of a torch module."""
    return _assembled(module, args, kwargs, dynamic_batch).source()


def from_torch(
    module: torch.nn.Module,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    dynamic_batch: bool = True,
) -> nnx.Module:
    """A Flax module that computes what a torch module does, with its weights: made by running `to_source`."""
    assembler = _assembled(module, args, kwargs, dynamic_batch)
    source = assembler.source()
    made = run(source, type(module).__name__)
    model = getattr(made, assembler.entry())(rngs=unfilled_rngs(nnx.Rngs(0)))
    load_state_dict(model, module.state_dict())
    _set_modes(model, module)
    return model


def run(source: str, name: str) -> ModuleType:
    """A new Python module of a source; its lines are in tracebacks, and `inspect.getsource` finds them."""
    made = ModuleType(f"jaxnets.converted.{name}")
    file = f"<jaxnets source of {name} {id(made)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    made.__file__ = file
    exec(compile(source, file, "exec"), vars(made))
    return made


def _assembled(module: Any, args: Any, kwargs: Any, dynamic_batch: bool) -> Assembler:
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"module: expected a torch.nn.Module, got {type(module).__name__}")
    args = (args,) if isinstance(args, torch.Tensor) else tuple(args)
    kwargs = dict(kwargs or {})
    if not args and not kwargs and _needs_no_inputs(module):
        return Assembler(module, None, None, False)
    training, evaluation = (_captured(module, args, kwargs, train, dynamic_batch) for train in (True, False))
    refuse([*training.refusals, *evaluation.refusals], type(module).__name__)
    return Assembler(module, training.root, evaluation.root, training.reads_shapes or evaluation.reads_shapes)


def _needs_no_inputs(module: torch.nn.Module) -> bool:
    from jaxnets.convert.assemble import CONTAINERS
    from jaxnets.convert.stock import is_stock

    if is_stock(module):
        return True
    return type(module) in CONTAINERS and all(_needs_no_inputs(child) for child in module.children())


def _captured(module: Any, args: Any, kwargs: Any, train: bool, dynamic_batch: bool) -> Trace:
    tensors = [x for x in torch.utils._pytree.tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    dynamic = {i for i, x in enumerate(tensors) if x.ndim and x.shape[0] == tensors[0].shape[0]} if dynamic_batch and tensors and tensors[0].ndim else set()
    for attempt in (dynamic, dynamic & {0}, set()):
        try:
            return capture(module, args, kwargs, train=train, dynamic=attempt)
        except Exception:
            if not attempt:
                raise
    raise AssertionError


def _set_modes(model: nnx.Module, module: torch.nn.Module) -> None:
    model.train() if module.training else model.eval()
