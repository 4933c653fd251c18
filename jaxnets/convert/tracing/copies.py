"""A copy of a module that can run without touching the original."""

import copy
from collections.abc import Mapping
from types import CellType, FunctionType
from typing import Any

import torch

from jaxnets.convert.errors import ConversionError
from jaxnets.convert.tracing.objects import object_leaves

__all__ = ["copied"]


def copied(module: torch.nn.Module) -> torch.nn.Module:
    """A module of the same arrays whose parameters need no gradient: then torch makes no copies of views.

    Buffers are copied: torch computes with small ones for good, where it can.
    """
    memo: dict[int, Any] = {}
    for tensor in [*module.parameters(), *module.buffers()]:
        plain = tensor.detach()
        if not isinstance(tensor, torch.nn.Parameter):
            plain = plain.clone()
        parameter = isinstance(tensor, torch.nn.Parameter)
        memo[id(tensor)] = torch.nn.Parameter(plain, requires_grad=False) if parameter else plain
    for part in module.modules():
        for x in object_leaves(vars(part)):
            if isinstance(x, torch.Tensor) and not x.is_leaf:  # computed in an earlier call
                memo[id(x)] = x.detach().clone()
    try:
        twin = copy.deepcopy(module, memo)
    except (TypeError, RuntimeError, NotImplementedError) as error:
        name = type(module).__name__
        raise ConversionError(
            f"{name} cannot be converted: copy.deepcopy of it says: {error}; take the attribute away that holds this"
        ) from error
    for part in twin.modules():
        _rebind(vars(part), memo)
    return twin


def _rebind(attributes: dict[str, Any], memo: Mapping[int, Any]) -> None:
    """Functions that are attributes or hooks see the copies of the modules that they see: `copy` leaves them alone."""
    for name, x in list(attributes.items()):
        if isinstance(x, dict) and name not in ("_modules", "_parameters", "_buffers"):
            _rebind(x, memo)
        if isinstance(x, FunctionType) and x.__closure__:
            cells = tuple(_rebound(cell, memo) for cell in x.__closure__)
            attributes[name] = FunctionType(x.__code__, x.__globals__, x.__name__, x.__defaults__, cells)
            attributes[name].__kwdefaults__ = x.__kwdefaults__


def _rebound(cell: CellType, memo: Mapping[int, Any]) -> CellType:
    try:
        found = cell.cell_contents
    except ValueError:  # it is empty
        return cell
    return CellType(memo[id(found)]) if id(found) in memo else cell
