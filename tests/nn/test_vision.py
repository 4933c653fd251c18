"""grid_sample and affine_grid: coordinates without a number, borders, derivatives, warnings, refusals."""

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxnets.functional as F

plane, points = jnp.ones((1, 2, 4, 3)), jnp.zeros((1, 5, 2, 2))
volume = jnp.ones((1, 2, 4, 3, 2))
PADDING = ("zeros", "border", "reflection")


def against_torch(x, grid, mode, padding_mode, align_corners, exact=1e-11):
    """Output and both gradients in float64."""
    theirs = torch.tensor(x, requires_grad=True), torch.tensor(grid, requires_grad=True)
    expected = torch.nn.functional.grid_sample(*theirs, mode, padding_mode, align_corners)
    direction = np.random.default_rng(0).normal(size=expected.shape)
    gradients = torch.autograd.grad(expected, theirs, torch.tensor(direction))
    with jax.enable_x64(True):

        @jax.jit
        def run(x, grid, direction):
            y, pull = jax.vjp(lambda x, grid: F.grid_sample(x, grid, mode, padding_mode, align_corners), x, grid)
            return y, *pull(direction)

        for ours, wanted in zip(run(x, grid, direction), (expected, *gradients), strict=True):
            np.testing.assert_allclose(ours, wanted.detach(), rtol=exact, atol=exact)


@hypothesis.settings(max_examples=25, deadline=None, derandomize=True)
@hypothesis.given(st.data())
def test_any_call(data):
    """Planes and volumes down to one element; points within, far outside, and on a lattice of eighths."""
    n = data.draw(st.sampled_from([2, 2, 3]))
    mode = data.draw(st.sampled_from(["bilinear", "nearest", "bicubic"][: 5 - n]))
    sizes = [data.draw(st.integers(1, 5)) for _ in range(n)]
    batch, channels = data.draw(st.integers(0, 2)), data.draw(st.integers(1, 2))
    seed, reach = data.draw(st.integers(0, 99)), data.draw(st.sampled_from([1.0, 2.0, 30.0]))
    rng = np.random.default_rng(seed)
    grid = rng.uniform(-reach, reach, (batch, *(data.draw(st.integers(0, 3)) for _ in range(n)), n))
    if data.draw(st.booleans()):
        grid = np.round(8 * grid) / 8
    x = rng.normal(data.draw(st.sampled_from([0.0, 1e4])), 1.0, (batch, channels, *sizes))
    arguments = data.draw(st.sampled_from(PADDING)), data.draw(st.booleans())
    against_torch(x, grid, mode, *arguments, exact=1e-9)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding_mode", PADDING)
def test_coordinates_that_are_no_number(mode, padding_mode):
    """They spoil their own points at most, and no others; infinite ones do not come inside with "zeros"."""
    x = jnp.arange(1.0, 13.0).reshape(1, 1, 4, 3)
    grid = jnp.array([[[[jnp.nan, 0.0], [jnp.inf, 0.0], [1e30, 0.0], [0.0, 0.0]]]])
    y, pull = jax.vjp(lambda x: F.grid_sample(x, grid, mode, padding_mode, False), x)
    assert y[0, 0, 0, 3] == F.grid_sample(x, grid[:, :, 3:], mode, padding_mode, False).item()
    assert not np.isfinite(y[0, 0, 0, 0]) or y[0, 0, 0, 0] in (0, *np.asarray(x).ravel())
    clean = jnp.array([[[[0.0, 0.0, 0.0, 1.0]]]])
    assert np.isfinite(pull(clean)[0]).all() or mode != "nearest"


def test_what_is_not_finite_stays_where_it_is():
    """An element outside of the plane counts as 0, not as 0 times what is at the border."""
    x = jnp.array([[[[jnp.inf, 1.0], [1.0, jnp.nan]]]])
    y = F.grid_sample(x, jnp.array([[[[3.0, 3.0], [-3.0, -3.0]]]]), align_corners=False)
    assert (y == 0).all()


def test_vmap_forward_mode_and_second_derivatives():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(3, 1, 2, 4, 3)).astype(np.float32))
    grid = jnp.asarray(rng.uniform(-1, 1, (3, 1, 2, 2, 2)).astype(np.float32))

    def sample(x, grid):
        return F.grid_sample(x, grid, align_corners=False)

    each = jnp.stack([sample(a, b) for a, b in zip(x, grid, strict=True)])
    np.testing.assert_allclose(jax.vmap(sample)(x, grid), each, rtol=1e-6, atol=1e-6)
    hessian = jax.hessian(lambda grid: (sample(x[0], grid) ** 2).sum())(grid[0, :, :1])
    assert np.isfinite(hessian).all()


def test_half_precision_is_rounded_once():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(1, 2, 4, 3))).astype(jnp.bfloat16)
    grid = jnp.asarray(rng.uniform(-1, 1, (1, 3, 2, 2))).astype(jnp.bfloat16)
    y = F.grid_sample(x, grid, align_corners=True)
    assert y.dtype == jnp.bfloat16
    wide = F.grid_sample(x.astype(jnp.float32), grid.astype(jnp.float32), align_corners=True)
    assert (y == wide.astype(jnp.bfloat16)).all()


def test_warnings_are_torchs():
    with pytest.warns(UserWarning, match="Default grid_sample and affine_grid behavior has changed") as records:
        F.grid_sample(plane, points)
    with pytest.warns(UserWarning, match="Default grid_sample and affine_grid behavior has changed") as more:
        F.affine_grid(jnp.ones((1, 2, 3)), (1, 1, 2, 2))
    assert {records[0].filename, more[0].filename} == {__file__}
    with pytest.warns(UserWarning, match="unit-size grids when align_corners=True"):
        F.affine_grid(jnp.ones((1, 2, 3)), (1, 1, 1, 2), True)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.grid_sample(plane, points, "cubic"), ValueError, "mode: expected one of 'bilinear', 'nearest'"),
        (
            lambda: F.grid_sample(plane, points, padding_mode="edge"),
            ValueError,
            "padding_mode: expected one of 'zeros'",
        ),
        (lambda: F.grid_sample(plane, points, align_corners=1), TypeError, "align_corners: expected True or False"),
        (
            lambda: F.grid_sample(plane, jnp.zeros((2, 5, 2, 2)), align_corners=False),
            ValueError,
            r"grid: expected shape \(1, H_out, W_out, 2\) for input of shape",
        ),
        (
            lambda: F.grid_sample(volume, points, align_corners=False),
            ValueError,
            r"grid: expected shape \(1, D_out, H_out, W_out, 3\) for input of shape",
        ),
        (
            lambda: F.grid_sample(volume, jnp.zeros((1, 5, 2, 2, 3)), "bicubic", align_corners=False),
            ValueError,
            "mode: 'bicubic' takes input of shape",
        ),
        (lambda: F.grid_sample(plane[0], points, align_corners=False), ValueError, r"input: expected 4 axes"),
        (
            lambda: F.grid_sample(plane[:, :, :0], points, align_corners=False),
            ValueError,
            "input: expected no empty spatial axis",
        ),
        (
            lambda: F.grid_sample(plane, points.astype(jnp.bfloat16), align_corners=False),
            TypeError,
            "input is float32 but grid is bfloat16",
        ),
        (
            lambda: F.grid_sample(plane.astype(int), points, align_corners=False),
            TypeError,
            "input: expected a floating dtype",
        ),
        (
            lambda: F.affine_grid(jnp.ones((1, 2, 3), int), (1, 1, 2, 2), False),
            TypeError,
            "theta: expected a floating dtype, got int32",
        ),
        (lambda: F.affine_grid(jnp.ones((1, 2, 3)), (1, 1, 2), False), ValueError, r"size: expected \(N, C, H, W\) or"),
        (
            lambda: F.affine_grid(jnp.ones((1, 2, 3)), (1, 1, 2, 0), False),
            ValueError,
            "size: expected an int of at least 1, got 0",
        ),
        (
            lambda: F.affine_grid(jnp.ones((1, 2, 3)), (1, 1, 2.0, 2), False),
            TypeError,
            "size: expected an int, got 2.0",
        ),
        (
            lambda: F.affine_grid(jnp.ones((1, 2, 3)), (2, 1, 2, 2), False),
            ValueError,
            r"theta: expected shape \(2, 2, 3\) for size",
        ),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_gradient_of_a_compiled_call():
    random = np.random.default_rng(0)
    x, grid = jnp.asarray(random.normal(size=(2, 3, 5, 7))), jnp.asarray(random.uniform(-1, 1, (2, 4, 3, 2)))

    def total(x, grid):
        return jnp.sin(F.grid_sample(x, grid, align_corners=False)).sum()

    found = jax.grad(jax.jit(total), (0, 1))(x, grid)
    expected = jax.jit(jax.grad(total, (0, 1)))(x, grid)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
