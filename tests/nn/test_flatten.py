"""Flatten: every pair of axes as torch does it, refusals."""

from itertools import product

import jax
import jax.numpy as jnp
import pytest
import torch

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
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
