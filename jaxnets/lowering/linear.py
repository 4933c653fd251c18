"""Affine maps of the last axis, with half precision gradients of the bias, long sums, added up in float32."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.lowering.precision import rounded_once, wide

__all__ = ["add_bias", "affine", "affine_by_columns"]


def affine(input: jax.Array, weight: jax.Array, bias: jax.Array | None) -> jax.Array:
    """`x Aᵀ + b` of the last axis, in the dtype of `input`; the weight may be wider, and its gradient then is.

    A weight of one axis is a single output, which then has no axis.
    """
    # said in one: a transposed matrix times one row is many times slower on CPU
    sums = (((input.ndim - 1,), (weight.ndim - 1,)), ((), ()))
    return _affine(partial(lax.dot_general, dimension_numbers=sums), input, weight, bias)


def affine_by_columns(input: jax.Array, weight: jax.Array, bias: jax.Array | None) -> jax.Array:
    """`x A + b`, likewise: for a loop, in which XLA would turn the matrix around at each step."""
    return _affine(jnp.matmul, input, weight, bias)


def _affine(
    product: Callable[..., jax.Array], input: jax.Array, weight: jax.Array, bias: jax.Array | None
) -> jax.Array:
    weight = weight.astype(input.dtype)
    if bias is None:
        return product(input, weight)
    return rounded_once(lambda x, weight, bias: add_bias(product(x, weight), bias), input, weight, bias)


def add_bias(output: jax.Array, bias: jax.Array | None) -> jax.Array:
    """`output + bias`, which is laid along the last axis, or nothing."""
    if bias is None:
        return output
    # Widened and narrowed again, which changes no number: but what is summed for the gradient is wide.
    return output + jnp.broadcast_to(wide(bias), output.shape).astype(output.dtype)
