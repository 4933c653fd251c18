"""Softmax, log softmax, softmin, Gumbel's softmax: infinities, implicit axes, distributions, refusals."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxnets.functional as F
from jaxnets import nn

NAMES = ["softmax", "log_softmax", "softmin"]


@pytest.mark.parametrize("name", NAMES)
def test_infinite_logits(name):
    rows = [[-np.inf, 1.0, 2.0], [-np.inf] * 3, [np.inf, 1.0, 2.0], [np.nan, 1.0, 2.0]]
    x = torch.tensor(rows, requires_grad=True)
    y = getattr(torch.nn.functional, name)(x, 1)
    direction = torch.tensor([[1.0, 2.0, 4.0]] * 4)
    (expected,) = torch.autograd.grad(y, x, direction)
    ours, pull = jax.vjp(lambda x: getattr(F, name)(x, 1), jnp.array(rows))
    np.testing.assert_allclose(ours, y.detach(), rtol=1e-6)
    np.testing.assert_allclose(pull(jnp.array(direction))[0], expected, rtol=1e-5, atol=1e-6)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.sampled_from(NAMES),
    st.sampled_from([((), -1), ((1,), 0), ((0,), 0), ((3, 4), -2), ((2, 0, 3), 1)]),
    st.sampled_from([0.0, -1e3, 3e4]),
    st.integers(0, 99),
)
def test_torch_agrees_on_any_numbers(name, line, mean, seed):
    shape, dim = line
    rng = np.random.default_rng(seed)
    values, direction = np.float32(rng.normal(mean, 5, shape)), np.float32(rng.normal(size=shape))
    x = torch.tensor(values, requires_grad=True)
    y = getattr(torch.nn.functional, name)(x, dim)
    (expected,) = torch.autograd.grad(y, x, torch.tensor(direction))
    ours, pull = jax.vjp(lambda x: getattr(F, name)(x, dim), jnp.asarray(values))
    np.testing.assert_allclose(ours, y.detach(), rtol=1.3e-6, atol=1e-5)
    np.testing.assert_allclose(pull(jnp.asarray(direction))[0], expected, rtol=1.3e-6, atol=1e-5)


@pytest.mark.parametrize("layer", [nn.Softmax, nn.LogSoftmax, nn.Softmin])
@pytest.mark.parametrize(("shape", "dim"), [((), 0), ((4,), 0), ((3, 4), 1), ((2, 3, 4), 0), ((2, 3, 4, 5), 1)])
def test_the_implicit_axis_is_torch_s_and_warns(layer, shape, dim):
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    message = "Implicit dimension choice for (log_softmax|softmax|softmin) has been deprecated"
    with pytest.warns(UserWarning, match=message) as record:
        y = layer()(x)
    assert record[0].filename == __file__, "the warning points at the caller"
    assert np.array_equal(y, layer(dim)(x))


def test_dtype_casts_before():
    assert F.softmax(jnp.arange(3), 0, dtype=jnp.float32).dtype == jnp.float32
    assert F.log_softmax(jnp.arange(3, dtype=jnp.bfloat16), 0, dtype=jnp.float32).dtype == jnp.float32
    bytes_ = np.array([3, 1, 0, 2], np.uint8)  # negated before the cast, they wrap around
    expected = torch.nn.functional.softmin(torch.tensor(bytes_), 0, dtype=torch.float32)
    np.testing.assert_allclose(F.softmin(bytes_, 0, dtype=jnp.float32), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", NAMES)
def test_half_precisions_are_rounded_once(name, dtype):
    """At most half a unit in the last place (and a little for float32) from what float64 gives."""
    x = torch.tensor(np.random.default_rng(0).normal(0, 3, (20, 30))).to(getattr(torch, dtype))
    exact = getattr(torch.nn.functional, name)(x.double(), 1)
    ours = getattr(F, name)(jnp.asarray(x.float()).astype(dtype), 1)
    assert str(ours.dtype) == dtype
    half_unit = {"bfloat16": 2.0**-8, "float16": 2.0**-11}[dtype]
    np.testing.assert_allclose(ours.astype(jnp.float32), exact, rtol=1.01 * half_unit, atol=1e-7)


def test_jit_and_vmap():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32))
    for layer in (nn.Softmax(0), nn.LogSoftmax(0), nn.Softmin(0)):
        np.testing.assert_allclose(jax.jit(jax.vmap(layer))(x), np.stack([layer(row) for row in x]), rtol=1e-6)


@pytest.mark.parametrize("tau", [0.3, 1, 5.0])
def test_samples_are_classes_by_their_probability_at_six_sigma(tau):
    """Each class's share of 20,000 samples is off by more than 6 standard errors once in 500 million seeds."""
    draws, logits = 20_000, jnp.array([0.5, -1.0, 2.0, 0.0])
    probabilities = np.asarray(F.softmax(logits, 0))
    rows = jnp.broadcast_to(logits, (draws, 4))
    soft, hard = (F.gumbel_softmax(rows, tau, hard, key=jax.random.key(1)) for hard in (False, True))
    np.testing.assert_allclose(soft.sum(1), 1, rtol=1e-5)
    assert np.array_equal(hard > 0.5, soft == soft.max(1, keepdims=True))
    error = np.sqrt(probabilities * (1 - probabilities) / draws)
    assert (np.abs((hard > 0.5).mean(0) - probabilities) < 6 * error).all()


def test_noise_of_gumbel():
    """Of `log(y_0 / y_1)` the noise is logistic: variance π² / 3, here of 20,000 draws within 6 standard errors."""
    draws = 20_000
    y = np.asarray(F.gumbel_softmax(jnp.zeros((draws, 2)), 2.0, key=jax.random.key(2)))
    difference = 2.0 * np.log(y[:, 0] / y[:, 1])
    assert abs(difference.mean()) < 6 * math.pi / math.sqrt(3 * draws)
    variance = math.pi**2 / 3  # the fourth moment of the logistic distribution is 4.2 times its square
    assert abs(difference.var() - variance) < 6 * variance * math.sqrt(3.2 / draws)


def test_gumbel_s_hard_samples_have_the_gradient_of_soft_ones():
    logits, key = jnp.array([[0.5, -1.0, 2.0], [0.0, 1.0, -3.0]]), jax.random.key(0)
    weights = jnp.array([[1.0, 2.0, 4.0]] * 2)
    soft, hard = (
        jax.grad(lambda x, h=h: (F.gumbel_softmax(x, 0.7, h, dim=0, key=key) * weights).sum())(logits)
        for h in (False, True)
    )
    np.testing.assert_allclose(hard, soft, rtol=1e-6)
    sample = jax.jit(lambda tau: F.gumbel_softmax(logits, tau, True, dim=-2, key=key))(0.7)
    np.testing.assert_allclose(sample.sum(0), 1, rtol=1e-6)


def test_gumbel_s_ends():
    key = jax.random.key(0)
    assert F.gumbel_softmax(jnp.array(3.0), hard=True, key=key).item() == 1.0
    assert F.gumbel_softmax(jnp.ones((3, 0))).shape == (3, 0)
    assert F.gumbel_softmax(jnp.array([1.0, -jnp.inf]), hard=True, key=key).tolist() == [1.0, 0.0]
    assert F.gumbel_softmax(jnp.ones((2, 3), jnp.bfloat16), key=key).dtype == jnp.bfloat16
    with pytest.warns(UserWarning, match="`eps` parameter is deprecated and has no effect") as record:
        F.gumbel_softmax(jnp.ones(3), eps=1e-8, key=key)
    assert record[0].filename == __file__


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.softmax(jnp.arange(3), 0), TypeError, "input: expected a floating dtype, got int32; pass dtype="),
        (lambda: F.softmin(jnp.arange(3), 0), TypeError, "input: expected a floating dtype, got int32; pass dtype="),
        (lambda: F.softmin(jnp.array([True]), 0), TypeError, "input: expected numbers, got bool; cast it first"),
        (
            lambda: F.softmax(jnp.ones((2, 3)), 2),
            ValueError,
            r"dim: expected an axis from -2 to 1 of input \(2, 3\), got 2",
        ),
        (lambda: F.log_softmax(jnp.ones(()), -2), ValueError, "dim: expected an axis from -1 to 0"),
        (lambda: nn.Softmax("1"), TypeError, "dim: expected an int, got '1'"),
        (lambda: nn.Softmin(0.5), TypeError, "dim: expected an int, got 0.5"),
        (lambda: nn.Softmax2d()(jnp.ones((3, 4))), ValueError, r"input: expected 3 axes \(C, H, W\) or 4 axes"),
        (lambda: F.gumbel_softmax(jnp.ones(3)), ValueError, "key: expected a jax random key, got None"),
        (lambda: F.gumbel_softmax(jnp.arange(3)), TypeError, "logits: expected a floating dtype, got int32"),
        (lambda: F.gumbel_softmax(jnp.ones(3), dim=1), ValueError, "dim: expected an axis from -1 to 0 of logits"),
        (lambda: F.gumbel_softmax(jnp.ones((3, 0)), hard=True), ValueError, "logits: expected at least one class"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
