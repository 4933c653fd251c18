"""Attention: what one array saves, masks that cover all, dropout, derivatives, refusals, random calls against torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel

import jaxnets
import jaxnets.functional as F
import parity
from jaxnets import nn
from parity import Case, bools, normal

SDPA = F.scaled_dot_product_attention


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng([seed, *shape]).normal(0.25, 1.0, shape), jnp.float32)


def layer(*args, **kwargs):
    return nn.MultiheadAttention(*args, rngs=nnx.Rngs(0), **kwargs)


# ---- one array is projected once


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize(("same", "products"), [("qkv", 4), ("kv", 5), ("qk", 6), ("", 6)])
def test_what_is_one_array_is_projected_in_one_product(batch_first, same, products):
    attention, x = layer(6, 2, batch_first=batch_first), draw(4, 3, 6)
    y, z = (x, x) if same == "qkv" else (x, x + 0) if same == "qk" else (x + 0, x + 0)
    z = y if same == "kv" else z
    jaxpr = jax.make_jaxpr(lambda: attention(x, y, z))()
    assert str(jaxpr).count("dot_general") == products
    expected = attention(x, x + 0, x + 0)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), attention(x, y, z), expected)
    jitted = jax.jit(lambda x: attention(x, x, x))(x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), jitted, expected)


def test_grouped_heads_are_not_repeated_in_memory():
    query, key = jax.ShapeDtypeStruct((2, 8, 3, 64), "float32"), jax.ShapeDtypeStruct((2, 2, 5, 64), "float32")
    jaxpr = jax.make_jaxpr(lambda q, k: SDPA(q, k, k, enable_gqa=True))(query, key)
    made = [v.aval.size for eqn in jaxpr.eqns for v in eqn.outvars]
    assert max(made) <= np.prod(query.shape)


# ---- masks


def test_masked_throughout_is_nan_with_weights_and_zero_without():
    """As in torch, whose two paths differ in this."""
    attention, x = layer(6, 2), draw(4, 3, 6)
    mask = jnp.arange(16).reshape(4, 4) // 4 == 1
    for need_weights in (True, False):
        output, weights = attention(x, x, x, attn_mask=mask, need_weights=need_weights)
        assert jnp.isnan(output[1]).all() == need_weights
        assert jnp.isfinite(output[jnp.array([0, 2, 3])]).all()
        if need_weights:
            assert jnp.isnan(weights[:, 1]).all()
        else:
            np.testing.assert_array_equal(output[1], jnp.zeros((3, 6)) + attention.out_proj.bias[...][None])


def test_gradients_of_what_is_masked_throughout_are_zero():
    query, key = draw(4, 5), draw(6, 5)
    mask = jnp.arange(4)[:, None] != jnp.zeros((1, 6), int)
    for order in (jax.grad, lambda f, argnums: jax.grad(lambda *x: jax.grad(f)(*x).sum(), argnums)):
        for gradient in order(lambda q, k: jnp.square(SDPA(q, k, k, mask)).sum(), (0, 1))(query, key):
            assert jnp.isfinite(gradient).all()
    gradient = jax.grad(lambda q: SDPA(q, key, key, mask).sum())(query)
    assert not gradient[0].any()
    assert gradient[1:].any()


def test_masks_of_two_dtypes_are_warned_of():
    attention, x = layer(6, 2), draw(4, 3, 6)
    with pytest.warns(UserWarning, match="mismatched key_padding_mask and attn_mask"):
        attention(x, x, x, key_padding_mask=jnp.zeros((3, 4), bool), attn_mask=jnp.zeros((4, 4)))


def test_float32_masks_are_taken_with_half_precision():
    query, mask = draw(2, 4, 5), draw(4, 4)
    half = SDPA(*[query.astype(jnp.bfloat16)] * 3, mask)
    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(half.astype(jnp.float32), SDPA(query, query, query, mask), rtol=0.05, atol=0.02)
    with pytest.raises(TypeError, match="attn_mask: expected booleans or numbers of dtype float32, got bfloat16"):
        SDPA(query, query, query, mask.astype(jnp.bfloat16))


def test_padding_of_many_sequences_is_not_spread_over_heads_and_queries():
    """A mask of (N, S) stays one until it is added: no (N, H, L, S) before the scores."""
    attention = layer(8, 4)
    x, padding = jax.ShapeDtypeStruct((7, 5, 8), "float32"), jax.ShapeDtypeStruct((5, 7), bool)
    jaxpr = jax.make_jaxpr(lambda x, p: attention(x, x, x, key_padding_mask=p, need_weights=False))(x, padding)
    selected = [eqn for eqn in jaxpr.jaxpr.eqns if "where" in str(eqn.params.get("name", ""))]
    assert all(eqn.outvars[0].aval.size <= 5 * 7 or eqn.outvars[0].aval.shape[-1] == 1 for eqn in selected)


# ---- dropout


def test_the_weights_that_are_returned_are_those_applied():
    attention, x = layer(6, 2, 0.5), draw(4, 3, 6)
    output, weights = attention(x, x, x, average_attn_weights=False)
    assert (weights == 0).any()
    values = (x @ attention.in_proj_weight[...][12:].T).reshape(4, 3, 2, 3)
    attended = jnp.einsum("nhls,snhd->lnhd", weights, values).reshape(4, 3, 6)
    np.testing.assert_allclose(output, attended @ attention.out_proj.weight[...].T, rtol=1e-4, atol=1e-5)


def test_modes_and_random_streams():
    attention, x = layer(6, 2, 0.5), draw(4, 3, 6)
    assert (attention(x, x, x)[0] != attention(x, x, x)[0]).any()
    streams = [attention(x, x, x, rngs=nnx.Rngs(7))[0] for _ in range(2)]
    np.testing.assert_array_equal(*streams)
    still = nnx.view(attention, deterministic=True)
    np.testing.assert_array_equal(still(x, x, x)[0], still(x, x, x)[0])
    attention.eval()
    np.testing.assert_array_equal(attention(x, x, x)[0], still(x, x, x)[0])
    attention.train()
    attention.rngs = nnx.data(None)
    with pytest.raises(ValueError, match="rngs: expected random streams"):
        attention(x, x, x)


def test_without_dropout_no_random_stream_is_needed():
    assert nn.MultiheadAttention(6, 2, rngs=nnx.Rngs(params=0)).rngs is None


# ---- structure, dtypes, transformations


def test_names_and_initial_values_are_those_of_torch():
    """All from the same stream: drawn in torch's order, from torch's distributions."""
    for kwargs in ({}, {"kdim": 4, "vdim": 7, "add_bias_kv": True}, {"bias": False, "add_bias_kv": True}):
        torch.manual_seed(3)
        theirs = torch.nn.MultiheadAttention(6, 2, **kwargs).state_dict()
        ours = jaxnets.state_dict(nn.MultiheadAttention(6, 2, **kwargs, rngs=jaxnets.TorchRngs(3)))
        assert list(ours) == list(theirs)
        for name, x in theirs.items():
            np.testing.assert_allclose(ours[name], x, rtol=1e-6, err_msg=name)


def test_attributes():
    attention = layer(6, 2, 0.1, False, True, True, 4, batch_first=True, dtype=jnp.bfloat16)
    told = ("embed_dim", "num_heads", "head_dim", "kdim", "vdim", "dropout", "batch_first", "add_zero_attn")
    assert [getattr(attention, name) for name in told] == [6, 2, 3, 4, 6, 0.1, True, True]
    assert attention.in_proj_weight is attention.in_proj_bias is attention.out_proj.bias is None
    assert isinstance(attention.out_proj, nn.Linear)
    assert {x.dtype for x in jax.tree.leaves(nnx.state(attention, nnx.Param))} == {jnp.dtype(jnp.bfloat16)}


@pytest.mark.parametrize("need_weights", [True, False])
def test_half_precision_outputs_are_of_half_precision(need_weights):
    attention, x = layer(6, 2, dtype=jnp.float16), draw(4, 3, 6).astype(jnp.float16)
    for y in jax.tree.leaves(attention(x, x, x, need_weights=need_weights)):
        assert y.dtype == jnp.float16


def test_vmap_over_the_batch_is_the_batch():
    attention, x, y = layer(6, 2), draw(4, 3, 6), draw(5, 3, 6)
    padding = jnp.arange(15).reshape(3, 5) % 4 == 0
    run = lambda x, y, p: attention(x, y, y, key_padding_mask=p)  # noqa: E731
    mapped, weights = jax.vmap(run, (1, 1, 0), (1, 0))(x, y, padding)
    expected = run(x, y, padding)
    np.testing.assert_allclose(mapped, expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(weights, expected[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kwargs", [{}, {"is_causal": True}, {"scale": 0.7}, {"attn_mask": True}])
def test_second_derivatives(kwargs):
    """Torch has them for its plain kernel only."""
    rng = np.random.default_rng(5)
    arrays = [rng.normal(size=shape) for shape in ((2, 4, 3), (2, 5, 3), (2, 5, 2))]
    along = [rng.normal(size=x.shape) for x in arrays]
    masked = rng.uniform(size=(4, 5)) < [[0.0], [0.5], [1.0], [0.7]]
    theirs = [torch.tensor(x, requires_grad=True) for x in arrays]
    named = kwargs | ({"attn_mask": torch.tensor(masked)} if "attn_mask" in kwargs else {})
    with sdpa_kernel(SDPBackend.MATH):
        first = torch.autograd.grad(
            torch.sin(torch.nn.functional.scaled_dot_product_attention(*theirs, **named)).sum(),
            theirs,
            create_graph=True,
        )
        expected = torch.autograd.grad(first, theirs, [torch.tensor(d) for d in along])
    with jax.enable_x64(True):
        named = kwargs | ({"attn_mask": jnp.asarray(masked)} if "attn_mask" in kwargs else {})
        gradient = jax.grad(lambda *x: jnp.sin(SDPA(*x, **named)).sum(), (0, 1, 2))
        _, pull = jax.vjp(gradient, *map(jnp.asarray, arrays))
        for ours, torchs in zip(pull(tuple(map(jnp.asarray, along))), expected, strict=True):
            np.testing.assert_allclose(ours, torchs, rtol=1e-10, atol=1e-12)


# ---- refusals


@pytest.mark.parametrize(
    ("arguments", "named", "error", "message"),
    [
        ((0, 1), {}, ValueError, "embed_dim: expected an int of at least 1, got 0"),
        ((6, 0), {}, ValueError, "num_heads: expected an int of at least 1, got 0"),
        ((6, 4), {}, ValueError, "num_heads: expected a divisor of embed_dim=6, got 4"),
        ((6.0, 2), {}, TypeError, "embed_dim: expected an int, got 6.0"),
        ((6, 2, 1.5), {}, ValueError, r"dropout: expected a probability in \[0, 1\], got 1.5"),
        ((6, 2), {"kdim": -1}, ValueError, "kdim: expected an int of at least 0, got -1"),
        ((6, 2), {"dtype": int}, TypeError, "dtype: expected a floating or complex dtype"),
    ],
)
def test_layers_that_torch_refuses(arguments, named, error, message):
    with pytest.raises(error, match=message):
        layer(*arguments, **named)


Q, K = jnp.ones((4, 3, 6)), jnp.ones((5, 3, 6))


@pytest.mark.parametrize(
    ("arrays", "named", "error", "message"),
    [
        ((Q[None], K, K), {}, ValueError, r"query: expected 2 axes \(L, E\) or 3 axes \(L, N, E\), got 4 axes"),
        ((Q, K[0], K), {}, ValueError, r"key: expected 3 axes \(S, N, E\), got 2 axes"),
        ((Q[0], K[0], K), {}, ValueError, r"value: expected 2 axes \(S, E\), got 3 axes"),
        ((Q[..., :4], K, K), {}, ValueError, "query: expected the last axis to have embed_dim=6 entries, got 4"),
        ((Q, K[..., :4], K[..., :4]), {}, ValueError, "key: expected the last axis to have embed_dim=6 entries, got 4"),
        ((Q, K[:, :2], K[:, :2]), {}, ValueError, "key: expected a batch of 3 as query has, got 2"),
        ((Q, K, K[:4]), {}, ValueError, r"value: expected as many values and the batch of key, \(5, 3\), got \(4, 3\)"),
        ((Q, K.astype(jnp.bfloat16), K), {}, TypeError, "query is float32 but key is bfloat16"),
        ((Q, K, K), {"attn_mask": Q[..., 0]}, ValueError, r"expected shape \(4, 5\) or \(6, 4, 5\), got \(4, 3\)"),
        ((Q, K, K), {"attn_mask": jnp.zeros((4, 5), int)}, TypeError, "attn_mask: expected booleans or floating"),
        ((Q, K, K), {"attn_mask": jnp.zeros((4, 5), "float16")}, TypeError, "attn_mask: .* float32, got float16"),
        ((Q, K, K), {"key_padding_mask": jnp.zeros((5, 3))}, ValueError, r"expected shape \(3, 5\), got \(5, 3\)"),
        ((Q, K, K), {"is_causal": True}, ValueError, "attn_mask: expected a mask beside the hint is_causal=True"),
    ],
)
def test_calls_that_torch_refuses(arrays, named, error, message):
    with pytest.raises(error, match=message):
        layer(6, 2)(*arrays, **named)


def test_batch_first_names_the_array():
    with pytest.raises(ValueError, match=r"key: expected 3 axes \(N, L, E\), as query has, got 2 axes"):
        layer(6, 2, batch_first=True)(Q, K[0], K)


@pytest.mark.parametrize(
    ("arrays", "named", "error", "message"),
    [
        ((Q[0, 0], K, K), {}, ValueError, r"query: expected 2 axes or more, \(\*, L, E\), got shape \(6,\)"),
        ((Q.astype(int), K.astype(int), K.astype(int)), {}, TypeError, "query: expected a floating dtype, got int32"),
        ((Q, Q[..., :4], Q), {}, ValueError, "key: expected 6 entries in the last axis, as in query, got 4"),
        ((Q, Q, Q[:, :2]), {}, ValueError, "value: expected as many values as keys, 3, got 2"),
        (
            (Q, K, K),
            {},
            ValueError,
            r"key: expected leading axes that broadcast to \(4,\), got \(5,\); pass enable_gqa",
        ),
        ((Q, K, K), {"enable_gqa": True}, ValueError, "key: expected a number of heads that divides query's 4, got 5"),
        ((Q[0], Q[0], Q[0]), {"enable_gqa": True}, ValueError, "query: expected 3 axes or more"),
        (
            (Q, Q, Q),
            {"attn_mask": jnp.ones((3, 3)), "is_causal": True},
            ValueError,
            "expected None beside is_causal=True",
        ),
        (
            (Q, Q, Q),
            {"attn_mask": jnp.ones((2, 4, 3, 3))},
            ValueError,
            r"broadcasts to that of the scores, \(4, 3, 3\)",
        ),
        ((Q, Q, Q), {"attn_mask": jnp.ones((3, 3), int)}, TypeError, "attn_mask: expected booleans or numbers"),
        ((Q, Q, Q), {"dropout_p": 2.0}, ValueError, "dropout_p: expected a probability"),
        ((Q, Q, Q), {"dropout_p": 0.5}, ValueError, "dropout_key: expected a jax random key with dropout_p=0.5"),
        ((Q, Q, Q), {"is_causal": 1}, TypeError, "is_causal: expected True or False, got 1"),
        ((Q, Q, Q), {"scale": "1"}, TypeError, "scale: expected a number, got '1'"),
    ],
)
def test_products_that_torch_refuses(arrays, named, error, message):
    with pytest.raises(error, match=message):
        SDPA(*arrays, **named)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"in_proj_weight": None}, r"in_proj_weight: expected an array of shape \(18, 6\), got None"),
        ({"in_proj_weight": jnp.ones((18, 5))}, r"in_proj_weight: expected shape \(18, 6\), got \(18, 5\)"),
        ({"in_proj_bias": jnp.ones(6)}, r"in_proj_bias: expected shape \(18,\), got \(6,\)"),
        ({"use_separate_proj_weight": True}, r"q_proj_weight: expected an array of shape \(6, 6\), got None"),
        ({"bias_k": jnp.ones((1, 1, 6))}, "bias_v: expected an array beside the other bias, got None"),
        ({"bias_k": jnp.ones(6), "bias_v": jnp.ones(5)}, r"bias_v: expected shape \(1, 1, 6\), got \(5,\)"),
        ({"static_k": jnp.ones((6, 7, 2))}, r"static_k: expected shape \(6, S, 3\), got \(6, 7, 2\)"),
        ({"static_k": jnp.ones((6, 7, 3))}, "static_v: expected as many values as keys, 7, got 5"),
        (
            {"static_k": jnp.ones((6, 7, 3)), "static_v": jnp.ones((6, 7, 3)), "attn_mask": jnp.ones((4, 5))},
            "static_k: ",
        ),
        ({"static_k": jnp.ones((6, 5, 3)), "bias_k": jnp.ones(6), "bias_v": jnp.ones(6)}, "bias_k: expected None"),
        ({"embed_dim_to_check": 5}, "query: expected the last axis to have embed_dim=5 entries, got 6"),
    ],
)
def test_forward_arguments_that_torch_refuses(named, message):
    given = {"embed_dim_to_check": 6, "num_heads": 2, "in_proj_weight": jnp.ones((18, 6)), "in_proj_bias": None}
    given |= {"bias_k": None, "bias_v": None, "add_zero_attn": False, "dropout_p": 0.0}
    given |= {"out_proj_weight": jnp.ones((6, 6)), "out_proj_bias": None}
    with pytest.raises(ValueError, match=message):
        F.multi_head_attention_forward(Q, K, K, **given | named)


# ---- random calls against torch

SIZES = st.sampled_from([0, 1, 1, 2, 3, 5])


@st.composite
def products(draw):
    L, S, E, Ev = draw(SIZES), draw(SIZES), draw(SIZES), draw(SIZES)
    heads, groups = draw(st.sampled_from([(4, 2), (3, 1), (2, 2)]))
    leading = draw(st.sampled_from([(), (2,), (1, 3)]))
    mean = draw(st.sampled_from([0.25, -30.0]))
    kwargs = {"scale": draw(st.sampled_from([None, 0.0, -0.3, 2.0])), "enable_gqa": True}
    mask = draw(st.sampled_from([None, "causal", "bools", "floats", "covered"]))
    if mask == "causal":
        kwargs["is_causal"] = True
    elif mask:
        shape = draw(st.sampled_from([(L, S), (L, 1), (heads, 1, S)]))
        spec = normal(*shape, std=2.0) if mask == "floats" else bools(*shape, p=0.0 if mask == "covered" else 0.6)
        kwargs["attn_mask"] = spec
    shapes = ((*leading, heads, L, E), (*leading, groups, S, E), (*leading, groups, S, Ev))
    # far from 0 are the values only: of great scores the exponentials have no digits in common
    inputs = (*(normal(*shape) for shape in shapes[:2]), normal(*shapes[2], mean=mean))
    return Case("functional.scaled_dot_product_attention", kwargs=kwargs, inputs=inputs, seed=draw(st.integers(0, 99)))


@st.composite
def attentions(draw):
    heads, size = draw(st.sampled_from([(1, 3), (2, 1), (3, 2)]))
    E, L, S, N = heads * size, draw(SIZES), draw(SIZES), draw(SIZES)
    flag = st.booleans()
    named = {name: draw(flag) for name in ("bias", "add_bias_kv", "add_zero_attn", "batch_first")}
    named |= {"kdim": draw(st.sampled_from([None, E, 4])), "vdim": draw(st.sampled_from([None, E, 5]))}
    call = {"need_weights": draw(flag), "average_attn_weights": draw(flag)}
    batched = draw(flag)
    padding = draw(st.sampled_from([None, bools, normal]))
    full = S and (N or not batched)  # torch cannot reshape a mask without elements where no weights are asked for
    if padding and full:
        call["key_padding_mask"] = padding(N, S) if batched else padding(S)
    mask = draw(st.sampled_from([None, bools, normal]))
    if mask and full:
        call["attn_mask"] = mask(*([(N if batched else 1) * heads] if draw(flag) else []), L, S)
        call["is_causal"] = draw(flag)
    leading = (lambda n: (N, n) if named["batch_first"] else (n, N)) if batched else lambda n: (n,)
    sizes = ((L, E), (S, named["kdim"] or E), (S, named["vdim"] or E))
    inputs = tuple(normal(*leading(n), features) for n, features in sizes)
    return Case("MultiheadAttention", (E, heads), named, inputs=inputs, call=call, seed=draw(st.integers(0, 99)))


@given(st.one_of(products(), attentions()))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_random_calls_agree_with_torch(case):
    results = parity.run([case], dtypes=("f64",), ways=("jit",))
    assert not results.failed, (case, results.failed)
