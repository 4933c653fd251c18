"""Initialisers with JAX's keys: distributions (a p-value below 1e-4 fails, seeds are fixed), structure, errors."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats as stats
import torch

from jaxnets.nn import init

KEY = jax.random.key(7)
SHAPE = (40, 30, 3)  # fan in 90, fan out 120


def uniform(bound):
    return stats.uniform(-bound, 2 * bound)


DISTRIBUTIONS = {
    "uniform": (init.uniform, {"a": -1, "b": 3}, stats.uniform(-1, 4)),
    "normal": (init.normal, {"mean": 2, "std": 0.3}, stats.norm(2, 0.3)),
    "trunc_normal": (init.trunc_normal, {}, stats.truncnorm(-2, 2)),
    "trunc_normal, shifted": (
        init.trunc_normal,
        {"mean": 1, "std": 2, "a": 0, "b": 1.5},
        stats.truncnorm(-0.5, 0.25, 1, 2),
    ),
    "xavier_uniform": (init.xavier_uniform, {"gain": 2}, uniform(2 * math.sqrt(6 / 210))),
    "xavier_normal": (init.xavier_normal, {"gain": 2}, stats.norm(0, 2 * math.sqrt(2 / 210))),
    "kaiming_uniform": (init.kaiming_uniform, {"a": 1}, uniform(math.sqrt(3 / 90))),
    "kaiming_uniform, fan_out": (
        init.kaiming_uniform,
        {"mode": "fan_out", "nonlinearity": "relu"},
        uniform(math.sqrt(6 / 120)),
    ),
    "kaiming_normal": (init.kaiming_normal, {"a": 2}, stats.norm(0, math.sqrt(2 / 5 / 90))),
    "kaiming_normal, FAN_OUT": (init.kaiming_normal, {"mode": "FAN_OUT"}, stats.norm(0, math.sqrt(2 / 1.0001 / 120))),
}


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distributions(name, dtype):
    function, arguments, distribution = DISTRIBUTIONS[name]
    samples = function(KEY, SHAPE, **arguments, dtype=dtype)
    assert samples.shape == SHAPE
    assert samples.dtype == dtype
    if dtype == jnp.bfloat16:  # has steps, which a continuous distribution has not
        reference = distribution.rvs(samples.size, random_state=0).astype(jnp.bfloat16).astype(np.float64)
        p = stats.ks_2samp(np.asarray(samples, np.float64).ravel(), reference).pvalue
    else:
        p = stats.kstest(np.asarray(samples, np.float64).ravel(), distribution.cdf).pvalue
    assert p > 1e-4


def test_complex_normal_has_half_of_the_variance_in_each_part():
    samples = np.asarray(init.normal(KEY, (4000,), std=3, dtype=jnp.complex64))
    for part in (samples.real, samples.imag):
        assert stats.kstest(part, stats.norm(0, 3 / math.sqrt(2)).cdf).pvalue > 1e-4


def test_trunc_normal_stays_inside_in_every_dtype():
    for dtype in (jnp.float32, jnp.bfloat16, jnp.float16):
        samples = init.trunc_normal(KEY, (20_000,), std=3, a=-0.3, b=0.7, dtype=dtype)
        assert (samples >= jnp.asarray(-0.3, dtype)).all()
        assert (samples <= jnp.asarray(0.7, dtype)).all()


@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (5, 5), (3, 2, 4)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.complex64])
def test_orthogonal(shape, dtype):
    weight = init.orthogonal(KEY, shape, gain=2, dtype=dtype)
    assert weight.shape == shape
    assert weight.dtype == dtype
    matrix = np.asarray(weight).reshape(shape[0], -1).astype(np.complex64) / 2
    gram = matrix @ matrix.conj().T if len(matrix) <= matrix.shape[1] else matrix.conj().T @ matrix
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=2e-2 if dtype == jnp.bfloat16 else 1e-5)


def test_orthogonal_matrices_are_uniform():
    """The angle of the first column of a random 2 x 2 matrix: without the signs of R it would be in half a circle."""
    angles = [math.atan2(*init.orthogonal(k, (2, 2))[:, 0].tolist()) for k in jax.random.split(KEY, 200)]
    assert stats.kstest(angles, stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue > 1e-4


@pytest.mark.parametrize("sparsity", [0, 0.1, 0.5, 1])
def test_sparse(sparsity):
    weight = np.asarray(init.sparse(KEY, (30, 40), sparsity, std=0.5))
    assert ((weight == 0).sum(0) == math.ceil(30 * sparsity)).all()
    if 0 < sparsity < 1:
        assert stats.kstest(weight[weight != 0], stats.norm(0, 0.5).cdf).pvalue > 1e-4
        assert stats.chisquare((weight == 0).sum(1)).pvalue > 1e-4  # every row is as likely


@pytest.mark.parametrize(
    ("name", "shape", "arguments"),
    [
        ("eye", (3, 5), {}),
        ("eye", (5, 3), {}),
        ("dirac", (4, 3, 5), {}),
        ("dirac", (6, 2, 3, 4), {"groups": 3}),
        ("dirac", (4, 3, 2, 3, 4), {"groups": 2}),
        ("constant", (2, 3), {"val": 0.3}),
        ("ones", (2,), {}),
        ("zeros", (), {}),
    ],
)
def test_fixed_values(name, shape, arguments):
    expected = getattr(torch.nn.init, name + "_")(torch.empty(shape), **arguments)
    for dtype in (jnp.float32, jnp.bfloat16):
        weight = getattr(init, name)(None, shape, **arguments, dtype=dtype)
        assert weight.dtype == dtype
        np.testing.assert_array_equal(weight, jnp.asarray(expected.numpy()).astype(dtype))


@pytest.mark.parametrize(
    "name", ["uniform", "normal", "xavier_uniform", "kaiming_normal", "trunc_normal", "orthogonal"]
)
def test_no_elements_and_tracing(name):
    function = getattr(init, name)
    assert function(KEY, (0, 3)).shape == (0, 3)
    np.testing.assert_array_equal(jax.jit(lambda k: function(k, (2, 3)))(KEY).shape, (2, 3))


@pytest.mark.parametrize("nonlinearity", [*init.GAINS, "leaky_relu"])
def test_gains(nonlinearity):
    assert init.calculate_gain(nonlinearity) == torch.nn.init.calculate_gain(nonlinearity)
    assert init.calculate_gain(nonlinearity, 0.3) == torch.nn.init.calculate_gain(nonlinearity, 0.3)


ERRORS = {
    "uniform": (
        lambda: init.uniform(KEY, (2,), 1, 0),
        ValueError,
        "a, b: expected finite numbers a <= b, got a=1, b=0",
    ),
    "uniform, infinite": (lambda: init.uniform(KEY, (2,), 0, math.inf), ValueError, "a, b: expected finite numbers"),
    "normal": (lambda: init.normal(KEY, (2,), std=-1), ValueError, "std: expected a number of at least 0, got -1"),
    "trunc_normal std": (lambda: init.trunc_normal(KEY, (2,), std=0), ValueError, "std: expected a positive number"),
    "trunc_normal": (lambda: init.trunc_normal(KEY, (2,), a=1, b=1), ValueError, "a, b: expected a < b"),
    "fan": (lambda: init.xavier_uniform(KEY, (2,)), ValueError, "shape: expected at least 2 axes"),
    "mode": (
        lambda: init.kaiming_normal(KEY, (2, 3), mode="fan"),
        ValueError,
        "mode: expected one of 'fan_in', 'fan_out'",
    ),
    "gain": (lambda: init.calculate_gain("gelu"), ValueError, "nonlinearity: expected one of 'linear', .*, got 'gelu'"),
    "slope": (lambda: init.calculate_gain("leaky_relu", "x"), TypeError, "param: expected a number, got 'x'"),
    "eye": (
        lambda: init.eye(None, (2, 3, 4)),
        ValueError,
        r"shape: expected 2 axes \(rows, columns\), got \(2, 3, 4\)",
    ),
    "dirac": (lambda: init.dirac(None, (2, 3)), ValueError, "shape: expected 3, 4 or 5 axes"),
    "dirac, groups": (lambda: init.dirac(None, (4, 3, 2), 3), ValueError, "groups: expected a divisor of 4"),
    "orthogonal": (lambda: init.orthogonal(KEY, (3,)), ValueError, "shape: expected 2 axes or more"),
    "sparse": (lambda: init.sparse(KEY, (3, 2, 1), 0.5), ValueError, "shape: expected 2 axes"),
    "sparsity": (lambda: init.sparse(KEY, (3, 2), 1.5), ValueError, r"sparsity: expected a probability in \[0, 1\]"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    call, error, message = ERRORS[name]
    with pytest.raises(error, match=message):
        call()


def test_a_truncation_far_from_the_mean_warns():
    with pytest.warns(UserWarning, match=r"mean=0.0 is more than 2 std from \[3, 4\]"):
        init.trunc_normal(KEY, (2,), a=3, b=4)
