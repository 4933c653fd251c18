"""`TorchRngs` against torch: the same seed, the same order of draws, the same bits."""

import subprocess
import sys
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
from jaxnets import TorchRngs, nn
from jaxnets.nn import init

FLOATS = {
    "float32": (jnp.float32, torch.float32),
    "float64": (jnp.float64, torch.float64),
    "bfloat16": (jnp.bfloat16, torch.bfloat16),
    "float16": (jnp.float16, torch.float16),
    "complex64": (jnp.complex64, torch.complex64),
}
SIZES = [(), (0,), (1,), (15,), (16,), (3, 5, 7), (70_001,)]  # one by one below 16, blocks from there on; a chunk


def equal(ours, theirs) -> None:
    wide = torch.complex128 if theirs.is_complex() else torch.float64
    np.testing.assert_array_equal(np.asarray(ours).astype(np.dtype(str(wide)[6:])), theirs.to(wide).numpy())


def both(seed: int):
    torch.manual_seed(seed)
    return TorchRngs(seed)


@pytest.mark.parametrize("seed", [0, 1000, 2**32 - 1, 2**32 + 7, 2**63, 2**64 - 1, -1, -(2**63)])
def test_seeds(seed):
    equal(both(seed).uniform((5,)), torch.rand(5))


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("name", FLOATS)
def test_draws_of_every_dtype(name, shape):
    dtype, theirs = FLOATS[name]
    with jax.enable_x64(True):
        rngs = both(7)
        for a, b in ((0.0, 1.0), (-0.3, 0.3), (0.1, 0.9), (1.0, 1.0)):
            drawn = init.uniform(rngs.params(), shape, a, b, dtype=dtype)
            assert drawn.dtype == dtype
            equal(drawn, torch.empty(shape, dtype=theirs).uniform_(a, b))
        for mean, std in ((0.0, 1.0), (0.3, 1.7), (2.0, 0.0)):
            drawn = init.normal(rngs.params(), shape, mean, std, dtype=dtype)
            assert drawn.dtype == dtype
            expected = torch.empty(shape, dtype=theirs).normal_(mean, std)
            if name == "float64":  # NumPy's logarithm and sine may differ from the C library's in the last bit
                np.testing.assert_allclose(drawn, expected, rtol=0, atol=4e-16 * (1 + 5 * std))
            else:
                equal(drawn, expected)


def test_an_open_end_that_is_reached_by_rounding():
    equal(init.uniform(both(3).params(), (100_000,), 1.0, 1 + 2**-20), torch.empty(100_000).uniform_(1.0, 1 + 2**-20))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    seed=st.integers(-(2**63), 2**64 - 1),
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    low=st.floats(-1e3, 1e3, width=32),
    width=st.floats(0, 1e3, width=32),
    kinds=st.lists(st.sampled_from(["uniform", "normal", "randint", "randperm", "bernoulli"]), min_size=6, max_size=6),
)
def test_any_sequence_of_draws(seed, sizes, low, width, kinds):
    rngs = both(seed)
    for kind, n in zip(kinds, sizes, strict=False):
        if kind == "uniform":
            drawn, expected = rngs.uniform((n,), minval=low, maxval=low + width), torch.empty(n)
            equal(drawn, expected.uniform_(low, low + width))
        elif kind == "normal":
            equal(rngs.normal((n,)), torch.randn(n))
        elif kind == "randint":
            high = int(low) + 1 + int(width) * 10**6
            equal(rngs.randint(int(low), high, (n,)), torch.randint(int(low), high, (n,)))
        elif kind == "randperm":
            equal(rngs.randperm(n), torch.randperm(n))
        else:
            equal(rngs.bernoulli(0.3, (n,)), torch.empty(n).bernoulli_(0.3))
            equal(rngs.bernoulli(np.full(n, 0.3, np.float32)), torch.bernoulli(torch.full((n,), 0.3)))


INITIALISERS = {
    "uniform": {"a": -1, "b": 2.5},
    "normal": {"mean": 1, "std": 0.2},
    "constant": {"val": 0.3},
    "ones": {},
    "zeros": {},
    "eye": {},
    "xavier_uniform": {"gain": 1.4},
    "xavier_normal": {"gain": 1.4},
    "kaiming_uniform": {"a": 0.1, "mode": "fan_out"},
    "kaiming_normal": {"nonlinearity": "relu"},
    "trunc_normal": {"std": 0.7, "a": -1, "b": 0.8},
    "sparse": {"sparsity": 0.3, "std": 0.5},
}


@pytest.mark.parametrize("shape", [(3, 4), (40, 23), (1, 1), (5, 1)])
@pytest.mark.parametrize(("name", "arguments"), INITIALISERS.items(), ids=list(INITIALISERS))
def test_initialisers(name, arguments, shape):
    rngs = both(11)
    ours = getattr(init, name)(rngs.params(), shape, **arguments)
    equal(ours, getattr(torch.nn.init, name + "_")(torch.empty(shape), **arguments))
    equal(rngs.uniform((3,)), torch.rand(3))


@pytest.mark.parametrize("arguments", [(0, 1, -2, 2), (0, 0.02, -2, 2), (0, 1, 2, 3), (0.5, 2, 0, 1)])
@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_trunc_normal_by_either_rejection(name, arguments):
    dtype, theirs = FLOATS[name]
    rngs = both(1)
    equal(
        init.trunc_normal(rngs.params(), (30, 20), *arguments, dtype=dtype),
        torch.nn.init.trunc_normal_(torch.empty(30, 20, dtype=theirs), *arguments),
    )
    equal(rngs.uniform((3,)), torch.rand(3))


@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (8, 3, 5)])
def test_orthogonal(shape):
    ours = init.orthogonal(both(2).params(), shape, 1.5)
    np.testing.assert_allclose(ours, torch.nn.init.orthogonal_(torch.empty(shape), 1.5), rtol=1e-5, atol=1e-6)


LAYERS = [
    ("Linear", (7, 5), {}),
    ("Linear", (7, 5), {"bias": False}),
    ("Linear", (0, 5), {}),
    ("Bilinear", (3, 4, 5), {}),
    ("Conv1d", (6, 4, 3), {"groups": 2}),
    ("Conv2d", (3, 8, (5, 2)), {}),
    ("Conv3d", (2, 3, 2), {"bias": False}),
    ("ConvTranspose1d", (6, 4, 3), {"groups": 2}),
    ("ConvTranspose2d", (3, 8, (5, 2)), {}),
    ("ConvTranspose3d", (2, 3, 2), {}),
    ("RNN", (4, 5), {"num_layers": 2, "bidirectional": True, "nonlinearity": "relu", "dropout": 0.5}),
    ("LSTM", (4, 6), {"num_layers": 2, "bidirectional": True, "proj_size": 3}),
    ("GRU", (4, 5), {"bias": False}),
    ("RNNCell", (4, 5), {}),
    ("LSTMCell", (4, 5), {"bias": False}),
    ("GRUCell", (4, 5), {}),
    ("Embedding", (11, 5), {"padding_idx": 3}),
    ("Embedding", (3, 4), {}),
    ("EmbeddingBag", (11, 5), {"padding_idx": 3, "mode": "sum"}),
    ("BatchNorm2d", (3,), {}),
    ("LayerNorm", ((3, 2),), {}),
    ("PReLU", (3,), {}),
    ("MultiheadAttention", (8, 2), {}),
    ("MultiheadAttention", (8, 2), {"kdim": 5, "vdim": 6, "add_bias_kv": True, "bias": False}),
    ("TransformerEncoderLayer", (8, 2, 10), {}),
    ("TransformerDecoderLayer", (8, 2, 10), {"bias": False}),
    ("Transformer", (8, 2, 1, 2, 10), {}),
    ("AdaptiveLogSoftmaxWithLoss", (16, 20, [4, 10]), {}),
]


def same_weights(ours: nnx.Module, theirs: torch.nn.Module) -> None:
    state, expected = jaxnets.state_dict(ours), theirs.state_dict()
    assert list(state) == list(expected)
    for name, array in expected.items():
        equal(state[name], array)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("name", "arguments", "options"), LAYERS)
def test_layers(name, arguments, options, dtype):
    ours, theirs = FLOATS[dtype]
    rngs = both(1234)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch speaks of tensors without elements, and of its own speed
        expected = getattr(torch.nn, name)(*arguments, **options, dtype=theirs)
    same_weights(getattr(nn, name)(*arguments, **options, dtype=ours, rngs=rngs), expected)
    equal(rngs.uniform((3,)), torch.rand(3))  # as many numbers were drawn


def test_a_model_in_construction_order():
    def model(nn, **rngs):
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, **rngs),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(0.5, **rngs),
            nn.Flatten(),
            nn.Linear(72, 4, **rngs),
            nn.Embedding(4, 5, **rngs),
        )

    rngs = both(5)
    ours = model(nn, rngs=rngs)
    same_weights(ours, model(torch.nn))


def test_dropout_draws_from_a_stream_of_jax():
    rngs = TorchRngs(0)
    before = rngs.uniform()
    dropout = nn.Dropout(0.5, rngs=rngs)
    first, second = dropout(jnp.ones(100)), dropout(jnp.ones(100))
    assert 20 < (first == 0).sum() < 80
    assert (first != second).any()
    torch.manual_seed(0)
    equal(jnp.stack([before, rngs.uniform()]), torch.rand(2))


def test_it_stands_in_for_nnx_rngs():
    rngs = TorchRngs(0)
    assert isinstance(rngs, nnx.Rngs)
    assert list(rngs) == ["default", "params"]
    assert jnp.issubdtype(rngs().dtype, jax.dtypes.prng_key)
    assert rngs["dropout"] is rngs.noise is rngs.default
    assert isinstance(rngs["params"], nnx.RngStream)
    assert isinstance(rngs.params(), init.Draws)
    equal(nnx.merge(*nnx.split(rngs)).uniform((3,)), torch.rand(3, generator=torch.Generator().manual_seed(0)))
    assert isinstance(nnx.clone(rngs), TorchRngs)


def test_forks_have_streams_of_their_own():
    rngs, again = TorchRngs(0), TorchRngs(0)
    fork = rngs.fork()
    assert isinstance(fork, TorchRngs)
    equal(fork.uniform((9,)), torch.from_numpy(np.array(again.fork().uniform((9,)))))
    assert not set(rngs.uniform((99,)).tolist()) & set(fork.uniform((99,)).tolist())
    assert not set(rngs.params.fork()().uniform((99,))) & set(fork.uniform((99,)).tolist())


def test_draws_while_tracing():
    def build():
        return nn.Linear(3, 2, rngs=TorchRngs(4))

    torch.manual_seed(4)
    same_weights(nnx.jit(build)(), torch.nn.Linear(3, 2))
    assert nnx.eval_shape(build).weight.shape == (2, 3)


def test_two_generators_do_not_share_a_spare_sample():
    one, two = TorchRngs(3), TorchRngs(3)
    one.normal()
    equal(two.normal((3,)), torch.randn(3, generator=torch.Generator().manual_seed(3)))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: TorchRngs(2**64),
            ValueError,
            r"seed: expected an int in \[-2\*\*63, 2\*\*64\), got 18446744073709551616",
        ),
        (lambda: TorchRngs(0.5), TypeError, "seed: expected an int, got 0.5"),
        (lambda: TorchRngs(0).split(3), TypeError, "torch's stream is one sequence and can not be split"),
        (lambda: TorchRngs(0).broadcast(3), TypeError, "can not be split"),
        (lambda: TorchRngs(0).params.split(3), TypeError, "can not be split"),
        (lambda: jax.random.normal(TorchRngs(0).params()), TypeError, "unexpected PRNG key type .*TorchKey"),
        (lambda: TorchRngs(0).randint(3, 3), ValueError, "low, high: expected low < high, both in int32, got low=3"),
        (lambda: TorchRngs(0).randint(0, 2**40), ValueError, "low, high: expected low < high, both in int32"),
        (lambda: TorchRngs(0).randperm(-1), ValueError, "n: expected an int of at least 0, got -1"),
        (lambda: TorchRngs(0).bernoulli(1.5), ValueError, r"p: expected probabilities in \[0, 1\], got 1.5"),
        (lambda: TorchRngs(0).uniform((2, -1)), ValueError, "shape: expected an int of at least 0, got -1"),
        (lambda: TorchRngs(0).uniform(2, minval=1.0, maxval=0.0), ValueError, "a, b: expected finite numbers a <= b"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


E8 = """
import sys
sys.modules["torch"] = None
import jax.numpy as jnp
from jaxnets import TorchRngs, nn

rngs = TorchRngs(1000)
input = rngs.normal((2, 3, 4))
lstm = nn.LSTM(4, 3, 1, rngs=rngs)
h0, c0 = rngs.normal((1, 3, 3)), rngs.normal((1, 3, 3))
output, _ = lstm(input, (h0, c0))
print([[f"{x:.4f}" for x in row.tolist()] for row in (output[0, 0], output[1, 2])])
"""


def test_a_tutorial_is_reproduced_without_torch():
    printed = subprocess.run([sys.executable, "-c", E8], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert printed == "[['-0.3610', '-0.1643', '0.1631'], ['0.1482', '-0.4728', '0.1425']]\n"
