"""Activations: `torch.nn.functional.relu`, `sigmoid`, `tanh`, `softmax`, `log_softmax`."""

import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets import check
from jaxnets.functional.precision import wide

__all__ = ["log_softmax", "relu", "sigmoid", "softmax", "tanh"]


def relu(input: jax.Array, inplace: bool = False) -> jax.Array:
    """Rectified linear unit, element by element.

    `max(x, 0)`; the derivative at 0 is 0, and NaN stays NaN.

    Args:
        input: real numbers, floating or integer.
        inplace: has no effect, arrays are immutable.

    Shape: `(*)` to the same.

    Raises:
        TypeError: `input` is complex or boolean.

    Differences from torch: `inplace` has no effect.

    >>> relu(jnp.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.relu.html
    """
    input = check.array("input", input)
    if input.dtype == bool or jnp.iscomplexobj(input):
        raise TypeError(f"input: expected real numbers, got {input.dtype}; cast it first")
    # asking for what is dropped lets NaN through, forward and backward, as torch does
    return jnp.where(input <= 0, jnp.zeros((), input.dtype), input)


def sigmoid(input: jax.Array) -> jax.Array:
    """Logistic function, element by element.

    `1 / (1 + exp(-x))`

    Args:
        input: numbers of any dtype; integers and booleans become the default floating dtype.

    Shape: `(*)` to the same.

    Differences from torch: none.

    >>> sigmoid(jnp.array(0.0)).item()
    0.5

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.sigmoid.html
    """
    return _in_float32(lax.logistic, check.array("input", input))


def tanh(input: jax.Array) -> jax.Array:
    """Hyperbolic tangent, element by element.

    `(exp(x) - exp(-x)) / (exp(x) + exp(-x))`

    Args:
        input: numbers of any dtype; integers and booleans become the default floating dtype.

    Shape: `(*)` to the same.

    Differences from torch: none.

    >>> tanh(jnp.array(0.0)).item()
    0.0

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.tanh.html
    """
    return _in_float32(jnp.tanh, check.array("input", input))


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
    return _along_axis("softmax", jax.nn.softmax, input, dim, _stacklevel, dtype)


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
    return _along_axis("log_softmax", jax.nn.log_softmax, input, dim, _stacklevel, dtype)


def _in_float32(f: Callable[..., jax.Array], x: jax.Array) -> jax.Array:
    """`f(x)`, half precisions computed in float32 and rounded once, integers as the default floating dtype."""
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return f(x.astype(jnp.float32))
    return f(wide(x)).astype(x.dtype)


def _along_axis(
    name: str, f: Callable[..., jax.Array], input: jax.Array, dim: int | None, stacklevel: int, dtype: Any
) -> jax.Array:
    x = check.array("input", input)
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
    dim, axes = check.integer("dim", dim), max(x.ndim, 1)
    if not -axes <= dim < axes:
        raise ValueError(f"dim: expected an axis from {-axes} to {axes - 1} of input {x.shape}, got {dim}")
    # torch sees a number as one line of one element
    line = x.reshape(1) if x.ndim == 0 else x
    return _in_float32(lambda line: f(line, axis=dim), line).reshape(x.shape)
