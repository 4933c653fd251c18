"""Resizing: which element wins at the last bit, bytes, where outputs and gradients disagree in torch, refusals."""

import random
import warnings

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxnets.functional as F
from jaxnets import nn
from jaxnets.functional import upsampling

NAN, INF = np.nan, np.inf
x3, x4 = jnp.ones((1, 2, 4)), jnp.ones((1, 2, 4, 3))


def against_torch(x, exact=1e-12, **settings):
    """Output and gradient of one call in the dtype of `x`, which torch takes as well."""
    theirs = torch.tensor(x, requires_grad=x.dtype.kind == "f")
    expected = torch.nn.functional.interpolate(theirs, **settings)
    with jax.enable_x64(True):
        if not theirs.requires_grad:
            np.testing.assert_array_equal(F.interpolate(jnp.asarray(x), **settings), expected)
            return
        direction = np.random.default_rng(0).normal(size=expected.shape).astype(x.dtype)
        (gradient,) = torch.autograd.grad(expected, theirs, torch.tensor(direction))

        @jax.jit
        def run(x, direction):
            y, pull = jax.vjp(lambda x: F.interpolate(x, **settings), x)
            return y, pull(direction)[0]

        ours, pulled = run(jnp.asarray(x), jnp.asarray(direction))
        np.testing.assert_allclose(ours, expected.detach(), rtol=exact, atol=exact)
        np.testing.assert_allclose(pulled, gradient, rtol=exact, atol=exact)


def random_axis(r):
    """The sizes of an axis before and after, and the factor between them, if there is one."""
    size = r.randint(1, 300)
    if r.random() < 0.5:
        return size, r.randint(1, 300), None
    factor = r.choice([1.3, 0.6, 1.01, 2.0, 0.5, r.uniform(0.3, 3)])
    return size, max(1, int(size * factor)), factor


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_the_same_element_wins_at_every_size(mode):
    """In 400 random sizes: torch rounds in other places in float64, in small planes, and in gradients."""
    r = random.Random(0)
    for _ in range(400):
        size, outputs, factor = random_axis(r)
        if int(size * (factor or 1)) < 1:
            continue
        planar = r.random() < 0.5
        for dtype, real in ((torch.float32, np.float32), (torch.float64, np.float64)):
            x = torch.arange(size, dtype=dtype).reshape(1, 1, size, *(1,) * planar).requires_grad_()
            other = (
                {"size": (outputs,) + (1,) * planar}
                if factor is None
                else {"scale_factor": (factor,) + (1.0,) * planar}
            )
            y = torch.nn.functional.interpolate(x, mode=mode, **other)
            (counts,) = torch.autograd.grad(y.sum(), x)
            axis = upsampling._Axis(size, outputs, factor, False)
            backward = upsampling._nearest_index_in_float(axis, mode == "nearest-exact")
            small = planar and outputs + 1 <= 128
            forward = backward if small else upsampling._nearest_index(axis, mode == "nearest-exact", real)
            # A plane of one column may have any memory layout: torch takes either kernel there.
            if not planar or small:
                assert np.array_equal(forward, y.detach().ravel().numpy()), (size, outputs, factor)
            assert np.array_equal(np.bincount(backward, minlength=size), counts.ravel().numpy()), (
                size,
                outputs,
                factor,
            )


@pytest.mark.parametrize(
    ("mode", "antialias"),
    [
        ("linear", False),
        ("bilinear", False),
        ("bicubic", False),
        ("bilinear", True),
        ("bicubic", True),
        ("lanczos", True),
    ],
)
def test_weights_at_random_sizes(mode, antialias):
    """The tables themselves, over 40 random axes, are those that torch applies to the unit vectors."""
    r = random.Random(1)
    table = upsampling._FILTERS[mode, antialias]
    planar = mode != "linear"
    for _ in range(40):
        size, outputs, factor = random_axis(r)
        align = mode != "lanczos" and r.random() < 0.4
        if outputs == size or int(size * (factor or 1)) < 1:
            continue
        leading = (1,) * planar
        given = {"size": (*leading, outputs)} if factor is None else {"scale_factor": (*(1.0,) * planar, factor)}
        for dtype, real, bound in ((torch.float64, np.float64, 1e-13), (torch.float32, np.float32, 5e-6)):
            units = torch.eye(size, dtype=dtype).reshape(1, size, *leading, size)
            expected = torch.nn.functional.interpolate(
                units, mode=mode, align_corners=align, antialias=antialias, **given
            ).reshape(size, outputs)
            taps = table(upsampling._Axis(size, outputs, factor, align), real)
            matrix = np.zeros((size, outputs), real)
            np.add.at(matrix, (taps.source, np.arange(outputs)[:, None]), taps.weight)
            np.testing.assert_allclose(matrix, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "lanczos", "nearest"])
def test_bytes(mode):
    """uint8 is computed with weights of 16 bits, and is equal to torch's in each bit."""
    x = np.random.default_rng(0).integers(0, 256, (2, 3, 11, 8)).astype(np.uint8)
    for antialias in (True,) if mode == "lanczos" else (False,) if mode == "nearest" else (False, True):
        for size in ((5, 20), (29, 8), (11, 3)):
            against_torch(x, size=size, mode=mode, antialias=antialias)


@pytest.mark.parametrize("row", [[1.0, INF, 3.0, NAN, 5.0, 6.0], [INF, INF, -INF, 1.0, 1.0, 1.0]])
def test_what_is_not_finite_stays_where_it_is(row):
    signal, plane = np.array([[row]]), np.array([[np.outer(np.ones(4), row)]])
    for size in (6, 12, 3):
        against_torch(signal, size=size, mode="linear")
        against_torch(plane, size=(4, size), mode="bilinear")
        against_torch(plane, size=(3, size), mode="bilinear", antialias=True)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("factors", [(1.01, 1.01), (1.01, 2.0), (1.0, 1.01)])
def test_an_axis_that_keeps_its_size(factors, antialias):
    """Torch's outputs and gradients disagree there; ours are torch's outputs and torch's gradients."""
    x = np.random.default_rng(0).normal(size=(1, 2, 9, 7))
    for mode in ("bilinear", "bicubic"):
        against_torch(x, scale_factor=factors, mode=mode, antialias=antialias)
    against_torch(np.random.default_rng(0).normal(size=(1, 1, 54)), scale_factor=1.01)


def test_outputs_and_gradients_by_two_tables():
    """54 elements at a factor of 1.01 in float64: torch takes one element in the output and another in the gradient."""
    axis = upsampling._Axis(54, 54, 1.01, False)
    assert not np.array_equal(
        upsampling._nearest_index(axis, False, np.float64), upsampling._nearest_index_in_float(axis, False)
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"size": 7, "mode": "nearest"},
        {"size": (9, 2), "mode": "bilinear"},
        {"size": 3, "mode": "bicubic", "antialias": True},
        {"scale_factor": 1.01, "mode": "bicubic"},
    ],
)
def test_vmap_forward_mode_and_second_derivatives(settings):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 1, 2, 5, 5)).astype(np.float32))

    def resize(x):
        return F.interpolate(x, **settings)

    np.testing.assert_allclose(jax.vmap(resize)(x), jnp.stack([resize(x[0]), resize(x[1])]), rtol=1e-6, atol=1e-6)
    one = x[0, :, :1, :, :2]
    hessian = jax.hessian(lambda x: (resize(x) ** 2).sum())(one)
    assert hessian.shape == one.shape * 2
    assert np.isfinite(hessian).all()


def test_the_graph_does_not_grow():
    def equations(size):
        x = jax.ShapeDtypeStruct((1, 1, size, size), np.float32)
        return str(jax.make_jaxpr(lambda x: F.interpolate(x, size=7, mode="bicubic", antialias=True))(x)).count(" = ")

    assert 0 < equations(50) == equations(900)


def test_half_precision_is_rounded_once():
    x = np.random.default_rng(0).normal(size=(1, 2, 5)).astype(np.float32)
    half = jnp.asarray(x).astype(jnp.bfloat16)
    wide = F.interpolate(half.astype(jnp.float32), size=9, mode="linear")
    assert (F.interpolate(half, size=9, mode="linear") == wide.astype(jnp.bfloat16)).all()


def test_attributes():
    for ours, theirs in (
        (nn.Upsample((3, 4), None, "bilinear", True), torch.nn.Upsample((3, 4), None, "bilinear", True)),
        (nn.Upsample(scale_factor=(2, 3)), torch.nn.Upsample(scale_factor=(2, 3))),
        (
            nn.Upsample(scale_factor=2, recompute_scale_factor=True),
            torch.nn.Upsample(None, 2, recompute_scale_factor=True),
        ),
        (nn.UpsamplingNearest2d(5), torch.nn.UpsamplingNearest2d(5)),
        (nn.UpsamplingBilinear2d(scale_factor=2), torch.nn.UpsamplingBilinear2d(scale_factor=2)),
    ):
        for name in theirs.__constants__:
            assert getattr(ours, name) == getattr(theirs, name)


@pytest.mark.parametrize("name", ["upsample", "upsample_nearest", "upsample_bilinear"])
def test_old_names_warn(name):
    with pytest.warns(UserWarning, match=f"`nn.functional.{name}` is deprecated") as records:
        getattr(F, name)(x4, 5)
    assert records[0].filename == __file__


MODES = {3: ("nearest", "nearest-exact", "linear", "area"), 4: ("nearest", "bilinear", "bicubic"), 5: ("trilinear",)}


@hypothesis.settings(max_examples=25, deadline=None, derandomize=True)
@hypothesis.given(st.data())
def test_any_call(data):
    """Shapes, modes and arguments at random, numbers among them that are large or not finite."""
    n = data.draw(st.integers(3, 5))
    mode = data.draw(st.sampled_from(MODES[n]))
    shape = (data.draw(st.integers(0, 2)), 2, *(data.draw(st.integers(1, 9 - n)) for _ in range(n - 2)))
    settings = {"mode": mode}
    if mode not in upsampling.UNALIGNED:
        settings["align_corners"] = data.draw(st.sampled_from([None, False, True]))
    if mode in ("bilinear", "bicubic"):
        settings["antialias"] = data.draw(st.booleans())
    if data.draw(st.booleans()):
        settings["size"] = tuple(data.draw(st.integers(1, 8)) for _ in shape[2:])
    else:
        settings["scale_factor"] = tuple(data.draw(st.sampled_from([1.0, 1.01, 1.3, 2.0, 2.7])) for _ in shape[2:])
        settings["recompute_scale_factor"] = data.draw(st.sampled_from([None, False, True]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = rng.normal(data.draw(st.sampled_from([0.0, 1e5])), 1.0, shape)
    if data.draw(st.booleans()) and x.size:
        x.flat[rng.integers(x.size)] = data.draw(st.sampled_from([NAN, INF, -INF]))
    against_torch(x, exact=1e-11, **settings)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.interpolate(x3), ValueError, "size: expected size or scale_factor, one of them, got none"),
        (lambda: F.interpolate(x3, 2, 2.0), ValueError, "size: expected size or scale_factor, one of them, got both"),
        (lambda: F.interpolate(x3, (2, 2)), ValueError, "size: expected an int or 1 ints"),
        (lambda: F.interpolate(x4, (2,)), ValueError, "size: expected an int or 2 ints"),
        (lambda: F.interpolate(x3, 2.5), TypeError, "size: expected an int, got 2.5"),
        (lambda: F.interpolate(x3, 0), ValueError, "size: expected an output with at least one element"),
        (lambda: F.interpolate(x3, scale_factor=0.1), ValueError, "size: expected an output with at least one element"),
        (lambda: F.interpolate(x3, scale_factor=(2, 2)), ValueError, "scale_factor: expected a number or 1 numbers"),
        (lambda: F.interpolate(x3, scale_factor="2"), TypeError, "scale_factor: expected a number, got '2'"),
        (lambda: F.interpolate(x3, scale_factor=NAN), ValueError, "scale_factor: expected finite numbers, got nan"),
        (lambda: F.interpolate(x3, 2, recompute_scale_factor=True), ValueError, "recompute_scale_factor: expected"),
        (lambda: F.interpolate(x3, 2, mode="cubic"), ValueError, "mode: expected one of 'nearest', .*, got 'cubic'"),
        (
            lambda: F.interpolate(x3, 2, mode="bilinear"),
            ValueError,
            "mode: 'bilinear' takes 4 axes, got input of shape",
        ),
        (lambda: F.interpolate(x4, 2, mode="trilinear"), ValueError, "mode: 'trilinear' takes 5 axes"),
        (lambda: F.interpolate(x3, 2, align_corners=False), ValueError, "align_corners: mode='nearest' takes none"),
        (lambda: F.interpolate(x3, 2, mode="linear", align_corners=1), TypeError, "align_corners: expected True or"),
        (
            lambda: F.interpolate(x3, 2, mode="linear", antialias=True),
            ValueError,
            "antialias: expected mode to be one of",
        ),
        (lambda: F.interpolate(x4, 2, mode="lanczos"), ValueError, "antialias: mode='lanczos' needs antialias=True"),
        (
            lambda: F.interpolate(x4, 2, mode="lanczos", antialias=True, align_corners=True),
            ValueError,
            "align_corners: mode='lanczos' takes False only",
        ),
        (lambda: F.interpolate(x3[0], 2), ValueError, r"input: expected 3 axes \(N, C, L\) or"),
        (lambda: F.interpolate(x3[:, :0], 2), ValueError, "input: expected no empty axis but the batch"),
        (lambda: F.interpolate(x3[:, :, :0], 2, mode="area"), ValueError, "input: expected no empty"),
        (lambda: F.interpolate(x3.astype(int), 2, mode="linear"), TypeError, "input: expected a floating dtype"),
        (lambda: F.interpolate(x3.astype(jnp.uint8), 2, mode="linear"), TypeError, "input: expected a floating dtype"),
        (lambda: nn.Upsample(scale_factor=0)(x3), ValueError, "size: expected size or scale_factor, one of them"),
        (lambda: nn.Upsample(scale_factor=[2.0]), TypeError, "scale_factor: expected a number"),
        (lambda: nn.UpsamplingBilinear2d(2)(x3), ValueError, "mode: 'bilinear' takes 4 axes"),
    ],
)
def test_refusals(call, error, message):
    with warnings.catch_warnings(), pytest.raises(error, match=message):
        call()
