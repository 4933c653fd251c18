"""The old forms of `weight_norm` and `spectral_norm`: torch's keys, numbers, gradients, buffers."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx

import jaxnets
import parity
from jaxnets import TorchRngs, nn
from jaxnets.nn.utils import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm

CASES = {
    "weight": ("Linear", (4, 3), (5, 4), "weight_norm", {}),
    "weight, dim 1": ("Conv2d", (4, 6, (3, 2)), (2, 4, 5, 5), "weight_norm", {"dim": 1}),
    "weight, whole": ("ConvTranspose1d", (4, 6, 3), (2, 4, 5), "weight_norm", {"dim": None}),
    "weight, recurrent": ("LSTM", (4, 3), (2, 5, 4), "weight_norm", {"name": "weight_hh_l0"}),
    "spectral": ("Linear", (4, 3), (5, 4), "spectral_norm", {}),
    "spectral, steps": ("Conv2d", (4, 6, (3, 2)), (2, 4, 5, 5), "spectral_norm", {"n_power_iterations": 3}),
    "spectral, transposed": ("ConvTranspose2d", (4, 6, (3, 2)), (2, 4, 5, 5), "spectral_norm", {"eps": 0.1}),
    "spectral, dim": ("Conv1d", (4, 6, 3), (2, 4, 5), "spectral_norm", {"dim": 2}),
    "spectral, embedding": ("Embedding", (7, 4), None, "spectral_norm", {}),
}
pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")


def pair(case: str, seed: int = 3):
    layer, arguments, shape, function, options = CASES[case]
    torch.manual_seed(seed)
    theirs = torch.nn.ModuleList([getattr(torch.nn, layer)(*arguments, dtype=torch.float64)])
    getattr(torch.nn.utils, function)(theirs[0], **options)
    rngs = TorchRngs(seed)
    ours = nn.ModuleList([getattr(nn, layer)(*arguments, dtype=jnp.float64, rngs=rngs)])
    random = {} if function == "weight_norm" else {"rngs": rngs}
    assert getattr(nn.utils, function)(ours[0], **options, **random) is ours[0]
    x = torch.tensor([[1, 6, 1]]) if shape is None else torch.randn(shape, dtype=torch.float64)
    return theirs, ours, x


def first(tree):
    return tree[0] if isinstance(tree, tuple) else tree


@pytest.mark.parametrize("case", CASES)
def test_parity(case):
    with jax.enable_x64(True):
        theirs, ours, x = pair(case)
        state = jaxnets.state_dict(ours)
        assert list(state) == list(theirs.state_dict())
        for name, array in theirs.state_dict().items():
            np.testing.assert_allclose(state[name], array, rtol=0, atol=1e-12)
        there = jnp.asarray(x.numpy())
        for train in (True, True, False):  # torch's own hooks do not survive a copy, so parity.compare cannot be used
            theirs.train(train)
            _ = ours.train() if train else ours.eval()
            theirs.zero_grad()
            result = first(theirs[0](x))
            direction = torch.randn(result.shape, dtype=torch.float64)
            (result * direction).sum().backward()

            def loss(model, there, direction):
                result = first(model[0](there))
                return (result * direction).sum(), result

            arguments = ours, there, jnp.asarray(direction.numpy())
            gradients, output = nnx.jit(nnx.grad(loss, has_aux=True))(*arguments)
            np.testing.assert_allclose(output, result.detach(), rtol=1e-12, atol=1e-12)
            held = jaxnets.state_dict(ours)
            for name, array in theirs.state_dict().items():
                np.testing.assert_allclose(held[name], array, rtol=1e-12, atol=1e-12)
            ours_too = {path[1]: x.get_value() for path, x in nnx.to_flat_state(gradients)}
            for name, parameter in theirs[0].named_parameters():
                np.testing.assert_allclose(ours_too[name], parameter.grad, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("case", ["weight", "spectral"])
def test_transformations_and_removal(case):
    with jax.enable_x64(True):
        theirs, ours, x = pair(case)
        there = jnp.asarray(x.numpy())
        theirs.eval(), ours.eval()
        expected = ours[0](there)
        for other in (nnx.merge(*nnx.split(ours)), nnx.clone(ours), copy.deepcopy(ours)):
            np.testing.assert_array_equal(other[0](there), expected)
        assert type(ours[0]).__name__ == "Linear"
        function = CASES[case][3]
        assert getattr(nn.utils, "remove_" + function)(ours[0]) is ours[0]
        getattr(torch.nn.utils, "remove_" + function)(theirs[0])
        assert type(ours[0]) is nn.Linear
        assert list(jaxnets.state_dict(ours)) == list(theirs.state_dict()) == ["0.bias", "0.weight"]
        np.testing.assert_allclose(ours[0](there), expected, rtol=1e-12)
        assert parity.compare(theirs[0], ours[0], (x,)).first_divergence is None
        assert jax.tree.structure(ours[0]) == jax.tree.structure(ours[0])
        assert not hasattr(ours[0], "use_running_average")


def test_a_power_iteration_for_each_call_in_training_only():
    layer = spectral_norm(nn.Linear(4, 3, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    u = layer.weight_u[...]
    assert layer.weight.shape == (3, 4)
    np.testing.assert_array_equal(layer.weight_u[...], u)
    layer(jnp.ones(4))
    assert (layer.weight_u[...] != u).any()
    layer.eval()
    u = layer.weight_u[...]
    layer(jnp.ones(4))
    np.testing.assert_array_equal(layer.weight_u[...], u)
    assert not nnx.view(layer, use_running_average=False).use_running_average


def test_training():
    layer = weight_norm(nn.Linear(4, 3, rngs=nnx.Rngs(0)))
    optimizer = nnx.Optimizer(layer, optax.sgd(0.1), wrt=nnx.Param)
    before = jaxnets.state_dict(nnx.clone(layer))
    optimizer.update(layer, nnx.grad(lambda m: jnp.square(m(jnp.arange(4.0))).sum())(layer))
    assert all((before[name] != array).any() for name, array in jaxnets.state_dict(layer).items())


def test_checkpoints_from_before_torch_1_1():
    torch.manual_seed(0)
    theirs = torch.nn.utils.spectral_norm(torch.nn.Linear(4, 3))
    theirs(torch.randn(2, 4))
    theirs.eval()
    x = torch.randn(2, 4)
    expected = theirs(x).detach()
    state = {name: array for name, array in theirs.state_dict().items() if name != "weight_v"}
    state["weight"] = theirs.weight.detach()
    ours = spectral_norm(nn.Linear(4, 3, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0))
    assert jaxnets.load_state_dict(ours, state) == ([], [])
    ours.eval()
    np.testing.assert_allclose(ours(jnp.asarray(x.numpy())), expected, rtol=1e-4, atol=1e-5)


def linear():
    return nn.Linear(3, 3, rngs=nnx.Rngs(0))


ERRORS = {
    "no module": (lambda: weight_norm(3), TypeError, "module: expected a flax.nnx.Module, got int"),
    "no name": (lambda: weight_norm(linear(), "wait"), ValueError, r"name: expected a parameter .* got 'wait'"),
    "twice": (lambda: weight_norm(weight_norm(linear())), ValueError, "without weight_norm, but 'weight' has one"),
    "dim": (lambda: weight_norm(linear(), dim=2), ValueError, "dim: expected an axis of an array of shape"),
    "none there": (lambda: remove_weight_norm(linear()), ValueError, "with weight_norm, got 'weight'"),
    "assignment": (
        lambda: setattr(weight_norm(linear()), "weight", jnp.ones((3, 3))),
        AttributeError,
        "weight: expected no assignment, since WeightNorm computes it",
    ),
    "spectral twice": (
        lambda: spectral_norm(spectral_norm(linear(), rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0)),
        ValueError,
        "without spectral_norm, but 'weight' has one",
    ),
    "spectral bias": (
        lambda: spectral_norm(nn.Linear(3, 3, bias=False, rngs=nnx.Rngs(0)), "bias", rngs=nnx.Rngs(0)),
        ValueError,
        r"name: expected a parameter or buffer of Linear \(weight\), got 'bias'",
    ),
    "spectral steps": (
        lambda: spectral_norm(linear(), n_power_iterations=0, rngs=nnx.Rngs(0)),
        ValueError,
        "n_power_iterations: expected an int of at least 1, got 0",
    ),
    "spectral none": (lambda: remove_spectral_norm(linear()), ValueError, "with spectral_norm, got 'weight'"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    call, error, message = ERRORS[name]
    with pytest.raises(error, match=message):
        call()
