"""Activations: kinks, infinities, dtypes, implicit axes, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxnets.functional as F
from jaxnets import nn

SPECIAL = [0.0, -0.0, np.nan, 1.0, -1.0, np.inf, -np.inf, 88.0, -104.0]


def test_relu_sets_negatives_to_zero():
    """Seed system E5."""
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    assert np.array_equal(nn.ReLU()(x), np.where(x > 0, x, 0))


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
def test_special_numbers_and_their_gradients(name):
    x = torch.tensor(SPECIAL, requires_grad=True)
    y = getattr(torch.nn.functional, name)(x)
    (expected,) = torch.autograd.grad(y.sum(), x)
    ours, pull = jax.vjp(getattr(F, name), jnp.array(SPECIAL))
    np.testing.assert_allclose(ours, y.detach(), rtol=1.3e-6, atol=1e-5)
    np.testing.assert_allclose(pull(jnp.ones(len(SPECIAL)))[0], expected, rtol=1.3e-6, atol=1e-5)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_infinite_logits(name):
    rows = [[-np.inf, 1.0, 2.0], [-np.inf] * 3, [np.inf, 1.0, 2.0], [np.nan, 1.0, 2.0]]
    x = torch.tensor(rows, requires_grad=True)
    y = getattr(torch.nn.functional, name)(x, 1)
    direction = torch.tensor([[1.0, 2.0, 4.0]] * 4)
    (expected,) = torch.autograd.grad(y, x, direction)
    ours, pull = jax.vjp(lambda x: getattr(F, name)(x, 1), jnp.array(rows))
    np.testing.assert_allclose(ours, y.detach(), rtol=1e-6)
    np.testing.assert_allclose(pull(jnp.array(direction))[0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", [nn.Softmax, nn.LogSoftmax])
@pytest.mark.parametrize(("shape", "dim"), [((), 0), ((4,), 0), ((3, 4), 1), ((2, 3, 4), 0), ((2, 3, 4, 5), 1)])
def test_the_implicit_axis_is_torch_s_and_warns(layer, shape, dim):
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    with pytest.warns(UserWarning, match="Implicit dimension choice for (log_)?softmax has been deprecated") as record:
        y = layer()(x)
    assert record[0].filename == __file__, "the warning points at the caller"
    assert np.array_equal(y, layer(dim)(x))


def test_softmax_casts_before():
    assert F.softmax(jnp.arange(3), 0, dtype=jnp.float32).dtype == jnp.float32
    assert F.log_softmax(jnp.arange(3, dtype=jnp.bfloat16), 0, dtype=jnp.float32).dtype == jnp.float32


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softmax", "log_softmax"])
def test_half_precisions_are_rounded_once(name, dtype):
    """At most half a unit in the last place (and a little for float32) from what float64 gives."""
    x = torch.tensor(np.random.default_rng(0).normal(0, 3, (20, 30))).to(getattr(torch, dtype))
    arguments = (1,) if "softmax" in name else ()
    exact = getattr(torch.nn.functional, name)(x.double(), *arguments)
    ours = getattr(F, name)(jnp.asarray(x.float()).astype(dtype), *arguments)
    assert str(ours.dtype) == dtype
    half_unit = {"bfloat16": 2.0**-8, "float16": 2.0**-11}[dtype]
    np.testing.assert_allclose(ours.astype(jnp.float32), exact, rtol=1.01 * half_unit, atol=1e-7)


def test_integers_and_complex_numbers():
    assert F.sigmoid(jnp.arange(3)).dtype == F.tanh(jnp.array([True])).dtype == jnp.float32
    assert F.relu(jnp.array([-1, 2])).tolist() == [0, 2]
    z = np.array([0.3 - 0.2j], np.complex64)
    np.testing.assert_allclose(F.sigmoid(z), torch.sigmoid(torch.tensor(z)), rtol=1e-6)
    np.testing.assert_allclose(F.tanh(z), torch.tanh(torch.tensor(z)), rtol=1e-6)


def test_jit_and_vmap():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32))
    for layer in (nn.ReLU(), nn.Sigmoid(), nn.Tanh(), nn.Softmax(0), nn.LogSoftmax(0)):
        np.testing.assert_allclose(jax.jit(jax.vmap(layer))(x), np.stack([layer(row) for row in x]), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.relu(jnp.array([True])), TypeError, "input: expected real numbers, got bool"),
        (lambda: F.relu(jnp.ones(2, jnp.complex64)), TypeError, "input: expected real numbers, got complex64"),
        (lambda: F.softmax(jnp.arange(3), 0), TypeError, "input: expected a floating dtype, got int32; pass dtype="),
        (
            lambda: F.softmax(jnp.ones((2, 3)), 2),
            ValueError,
            r"dim: expected an axis from -2 to 1 of input \(2, 3\), got 2",
        ),
        (lambda: F.log_softmax(jnp.ones(()), -2), ValueError, "dim: expected an axis from -1 to 0"),
        (lambda: nn.Softmax("1"), TypeError, "dim: expected an int, got '1'"),
        (lambda: F.relu([1.0]), TypeError, "input: expected an array, got list"),
        (lambda: nn.ReLU(1), TypeError, "inplace: expected True or False, got 1"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
