"""Connectionist temporal classification: `torch.nn.functional.ctc_loss`."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets import check
from jaxnets.functional.precision import wide
from jaxnets.functional.reduction import arrays, floating, legacy_reduction, reduced
from jaxnets.lowering.mesh import alike, automatic, layout

__all__ = ["ctc_loss"]


def ctc_loss(
    log_probs: jax.Array,
    targets: jax.Array,
    input_lengths: jax.Array | Sequence[int],
    target_lengths: jax.Array | Sequence[int],
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> jax.Array:
    """Negative log likelihood of a label sequence whose alignment with the input is not known.

    `l = -log(sum of prod over t of exp(log_probs[t, path[t]]))` over all paths that give the targets when repeated
    labels are merged and then blanks removed

    The derivative is torch's: that of the logits that `log_probs` is the log softmax of, so `log_probs` must be
    normalised.

    Args:
        log_probs: log probabilities, `(T, N, C)` or `(T, C)`, floating.
        targets: labels from 0 to C - 1, `(N, S)`, or all target sequences one after the other on one axis.
        input_lengths: for each sample how many of the T steps count: N integers from 0 to T, an array or a sequence.
        target_lengths: for each sample how many labels it has: N integers.
        blank: the label that stands for none.
        reduction: "none" for `l`, "sum" for its sum, "mean" for the mean of `l / max(target_lengths, 1)`.
        zero_infinity: whether samples that have no path, whose loss is inf, count as 0, without a derivative.

    Shape:
        `(T, N, C)`, `(N, S)`, `(N,)` and `(N,)` to `()`, or to `(N,)` without reduction. Without a batch no `N`.

    Raises:
        TypeError: dtypes do not fit.
        ValueError: shapes do not fit, an empty `log_probs`, a length or a label out of range, an unknown reduction.

    Differences from torch: `log_probs` may be half precision, a label out of range is refused, there is a second
    derivative. Traced lengths and labels (under `jax.jit`) cannot be refused; labels out of range give NaN. With
    traced `target_lengths` give targets as `(N, S)`: on one axis any sample could have all labels, and work is done
    for that many.

    >>> x = jnp.log(jnp.array([[0.5, 0.5], [0.25, 0.75]]))
    >>> loss = ctc_loss(x, jnp.array([1]), (2,), (1,))
    >>> round(jnp.exp(-loss).item(), 4)
    0.875

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.ctc_loss.html
    """
    log_probs, targets = arrays(log_probs=log_probs, targets=targets)
    dtype = floating(log_probs)
    blank, reduction = check.integer("blank", blank), legacy_reduction(None, None, reduction)
    zero_infinity = check.flag("zero_infinity", zero_infinity)
    check.rank("log_probs", log_probs, {2: "(T, C)", 3: "(T, N, C)"})
    check.rank("targets", targets, {1: "(sum of target_lengths,)", 2: "(N, S)"})
    if not log_probs.size:
        raise ValueError(f"log_probs: expected at least one step, sample and label, got shape {log_probs.shape}")
    x = wide(log_probs if log_probs.ndim == 3 else log_probs[:, None])
    steps, samples, labels = x.shape
    if not 0 <= blank < labels:
        raise ValueError(f"blank: expected a label from 0 to {labels - 1}, got {blank}")
    counted = _lengths("input_lengths", input_lengths, samples, steps)
    letters = _lengths("target_lengths", target_lengths, samples, None)
    text = _checked(_padded(targets, letters, samples), letters, labels)
    lengths = jnp.asarray(counted), jnp.asarray(letters)
    loss = automatic(partial(_loss, blank, zero_infinity), layout(x)[1:2], x, text, *lengths)
    if reduction == "mean":
        loss = loss / jnp.maximum(jnp.asarray(letters), 1).astype(loss.dtype)
    if log_probs.ndim == 2 and reduction == "none":
        loss = loss[0]
    return reduced(loss, None, reduction, dtype)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _loss(
    blank: int, zero_infinity: bool, x: jax.Array, text: jax.Array, steps: jax.Array, letters: jax.Array
) -> jax.Array:
    """The loss of each sample. `text` is `(N, S)`, `steps` and `letters` say how much counts."""
    lattice = _Lattice(blank, x, text, steps, letters)
    return _finite(zero_infinity, lattice.loss(lattice.forward(keep=False)[0]))


@_loss.defjvp
def _loss_jvp(blank: int, zero_infinity: bool, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    """torch's derivative `exp(x) - (probability that a path is at that label)`, NaN where torch's is."""
    x, text, steps, letters = primals
    lattice = _Lattice(blank, x, text, steps, letters)
    last, before = lattice.forward(keep=True)
    loss, after, emitted = lattice.loss(last), lattice.backward(), lattice.emitted
    dead = jnp.isneginf(before) | jnp.isneginf(after)
    log_visits = jnp.where(dead, jnp.zeros_like(before), before + after - emitted + loss[None, :, None])
    visits = jnp.where(dead, jnp.zeros_like(before), jnp.exp(log_visits))
    samples = jnp.arange(x.shape[1])[:, None]
    visited = jnp.zeros_like(x).at[:, :, blank].add(visits[..., ::2].sum(-1))
    visited = visited.at[:, samples, text].add(visits[..., 1::2], mode="drop")
    slope = jnp.exp(x) - visited
    undefined = jnp.isneginf(x) | ~jnp.isfinite(loss)[None, :, None]
    slope = jnp.where(undefined, np.full((), np.nan, x.dtype), slope)
    counts = lattice.counts
    if zero_infinity:
        counts = counts & ~jnp.isposinf(loss)[None, :, None]
    slope = jnp.where(counts, slope, jnp.zeros((), x.dtype))
    return _finite(zero_infinity, loss), (slope * tangents[0]).sum((0, 2))


def _finite(zero_infinity: bool, loss: jax.Array) -> jax.Array:
    return jnp.where(jnp.isposinf(loss), jnp.zeros_like(loss), loss) if zero_infinity else loss


class _Lattice:
    """States of a path: blanks at even places, the letters of the text at odd ones, `2 S + 1` in all."""

    def __init__(self, blank: int, x: jax.Array, text: jax.Array, steps: jax.Array, letters: jax.Array):
        size = 2 * text.shape[1] + 1
        self.steps, self.letters = steps, letters
        self.place = jnp.arange(size)[None]
        self.end = 2 * letters[:, None]
        label = jnp.full((x.shape[1], size), blank, text.dtype).at[:, 1::2].set(text)
        self.counts = (jnp.arange(x.shape[0])[:, None] < steps[None])[:, :, None]
        emitted = jnp.take_along_axis(x, label[None], 2, mode="fill")
        emitted = jnp.where(self.counts, emitted, jnp.zeros((), x.dtype))
        self.emitted = jnp.where((self.place <= self.end)[None], emitted, jnp.full((), -jnp.inf, x.dtype))
        # A blank between two letters may be left out unless they are equal.
        self.skip = (label != _shifted(label, 2, blank)) & (self.place > 1)

    def forward(self, keep: bool) -> tuple[jax.Array, Any]:
        """Log probability of all ways to a state, at the last step that counts, and with `keep` at all steps."""
        start = (self.place == 0) | ((self.place == 1) & (self.end > 0))
        return _ways(self.emitted, self.skip, start, jnp.zeros_like(self.steps), self.steps, keep)

    def backward(self) -> jax.Array:
        """Log probability of all ways from a state to the end: ways to it in the reversed text."""
        end = (self.place == self.end) | ((self.place == self.end - 1) & (self.end > 0))
        skip = _shifted(self.skip[:, ::-1], 2, False)
        total = self.emitted.shape[0]
        begin = total - self.steps
        _, ways = _ways(self.emitted[::-1, :, ::-1], skip, end[:, ::-1], begin, jnp.full_like(begin, total), True)
        return ways[::-1, :, ::-1]

    def loss(self, last: jax.Array) -> jax.Array:
        """A path ends with the last letter or the blank behind it; without steps there is only the empty text."""
        blank = jnp.take_along_axis(last, self.end, 1)[:, 0]
        letter = jnp.take_along_axis(last, jnp.maximum(self.end - 1, 0), 1)[:, 0]
        minus = jnp.full((), -jnp.inf, last.dtype)
        likelihood = _log_sum(blank, jnp.where(self.letters > 0, letter, minus))
        nothing = jnp.where(self.letters > 0, minus, jnp.zeros((), last.dtype))
        return -jnp.where(self.steps > 0, likelihood, nothing)


@partial(jax.jit, static_argnums=5)
def _ways(
    emitted: jax.Array, skip: jax.Array, start: jax.Array, begin: jax.Array, end: jax.Array, keep: bool
) -> tuple[jax.Array, Any]:
    """Log probability of all ways to a state, from the step `begin` on, held from the step `end` on."""
    none = jnp.full(start.shape, -jnp.inf, emitted.dtype)
    start = jnp.where(start, jnp.zeros((), emitted.dtype), none)
    none, emitted, skip, start, begin, end = alike(none, emitted, skip, start, begin, end)

    def step(ways: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array | None]:
        t, probability = now
        skipped = jnp.where(skip, _shifted(ways, 2, -jnp.inf), none)
        moved = _log_sum(ways, _shifted(ways, 1, -jnp.inf), skipped)
        moved = jnp.where((t == begin)[:, None], start, moved) + probability
        ways = jnp.where(((t >= begin) & (t < end))[:, None], moved, ways)
        return ways, ways if keep else None

    return lax.scan(step, none, (jnp.arange(emitted.shape[0]), emitted))


def _log_sum(*terms: jax.Array) -> jax.Array:
    """`log(exp(a) + exp(b) + ...)`, with finite derivatives also where all terms are -inf."""
    greatest = lax.stop_gradient(jnp.stack(terms).max(0))
    empty = jnp.isneginf(greatest)
    shift = jnp.where(empty, jnp.zeros_like(greatest), greatest)
    total = jnp.where(empty, jnp.ones_like(greatest), sum(jnp.exp(term - shift) for term in terms))
    return jnp.where(empty, greatest, jnp.log(total) + shift)


def _shifted(x: jax.Array, places: int, fill: Any) -> jax.Array:
    """The columns moved to the right."""
    return jnp.pad(x, ((0, 0), (places, 0)), constant_values=fill)[:, : x.shape[1]]


def _lengths(name: str, value: Any, samples: int, greatest: int | None) -> np.ndarray | jax.Array:
    """One length for each sample; a numpy array unless it is traced."""
    lengths: np.ndarray | jax.Array
    if isinstance(value, list | tuple):
        lengths = np.asarray([check.integer(name, v) for v in value], int)
    else:
        given = check.array(name, value)
        if not jnp.issubdtype(given.dtype, jnp.integer):
            raise TypeError(f"{name}: expected integers, got {given.dtype}")
        lengths = given if isinstance(given, jax.core.Tracer) else np.asarray(given)
    if lengths.size != samples:
        raise ValueError(f"{name}: expected {samples} lengths, one for each sample, got shape {lengths.shape}")
    lengths = lengths.reshape(samples).astype(int)
    if isinstance(lengths, np.ndarray):
        outside = lengths[(lengths < 0) | (lengths > (np.inf if greatest is None else greatest))]
        if outside.size:
            bound = "of at least 0" if greatest is None else f"from 0 to {greatest}"
            raise ValueError(f"{name}: expected lengths {bound}, got {outside[0]}")
    return lengths


def _padded(targets: jax.Array, lengths: np.ndarray | jax.Array, samples: int) -> jax.Array:
    """The labels as `(N, S)`, no longer than they have to be where lengths are known."""
    targets = targets.astype(int)
    known = isinstance(lengths, np.ndarray)
    longest = int(lengths.max()) if isinstance(lengths, np.ndarray) else targets.shape[-1]
    if targets.ndim == 2:
        if targets.shape[0] != samples or targets.shape[1] < longest:
            raise ValueError(
                f"targets: expected {samples} rows of at least {longest} labels, or one axis, got {targets.shape}"
            )
        return targets[:, :longest]
    if known and lengths.sum() != targets.size:
        raise ValueError(f"targets: expected as many labels as target_lengths say, {lengths.sum()}, got {targets.size}")
    if not longest:
        return jnp.zeros((samples, 0), int)
    first = jnp.cumsum(jnp.asarray(lengths)) - jnp.asarray(lengths)
    return targets.at[first[:, None] + jnp.arange(longest)[None]].get(mode="clip")


def _checked(text: jax.Array, lengths: np.ndarray | jax.Array, labels: int) -> jax.Array:
    """The text with 0 for padding and with labels that are out of range beyond the last one, where none is read."""
    given = jnp.arange(text.shape[1])[None] < jnp.asarray(lengths)[:, None]
    wrong = given & ((text < 0) | (text >= labels))
    if not isinstance(wrong, jax.core.Tracer) and np.any(wrong):
        raise ValueError(
            f"targets: expected labels from 0 to {labels - 1}, got {np.asarray(text)[np.asarray(wrong)][0]}"
        )
    return jnp.where(wrong, labels, jnp.where(given, text, 0))
