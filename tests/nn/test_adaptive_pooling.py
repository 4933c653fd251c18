"""Adaptive max pooling: windows that overlap, ties and NaN, every size against torch, derivatives, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxnets.functional as F
from jaxnets import nn

NAN, INF = np.nan, np.inf
NUMBERS = [-INF, -1.0, -0.0, 0.0, 1.0, 1.0, 2.0, INF, NAN]


def against_torch(n, x, size):
    """Output, indices and gradient of one call in float64."""
    theirs = torch.tensor(x, requires_grad=True)
    expected, wanted = getattr(torch.nn.functional, f"adaptive_max_pool{n}d")(theirs, size, return_indices=True)
    direction = np.random.default_rng(0).normal(size=expected.shape)
    pool = getattr(F, f"adaptive_max_pool{n}d")

    @jax.jit
    def run(x, direction):
        y, pull, index = jax.vjp(lambda x: pool(x, size, True), x, has_aux=True)
        return y, index, *pull(direction)

    with jax.enable_x64(True):
        y, index, ours = run(jnp.asarray(x), jnp.asarray(direction))
    np.testing.assert_array_equal(y, expected.detach())
    np.testing.assert_array_equal(index, wanted)
    if expected.numel():  # torch's derivative refuses others
        (gradient,) = torch.autograd.grad(expected, theirs, torch.tensor(direction))
        np.testing.assert_allclose(ours, gradient, rtol=1e-12, atol=1e-12)


@st.composite
def calls(draw):
    n = draw(st.integers(1, 3))
    plane = draw(st.lists(st.integers(1, 9 if n < 3 else 5), min_size=n, max_size=n))
    leading = draw(st.sampled_from([(2,), (1, 2), (0, 2), (2, 3)]))
    size = draw(st.lists(st.integers(0, 11 if n < 3 else 6), min_size=n, max_size=n))
    count = int(np.prod([*leading, *plane]))
    values = draw(st.lists(st.sampled_from(NUMBERS), min_size=count, max_size=count))
    return n, np.array(values).reshape(*leading, *plane), size


@given(calls())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_call(call):
    n, x, size = call
    against_torch(n, x, size)


def test_an_element_of_several_windows_adds_up():
    """Three windows over four elements share the second and the third."""
    x = jnp.array([[0.0, 5.0, 5.0, 1.0]])
    assert jax.grad(lambda x: F.adaptive_max_pool1d(x, 3).sum())(x).tolist() == [[0.0, 2.0, 1.0, 0.0]]


@pytest.mark.parametrize("size", [0, (0, 3), (3, 0)])
def test_no_windows_have_a_gradient_of_zeros(size):
    x = jnp.ones((1, 2, 5, 7))
    assert not jax.grad(lambda x: F.adaptive_avg_pool2d(x, size).sum())(x).any()


def test_forward_mode_and_second_derivatives():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32))

    def loss(x):
        return (F.adaptive_max_pool2d(x, (3, 3)) ** 3).sum()

    hessian, again = jax.jit(lambda x: (jax.hessian(loss)(x), jax.jacrev(jax.grad(loss))(x)))(x)
    hessian, again = hessian.reshape(x.size, x.size), again.reshape(x.size, x.size)
    np.testing.assert_allclose(hessian, again, atol=1e-4)
    assert np.count_nonzero(hessian) == np.count_nonzero(np.diag(hessian))


def test_vmap_and_layers():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 2, 6, 5)).astype(np.float32))
    layer = nn.AdaptiveMaxPool2d((4, None), return_indices=True)
    for mapped, batched in zip(jax.jit(jax.vmap(layer))(x), layer(x), strict=True):
        np.testing.assert_array_equal(mapped, batched)
    assert layer(x)[0].shape == (3, 2, 4, 5)
    theirs = torch.nn.AdaptiveMaxPool2d((4, None), return_indices=True)
    assert (layer.output_size, layer.return_indices) == (theirs.output_size, theirs.return_indices)


def test_the_program_does_not_grow_with_the_windows():
    def count(size):
        run = jax.grad(lambda x: F.adaptive_max_pool1d(x, size).sum())
        return str(jax.make_jaxpr(run)(jnp.ones((1, 1000)))).count("=")

    assert count(331) == count(26)  # fewer windows are a slice each


x3, x4 = jnp.ones((2, 5, 5)), jnp.ones((2, 2, 5, 5))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.AdaptiveMaxPool1d(2)(x4), ValueError, r"input: expected 2 axes \(C, L\) or 3 axes"),
        (lambda: nn.AdaptiveMaxPool3d(2)(x3), ValueError, r"input: expected 4 axes \(C, D, H, W\) or 5 axes"),
        (lambda: F.adaptive_max_pool2d(x4, -1), ValueError, "output_size: expected an int of at least 0, got -1"),
        (lambda: F.adaptive_max_pool2d(x4, (2,)), ValueError, "output_size: expected an int or 2 ints"),
        (lambda: F.adaptive_max_pool2d(x4, None), ValueError, "output_size: expected an int or 2 ints"),
        (lambda: F.adaptive_max_pool1d(x3, (None,)), ValueError, "output_size: expected an int or 1 ints"),
        (lambda: F.adaptive_max_pool2d(x4, 2.5), TypeError, "output_size: expected an int, got 2.5"),
        (lambda: F.adaptive_max_pool2d(x4.astype(int), 2), TypeError, "input: expected a floating dtype, got int"),
        (lambda: F.adaptive_max_pool2d(x4[:, :0], 2), ValueError, "input: expected no empty axis but the first"),
        (lambda: nn.AdaptiveMaxPool2d(2, 1), TypeError, "return_indices: expected True or False, got 1"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
