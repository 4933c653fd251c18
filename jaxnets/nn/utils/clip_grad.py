"""Clipping of gradients: `torch.nn.utils.clip_grad_norm_` and its like, on trees of gradients."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets import check
from jaxnets.functional.distance import vector_norm
from jaxnets.functional.precision import wide
from jaxnets.nn.utils.convert_parameters import common_dtype

__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value",
    "clip_grad_value_",
    "clip_grads_with_norm",
    "clip_grads_with_norm_",
    "get_total_norm",
]


def get_total_norm(
    tensors: Any, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> jax.Array:
    """The norm of all arrays of a tree as of one vector.

    `(sum |x|^p)^(1/p)`

    Args:
        tensors: arrays in any tree: a list, a dict, the `nnx.State` that `nnx.grad` gives.
        norm_type: p; infinity, "inf" too, for the greatest absolute value, 0 for the number of values but zero.
        error_if_nonfinite: whether a norm that is NaN or infinite is an error; not under `jax.jit`.
        foreach: has no effect.

    Returns:
        The norm: of no arrays, 0.

    Raises:
        ValueError: the norm is not finite, if asked for; it is not known (under `jax.jit`); an array without
            elements, which has no norm of infinite or negative order.

    Differences from torch: any tree is taken.

    >>> get_total_norm({"weight": jnp.array([3.0, 0.0]), "bias": jnp.array([4.0])})
    Array(5., dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.get_total_norm.html
    """
    del foreach
    order = float(norm_type)
    norms = [_norm(check.array("tensors", x), order) for x in jax.tree.leaves(tensors)]
    if not norms:
        return jnp.zeros((), jnp.float32)
    dtype = common_dtype(*norms)
    total = _norm(jnp.stack([norm.astype(dtype) for norm in norms]), order)
    if error_if_nonfinite:
        if isinstance(total, jax.core.Tracer):
            raise ValueError("error_if_nonfinite: expected False under jax.jit, where the norm is not known, got True")
        if not math.isfinite(float(total)):
            raise ValueError(
                f"tensors: expected a finite norm of order {order}, got {total}; clip it anyway with "
                "error_if_nonfinite=False"
            )
    return total


def _norm(x: jax.Array, order: float) -> jax.Array:
    """The norm of an array as of a vector, in its dtype."""
    size = jnp.abs(wide(x)).reshape(-1)
    if order == 2:
        norm = jnp.sqrt(jnp.square(size).sum())
    elif order == 1:
        norm = size.sum()
    elif order == 0:
        norm = (size != 0).astype(size.dtype).sum()
    elif not x.size and (order < 0 or order == math.inf):
        raise ValueError(f"tensors: expected arrays with elements, which a norm of order {order} needs, got none")
    elif math.isinf(order):
        norm = vector_norm(size, order, keepdim=False)
    else:
        norm = (size**order).sum() ** (1 / order)
    return norm.astype(x.real.dtype)


def clip_grads_with_norm(parameters: Any, max_norm: float, total_norm: Any, foreach: bool | None = None) -> Any:
    """Gradients scaled so that their norm is at most `max_norm`.

    `g * min(max_norm / (total_norm + 1e-6), 1)`

    Args:
        parameters: a tree of gradients.
        max_norm: the greatest norm.
        total_norm: the norm that they have.
        foreach: has no effect.

    Returns:
        A tree of scaled gradients, in their dtypes.

    Differences from torch: gradients are given and returned, as arrays are immutable; `clip_grads_with_norm_` is the
    same function.

    >>> clipped = clip_grads_with_norm([jnp.array([3.0, 4.0])], 1.0, jnp.array(5.0))
    >>> get_total_norm(clipped).round(3)
    Array(1., dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grads_with_norm_.html
    """
    del foreach
    norm = check.scalar("total_norm", total_norm)
    share = jnp.minimum(1 / (norm + 1e-6) * float(max_norm), 1.0)  # rounded as torch divides a number by a tensor

    def clip(x: Any) -> jax.Array:
        wide_x = wide(check.array("parameters", x))
        return (wide_x * share.astype(wide_x.real.dtype)).astype(x.dtype)

    return jax.tree.map(clip, parameters)


def clip_grad_norm(
    parameters: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> tuple[Any, jax.Array]:
    """Gradients scaled so that the norm of all of them, as of one vector, is at most `max_norm`.

    Args:
        parameters: a tree of gradients, such as `nnx.grad` gives.
        max_norm: the greatest norm.
        norm_type: see `get_total_norm`.
        error_if_nonfinite: see `get_total_norm`.
        foreach: has no effect.

    Returns:
        The tree of scaled gradients, and the norm that they had.

    Raises:
        ValueError: the norm is not finite, if asked for.

    Differences from torch: gradients are given and returned, as arrays are immutable; `clip_grad_norm_` is the same
    function. As a part of an optimizer, use `optax.clip_by_global_norm`.

    >>> clipped, norm = clip_grad_norm([jnp.array([3.0, 4.0])], 1.0)
    >>> norm, get_total_norm(clipped).round(3)
    (Array(5., dtype=float32), Array(1., dtype=float32))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html
    """
    norm = get_total_norm(parameters, norm_type, error_if_nonfinite, foreach)
    return clip_grads_with_norm(parameters, max_norm, norm, foreach), norm


def clip_grad_value(parameters: Any, clip_value: float, foreach: bool | None = None) -> Any:
    """Gradients clipped to `[-clip_value, clip_value]`.

    Args:
        parameters: a tree of gradients.
        clip_value: the greatest absolute value.
        foreach: has no effect.

    Returns:
        A tree of clipped gradients.

    Differences from torch: gradients are given and returned, as arrays are immutable; `clip_grad_value_` is the same
    function.

    >>> clip_grad_value([jnp.array([-3.0, 0.5])], 1.0)
    [Array([-1. ,  0.5], dtype=float32)]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_value_.html
    """
    del foreach
    bound = float(clip_value)
    return jax.tree.map(lambda x: jnp.minimum(jnp.maximum(check.array("parameters", x), -bound), bound), parameters)


clip_grad_norm_ = clip_grad_norm
clip_grads_with_norm_ = clip_grads_with_norm
clip_grad_value_ = clip_grad_value
