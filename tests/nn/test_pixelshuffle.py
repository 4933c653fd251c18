"""PixelShuffle and PixelUnshuffle: any call against torch, there and back, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxnets.functional as F
from jaxnets import nn


@given(st.lists(st.integers(1, 3), max_size=3), st.integers(1, 3), st.tuples(*[st.integers(1, 3)] * 3))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_call(leading, r, image):
    c, h, w = image
    for name, shape in (("pixel_shuffle", (c * r * r, h, w)), ("pixel_unshuffle", (c, h * r, w * r))):
        x = np.arange(np.prod([*leading, *shape]), dtype=np.int32).reshape(*leading, *shape)
        expected = getattr(torch.nn.functional, name)(torch.tensor(x), r)
        np.testing.assert_array_equal(jax.jit(getattr(F, name), static_argnums=1)(jnp.asarray(x), r), expected)


def test_there_and_back():
    x = jnp.arange(2.0 * 8 * 3 * 5).reshape(2, 8, 3, 5)
    up, down = nn.PixelShuffle(2), nn.PixelUnshuffle(2)
    np.testing.assert_array_equal(down(up(x)), x)
    np.testing.assert_array_equal(jax.vmap(up)(x), up(x))
    gradient = jax.grad(lambda x: (up(x) * up(x)).sum())(x)
    np.testing.assert_array_equal(gradient, 2 * x)
    assert (up.upscale_factor, down.downscale_factor) == (2, 2)


def test_empty():
    assert F.pixel_shuffle(jnp.ones((0, 4, 2, 3)), 2).shape == (0, 1, 4, 6)
    assert F.pixel_unshuffle(jnp.ones((0, 1, 4, 6)), 2).shape == (0, 4, 2, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.pixel_shuffle(jnp.ones((3, 4)), 2), ValueError, r"input: expected at least 3 axes \(\*, C, H, W\)"),
        (
            lambda: F.pixel_shuffle(jnp.ones((6, 3, 4)), 2),
            ValueError,
            "input: expected channels in multiples of .* 4",
        ),
        (
            lambda: F.pixel_unshuffle(jnp.ones((4, 3, 4)), 2),
            ValueError,
            "input: expected height and width in mul",
        ),
        (lambda: F.pixel_unshuffle(jnp.ones((3, 4)), 1), ValueError, "input: expected at least 3 axes"),
        (lambda: nn.PixelShuffle(0), ValueError, "upscale_factor: expected an int of at least 1, got 0"),
        (lambda: nn.PixelUnshuffle(-2), ValueError, "downscale_factor: expected an int of at least 1, got -2"),
        (lambda: nn.PixelShuffle(2.0), TypeError, "upscale_factor: expected an int, got 2.0"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
