"""Max unpooling: what pooling took comes back, indices that meet or lie outside, derivatives, refusals."""

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
    n = draw(st.integers(1, 3))
    each = st.lists(st.integers(1, 3), min_size=n, max_size=n)
    plane, kernel, stride = draw(each), draw(each), draw(st.none() | each)
    step = stride or kernel
    usual = [(size - 1) * s + k for size, k, s in zip(plane, kernel, step, strict=True)]
    size = None
    if draw(st.booleans()):
        size = [draw(st.integers(max(u - s + 1, 1), u + s - 1)) for u, s in zip(usual, step, strict=True)]
    leading = draw(st.sampled_from([(2,), (2, 3), (0, 2)]))
    return n, (*leading, *plane), kernel, stride, size, int(np.prod(size or usual)), draw(st.integers(0, 99))


@given(calls())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_call(call):
    n, shape, kernel, stride, size, places, seed = call
    rng = np.random.default_rng(seed)
    x, index = rng.normal(size=shape), rng.integers(0, places, shape)
    theirs = torch.tensor(x, requires_grad=True)
    name = f"max_unpool{n}d"
    expected = getattr(torch.nn.functional, name)(theirs, torch.tensor(index), kernel, stride, 0, size)
    direction = rng.normal(size=expected.shape)
    (gradient,) = torch.autograd.grad(expected, theirs, torch.tensor(direction))

    @jax.jit
    def run(x, index, direction):
        y, pull = jax.vjp(lambda x: getattr(F, name)(x, index, kernel, stride, 0, size), x)
        return y, *pull(direction)

    with jax.enable_x64(True):
        y, ours = run(jnp.asarray(x), jnp.asarray(index), jnp.asarray(direction))
    np.testing.assert_array_equal(y, expected.detach())
    np.testing.assert_array_equal(ours, gradient)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_pooling_and_back(n):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 5, 6, 7)[: n + 2]).astype(np.float32))
    pool = getattr(nn, f"MaxPool{n}d")(2, return_indices=True)
    back = getattr(nn, f"MaxUnpool{n}d")(2)(*pool(x), output_size=x.shape)
    assert set(np.unique(back)) == {0.0, *np.unique(pool(x)[0])}
    assert ((back == 0) | (back == x)).all()


def test_vmap_and_a_traced_index_outside():
    x, index = jnp.ones((3, 2, 4)), jnp.array([[[0, 9, -1, 3]] * 2] * 3)
    run = jax.jit(lambda x, index: F.max_unpool1d(x, index, 2))
    assert run(x, index)[0, 0].tolist() == [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    np.testing.assert_array_equal(jax.vmap(run)(x, index), run(x, index))
    gradient = jax.grad(lambda x: run(x, index).sum())(x)
    assert gradient[0, 0].tolist() == [1.0, 0.0, 0.0, 1.0]


def test_attributes_are_torch_s():
    for arguments in ((2,), ((3, 2), 2), (3, (1, 2), 1)):
        ours, theirs = nn.MaxUnpool2d(*arguments), torch.nn.MaxUnpool2d(*arguments)
        for name in ("kernel_size", "stride", "padding"):
            assert getattr(ours, name) == getattr(theirs, name)


x, i = jnp.ones((2, 3, 4)), jnp.zeros((2, 3, 4), jnp.int32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.max_unpool1d(x, i + 8, 2), ValueError, r"indices: expected positions from 0 to 7 .* got 8"),
        (lambda: F.max_unpool2d(x, i - 1, 2), ValueError, "indices: expected positions from 0 to 47 .* got -1"),
        (lambda: F.max_unpool1d(x, i[:1], 2), ValueError, r"indices: expected the shape of input \(2, 3, 4\), got"),
        (lambda: F.max_unpool1d(x, i.astype(jnp.int8), 2), TypeError, "indices: expected dtype int32 or int64, got"),
        (lambda: F.max_unpool1d(i, i, 2), TypeError, "input: expected a floating dtype, got int32"),
        (lambda: F.max_unpool3d(x, i, 2), ValueError, "input: expected 4 axes"),
        (lambda: F.max_unpool2d(x[:, :0], i[:, :0], 2), ValueError, "input: expected no empty axis but the first"),
        (lambda: F.max_unpool1d(x, i, 2, padding=5), ValueError, "output_size: expected no negative size, got"),
        (lambda: F.max_unpool1d(x, i, 2, 0), ValueError, "stride: expected an int of at least 1, got 0"),
        (lambda: nn.MaxUnpool2d((2, 2, 2)), ValueError, "kernel_size: expected an int or 2 ints"),
        (lambda: nn.MaxUnpool1d(2)(x, i, 7), ValueError, "output_size: expected 1 or 3 ints in a sequence, got 7"),
        (lambda: nn.MaxUnpool1d(2)(x, i, (2, 7)), ValueError, "output_size: expected 1 or 3 ints in a sequence"),
        (lambda: nn.MaxUnpool1d(2)(x, i, (10,)), ValueError, r"output_size: expected sizes less than stride=\(2,\) aw"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
