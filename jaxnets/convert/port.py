"""From a live torch module to Flax: `to_source`, `from_torch`."""

import inspect
import linecache
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import torch
from flax import nnx
from torch.nn.parameter import is_lazy

from jaxnets.convert.errors import ConversionError, Refusal, refuse
from jaxnets.convert.layers.kinds import CONTAINERS
from jaxnets.convert.layers.stock import is_stock
from jaxnets.convert.sizes import BATCH
from jaxnets.convert.tracing.batches import holds
from jaxnets.convert.tracing.capture import Trace, capture
from jaxnets.convert.tracing.leaves import Leaves
from jaxnets.convert.writing.assemble import Assembler
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
    return ported(module, args, kwargs, dynamic_batch=dynamic_batch).model


class Ported(NamedTuple):
    """A module, the source that made it, the name in the source that builds it, and whether that takes `rngs`."""

    model: nnx.Module
    source: str
    entry: str
    takes_rngs: bool


def ported(module: torch.nn.Module, args: Any = (), kwargs: Any = None, *, dynamic_batch: bool = True) -> Ported:
    """The module that the source of a torch module makes, with torch's weights and modes."""
    assembler = _assembled(module, args, kwargs, dynamic_batch)
    refuse([x for path, part in module.named_modules() if (x := _unbuilt(path, part))], type(module).__name__)
    source = assembler.source()
    entry = assembler.entry()
    build = getattr(run(source, type(module).__name__), entry)
    takes_rngs = _takes_rngs(build)
    model = build(rngs=unfilled_rngs(nnx.Rngs(0))) if takes_rngs else build()
    load_state_dict(model, module.state_dict())
    _set_modes(model, module)
    return Ported(model, source, entry, takes_rngs)


def _takes_rngs(build: Any) -> bool:
    """Whether what builds a module needs random keys: a class without parameters has no such argument."""
    constructor = vars(build).get("__init__", build) if isinstance(build, type) else build
    return "rngs" in inspect.signature(constructor).parameters


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
    refuse([x for path, part in module.named_modules() if (x := _wrapper(path, part))], type(module).__name__)
    args = (args,) if isinstance(args, torch.Tensor) else tuple(args)
    kwargs = dict(kwargs or {})
    if not args and not kwargs and _needs_no_inputs(module):
        return Assembler(module)
    refuse([x for path, part in module.named_modules() if (x := _unbuilt(path, part))], type(module).__name__)
    (training, dynamic), (evaluation, _) = _captured(module, args, kwargs, dynamic_batch)
    refuse([*training.refusals, *evaluation.refusals], type(module).__name__)
    checks = training.decides or evaluation.decides or not dynamic
    return Assembler(module, training.root, evaluation.root, checks_shapes=checks, dynamic=dynamic)


def _wrapper(path: str, module: torch.nn.Module) -> Refusal | None:
    """What is said of a module that only wraps another one."""
    if isinstance(module, torch.jit.ScriptModule):
        return Refusal("a scripted or traced module", path, "", "convert the module that it was made of")
    if type(module).__name__ == "OptimizedModule":
        return Refusal("a module made by torch.compile", path, "", "convert its attribute _orig_mod")
    if isinstance(module, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
        return Refusal(type(module).__name__, path, "", "convert its attribute module")
    return None


def _unbuilt(path: str, module: torch.nn.Module) -> Refusal | None:
    """What is said of a lazy layer that has seen no input."""
    held = (*module._parameters.values(), *module._buffers.values())
    if any(is_lazy(x) for x in held if x is not None):
        what = f"a {type(module).__name__} without parameters yet"
        return Refusal(what, path, "", "call the torch module once with the example inputs")
    return None


def _needs_no_inputs(module: torch.nn.Module) -> bool:
    if is_stock(module):
        return True
    return type(module) in CONTAINERS and all(_needs_no_inputs(child) for child in module.children())


def _captured(module: Any, args: Any, kwargs: Any, dynamic_batch: bool) -> list[tuple[Trace, bool]]:
    """What the module does in training and in evaluation, for any batch if that can be."""
    tensors = [x for x in torch.utils._pytree.tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    tries: list[set[int]] = [set()]
    look = partial(capture, module, args, kwargs, leaves=Leaves())
    if dynamic_batch and tensors and tensors[0].ndim and tensors[0].shape[0]:
        batch = tensors[0].shape[0]
        tries = [{i for i, x in enumerate(tensors) if x.ndim and x.shape[0] == batch}, {0}, set()]
    for dynamic in tries:
        try:
            size = max(batch, 2) if dynamic else BATCH  # torch takes an axis of size one for none, here and there
            traces = [look(train=t, dynamic=dynamic, size=size) for t in (True, False)]
            if any(trace.refusals for trace in traces) or not dynamic:
                return [(trace, bool(dynamic)) for trace in traces]
            general = [
                look(train=t, dynamic=dynamic, longest=trace.length)
                for t, trace in zip((True, False), traces, strict=True)
            ]
            every = all(holds(a.root, b.root, (BATCH, size)) for a, b in zip(general, traces, strict=True))
            if every and (batch > 1 or _holds_for_one(look, dynamic, general)):
                return [(trace, True) for trace in general]
        except Exception:
            if not dynamic:
                raise
    raise AssertionError


def _holds_for_one(look: Callable[..., Trace], dynamic: set[int], general: Sequence[Trace]) -> bool:
    """Whether a module does for a batch of one what it does for every batch; in training it may need more."""
    for train, trace in zip((True, False), general, strict=True):
        try:
            one = look(train=train, dynamic=dynamic, size=1)
        except ConversionError:
            continue
        if not holds(trace.root, one.root, (BATCH, 1)):
            return False
    return True


def _set_modes(model: nnx.Module, module: torch.nn.Module) -> None:
    """Each layer in the mode of the torch layer that it stands for."""
    for path, child in module.named_modules():
        layer: Any = model
        for name in path.split(".") if path else ():
            layer = getattr(layer, name, None) if layer is not None else None
        if isinstance(layer, nnx.Module):
            layer.train() if child.training else layer.eval()
