"""Instance normalisation: running averages, precisions, channels that do not fit, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxnets
import jaxnets.functional as F
from jaxnets import nn

ones = jnp.ones


def drawn(*shape, mean=0.0, seed=0):
    return np.random.default_rng([seed, *shape]).normal(mean, 1.0, shape)


def buffers(layer):
    return [layer.running_mean[...], layer.running_var[...], layer.num_batches_tracked[...]]


@pytest.mark.parametrize("momentum", [0.1, 0.7, None])
@pytest.mark.parametrize("shape", [(4, 3, 5), (3, 5)])
def test_three_steps_then_evaluation(shape, momentum):
    """The average over samples moves the running statistics; batches are not counted, as in torch."""
    with jax.enable_x64(True):
        theirs = torch.nn.InstanceNorm1d(3, momentum=momentum, affine=True, track_running_stats=True).double()
        ours = nn.InstanceNorm1d(3, momentum=momentum, affine=True, track_running_stats=True, dtype=jnp.float64)
        step = nnx.jit(lambda layer, x: layer(x))
        for i in range(3):
            x = drawn(*shape, mean=i)
            np.testing.assert_allclose(step(ours, x), theirs(torch.tensor(x)).detach(), rtol=1e-12, atol=1e-12)
        for mine, yours in zip(buffers(ours), theirs.buffers(), strict=True):
            np.testing.assert_allclose(mine, yours, rtol=1e-12, atol=1e-15)
        ours.eval(), theirs.eval()
        np.testing.assert_allclose(step(ours, x), theirs(torch.tensor(x)).detach(), rtol=1e-12, atol=1e-12)


def test_a_distant_mean_loses_no_digits():
    far = jnp.asarray((drawn(2, 3, 64) + 1e4).astype(np.float32))
    exact = np.asarray(far, np.float64)
    wanted = (exact - exact.mean(2, keepdims=True)) / np.sqrt(exact.var(2, keepdims=True) + 1e-5)
    np.testing.assert_allclose(F.instance_norm(far), wanted, atol=1e-5)


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 3, 0)])
def test_no_values(shape):
    """Torch's running averages become NaN with an empty batch, and stay with empty planes."""
    x, affine = np.ones(shape), bool(shape[0])  # torch has no empty batch beside a weight
    ours, theirs = (
        cls(3, affine=affine, track_running_stats=True) for cls in (nn.InstanceNorm1d, torch.nn.InstanceNorm1d)
    )
    assert ours(jnp.asarray(x, jnp.float32)).shape == tuple(theirs(torch.tensor(x, dtype=torch.float32)).shape)
    for mine, yours in zip(buffers(ours), theirs.buffers(), strict=True):
        np.testing.assert_array_equal(mine, yours)


def test_half_precision_inputs_beside_float32_parameters():
    x = drawn(4, 3, 5).astype(np.float32)
    expected = torch.nn.InstanceNorm1d(3, affine=True)(torch.tensor(x).bfloat16())
    y = nn.InstanceNorm1d(3, affine=True)(jnp.asarray(x).astype(jnp.bfloat16))
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype(jnp.float32), expected.detach().float(), rtol=8e-3, atol=1e-3)


def test_state_and_attributes():
    layer = nn.InstanceNorm2d(3, affine=True, track_running_stats=True, bias=False)
    theirs = torch.nn.InstanceNorm2d(3, affine=True, track_running_stats=True, bias=False)
    assert list(jaxnets.state_dict(layer)) == list(theirs.state_dict())
    layer = nn.InstanceNorm2d(3)
    assert (layer.affine, layer.track_running_stats, layer.momentum) == (False, False, 0.1)
    assert jaxnets.state_dict(layer) == {}


def test_other_channels_are_a_warning_where_nothing_is_held():
    with pytest.warns(UserWarning, match=r"num_features=3 channels on axis 1, got shape \(2, 4, 5\); num_features is"):
        assert nn.InstanceNorm1d(3)(ones((2, 4, 5))).shape == (2, 4, 5)


def test_vmap_and_second_derivatives():
    x = jnp.asarray(drawn(2, 3, 4, 5).astype(np.float32))
    np.testing.assert_allclose(
        jax.vmap(F.instance_norm)(x), jnp.stack([F.instance_norm(each) for each in x]), atol=1e-6
    )
    double = torch.tensor(drawn(1, 2, 3), requires_grad=True)
    theirs = torch.autograd.functional.hessian(lambda x: (torch.nn.functional.instance_norm(x) ** 3).sum(), double)
    with jax.enable_x64(True):
        ours = jax.hessian(lambda x: (F.instance_norm(x) ** 3).sum())(jnp.asarray(double.detach().numpy()))
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


@given(
    shape=st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(0, 4), st.integers(1, 3)),
    mean=st.sampled_from([0.0, 1.0, -1e3]),
    affine=st.booleans(),
    stats=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_instance_norm(shape, mean, affine, stats, seed):
    """Outputs and the input's gradient are torch's, with the input's statistics and with given ones."""
    if (not stats and shape[2] * shape[3] == 1) or (affine and not shape[0]):
        return  # refused by both; an empty batch beside a weight by torch alone
    rng = np.random.default_rng(seed)
    x, channels = rng.normal(mean, 1.0, shape), shape[1]
    parameters = rng.normal(size=(2, channels)) if affine else (None, None)
    statistics = rng.uniform(0.5, 2.0, (2, channels)) if stats else (None, None)
    arguments = [*statistics, *parameters]
    tensor = torch.tensor(x, requires_grad=bool(x.size))
    expected = torch.nn.functional.instance_norm(
        tensor, *(None if a is None else torch.tensor(a) for a in arguments), use_input_stats=not stats
    )
    with jax.enable_x64(True):
        given_arrays = [None if a is None else jnp.asarray(a) for a in arguments]
        y, pullback = jax.vjp(lambda x: F.instance_norm(x, *given_arrays, use_input_stats=not stats), jnp.asarray(x))
        np.testing.assert_allclose(y, expected.detach(), rtol=1e-9, atol=1e-8)
        if x.size:
            direction = rng.normal(size=shape)
            expected.backward(torch.tensor(direction))
            np.testing.assert_allclose(pullback(jnp.asarray(direction))[0], tensor.grad, rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.InstanceNorm1d(3)(ones(3)), ValueError, r"input: expected 2 axes \(C, L\) or 3 axes \(N, C, L\)"),
        (lambda: nn.InstanceNorm2d(3)(ones((2, 3))), ValueError, r"input: expected 3 axes \(C, H, W\) or 4 axes"),
        (lambda: nn.InstanceNorm3d(3)(ones((2, 3, 4))), ValueError, r"input: expected 4 axes \(C, D, H, W\) or 5"),
        (
            lambda: nn.InstanceNorm1d(3, affine=True)(ones((2, 4, 5))),
            ValueError,
            "input: expected num_features=3 channels on axis 1",
        ),
        (
            lambda: nn.InstanceNorm1d(3, track_running_stats=True)(ones((4, 5))),
            ValueError,
            "input: expected num_features=3 channels on axis 0",
        ),
        (
            lambda: nn.InstanceNorm1d(3)(ones((2, 3, 1))),
            ValueError,
            "input: expected more than 1 value for each channel of a sample",
        ),
        (lambda: F.instance_norm(ones((2, 3))), ValueError, "input: expected more than 1 value for each channel"),
        (lambda: F.instance_norm(ones(3)), ValueError, r"input: expected at least 2 axes \(N, C, \*\)"),
        (lambda: F.instance_norm(ones((2, 3, 4), int)), TypeError, "input: expected a floating dtype, got int32"),
        (lambda: F.instance_norm(ones((2, 3, 4)), ones(3)), ValueError, "expected both or neither, got one of them"),
        (
            lambda: F.instance_norm(ones((2, 3, 4)), use_input_stats=False),
            ValueError,
            "running_mean, running_var: expected arrays without use_input_stats",
        ),
        (
            lambda: F.instance_norm(ones((2, 3, 4)), ones(2), ones(3)),
            ValueError,
            r"running_mean: expected shape \(3,\)",
        ),
        (lambda: F.instance_norm(ones((2, 3, 4)), weight=ones(2)), ValueError, r"weight: expected shape \(3,\)"),
        (lambda: nn.InstanceNorm1d(2.0), TypeError, "num_features: expected an int, got 2.0"),
        (lambda: nn.InstanceNorm1d(3, "a"), TypeError, "eps: expected a number, got 'a'"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
