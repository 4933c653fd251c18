"""Smooth activations: tails, infinities, second derivatives, dtypes, refusals."""

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

# few enough that torch does not vectorise (see NaN)
SPECIAL = [0.0, -0.0, np.nan, 1.0, -1.0, np.inf, -np.inf, 88.0, -104.0, 1e30, -1e30]
KINDS = {
    "sigmoid": {},
    "tanh": {},
    "elu": {"alpha": -0.7},
    "celu": {"alpha": 0.6},
    "selu": {},
    "gelu": {},
    "logsigmoid": {},
    "mish": {},
    "silu": {},
    "softplus": {"beta": 1.5, "threshold": 3.0},
    "softsign": {},
    "tanhshrink": {},
}
SETTINGS = {
    "elu": st.fixed_dictionaries({"alpha": st.floats(-3, 3)}),
    "celu": st.fixed_dictionaries({"alpha": st.floats(0.125, 4)}),
    "gelu": st.sampled_from([{"approximate": "none"}, {"approximate": "tanh"}]),
    "softplus": st.fixed_dictionaries({"beta": st.floats(0.125, 4), "threshold": st.floats(-2, 30)}),
}


def in_double(name, values, settings):
    """torch's numbers and derivatives in float64, one number at a time: its vectorised loops disagree about NaN."""
    function = getattr(torch.nn.functional, name)
    outputs, gradients = [], []
    for value in values:
        x = torch.tensor(value, dtype=torch.float64, requires_grad=True)
        y = function(x, **settings)
        outputs.append(y.item())
        gradients.append(torch.autograd.grad(y, x)[0].item())
    return outputs, gradients


@pytest.mark.parametrize("name", KINDS)
def test_special_numbers_and_their_gradients(name):
    expected, gradient = in_double(name, SPECIAL, KINDS[name])
    with jax.enable_x64(True):
        ours, pull = jax.vjp(lambda x: getattr(F, name)(x, **KINDS[name]), jnp.array(SPECIAL))
        slopes = pull(jnp.ones(len(SPECIAL)))[0]
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(slopes, gradient, rtol=1e-12, atol=1e-15)


def test_the_approximate_gelu_overflows_as_torch_s():
    """In float32 the square of 1e30 is infinite, and 0 times infinity is no number."""
    x = torch.tensor(SPECIAL, requires_grad=True)
    y = torch.nn.functional.gelu(x, approximate="tanh")
    (expected,) = torch.autograd.grad(y.sum(), x)
    ours, pull = jax.vjp(lambda x: F.gelu(x, "tanh"), jnp.array(SPECIAL))
    np.testing.assert_allclose(ours, y.detach(), rtol=1.3e-6)
    np.testing.assert_allclose(pull(jnp.ones(len(SPECIAL)))[0], expected, rtol=1.3e-6)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 20.0])
@pytest.mark.parametrize("name", [*KINDS, "gelu tanh"])
def test_float32_is_near_float64(name, scale):
    """A few units in the last place of float32, in both tails too, where torch's float32 may have lost more."""
    settings = {"approximate": "tanh"} if name == "gelu tanh" else KINDS[name]
    name = name.split()[0]
    values = np.float32(np.linspace(-scale, scale, 101))
    expected, gradient = in_double(name, values.tolist(), settings)
    ours, pull = jax.vjp(lambda x: getattr(F, name)(x, **settings), jnp.array(values))
    # what is subtracted from the input cannot be nearer than the input's own precision, 1 + erf(x) not than that of 1
    atol = {"tanhshrink": 1e-7 * scale, "gelu": 4e-7 if "approximate" not in settings else 1e-9}.get(name, 1e-9)
    np.testing.assert_allclose(ours, expected, rtol=2e-5 if name == "gelu" else 3e-6, atol=atol)
    # with few optimisations XLA's tanh is 7e-6 off where it is nearly 1
    np.testing.assert_allclose(pull(jnp.ones(101))[0], gradient, rtol=1e-5, atol=1e-6)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.data())
def test_torch_agrees_on_any_numbers(data):
    name = data.draw(st.sampled_from(sorted(KINDS)))
    settings = data.draw(SETTINGS.get(name, st.just({})))
    values = np.float64(data.draw(st.lists(st.floats(width=32) | st.floats(-30, 30), min_size=4, max_size=4)))
    expected, gradient = in_double(name, values.tolist(), settings)
    with jax.enable_x64(True):
        ours, pull = jax.vjp(lambda x: getattr(F, name)(x, **settings), jnp.array(values))
        slopes = pull(jnp.ones(len(values)))[0]
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(slopes, gradient, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", KINDS)
def test_second_derivatives_in_the_tails(name):
    values = [-1e30, -200.0, -30.0, -1.0, 0.5, 30.0, 200.0, 1e30]
    x = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    y = getattr(torch.nn.functional, name)(x, **KINDS[name])
    (slopes,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    expected = torch.autograd.grad(slopes.sum(), x)[0].numpy()
    with jax.enable_x64(True):
        second = jax.vmap(jax.grad(jax.grad(lambda x: getattr(F, name)(x, **KINDS[name]))))(jnp.array(values))
    finite = np.isfinite(expected)  # torch's exact ones may overflow at 1e30, where ours may not
    np.testing.assert_allclose(second[finite], expected[finite], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", sorted({*KINDS} - {"softsign", "tanhshrink"}))
def test_half_precisions_are_rounded_once(name, dtype):
    """At most half a unit in the last place (and a little for float32) from what float64 gives."""
    x = torch.tensor(np.random.default_rng(0).normal(0, 3, (20, 30))).to(getattr(torch, dtype))
    exact = getattr(torch.nn.functional, name)(x.double(), **KINDS[name])
    ours = getattr(F, name)(jnp.asarray(x.float()).astype(dtype), **KINDS[name])
    assert str(ours.dtype) == dtype
    half_unit = {"bfloat16": 2.0**-8, "float16": 2.0**-11}[dtype]
    atol = 1e-6 if name == "gelu" else 1e-7  # 1 + erf(x) in float32, times x
    np.testing.assert_allclose(ours.astype(jnp.float32), exact, rtol=1.01 * half_unit, atol=atol)


@pytest.mark.parametrize("way", [lambda f: f, jax.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("name", ["softsign", "tanhshrink"])
def test_half_precision_is_rounded_between_steps_as_in_torch(name, way):
    """The difference of x and tanh(x) has no digit right close to 0, but the same wrong ones."""
    x = torch.tensor(np.random.default_rng(0).normal(0, 1, 300)).bfloat16().requires_grad_()
    y = getattr(torch.nn.functional, name)(x)
    (expected,) = torch.autograd.grad(y.sum(), x)
    ours, pull = jax.vjp(way(getattr(F, name)), jnp.asarray(x.detach().float().numpy(), jnp.bfloat16))
    np.testing.assert_allclose(ours.astype(jnp.float32), y.detach().float(), rtol=1.6e-2, atol=1e-5)
    slopes = pull(jnp.ones_like(ours))[0].astype(jnp.float32)
    np.testing.assert_allclose(slopes, expected.float(), rtol=1.6e-2, atol=1e-5)


def test_integers_and_booleans():
    for name in ("sigmoid", "tanh", "softsign", "tanhshrink"):
        expected = getattr(torch.nn.functional, name)(torch.tensor([-3, 0, 2]))
        ours = getattr(F, name)(jnp.array([-3, 0, 2]))
        assert ours.dtype == jnp.float32
        np.testing.assert_allclose(ours, expected, rtol=1e-6)
    assert F.sigmoid(jnp.array([True])).dtype == jnp.float32


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "silu", "softsign", "tanhshrink"])
def test_complex_numbers(name):
    z = np.array([0.3 - 0.2j, -1.5 + 2.0j, 0.0], np.complex64)
    x = torch.tensor(z, requires_grad=name != "silu")
    y = getattr(torch.nn.functional, name)(x)
    ours, pull = jax.vjp(getattr(F, name), jnp.asarray(z))
    np.testing.assert_allclose(ours, y.detach(), rtol=2e-6, atol=1e-7)
    if name == "silu":  # torch has no derivative
        return
    direction = np.array([1 + 2j, 0.5j, -1 + 1j], np.complex64)
    (expected,) = torch.autograd.grad(y, x, torch.tensor(direction))
    np.testing.assert_allclose(pull(jnp.asarray(direction.conj()))[0].conj(), expected, rtol=2e-6, atol=1e-6)


def test_attributes():
    assert nn.ELU(2).alpha == nn.CELU(2.0).alpha == 2.0
    assert (nn.Softplus(2, 3).beta, nn.Softplus(2, 3).threshold) == (2.0, 3.0)
    assert nn.GELU("tanh").approximate == "tanh"
    assert nn.GLU().dim == -1
    assert nn.SiLU(True).inplace is nn.Mish(True).inplace is nn.SELU(True).inplace is True


def test_jit_and_vmap():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32))
    layers = (nn.Sigmoid(), nn.ELU(), nn.GELU(), nn.GELU("tanh"), nn.GLU(0), nn.Mish(), nn.Softplus(), nn.Softsign())
    for layer in layers:
        np.testing.assert_allclose(jax.jit(jax.vmap(layer))(x), np.stack([layer(row) for row in x]), rtol=2e-6)


def test_softplus_overflows_as_torch_s_does():
    """Only a threshold above the greatest exponent lets it."""
    x = torch.tensor([50.0, 90.0, 110.0], requires_grad=True)
    y = torch.nn.functional.softplus(x, threshold=100.0)
    (expected,) = torch.autograd.grad(y.sum(), x)
    ours, pull = jax.vjp(lambda x: F.softplus(x, threshold=100.0), jnp.array([50.0, 90.0, 110.0]))
    np.testing.assert_array_equal(ours, y.detach())
    np.testing.assert_array_equal(pull(jnp.ones(3))[0], expected)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        *(
            (
                lambda name=name: getattr(F, name)(jnp.arange(4)),
                TypeError,
                "input: expected a floating dtype, got int32",
            )
            for name in ("elu", "celu", "selu", "gelu", "glu", "logsigmoid", "mish", "silu", "softplus")
        ),
        (lambda: F.elu(jnp.ones(2, jnp.complex64)), TypeError, "input: expected a floating dtype, got complex64"),
        (lambda: F.softsign(jnp.array([True])), TypeError, "input: expected numbers, got bool; cast it first"),
        (lambda: F.tanhshrink(jnp.array([True])), TypeError, "input: expected numbers, got bool; cast it first"),
        (lambda: F.sigmoid([1.0]), TypeError, "input: expected an array, got list"),
        (lambda: F.elu(jnp.ones(2), "a"), TypeError, "alpha: expected a number, got 'a' of type str"),
        (lambda: nn.CELU(0), ValueError, "alpha: expected a number other than 0, got 0; .* use ReLU"),
        (lambda: F.celu(jnp.ones(2), 0.0), ValueError, "alpha: expected a number other than 0, got 0"),
        (lambda: nn.GELU("x"), ValueError, "approximate: expected one of 'none', 'tanh', got 'x'"),
        (lambda: F.gelu(jnp.ones(2), approximate=True), ValueError, "approximate: expected one of 'none', 'tanh'"),
        (lambda: F.glu(jnp.ones(())), ValueError, "input: expected at least 1 axis to halve, got a number"),
        (lambda: F.glu(jnp.ones((2, 3))), ValueError, r"input: expected an even size on axis -1, got shape \(2, 3\)"),
        (lambda: nn.GLU(1)(jnp.ones(2)), ValueError, r"dim: expected an axis from -1 to 0 of input \(2,\), got 1"),
        (lambda: nn.Softplus(beta=None), TypeError, "beta: expected a number, got None"),
        (lambda: nn.SiLU(inplace=1), TypeError, "inplace: expected True or False, got 1"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_alpha_of_selu_is_that_of_alpha_dropout():
    dropped = F.alpha_dropout(jnp.zeros(200), 0.5, True, key=jax.random.key(0)).min()
    scale = 1 / math.sqrt(0.5 * (1 + 0.5 * 1.7580993408473766**2))
    assert dropped == pytest.approx(scale * (float(F.selu(jnp.array(-200.0))) * 0.5), rel=1e-6)
