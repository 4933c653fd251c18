"""An affine map and its cross entropy: `torch.nn.LinearCrossEntropyLoss`, `LinearCrossEntropyOptions`."""

import math
from collections.abc import Sequence
from typing import Any

import jax
from flax import nnx

from jaxnets import check
from jaxnets import functional as F
from jaxnets.functional.linear_cross_entropy import LinearCrossEntropyOptions
from jaxnets.functional.reduction import legacy_reduction
from jaxnets.nn.linear import Linear
from jaxnets.nn.loss import loss_weight
from jaxnets.nn.parameters import Layer, value

__all__ = ["LinearCrossEntropyLoss", "LinearCrossEntropyOptions"]


class LinearCrossEntropyLoss(Layer):
    """Cross entropy of an affine map.

    `cross_entropy(x Aᵀ + b, target)`

    Args:
        in_features: size of the last axis of the input, F.
        num_classes: C.
        out_features: sizes of further axes of the scores.
        bias: whether to learn `b`.
        dtype: dtype of the parameters, float32 when not given.
        param_dtype: dtype of the parameters in place of `dtype`, which is then that of the computation; see `Layer`.
        reduction: "none", "sum" or "mean", as in `CrossEntropyLoss`.
        weight: `(C,)`.
        ignore_index: a class that does not count, -100 when not given; only for targets that are classes.
        label_smoothing: in [0, 1].
        options: computes the scores in chunks of samples, see `LinearCrossEntropyOptions`. Used only for classes,
            without `out_features` and label smoothing.
        rngs: random streams; `params` draws as `Linear` does.

    Attributes:
        linear: the `Linear`, whose weight is `(C * prod(out_features), F)`.
        weight: a `Buffer`, or None.

    Shape:
        `(N, F)` or `(F,)`, and classes `(N, *out_features)` or `()` or probabilities `(N, C, *out_features)` or `(C,)`,
        to `()`, or to the shape of classes without reduction.

    Raises:
        TypeError: dtypes do not fit.
        ValueError: shapes do not fit, an unknown reduction, a class out of range, `ignore_index` with probabilities.

    Differences from torch: no `device`; `rngs` is new; see `jaxnets.functional.linear_cross_entropy`.

    >>> loss = LinearCrossEntropyLoss(5, 10, rngs=nnx.Rngs(0))
    >>> loss(jax.numpy.ones((3, 5)), jax.numpy.array([0, 9, 4])).shape
    ()

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LinearCrossEntropyLoss.html
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: Sequence[int] = (),
        bias: bool = False,
        dtype: Any = None,
        reduction: str = "mean",
        weight: jax.Array | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: LinearCrossEntropyOptions | None = None,
        param_dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        self._dtype_of_parameters(dtype, param_dtype)
        self.num_classes = check.integer("num_classes", num_classes, least=0)
        if not check.is_sequence(out_features):
            raise TypeError(f"out_features: expected a tuple of ints, got {out_features!r}")
        self.out_features = tuple(check.integer("out_features", size, least=0) for size in out_features)
        self.weight = loss_weight("weight", weight)
        if self.weight is not None and self.weight.shape != (num_classes,):
            raise ValueError(f"weight: expected shape {(num_classes,)}, one for each class, got {self.weight.shape}")
        self.reduction = legacy_reduction(None, None, reduction)
        self.ignore_index = None if ignore_index is None else check.integer("ignore_index", ignore_index)
        self.label_smoothing = check.probability("label_smoothing", label_smoothing)
        if options is not None and not isinstance(options, LinearCrossEntropyOptions):
            raise TypeError(f"options: expected LinearCrossEntropyOptions, got {options!r}")
        self.options = options
        outputs = math.prod(self.out_features, start=self.num_classes)
        self.linear = Linear(in_features, outputs, bias=bias, dtype=dtype, param_dtype=param_dtype, rngs=rngs)

    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        shape = (self.num_classes, *self.out_features)
        bias = value(self.linear.bias)
        return F.linear_cross_entropy(
            input,
            self.linear.weight[...].reshape(*shape, self.linear.in_features),
            target,
            linear_bias=None if bias is None else bias.reshape(shape),
            weight=value(self.weight),
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )
