"""What losses have in common: the old arguments, the sum or mean at the end, and the dtype of mixed inputs."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import check

REDUCTIONS = ("none", "mean", "sum")


def arrays(**given: jax.Array) -> tuple[jax.Array, ...]:
    """Each argument as an array."""
    return tuple(check.array(name, x) for name, x in given.items())


def reduced(loss: jax.Array, weights: jax.Array | None, reduction: str, dtype: Any) -> jax.Array:
    """Sums or averages, by `weights` if there are any; dtype is that of the result."""
    if reduction == "mean" and not jnp.issubdtype(dtype, jnp.inexact):
        raise TypeError(f"input: expected a floating dtype for reduction='mean', got {dtype}; cast it first")
    if not jnp.issubdtype(dtype, jnp.inexact):
        return loss.sum(dtype=int) if reduction == "sum" else loss
    if reduction == "sum":
        loss = loss.sum()
    elif reduction == "mean":
        loss = loss.sum() / (weights.sum() if weights is not None else jnp.asarray(loss.size, loss.dtype))
    return loss.astype(dtype)


def legacy_reduction(
    size_average: bool | None, reduce: bool | None, reduction: str, choices: tuple[str, ...] = REDUCTIONS
) -> str:
    """`reduction`, or what torch's older arguments `size_average` and `reduce` say in its place, with a warning."""
    if size_average is not None or reduce is not None:
        average = size_average is None or check.truth("size_average", size_average)
        if reduce is not None and not check.truth("reduce", reduce):
            reduction = "none"
        else:
            reduction = "mean" if average else "sum"
        warnings.warn(
            f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.",
            stacklevel=3,
        )
    if isinstance(reduction, str) and reduction == "elementwise_mean":
        warnings.warn("reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead.", stacklevel=3)
        return "mean"
    return check.choice("reduction", reduction, choices)


def common_dtype(*arrays: jax.Array) -> Any:
    """The dtype that torch computes in: an array without axes counts only where it is of a greater kind."""

    def promoted(kind: list[jax.Array]) -> Any:
        try:
            with jax.numpy_dtype_promotion("standard"):
                return jnp.result_type(*(x.dtype for x in kind))
        except ValueError:
            dtypes = " and ".join(str(x.dtype) for x in kind)
            raise TypeError(f"input: expected dtypes with a common one, got {dtypes}; cast one of them") from None

    numbers, others = [x for x in arrays if not x.ndim], [x for x in arrays if x.ndim]
    if not numbers or not others:
        return promoted(numbers or others)
    number, other = promoted(numbers), promoted(others)
    return number if _kind(number) > _kind(other) else other


def _kind(dtype: Any) -> int:
    """0 for booleans, 1 for integers, 2 for floating, 3 for complex numbers."""
    return sum(jnp.issubdtype(dtype, kind) for kind in (jnp.number, jnp.inexact, jnp.complexfloating))


def floating(*arrays: jax.Array) -> Any:
    """The floating dtype that arrays have in common; an integer or boolean array takes the others'."""
    dtype = common_dtype(*arrays)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"input: expected a floating dtype, got {arrays[0].dtype}; cast it first")
    return dtype


def floating_or_default(*arrays: jax.Array) -> Any:
    """The dtype that arrays have in common; the default floating dtype for integers and booleans."""
    dtype = common_dtype(*arrays)
    return dtype if jnp.issubdtype(dtype, jnp.inexact) else jnp.float32


def not_bool(**arrays: jax.Array) -> None:
    """Refuses booleans, which torch does not subtract."""
    for name, x in arrays.items():
        if x.dtype == bool:
            raise TypeError(f"{name}: expected numbers, got bool; cast it first")


def broadcast_shape(**arrays: jax.Array) -> tuple[int, ...]:
    """The shape that all arrays broadcast to."""
    try:
        return jnp.broadcast_shapes(*(x.shape for x in arrays.values()))
    except ValueError:
        shapes = " and ".join(f"{name} {x.shape}" for name, x in arrays.items())
        raise ValueError(f"{next(iter(arrays))}: expected shapes that broadcast, got {shapes}") from None


def broadcast(**arrays: jax.Array) -> tuple[jax.Array, ...]:
    """The arrays, each in the shape that all broadcast to."""
    shape = broadcast_shape(**arrays)
    return tuple(jnp.broadcast_to(x, shape) for x in arrays.values())


def warn_of_broadcasting(input: jax.Array, target: jax.Array) -> None:
    """torch's warning where shapes differ; it names the caller of the loss."""
    if target.shape != input.shape:
        warnings.warn(
            f"Using a target size {target.shape} that is different to the input size {input.shape}. This will "
            "likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
            stacklevel=3,
        )


def at_least_zero(x: jax.Array) -> jax.Array:
    """`max(x, 0)` with torch's derivatives: 1 at 0, where a hinge meets its margin, and 0 at NaN."""
    flat = jnp.where(jnp.isnan(x), np.full((), np.nan, x.dtype), jnp.zeros((), x.dtype))
    return jnp.where(x >= 0, x, flat)
