"""Clipping of gradients as a part of an optimizer."""

from typing import Any

import optax

from jaxnets.nn import utils

__all__ = ["clip_grad_norm", "clip_grad_value"]


def clip_grad_norm(max_norm: float, norm_type: float = 2.0) -> optax.GradientTransformation:
    """Gradients scaled so that the norm of all, as of one vector, is at most `max_norm`: goes before an optimizer.

    `g * min(max_norm / (norm + 1e-6), 1)`

    Args:
        max_norm: the greatest norm.
        norm_type: of the norm; see `jaxnets.nn.utils.get_total_norm`.

    Differences from torch: a transformation, to be chained. `optax.clip_by_global_norm` has no `1e-6`.

    >>> import jax.numpy as jnp
    >>> from jaxnets import optim
    >>> optimizer = optax.chain(clip_grad_norm(1.0), optim.SGD(lr=1.0))
    >>> updates, _ = optimizer.update(jnp.array([3.0, 4.0]), optimizer.init(jnp.ones(2)))
    >>> print(updates.round(3))
    [-0.6 -0.8]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html
    """
    return optax.stateless(lambda grads, _: utils.clip_grad_norm(grads, max_norm, norm_type)[0])


def clip_grad_value(clip_value: float) -> optax.GradientTransformation:
    """Gradients clipped to `[-clip_value, clip_value]`: goes before an optimizer.

    Differences from torch: a transformation, to be chained.

    >>> import jax.numpy as jnp
    >>> clip_grad_value(1.0).update(jnp.array([-3.0, 0.5]), optax.EmptyState())[0]
    Array([-1. ,  0.5], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_value_.html
    """

    def clip(grads: Any, params: Any) -> Any:
        del params
        return utils.clip_grad_value(grads, clip_value)

    return optax.stateless(clip)
