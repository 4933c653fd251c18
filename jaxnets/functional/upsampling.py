"""Resizing of signals, planes and volumes: `torch.nn.functional.interpolate`."""

import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import check
from jaxnets.functional.adaptive_pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from jaxnets.functional.pooling import AXES
from jaxnets.functional.precision import wide
from jaxnets.lowering import resize as lowering
from jaxnets.lowering.resize import Taps

__all__ = ["interpolate", "upsample", "upsample_bilinear", "upsample_nearest"]

Size = int | Sequence[int]
Factor = float | Sequence[float]

# Each mode with the numbers of spatial axes that it takes.
MODES = {
    "nearest": (1, 2, 3),
    "nearest-exact": (1, 2, 3),
    "area": (1, 2, 3),
    "linear": (1,),
    "bilinear": (2,),
    "trilinear": (3,),
    "bicubic": (2,),
    "lanczos": (2,),
}
UNALIGNED = ("nearest", "nearest-exact", "area")
ANTIALIASED = ("bilinear", "bicubic", "lanczos")
BYTES = ("nearest", "nearest-exact", "bilinear", "bicubic", "lanczos")


def interpolate(
    input: jax.Array,
    size: Size | None = None,
    scale_factor: Factor | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> jax.Array:
    """Resizes the spatial axes of `(N, C, L)`, `(N, C, H, W)` or `(N, C, D, H, W)`, one axis after the other.

    Output `o` of `n` over an axis of `m` elements looks at the position `s * (o + 0.5) - 0.5`, `s = m / n`; with
    `align_corners` at `s * o`, `s = (m - 1) / (n - 1)`.

    - "nearest" takes the element at `floor(s * o)`, "nearest-exact" the one that is nearest to the position.
    - "linear", "bilinear" and "trilinear" (one, two, three axes) weigh the two elements around the position.
    - "bicubic" weighs four by a cubic convolution with a = -0.75 (-0.5 with `antialias`).
    - "area" is the mean over adaptive windows, see `adaptive_avg_pool2d`.
    - `antialias` stretches the weights of an axis that shrinks over `s` times as many elements; "lanczos" is a windowed
      sinc of six elements, with `antialias` only.

    Args:
        input: floating; uint8 too for "nearest", "nearest-exact" and for two axes, rounded and kept in 0 to 255.
        size: elements of each spatial axis of the output, at least 1.
        scale_factor: in place of `size`: `floor(m * scale_factor)` elements, and `s = 1 / scale_factor`.
        mode: see above.
        align_corners: whether the first and last elements of input and output lie at the same places; not for
            "nearest", "nearest-exact" and "area".
        recompute_scale_factor: whether `s` comes from the sizes where `scale_factor` was given.
        antialias: for "bilinear", "bicubic" and "lanczos" only.

    Shape:
        `(N, C, *)` to `(N, C, *size)`.

    Raises:
        TypeError: a dtype or an argument of the wrong kind.
        ValueError: both or none of `size` and `scale_factor`, the wrong number of them, an axis or an output without
            elements, a mode that does not exist or does not fit the other arguments.

    Differences from torch: "nearest" and "nearest-exact" take every dtype. "antialias" takes half precisions.

    >>> interpolate(jnp.array([[[1.0, 3.0]]]), scale_factor=2, mode="linear").tolist()
    [[[1.0, 1.5, 2.5, 3.0]]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.interpolate.html
    """
    input = check.array("input", input)
    check.rank("input", input, {n + 2: f"(N, C, {AXES[n]})" for n in (1, 2, 3)})
    n = input.ndim - 2
    check.choice("mode", mode, tuple(MODES))
    if n not in MODES[mode]:
        raise ValueError(f"mode: {mode!r} takes {MODES[mode][0] + 2} axes, got input of shape {input.shape}")
    if mode in UNALIGNED:
        if align_corners is not None:
            raise ValueError(f"align_corners: mode={mode!r} takes none, got {align_corners!r}")
        align_corners = False
    else:
        align_corners = align_corners is not None and check.flag("align_corners", align_corners)
    if check.truth("antialias", antialias):
        if mode not in ANTIALIASED:
            raise ValueError(f"antialias: expected mode to be one of {', '.join(ANTIALIASED)}, got {mode!r}")
    elif mode == "lanczos":
        raise ValueError("antialias: mode='lanczos' needs antialias=True, got False")
    if mode == "lanczos" and align_corners:
        raise ValueError("align_corners: mode='lanczos' takes False only, got True")
    sizes, factors = _sizes(input.shape[2:], size, scale_factor, recompute_scale_factor)
    if mode == "area":
        pool: Callable = (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[n - 1]
        return pool(input, sizes)
    if min(sizes) < 1:
        raise ValueError(f"size: expected an output with at least one element along each axis, got {sizes}")
    if 0 in input.shape[1:]:
        raise ValueError(f"input: expected no empty axis but the batch, got shape {input.shape}")
    axes = tuple(_Axis(m, o, f, align_corners) for m, o, f in zip(input.shape[2:], sizes, factors, strict=True))
    if mode in ("nearest", "nearest-exact"):
        return _nearest(input, axes, mode == "nearest-exact")
    if input.dtype == jnp.uint8 and mode in BYTES:
        return _bytes(input, axes, _FILTERS[mode, bool(antialias)])
    if not jnp.issubdtype(input.dtype, jnp.floating):
        raise TypeError(f"input: expected a floating dtype for mode={mode!r}, got {input.dtype}; cast it first")
    return _weighted(wide(input), axes, mode, bool(antialias)).astype(input.dtype)


def upsample(
    input: jax.Array,
    size: Size | None = None,
    scale_factor: Factor | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> jax.Array:
    """`interpolate` by its old name, with torch's warning.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.upsample.html
    """
    _deprecated("upsample")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: jax.Array, size: Size | None = None, scale_factor: Factor | None = None) -> jax.Array:
    """`interpolate` with `mode="nearest"`, by its old name and with torch's warning.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.upsample_nearest.html
    """
    _deprecated("upsample_nearest")
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: jax.Array, size: Size | None = None, scale_factor: Factor | None = None) -> jax.Array:
    """`interpolate` with `mode="bilinear"` and `align_corners=True`, by its old name and with torch's warning.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.upsample_bilinear.html
    """
    _deprecated("upsample_bilinear")
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


def _deprecated(name: str) -> None:
    warnings.warn(
        f"`nn.functional.{name}` is deprecated. Use `nn.functional.interpolate` instead.", UserWarning, stacklevel=3
    )


def _sizes(
    shape: tuple[int, ...], size: Size | None, scale_factor: Factor | None, recompute_scale_factor: bool | None
) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """For each axis the elements of the output, and the factor that torch goes on computing with."""
    if (size is None) == (scale_factor is None):
        found = "both" if size is not None else "none"
        raise ValueError(f"size: expected size or scale_factor, one of them, got {found}")
    n = len(shape)
    recompute = recompute_scale_factor is not None and check.truth("recompute_scale_factor", recompute_scale_factor)
    if size is not None:
        if recompute:
            raise ValueError("recompute_scale_factor: expected scale_factor instead of size where it is True")
        return check.ntuple("size", size, n, repeat=False), (None,) * n
    given: tuple[Any, ...] = tuple(scale_factor) if check.is_sequence(scale_factor) else (scale_factor,) * n
    if len(given) != n:
        raise ValueError(
            f"scale_factor: expected a number or {n} numbers, one for each spatial axis, got {scale_factor!r}"
        )
    factors = tuple(check.number("scale_factor", f) for f in given)
    if not all(map(math.isfinite, factors)):
        raise ValueError(f"scale_factor: expected finite numbers, got {scale_factor!r}")
    sizes = tuple(int(m * f) for m, f in zip(shape, factors, strict=True))
    return sizes, (None,) * n if recompute else factors


class _Axis(NamedTuple):
    """One spatial axis: its elements before and after, and what says where an output looks."""

    size: int
    outputs: int
    factor: float | None
    align_corners: bool

    def step(self, real: Any) -> Any:
        """Elements of the input from one output to the next, in the precision of torch's kernels."""
        if self.align_corners:
            return real(self.size - 1) / real(self.outputs - 1) if self.outputs > 1 else real(0)
        if self.factor is not None and self.factor > 0:
            return real(1 / self.factor)
        return real(self.size) / real(self.outputs)

    def positions(self, real: Any) -> np.ndarray:
        """Where each output looks, in elements of the input."""
        step, output = self.step(real), np.arange(self.outputs).astype(real)
        if self.align_corners:
            return step * output
        # Torch's kernels round once here (fused multiply-add): twice would take other elements at a few sizes.
        more = np.float64 if real is np.float32 else np.longdouble
        return (more(step) * (output + real(0.5)).astype(more) - more(0.5)).astype(real)

    def split(self, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The element before each position, and how far behind it the position is, from 0 to 1."""
        before = np.minimum(_floor(position), self.size - 1)
        return before, np.clip(position - before.astype(position.dtype), 0, 1).astype(position.dtype)


def _floor(position: np.ndarray) -> np.ndarray:
    return np.floor(position.astype(np.float32)).astype(np.int64)  # torch's floorf, for doubles as well


def _nearest(x: jax.Array, axes: tuple[_Axis, ...], exact: bool) -> jax.Array:
    real = np.float64 if x.dtype == jnp.float64 else np.float32
    # Torch's kernel for small planes, and its gradients, round in other places than the rest.
    small = len(axes) == 2 and sum(a.outputs for a in axes) <= 128
    forward, backward = [], []
    for axis in axes:
        derivative = Taps(_nearest_index_in_float(axis, exact)[:, None])
        forward.append(derivative if small else Taps(_nearest_index(axis, exact, real)[:, None]))
        backward.append(derivative)
    return lowering.resample(x, dict(enumerate(forward, 2)), dict(enumerate(backward, 2)))


def _nearest_index(axis: _Axis, exact: bool, real: Any) -> np.ndarray:
    if exact:
        index = _floor(np.maximum(axis.positions(real), real(0)) + real(0.5))
    else:
        index = _floor(axis.step(real) * np.arange(axis.outputs).astype(real))
    return np.minimum(index, axis.size - 1)


def _nearest_index_in_float(axis: _Axis, exact: bool) -> np.ndarray:
    step, output = axis.step(np.float32), np.arange(axis.outputs)
    if exact:
        return np.minimum(_floor((output + 0.5) * np.float64(step)), axis.size - 1)
    if axis.outputs == axis.size:
        return output
    if axis.outputs == 2 * axis.size:
        return output // 2
    return np.minimum(_floor(output.astype(np.float32) * step), axis.size - 1)


def _linear(axis: _Axis, real: Any) -> Taps:
    if axis.outputs == axis.size:
        same = np.arange(axis.size)
        return Taps(np.stack([same, same], 1), np.stack([np.ones(axis.size), np.zeros(axis.size)], 1).astype(real))
    before, behind = axis.split(np.maximum(axis.positions(real), real(0)))
    return Taps(np.stack([before, before + (before < axis.size - 1)], 1), np.stack([1 - behind, behind], 1))


def _cubic(axis: _Axis, real: Any) -> Taps:
    before, behind = axis.split(axis.positions(real))
    distance = np.stack([behind + 1, behind, 1 - behind, 2 - behind], 1)
    return Taps(np.clip(before[:, None] + np.arange(-1, 3), 0, axis.size - 1), keys(distance, -0.75))


def keys(distance: Any, a: float) -> Any:
    """Weights of Keys' cubic convolution for four elements, the first and last of them farther off than one."""
    a = distance.dtype.type(a)
    outer, inner = distance[..., ::3], distance[..., 1:3]
    far = ((a * outer - 5 * a) * outer + 8 * a) * outer - 4 * a
    near = ((a + 2) * inner - (a + 3)) * inner * inner + 1
    return np.concatenate([far[..., :1], near, far[..., 1:]], -1)


def _stretched(weight: Callable[[np.ndarray], np.ndarray], support: int, axis: _Axis, real: Any) -> Taps:
    """A filter of `support` elements, stretched over more of them as the axis shrinks."""
    step, half = axis.step(real), real(support / 2)
    stretch = max(step, real(1))
    centre = step * (np.arange(axis.outputs).astype(real) + real(0.5))
    first = np.maximum(np.trunc(centre - half * stretch + real(0.5)).astype(np.int64), 0)
    end = np.minimum(np.trunc(centre + half * stretch + real(0.5)).astype(np.int64), axis.size)
    index = first[:, None] + np.arange((end - first).max())
    used = index < end[:, None]
    weights = weight((index.astype(real) - centre[:, None] + real(0.5)) * (real(1) / stretch))
    weights = np.where(used, weights, 0).astype(real)
    weights /= weights.sum(1, keepdims=True)
    return Taps(np.minimum(index, axis.size - 1), weights, used)


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(x), 0)


def _keys_filter(x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    far, near = ((-0.5 * x + 2.5) * x - 4) * x + 2, (1.5 * x - 2.5) * x * x + 1
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _lanczos_filter(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


# Taps of each mode, without and with antialiasing.
_FILTERS: dict[tuple[str, bool], Callable[[_Axis, Any], Taps]] = {
    ("linear", False): _linear,
    ("bilinear", False): _linear,
    ("trilinear", False): _linear,
    ("bicubic", False): _cubic,
    ("bilinear", True): partial(_stretched, _triangle, 2),
    ("bicubic", True): partial(_stretched, _keys_filter, 4),
    ("lanczos", True): partial(_stretched, _lanczos_filter, 6),
}


def _weighted(x: jax.Array, axes: tuple[_Axis, ...], mode: str, antialias: bool) -> jax.Array:
    real = np.float64 if x.dtype == jnp.float64 else np.float32
    tables = [_FILTERS[mode, antialias](axis, real) for axis in axes]
    forward, backward = list(tables), list(tables)
    # An axis that keeps its size under a factor such as 1.01: torch's outputs and gradients are of two minds.
    kept = [Taps(np.arange(axis.size)[:, None]) if axis.size == axis.outputs else None for axis in axes]
    if antialias:
        forward = [copy or table for copy, table in zip(kept, tables, strict=True)]
    elif mode == "bicubic" and None not in kept:
        backward = [copy for copy in kept if copy]
    if all(axis.factor in (None, 1) for axis in axes):
        backward = forward
    return lowering.resample(x, dict(enumerate(forward, 2)), dict(enumerate(backward, 2)))


def _bytes(x: jax.Array, axes: tuple[_Axis, ...], table: Callable[[_Axis, Any], Taps]) -> jax.Array:
    """uint8 as torch computes it: weights of 16 bits, and every axis rounded and kept in 0 to 255."""
    for number, axis in reversed(list(enumerate(axes, 2))):
        if axis.size == axis.outputs:
            continue
        taps, bits = _sixteen_bits(table(axis, np.float64), axis.size)
        total = lowering.resample(x.astype(jnp.int32), {number: taps})
        x = jnp.clip((total + (1 << (bits - 1))) >> bits, 0, 255).astype(jnp.uint8)
    return x


def _sixteen_bits(taps: Taps, size: int) -> tuple[Taps, int]:
    """The taps with whole numbers as weights, and the bits behind their point: as many as 16 bits hold."""
    assert taps.weight is not None
    # Taps on the same element are one, and are rounded as one.
    first = taps.source[:, :1]
    place = taps.source - first
    weight = np.zeros((len(first), place.max() + 1))
    np.add.at(weight, (np.arange(len(first))[:, None], place), taps.weight)
    greatest, bits = weight.max(), 0
    while bits < 22 and int(0.5 + greatest * (1 << (bits + 1))) < 1 << 15:
        bits += 1
    whole = np.trunc(weight * (1 << bits) + np.where(weight < 0, -0.5, 0.5)).astype(np.int32)
    return Taps(np.minimum(first + np.arange(weight.shape[1]), size - 1), whole), bits
