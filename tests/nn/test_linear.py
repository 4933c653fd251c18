"""Linear, Bilinear, Identity, grouped products: errors by message, attributes, initial distribution."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxnets.functional as F
from jaxnets import load_state_dict, nn
from tests.exhaustive import more

ERRORS = [
    (
        lambda: nn.Linear(3, 2, rngs=nnx.Rngs(0))(jnp.ones((4, 5))),
        "input: expected the last axis to have in_features=3",
    ),
    (lambda: nn.Linear(3, 2, rngs=nnx.Rngs(0))(jnp.ones(())), "input: expected the last axis"),
    (lambda: nn.Linear(-3, 2, rngs=nnx.Rngs(0)), "in_features: expected an int of at least 0, got -3"),
    (lambda: nn.Linear(3.0, 2, rngs=nnx.Rngs(0)), "in_features: expected an int, got 3.0 of type float"),
    (
        lambda: nn.Linear(3, 2, dtype=jnp.int32, rngs=nnx.Rngs(0)),
        "dtype: expected a floating or complex dtype, got int32",
    ),
    (lambda: nn.Linear(3, 2, rngs=3), "rngs: expected flax.nnx.Rngs, got int"),
    (lambda: nn.Bilinear(0, 2, 2, rngs=nnx.Rngs(0)), "in1_features: expected an int of at least 1, got 0"),
    (
        lambda: nn.Bilinear(3, 2, 4, rngs=nnx.Rngs(0))(jnp.ones((2, 3)), jnp.ones((3, 2))),
        r"input2: expected the leading axes of input1, \(2,\), got \(3,\)",
    ),
    (
        lambda: nn.Bilinear(3, 2, 4, rngs=nnx.Rngs(0))(jnp.ones((2, 3)), jnp.ones((2, 3))),
        "input2: expected the last axis to have 2 entries",
    ),
    (lambda: F.linear(jnp.ones((4, 5)), jnp.ones((2, 5)), jnp.ones(3)), r"bias: expected shape \(2,\), got \(3,\)"),
    (lambda: F.linear(jnp.ones((4, 5)), jnp.ones(5), jnp.ones(())), "bias: expected None beside a weight of one axis"),
    (lambda: F.linear(jnp.ones((4, 5)), jnp.ones((1, 2, 5))), r"weight: expected 1 axes \(in_features,\) or 2 axes"),
    (lambda: F.linear(jnp.ones((4, 5), jnp.int32), jnp.ones((2, 5))), "input is int32 but weight is float32"),
    (lambda: F.linear([[1.0]], jnp.ones((1, 1))), "input: expected an array, got list; convert it with jnp.asarray"),
]


@pytest.mark.parametrize(("call", "message"), ERRORS)
def test_errors(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_initial_distribution_is_torchs():
    """U(-1/sqrt(in), 1/sqrt(in)), weight and bias; Kolmogorov's distance, exceeded once in a thousand seeds."""
    layer = nn.Linear(100, 300, rngs=nnx.Rngs(0))
    for parameter in (layer.weight, layer.bias):
        draws = np.sort(np.asarray(parameter[...]).ravel()) * 10
        assert np.abs((draws + 1) / 2 - np.linspace(0, 1, draws.size)).max() < 1.95 / np.sqrt(draws.size)


def test_no_bias_no_inputs_no_outputs():
    assert nn.Linear(3, 2, bias=False, rngs=nnx.Rngs(0)).bias is None
    assert nn.Linear(0, 2, rngs=nnx.Rngs(0))(jnp.ones((3, 0))).tolist() == [[0.0, 0.0]] * 3
    assert nn.Linear(2, 0, rngs=nnx.Rngs(0))(jnp.ones((3, 2))).shape == (3, 0)


def ends(*offsets):
    return jnp.array(offsets, jnp.int32)


def normal(*shape, dtype="float32"):
    return jnp.asarray(np.random.default_rng(shape).normal(size=shape)).astype(dtype)


FORMS = {
    "rows": ((16, 8), (3, 8, 16), ends(3, 3, 16)),
    "columns": ((3, 4, 8), (8, 16), ends(0, 5, 16)),
    "inner": ((4, 16), (16, 8), ends(3, 8, 16)),
    "batch": ((3, 4, 8), (3, 8, 16), None),
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", *more(["float16"])])
@pytest.mark.parametrize("form", FORMS)
def test_grouped_products(form, dtype):
    """Torch's numbers, and the gradients of the products written one by one."""
    left, right, offs = FORMS[form]
    a, b = normal(*left, dtype=dtype), normal(*right, dtype=dtype)
    y = jax.jit(F.grouped_mm)(a, b, offs=offs)
    theirs = [torch.tensor(np.asarray(m, np.float32)).to(getattr(torch, dtype)) for m in (a, b)]
    expected = torch.nn.functional.grouped_mm(*theirs, offs=None if offs is None else torch.tensor(np.asarray(offs)))
    assert str(y.dtype) == dtype
    tolerance = {"float32": 1e-5, "bfloat16": 2e-2, "float16": 2e-3}[dtype]
    np.testing.assert_allclose(y.astype(jnp.float32), expected.float(), rtol=tolerance, atol=tolerance)

    def one_by_one(a, b):
        starts = [0, *offs.tolist()] if offs is not None else range(4)
        cuts = [slice(*pair) for pair in pairwise(starts)]
        match form:
            case "rows":
                return jnp.concatenate([a[cut] @ b[g] for g, cut in enumerate(cuts)])
            case "columns":
                return jnp.concatenate([a[g] @ b[:, cut] for g, cut in enumerate(cuts)], 1)
            case "inner":
                return jnp.stack([a[:, cut] @ b[cut] for cut in cuts])
        return a @ b

    def gradients(f):
        return jax.grad(lambda a, b: (f(a, b).astype(jnp.float32) ** 2).sum(), argnums=(0, 1))(a, b)

    for mine, wanted in zip(gradients(lambda a, b: F.grouped_mm(a, b, offs=offs)), gradients(one_by_one), strict=True):
        mine, wanted = (np.asarray(x, np.float32) for x in (mine, wanted))
        np.testing.assert_allclose(mine, wanted, rtol=tolerance, atol=tolerance * np.abs(wanted).max())


def test_grouped_products_map_and_have_second_derivatives():
    a, b, offs = normal(2, 4, 3), normal(2, 3, 5), ends(1, 4)
    np.testing.assert_allclose(
        jax.vmap(lambda a: F.grouped_mm(a, b, offs=offs))(a),
        jnp.stack([F.grouped_mm(each, b, offs=offs) for each in a]),
        rtol=1e-5,
    )

    def slope(product):
        first = jax.grad(lambda a, b: (product(a, b) ** 3).sum(), argnums=1)
        return jax.grad(lambda a: (first(a, b) ** 2).sum())(a[0])

    np.testing.assert_allclose(
        slope(lambda a, b: F.grouped_mm(a, b, offs=offs)),
        slope(lambda a, b: jnp.concatenate([a[:1] @ b[0], a[1:] @ b[1]])),
        rtol=1e-4,
    )


def test_what_lies_behind_the_last_group_is_zero():
    y = F.grouped_mm(normal(6, 3), normal(2, 3, 4), offs=ends(2, 4))
    assert y[4:].tolist() == [[0.0] * 4] * 2
    assert (y[:4] != 0).all()


a, b = jnp.ones((4, 3)), jnp.ones((2, 3, 5))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.grouped_mm(a, b), ValueError, "offs: expected offsets if a matrix has two axes, .* got None for"),
        (lambda: F.grouped_mm(b, b.transpose(0, 2, 1), offs=ends(1, 2)), ValueError, "offs: .* got offsets for shapes"),
        (lambda: F.grouped_mm(a, b, offs=ends(1, 2, 4)), ValueError, "expected one number of groups, got 2, 3"),
        (lambda: F.grouped_mm(a, b, offs=jnp.array([1.0, 4.0])), TypeError, "offs: expected int32 of one axis, got fl"),
        (lambda: F.grouped_mm(a, b[:, :2], offs=ends(1, 4)), ValueError, "mat_b: expected 3 rows for mat_a of shape"),
        (lambda: F.grouped_mm(a, b, offs=ends(1, 4), bias=a), ValueError, "bias: expected None"),
        (lambda: F.grouped_mm(a, b, offs=ends(1, 4), out_dtype="bfloat16"), ValueError, "out_dtype: expected None or"),
        (lambda: F.grouped_mm(a, b.astype("bfloat16"), offs=ends(1, 4)), TypeError, "mat_a is float32 but mat_b is bf"),
        (lambda: F.grouped_mm(a.astype(int), b.astype(int)), TypeError, "mat_a: expected float32, bfloat16 or float16"),
        (lambda: F.grouped_mm(a[0], b), ValueError, "mat_a: expected 2 axes of one matrix or 3 axes of a matrix for"),
    ],
)
def test_refusals_of_grouped_products(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_biased_product_is_rounded_once_in_half_precisions(dtype):
    """As in torch: what is near the half of a last place aside, every number is the exact one's nearest."""
    random = np.random.default_rng(0)
    arrays = [random.standard_normal(shape).astype(dtype) for shape in ((64, 48), (32, 48), (32,))]
    x, weight, bias = (array.astype(np.float64) for array in arrays)
    plane, kernel = arrays[0].reshape(4, 3, 16, 16), arrays[1].reshape(32, 3, 4, 4)
    patches = plane.reshape(4, 3, 4, 4, 4, 4).transpose(0, 2, 4, 1, 3, 5).reshape(64, 48).astype(np.float64)
    found = {
        "linear": (F.linear(*map(jnp.asarray, arrays)), x @ weight.T + bias),
        "conv": (
            F.conv2d(*map(jnp.asarray, (plane, kernel, arrays[2])), 4).transpose(0, 2, 3, 1).reshape(64, 32),
            patches @ weight.T + bias,
        ),
    }
    for name, (ours, exact) in found.items():
        assert np.mean(np.asarray(ours) == exact.astype(dtype)) > 0.999, name


@pytest.mark.parametrize("name", ["LSTMCell", "GRUCell"])
def test_cells_have_torch_s_numbers_in_bfloat16(name):
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(16, 32).bfloat16()
    ours = getattr(nn, name)(16, 32, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    load_state_dict(ours, {key: bfloat16(value) for key, value in theirs.state_dict().items()})
    x = torch.randn(64, 16).bfloat16()
    expected, found = theirs(x), ours(bfloat16(x))
    pairs = zip(expected, found, strict=True) if name == "LSTMCell" else [(expected, found)]
    for wanted, state in pairs:
        assert np.mean(np.asarray(state == bfloat16(wanted))) > 0.99


def bfloat16(tensor: torch.Tensor) -> jax.Array:
    return jnp.asarray(tensor.detach().float().numpy()).astype(jnp.bfloat16)
