"""A recurrence over time, as one scan: the compiled graph does not grow with the length of the sequence."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.lowering.linear import affine
from jaxnets.lowering.precision import wide

__all__ = ["State", "Update", "Weights", "recurrence", "step"]

State = tuple[jax.Array, ...]
"""What a cell carries from step to step: `(h,)`, or `(h, c)`."""

Update = Callable[[jax.Array, jax.Array, State], State]
"""The pointwise part of a cell: products of input and of hidden state, old state -> new state."""


class Weights(NamedTuple):
    """The parameters of one direction of one layer."""

    ih: jax.Array
    hh: jax.Array
    bias_ih: jax.Array | None = None
    bias_hh: jax.Array | None = None
    hr: jax.Array | None = None


def step(update: Update, gates: jax.Array, state: State, weights: Weights) -> State:
    """One step of a cell, given the product of its input: `update`, then the projection of `h`, if any."""
    h, *rest = update(gates, affine(state[0], weights.hh, weights.bias_hh), state)
    return (h if weights.hr is None else affine(h, weights.hr, None), *rest)


# A jit of its own, so that layers of equal shape are traced and lowered once.
@partial(jax.jit, static_argnames=("update", "reverse"))
def recurrence(
    update: Update,
    input: jax.Array,
    state: State,
    weights: Weights,
    lengths: jax.Array | None = None,
    *,
    reverse: bool = False,
) -> tuple[jax.Array, State]:
    """Runs a cell over the first axis of `input`, `(T, N, features)`, from the state `(N, size)` each.

    Returns all `h`, `(T, N, size)`, and the last state. With `lengths`, `(N,)`, a state rests at the steps that its
    sequence does not have, and `h` is 0 there: so each sequence ends, or in reverse begins, at its own last step.
    """
    # No step waits for the product of the inputs: it is one large product, outside of the scan.
    gates = affine(input, weights.ih, weights.bias_ih)
    # A scan's state keeps its type: where it lies on a mesh is settled by the first step, so also before it.
    state = tuple(h + jnp.zeros_like(gates[0, :, : h.shape[-1]]) for h in state)

    # Each step adds to the gradients of what it uses: in half precision they would lose what the steps add.
    weights = jax.tree.map(wide, weights)

    def body(state: State, x: tuple[jax.Array, jax.Array]) -> tuple[State, jax.Array]:
        gates, time = x
        new = step(update, gates, state, weights)
        if lengths is None:
            return new, new[0]
        running = (time < lengths)[:, None]
        resting = tuple(jnp.where(running, n, s) for n, s in zip(new, state, strict=True))
        return resting, jnp.where(running, new[0], 0)

    time = jnp.arange(len(gates), dtype=int if lengths is None else lengths.dtype)
    state, outputs = jax.lax.scan(body, state, (gates, time), reverse=reverse)
    return outputs, state
