"""Both modules on the same inputs: how far apart each layer's outputs are, and which is the first that diverges."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

from jaxnets.arrays import to_numpy

__all__ = ["Layer", "Proof", "prove"]

BOUND = {"float64": 1e-10, "float32": 2e-5, "bfloat16": 3e-2, "float16": 4e-3}
"""What `max|a - b| / max|b|` may be, by the dtype of the outputs."""


@dataclass(frozen=True)
class Layer:
    """One layer's outputs on both sides.

    Args:
        name: its path; "" is the whole module.
        kind: torch's class.
        difference: `max|a - b| / max|b|` over its arrays, inf where shapes differ or only one is finite.
        bound: what the difference may be.
    """

    name: str
    kind: str
    difference: float
    bound: float

    @property
    def ok(self) -> bool:
        return self.difference <= self.bound


@dataclass(frozen=True)
class Proof:
    """What `prove` found: the layers in the order in which they finished, the whole module last."""

    layers: tuple[Layer, ...]

    @property
    def ok(self) -> bool:
        """Whether the module's own outputs agree."""
        return self.layers[-1].ok

    @property
    def first_divergent(self) -> Layer | None:
        """The first layer beyond its bound, where the whole module is."""
        return None if self.ok else next(x for x in self.layers if not x.ok)

    def top_level(self) -> Iterator[Layer]:
        """For each child of the module the greatest difference within, then the module itself."""
        groups: dict[str, list[Layer]] = {}
        for layer in self.layers[:-1]:
            groups.setdefault(layer.name.partition(".")[0], []).append(layer)
        for name, group in groups.items():
            own = next((x for x in group if x.name == name), group[-1])
            worst = max(group, key=lambda x: x.difference)
            yield Layer(name, own.kind if own.name == name else "", worst.difference, worst.bound)
        yield self.layers[-1]

    def as_json(self) -> dict[str, Any]:
        """Numbers and names, for a file."""
        divergent = self.first_divergent
        return {
            "ok": self.ok,
            "difference": self.layers[-1].difference,
            "bound": self.layers[-1].bound,
            "first_divergent": divergent.name if divergent else None,
            "layers": [{"name": x.name, "class": x.kind, "difference": x.difference} for x in self.layers],
        }


def prove(module: torch.nn.Module, model: nnx.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Proof:
    """Runs both in evaluation and compares what each layer gives, matrix products at highest precision."""
    theirs = _torch_outputs(module, args, kwargs)
    ours = _our_outputs(model, jax.tree.map(_to_jax, tuple(args)), jax.tree.map(_to_jax, dict(kwargs)))
    layers = [
        Layer(name, kind, *_difference(ours[name], arrays)) for name, (kind, arrays) in theirs.items() if name in ours
    ]
    return Proof(tuple(layers))


def _to_jax(x: Any) -> Any:
    return jnp.asarray(to_numpy(x)) if isinstance(x, torch.Tensor) else x


def _torch_outputs(module: torch.nn.Module, args: Any, kwargs: Any) -> dict[str, tuple[str, list[np.ndarray]]]:
    """Each layer's class and arrays, of its first call, in the order of finishing."""
    found: dict[str, tuple[str, list[np.ndarray]]] = {}

    def noting(name: str) -> Any:
        def note(layer: torch.nn.Module, inputs: Any, output: Any) -> None:
            arrays = [to_numpy(x).copy() for x in _leaves(output) if isinstance(x, torch.Tensor)]
            found.setdefault(name, (type(layer).__name__, arrays))

        return note

    hooks = [layer.register_forward_hook(noting(name)) for name, layer in module.named_modules()]
    was = {layer: layer.training for layer in module.modules()}
    try:
        module.eval()
        with torch.no_grad():
            module(*(_copied(x) for x in args), **{name: _copied(x) for name, x in kwargs.items()})
    finally:
        for hook in hooks:
            hook.remove()
        for layer, training in was.items():
            layer.training = training
    return found


def _copied(x: Any) -> Any:
    return x.clone() if isinstance(x, torch.Tensor) else x


def _our_outputs(model: nnx.Module, args: Any, kwargs: Any) -> dict[str, list[np.ndarray]]:
    """The arrays of each layer's first call."""
    still = nnx.clone(model)
    still.eval()
    with jax.default_matmul_precision("highest"):
        run: Any = nnx.capture(still, nnx.Intermediate, method_outputs=nnx.Intermediate)
        output, state = run(*args, **kwargs)
    found: dict[str, list[np.ndarray]] = {}
    for path, value in nnx.to_flat_state(state):
        if path and path[-1] == "__call__":
            calls = value.get_value()
            found[".".join(map(str, path[:-1]))] = [np.asarray(x) for x in jax.tree.leaves(calls[0])]
    found[""] = [np.asarray(x) for x in _leaves(output)]
    return found


def _leaves(tree: Any) -> Iterator[Any]:
    """The arrays of a tree in the order in which it was written: JAX would sort the keys of dicts."""
    if isinstance(tree, Mapping):
        for x in tree.values():
            yield from _leaves(x)
    elif isinstance(tree, tuple | list):
        for x in tree:
            yield from _leaves(x)
    elif isinstance(tree, torch.Tensor | jax.Array | np.ndarray):
        yield tree


def _difference(ours: list[np.ndarray], theirs: list[np.ndarray]) -> tuple[float, float]:
    """The greatest relative difference, and the bound of the arrays' dtype."""
    bound = max((BOUND.get(x.dtype.name, 0.0) for x in theirs), default=0.0)
    if [x.shape for x in ours] != [x.shape for x in theirs]:
        return float("inf"), bound
    return max((_apart(a, b) for a, b in zip(ours, theirs, strict=True)), default=0.0), bound


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    if not b.size:
        return 0.0
    a, b = (x.astype(np.complex128 if x.dtype.kind == "c" else np.float64) for x in (a, b))
    with np.errstate(all="ignore"):
        apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
    greatest, scale = float(np.max(apart)), float(np.max(np.where(np.isfinite(b), np.abs(b), 0.0)))
    return float("inf") if np.isnan(greatest) else greatest / scale if scale else greatest
