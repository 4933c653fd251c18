"""Bugs that others have shipped, planted one by one: the suite must catch each, and by the right property."""

import dataclasses
import importlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

import parity
from jaxnets import functional
from jaxnets.functional import batchnorm, loss, pooling, rnn, sparse
from jaxnets.functional import conv as conv_functions
from jaxnets.lowering import conv as conv_lowering
from jaxnets.lowering import pooling as pooling_lowering
from jaxnets.lowering import recurrence
from jaxnets.nn import batchnorm as batchnorm_layers
from jaxnets.nn import conv as conv_layers
from parity import Case, integers, normal, rounded, uniform
from parity.case import matches
from parity.cases import CASES

# The package gives the functions of these names, not their modules.
dropout = importlib.import_module("jaxnets.functional.dropout")
softmax = importlib.import_module("jaxnets.functional.softmax")

FORWARD = {"forward", "input gradient", "parameter gradient"}
PLANTS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], list[str | Case], set[str]]] = {}


def plant(cases: list[str | Case], caught_by: set[str]) -> Callable:
    """Registers a function that plants a bug; a str stands for the first three cases of the database it matches."""

    def register(function: Callable[[pytest.MonkeyPatch], None]) -> Callable:
        PLANTS[function.__name__] = (function, cases, caught_by)
        return function

    return register


def database(*cases: str | Case) -> dict[str, Case]:
    found = {}
    for case in cases:
        if isinstance(case, Case):
            found[str(case)] = case
        else:
            matching = [name for name in CASES if matches(name, case)]
            assert matching, case
            found |= {name: CASES[name] for name in matching[:3]}
    return found


# ---- convolutions


@plant(["conv/Conv2d(4, 6, 3)*"], FORWARD)
def transposed_kernel(patch):
    """Height and width of the kernel change places."""
    true = conv_lowering.conv

    def wrong(x, weight, *settings):
        return true(x, jnp.swapaxes(weight, -1, -2), *settings)

    patch.setattr(conv_lowering, "conv", wrong)


@plant(["conv/ConvTranspose2d*"], FORWARD)
def unflipped_transposed_kernel(patch):
    true = conv_lowering.transposed_kernel
    patch.setattr(
        conv_lowering,
        "transposed_kernel",
        lambda weight, groups: jnp.flip(true(weight, groups), tuple(range(2, weight.ndim))),
    )


@plant(["conv/ConvTranspose2d*groups=2*"], FORWARD)
def transposed_groups_mixed_up(patch):
    """The plain reshape of the kernel, which is right only without groups or with depthwise ones."""

    def wrong(weight, groups):
        c_in, c_out, *kernel = weight.shape
        swapped = jnp.swapaxes(weight, 0, 1).reshape(groups * c_out, c_in // groups, *kernel)
        return jnp.flip(swapped, tuple(range(2, weight.ndim)))

    patch.setattr(conv_lowering, "transposed_kernel", wrong)


@plant(["conv/ConvTranspose2d*output_padding=(*"], FORWARD)
def output_padding_in_front(patch):
    true = conv_lowering.conv_transpose

    def wrong(x, weight, stride, padding, output_padding, dilation, groups):
        output = true(x, weight, stride, padding, output_padding, dilation, groups)
        return jnp.roll(output, output_padding, tuple(range(2, x.ndim)))

    patch.setattr(conv_lowering, "conv_transpose", wrong)


@plant(["conv/Conv1d(4, 6, 4, padding='same', padding_mode='circular')*"], FORWARD)
def same_padding_wrong_half(patch):
    """An odd total of padding puts its greater half in front."""
    true = conv_functions.padding_pairs

    def wrong(*arguments):
        return [(right, left) for left, right in true(*arguments)]

    patch.setattr(conv_functions, "padding_pairs", wrong)
    patch.setattr(conv_layers, "padding_pairs", wrong)


@plant(["conv/Conv2d*padding_mode='reflect')*"], FORWARD)
def reflection_repeats_the_border(patch):
    true = functional.pad
    patch.setattr(
        functional,
        "pad",
        lambda input, pad, mode="constant": true(input, pad, {"reflect": "replicate"}.get(mode, mode)),
    )


@plant(["conv/Conv2d(4, 6, 3)*"], {"parameter gradient"})
def weight_without_gradient(patch):
    true = conv_lowering.conv

    def wrong(x, weight, *settings):
        return true(x, jax.lax.stop_gradient(weight), *settings)

    patch.setattr(conv_lowering, "conv", wrong)


# ---- recurrent nets


@plant(["rnn/LSTM(3, 5*"], FORWARD)
def lstm_gates_swapped(patch):
    """Input and forget gate change places, as in frameworks that stack them otherwise."""

    def wrong(x, h, state):
        f, i, g, o = jnp.split(x + h, 4, axis=-1)
        c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(c), c

    patch.setitem(rnn.MODES, "LSTM", dataclasses.replace(rnn.MODES["LSTM"], update=wrong))


@plant(["rnn/GRU(3, 5*"], FORWARD)
def gru_reset_gate_spares_the_bias(patch):
    """`r * (W_hn h) + b_hn` in place of `r * (W_hn h + b_hn)`."""
    true = recurrence.step

    def wrong(update, gates, state, weights):
        if weights.bias_hh is None:
            return true(update, gates, state, weights)
        n = weights.bias_hh.shape[0] // 3
        moved = jnp.concatenate([jnp.zeros(2 * n, gates.dtype), weights.bias_hh[2 * n :]])
        kept = weights.bias_hh - moved
        return true(update, gates + jnp.broadcast_to(moved, gates.shape), state, weights._replace(bias_hh=kept))

    patch.setattr(recurrence, "step", wrong)


@plant(["rnn/RNN(3, 5*bias=True*"], FORWARD)
def recurrent_bias_lost(patch):
    true = recurrence.step
    patch.setattr(
        recurrence, "step", lambda update, gates, state, w: true(update, gates, state, w._replace(bias_hh=None))
    )


@plant(["rnn/LSTM(3, 5*bidirectional=True*packed*"], FORWARD)
def reverse_direction_starts_at_the_padding(patch):
    true = recurrence.recurrence

    def wrong(update, input, state, weights, lengths=None, *, reverse=False):
        if not reverse or lengths is None:
            return true(update, input, state, weights, lengths, reverse=reverse)
        outputs, state = true(update, input, state, weights, reverse=True)
        running = jnp.less(*jnp.meshgrid(jnp.arange(len(input)), lengths, indexing="ij"))
        return jnp.where(running[..., None], outputs, 0), state

    patch.setattr(rnn, "recurrence", wrong)


@plant([Case("LSTM", (3, 5, 2), {"dropout": 0.5}, inputs=(normal(4, 2, 3),))], {"draws"})
def no_dropout_between_layers(patch):
    patch.setattr(rnn, "drop", lambda input, *args, **kwargs: input)


# ---- normalisation


@plant(["batchnorm/BatchNorm2d*"], {"buffers"})
def biased_running_variance(patch):
    true = batchnorm.batch_norm_with_statistics

    def wrong(input, weight=None, bias=None, eps=1e-5):
        output, mean, var = true(input, weight, bias, eps)
        count = input.size // input.shape[1]
        return output, mean, var * (count - 1) / count

    patch.setattr(functional, "batch_norm_with_statistics", wrong)


@plant(["batchnorm/BatchNorm2d*"], {"buffers"})
def momentum_swapped(patch):
    """`momentum * running + (1 - momentum) * batch`, the habit of other frameworks."""
    true = batchnorm_layers._BatchNorm._track

    def wrong(self, mean, var, empty):
        momentum = self.momentum
        self.momentum = momentum if momentum is None else 1 - momentum
        true(self, mean, var, empty)
        self.momentum = momentum

    patch.setattr(batchnorm_layers._BatchNorm, "_track", wrong)


@plant(["batchnorm/BatchNorm2d*"], {"buffers"})
def batches_not_counted(patch):
    true = batchnorm_layers._BatchNorm._track

    def wrong(self, mean, var, empty):
        true(self, mean, var, empty)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked[...] -= 1

    patch.setattr(batchnorm_layers._BatchNorm, "_track", wrong)


@plant(["batchnorm/BatchNorm1d*affine=True*"], FORWARD)
def evaluation_by_batch_statistics(patch):
    true = batchnorm.batch_norm

    def wrong(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
        return true(input, running_mean, running_var, weight, bias, True, momentum, eps)

    patch.setattr(functional, "batch_norm", wrong)


@plant(
    [Case("BatchNorm2d", (3,), inputs=(normal(4, 3, 5, 6, mean=300.0),))],
    {"forward", "buffers", "input gradient", "parameter gradient"},
)
def fast_variance(patch):
    """E[x²] - E[x]², which loses everything at a mean far from 0."""

    def wrong(input, weight=None, bias=None, eps=1e-5):
        axes = (0, *range(2, input.ndim))
        count = input.size // input.shape[1]
        mean = input.mean(axes)
        var = jnp.maximum(jnp.square(input).mean(axes) - jnp.square(mean), 0)
        output = batchnorm._scaled(input - batchnorm._per_channel(mean, input), var, weight, bias, eps)
        return output, mean, var * count / (count - 1)

    patch.setattr(functional, "batch_norm_with_statistics", wrong)


# ---- pooling


@plant([Case("MaxPool2d", (3, 2), inputs=(rounded(2, 3, 7, 9),))], {"input gradient"})
def last_maximum_wins(patch):
    """The numbers are the same, the gradient goes to another element."""
    true = pooling_lowering.argmax_pool

    def wrong(x, kernel, stride, padding, dilation):
        axes = tuple(range(x.ndim - len(kernel), x.ndim))
        mirrored = true(jnp.flip(x, axes), kernel, stride, padding, dilation)
        plane = 1
        for axis in axes:
            plane *= x.shape[axis]
        return plane - 1 - jnp.flip(mirrored, axes)

    patch.setattr(pooling_lowering, "argmax_pool", wrong)


@plant([Case("AvgPool2d", (3, 2, 1), inputs=(normal(2, 3, 7, 9),))], {"forward", "input gradient"})
def padding_not_counted(patch):
    true = pooling._counts
    patch.setattr(pooling, "_counts", lambda w, sizes, include_pad: true(w, sizes, not include_pad))


# ---- the others


@plant([Case("Embedding", (6, 5), {"padding_idx": 2}, inputs=(integers(4, 7, high=6),))], {"parameter gradient"})
def padding_row_gets_gradient(patch):
    true = sparse.embedding

    def wrong(input, weight, padding_idx=None, *args, **kwargs):
        return true(input, weight, None, *args, **kwargs)

    patch.setattr(functional, "embedding", wrong)


@plant(
    [Case("CrossEntropyLoss", (uniform(5, low=0.2),), inputs=(normal(7, 5), integers(7, high=5)))],
    {"forward", "input gradient"},
)
def cross_entropy_divides_by_the_number(patch):
    """The mean over targets, where torch takes the mean over their weights."""
    true = loss.reduced
    patch.setattr(loss, "reduced", lambda value, weights, *rest: true(value, None, *rest))


@plant(["softmax/Softmax*"], {"forward", "input gradient"})
def softmax_over_another_axis(patch):
    true = softmax.softmax
    patch.setattr(functional, "softmax", lambda input, dim, *rest, **named: true(input, dim - 1, *rest, **named))


@plant([Case("ReLU", inputs=(rounded(40),))], {"input gradient"})
def relu_half_a_gradient_at_zero(patch):
    patch.setattr(functional, "relu", lambda input, inplace=False: jnp.maximum(input, 0))


@plant(["dropout/Dropout(0.2)*"], {"draws"})
def dropout_not_scaled(patch):
    true = dropout._dropout

    def wrong(input, shape, p, training, key):
        return true(input, shape, p, training, key) * (1 - p * training)

    patch.setattr(dropout, "_dropout", wrong)


@plant(["dropout/Dropout2d(0.3)*"], {"draws"})
def dropout_of_elements_not_channels(patch):
    """Every mean is right; that neighbours live and die together is not."""
    true = dropout._dropout
    patch.setattr(
        dropout, "_dropout", lambda input, shape, p, training, key: true(input, input.shape, p, training, key)
    )


@plant(["linear/Linear(5, 3)*"], {"state"})
def weight_stored_transposed(patch):
    from jaxnets.nn import linear

    true = linear.Linear.__init__

    def wrong(self, in_features, out_features, *args, **kwargs):
        true(self, in_features, out_features, *args, **kwargs)
        self.weight = nnx.Param(self.weight[...].T)

    patch.setattr(linear.Linear, "__init__", wrong)


@pytest.fixture
def fresh_programs():
    """No program compiled before a bug is planted may run with it, none with it afterwards."""
    jax.clear_caches()
    yield
    jax.clear_caches()


@pytest.mark.parametrize("bug", PLANTS)
def test_planted_bug_is_caught(bug, fresh_programs, monkeypatch):
    cultivate, wanted, caught_by = PLANTS[bug]
    cases = database(*wanted)
    clean = parity.run(cases, dtypes=("f64",), ways=("jit",))
    assert clean.ok, clean.failed
    jax.clear_caches()
    cultivate(monkeypatch)
    spoiled = parity.run(cases, dtypes=("f64",), ways=("jit",))
    assert set(spoiled.caught_by()) == caught_by, spoiled.failed


def test_at_least_twenty_bugs_are_planted():
    assert len(PLANTS) >= 20
