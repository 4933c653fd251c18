"""What all normalisations accept, and how their parameters lie along it."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxnets import check


def check_floating(input: jax.Array) -> None:
    if not jnp.issubdtype(input.dtype, jnp.floating):
        raise TypeError(f"input: expected a floating dtype, got {input.dtype}; cast it first")


def check_parameters(input: jax.Array, shape: tuple[int, ...], what: str, **parameters: jax.Array | None) -> None:
    """Refuses parameters of another shape, and dtypes that torch does not mix.

    Parameters share one dtype: the input's, or float32 beside a half precision input.
    """
    given = {name: check.array(name, p) for name, p in parameters.items() if p is not None}
    for name, p in given.items():
        if p.shape != shape:
            raise ValueError(f"{name}: expected shape {shape}, {what}, got {p.shape}")
    if given:
        check.same_dtype(**given)
        dtype = next(iter(given.values())).dtype
        if dtype != input.dtype and not (input.dtype.itemsize == 2 and dtype == jnp.float32):
            check.same_dtype(input=input, **given)


def shaped(parameter: jax.Array | None, x: jax.Array, shape: tuple[int, ...]) -> Any:
    """A parameter in this shape and the dtype of `x`; None if it is."""
    return None if parameter is None else jnp.asarray(parameter).astype(x.dtype).reshape(shape)


def per_channel(parameter: jax.Array | None, x: jax.Array) -> Any:
    """`(C,)` with the axes and the dtype of `x`; None if it is."""
    return shaped(parameter, x, (1, -1, *(1,) * (x.ndim - 2)))
