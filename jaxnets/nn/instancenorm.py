"""Instance normalisation: `torch.nn.InstanceNorm1d`, `InstanceNorm2d`, `InstanceNorm3d`."""

import warnings
from typing import Any, ClassVar

import jax
from flax import nnx

from jaxnets import check
from jaxnets import functional as F
from jaxnets.nn.batchnorm import NormBase
from jaxnets.nn.parameters import value

__all__ = ["InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"]


class _InstanceNorm(NormBase):
    _axes: ClassVar[str]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        dtype: Any = None,
        *,
        bias: bool = True,
        param_dtype: Any = None,
        rngs: nnx.Rngs | None = None,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype, bias, param_dtype)

    def __call__(self, input: jax.Array) -> jax.Array:
        input = check.array("input", input)
        axis = self._channel_axis(input)
        if input.shape[axis] != self.num_features:
            fault = f"input: expected num_features={self.num_features} channels on axis {axis}, got shape {input.shape}"
            if self.weight is not None or self.running_mean is not None:
                raise ValueError(fault)
            warnings.warn(f"{fault}; num_features is not used because affine=False", stacklevel=2)
        return self._normalised(input) if axis else self._normalised(input[None])[0]

    def _channel_axis(self, input: jax.Array) -> int:
        """1, or 0 without a batch."""
        single = self._axes.count(",") + 2
        check.rank("input", input, {single: f"(C, {self._axes})", single + 1: f"(N, C, {self._axes})"})
        return input.ndim - single

    def _normalised(self, input: jax.Array) -> jax.Array:
        weight, bias = value(self.weight), value(self.bias)
        if self.use_running_average and self.track_running_stats:
            mean, var = value(self.running_mean), value(self.running_var)
            return F.instance_norm(input, mean, var, weight, bias, use_input_stats=False, eps=self.eps)
        output, mean, var = F.instance_norm_with_statistics(input, weight, bias, self.eps)
        if not self.use_running_average and 0 not in input.shape[2:]:
            self._move(0.0 if self.momentum is None else self.momentum, mean, var)
        return output


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation of sequences; see `InstanceNorm2d`, whose arguments it takes.

    Shape:
        `(N, C, L)` or `(C, L)` to the same.

    >>> InstanceNorm1d(100)(jax.numpy.ones((20, 100, 40))).shape
    (20, 100, 40)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.InstanceNorm1d.html
    """

    _axes = "L"


class InstanceNorm2d(_InstanceNorm):
    """Normalises each channel of each sample by its mean and biased variance (Ulyanov et al., 2017).

    `y = (x - mean) / sqrt(var + eps) * weight + bias`

    With `track_running_stats`, training (`train()`, and at first) keeps running averages of both,
    `running = (1 - momentum) * running + momentum * batch`, where the batch's are the averages over its samples, of
    the unbiased variance; evaluation (`eval()`) uses them.

    Args:
        num_features: the number of channels, C.
        eps: added to the variance.
        momentum: weight of a new batch in the running averages; None is 0 here.
        affine: whether to learn `weight` and `bias`.
        track_running_stats: whether to keep running averages.
        dtype: dtype of parameters and statistics, float32 when not given.
        param_dtype: dtype of both in place of `dtype`, which is then that of the output; see `Layer`.
        bias: whether an affine layer learns `bias`.
        rngs: accepted like that of other layers; nothing is random here.

    Attributes:
        weight: `(C,)`, ones at first; None if not affine.
        bias: `(C,)`, zeros at first; None if not affine or without bias.
        running_mean: `(C,)`, zeros at first, an `nnx.BatchStat`; None if not tracked.
        running_var: `(C,)`, ones at first, an `nnx.BatchStat`; None if not tracked.
        num_batches_tracked: `()`, an `nnx.BatchStat` that stays 0, as in torch; None if not tracked.

    Shape:
        `(N, C, H, W)` or `(C, H, W)` to the same.

    Raises:
        TypeError: the input is not floating, or neither of the parameters' dtype nor half beside float32.
        ValueError: wrong number of axes or channels (without parameters and statistics, other channels are a
            warning); one value per channel.

    Differences from torch: no `device`; the mode is `use_running_average`, which `train()` and `eval()` set.

    >>> layer = InstanceNorm2d(3, affine=True)
    >>> layer(jax.numpy.ones((2, 3, 4, 5))).shape, layer(jax.numpy.ones((3, 4, 5))).shape
    ((2, 3, 4, 5), (3, 4, 5))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.InstanceNorm2d.html
    """

    _axes = "H, W"


class InstanceNorm3d(_InstanceNorm):
    """Instance normalisation of volumes; see `InstanceNorm2d`, whose arguments it takes.

    Shape:
        `(N, C, D, H, W)` or `(C, D, H, W)` to the same.

    >>> InstanceNorm3d(3)(jax.numpy.ones((2, 3, 4, 5, 6))).shape
    (2, 3, 4, 5, 6)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.InstanceNorm3d.html
    """

    _axes = "D, H, W"
