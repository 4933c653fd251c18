"""`nn.utils.parametrize` and `parametrizations`: torch's state, numbers, gradients, buffers."""

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
from jaxnets.nn.utils import parametrizations, parametrize

P, TP = parametrizations, torch.nn.utils.parametrizations
CASES = {
    "weight_norm": ("Linear", (4, 3), (5, 4), "weight_norm", {}),
    "weight_norm, dim 1": ("Conv2d", (4, 6, (3, 2)), (2, 4, 5, 5), "weight_norm", {"dim": 1}),
    "weight_norm, last dim": ("Conv1d", (4, 6, 3), (2, 4, 5), "weight_norm", {"dim": -2}),
    "weight_norm, whole": ("ConvTranspose1d", (4, 6, 3), (2, 4, 5), "weight_norm", {"dim": None}),
    "weight_norm, bias": ("Linear", (4, 3), (5, 4), "weight_norm", {"name": "bias"}),
    "spectral_norm": ("Linear", (4, 3), (5, 4), "spectral_norm", {}),
    "spectral_norm, steps": ("Conv2d", (4, 6, (3, 2)), (2, 4, 5, 5), "spectral_norm", {"n_power_iterations": 3}),
    "spectral_norm, transposed": ("ConvTranspose2d", (4, 6, (3, 2)), (2, 4, 5, 5), "spectral_norm", {}),
    "spectral_norm, dim": ("Conv1d", (4, 6, 3), (2, 4, 5), "spectral_norm", {"dim": -1, "eps": 0.5}),
    "spectral_norm, vector": ("Linear", (4, 3), (5, 4), "spectral_norm", {"name": "bias"}),
    "orthogonal, square": ("Linear", (4, 4), (5, 4), "orthogonal", {}),
    "orthogonal, tall": ("Linear", (3, 5), (5, 3), "orthogonal", {}),
    "orthogonal, wide": ("Linear", (5, 3), (5, 5), "orthogonal", {}),
    "orthogonal, cayley": ("Linear", (5, 3), (5, 5), "orthogonal", {"orthogonal_map": "cayley"}),
    "orthogonal, cayley, no base": (
        "Linear",
        (3, 5),
        (5, 3),
        "orthogonal",
        {"orthogonal_map": "cayley", "use_trivialization": False},
    ),
    "orthogonal, no base": ("Linear", (3, 5), (5, 3), "orthogonal", {"use_trivialization": False}),
    "orthogonal, no base, wide": ("Linear", (5, 3), (5, 5), "orthogonal", {"use_trivialization": False}),
    "orthogonal, matrices": ("Conv1d", (4, 6, 3), (2, 4, 5), "orthogonal", {"orthogonal_map": "householder"}),
}


def pair(case: str, seed: int = 3):
    """The same layer, parametrized in torch and here, from the same seed: a list of one, and its input."""
    layer, arguments, shape, function, options = CASES[case]
    torch.manual_seed(seed)
    theirs = torch.nn.Sequential(getattr(torch.nn, layer)(*arguments, dtype=torch.float64))
    getattr(TP, function)(theirs[0], **options)
    rngs = TorchRngs(seed)
    ours = nn.Sequential(getattr(nn, layer)(*arguments, dtype=jnp.float64, rngs=rngs))
    random = {} if function == "weight_norm" else {"rngs": rngs}
    assert getattr(P, function)(ours[0], **options, **random) is ours[0]
    return theirs, ours, torch.randn(shape, dtype=torch.float64)


@pytest.mark.parametrize("case", CASES)
def test_parity(case):
    with jax.enable_x64(True):
        theirs, ours, x = pair(case)
        state = jaxnets.state_dict(ours)
        assert list(state) == list(theirs.state_dict())
        for name, array in theirs.state_dict().items():  # the same draws, the same first steps
            np.testing.assert_allclose(state[name], array, rtol=0, atol=1e-12)
        with torch.no_grad():  # away from where the parametrization starts
            for name, array in theirs.named_parameters():
                if "original" in name and "orthogonal" in case:
                    array += torch.randn_like(array).tril(-1)
        for train in (True, False) if "spectral" in case else (False,):
            jaxnets.load_state_dict(ours, theirs.state_dict())
            report = parity.compare(theirs, ours, (x,), train=train, jit=train)
            assert report.ok, report
            for _ in range(2):  # moves what has a state
                theirs(x), ours(jnp.asarray(x.numpy()))
            for name, array in theirs.state_dict().items():
                np.testing.assert_allclose(jaxnets.state_dict(ours)[name], array, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", ["weight_norm", "spectral_norm"])
def test_transformations(case):
    with jax.enable_x64(True):
        _, ours, x = pair(case)
        ours.eval()
        x = jnp.asarray(x.numpy())
        expected = ours(x)
        for other in (nnx.merge(*nnx.split(ours)), nnx.clone(ours), copy.deepcopy(ours)):
            np.testing.assert_array_equal(other(x), expected)
            assert type(other[0]) is type(ours[0])
        np.testing.assert_allclose(nnx.jit(lambda m, x: m(x))(ours, x), expected)
        np.testing.assert_allclose(jax.jit(lambda m, x: m(x))(ours, x), expected)
        shapes = nnx.eval_shape(lambda: ours)
        assert list(jaxnets.state_dict(shapes)) == list(jaxnets.state_dict(ours))


def test_training_moves_the_originals_and_the_power_iteration():
    ours = P.spectral_norm(nn.Linear(4, 3, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    ours.parametrizations.weight[0]._v[...] = jnp.ones(4)
    optimizer = nnx.Optimizer(ours, optax.sgd(0.1), wrt=nnx.Param)
    before = jaxnets.state_dict(nnx.clone(ours))

    @nnx.jit
    def step(model, optimizer, x):
        gradients = nnx.grad(lambda m: jnp.square(m(x)).sum())(model)
        optimizer.update(model, gradients)

    step(ours, optimizer, jnp.ones((2, 4)))
    after = jaxnets.state_dict(ours)
    assert all((before[name] != after[name]).any() for name in before)
    assert set(before) == {"bias", *(f"parametrizations.weight.{n}" for n in ("original", "0._u", "0._v"))}


class Symmetric(nnx.Module):
    def __call__(self, x):
        return jnp.triu(x) + jnp.triu(x, 1).T

    def right_inverse(self, value):
        return jnp.triu(value)


class Scaled(nnx.Module):
    def __init__(self):
        self.scale = nnx.Param(jnp.array(2.0))

    def __call__(self, x):
        return x * self.scale[...]


class RankOne(nnx.Module):
    def __call__(self, x, y):
        return x[:, None] * y[None]

    def right_inverse(self, value):
        u, s, v = jnp.linalg.svd(value, full_matrices=False)
        return u[:, 0] * s[0] ** 0.5, v[0] * s[0] ** 0.5


def linear():
    return nn.Linear(3, 3, rngs=nnx.Rngs(0))


def test_ones_own_parametrizations():
    layer = linear()
    first = layer.weight[...]
    parametrize.register_parametrization(layer, "weight", Symmetric())
    np.testing.assert_array_equal(layer.weight[...], jnp.triu(first) + jnp.triu(first, 1).T)
    parametrize.register_parametrization(layer, "weight", Scaled())
    np.testing.assert_array_equal(layer.weight[...], 2 * (jnp.triu(first) + jnp.triu(first, 1).T))
    assert list(jaxnets.state_dict(layer)) == [
        "bias",
        "parametrizations.weight.original",
        "parametrizations.weight.1.scale",
    ]
    assert isinstance(layer, nn.Linear)
    assert type(layer).__name__ == "ParametrizedLinear"
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    assert parametrize.is_parametrized(layer)
    assert parametrize.is_parametrized(layer, "weight")
    assert not parametrize.is_parametrized(layer, "bias")
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear
    assert list(jaxnets.state_dict(layer)) == ["bias", "weight"]  # torch's order, too
    np.testing.assert_array_equal(layer.weight[...], 2 * (jnp.triu(first) + jnp.triu(first, 1).T))


def test_assignment_goes_to_the_originals():
    layer = parametrize.register_parametrization(linear(), "weight", Symmetric())
    value = jnp.arange(9.0).reshape(3, 3)
    layer.weight = value
    np.testing.assert_array_equal(layer.parametrizations.weight.original[...], jnp.triu(value))
    layer.weight[...] = value + 1
    np.testing.assert_array_equal(layer.parametrizations.weight.original[...], jnp.triu(value + 1))
    layer.weight[0, 0] = 7.0
    assert layer.parametrizations.weight.original[0, 0] == 7
    layer = parametrize.register_parametrization(linear(), "weight", RankOne())
    layer.weight = jnp.outer(jnp.arange(3.0), jnp.ones(3))
    np.testing.assert_allclose(layer.weight[...], jnp.outer(jnp.arange(3.0), jnp.ones(3)), atol=1e-6)
    q = jnp.linalg.qr(jax.random.normal(jax.random.key(0), (5, 3)))[0]
    layer = P.orthogonal(nn.Linear(3, 5, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0))
    layer.weight = q
    np.testing.assert_allclose(layer.weight[...], q, atol=1e-6)


def test_several_originals():
    layer = parametrize.register_parametrization(linear(), "weight", RankOne())
    assert list(jaxnets.state_dict(layer))[1:] == [f"parametrizations.weight.original{i}" for i in range(2)]
    with pytest.raises(ValueError, match="leave_parametrized: expected True, since 'weight' is computed from 2 arrays"):
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    value = layer.weight[...]
    np.testing.assert_array_equal(parametrize.remove_parametrizations(layer, "weight").weight[...], value)


def test_removal_without_the_parametrization():
    layer = parametrize.register_parametrization(linear(), "weight", Scaled())
    original = layer.parametrizations.weight.original
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    assert layer.weight is original


def test_two_attributes():
    layer = P.weight_norm(P.weight_norm(linear()), "bias")
    assert set(layer.parametrizations) == {"weight", "bias"}
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer).__name__ == "ParametrizedLinear"
    parametrize.remove_parametrizations(layer, "bias")
    assert type(layer) is nn.Linear


def test_transfer():
    one, two = parametrize.register_parametrization(linear(), "weight", Scaled()), nn.Linear(3, 3, rngs=nnx.Rngs(1))
    value = two.weight[...]
    assert parametrize.transfer_parametrizations_and_params(one, two) is two
    np.testing.assert_array_equal(two.weight[...], 2 * value)
    assert two.parametrizations.weight[0] is one.parametrizations.weight[0]


def test_cache():
    layer = P.spectral_norm(linear(), rngs=nnx.Rngs(0))

    def steps(n):
        for _ in range(n):
            layer(jnp.ones((1, 3)))
        return layer.parametrizations.weight[0]._u[...]

    once = nnx.clone(layer)
    once(jnp.ones((1, 3)))
    with parametrize.cached():
        many = steps(5)
    np.testing.assert_array_equal(many, once.parametrizations.weight[0]._u[...])
    assert (steps(1) != many).any()
    layer.eval()
    with parametrize.cached():  # no tracer gets out
        inside = jax.jit(lambda: layer.weight[...])()
        np.testing.assert_allclose(inside, layer.weight[...], rtol=1e-6)
    layer = parametrize.register_parametrization(linear(), "weight", Symmetric())
    with parametrize.cached():
        before = layer.weight[...]
        layer.weight = before + 1
        assert (layer.weight[...] != before).any()


def test_checkpoints_of_the_old_form():
    torch.manual_seed(0)
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2))
    with pytest.warns(FutureWarning):
        torch.nn.utils.weight_norm(theirs[1])
    ours = nn.Sequential(nn.Linear(4, 3, rngs=nnx.Rngs(0)), nn.Linear(3, 2, rngs=nnx.Rngs(0)))
    P.weight_norm(ours[1])
    state = theirs.state_dict()
    names = list(state)
    assert jaxnets.load_state_dict(ours, state) == ([], [])
    assert list(state) == names
    x = torch.randn(2, 4)
    np.testing.assert_allclose(ours(jnp.asarray(x.numpy())), theirs(x).detach(), rtol=1e-6, atol=1e-6)


def test_the_mode_of_the_host_is_taken_over():
    norm = nn.BatchNorm1d(3)
    norm.eval()
    P.spectral_norm(norm, rngs=nnx.Rngs(0))
    assert norm.parametrizations.weight[0].use_running_average


def wrong(shape=(2, 2), dtype=jnp.float32, inverse=None):
    class Wrong(nnx.Module):
        def __call__(self, x):
            return jnp.zeros(shape, dtype)

    if inverse is not None:
        Wrong.right_inverse = lambda self, x: inverse
    return Wrong()


REGISTER = parametrize.register_parametrization
ERRORS = {
    "no module": (lambda: REGISTER(3, "weight", Scaled()), TypeError, "module: expected a flax.nnx.Module, got int"),
    "no parametrization": (lambda: REGISTER(linear(), "weight", jnp.exp), TypeError, "parametrization: expected"),
    "no such name": (lambda: REGISTER(linear(), "wait", Scaled()), ValueError, r"name: expected .* \(weight, bias\)"),
    "shape": (
        lambda: REGISTER(linear(), "weight", wrong()),
        ValueError,
        r"expected the shape .* \(3, 3\), got \(2, 2\)",
    ),
    "dtype": (
        lambda: REGISTER(linear(), "weight", wrong((3, 3), jnp.int32)),
        ValueError,
        "expected the dtype .* float32, got int32",
    ),
    "inverse dtype": (
        lambda: REGISTER(linear(), "weight", wrong(inverse=jnp.zeros(3, jnp.int32))),
        ValueError,
        "right_inverse: expected the dtype .* float32, got int32",
    ),
    "inverse is no array": (
        lambda: REGISTER(linear(), "weight", wrong(inverse=3)),
        ValueError,
        "right_inverse: expected an array, got int",
    ),
    "second": (
        lambda: REGISTER(REGISTER(linear(), "weight", Scaled()), "weight", wrong()),
        ValueError,
        "parametrization: expected the shape",
    ),
    "not parametrized": (
        lambda: parametrize.remove_parametrizations(linear(), "weight"),
        ValueError,
        "tensor_name: expected a parametrized attribute of Linear, got 'weight'",
    ),
    "no inverse": (
        lambda: setattr(REGISTER(linear(), "weight", Scaled()), "weight", jnp.ones((3, 3))),
        TypeError,
        "Scaled: expected a method right_inverse",
    ),
    "empty list": (lambda: parametrize.ParametrizationList([], nnx.Param(jnp.ones(2))), ValueError, "at least one"),
    "spectral dim": (
        lambda: P.spectral_norm(linear(), dim=2, rngs=nnx.Rngs(0)),
        ValueError,
        r"dim: expected an axis of an array of shape \(3, 3\), got 2",
    ),
    "spectral steps": (
        lambda: P.spectral_norm(linear(), n_power_iterations=0, rngs=nnx.Rngs(0)),
        ValueError,
        "n_power_iterations: expected an int of at least 1, got 0",
    ),
    "spectral rngs": (lambda: P.spectral_norm(linear()), TypeError, "rngs: expected flax.nnx.Rngs, got NoneType"),
    "weight dim": (lambda: P.weight_norm(linear(), dim=5), ValueError, "dim: expected an axis"),
    "orthogonal vector": (lambda: P.orthogonal(linear(), "bias"), ValueError, r"'bias' has shape \(3,\)"),
    "orthogonal map": (
        lambda: P.orthogonal(linear(), orthogonal_map="qr"),
        ValueError,
        "orthogonal_map: expected one of 'matrix_exp', 'cayley', 'householder', got 'qr'",
    ),
    "orthogonal complex": (
        lambda: P.orthogonal(nn.Linear(3, 3, dtype=jnp.complex64, rngs=nnx.Rngs(0)), orthogonal_map="householder"),
        ValueError,
        "expected 'matrix_exp' or 'cayley' for complex64",
    ),
    "orthogonal rngs": (lambda: P.orthogonal(nn.Linear(3, 4, rngs=nnx.Rngs(0))), TypeError, "rngs: expected"),
    "orthogonal value": (
        lambda: setattr(P.orthogonal(linear()), "weight", jnp.ones((3, 4))),
        ValueError,
        r"value: expected a matrix or matrices of shape \(3, 3\), got shape \(3, 4\)",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    call, error, message = ERRORS[name]
    with pytest.raises(error, match=message):
        call()
