"""Dropout: `torch.nn.functional.dropout` to `dropout3d`, `alpha_dropout`, `feature_alpha_dropout`."""

import math
import warnings

import jax
import jax.numpy as jnp

from jaxnets import check
from jaxnets.functional.precision import wide

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]

ALPHA = 1.7580993408473766  # what SELU tends to, negated: its scale times its alpha


def dropout(
    input: jax.Array,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: jax.Array | None = None,
) -> jax.Array:
    """Sets each element to 0 with probability `p`, and scales the others to keep the mean.

    `y = x * b / (1 - p)`, `b` drawn from Bernoulli(1 - p)

    Args:
        input: floating numbers; any numbers when nothing is drawn.
        p: probability that an element is dropped, in [0, 1].
        training: whether to drop at all.
        inplace: has no effect, arrays are immutable.
        key: a jax random key; needed in training, unless p is 0 or 1 or `input` is empty.

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: `input` is not floating where elements are drawn.
        ValueError: `p` is no probability, `key` is missing.

    Differences from torch: random numbers come from `key`, not from a global generator.

    >>> dropout(jnp.ones(3), 1.0).tolist(), dropout(jnp.ones(3), training=False).tolist()
    ([0.0, 0.0, 0.0], [1.0, 1.0, 1.0])

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout.html
    """
    input = check.array("input", input)
    return _dropout(input, input.shape, p, training, key)


def dropout1d(
    input: jax.Array,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: jax.Array | None = None,
) -> jax.Array:
    """Sets whole channels of `(N, C, L)` or `(C, L)` to 0; else as `dropout`.

    >>> dropout1d(jnp.ones((2, 3)), key=jax.random.key(0)).shape
    (2, 3)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout1d.html
    """
    input = check.array("input", input)
    check.rank("input", input, {2: "(C, L)", 3: "(N, C, L)"})
    return _dropout(input, _channels(input, unbatched=2), p, training, key)


def dropout2d(
    input: jax.Array,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: jax.Array | None = None,
) -> jax.Array:
    """Sets whole channels of `(N, C, H, W)` to 0; else as `dropout`.

    Three axes are taken as `(N, C, L)`, as torch does, with its warning.

    >>> dropout2d(jnp.ones((2, 3, 4, 5)), key=jax.random.key(0)).shape
    (2, 3, 4, 5)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout2d.html
    """
    input = check.array("input", input)
    if input.ndim == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior is "
            "desired - input is interpreted as shape (N, C, L), where C is the channel dim. Use dropout1d instead.",
            stacklevel=2,
        )
    _warn_of_rank("dropout2d", input, (3, 4))
    if input.ndim < 2 and _draws(input, p, training):
        raise ValueError(f"input: expected 4 axes (N, C, H, W), got shape {input.shape}")
    return _dropout(input, _channels(input), p, training, key)


def dropout3d(
    input: jax.Array,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: jax.Array | None = None,
) -> jax.Array:
    """Sets whole channels of `(N, C, D, H, W)` or `(C, D, H, W)` to 0; else as `dropout`.

    Any other number of axes is taken as if without a batch, as torch does, with its warning.

    >>> dropout3d(jnp.ones((3, 4, 5, 6)), key=jax.random.key(0)).shape
    (3, 4, 5, 6)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout3d.html
    """
    input = check.array("input", input)
    _warn_of_rank("dropout3d", input, (4, 5))
    if not input.ndim and _draws(input, p, training):
        raise ValueError("input: expected 4 axes (C, D, H, W) or 5 axes (N, C, D, H, W), got a number")
    return _dropout(input, _channels(input, unbatched=None if input.ndim == 5 else input.ndim), p, training, key)


def alpha_dropout(
    input: jax.Array,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    key: jax.Array | None = None,
) -> jax.Array:
    """Dropout that keeps mean 0 and variance 1, for networks of `selu` (Klambauer et al., 2017).

    `y = a * (x * b - alpha * (1 - b) + alpha * p)`, `b` drawn from Bernoulli(1 - p), `alpha = 1.7581...` what `selu`
    tends to, negated, and `a = ((1 - p) * (1 + p * alpha²))^(-1/2)`

    Args:
        input: floating numbers; any numbers when nothing is drawn.
        p: probability that an element is dropped, in [0, 1].
        training: whether to drop at all.
        inplace: has no effect, arrays are immutable.
        key: a jax random key; needed in training, unless p is 0 or 1 or `input` is empty.

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: `input` is not floating where elements are drawn.
        ValueError: `p` is no probability, `key` is missing.

    Differences from torch: random numbers come from `key`, not from a global generator.

    >>> x = jnp.ones(3)
    >>> alpha_dropout(x).tolist(), alpha_dropout(x, 1.0, True).tolist()
    ([1.0, 1.0, 1.0], [0.0, 0.0, 0.0])

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.alpha_dropout.html
    """
    input = check.array("input", input)
    return _alpha_dropout(input, input.shape, p, training, key)


def feature_alpha_dropout(
    input: jax.Array,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    key: jax.Array | None = None,
) -> jax.Array:
    """Drops whole channels of `(N, C, *)`; else as `alpha_dropout`.

    >>> feature_alpha_dropout(jnp.ones((2, 3, 4)), 0.5, True, key=jax.random.key(0)).shape
    (2, 3, 4)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.feature_alpha_dropout.html
    """
    input = check.array("input", input)
    if input.ndim < 2 and _draws(input, p, training):
        raise ValueError(f"input: expected at least 2 axes (N, C, *), got shape {input.shape}")
    return _alpha_dropout(input, _channels(input), p, training, key)


def _channels(input: jax.Array, unbatched: int | None = None) -> tuple[int, ...]:
    """The shape that broadcasts one draw for each channel over all that belongs to it."""
    leading = 1 if input.ndim == unbatched else 2
    return input.shape[:leading] + (1,) * (input.ndim - leading)


def _warn_of_rank(name: str, input: jax.Array, expected: tuple[int, ...]) -> None:
    if input.ndim not in expected:
        warnings.warn(
            f"{name}: Received a {input.ndim}-D input to {name}, which is deprecated and will result in an error in "
            "a future release. To retain the behavior and silence this warning, please use dropout instead.",
            stacklevel=3,
        )


def _draws(input: jax.Array, p: float, training: bool) -> bool:
    """Whether chance decides: not in evaluation, nor when all or nothing is dropped."""
    return check.flag("training", training) and 0 < check.probability("p", p) < 1 and input.size > 0


def _dropout(input: jax.Array, shape: tuple[int, ...], p: float, training: bool, key: jax.Array | None) -> jax.Array:
    if not _draws(input, p, training):
        return _all_or_nothing(input, p, training)
    kept = _kept(input, shape, p, key).astype(input.dtype)
    return input * jnp.broadcast_to(kept * (1 / (1 - p)), input.shape)


def _alpha_dropout(
    input: jax.Array, shape: tuple[int, ...], p: float, training: bool, key: jax.Array | None
) -> jax.Array:
    if not _draws(input, p, training):
        return _all_or_nothing(input, p, training)
    x, a = wide(input), 1 / math.sqrt((ALPHA * ALPHA * p + 1) * (1 - p))
    kept = _kept(input, shape, p, key).astype(x.dtype)
    shift = (kept - 1) * (ALPHA * a) + ALPHA * a * p
    return (x * jnp.broadcast_to(kept * a, x.shape) + jnp.broadcast_to(shift, x.shape)).astype(input.dtype)


def _all_or_nothing(input: jax.Array, p: float, training: bool) -> jax.Array:
    # a product, since in torch the infinite and the undefined do not vanish
    return input * jnp.zeros((), input.dtype) if training and p == 1 else input


def _kept(input: jax.Array, shape: tuple[int, ...], p: float, key: jax.Array | None) -> jax.Array:
    if not jnp.issubdtype(input.dtype, jnp.floating):
        raise TypeError(f"input: expected a floating dtype, got {input.dtype}; cast it first")
    if key is None:
        raise ValueError("key: expected a jax random key in training, got None; pass key=jax.random.key(0)")
    return jax.random.bernoulli(key, 1 - p, shape)
