"""Recurrent layers: `torch.nn.RNN`, `LSTM`, `GRU` and their cells."""

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import jax
from flax import nnx

from jaxnets import check
from jaxnets import functional as F
from jaxnets.functional.rnn import MODES, parameter_shapes
from jaxnets.nn import init
from jaxnets.nn.parameters import Family, parameter, stream, value
from jaxnets.nn.utils.rnn import PackedSequence, pad_packed_sequence, repack

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]

NETWORKS: dict[str, Callable[..., Any]] = {"RNN_TANH": F.rnn_tanh, "RNN_RELU": F.rnn_relu, "LSTM": F.lstm, "GRU": F.gru}


class RNNBase(Family):
    """The layer behind `RNN`, `LSTM` and `GRU`; `mode` is "RNN_TANH", "RNN_RELU", "LSTM" or "GRU".

    Differences from torch: no `device`; `rngs` is new; it can be called as it is.

    >>> RNNBase("GRU", 4, 5, rngs=nnx.Rngs(0))(jax.numpy.ones((2, 3, 4)))[0].shape
    (2, 3, 5)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RNNBase.html
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        dtype: Any = None,
        *,
        param_dtype: Any = None,
        checkpoint_every: int | None = None,
        rngs: nnx.Rngs,
    ):
        dtype = self._dtype_of_parameters(dtype, param_dtype)
        self.mode = check.choice("mode", mode, tuple(MODES))
        self.input_size = check.integer("input_size", input_size, least=1)
        self.hidden_size = check.integer("hidden_size", hidden_size, least=1)
        self.num_layers = check.integer("num_layers", num_layers, least=1)
        self.bias = check.flag("bias", bias)
        self.batch_first = check.flag("batch_first", batch_first)
        try:
            self.dropout = check.probability("dropout", dropout)
        except TypeError as error:
            raise ValueError(*error.args) from None  # as torch does
        self.bidirectional = check.flag("bidirectional", bidirectional)
        self.proj_size = check.integer("proj_size", proj_size, least=0)
        self.checkpoint_every = (
            None if checkpoint_every is None else check.integer("checkpoint_every", checkpoint_every, least=1)
        )
        if self.mode != "LSTM" and proj_size:
            _refuse_projection(proj_size)
        if proj_size >= hidden_size:
            raise ValueError(f"proj_size: expected less than hidden_size={hidden_size}, got {proj_size}")
        if dropout and num_layers == 1:
            warnings.warn(
                f"dropout={dropout} has no effect with num_layers=1: it acts between layers; expected num_layers > 1",
                stacklevel=6,  # the caller stands behind this constructor, its subclass's, and three frames of Flax
            )
        bound = 1 / math.sqrt(hidden_size)
        for name, shape in self._shapes().items():
            setattr(self, name, parameter(rngs, partial(init.uniform, a=-bound, b=bound), shape, dtype))
        self.deterministic = False
        source = stream(rngs, "dropout").fork() if dropout and num_layers > 1 else nnx.data(None)
        self.rngs: nnx.RngStream | None = source

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return parameter_shapes(
            self.mode,
            self.input_size,
            self.hidden_size,
            self.num_layers,
            self.bias,
            self.bidirectional,
            self.proj_size,
        )

    @property
    def all_weights(self) -> list[list[nnx.Param]]:
        """The parameters, one list for each layer and direction."""
        weights = [getattr(self, name) for name in self._shapes()]
        count = len(weights) // (self.num_layers * (2 if self.bidirectional else 1))
        return [weights[i : i + count] for i in range(0, len(weights), count)]

    def set_view(self, deterministic: bool | None = None) -> None:
        """What `nnx.view(model, deterministic=True)` calls."""
        self.deterministic = self.deterministic if deterministic is None else deterministic

    def flatten_parameters(self) -> None:
        """Nothing: torch lays out memory for cuDNN here."""

    def __call__(self, input: Any, hx: Any = None, *, rngs: nnx.Rngs | None = None) -> Any:
        packed = input if isinstance(input, PackedSequence) else None
        batch_first, lengths = self.batch_first, None
        if packed is not None:
            if packed.data.ndim != 2:
                raise ValueError(f"input.data: expected 2 axes (rows, input_size), got shape {packed.data.shape}")
            batch_first, (input, lengths) = False, pad_packed_sequence(packed)
        output, *state = NETWORKS[self.mode](
            input,
            hx,
            [weight[...] for weights in self.all_weights for weight in weights],
            self.bias,
            self.num_layers,
            self.dropout,
            not self.deterministic,
            self.bidirectional,
            batch_first,
            lengths=lengths,
            key=self._key(rngs),
            checkpoint_every=self.checkpoint_every,
        )
        if packed is not None:
            output = repack(output, packed)
        return output, tuple(state) if len(state) > 1 else state[0]

    def _key(self, rngs: nnx.Rngs | None) -> jax.Array | None:
        if self.deterministic or not self.dropout or self.num_layers == 1:
            return None
        source = self.rngs if rngs is None else stream(rngs, "dropout")
        if source is None:
            raise ValueError("rngs: expected random streams for dropout in training mode; pass rngs=nnx.Rngs(0)")
        return source()


class RNN(RNNBase):
    """Elman network: each layer computes `h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`.

    Args:
        input_size: size of the input's last axis, at least 1.
        hidden_size: size H of the hidden state, at least 1.
        num_layers: number of layers, each of which reads the output of the one before, at least 1.
        nonlinearity: "tanh", or "relu" to have it in place of tanh.
        bias: whether to learn `b_ih` and `b_hh`.
        batch_first: whether batched input and output are `(N, L, *)` in place of `(L, N, *)`; states never are.
        dropout: probability in [0, 1] of zeroing an entry of the output of a layer other than the last, in training.
        bidirectional: whether each layer has a second direction that runs from the end to the beginning.
        dtype: dtype of the parameters, float32 when not given.
        param_dtype: dtype of the parameters in place of `dtype`, which is then that of the computation; see `Layer`.
        checkpoint_every: for long sequences: of the steps, one state in so many is kept for the gradient, and the steps
            between are computed again. None keeps what each step needs.
        rngs: random streams; `params` draws all parameters from `U(-1/sqrt(H), 1/sqrt(H))`, `dropout` the dropout.

    Attributes:
        weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0: `(H, input_size)`, `(H, H)`, `(H,)`, `(H,)`; `_l1` and so on
            for further layers, with inputs of D * H; `_l0_reverse` for the second direction.

    Shape:
        input `(L, N, input_size)`, `(N, L, input_size)` with batch_first, `(L, input_size)` without a batch, or a
        `PackedSequence`; hx `(D * num_layers, N, H)`, without N for unbatched input, zeros when not given. Gives
        output `(L, N, D * H)`, packed for packed input, and `h_n` as hx. D is 2 when bidirectional, else 1.

    Raises:
        TypeError: an argument or `hx` is of another type or dtype.
        ValueError: a size does not fit, the input's dtype is not that of the parameters, or `proj_size` is given.

    Differences from torch: no `device`; `checkpoint_every` and `rngs` are new; `rngs` in the call draws the dropout.

    >>> rnn = RNN(10, 20, 2, rngs=nnx.Rngs(0))
    >>> output, h_n = rnn(jax.numpy.ones((5, 3, 10)))
    >>> output.shape, h_n.shape
    ((5, 3, 20), (2, 3, 20))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: Any = None,
        *,
        proj_size: None = None,
        param_dtype: Any = None,
        checkpoint_every: int | None = None,
        rngs: nnx.Rngs,
    ):
        if proj_size is not None:
            _refuse_projection(proj_size)
        self.nonlinearity = check.choice("nonlinearity", nonlinearity, ("tanh", "relu"))
        mode = f"RNN_{nonlinearity.upper()}"
        super().__init__(
            mode,
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            dtype=dtype,
            param_dtype=param_dtype,
            checkpoint_every=checkpoint_every,
            rngs=rngs,
        )


class LSTM(RNNBase):
    """Long short-term memory network (Hochreiter and Schmidhuber, 1997).

    `i, f, o = σ(W_ih x + b_ih + W_hh h + b_hh)`, `g = tanh(W_ih x + b_ih + W_hh h + b_hh)`, `c' = f c + i g`,
    `h' = o tanh(c')`, each with its own rows of the parameters, stacked i, f, g, o; with a projection
    `h' = W_hr (o tanh(c'))`.

    Args:
        input_size: size of the input's last axis, at least 1.
        hidden_size: size H of the cell state, at least 1.
        num_layers: number of layers, each of which reads the output of the one before, at least 1.
        bias: whether to learn `b_ih` and `b_hh`.
        batch_first: whether batched input and output are `(N, L, *)` in place of `(L, N, *)`; states never are.
        dropout: probability in [0, 1] of zeroing an entry of the output of a layer other than the last, in training.
        bidirectional: whether each layer has a second direction that runs from the end to the beginning.
        proj_size: size P of the hidden state, in [1, H - 1]; 0 for no projection, then P = H.
        dtype: dtype of the parameters, float32 when not given.
        param_dtype: dtype of the parameters in place of `dtype`, which is then that of the computation; see `Layer`.
        checkpoint_every: for long sequences: of the steps, one state in so many is kept for the gradient, and the steps
            between are computed again. None keeps what each step needs.
        rngs: random streams; `params` draws all parameters from `U(-1/sqrt(H), 1/sqrt(H))`, `dropout` the dropout.

    Attributes:
        weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0: `(4H, input_size)`, `(4H, P)`, `(4H,)`, `(4H,)`; `_l1` and
            so on for further layers, with inputs of D * P; `_l0_reverse` for the second direction.
        weight_hr_l0: `(P, H)`, with a projection.

    Shape:
        input `(L, N, input_size)`, `(N, L, input_size)` with batch_first, `(L, input_size)` without a batch, or a
        `PackedSequence`; hx the pair `(h_0, c_0)` of `(D * num_layers, N, P)` and `(D * num_layers, N, H)`, without N
        for unbatched input, zeros when not given. Gives output `(L, N, D * P)`, packed for packed input, and
        `(h_n, c_n)` as hx. D is 2 when bidirectional, else 1.

    Raises:
        TypeError: an argument or `hx` is of another type or dtype.
        ValueError: a size does not fit, or the input's dtype is not that of the parameters.

    Differences from torch: no `device`; `checkpoint_every` and `rngs` are new; `rngs` in the call draws the dropout.

    >>> rnn = LSTM(10, 20, 2, bidirectional=True, rngs=nnx.Rngs(0))
    >>> output, (h_n, c_n) = rnn(jax.numpy.ones((5, 3, 10)))
    >>> output.shape, h_n.shape, c_n.shape
    ((5, 3, 40), (4, 3, 20), (4, 3, 20))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        dtype: Any = None,
        *,
        param_dtype: Any = None,
        checkpoint_every: int | None = None,
        rngs: nnx.Rngs,
    ):
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            dtype,
            param_dtype=param_dtype,
            checkpoint_every=checkpoint_every,
            rngs=rngs,
        )


class GRU(RNNBase):
    """Gated recurrent unit network (Cho et al., 2014).

    `r, z = σ(W_ih x + b_ih + W_hh h + b_hh)`, `n = tanh(W_ih x + b_ih + r (W_hh h + b_hh))`, `h' = (1 - z) n + z h`,
    each with its own rows of the parameters, stacked r, z, n.

    Args:
        input_size: size of the input's last axis, at least 1.
        hidden_size: size H of the hidden state, at least 1.
        num_layers: number of layers, each of which reads the output of the one before, at least 1.
        bias: whether to learn `b_ih` and `b_hh`; both, since r scales only the second.
        batch_first: whether batched input and output are `(N, L, *)` in place of `(L, N, *)`; states never are.
        dropout: probability in [0, 1] of zeroing an entry of the output of a layer other than the last, in training.
        bidirectional: whether each layer has a second direction that runs from the end to the beginning.
        dtype: dtype of the parameters, float32 when not given.
        param_dtype: dtype of the parameters in place of `dtype`, which is then that of the computation; see `Layer`.
        checkpoint_every: for long sequences: of the steps, one state in so many is kept for the gradient, and the steps
            between are computed again. None keeps what each step needs.
        rngs: random streams; `params` draws all parameters from `U(-1/sqrt(H), 1/sqrt(H))`, `dropout` the dropout.

    Attributes:
        weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0: `(3H, input_size)`, `(3H, H)`, `(3H,)`, `(3H,)`; `_l1` and
            so on for further layers, with inputs of D * H; `_l0_reverse` for the second direction.

    Shape:
        input `(L, N, input_size)`, `(N, L, input_size)` with batch_first, `(L, input_size)` without a batch, or a
        `PackedSequence`; hx `(D * num_layers, N, H)`, without N for unbatched input, zeros when not given. Gives
        output `(L, N, D * H)`, packed for packed input, and `h_n` as hx. D is 2 when bidirectional, else 1.

    Raises:
        TypeError: an argument or `hx` is of another type or dtype.
        ValueError: a size does not fit, the input's dtype is not that of the parameters, or `proj_size` is given.

    Differences from torch: no `device`; `checkpoint_every` and `rngs` are new; `rngs` in the call draws the dropout.

    >>> rnn = GRU(10, 20, batch_first=True, rngs=nnx.Rngs(0))
    >>> output, h_n = rnn(jax.numpy.ones((3, 5, 10)))
    >>> output.shape, h_n.shape
    ((3, 5, 20), (1, 3, 20))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: Any = None,
        *,
        proj_size: None = None,
        param_dtype: Any = None,
        checkpoint_every: int | None = None,
        rngs: nnx.Rngs,
    ):
        if proj_size is not None:
            _refuse_projection(proj_size)
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            dtype=dtype,
            param_dtype=param_dtype,
            checkpoint_every=checkpoint_every,
            rngs=rngs,
        )


def _refuse_projection(proj_size: Any) -> NoReturn:
    raise ValueError(f"proj_size: expected with LSTM only, not with RNN or GRU, got {proj_size!r}; leave it out")


class RNNCellBase(Family):
    """The parameters of `RNNCell`, `LSTMCell` and `GRUCell`: `num_chunks` is the number of gates.

    Differences from torch: no `device`; `rngs` is new.

    >>> RNNCellBase(4, 5, True, 3, rngs=nnx.Rngs(0)).weight_ih.shape
    (15, 4)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RNNCell.html
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        dtype: Any = None,
        *,
        param_dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        dtype = self._dtype_of_parameters(dtype, param_dtype)
        self.input_size = check.integer("input_size", input_size, least=0)
        self.hidden_size = check.integer("hidden_size", hidden_size, least=0)
        self.bias = bias = check.truth("bias", bias)
        bound = 1 / math.sqrt(hidden_size) if hidden_size else 0.0
        draw, rows = partial(init.uniform, a=-bound, b=bound), num_chunks * self.hidden_size
        self.weight_ih = parameter(rngs, draw, (rows, input_size), dtype)
        self.weight_hh = parameter(rngs, draw, (rows, hidden_size), dtype)
        self.bias_ih = parameter(rngs, draw, (rows,), dtype) if bias else None
        self.bias_hh = parameter(rngs, draw, (rows,), dtype) if bias else None

    def _weights(self) -> tuple[jax.Array, jax.Array, jax.Array | None, jax.Array | None]:
        return self.weight_ih[...], self.weight_hh[...], value(self.bias_ih), value(self.bias_hh)


class RNNCell(RNNCellBase):
    """One step of an Elman network.

    `h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`

    Args:
        input_size: size of the input's last axis.
        hidden_size: size H of the hidden state.
        bias: whether to learn `b_ih` and `b_hh`.
        nonlinearity: "tanh", or "relu" to have it in place of tanh.
        dtype: dtype of the parameters, float32 when not given.
        param_dtype: dtype of the parameters in place of `dtype`, which is then that of the computation; see `Layer`.
        rngs: random streams; `params` draws all parameters from `U(-1/sqrt(H), 1/sqrt(H))`.

    Attributes:
        weight_ih, weight_hh, bias_ih, bias_hh: `(H, input_size)`, `(H, H)`, `(H,)`, `(H,)`; biases may be None.

    Shape:
        input `(N, input_size)` or `(input_size,)`; hx `(N, H)` or `(H,)`, zeros when not given; gives `h'` as hx.

    Raises:
        TypeError: arrays have different dtypes.
        ValueError: a size does not fit.

    Differences from torch: no `device`; `rngs` is new.

    >>> RNNCell(10, 20, rngs=nnx.Rngs(0))(jax.numpy.ones((3, 10))).shape
    (3, 20)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RNNCell.html
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        dtype: Any = None,
        *,
        param_dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        super().__init__(input_size, hidden_size, bias, 1, dtype, param_dtype=param_dtype, rngs=rngs)
        self.nonlinearity = check.choice("nonlinearity", nonlinearity, ("tanh", "relu"))

    def __call__(self, input: jax.Array, hx: jax.Array | None = None) -> jax.Array:
        cell = F.rnn_tanh_cell if self.nonlinearity == "tanh" else F.rnn_relu_cell
        return cell(input, hx, *self._weights())


class LSTMCell(RNNCellBase):
    """One step of an LSTM.

    `i, f, o = σ(W_ih x + b_ih + W_hh h + b_hh)`, `g = tanh(W_ih x + b_ih + W_hh h + b_hh)`, `c' = f c + i g`,
    `h' = o tanh(c')`, each with its own rows of the parameters, stacked i, f, g, o.

    Args:
        input_size: size of the input's last axis.
        hidden_size: size H of the states.
        bias: whether to learn `b_ih` and `b_hh`.
        dtype: dtype of the parameters, float32 when not given.
        param_dtype: dtype of the parameters in place of `dtype`, which is then that of the computation; see `Layer`.
        rngs: random streams; `params` draws all parameters from `U(-1/sqrt(H), 1/sqrt(H))`.

    Attributes:
        weight_ih, weight_hh, bias_ih, bias_hh: `(4H, input_size)`, `(4H, H)`, `(4H,)`, `(4H,)`; biases may be None.

    Shape:
        input `(N, input_size)` or `(input_size,)`; hx the pair `(h, c)` of `(N, H)` or `(H,)`, zeros when not given;
        gives `(h', c')` as hx.

    Raises:
        TypeError: hx is no pair of arrays, or arrays have different dtypes.
        ValueError: a size does not fit.

    Differences from torch: no `device`; `rngs` is new.

    >>> h, c = LSTMCell(10, 20, rngs=nnx.Rngs(0))(jax.numpy.ones((3, 10)))
    >>> h.shape, c.shape
    ((3, 20), (3, 20))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        dtype: Any = None,
        *,
        param_dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        super().__init__(input_size, hidden_size, bias, 4, dtype, param_dtype=param_dtype, rngs=rngs)

    def __call__(self, input: jax.Array, hx: tuple[jax.Array, jax.Array] | None = None) -> tuple[jax.Array, jax.Array]:
        return F.lstm_cell(input, hx, *self._weights())


class GRUCell(RNNCellBase):
    """One step of a GRU.

    `r, z = σ(W_ih x + b_ih + W_hh h + b_hh)`, `n = tanh(W_ih x + b_ih + r (W_hh h + b_hh))`, `h' = (1 - z) n + z h`,
    each with its own rows of the parameters, stacked r, z, n.

    Args:
        input_size: size of the input's last axis.
        hidden_size: size H of the hidden state.
        bias: whether to learn `b_ih` and `b_hh`.
        dtype: dtype of the parameters, float32 when not given.
        param_dtype: dtype of the parameters in place of `dtype`, which is then that of the computation; see `Layer`.
        rngs: random streams; `params` draws all parameters from `U(-1/sqrt(H), 1/sqrt(H))`.

    Attributes:
        weight_ih, weight_hh, bias_ih, bias_hh: `(3H, input_size)`, `(3H, H)`, `(3H,)`, `(3H,)`; biases may be None.

    Shape:
        input `(N, input_size)` or `(input_size,)`; hx `(N, H)` or `(H,)`, zeros when not given; gives `h'` as hx.

    Raises:
        TypeError: arrays have different dtypes.
        ValueError: a size does not fit.

    Differences from torch: no `device`; `rngs` is new.

    >>> GRUCell(10, 20, rngs=nnx.Rngs(0))(jax.numpy.ones((3, 10))).shape
    (3, 20)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.GRUCell.html
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        dtype: Any = None,
        *,
        param_dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        super().__init__(input_size, hidden_size, bias, 3, dtype, param_dtype=param_dtype, rngs=rngs)

    def __call__(self, input: jax.Array, hx: jax.Array | None = None) -> jax.Array:
        return F.gru_cell(input, hx, *self._weights())
