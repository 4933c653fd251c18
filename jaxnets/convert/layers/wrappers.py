"""Layers whose weights are normalised: `weight_norm`, `spectral_norm`, `orthogonal`, of the old form and the new."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.nn.utils.parametrizations import _Orthogonal, _SpectralNorm, _WeightNorm
from torch.nn.utils.parametrize import ParametrizationList
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from jaxnets.convert.layers.calls import Build, defaults
from jaxnets.convert.layers.kinds import NotStockError, class_of, hooks, normalizing, parametrizations

Tensors = dict[str, torch.Tensor | None]
Wrapper = tuple[str, Mapping[str, Any]]
"""A function of `jaxnets.nn` that changes a layer, and its arguments beside the layer."""


def wrappers(module: torch.nn.Module) -> list[Wrapper]:
    """What was done to a layer, in the order in which it has to be done again."""
    found: list[Wrapper] = []
    for hook in normalizing(module):
        if isinstance(hook, WeightNorm):
            found.append(("utils.weight_norm", {"name": hook.name, "dim": _norm_axis(hook.dim)}))
        else:
            found.append(("utils.spectral_norm", _spectral(module, hook.name, hook, hook.n_power_iterations)))
    for name, held in parametrizations(module).items():
        for parametrization in held:
            find = PARAMETRIZATIONS.get(type(parametrization))
            if find is None or hooks(parametrization) or hooks(held):
                raise NotStockError(
                    f"{type(module).__name__}: expected parametrizations by weight_norm, spectral_norm or orthogonal "
                    f"only, but {name!r} has {type(parametrization).__name__}"
                )
            found.append(find(module, name, parametrization, held))
    return found


def tensors(module: torch.nn.Module) -> Tensors:
    """The parameters and buffers that a layer had before anything was done to it, by name: their shapes hold."""
    found: Tensors = {**module._parameters, **module._buffers}
    for hook in reversed(normalizing(module)):
        kept, *others = ("_orig", "_u", "_v") if isinstance(hook, SpectralNorm) else ("_v", "_g")
        missing = object()
        held = [found.pop(hook.name + suffix, missing) for suffix in (kept, *others)]
        if missing in held:
            raise NotStockError(
                f"{type(module).__name__}: {hook.name!r} has been normalised, but its parts are not there"
            )
        found[hook.name] = held[0]  # type: ignore[assignment]
    for name, parametrization in parametrizations(module).items():
        parts = parametrization._parameters | parametrization._buffers
        found[name] = parts["original"] if parametrization.is_tensor else parts["original1"]
    return found


def wrapped(layer: Build, done: Sequence[Wrapper]) -> Build:
    """The layer's call within those of the functions that change it."""
    for name, args in done:
        layer = Build(name, {"module": layer, **args})
    return layer


def _norm_axis(dim: int) -> int | None:
    return None if dim == -1 else dim


def _output_axis(module: torch.nn.Module, dim: int) -> int | None:
    """None where the axis is the one that `jaxnets.nn` chooses."""
    transposed = (torch.nn.ConvTranspose1d, torch.nn.ConvTranspose2d, torch.nn.ConvTranspose3d)
    return None if dim == int(class_of(module) in transposed) else dim


def _spectral(module: torch.nn.Module, name: str, found: Any, n_power_iterations: int) -> dict[str, Any]:
    return {
        "name": name,
        "n_power_iterations": n_power_iterations,
        "eps": found.eps,
        "dim": _output_axis(module, found.dim),
    }


def _weight_norm(module: torch.nn.Module, name: str, found: Any, held: ParametrizationList) -> Wrapper:
    return "utils.parametrizations.weight_norm", {"name": name, "dim": _norm_axis(found.dim)}


def _spectral_norm(module: torch.nn.Module, name: str, found: Any, held: ParametrizationList) -> Wrapper:
    wrapper = "utils.parametrizations.spectral_norm"
    # that of a vector is exact, and has no iterations
    iterations = getattr(found, "n_power_iterations", defaults(wrapper)["n_power_iterations"])
    return wrapper, _spectral(module, name, found, iterations)


def _orthogonal(module: torch.nn.Module, name: str, found: Any, held: ParametrizationList) -> Wrapper:
    n, k = found.shape[-2:]
    default = "matrix_exp" if n == k or held.original.is_complex() else "householder"
    args = {
        "name": name,
        "orthogonal_map": None if found.orthogonal_map.name == default else found.orthogonal_map.name,
        "use_trivialization": "base" in found._buffers,
    }
    return "utils.parametrizations.orthogonal", args


PARAMETRIZATIONS: dict[type, Callable[..., Wrapper]] = {
    _WeightNorm: _weight_norm,
    _SpectralNorm: _spectral_norm,
    _Orthogonal: _orthogonal,
}
