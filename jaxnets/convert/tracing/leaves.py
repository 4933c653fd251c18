"""What stock layers give, kept from one look at a module to the next.

A module is looked at in two modes and with two batches; most of that time would go into layers whose outputs are known.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch._subclasses.fake_tensor import FakeTensor

from jaxnets.convert.layers.stock import is_stock

__all__ = ["Leaves"]

ELEMENTS = (
    *(torch.nn.ReLU, torch.nn.ReLU6, torch.nn.LeakyReLU, torch.nn.ELU, torch.nn.GELU, torch.nn.SiLU, torch.nn.Mish),
    *(torch.nn.Sigmoid, torch.nn.Tanh, torch.nn.Hardsigmoid, torch.nn.Hardswish, torch.nn.Hardtanh, torch.nn.Softplus),
)
"""Layers that give an array of the shape that they get. Not dropout: in evaluation it gives what it gets."""

ROWS: dict[type, int] = {
    **dict.fromkeys(ELEMENTS, 1),
    **dict.fromkeys((torch.nn.BatchNorm1d, torch.nn.GroupNorm, torch.nn.Linear, torch.nn.PReLU, torch.nn.Embedding), 2),
    **{getattr(torch.nn, f"BatchNorm{n}d"): n + 2 for n in (2, 3)},
    **{getattr(torch.nn, f"Conv{n}d"): n + 2 for n in (1, 2, 3)},
    **{getattr(torch.nn, f"{kind}Pool{n}d"): n + 2 for kind in ("Avg", "AdaptiveAvg") for n in (1, 2, 3)},
    **{getattr(torch.nn, f"{kind}Pool{n}d"): n + 2 for kind in ("Max", "AdaptiveMax") for n in (1, 2, 3)},
}
"""Layers of which each row of the output is made of that row of the input, if it has at least so many axes."""


class Output(NamedTuple):
    """An array that a layer gave: each row's shape, the dtype, and whether it was the input, written to."""

    row: tuple[int, ...]
    dtype: torch.dtype
    inplace: bool


class Leaves:
    """The layers of one module, by their paths."""

    def __init__(self) -> None:
        self._stock: dict[str, bool] = {}
        self._outputs: dict[Any, Output] = {}

    def is_stock(self, path: str, module: torch.nn.Module) -> bool:
        if path not in self._stock:
            self._stock[path] = is_stock(module)
        return self._stock[path]

    def run(
        self, path: str, module: torch.nn.Module, forward: Callable[..., Any], args: Any, kwargs: Mapping[str, Any]
    ) -> Any:
        """What a layer gives for tensors without data. It runs if it has not with such rows."""
        with torch._C.DisableTorchFunction():
            key = _key(path, module, args, kwargs)
        if key is None:
            return forward(*args, **kwargs)
        x = args[0]
        known = self._outputs.get(key)
        if known is None:
            version = x._version
            output = forward(x)
            with torch._C.DisableTorchFunction():
                inplace = output is x and x._version != version
                if inplace or (x._version == version and _is_fresh(output, x)):
                    self._outputs[key] = Output(tuple(output.shape[1:]), output.dtype, inplace)
            return output
        if known.inplace:
            torch.autograd.graph.increment_version(x)
            return x
        with torch._C.DisableTorchFunction(), torch._C._DisableTorchDispatch():
            bare = torch.empty((x.shape[0], *known.row), dtype=known.dtype, device="meta")
            return FakeTensor(x.fake_mode, bare, x.device)


def _key(path: str, module: torch.nn.Module, args: Any, kwargs: Mapping[str, Any]) -> Any:
    """What says what comes out, but for the number of rows; None where more does."""
    if kwargs or len(args) != 1 or type(args[0]) is not FakeTensor or type(module) not in ROWS:
        return None
    x = args[0]
    plain = x.is_contiguous() and not x.requires_grad and x.constant is None
    if not plain or x.ndim < ROWS[type(module)] or x.shape[0] < 2:  # statistics of one row are refused
        return None
    return path, tuple(x.shape[1:]), x.dtype, x.device


def _is_fresh(output: Any, x: torch.Tensor) -> bool:
    """Whether an output is an array of its own, laid out as usual, with a row for each one of the input."""
    if type(output) is not FakeTensor or output.device != x.device or not output.is_contiguous():
        return False
    return output.shape[0] == x.shape[0] and output.untyped_storage()._cdata != x.untyped_storage()._cdata
