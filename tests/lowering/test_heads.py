"""Attention head by head is attention: outputs, gradients, tangents, also mapped."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import functional as F
from jaxnets.lowering.choice import only

# shapes of query, key, value, of the mask, and further arguments
CASES: dict[str, tuple[list[tuple[int, ...]], tuple[int, ...] | None, dict[str, Any]]] = {
    "plain": ([(2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6)], None, {}),
    "one batch axis, causal": ([(3, 5, 4), (3, 5, 4), (3, 5, 4)], None, {"is_causal": True}),
    "axes that broadcast": ([(2, 1, 5, 4), (1, 3, 7, 4), (3, 7, 2)], None, {"scale": 0.3}),
    "one mask for all": ([(2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4)], (5, 7), {}),
    "a mask of keys": ([(2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4)], (2, 1, 1, 7), {}),
    "a mask for each head": ([(2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4)], (2, 3, 5, 7), {}),
    "grouped heads": ([(2, 6, 5, 4), (2, 2, 7, 4), (2, 3, 7, 4)], None, {"enable_gqa": True}),
    "grouped heads, causal, no batch": (
        [(6, 5, 4), (2, 5, 4), (1, 5, 4)],
        None,
        {"enable_gqa": True, "is_causal": True},
    ),
    "one head": ([(1, 5, 4), (1, 7, 4), (1, 7, 4)], None, {}),
    "no head": ([(0, 5, 4), (0, 7, 4), (0, 7, 4)], None, {}),
    "no key": ([(2, 5, 4), (2, 0, 4), (2, 0, 4)], None, {}),
}


def results(name: str, *, boolean: bool = False) -> tuple[list[Any], bool]:
    shapes, mask, options = CASES[name]
    draw = np.random.default_rng(0).standard_normal
    arrays = [jnp.asarray(draw(shape), jnp.float32) for shape in shapes]
    if mask:
        arrays.append(jnp.asarray(draw(mask) > 0) if boolean else jnp.asarray(draw(mask), jnp.float32))
    floating = tuple(i for i, x in enumerate(arrays) if x.dtype == jnp.float32)

    def output(*arrays: Any) -> Any:
        return F.scaled_dot_product_attention(*arrays, **options)

    def loss(*arrays: Any) -> Any:
        return jnp.sin(output(*arrays)).sum()

    gradient = jax.grad(loss, floating)
    one_more = [jnp.stack([x, x if x.dtype == bool else 2 * x]) for x in arrays]
    found = [
        jax.jit(partial(output))(*arrays),
        jax.jit(partial(gradient))(*arrays),
        jax.jit(jax.vmap(gradient))(*one_more),
    ]
    if not boolean:
        found.append(jax.jit(lambda *t: jax.jvp(gradient, tuple(arrays), t))(*arrays))
    return jax.tree.leaves(found), "scan" in str(jax.make_jaxpr(partial(output))(*arrays))


@pytest.mark.parametrize(("name", "boolean"), [*((name, False) for name in CASES), ("one mask for all", True)])
def test_head_by_head(name, boolean):
    expected, by_head = results(name, boolean=boolean)
    assert not by_head
    with only("head by head"):
        found, by_head = results(name, boolean=boolean)
    assert by_head == (name not in ("one head", "no head"))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_long_sequences_keep_no_scores_for_the_gradient():
    """The gradient of 16 heads of 1024 x 1024 scores, 64 MB in all, needs less than a quarter of them."""
    x = jnp.zeros((16, 1024, 8))
    compiled = jax.jit(jax.grad(lambda x: F.scaled_dot_product_attention(x, x, x).sum())).lower(x).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 16 << 20


def test_a_mesh_with_explicit_axes():
    mesh = jax.make_mesh((1,), ("batch",), axis_types=(jax.sharding.AxisType.Explicit,))
    x = jnp.ones((2, 3, 5, 4))
    with jax.set_mesh(mesh), only("head by head"):
        laid = jax.device_put(x, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch")))
        found = jax.jit(F.scaled_dot_product_attention)(laid, laid, laid)
    np.testing.assert_allclose(found, x, rtol=1e-6)
