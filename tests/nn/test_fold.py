"""Fold and Unfold: any call against torch, each the transpose of the other, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxnets.functional as F
from jaxnets import nn


@st.composite
def calls(draw):
    each = st.tuples(st.integers(1, 4), st.integers(1, 4))
    kernel, dilation, stride = draw(each), draw(st.sampled_from([(1, 1), (1, 2), (3, 1)])), draw(each)
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    plane = tuple(
        max(1, d * (k - 1) + 1 - 2 * p) + draw(st.integers(0, 5))
        for k, d, p in zip(kernel, dilation, padding, strict=True)
    )
    return draw(st.sampled_from([(2,), (2, 3), (0, 2)])), plane, (kernel, dilation, padding, stride)


@given(calls(), st.booleans())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_call(call, back):
    leading, plane, arguments = call
    x = np.random.default_rng(0).normal(size=(*leading, *plane))
    name = "unfold"
    if back:
        name, arguments = "fold", (plane, *arguments)
        columns = torch.nn.functional.unfold(torch.zeros(1, leading[-1], *plane), *arguments[1:]).shape[1:]
        x = np.random.default_rng(0).normal(size=(*leading[:-1], *columns))
    theirs = torch.tensor(x, requires_grad=True)
    expected = getattr(torch.nn.functional, name)(theirs, *arguments)
    direction = np.random.default_rng(1).normal(size=expected.shape)
    (gradient,) = torch.autograd.grad(expected, theirs, torch.tensor(direction))

    @jax.jit
    def run(x, direction):
        y, pull = jax.vjp(lambda x: getattr(F, name)(x, *arguments), x)
        return y, *pull(direction)

    with jax.enable_x64(True):
        y, ours = run(jnp.asarray(x), jnp.asarray(direction))
    np.testing.assert_allclose(y, expected.detach(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ours, gradient, rtol=1e-12, atol=1e-12)


def test_an_infinity_stays_in_its_blocks():
    x = jnp.ones((1, 3, 4)).at[0, 1, 1].set(jnp.inf)
    y = F.unfold(x, 2)
    assert set(np.unique(y)) == {1.0, np.inf}
    assert int((y == jnp.inf).sum()) == 4
    assert np.isfinite(F.fold(jnp.ones((4, 6)).at[0, 0].set(jnp.inf), (3, 4), 2)).sum() == 11


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_many_numbers_of_half_precision_add_up(dtype):
    """A hundred blocks share an element: their sum is rounded once."""
    total = F.fold(jnp.full((100, 101), 3.25, dtype), (1, 200), (1, 100))
    assert total.dtype == dtype
    assert total[0, 0, 99] == jnp.asarray(325.0, dtype)


def test_complex_and_bool():
    x = np.random.default_rng(0).normal(size=(2, 8, 9, 2)).astype(np.float32).view(np.complex64)[..., 0]
    expected = torch.nn.functional.fold(torch.tensor(x), (4, 5), 2, padding=1, stride=2)
    np.testing.assert_allclose(F.fold(jnp.asarray(x), (4, 5), 2, padding=1, stride=2), expected, rtol=1e-6)
    assert F.fold(jnp.array([[True], [False]]), (1, 2), (1, 2)).tolist() == [[[True, False]]]


def test_vmap_and_second_derivatives():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 2, 5, 4)).astype(np.float32))
    unfold, fold = nn.Unfold(2, padding=1), nn.Fold((5, 4), 2, padding=1)
    np.testing.assert_array_equal(jax.vmap(unfold)(x), unfold(x))
    np.testing.assert_allclose(jax.vmap(fold)(unfold(x)), 4 * x, rtol=1e-6)

    def loss(x):
        return (fold(unfold(x) ** 3) ** 2).sum()

    forward, reverse = jax.jit(lambda x: (jax.hessian(loss)(x), jax.jacrev(jax.grad(loss))(x)))(x[0, :1])
    np.testing.assert_allclose(forward, reverse, rtol=1e-4, atol=1e-3)


def test_a_long_window_is_no_long_program():
    def count(kernel):
        run = jax.make_jaxpr(lambda x: F.unfold(x, (1, kernel)))
        return str(run(jnp.ones((1, 1, 2000)))).count("=")

    assert count(1024) <= count(32)


def test_attributes_are_torch_s():
    for name, arguments in (("Unfold", (2,)), ("Unfold", ((2, 3), 2, (1, 0), 2)), ("Fold", (4, (2, 1), 1, 0, (1, 2)))):
        ours, theirs = getattr(nn, name)(*arguments), getattr(torch.nn, name)(*arguments)
        for attribute in theirs.__constants__:
            assert getattr(ours, attribute) == getattr(theirs, attribute), (name, attribute)


x, y = jnp.ones((2, 3, 5, 6)), jnp.ones((2, 12, 20))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.unfold(x[0, 0], 2), ValueError, r"input: expected 3 axes \(C, H, W\) or 4 axes"),
        (lambda: F.unfold(x[:, :0], 2), ValueError, "input: expected no empty axis but the batch"),
        (lambda: F.unfold(x, 6), ValueError, r"kernel_size: expected a block that fits into \(5, 6\) .* got \(6, 6\)"),
        (lambda: F.unfold(x, 0), ValueError, "kernel_size: expected an int of at least 1, got 0"),
        (lambda: F.unfold(x, 2, 0), ValueError, "dilation: expected an int of at least 1, got 0"),
        (lambda: F.unfold(x, 2, 1, -1), ValueError, "padding: expected an int of at least 0, got -1"),
        (lambda: F.unfold(x, 2, 1, 0, 0), ValueError, "stride: expected an int of at least 1, got 0"),
        (lambda: nn.Unfold((2,)), ValueError, "kernel_size: expected an int or 2 ints"),
        (lambda: nn.Unfold(2.0), TypeError, "kernel_size: expected an int, got 2.0"),
        (
            lambda: F.unfold(x.astype(int), 2),
            TypeError,
            "input: expected a floating, complex or boolean dtype",
        ),
        (lambda: F.fold(y[0, 0], (5, 6), 2), ValueError, "input: expected 2 axes"),
        (lambda: F.fold(y[:, :0], (5, 6), 2), ValueError, "input: expected no empty axis but the batch"),
        (lambda: F.fold(y[:, :11], (5, 6), 2), ValueError, "input: expected rows in multiples of 4, .* got 11"),
        (lambda: F.fold(y[:, :, :19], (5, 6), 2), ValueError, r"input: expected 20 columns, the \(4, 5\) blocks of"),
        (lambda: F.fold(y, (1, 1), 2), ValueError, r"kernel_size: expected a block that fits into \(1, 1\)"),
        (lambda: nn.Fold(0, 2), ValueError, "output_size: expected an int of at least 1, got 0"),
        (lambda: F.fold(y.astype(int), (5, 6), 2), TypeError, "input: expected a floating, complex or boolean dtype"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
