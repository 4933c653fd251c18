"""`torch.nn.init` as functions of a key and a shape: torch's distributions, for arrays that do not exist yet.

A key is one of JAX, or a `Draws`: a stream that draws by itself, such as the one of `jaxnets.TorchRngs`.
"""

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import check

__all__ = [
    "Draws",
    "calculate_gain",
    "constant",
    "dirac",
    "eye",
    "fan_in_and_fan_out",
    "kaiming_normal",
    "kaiming_uniform",
    "normal",
    "ones",
    "orthogonal",
    "sparse",
    "trunc_normal",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]

GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3.0,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4.0,
}


class Draws(ABC):
    """What stands in a key's place to draw from another stream than JAX's; see `jaxnets.TorchRngs`."""

    @abstractmethod
    def uniform(self, shape: Sequence[int], a: float, b: float, dtype: Any) -> Any:
        """Samples of `U(a, b)`, of a real or complex dtype."""

    @abstractmethod
    def normal(self, shape: Sequence[int], mean: float, std: float, dtype: Any) -> Any:
        """Samples of `N(mean, std²)`, of a real or complex dtype."""

    @abstractmethod
    def trunc_normal(self, shape: Sequence[int], mean: float, std: float, a: float, b: float, dtype: Any) -> Any:
        """Samples of `N(mean, std²)` in `[a, b]`, of a real dtype."""

    @abstractmethod
    def permutations(self, n: int, count: int) -> Any:
        """`count` permutations of `range(n)`, in the rows of an array."""


def zeros(key: Any, shape: Sequence[int], *, dtype: Any = jnp.float32) -> jax.Array:
    """Zeros; `key` is not used.

    >>> zeros(None, (2,))
    Array([0., 0.], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.zeros_
    """
    return jnp.zeros(shape, dtype)


def ones(key: Any, shape: Sequence[int], *, dtype: Any = jnp.float32) -> jax.Array:
    """Ones; `key` is not used.

    >>> ones(None, (2,))
    Array([1., 1.], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.ones_
    """
    return jnp.ones(shape, dtype)


def constant(key: Any, shape: Sequence[int], val: float, *, dtype: Any = jnp.float32) -> jax.Array:
    """The number `val` everywhere; `key` is not used.

    >>> constant(None, (2,), 0.5)
    Array([0.5, 0.5], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.constant_
    """
    return jnp.full(shape, val, dtype)


def eye(key: Any, shape: Sequence[int], *, dtype: Any = jnp.float32) -> jax.Array:
    """Ones on the diagonal of a matrix, zeros elsewhere; `key` is not used.

    >>> eye(None, (2, 3))
    Array([[1., 0., 0.],
           [0., 1., 0.]], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.eye_
    """
    return jnp.eye(*_matrix(shape), dtype=dtype)


def dirac(key: Any, shape: Sequence[int], groups: int = 1, *, dtype: Any = jnp.float32) -> jax.Array:
    """A convolution's weight that gives each channel back, in each group, as many as there are; `key` is not used.

    Args:
        key: anything.
        shape: `(out, in / groups, *kernel)`, with one to three axes of the kernel.
        groups: the convolution's groups; it divides `out`.
        dtype: the dtype of the array.

    >>> dirac(None, (2, 2, 3))
    Array([[[0., 1., 0.],
            [0., 0., 0.]],
    <BLANKLINE>
           [[0., 0., 0.],
            [0., 1., 0.]]], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.dirac_
    """
    out, *rest = shape = tuple(shape)
    if len(shape) not in (3, 4, 5):
        raise ValueError(f"shape: expected 3, 4 or 5 axes (out, in, *kernel), got {shape}")
    groups = check.integer("groups", groups, least=1)
    if out % groups:
        raise ValueError(f"groups: expected a divisor of {out}, the first axis of shape, got {groups}")
    count = min(out // groups, rest[0])
    channels = np.arange(count)
    weight = np.zeros(shape, bool)
    for group in range(groups):
        place: Any = (group * (out // groups) + channels, channels, *(size // 2 for size in rest[1:]))
        weight[place] = True
    return jnp.asarray(weight).astype(dtype)


def uniform(key: Any, shape: Sequence[int], a: float = 0.0, b: float = 1.0, *, dtype: Any = jnp.float32) -> jax.Array:
    """Samples of the uniform distribution `U(a, b)`; of a complex dtype, both parts are drawn from it.

    Raises:
        ValueError: `a` is above `b`, or one of them is not finite.

    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.uniform_
    """
    if not (a <= b and math.isfinite(b - a)):
        raise ValueError(f"a, b: expected finite numbers a <= b, got a={a}, b={b}")
    if isinstance(key, Draws):
        return jnp.asarray(key.uniform(tuple(shape), a, b, dtype))
    if not jnp.issubdtype(dtype, jnp.complexfloating):
        return jax.random.uniform(key, tuple(shape), dtype, a, b)
    parts = jax.random.uniform(key, (2, *shape), jnp.finfo(dtype).dtype, a, b)
    return jax.lax.complex(parts[0], parts[1])


def normal(
    key: Any, shape: Sequence[int], mean: float = 0.0, std: float = 1.0, *, dtype: Any = jnp.float32
) -> jax.Array:
    """Samples of the normal distribution `N(mean, std²)`; of a complex dtype, each part has half of the variance.

    Raises:
        ValueError: `std` is negative.

    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.normal_
    """
    if not std >= 0:
        raise ValueError(f"std: expected a number of at least 0, got {std}")
    if isinstance(key, Draws):
        return jnp.asarray(key.normal(tuple(shape), mean, std, dtype))
    return mean + std * jax.random.normal(key, tuple(shape), dtype)


def trunc_normal(
    key: Any,
    shape: Sequence[int],
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    *,
    dtype: Any = jnp.float32,
) -> jax.Array:
    """Samples of the normal distribution `N(mean, std²)` that lie in `[a, b]`.

    Args:
        key: a random key.
        shape: the shape of the array.
        mean: mean of the whole distribution.
        std: its standard deviation, positive.
        a: the least sample.
        b: the greatest sample.
        dtype: the dtype of the samples.

    Raises:
        ValueError: `std` is not positive, or `a` is not below `b`.

    Differences from torch: a key of JAX inverts the distribution function; torch draws until all samples are
    inside, and so does `jaxnets.TorchRngs`.

    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.trunc_normal_
    """
    if not std > 0:
        raise ValueError(f"std: expected a positive number, got {std}")
    if not a < b:
        raise ValueError(f"a, b: expected a < b, got a={a}, b={b}")
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            f"mean={mean} is more than 2 std from [{a}, {b}]: the distribution of the samples may be wrong",
            stacklevel=2,
        )
    if isinstance(key, Draws):
        return jnp.asarray(key.trunc_normal(tuple(shape), mean, std, a, b, dtype))
    samples = jax.random.truncated_normal(key, (a - mean) / std, (b - mean) / std, tuple(shape), _wide(dtype))
    return jnp.clip(mean + std * samples, a, b).astype(dtype)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The recommended gain of a nonlinearity; `param` is leaky_relu's negative slope, 0.01 when not given.

    >>> calculate_gain("tanh")
    1.6666666666666667

    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.calculate_gain
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1 + check.number("param", 0.01 if param is None else param) ** 2))
    return GAINS[check.choice("nonlinearity", nonlinearity, (*GAINS, "leaky_relu"))]


def fan_in_and_fan_out(shape: Sequence[int]) -> tuple[int, int]:
    """Numbers of inputs and outputs of one unit of a weight in torch's layout, `(out, in, *kernel)`.

    >>> fan_in_and_fan_out((8, 3, 5, 5))
    (75, 200)
    """
    if len(shape) < 2:
        raise ValueError(f"shape: expected at least 2 axes to count fan in and fan out, got {tuple(shape)}")
    receptive_field = math.prod(shape[2:])
    return shape[1] * receptive_field, shape[0] * receptive_field


def xavier_uniform(key: Any, shape: Sequence[int], gain: float = 1.0, *, dtype: Any = jnp.float32) -> jax.Array:
    """Samples of `U(-bound, bound)` with `bound = gain * sqrt(6 / (fan_in + fan_out))` (Glorot and Bengio, 2010).

    Args:
        key: a random key.
        shape: a weight's shape in torch's layout, two axes or more.
        gain: a factor, such as `calculate_gain` gives.
        dtype: the dtype of the samples.

    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.xavier_uniform_
    """
    bound = math.sqrt(3.0) * _xavier_std(shape, gain)
    return uniform(key, shape, -bound, bound, dtype=dtype)


def xavier_normal(key: Any, shape: Sequence[int], gain: float = 1.0, *, dtype: Any = jnp.float32) -> jax.Array:
    """Samples of `N(0, std²)` with `std = gain * sqrt(2 / (fan_in + fan_out))`; see `xavier_uniform`.

    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.xavier_normal_
    """
    return normal(key, shape, 0.0, _xavier_std(shape, gain), dtype=dtype)


def _xavier_std(shape: Sequence[int], gain: float) -> float:
    fans = sum(fan_in_and_fan_out(shape))
    return gain * math.sqrt(2.0 / fans) if fans else 0.0


def kaiming_uniform(
    key: Any,
    shape: Sequence[int],
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    dtype: Any = jnp.float32,
) -> jax.Array:
    """Samples of `U(-bound, bound)` with `bound = gain * sqrt(3 / fan)` (He et al., 2015).

    Args:
        key: a random key.
        shape: a weight's shape in torch's layout, two axes or more.
        a: negative slope of the leaky ReLU behind the layer.
        mode: "fan_in" keeps the variance of the forward pass, "fan_out" that of the backward pass.
        nonlinearity: a name that `calculate_gain` knows.
        dtype: the dtype of the samples.

    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.kaiming_uniform_
    """
    bound = math.sqrt(3.0) * _kaiming_std(shape, a, mode, nonlinearity)
    return uniform(key, shape, -bound, bound, dtype=dtype)


def kaiming_normal(
    key: Any,
    shape: Sequence[int],
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    dtype: Any = jnp.float32,
) -> jax.Array:
    """Samples of `N(0, std²)` with `std = gain / sqrt(fan)`; the arguments are those of `kaiming_uniform`.

    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.kaiming_normal_
    """
    return normal(key, shape, 0.0, _kaiming_std(shape, a, mode, nonlinearity), dtype=dtype)


def _kaiming_std(shape: Sequence[int], a: float, mode: str, nonlinearity: str) -> float:
    fans = dict(zip(("fan_in", "fan_out"), fan_in_and_fan_out(shape), strict=True))
    fan = fans[check.choice("mode", mode.lower() if isinstance(mode, str) else mode, tuple(fans))]
    # in torch's order of operations, whose rounding a stream of torch's shows
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0


def orthogonal(key: Any, shape: Sequence[int], gain: float = 1, *, dtype: Any = jnp.float32) -> jax.Array:
    """A random matrix with orthonormal rows or columns, whichever are fewer, times `gain` (Saxe et al., 2014).

    Args:
        key: a random key.
        shape: two axes or more; those behind the first count as one.
        gain: a factor.
        dtype: the dtype of the array; half precisions are computed in float32.

    Raises:
        ValueError: `shape` has fewer than two axes.

    Differences from torch: half precisions and complex dtypes are taken.

    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.orthogonal_
    """
    if len(shape) < 2:
        raise ValueError(f"shape: expected 2 axes or more, got {tuple(shape)}")
    rows, cols = shape[0], math.prod(shape[1:])
    if not rows * cols:
        return jnp.zeros(shape, dtype)
    flat = normal(key, (rows, cols), dtype=_wide(dtype))
    q, r = jnp.linalg.qr(flat if rows >= cols else flat.T)
    q = q * jnp.sign(jnp.diagonal(r))[None]  # without it some matrices are likelier than others (Mezzadri, 2007)
    return (gain * (q if rows >= cols else q.T).reshape(shape)).astype(dtype)


def sparse(
    key: Any, shape: Sequence[int], sparsity: float, std: float = 0.01, *, dtype: Any = jnp.float32
) -> jax.Array:
    """A matrix of samples of `N(0, std²)`, some of them set to zero: in each column equally many (Martens, 2010).

    Args:
        key: a random key.
        shape: `(rows, columns)`.
        sparsity: the share of zeros in each column, in [0, 1]; their number is rounded up.
        std: standard deviation of the others.
        dtype: the dtype of the array.

    Raises:
        ValueError: `shape` has not two axes, `sparsity` is not in [0, 1].

    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.sparse_
    """
    rows, cols = _matrix(shape)
    zeros = math.ceil(check.probability("sparsity", sparsity) * rows)
    if isinstance(key, Draws):
        samples = normal(key, shape, 0.0, std, dtype=dtype)
        rank = jnp.asarray(np.argsort(key.permutations(rows, cols)).T)
    else:
        for_samples, for_ranks = jax.random.split(key)
        samples = normal(for_samples, shape, 0.0, std, dtype=dtype)
        rank = jnp.argsort(jax.random.uniform(for_ranks, shape), axis=0)
    return jnp.where(rank < zeros, jnp.zeros((), samples.dtype), samples)


def _wide(dtype: Any) -> Any:
    """The dtype to compute in: float32 for half precisions."""
    return jnp.float32 if jnp.dtype(dtype).itemsize == 2 else dtype


def _matrix(shape: Sequence[int]) -> tuple[int, int]:
    if len(shape) != 2:
        raise ValueError(f"shape: expected 2 axes (rows, columns), got {tuple(shape)}")
    return shape[0], shape[1]
