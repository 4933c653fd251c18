"""Layer, RMS, group and local response normalisation: far means, precisions, odd inputs, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxnets
import jaxnets.functional as F
from jaxnets import nn

ones = jnp.ones


def drawn(*shape, mean=0.0, seed=0):
    return np.random.default_rng([seed, *shape]).normal(mean, 1.0, shape)


@pytest.mark.parametrize(
    "call", [lambda x: F.layer_norm(x, (64,)), lambda x: F.group_norm(x[None], 3)[0]], ids=["layer", "group"]
)
def test_a_distant_mean_loses_no_digits(call):
    """In float32 E[x²] - E[x]² would have no digits left."""
    far = jnp.asarray((drawn(3, 64) + 1e4).astype(np.float32))
    exact = np.asarray(far, np.float64)
    wanted = (exact - exact.mean(1, keepdims=True)) / np.sqrt(exact.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(call(far), wanted, atol=1e-5)


def test_constants_become_zeros_with_a_gradient():
    value, gradient = jax.value_and_grad(lambda x: (F.layer_norm(x, (7,)) ** 2).sum())(jnp.full((2, 7), 1 / 3))
    assert value < 1e-6
    assert jnp.isfinite(gradient).all()


def test_second_derivatives_of_constants_are_those_of_the_formula():
    x = torch.full((1, 3), 0.7, dtype=torch.float64, requires_grad=True)
    weights = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)
    theirs = torch.autograd.functional.hessian(lambda x: (torch.layer_norm(x, (3,)) ** 3 * weights).sum(), x)
    with jax.enable_x64(True):
        ours = jax.hessian(lambda x: (F.layer_norm(x, (3,)) ** 3 * weights.numpy()).sum())(jnp.full((1, 3), 0.7))
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")  # torch speaks of its own speed
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("kind", ["LayerNorm", "RMSNorm", "GroupNorm"])
def test_half_precision_inputs_beside_float32_parameters(kind, dtype):
    x = drawn(4, 6).astype(np.float32)
    arguments = (2, 6) if kind == "GroupNorm" else (6,)
    expected = getattr(torch.nn, kind)(*arguments)(torch.tensor(x).to(getattr(torch, dtype)))
    y = getattr(nn, kind)(*arguments)(jnp.asarray(x).astype(dtype))
    assert str(y.dtype) == dtype
    np.testing.assert_allclose(y.astype(jnp.float32), expected.detach().float(), rtol=8e-3, atol=1e-3)


def test_rms_norm_takes_weights_of_any_dtype_and_complex_inputs():
    x = jnp.asarray(drawn(2, 4).astype(np.float32))
    for dtype in (jnp.bfloat16, jnp.int32):
        assert F.rms_norm(x, (4,), jnp.full(4, 2, dtype)).dtype == jnp.float32
    z = drawn(3, 4) + 1j * drawn(3, 4, seed=1)
    np.testing.assert_allclose(
        F.rms_norm(jnp.asarray(z.astype(np.complex64)), (4,)),
        torch.rms_norm(torch.tensor(z.astype(np.complex64)), (4,)),
        rtol=1e-5,
    )


def test_a_bias_alone():
    bias, x = jnp.arange(4.0), jnp.asarray(drawn(3, 4).astype(np.float32))
    np.testing.assert_allclose(F.layer_norm(x, (4,), bias=bias), F.layer_norm(x, (4,)) + bias[None], atol=1e-6)
    np.testing.assert_allclose(F.group_norm(x, 2, bias=bias), F.group_norm(x, 2) + bias[None], atol=1e-6)


def test_an_empty_plane_gives_parameters_no_gradient():
    gradient = jax.grad(lambda w: F.group_norm(ones((2, 4, 0)), 2, w, w).sum())(ones(4))
    assert gradient.tolist() == [0] * 4


@pytest.mark.parametrize(
    "layer",
    [
        nn.LayerNorm((3, 2)),
        nn.LayerNorm(2, bias=False),
        nn.LayerNorm(2, elementwise_affine=False),
        nn.RMSNorm([2]),
        nn.GroupNorm(1, 3, bias=False),
        nn.GroupNorm(3, 3),
    ],
)
def test_state_and_vmap(layer):
    """Torch's names in torch's order; a mapped layer normalises each input by itself."""
    x = jnp.asarray(drawn(4, 5, 3, 2).astype(np.float32))
    np.testing.assert_allclose(jax.vmap(layer)(x), jnp.stack([layer(each) for each in x]), atol=1e-6)
    torch_arguments = {
        name: value
        for name, value in vars(layer).items()
        if name in ("normalized_shape", "elementwise_affine", "num_groups", "num_channels", "affine")
    }
    if not isinstance(layer, nn.RMSNorm):
        torch_arguments["bias"] = layer.bias is not None
    theirs = getattr(torch.nn, type(layer).__name__)(**torch_arguments)
    assert list(jaxnets.state_dict(layer)) == list(theirs.state_dict())


def test_attributes():
    layer = nn.LayerNorm([5, 3], 1e-3, dtype=jnp.bfloat16)
    assert (layer.normalized_shape, layer.eps, layer.elementwise_affine) == ((5, 3), 1e-3, True)
    assert layer.weight.dtype == layer.bias.dtype == jnp.bfloat16
    assert nn.RMSNorm(4).eps is None
    assert (nn.GroupNorm(2, 4).num_groups, nn.LocalResponseNorm(3).size) == (2, 3)


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_cross_map_lrn_keeps_the_first_channel(size):
    """Torch never takes the first channel out of its running sum, and its gradient's window is one channel early."""
    x, direction = drawn(2, 9, 3, 2), drawn(2, 9, 3, 2, seed=1)
    theirs = torch.tensor(x, requires_grad=True)
    expected = torch.nn.CrossMapLRN2d(size, 0.5, 0.6, 1.2)(theirs)
    expected.backward(torch.tensor(direction))
    with jax.enable_x64(True):
        y, pullback = jax.vjp(nn.CrossMapLRN2d(size, 0.5, 0.6, 1.2), jnp.asarray(x))
        np.testing.assert_allclose(y, expected.detach(), rtol=1e-12)
        np.testing.assert_allclose(pullback(jnp.asarray(direction))[0], theirs.grad, rtol=1e-12, atol=1e-14)


def test_local_response_norm_of_whole_numbers():
    x = np.arange(24).reshape(2, 4, 3) % 5
    np.testing.assert_allclose(
        F.local_response_norm(jnp.asarray(x), 2, 0.5),
        torch.nn.functional.local_response_norm(torch.tensor(x), 2, 0.5),
        rtol=1e-6,
    )


@given(
    shape=st.lists(st.integers(0, 4), min_size=1, max_size=4),
    count=st.integers(1, 4),
    mean=st.sampled_from([0.0, 1.0, -1e3]),
    eps=st.sampled_from([0.0, 1e-5, 0.5]),
    affine=st.sampled_from(["", "w", "wb"]),
    odd=st.sampled_from([None, np.nan, np.inf]),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_layer_norm(shape, count, mean, eps, affine, odd, seed):
    """Outputs and gradients are torch's for any shape, 0-sized axes and NaN included."""
    shape, rng = tuple(shape), np.random.default_rng(seed)
    inner = shape[-count:]
    x = rng.normal(mean, 1.0, shape)
    if odd is not None and x.size:
        x.flat[0] = odd
    arrays = [x, *(rng.normal(size=inner) for _ in affine)]
    agrees(
        lambda x, *p: F.layer_norm(x, inner, *p, eps=eps),
        lambda x, *p: torch.nn.functional.layer_norm(x, inner, *p, eps=eps),
        arrays,
        # torch's gradient of one value, or of constants, is what rounding leaves
        atol=1e-9 * max(1.0, abs(mean)) if eps else 1e-3,
        gradient=bool(eps or np.prod(inner) > 2),
    )


def agrees(ours, theirs, arrays, atol, gradient=True):
    tensors = [torch.tensor(a, requires_grad=gradient) for a in arrays]
    expected = theirs(*tensors)
    direction = np.random.default_rng(1).normal(size=tuple(expected.shape))
    with jax.enable_x64(True):
        y, pullback = jax.vjp(ours, *map(jnp.asarray, arrays))
        np.testing.assert_allclose(y, expected.detach(), rtol=1e-9, atol=atol)
        if gradient:
            expected.backward(torch.tensor(direction))
            for mine, tensor in zip(pullback(jnp.asarray(direction)), tensors, strict=True):
                np.testing.assert_allclose(mine, tensor.grad, rtol=1e-9, atol=atol)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.layer_norm(ones((2, 4)), 4), TypeError, "normalized_shape: expected a list or tuple of ints, got 4"),
        (lambda: F.layer_norm(ones((2, 4)), ()), ValueError, "normalized_shape: expected at least 1 axis, got none"),
        (lambda: F.layer_norm(ones((2, 4)), (3,)), ValueError, r"input: expected shape \(\*, 3\), got \(2, 4\)"),
        (lambda: F.layer_norm(ones(()), (1,)), ValueError, r"input: expected shape \(\*, 1\), got \(\)"),
        (lambda: F.layer_norm(ones((2, 4)), (4,), ones(3)), ValueError, r"weight: expected shape \(4,\), which is"),
        (lambda: F.layer_norm(ones((2, 4)), (4,), None, ones(3)), ValueError, r"bias: expected shape \(4,\)"),
        (lambda: F.layer_norm(ones((2, 4), int), (4,)), TypeError, "input: expected a floating dtype, got int32"),
        (
            lambda: nn.LayerNorm(4, dtype=jnp.bfloat16)(ones((2, 4))),
            TypeError,
            "input is float32 but weight is bfloat16",
        ),
        (
            lambda: F.layer_norm(ones(4, jnp.bfloat16), (4,), ones(4), ones(4, jnp.bfloat16)),
            TypeError,
            "weight is float32 but bias is bfloat16",
        ),
        (lambda: nn.LayerNorm(-1), ValueError, "normalized_shape: expected an int of at least 0, got -1"),
        (lambda: nn.LayerNorm(2.0), TypeError, "normalized_shape: expected an int, got 2.0"),
        (lambda: nn.LayerNorm(2, None), TypeError, "eps: expected a number, got None"),
        (lambda: nn.LayerNorm([])(ones(3)), ValueError, "normalized_shape: expected at least 1 axis"),
        (lambda: F.rms_norm(ones((2, 4), int), (4,)), TypeError, "input: expected a floating or complex dtype"),
        (lambda: F.rms_norm(ones((2, 4)), (4,), ones(3)), ValueError, r"weight: expected shape \(4,\)"),
        (
            lambda: F.group_norm(ones(3), 1),
            ValueError,
            r"input: expected at least 2 axes \(N, C, \*\), got shape \(3,\)",
        ),
        (lambda: F.group_norm(ones((2, 7, 4)), 2), ValueError, "num_groups: expected a divisor of the 7 channels"),
        (lambda: F.group_norm(ones((2, 4)), 0), ValueError, "num_groups: expected an int of at least 1, got 0"),
        (lambda: F.group_norm(ones((1, 3)), 3), ValueError, "input: expected more than 1 value per group"),
        (lambda: F.group_norm(ones((2, 4)), 2, ones(3)), ValueError, r"weight: expected shape \(4,\), one entry"),
        (lambda: nn.GroupNorm(4, 6), ValueError, "num_groups: expected a divisor of num_channels=6, got 4"),
        (lambda: nn.GroupNorm(2, 4)(ones((2, 6))), ValueError, r"weight: expected shape \(6,\), one entry for each"),
        (lambda: F.local_response_norm(ones((2, 4)), 2), ValueError, "input: expected at least 3 axes"),
        (lambda: nn.LocalResponseNorm(0), ValueError, "size: expected an int of at least 1, got 0"),
        (lambda: nn.LocalResponseNorm(2, "a"), TypeError, "alpha: expected a number, got 'a'"),
        (lambda: F.local_response_norm(ones((2, 4, 3), bool), 2), TypeError, "input: expected real numbers, got bool"),
        (lambda: nn.CrossMapLRN2d(1), ValueError, "size: expected an int of at least 2, got 1"),
        (lambda: nn.CrossMapLRN2d(3)(ones((2, 4, 3))), ValueError, r"input: expected 4 axes \(N, C, H, W\), got 3"),
        (lambda: nn.CrossMapLRN2d(3)(ones((2, 0, 3, 3))), ValueError, "input: expected at least 1 channel"),
        (lambda: F.normalize(ones((2, 3), int)), TypeError, "input: expected a floating or complex dtype, got int32"),
        (lambda: F.normalize(ones(3)), ValueError, "dim: expected an axis from -1 to 0, got 1"),
        (lambda: F.normalize(ones((2, 3)), dim=(0, -2)), ValueError, r"dim: expected different axes, got \(0, -2\)"),
        (lambda: F.normalize(ones((2, 0)), float("inf")), ValueError, "input: expected entries on axis 1 for the norm"),
        (lambda: F.normalize(ones((2, 3)), out=ones((2, 3))), TypeError, "out: expected None, got Array"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
