"""CTC: paths counted by hand, torch's slope, lengths of every form, traced lengths, refusals, random calls."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxnets.functional as F
from jaxnets import nn

ones = jnp.ones


def counted(x, text, blank):
    """The likelihood as a sum over all paths."""
    total = 0.0
    for path in itertools.product(range(x.shape[1]), repeat=x.shape[0]):
        merged = [label for label, _ in itertools.groupby(path)]
        if [label for label in merged if label != blank] == list(text):
            total += np.exp(sum(x[t, label] for t, label in enumerate(path)))
    return -np.log(total)


@partial(jax.jit, static_argnums=(5, 6, 7))
def loss_and_slope(x, targets, steps, letters, direction, *arguments):
    value, pull = jax.vjp(lambda x: F.ctc_loss(x, targets, steps, letters, *arguments), x)
    return value, pull(direction)[0]


def agrees(x, targets, steps, letters, *arguments):
    """Loss and slope in float64; targets and lengths traced, so that one program serves all of a shape."""
    theirs = torch.tensor(x, requires_grad=True)
    loss = torch.nn.functional.ctc_loss(theirs, *map(torch.tensor, (targets, steps, letters)), *arguments)
    direction = np.random.default_rng(0).normal(size=tuple(loss.shape))
    (slope,) = torch.autograd.grad(loss, theirs, torch.tensor(direction))

    with jax.enable_x64(True):
        ours, mine = loss_and_slope(*map(jnp.asarray, (x, targets, steps, letters, direction)), *arguments)
    np.testing.assert_allclose(ours, loss.detach(), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(mine, slope, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("text", [(), (1,), (1, 1), (1, 2), (2, 2, 1)])
def test_all_paths_are_counted(text):
    x = np.random.default_rng(0).normal(size=(5, 3))
    loss = F.ctc_loss(jnp.asarray(x, jnp.float32), jnp.array(text, int), (5,), (len(text),), reduction="sum")
    np.testing.assert_allclose(loss, counted(x, text, 0), rtol=1e-5)


def test_the_slope_is_that_of_logits():
    """torch's, also where `log_probs` is not normalised; the second derivative is that of the whole."""
    r = np.random.default_rng(0)
    agrees(r.normal(size=(6, 2, 4)), r.integers(1, 4, (2, 3)), np.array([6, 5]), np.array([3, 2]), 0, "none", False)
    targets = jnp.array([[1, 2, 2]])

    def loss(z):
        return F.ctc_loss(jax.nn.log_softmax(z), targets, (5,), (3,))

    with jax.enable_x64(True):
        z = jnp.asarray(r.normal(size=(5, 1, 3)))
        direction = jnp.asarray(r.normal(size=z.shape))
        slope = jax.jit(jax.grad(loss))
        along = jax.jit(lambda z: jax.jvp(jax.grad(loss), (z,), (direction,))[1])(z)
        near = (slope(z + 1e-5 * direction) - slope(z - 1e-5 * direction)) / 2e-5
        np.testing.assert_allclose(along, near, atol=1e-8)


def test_samples_without_a_path():
    """Their loss is inf and their slope NaN, or both 0; a probability of 0 makes its own slope NaN."""
    r = np.random.default_rng(0)
    x, targets = r.normal(size=(4, 3, 3)), np.array([[1, 2], [1, 1], [2, 1]])
    x[1, 2, 1] = -np.inf
    for zero_infinity in (False, True):
        agrees(x, targets, np.array([1, 2, 4]), np.array([2, 2, 1]), 0, "none", zero_infinity)
        agrees(x, targets, np.array([0, 0, 4]), np.array([0, 2, 2]), 0, "mean", zero_infinity)


def test_what_does_not_count_does_not_matter():
    """Padding of the targets and steps behind the last one may hold anything."""
    r = np.random.default_rng(0)
    x = r.normal(size=(5, 2, 3)).astype(np.float32)
    spoiled = x.copy()
    spoiled[3:, 1] = np.nan
    lengths = (np.array([5, 3]), np.array([2, 1]))
    run = jax.jit(jax.value_and_grad(F.ctc_loss))
    clean = run(jnp.asarray(x), jnp.array([[1, 2], [2, 0]]), *lengths)
    dirty = run(jnp.asarray(spoiled), jnp.array([[1, 2], [2, -7]]), *lengths)
    for a, b in zip(clean, dirty, strict=True):
        np.testing.assert_array_equal(a, b)


def test_lengths_and_targets_in_every_form():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32))
    targets, flat = jnp.array([[1, 2], [2, 0]]), jnp.array([1, 2, 2])
    wanted = F.ctc_loss(x, targets, jnp.array([5, 4]), jnp.array([2, 1]))
    for given_targets in (targets, flat, targets.astype(jnp.uint8), targets.astype(jnp.float32)):
        for steps, letters in (((5, 4), [2, 1]), (np.array([5, 4], np.uint8), jnp.array([2, 1]))):
            np.testing.assert_allclose(F.ctc_loss(x, given_targets, steps, letters), wanted, rtol=1e-6)
    traced = jax.jit(F.ctc_loss)(x, flat, jnp.array([5, 4]), jnp.array([2, 1]))
    np.testing.assert_allclose(traced, wanted, rtol=1e-6)
    one = F.ctc_loss(x[:, 0], targets[0], jnp.array(5), jnp.array(2), reduction="none")
    assert one.shape == ()
    mapped = jax.vmap(lambda x, t: F.ctc_loss(x, t, (5,), (2,), reduction="none"), (1, 0))(x, targets[:1].repeat(2, 0))
    np.testing.assert_allclose(mapped[0], one, rtol=1e-6)


def test_traced_labels_out_of_range_give_nan():
    run = jax.jit(lambda t: F.ctc_loss(ones((4, 3, 3)), t, (4, 4, 4), (2, 2, 1), reduction="none"))
    loss = run(jnp.array([[1, -1], [3, 1], [2, 9]]))
    assert np.isnan(loss).tolist() == [True, True, False]


def test_the_program_does_not_grow_with_time():
    def lines(steps):
        x = ones((steps, 1, 4))
        return (
            jax.jit(jax.grad(F.ctc_loss))
            .lower(x, ones((1, 3), int), jnp.array([2]), jnp.array([1]))
            .as_text()
            .count("\n")
        )

    assert lines(20) == lines(200)


x, t = ones((4, 2, 3)), jnp.ones((2, 3), int)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.ctc_loss(x[0, 0], t, (4, 4), (3, 3)), ValueError, r"log_probs: expected 2 axes \(T, C\) or 3 axes"),
        (
            lambda: F.ctc_loss(x[:0], t, (0, 0), (0, 0)),
            ValueError,
            "log_probs: expected at least one step, sample and label",
        ),
        (lambda: F.ctc_loss(x.astype(int), t, (4, 4), (3, 3)), TypeError, "input: expected a floating dtype, got int"),
        (lambda: F.ctc_loss(x, t[None], (4, 4), (3, 3)), ValueError, "targets: expected 1 axes"),
        (lambda: F.ctc_loss(x, t, (4, 4), (3, 3), blank=3), ValueError, "blank: expected a label from 0 to 2, got 3"),
        (lambda: F.ctc_loss(x, t, (5, 4), (3, 3)), ValueError, "input_lengths: expected lengths from 0 to 4, got 5"),
        (
            lambda: F.ctc_loss(x, t, (4, 4), (-1, 3)),
            ValueError,
            "target_lengths: expected lengths of at least 0, got -1",
        ),
        (lambda: F.ctc_loss(x, t, (4,), (3, 3)), ValueError, r"input_lengths: expected 2 lengths, one for each sample"),
        (lambda: F.ctc_loss(x, t, ones(2) * 4, (3, 3)), TypeError, "input_lengths: expected integers, got float32"),
        (lambda: F.ctc_loss(x, t, 4, (3, 3)), TypeError, "input_lengths: expected an array, got int"),
        (
            lambda: F.ctc_loss(x, t, (4, 4), (3, 4)),
            ValueError,
            r"targets: expected 2 rows of at least 4 labels, or one axis, got \(2, 3\)",
        ),
        (
            lambda: F.ctc_loss(x, t[0], (4, 4), (3, 1)),
            ValueError,
            "targets: expected as many labels as target_lengths say, 4, got 3",
        ),
        (lambda: F.ctc_loss(x, t + 2, (4, 4), (3, 3)), ValueError, "targets: expected labels from 0 to 2, got 3"),
        (lambda: nn.CTCLoss(reduction="batchmean"), ValueError, "reduction: expected one of 'none', 'mean', 'sum'"),
        (lambda: nn.CTCLoss(zero_infinity=1), TypeError, "zero_infinity: expected True or False, got 1"),
        (lambda: nn.CTCLoss(blank=0.0), TypeError, "blank: expected an int, got 0.0"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.data())
def test_random_calls(data):
    r = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    steps, samples, labels, longest = 7, 3, 4, data.draw(st.sampled_from([0, 3]))
    x = r.normal(size=(steps, samples, labels), scale=r.choice([1, 30]))
    if data.draw(st.booleans()):
        x -= np.log(np.exp(x).sum(-1, keepdims=True))
    if data.draw(st.booleans()):
        x[r.uniform(size=x.shape) < 0.1] = -np.inf
    blank = data.draw(st.sampled_from([0, 3]))
    targets = (blank + r.integers(1, labels, (samples, longest))) % labels
    inputs, letters = r.integers(0, steps + 1, samples), r.integers(0, longest + 1, samples)
    agrees(x, targets, inputs, letters, blank, "none", data.draw(st.booleans()))
