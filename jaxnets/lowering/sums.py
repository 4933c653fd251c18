"""Sums of several arrays in one pass over memory: XLA's CPU backend makes a loop of its own for each single sum."""

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import PartitionSpec

from jaxnets.lowering.choice import is_known
from jaxnets.lowering.mesh import has_explicit_axes
from jaxnets.lowering.primitives import lowered, primitive

__all__ = ["sum_of_first_axis", "sums", "sums_of_last_axes"]

Sizes = tuple[int, ...]
"""Of the axes that are summed, or along which something is spread."""

# So many numbers are added to each other one by one, and then what they gave, which keeps their digits.
RUN = 1024
# An addition waits for the one before it, so a loop of few sums takes the parts of an axis side by side.
PARTS, CHAINS = (4, 2), 8
FEW = 32
"""Numbers of which each is a slice in the compiled program."""


def sums(arrays: Sequence[jax.Array], axes: Sequence[int]) -> list[jax.Array]:
    """The sum of each array over these axes, which are kept with size 1; all have one shape and one dtype."""
    shape = arrays[0].shape
    over = {axis % len(shape) for axis in axes}
    if not is_known([shape[axis] for axis in over]):
        return [x.sum(tuple(over), keepdims=True) for x in arrays]
    kept = [1 if axis in over else n for axis, n in enumerate(shape)]
    # axes that lie on a mesh are JAX's to sum
    here = {axis for axis in over if all(jax.typeof(x).sharding.spec[axis] is None for x in arrays)}
    if len(shape) - 1 in here and shape[-1] > RUN:
        arrays = [_in_runs(x) for x in arrays]
        over, here = over | {len(shape)}, here | {len(shape)}
    ndim = arrays[0].ndim
    together = ndim  # the first of the axes that are summed in one pass
    while together - 1 in here and math.prod(arrays[0].shape[together - 1 :]) <= RUN:
        together -= 1
    rest = tuple(axis for axis in over if axis < together)
    found = sums_of_last_axes(arrays, ndim - together) if together < ndim else arrays
    return [(x.sum(rest) if rest else x).reshape(kept) for x in found]


def sum_of_first_axis(x: jax.Array) -> jax.Array:
    """The sum over the first axis, which goes.

    Of few numbers each that lie far apart, XLA's CPU backend adds up those of one place after those of another; as
    slices they are added as they lie in memory, up to fifty times as fast.
    """
    if not is_known(x.shape[:1]) or not 1 < x.shape[0] <= FEW or has_explicit_axes(x):
        return x.sum(0)
    return lax.platform_dependent(
        x, cpu=lambda x: reduce(lax.add, [x[i] for i in range(x.shape[0])]), default=lambda x: x.sum(0)
    )


def _in_runs(x: jax.Array) -> jax.Array:
    """The last axis as two; zeros behind it where it has no divisor that is a good length."""
    *leading, size = x.shape
    run = next((run for run in range(RUN, 15, -1) if size % run == 0), RUN)
    x = lax.pad(x, jnp.zeros((), x.dtype), [*((0, 0, 0),) * len(leading), (0, -size % run, 0)])
    return x.reshape(*leading, -1, run)


def sums_of_last_axes(arrays: Sequence[jax.Array], count: int) -> list[jax.Array]:
    """The sum over so many last axes of each array; all have one shape and one dtype."""
    return list(_sums.bind(*arrays, sizes=arrays[0].shape[-count:]))


def _sum(*arrays: jax.Array, sizes: Sizes) -> Sequence[jax.Array]:
    return [x.sum(tuple(range(-len(sizes), 0))) for x in arrays]


def _sum_in_one_pass(*arrays: jax.Array, sizes: Sizes) -> Sequence[jax.Array]:
    if len(arrays) == 1:
        return _sum(*arrays, sizes=sizes)
    parts = next((n for n in PARTS if sizes[-1] % n == 0 and n * len(arrays) <= CHAINS), 1)
    split = [part for x in arrays for part in jnp.split(x, parts, -1)]

    def add(a: Sequence[jax.Array], b: Sequence[jax.Array]) -> Sequence[jax.Array]:
        return tuple(x + y for x, y in zip(a, b, strict=True))

    zeros = (np.zeros((), arrays[0].dtype),) * len(split)
    ndim = arrays[0].ndim
    totals = lax.reduce(tuple(split), zeros, add, tuple(range(ndim - len(sizes), ndim)))
    return [sum(totals[i + 1 : i + parts], totals[i]) for i in range(0, len(totals), parts)]


def _spread(*arrays: jax.Array, sizes: Sizes) -> Sequence[jax.Array]:
    return [lax.broadcast_in_dim(x, (*x.shape, *sizes), tuple(range(x.ndim))) for x in arrays]


# Each is the transpose of the other. They are primitives because JAX differentiates no `lax.reduce` of several arrays.
_sums, _spreads = (primitive(name, ("sizes",), True) for name in ("sums_of_last_axes", "spread_along_new_axes"))


def _abstract(shape: Any, spec: Any) -> Any:
    """What is known of the results: the arrays' own facts, with another shape and another place on a mesh."""

    def evaluate(*arrays: Any, sizes: Sizes) -> Any:
        return [
            a.update(
                shape=shape(a.shape, sizes),
                sharding=a.sharding.update(spec=PartitionSpec(*spec(a.sharding.spec, sizes))),
            )
            for a in arrays
        ]

    return evaluate


def _shorter(values: Any, sizes: Sizes) -> Any:
    return values[: -len(sizes)]


def _transpose_sums(cotangents: Sequence[Any], *arrays: Any, sizes: Sizes) -> Sequence[Any]:
    return _spreads.bind(*(ad.instantiate_zeros(c) for c in cotangents), sizes=sizes)


def _transpose_spreads(cotangents: Sequence[Any], *arrays: Any, sizes: Sizes) -> Sequence[Any]:
    return _sums.bind(*(ad.instantiate_zeros(c) for c in cotangents), sizes=sizes)


def _batched(primitive: Primitive) -> Any:
    """Batch axes stand first, and the last axes stay the last."""

    def rule(arrays: Sequence[jax.Array], axes: Sequence[Any], **params: Any) -> Any:
        size = next(a.shape[i] for a, i in zip(arrays, axes, strict=True) if i is not None)
        moved = [batching.bdim_at_front(a, i, size) for a, i in zip(arrays, axes, strict=True)]
        return primitive.bind(*moved, **params), [0] * len(arrays)

    return rule


for _primitive, _value, _result, _transpose in (
    (_sums, _sum, _abstract(_shorter, _shorter), _transpose_sums),
    (
        _spreads,
        _spread,
        _abstract(lambda shape, sizes: (*shape, *sizes), lambda spec, sizes: (*spec, *(None,) * len(sizes))),
        _transpose_spreads,
    ),
):
    _primitive.def_abstract_eval(_result)
    ad.deflinear2(_primitive, _transpose)
    batching.primitive_batchers[_primitive] = _batched(_primitive)
    mlir.register_lowering(_primitive, lowered(_value, True))
mlir.register_lowering(_sums, lowered(_sum_in_one_pass, True), platform="cpu")
