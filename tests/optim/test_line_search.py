"""The line search beside torch's `_strong_wolfe`, on functions of every shape."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.optim.lbfgs import _strong_wolfe

from jaxnets.optim.line_search import Point, strong_wolfe

CASES = 300


def functions() -> list[np.ndarray]:
    """Waves on a slope that end in nan somewhere, with a first step size and a limit: CASES of each."""
    rng = np.random.default_rng(3)
    wave, frequency, curve, wall = (np.exp(rng.normal(m, s, CASES)) for m, s in ((0, 1), (0.5, 1), (-2, 2), (2, 2)))
    slope = -1.1 * wave * frequency - np.exp(rng.normal(-1, 2, CASES))  # at 0 it goes down
    return [
        wave,
        frequency,
        curve,
        wall,
        slope,
        np.exp(rng.normal(0, 3, CASES)),
        rng.choice([0, 1, 2, 3, 6, 24], CASES),
    ]


def value_and_slope(np: Any, t: Any, wave: Any, frequency: Any, curve: Any, wall: Any, slope: Any) -> tuple[Any, Any]:
    root = np.sqrt(9 - (t / wall) ** 2)
    f = wave * np.sin(frequency * t) + slope * t + curve * t * t - root
    return f, wave * frequency * np.cos(frequency * t) + slope + 2 * curve * t + t / root / wall**2


def in_torch(*function: float, t: float, max_ls: int) -> tuple[float, float, float, int]:
    def evaluate(x: Any, t: Any, d: torch.Tensor) -> tuple[float, torch.Tensor]:
        with np.errstate(invalid="ignore", over="ignore"):
            f, slope = value_and_slope(np, np.float64(t), *function)
        return float(f), torch.tensor([slope])

    d = torch.ones(1, dtype=torch.float64)
    f, g = evaluate(None, 0.0, d)
    f_new, g_new, t_new, evals = _strong_wolfe(evaluate, None, t, d, f, g, g.dot(d), max_ls=max_ls)
    return float(t_new), f_new, float(g_new), evals


def in_jax(*function: Any, t: Any, max_ls: Any) -> tuple[Any, ...]:
    def evaluate(t: jax.Array) -> tuple[Point, jax.Array]:
        f, slope = value_and_slope(jnp, t, *function)
        return Point(t, f, slope), slope

    start, grad = evaluate(jnp.zeros_like(t))
    point, grad, evals = strong_wolfe(
        evaluate, t, start, grad, d_norm=jnp.ones_like(t), max_ls=max_ls, tolerance_change=1e-9
    )
    return point.t, point.f, grad, evals


def test_every_search_is_torchs():
    *function, t, max_ls = functions()
    expected = [
        in_torch(*numbers, t=first, max_ls=int(limit))
        for *numbers, first, limit in zip(*function, t, max_ls, strict=True)
    ]
    with jax.enable_x64(True):
        arrays = [jnp.asarray(x) for x in function]
        found = jax.jit(jax.vmap(lambda f, t, n: in_jax(*f, t=t, max_ls=n)))(
            arrays, jnp.asarray(t), jnp.asarray(max_ls, np.int32)
        )
    close = [
        np.isclose(a, b, rtol=1e-6, equal_nan=True) for a, b in zip(found, zip(*expected, strict=True), strict=True)
    ]
    # A cubic through two points that lie 1e-7 apart is made of rounding errors: of 9000 searches four went astray.
    assert np.all(close, axis=0).mean() >= 0.99
    assert {e[-1] for e in expected} >= {1, 2, 3, 4, 5, 7, 25}


@pytest.mark.parametrize("t", [0.01, 1.0, 20.0])
def test_float32_stays_float32(t: float):
    numbers = [jnp.float32(x) for x in (1, 2, 0.5, 9, -3)]
    point, _, grad, _ = in_jax(*numbers, t=jnp.float32(t), max_ls=24)
    assert point.dtype == grad.dtype == np.float32
    assert abs(float(value_and_slope(np, float(point), 1, 2, 0.5, 9, -3)[1])) <= 0.9
