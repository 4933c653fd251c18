"""Losses of numbers and of distributions: kinks, infinities, dtypes, warnings, refusals, random calls against torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from against_torch import agrees
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxnets.functional as F
from jaxnets import nn

NAN, INF = np.nan, np.inf
ones = jnp.ones
SPECIAL = [NAN, INF, -INF, 0.0, 1.0, -1.0, 0.5, 2.0, -800.0, 800.0]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("mse_loss", {}),
        ("l1_loss", {}),
        ("smooth_l1_loss", {"beta": 1.0}),
        ("smooth_l1_loss", {"beta": 0.0}),
        ("huber_loss", {"delta": 2.0}),
        ("poisson_nll_loss", {"log_input": False}),
        ("poisson_nll_loss", {}),
    ],
)
def test_special_numbers(name, arguments):
    """NaN, infinities and kinks: torch's values and slopes, NaN where torch's are."""
    x = np.array(SPECIAL)
    agrees(name, [x, np.zeros(10)], twice=False, reduction="none", **arguments)


@pytest.mark.parametrize("log_target", [False, True])
def test_zeros_of_a_divergence(log_target):
    t = np.array([0.0, 1.0, 0.5, 2.0, -INF if log_target else 1e-300])
    for x in (np.linspace(-2, 1, 5), np.zeros(5)):
        agrees("kl_div", [x, t], twice=False, reduction="none", log_target=log_target)


def test_variances_below_the_bound():
    """The slope passes the bound, as in torch."""
    var = np.array([1e-3, 0.0, 1e-6, 2.0, NAN, INF])
    agrees("gaussian_nll_loss", [np.ones(6), np.zeros(6), var], twice=False, reduction="none", eps=1e-6)


def test_l1_of_complex_numbers():
    r = np.random.default_rng(0)
    x, y = (r.normal(size=(3, 4)) + 1j * r.normal(size=(3, 4)) for _ in range(2))
    theirs = torch.tensor(x, requires_grad=True)
    loss = torch.nn.functional.l1_loss(theirs, torch.tensor(y))
    (gradient,) = torch.autograd.grad(loss, theirs)
    with jax.enable_x64(True):
        ours, mine = jax.value_and_grad(F.l1_loss)(jnp.asarray(x), jnp.asarray(y))
    np.testing.assert_allclose(ours, loss.detach(), rtol=1e-12)
    np.testing.assert_allclose(np.conj(mine), gradient, rtol=1e-12)


def test_integers():
    assert F.l1_loss(jnp.array([3, 1]), jnp.array([1, 5]), reduction="none").tolist() == [2, 4]
    assert F.l1_loss(jnp.array([3, 1], jnp.int8), jnp.array([1, 5], jnp.int8), reduction="sum").dtype == jnp.int32
    assert F.mse_loss(jnp.array([1.5]), jnp.array([1])) == 0.25
    assert F.poisson_nll_loss(jnp.array([0]), jnp.array([3])) == 1


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_broadcasting_warns(name):
    with pytest.warns(
        UserWarning, match=r"Using a target size \(3,\) that is different to the input size \(3, 1\)"
    ) as record:
        loss = getattr(F, name)(ones((3, 1)), jnp.zeros(3), reduction="none")
    assert loss.shape == (3, 3)
    assert record[0].filename == __file__


def test_the_mean_of_a_divergence_warns():
    x = ones((2, 3))
    with pytest.warns(UserWarning, match="'mean' divides the total loss by both the batch size and the support size"):
        F.kl_div(x, x)


@pytest.mark.parametrize("shape", [(3, 4, 2), (3, 4), (3, 1, 2), (1, 4, 2)])
def test_shapes_of_variances(shape):
    r = np.random.default_rng(0)
    x, target, var = (r.uniform(0.5, 2, s) for s in ((3, 4, 2), (3, 4, 2), shape))
    agrees("gaussian_nll_loss", [x, target, var], reduction="sum", full=True)


def test_vmap_and_jit():
    r = np.random.default_rng(0)
    x, target = (jnp.asarray(r.uniform(0.1, 1, (4, 3)).astype(np.float32)) for _ in range(2))
    for loss in (nn.HuberLoss(), nn.SmoothL1Loss(), nn.KLDivLoss(reduction="sum"), nn.PoissonNLLLoss()):
        mapped = jax.jit(jax.vmap(loss))(x, target)
        np.testing.assert_allclose(mapped, [loss(a, b) for a, b in zip(x, target, strict=True)], rtol=1e-6)
    jax.jit(nn.GaussianNLLLoss())(x, target, -x)  # traced variances are not refused


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: nn.MSELoss(reduction="avg"),
            ValueError,
            "reduction: expected one of 'none', 'mean', 'sum', got 'avg'",
        ),
        (lambda: nn.L1Loss(reduction="batchmean"), ValueError, "reduction: expected one of 'none', 'mean', 'sum'"),
        (lambda: F.mse_loss(ones(2, int), ones(2, int)), TypeError, "input: expected a floating dtype, got int"),
        (
            lambda: F.mse_loss(ones((2, 3)), ones((2, 3)), weight=ones(3)),
            ValueError,
            r"weight: expected the shape of input, \(2, 3\), got \(3,\)",
        ),
        (lambda: F.l1_loss(ones(2, bool), ones(2)), TypeError, "input: expected numbers, got bool"),
        (
            lambda: F.l1_loss(ones(2, int), ones(2, int)),
            TypeError,
            "input: expected a floating dtype for reduction='mean'",
        ),
        (lambda: F.l1_loss(ones(2), [1.0, 2.0]), TypeError, "target: expected an array, got list"),
        (lambda: nn.SmoothL1Loss(beta=-0.1), ValueError, "beta: expected a number of at least 0, got -0.1"),
        (
            lambda: F.smooth_l1_loss(ones(2), ones(2), beta=NAN),
            ValueError,
            "beta: expected a number of at least 0, got nan",
        ),
        (lambda: nn.HuberLoss(delta=0), ValueError, "delta: expected a positive number, got 0"),
        (lambda: nn.HuberLoss(delta="1"), TypeError, "delta: expected a number, got '1'"),
        (lambda: F.huber_loss(ones(2, int), ones(2)), TypeError, "input: expected a floating dtype, got int"),
        (
            lambda: nn.KLDivLoss(reduction="sum")(ones(2), ones(2, int)),
            TypeError,
            "input: expected a floating dtype, got int",
        ),
        (
            lambda: F.kl_div(ones(2), ones(3), reduction="sum"),
            ValueError,
            r"input: expected shapes that broadcast, got input \(2,\) and target \(3,\)",
        ),
        (lambda: nn.KLDivLoss(log_target=1), TypeError, "log_target: expected True or False, got 1"),
        (lambda: nn.PoissonNLLLoss(full="yes"), TypeError, "full: expected True or False, got 'yes'"),
        (
            lambda: F.poisson_nll_loss(ones(2, bool), ones(2), log_input=False),
            TypeError,
            "input: expected numbers, got bool",
        ),
        (
            lambda: F.poisson_nll_loss(ones(2), ones(2, jnp.complex64), full=True),
            TypeError,
            "target: expected real numbers for full=True, got complex64",
        ),
        (
            lambda: F.gaussian_nll_loss(ones(2), ones(2), -ones(2)),
            ValueError,
            "var: expected variances, which are not neg",
        ),
        (lambda: F.gaussian_nll_loss(ones(2), ones(2), -1.0), ValueError, "var: expected variances, which are not neg"),
        (lambda: F.gaussian_nll_loss(ones(2), ones(2), 1), TypeError, "var: expected an array, got int"),
        (
            lambda: F.gaussian_nll_loss(ones((2, 3)), ones((2, 3)), ones(3)),
            ValueError,
            r"var: expected the shape of input, \(2, 3\), the same with one axis of size 1, .* got \(3,\)",
        ),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


numbers = st.one_of(
    st.sampled_from([0.0, -0.0, 0.5, 1.0, -1.0, 2.0, 1000.0, 1000.5]), st.floats(-5, 5).filter(lambda x: abs(x) > 1e-3)
)
ARGUMENTS = {
    "mse_loss": {},
    "l1_loss": {},
    "smooth_l1_loss": {"beta": st.sampled_from([0.0, 0.5, 1, 3.0])},
    "huber_loss": {"delta": st.sampled_from([0.5, 1, 3.0])},
    "poisson_nll_loss": {"log_input": st.booleans(), "full": st.booleans(), "eps": st.sampled_from([1e-8, 0.5])},
    "kl_div": {"log_target": st.booleans()},
    "gaussian_nll_loss": {"full": st.booleans(), "eps": st.sampled_from([1e-6, 1.0])},
}


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.data())
def test_random_calls(data):
    name = data.draw(st.sampled_from(sorted(ARGUMENTS)))
    shape = data.draw(st.sampled_from([(), (0, 2), (1,), (2, 3)]))

    def draw(floats):
        size = int(np.prod(shape))
        return np.array(data.draw(st.lists(floats, min_size=size, max_size=size)), float).reshape(shape)

    arguments = {key: data.draw(choice) for key, choice in ARGUMENTS[name].items()}
    reductions = ["none", "mean", "sum"] + ["batchmean"] * (name == "kl_div" and shape != (0, 2))
    arguments["reduction"] = data.draw(st.sampled_from(reductions))
    x, target = draw(numbers), draw(numbers)
    if name == "poisson_nll_loss":
        x, target = (np.clip(x, -5, 5), target) if arguments["log_input"] else (abs(x) + 0.5, target)
        target = abs(target) + 1e-3
    if name == "kl_div":
        target = np.clip(target, -5, 5) if arguments["log_target"] else abs(target) + 1e-3
    if name == "l1_loss" and data.draw(st.booleans()):
        target = target.astype(data.draw(st.sampled_from([np.int64, np.int8])))
    arrays = [x, target] + [abs(draw(numbers))] * (name == "gaussian_nll_loss")
    agrees(name, arrays, twice=name != "l1_loss" and arguments.get("beta") != 0.0, **arguments)
