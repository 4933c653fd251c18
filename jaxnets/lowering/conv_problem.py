"""What a convolution is: its shapes and settings, and what follows from them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import jax
import jax.numpy as jnp

from jaxnets.lowering.windows import padded, under

__all__ = ["Compute", "Ints", "Pair", "Problem", "conv_output_size"]

Ints = Sequence[int]
Pair = tuple[int, int]
Array = jax.Array | jax.ShapeDtypeStruct


@dataclass(frozen=True)
class Problem:
    """A convolution of `(N, C_in, *size)` with `(C_out, C_in / groups, *kernel)`; padding may cut, being negative."""

    batch: int
    channels: Pair
    groups: int
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[Pair, ...]
    dilation: tuple[int, ...]
    dtype: Any
    on_gpu: bool = False

    @classmethod
    def of(
        cls,
        x: Array,
        weight: Array,
        stride: Ints,
        padding: Sequence[Pair],
        dilation: Ints,
        groups: int,
        on_gpu: bool = False,
    ) -> Self:
        """The problem of these arrays, of which the shapes count and the dtype."""
        pairs = tuple((low, high) for low, high in padding)
        (batch, channels_in, *size), (channels_out, _, *kernel) = x.shape, weight.shape
        settings = (tuple(size), tuple(kernel), tuple(stride), pairs, tuple(dilation), x.dtype, on_gpu)
        return cls(batch, (channels_in, channels_out), groups, *settings)

    @cached_property
    def out(self) -> tuple[int, ...]:
        """The spatial size of the output."""
        settings = zip(self.size, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        return tuple(conv_output_size(n, k, s, sum(p), d) for n, k, s, p, d in settings)

    @property
    def taps(self) -> int:
        return math.prod(self.kernel)

    @property
    def places(self) -> int:
        """How many outputs a channel has in each example."""
        return math.prod(self.out)

    @property
    def fan_in(self) -> int:
        """The channels of a group's input."""
        return self.channels[0] // self.groups

    @property
    def fan_out(self) -> int:
        """The channels of a group's output."""
        return self.channels[1] // self.groups

    @property
    def written(self) -> int:
        """The bytes that lie under all taps of an example, half precisions being computed in float32."""
        return self.places * self.channels[0] * self.taps * max(self.dtype.itemsize, 4)

    @property
    def is_pointwise(self) -> bool:
        """Whether each output is of one place of the input, or of its padding."""
        return self.taps == 1

    @property
    def is_depthwise(self) -> bool:
        return self.groups > 1 and self.fan_in == 1

    @property
    def has_depth(self) -> bool:
        return len(self.kernel) == 3

    @property
    def is_strided(self) -> bool:
        return any(s > 1 for s in self.stride)

    @property
    def is_in_patches(self) -> bool:
        """Whether the windows lie side by side."""
        return self.stride == self.kernel and set(self.dilation) == {1}

    @property
    def is_wider(self) -> bool:
        """Whether padding makes an axis longer than the input's."""
        return any(o > n for o, n in zip(self.out, self.size, strict=True))

    def padded(self, x: jax.Array) -> jax.Array:
        """The input with its padding of zeros."""
        return padded(x, self.padding, jnp.zeros((), x.dtype))

    def under(self, padded: jax.Array, tap: Ints) -> jax.Array:
        """What of the padded input lies under a tap, `(N, C_in, *out)`."""
        return under(padded, tap, self.out, self.stride, self.dilation)

    def group(self) -> Self:
        """One group of it, by itself."""
        return replace(self, channels=(self.fan_in, self.fan_out), groups=1)

    def bare(self) -> Self:
        """The same of an input that has its padding."""
        size = tuple(n + sum(pair) for n, pair in zip(self.size, self.padding, strict=True))
        return replace(self, size=size, padding=((0, 0),) * len(size))

    def turned(self) -> Self:
        """The convolution from the outputs, spread by the stride, to the inputs."""
        size = tuple(max((o - 1) * s + 1, 0) for o, s in zip(self.out, self.stride, strict=True))
        reach = [d * (k - 1) for d, k in zip(self.dilation, self.kernel, strict=True)]
        settings = zip(reach, self.padding, self.size, size, strict=True)
        pairs = tuple((r - low, n + low - o) for r, (low, _), n, o in settings)  # behind, what was not reached, too
        return replace(self, channels=self.channels[::-1], size=size, stride=(1,) * len(size), padding=pairs)


Compute = Callable[[Problem, jax.Array, jax.Array], jax.Array]
"""A convolution of `x` and `weight`, or one of its gradients."""


def conv_output_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """`floor((size + padding - (dilation * (kernel - 1) + 1)) / stride) + 1`, `padding` being both sides' sum."""
    return math.floor((size + padding - (dilation * (kernel - 1) + 1)) / stride) + 1
