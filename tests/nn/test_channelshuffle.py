"""ChannelShuffle: any call against torch, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxnets.functional as F
from jaxnets import nn


@given(st.integers(0, 2), st.integers(1, 4), st.integers(0, 3), st.lists(st.integers(1, 3), min_size=1, max_size=3))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_call(batch, groups, each, behind):
    shape = (batch, groups * each, *behind)
    x = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    for name in ("channel_shuffle", "native_channel_shuffle"):
        expected = getattr(torch.nn.functional, name)(torch.tensor(x), groups)
        np.testing.assert_array_equal(jax.jit(getattr(F, name), static_argnums=1)(jnp.asarray(x), groups), expected)


def test_vmap_and_gradient():
    x, layer = jnp.arange(36.0).reshape(3, 2, 6, 1), nn.ChannelShuffle(3)
    np.testing.assert_array_equal(jax.vmap(layer)(x), jnp.stack([layer(part) for part in x]))
    np.testing.assert_array_equal(jax.grad(lambda x: (layer(x) ** 2).sum())(x[0]), 2 * x[0])
    assert layer.groups == 3


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: F.channel_shuffle(jnp.ones((2, 6)), 2),
            ValueError,
            r"input: expected at least 3 axes \(N, C, \*\)",
        ),
        (
            lambda: F.channel_shuffle(jnp.ones((2, 6, 1)), 4),
            ValueError,
            "groups: expected a divisor of the 6 chann",
        ),
        (lambda: nn.ChannelShuffle(0), ValueError, "groups: expected an int of at least 1, got 0"),
        (lambda: nn.ChannelShuffle(2.0), TypeError, "groups: expected an int, got 2.0"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
