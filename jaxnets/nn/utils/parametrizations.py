"""Parametrizations of weights: `torch.nn.utils.parametrizations`."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxnets import check
from jaxnets.nn import init
from jaxnets.nn.parameters import Buffer, Layer, stream
from jaxnets.nn.utils import computed
from jaxnets.nn.utils.parametrize import is_parametrized, register_parametrization
from jaxnets.nn.utils.spectral_norm import as_matrix, normalize, output_axis, over_sigma, random_vectors
from jaxnets.nn.utils.weight_norm import norm_except_dim, with_norm

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def _value(module: nnx.Module, name: str) -> jax.Array:
    """The value of a parameter, parametrized or not, or an error."""
    held = getattr(module, name) if is_parametrized(module, name) else computed.variable(module, name)
    return held.get_value()


class _WeightNorm(Layer):
    def __init__(self, name: str, dim: int | None):
        self.name = name
        self.dim = dim

    def __call__(self, weight_g: jax.Array, weight_v: jax.Array) -> jax.Array:
        return with_norm(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: jax.Array) -> tuple[jax.Array, jax.Array]:
        return norm_except_dim(weight, self.dim), weight

    def upgrade_state(self, prefix: str, state: dict[str, Any]) -> None:
        """Takes what the old form of `weight_norm` saved, under its names."""
        path = prefix.removesuffix("0.")
        host = path.removesuffix(f"parametrizations.{self.name}.")
        old = {f"{path}original0": f"{host}{self.name}_g", f"{path}original1": f"{host}{self.name}_v"}
        if all(name in state for name in old.values()):
            for new, name in old.items():
                state[new] = state.pop(name)


def weight_norm(module: nnx.Module, name: str = "weight", dim: int | None = 0) -> nnx.Module:
    """Computes a weight from its length and its direction (Salimans and Kingma, 2016).

    `w = original0 * original1 / |original1|`

    Args:
        module: the layer, changed in place.
        name: the name of the weight.
        dim: the axis along which there is a norm for each slice; None (or -1) for one norm of the whole.

    Returns:
        The layer; `module.parametrizations.weight` has `original0`, the length, and `original1`, the direction.

    Raises:
        TypeError: `module` is no `nnx.Module`.
        ValueError: no such parameter, or it has no such axis.

    Differences from torch: none. `load_state_dict` takes the names of the old form, `weight_g` and `weight_v`, too.

    >>> from jaxnets import nn
    >>> layer = weight_norm(nn.Linear(20, 40, rngs=nnx.Rngs(0)))
    >>> layer.parametrizations.weight.original0.shape
    (40, 1)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.parametrizations.weight_norm.html
    """
    return register_parametrization(module, name, _WeightNorm(name, dim), unsafe=True)


class _SpectralNorm(Layer):
    def __init__(self, weight: jax.Array, n_power_iterations: int, dim: int, eps: float, rngs: Any):
        self.n_power_iterations = check.integer("n_power_iterations", n_power_iterations, least=1)
        self.dim = dim
        self.eps = check.number("eps", eps)
        self.use_running_average = False
        if weight.ndim > 1:
            matrix = as_matrix(weight, dim)
            u, v = random_vectors(rngs, matrix, self.eps)
            self._u, self._v = Buffer(u), Buffer(v)
            self._iterate(matrix, 15)

    def set_view(self, use_running_average: bool | None = None) -> None:
        """What `nnx.view(model, use_running_average=True)` calls."""
        if use_running_average is not None:
            self.use_running_average = use_running_average

    def _iterate(self, matrix: jax.Array, steps: int) -> None:
        matrix, left, right = jax.lax.stop_gradient(matrix), self._u[...], self._v[...]
        for _ in range(steps):
            left = normalize(matrix @ right, self.eps)
            right = normalize(matrix.conj().T @ left, self.eps)
        self._u[...], self._v[...] = left, right

    def __call__(self, weight: jax.Array) -> jax.Array:
        if weight.ndim == 1:
            return normalize(weight, self.eps)
        matrix = as_matrix(weight, self.dim)
        if not self.use_running_average:
            self._iterate(matrix, self.n_power_iterations)
        return over_sigma(weight, matrix, self._u[...], self._v[...])

    def right_inverse(self, value: jax.Array) -> jax.Array:
        return value


def spectral_norm(
    module: nnx.Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
    *,
    rngs: nnx.Rngs | None = None,
) -> nnx.Module:
    """Divides a weight by an estimate of its greatest singular value (Miyato et al., 2018).

    `W / sigma`, `sigma = uᴴ W v`

    In training, each time that the weight is read, u and v are moved by `n_power_iterations` steps of the power
    iteration. A vector is divided by its norm.

    Args:
        module: the layer, changed in place.
        name: the name of the weight.
        n_power_iterations: steps for each reading, at least 1.
        eps: the least length by which vectors are divided.
        dim: the axis of outputs; 1 for transposed convolutions and 0 for others when not given.
        rngs: random streams; `params` draws the first u and v, which 15 steps improve. A vector needs none.

    Returns:
        The layer; `module.parametrizations.weight` has `original`.

    Raises:
        TypeError: `module` is no `nnx.Module`, `rngs` no `nnx.Rngs`.
        ValueError: no such parameter, or it has no such axis; no iterations.

    Differences from torch: `rngs` is new. The mode is `use_running_average` of the parametrization, which `train()`
    and `eval()` of the model set.

    >>> from jaxnets import nn
    >>> layer = spectral_norm(nn.Linear(20, 40, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    >>> bool(abs(jnp.linalg.norm(layer.weight[...], 2) - 1) < 0.1)
    True

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.parametrizations.spectral_norm.html
    """
    weight = _value(module, name)
    parametrization = _SpectralNorm(weight, n_power_iterations, output_axis(module, weight, dim), eps, rngs)
    return register_parametrization(module, name, parametrization)


class _Orthogonal(Layer):
    def __init__(self, weight: jax.Array, orthogonal_map: str, use_trivialization: bool, rngs: Any):
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        self.use_trivialization = use_trivialization
        n, k = _tall(weight).shape[-2:]
        if use_trivialization:
            shape = (*weight.shape[:-2], n, n - k)
            extra = init.normal(stream(rngs, "params")(), shape, dtype=weight.dtype) if n > k else None
            self.extra = nnx.data(None) if extra is None else Buffer(extra, persistent=False)
            self.base = Buffer(jnp.zeros((*weight.shape[:-2], n, n), weight.dtype))  # right_inverse fills it

    def __call__(self, x: jax.Array) -> jax.Array:
        q = MAPS[self.orthogonal_map](_tall(x))
        if self.use_trivialization:
            q = self.base[...] @ q
        return q.mT if x.shape[-2] < x.shape[-1] else q

    def right_inverse(self, value: jax.Array) -> jax.Array:
        if value.shape != self.shape:
            raise ValueError(f"value: expected a matrix or matrices of shape {self.shape}, got shape {value.shape}")
        q = _tall(value)
        if not self.use_trivialization:
            if self.orthogonal_map != "householder":
                raise NotImplementedError(f"{self.orthogonal_map} has no inverse without use_trivialization=True")
            x = _reflectors(q)
            return x.mT if value.shape[-2] < value.shape[-1] else x
        eye = jnp.broadcast_to(jnp.eye(q.shape[-1], dtype=q.dtype), q.mT.shape[:-1] + q.shape[-1:])
        if self.extra is None:
            close = jnp.allclose(q.mT.conj() @ q, eye, atol=10 * q.shape[-1] * float(jnp.finfo(q.dtype).eps))
            self.base[...] = jnp.where(close, q, _orthonormal(q))
        else:  # a full basis that begins with the columns of q
            self.base[...] = _orthonormal(jnp.concatenate([q, self.extra[...]], -1))
        return -jnp.broadcast_to(jnp.eye(value.shape[-2], value.shape[-1], dtype=value.dtype), value.shape)


def _tall(x: jax.Array) -> jax.Array:
    return x.mT if x.shape[-2] < x.shape[-1] else x


def _orthonormal(x: jax.Array) -> jax.Array:
    """Q of the QR decomposition with a positive diagonal of R."""
    q, r = jnp.linalg.qr(x)
    return q * jnp.sign(jnp.diagonal(r, axis1=-2, axis2=-1))[..., None, :]


def _reflectors(q: jax.Array) -> jax.Array:
    """What `_householder` makes `q` of, if its columns are orthonormal: LAPACK's form, signs on the diagonal."""
    h, tau = jnp.linalg.qr(q, mode="raw")
    x = h.mT
    signs = jnp.sign(jnp.diagonal(x, axis1=-2, axis2=-1)) * jnp.where(tau == 0, -1, 1).astype(x.dtype)
    diagonal = jnp.eye(x.shape[-2], x.shape[-1], dtype=bool)
    return jnp.where(diagonal, signs[..., None, :], x)


def _skew(x: jax.Array) -> jax.Array:
    """A skew-Hermitian matrix of the lower triangle of a tall one."""
    n, k = x.shape[-2:]
    x = jnp.pad(jnp.tril(x), [(0, 0)] * (x.ndim - 1) + [(0, n - k)])
    return x - x.mT.conj()


def _matrix_exp(x: jax.Array) -> jax.Array:
    return jax.scipy.linalg.expm(_skew(x))[..., : x.shape[-1]]


def _cayley(x: jax.Array) -> jax.Array:
    half = _skew(x) / 2
    eye = jnp.broadcast_to(jnp.eye(x.shape[-2], dtype=x.dtype), half.shape)
    return jnp.linalg.solve(eye - half, eye + half)[..., : x.shape[-1]]


def _householder(x: jax.Array) -> jax.Array:
    """The product of reflections `I - tau v vᵀ`, by one triangular system: v in the columns below the diagonal."""
    n, k = x.shape[-2:]
    eye = jnp.broadcast_to(jnp.eye(n, k, dtype=x.dtype), x.shape)
    v = jnp.tril(x, -1) + eye
    gram = v.mT @ v
    system = jnp.triu(gram, 1) + jnp.tril(jnp.triu(gram)) / 2  # 1 / tau = |v|² / 2 on the diagonal
    q = eye - v @ jax.scipy.linalg.solve_triangular(system, v[..., :k, :].mT)
    return q * jax.lax.stop_gradient(jnp.trunc(jnp.diagonal(x, axis1=-2, axis2=-1)))[..., None, :]


MAPS = {"matrix_exp": _matrix_exp, "cayley": _cayley, "householder": _householder}


def orthogonal(
    module: nnx.Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
    rngs: nnx.Rngs | None = None,
) -> nnx.Module:
    """Keeps a matrix orthogonal: `Qᴴ Q = I` if it has more rows than columns, else `Q Qᴴ = I` (Lezcano-Casado, 2019).

    `Q = base @ map(X)`, where X is the parameter

    Args:
        module: the layer, changed in place.
        name: the name of the weight: a matrix, or matrices in the last two axes.
        orthogonal_map: "matrix_exp", `exp(A)`; "cayley", `(I + A/2)(I - A/2)⁻¹`, both of the skew-Hermitian matrix A
            of the lower triangle of X; or "householder", a product of reflections, for real matrices. When not
            given, "matrix_exp" for square or complex matrices, "householder" for others.
        use_trivialization: whether there is a base, so that X is near zero: optimizers work better there.
        rngs: random streams; `params` completes a rectangular matrix to a basis. A square one needs none.

    Returns:
        The layer; its weight is the orthogonal matrix nearest by QR to what it was, `module.parametrizations.weight`
        has `original`, X.

    Raises:
        TypeError: `module` is no `nnx.Module`, `rngs` no `nnx.Rngs`.
        ValueError: no such parameter, or it is no matrix; no such map, or one that complex matrices do not have.

    Differences from torch: `rngs` is new. What completes a matrix is drawn once, not again for each assignment.

    >>> from jaxnets import nn
    >>> q = orthogonal(nn.Linear(20, 40, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1)).weight[...]
    >>> bool(jnp.abs(q.T @ q - jnp.eye(20)).max() < 1e-5)
    True

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.parametrizations.orthogonal.html
    """
    weight = _value(module, name)
    if weight.ndim < 2:
        raise ValueError(f"name: expected a matrix or matrices, but {name!r} has shape {weight.shape}")
    is_complex = jnp.issubdtype(weight.dtype, jnp.complexfloating)
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if weight.shape[-2] == weight.shape[-1] or is_complex else "householder"
    check.choice("orthogonal_map", orthogonal_map, tuple(MAPS))
    if is_complex and orthogonal_map == "householder":
        raise ValueError(f"orthogonal_map: expected 'matrix_exp' or 'cayley' for {weight.dtype}, got 'householder'")
    parametrization = _Orthogonal(weight, orthogonal_map, check.flag("use_trivialization", use_trivialization), rngs)
    return register_parametrization(module, name, parametrization, unsafe=True)
