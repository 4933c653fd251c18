"""`flatten`, which `torch.nn.Flatten` calls."""

import math

import jax

from jaxnets import check

__all__ = ["flatten"]


def flatten(input: jax.Array, start_dim: int = 0, end_dim: int = -1) -> jax.Array:
    """Makes one axis of several neighbours.

    Args:
        input: an array of any dtype.
        start_dim: the first axis, counted from the end if negative.
        end_dim: the last axis, not before `start_dim`.

    Shape:
        `(*, S_start, ..., S_end, *)` to `(*, S_start * ... * S_end, *)`; a number becomes `(1,)`.

    Raises:
        TypeError: an axis is no int.
        ValueError: an axis that the input does not have, or `end_dim` before `start_dim`.

    Differences from torch: none.

    >>> flatten(jax.numpy.ones((2, 3, 4)), 1).shape
    (2, 12)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.flatten.html
    """
    input = check.array("input", input)
    shape = input.shape or (1,)
    axes = []
    for name, dim in (("start_dim", start_dim), ("end_dim", end_dim)):
        if not -len(shape) <= check.integer(name, dim) < len(shape):
            raise ValueError(
                f"{name}: expected an axis from {-len(shape)} to {len(shape) - 1} of input {input.shape}, got {dim}"
            )
        axes.append(dim % len(shape))
    start, end = axes
    if start > end:
        raise ValueError(
            f"end_dim: expected an axis at or behind start_dim={start_dim}, got {end_dim} for input {input.shape}"
        )
    return input.reshape(*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])
