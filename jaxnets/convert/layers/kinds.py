"""Which class of `torch.nn` a live module computes as, if any."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.utils.parametrize import ParametrizationList
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from jaxnets import nn
from jaxnets.convert.errors import ConversionError

CONTAINERS: Mapping[type, str] = {
    torch.nn.Sequential: "Sequential",
    torch.nn.ModuleList: "ModuleList",
    torch.nn.ModuleDict: "ModuleDict",
    torch.nn.ParameterList: "ParameterList",
    torch.nn.ParameterDict: "ParameterDict",
}
"""torch's containers, and what `jaxnets.nn` calls them."""

CLASSES = {
    cls
    for name in set(nn.__all__) - {"Container", "Module", *CONTAINERS.values()}
    if isinstance(cls := getattr(torch.nn, name, None), type) and issubclass(cls, torch.nn.Module)
}

HARMLESS = {
    *("__init__", "__setstate__", "__repr__", "extra_repr", "_get_name", "_load_from_state_dict", "cls_to_become"),
    *("reset_parameters", "_reset_parameters", "_version", "__constants__", "__jit_unused_properties__"),
    *("__module__", "__doc__", "__annotations__", "__parameters__", "__orig_bases__", "__slots__"),
    *("__static_attributes__", "__firstlineno__", "__annotate__", "__annotate_func__", "__annotations_cache__"),
    *("__dict__", "__weakref__", "__abstractmethods__", "_abc_impl", "dump_patches", "call_super_init"),
    *("__copy__", "__deepcopy__", "__getstate__", "__reduce__", "__reduce_ex__"),
}
"""What a subclass may have of its own and still compute the same."""

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class NotStockError(ConversionError):
    """A module that no single call of a constructor of `jaxnets.nn` builds."""


def class_of(module: torch.nn.Module) -> type[torch.nn.Module] | None:
    """The class of `torch.nn` whose `forward` a module runs, with all that this calls; None where there is none.

    >>> class_of(torch.nn.modules.linear.NonDynamicallyQuantizableLinear(2, 3)).__name__
    'Linear'
    """
    seen: dict[str, Any] = {}
    for cls in (type(module).__base__ if parametrizations(module) else type(module)).__mro__:  # type: ignore[union-attr]
        if cls in CLASSES:
            return None if _changes(module, cls, seen) else cls
        seen = {**vars(cls), **seen}
    return None


def is_chain(module: Any) -> bool:
    """Whether a module calls its layers one after the other, as `torch.nn.Sequential` does."""
    return isinstance(module, torch.nn.Sequential) and type(module).forward is torch.nn.Sequential.forward


def _changes(module: torch.nn.Module, cls: type, own: dict[str, Any]) -> bool:
    """Whether what a subclass or the object itself has of its own may change numbers."""
    held = {*module._parameters, *module._buffers, *module._modules}
    changed = (name for name in own.keys() - HARMLESS if own[name] is not getattr(cls, name, None))
    if any(hasattr(cls, name) or name in held for name in changed):
        return True
    return any(callable(getattr(cls, name, None)) for name in vars(module))


def parametrizations(module: torch.nn.Module) -> dict[str, ParametrizationList]:
    """What computes the parametrized parameters of a module; its class is one that torch made then."""
    base, held = type(module).__base__, module._modules.get("parametrizations")
    if base is None or type(module).__name__ != f"Parametrized{base.__name__}" or type(held) is not torch.nn.ModuleDict:
        return {}
    found = {name: x for name, x in held.items() if isinstance(x, ParametrizationList)}
    return found if len(found) == len(held) else {}


def hooks(module: torch.nn.Module) -> list[Any]:
    """The hooks that run in each call, but for the one with which a lazy layer looks at its first input."""
    found = [hook for name in HOOKS for hook in getattr(module, name).values()]
    return [hook for hook in found if getattr(hook, "__func__", None) is not LazyModuleMixin._infer_parameters]


def normalizing(module: torch.nn.Module) -> list[Any]:
    """The hooks of the old `weight_norm` and `spectral_norm`, in the order in which they were put."""
    return [hook for hook in module._forward_pre_hooks.values() if type(hook) in (WeightNorm, SpectralNorm)]


def is_plain(module: torch.nn.Module) -> bool:
    """Whether a module is a layer of `torch.nn`, or a container, with nothing in its way."""
    is_container = type(module) in (torch.nn.ModuleList, torch.nn.ModuleDict, torch.nn.Sequential)
    return (is_container or class_of(module) is not None) and len(hooks(module)) == len(normalizing(module))
