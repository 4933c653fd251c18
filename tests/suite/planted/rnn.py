"""Recurrent nets."""

import dataclasses

import jax
import jax.numpy as jnp

from jaxnets.functional import rnn
from jaxnets.lowering import recurrence
from parity import Case, normal
from planted import FORWARD, plant


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
    true = recurrence.affine_by_columns
    patch.setattr(recurrence, "affine_by_columns", lambda input, weight, bias: true(input, weight, None))


@plant(["rnn/LSTM(3, 5*bidirectional=True*packed*"], FORWARD)
def reverse_direction_starts_at_the_padding(patch):
    true = recurrence.recurrence

    def wrong(update, input, state, weights, lengths=None, *, reverse=False, **settings):
        if not reverse or lengths is None:
            return true(update, input, state, weights, lengths, reverse=reverse, **settings)
        outputs, state = true(update, input, state, weights, reverse=True, **settings)
        running = jnp.less(*jnp.meshgrid(jnp.arange(len(input)), lengths, indexing="ij"))
        return jnp.where(running[..., None], outputs, 0), state

    patch.setattr(rnn, "recurrence", wrong)


@plant([Case("LSTM", (3, 5, 2), {"dropout": 0.5}, inputs=(normal(4, 2, 3),))], {"draws"})
def no_dropout_between_layers(patch):
    patch.setattr(rnn, "drop", lambda input, *args, **kwargs: input)
