"""A recurrence over time, as one scan: the compiled graph does not grow with the length of the sequence."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

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
@partial(jax.jit, static_argnames=("update", "reverse", "adds", "every"))
def recurrence(
    update: Update,
    input: jax.Array,
    state: State,
    weights: Weights,
    lengths: jax.Array | None = None,
    *,
    reverse: bool = False,
    adds: bool = False,
    every: int | None = None,
) -> tuple[jax.Array, State]:
    """Runs a cell over the first axis of `input`, `(T, N, features)`, from the state `(N, size)` each.

    Returns all `h`, `(T, N, size)`, and the last state. With `lengths`, `(N,)`, a state rests at the steps that its
    sequence does not have, and `h` is 0 there: so each sequence ends, or in reverse begins, at its own last step.
    `adds` says that the cell reads nothing but the sum of its two products. With `every`, one state of so many is kept
    for the gradient, and the steps between are computed again.
    """
    if every is not None and every < len(input):
        run = partial(recurrence, update, reverse=reverse, adds=adds)
        return _in_chunks(run, every, reverse, input, state, weights, lengths)
    # A scan's state keeps its type: where it lies on a mesh is settled by the first step, so also before it.
    settled = jnp.zeros_like(affine(input[0], weights.ih, weights.bias_ih))
    state = tuple(h + settled[:, : h.shape[-1]] for h in state)
    hoisted, plain = (partial(_apart, update, reverse, hoist) for hoist in (True, False))
    # what is kept of a step against what a step would add to the weights' gradients
    is_less = adds or 4 * input.shape[1] <= weights.ih.shape[1] + weights.hh.shape[1]
    keeps = is_less and weights.hr is None and input.dtype.itemsize >= 4
    # much of the work is the inputs' product, and one large one is the fastest, or it is not
    is_wide = input.shape[-1] > weights.hh.shape[-1]
    on_cpu = hoisted if is_wide else partial(_in_turn, update, reverse, adds) if keeps else plain
    return lax.platform_dependent(input, state, weights, lengths, cpu=on_cpu, default=hoisted)


def _in_chunks(
    run: Callable[..., tuple[jax.Array, State]],
    every: int,
    reverse: bool,
    input: jax.Array,
    state: State,
    weights: Weights,
    lengths: jax.Array | None,
) -> tuple[jax.Array, State]:
    """The recurrence as one over chunks of steps, of which each keeps what it begins with; the last may be shorter."""
    chunks, rest = divmod(len(input), every)

    @partial(jax.checkpoint, prevent_cse=False)
    def chunk(state: State, x: tuple[jax.Array, jax.Array]) -> tuple[State, jax.Array]:
        input, first = x
        outputs, state = run(input, state, weights, None if lengths is None else lengths - first)
        return state, outputs

    whole, end = input[: chunks * every], input[chunks * every :]
    firsts = every * _times(input, lengths)[: chunks + 1]
    found = []
    if rest and reverse:
        state, outputs = chunk(state, (end, firsts[-1]))
        found.append(outputs)
    state, outputs = lax.scan(
        chunk, state, (whole.reshape(chunks, every, *input.shape[1:]), firsts[:chunks]), reverse=reverse
    )
    found.insert(0, outputs.reshape(chunks * every, *outputs.shape[2:]))
    if rest and not reverse:
        state, outputs = chunk(state, (end, firsts[-1]))
        found.append(outputs)
    return jnp.concatenate(found) if rest else found[0], state


def _apart(
    update: Update,
    reverse: bool,
    hoist: bool,
    input: jax.Array,
    state: State,
    weights: Weights,
    lengths: jax.Array | None,
) -> tuple[jax.Array, State]:
    """Two products, that of the inputs in each step, or hoisted: one large product before the first step."""
    inputs = affine(input, weights.ih, weights.bias_ih) if hoist else input

    # Each step adds to the gradients of what it uses: in half precision they would lose what the steps add.
    weights = jax.tree.map(wide, weights)

    def body(state: State, x: tuple[jax.Array, jax.Array]) -> tuple[State, jax.Array]:
        input, time = x
        gates = input if hoist else affine(input, weights.ih, weights.bias_ih)
        return _resting(step(update, gates, state, weights), state, time, lengths)

    state, outputs = lax.scan(body, state, (inputs, _times(input, lengths)), reverse=reverse)
    return outputs, state


@partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _in_turn(update: Update, reverse: bool, adds: bool, *arrays: Any) -> tuple[jax.Array, State]:
    """Both products in each step; one, of input and hidden state side by side, where the cell reads but their sum.

    Its gradient keeps the products and the states, computes the gates again, and adds up nothing from step to step: the
    weights' gradients are products over all steps at once.
    """
    outputs, last, _ = _in_turn_with_steps(update, reverse, adds, *arrays)
    return outputs, last


def _in_turn_with_steps(
    update: Update,
    reverse: bool,
    adds: bool,
    input: jax.Array,
    state: State,
    weights: Weights,
    lengths: jax.Array | None,
) -> tuple[jax.Array, State, tuple[State, State]]:
    """Also each step's products, or their sum alone, and the state before it."""
    products = _products(weights, adds)

    def body(state: State, x: tuple[jax.Array, jax.Array]) -> tuple[State, Any]:
        input, time = x
        found = products(input, state[0])
        new, output = _resting(_updated(update, found, state), state, time, lengths)
        return new, (output, found, state)

    last, (outputs, *steps) = lax.scan(body, state, (input, _times(input, lengths)), reverse=reverse)
    return outputs, last, tuple(steps)


def _products(weights: Weights, adds: bool) -> Callable[[jax.Array, jax.Array], State]:
    """What gives the products of an input and a hidden state, or their sum alone."""
    if not adds:
        return lambda input, h: (affine(input, weights.ih, weights.bias_ih), affine(h, weights.hh, weights.bias_hh))
    joined = jnp.concatenate([weights.ih, weights.hh], 1)
    bias = None if weights.bias_ih is None or weights.bias_hh is None else weights.bias_ih + weights.bias_hh
    return lambda input, h: (affine(jnp.concatenate([input, h], 1), joined, bias),)


def _updated(update: Update, products: State, state: State) -> State:
    input, hidden = products if len(products) == 2 else (*products, jnp.zeros_like(products[0]))
    return update(input, hidden, state)


@_in_turn.defjvp
def _in_turn_jvp(update: Update, reverse: bool, adds: bool, primals: Any, tangents: Any) -> Any:
    input, state, weights, lengths = primals
    of_input, of_state, of_weights, _ = tangents
    outputs, last, (products, states) = _in_turn_with_steps(update, reverse, adds, input, state, weights, lengths)
    of_ih = affine(of_input, weights.ih, None) + affine(input, of_weights.ih, of_weights.bias_ih)
    of_hh = affine(states[0], of_weights.hh, of_weights.bias_hh)
    along = (of_ih + of_hh,) if adds else (of_ih, of_hh)

    @partial(jax.checkpoint, prevent_cse=False)  # or each gate would be kept for each step
    def tangent(products: State, state: State, of_products: State, of_state: State) -> State:
        return jax.jvp(partial(_updated, update), (products, state), (of_products, of_state))[1]

    def body(of_state: State, x: Any) -> tuple[State, jax.Array]:
        products, state, of_products, time = x
        *others, of_last = of_products
        of_products = (*others, of_last + affine(of_state[0], weights.hh, None))
        return _resting(tangent(products, state, of_products, of_state), of_state, time, lengths)

    steps = (products, states, along, _times(input, lengths))
    of_last, of_outputs = lax.scan(body, of_state, steps, reverse=reverse)
    return (outputs, last), (of_outputs, of_last)


def _times(steps: jax.Array, lengths: jax.Array | None) -> jax.Array:
    return jnp.arange(len(steps), dtype=int if lengths is None else lengths.dtype)


def _resting(new: State, old: State, time: jax.Array, lengths: jax.Array | None) -> tuple[State, jax.Array]:
    """The state after a step, and its output: where a sequence is over, the old state and 0."""
    if lengths is None:
        return new, new[0]
    running = (time < lengths)[:, None]
    kept = tuple(jnp.where(running, n, s) for n, s in zip(new, old, strict=True))
    return kept, jnp.where(running, new[0], 0)
