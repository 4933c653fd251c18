"""Flatten and Unflatten: every pair of axes, any sizes as torch takes them, refusals."""

from itertools import product

import jax
import jax.numpy as jnp
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxnets.functional as F
from jaxnets import nn


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4), (0, 2, 3, 1)])
def test_every_pair_of_axes(shape):
    for start, end in product(range(-5, 5), repeat=2):
        try:
            expected = tuple(torch.ones(shape).flatten(start, end).shape)
        except (IndexError, RuntimeError):
            with pytest.raises(ValueError, match=r"(start|end)_dim: expected an axis"):
                nn.Flatten(start, end)(jnp.ones(shape))
        else:
            assert nn.Flatten(start, end)(jnp.ones(shape)).shape == expected


def test_values_keep_their_order():
    x = jnp.arange(24).reshape(2, 3, 4)
    assert (nn.Flatten()(x) == x.reshape(2, 12)).all()
    assert jax.vmap(nn.Flatten(0))(x).shape == (2, 12)


@given(
    st.lists(st.sampled_from([0, 1, 2, 3, 4, 6]), max_size=3),
    st.integers(-4, 3),
    st.lists(st.sampled_from([-2, -1, 0, 1, 2, 3]), max_size=3),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_unflatten(shape, dim, sizes):
    try:
        expected = tuple(torch.ones(shape).unflatten(dim, sizes).shape)
    except (IndexError, RuntimeError):
        with pytest.raises(ValueError, match=r"(dim|sizes): expected"):
            nn.Unflatten(dim, sizes)(jnp.ones(shape))
    else:
        assert nn.Unflatten(dim, sizes)(jnp.ones(shape)).shape == expected


def test_unflatten_undoes_flatten():
    x = jnp.arange(24).reshape(2, 3, 4)
    assert (F.unflatten(F.flatten(x, 1), 1, (3, 4)) == x).all()
    assert jax.vmap(nn.Unflatten(0, (1, 3)))(x).shape == (2, 1, 3, 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: nn.Flatten()(jnp.ones(3)),
            ValueError,
            r"start_dim: expected an axis from -1 to 0 of input \(3,\), got 1",
        ),
        (
            lambda: nn.Flatten(2, 1)(jnp.ones((1, 2, 3))),
            ValueError,
            "end_dim: expected an axis at or behind start_dim=2, got 1",
        ),
        (lambda: nn.Flatten(1.0), TypeError, "start_dim: expected an int, got 1.0"),
        (lambda: nn.Unflatten(1, 3), TypeError, "unflattened_size: expected a tuple of ints, got 3 of type int"),
        (lambda: nn.Unflatten(1, (3.0,)), TypeError, "unflattened_size: expected an int, got 3.0"),
        (lambda: nn.Unflatten("C", (3,)), TypeError, "dim: expected an int, got 'C'"),
        (
            lambda: nn.Unflatten(1, (2, 2))(jnp.ones((1, 3))),
            ValueError,
            r"sizes: .* make up 3, .* got \(2, 2\)",
        ),
        (lambda: F.unflatten(jnp.ones(3), 1, (3,)), ValueError, r"dim: expected an axis of input \(3,\), got 1"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
