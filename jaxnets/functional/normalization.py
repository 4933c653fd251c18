"""Normalisation without running statistics: `torch.nn.functional.layer_norm`, `rms_norm`, `group_norm` and others."""

import math
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp

from jaxnets import check
from jaxnets.functional.distance import vector_norm
from jaxnets.functional.normalized import check_floating, check_parameters, shaped
from jaxnets.functional.precision import wide
from jaxnets.lowering.pooling import sum_pool
from jaxnets.lowering.standardize import divided_by_rms, standardized

__all__ = ["cross_map_lrn2d", "group_norm", "layer_norm", "local_response_norm", "normalize", "rms_norm"]


def layer_norm(
    input: jax.Array,
    normalized_shape: Sequence[int],
    weight: jax.Array | None = None,
    bias: jax.Array | None = None,
    eps: float = 1e-5,
) -> jax.Array:
    """Normalises the last axes by their mean and biased variance (Ba et al., 2016).

    `y = (x - mean) / sqrt(var + eps) * weight + bias`

    Args:
        input: floating; its last axes are `normalized_shape`.
        normalized_shape: sizes of the axes that are normalised together, at least one.
        weight: of shape `normalized_shape`.
        bias: of shape `normalized_shape`.
        eps: added to the variance.

    Shape:
        `(*, *normalized_shape)` to the same.

    Raises:
        TypeError: dtypes do not fit: parameters have the input's dtype, or float32 beside a half precision input.
        ValueError: sizes do not fit.

    Differences from torch: none.

    >>> layer_norm(jnp.array([[1.0, 3.0]]), (2,), eps=0.0).tolist()
    [[-1.0, 1.0]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.layer_norm.html
    """
    input = check.array("input", input)
    check_floating(input)
    axes = _normalized_axes(input, normalized_shape)
    shape = input.shape[input.ndim - len(axes) :]
    check_parameters(input, shape, "which is normalized_shape", weight=weight, bias=bias)
    x, like = wide(input), (1,) * (input.ndim - len(axes)) + shape
    parameters = shaped(weight, x, like), shaped(bias, x, like)
    return standardized(x, *parameters, axes, check.number("eps", eps))[0].astype(input.dtype)


def rms_norm(
    input: jax.Array, normalized_shape: Sequence[int], weight: jax.Array | None = None, eps: float | None = None
) -> jax.Array:
    """Divides the last axes by their root mean square (Zhang and Sennrich, 2019).

    `y = x / sqrt(mean of x² + eps) * weight`

    Args:
        input: floating or complex; its last axes are `normalized_shape`.
        normalized_shape: sizes of the axes that are normalised together, at least one.
        weight: of shape `normalized_shape`, of any real dtype.
        eps: added to the mean of squares; None is the machine epsilon of the dtype that is computed in: float32's
            for half precisions.

    Shape:
        `(*, *normalized_shape)` to the same, in the input's dtype.

    Raises:
        TypeError: the input is neither floating nor complex.
        ValueError: sizes do not fit.

    Differences from torch: none.

    >>> rms_norm(jnp.array([[3.0, -3.0]]), (2,), eps=0.0).tolist()
    [[1.0, -1.0]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.rms_norm.html
    """
    input = check.array("input", input)
    if not jnp.issubdtype(input.dtype, jnp.inexact):
        raise TypeError(f"input: expected a floating or complex dtype, got {input.dtype}; cast it first")
    axes = _normalized_axes(input, normalized_shape)
    shape = input.shape[input.ndim - len(axes) :]
    x = wide(input)
    small = float(jnp.finfo(x.dtype).eps) if eps is None else check.number("eps", eps)
    if weight is not None:
        weight = check.array("weight", weight)
        if weight.shape != shape:
            raise ValueError(f"weight: expected shape {shape}, which is normalized_shape, got {weight.shape}")
        weight = shaped(weight, x, (1,) * (input.ndim - len(axes)) + shape)
    return divided_by_rms(x, weight, axes, small).astype(input.dtype)


def group_norm(
    input: jax.Array,
    num_groups: int,
    weight: jax.Array | None = None,
    bias: jax.Array | None = None,
    eps: float = 1e-5,
) -> jax.Array:
    """Normalises each group of channels of each sample by its mean and biased variance (Wu and He, 2018).

    `y = (x - mean) / sqrt(var + eps) * weight + bias`

    Args:
        input: `(N, C, *)`, floating.
        num_groups: number of groups, a divisor of C.
        weight: `(C,)`.
        bias: `(C,)`.
        eps: added to the variance.

    Shape:
        `(N, C, *)` to the same.

    Raises:
        TypeError: dtypes do not fit: parameters have the input's dtype, or float32 beside a half precision input.
        ValueError: sizes do not fit, or there is one value in all.

    Differences from torch: none.

    >>> group_norm(jnp.array([[1.0, 3.0, 10.0, 30.0]]), 2, eps=0.0).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.group_norm.html
    """
    input = check.array("input", input)
    check_floating(input)
    if input.ndim < 2:
        raise ValueError(f"input: expected at least 2 axes (N, C, *), got shape {input.shape}")
    n, channels, *spatial = input.shape
    groups = check.integer("num_groups", num_groups, least=1)
    if channels % groups:
        raise ValueError(
            f"num_groups: expected a divisor of the {channels} channels of input {input.shape}, got {groups}"
        )
    if n * channels // groups * math.prod(spatial) == 1:
        raise ValueError(f"input: expected more than 1 value per group, got shape {input.shape} in {groups} groups")
    check_parameters(input, (channels,), f"one entry for each channel of input {input.shape}", weight=weight, bias=bias)
    small = check.number("eps", eps)
    if not input.size:
        return input
    grouped = wide(input).reshape(n, groups, channels // groups, *spatial)
    like = (1, *grouped.shape[1:3], *(1,) * len(spatial))
    parameters = shaped(weight, grouped, like), shaped(bias, grouped, like)
    output = standardized(grouped, *parameters, range(2, grouped.ndim), small)[0]
    return output.reshape(input.shape).astype(input.dtype)


def local_response_norm(
    input: jax.Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> jax.Array:
    """Divides each channel by a power of the mean square of its neighbours (Krizhevsky et al., 2012).

    `y_c = x_c / (k + alpha / size * sum of x_j²) ** beta`, j from `c - size // 2` to `c + (size - 1) // 2`

    Args:
        input: `(N, C, *)`, three axes or more.
        size: number of neighbouring channels; those outside are 0.
        alpha: factor of the mean square.
        beta: exponent.
        k: added to it.

    Shape:
        `(N, C, *)` to the same.

    Raises:
        TypeError: the input is boolean or complex, or an argument is no number.
        ValueError: fewer than three axes, or a size below 1.

    Differences from torch: integers of every width are accepted, as torch's int64; their mean squares are whole too.

    >>> local_response_norm(jnp.ones((1, 3, 1)), 2, alpha=2.0, beta=1.0, k=0.0).ravel().tolist()
    [1.0, 0.5, 0.5]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.local_response_norm.html
    """
    input = check.array("input", input)
    if input.dtype == bool or jnp.iscomplexobj(input):
        raise TypeError(f"input: expected real numbers, got {input.dtype}; cast it first")
    if input.ndim < 3:
        raise ValueError(f"input: expected at least 3 axes (N, C, *), got shape {input.shape}")
    size = check.integer("size", size, least=1)
    alpha, beta, k = check.number("alpha", alpha), check.number("beta", beta), check.number("k", k)
    if not input.size:
        return input
    x = wide(input)
    squares = _channel_windows(jnp.square(x), size // 2, (size - 1) // 2)
    if jnp.issubdtype(x.dtype, jnp.floating):
        return (x / (squares / size * alpha + k) ** beta).astype(input.dtype)
    return x.astype(jnp.float32) / ((squares // size).astype(jnp.float32) * alpha + k) ** beta


def cross_map_lrn2d(input: jax.Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> jax.Array:
    """What `torch.nn.CrossMapLRN2d` computes: Caffe's form of `local_response_norm`.

    `y_c = x_c * (k + alpha / size * s_c) ** -beta`. `s_c` is the sum of the squares of the channels that are fewer
    than `h = int((size - 1) / 2 + 1)` away from c and, from c = h on, of the first channel too: torch adds it
    at the start of its running sum and never takes it out.

    Args:
        input: `(N, C, H, W)`, floating.
        size: number of neighbouring channels, at least 2.
        alpha: factor of the mean square.
        beta: exponent.
        k: added to it.

    Shape:
        `(N, C, H, W)` to the same.

    Raises:
        TypeError: the input is not floating, or an argument is no number.
        ValueError: not four axes, no channels, or a size below 2 (torch has no gradient for 1).

    Differences from torch: not a function there, only a layer. Its gradient is kept as well: the window of the
    gradient begins one channel before the true one. `local_response_norm` has neither oddity.

    >>> cross_map_lrn2d(jnp.ones((1, 3, 1, 1)), 3, alpha=3.0, beta=-1.0).ravel().tolist()
    [3.0, 4.0, 4.0]
    """
    input = check.array("input", input)
    check_floating(input)
    check.rank("input", input, {4: "(N, C, H, W)"})
    if not input.shape[1]:
        raise ValueError(f"input: expected at least 1 channel, got shape {input.shape}")
    size = check.integer("size", size, least=2)
    alpha, beta, k = check.number("alpha", alpha), check.number("beta", beta), check.number("k", k)
    return _cross_map(wide(input), size, alpha, beta, k).astype(input.dtype)


@partial(jax.custom_jvp, nondiff_argnums=(1, 2, 3, 4))
def _cross_map(x: jax.Array, size: int, alpha: float, beta: float, k: float) -> jax.Array:
    return x * _cross_map_scale(x, size, alpha, k) ** -beta


@_cross_map.defjvp
def _cross_map_jvp(
    size: int, alpha: float, beta: float, k: float, primals: Sequence, tangents: Sequence
) -> tuple[jax.Array, jax.Array]:
    (x,), (tangent,) = primals, tangents
    scale = _cross_map_scale(x, size, alpha, k)
    factor = scale**-beta
    first = int(size - (size - 1) / 2)  # the transpose of this window is the one that torch's backward slides
    neighbours = _channel_windows(x * tangent, size - 1 - first, first)
    return x * factor, factor * tangent - 2 * alpha * beta / size * (x * factor / scale) * neighbours


def _cross_map_scale(x: jax.Array, size: int, alpha: float, k: float) -> jax.Array:
    squares, half = jnp.square(x), int((size - 1) / 2 + 1)
    kept = (jnp.arange(x.shape[1]) >= half).reshape(1, -1, 1, 1)
    first = jnp.where(kept, squares[:, :1], jnp.zeros((), x.dtype))
    return (_channel_windows(squares, half - 1, half - 1) + first) * (alpha / size) + k


def _channel_windows(x: jax.Array, before: int, behind: int) -> jax.Array:
    """The sum over axis 1 from `before` entries before each to `behind` entries behind it."""
    ones = (1,) * (x.ndim - 2)
    borders = ((before, behind), *((0, 0),) * (x.ndim - 2))
    return sum_pool(x, (before + behind + 1, *ones), (1, *ones), borders)


def normalize(
    input: jax.Array,
    p: float | str | None = 2.0,
    dim: int | Sequence[int] | None = 1,
    eps: float = 1e-12,
    out: None = None,
) -> jax.Array:
    """Divides vectors by their norm.

    `y = x / max(‖x‖_p, eps)`

    Args:
        input: floating or complex.
        p: exponent of the norm, any number or infinity; None and "fro" are 2.
        dim: the axis, or the axes, of a vector; None or no axes: all.
        eps: the least divisor.
        out: None; arrays are immutable.

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: the input is neither floating nor complex, or `out` is given.
        ValueError: `dim` is no axis; the axis is empty and the norm of nothing is not defined.

    Differences from torch: no `out`.

    >>> normalize(jnp.array([[1.0, -3.0]]), p=1).tolist()
    [[0.25, -0.75]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.normalize.html
    """
    if out is not None:
        raise TypeError(f"out: expected None, got {type(out).__name__}; arrays are immutable, use what is returned")
    input, least = check.array("input", input), check.number("eps", eps)
    norm = vector_norm(input, 2.0 if p is None or p == "fro" else p, dim)  # type: ignore[arg-type]
    divisor = jnp.where(norm < least, jnp.full((), least, norm.dtype), norm)
    return input / divisor.astype(input.dtype)


def _normalized_axes(input: jax.Array, normalized_shape: Sequence[int]) -> tuple[int, ...]:
    """The last axes of the input, which `normalized_shape` is compared with."""
    if not check.is_sequence(normalized_shape):
        raise TypeError(f"normalized_shape: expected a list or tuple of ints, got {normalized_shape!r}")
    shape = tuple(check.integer("normalized_shape", size) for size in normalized_shape)
    if not shape:
        raise ValueError("normalized_shape: expected at least 1 axis, got none")
    if input.ndim < len(shape) or input.shape[input.ndim - len(shape) :] != shape:
        raise ValueError(f"input: expected shape (*, {str(shape)[1:-1].rstrip(',')}), got {input.shape}")
    return tuple(range(input.ndim - len(shape), input.ndim))
