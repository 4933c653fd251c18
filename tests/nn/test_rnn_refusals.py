"""What recurrent layers refuse, and what they say."""

import jax.numpy as jnp
import pytest
from flax import nnx

from jaxnets import functional as F
from jaxnets import nn
from jaxnets.nn.utils.rnn import PackedSequence, pack_padded_sequence


def network(kind="GRU", *args, **kwargs):
    return getattr(nn, kind)(*(args or (3, 4)), **kwargs, rngs=nnx.Rngs(0))


ONES = jnp.ones((5, 2, 3))
WEIGHTS = (jnp.ones((4, 3)), jnp.ones((4, 4)))

REFUSED = {
    # constructors
    "RNN proj_size": (lambda: network("RNN", proj_size=2), ValueError, "proj_size: expected with LSTM only"),
    "GRU proj_size": (lambda: network("GRU", proj_size=0), ValueError, "proj_size: expected with LSTM only"),
    "proj_size of hidden_size": (
        lambda: network("LSTM", proj_size=4),
        ValueError,
        "proj_size: expected less than hidden_size=4, got 4",
    ),
    "negative proj_size": (lambda: network("LSTM", proj_size=-1), ValueError, "proj_size: .* at least 0, got -1"),
    "base proj_size": (
        lambda: nn.RNNBase("GRU", 3, 4, proj_size=2, rngs=nnx.Rngs(0)),
        ValueError,
        "proj_size: expected with LSTM only",
    ),
    "mode": (lambda: nn.RNNBase("MGU", 3, 4, rngs=nnx.Rngs(0)), ValueError, "mode: expected one of 'RNN_TANH'"),
    "input_size": (lambda: network("GRU", 0, 4), ValueError, "input_size: expected an int of at least 1, got 0"),
    "hidden_size": (lambda: network("GRU", 3, 0), ValueError, "hidden_size: expected an int of at least 1, got 0"),
    "float size": (lambda: network("GRU", 3.0, 4), TypeError, "input_size: expected an int, got 3.0"),
    "num_layers": (lambda: network("GRU", 3, 4, 0), ValueError, "num_layers: expected an int of at least 1, got 0"),
    "bias": (lambda: network("GRU", bias=0), TypeError, "bias: expected True or False, got 0"),
    "batch_first": (lambda: network("GRU", batch_first=1), TypeError, "batch_first: expected True or False, got 1"),
    "dropout": (lambda: network("GRU", dropout=1.5), ValueError, r"dropout: expected a probability .*, got 1.5"),
    "bool dropout": (lambda: network("GRU", dropout=True), ValueError, r"dropout: expected a probability .*, got True"),
    "text dropout": (lambda: network("GRU", dropout="no"), ValueError, r"dropout: expected a probability .*, got 'no'"),
    "nonlinearity": (
        lambda: network("RNN", nonlinearity="gelu"),
        ValueError,
        "nonlinearity: expected one of 'tanh', 'relu', got 'gelu'",
    ),
    "cell nonlinearity": (
        lambda: network("RNNCell", nonlinearity="gelu"),
        ValueError,
        "nonlinearity: expected one of 'tanh', 'relu', got 'gelu'",
    ),
    "no rngs": (lambda: nn.LSTM(3, 4, 2, dropout=0.5, rngs=None), TypeError, "rngs: expected flax.nnx.Rngs"),
    # input
    "input rank": (
        lambda: network()(jnp.ones((1, 5, 2, 3))),
        ValueError,
        r"input: expected 2 axes \(L, input_size\) or 3 axes \(L, N, input_size\), got 4 axes",
    ),
    "input size": (lambda: network()(jnp.ones((5, 2, 4))), ValueError, "input: .* input_size=3 entries, got shape"),
    "no steps": (lambda: network()(jnp.ones((0, 2, 3))), ValueError, "input: expected at least one step"),
    "input dtype": (
        lambda: network()(jnp.ones((5, 2, 3), jnp.int32)),
        ValueError,
        "input: dtype int32 does not match weight dtype float32",
    ),
    "list input": (lambda: network()([[1.0, 2.0, 3.0]]), TypeError, "input: expected an array, got list"),
    "packed rank": (
        lambda: network()(PackedSequence(jnp.ones(3), jnp.array([2, 1]))),
        ValueError,
        r"input.data: expected 2 axes \(rows, input_size\), got shape \(3,\)",
    ),
    "packed size": (
        lambda: network()(PackedSequence(jnp.ones((3, 2)), jnp.array([2, 1]))),
        ValueError,
        "input: .* input_size=3 entries",
    ),
    # hx
    "hx layers": (
        lambda: network("GRU", 3, 4, 2)(ONES, jnp.ones((1, 2, 4))),
        ValueError,
        r"hx: expected shape \(2, 2, 4\), got \(1, 2, 4\)",
    ),
    "hx rank": (
        lambda: network()(ONES, jnp.ones((1, 4))),
        ValueError,
        r"hx: expected shape \(1, 2, 4\), got \(1, 4\)",
    ),
    "batched hx": (
        lambda: network()(ONES[:, 0], jnp.ones((1, 1, 4))),
        ValueError,
        r"hx: expected shape \(1, 4\), got \(1, 1, 4\)",
    ),
    "packed hx": (
        lambda: network()(pack_padded_sequence(ONES, [1, 5], enforce_sorted=False), jnp.ones((1, 3, 4))),
        ValueError,
        r"hx: expected shape \(1, 2, 4\), got \(1, 3, 4\)",
    ),
    "hx dtype": (
        lambda: network()(ONES, jnp.ones((1, 2, 4), jnp.bfloat16)),
        TypeError,
        "input is float32 but hx is bfloat16",
    ),
    "hx pair": (lambda: network()(ONES, (ONES, ONES)), TypeError, "hx: expected an array, got tuple"),
    "hx no pair": (lambda: network("LSTM")(ONES, ONES), TypeError, r"hx: expected a pair \(h_0, c_0\), got "),
    "hx one": (lambda: network("LSTM")(ONES, (ONES,)), ValueError, r"hx: expected a pair \(h_0, c_0\), got 1"),
    "c_0": (
        lambda: network("LSTM", proj_size=2)(ONES, (jnp.ones((1, 2, 2)), jnp.ones((1, 2, 2)))),
        ValueError,
        r"hx\[1\]: expected shape \(1, 2, 4\), got \(1, 2, 2\)",
    ),
    # functions
    "params count": (
        lambda: F.rnn_tanh(ONES, None, WEIGHTS),
        ValueError,
        "params: expected 4 arrays for each of 1 layers and directions, got 2 arrays; compare has_biases=True",
    ),
    "params count of an LSTM": (
        lambda: F.lstm(ONES, None, WEIGHTS, False, 2),
        ValueError,
        r"params: expected 2 arrays, 3 with a projection, for each of 2 layers and directions, got 2",
    ),
    "params shape": (
        lambda: F.rnn_relu(ONES, None, (WEIGHTS[0], jnp.ones((4, 5))), False),
        ValueError,
        r"params\[1\]: expected shape \(4, 4\) of weight_hh_l0, got \(4, 5\)",
    ),
    "params dtype": (
        lambda: F.rnn_relu(ONES, None, (WEIGHTS[0], jnp.ones((4, 4), jnp.float16)), False),
        TypeError,
        r"params\[0\] is float32 but params\[1\] is float16",
    ),
    "params rank": (
        lambda: F.rnn_relu(ONES, None, (jnp.ones(4), WEIGHTS[1]), False),
        ValueError,
        r"params\[0\]: expected 2 axes",
    ),
    "projection rank": (
        lambda: F.lstm(ONES, None, (jnp.ones((8, 3)), jnp.ones((8, 1)), jnp.ones(2)), False),
        ValueError,
        r"params\[2\]: expected 2 axes \(proj_size, hidden_size\), got 1 axes",
    ),
    "no layers": (
        lambda: F.rnn_relu(ONES, None, (), False, 0),
        ValueError,
        "num_layers: expected an int of at least 1, got 0",
    ),
    "lengths": (
        lambda: F.rnn_relu(ONES, None, WEIGHTS, False, lengths=jnp.array([1, 2, 3])),
        ValueError,
        r"lengths: expected one int for each of 2 sequences, got shape \(3,\)",
    ),
    "unbatched lengths": (
        lambda: F.rnn_relu(ONES[:, 0], None, WEIGHTS, False, lengths=jnp.array([1])),
        ValueError,
        "lengths: expected None for unbatched input",
    ),
    # cells
    "cell input": (
        lambda: network("GRUCell", 10, 20)(jnp.ones((3, 11)), jnp.ones((3, 20))),
        ValueError,
        r"input: expected the last axis to have input_size=10 entries, got shape \(3, 11\)",
    ),
    "cell input rank": (lambda: network("GRUCell")(ONES), ValueError, "input: expected 1 axes .* or 2 axes"),
    "cell hidden": (
        lambda: network("RNNCell", 10, 20)(jnp.ones((3, 10)), jnp.ones((3, 21))),
        ValueError,
        r"hx: expected shape \(3, 20\), got \(3, 21\)",
    ),
    "cell batch": (
        lambda: network("LSTMCell", 10, 20)(jnp.ones((3, 10)), (jnp.ones((5, 20)),) * 2),
        ValueError,
        r"hx\[0\]: expected shape \(3, 20\), got \(5, 20\)",
    ),
    "cell dtype": (
        lambda: network("LSTMCell")(jnp.ones((2, 3), jnp.float16)),
        TypeError,
        "input is float16 but w_ih is float32",
    ),
    "cell weight": (
        lambda: F.gru_cell(jnp.ones(3), None, jnp.ones((6, 3)), jnp.ones((6, 3))),
        ValueError,
        r"w_hh: expected shape \(6, 2\), got \(6, 3\)",
    ),
    "cell bias": (
        lambda: F.gru_cell(jnp.ones(3), None, jnp.ones((6, 3)), jnp.ones((6, 2)), jnp.ones(2)),
        ValueError,
        r"b_ih: expected shape \(6,\), got \(2,\)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_what_was_expected(name):
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call()
