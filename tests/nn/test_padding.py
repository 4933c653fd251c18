"""Padding: attributes, crops, derivatives, refusals, and random calls against torch."""

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxnets.functional as F
from jaxnets import nn

KINDS = ("ConstantPad", "ZeroPad", "ReflectionPad", "ReplicationPad", "CircularPad")
MODES = ("constant", "reflect", "replicate", "circular")
x3, x4 = jnp.ones((2, 3, 5)), jnp.ones((2, 3, 5, 4))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_attributes(kind, n):
    value = (1.5,) * (kind == "ConstantPad")
    for padding in (2, list(range(2 * n)), (1,) * 2 * n):
        ours, theirs = getattr(nn, f"{kind}{n}d")(padding, *value), getattr(torch.nn, f"{kind}{n}d")(padding, *value)
        for name in theirs.__constants__:
            assert getattr(ours, name) == getattr(theirs, name)


@hypothesis.settings(max_examples=25, deadline=None, derandomize=True)
@hypothesis.given(st.data())
def test_any_call(data):
    """Every mode over one to three axes, crops and empty batches among them: torch's numbers, or a refusal."""
    mode, n = data.draw(st.sampled_from(MODES)), data.draw(st.integers(1, 3))
    leading = (data.draw(st.integers(0, 2)),) * data.draw(st.integers(0, 1)) + (2,)
    shape = (*leading, *(data.draw(st.integers(1, 4)) for _ in range(n)))
    amounts = tuple(data.draw(st.integers(-2, 4)) for _ in range(2 * n))
    # Torch reads what it has not written where a circular border is longer than what is left of a cropped axis.
    pairs = zip(shape[::-1], amounts[::2], amounts[1::2], strict=False)
    hypothesis.assume(mode != "circular" or all(max(a, b) <= size + min(a, 0) + min(b, 0) for size, a, b in pairs))
    x = np.random.default_rng(0).normal(size=shape)
    value = data.draw(st.sampled_from([None, -2.5, np.inf])) if mode == "constant" else None
    theirs = torch.tensor(x, requires_grad=True)
    try:
        expected = torch.nn.functional.pad(theirs, amounts, mode, value)
        direction = np.random.default_rng(1).normal(size=expected.shape)
        (gradient,) = torch.autograd.grad(expected, theirs, torch.tensor(direction))
    except RuntimeError:
        with pytest.raises(ValueError, match="pad: "):
            F.pad(jnp.asarray(x, jnp.float32), amounts, mode, value)
        return
    with jax.enable_x64(True):

        @jax.jit
        def run(x, direction):
            y, pull = jax.vjp(lambda x: F.pad(x, amounts, mode, value), x)
            return y, pull(direction)[0]

        ours, pulled = run(jnp.asarray(x), jnp.asarray(direction))
        np.testing.assert_array_equal(ours, expected.detach())
        np.testing.assert_allclose(pulled, gradient, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("mode", MODES)
def test_vmap_and_second_derivatives(mode):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 2, 4)).astype(np.float32))

    def pad(x):
        return F.pad(x, (2, 1), mode)

    assert (jax.vmap(pad)(x) == jnp.stack([pad(x[0]), pad(x[1]), pad(x[2])])).all()
    hessian = jax.hessian(lambda x: (pad(x) ** 3).sum())(x[0, :1])
    assert np.isfinite(hessian).all()


def test_every_dtype():
    for dtype in (jnp.int8, bool, jnp.bfloat16, jnp.complex64):
        x = jnp.array([[0, 1, 1]]).astype(dtype)
        for mode in MODES:
            assert F.pad(x, (1, 1), mode).dtype == dtype
    assert F.pad(jnp.array([1]), (1, 0), value=2.7).tolist() == [2, 1]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.ReflectionPad1d(1.5), TypeError, "padding: expected an int, got 1.5"),
        (lambda: nn.ReflectionPad1d(5)(x3), ValueError, "pad: mode='reflect' takes at most 4 on axis 2 of size 5"),
        (lambda: nn.CircularPad1d(6)(x3), ValueError, "pad: mode='circular' takes at most 5 on axis 2 of size 5"),
        (lambda: nn.CircularPad2d(1)(x3[0]), ValueError, r"input: expected 3 axes \(C, H, W\) or 4 axes"),
        (lambda: nn.CircularPad1d(1)(x4), ValueError, r"input: expected 2 axes \(C, L\) or 3 axes"),
        (lambda: nn.ReflectionPad2d(1)(x3[0]), ValueError, "pad: mode='reflect' takes 2, 4 or 6 numbers"),
        (lambda: nn.ReplicationPad3d(1)(x3), ValueError, "pad: mode='replicate' takes 2, 4 or 6 numbers"),
        (lambda: nn.ConstantPad2d((1, 2, 3), 0)(x4), ValueError, "pad: expected an even number of ints"),
        (lambda: nn.ConstantPad3d(1, 0)(x3[0]), ValueError, "pad: expected an even number of ints, .* 4 at most"),
        (lambda: nn.ZeroPad1d(-3)(x3), ValueError, r"pad: \(-3, -3\) crops more than the 5 entries of axis 2"),
        (lambda: F.pad(x3, (1, 1), "wrap"), ValueError, "mode: expected one of 'constant'"),
        (lambda: F.pad(x3, (1, 1), "reflect", 1.0), ValueError, "value: mode='reflect' takes no value"),
        (lambda: F.pad(x3, 1), TypeError, "pad: expected a list or tuple of ints, got 1"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
