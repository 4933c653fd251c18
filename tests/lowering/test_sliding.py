"""Windows folded one axis after the other give what XLA's own operation gives, and their sums its gradients."""

import random
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxnets.lowering.extremes import greatest
from jaxnets.lowering.sliding import MAX_LENGTH, Windows, by_axis, by_window, sum_by_axis

LOWEST = np.asarray(-np.inf)
ZERO = np.zeros(())


def problem(seed: int) -> tuple[Windows, jax.Array]:
    """Windows that are cut, spread, wider than the plane, or leave numbers out."""
    r = random.Random(seed)
    n = r.randint(1, 3)

    def pick(*choices: int) -> tuple[int, ...]:
        return tuple(r.choice(choices) for _ in range(n))

    while True:
        plane = pick(*((3, 5, 8, 11) if n == 3 else (3, 8, 13, 36)))
        padding = tuple((r.randint(-1, 2), r.randint(-2, 3)) for _ in range(n))
        windows = Windows(plane, pick(1, 2, 3, 4, 7, MAX_LENGTH + 3), pick(1, 2, 3, 5), padding, pick(1, 1, 2))
        if windows.are_short:
            return windows, jnp.asarray(np.random.default_rng(seed).standard_normal((2, 3, *plane)))


@pytest.mark.parametrize("seed", range(30))
def test_random_windows(seed):
    with jax.enable_x64(True):
        windows, x = problem(seed)
        with_nan = x.at[0, 0].set(jnp.where(x[0, 0] > 1, jnp.nan, x[0, 0]))
        for y in (x, with_nan, jnp.round(3 * x).astype(int)):
            start = LOWEST if jnp.issubdtype(y.dtype, jnp.floating) else np.asarray(np.iinfo(int).min)
            expected = by_window(lax.max, start, windows, y)
            assert expected.shape == (2, 3, *windows.counts)
            np.testing.assert_array_equal(by_axis(lax.max, greatest, start, windows, y), expected)


@pytest.mark.parametrize("seed", range(30))
def test_random_sums_and_their_gradients(seed):
    with jax.enable_x64(True):
        windows, x = problem(seed)
        windows = replace(windows, dilation=(1,) * len(windows.plane))
        direction = jnp.asarray(np.random.default_rng(99 - seed).standard_normal((2, 3, *windows.counts)))

        def all_of(fold):
            y, pull = jax.vjp(fold, x)
            second = jax.grad(lambda x: jnp.sin(jnp.vdot(jnp.sin(fold(x)), direction)))
            return y, pull(direction), jax.jvp(fold, (x,), (2 * x,)), second(x), jax.vmap(fold)(x)

        expected = all_of(partial(by_window, lax.add, ZERO, windows))
        ours = all_of(partial(sum_by_axis, windows))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12), ours, expected)


@pytest.mark.parametrize(
    ("kernel", "stride", "plane", "short"),
    [
        (25, 25, 50, True),
        (26, 1, 50, False),
        (26, 26, 50, True),
        (2, 26, 50, False),
        (3, 1, 0, False),
        (3, 1, 2, False),
    ],
)
def test_the_program_is_bounded(kernel, stride, plane, short):
    """A single window may have any length; of several, neither what is in one nor what is between is long."""
    assert Windows((plane,), (kernel,), (stride,), ((0, 0),), (1,)).are_short is short


def test_sums_can_be_transposed_as_they_are():
    windows = Windows((5, 6), (2, 3), (2, 1), ((1, 0), (0, 1)), (1, 1))
    x, y = jnp.ones((2, 5, 6)), jnp.ones((2, *windows.counts))
    (ours,) = jax.linear_transpose(partial(sum_by_axis, windows), x)(y)
    np.testing.assert_array_equal(ours, jax.vjp(partial(by_window, lax.add, ZERO, windows), x)[1](y)[0])


def test_what_comes_before_is_computed_once():
    """A costly function of each number, and windows that meet: XLA would make one loop of it, with nine sines."""
    windows = Windows((8, 8), (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1))
    pool = jax.jit(lambda x: by_axis(lax.max, greatest, LOWEST.astype(np.float32), windows, jnp.sin(x)))
    loops = pool.lower(jnp.ones((2, 8, 8))).compile().as_text().split("\n}\n")
    assert any(" sine(" in loop for loop in loops)
    assert any(" maximum(" in loop for loop in loops)
    assert not any(" sine(" in loop and " maximum(" in loop for loop in loops)
