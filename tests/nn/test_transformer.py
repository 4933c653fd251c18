"""Transformers: copies, first values, masks that are found to be causal, structure, refusals, random ones."""

import warnings

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
import parity
from jaxnets import nn
from parity import Case, bools, normal

SRC = jnp.asarray(np.random.default_rng(0).normal(0.25, 1.0, (4, 3, 6)), jnp.float32)


def encoder_layer(dropout=0.0, **kwargs):
    return nn.TransformerEncoderLayer(6, 2, 5, dropout, rngs=nnx.Rngs(0), **kwargs)


def decoder_layer(dropout=0.0, **kwargs):
    return nn.TransformerDecoderLayer(6, 2, 5, dropout, rngs=nnx.Rngs(0), **kwargs)


# ---- copies


def test_copies_have_the_weights_of_the_layer_in_arrays_of_their_own():
    layer = encoder_layer()
    stack = nn.TransformerEncoder(layer, 3)
    wanted = jaxnets.state_dict(layer)
    for one in stack.layers:
        jax.tree.map(np.testing.assert_array_equal, jaxnets.state_dict(one), wanted)
    arrays = [
        x.unsafe_buffer_pointer() for x in jax.tree.leaves((nnx.state(stack, nnx.Param), nnx.state(layer, nnx.Param)))
    ]
    assert len(set(arrays)) == len(arrays)  # donated twice, a buffer is an error
    stack.layers[0].linear1.bias[...] += 1
    jax.tree.map(np.testing.assert_array_equal, jaxnets.state_dict(stack.layers[1]), wanted)


def test_copies_draw_for_themselves_and_leave_the_layer_alone():
    layer = encoder_layer(0.5)
    before = jax.tree.map(jax.random.key_data, nnx.state(layer, nnx.RngKey)), nnx.state(layer, nnx.RngCount)
    stack = nn.TransformerEncoder(layer, 3)
    after = jax.tree.map(jax.random.key_data, nnx.state(layer, nnx.RngKey)), nnx.state(layer, nnx.RngCount)
    jax.tree.map(np.testing.assert_array_equal, before, after)
    keys = jax.tree.leaves(nnx.state(stack, nnx.RngKey)) + jax.tree.leaves(nnx.state(layer, nnx.RngKey))
    assert len({tuple(np.asarray(jax.random.key_data(key))) for key in keys}) == 4 * 4
    again = nn.TransformerEncoder(layer, 3)
    np.testing.assert_array_equal(stack(SRC), again(SRC))
    assert (stack(SRC) != stack(SRC)).any()


# ---- structure and initial values


@pytest.mark.parametrize(
    ("name", "arguments", "named"),
    [
        ("TransformerEncoderLayer", (6, 2, 5), {}),
        ("TransformerDecoderLayer", (6, 3, 5, 0.0), {"bias": False}),
        ("Transformer", (6, 2, 2, 2, 5), {}),
        ("Transformer", (4, 2, 1, 2, 3, 0.0), {"bias": False, "norm_first": True}),
    ],
)
def test_names_and_initial_values_are_those_of_torch(name, arguments, named):
    torch.manual_seed(3)
    with warnings.catch_warnings(action="ignore"):
        theirs = getattr(torch.nn, name)(*arguments, **named).state_dict()
    ours = jaxnets.state_dict(getattr(nn, name)(*arguments, **named, rngs=jaxnets.TorchRngs(3)))
    assert list(ours) == list(theirs)
    for key, x in theirs.items():
        np.testing.assert_allclose(ours[key], x, rtol=1e-6, err_msg=key)


def test_the_order_of_names_outlives_a_copy():
    """Flax sorts attributes when it rebuilds a module; torch's order must stand all the same."""
    stack = nn.TransformerEncoder(encoder_layer(), 12)
    assert list(jaxnets.state_dict(nnx.clone(stack))) == list(jaxnets.state_dict(stack))
    names = [name.split(".")[1] for name in jaxnets.state_dict(stack)]
    assert list(dict.fromkeys(names)) == [str(i) for i in range(12)]


def test_custom_parts_are_drawn_anew_and_shared_weights_once():
    shared = nn.Linear(6, 6, rngs=nnx.Rngs(1))
    before = shared.weight[...]

    class Part(nnx.Module):
        def __init__(self):
            self.maps = nnx.List([shared])

        def __call__(self, x, *others, **masks):
            return self.maps[0](x)

    model = nn.Transformer(6, 2, custom_encoder=Part(), custom_decoder=Part(), rngs=jaxnets.TorchRngs(5))
    assert (shared.weight[...] != before).all()
    assert jnp.abs(shared.weight[...]).max() <= np.sqrt(6 / 12)
    torch.manual_seed(5)
    expected = torch.nn.init.xavier_uniform_(torch.empty(6, 6))
    np.testing.assert_allclose(shared.weight[...], expected, rtol=1e-6)
    np.testing.assert_array_equal(model(SRC, SRC), shared(SRC))


def test_attributes_and_dtypes():
    model = nn.Transformer(6, 2, 2, 1, 5, batch_first=True, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    assert (model.d_model, model.nhead, model.batch_first) == (6, 2, True)
    assert (model.encoder.num_layers, model.decoder.num_layers) == (2, 1)
    assert isinstance(model.encoder.norm, nn.LayerNorm)
    assert isinstance(model.encoder.layers[1].dropout2, nn.Dropout)
    assert model.decoder.layers[0].dropout3.p == model.decoder.layers[0].self_attn.dropout == 0.1
    assert {x.dtype for x in jax.tree.leaves(nnx.state(model, nnx.Param))} == {jnp.dtype(jnp.bfloat16)}
    x = jnp.ones((3, 4, 6), jnp.bfloat16)
    model.eval()
    assert jax.eval_shape(model, x, x).dtype == jnp.bfloat16


def test_without_dropout_no_random_stream_is_needed():
    nnx.eval_shape(lambda: nn.Transformer(6, 2, 1, 1, 5, 0.0, rngs=nnx.Rngs(params=0)))


@pytest.mark.parametrize("activation", [jnp.sin, nn.Tanh(), jax.jit(jnp.tanh)])
def test_any_function_is_an_activation(activation):
    layer = encoder_layer(activation=activation)
    x = layer.norm1(SRC + layer.self_attn(SRC, SRC, SRC)[0])
    expected = layer.norm2(x + layer.linear2(activation(layer.linear1(x))))
    np.testing.assert_allclose(jax.jit(layer)(SRC), expected, rtol=1e-5, atol=1e-5)


def test_vmap_over_the_batch_is_the_batch():
    layer = encoder_layer()
    np.testing.assert_allclose(jax.vmap(layer, 1, 1)(SRC), layer(SRC), rtol=1e-5, atol=1e-5)


# ---- masks


def test_the_mask_of_the_future():
    make = nn.Transformer.generate_square_subsequent_mask
    for dtype, theirs in ((None, None), (jnp.bfloat16, torch.bfloat16), (bool, torch.bool)):
        expected = torch.nn.Transformer.generate_square_subsequent_mask(3, dtype=theirs)
        np.testing.assert_array_equal(make(3, dtype).astype(float), expected.double())
    assert make(3).dtype == jnp.float32
    assert make(0).shape == (0, 0)
    with pytest.raises(TypeError, match="dtype: expected a floating"):
        make(3, jnp.int32)


CAUSAL = np.triu(np.full((4, 4), -np.inf), 1)


@pytest.mark.parametrize(
    ("kind", "mask", "padded"),
    [
        ("TransformerEncoder", CAUSAL, False),
        ("TransformerEncoder", CAUSAL, True),
        ("TransformerEncoder", np.where(CAUSAL == 0, 1e-3, CAUSAL), False),
        ("TransformerDecoder", CAUSAL, False),
    ],
)
def test_a_mask_that_is_found_to_be_causal_gets_no_gradient(kind, mask, padded):
    """Torch looks at the numbers; here that happens under `jax.jit` too."""
    torch.manual_seed(0)
    layer = getattr(torch.nn, kind + "Layer")(6, 2, 5, 0.0, batch_first=True).double()
    theirs = getattr(torch.nn, kind)(layer, 1, **({"enable_nested_tensor": False} if "En" in kind else {}))
    ours = getattr(nn, kind)(getattr(nn, kind + "Layer")(6, 2, 5, 0.0, batch_first=True, rngs=nnx.Rngs(0)), 1)
    name, padding = ("mask", "src_key_padding_mask") if "En" in kind else ("tgt_mask", "tgt_key_padding_mask")
    x = np.random.default_rng(0).normal(size=(3, 4, 6))
    kwargs = {name: mask} | ({padding: np.arange(12).reshape(3, 4) % 5 == 4} if padded else {})
    with warnings.catch_warnings(action="ignore"), jax.enable_x64(True):
        jaxnets.load_state_dict(ours, theirs.state_dict())
        report = parity.compare(theirs, ours, (x,) if "En" in kind else (x, 2 * x), kwargs, jit=True)
    assert report.ok, report


def test_masks_of_two_dtypes_are_warned_of_once():
    stack = nn.TransformerEncoder(encoder_layer(), 2)
    with pytest.warns(UserWarning, match="mismatched src_key_padding_mask and mask") as caught:
        stack(SRC, jnp.zeros((4, 4)), jnp.zeros((3, 4), bool))
    assert len(caught) == 1


def test_padded_places_are_computed_as_torch_does_with_gradients():
    """Torch's fast path gives zeros there; elsewhere both paths agree."""
    torch.manual_seed(0)
    theirs = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(6, 2, 5, 0.0, batch_first=True), 2).eval()
    ours = nn.TransformerEncoder(encoder_layer(batch_first=True), 2)
    jaxnets.load_state_dict(ours, theirs.state_dict())
    x, padding = np.array(SRC), np.arange(3) >= np.array([[3], [2], [3], [1]])
    ours.eval()
    with_gradients = theirs(torch.tensor(x), src_key_padding_mask=torch.tensor(padding)).detach()
    with torch.no_grad(), warnings.catch_warnings(action="ignore"):
        fast = theirs(torch.tensor(x), src_key_padding_mask=torch.tensor(padding))
    output = ours(SRC, src_key_padding_mask=jnp.asarray(padding))
    np.testing.assert_allclose(output, with_gradients, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(output[~padding], fast[torch.tensor(~padding)], rtol=1e-4, atol=1e-5)
    assert not fast[torch.tensor(padding)].any()


# ---- refusals


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: encoder_layer(activation="elu"), ValueError, "activation: expected one of 'relu', 'gelu', got 'elu'"),
        (lambda: encoder_layer(activation=3), TypeError, "activation: expected 'relu', 'gelu' or a callable, got 3"),
        (lambda: nn.TransformerEncoderLayer(6, 4, rngs=nnx.Rngs(0)), ValueError, "num_heads: expected a divisor"),
        (lambda: nn.TransformerEncoder(encoder_layer(), 0), ValueError, "num_layers: expected an int of at least 1"),
        (
            lambda: nn.TransformerEncoder(F.relu, 2),
            TypeError,
            "encoder_layer: expected a flax.nnx.Module, got function",
        ),
        (lambda: nn.TransformerDecoder("x", 2), TypeError, "decoder_layer: expected a flax.nnx.Module, got str"),
        (lambda: encoder_layer()(SRC[..., :4]), ValueError, "query: expected the last axis to have embed_dim=6"),
        (lambda: encoder_layer()(SRC, is_causal=True), ValueError, "attn_mask: expected a mask beside the hint"),
        (lambda: encoder_layer()(SRC, jnp.zeros((4, 4), int)), TypeError, "src_mask: expected booleans or floating"),
        (lambda: encoder_layer()(SRC, jnp.zeros((4, 5))), ValueError, r"attn_mask: expected shape \(4, 4\)"),
        (lambda: encoder_layer()([1.0]), TypeError, "src: expected an array, got list"),
        (lambda: decoder_layer()(SRC, SRC[:, :2]), ValueError, "key: expected a batch of 3 as query has, got 2"),
        (
            lambda: nn.TransformerEncoder(encoder_layer(), 1)(SRC, is_causal=True),
            ValueError,
            "attn_mask: expected a mask",
        ),
    ],
)
def test_what_torch_refuses(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("src", "tgt", "message"),
    [
        (SRC[..., :5], SRC, r"src: expected the last of 2 or 3 axes to have d_model=6, got \(4, 3, 5\)"),
        (SRC, SRC[..., :5], r"tgt: expected the last of 2 or 3 axes to have d_model=6, got \(4, 3, 5\)"),
        (SRC, SRC[:, :2], "tgt: expected the batch of src, 3, got 2"),
    ],
)
def test_sequences_that_torch_refuses(src, tgt, message):
    with pytest.raises(ValueError, match=message):
        nnx.eval_shape(lambda: nn.Transformer(6, 2, 1, 1, 5, 0.0, rngs=nnx.Rngs(0))(src, tgt))


# ---- random ones against torch


@st.composite
def transformers(draw):
    flag = st.booleans()
    nhead, size = draw(st.sampled_from([(1, 2), (2, 1), (2, 3)]))
    E, batched, batch_first = nhead * size, draw(flag), draw(flag)
    N = draw(st.sampled_from([1, 2, 3]))
    lengths = {"src": draw(st.sampled_from([1, 2, 4])), "tgt": draw(st.sampled_from([1, 3]))}
    named = {"batch_first": batch_first, "norm_first": draw(flag), "bias": draw(flag)}
    call = {}
    pairs = {"src": ("src", "src"), "tgt": ("tgt", "tgt"), "memory": ("tgt", "src")}
    for name, (rows, columns) in pairs.items():
        L, S = lengths[rows], lengths[columns]
        padding, mask = draw(st.sampled_from([None, bools, normal])), draw(st.sampled_from([None, bools, normal]))
        if padding:
            call[f"{name}_key_padding_mask"] = padding(N, S) if batched else padding(S)
        if mask:
            call[f"{name}_mask"] = mask(*([(N if batched else 1) * nhead] if draw(flag) else []), L, S)
            call[f"{name}_is_causal"] = draw(flag)
    shapes = [(n, E) if not batched else (N, n, E) if batch_first else (n, N, E) for n in lengths.values()]
    arguments = (E, nhead, 1, 1, draw(st.sampled_from([1, 3])), 0.0, draw(st.sampled_from(["relu", "gelu"])))
    inputs = tuple(normal(*shape) for shape in shapes)
    return Case("Transformer", arguments, named, inputs=inputs, call=call, seed=draw(st.integers(0, 99)))


@given(transformers())
@settings(max_examples=4, deadline=None, derandomize=True)
def test_random_transformers_agree_with_torch(case):
    results = parity.run([case], dtypes=("f64",), ways=("jit",))
    assert not results.failed, (case, results.failed)
