"""Sampling at points: `torch.nn.functional.grid_sample` and `affine_grid`."""

import functools
import itertools
import math
import operator
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets import check
from jaxnets.functional.precision import wide
from jaxnets.lowering.points import sum_around

__all__ = ["affine_grid", "grid_sample"]

UNSET = (
    "Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. Please specify "
    "align_corners=True if the old behavior is desired. See the documentation of grid_sample for details."
)


def grid_sample(
    input: jax.Array,
    grid: jax.Array,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> jax.Array:
    """Values of planes or volumes at given points.

    `y[n, c, i, j] = input[n, c] at grid[n, i, j]`

    A point is `(x, y)` or `(x, y, z)`, x along the last axis, from -1 at one border to 1 at the other: of the borders
    themselves, or with `align_corners` of the middles of the first and last elements.

    Args:
        input: `(N, C, H, W)` or `(N, C, D, H, W)`, floating.
        grid: `(N, H_out, W_out, 2)` or `(N, D_out, H_out, W_out, 3)`, dtype of `input`.
        mode: "bilinear" (in volumes trilinear), "nearest" (of two equally near ones the one with an even number), or
            "bicubic" (a = -0.75, planes only).
        padding_mode: what lies outside: "zeros", "border" (the nearest element), "reflection" (mirrored at the
            borders, again and again).
        align_corners: see above; False when not given, with torch's warning.

    Shape:
        `(N, C, H, W)` and `(N, H_out, W_out, 2)` to `(N, C, H_out, W_out)`.

    Raises:
        TypeError: dtypes that differ or are not floating.
        ValueError: shapes that do not fit, an empty plane, modes that do not exist.

    Differences from torch: a point with a coordinate that is not finite gives NaN, or what lies outside; torch's
    kernels differ there, and some read memory that is not theirs.

    >>> points = jnp.array([[[[0.0, 0.0], [1.0, -1.0]]]])
    >>> grid_sample(jnp.array([[[[1.0, 3.0], [5.0, 7.0]]]]), points, align_corners=True).tolist()
    [[[[4.0, 3.0]]]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.grid_sample.html
    """
    input, grid = check.array("input", input), check.array("grid", grid)
    check.choice("mode", mode, tuple(_TAPS))
    check.choice("padding_mode", padding_mode, ("zeros", "border", "reflection"))
    if align_corners is None:
        warnings.warn(UNSET, UserWarning, stacklevel=2)
    aligned = align_corners is not None and check.flag("align_corners", align_corners)
    check.rank("input", input, {4: "(N, C, H, W)", 5: "(N, C, D, H, W)"})
    if not jnp.issubdtype(input.dtype, jnp.floating):
        raise TypeError(f"input: expected a floating dtype, got {input.dtype}; cast it first")
    check.same_dtype(input=input, grid=grid)
    batch, channels, *sizes = input.shape
    n = len(sizes)
    if grid.ndim != n + 2 or grid.shape[0] != batch or grid.shape[-1] != n:
        wanted = f"({batch}, {'D_out, ' * (n == 3)}H_out, W_out, {n})"
        raise ValueError(f"grid: expected shape {wanted} for input of shape {input.shape}, got {grid.shape}")
    if 0 in sizes:
        raise ValueError(f"input: expected no empty spatial axis, got shape {input.shape}")
    if n == 3 and mode == "bicubic":
        raise ValueError("mode: 'bicubic' takes input of shape (N, C, H, W), got five axes")
    output = (batch, channels, *grid.shape[1:-1])
    if 0 in output:
        return jnp.zeros(output, input.dtype)
    points = wide(grid).reshape(batch, -1, n)
    # A point names its coordinates from the last axis to the first.
    axes = [_Axis(size, padding_mode, aligned) for size in sizes]
    taps = [_TAPS[mode](points[..., n - 1 - i], axis) for i, axis in enumerate(axes)]
    value = _gathered(wide(input).reshape(batch, channels, -1), sizes, taps)
    return value.reshape(output).astype(input.dtype)


class _Axis(NamedTuple):
    """One axis of the input, and where its coordinates point to."""

    size: int
    padding_mode: str
    align_corners: bool

    def position(self, coordinate: jax.Array) -> jax.Array:
        """A coordinate as a position in elements, which may lie outside."""
        if self.align_corners:
            return (coordinate + 1) * ((self.size - 1) / 2)
        return (coordinate + 1) * (self.size / 2) - 0.5

    def brought_inside(self, position: jax.Array) -> jax.Array:
        """The position whose element stands for one outside. At the borders the derivative is 0, as in torch."""
        if self.padding_mode == "zeros":
            return position
        zero, last = jnp.zeros((), position.dtype), jnp.full((), self.size - 1, position.dtype)
        if self.padding_mode == "reflection":
            position = self._reflected(position)
        return jnp.where(position <= zero, zero, jnp.where(position >= last, last, position))

    def _reflected(self, position: jax.Array) -> jax.Array:
        low, span = (0.0, self.size - 1) if self.align_corners else (-0.5, self.size)
        if not span:
            return jnp.zeros_like(position)
        position = position - low
        position = jnp.where(position < 0, -position, position)
        position = lax.rem(position, jnp.full_like(position, 2 * span))
        return jnp.where(position > span, 2 * span - position, position) + low


class _Tap(NamedTuple):
    """For each point one element of an axis, its weight, and whether it is there at all."""

    element: jax.Array
    weight: jax.Array
    inside: jax.Array


def _tap(element: jax.Array, weight: jax.Array, axis: _Axis) -> _Tap:
    # Compared before it is made an int, which may be too small for it.
    inside = (element >= 0) & (element < axis.size)
    return _Tap(jnp.where(inside, element, jnp.zeros((), element.dtype)).astype(jnp.int32), weight, inside)


def _nearest(coordinate: jax.Array, axis: _Axis) -> list[_Tap]:
    position = axis.brought_inside(axis.position(lax.stop_gradient(coordinate)))
    return [_tap(jnp.round(position), jnp.ones_like(position), axis)]


def _linear(coordinate: jax.Array, axis: _Axis) -> list[_Tap]:
    position = axis.brought_inside(axis.position(coordinate))
    before = lax.stop_gradient(jnp.floor(position))
    behind = position - before
    return [_tap(before, 1 - behind, axis), _tap(before + 1, behind, axis)]


def _cubic(coordinate: jax.Array, axis: _Axis) -> list[_Tap]:
    position = axis.position(coordinate)
    before = lax.stop_gradient(jnp.floor(position))
    behind = position - before
    return [
        _tap(axis.brought_inside(before + place), weight, axis)
        for place, weight in enumerate((_far(behind + 1), _near(behind), _near(1 - behind), _far(2 - behind)), -1)
    ]


def _near(distance: jax.Array, a: float = -0.75) -> jax.Array:
    """Keys' cubic convolution for elements at most one away."""
    return ((a + 2) * distance - (a + 3)) * distance * distance + 1


def _far(distance: jax.Array, a: float = -0.75) -> jax.Array:
    """Keys' cubic convolution for elements one to two away."""
    return ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a


_TAPS = {"bilinear": _linear, "nearest": _nearest, "bicubic": _cubic}


def _gathered(x: jax.Array, sizes: Sequence[int], taps: Sequence[Sequence[_Tap]]) -> jax.Array:
    """The weighted sum over the elements around each point, `(N, C, S)` and taps of `(N, P)` to `(N, C, P)`."""
    strides = [math.prod(sizes[i + 1 :]) for i in range(len(sizes))]
    index, weight = [], []
    for corner in itertools.product(*taps):
        inside = functools.reduce(operator.and_, (tap.inside for tap in corner))
        flat = sum(tap.element * stride for tap, stride in zip(corner, strides, strict=True))
        index.append(jnp.where(inside, flat, math.prod(sizes)))
        weight.append(math.prod(tap.weight for tap in corner))
    return sum_around(x, jnp.stack(index), jnp.stack(weight))


def affine_grid(theta: jax.Array, size: Sequence[int], align_corners: bool | None = None) -> jax.Array:
    """The points that affine maps make of the elements of a plane or volume, as `grid_sample` takes them.

    `y[n, i, j] = theta[n] @ (x[j], y[i], 1)`

    Args:
        theta: `(N, 2, 3)` or `(N, 3, 4)`, floating.
        size: `(N, C, H, W)` or `(N, C, D, H, W)`, the shape of `grid_sample`'s output; each at least 1.
        align_corners: whether -1 and 1 are the middles of the first and last elements, or the borders; False when not
            given, with torch's warning.

    Shape:
        `(N, 2, 3)` to `(N, H, W, 2)`; `(N, 3, 4)` to `(N, D, H, W, 3)`.

    Raises:
        TypeError: `theta` is not floating, a size is no int.
        ValueError: `theta` does not fit `size`, a size below 1.

    Differences from torch: none.

    >>> affine_grid(jnp.array([[[1.0, 0, 0], [0, 1, 0.5]]]), (1, 1, 1, 2), align_corners=False).tolist()
    [[[[-0.5, 0.5], [0.5, 0.5]]]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.affine_grid.html
    """
    theta = check.array("theta", theta)
    if align_corners is None:
        warnings.warn(UNSET, UserWarning, stacklevel=2)
    aligned = align_corners is not None and check.flag("align_corners", align_corners)
    if not jnp.issubdtype(theta.dtype, jnp.floating):
        raise TypeError(f"theta: expected a floating dtype, got {theta.dtype}; cast it first")
    if not check.is_sequence(size) or len(size) not in (4, 5):
        raise ValueError(f"size: expected (N, C, H, W) or (N, C, D, H, W), got {size!r}")
    batch, _, *sizes = (check.integer("size", s, least=1) for s in size)
    n = len(sizes)
    if theta.shape != (batch, n, n + 1):
        raise ValueError(f"theta: expected shape {(batch, n, n + 1)} for size {tuple(size)}, got {theta.shape}")
    if aligned and min(sizes) == 1:
        warnings.warn(
            "Since version 1.3.0, affine_grid behavior has changed for unit-size grids when align_corners=True. This "
            "is not an intended use case of affine_grid. See the documentation of affine_grid for details.",
            UserWarning,
            stacklevel=2,
        )
    matrix, shape = wide(theta), (batch, *sizes, n)
    total = _along(matrix[:, :, n], shape, ())
    for column in range(n):
        axis = n - column  # x is the first coordinate and the last axis
        coordinates = jnp.asarray(_middles(sizes[axis - 1], aligned), matrix.dtype)
        total = total + _along(matrix[:, :, column], shape, ()) * _along(coordinates, shape, (axis,))
    return total.astype(theta.dtype)


def _along(x: jax.Array, shape: tuple[int, ...], axes: tuple[int, ...]) -> jax.Array:
    """`x` over the axes of `shape`, the batch and the last one if none are named."""
    return lax.broadcast_in_dim(x, shape, axes or (0, len(shape) - 1))


def _middles(size: int, align_corners: bool) -> np.ndarray:
    """The coordinates of an axis' elements, from -1 to 1."""
    if size == 1:
        return np.zeros(1)
    ends = np.linspace(-1, 1, size)
    return ends if align_corners else ends * ((size - 1) / size)
