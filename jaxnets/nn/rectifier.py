"""Piecewise activations: `torch.nn.ReLU`, `PReLU`, `Hardtanh`, `Hardshrink`, `Threshold` and their kin."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxnets import check
from jaxnets import functional as F
from jaxnets.functional.rectifier import slopes_between
from jaxnets.nn.dropout import Drawing
from jaxnets.nn.parameters import Family, Layer, float_dtype

__all__ = [
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "Softshrink",
    "Threshold",
]


class ReLU(Layer):
    """Rectified linear unit, element by element.

    `max(x, 0)`; the derivative at 0 is 0.

    Args:
        inplace: has no effect, arrays are immutable.

    Shape:
        `(*)` to the same.

    Differences from torch: `inplace` has no effect.

    >>> ReLU()(jax.numpy.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU.html
    """

    def __init__(self, inplace: bool = False):
        self.inplace = check.flag("inplace", inplace)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.relu(input)


class LeakyReLU(Layer):
    """ReLU with a slope below 0, element by element.

    `x` where `x > 0`, `negative_slope * x` elsewhere

    Args:
        negative_slope: slope below 0.
        inplace: has no effect, arrays are immutable.

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: the input is not floating, `negative_slope` is no number.

    Differences from torch: `inplace` has no effect.

    >>> LeakyReLU(0.5)(jax.numpy.array([-1.0, 2.0])).tolist()
    [-0.5, 2.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LeakyReLU.html
    """

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False):
        self.negative_slope = check.number("negative_slope", negative_slope)
        self.inplace = check.flag("inplace", inplace)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.leaky_relu(input, self.negative_slope)


class PReLU(Layer):
    """ReLU with learned slopes below 0, one for all or one for each channel (He et al., 2015).

    `x` where `x > 0`, `weight * x` elsewhere

    Args:
        num_parameters: 1, or the number of channels.
        init: the slope that learning starts with.
        dtype: dtype of the parameter, float32 when not given.
        param_dtype: dtype of the parameter in place of `dtype`, which is then that of the computation; see `Layer`.
        rngs: not used, nothing is drawn.

    Attributes:
        weight: `(num_parameters,)`.

    Shape:
        `(N, C, *)` to the same; any shape if there is one parameter.

    Raises:
        TypeError: dtypes that differ or are not floating.
        ValueError: neither one parameter nor one for each channel on axis 1.

    Differences from torch: no `device`.

    >>> PReLU(init=0.5)(jax.numpy.array([-1.0, 2.0])).tolist()
    [-0.5, 2.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.PReLU.html
    """

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        dtype: Any = None,
        *,
        param_dtype: Any = None,
        rngs: nnx.Rngs | None = None,
    ):
        dtype = self._dtype_of_parameters(dtype, param_dtype)
        del rngs
        self.num_parameters = check.integer("num_parameters", num_parameters, least=0)
        self.init = check.number("init", init)
        self.weight = nnx.Param(jnp.full((self.num_parameters,), self.init, float_dtype(dtype)))

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.prelu(input, self.weight[...])


class RReLU(Drawing):
    """ReLU with random slopes below 0, one for each element (Xu et al., 2015).

    `x` where `x > 0`, `a * x` elsewhere, `a` drawn from `U(lower, upper)` in training, and `(lower + upper) / 2` in
    evaluation (`eval()`)

    Args:
        lower: lower bound of the slopes, finite.
        upper: upper bound of the slopes, finite, not below `lower`.
        inplace: has no effect, arrays are immutable.
        rngs: random streams; `dropout` is forked and kept. The call takes `rngs`, too, which wins.

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: the input is not floating, a bound is no number.
        ValueError: bounds that are not finite or in the wrong order (torch says so at the first call); no `rngs` in
            training.

    Differences from torch: random numbers come from `rngs`; the mode is `deterministic`, which `train()` and
    `eval()` set; `inplace` has no effect.

    >>> layer = RReLU(0.25, 0.75, rngs=nnx.Rngs(0))
    >>> layer.eval()
    >>> layer(jax.numpy.array([-2.0, 2.0])).tolist()
    [-1.0, 2.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RReLU.html
    """

    def __init__(
        self,
        lower: float = 1.0 / 8,
        upper: float = 1.0 / 3,
        inplace: bool = False,
        *,
        rngs: nnx.Rngs | None = None,
    ):
        super().__init__(rngs)
        self.lower, self.upper = slopes_between(lower, upper)
        self.inplace = check.flag("inplace", inplace)

    def __call__(self, input: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        key = None if self.deterministic else self._key(rngs)
        return F.rrelu(input, self.lower, self.upper, not self.deterministic, key=key)


class Hardtanh(Family):
    """Cuts off what is too small or too great, element by element.

    `min(max(x, min_val), max_val)`; the derivative at both bounds is 0.

    Args:
        min_val: lower bound.
        max_val: upper bound, greater than `min_val`.
        inplace: has no effect, arrays are immutable.
        min_value: deprecated name of `min_val`; it wins, with torch's warning.
        max_value: deprecated name of `max_val`; it wins, with torch's warning.

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: the input is complex or boolean, a bound is no number.
        ValueError: `max_val` is not greater than `min_val`.

    Differences from torch: `inplace` has no effect; see `jaxnets.functional.hardtanh` for the derivative at NaN.

    >>> Hardtanh()(jax.numpy.array([-3.0, 0.5, 2.0])).tolist()
    [-1.0, 0.5, 1.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardtanh.html
    """

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ):
        self.min_val = check.number("min_val", _renamed("min_val", min_val, "min_value", min_value))
        self.max_val = check.number("max_val", _renamed("max_val", max_val, "max_value", max_value))
        self.inplace = check.flag("inplace", inplace)
        if not self.max_val > self.min_val:
            raise ValueError(f"max_val: expected a number greater than min_val={self.min_val}, got {self.max_val}")

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.hardtanh(input, self.min_val, self.max_val)


class ReLU6(Hardtanh):
    """ReLU that goes no higher than 6, element by element.

    `min(max(x, 0), 6)`; the derivative at 0 and at 6 is 0.

    Args:
        inplace: has no effect, arrays are immutable.

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: the input is complex or boolean.

    Differences from torch: as `Hardtanh`.

    >>> ReLU6()(jax.numpy.array([-1.0, 2.0, 8.0])).tolist()
    [0.0, 2.0, 6.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU6.html
    """

    def __init__(self, inplace: bool = False):
        super().__init__(0.0, 6.0, inplace)


class Hardshrink(Layer):
    """Sets small numbers to 0, element by element.

    `0` where `-lambd <= x <= lambd`, `x` elsewhere

    Args:
        lambd: the greatest magnitude that becomes 0; below 0 nothing does.

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: the input is not floating, `lambd` is no number.

    Differences from torch: see `jaxnets.functional.hardshrink` for the derivative at NaN.

    >>> Hardshrink()(jax.numpy.array([-3.0, 0.5, 2.0])).tolist()
    [-3.0, 0.0, 2.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardshrink.html
    """

    def __init__(self, lambd: float = 0.5):
        self.lambd = check.number("lambd", lambd)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.hardshrink(input, self.lambd)


class Softshrink(Layer):
    """Moves numbers towards 0, small ones to 0, element by element.

    `x - lambd` where `x > lambd`, `x + lambd` where `x < -lambd`, `0` elsewhere

    Args:
        lambd: how far numbers are moved, from 0 up, finite.

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: the input is not floating, `lambd` is no number.
        ValueError: `lambd` is below 0 (torch says so at the first call) or more than the input's dtype can hold.

    Differences from torch: as `Hardshrink`.

    >>> Softshrink()(jax.numpy.array([-3.0, 0.5, 2.0])).tolist()
    [-2.5, 0.0, 1.5]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Softshrink.html
    """

    def __init__(self, lambd: float = 0.5):
        self.lambd = check.number("lambd", lambd)
        if not self.lambd >= 0:
            raise ValueError(f"lambd: expected a number from 0 up, got {lambd}")

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.softshrink(input, self.lambd)


class Threshold(Layer):
    """Sets numbers up to a threshold to a value, element by element.

    `x` where `x > threshold`, `value` elsewhere; NaN stays NaN.

    Args:
        threshold: the greatest number that is replaced.
        value: what it is replaced with.
        inplace: has no effect, arrays are immutable.

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: the input is complex or boolean, an argument is no number.

    Differences from torch: `inplace` has no effect.

    >>> Threshold(0.5, 9.0)(jax.numpy.array([-3.0, 0.5, 2.0])).tolist()
    [9.0, 9.0, 2.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Threshold.html
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False):
        self.threshold = check.number("threshold", threshold)
        self.value = check.number("value", value)
        self.inplace = check.flag("inplace", inplace)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.threshold(input, self.threshold, self.value)


class Hardsigmoid(Layer):
    """Sigmoid of three straight pieces, element by element.

    `min(max(x + 3, 0), 6) / 6`; the derivative at -3 and at 3 is 0.

    Args:
        inplace: has no effect, arrays are immutable.

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: the input is not floating.

    Differences from torch: `inplace` has no effect.

    >>> Hardsigmoid()(jax.numpy.array([-3.0, 0.0, 4.0])).tolist()
    [0.0, 0.5, 1.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardsigmoid.html
    """

    def __init__(self, inplace: bool = False):
        self.inplace = check.flag("inplace", inplace)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.hardsigmoid(input)


class Hardswish(Layer):
    """Swish of straight pieces and a parabola, element by element (Howard et al., 2019).

    `x * min(max(x + 3, 0), 6) / 6`; the derivative at -3 is 0, at 3 it is 1.

    Args:
        inplace: has no effect, arrays are immutable.

    Shape:
        `(*)` to the same. -inf gives NaN.

    Raises:
        TypeError: the input is not floating.

    Differences from torch: `inplace` has no effect; see `jaxnets.functional.hardswish` for the derivative at NaN.

    >>> Hardswish()(jax.numpy.array([-4.0, 0.0, 4.0])).tolist()
    [-0.0, 0.0, 4.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardswish.html
    """

    def __init__(self, inplace: bool = False):
        self.inplace = check.flag("inplace", inplace)

    def __call__(self, input: jax.Array) -> jax.Array:
        return F.hardswish(input)


def _renamed(name: str, value: float, old: str, given: float | None) -> float:
    """The value under its old name, if it came under that one."""
    if given is None:
        return value
    # three of the six levels are those of Flax's metaclass
    warnings.warn(f"keyword argument `{old}` is deprecated and renamed to `{name}`", FutureWarning, stacklevel=6)
    return given
