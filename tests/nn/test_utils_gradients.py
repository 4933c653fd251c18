"""Clipping, vectors of parameters, fusion, layers without initial values: against torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxnets
from jaxnets import TorchRngs, nn
from jaxnets.nn import utils

INF = float("inf")


def torch_parameters(arrays):
    parameters = [torch.nn.Parameter(torch.zeros(a.shape, dtype=torch.from_numpy(a).dtype)) for a in arrays]
    for parameter, a in zip(parameters, arrays, strict=True):
        parameter.grad = torch.from_numpy(a.copy())
    return parameters


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    shapes=st.lists(st.sampled_from([(), (3,), (2, 3), (1, 1, 4)]), min_size=1, max_size=4),
    norm_type=st.sampled_from([2.0, 1, 0, 0.5, 3, INF, -INF, "inf"]),
    max_norm=st.sampled_from([0.0, 0.5, 10.0, 1e9, INF]),
    scale=st.sampled_from([0.0, 1e-3, 1.0, 1e10, INF, float("nan")]),
    seed=st.integers(0, 99),
)
def test_clipping(shapes, norm_type, max_norm, scale, seed):
    random = np.random.default_rng(seed)
    arrays = [np.asarray(random.normal(size=shape) * scale, np.float32) for shape in shapes]
    parameters = torch_parameters(arrays)
    expected = torch.nn.utils.clip_grad_norm_(parameters, max_norm, norm_type)
    tree = {str(i): jnp.asarray(a) for i, a in enumerate(arrays)}
    clipped, norm = utils.clip_grad_norm(tree, max_norm, norm_type)
    np.testing.assert_allclose(norm, expected, rtol=1e-5)
    for i, parameter in enumerate(parameters):
        np.testing.assert_allclose(clipped[str(i)], parameter.grad, rtol=1e-5)
        assert clipped[str(i)].dtype == jnp.float32
    parameters = torch_parameters(arrays)
    torch.nn.utils.clip_grad_value_(parameters, max_norm)
    for x, parameter in zip(utils.clip_grad_value(list(tree.values()), max_norm), parameters, strict=True):
        np.testing.assert_array_equal(x, parameter.grad)


def test_clipping_half_precision():
    x = torch.arange(9.0, dtype=torch.bfloat16)
    parameter = torch.nn.Parameter(torch.zeros(9, dtype=torch.bfloat16))
    parameter.grad = x.clone()
    expected = torch.nn.utils.clip_grad_norm_([parameter], 3.0)
    (clipped,), norm = utils.clip_grad_norm([jnp.arange(9, dtype=jnp.bfloat16)], 3.0)
    assert clipped.dtype == norm.dtype == jnp.bfloat16
    assert float(norm) == float(expected)
    np.testing.assert_array_equal(clipped.astype(jnp.float32), parameter.grad.float())


def test_clipping_what_nnx_grad_gives():
    layer = nn.Linear(3, 2, rngs=nnx.Rngs(0))
    gradients = nnx.grad(lambda m: m(jnp.ones(3)).sum())(layer)
    clipped, norm = jax.jit(lambda g: utils.clip_grad_norm_(g, 1.0))(gradients)
    assert jax.tree.structure(clipped) == jax.tree.structure(gradients)
    np.testing.assert_allclose(norm, 8**0.5, rtol=1e-6)
    np.testing.assert_allclose(utils.get_total_norm(clipped), 1, rtol=1e-5)


def test_norms_of_nothing():
    assert float(utils.get_total_norm([])) == float(torch.nn.utils.get_total_norm([])) == 0
    assert utils.clip_grad_norm([], 1.0) == ([], 0)


def test_vectors():
    torch.manual_seed(0)
    theirs, ours = torch.nn.Linear(3, 2), nn.Linear(3, 2, rngs=TorchRngs(0))
    vector = utils.parameters_to_vector(jaxnets.state_dict(ours).values())
    np.testing.assert_array_equal(vector, torch.nn.utils.parameters_to_vector(theirs.parameters()).detach())
    weight, bias = utils.vector_to_parameters(jnp.arange(9.0), [ours.weight, ours.bias[...]])
    torch.nn.utils.vector_to_parameters(torch.arange(9.0), theirs.parameters())
    np.testing.assert_array_equal(weight, theirs.weight.detach())
    np.testing.assert_array_equal(bias, theirs.bias.detach())
    np.testing.assert_array_equal(ours.weight[...], weight)  # a variable is filled
    assert (ours.bias[...] != bias).all()
    np.testing.assert_allclose(
        jax.grad(lambda v: (utils.vector_to_parameters(v, [weight])[0] ** 2).sum())(jnp.arange(6.0)),
        2 * jnp.arange(6.0),
    )


FUSED = [
    ("Conv2d", (3, 4, 3), "BatchNorm2d", (2, 3, 5, 5), {}, {}),
    ("Conv1d", (3, 4, 3), "BatchNorm1d", (2, 3, 5), {"bias": False}, {"affine": False}),
    ("Conv3d", (4, 6, 2), "BatchNorm3d", (2, 4, 3, 4, 3), {"groups": 2}, {"eps": 0.1}),
    ("ConvTranspose2d", (3, 4, 3), "BatchNorm2d", (2, 3, 5, 5), {"bias": False}, {}),
    ("Linear", (3, 4), "BatchNorm1d", (5, 3), {}, {}),
    ("Linear", (3, 4), "BatchNorm1d", (5, 3), {"bias": False}, {}),
]


@pytest.mark.parametrize(("layer", "arguments", "norm", "shape", "options", "norm_options"), FUSED)
def test_fusion(layer, arguments, norm, shape, options, norm_options):
    torch.manual_seed(0)
    pair = [getattr(torch.nn, layer)(*arguments, **options), getattr(torch.nn, norm)(arguments[1], **norm_options)]
    for array in pair[1].state_dict().values():
        if array.ndim:
            array.uniform_(0.5, 2)
    rngs = TorchRngs(0)
    ours = [
        getattr(nn, layer)(*arguments, **options, rngs=rngs),
        getattr(nn, norm)(arguments[1], **norm_options),
    ]
    for mine, yours in zip(ours, pair, strict=True):
        jaxnets.load_state_dict(mine, yours.state_dict())
        yours.eval()
    ours[1].eval()
    keywords = {"transpose": True} if "Transpose" in layer else {}
    name = "fuse_linear_bn_eval" if layer == "Linear" else "fuse_conv_bn_eval"
    expected = getattr(torch.nn.utils, name)(*pair, **keywords)
    before = jaxnets.state_dict(ours[0])
    fused = getattr(utils, name)(*ours, **keywords)
    state = jaxnets.state_dict(fused)
    assert list(state) == list(expected.state_dict())
    for key, array in expected.state_dict().items():
        np.testing.assert_allclose(state[key], array, rtol=1e-6, atol=1e-7)
    assert jaxnets.state_dict(ours[0]).keys() == before.keys()
    x = torch.randn(shape)
    np.testing.assert_allclose(
        nnx.jit(lambda m, x: m(x))(fused, jnp.asarray(x.numpy())), expected(x).detach(), rtol=1e-5, atol=1e-5
    )


def test_half_precision_keeps_its_dtypes():
    torch.manual_seed(0)
    weight, bias = torch.randn(4, 3, dtype=torch.bfloat16), torch.randn(4, dtype=torch.bfloat16)
    statistics = [torch.rand(4) + 0.5 for _ in range(4)]
    expected = torch.nn.utils.fuse_conv_bn_weights(weight[..., None], bias, *statistics[:2], 1e-5, *statistics[2:])
    ours = utils.fuse_conv_bn_weights(
        jnp.asarray(weight.float().numpy()[..., None]).astype(jnp.bfloat16),
        jnp.asarray(bias.float().numpy()).astype(jnp.bfloat16),
        *(jnp.asarray(x.numpy()) for x in statistics[:2]),
        1e-5,
        *(jnp.asarray(x.numpy()) for x in statistics[2:]),
    )
    for x, y in zip(ours, expected, strict=True):
        assert x.dtype == jnp.bfloat16
        np.testing.assert_allclose(x.astype(jnp.float32), y.detach().float(), rtol=1e-2)


def test_skip_init():
    layer = utils.skip_init(nn.LSTM, 3, 4, num_layers=2, dropout=0.5, dtype=jnp.bfloat16)
    assert {name: x.shape for name, x in jaxnets.state_dict(layer).items()} == {
        name: tuple(x.shape) for name, x in torch.nn.LSTM(3, 4, num_layers=2).state_dict().items()
    }
    assert all((x == 0).all() and x.dtype == jnp.bfloat16 for x in jaxnets.state_dict(layer).values())
    assert utils.skip_init(nn.Embedding, 3, 4, rngs=nnx.Rngs(3)).weight.shape == (3, 4)


def batch_norm(n=4, evaluation=True, **options):
    norm = nn.BatchNorm1d(n, **options)
    if evaluation:
        norm.eval()
    return norm


def linear():
    return nn.Linear(3, 4, rngs=nnx.Rngs(0))


ERRORS = {
    "nonfinite": (
        lambda: utils.clip_grad_norm([jnp.array([INF])], 1.0, error_if_nonfinite=True),
        ValueError,
        "tensors: expected a finite norm of order 2.0, got inf",
    ),
    "nonfinite, traced": (
        lambda: jax.jit(lambda g: utils.get_total_norm(g, error_if_nonfinite=True))([jnp.ones(2)]),
        ValueError,
        "error_if_nonfinite: expected False under jax.jit",
    ),
    "empty": (
        lambda: utils.get_total_norm([jnp.zeros(0)], INF),
        ValueError,
        "tensors: expected arrays with elements, which a norm of order inf needs, got none",
    ),
    "no array": (lambda: utils.get_total_norm(["a"]), TypeError, "tensors: expected an array, got str"),
    "no parameters": (lambda: utils.parameters_to_vector([]), ValueError, "parameters: expected at least one array"),
    "no iterable": (
        lambda: utils.parameters_to_vector(3),
        TypeError,
        "parameters: expected an iterable, got int|arrays",
    ),
    "short": (
        lambda: utils.vector_to_parameters(jnp.ones(5), [jnp.ones((2, 3))]),
        ValueError,
        r"vec: expected a vector of 6 elements, got shape \(5,\)",
    ),
    "training": (
        lambda: utils.fuse_linear_bn_eval(linear(), batch_norm(evaluation=False)),
        ValueError,
        "bn: expected evaluation mode, got training mode",
    ),
    "no statistics": (
        lambda: utils.fuse_linear_bn_eval(linear(), batch_norm(track_running_stats=False)),
        ValueError,
        "bn: expected running statistics, got None",
    ),
    "channels": (
        lambda: utils.fuse_linear_bn_eval(linear(), batch_norm(5)),
        ValueError,
        "bn: expected 4 channels, one for each output of linear, or 1, got 5",
    ),
    "outputs": (
        lambda: utils.fuse_conv_bn_eval(nn.Conv1d(3, 4, 3, rngs=nnx.Rngs(0)), batch_norm(3)),
        ValueError,
        "conv_w: expected 3 outputs on axis 0, as many as in bn_rm",
    ),
    "no class": (lambda: utils.skip_init(linear()), TypeError, "module_cls: expected a subclass of flax.nnx.Module"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    call, error, message = ERRORS[name]
    with pytest.raises(error, match=message):
        call()
