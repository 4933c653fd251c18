"""Batch normalisation: `torch.nn.BatchNorm1d`, `BatchNorm2d`, `BatchNorm3d`, `SyncBatchNorm`."""

from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
from flax import nnx

from jaxnets import check
from jaxnets import functional as F
from jaxnets.nn import precision
from jaxnets.nn.parameters import Family, float_dtype, value

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm"]


class NormBase(Family):
    """What batch and instance normalisation have in common: a scale for each channel, and running statistics."""

    wide_parameters = True

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        dtype: Any,
        bias: bool,
        param_dtype: Any,
    ):
        dtype = self._dtype_of_parameters(dtype, param_dtype)
        self.num_features = check.integer("num_features", num_features, least=0)
        self.eps = check.number("eps", eps)
        self.momentum = None if momentum is None else check.number("momentum", momentum)
        self.affine = check.truth("affine", affine)
        self.track_running_stats = check.truth("track_running_stats", track_running_stats)
        self.use_running_average = False
        shape, dtype = (num_features,), float_dtype(dtype)
        bias, tracked = self.affine and check.truth("bias", bias), self.track_running_stats
        self.weight = nnx.Param(jnp.ones(shape, dtype)) if self.affine else None
        self.bias = nnx.Param(jnp.zeros(shape, dtype)) if bias else None
        self.running_mean = nnx.BatchStat(jnp.zeros(shape, dtype)) if tracked else None
        self.running_var = nnx.BatchStat(jnp.ones(shape, dtype)) if tracked else None
        self.num_batches_tracked = nnx.BatchStat(jnp.zeros((), jnp.int32), torch_dtype="int64") if tracked else None

    def set_view(self, use_running_average: bool | None = None) -> None:
        """What `nnx.view(model, use_running_average=True)` calls."""
        self.use_running_average = self.use_running_average if use_running_average is None else use_running_average

    def _move(self, share: Any, mean: jax.Array, var: jax.Array) -> None:
        """Moves the running statistics by `share` of the way towards a batch's."""
        for running, batch in ((self.running_mean, mean), (self.running_var, var)):
            if running is not None:
                old = running[...]
                new = share * jax.lax.stop_gradient(batch) + (1 - share) * old.astype(batch.dtype)
                running.set_value(new.astype(old.dtype))  # `running[...] = ` is slow in a long trace


class _BatchNorm(NormBase):
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
        param_dtype: Any = None,
        rngs: nnx.Rngs | None = None,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype, bias, param_dtype)

    def __call__(self, input: jax.Array) -> jax.Array:
        input = check.array("input", input)
        self._check_axes(input)
        weight, bias = value(self.weight), value(self.bias)
        mean, var = value(self.running_mean), value(self.running_var)
        held = weight if mean is None else mean
        if held is not None and input.shape[1] != self.num_features:
            raise ValueError(
                f"input: expected num_features={self.num_features} channels on axis 1, got shape {input.shape}"
            )
        if self.use_running_average and mean is not None:
            return F.batch_norm(input, mean, var, weight, bias, eps=self.eps)
        output, mean, var = self._normalised(input, weight, bias)
        if self.track_running_stats and not self.use_running_average:
            self._track(mean, var, empty=not input.size)
        return output

    def _check_axes(self, input: jax.Array) -> None:
        check.rank("input", input, self._shapes)

    def _normalised(self, input: jax.Array, weight: Any, bias: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        return F.batch_norm_with_statistics(input, weight, bias, self.eps)

    def _track(self, mean: jax.Array, var: jax.Array, empty: bool) -> None:
        """Moves the running statistics towards the batch's; no values leave them, but count as a batch."""
        if self.num_batches_tracked is None:
            return
        self.num_batches_tracked.set_value(self.num_batches_tracked[...] + 1)
        if not empty:
            count = self.num_batches_tracked[...].astype(mean.dtype)
            self._move(1 / count if self.momentum is None else self.momentum, mean, var)


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
        param_dtype: dtype of both in place of `dtype`, which is then that of the output; see `Layer`.
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


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation over the batches of several devices.

    `y = (x - mean) / sqrt(var + eps) * weight + bias`

    Under `jax.jit` a batch that lies on several devices is one array, and every batch normalisation takes its
    statistics over all of it: there this layer is `BatchNorm2d` for any number of spatial axes. Where a program is
    written for one device's part of the batch, in `jax.shard_map`, `jax.pmap` or `jax.vmap`, name the mapped axis
    in `process_group`, and the statistics are taken over all parts.

    Args:
        num_features: the number of channels, C.
        eps: added to the variance, positive.
        momentum: weight of a new batch in the running averages; None averages over all batches alike.
        affine: whether to learn `weight` and `bias`.
        track_running_stats: whether to keep running averages; without them evaluation uses the batch's as well.
        process_group: the name of the mapped axis, or a tuple of names, in training; None: this program's batch.
        dtype: dtype of parameters and statistics, float32 when not given.
        param_dtype: dtype of both in place of `dtype`, which is then that of the output; see `Layer`.
        bias: whether an affine layer learns `bias`.
        rngs: accepted like that of other layers; nothing is random here.

    Attributes:
        weight, bias, running_mean, running_var, num_batches_tracked: as in `BatchNorm2d`.

    Shape:
        `(N, C, *)` to the same.

    Raises:
        TypeError: as `BatchNorm2d`; `process_group` is no name.
        ValueError: as `BatchNorm2d`; no channels.

    Differences from torch: no `device`; `process_group` is the name of an axis, not a group of processes; runs on
    every backend.

    >>> layer = SyncBatchNorm(1, eps=1e-12, track_running_stats=False, process_group="devices")
    >>> jax.vmap(layer, axis_name="devices")(jnp.array([[[0.0]], [[2.0]]])).ravel().tolist()
    [-1.0, 1.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.SyncBatchNorm.html
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: str | tuple[str, ...] | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
        param_dtype: Any = None,
        rngs: nnx.Rngs | None = None,
    ):
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, dtype, bias=bias, param_dtype=param_dtype
        )
        names = process_group if isinstance(process_group, tuple) else (process_group,)
        if process_group is not None and not all(isinstance(name, str) for name in names):
            raise TypeError(
                f"process_group: expected the name of a mapped axis, or None, got {type(process_group).__name__}"
            )
        self.process_group = process_group

    def _check_axes(self, input: jax.Array) -> None:
        if input.ndim < 2:
            raise ValueError(f"input: expected at least 2 axes (N, C, *), got shape {input.shape}")
        if not input.shape[1]:
            raise ValueError(f"input: expected at least 1 channel on axis 1, got shape {input.shape}")

    def _normalised(self, input: jax.Array, weight: Any, bias: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        if self.process_group is None or self.use_running_average:
            return super()._normalised(input, weight, bias)
        return F.batch_norm_with_statistics(input, weight, bias, self.eps, self.process_group)

    @classmethod
    def convert_sync_batchnorm(cls, module: Any, process_group: str | tuple[str, ...] | None = None) -> Any:
        """Puts a `SyncBatchNorm` in the place of each batch normalisation, with the same parameters and statistics.

        Args:
            module: any Flax NNX module; changed in place.
            process_group: that of the new layers.

        Returns:
            The module, or the new layer if it is a batch normalisation itself.

        >>> from jaxnets import nn
        >>> net = SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.BatchNorm1d(3), nn.Identity()))
        >>> type(net[0]).__name__
        'SyncBatchNorm'
        """
        if not isinstance(module, nnx.Module):
            raise TypeError(f"module: expected a flax.nnx.Module, got {type(module).__name__}")
        return cls._converted(module, process_group, {})

    @classmethod
    def _converted(cls, node: Any, process_group: Any, seen: dict[int, Any]) -> Any:
        """What stands in the place of `node`: a layer that is reached twice stays one."""
        if id(node) in seen:
            return seen[id(node)]
        seen[id(node)] = node
        if isinstance(node, _BatchNorm):
            seen[id(node)] = cls._like(node, process_group)
        elif isinstance(node, nnx.Pytree):
            for name, child in list(vars(node).items()):
                new = cls._converted(child, process_group, seen)
                if new is not child:
                    setattr(node, name, new)
        elif isinstance(node, list | dict):
            for key, child in list(enumerate(node) if isinstance(node, list) else node.items()):
                node[key] = cls._converted(child, process_group, seen)
        return seen[id(node)]

    @classmethod
    def _like(cls, layer: _BatchNorm, process_group: Any) -> Self:
        settings = layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats
        new = cls(*settings, process_group, bias=layer.bias is not None)
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked", "use_running_average"):
            setattr(new, name, getattr(layer, name))
        object.__setattr__(new, "__class__", precision.like(type(layer), cls))
        return new
