"""Convolutions: the printed numbers of the seed systems, sizes, errors, and 300 random layers against torch."""

import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxnets
import jaxnets.functional as F
from jaxnets import nn
from tests.exhaustive import more

ROWS = [[1, 1, 1], [2, 2, 2], [3, 3, 3]]


def filled(layer, number):
    """The layer with every weight `number`, run on one picture given as rows."""
    layer.weight.set_value(jnp.full_like(layer.weight[...], number))
    return lambda rows: np.asarray(layer(jnp.asarray([[rows]], jnp.float32)))[0, 0].tolist()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # B1 to B3
        ({"padding": (1, 2)}, [[0] * 6, [0, 0, 2, 2, 0, 0], [0, 0, 4, 4, 0, 0], [0] * 6]),
        ({"padding": (2, 1)}, [[0] * 4, [0] * 4, [0, 2, 2, 0], [0, 4, 4, 0], [0] * 4, [0] * 4]),
        ({"padding": (2, 1), "stride": (1, 2)}, [[0, 0], [0, 0], [0, 2], [0, 4], [0, 0], [0, 0]]),
    ],
)
def test_seed_b_convolutions(settings, expected):
    layer = nn.Conv2d(1, 1, 1, bias=False, rngs=nnx.Rngs(0), **settings)
    assert filled(layer, 2.0)([[1, 1], [2, 2]]) == expected


@pytest.mark.parametrize(
    ("kernel", "settings", "rows", "expected"),
    [
        (1, {}, ROWS, [[2] * 3, [4] * 3, [6] * 3]),  # B4
        (1, {"padding": 1}, ROWS, [[4]]),  # B5
        (1, {"stride": 2}, ROWS, [[2, 0, 2, 0, 2], [0] * 5, [4, 0, 4, 0, 4], [0] * 5, [6, 0, 6, 0, 6]]),  # B6
        (1, {"stride": 2, "padding": 1}, ROWS, [[0, 0, 0], [0, 4, 0], [0, 0, 0]]),  # B7
        (1, {"stride": 2, "padding": 1, "output_padding": (0, 1)}, ROWS, [[0] * 4, [0, 4, 0, 4], [0] * 4]),  # B8
        (
            1,
            {"stride": 2, "padding": 1, "output_padding": (1, 0)},
            ROWS,
            [[0] * 3, [0, 4, 0], [0] * 3, [0, 6, 0]],
        ),  # B9
        ((2, 3), {"stride": 2}, [[1, 1, 1]], [[2, 2, 4, 2, 4, 2, 2]] * 2),  # B10
        ((2, 3), {}, [[1, 1, 1]], [[2, 4, 6, 4, 2]] * 2),  # B11
        ((2, 3), {"padding": 1}, ROWS, [[12, 18, 12], [20, 30, 20]]),  # B12
    ],
)
def test_seed_b_transposed_convolutions(kernel, settings, rows, expected):
    layer = nn.ConvTranspose2d(1, 1, kernel, bias=False, rngs=nnx.Rngs(0), **settings)
    assert filled(layer, 2.0)(rows) == expected


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_seed_b13_padding_modes(n, mode):
    theirs = getattr(torch.nn, f"Conv{n}d")(2, 3, 3, padding=2, padding_mode=mode)
    ours = getattr(nn, f"Conv{n}d")(2, 3, 3, padding=2, padding_mode=mode, rngs=nnx.Rngs(0))
    jaxnets.load_state_dict(ours, theirs.state_dict())
    x = torch.randn(2, 2, *(4, 5, 6)[:n], generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.tensor(np.asarray(ours(jnp.asarray(x.numpy())))), theirs(x))


def test_seed_a1_output_sizes():
    for height, kernel, stride, padding, dilation in [
        (9, 3, 2, 1, 1),
        (10, 3, 2, 1, 2),
        (7, 2, 3, 0, 3),
        (5, 5, 1, 4, 2),
    ]:
        layer = nn.Conv2d(1, 1, (kernel, 1), (stride, 1), (padding, 0), (dilation, 1), rngs=nnx.Rngs(0))
        expected = (height + 2 * padding - (dilation * (kernel - 1) + 1)) // stride + 1
        assert layer(jnp.ones((1, height, 4))).shape == (1, expected, 4)


def test_seed_a2_groups_are_convolved_one_by_one():
    layer = nn.Conv2d(4, 6, 3, groups=2, bias=False, rngs=nnx.Rngs(0))
    assert layer.weight.shape == (6, 2, 3, 3)
    x = jax.random.normal(jax.random.key(1), (2, 4, 7, 5))
    parts = [F.conv2d(x[:, 2 * g : 2 * g + 2], layer.weight[3 * g : 3 * g + 3]) for g in range(2)]
    np.testing.assert_allclose(layer(x), np.concatenate(parts, axis=1), rtol=1e-5, atol=1e-6)
    assert nn.Conv2d(3, 3, (3, 3), stride=(2, 2), padding=(0, 0), groups=3, rngs=nnx.Rngs(0)).weight.shape == (
        3,
        1,
        3,
        3,
    )


def test_seed_a3_dilation_covers_more_with_no_more_parameters():
    a, b, k = 3, 2, 4
    dilated, plain = (nn.Conv2d(1, 1, (a, b), dilation=d, rngs=nnx.Rngs(0)) for d in (k, 1))
    assert dilated.weight.shape == plain.weight.shape
    covered = (a + (k - 1) * (a - 1), b + (k - 1) * (b - 1))
    assert dilated(jnp.ones((1, *covered))).shape == (1, 1, 1)


def test_initial_distribution_is_torchs():
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)) for both: by the bounds, and by Kolmogorov's distance."""
    for layer, fan_in in [
        (nn.Conv2d(20, 100, 3, groups=2, rngs=nnx.Rngs(0)), 10 * 9),
        (nn.ConvTranspose2d(20, 100, 3, groups=2, rngs=nnx.Rngs(0)), 50 * 9),
    ]:
        draws = np.sort(np.asarray(layer.weight[...]).ravel()) * np.sqrt(fan_in)
        assert draws[0] >= -1
        assert draws[-1] <= 1
        distance = np.abs((draws + 1) / 2 - np.linspace(0, 1, draws.size)).max()
        assert distance < 1.95 / np.sqrt(draws.size)  # exceeded once in a thousand seeds
        assert np.abs(np.asarray(layer.bias[...])).max() <= 1 / np.sqrt(fan_in)


def test_attributes_are_torchs():
    for name, args, kwargs in [
        ("Conv2d", (4, 6, 3), {"stride": 2, "padding": (1, 2), "groups": 2}),
        ("Conv1d", (4, 6, 3), {"padding": "same"}),
        ("ConvTranspose3d", (4, 6, 3), {"stride": 2, "output_padding": 1}),
    ]:
        theirs, ours = getattr(torch.nn, name)(*args, **kwargs), getattr(nn, name)(*args, rngs=nnx.Rngs(0), **kwargs)
        for key in (
            "in_channels",
            "out_channels",
            "kernel_size",
            "stride",
            "padding",
            "dilation",
            "groups",
            "padding_mode",
        ):
            assert getattr(ours, key) == getattr(theirs, key), key


CONSTRUCTOR_ERRORS = [
    ("Conv2d", (4, 6, 3), {"groups": 3}, "groups: expected a divisor of the 4 channels of in_channels, got 3"),
    ("Conv2d", (6, 4, 3), {"groups": 3}, "groups: expected a divisor of the 4 channels of out_channels, got 3"),
    ("Conv2d", (4, 6, 3), {"groups": 0}, "groups: expected an int of at least 1, got 0"),
    ("Conv2d", (4, 6, 3), {"stride": 0}, "stride: expected an int of at least 1, got 0"),
    ("Conv2d", (4, 6, 3), {"padding": -1}, "padding: expected an int of at least 0, got -1"),
    ("Conv2d", (4, 6, 3), {"padding": 1.0}, "padding: expected an int, got 1.0 of type float"),
    ("Conv2d", (4, 6, 3), {"dilation": (1, 2, 3)}, "dilation: expected an int or 2 ints"),
    ("Conv2d", (4, 6, 0), {}, "kernel_size: expected an int of at least 1, got 0"),
    ("Conv2d", (4, 6, 3), {"padding": "some"}, "padding: expected one of 'same', 'valid', got 'some'"),
    ("Conv2d", (4, 6, 3), {"padding": "same", "stride": 2}, r"padding: 'same' needs a stride of 1, got \(2, 2\)"),
    ("Conv2d", (4, 6, 3), {"padding_mode": "mirror"}, "padding_mode: expected one of 'zeros', 'reflect'"),
    ("Conv2d", (-4, 6, 3), {}, "in_channels: expected an int of at least 0, got -4"),
    ("Conv1d", (4, 6, 3), {"dtype": "int32"}, "dtype: expected a floating or complex dtype, got int32"),
    ("ConvTranspose2d", (4, 6, 3), {"padding_mode": "reflect"}, "padding_mode: expected one of 'zeros', got 'reflect'"),
    ("ConvTranspose2d", (4, 6, 3), {"padding": "same"}, "padding: expected an int, got 'same'"),
]


@pytest.mark.parametrize(("name", "args", "kwargs", "message"), CONSTRUCTOR_ERRORS)
def test_constructor_errors(name, args, kwargs, message):
    with pytest.raises((ValueError, TypeError), match=message):
        getattr(nn, name)(*args, rngs=nnx.Rngs(0), **kwargs)


CALL_ERRORS = [
    ("Conv2d", (4, 6, 3), {}, (2, 5, 7, 7), "input: expected 4 channels for weight of shape"),
    ("Conv2d", (4, 6, 3), {}, (7, 7), r"input: expected 3 axes \(C_in, H, W\) or 4 axes \(N, C_in, H, W\), got 2 axes"),
    ("Conv1d", (4, 6, 3), {"padding_mode": "circular", "padding": 1}, (1, 4, 7, 7), "input: expected 2 axes"),
    (
        "Conv2d",
        (4, 6, 3),
        {"dilation": 2},
        (1, 4, 7, 4),
        "input: spatial axis 1 has 4 entries, 4 with its padding, fewer",
    ),
    ("Conv2d", (4, 6, 3), {"padding": 1}, (1, 4, 0, 4), "input: spatial axis 0 has 0 entries"),
    (
        "Conv2d",
        (4, 6, 3),
        {"padding": 4, "padding_mode": "reflect"},
        (1, 4, 4, 9),
        "pad: mode='reflect' takes at most 3",
    ),
    (
        "ConvTranspose1d",
        (4, 6, 3),
        {"output_padding": 1},
        (1, 4, 5),
        "output_padding: expected less than stride or dilation, 1",
    ),
    (
        "ConvTranspose1d",
        (4, 6, 3),
        {"padding": 3},
        (1, 4, 2),
        "input: the output of spatial axis 0 would have -2 entries",
    ),
    ("ConvTranspose1d", (4, 6, 3), {}, (1, 5, 5), "input: expected 4 channels"),
]


@pytest.mark.parametrize(("name", "args", "kwargs", "shape", "message"), CALL_ERRORS)
def test_call_errors(name, args, kwargs, shape, message):
    layer = getattr(nn, name)(*args, rngs=nnx.Rngs(0), **kwargs)
    with pytest.raises(ValueError, match=message):
        layer(jnp.ones(shape))


def test_other_errors():
    conv, transposed = nn.Conv2d(4, 6, 3, rngs=nnx.Rngs(0)), nn.ConvTranspose2d(4, 6, 3, stride=2, rngs=nnx.Rngs(0))
    x = jnp.ones((1, 4, 5, 5))
    with pytest.raises(TypeError, match="input is float16 but weight is float32: expected one dtype; cast one of them"):
        conv(x.astype(jnp.float16))
    with pytest.raises(TypeError, match="input: expected an array, got list"):
        conv([[1.0]])
    with pytest.raises(ValueError, match=r"output_size: expected from \(11, 11\) to \(12, 12\).* got \(13, 11\)"):
        transposed(x, output_size=(13, 11))
    with pytest.raises(ValueError, match=r"output_size: expected 2 sizes, or 4 with batch and channels"):
        transposed(x, output_size=(11,))
    with pytest.raises(ValueError, match=r"bias: expected shape \(6,\), got \(5,\)"):
        F.conv2d(x, conv.weight[...], jnp.ones(5))
    with pytest.raises(TypeError, match=r"rngs: expected flax.nnx.Rngs, got int; pass rngs=nnx.Rngs\(0\)"):
        nn.Conv2d(1, 1, 1, rngs=0)


def test_vmap_and_second_derivative():
    layer = nn.ConvTranspose1d(2, 4, 3, stride=2, groups=2, rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(0), (3, 2, 5))
    np.testing.assert_allclose(jax.vmap(layer)(x), layer(x), rtol=1e-6, atol=1e-6)
    energy = lambda x: (layer(x) ** 3).sum()  # noqa: E731
    assert jnp.isfinite(jax.hessian(energy)(x[0])).all()


# --------------------------------------------------------------------------------------------------- random layers


def random_layer(seed):
    """A name, constructor arguments and an input shape that torch takes."""
    draw = random.Random(seed)
    n, transposed, groups = draw.choice([1, 1, 2, 2, 3]), seed % 2 == 1, draw.choice([1, 1, 2, 3, 4])

    def sizes(low, high):
        return draw.randint(low, high) if draw.random() < 0.5 else tuple(draw.randint(low, high) for _ in range(n))

    settings = {"stride": sizes(1, 3), "dilation": sizes(1, 3), "groups": groups, "bias": draw.random() < 0.7}
    if transposed:
        stride, dilation = (np.broadcast_to(settings[key], n).tolist() for key in ("stride", "dilation"))
        settings["padding"] = sizes(0, 2)
        settings["output_padding"] = tuple(
            draw.randint(0, max(s, d) - 1) for s, d in zip(stride, dilation, strict=True)
        )
    else:
        settings["padding"] = draw.choice(["same", "valid", sizes(0, 2)])
        settings["padding_mode"] = draw.choice(["zeros", "reflect", "replicate", "circular"])
        if settings["padding"] == "same":
            settings["stride"] = 1
    args = (groups * draw.randint(1, 3), groups * draw.randint(1, 3), sizes(1, 4))
    batch = () if draw.random() < 0.2 else (draw.randint(1, 3),)
    shape = (*batch, args[0], *(draw.randint(10, 12) if n < 3 else draw.randint(9, 10) for _ in range(n)))
    return ("ConvTranspose" if transposed else "Conv") + f"{n}d", args, settings, shape


@pytest.mark.parametrize("seed", [*range(15), *more(range(15, 300))])
def test_random_layers_equal_torch(seed):
    """f64 within 1e-12 of the scale; f32 within assert_close's defaults, or 2e-6 of the scale.

    A sum's rounding error goes with its terms, not with its result: 1.5e-6 of the scale was measured at worst here,
    and 4.8e-6 in torch's own float32 against its float64.
    """
    name, args, settings, shape = random_layer(seed)
    generator = np.random.default_rng(seed)
    x64 = generator.normal(0.3, 1.0, shape).astype(np.float32).astype(np.float64)
    theirs = getattr(torch.nn, name)(*args, **settings)
    ours = getattr(nn, name)(*args, rngs=nnx.Rngs(0), **settings)
    cotangent = generator.normal(size=theirs(torch.from_numpy(x64).float()).shape).astype(np.float32)

    def in_torch(dtype):
        theirs.to(dtype)
        x = torch.from_numpy(x64).to(dtype).requires_grad_()
        y = theirs(x)
        leaves = [x, *theirs.parameters()]
        return [t.detach().numpy() for t in (y, *torch.autograd.grad(y, leaves, torch.from_numpy(cotangent).to(dtype)))]

    def in_jax(dtype):
        jaxnets.load_state_dict(ours, theirs.state_dict())
        names = [name for name, _ in theirs.named_parameters()]
        graph, state = nnx.split(ours)

        @jax.jit
        def run(state, x, cotangent):
            y, back = jax.vjp(lambda state, x: nnx.merge(graph, state)(x), state, x)
            parameters, inputs = back(cotangent)
            return [y, inputs, *(parameters[name][...] for name in names)]

        return [np.asarray(a) for a in run(state, x64.astype(dtype), cotangent.astype(dtype))]

    singles = in_torch(torch.float32), in_jax(np.float32)
    with jax.enable_x64(True):
        doubles = in_torch(torch.float64), in_jax(np.float64)
    for theirs32, ours32, exact, ours64 in zip(*singles, *doubles, strict=True):
        scale = max(1.0, np.abs(exact).max())
        assert np.abs(ours64 - exact).max() <= 1e-12 * scale
        assert ours32.dtype == theirs32.dtype == np.float32
        close = np.isclose(ours32, theirs32, rtol=1.3e-6, atol=1e-5)
        assert (close | (np.abs(ours32 - exact) <= 2e-6 * scale)).all()


TBC = jnp.ones((2, 3, 4))


@pytest.mark.parametrize(("shape", "weight"), [((5, 0, 3), (2, 3, 4)), ((5, 2, 0), (2, 0, 4)), ((5, 2, 3), (2, 3, 0))])
def test_conv_tbc_of_nothing_is_the_bias(shape, weight):
    y = F.conv_tbc(jnp.ones(shape), jnp.ones(weight), jnp.arange(float(weight[2])))
    assert y.tolist() == np.broadcast_to(np.arange(weight[2]), (4, shape[1], weight[2])).tolist()


def test_conv_tbc_of_whole_numbers():
    x, weight, bias = (np.arange(n).reshape(shape) for n, shape in ((30, (5, 2, 3)), (24, (2, 3, 4)), (4, (4,))))
    theirs = torch.conv_tbc(*map(torch.tensor, (x, weight, bias)), 1)
    assert F.conv_tbc(*map(jnp.asarray, (x, weight, bias)), 1).tolist() == theirs.tolist()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.conv_tbc(jnp.ones((5, 3)), TBC, jnp.ones(4)), ValueError, r"input: expected 3 axes \(T, N, C_in\)"),
        (lambda: F.conv_tbc(jnp.ones((5, 2, 2)), TBC, jnp.ones(4)), ValueError, "input: expected C_in=3 channels"),
        (lambda: F.conv_tbc(jnp.ones((5, 2, 3)), TBC, jnp.ones(3)), ValueError, r"bias: expected shape \(4,\)"),
        (lambda: F.conv_tbc(jnp.ones((5, 2, 3)), TBC, None), TypeError, "bias: expected an array, got NoneType"),
        (lambda: F.conv_tbc(jnp.ones((0, 2, 3)), TBC, jnp.ones(4)), ValueError, "input: expected at least 1 steps"),
        (lambda: nn.Conv2d(2, 3, [1], rngs=nnx.Rngs(0)), ValueError, "kernel_size: expected an int or 2 ints"),
        (
            lambda: F.conv1d(jnp.ones((2, 5)), jnp.ones((0, 2, 3))),
            ValueError,
            "weight: expected at least 1 entry on axis 0",
        ),
        (
            lambda: F.conv1d(jnp.ones((2, 5)), jnp.ones((3, 2, 0))),
            ValueError,
            "weight: expected at least 1 entry on axis 2",
        ),
        (
            lambda: F.conv_transpose1d(jnp.ones((2, 5)), jnp.ones((2, 0, 3))),
            ValueError,
            "weight: expected at least 1 entry on axis 1",
        ),
        (
            lambda: nn.ConvTranspose1d(2, 3, 1, rngs=nnx.Rngs(0))(jnp.ones((2, 5)), output_size=5),
            TypeError,
            "output_size: expected 1 ints, got 5",
        ),
    ],
)
def test_more_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
