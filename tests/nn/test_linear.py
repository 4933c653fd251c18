"""Linear, Bilinear, Identity: errors by message, attributes, initial distribution."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxnets.functional as F
from jaxnets import nn

ERRORS = [
    (
        lambda: nn.Linear(3, 2, rngs=nnx.Rngs(0))(jnp.ones((4, 5))),
        "input: expected the last axis to have in_features=3",
    ),
    (lambda: nn.Linear(3, 2, rngs=nnx.Rngs(0))(jnp.ones(())), "input: expected the last axis"),
    (lambda: nn.Linear(-3, 2, rngs=nnx.Rngs(0)), "in_features: expected an int of at least 0, got -3"),
    (lambda: nn.Linear(3.0, 2, rngs=nnx.Rngs(0)), "in_features: expected an int, got 3.0 of type float"),
    (
        lambda: nn.Linear(3, 2, dtype=jnp.int32, rngs=nnx.Rngs(0)),
        "dtype: expected a floating or complex dtype, got int32",
    ),
    (lambda: nn.Linear(3, 2, rngs=3), "rngs: expected flax.nnx.Rngs, got int"),
    (lambda: nn.Bilinear(0, 2, 2, rngs=nnx.Rngs(0)), "in1_features: expected an int of at least 1, got 0"),
    (
        lambda: nn.Bilinear(3, 2, 4, rngs=nnx.Rngs(0))(jnp.ones((2, 3)), jnp.ones((3, 2))),
        r"input2: expected the leading axes of input1, \(2,\), got \(3,\)",
    ),
    (
        lambda: nn.Bilinear(3, 2, 4, rngs=nnx.Rngs(0))(jnp.ones((2, 3)), jnp.ones((2, 3))),
        "input2: expected the last axis to have 2 entries",
    ),
    (lambda: F.linear(jnp.ones((4, 5)), jnp.ones((2, 5)), jnp.ones(3)), r"bias: expected shape \(2,\), got \(3,\)"),
    (lambda: F.linear(jnp.ones((4, 5)), jnp.ones(5), jnp.ones(())), "bias: expected None beside a weight of one axis"),
    (lambda: F.linear(jnp.ones((4, 5)), jnp.ones((1, 2, 5))), r"weight: expected 1 axes \(in_features,\) or 2 axes"),
    (lambda: F.linear(jnp.ones((4, 5), jnp.int32), jnp.ones((2, 5))), "input is int32 but weight is float32"),
    (lambda: F.linear([[1.0]], jnp.ones((1, 1))), "input: expected an array, got list; convert it with jnp.asarray"),
]


@pytest.mark.parametrize(("call", "message"), ERRORS)
def test_errors(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_initial_distribution_is_torchs():
    """U(-1/sqrt(in), 1/sqrt(in)), weight and bias; Kolmogorov's distance, exceeded once in a thousand seeds."""
    layer = nn.Linear(100, 300, rngs=nnx.Rngs(0))
    for parameter in (layer.weight, layer.bias):
        draws = np.sort(np.asarray(parameter[...]).ravel()) * 10
        assert np.abs((draws + 1) / 2 - np.linspace(0, 1, draws.size)).max() < 1.95 / np.sqrt(draws.size)


def test_no_bias_no_inputs_no_outputs():
    assert nn.Linear(3, 2, bias=False, rngs=nnx.Rngs(0)).bias is None
    assert nn.Linear(0, 2, rngs=nnx.Rngs(0))(jnp.ones((3, 0))).tolist() == [[0.0, 0.0]] * 3
    assert nn.Linear(2, 0, rngs=nnx.Rngs(0))(jnp.ones((3, 2))).shape == (3, 0)
