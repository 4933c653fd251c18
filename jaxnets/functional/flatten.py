"""`flatten` and `unflatten`, which `torch.nn.Flatten` and `Unflatten` call."""

import math
from collections.abc import Sequence

import jax

from jaxnets import check

__all__ = ["flatten", "unflatten"]


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


def unflatten(input: jax.Array, dim: int, sizes: Sequence[int]) -> jax.Array:
    """Makes several axes of one.

    Args:
        input: an array of any dtype.
        dim: the axis, counted from the end if negative.
        sizes: of the new axes; one of them may be -1, which stands for what is left.

    Shape:
        `(*, S_dim, *)` to `(*, *sizes, *)`, where the product of `sizes` is `S_dim`.

    Raises:
        TypeError: `dim` or a size is no int, `sizes` is no sequence.
        ValueError: an axis that the input does not have, sizes that do not make up its size.

    Differences from torch: none.

    >>> unflatten(jax.numpy.ones((2, 12)), 1, (3, -1)).shape
    (2, 3, 4)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.unflatten.html
    """
    input, dim = check.array("input", input), check.integer("dim", dim)
    shape = new_axes("sizes", sizes)
    if not -input.ndim <= dim < input.ndim:
        raise ValueError(f"dim: expected an axis of input {input.shape}, got {dim}")
    dim %= input.ndim
    whole, known = input.shape[dim], math.prod(size for size in shape if size != -1)
    fits = whole % known == 0 if -1 in shape and known else whole == known and -1 not in shape
    if not shape or min(shape) < -1 or shape.count(-1) > 1 or not fits:
        raise ValueError(
            f"sizes: expected at least one size, one of them -1 perhaps, that make up {whole}, the size of axis {dim} "
            f"of input {input.shape}, got {shape}"
        )
    filled = tuple(whole // known if size == -1 else size for size in shape)
    return input.reshape(*input.shape[:dim], *filled, *input.shape[dim + 1 :])


def new_axes(name: str, value: Sequence[int]) -> tuple[int, ...]:
    """`value`, a sequence of ints, as a tuple."""
    if not check.is_sequence(value):
        raise TypeError(f"{name}: expected a tuple of ints, got {value!r} of type {type(value).__name__}")
    return tuple(check.integer(name, size) for size in value)
