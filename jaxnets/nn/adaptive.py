"""Softmax over clusters of classes: `torch.nn.AdaptiveLogSoftmaxWithLoss`."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
from flax import nnx

from jaxnets import check
from jaxnets.functional import adaptive
from jaxnets.nn.container import ModuleList, Sequential
from jaxnets.nn.linear import Linear
from jaxnets.nn.parameters import Layer, value

__all__ = ["AdaptiveLogSoftmaxWithLoss"]


class _ASMoutput(NamedTuple):
    """torch's name for what the layer returns."""

    output: jax.Array
    loss: jax.Array


class AdaptiveLogSoftmaxWithLoss(Layer):
    """Log softmax of many classes, in which rare classes stand in clusters behind smaller matrices.

    `output = log_softmax(A x)[t]` for a target in the shortlist, for one in cluster i
    `log_softmax(A x)[shortlist + i] + log_softmax(C_i B_i x)[t - cutoffs[i]]`; `loss = -mean(output)`

    Args:
        in_features: size of the last axis of the input, F.
        n_classes: number of classes.
        cutoffs: where clusters begin: increasing, from 1 to `n_classes` - 1. Classes are sorted by their frequency.
        div_value: `B_i` has `F // div_value^(i + 1)` rows.
        head_bias: whether `A x` has a bias.
        dtype: dtype of the parameters, float32 when not given.
        param_dtype: dtype of the parameters in place of `dtype`, which is then that of the computation; see `Layer`.
        rngs: random streams; `params` draws as `Linear` does.

    Attributes:
        cutoffs: the given ones and `n_classes`.
        shortlist_size: classes without a cluster.
        n_clusters: number of clusters.
        head_size: rows of `A`.
        head: a `Linear`, `A`.
        tail: for each cluster a `Sequential` of two `Linear`, `B_i` and `C_i`.

    Shape:
        `(N, F)` and classes `(N,)`, or `(F,)` and `()`, to a named tuple of `output`, the shape of the classes, and
        `loss`, `()`.

    Raises:
        TypeError: dtypes do not fit.
        ValueError: shapes do not fit, cutoffs that are not increasing, a class out of range.

    Differences from torch: no `device`; `rngs` is new. Every sample goes through every cluster, since shapes may not
    depend on numbers. Parameters of a cluster without samples get a gradient of 0, where torch has none. Traced classes
    (under `jax.jit`) cannot be refused; those out of range give NaN.

    >>> layer = AdaptiveLogSoftmaxWithLoss(8, 20, [4, 10], div_value=2.0, rngs=nnx.Rngs(0))
    >>> output, loss = layer(jax.numpy.ones((3, 8)), jax.numpy.array([0, 5, 19]))
    >>> output.shape, layer.log_prob(jax.numpy.ones((3, 8))).shape, layer.predict(jax.numpy.ones((3, 8))).shape
    ((3,), (3, 20), (3,))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveLogSoftmaxWithLoss.html
    """

    computing_methods = ("__call__", "log_prob", "predict")

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        dtype: Any = None,
        *,
        param_dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        self._dtype_of_parameters(dtype, param_dtype)
        linear = partial(Linear, dtype=dtype, param_dtype=param_dtype, rngs=rngs)
        self.in_features = check.integer("in_features", in_features, least=0)
        self.n_classes = check.integer("n_classes", n_classes)
        if not check.is_sequence(cutoffs):
            raise TypeError(f"cutoffs: expected a sequence of ints, got {cutoffs!r}")
        given = [check.integer("cutoffs", cutoff) for cutoff in cutoffs]
        bounds = [0, *given, n_classes]
        if not given or any(low >= high for low, high in pairwise(bounds)):
            raise ValueError(
                f"cutoffs: expected increasing ints from 1 to n_classes - 1 = {n_classes - 1}, not none, got {given}"
            )
        self.cutoffs = (*given, self.n_classes)
        self.div_value, self.head_bias = check.number("div_value", div_value), check.truth("head_bias", head_bias)
        self.shortlist_size, self.n_clusters = given[0], len(given)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = linear(in_features, self.head_size, bias=self.head_bias)
        self.tail = ModuleList()
        for i, (low, high) in enumerate(pairwise(self.cutoffs)):
            hidden = int(in_features // self.div_value ** (i + 1))
            self.tail.append(
                Sequential(
                    linear(in_features, hidden, bias=False),
                    linear(hidden, high - low, bias=False),
                )
            )

    def __call__(self, input_: jax.Array, target_: jax.Array) -> _ASMoutput:
        input, target = check.array("input_", input_), check.array("target_", target_)
        adaptive.check_targets(input, target, self.n_classes)
        rows = input if input.ndim == 2 else input[None]
        output = adaptive.target_log_probabilities(rows, target.reshape(-1), *self._matrices())
        return _ASMoutput(output.reshape(target.shape), -output.mean())

    def log_prob(self, input: jax.Array) -> jax.Array:
        """Log probabilities of all classes, `(N, F)` to `(N, n_classes)`."""
        return adaptive.log_probabilities(self._rows(input), *self._matrices())

    def predict(self, input: jax.Array) -> jax.Array:
        """The most likely class of each sample, `(N, F)` to `(N,)`."""
        return adaptive.most_likely(self._rows(input), *self._matrices())

    def _rows(self, input: jax.Array) -> jax.Array:
        input = check.array("input", input)
        check.rank("input", input, {2: "(N, in_features)"})
        return input

    def _matrices(self) -> tuple[Any, ...]:
        """What the functions need: the head, its bias, the clusters and the cutoffs."""
        tail = [tuple(layer.weight[...] for layer in cluster) for cluster in self.tail]
        return self.head.weight[...], value(self.head.bias), tail, self.cutoffs
