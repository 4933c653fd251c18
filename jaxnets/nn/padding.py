"""Padding: `torch.nn.ConstantPad1d` to `CircularPad3d`."""

from collections.abc import Sequence
from typing import Any

import jax

from jaxnets import check
from jaxnets import functional as F
from jaxnets.functional.pooling import AXES
from jaxnets.nn.parameters import Family

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]

Size = int | Sequence[int]


def _amounts(padding: Size, n: int) -> tuple[int, ...]:
    """The numbers for `F.pad`: an int goes to both ends of `n` axes; several are kept as they are, as in torch."""
    given = tuple(padding) if check.is_sequence(padding) else (padding,) * (2 * n)
    return tuple(check.integer("padding", p) for p in given)


class _Pad(Family):
    _axes: int
    _mode: str

    def __init__(self, padding: Size):
        self.padding = _amounts(padding, self._axes)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.pad(input, self.padding, self._mode)


class _ConstantPad(Family):
    _axes: int

    def __init__(self, padding: Size, value: Any):
        self.padding = _amounts(padding, self._axes)
        self.value = value

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.pad(input, self.padding, "constant", self.value)


class _CircularPad(_Pad):
    _mode = "circular"

    def __call__(self, input: jax.Array) -> jax.Array:
        input, n = check.array("input", input), self._axes
        check.rank("input", input, {n + 1: f"(C, {AXES[n]})", n + 2: f"(N, C, {AXES[n]})"})
        return F.pad(input, self.padding, self._mode)


class ConstantPad1d(_ConstantPad):
    """Puts a constant around signals; see `ConstantPad2d`, whose arguments it takes for one axis.

    Shape:
        `(*, L)` to `(*, L_out)`.

    >>> ConstantPad1d((3, 1), 3.5)(jax.numpy.ones((1, 2, 4))).shape
    (1, 2, 8)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ConstantPad1d.html
    """

    _axes = 1


class ConstantPad2d(_ConstantPad):
    """Puts a constant around planes.

    `y[..., i] = x[..., i - left]`, `value` where there is none

    Args:
        padding: elements at left, right, top, bottom, any ints, or one int for all; negative ones crop.
        value: what to fill with, a number, cast to the dtype of the input.

    Shape:
        `(*, H, W)` to `(*, H_out, W_out)`, `W_out = W + left + right`.

    Raises:
        TypeError: a number that is no int.
        ValueError: padding that does not fit the input.

    Differences from torch: none.

    >>> ConstantPad2d((1, 2, 0, 3), 3.5)(jax.numpy.ones((1, 1, 4, 3))).shape
    (1, 1, 7, 6)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ConstantPad2d.html
    """

    _axes = 2


class ConstantPad3d(_ConstantPad):
    """Puts a constant around volumes; see `ConstantPad2d`, whose arguments it takes for three axes.

    Shape:
        `(*, D, H, W)` to `(*, D_out, H_out, W_out)`.

    >>> ConstantPad3d((1, 0, 2, 1, 0, 3), 3.5)(jax.numpy.ones((1, 1, 4, 3, 2))).shape
    (1, 1, 7, 6, 3)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ConstantPad3d.html
    """

    _axes = 3


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: Size):
        super().__init__(padding, 0.0)


class ZeroPad1d(_ZeroPad):
    """Puts zeros around signals; see `ZeroPad2d`, whose arguments it takes for one axis.

    Shape:
        `(*, L)` to `(*, L_out)`.

    >>> ZeroPad1d((3, 1))(jax.numpy.ones((1, 2, 4))).shape
    (1, 2, 8)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ZeroPad1d.html
    """

    _axes = 1


class ZeroPad2d(_ZeroPad):
    """Puts zeros around planes.

    `y[..., i] = x[..., i - left]`, 0 where there is none

    Args:
        padding: elements at left, right, top, bottom, any ints, or one int for all; negative ones crop.

    Shape:
        `(*, H, W)` to `(*, H_out, W_out)`, `W_out = W + left + right`.

    Raises:
        TypeError: a number that is no int.
        ValueError: padding that does not fit the input.

    Differences from torch: none.

    >>> ZeroPad2d((1, 2, 0, 3))(jax.numpy.ones((1, 1, 4, 3))).shape
    (1, 1, 7, 6)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ZeroPad2d.html
    """

    _axes = 2


class ZeroPad3d(_ZeroPad):
    """Puts zeros around volumes; see `ZeroPad2d`, whose arguments it takes for three axes.

    Shape:
        `(*, D, H, W)` to `(*, D_out, H_out, W_out)`.

    >>> ZeroPad3d((1, 0, 2, 1, 0, 3))(jax.numpy.ones((1, 1, 4, 3, 2))).shape
    (1, 1, 7, 6, 3)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ZeroPad3d.html
    """

    _axes = 3


class ReflectionPad1d(_Pad):
    """Mirrors signals at their borders; see `ReflectionPad2d`, whose arguments it takes for one axis.

    Shape:
        `(N, C, L)` to `(N, C, L_out)`, or both without N.

    >>> ReflectionPad1d((3, 1))(jax.numpy.ones((1, 2, 4))).shape
    (1, 2, 8)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ReflectionPad1d.html
    """

    _axes = 1
    _mode = "reflect"


class ReflectionPad2d(_Pad):
    """Mirrors planes at their borders.

    `y[..., i] = x[..., |i - left|]` at the beginning: the border itself is not repeated

    Args:
        padding: elements at left, right, top, bottom, less than the size of the axis, or one int for all;
            negative ones crop.

    Shape:
        `(N, C, H, W)` to `(N, C, H_out, W_out)`, or both without N, `W_out = W + left + right`.

    Raises:
        TypeError: a number that is no int.
        ValueError: padding that does not fit the input.

    Differences from torch: none.

    >>> ReflectionPad2d((1, 2, 0, 3))(jax.numpy.ones((1, 1, 4, 3))).shape
    (1, 1, 7, 6)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ReflectionPad2d.html
    """

    _axes = 2
    _mode = "reflect"


class ReflectionPad3d(_Pad):
    """Mirrors volumes at their borders; see `ReflectionPad2d`, whose arguments it takes for three axes.

    Shape:
        `(N, C, D, H, W)` to `(N, C, D_out, H_out, W_out)`, or both without N.

    >>> ReflectionPad3d((1, 0, 2, 1, 0, 3))(jax.numpy.ones((1, 1, 4, 3, 2))).shape
    (1, 1, 7, 6, 3)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ReflectionPad3d.html
    """

    _axes = 3
    _mode = "reflect"


class ReplicationPad1d(_Pad):
    """Repeats the borders of signals; see `ReplicationPad2d`, whose arguments it takes for one axis.

    Shape:
        `(N, C, L)` to `(N, C, L_out)`, or both without N.

    >>> ReplicationPad1d((3, 1))(jax.numpy.ones((1, 2, 4))).shape
    (1, 2, 8)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ReplicationPad1d.html
    """

    _axes = 1
    _mode = "replicate"


class ReplicationPad2d(_Pad):
    """Repeats the borders of planes.

    `y[..., i] = x[..., min(max(i - left, 0), size - 1)]`

    Args:
        padding: elements at left, right, top, bottom, any ints, or one int for all; negative ones crop.

    Shape:
        `(N, C, H, W)` to `(N, C, H_out, W_out)`, or both without N, `W_out = W + left + right`.

    Raises:
        TypeError: a number that is no int.
        ValueError: padding that does not fit the input.

    Differences from torch: none.

    >>> ReplicationPad2d((1, 2, 0, 3))(jax.numpy.ones((1, 1, 4, 3))).shape
    (1, 1, 7, 6)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ReplicationPad2d.html
    """

    _axes = 2
    _mode = "replicate"


class ReplicationPad3d(_Pad):
    """Repeats the borders of volumes; see `ReplicationPad2d`, whose arguments it takes for three axes.

    Shape:
        `(N, C, D, H, W)` to `(N, C, D_out, H_out, W_out)`, or both without N.

    >>> ReplicationPad3d((1, 0, 2, 1, 0, 3))(jax.numpy.ones((1, 1, 4, 3, 2))).shape
    (1, 1, 7, 6, 3)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ReplicationPad3d.html
    """

    _axes = 3
    _mode = "replicate"


class CircularPad1d(_CircularPad):
    """Continues signals with their other ends; see `CircularPad2d`, whose arguments it takes for one axis.

    Shape:
        `(N, C, L)` to `(N, C, L_out)`, or both without N.

    >>> CircularPad1d((3, 1))(jax.numpy.ones((1, 2, 4))).shape
    (1, 2, 8)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CircularPad1d.html
    """

    _axes = 1


class CircularPad2d(_CircularPad):
    """Continues planes with their other ends.

    `y[..., i] = x[..., (i - left) mod size]`

    Args:
        padding: elements at left, right, top, bottom, at most the size of the axis, or one int for all;
            negative ones crop.

    Shape:
        `(N, C, H, W)` to `(N, C, H_out, W_out)`, or both without N, `W_out = W + left + right`.

    Raises:
        TypeError: a number that is no int.
        ValueError: padding that does not fit the input.

    Differences from torch: a border longer than what a negative number leaves of the axis is refused, where torch
    reads memory that it has not written.

    >>> CircularPad2d((1, 2, 0, 3))(jax.numpy.ones((1, 1, 4, 3))).shape
    (1, 1, 7, 6)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CircularPad2d.html
    """

    _axes = 2


class CircularPad3d(_CircularPad):
    """Continues volumes with their other ends; see `CircularPad2d`, whose arguments it takes for three axes.

    Shape:
        `(N, C, D, H, W)` to `(N, C, D_out, H_out, W_out)`, or both without N.

    >>> CircularPad3d((1, 0, 2, 1, 0, 3))(jax.numpy.ones((1, 1, 4, 3, 2))).shape
    (1, 1, 7, 6, 3)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CircularPad3d.html
    """

    _axes = 3
