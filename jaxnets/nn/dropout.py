"""Dropout: `torch.nn.Dropout` to `Dropout3d`, `AlphaDropout`, `FeatureAlphaDropout`."""

from collections.abc import Callable

import jax
from flax import nnx

from jaxnets import check
from jaxnets import functional as F
from jaxnets.nn.parameters import Family, stream

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class Drawing(Family):
    """A layer that draws random numbers in training, from a stream of its own or of the call."""

    def __init__(self, rngs: nnx.Rngs | None):
        self.deterministic = False
        self.rngs = nnx.data(None) if rngs is None else stream(rngs, "dropout").fork()

    def set_view(self, deterministic: bool | None = None) -> None:
        """What `nnx.view(model, deterministic=True)` calls."""
        self.deterministic = self.deterministic if deterministic is None else deterministic

    def _key(self, rngs: nnx.Rngs | None) -> jax.Array:
        """The next key of the call's stream, or else of the layer's own."""
        source = self.rngs if rngs is None else stream(rngs, "dropout")
        if source is None:
            raise ValueError(
                f"rngs: expected flax.nnx.Rngs in training, got None; pass rngs=nnx.Rngs(0) to {type(self).__name__} "
                "or to the call, or call eval()"
            )
        return source()


class _Dropout(Drawing):
    def __init__(self, p: float = 0.5, inplace: bool = False, *, rngs: nnx.Rngs | None = None):
        self.p = check.probability("p", p)
        self.inplace = check.flag("inplace", inplace)
        super().__init__(rngs)

    def _drop(self, function: Callable[..., jax.Array], input: jax.Array, rngs: nnx.Rngs | None) -> jax.Array:
        # nothing is drawn in evaluation, nor when all or nothing is dropped
        key = None if self.deterministic or self.p in (0, 1) else self._key(rngs)
        return function(input, self.p, not self.deterministic, key=key)


class Dropout(_Dropout):
    """In training, sets each element to 0 with probability `p`, and scales the others to keep the mean.

    `y = x * b / (1 - p)`, `b` drawn from Bernoulli(1 - p)

    In evaluation (`eval()`) the input is returned as it is.

    Args:
        p: probability that an element is dropped, in [0, 1].
        inplace: has no effect, arrays are immutable.
        rngs: random streams; `dropout` is forked and kept. The call takes `rngs`, too, which wins.

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: the input is not floating.
        ValueError: `p` is no probability; no `rngs` in training.

    Differences from torch: random numbers come from `rngs`; the mode is `deterministic`, which `train()` and
    `eval()` set.

    >>> layer = Dropout(0.5, rngs=nnx.Rngs(0))
    >>> sorted(set(layer(jax.numpy.ones(100)).tolist()))
    [0.0, 2.0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Dropout.html
    """

    def __call__(self, input: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        return self._drop(F.dropout, input, rngs)


class Dropout1d(_Dropout):
    """Drops whole channels of sequences; the arguments are those of `Dropout`.

    Shape:
        `(N, C, L)` or `(C, L)` to the same.

    >>> Dropout1d(rngs=nnx.Rngs(0))(jax.numpy.ones((2, 3, 4))).shape
    (2, 3, 4)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Dropout1d.html
    """

    def __call__(self, input: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        return self._drop(F.dropout1d, input, rngs)


class Dropout2d(_Dropout):
    """Drops whole channels of planes; the arguments are those of `Dropout`.

    Shape:
        `(N, C, H, W)` to the same. Three axes are taken as `(N, C, L)`, as torch does, with its warning.

    >>> Dropout2d(rngs=nnx.Rngs(0))(jax.numpy.ones((2, 3, 4, 5))).shape
    (2, 3, 4, 5)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Dropout2d.html
    """

    def __call__(self, input: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        return self._drop(F.dropout2d, input, rngs)


class Dropout3d(_Dropout):
    """Drops whole channels of volumes; the arguments are those of `Dropout`.

    Shape:
        `(N, C, D, H, W)` or `(C, D, H, W)` to the same.

    >>> Dropout3d(rngs=nnx.Rngs(0))(jax.numpy.ones((2, 3, 4, 5, 6))).shape
    (2, 3, 4, 5, 6)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Dropout3d.html
    """

    def __call__(self, input: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        return self._drop(F.dropout3d, input, rngs)


class AlphaDropout(_Dropout):
    """Dropout for networks of `SELU`: in training, mean 0 and variance 1 stay what they are.

    `y = a * (x * b + alpha' * (1 - b)) + c`, `b` drawn from Bernoulli(1 - p); see `jaxnets.functional.alpha_dropout`

    The arguments are those of `Dropout`.

    Shape:
        `(*)` to the same.

    Raises:
        TypeError: the input is not floating.
        ValueError: `p` is no probability; no `rngs` in training.

    Differences from torch: random numbers come from `rngs`; the mode is `deterministic`, which `train()` and
    `eval()` set.

    >>> layer = AlphaDropout(0.5, rngs=nnx.Rngs(0))
    >>> len(set(layer(jax.numpy.ones(100)).tolist()))
    2

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AlphaDropout.html
    """

    def __call__(self, input: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        return self._drop(F.alpha_dropout, input, rngs)


class FeatureAlphaDropout(_Dropout):
    """Drops whole channels as `AlphaDropout` drops elements; the arguments are those of `Dropout`.

    Shape:
        `(N, C, *)` to the same.

    Differences from torch: as `AlphaDropout`. As in torch, and unlike what its page says, the first axis is always
    the batch.

    >>> FeatureAlphaDropout(rngs=nnx.Rngs(0))(jax.numpy.ones((2, 3, 4, 5, 6))).shape
    (2, 3, 4, 5, 6)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.FeatureAlphaDropout.html
    """

    def __call__(self, input: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        return self._drop(F.feature_alpha_dropout, input, rngs)
