"""Softmax along an axis: `torch.nn.functional.softmax`, `log_softmax`, `softmin`, `gumbel_softmax`."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets import check
from jaxnets.functional.elementwise import floating, in_float32
from jaxnets.functional.precision import wide
from jaxnets.lowering.pick import pick

__all__ = ["gumbel_softmax", "log_softmax", "softmax", "softmin"]


def softmax(input: jax.Array, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> jax.Array:
    """Exponentials along one axis, scaled to the sum 1.

    `y_i = exp(x_i) / sum over j of exp(x_j)`

    Args:
        input: floating numbers; any real numbers if `dtype` is given.
        dim: the axis. Without it, 0 for inputs of 0, 1 or 3 axes, else 1, with torch's warning.
        dtype: floating dtype that `input` is cast to before, and that the result has.

    Shape: `(*)` to the same. A line of nothing but -inf gives NaN.

    Raises:
        TypeError: `input` is not floating and `dtype` is not given.
        ValueError: `dim` is no axis of `input`.

    Differences from torch: none.

    >>> softmax(jnp.array([[1.0, 1.0]]), dim=1).tolist()
    [[0.5, 0.5]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html
    """
    return _along_axis("softmax", _softmax, check.array("input", input), dim, _stacklevel, dtype)


def log_softmax(input: jax.Array, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> jax.Array:
    """Logarithm of `softmax`, exact where the softmax would be rounded to 0.

    `y_i = x_i - log(sum over j of exp(x_j))`

    Args:
        input: floating numbers; any real numbers if `dtype` is given.
        dim: the axis. Without it, 0 for inputs of 0, 1 or 3 axes, else 1, with torch's warning.
        dtype: floating dtype that `input` is cast to before, and that the result has.

    Shape: `(*)` to the same. A line of nothing but -inf gives NaN.

    Raises:
        TypeError: `input` is not floating and `dtype` is not given.
        ValueError: `dim` is no axis of `input`.

    Differences from torch: none.

    >>> log_softmax(jnp.array([0.0, -1000.0]), dim=0).tolist()
    [0.0, -1000.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.log_softmax.html
    """
    return _along_axis("log_softmax", jax.nn.log_softmax, check.array("input", input), dim, _stacklevel, dtype)


def log_softmax_at(input: jax.Array, index: jax.Array, axis: int) -> jax.Array:
    """`log_softmax` at one place of each line, without the other places; NaN where there is no such place."""
    x = wide(input)
    top = lax.stop_gradient(x.max(axis, initial=-jnp.inf))
    total = jnp.exp(x - jnp.expand_dims(top, axis)).sum(axis)
    return (pick(x, index, axis) - top - jnp.log(total)).astype(input.dtype)


def softmin(input: jax.Array, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> jax.Array:
    """Softmax of the negated input: the smallest number gets the greatest share.

    `y_i = exp(-x_i) / sum over j of exp(-x_j)`

    Args:
        input: floating numbers; integers too if `dtype` is given. They are negated before the cast.
        dim: the axis. Without it, 0 for inputs of 0, 1 or 3 axes, else 1, with torch's warning.
        dtype: floating dtype that `-input` is cast to before, and that the result has.

    Shape: `(*)` to the same. A line of nothing but inf gives NaN.

    Raises:
        TypeError: `input` is boolean, or is not floating and `dtype` is not given.
        ValueError: `dim` is no axis of `input`.

    Differences from torch: none.

    >>> softmin(jnp.array([3.0, 3.0, 1000.0]), dim=0).tolist()
    [0.5, 0.5, 0.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softmin.html
    """
    input = check.array("input", input)
    if input.dtype == bool:
        raise TypeError("input: expected numbers, got bool; cast it first")
    return _along_axis("softmin", _softmax, -input, dim, _stacklevel, dtype)


def gumbel_softmax(
    logits: jax.Array,
    tau: float = 1,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
    *,
    key: jax.Array | None = None,
) -> jax.Array:
    """Random samples of classes, soft or one-hot, that the gradient flows through (Jang et al., 2017).

    `y = softmax((logits + g) / tau)`, `g` drawn from Gumbel(0, 1)

    The greatest element of `y` is class `i` with the probability `softmax(logits)_i`.

    Args:
        logits: floating numbers, log probabilities that need not be normalised.
        tau: temperature, a number or an array that holds one: towards 0 samples become one-hot.
        hard: whether to return the one-hot vector of the greatest element, with the gradient of the soft sample.
        eps: deprecated, has no effect; a value of its own gives torch's warning.
        dim: the axis of the classes.
        key: a jax random key; needed unless `logits` is empty.

    Shape: `(*)` to the same.

    Raises:
        TypeError: `logits` is not floating.
        ValueError: `dim` is no axis of `logits`, `key` is missing, `hard` where there are no classes.

    Differences from torch: random numbers come from `key`, not from a global generator. `tau` has no axes.

    >>> sample = gumbel_softmax(jnp.zeros((2, 3)), hard=True, key=jax.random.key(0))
    >>> sample.sum(1).tolist()
    [1.0, 1.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.gumbel_softmax.html
    """
    logits = floating("logits", logits)
    dim = _axis("logits", logits, dim)
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    if check.truth("hard", hard) and logits.ndim and not logits.shape[dim]:
        raise ValueError(f"logits: expected at least one class on axis {dim}, got shape {logits.shape}")
    if not logits.size:
        return logits
    if key is None:
        raise ValueError("key: expected a jax random key, got None; pass key=jax.random.key(0)")
    x = wide(logits)
    noisy = x + jax.random.gumbel(key, x.shape, x.dtype)
    lines = noisy / check.scalar("tau", tau).astype(x.dtype)
    lines = lines.reshape(1) if x.ndim == 0 else lines
    soft = _softmax(lines, dim)
    if hard:
        greatest = jnp.argmax(soft, axis=dim, keepdims=True)
        places = lax.broadcasted_iota(greatest.dtype, soft.shape, dim % soft.ndim)
        chosen = (places == jnp.broadcast_to(greatest, soft.shape)).astype(soft.dtype)
        soft = chosen - lax.stop_gradient(soft) + soft
    return soft.reshape(logits.shape).astype(logits.dtype)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _softmax(x: jax.Array, axis: int) -> jax.Array:
    return jax.nn.softmax(x, axis)


@_softmax.defjvp
def _softmax_jvp(axis: int, primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (x,), (dx,) = primals, tangents
    # written once, where XLA's CPU backend would compute it again for the gradient, slower than it reads it
    y = lax.optimization_barrier(_softmax(x, axis))
    return y, softmax_along(y, dx, axis)


def softmax_along(y: jax.Array, dx: jax.Array, axis: int) -> jax.Array:
    """The derivative of a softmax that is `y`, along `dx`."""
    return y * (dx - (y * dx).sum(axis, keepdims=True))


def _along_axis(
    name: str, f: Callable[..., jax.Array], x: jax.Array, dim: int | None, stacklevel: int, dtype: Any
) -> jax.Array:
    if dtype is not None:
        x = x.astype(check.dtype("dtype", dtype))
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"input: expected a floating dtype, got {x.dtype}; pass dtype=jnp.float32")
    if dim is None:
        dim = 0 if x.ndim in (0, 1, 3) else 1
        warnings.warn(
            f"Implicit dimension choice for {name} has been deprecated. "
            "Change the call to include dim=X as an argument.",
            stacklevel=stacklevel,
        )
    dim = _axis("input", x, dim)
    # torch sees a number as one line of one element
    line = x.reshape(1) if x.ndim == 0 else x
    return in_float32(lambda line: f(line, dim), line).reshape(x.shape)


def _axis(name: str, x: jax.Array, dim: int) -> int:
    dim, axes = check.integer("dim", dim), max(x.ndim, 1)
    if not -axes <= dim < axes:
        raise ValueError(f"dim: expected an axis from {-axes} to {axes - 1} of {name} {x.shape}, got {dim}")
    return dim
