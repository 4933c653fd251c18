"""Batch normalisation: `torch.nn.BatchNorm1d`, `BatchNorm2d`, `BatchNorm3d`."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from jaxnets import check
from jaxnets import functional as F
from jaxnets.nn.parameters import Family, float_dtype, value

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"]


class _BatchNorm(Family):
    _shapes: ClassVar[dict[int, str]]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        dtype: Any = None,
        *,
        bias: bool = True,
        rngs: nnx.Rngs | None = None,
    ):
        self.num_features = check.integer("num_features", num_features, least=0)
        self.eps = check.number("eps", eps)
        self.momentum = None if momentum is None else check.number("momentum", momentum)
        self.affine = check.flag("affine", affine)
        self.track_running_stats = check.flag("track_running_stats", track_running_stats)
        self.use_running_average = False
        shape, dtype = (num_features,), float_dtype(dtype)
        self.weight = nnx.Param(jnp.ones(shape, dtype)) if affine else None
        self.bias = nnx.Param(jnp.zeros(shape, dtype)) if affine and check.truth("bias", bias) else None
        self.running_mean = nnx.BatchStat(jnp.zeros(shape, dtype)) if track_running_stats else None
        self.running_var = nnx.BatchStat(jnp.ones(shape, dtype)) if track_running_stats else None
        self.num_batches_tracked = (
            nnx.BatchStat(jnp.zeros((), jnp.int32), torch_dtype="int64") if track_running_stats else None
        )

    def set_view(self, use_running_average: bool | None = None) -> None:
        """What `nnx.view(model, use_running_average=True)` calls."""
        self.use_running_average = self.use_running_average if use_running_average is None else use_running_average

    def __call__(self, input: jax.Array) -> jax.Array:
        input = check.array("input", input)
        check.rank("input", input, self._shapes)
        if input.shape[1] != self.num_features:
            raise ValueError(
                f"input: expected num_features={self.num_features} channels on axis 1, got shape {input.shape}"
            )
        weight, bias = value(self.weight), value(self.bias)
        mean, var = value(self.running_mean), value(self.running_var)
        if self.use_running_average and mean is not None:
            return F.batch_norm(input, mean, var, weight, bias, eps=self.eps)
        output, mean, var = F.batch_norm_with_statistics(input, weight, bias, self.eps)
        if self.track_running_stats and not self.use_running_average:
            self._track(mean, var, empty=not input.size)
        return output

    def _track(self, mean: jax.Array, var: jax.Array, empty: bool) -> None:
        """Moves the running statistics towards the batch's; no values leave them, but count as a batch."""
        if self.num_batches_tracked is None or self.running_mean is None or self.running_var is None:
            return
        self.num_batches_tracked[...] += 1
        if empty:
            return
        share = 1 / self.num_batches_tracked[...].astype(mean.dtype) if self.momentum is None else self.momentum
        for running, batch in ((self.running_mean, mean), (self.running_var, var)):
            old = running[...]
            new = share * jax.lax.stop_gradient(batch) + (1 - share) * old.astype(batch.dtype)
            running[...] = new.astype(old.dtype)


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of vectors or sequences; see `BatchNorm2d`, whose arguments it takes.

    Shape:
        `(N, C)` or `(N, C, L)` to the same.

    >>> BatchNorm1d(3)(jnp.ones((2, 3))).shape
    (2, 3)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html
    """

    _shapes: ClassVar = {2: "(N, C)", 3: "(N, C, L)"}


class BatchNorm2d(_BatchNorm):
    """Normalises each channel by its mean and biased variance over the batch (Ioffe and Szegedy, 2015).

    `y = (x - mean) / sqrt(var + eps) * weight + bias`

    In training (`train()`, and at first) the mean and the variance are the batch's, and running averages of both
    are kept: `running = (1 - momentum) * running + momentum * batch`, with the unbiased variance. In evaluation
    (`eval()`) the running averages are used.

    Args:
        num_features: the number of channels, C.
        eps: added to the variance, positive.
        momentum: weight of a new batch in the running averages; None averages over all batches alike.
        affine: whether to learn `weight` and `bias`.
        track_running_stats: whether to keep running averages; without them evaluation uses the batch's as well.
        dtype: dtype of parameters and statistics, float32 when not given.
        bias: whether an affine layer learns `bias`.
        rngs: accepted like that of other layers; nothing is random here.

    Attributes:
        weight: `(C,)`, ones at first; None if not affine.
        bias: `(C,)`, zeros at first; None if not affine or without bias.
        running_mean: `(C,)`, zeros at first, an `nnx.BatchStat`; None if not tracked.
        running_var: `(C,)`, ones at first, an `nnx.BatchStat`; None if not tracked.
        num_batches_tracked: `()`, an `nnx.BatchStat`; None if not tracked.

    Shape:
        `(N, C, H, W)` to the same.

    Raises:
        TypeError: the input is not floating, or neither of the parameters' dtype nor half beside float32.
        ValueError: wrong number of axes or channels; one value per channel in training.

    Differences from torch: no `device`; the mode is `use_running_average`, which `train()` and `eval()` set.

    >>> layer = BatchNorm2d(3)
    >>> y = layer(jnp.ones((2, 3, 4, 5)))
    >>> layer.running_mean[...]
    Array([0.1, 0.1, 0.1], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html
    """

    _shapes: ClassVar = {4: "(N, C, H, W)"}


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of volumes; see `BatchNorm2d`, whose arguments it takes.

    Shape:
        `(N, C, D, H, W)` to the same.

    >>> BatchNorm3d(3)(jnp.ones((2, 3, 4, 5, 6))).shape
    (2, 3, 4, 5, 6)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm3d.html
    """

    _shapes: ClassVar = {5: "(N, C, D, H, W)"}
