"""Piecewise activations: kinks, NaN, slopes that are drawn or learned, integers, refusals."""

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

# every kink of every function, both zeros, infinities; few enough that torch does not vectorise (see NaN)
SPECIAL = [0.0, -0.0, np.nan, 1.0, -1.0, np.inf, -np.inf, 3.0, -3.0, 6.0, 0.5, -0.5]
KINDS = {
    "relu": (),
    "relu6": (),
    "leaky_relu": (-0.25,),
    "rrelu": (),
    "hardtanh": (-0.5, 3.0),
    "hardshrink": (),
    "softshrink": (),
    "threshold": (0.5, -2.0),
    "hardsigmoid": (),
    "hardswish": (),
}


def floats(low=None, high=None):
    """XLA takes subnormal numbers for 0."""
    return st.floats(low, high, width=32, allow_subnormal=False)


SETTINGS = {
    "relu": st.just(()),
    "relu6": st.just(()),
    "leaky_relu": st.tuples(floats(-2, 2)),
    "rrelu": st.tuples(floats(-2, 0), floats(0, 2)),
    "hardtanh": st.tuples(floats(-3, 0), floats(0, 3)),
    "hardshrink": st.tuples(floats(-2, 4)),
    "softshrink": st.tuples(floats(0, 4)),
    "threshold": st.tuples(floats(-3, 3), floats(-30, 30)),
    "hardsigmoid": st.just(()),
    "hardswish": st.just(()),
}


def test_relu_sets_negatives_to_zero():
    """Seed system E5."""
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    assert np.array_equal(nn.ReLU()(x), np.where(x > 0, x, 0))


def of_single_numbers(name, values, arguments):
    """torch's numbers and derivatives, one number at a time: its vectorised loops disagree with it about NaN."""
    function = getattr(torch.nn.functional, name)
    outputs, gradients = [], []
    for value in values:
        x = torch.tensor(value, requires_grad=True)
        y = function(x, *arguments)
        outputs.append(y.item())
        gradients.append(torch.autograd.grad(y, x)[0].item())
    return np.float32(outputs), np.float32(gradients)


@pytest.mark.parametrize("name", KINDS)
def test_special_numbers_and_their_gradients(name):
    expected, gradient = of_single_numbers(name, SPECIAL, KINDS[name])
    ours, pull = jax.vjp(lambda x: getattr(F, name)(x, *KINDS[name]), jnp.array(SPECIAL))
    np.testing.assert_allclose(ours, expected, rtol=1.3e-6, atol=1e-6)
    np.testing.assert_allclose(pull(jnp.ones(len(SPECIAL)))[0], gradient, rtol=1.3e-6, atol=1e-6)
    assert np.array_equal(np.signbit(ours), np.signbit(expected)) or name == "softshrink"


@pytest.mark.parametrize("name", KINDS)
def test_no_infinite_gradient_enters_where_the_derivative_is_zero(name):
    values = np.float32([-100.0, -4.0, -1.0, -0.2, 0.0, 0.2, 1.0, 4.0, 100.0])
    x = torch.tensor(values, requires_grad=True)
    y = getattr(torch.nn.functional, name)(x, *KINDS[name])
    (expected,) = torch.autograd.grad(y, x, torch.full_like(y, math.inf))
    _, pull = jax.vjp(lambda x: getattr(F, name)(x, *KINDS[name]), jnp.array(values))
    np.testing.assert_array_equal(pull(jnp.full(len(values), jnp.inf))[0], expected)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.data())
def test_torch_agrees_on_any_numbers(data):
    name = data.draw(st.sampled_from(sorted(SETTINGS)))
    arguments = data.draw(SETTINGS[name])
    number = floats() | st.sampled_from([0.0, -3.0, 3.0, 6.0, *arguments])
    values = np.float32(data.draw(st.lists(number, min_size=4, max_size=4)))
    expected, gradient = of_single_numbers(name, values.tolist(), arguments)
    ours, pull = jax.vjp(lambda x: getattr(F, name)(x, *arguments), jnp.array(values))
    np.testing.assert_allclose(ours, expected, rtol=1.3e-6, atol=1e-5)
    np.testing.assert_allclose(pull(jnp.ones(len(values)))[0], gradient, rtol=1.3e-6, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("hardshrink", (0.3,)), ("softshrink", (0.3,)), ("threshold", (0.3, 9.0)), ("hardtanh", (-1.0, 0.3))],
)
def test_half_precision_compares_as_torch_does(name, arguments):
    """hardshrink rounds its bound to the dtype, threshold and the others do not."""
    near = torch.tensor([0.298828125, 0.30078125, 0.302734375], dtype=torch.bfloat16, requires_grad=True)
    y = getattr(torch.nn.functional, name)(near, *arguments)
    (expected,) = torch.autograd.grad(y.sum(), near)
    x = jnp.asarray(near.detach().float().numpy(), jnp.bfloat16)
    ours, pull = jax.vjp(lambda x: getattr(F, name)(x, *arguments), x)
    assert ours.tolist() == y.tolist()
    assert pull(jnp.ones_like(ours))[0].tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("name", "arguments", "dtype"),
    [
        ("relu", (), "uint8"),
        ("relu6", (), "int8"),
        ("hardtanh", (-1.7, 1.7), "int32"),
        ("hardtanh", (-0.5, 100.7), "uint8"),
        ("threshold", (-0.5, -1.5), "int32"),
        ("threshold", (-1, 4), "uint8"),
    ],
)
def test_integers(name, arguments, dtype):
    x = np.array([3, 120, 0, 2, 1], dtype)
    expected = getattr(torch.nn.functional, name)(torch.tensor(x), *arguments)
    ours = getattr(F, name)(x, *arguments)
    assert ours.dtype == dtype
    assert ours.tolist() == expected.tolist()


def test_random_slopes_are_uniform():
    """Kolmogorov and Smirnov's statistic of 10,000 slopes; beyond 3.2 / sqrt(n) once in 400 million seeds."""
    n, lower, upper = 10_000, 0.2, 0.9
    layer = nn.RReLU(lower, upper, rngs=nnx.Rngs(0))
    slopes = np.sort(-np.asarray(layer(jnp.full(n, -1.0))))
    assert lower <= slopes[0] < slopes[-1] < upper
    distance = np.abs((slopes - lower) / (upper - lower) - (np.arange(n) + 0.5) / n).max()
    assert distance < 3.2 / math.sqrt(n)


def test_slopes_are_drawn_for_each_element_and_call():
    layer, x = nn.RReLU(rngs=nnx.Rngs(0)), jnp.full((20, 30), -1.0)
    first, second = layer(x), layer(x)
    assert len(np.unique(first)) > 590
    assert not np.array_equal(first, second)
    assert np.array_equal(layer(x, rngs=nnx.Rngs(7)), nn.RReLU()(x, rngs=nnx.Rngs(7)))
    forward = nnx.jit(lambda layer, x: layer(x))
    assert not np.array_equal(forward(layer, x), forward(layer, x))
    assert np.array_equal(layer(-x), -x), "numbers above 0 are left alone"
    layer.eval()
    np.testing.assert_allclose(layer(x), x * (1 / 8 + 1 / 3) / 2, rtol=1e-6)
    assert nnx.view(nn.RReLU(rngs=nnx.Rngs(0)), deterministic=True)(x)[0, 0] == layer(x)[0, 0]


def test_the_gradient_of_a_random_slope_is_the_slope():
    x, key = jnp.array([-1.0, -2.0, 0.0, 3.0]), jax.random.key(0)
    y, pull = jax.vjp(lambda x: F.rrelu(x, training=True, key=key), x)
    slopes = pull(jnp.ones(4))[0]
    np.testing.assert_allclose(slopes * x, y, rtol=1e-6)
    assert 1 / 8 <= slopes[2] <= 1 / 3, "the kink is below"
    assert F.rrelu(jnp.ones(0), training=True).shape == (0,), "nothing to draw for"


def test_learned_slopes():
    layer = nn.PReLU(3, init=0.5, dtype=jnp.bfloat16)
    assert layer.weight[...].dtype == jnp.bfloat16
    assert layer.weight[...].tolist() == [0.5] * 3
    assert (layer.num_parameters, layer.init) == (3, 0.5)
    abstract = nnx.eval_shape(lambda: nn.PReLU(3, rngs=nnx.Rngs(0)))
    assert abstract.weight.shape == (3,)
    # an infinite number above 0 leaves the slope's gradient alone
    gradient = jax.grad(lambda w: F.prelu(jnp.array([jnp.inf, -2.0]), w).sum())(jnp.array([0.5]))
    assert gradient.tolist() == [-2.0]


def test_hardtanh_s_deprecated_names():
    with pytest.warns(
        FutureWarning, match="keyword argument `min_value` is deprecated and renamed to `min_val`"
    ) as rec:
        layer = nn.Hardtanh(-2.0, min_value=-0.5)
    assert rec[0].filename == __file__, "the warning points at the caller"
    assert (layer.min_val, layer.max_val) == (-0.5, 1.0)
    with pytest.warns(FutureWarning, match="keyword argument `max_value` is deprecated and renamed to `max_val`"):
        assert nn.Hardtanh(max_value=2.5).max_val == 2.5
    assert isinstance(nn.ReLU6(), nn.Hardtanh)
    assert (nn.ReLU6().min_val, nn.ReLU6().max_val) == (0.0, 6.0)


@pytest.mark.parametrize("name", KINDS)
def test_jit_vmap_and_second_derivative(name):
    def function(x):
        return getattr(F, name)(x, *KINDS[name])

    x = jnp.array([[-7.0, -2.0, 0.7], [0.1, 2.0, 8.0]])
    np.testing.assert_allclose(jax.jit(jax.vmap(function))(x), np.stack([function(row) for row in x]), rtol=1e-6)
    extremes = jnp.array([-jnp.inf, -1e30, 0.0, 1e30, jnp.inf])
    assert np.isfinite(jax.vmap(jax.grad(jax.grad(function)))(extremes)).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.relu(jnp.array([True])), TypeError, "input: expected real numbers, got bool"),
        (lambda: F.relu(jnp.ones(2, jnp.complex64)), TypeError, "input: expected real numbers, got complex64"),
        (lambda: F.relu([1.0]), TypeError, "input: expected an array, got list"),
        (lambda: nn.ReLU(1), TypeError, "inplace: expected True or False, got 1"),
        (lambda: F.leaky_relu(jnp.arange(3)), TypeError, "input: expected a floating dtype, got int32; cast it"),
        (lambda: nn.LeakyReLU("a"), TypeError, "negative_slope: expected a number, got 'a'"),
        (lambda: F.hardtanh(jnp.ones(2), 1.0, -1.0), ValueError, "max_val: expected a number not below min_val=1.0"),
        (lambda: F.hardtanh(jnp.ones(2, jnp.uint8)), ValueError, "min_val: expected a number from 0 up for uint8"),
        (lambda: F.hardtanh(jnp.ones(2, jnp.int8), -1, 1e3), ValueError, "max_val: expected a number that int8 can"),
        (lambda: F.hardtanh(jnp.ones(2, int), -math.inf, 1), ValueError, "min_val: expected a number that int32 can"),
        (lambda: F.threshold(jnp.ones(2, int), 0, math.nan), ValueError, "value: expected a number that int32 can"),
        (lambda: nn.Hardtanh(1, 1), ValueError, "max_val: expected a number greater than min_val=1.0, got 1.0"),
        (lambda: nn.Softshrink(-1), ValueError, "lambd: expected a number from 0 up, got -1"),
        (lambda: F.softshrink(jnp.ones(2), math.nan), ValueError, "lambd: expected a number from 0 up that float32"),
        (lambda: F.softshrink(jnp.ones(2, jnp.float16), 1e6), ValueError, "lambd: .* that float16 can hold"),
        (lambda: nn.Threshold(0.1, None), TypeError, "value: expected a number, got None"),
        (lambda: nn.RReLU(0.5, 0.1), ValueError, "upper: expected a number not below lower=0.5, got 0.1"),
        (lambda: F.rrelu(jnp.ones(2), 0, math.inf), ValueError, "upper: expected a finite number, got inf"),
        (lambda: F.rrelu(jnp.ones(2), training=True), ValueError, "key: expected a jax random key in training"),
        (lambda: F.rrelu(jnp.ones(2), training=1), TypeError, "training: expected True or False, got 1"),
        (lambda: nn.RReLU()(jnp.ones(2)), ValueError, "rngs: expected flax.nnx.Rngs in training, .* to RReLU"),
        (lambda: nn.PReLU(-1), ValueError, "num_parameters: expected an int of at least 0, got -1"),
        (lambda: nn.PReLU(2.5), TypeError, "num_parameters: expected an int, got 2.5"),
        (lambda: nn.PReLU(dtype=int), TypeError, "dtype: expected a floating or complex dtype"),
        (lambda: nn.PReLU(3)(jnp.ones((2, 4))), ValueError, r"one for each channel on axis 1 of input \(2, 4\), got 3"),
        (lambda: nn.PReLU(3)(jnp.ones(3)), ValueError, "weight: expected 1 number, or one for each channel"),
        (lambda: F.prelu(jnp.ones(3), jnp.ones((1, 1))), ValueError, "weight: expected a number or one axis"),
        (lambda: nn.PReLU()(jnp.ones(3, jnp.bfloat16)), TypeError, "input is bfloat16 but weight is float32"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
