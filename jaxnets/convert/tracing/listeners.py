"""The two listeners: which function of torch's is called, and what is done about it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch._C._functorch import is_functorch_wrapped_tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._python_dispatch import TorchDispatchMode

from jaxnets.convert.operators.table import is_known
from jaxnets.convert.tracing import reads
from jaxnets.convert.tracing.autocast import is_autocast
from jaxnets.convert.tracing.objects import object_tensors

if TYPE_CHECKING:
    from jaxnets.convert.tracing.recorder import Recorder

__all__ = ["DispatchListener", "FunctionListener"]


class FunctionListener(TorchFunctionMode):
    """Hears what functions of torch's, or operators, the user's code calls."""

    def __init__(self, recorder: "Recorder"):
        super().__init__()
        self._recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        recorder, name, kwargs = self._recorder, function_name(func), kwargs or {}
        if recorder.is_hiding:  # torch's own checks
            if name in ("__bool__", "__int__", "__index__") and not isinstance(args[0], FakeTensor):
                return recorder.unheard(func, args, kwargs)
            return reads.MADE_UP[name] if name in reads.MADE_UP else func(*args, **kwargs)
        if name in FROM_NUMPY and not object_tensors((args, kwargs)):
            return recorder.unheard(func, args, kwargs)
        if name in reads.SIZES:
            return recorder.reads.sizes(name, args, kwargs, func(*args, **kwargs))
        if name in reads.COMPARISONS:
            return recorder.reads.comparison(name, func, args, kwargs)
        if name in reads.NUMBERS:
            return recorder.reads.numbers(name, func, args, kwargs)
        if name in SETTERS:
            recorder.refuse(f"an array put into another one by its attribute, {name},", "use x.copy_(y), or y itself")
        wrapped = any(map(is_functorch_wrapped_tensor, object_tensors((args, kwargs))))
        if wrapped or not is_known(name):
            return func(*args, **kwargs)  # its operators are heard by the other listener
        if not is_autocast():
            return recorder.perform(name, func, args, kwargs)
        cast = recorder.casts.written(func, args, kwargs)
        if cast is None:
            return func(*args, **kwargs)
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            return recorder.perform(name, func, *cast)


class DispatchListener(TorchDispatchMode):
    """Hears what operators run: those that are not inside of what was written down are written down."""

    def __init__(self, recorder: "Recorder"):
        super().__init__()
        self._recorder = recorder

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        recorder, name, kwargs = self._recorder, function_name(func), kwargs or {}
        recorder.casts.heard(name, args, kwargs)
        if name == "aten.lift_fresh" and not isinstance(args[0], FakeTensor):
            with recorder.hiding():
                output = func(*args, **kwargs)
            recorder.aliases.bind(output, recorder.outside(args[0]))  # an array of numpy's
            return output
        if recorder.is_hiding or name in UNSEEN:
            return func(*args, **kwargs)
        if not is_known(name):
            recorder.refuse(f"operator {name}", "write it with other functions, or as a module of its own in Flax")
        return recorder.perform(name, func, args, kwargs)


FROM_NUMPY = {"from_numpy", "as_tensor", "asarray", "frombuffer"}
"""How code makes constants of what is no tensor."""

SETTERS = {f"{name}.__set__" for name in ("data", "imag", "real")}
"""How code puts other numbers into a tensor."""

UNSEEN = {
    *("aten.device", "aten.lift_fresh", "aten.size", "aten.stride", "prim.device"),
    *("aten._assert_async", "aten._assert_scalar"),
}
"""Operators that compute nothing."""

METHODS = {"torch.Tensor.polygamma", "torch.Tensor.where"}
"""Methods whose arguments come in another order than those of the functions of their names."""

ROOMS = {
    "torch.nn.functional": "functional",
    **{f"torch.{room}": room for room in ("fft", "linalg", "nested", "sparse", "special")},
}
"""Packages of torch's in which functions have names that other ones have elsewhere."""


def function_name(func: Callable[..., Any]) -> str:
    """torch's name of a function, without class: "add", "functional.relu", "linalg.norm", "aten.add"."""
    if isinstance(func, torch._ops.OpOverload):
        return f"aten.{func._schema.name.partition('::')[2]}"
    if isinstance(func, torch._ops.OpOverloadPacket):
        return f"aten.{func.__name__}"
    full = resolve_name(func) or f"torch.{getattr(func, '__name__', repr(func))}"
    if full.endswith(".__set__"):
        return ".".join(full.split(".")[-2:])
    if full.endswith(".__get__"):
        return full.rpartition(".")[0].rpartition(".")[2]
    if full in METHODS:
        return full.removeprefix("torch.")
    head, _, name = full.rpartition(".")
    return f"{ROOMS[head]}.{name}" if head in ROOMS else name
