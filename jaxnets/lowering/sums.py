"""Sums of several arrays in one pass over memory: XLA's CPU backend makes a loop of its own for each single sum."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import PartitionSpec

__all__ = ["sums", "sums_of_last_axis"]

# So many numbers are added to each other one by one, and then what they gave, which keeps their digits.
RUN = 1024


def sums(arrays: Sequence[jax.Array], axes: Sequence[int]) -> list[jax.Array]:
    """The sum of each array over these axes, which are kept with size 1; all have one shape and one dtype."""
    shape = arrays[0].shape
    over = {axis % len(shape) for axis in axes}
    behind = next(n for n in reversed(range(len(shape) + 1)) if n - 1 not in over)  # the axes from here on are summed
    leading, size = shape[:behind], math.prod(shape[behind:])
    if behind < len(shape):
        arrays = sums_of_last_axis([_in_runs(x.reshape(*leading, size)) for x in arrays])
    rest = [axis for axis in range(arrays[0].ndim) if axis in over or axis >= behind]
    kept = [1 if axis in over else n for axis, n in enumerate(shape)]
    return [(x.sum(rest) if rest else x).reshape(kept) for x in arrays]


def _in_runs(x: jax.Array) -> jax.Array:
    """The last axis as two, if it is long; zeros behind it where it has no divisor that is a good length."""
    *leading, size = x.shape
    if size <= RUN:
        return x
    run = next((run for run in range(RUN, 15, -1) if size % run == 0), RUN)
    x = lax.pad(x, jnp.zeros((), x.dtype), [*((0, 0, 0),) * len(leading), (0, -size % run, 0)])
    return x.reshape(*leading, -1, run)


def sums_of_last_axis(arrays: Sequence[jax.Array]) -> list[jax.Array]:
    """The sum over the last axis of each array; all have one shape and one dtype."""
    return list(_sums.bind(*arrays))


def _sum(*arrays: jax.Array) -> Sequence[jax.Array]:
    zero = np.zeros((), arrays[0].dtype)
    if len(arrays) == 1:
        return [arrays[0].sum(-1)]

    def add(a: Sequence[jax.Array], b: Sequence[jax.Array]) -> Sequence[jax.Array]:
        return tuple(x + y for x, y in zip(a, b, strict=True))

    return lax.reduce(arrays, (zero,) * len(arrays), add, (arrays[0].ndim - 1,))


def _spread(*arrays: jax.Array, size: int) -> Sequence[jax.Array]:
    return [lax.broadcast_in_dim(x, (*x.shape, size), tuple(range(x.ndim))) for x in arrays]


# Each is the transpose of the other. They are primitives because JAX differentiates no `lax.reduce` of several arrays.
_sums, _spreads = Primitive("sums_of_last_axis"), Primitive("spread_along_new_axis")


def _abstract(shape: Any, spec: Any) -> Any:
    """What is known of the results: the arrays' own facts, with another shape and another place on a mesh."""

    def evaluate(*arrays: Any, size: int | None = None) -> Any:
        return [
            a.update(shape=shape(a.shape, size), sharding=a.sharding.update(spec=PartitionSpec(*spec(a.sharding.spec))))
            for a in arrays
        ]

    return evaluate


def _transpose_sums(cotangents: Sequence[Any], *arrays: Any) -> Sequence[Any]:
    given = [ad.instantiate_zeros(c) for c in cotangents]
    shape = arrays[0].aval.shape if ad.is_undefined_primal(arrays[0]) else arrays[0].shape
    return _spreads.bind(*given, size=shape[-1])


def _transpose_spreads(cotangents: Sequence[Any], *arrays: Any, size: int) -> Sequence[Any]:
    return _sums.bind(*(ad.instantiate_zeros(c) for c in cotangents))


def _batched(primitive: Primitive) -> Any:
    """Batch axes stand first, and the last axis stays the last."""

    def rule(arrays: Sequence[jax.Array], axes: Sequence[Any], **params: Any) -> Any:
        size = next(a.shape[i] for a, i in zip(arrays, axes, strict=True) if i is not None)
        moved = [batching.bdim_at_front(a, i, size) for a, i in zip(arrays, axes, strict=True)]
        return primitive.bind(*moved, **params), [0] * len(arrays)

    return rule


for _primitive, _value, _result, _transpose in (
    (_sums, _sum, _abstract(lambda shape, size: shape[:-1], lambda spec: spec[:-1]), _transpose_sums),
    (_spreads, _spread, _abstract(lambda shape, size: (*shape, size), lambda spec: (*spec, None)), _transpose_spreads),
):
    _primitive.multiple_results = True
    _primitive.def_impl(jax.jit(_value, static_argnames="size" if _value is _spread else ()))
    _primitive.def_abstract_eval(_result)
    ad.deflinear2(_primitive, _transpose)
    batching.primitive_batchers[_primitive] = _batched(_primitive)
    mlir.register_lowering(_primitive, mlir.lower_fun(_value, multiple_results=True))
