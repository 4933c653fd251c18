"""What stands around the gradient of pooling in a compiled program."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import pytest

from jaxnets import functional as F


@pytest.mark.parametrize(
    "pool", [partial(F.avg_pool2d, kernel_size=2), partial(F.max_pool2d, kernel_size=3, stride=2, padding=1)]
)
def test_what_makes_the_gradient_of_the_output_is_computed_once_for_each_window(pool: Callable[..., jax.Array]):
    """In one loop with the places of the plane it would be computed for each place that a window has."""
    step = jax.jit(jax.grad(lambda x: jnp.sin(pool(x)).sum()))
    program = step.lower(jnp.zeros((1, 2, 8, 8))).compile().as_text()
    computations = program.split("\n\n")
    with_places, with_cosine = ({c for c in computations if word in c} for word in ("concatenate(", "cosine("))
    assert with_places
    assert with_cosine
    assert not with_places & with_cosine
