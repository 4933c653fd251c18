"""Arguments that every layer and function takes: which values pass, which are refused, and by what name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxnets.functional as F
from jaxnets import check, nn
from jaxnets.nn.utils import rnn as sequences

WORDS = ["a", b"x", [], {}, object(), 1.5, 3j, np.ones(2), jnp.ones(2), torch.ones(2)]
x = jnp.ones((1, 2, 4, 4))


def rngs():
    return nnx.Rngs(0)


@pytest.mark.parametrize("value", [*WORDS, None, True, np.float32(1)], ids=lambda v: type(v).__name__)
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("in_features", lambda v: nn.Linear(v, 2, rngs=rngs())),
        ("groups", lambda v: nn.Conv2d(2, 2, 1, groups=v, rngs=rngs())),
        ("hidden_size", lambda v: nn.GRU(2, v, rngs=rngs())),
        ("embedding_dim", lambda v: nn.Embedding(3, v, rngs=rngs())),
        ("start_dim", lambda v: nn.Flatten(v)),
        ("num_features", lambda v: nn.BatchNorm1d(v)),
        ("ignore_index", lambda v: nn.NLLLoss(ignore_index=v)),
    ],
)
def test_what_is_no_int_is_refused_by_name(name, make, value):
    with pytest.raises(TypeError, match=f"{name}: expected an int, got"):
        make(value)


@pytest.mark.parametrize("value", ["a", b"x", [], [1, 2], {}, object(), 3j, np.ones(2), jnp.ones(2), True])
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("eps", lambda v: nn.BatchNorm1d(3, eps=v)),
        ("eps", lambda v: F.batch_norm(x, jnp.ones(2), jnp.ones(2), eps=v)),
        ("momentum", lambda v: nn.BatchNorm1d(3, momentum=v)),
        ("max_norm", lambda v: nn.Embedding(3, 2, max_norm=v, rngs=rngs())),
        ("norm_type", lambda v: F.embedding(jnp.array([0]), jnp.ones((2, 2)), max_norm=1.0, norm_type=v)),
    ],
)
def test_what_is_no_number_is_refused_by_name(name, make, value):
    with pytest.raises(TypeError, match=f"{name}: expected a number, got"):
        make(value)


@pytest.mark.parametrize("value", ["a", 1, 1.5, None, np.ones(2), jnp.ones(2), torch.ones(2)])
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("bidirectional", lambda v: nn.LSTM(2, 3, bidirectional=v, rngs=rngs())),
        ("training", lambda v: F.batch_norm(x, jnp.ones(2), jnp.ones(2), training=v)),
        ("training", lambda v: F.dropout(x, training=v)),
        ("scale_grad_by_freq", lambda v: F.embedding(jnp.array([0]), jnp.ones((2, 2)), scale_grad_by_freq=v)),
        ("batch_first", lambda v: sequences.pad_sequence([jnp.ones(2)], v)),
        ("enforce_sorted", lambda v: sequences.pack_sequence([jnp.ones(2)], v)),
        ("has_biases", lambda v: F.gru(jnp.ones((2, 1, 3)), None, [jnp.ones((6, 3)), jnp.ones((6, 2))], v)),
    ],
)
def test_what_is_no_flag_is_refused_by_name(name, make, value):
    with pytest.raises(TypeError, match=f"{name}: expected True or False, got"):
        make(value)


def test_numpy_and_jax_numbers_are_numbers():
    assert nn.Conv2d(np.int64(2), np.uint8(3), np.array([1, 2]), rngs=rngs()).kernel_size == (1, 2)
    assert nn.Flatten(jnp.array(1)).start_dim == 1
    assert nn.GRUCell(np.uint8(2), np.uint8(100), rngs=rngs()).weight_hh.shape == (300, 100)  # 300 is no uint8
    assert nn.Dropout(np.float32(0.5)).p == 0.5
    assert nn.BatchNorm1d(3, eps=2**40, momentum=2**40)(jnp.ones((4, 3))).shape == (4, 3)
    assert nn.ReLU(np.bool_(True)).inplace is True


@pytest.mark.parametrize("bias", [False, None, 0])
def test_a_bias_is_left_out_where_torch_leaves_it_out(bias):
    for layer in (
        nn.Linear(2, 3, bias, rngs=rngs()),
        nn.Bilinear(2, 3, 4, bias, rngs=rngs()),
        nn.Conv1d(2, 3, 1, bias=bias, rngs=rngs()),
        nn.ConvTranspose1d(2, 3, 1, bias=bias, rngs=rngs()),
        nn.BatchNorm1d(3, bias=bias),
    ):
        assert layer.bias is None
    with pytest.raises(TypeError, match="bias: expected True or False, got an object of type ndarray"):
        nn.Linear(2, 3, np.ones(3), rngs=rngs())


@pytest.mark.parametrize("value", [None, 1, "a", [1.0], {}, object(), jax.ShapeDtypeStruct((1,), jnp.float32)])
@pytest.mark.parametrize(
    "call",
    [
        F.relu,
        F.sigmoid,
        nn.Conv2d(2, 2, 1, rngs=rngs()),
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect", rngs=rngs()),
        lambda v: nn.ConvTranspose2d(2, 2, 1, rngs=rngs())(v, output_size=(4, 4)),
        nn.LSTM(2, 3, rngs=rngs()),
        nn.BatchNorm2d(2),
        nn.Dropout(rngs=rngs()),
        nn.Embedding(3, 2, max_norm=1.0, rngs=rngs()),
    ],
)
def test_what_is_no_array_is_refused_by_name(call, value):
    with pytest.raises(TypeError, match="input: expected an array, got"):
        call(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.ones(2, requires_grad=True), "input: expected an array of numbers, got Tensor: Can't call numpy"),
        (torch.ones(2, dtype=torch.bfloat16), "input: expected an array of numbers, got Tensor"),
        (torch.ones(2).to_sparse(), "input: expected an array of numbers, got Tensor"),
        (np.array("abc"), "input: expected an array of numbers, got ndarray"),
        (np.array([None]), "input: expected an array of numbers, got ndarray"),
        (jax.random.key(0), "input: expected an array of numbers, got an array of key"),
    ],
)
def test_arrays_that_hold_no_numbers_for_jax(value, message):
    for call in (F.relu, F.tanh, nn.Dropout(rngs=rngs())):
        with pytest.raises(TypeError, match=message):
            call(value)


@pytest.mark.parametrize("dtype", ["abc", torch.float64, 3])
def test_dtypes(dtype):
    for make in (
        lambda: nn.Linear(2, 3, dtype=dtype, rngs=rngs()),
        lambda: nn.BatchNorm1d(2, dtype=dtype),
        lambda: F.softmax(x, 1, dtype=dtype),
    ):
        with pytest.raises(TypeError, match=r"dtype: expected a dtype such as jnp.float32, got"):
            make()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Linear(2, 3, rngs=nnx.Rngs(other=0)), ValueError, "rngs: expected a stream 'params' or a default"),
        (lambda: nn.Dropout(rngs=nnx.Rngs(params=0)), ValueError, "rngs: expected a stream 'dropout' or a default"),
        (
            lambda: nn.GRU(2, 3, 2, dropout=0.5, rngs=nnx.Rngs(params=0)),
            ValueError,
            "rngs: expected a stream 'dropout'",
        ),
        (
            lambda: nn.GRU(2, 3, 2, dropout=0.5, rngs=rngs())(jnp.ones((4, 2)), rngs=3),
            TypeError,
            "rngs: expected flax.nnx.Rngs, got int",
        ),
        (lambda: check.choice("mode", np.array([1, 2]), ("a",)), ValueError, "mode: expected one of 'a', got array"),
        (lambda: F.pad(x, 1), TypeError, "pad: expected a list or tuple of ints, got 1"),
        (lambda: F.pad(x, (1, 1), value="a"), TypeError, "value: expected an array, got str"),
        (lambda: F.pad(x, (1, 1), value=np.ones(2)), ValueError, r"value: expected a number, got an array of shape"),
        (lambda: sequences.pad_sequence([x], False, [1]), TypeError, "padding_value: expected an array, got list"),
        (lambda: sequences.pad_sequence(jnp.ones(())), TypeError, "sequences: expected a list of arrays"),
        (
            lambda: sequences.PackedSequence(jnp.ones(2), torch.ones(2, requires_grad=True)),
            TypeError,
            "batch_sizes: expected an array of ints, got Tensor",
        ),
        (lambda: F.gru(jnp.ones((2, 3)), None, jnp.ones(3)), TypeError, "params: expected a list or tuple of arrays"),
    ],
)
def test_refusals(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_nnx_view():
    """`nnx.view` reaches the modes of jaxnets' layers as it reaches those of Flax's."""
    model = nn.Sequential(
        nn.BatchNorm1d(3), nn.Dropout(rngs=rngs()), nn.GRU(3, 3, 2, dropout=0.5, rngs=rngs()), nn.Identity()
    )
    view = nnx.view(model, deterministic=True, use_running_average=True)
    for layers, evaluating in ((view, True), (model, False)):
        assert [layers[0].use_running_average, layers[1].deterministic, layers[2].deterministic] == [evaluating] * 3
    assert view[0].weight is model[0].weight
