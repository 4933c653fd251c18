"""Calls of modules: what stands in the place of their forwards while they are looked at."""

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

import torch

from jaxnets.convert.layers.kinds import is_chain
from jaxnets.convert.trace import Call, Op, Value, map_tree
from jaxnets.convert.tracing import packing
from jaxnets.convert.tracing.autocast import is_autocast
from jaxnets.convert.tracing.leaves import Leaves
from jaxnets.convert.tracing.objects import object_tensors, opened, without_objects
from jaxnets.convert.tracing.user_code import line, note_names, running

if TYPE_CHECKING:
    from jaxnets.convert.tracing.recorder import Recorder

__all__ = ["ModuleCalls"]


class ModuleCalls:
    """Writes down which modules are called, and what they give back.

    Args:
        recorder: where it is written down.
        leaves: what layers gave before.
    """

    def __init__(self, recorder: "Recorder", leaves: Leaves):
        self._recorder, self._leaves = recorder, leaves
        self._modules = dict(recorder.module.named_modules())
        self._held = {path: _settable(part) for path, part in self._modules.items()}
        self._open: list[Call] = []
        self.root: Call = Call("", recorder.module, False)

    @property
    def scope(self) -> Call:
        """The innermost call in which we are."""
        return self._open[-1] if self._open else self.root

    @contextmanager
    def told(self) -> Iterator[None]:
        """Every module's forward tells of its calls."""
        modules = self._modules
        telling = {path: self._telling(path, module) for path, module in modules.items()}
        own = {path: vars(module)["forward"] for path, module in modules.items() if "forward" in vars(module)}
        try:
            for path, module in modules.items():
                module.__dict__["forward"] = telling[path]
            yield
        finally:
            for path, module in modules.items():
                module.__dict__.pop("forward", None)
                if path in own:
                    module.__dict__["forward"] = own[path]

    def holds_what(self, other: "ModuleCalls") -> None:
        """What other attributes have become arrays since is no state."""
        for path, held in self._held.items():
            self._held[path] = {name: x for name, x in held.items() if name in other._held[path]}

    def _telling(self, path: str, module: torch.nn.Module) -> Callable[..., Any]:
        recorder = self._recorder
        forward, leaf = module.forward, self._leaves.is_stock(path, module)

        @wraps(forward)
        def telling(*args: Any, **kwargs: Any) -> Any:
            if recorder.is_hiding or (is_autocast() and (leaf or is_chain(module))):  # layers compute in one dtype
                return forward(*args, **kwargs)
            if any(call.path == path for call in self._open):  # what calls itself is one call
                return forward(*args, **kwargs)
            with recorder.hiding():
                call = self._begin(path, module, leaf, args, kwargs)
                call.arguments = self._arguments(forward, args, kwargs)
            if leaf:
                with recorder.hiding():
                    return self._leaf(call, forward, args, kwargs)
            self._open.append(call)
            try:
                output = running(forward if call.parent else module, args, kwargs)  # the root with its hooks
                with recorder.hiding():
                    self._keep(call)
                    call.returned = map_tree(without_objects, recorder.tree(output))
            finally:
                self._open.pop()
            with recorder.hiding():
                return self._end(call, output, args, kwargs)

        return telling

    def _begin(self, path: str, module: torch.nn.Module, leaf: bool, args: Any, kwargs: Any) -> Call:
        recorder = self._recorder
        recorder.count()
        caller = sys._getframe(2)  # of `telling`
        note_names(self.scope, recorder.aliases, caller)
        call = Call(path, module, leaf, recorder.tree(args), recorder.tree(kwargs), training=module.training)
        call.grad, call.place = torch.is_grad_enabled(), line(caller)
        if leaf and module.training != recorder.module.training and _has_modes(module):
            recorder.refuse(
                f"{type(module).__name__} {path!r}, which is set to another mode than the module that it is in,",
                "leave train() and eval() as torch has them, and set the converted layer's mode where you train",
            )
        call.parent = self._open[-1] if self._open else None
        if call.parent:
            call.parent.body.append(call)
        else:
            self.root = call
        return call

    def _arguments(self, forward: Callable[..., Any], args: Any, kwargs: Any) -> dict[str, Any]:
        """The arguments of a call by the names in the signature, defaults and those of `**kwargs` included."""
        bound = inspect.signature(forward).bind(*args, **kwargs)
        bound.apply_defaults()
        named: dict[str, Any] = {}
        for name, x in bound.arguments.items():
            kind = bound.signature.parameters[name].kind
            named |= x if kind is inspect.Parameter.VAR_KEYWORD else {name: x}
        return {name: self._recorder.tree(x) for name, x in named.items()}

    def _leaf(self, call: Call, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        recorder, tensors = self._recorder, object_tensors((args, kwargs))
        with recorder.aliases.watching(tensors) as written:
            output: Any = (
                packing.recurrent(call.module, *args, **kwargs)
                if isinstance(call.module, torch.nn.RNNBase)
                else self._leaves.run(call.path, call.module, forward, args, kwargs)
            )
        if written and getattr(call.module, "inplace", False):
            value = recorder.new_value(output)
            call.output = value
            recorder.aliases.written(tensors[0], value)
            return output
        output = recorder.apart(output, tensors)
        call.output = recorder.outputs(output, Op("reshape", (), {}, None), tensors)
        return output

    def _keep(self, call: Call) -> None:
        """Buffers that forward has set to other arrays: of the module, and of all modules when the root ends."""
        for path in (call.path,) if call.parent else self._held:
            held = self._held[path]
            for name, old in held.items():
                new = getattr(self._modules[path], name, None)
                if new is old or not (isinstance(new, torch.Tensor) or isinstance(old, torch.Tensor)):
                    continue
                full = f"{path}.{name}" if path else name
                held[name] = new
                if not _is_alike(old, new):
                    what = f"a value of another shape or dtype for the buffer {full!r}"
                    self._recorder.refuse(what, "keep its shape and dtype, or return the value")
                    continue
                self._set(full, old, new)

    def _set(self, path: str, old: Any, new: Any) -> None:
        """A buffer is another array now."""
        recorder = self._recorder
        value = Value(tuple(new.shape), new.dtype, self.scope, path=path)
        both = recorder.aliases.value(old), recorder.aliases.value(new)
        self.scope.body.append(Op("copy_", both, {}, value, torch.is_grad_enabled()))
        recorder.aliases.rename(new, value)
        recorder.moved(old, new, path)

    def _end(self, call: Call, output: Any, args: Any, kwargs: Any) -> Any:
        """What a module gives back gets values of the caller's."""
        recorder = self._recorder
        if call.parent is None:
            call.output = call.returned = recorder.tree(opened(output))
            return output
        output = recorder.apart(output, object_tensors((args, kwargs)))
        for tensor in object_tensors(output):
            recorder.aliases.rename(tensor, recorder.new_value(tensor))
        call.output = map_tree(without_objects, recorder.tree(output))
        return output


def _settable(module: torch.nn.Module) -> dict[str, Any]:
    """The buffers of a module, and the other arrays among its attributes."""
    return {**module._buffers, **{name: x for name, x in vars(module).items() if isinstance(x, torch.Tensor)}}


def _is_alike(old: Any, new: Any) -> bool:
    """Whether both are arrays of one shape and dtype."""
    both = isinstance(new, torch.Tensor) and isinstance(old, torch.Tensor)
    return both and (new.shape, new.dtype) == (old.shape, old.dtype)


def _has_modes(layer: torch.nn.Module) -> bool:
    """Whether a layer computes something else in training."""
    norms, drops = torch.nn.modules.batchnorm._NormBase, torch.nn.modules.dropout._DropoutNd
    for part in layer.modules():
        if isinstance(part, norms) and part.track_running_stats:
            return True
        if (isinstance(part, drops) and part.p) or isinstance(part, torch.nn.RReLU):
            return True
        if isinstance(part, torch.nn.RNNBase | torch.nn.MultiheadAttention) and part.dropout:
            return True
    return False
