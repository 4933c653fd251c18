"""Arrays on a mesh: what JAX wants to know of them.

On one of explicit axes, which `jax.make_mesh` makes, that is for each operation how its result lies there; inside of
`jax.shard_map`, along which axes an array differs from device to device. Sources:
https://docs.jax.dev/en/latest/notebooks/explicit-sharding.html, https://docs.jax.dev/en/latest/notebooks/shard_map.html
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec, auto_axes

__all__ = ["alike", "automatic", "has_explicit_axes", "layout", "rows_at"]

Layout = tuple[Any, ...]


def has_explicit_axes(x: jax.Array) -> bool:
    """Whether it lies on a mesh of explicit axes."""
    return AxisType.Explicit in jax.typeof(x).sharding.mesh.axis_types


def layout(x: jax.Array) -> Layout:
    """For each axis the axes of the mesh that it lies along, or None."""
    return tuple(jax.typeof(x).sharding.spec)


def automatic(function: Callable[..., Any], result: Sequence[Any], *arrays: jax.Array) -> Any:
    """`function(*arrays)`, inside of which XLA decides how arrays lie, as it does on a mesh of automatic axes.

    `result` is the layout of the first axes of what it gives; what an axis of the mesh has been used for, a later one
    cannot be.
    """
    if not has_explicit_axes(arrays[0]):
        return function(*arrays)
    kept, used = [], set[str]()
    for along in result:
        names = along if isinstance(along, tuple) else () if along is None else (along,)
        kept.append(None if used.intersection(names) else along)
        used.update(names)
    sharding = NamedSharding(jax.typeof(arrays[0]).sharding.mesh, PartitionSpec(*kept))
    return auto_axes(function, out_sharding=sharding)(*arrays)


def alike(*arrays: jax.Array) -> tuple[jax.Array, ...]:
    """The arrays, inside of `jax.shard_map` each differing along the axes along which one does.

    The gradient of what has been the same on all devices is the sum of theirs. JAX's operations do this by themselves;
    the start of a loop does not, nor do the operands of a primitive or of a derivative that is said by hand.
    """
    varying = [jax.typeof(x).manual_axis_type.varying for x in arrays]
    missing = [tuple(frozenset().union(*varying) - axes) for axes in varying]
    return tuple(lax.pcast(x, axes, to="varying") if axes else x for x, axes in zip(arrays, missing, strict=True))


def rows_at(table: jax.Array, index: jax.Array, mode: str) -> jax.Array:
    """`table.at[index].get(mode=mode)`, which lies as the index does."""
    result = (*layout(index), *layout(table)[1:])
    return automatic(lambda index, table: table.at[index].get(mode=mode), result, index, table)
