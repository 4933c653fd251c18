"""A recurrence gives the same numbers in every form of its inputs' products."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.functional.rnn import MODES
from jaxnets.lowering import recurrence
from jaxnets.lowering.choice import choose, only

NAMES = [form.name for form in recurrence.FORMS]


def results(form: str, cell: str, steps: int, reverse: bool, lengths: Any, dtype: Any) -> tuple[list[Any], str]:
    """Outputs, last state, gradients and tangents in a form, and what was traced."""
    mode = MODES[cell]
    draw = np.random.default_rng(0).standard_normal
    shapes = (steps, 3, 4), (mode.gates * 5, 4), (mode.gates * 5, 5), (mode.gates * 5,), (mode.gates * 5,)
    x, *weights = (jnp.asarray(draw(shape), dtype) for shape in shapes)
    state = tuple(jnp.asarray(draw((3, 5)), dtype) for _ in range(mode.states))
    run = partial(recurrence.recurrence.__wrapped__, mode.update, reverse=reverse, adds=mode.adds)

    def loss(x: Any, state: Any, weights: Any) -> Any:
        outputs, last = run(x, state, recurrence.Weights(*weights), lengths)
        return sum(jnp.sin(y).sum() for y in (outputs, *last)).astype(jnp.float32), (outputs, last)

    arrays = x, state, tuple(weights)
    with only(form):
        traced = str(jax.make_jaxpr(partial(loss))(*arrays))
        (_, found), gradients = jax.jit(jax.value_and_grad(partial(loss), (0, 1, 2), has_aux=True))(*arrays)
        tangents = jax.jit(lambda *t: jax.jvp(lambda *a: loss(*a)[1], arrays, t))(*arrays)
    return jax.tree.leaves((found, gradients, tangents)), traced


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("cell", "steps", "lengths"),
    [("LSTM", 19, None), ("LSTM", 16, [16, 3, 9]), ("GRU", 11, [11, 1, 8]), ("RNN_TANH", 8, None), ("LSTM", 1, None)],
)
def test_forms(cell, steps, lengths, reverse):
    """Of more steps than eight, of a multiple of eight, of eight, of one; sequences that end within a block."""
    lengths = None if lengths is None else jnp.asarray(lengths)
    expected, _ = results(NAMES[0], cell, steps, reverse, lengths, jnp.float32)
    for name in NAMES[1:]:
        found, _ = results(name, cell, steps, reverse, lengths, jnp.float32)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5, err_msg=name)


def test_forms_are_forms():
    traced = {results(name, "LSTM", 19, False, None, jnp.float32)[1] for name in NAMES}
    assert len(traced) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_half_precision_are_summed_in_single(name):
    """256 equal steps: sums from step to step in bfloat16 would stop at a fraction."""
    mode = MODES["RNN_RELU"]
    x, weight = jnp.ones((256, 1, 1), jnp.bfloat16), jnp.full((1, 1), 0.5, jnp.bfloat16)
    zero = jnp.zeros((1, 1), jnp.bfloat16)
    run = partial(recurrence.recurrence.__wrapped__, mode.update, adds=True)

    def loss(weight: Any) -> Any:
        return run(x, (zero,), recurrence.Weights(weight, zero))[0].sum(dtype=jnp.float32)

    with only(name):
        assert jax.grad(loss)(weight).item() == 256


def test_the_choice():
    def chosen(*shape: int) -> str:
        return choose(recurrence.FORMS, recurrence.Problem(*shape)).name

    assert chosen(1, 256, 256) == "all inputs at once"
    assert chosen(16, 512, 512) == "eight inputs at a time"
    assert chosen(16, 128, 128) == "inputs in turn"
