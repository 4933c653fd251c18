"""Weighted sums of an array's elements around given points."""

from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.lowering.mesh import automatic, layout
from jaxnets.lowering.sums import sums_of_last_axes
from jaxnets.lowering.trilinear import gradient

__all__ = ["sum_around"]

# Of `(N, S, C)`, the channels of an element lie side by side: they are read and scattered as one.
GATHERS = lax.GatherDimensionNumbers(
    offset_dims=(2,),
    collapsed_slice_dims=(1,),
    start_index_map=(1,),
    operand_batching_dims=(0,),
    start_indices_batching_dims=(0,),
)
SCATTERS = lax.ScatterDimensionNumbers(
    update_window_dims=(2,),
    inserted_window_dims=(1,),
    scatter_dims_to_operand_dims=(1,),
    operand_batching_dims=(0,),
    scatter_indices_batching_dims=(0,),
)


@jax.jit  # one program, not dozens, where nothing else compiles it
def sum_around(x: jax.Array, index: jax.Array, weight: jax.Array) -> jax.Array:
    """`y[n, c, p] = sum over t of weight[t, n, p] * x[n, c, index[t, n, p]]`; 0 stands where an index is out of range.

    The gradients are those of autodiff in fewer passes over memory: that of `x` is scattered into one array, not one
    for each `t`, and that of the weights is summed as it is read again, not kept from the forward pass.

    Args:
        x: `(N, C, S)`.
        index: `(T, N, P)`, ints.
        weight: `(T, N, P)`, dtype of `x`.

    Shape:
        `(N, C, P)`.
    """
    form = SumAround((x.shape, weight.shape, (*x.shape[:2], index.shape[2])))
    return automatic(partial(gradient, form, 2), layout(x)[:2], x, weight, index[..., None])


@dataclass(frozen=True)
class SumAround:
    """`t(x, weight, y, places) = sum of sum_around(x, places, weight) * y`."""

    shapes: tuple[tuple[int, ...], ...]

    def shape(self, slot: int) -> tuple[int, ...]:
        return self.shapes[slot]

    def gradient(self, platform: str, slot: int, *arrays: jax.Array) -> jax.Array:
        of_x: Any = partial(_of_x, self.shapes[0][2])
        return (of_x, _of_weight, _value)[slot](*arrays)

    def merged(self, size: int, mapped: frozenset[int]) -> None:
        return None


def _turned(x: jax.Array) -> jax.Array:
    return x.transpose(0, 2, 1)


def _gathered(x: jax.Array, places: jax.Array) -> jax.Array:
    return lax.gather(x, places, GATHERS, (1, 1, x.shape[2]), mode="fill", fill_value=0)


def _value(x: jax.Array, weight: jax.Array, places: jax.Array) -> jax.Array:
    x = _turned(x)
    return _turned(reduce(add, [_gathered(x, p) * w[..., None] for p, w in zip(places, weight, strict=True)]))


def _of_x(size: int, weight: jax.Array, y: jax.Array, places: jax.Array) -> jax.Array:
    y = _turned(y)

    def scattered(total: jax.Array, corner: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        places, weight = corner
        return lax.scatter_add(total, places, y * weight, SCATTERS, mode="drop"), None

    none = jnp.broadcast_to(jnp.zeros_like(y[:, :1]), (y.shape[0], size, y.shape[2]))  # lies on a mesh as y does
    return _turned(lax.scan(scattered, none, (places, weight[..., None]))[0])


def _of_weight(x: jax.Array, y: jax.Array, places: jax.Array) -> jax.Array:
    x, y = _turned(x), _turned(y)
    again = lax.optimization_barrier(places)  # or what the value has gathered would be written out for both
    return jnp.stack(sums_of_last_axes([_gathered(x, p) * y for p in again], 1))
