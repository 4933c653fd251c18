"""Half precisions where XLA's CPU backend would keep a sum in them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jaxnets import ops
from jaxnets.lowering.precision import spread

ROWS = 20_000
SCALED = {
    "mul": (ops.mul, torch.mul),
    "add": (ops.add, torch.add),
    "where": (lambda x, b: ops.where(x > 0.5, x, b), lambda x, b: torch.where(x > 0.5, x, b)),
    "expand": (lambda x, b: ops.expand(b, x.shape), lambda x, b: b.expand(x.shape)),
    "addmm": (
        lambda x, b: ops.addmm(b, x, jnp.eye(3, dtype=x.dtype)),
        lambda x, b: torch.addmm(b, x, torch.eye(3).to(x)),
    ),
}


@pytest.mark.parametrize("name", SCALED)
def test_the_gradient_of_what_is_broadcast_is_summed_in_float32(name):
    ours, theirs = SCALED[name]
    x = np.random.default_rng(0).uniform(0, 1, (ROWS, 3)).astype(np.float32)
    b = torch.ones(3, dtype=torch.bfloat16, requires_grad=True)
    theirs(torch.tensor(x).bfloat16(), b).float().sum().backward()

    def total(b):
        return ours(jnp.asarray(x, jnp.bfloat16), b).astype(jnp.float32).sum()

    found = jax.jit(jax.grad(total))(jnp.ones(3, jnp.bfloat16))
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(found.astype(jnp.float32), b.grad.float(), rtol=0.02)


def test_spread_is_exact():
    x = jnp.asarray([[1.25], [jnp.inf], [-0.0]], jnp.float16)
    np.testing.assert_array_equal(spread(x, (2, 3, 4)), jnp.broadcast_to(x, (2, 3, 4)))
    assert spread(jnp.arange(3), (2, 3)).dtype == jnp.int32
