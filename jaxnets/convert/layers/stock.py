"""From a live layer of `torch.nn` to the call that builds the like of it in `jaxnets.nn`.

Arguments are read from the attributes, and deduced where no attribute keeps them. Then torch itself builds a module
with them, without data: where that is another one than the one at hand, what was read is not the whole truth.
"""

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.nn.parameter import is_lazy

from jaxnets.convert.errors import ConversionError
from jaxnets.convert.layers.arguments import candidates
from jaxnets.convert.layers.calls import Array, Build, Function, defaults
from jaxnets.convert.layers.kinds import NotStockError, class_of, is_plain, parametrizations
from jaxnets.convert.layers.wrappers import Tensors, tensors, wrapped, wrappers

__all__ = ["build", "is_stock"]

UNIMPORTANT = {
    *vars(torch.nn.Module()),
    *("_flat_weights", "_flat_weight_refs"),  # the parameters once more
    *("activation_relu_or_gelu", "use_nested_tensor"),  # whether torch's fast path is taken
    *("_initialize_hook", "_load_hook"),
}
"""Attributes that do not say what a module computes, or that are compared in another way."""

MISSING = object()


def is_stock(module: torch.nn.Module) -> bool:
    """Whether a module computes what a layer of `jaxnets.nn` does, and is built by one call.

    It is a layer of `torch.nn`, or of a subclass that changes no numbers; all within is what its constructor makes;
    and it has no hooks and no parametrizations but those of `weight_norm`, `spectral_norm` and `orthogonal`. Containers
    are not stock. `build` may still refuse a setting.

    >>> is_stock(torch.nn.Linear(2, 3)), is_stock(torch.nn.Sequential())
    (True, False)
    """
    try:
        build(module)
    except NotStockError:
        return False
    except ConversionError:
        return True
    return True


def build(module: torch.nn.Module) -> Build:
    """The call that builds the like of a stock module: the same settings, and the same names in its state.

    Raises:
        ConversionError: the module is not stock, or it has a setting that `jaxnets.nn` does not have.

    >>> layer = build(torch.nn.Conv2d(3, 8, 3, bias=False))
    >>> layer.name, layer.args["kernel_size"], layer.args["bias"]
    ('Conv2d', (3, 3), False)
    """
    name = type(module).__name__
    if class_of(module) is None or not all(is_plain(part) for part in _parts(module)):
        raise NotStockError(
            f"{name}: expected a layer of torch.nn as it is, with hooks and parametrizations of weight_norm, "
            "spectral_norm and orthogonal at most, and with nothing but such layers within"
        )
    done, own = wrappers(module), tensors(module)
    for found in candidates(module):
        twin = _twin(found)
        if _tree(module, own) == _tree(twin, {**twin._parameters, **twin._buffers}):
            _compare(module, twin)
            return wrapped(found, done)
    raise NotStockError(
        f"{name}: expected the parameters, buffers and layers that its constructor makes, but some differ"
    )


def _parts(module: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """The module and all within, without parametrizations, which have been looked at."""
    yield module
    for name, child in module._modules.items():
        if child is not None and not (name == "parametrizations" and parametrizations(module)):
            yield from _parts(child)


def _twin(build: Build) -> torch.nn.Module:
    """What torch's constructor makes of the arguments, without data."""
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")
        try:
            return _in_torch(build)
        except (AssertionError, RuntimeError, TypeError, ValueError) as error:
            raise ConversionError(
                f"{build.name}: expected settings that its constructor takes, but torch says: {error}; "
                "build the layer anew with the settings that you want"
            ) from None


def _in_torch(value: Any) -> Any:
    match value:
        case Build():
            own = defaults(value.name)
            # arguments that torch calls by another name, or that are newer than it, have their default
            args = {n: x for n, x in value.args.items() if n != "dtype" and (n not in own or x != own[n])}
            return getattr(torch.nn, value.name)(**{n: _in_torch(x) for n, x in args.items()})
        case Function():
            return getattr(torch.nn.functional, value.name)
        case np.dtype():
            return getattr(torch, value.name)
        case Array():
            return torch.empty(value.value.shape)
        case tuple():
            return tuple(map(_in_torch, value))
    return value


def _tree(module: torch.nn.Module, own: Tensors) -> dict[str, Any]:
    """Layers, parameters and buffers by their paths. The ones of the module itself are given."""
    tree: dict[str, Any] = {}
    for path, part in module.named_modules():
        if parametrizations(module) and path.split(".")[0] == "parametrizations":
            continue
        cls = class_of(part) or type(part)
        tree[path] = cls
        held = {**part._parameters, **part._buffers} if path else own
        for name, x in held.items():
            if x is not None:
                kind = "transient" if name in part._non_persistent_buffers_set else "persistent"
                tree[f"{path}.{name}"] = (kind, isinstance(x, torch.nn.Parameter), None if is_lazy(x) else x.shape)
        # an attribute that hides a part, as torch's copies of decoder layers have it
        tree[f"{path} hides"] = vars(part).keys() & {*part._parameters, *part._buffers, *part._modules}
    every = list(module.named_parameters(remove_duplicate=False))
    tree["tied"] = len(every) != len({id(x) for _, x in every})
    return tree


def _compare(module: torch.nn.Module, twin: torch.nn.Module) -> None:
    """Refuses settings that the constructor would not make."""
    parts = dict(module.named_modules())
    for path, part in twin.named_modules():
        live = parts[path]
        for name, expected in vars(part).items():
            found = getattr(live, name, MISSING)
            if name in UNIMPORTANT or found is MISSING or _same(found, expected):
                continue
            if name == "_reversed_padding_repeated_twice" and live.padding_mode == "zeros":  # then it is not used
                continue
            if path:
                raise NotStockError(f"{type(module).__name__}: expected {expected!r} for {path}.{name}, got {found!r}")
            raise ConversionError(
                f"{type(module).__name__}: {name}: expected {expected!r}, which its constructor makes of its other "
                f"settings, got {found!r}; build the layer anew with the settings that you want"
            )


def _same(found: Any, expected: Any) -> bool:
    if isinstance(expected, tuple | list):
        return (
            isinstance(found, tuple | list)
            and len(found) == len(expected)
            and all(_same(x, y) for x, y in zip(found, expected, strict=True))
        )
    if isinstance(expected, float) and math.isnan(expected):
        return isinstance(found, float) and math.isnan(found)
    if callable(expected) and not isinstance(expected, type):
        return getattr(found, "__name__", MISSING) == expected.__name__  # torch.relu and F.relu are two
    if isinstance(found, torch.Tensor):
        return found.numel() == 1 and bool(found == expected)
    return bool(found == expected)
