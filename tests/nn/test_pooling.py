"""Pooling: ties, NaN, windows at the borders, derivatives of every order, refusals, and random layers against torch."""

import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxnets.functional as F
from jaxnets import nn

NAN, INF = np.nan, np.inf


def test_the_printed_size():
    """Seed system E2."""
    assert jax.eval_shape(nn.AvgPool2d(2, 2), jnp.ones((1, 3, 318, 320))).shape == (1, 3, 159, 160)


def against_torch(name, x, *arguments, **settings):
    """Output, gradient, and for max pooling indices too, of one call in float64."""
    theirs = torch.tensor(x, requires_grad=True)
    expected = getattr(torch.nn.functional, name)(theirs, *arguments, **settings)
    direction = np.random.default_rng(0).normal(size=expected.shape)
    (gradient,) = torch.autograd.grad(expected, theirs, torch.tensor(direction))
    with jax.enable_x64(True):
        run = jax.jit(lambda x, d: (lambda y, pull: (y, pull(d)[0]))(*jax.vjp(pool, x)))

        def pool(x):
            return getattr(F, name)(x, *arguments, **settings)

        y, ours = run(jnp.asarray(x), jnp.asarray(direction))
        np.testing.assert_allclose(y, expected.detach(), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(ours, gradient, rtol=1e-12, atol=1e-12)
        if name.startswith("max"):
            _, wanted = getattr(torch.nn.functional, name)(theirs, *arguments, **settings, return_indices=True)
            _, indices = getattr(F, name)(jnp.asarray(x), *arguments, **settings, return_indices=True)
            assert np.array_equal(indices, wanted)


@pytest.mark.parametrize(
    "row",
    [
        [1.0, 1.0, 1.0, 1.0, 1.0],
        [1.0, NAN, 2.0, 3.0, 1.0],
        [NAN, 1.0, NAN, 1.0, 5.0],
        [-INF, -INF, -INF, 2.0, -INF],
        [INF, INF, NAN, -INF, INF],
        [0.0, -0.0, 0.0, -0.0, 0.0],
    ],
)
@pytest.mark.parametrize("padding", [0, 1])
def test_ties_and_nan_of_max_pooling(row, padding):
    """The first of equals gets the whole gradient; NaN wins, the last one first; padding never does."""
    against_torch("max_pool1d", np.array([row]), 3, 1, padding)
    square = np.array([[np.roll(row, i) for i in range(4)]])
    against_torch("max_pool2d", square, (2, 3), 1, (1, padding))


def test_a_window_does_not_start_in_the_right_padding():
    x = np.arange(1.0, 11.0).reshape(1, 10)
    for name in ("max_pool1d", "avg_pool1d"):
        against_torch(name, x, 2, 3, 1, ceil_mode=True)
        against_torch(name, x, 4, 5, 2, ceil_mode=True)
        against_torch(name, x, 2, 4, 0, ceil_mode=True)


def test_an_infinity_stays_in_its_windows():
    x = np.ones((1, 7))
    x[0, 3], x[0, 6] = INF, NAN
    against_torch("adaptive_avg_pool1d", x, 4)
    against_torch("avg_pool1d", x, 3, 2, 1)


def random_call(seed):
    """A function of one of the three kinds, an input with ties, and arguments that torch takes for it."""
    r = random.Random(seed)
    n = r.choice((1, 1, 2, 2, 3))

    def each(low, high):
        return r.choice((r.randint(low, high), tuple(r.randint(low, high) for _ in range(n))))

    kind = r.choice(("max_pool", "avg_pool", "adaptive_avg_pool"))
    shape = (*r.choice(((2, 3), (3,))), *(r.randint(7, 9) for _ in range(n)))
    x = np.round(np.random.default_rng(seed).normal(size=shape))
    if kind == "adaptive_avg_pool":
        return f"{kind}{n}d", x, {"output_size": tuple(r.randint(1, 9) for _ in range(n))}
    settings = {"kernel_size": each(2, 4), "stride": r.choice((None, each(1, 3))), "padding": each(0, 1)}
    settings["ceil_mode"] = r.random() < 0.5
    if kind == "max_pool":
        settings["dilation"] = 1 if any(np.atleast_1d(settings["padding"])) else each(1, 2)
    else:
        settings["count_include_pad"] = r.random() < 0.5
        if n > 1 and r.random() < 0.3:
            settings["divisor_override"] = r.randint(1, 7)
    return f"{kind}{n}d", x, settings


@pytest.mark.parametrize("seed", range(40))
def test_random_pooling(seed):
    name, x, settings = random_call(seed)
    against_torch(name, x, **settings)


def test_integers():
    x = np.random.default_rng(0).integers(-9, 9, (2, 5, 6))
    with jax.enable_x64(True):
        for name, arguments in (("max_pool2d", (2, 1, 1)), ("avg_pool2d", (3, 2, 1)), ("avg_pool1d", (4,))):
            expected = getattr(torch.nn.functional, name)(torch.tensor(x), *arguments)
            assert np.array_equal(getattr(F, name)(jnp.asarray(x), *arguments), expected)
    assert F.max_pool1d(jnp.array([[1, 5, 2, 7]], jnp.int8), 2).tolist() == [[5, 7]]


def test_forward_mode_and_second_derivatives():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32))
    for pool in (
        lambda x: F.max_pool2d(x, 3, 2, 1),
        lambda x: F.max_pool2d(x, 2, dilation=2),
        lambda x: F.avg_pool2d(x, 3, 2, 1, True),
        lambda x: F.adaptive_avg_pool2d(x, (3, 3)),
    ):

        def loss(x, pool=pool):
            return (pool(x) ** 3).sum()

        forward, reverse = (
            jax.jit(lambda x, loss=loss: jax.jvp(loss, (x,), (jnp.ones_like(x),))[1])(x),
            jax.grad(loss)(x).sum(),
        )
        np.testing.assert_allclose(forward, reverse, rtol=1e-4)
        hessian = jax.jit(jax.hessian(loss))(x).reshape(x.size, x.size)
        np.testing.assert_allclose(hessian, hessian.T, atol=1e-4)
        again = jax.jit(jax.jacrev(jax.grad(loss)))(x).reshape(x.size, x.size)
        np.testing.assert_allclose(hessian, again, atol=1e-4)


def test_vmap_and_jit():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 2, 6, 5)).astype(np.float32))
    for layer in (
        nn.MaxPool2d(2, return_indices=True),
        nn.MaxPool2d(2),
        nn.AvgPool2d(3, 2, 1),
        nn.AdaptiveAvgPool2d(4),
    ):
        for mapped, batched in zip(
            jax.tree.leaves(jax.jit(jax.vmap(layer))(x)), jax.tree.leaves(layer(x)), strict=True
        ):
            np.testing.assert_allclose(mapped, batched, rtol=1e-6)
        gradient = jax.grad(lambda x, layer=layer: jax.tree.leaves(layer(x))[0].sum())
        np.testing.assert_allclose(jax.vmap(gradient)(x), gradient(x), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    ("name", "arguments"), [("avg_pool2d", (3, 2, 1)), ("adaptive_avg_pool2d", ((2, 3),)), ("max_pool2d", (2,))]
)
def test_half_precisions(name, arguments, dtype):
    x = np.random.default_rng(0).normal(2.0, 1.0, (3, 9, 10)).astype(np.float32)
    expected = getattr(torch.nn.functional, name)(torch.tensor(x).to(getattr(torch, dtype)), *arguments)
    ours = getattr(F, name)(jnp.asarray(x).astype(dtype), *arguments)
    assert str(ours.dtype) == dtype
    np.testing.assert_allclose(
        ours.astype(jnp.float32), expected.float(), rtol={"bfloat16": 1.6e-2, "float16": 1e-3}[dtype], atol=1e-5
    )


def test_a_long_window_is_no_long_program():
    """The windows of a maximum are built by doubling: 64 elements take 6 steps, not 64."""

    def count(kernel):
        return str(jax.make_jaxpr(jax.grad(lambda x: F.max_pool1d(x, kernel).sum()))(jnp.ones((1, 128)))).count("\n")

    assert count(64) < 2 * count(4)


def test_attributes_are_torch_s():
    for name, arguments in (
        ("MaxPool1d", (3,)),
        ("MaxPool2d", ((3, 2), None, (1, 0))),
        ("MaxPool3d", (2, 1, 0, 2, True, True)),
        ("AvgPool1d", (3, 2, 1)),
        ("AvgPool2d", (3,)),
        ("AvgPool3d", ((1, 2, 3), 2, 0, True, False, 4)),
        ("AdaptiveAvgPool2d", ((None, 3),)),
        ("LPPool1d", (2, 3)),
        ("LPPool2d", (1.5, (2, 3), (1, 2), True)),
    ):
        ours, theirs = getattr(nn, name)(*arguments), getattr(torch.nn, name)(*arguments)
        for attribute in theirs.__constants__:
            assert getattr(ours, attribute) == getattr(theirs, attribute), (name, attribute)


@st.composite
def norms(draw):
    n = draw(st.integers(1, 3))
    plane = draw(st.lists(st.integers(3, 6 if n < 3 else 4), min_size=n, max_size=n))
    leading = draw(st.sampled_from([(2,), (1, 2)]))
    p = draw(st.sampled_from([1, 2, 3, 2.0, 1.5, 0.5, -1.0, -2, 7.0, INF, -INF]))
    values = st.sampled_from([-2.0, -1.0, 0.0, 0.0, 0.25, 1.0, 1e3, NAN, INF])
    count = int(np.prod([*leading, *plane]))
    x = np.array(draw(st.lists(values, min_size=count, max_size=count))).reshape(*leading, *plane)
    return f"lp_pool{n}d", x, p, draw(st.integers(1, 3)), draw(st.sampled_from([None, 1, 2])), draw(st.booleans())


@given(norms())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_norm(call):
    name, x, *arguments = call
    against_torch(name, x, *arguments)


def test_norms_of_integers_and_halves():
    """An int power of integers is whole, as is its mean; a float one is not."""
    x = np.arange(-4, 8).reshape(2, 6)
    for p in (2, 2.0, 1, 3):
        expected = torch.nn.functional.lp_pool1d(torch.tensor(x), p, 3)
        ours = F.lp_pool1d(jnp.asarray(x), p, 3)
        assert ours.dtype == jnp.float32
        np.testing.assert_allclose(ours, expected, rtol=1e-6)
    half = np.linspace(-1, 2, 12).reshape(2, 6).astype(np.float16)
    expected = torch.nn.functional.lp_pool1d(torch.tensor(half), 2.0, 3)
    np.testing.assert_allclose(F.lp_pool1d(jnp.asarray(half), 2.0, 3), expected, rtol=1e-3)


x2, x3, x4 = jnp.ones((2, 5)), jnp.ones((2, 5, 5)), jnp.ones((2, 2, 5, 5))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.MaxPool2d(2)(jnp.ones((5, 5))), ValueError, r"input: expected 3 axes \(C, H, W\) or 4 axes"),
        (lambda: nn.AvgPool1d(2)(x4), ValueError, r"input: expected 2 axes \(C, L\) or 3 axes \(N, C, L\), got 4 axes"),
        (lambda: nn.AdaptiveAvgPool3d(2)(x3), ValueError, r"input: expected 4 axes \(C, D, H, W\) or 5 axes"),
        (
            lambda: F.max_pool2d(x4, 2, padding=2),
            ValueError,
            r"padding: expected at most half of kernel_size=\(2, 2\), got",
        ),
        (
            lambda: F.max_pool2d(x4, 6),
            ValueError,
            r"kernel_size: expected a window of at most 5 elements .* got \(6, 6\)",
        ),
        (lambda: F.avg_pool1d(x2, 0), ValueError, "kernel_size: expected an int of at least 1, got 0"),
        (lambda: F.avg_pool1d(x2, 2, 0), ValueError, "stride: expected an int of at least 1, got 0"),
        (lambda: F.max_pool1d(x2, 2, 1, -1), ValueError, "padding: expected an int of at least 0, got -1"),
        (lambda: F.max_pool1d(x2, 2, dilation=0), ValueError, "dilation: expected an int of at least 1, got 0"),
        (lambda: nn.MaxPool2d(2.0), TypeError, "kernel_size: expected an int, got 2.0"),
        (lambda: nn.MaxPool2d((2, 3, 4)), ValueError, "kernel_size: expected an int or 2 ints"),
        (lambda: F.avg_pool2d(x4, 2, divisor_override=0), ValueError, "divisor_override: expected an int other than 0"),
        (lambda: F.avg_pool3d(x4, 6, padding=1), ValueError, "kernel_size: expected"),
        (lambda: F.max_pool2d(jnp.ones((2, 0, 5, 5)), 2), ValueError, "input: expected no empty axis but the batch"),
        (lambda: F.adaptive_avg_pool1d(jnp.ones((2, 0)), 2), ValueError, "input: expected no empty axis to be pooled"),
        (lambda: F.adaptive_avg_pool2d(x4, -1), ValueError, "output_size: expected an int of at least 0, got -1"),
        (lambda: F.adaptive_avg_pool2d(x4, (2,)), ValueError, "output_size: expected an int or 2 ints"),
        (lambda: F.adaptive_avg_pool2d(x4, 2.5), TypeError, "output_size: expected an int, got 2.5"),
        (lambda: F.adaptive_avg_pool2d(x4.astype(int), 2), TypeError, "input: expected a floating dtype, got int"),
        (lambda: nn.LPPool2d(0, 2), ValueError, "norm_type: expected a number other than 0, got 0"),
        (lambda: nn.LPPool2d("2", 2), TypeError, "norm_type: expected a number, got '2'"),
        (lambda: F.lp_pool1d(x2, 0.0, 2), ValueError, "norm_type: expected a number other than 0, got 0.0"),
        (lambda: F.lp_pool2d(x4, 2, 7), ValueError, "kernel_size: expected a window of at most 5 elements"),
        (lambda: F.lp_pool1d(x2.astype(jnp.complex64), 2, 2), TypeError, "input: expected real numbers, got complex64"),
        (lambda: F.max_pool1d(x2 > 0, 2), TypeError, "input: expected real numbers, got bool"),
        (lambda: F.avg_pool1d(x2.astype(jnp.complex64), 2), TypeError, "input: expected real numbers, got complex64"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("stride", [None, [], (), np.array([], int)])
def test_no_stride_is_the_size_of_the_window(stride):
    for layer in (nn.MaxPool2d((2, 3), stride), nn.AvgPool2d((2, 3), stride)):
        assert layer(jnp.ones((1, 4, 6))).shape == (1, 2, 2)


def test_output_size_none():
    """None stands for one of several axes, as in torch."""
    for call in (
        lambda: nn.AdaptiveAvgPool1d(None)(jnp.ones((1, 4))),
        lambda: nn.AdaptiveAvgPool1d((None,))(jnp.ones((1, 4))),
        lambda: nn.AdaptiveAvgPool2d(None)(jnp.ones((1, 4, 4))),
    ):
        with pytest.raises(ValueError, match="output_size: expected an int or"):
            call()
    assert nn.AdaptiveAvgPool2d((None, None))(jnp.ones((1, 4, 3))).shape == (1, 4, 3)
