"""Recurrent layers: torch's numbers, and what torch cannot do: jit, vmap, one graph for all lengths."""

import inspect
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxnets
from jaxnets import functional as F
from jaxnets import nn
from jaxnets.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from tests.exhaustive import more

torch.set_num_threads(1)  # tensors this small only wait for threads

NETWORKS = ("RNN", "LSTM", "GRU")
CELLS = ("RNNCell", "LSTMCell", "GRUCell")


def twins(kind, *args, seed=0, dtype=torch.float32, **kwargs):
    """torch's layer and ours with the same weights."""
    torch.manual_seed(seed)
    theirs = getattr(torch.nn, kind)(*args, **kwargs).to(dtype)
    ours = getattr(nn, kind)(*args, **kwargs, rngs=nnx.Rngs(seed))
    jaxnets.load_state_dict(ours, theirs.state_dict())
    return theirs, ours


def to_jax(tree):
    return jax.tree.map(lambda x: jnp.asarray(x.detach().numpy()), tree)


def flat(tree):
    """Arrays of an output, in order; a packed one as its rows."""
    if isinstance(tree, tuple | list) and not isinstance(tree, torch.nn.utils.rnn.PackedSequence):
        return [x for branch in tree for x in flat(branch)]
    return [getattr(tree, "data", tree)] if type(tree).__name__ == "PackedSequence" else [tree]


def assert_same(theirs, ours, *, rtol=1.3e-6, atol=1e-5):
    theirs, ours = flat(theirs), flat(ours)
    assert len(theirs) == len(ours)
    for a, b in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(np.asarray(b), a.detach().numpy(), rtol=rtol, atol=atol)


def draw_network(seed):
    """A random network, its form of input and its sizes."""
    rng = np.random.default_rng(seed)
    kind, form = NETWORKS[seed % 3], ("packed", "batched", "unbatched", "packed")[seed % 4]
    hidden = int(rng.integers(1, 9))
    kwargs = {
        "num_layers": int(rng.integers(1, 4)),
        "bias": bool(rng.integers(2)),
        "batch_first": bool(rng.integers(2)),
        "bidirectional": bool(rng.integers(2)),
    }
    if kind == "RNN":
        kwargs["nonlinearity"] = ("tanh", "relu")[rng.integers(2)]
    if kind == "LSTM" and hidden > 1:
        kwargs["proj_size"] = int(rng.integers(hidden))
    return rng, kind, form, int(rng.integers(1, 7)), hidden, kwargs


@pytest.mark.parametrize(
    ("dtype", "close"),
    [(torch.float64, {"rtol": 1e-12, "atol": 1e-12}), (torch.float32, {"rtol": 1.3e-6, "atol": 1e-5})],
    ids=["f64", "f32"],
)
@pytest.mark.parametrize("seed", [*range(8), *more(range(8, 150))])
def test_random_networks_equal_torch_forward_and_backward(seed, dtype, close):
    rng, kind, form, features, hidden, kwargs = draw_network(seed)
    with jax.enable_x64(dtype == torch.float64):
        theirs, ours = twins(kind, features, hidden, seed=seed, dtype=dtype, **kwargs)
        steps, batch = int(rng.integers(1, 9)), int(rng.integers(1, 5))
        cells = kwargs["num_layers"] * (1 + kwargs["bidirectional"])
        lengths = rng.integers(1, steps + 1, batch)
        leading = () if form == "unbatched" else (batch,)
        sizes = [kwargs.get("proj_size") or hidden, hidden][: 1 + (kind == "LSTM")]
        h = [torch.randn(cells, *leading, size, dtype=dtype, requires_grad=True) for size in sizes]
        shape = (steps, *leading) if not kwargs["batch_first"] else (*leading, steps)
        x = (torch.randn(*shape, features, dtype=dtype) * 2 + 0.25).requires_grad_()

        def call(layer, packer, x, h):
            if form == "packed":
                x = packer(x, lengths, kwargs["batch_first"], False)
            return flat(layer(x, tuple(h) if kind == "LSTM" else h[0]))

        outputs = call(theirs, torch.nn.utils.rnn.pack_padded_sequence, x, h)
        weights = [torch.randn_like(y) for y in outputs]
        sum((y * w).sum() for y, w in zip(outputs, weights, strict=True)).backward()

        graph, parameters, rest = nnx.split(ours, nnx.Param, ...)

        @jax.jit
        @partial(jax.grad, has_aux=True)
        def gradients(arguments):
            parameters, x, h = arguments
            ys = call(nnx.merge(graph, parameters, rest), pack_padded_sequence, x, h)
            return sum((y * w).sum() for y, w in zip(ys, to_jax(weights), strict=True)), ys

        (by_name, *by_input), ys = gradients((parameters, to_jax(x), to_jax(h)))
        by_name = nnx.to_pure_dict(by_name)
        by_parameter = [by_name[name] for name, _ in theirs.named_parameters()]
        assert_same(outputs, ys, **close)
        assert_same([x.grad, *(s.grad for s in h)], by_input, **close)
        assert_same([p.grad for p in theirs.parameters()], by_parameter, **close)


@pytest.mark.parametrize("kind", NETWORKS)
def test_long_and_wide_networks_stay_within_float32_tolerance(kind):
    theirs, ours = twins(kind, 32, 64, 2, bidirectional=True)
    x = torch.randn(100, 4, 32)
    assert_same(theirs(x), ours(to_jax(x)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", NETWORKS)
def test_half_precision_equals_torch_within_its_tolerance(kind, dtype):
    torch.manual_seed(0)
    theirs = getattr(torch.nn, kind)(4, 6, 2)
    theirs.to(dtype)
    ours = getattr(nn, kind)(4, 6, 2, dtype=jnp.dtype(str(dtype).removeprefix("torch.")), rngs=nnx.Rngs(0))
    jaxnets.load_state_dict(ours, theirs.state_dict())
    x = torch.randn(7, 3, 4, dtype=dtype)
    output, _ = ours(jnp.asarray(x.float().numpy()).astype(ours.weight_ih_l0[...].dtype))
    assert str(output.dtype) == str(dtype).removeprefix("torch.")
    tolerance = {torch.bfloat16: 1.6e-2, torch.float16: 2e-3}[dtype]
    np.testing.assert_allclose(
        output.astype(jnp.float32), theirs(x)[0].detach().float(), atol=tolerance, rtol=tolerance
    )


@pytest.mark.parametrize("kind", NETWORKS)
def test_complex_networks_equal_torch(kind):
    torch.manual_seed(0)
    theirs = getattr(torch.nn, kind)(3, 4, dtype=torch.complex64)
    function = {"RNN": F.rnn_tanh, "LSTM": F.lstm, "GRU": F.gru}[kind]
    x = torch.randn(5, 2, 3, dtype=torch.complex64)
    output, *_ = function(to_jax(x), None, [to_jax(p) for p in theirs.parameters()])
    assert_same(theirs(x)[0], output)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("leading", [(), (5,), (0,)])
def test_cells_equal_torch(kind, bias, leading):
    theirs, ours = twins(kind, 4, 3, bias)
    x, h, c = torch.randn(*leading, 4), torch.randn(*leading, 3), torch.randn(*leading, 3)
    hx = (h, c) if kind == "LSTMCell" else h
    assert_same(theirs(x, hx), ours(to_jax(x), to_jax(hx)))
    assert_same(theirs(x), ours(to_jax(x)))


def test_relu_cell_equals_torch():
    theirs, ours = twins("RNNCell", 4, 3, True, "relu")
    x, h = torch.randn(5, 4), torch.randn(5, 3)
    assert_same(theirs(x, h), ours(to_jax(x), to_jax(h)))


class TestByHand:
    """The seed systems A4, A5, C12, C16, D1 to D5, E8: a layer is the loop that the textbook writes."""

    def test_rnn_is_a_loop(self):  # A4
        layer = nn.RNN(3, 5, bias=False, rngs=nnx.Rngs(0))
        w_ih, w_hh = layer.weight_ih_l0[...], layer.weight_hh_l0[...]
        assert w_ih.shape == (5, 3)
        assert w_hh.shape == (5, 5)
        x = jax.random.normal(jax.random.key(1), (2, 4, 3))
        h, outputs = jnp.zeros((4, 5)), []
        for step in x:
            h = jnp.tanh(step @ w_ih.T + h @ w_hh.T)
            outputs.append(h)
        output, h_n = layer(x)
        np.testing.assert_allclose(output, jnp.stack(outputs), atol=1e-6)
        np.testing.assert_allclose(h_n, h[None], atol=1e-6)

    def test_lstm_is_a_loop(self):  # A5, C16
        layer = nn.LSTM(3, 5, bias=False, rngs=nnx.Rngs(0))
        w_ih, w_hh = layer.weight_ih_l0[...], layer.weight_hh_l0[...]
        assert w_ih.shape == (20, 3)
        assert w_hh.shape == (20, 5)
        x = jax.random.normal(jax.random.key(1), (2, 4, 3))
        h, c, outputs = jnp.zeros((4, 5)), jnp.zeros((4, 5)), []
        for step in x:
            gates = step @ w_ih.T + h @ w_hh.T
            i, f, g, o = gates[:, :5], gates[:, 5:10], gates[:, 10:15], gates[:, 15:]
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            outputs.append(h)
        output, (h_n, c_n) = layer(x)
        np.testing.assert_allclose(output, jnp.stack(outputs), atol=1e-6)
        np.testing.assert_allclose(h_n, h[None], atol=1e-6)
        np.testing.assert_allclose(c_n, c[None], atol=1e-6)

    def test_gru_is_a_loop_and_the_reset_gate_scales_the_second_bias(self):  # C16
        layer = nn.GRU(3, 5, rngs=nnx.Rngs(0))
        w_ih, w_hh = layer.weight_ih_l0[...], layer.weight_hh_l0[...]
        b_ih, b_hh = layer.bias_ih_l0[...][None], layer.bias_hh_l0[...][None]
        x = jax.random.normal(jax.random.key(1), (2, 4, 3))
        h = jnp.zeros((4, 5))
        for step in x:
            u, v = step @ w_ih.T + b_ih, h @ w_hh.T + b_hh
            r, z = jax.nn.sigmoid(u[:, :5] + v[:, :5]), jax.nn.sigmoid(u[:, 5:10] + v[:, 5:10])
            h = (1 - z) * jnp.tanh(u[:, 10:] + r * v[:, 10:]) + z * h
        np.testing.assert_allclose(layer(x)[1], h[None], atol=1e-6)

    def test_shapes_of_cell_and_network(self):  # C12
        x = jnp.ones((64, 4))
        assert nn.RNNCell(4, 2, rngs=nnx.Rngs(0))(x, jnp.zeros((64, 2))).shape == (64, 2)
        output, h_n = nn.RNN(4, 2, 3, rngs=nnx.Rngs(0))(jnp.ones((3, 64, 4)), jnp.zeros((3, 64, 2)))
        assert (output.shape, h_n.shape) == ((3, 64, 2), (3, 64, 2))
        output, h_n = nn.RNN(4, 2, 3, batch_first=True, rngs=nnx.Rngs(0))(jnp.ones((64, 3, 4)))
        assert (output.shape, h_n.shape) == ((64, 3, 2), (3, 64, 2))

    @pytest.mark.parametrize("batch_first", [False, True])
    def test_unbatched_input_has_no_batch_in_any_place(self, batch_first):  # D1, D2
        layer = nn.RNN(
            4, 2, 3, "relu", bias=False, batch_first=batch_first, dropout=0.5, bidirectional=True, rngs=nnx.Rngs(0)
        )
        output, h_n = layer(jnp.ones((7, 4)))
        assert (output.shape, h_n.shape) == ((7, 4), (6, 2))

    def test_initial_weights_are_uniform(self):  # D3
        layer = nn.RNN(200, 100, rngs=nnx.Rngs(0))
        bound = 1 / np.sqrt(100)
        for weight in layer.all_weights[0]:
            assert np.abs(weight[...]).max() <= bound
        samples = np.sort(np.asarray(layer.weight_ih_l0[...]).ravel())
        distribution = (samples + bound) / (2 * bound)
        # Kolmogorov-Smirnov at a significance of 1e-4
        distance = np.abs(distribution - np.arange(1, samples.size + 1) / samples.size).max()
        assert distance < 2.23 / np.sqrt(samples.size)

    def test_one_direction_by_hand(self):  # D4
        layer = nn.RNN(2, 3, batch_first=True, rngs=nnx.Rngs(0))
        w_ih, w_hh, b_ih, b_hh = (w[...] for w in layer.all_weights[0])
        x, h_prev = jax.random.normal(jax.random.key(1), (2, 3, 2)), jax.random.normal(jax.random.key(2), (1, 2, 3))
        outputs, h = np.zeros((2, 3, 3)), np.asarray(h_prev[0])
        for t in range(3):
            h = np.tanh(np.asarray(x[:, t] @ w_ih.T) + np.asarray(b_ih) + h @ np.asarray(w_hh).T + np.asarray(b_hh))
            outputs[:, t] = h
        output, h_n = layer(x, h_prev)
        np.testing.assert_allclose(output, outputs, atol=1e-6)
        np.testing.assert_allclose(h_n[0], h, atol=1e-6)

    def test_two_directions_are_flip_run_flip(self):  # D5
        both = nn.RNN(2, 3, batch_first=True, bidirectional=True, rngs=nnx.Rngs(0))
        forward, backward = (nn.RNN(2, 3, batch_first=True, rngs=nnx.Rngs(1)) for _ in range(2))
        for one, weights in zip((forward, backward), both.all_weights, strict=True):
            for mine, its in zip(one.all_weights[0], weights, strict=True):
                mine[...] = its[...]
        x, h_prev = jax.random.normal(jax.random.key(1), (2, 3, 2)), jax.random.normal(jax.random.key(2), (2, 2, 3))
        output, h_n = both(x, h_prev)
        there, last = forward(x, h_prev[:1])
        back, first = backward(x[:, ::-1], h_prev[1:])
        np.testing.assert_allclose(output[..., :3], there, atol=1e-6)
        np.testing.assert_allclose(output[..., 3:], back[:, ::-1], atol=1e-6)
        np.testing.assert_allclose(h_n, jnp.concatenate([last, first]), atol=1e-6)

    def test_lstm_is_lstm_cell_in_a_loop(self):  # E8
        torch.manual_seed(1000)
        x, theirs = torch.randn(2, 3, 4), torch.nn.LSTM(4, 3, 1)
        h_0, c_0 = torch.randn(1, 3, 3), torch.randn(1, 3, 3)
        layer, cell = nn.LSTM(4, 3, 1, rngs=nnx.Rngs(0)), nn.LSTMCell(4, 3, rngs=nnx.Rngs(0))
        state = theirs.state_dict()
        jaxnets.load_state_dict(layer, state)
        jaxnets.load_state_dict(cell, {name.removesuffix("_l0"): x for name, x in state.items()})
        output, (h_n, c_n) = layer(to_jax(x), to_jax((h_0, c_0)))
        h, c = to_jax((h_0[0], c_0[0]))
        for t, step in enumerate(to_jax(x)):
            h, c = cell(step, (h, c))
            np.testing.assert_allclose(output[t], h, atol=1e-6)
        np.testing.assert_allclose((h_n[0], c_n[0]), (h, c), atol=1e-6)
        np.testing.assert_allclose(output[0, 0], [-0.3610, -0.1643, 0.1631], atol=5e-5)
        np.testing.assert_allclose(output[1, 2], [0.1482, -0.4728, 0.1425], atol=5e-5)


class TestPacked:
    @pytest.mark.parametrize("kind", NETWORKS)
    def test_one_compilation_serves_all_lengths(self, kind):
        theirs, ours = twins(kind, 3, 4, 2, bidirectional=True)
        traces = []

        @jax.jit
        def run(packed):
            traces.append(packed)
            output, state = ours(packed)
            return output, pad_packed_sequence(output, padding_value=-1.0)[0], state

        x = torch.randn(5, 3, 3)
        for lengths in ([5, 2, 2], [5, 3, 1], [2, 5, 2]):
            packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
            expected, state = theirs(packed)
            padded, _ = torch.nn.utils.rnn.pad_packed_sequence(expected, padding_value=-1.0)
            assert_same((expected, padded, state), run(pack_padded_sequence(to_jax(x), lengths, enforce_sorted=False)))
        assert len(traces) == 1

    def test_lengths_may_be_traced(self):
        theirs, ours = twins("LSTM", 3, 4, 2, batch_first=True, bidirectional=True)

        @jax.jit
        @partial(jax.grad, has_aux=True)
        def run(x, lengths):
            output, state = ours(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
            padded, _ = pad_packed_sequence(output, batch_first=True, total_length=7)
            return (padded**2).sum(), (padded, state)

        for lengths in ([2, 6, 1], [4, 4, 3]):
            x = torch.randn(3, 6, 3, requires_grad=True)
            packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, True, False)
            output, state = theirs(packed)
            padded, _ = torch.nn.utils.rnn.pad_packed_sequence(output, True, total_length=7)
            padded.square().sum().backward()
            gradient, outputs = run(to_jax(x), jnp.array(lengths))
            assert_same(((padded, state), x.grad), (outputs, gradient))

    def test_goes_through_nnx_jit_with_dropout(self):
        layer = nn.GRU(2, 20, 2, dropout=0.5, rngs=nnx.Rngs(0))
        packed = pack_padded_sequence(jnp.ones((5, 3, 2)), [5, 2, 1])
        run = nnx.jit(lambda layer, packed: layer(packed)[0])
        first, second = run(layer, packed), run(layer, packed)
        assert isinstance(first, PackedSequence)
        assert (first.data != second.data).any()

    def test_output_keeps_the_layout_of_the_input(self):
        packed = pack_padded_sequence(jnp.ones((5, 3, 2)), [2, 5, 1], enforce_sorted=False)
        output, _ = nn.GRU(2, 4, rngs=nnx.Rngs(0))(packed)
        assert isinstance(output, PackedSequence)
        assert output.data.shape == (8, 4)
        for name in ("batch_sizes", "sorted_indices", "unsorted_indices"):
            np.testing.assert_array_equal(getattr(output, name), getattr(packed, name))

    @pytest.mark.parametrize("spare", [0, 1])
    @pytest.mark.parametrize("order", [(), (torch.tensor([2, 0, 1]),)])
    def test_made_by_hand(self, order, spare):
        # In reverse torch counts its rows from the end of the data, so that spare ones shift all others.
        theirs, ours = twins("GRU", 2, 4, bidirectional=not spare)
        data, sizes = torch.randn(6 + spare, 2), torch.tensor([3, 2, 1])
        expected = theirs(torch.nn.utils.rnn.PackedSequence(data, sizes, *order))
        assert_same(expected, ours(PackedSequence(*to_jax((data, sizes, *order)))))

    def test_lengths_of_the_function_end_each_sequence(self):
        layer = nn.GRU(2, 4, bidirectional=True, rngs=nnx.Rngs(0))
        weights = [w[...] for ws in layer.all_weights for w in ws]
        x = jax.random.normal(jax.random.key(0), (5, 3, 2))
        output, h_n = F.gru(x, None, weights, bidirectional=True, lengths=jnp.array([3, 0, 5]))
        alone, h_alone = layer(x[:3, 0])
        np.testing.assert_allclose(output[:3, 0], alone, atol=1e-6)
        np.testing.assert_allclose(h_n[:, 0], h_alone, atol=1e-6)
        assert not output[3:, 0].any()
        assert not output[:, 1].any()
        assert not h_n[:, 1].any()


class TestTransformations:
    @pytest.mark.parametrize("kind", NETWORKS)
    def test_graph_does_not_grow_with_length(self, kind):
        layer = getattr(nn, kind)(3, 4, 2, bidirectional=True, rngs=nnx.Rngs(0))

        def equations(jaxpr):
            inner = [x for e in jaxpr.eqns for x in jax.tree.leaves(e.params) if hasattr(x, "jaxpr")]
            return len(jaxpr.eqns) + sum(equations(x.jaxpr) for x in inner)

        def plain(steps):
            return equations(jax.make_jaxpr(layer)(jnp.ones((steps, 2, 3))).jaxpr)

        def packed(steps):
            return equations(jax.make_jaxpr(layer)(pack_padded_sequence(jnp.ones((steps, 2, 3)), [steps, 2])).jaxpr)

        def gradient(steps):
            return equations(jax.make_jaxpr(jax.grad(lambda x: layer(x)[0].sum()))(jnp.ones((steps, 2, 3))).jaxpr)

        for count in (plain, packed, gradient):
            assert 10 < count(10) == count(1000)

    @pytest.mark.parametrize("kind", NETWORKS)
    def test_vmap_over_networks_and_inputs(self, kind):
        layer = getattr(nn, kind)(3, 4, 2, bidirectional=True, rngs=nnx.Rngs(0))
        x = jax.random.normal(jax.random.key(0), (6, 5, 2, 3))
        together = jax.jit(jax.vmap(layer))(x)
        alone = [layer(one) for one in x]
        for a, *bs in zip(flat(together), *map(flat, alone), strict=True):
            np.testing.assert_allclose(a, jnp.stack(bs), atol=1e-6)

    def test_vmap_over_lengths(self):
        layer = nn.LSTM(3, 4, bidirectional=True, rngs=nnx.Rngs(0))
        x = jax.random.normal(jax.random.key(0), (2, 5, 3, 3))
        lengths = jnp.array([[5, 2, 1], [3, 3, 4]])

        def run(x, lengths):
            output, state = layer(pack_padded_sequence(x, lengths, enforce_sorted=False))
            return pad_packed_sequence(output, total_length=5)[0], state

        together = flat(jax.jit(jax.vmap(run))(x, lengths))
        alone = jax.jit(run)
        for i in range(2):
            for a, b in zip(together, flat(alone(x[i], lengths[i])), strict=True):
                np.testing.assert_allclose(a[i], b, atol=1e-6)

    def test_second_derivative_equals_torch(self):
        with jax.enable_x64(True):
            theirs, ours = twins("GRU", 2, 3, dtype=torch.float64)
            x = torch.randn(3, 2, 2, dtype=torch.float64)
            expected = torch.autograd.functional.hessian(lambda x: theirs(x)[0].pow(2).sum(), x)
            hessian = jax.jit(jax.hessian(lambda x: (ours(x)[0] ** 2).sum()))(to_jax(x))
            np.testing.assert_allclose(hessian, expected, atol=1e-12)


class TestDropout:
    def test_acts_between_layers_in_training_only(self):
        layer = nn.GRU(3, 50, 2, dropout=0.5, rngs=nnx.Rngs(0))
        x = jnp.ones((4, 2, 3))
        assert (layer(x)[0] != layer(x)[0]).any()
        np.testing.assert_array_equal(layer(x)[1][0], layer(x)[1][0])  # the first layer's state: no dropout yet
        layer.eval()
        np.testing.assert_array_equal(layer(x)[0], layer(x)[0])
        layer.train()
        assert (layer(x)[0] != layer(x)[0]).any()

    def test_is_that_of_the_dropout_function(self):
        layer = nn.LSTM(3, 4, 2, dropout=0.3, rngs=nnx.Rngs(0))
        first, second = ([w[...] for w in weights] for weights in layer.all_weights)
        x = jnp.ones((5, 2, 3))
        between, _, _ = F.lstm(x, None, first)
        key = nnx.Rngs(dropout=7).dropout()
        masked = F.dropout(between, 0.3, True, key=jax.random.split(key, 1)[0])
        assert (masked == 0).any()
        expected, _, _ = F.lstm(masked, None, second)
        np.testing.assert_allclose(layer(x, rngs=nnx.Rngs(dropout=7))[0], expected, atol=1e-6)

    def test_with_probability_one_nothing_passes(self):
        theirs, ours = twins("LSTM", 3, 4, 2, dropout=1.0)
        x = torch.randn(5, 2, 3)
        assert_same(theirs(x), ours(to_jax(x)))

    def test_with_one_layer_is_a_warning(self):
        with pytest.warns(UserWarning, match=r"dropout=0.5 has no effect with num_layers=1") as caught:
            layer = nn.RNN(3, 4, dropout=0.5, rngs=nnx.Rngs(params=0))
        assert caught[0].filename == __file__
        x = jnp.ones((2, 3))
        np.testing.assert_array_equal(layer(x)[0], layer(x)[0])

    def test_without_streams_is_an_error_in_training_alone(self):
        layer = nn.RNN(3, 4, 2, dropout=0.5, rngs=nnx.Rngs(0))
        layer.rngs = nnx.data(None)
        with pytest.raises(ValueError, match=r"rngs: expected random streams.*pass rngs=nnx.Rngs\(0\)"):
            layer(jnp.ones((2, 3)))
        layer(jnp.ones((2, 3)), rngs=nnx.Rngs(0))
        layer.eval()
        layer(jnp.ones((2, 3)))
        weights = [w[...] for ws in layer.all_weights for w in ws]
        with pytest.raises(ValueError, match="key: expected a jax random key"):
            F.rnn_tanh(jnp.ones((2, 3)), None, weights, num_layers=2, dropout=0.5, train=True)


class TestInterface:
    @pytest.mark.parametrize("kind", CELLS)
    def test_cells_take_torchs_arguments(self, kind):
        theirs = [
            p for p in inspect.signature(getattr(torch.nn, kind).__init__).parameters.values() if p.name != "device"
        ]
        ours = list(inspect.signature(getattr(nn, kind).__init__).parameters.values())[: len(theirs)]
        assert [(p.name, p.default) for p in theirs] == [(p.name, p.default) for p in ours]

    @pytest.mark.parametrize(
        ("kind", "names"),
        [
            ("RNN", "num_layers nonlinearity bias batch_first dropout bidirectional dtype"),
            ("LSTM", "num_layers bias batch_first dropout bidirectional proj_size dtype"),
            ("GRU", "num_layers bias batch_first dropout bidirectional dtype"),
        ],
    )
    def test_networks_take_torchs_arguments_in_its_order(self, kind, names):
        parameters = inspect.signature(getattr(nn, kind).__init__).parameters
        positional = [n for n, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert positional == ["self", "input_size", "hidden_size", *names.split()]

    @pytest.mark.parametrize("kind", NETWORKS)
    @pytest.mark.parametrize("bias", [False, True])
    def test_state_dict_has_torchs_names_shapes_and_order(self, kind, bias):
        kwargs = {"bias": bias, "bidirectional": True} | ({"proj_size": 2} if kind == "LSTM" else {})
        theirs, ours = twins(kind, 3, 4, 2, **kwargs)
        expected = [(name, tuple(x.shape)) for name, x in theirs.state_dict().items()]
        assert [(name, x.shape) for name, x in jaxnets.state_dict(ours).items()] == expected
        assert [[p.shape for p in ps] for ps in ours.all_weights] == [
            [p.shape for p in ps] for ps in theirs.all_weights
        ]

    def test_attributes_are_torchs(self):
        theirs, ours = twins("LSTM", 3, 4, 2, False, True, 0.25, True, 2)
        for name in ("mode", "input_size", "hidden_size", "num_layers", "bias", "batch_first"):
            assert getattr(ours, name) == getattr(theirs, name)
        for name in ("dropout", "bidirectional", "proj_size"):
            assert getattr(ours, name) == getattr(theirs, name)
        assert ours.flatten_parameters() is None
        assert nn.RNN(3, 4, 1, "relu", rngs=nnx.Rngs(0)).nonlinearity == "relu"
        assert nn.GRUCell(3, 4, False, rngs=nnx.Rngs(0)).bias_ih is None

    def test_dtype_is_that_of_the_parameters(self):
        layer = nn.GRU(3, 4, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
        assert {w.dtype for w in layer.all_weights[0]} == {jnp.dtype(jnp.bfloat16)}
        assert layer(jnp.ones((2, 3), jnp.bfloat16))[0].dtype == jnp.bfloat16


@pytest.mark.parametrize("kind", [jax.sharding.AxisType.Explicit, *more([jax.sharding.AxisType.Auto])])
def test_layers_take_a_batch_that_lies_on_a_mesh(kind):
    """Types know the mesh, if it has one device or a thousand: a scan's state must begin as it goes on."""
    mesh = jax.make_mesh((1,), ("data",), axis_types=(kind,))
    batch = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    planes, rows = jnp.ones((2, 4, 6, 6)), jnp.ones((2, 5, 3))
    for layer, x in (
        (nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True, rngs=nnx.Rngs(0)), rows),
        (nn.LSTM(3, 4, proj_size=2, batch_first=True, rngs=nnx.Rngs(0)), rows),
        (nn.GRU(3, 4, batch_first=True, rngs=nnx.Rngs(0)), rows),
        (nn.Conv2d(4, 6, 3, groups=2, rngs=nnx.Rngs(0)), planes),
        (nn.Conv2d(4, 8, 3, groups=4, rngs=nnx.Rngs(0)), planes),
        (nn.Conv2d(4, 8, 1, stride=2, rngs=nnx.Rngs(0)), planes),
        (nn.Conv3d(4, 6, 3, rngs=nnx.Rngs(0)), planes[..., None, :, :].repeat(3, 2)),
        (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2, rngs=nnx.Rngs(0)), planes),
        (nn.ConvTranspose3d(4, 6, 3, stride=2, rngs=nnx.Rngs(0)), planes[..., None, :, :].repeat(3, 2)),
        (nn.MaxPool2d(3, return_indices=True), planes),
        (nn.MaxPool2d(3, 2), planes),
        (nn.BatchNorm2d(4), planes),
    ):

        def loss(layer, x):
            return sum(jnp.square(y).sum() for y in jax.tree.leaves(layer(x)) if y.dtype == x.dtype)

        functions = [lambda layer, x: layer(x), lambda layer, x: nnx.grad(loss, argnums=(0, 1))(layer, x)]
        if kind == jax.sharding.AxisType.Explicit:
            functions.pop()  # JAX's own gradient of a convolution asks for a sharding there
        for function in functions:
            with jax.set_mesh(mesh):
                ours = nnx.jit(function)(layer, jax.device_put(x, batch))
            for y, expected in zip(jax.tree.leaves(ours), jax.tree.leaves(function(layer, x)), strict=True):
                np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_shard_map():
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec
    layer, x = nn.LSTM(3, 4, 2, batch_first=True, rngs=nnx.Rngs(0)), jnp.ones((2, 5, 3))
    graph, state = nnx.split(layer)
    local = jax.shard_map(
        lambda state, x: nnx.merge(graph, state)(x)[0],
        mesh=mesh,
        in_specs=(spec(), spec("data")),
        out_specs=spec("data"),
    )
    np.testing.assert_allclose(jax.jit(local)(state, x), layer(x)[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "every"),
    [
        *(("RNN", 3), ("RNN", 20), ("LSTM", 4), ("GRU", 7)),
        *more([("RNN", 1), ("RNN", 4), ("RNN", 7), ("LSTM", 7), ("GRU", 4)]),
    ],
)
def test_checkpoints_change_no_number(kind: str, every: int):
    """12 steps in chunks that divide them, or do not, or are longer; both directions, and ends within a chunk."""
    x = jnp.asarray(np.random.default_rng(0).standard_normal((12, 3, 4)).astype(np.float32))
    lengths = jnp.asarray([12, 1, 7])
    make = getattr(nn, kind)

    def results(every: int | None, lengths: Any) -> Any:
        layer = make(4, 5, 2, bidirectional=True, checkpoint_every=every, rngs=nnx.Rngs(0))
        layer.eval()
        graph, state = nnx.split(layer)

        def loss(state: Any, x: Any) -> Any:
            layer = nnx.merge(graph, state)
            run = F.rnn_tanh if kind == "RNN" else getattr(F, kind.lower())
            weights = [weight[...] for weights in layer.all_weights for weight in weights]
            output, *last = run(
                x, None, weights, num_layers=2, bidirectional=True, lengths=lengths, checkpoint_every=every
            )
            return jnp.sin(output).sum() + sum(jnp.cos(h).sum() for h in last), layer(x)

        (value, output), gradients = jax.value_and_grad(loss, (0, 1), has_aux=True)(state, x)
        return value, output, gradients

    for ends in (None, lengths):
        expected, found = jax.tree.leaves(results(None, ends)), jax.tree.leaves(results(every, ends))
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


def test_checkpoints_keep_less_for_the_gradient():
    x = jnp.ones((1024, 4, 16))

    def memory(every: int | None) -> int:
        layer = nn.LSTM(16, 64, checkpoint_every=every, rngs=nnx.Rngs(0))
        graph, state = nnx.split(layer)
        gradient = jax.grad(lambda state: nnx.merge(graph, state)(x)[0].sum())
        return jax.jit(gradient).lower(state).compile().memory_analysis().temp_size_in_bytes

    assert memory(32) < memory(None) / 6


@pytest.mark.parametrize(("every", "error"), [(0, ValueError), (2.5, TypeError)])
def test_checkpoints_that_are_no_count_are_refused(every: Any, error: type):
    with pytest.raises(error, match="checkpoint_every"):
        nn.GRU(2, 3, checkpoint_every=every, rngs=nnx.Rngs(0))
