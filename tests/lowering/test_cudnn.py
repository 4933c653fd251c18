"""cuDNN's LSTM is two calls that JAX cannot look into; what stands around them is judged here, in their place the scan."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.functional.rnn import MODES
from jaxnets.lowering import cudnn
from jaxnets.lowering.recurrence import Weights, step_by_step

UPDATE = MODES["LSTM"].update
T, N, I, H = 7, 3, 5, 4  # noqa: E741


@pytest.fixture(autouse=True)
def wide():
    with jax.enable_x64(True):
        yield


def arrays():
    rng = np.random.default_rng(0)

    def draw(*shape):
        return jnp.asarray(rng.normal(0.1, 0.5, shape))

    weights = Weights(draw(4 * H, I), draw(4 * H, H), draw(4 * H), draw(4 * H))
    return draw(T, N, I), (draw(N, H), draw(N, H)), weights


def loss(run):
    return lambda *arrays: sum(jnp.sum(jnp.sin(1.3 * y)) for y in jax.tree.leaves(run(*arrays)))


def gradients(run):
    return jax.grad(loss(run), argnums=(0, 1, 2))


def square(run):
    return lambda *arrays: sum(jnp.sum(y**2) for y in jax.tree.leaves(run(*arrays)))


def along(run):
    return lambda *arrays: jax.jvp(run, arrays, jax.tree.map(jnp.cos, arrays))


def over_inputs(run):
    return lambda x, *rest: jax.vmap(run, (0, None, None))(jnp.stack([x, 2 * x]), *rest)


WAYS = {
    "forward": lambda run: run,
    "tangent": along,
    "gradient": gradients,
    "gradient of a checkpoint": lambda run: gradients(jax.checkpoint(run)),
    "gradient of the gradient": lambda run: jax.grad(square(gradients(run)), argnums=(0, 1, 2)),
    "tangent of the gradient": lambda run: along(gradients(run)),
    "gradient of the tangent": lambda run: gradients(along(run)),
    "vmap": over_inputs,
    "gradient of vmap": lambda run: gradients(over_inputs(run)),
    "vmap of the gradient": lambda run: over_inputs(gradients(run)),
    "reverse Jacobian": lambda run: jax.jacrev(run, argnums=(0, 2)),
    "forward Jacobian": lambda run: jax.jacfwd(run, argnums=(0, 2)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, (7, 3, 1)])
def test_it_is_the_scan_under_every_transformation(way, reverse, lengths):
    lengths = None if lengths is None else jnp.asarray(lengths)

    def by_cudnn(*arrays):
        return cudnn.lstm(UPDATE, reverse, *arrays, lengths)

    def by_scan(*arrays):
        return step_by_step(UPDATE, reverse, T, *arrays, lengths)

    found = jax.jit(WAYS[way](by_cudnn))(*arrays())
    expected = jax.jit(WAYS[way](by_scan))(*arrays())
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-11), found, expected)


def test_the_gradient_is_one_call():
    program = str(jax.make_jaxpr(gradients(lambda *arrays: cudnn.lstm(UPDATE, False, *arrays, None)))(*arrays()))
    assert program.count("lstm_gradient[") == 1
    assert "scan[" not in program


def test_without_biases():
    x, state, weights = arrays()
    weights = weights._replace(bias_ih=None, bias_hh=None)
    found = jax.jit(gradients(lambda *arrays: cudnn.lstm(UPDATE, False, *arrays, None)))(x, state, weights)
    expected = jax.jit(gradients(lambda *arrays: step_by_step(UPDATE, False, T, *arrays, None)))(x, state, weights)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10), found, expected)


def test_it_is_not_asked_where_there_is_no_gpu():
    x, _, weights = arrays()
    assert not cudnn.has_lstm(x.astype(jnp.float32), weights)
