"""Fractional max pooling: torch's windows from torch's samples, in every dtype; draws, derivatives, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxnets
import jaxnets.functional as F
from jaxnets import nn


@st.composite
def calls(draw):
    n = draw(st.integers(2, 3))
    plane = draw(st.lists(st.integers(3, 40 if n == 2 else 9), min_size=n, max_size=n))
    kernel = [draw(st.integers(1, (size + 1) // 2)) for size in plane]
    windows = [draw(st.integers(0, size - k + (n == 2))) for size, k in zip(plane, kernel, strict=True)]
    leading = draw(st.sampled_from([(2,), (2, 3), (0, 2)]))
    return n, (*leading, *plane), kernel, windows, draw(st.sampled_from(["f2", "f4", "f8"])), draw(st.integers(0, 99))


@given(calls())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_call(call):
    n, shape, kernel, windows, dtype, seed = call
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=shape)).astype(dtype)
    x.flat[:: 1 + x.size // 3] = np.nan
    u = rng.uniform(0, 0.999, (*(shape[:-n] if len(shape) == n + 2 else (1, shape[0])), n)).astype(dtype)
    theirs = torch.tensor(x, requires_grad=True)
    name = f"fractional_max_pool{n}d"
    expected, wanted = getattr(torch.nn.functional, name)(
        theirs, kernel, windows, return_indices=True, _random_samples=torch.tensor(u)
    )
    (gradient,) = torch.autograd.grad(expected.sum(), theirs)

    @jax.jit
    def run(x, u):
        y, pull, index = jax.vjp(lambda x: getattr(F, name)(x, kernel, windows, None, True, u), x, has_aux=True)
        return y, index, *pull(jnp.ones_like(y))

    with jax.enable_x64(True):
        y, index, ours = run(jnp.asarray(x), jnp.asarray(u))
    np.testing.assert_array_equal(index, wanted)
    np.testing.assert_array_equal(y, expected.detach())
    np.testing.assert_array_equal(ours, gradient)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_windows_stand_where_torch_s_rounding_puts_them(dtype):
    """Half precisions cannot hold every position of 700: each step of the formula is rounded."""
    u = torch.rand(1, 50, 2, generator=torch.Generator().manual_seed(0)).clamp(max=0.9).to(getattr(torch, dtype))
    x = torch.arange(700.0).to(u.dtype).repeat(1, 50, 1, 1)
    _, wanted = torch.nn.functional.fractional_max_pool2d(x, (1, 1), (1, 213), return_indices=True, _random_samples=u)
    ours = jnp.asarray(x.float().numpy()).astype(dtype), jnp.asarray(u.float().numpy()).astype(dtype)
    pool = jax.jit(lambda x, u: F.fractional_max_pool2d_with_indices(x, (1, 1), (1, 213), _random_samples=u)[1])
    np.testing.assert_array_equal(pool(*ours), wanted)


def test_draws():
    """Every plane has windows of its own, in training and in evaluation; a layer with samples draws nothing."""
    x = jnp.broadcast_to(jnp.arange(40.0), (2, 3, 40, 40))
    layer = nn.FractionalMaxPool2d(2, 17, rngs=nnx.Rngs(0))
    for mode in (layer.train, layer.eval):
        mode()
        first, second = layer(x), layer(x)
        for other in (second, jnp.roll(first, 1, 0), jnp.roll(first, 1, 1)):
            assert (first != other).any()
    assert "_random_samples" not in jaxnets.state_dict(layer)
    assert (layer(x, rngs=nnx.Rngs(3)) == layer(x, rngs=nnx.Rngs(3))).all()
    still = nn.FractionalMaxPool2d(2, 17, _random_samples=jax.random.uniform(jax.random.key(0), (2, 3, 2)))
    assert list(jaxnets.state_dict(still)) == ["_random_samples"]
    assert (still(x) == still(x)).all()


def test_drawn_windows_are_torch_s_in_the_mean():
    """Where the maxima of a ramp lie, over 300 planes."""
    ramp = np.broadcast_to(np.arange(23.0, dtype=np.float32), (300, 2, 3, 23)).copy()
    ours = F.fractional_max_pool2d(jnp.asarray(ramp), (2, 3), (1, 7), key=jax.random.key(0))
    torch.manual_seed(0)
    theirs = torch.nn.functional.fractional_max_pool2d(torch.tensor(ramp), (2, 3), (1, 7)).numpy()
    for statistic, bound in ((np.mean, 0.15), (np.var, 0.1)):
        np.testing.assert_allclose(statistic(ours, (0, 1)), statistic(theirs, (0, 1)), atol=bound)


def test_vmap_and_second_derivatives():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 2, 6, 5)).astype(np.float32))
    u = jax.random.uniform(jax.random.key(0), (3, 2, 2))

    def pool(x, u):
        return F.fractional_max_pool2d(x, 2, (3, 4), _random_samples=u)

    mapped = jax.jit(jax.vmap(lambda x, u: pool(x, u[None])))(x, u)
    np.testing.assert_array_equal(mapped, pool(x, u))

    def loss(x):
        return (pool(x, u[:1]) ** 3).sum()

    hessian, again = jax.jit(lambda x: (jax.hessian(loss)(x), jax.jacrev(jax.grad(loss))(x)))(x[0])
    np.testing.assert_allclose(hessian, again, atol=1e-5)
    assert hessian.any()


def test_attributes_are_torch_s():
    for name, arguments in (
        ("FractionalMaxPool2d", (2, 3)),
        ("FractionalMaxPool2d", ((2, 3), None, 0.5, True)),
        ("FractionalMaxPool3d", (2, (3, 4, 5))),
        ("FractionalMaxPool3d", ((1, 2, 3), None, (0.5, 0.6, 0.7))),
    ):
        ours, theirs = getattr(nn, name)(*arguments, rngs=nnx.Rngs(0)), getattr(torch.nn, name)(*arguments)
        for attribute in theirs.__constants__:
            assert getattr(ours, attribute) == getattr(theirs, attribute), (name, attribute)


x, u = jnp.ones((2, 3, 5, 6)), jnp.full((2, 3, 2), 0.5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.FractionalMaxPool2d(2), ValueError, "output_size: expected either output_size or output_ratio"),
        (lambda: nn.FractionalMaxPool2d(2, 3, 0.5), ValueError, "output_size: expected either output_size or output"),
        (lambda: nn.FractionalMaxPool2d(0, 3), ValueError, "kernel_size: expected an int of at least 1, got 0"),
        (lambda: nn.FractionalMaxPool2d(2, output_ratio=1.0), ValueError, "output_ratio: expected numbers between 0"),
        (
            lambda: nn.FractionalMaxPool3d(2, output_ratio=(0.5, 0.5)),
            ValueError,
            "output_ratio: expected a number or 3",
        ),
        (lambda: nn.FractionalMaxPool2d(2, 3)(x), ValueError, "rngs: expected flax.nnx.Rngs or _random_samples, got N"),
        (lambda: nn.FractionalMaxPool2d(2, 3, rngs=0), TypeError, "rngs: expected flax.nnx.Rngs, got int"),
        (lambda: F.fractional_max_pool2d(x, 2), ValueError, "output_size: expected an output_size or an output_ratio"),
        (lambda: F.fractional_max_pool2d(x, 2, 3), ValueError, "key: expected a jax random key or _random_samples"),
        (
            lambda: F.fractional_max_pool2d(x, 2, (3,), _random_samples=u),
            ValueError,
            "output_size: expected an int or 2",
        ),
        (
            lambda: F.fractional_max_pool2d(x, 2, -1, _random_samples=u),
            ValueError,
            "output_size: expected an int of at",
        ),
        (
            lambda: F.fractional_max_pool2d(x, 2, (5, 5), _random_samples=u),
            ValueError,
            "to be at most the input's size",
        ),
        (
            lambda: F.fractional_max_pool3d(x, 1, (3, 1, 1), _random_samples=u),
            ValueError,
            "to be less than the input's size",
        ),
        (
            lambda: F.fractional_max_pool2d(x, 2, 3, _random_samples=u[:1]),
            ValueError,
            r"_random_samples: expected shape \(2, 3, 2\), got \(1, 3, 2\)",
        ),
        (
            lambda: F.fractional_max_pool2d(x, 2, 3, _random_samples=u.astype(jnp.float16)),
            TypeError,
            "_random_samples: expected float32, the dtype of input, got float16",
        ),
        (lambda: F.fractional_max_pool2d(x.astype(int), 2, 3), TypeError, "input: expected a floating dtype, got int"),
        (lambda: F.fractional_max_pool2d(x[:, :0], 2, 3), ValueError, "input: expected no empty axis but the batch"),
        (lambda: F.fractional_max_pool2d(x[0, 0], 2, 3), ValueError, "input: expected 3 axes"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
