"""Weights divided by their greatest singular value, in torch's old form: `torch.nn.utils.spectral_norm`."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxnets import check
from jaxnets.functional.precision import wide
from jaxnets.nn import init
from jaxnets.nn.conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from jaxnets.nn.parameters import Buffer, stream
from jaxnets.nn.utils import computed

__all__ = ["remove_spectral_norm", "spectral_norm"]


def as_matrix(weight: jax.Array, dim: int) -> jax.Array:
    """A weight as the matrix of a linear map, with the axis `dim` for its outputs."""
    return jnp.moveaxis(weight, dim, 0).reshape(weight.shape[dim], -1)


def normalize(x: jax.Array, eps: float) -> jax.Array:
    """A vector of length 1 in the direction of `x`, which is divided by `eps` if it is shorter than that."""
    norm = jnp.sqrt(jnp.square(jnp.abs(wide(x))).sum())
    return (wide(x) / jnp.maximum(norm, eps)).astype(x.dtype)


def over_sigma(weight: jax.Array, matrix: jax.Array, u: jax.Array, v: jax.Array) -> jax.Array:
    """`weight / (uᴴ W v)`: gradients go through W, not through the vectors."""
    u, v = jax.lax.stop_gradient((u, v))
    return weight / jnp.vdot(u, matrix @ v)[(None,) * weight.ndim]


def output_axis(module: nnx.Module, weight: jax.Array, dim: int | None) -> int:
    """The axis of a weight that counts outputs: what was asked for, 1 for transposed convolutions, else 0."""
    if dim is None:
        return int(isinstance(module, ConvTranspose1d | ConvTranspose2d | ConvTranspose3d))
    dim = check.integer("dim", dim)
    if not -weight.ndim <= dim < weight.ndim:
        raise ValueError(f"dim: expected an axis of an array of shape {weight.shape}, got {dim}")
    return dim % weight.ndim


def random_vectors(rngs: Any, matrix: jax.Array, eps: float) -> tuple[jax.Array, jax.Array]:
    """Random vectors of length 1, for the outputs and the inputs of a linear map."""
    key = stream(rngs, "params")
    u, v = (normalize(init.normal(key(), (n,), dtype=matrix.dtype), eps) for n in matrix.shape)
    return u, v


def _set_view(self: Any, use_running_average: bool | None = None) -> None:
    """What `nnx.view(model, use_running_average=True)` calls."""
    if use_running_average is not None:
        self.use_running_average = use_running_average


def _upgrade_state(self: Any, prefix: str, state: dict[str, Any]) -> None:
    """Finds the v that torch before 1.1 did not save: it saved the normalised weight, which says what sigma was."""
    for rule in computed.origin(type(self))[1]:
        name = prefix + rule.name
        if not (isinstance(rule, SpectralNorm) and {name, name + "_orig", name + "_u"} <= set(state)):
            continue
        weight, original, u = (np.asarray(state[key]) for key in (name, name + "_orig", name + "_u"))
        del state[name]
        matrix = np.moveaxis(original, rule.dim, 0).reshape(len(u), -1)
        v = np.linalg.pinv(matrix.T @ matrix) @ matrix.T @ u
        state[name + "_v"] = v * ((original / weight).mean() / (u @ matrix @ v))


@dataclass(frozen=True)
class SpectralNorm(computed.Rule):
    n_power_iterations: int = 1
    dim: int = 0
    eps: float = 1e-12
    attributes: ClassVar[dict[str, Any]] = {"set_view": _set_view, "upgrade_state": _upgrade_state}

    def compute(self, module: Any) -> jax.Array:
        weight, u, v = (getattr(module, self.name + suffix)[...] for suffix in ("_orig", "_u", "_v"))
        return over_sigma(weight, as_matrix(weight, self.dim), u, v)

    def before_call(self, module: Any) -> None:
        if module.use_running_average:
            return
        weight, u, v = (getattr(module, self.name + suffix) for suffix in ("_orig", "_u", "_v"))
        matrix = jax.lax.stop_gradient(as_matrix(weight[...], self.dim))
        right, left = v[...], u[...]
        for _ in range(self.n_power_iterations):
            right = normalize(matrix.T @ left, self.eps)
            left = normalize(matrix @ right, self.eps)
        u[...], v[...] = left, right


def spectral_norm(
    module: nnx.Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
    *,
    rngs: nnx.Rngs,
) -> nnx.Module:
    """Divides a weight by an estimate of its greatest singular value (Miyato et al., 2018).

    `W / sigma`, `sigma = uᵀ W v`

    Each call in training moves u and v by `n_power_iterations` steps of the power iteration. torch's old form, with
    the keys `weight_orig`, `weight_u` and `weight_v`; `parametrizations.spectral_norm` is the new one.

    Args:
        module: the layer, changed in place.
        name: the name of the weight.
        n_power_iterations: steps in each call, at least 1.
        eps: the least length by which vectors are divided.
        dim: the axis of outputs; 1 for transposed convolutions and 0 for others when not given.
        rngs: random streams; `params` draws the first u and v.

    Returns:
        The layer.

    Raises:
        TypeError: `module` is no `nnx.Module`.
        ValueError: no such parameter, it is normalised already, it has no such axis; no iterations.

    Differences from torch: `rngs` is new. The mode is `use_running_average`, which `train()` and `eval()` set. A
    weight that is read outside of a call is that of the present u and v, not the one of the last call.

    >>> from jaxnets import nn
    >>> layer = spectral_norm(nn.Linear(20, 40, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    >>> layer.weight_u.shape, layer.weight_v.shape
    ((40,), (20,))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.spectral_norm.html
    """
    if computed.find(module, name, SpectralNorm):
        raise ValueError(f"name: expected a parameter without spectral_norm, but {name!r} has one already")
    variable = computed.variable(module, name)
    weight = variable.get_value()
    n_power_iterations = check.integer("n_power_iterations", n_power_iterations, least=1)
    rule = SpectralNorm(name, n_power_iterations, output_axis(module, weight, dim), check.number("eps", eps))
    u, v = random_vectors(rngs, as_matrix(weight, rule.dim), rule.eps)
    computed.drop(module, name)
    setattr(module, name + "_orig", variable)
    setattr(module, name + "_u", Buffer(u))
    setattr(module, name + "_v", Buffer(v))
    if not hasattr(module, "use_running_average"):
        host: Any = module
        host.use_running_average = False
    computed.attach(module, rule)
    return module


def remove_spectral_norm(module: nnx.Module, name: str = "weight") -> nnx.Module:
    """Makes a parameter of a normalised weight again, with the value that it has.

    Args:
        module: the layer, changed in place.
        name: the name of the weight.

    Returns:
        The layer.

    Raises:
        ValueError: the weight has no `spectral_norm`.

    Differences from torch: none.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.remove_spectral_norm.html
    """
    rule = computed.find(module, name, SpectralNorm)
    if rule is None:
        raise ValueError(f"name: expected a parameter with spectral_norm, got {name!r}")
    weight = nnx.Param(rule.compute(module))
    computed.drop(module, *(name + suffix for suffix in ("_orig", "_u", "_v")))
    computed.detach(module, name, weight)
    if not hasattr(module, "set_view"):  # a layer that had no mode before
        computed.drop(module, "use_running_average")
    return module
