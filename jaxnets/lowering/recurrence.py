"""A recurrence over time, as one scan: the compiled graph does not grow with the length of the sequence."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.lowering.choice import Form, choose, is_known
from jaxnets.lowering.linear import affine, affine_by_columns
from jaxnets.lowering.precision import wide

__all__ = ["FORMS", "OfState", "Problem", "State", "Update", "Weights", "recurrence", "step"]

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


UNROLLED = 8
"""Steps that are written one after the other, not as a loop."""


class Problem(NamedTuple):
    """What the choice of a form looks at."""

    batch: int
    size: int
    inputs: int


ALL = Form("all inputs at once", lambda steps: max(steps, UNROLLED + 1), pays=lambda p: p.batch <= 2)
FORMS = (
    ALL,
    Form("eight inputs at a time", lambda steps: UNROLLED, pays=lambda p: max(p.size, p.inputs) >= 256),
    Form("inputs in turn", lambda steps: 1),
)
"""Of how many steps the inputs' products are one, which is written and read again: `benchmarks.forms` measures it."""


class Loop(NamedTuple):
    """Of how many steps the inputs' products are one; how many steps of a longer loop are written one after another."""

    size: int
    unroll: int = 1


class OfState(NamedTuple):
    """What a step needs of the parameters, its matrices by columns."""

    hh: jax.Array
    bias_hh: jax.Array | None
    hr: jax.Array | None

    @classmethod
    def of(cls, weights: Weights) -> "OfState":
        """Those of all parameters."""
        return cls(weights.hh.T, weights.bias_hh, None if weights.hr is None else weights.hr.T)


def step(update: Update, gates: jax.Array, state: State, weights: OfState) -> State:
    """One step of a cell, given the product of its input: `update`, then the projection of `h`, if any."""
    h, *rest = update(gates, affine_by_columns(state[0], weights.hh, weights.bias_hh), state)
    return (h if weights.hr is None else affine_by_columns(h, weights.hr, None), *rest)


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
    run = partial(_run, update, reverse, adds)
    if every is None or every >= len(input):
        return run(input, state, weights, lengths)

    @partial(jax.checkpoint, prevent_cse=False)
    def block(state: State, steps: tuple[jax.Array, jax.Array]) -> tuple[State, jax.Array]:
        input, times = steps
        outputs, state = run(input, state, weights, None if lengths is None else lengths - times[0])
        return state, outputs

    state, outputs = _scan(block, state, (input, _times(input, lengths)), every, reverse)
    return outputs, state


def _run(
    update: Update,
    reverse: bool,
    adds: bool,
    input: jax.Array,
    state: State,
    weights: Weights,
    lengths: jax.Array | None,
) -> tuple[jax.Array, State]:
    """The recurrence in the form of the platform."""
    # A scan's state keeps its type: where it lies on a mesh is settled by the first step, so also before it.
    settled = jnp.zeros_like(affine(input[0], weights.ih, weights.bias_ih))
    state = tuple(h + settled[:, : h.shape[-1]] for h in state)
    # what is kept of a step against what a step would add to the weights' gradients
    is_small = is_known(input.shape) and 4 * input.shape[1] <= weights.ih.shape[1] + weights.hh.shape[1]
    is_less = adds or is_small
    keeps = is_less and weights.hr is None and input.dtype.itemsize >= 4
    steps, batch, inputs = input.shape
    size = choose(FORMS, Problem(batch, weights.hh.shape[1], inputs)).compute(steps)

    def by(loop: Loop) -> Callable[..., tuple[jax.Array, State]]:
        if keeps:
            return partial(_at_once, update, reverse, loop, adds)
        return partial(_step_by_step, update, reverse, loop)

    arrays = input, state, weights, lengths
    # an accelerator idles between small products, and between the rounds of a loop
    return lax.platform_dependent(*arrays, cpu=by(Loop(size)), default=by(Loop(ALL.compute(steps), UNROLLED)))


Body = Callable[[State, Any], tuple[State, Any]]


def _scan(body: Body, state: State, steps: Any, size: int, reverse: bool) -> tuple[State, Any]:
    """`lax.scan` of a body that does `size` steps, or fewer of the last ones."""
    length = len(jax.tree.leaves(steps)[0])
    if size >= length:
        return body(state, steps)
    whole = length - length % size
    rest = jax.tree.map(lambda x: x[whole:], steps)
    blocks = jax.tree.map(lambda x: x[:whole].reshape(whole // size, size, *x.shape[1:]), steps)
    if reverse and whole < length:
        state, last = body(state, rest)
    state, outputs = lax.scan(body, state, blocks, reverse=reverse)
    outputs = jax.tree.map(lambda y: y.reshape(whole, *y.shape[2:]), outputs)
    if not reverse and whole < length:
        state, last = body(state, rest)
    return state, jax.tree.map(lambda *y: jnp.concatenate(y), outputs, last) if whole < length else outputs


def _in_blocks(
    body: Body, state: State, input: jax.Array, weights: Weights, lengths: jax.Array | None, loop: Loop, reverse: bool
) -> tuple[State, Any]:
    """A body that is given the product of a step's input, and the time."""
    size, unroll = loop

    def gates(input: jax.Array) -> jax.Array:
        return affine(input, weights.ih, weights.bias_ih)

    def single(state: State, x: tuple[jax.Array, jax.Array]) -> tuple[State, Any]:
        input, time = x
        return body(state, (gates(input), time))

    def block(state: State, steps: tuple[jax.Array, jax.Array]) -> tuple[State, Any]:
        input, times = steps
        return lax.scan(body, state, (gates(input), times), reverse=reverse, unroll=size <= UNROLLED or unroll)

    steps = input, _times(input, lengths)
    return lax.scan(single, state, steps, reverse=reverse) if size == 1 else _scan(block, state, steps, size, reverse)


def _step_by_step(
    update: Update,
    reverse: bool,
    loop: Loop,
    input: jax.Array,
    state: State,
    weights: Weights,
    lengths: jax.Array | None,
) -> tuple[jax.Array, State]:
    """The recurrence as it stands: in its gradient, each step adds to those of the weights."""
    widened = jax.tree.map(wide, weights)  # in half precision the gradients would lose what the steps add
    of_input, of_state = weights if loop.size >= len(input) else widened, OfState.of(widened)

    def body(state: State, x: tuple[jax.Array, jax.Array]) -> tuple[State, jax.Array]:
        gates, time = x
        return _resting(step(update, gates, state, of_state), state, time, lengths)

    state, outputs = _in_blocks(body, state, input, of_input, lengths, loop, reverse)
    return outputs, state


@partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2, 3))
def _at_once(update: Update, reverse: bool, loop: Loop, adds: bool, *arrays: Any) -> tuple[jax.Array, State]:
    """The recurrence with a gradient that adds up nothing from step to step.

    The products, or their sum where the cell reads nothing else, and the states are kept, the gates computed again; the
    weights' gradients are products over all steps at once.
    """
    return _step_by_step(update, reverse, loop, *arrays)


def _with_steps(
    update: Update,
    reverse: bool,
    loop: Loop,
    adds: bool,
    input: jax.Array,
    state: State,
    weights: Weights,
    lengths: jax.Array | None,
) -> tuple[jax.Array, State, tuple[State, State]]:
    """Also each step's products, or their sum alone, and the state before it."""
    of_state = OfState.of(weights)

    def body(state: State, x: tuple[jax.Array, jax.Array]) -> tuple[State, Any]:
        gates, time = x
        hidden = affine_by_columns(state[0], of_state.hh, of_state.bias_hh)
        products = (gates + hidden,) if adds else (gates, hidden)
        new, output = _resting(_updated(update, products, state), state, time, lengths)
        return new, (output, products, state)

    last, (outputs, *steps) = _in_blocks(body, state, input, weights, lengths, loop, reverse)
    return outputs, last, tuple(steps)


def _updated(update: Update, products: State, state: State) -> State:
    input, hidden = products if len(products) == 2 else (*products, jnp.zeros_like(products[0]))
    return update(input, hidden, state)


@_at_once.defjvp
def _at_once_jvp(update: Update, reverse: bool, loop: Loop, adds: bool, primals: Any, tangents: Any) -> Any:
    input, _, weights, lengths = primals
    of_input, of_state, of_weights, _ = tangents
    outputs, last, (products, states) = _with_steps(update, reverse, loop, adds, *primals)
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
    of_last, of_outputs = lax.scan(body, of_state, steps, reverse=reverse, unroll=loop.unroll)
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
