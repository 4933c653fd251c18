"""Dropout: exact ends, rates, whole channels, streams and keys, warnings and refusals."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxnets.functional as F
from jaxnets import nn


def test_survivors_are_doubled():
    """Seed system E4: fours become zeros or eights."""
    y = nn.Dropout(0.5, rngs=nnx.Rngs(0))(jnp.full((20, 20), 4.0))
    assert set(np.unique(y)) == {0.0, 8.0}


@pytest.mark.parametrize("p", [0.1, 0.5, 0.83])
def test_the_rate_at_six_sigma(p):
    """100,000 draws; the share that is dropped is off by more than 6 standard errors once in 500 million seeds."""
    draws = 100_000
    y = F.dropout(jnp.ones(draws), p, key=jax.random.key(1))
    dropped = int((y == 0).sum())
    assert abs(dropped - draws * p) < 6 * math.sqrt(draws * p * (1 - p))
    np.testing.assert_allclose(y[y != 0], 1 / (1 - p), rtol=1e-6)


def test_the_ends_are_exact_and_need_no_randomness():
    x = jnp.array([1.0, -2.0])
    assert nn.Dropout(0.0)(x).tolist() == [1.0, -2.0]
    assert nn.Dropout(1.0)(x).tolist() == [0.0, 0.0]
    evaluated = nn.Dropout(0.5)
    evaluated.eval()
    assert evaluated(x).tolist() == [1.0, -2.0]


@pytest.mark.parametrize(
    ("layer", "shape", "whole"),
    [
        (nn.Dropout1d, (40, 50, 3), 2),
        (nn.Dropout1d, (400, 3), 1),
        (nn.Dropout2d, (20, 20, 3, 2), 2),
        (nn.Dropout3d, (20, 20, 2, 3, 2), 2),
        (nn.Dropout3d, (400, 2, 3, 2), 1),
    ],
)
def test_whole_channels_are_dropped(layer, shape, whole):
    y = np.asarray(layer(0.5, rngs=nnx.Rngs(0))(jnp.ones(shape)))
    channels = y.reshape(*shape[:whole], -1)
    assert (channels == channels[..., :1]).all()
    share = (channels[..., 0] == 0).mean()
    assert abs(share - 0.5) < 6 * 0.5 / math.sqrt(channels[..., 0].size)


def test_streams():
    layer = nn.Dropout(0.5, rngs=nnx.Rngs(0))
    x = jnp.ones(100)
    first, second = layer(x), layer(x)
    assert not np.array_equal(first, second)
    again = nn.Dropout(0.5, rngs=nnx.Rngs(0))
    assert np.array_equal(again(x), first)
    assert np.array_equal(layer(x, rngs=nnx.Rngs(7)), nn.Dropout(0.5)(x, rngs=nnx.Rngs(7)))
    forward = nnx.jit(lambda layer, x: layer(x))
    assert not np.array_equal(forward(layer, x), forward(layer, x))
    both = nn.Sequential(nn.Dropout(0.5, rngs=(rngs := nnx.Rngs(0))), nn.Dropout(0.5, rngs=rngs))
    assert not np.array_equal(both[0](x), both[1](x)), "two layers of one Rngs draw differently"


def test_train_and_eval():
    layer = nn.Dropout(0.5, rngs=nnx.Rngs(0))
    assert layer.deterministic is False
    layer.eval()
    assert layer.deterministic is True
    layer.train()
    assert (layer(jnp.ones(50)) == 0).any()


def test_the_gradient_is_the_mask():
    x, key = jnp.ones(50), jax.random.key(0)
    y, pull = jax.vjp(lambda x: F.dropout(x, 0.3, key=key), x)
    assert np.array_equal(pull(jnp.ones(50))[0], y)


def test_infinities_do_not_vanish():
    """torch multiplies, and so do we."""
    assert np.isnan(F.dropout(jnp.array([jnp.inf]), 1.0)).all()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("function", [F.dropout, F.alpha_dropout, F.feature_alpha_dropout])
def test_dtypes(function, dtype):
    assert function(jnp.ones((8, 2), dtype), training=True, key=jax.random.key(0)).dtype == dtype


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_alpha_dropout_keeps_mean_and_variance_at_six_sigma(p):
    """Of 100,000 standard normal numbers; the dropped ones become one number, so all moments are known."""
    n, a = 100_000, 1 / math.sqrt((1 - p) * (1 + p * 1.7580993408473766**2))
    x = jax.random.normal(jax.random.key(1), n)
    y = np.asarray(F.alpha_dropout(x, p, True, key=jax.random.key(2)), np.float64)
    assert abs(y.mean()) < 6 / math.sqrt(n)
    fourth = (y**4).mean()
    assert abs(y.var() - 1) < 6 * math.sqrt((fourth - 1) / n)
    dropped = a * 1.7580993408473766 * (p - 1)
    share = np.isclose(y, dropped, rtol=1e-6, atol=0).mean()
    assert abs(share - p) < 6 * math.sqrt(p * (1 - p) / n)
    kept = ~np.isclose(y, dropped, rtol=1e-6, atol=0)
    np.testing.assert_allclose(y[kept], a * (np.asarray(x)[kept] + 1.7580993408473766 * p), rtol=1e-5, atol=1e-6)


def test_whole_channels_are_alpha_dropped():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(30, 40, 3, 2)).astype(np.float32))
    y = np.asarray(nn.FeatureAlphaDropout(0.3, rngs=nnx.Rngs(0))(x)).reshape(30, 40, -1)
    dropped = (y == y[..., :1]).all(-1)
    assert len(np.unique(y[dropped])) == 1
    assert abs(dropped.mean() - 0.3) < 6 * math.sqrt(0.3 * 0.7 / dropped.size)
    assert np.abs(np.diff(y[~dropped])).min() > 0


def test_nothing_to_draw_for():
    """No key is asked for, and any dtype and shape is let through."""
    empty = jnp.ones((0, 3), jnp.int32)
    assert F.dropout(empty).shape == F.alpha_dropout(empty, 0.5, True).shape == (0, 3)
    assert F.feature_alpha_dropout(jnp.ones(3)).tolist() == [1.0] * 3
    assert F.feature_alpha_dropout(jnp.ones(3), 1.0, True).tolist() == [0.0] * 3
    with pytest.warns(UserWarning, match="Received a 1-D input to dropout2d"):
        assert F.dropout2d(jnp.ones(3), training=False).tolist() == [1.0] * 3
    with pytest.warns(UserWarning, match="Received a 0-D input to dropout3d"):
        assert F.dropout3d(jnp.ones(()), 1.0).item() == 0.0


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.sampled_from(["dropout", "alpha_dropout", "feature_alpha_dropout"]),
    st.lists(st.integers(0, 4), max_size=3),
    st.sampled_from([0.0, 1.0, 0.3]),
    st.booleans(),
    st.sampled_from(["float32", "int32", "bool"]),
    st.sampled_from([1.0, np.inf, np.nan]),
)
def test_torch_agrees_where_nothing_is_drawn(name, shape, p, training, dtype, value):
    x = np.full(shape, value if dtype == "float32" else 1, dtype)
    ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    if training and p == 0.3 and x.size:
        with pytest.raises((TypeError, ValueError)):
            ours(x, p, training)
        return
    expected = theirs(torch.tensor(x), p, training)
    assert str(expected.dtype) == f"torch.{ours(x, p, training).dtype}"
    np.testing.assert_array_equal(ours(x, p, training), expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.dropout2d(jnp.ones((2, 3, 4)), key=jax.random.key(0)), "interpreted as shape .N, C, L."),
        (lambda: F.dropout2d(jnp.ones((2, 3)), key=jax.random.key(0)), "Received a 2-D input to dropout2d"),
        (lambda: F.dropout2d(jnp.ones((2, 3, 1, 1, 1)), key=jax.random.key(0)), "Received a 5-D input to dropout2d"),
        (lambda: F.dropout3d(jnp.ones((2, 3, 4)), key=jax.random.key(0)), "Received a 3-D input to dropout3d"),
    ],
)
def test_warnings(call, message):
    with pytest.warns(UserWarning, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Dropout(1.5), ValueError, r"p: expected a probability in \[0, 1\], got 1.5"),
        (lambda: nn.Dropout2d(-0.1), ValueError, r"p: expected a probability in \[0, 1\], got -0.1"),
        (lambda: nn.Dropout("0.5"), TypeError, r"p: expected a probability in \[0, 1\], got '0.5'"),
        (
            lambda: nn.Dropout(0.5)(jnp.ones(3)),
            ValueError,
            r"rngs: expected flax.nnx.Rngs in training, got None; pass rngs",
        ),
        (lambda: nn.Dropout(0.5, rngs=3), TypeError, "rngs: expected flax.nnx.Rngs, got int"),
        (lambda: F.dropout(jnp.ones(3)), ValueError, "key: expected a jax random key in training, got None"),
        (
            lambda: F.dropout(jnp.ones(3, int), key=jax.random.key(0)),
            TypeError,
            "input: expected a floating dtype, got int",
        ),
        (
            lambda: F.alpha_dropout(jnp.ones(3, jnp.complex64), 0.5, True, key=jax.random.key(0)),
            TypeError,
            "input: expected a floating dtype, got complex64",
        ),
        (lambda: F.alpha_dropout(jnp.ones(3), training=True), ValueError, "key: expected a jax random key in training"),
        (lambda: F.alpha_dropout(jnp.ones(3), training=1), TypeError, "training: expected True or False, got 1"),
        (lambda: nn.AlphaDropout(math.nan), ValueError, r"p: expected a probability in \[0, 1\], got nan"),
        (
            lambda: nn.FeatureAlphaDropout(rngs=nnx.Rngs(0))(jnp.ones(3)),
            ValueError,
            r"input: expected at least 2 axes \(N, C, \*\), got shape \(3,\)",
        ),
        (lambda: nn.AlphaDropout()(jnp.ones(3)), ValueError, "rngs: expected flax.nnx.Rngs in training"),
        (lambda: F.dropout1d(jnp.ones((2, 3, 4, 5))), ValueError, r"input: expected 2 axes \(C, L\) or 3 axes"),
        (lambda: F.dropout2d(jnp.ones(3)), ValueError, r"input: expected 4 axes \(N, C, H, W\), got shape \(3,\)"),
        (lambda: F.dropout3d(jnp.ones(())), ValueError, "input: expected 4 axes .* got a number"),
    ],
)
@pytest.mark.filterwarnings("ignore:dropout.d. Received a .-D input")
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
