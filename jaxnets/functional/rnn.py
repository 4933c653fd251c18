"""Recurrent networks: `torch.lstm`, `gru`, `rnn_tanh`, `rnn_relu`, and their cells."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets import check
from jaxnets.functional.activation import sigmoid, tanh
from jaxnets.functional.dropout import dropout as drop
from jaxnets.functional.rectifier import relu
from jaxnets.lowering.linear import affine
from jaxnets.lowering.recurrence import State, Update, Weights, recurrence

__all__ = [
    "gru",
    "gru_cell",
    "lstm",
    "lstm_cell",
    "rnn_relu",
    "rnn_relu_cell",
    "rnn_tanh",
    "rnn_tanh_cell",
]


def _elman(nonlinearity: Callable[[jax.Array], jax.Array]) -> Update:
    return lambda x, h, state: (nonlinearity(x + h),)


def _lstm(x: jax.Array, h: jax.Array, state: State) -> State:
    i, f, g, o = jnp.split(x + h, 4, axis=-1)
    c = sigmoid(f) * state[1] + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def _gru(x: jax.Array, h: jax.Array, state: State) -> State:
    (x_r, x_z, x_n), (h_r, h_z, h_n) = jnp.split(x, 3, axis=-1), jnp.split(h, 3, axis=-1)
    n = tanh(x_n + sigmoid(x_r + h_r) * h_n)  # r scales W_hn h + b_hn, so b_hn cannot join b_in
    return ((state[0] - n) * sigmoid(x_z + h_z) + n,)


@dataclass(frozen=True)
class Mode:
    """A kind of cell: how many gates are stacked in its weights, how many arrays are its state, its formula.

    `adds`: whether the formula has the products of input and of hidden state as their sum alone.
    """

    gates: int
    states: int
    update: Update
    adds: bool = True


MODES = {
    "RNN_TANH": Mode(1, 1, _elman(tanh)),
    "RNN_RELU": Mode(1, 1, _elman(relu)),
    "LSTM": Mode(4, 2, _lstm),
    "GRU": Mode(3, 1, _gru, adds=False),
}


def parameter_shapes(
    mode: str,
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    bias: bool = True,
    bidirectional: bool = False,
    proj_size: int = 0,
) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all parameters of a recurrent network, in torch's order.

    >>> parameter_shapes("GRU", 2, 5, bias=False)
    {'weight_ih_l0': (15, 2), 'weight_hh_l0': (15, 5)}
    """
    gates, output_size = MODES[mode].gates * hidden_size, proj_size or hidden_size
    suffixes = ("", "_reverse") if bidirectional else ("",)
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(num_layers):
        one: dict[str, tuple[int, ...]] = {
            "weight_ih": (gates, len(suffixes) * output_size if layer else input_size),
            "weight_hh": (gates, output_size),
        }
        if bias:
            one |= {"bias_ih": (gates,), "bias_hh": (gates,)}
        if proj_size:
            one |= {"weight_hr": (proj_size, hidden_size)}
        shapes |= {f"{name}_l{layer}{suffix}": shape for suffix in suffixes for name, shape in one.items()}
    return shapes


def _stack(
    name: str,
    input: jax.Array,
    hx: jax.Array | Sequence[jax.Array] | None,
    params: Sequence[jax.Array],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
    lengths: jax.Array | None,
    key: jax.Array | None,
    checkpoint_every: int | None,
) -> Any:
    """All layers and directions: a tuple of the output and the arrays of the last state."""
    flags = {"has_biases": has_biases, "train": train, "bidirectional": bidirectional, "batch_first": batch_first}
    for flag, value in flags.items():
        check.flag(flag, value)
    if checkpoint_every is not None:
        checkpoint_every = check.integer("checkpoint_every", checkpoint_every, least=1)
    dropout = check.probability("dropout", dropout)
    directions = 2 if bidirectional else 1
    input = check.array("input", input)
    check.rank("input", input, {2: "(L, input_size)", 3: "(N, L, input_size)" if batch_first else "(L, N, input_size)"})
    layers, sizes = _group(name, params, has_biases, num_layers, bidirectional)
    _check_features(input, layers[0].ih)
    if input.dtype != layers[0].ih.dtype:  # torch's check, with its kind of error
        raise ValueError(
            f"input: dtype {input.dtype} does not match weight dtype {layers[0].ih.dtype}; "
            f"convert the input, input.astype({layers[0].ih.dtype}), or the weights"
        )
    batched = input.ndim == 3
    steps, *batch = input.shape[:-1]
    if batched and batch_first:
        (steps,), batch = batch, [steps]
    if not steps:
        raise ValueError(f"input: expected at least one step, got shape {input.shape}")
    state = _state(hx, [(num_layers * directions, *batch, size) for size in sizes], input)
    if lengths is not None and not batched:
        raise ValueError("lengths: expected None for unbatched input; cut the input to its length, input[:length]")
    lengths = None if lengths is None else _lengths(lengths, *batch)
    keys = None
    if train and dropout and num_layers > 1:
        if key is None:
            raise ValueError("key: expected a jax random key, since train=True and dropout > 0, got None")
        keys = jax.random.split(key, num_layers - 1)
    batch_first = batched and batch_first
    return _layers(
        MODES[name], input, state, layers, lengths, keys, dropout, bidirectional, batch_first, checkpoint_every
    )


# One program for all layers, so that a call outside of a jit is one dispatch.
@partial(jax.jit, static_argnames=("mode", "dropout", "bidirectional", "batch_first", "every"))
def _layers(
    mode: Mode,
    input: jax.Array,
    state: State,
    weights: Sequence[Weights],
    lengths: jax.Array | None,
    keys: jax.Array | None,
    dropout: float,
    bidirectional: bool,
    batch_first: bool,
    every: int | None,
) -> tuple[jax.Array, ...]:
    batched = input.ndim == 3
    sequence = jnp.swapaxes(input, 0, 1) if batch_first else input
    if not batched:
        sequence, state = sequence[:, None], tuple(h[:, None] for h in state)
    last: list[State] = []
    directions = (False, True) if bidirectional else (False,)
    for layer in range(len(weights) // len(directions)):
        if layer and keys is not None:
            sequence = drop(sequence, dropout, True, key=keys[layer - 1])
        outputs = []
        for reverse in directions:
            k = len(last)
            initial = tuple(h[k] for h in state)
            output, final = recurrence(
                mode.update, sequence, initial, weights[k], lengths, reverse=reverse, adds=mode.adds, every=every
            )
            outputs.append(output)
            last.append(final)
        sequence = jnp.concatenate(outputs, axis=-1)
    results = sequence, *(jnp.stack(h) for h in zip(*last, strict=True))
    if not batched:
        return tuple(x[:, 0] for x in results)
    return jnp.swapaxes(results[0], 0, 1) if batch_first else results[0], *results[1:]


def _group(
    name: str, params: Sequence[jax.Array], has_biases: bool, num_layers: int, bidirectional: bool
) -> tuple[list[Weights], list[int]]:
    """torch's flat list of parameters as one `Weights` for each layer and direction; the sizes of the states."""
    if not isinstance(params, tuple | list):
        raise TypeError(f"params: expected a list or tuple of arrays, got {type(params).__name__}")
    params = [check.array(f"params[{i}]", p) for i, p in enumerate(params)]
    cells = check.integer("num_layers", num_layers, least=1) * (2 if bidirectional else 1)
    plain = 4 if has_biases else 2
    count, rest = divmod(len(params), cells)
    projected = name == "LSTM" and count == plain + 1
    if rest or count != plain + projected:
        or_projected = f", {plain + 1} with a projection," if name == "LSTM" else ""
        raise ValueError(
            f"params: expected {plain} arrays{or_projected} for each of {cells} layers and directions, "
            f"got {len(params)} arrays; compare has_biases={has_biases}, num_layers={num_layers}, "
            f"bidirectional={bidirectional}"
        )
    check.rank("params[0]", params[0], {2: "(gates * hidden_size, input_size)"})
    if projected:
        check.rank(f"params[{count - 1}]", params[count - 1], {2: "(proj_size, hidden_size)"})
    hidden_size, input_size = params[0].shape[0] // MODES[name].gates, params[0].shape[1]
    proj_size = params[count - 1].shape[0] if projected else 0
    shapes = parameter_shapes(name, input_size, hidden_size, num_layers, has_biases, bidirectional, proj_size)
    for i, (parameter, shape) in enumerate(shapes.items()):
        if params[i].shape != shape:
            raise ValueError(f"params[{i}]: expected shape {shape} of {parameter}, got {params[i].shape}")
    check.same_dtype(**{f"params[{i}]": p for i, p in enumerate(params)})
    layers = [
        Weights(*p[:2], *(p[2:4] if has_biases else [None, None]), *p[plain:])
        for p in (params[i : i + count] for i in range(0, len(params), count))
    ]
    return layers, [proj_size or hidden_size, hidden_size][: MODES[name].states]


def _check_features(input: jax.Array, weight: jax.Array) -> None:
    if input.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"input: expected the last axis to have input_size={weight.shape[1]} entries, got shape {input.shape}"
        )


def _state(hx: jax.Array | Sequence[jax.Array] | None, shapes: Sequence[tuple[int, ...]], input: jax.Array) -> State:
    """The initial state of these shapes, zeros when not given: an array, or for an LSTM a pair of arrays."""
    if hx is None:
        return tuple(jnp.zeros(shape, input.dtype) for shape in shapes)
    if len(shapes) == 1:
        given = {"hx": check.array("hx", hx)}
    elif not isinstance(hx, tuple | list):
        raise TypeError(f"hx: expected a pair (h_0, c_0), got {type(hx).__name__}")
    elif len(hx) != 2:
        raise ValueError(f"hx: expected a pair (h_0, c_0), got {len(hx)} of them")
    else:
        given = {name: check.array(name, h) for name, h in zip(("hx[0]", "hx[1]"), hx, strict=True)}
    for (name, h), shape in zip(given.items(), shapes, strict=True):
        if h.shape != shape:
            raise ValueError(f"{name}: expected shape {shape}, got {h.shape}")
    check.same_dtype(input=input, **given)
    return tuple(given.values())


def _lengths(lengths: jax.Array, batch_size: int) -> jax.Array:
    lengths = check.array("lengths", lengths)
    if lengths.shape != (batch_size,) or not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise ValueError(
            f"lengths: expected one int for each of {batch_size} sequences, "
            f"got shape {lengths.shape} of {lengths.dtype}"
        )
    return lengths.astype(int)


def lstm(
    input: jax.Array,
    hx: Sequence[jax.Array] | None,
    params: Sequence[jax.Array],
    has_biases: bool = True,
    num_layers: int = 1,
    dropout: float = 0.0,
    train: bool = False,
    bidirectional: bool = False,
    batch_first: bool = False,
    *,
    lengths: jax.Array | None = None,
    key: jax.Array | None = None,
    checkpoint_every: int | None = None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Long short-term memory network (Hochreiter and Schmidhuber, 1997).

    `i, f, o = σ(W x + b + U h + d)`, `g = tanh(W x + b + U h + d)`, `c' = f c + i g`, `h' = o tanh(c')`, each with
    its own rows of the weights, stacked i, f, g, o; with a projection `h' = R (o tanh(c'))`.

    Args:
        input: the sequences.
        hx: the pair `(h_0, c_0)`; zeros when None.
        params: for each layer, and each direction of it, `weight_ih (4H, I)`, `weight_hh (4H, P)`, `bias_ih (4H,)`,
            `bias_hh (4H,)` and, for a network with projections, `weight_hr (P, H)`; without projections P = H.
        has_biases: whether `params` has the biases.
        num_layers: how many networks are stacked, at least 1.
        dropout: probability in [0, 1] that an entry of the output of a layer other than the last is zeroed.
        train: whether there is dropout.
        bidirectional: whether each layer has a second direction that runs from the end to the beginning.
        batch_first: whether batched input and output are `(N, L, *)` in place of `(L, N, *)`; states never are.
        lengths: `(N,)` ints in [0, L]: each sequence ends at its own length; output behind it is 0.
        key: random key of the dropout.
        checkpoint_every: for long sequences: of the steps, one state in so many is kept for the gradient, and the steps
            between are computed again. None keeps what each step needs.

    Shape:
        input `(L, N, I)` or `(L, I)`; `h_0` `(D * num_layers, N, P)`, `c_0` `(D * num_layers, N, H)`, without `N`
        when unbatched; output `(L, N, D * P)`; `h_n`, `c_n` as `h_0`, `c_0`. D is 2 when bidirectional, else 1.

    Returns:
        output, `h_n`, `c_n`.

    Raises:
        TypeError: `hx` is no pair of arrays, or of another dtype.
        ValueError: sizes or dtypes do not fit; dropout is wanted without a `key`.

    Differences from torch: unbatched input is taken; `lengths` stands for packed sequences; `key` and
    `checkpoint_every` are new.

    >>> weight_ih, weight_hh = jnp.ones((8, 3)), jnp.ones((8, 2))
    >>> output, h_n, c_n = lstm(jnp.ones((5, 4, 3)), None, (weight_ih, weight_hh), has_biases=False)
    >>> output.shape, h_n.shape, c_n.shape
    ((5, 4, 2), (1, 4, 2), (1, 4, 2))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html
    """
    layout = has_biases, num_layers, dropout, train, bidirectional, batch_first
    return _stack("LSTM", input, hx, params, *layout, lengths, key, checkpoint_every)


def gru(
    input: jax.Array,
    hx: jax.Array | None,
    params: Sequence[jax.Array],
    has_biases: bool = True,
    num_layers: int = 1,
    dropout: float = 0.0,
    train: bool = False,
    bidirectional: bool = False,
    batch_first: bool = False,
    *,
    lengths: jax.Array | None = None,
    key: jax.Array | None = None,
    checkpoint_every: int | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Gated recurrent unit network (Cho et al., 2014).

    `r, z = σ(W x + b + U h + d)`, `n = tanh(W x + b + r (U h + d))`, `h' = (1 - z) n + z h`, each with its own rows
    of the weights, stacked r, z, n.

    Arguments, shapes and errors are those of `lstm`, with 3H rows in the weights, one state and no projection.

    Differences from torch: unbatched input is taken; `lengths` stands for packed sequences; `key` and
    `checkpoint_every` are new.

    >>> output, h_n = gru(jnp.ones((5, 4, 3)), None, (jnp.ones((6, 3)), jnp.ones((6, 2))), has_biases=False)
    >>> output.shape, h_n.shape
    ((5, 4, 2), (1, 4, 2))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html
    """
    layout = has_biases, num_layers, dropout, train, bidirectional, batch_first
    return _stack("GRU", input, hx, params, *layout, lengths, key, checkpoint_every)


def rnn_tanh(
    input: jax.Array,
    hx: jax.Array | None,
    params: Sequence[jax.Array],
    has_biases: bool = True,
    num_layers: int = 1,
    dropout: float = 0.0,
    train: bool = False,
    bidirectional: bool = False,
    batch_first: bool = False,
    *,
    lengths: jax.Array | None = None,
    key: jax.Array | None = None,
    checkpoint_every: int | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Elman network (Elman, 1990) with tanh.

    `h' = tanh(W x + b + U h + d)`

    Arguments, shapes and errors are those of `lstm`, with H rows in the weights, one state and no projection.

    Differences from torch: unbatched input is taken; `lengths` stands for packed sequences; `key` and
    `checkpoint_every` are new.

    >>> output, h_n = rnn_tanh(jnp.ones((5, 4, 3)), None, (jnp.ones((2, 3)), jnp.ones((2, 2))), has_biases=False)
    >>> output.shape, h_n.shape
    ((5, 4, 2), (1, 4, 2))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html
    """
    layout = has_biases, num_layers, dropout, train, bidirectional, batch_first
    return _stack("RNN_TANH", input, hx, params, *layout, lengths, key, checkpoint_every)


def rnn_relu(
    input: jax.Array,
    hx: jax.Array | None,
    params: Sequence[jax.Array],
    has_biases: bool = True,
    num_layers: int = 1,
    dropout: float = 0.0,
    train: bool = False,
    bidirectional: bool = False,
    batch_first: bool = False,
    *,
    lengths: jax.Array | None = None,
    key: jax.Array | None = None,
    checkpoint_every: int | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Elman network (Elman, 1990) with ReLU.

    `h' = max(0, W x + b + U h + d)`

    Arguments, shapes and errors are those of `lstm`, with H rows in the weights, one state and no projection.

    Differences from torch: unbatched input is taken; `lengths` stands for packed sequences; `key` and
    `checkpoint_every` are new.

    >>> output, h_n = rnn_relu(jnp.ones((5, 4, 3)), None, (jnp.ones((2, 3)), jnp.ones((2, 2))), has_biases=False)
    >>> output.shape, h_n.shape
    ((5, 4, 2), (1, 4, 2))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html
    """
    layout = has_biases, num_layers, dropout, train, bidirectional, batch_first
    return _stack("RNN_RELU", input, hx, params, *layout, lengths, key, checkpoint_every)


def _cell(
    name: str,
    input: jax.Array,
    hx: jax.Array | Sequence[jax.Array] | None,
    w_ih: jax.Array,
    w_hh: jax.Array,
    b_ih: jax.Array | None,
    b_hh: jax.Array | None,
) -> State:
    """One step of one cell."""
    input = check.array("input", input)
    check.rank("input", input, {1: "(input_size,)", 2: "(N, input_size)"})
    w_ih, w_hh = check.array("w_ih", w_ih), check.array("w_hh", w_hh)
    b_ih, b_hh = (b if b is None else check.array(k, b) for k, b in (("b_ih", b_ih), ("b_hh", b_hh)))
    check.rank("w_ih", w_ih, {2: "(gates * hidden_size, input_size)"})
    rows, hidden_size = len(w_ih), len(w_ih) // MODES[name].gates
    for label, weight, shape in (("w_hh", w_hh, (rows, hidden_size)), ("b_ih", b_ih, (rows,)), ("b_hh", b_hh, (rows,))):
        if weight is not None and weight.shape != shape:
            raise ValueError(f"{label}: expected shape {shape}, got {weight.shape}")
    check.same_dtype(input=input, w_ih=w_ih, w_hh=w_hh, b_ih=b_ih, b_hh=b_hh)
    _check_features(input, w_ih)
    state = _state(hx, [(*input.shape[:-1], hidden_size)] * MODES[name].states, input)
    return tuple(MODES[name].update(affine(input, w_ih, b_ih), affine(state[0], w_hh, b_hh), state))


def lstm_cell(
    input: jax.Array,
    hx: Sequence[jax.Array] | None,
    w_ih: jax.Array,
    w_hh: jax.Array,
    b_ih: jax.Array | None = None,
    b_hh: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """One step of `lstm`.

    `i, f, o = σ(W x + b + U h + d)`, `g = tanh(W x + b + U h + d)`, `c' = f c + i g`, `h' = o tanh(c')`

    Args:
        input: one step, `(N, I)` or `(I,)`.
        hx: the pair `(h, c)`, `(N, H)` or `(H,)` each; zeros when None.
        w_ih: `(4H, I)`.
        w_hh: `(4H, H)`.
        b_ih: `(4H,)`.
        b_hh: `(4H,)`.

    Shape:
        `(N, I)` to two of `(N, H)`, or `(I,)` to two of `(H,)`.

    Raises:
        TypeError: `hx` is no pair of arrays; the arrays have different dtypes.
        ValueError: sizes do not fit.

    Differences from torch: no batch axis is needed; a state that is None is zeros.

    >>> h, c = lstm_cell(jnp.ones((4, 3)), None, jnp.ones((8, 3)), jnp.ones((8, 2)))
    >>> h.shape, c.shape
    ((4, 2), (4, 2))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html
    """
    h, c = _cell("LSTM", input, hx, w_ih, w_hh, b_ih, b_hh)
    return h, c


def gru_cell(
    input: jax.Array,
    hx: jax.Array | None,
    w_ih: jax.Array,
    w_hh: jax.Array,
    b_ih: jax.Array | None = None,
    b_hh: jax.Array | None = None,
) -> jax.Array:
    """One step of `gru`.

    `r, z = σ(W x + b + U h + d)`, `n = tanh(W x + b + r (U h + d))`, `h' = (1 - z) n + z h`

    Arguments, shapes and errors are those of `lstm_cell`, with 3H rows in the weights and one state.

    Differences from torch: no batch axis is needed; a state that is None is zeros.

    >>> gru_cell(jnp.ones((4, 3)), None, jnp.ones((6, 3)), jnp.ones((6, 2))).shape
    (4, 2)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.GRUCell.html
    """
    return _cell("GRU", input, hx, w_ih, w_hh, b_ih, b_hh)[0]


def rnn_tanh_cell(
    input: jax.Array,
    hx: jax.Array | None,
    w_ih: jax.Array,
    w_hh: jax.Array,
    b_ih: jax.Array | None = None,
    b_hh: jax.Array | None = None,
) -> jax.Array:
    """One step of `rnn_tanh`.

    `h' = tanh(W x + b + U h + d)`

    Arguments, shapes and errors are those of `lstm_cell`, with H rows in the weights and one state.

    Differences from torch: no batch axis is needed; a state that is None is zeros.

    >>> rnn_tanh_cell(jnp.ones((4, 3)), None, jnp.ones((2, 3)), jnp.ones((2, 2))).shape
    (4, 2)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RNNCell.html
    """
    return _cell("RNN_TANH", input, hx, w_ih, w_hh, b_ih, b_hh)[0]


def rnn_relu_cell(
    input: jax.Array,
    hx: jax.Array | None,
    w_ih: jax.Array,
    w_hh: jax.Array,
    b_ih: jax.Array | None = None,
    b_hh: jax.Array | None = None,
) -> jax.Array:
    """One step of `rnn_relu`.

    `h' = max(0, W x + b + U h + d)`

    Arguments, shapes and errors are those of `lstm_cell`, with H rows in the weights and one state.

    Differences from torch: no batch axis is needed; a state that is None is zeros.

    >>> rnn_relu_cell(jnp.ones((4, 3)), None, jnp.ones((2, 3)), jnp.ones((2, 2))).shape
    (4, 2)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RNNCell.html
    """
    return _cell("RNN_RELU", input, hx, w_ih, w_hh, b_ih, b_hh)[0]
