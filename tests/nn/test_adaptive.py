"""Adaptive softmax: state, the other two methods, what may not reach a gradient, refusals, random layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxnets
from jaxnets import nn


def rngs():
    return nnx.Rngs(0)


def pair(*arguments, **settings):
    """torch's layer and ours with its weights, in float64; call under `jax.enable_x64`."""
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(*arguments, **settings).double()
    ours = nn.AdaptiveLogSoftmaxWithLoss(*arguments, **settings, dtype=jnp.float64, rngs=rngs())
    jaxnets.load_state_dict(ours, theirs.state_dict())
    return theirs, ours


def test_state_and_attributes():
    arguments = (8, 20, [4, 10, 15], 2.0, True)
    ours, theirs = (
        nn.AdaptiveLogSoftmaxWithLoss(*arguments, rngs=rngs()),
        torch.nn.AdaptiveLogSoftmaxWithLoss(*arguments),
    )
    found = {name: x.shape for name, x in jaxnets.state_dict(ours).items()}
    assert list(found.items()) == [(name, tuple(x.shape)) for name, x in theirs.state_dict().items()]
    for name in ("in_features", "n_classes", "div_value", "head_bias", "shortlist_size", "n_clusters", "head_size"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert list(ours.cutoffs) == theirs.cutoffs
    output = ours(jnp.ones((3, 8)), jnp.array([0, 5, 19]))
    assert output._fields == ("output", "loss")
    assert output.loss == -output.output.mean()


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.data())
def test_random_layers(data):
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    cutoffs = data.draw(st.sampled_from([[3], [1, 5, 11]]))
    with jax.enable_x64(True):
        theirs, ours = pair(8, 12, cutoffs, 2.0, data.draw(st.booleans()))
        x = torch.randn(6, 8, dtype=torch.float64) * data.draw(st.sampled_from([1, 30]))
        low, high = data.draw(st.sampled_from([(0, 12), (0, cutoffs[0]), (cutoffs[0], 12)]))
        target = torch.randint(low, high, (6,))
        inputs = jnp.asarray(x.numpy()), jnp.asarray(target.numpy())
        x.requires_grad_(True)
        wanted = theirs(x, target)
        wanted.loss.backward()

        @nnx.jit
        def run(layer, x, target):
            result, slopes = (
                layer(x, target),
                nnx.grad(lambda layer, x: layer(x, target).loss, argnums=(0, 1))(layer, x),
            )
            return result, slopes, layer.log_prob(x), layer.predict(x)

        result, (mine, slope), everything, likely = run(ours, *inputs)
        np.testing.assert_allclose(result.output, wanted.output.detach(), rtol=1e-11)
        np.testing.assert_allclose(result.loss, wanted.loss.detach(), rtol=1e-11)
        np.testing.assert_allclose(slope, x.grad, rtol=1e-10, atol=1e-13)
        found = jaxnets.state_dict(nnx.merge(nnx.graphdef(ours), mine))
        for name, parameter in theirs.named_parameters():
            expected = np.zeros(parameter.shape) if parameter.grad is None else parameter.grad
            np.testing.assert_allclose(found[name], expected, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(everything, theirs.log_prob(x).detach(), rtol=1e-11, atol=1e-12)
        assert likely.tolist() == theirs.predict(x).tolist()


def test_a_sample_reaches_its_own_cluster_alone():
    with jax.enable_x64(True):
        layer = pair(8, 12, [3, 7], 2.0)[1]
        x, target = jnp.ones((2, 8)).at[0].set(jnp.inf), jnp.array([8, 4])
        slopes = jaxnets.state_dict(nnx.merge(nnx.graphdef(layer), nnx.grad(lambda m: m(x, target).output[1])(layer)))
        assert all(np.isfinite(slopes[f"tail.0.{i}.weight"]).all() for i in range(2))
        assert np.isfinite(layer(x, target).output).tolist() == [False, True]


def test_no_batch_and_traced_classes_out_of_range():
    layer = nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 7], rngs=rngs())
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32))
    target = jnp.array([-1, 5, 12])
    output = nnx.jit(lambda layer, target: layer(x, target))(layer, target).output
    assert np.isnan(output).tolist() == [True, False, True]
    one = layer(x[1], target[1])
    assert one.output.shape == one.loss.shape == ()
    np.testing.assert_allclose(one.output, output[1], rtol=1e-6)
    mapped = nnx.vmap(lambda layer, x, t: layer(x, t).output, in_axes=(None, 0, 0))(layer, x, jnp.array([1, 5, 9]))
    np.testing.assert_allclose(mapped[1], output[1], rtol=1e-6)


def layer():
    return nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 7], rngs=rngs())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        *(
            (
                lambda cutoffs=cutoffs: nn.AdaptiveLogSoftmaxWithLoss(8, 12, cutoffs, rngs=rngs()),
                ValueError,
                "cutoffs: expected increasing ints from 1 to n_classes - 1 = 11",
            )
            for cutoffs in ([], [0, 3], [3, 3], [5, 3], [3, 12])
        ),
        (
            lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 12, 3, rngs=rngs()),
            TypeError,
            "cutoffs: expected a sequence of ints",
        ),
        (
            lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 12, [1.5], rngs=rngs()),
            TypeError,
            "cutoffs: expected an int, got 1.5",
        ),
        (
            lambda: layer()(jnp.ones((2, 8)), jnp.array([1])),
            ValueError,
            "target: expected 2 classes, one for each sample",
        ),
        (
            lambda: layer()(jnp.ones(8), jnp.array([1])),
            ValueError,
            r"input: expected 2 axes \(N, in_features\), got 1 axes",
        ),
        (lambda: layer()(jnp.ones((2, 8)), jnp.array(1)), ValueError, r"input: expected 1 axes \(in_features,\)"),
        (lambda: layer()(jnp.ones((1, 8)), jnp.array([[1]])), ValueError, r"target: expected 0 axes \(\) or 1 axes"),
        (
            lambda: layer()(jnp.ones((1, 8)), jnp.array([12])),
            ValueError,
            "target: expected classes from 0 to 11, got 12",
        ),
        (
            lambda: layer()(jnp.ones((1, 8)), jnp.array([1.0])),
            TypeError,
            "target: expected classes of an integer dtype",
        ),
        (
            lambda: layer()(jnp.ones((1, 7)), jnp.array([1])),
            ValueError,
            "input: expected the last axis to have in_features=8",
        ),
        (lambda: layer().log_prob(jnp.ones(8)), ValueError, r"input: expected 2 axes \(N, in_features\)"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
