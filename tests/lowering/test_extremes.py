"""NaN in large arrays is kept, as in torch: XLA's CPU backend loses it where it reduces many numbers by a maximum, or
numbers that are maxima."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jaxnets import functional as F
from jaxnets import nn, ops
from jaxnets.lowering.extremes import greater, greatest, least, smaller

T = torch.nn.functional
INF = np.inf


def with_nan(*shape, low=-3.0, high=3.0):
    x = np.random.default_rng(0).uniform(low, high, shape).astype(np.float32)
    x.flat[:: x.size // 29] = np.nan
    return x


ROWS, IMAGES, SIGNALS = (64, 200), (4, 8, 64, 64), (4, 8, 400)
PAIR = (with_nan(*ROWS), with_nan(200, 64).T.copy())

# ours, torch's, the arrays
CALLS = {
    "amax": (lambda x: ops.amax(x, 1), lambda x: torch.amax(x, 1), with_nan(*ROWS)),
    "amin of two axes": (lambda x: ops.amin(x, (0, 1)), lambda x: torch.amin(x, (0, 1)), with_nan(*ROWS)),
    "max of all": (ops.max, torch.max, with_nan(*ROWS)),
    "min of all": (ops.min, torch.min, with_nan(*ROWS)),
    "aminmax": (lambda x: ops.aminmax(x, dim=0), lambda x: torch.aminmax(x, dim=0), with_nan(*ROWS)),
    "norm inf": (lambda x: ops.norm(x, INF, 1), lambda x: torch.norm(x, INF, 1), with_nan(*ROWS)),
    "norm -inf": (lambda x: ops.norm(x, -INF), lambda x: torch.norm(x, -INF), with_nan(*ROWS)),
    "normalize": (lambda x: F.normalize(x, INF), lambda x: T.normalize(x, INF), with_nan(*ROWS)),
    "pdist inf": (lambda x: F.pdist(x, INF), lambda x: T.pdist(x, INF), with_nan(*ROWS)),
    "pdist 0": (lambda x: F.pdist(x, 0), lambda x: T.pdist(x, 0), with_nan(*ROWS)),
    "cdist 0": (lambda x: ops.cdist(x, 2 * x, 0), lambda x: torch.cdist(x, 2 * x, 0), with_nan(*ROWS)),
    "max pool of all": (lambda x: F.max_pool2d(x, 64), lambda x: T.max_pool2d(x, 64), with_nan(*IMAGES)),
    "max pool of many": (lambda x: F.max_pool2d(x, 30), lambda x: T.max_pool2d(x, 30), with_nan(*IMAGES)),
    "max pool": (lambda x: F.max_pool2d(x, 3, 2, 1), lambda x: T.max_pool2d(x, 3, 2, 1), with_nan(*IMAGES)),
    "lp pool": (lambda x: F.lp_pool1d(x, INF, 100), lambda x: T.lp_pool1d(x, INF, 100), with_nan(*SIGNALS)),
    "adaptive max pool": (
        lambda x: F.adaptive_max_pool2d(x, 8),
        lambda x: T.adaptive_max_pool2d(x, 8),
        with_nan(*IMAGES),
    ),
    "adaptive max pool, uneven": (
        lambda x: F.adaptive_max_pool2d(x, (7, 30), True),
        lambda x: T.adaptive_max_pool2d(x, (7, 30), True),
        with_nan(*IMAGES),
    ),
    "maximum, sum": (
        lambda x, y: ops.maximum(x, y).sum(1),
        lambda x, y: torch.maximum(x, y).sum(1),
        *PAIR,
    ),
    "minimum, sum": (
        lambda x, y: ops.minimum(x, y).sum(1),
        lambda x, y: torch.minimum(x, y).sum(1),
        *PAIR,
    ),
    "relu, sum": (lambda x: F.relu(x).sum(1), lambda x: T.relu(x).sum(1), with_nan(*ROWS)),
    "binary cross entropy": (
        lambda x: F.binary_cross_entropy(x, jnp.ones_like(x)),
        lambda x: T.binary_cross_entropy(x, torch.ones_like(x)),
        np.abs(with_nan(*ROWS, low=0.1, high=0.9)),
    ),
    "Gaussian": (
        lambda x: F.gaussian_nll_loss(jnp.ones_like(x), jnp.ones_like(x), x),
        lambda x: T.gaussian_nll_loss(torch.ones_like(x), torch.ones_like(x), x),
        with_nan(*ROWS, low=0.1),
    ),
    "triplets": (
        lambda x, y: F.triplet_margin_loss(x[:, None], y[:, None], x[:, None] * 2, swap=True),
        lambda x, y: T.triplet_margin_loss(x[:, None], y[:, None], x[:, None] * 2, swap=True),
        with_nan(8000, 2)[:, 0:1],
        with_nan(8000, 2)[:, 1:],
    ),
    "clipped": (
        lambda x: nn.utils.get_total_norm([x], float("inf")),
        lambda x: torch.nn.utils.get_total_norm([x], float("inf")),
        with_nan(*ROWS),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("ours", "theirs", "arrays"), [(o, t, a) for o, t, *a in CALLS.values()], ids=CALLS)
def test_nan_stays(ours, theirs, arrays):
    if ours is CALLS["binary cross entropy"][0]:  # torch refuses NaN there, so what it would be is said here
        assert np.isnan(jax.jit(ours)(*arrays))
        return
    found, expected = jax.jit(ours)(*arrays), theirs(*map(torch.from_numpy, arrays))
    pairs = zip(found, expected, strict=True) if isinstance(expected, tuple) else [(found, expected)]
    for mine, right in pairs:
        np.testing.assert_allclose(mine, right, rtol=1e-5, atol=1e-5)
    first = np.asarray(found[0] if isinstance(expected, tuple) else found)
    assert np.isnan(first).any()


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axes", [None, (0,), (1,), (0, 2), (2, 1, 0)])
def test_the_derivative_is_jaxs_own(axes, keepdims):
    x = jnp.asarray(np.random.default_rng(0).integers(-2, 3, (3, 4, 5)).astype(np.float32))
    for mine, jaxs in ((greatest, jnp.max), (least, jnp.min)):
        for way in (jax.grad, lambda f: jax.jvp(f, (x,), (jnp.cos(x),))[1]):

            def total(x, f, along=axes):
                return jnp.sum(jnp.sin(f(x, along, keepdims=keepdims)))

            found, expected = (way(lambda x, f=f: total(x, f)) for f in (mine, jaxs))
            if callable(found):
                found, expected = found(x), expected(x)
            np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(("ours", "theirs"), [(greater, torch.maximum), (smaller, torch.minimum)])
def test_the_derivatives_of_two_are_torchs(ours, theirs):
    values = np.array([-1.0, 0.0, 2.0, INF, np.nan], np.float32)
    a, b = (x.ravel() for x in np.meshgrid(values, values))
    x, y = (torch.tensor(v, requires_grad=True) for v in (a, b))
    theirs(x, y).backward(torch.arange(1.0, 26.0))
    output, pull = jax.vjp(ours, jnp.asarray(a), jnp.asarray(b))
    np.testing.assert_array_equal(output, theirs(x, y).detach())
    for found, expected in zip(pull(jnp.arange(1.0, 26.0)), (x.grad, y.grad), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_ints_and_booleans():
    x = jnp.arange(6).reshape(2, 3)
    assert greatest(x).item() == 5
    assert least(x > 2, (1,)).tolist() == [False, True]
    assert greater(x[0], x[1]).tolist() == [3, 4, 5]
    assert smaller(x[0], x[1]).tolist() == [0, 1, 2]


@pytest.mark.parametrize("fold", [greatest, least])
def test_the_derivative_of_rows_with_nan_is_nan(fold):
    """Compiled, too: XLA takes a truth value times infinity for 0."""
    x = jnp.asarray([[1.0, np.nan, 2.0], [3.0, 1.0, 3.0]])
    found = jax.jit(jax.grad(lambda x: fold(x, (1,)).sum()))(x)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()
    assert found[1].sum() == 1
