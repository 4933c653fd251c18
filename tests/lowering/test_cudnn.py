"""cuDNN's attention is two calls that JAX cannot look into: what stands around them is judged everywhere, with the
formula in their place, and they themselves where there is a GPU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import functional as F
from jaxnets.functional.attention import _Attention
from jaxnets.lowering import cudnn
from jaxnets.lowering.choice import only

HAS_CUDNN = cudnn.has_attention(*[jnp.zeros((1, 1, 8, 8), jnp.bfloat16)] * 3)


@pytest.fixture
def wide():
    """Double precision, on a CPU: that is where the formula stands."""
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        yield


def arrays(query=(2, 4, 5, 8), key=(2, 2, 7, 8), dtype=jnp.float64):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.standard_normal(shape), dtype) for shape in (query, key, key)]


def gradients(run):
    return jax.grad(lambda *arrays: jnp.sum(jnp.sin(1.3 * run(*arrays))), argnums=(0, 1, 2))


def square(run):
    return lambda *arrays: sum(jnp.sum(y**2) for y in jax.tree.leaves(run(*arrays)))


def along(run):
    return lambda *arrays: jax.jvp(run, arrays, jax.tree.map(jnp.cos, arrays))


def over(axes):
    def batched(run):
        def stacked(*arrays):
            stacks = [
                x if axis is None else jnp.stack([x, 2 * x, x - 1], axis) for x, axis in zip(arrays, axes, strict=True)
            ]
            return jax.vmap(run, axes)(*stacks)

        return stacked

    return batched


WAYS = {
    "forward": lambda run: run,
    "tangent": along,
    "gradient": gradients,
    "gradient of a checkpoint": lambda run: gradients(jax.checkpoint(run)),
    "gradient of the gradient": lambda run: jax.grad(square(gradients(run)), argnums=(0, 1, 2)),
    "tangent of the gradient": lambda run: along(gradients(run)),
    "gradient of the tangent": lambda run: jax.grad(square(along(run)), argnums=(0, 1, 2)),
    "vmap": over((0, 1, 2)),
    "vmap over queries": over((1, None, None)),
    "gradient of vmap": lambda run: jax.grad(square(over((0, None, 3))(run)), argnums=(0, 1, 2)),
    "vmap of the gradient": lambda run: over((2, 0, None))(gradients(run)),
    "vmap of vmap": lambda run: over((None, 0, None))(over((0, None, 1))(run)),
    "reverse Jacobian": lambda run: jax.jacrev(run, argnums=(0, 2)),
    "forward Jacobian": lambda run: jax.jacfwd(run, argnums=(0, 2)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("is_causal", [False, True])
def test_it_is_the_formula_under_every_transformation(way, is_causal, wide):
    formula = _Attention(is_causal, 0.3)

    def in_cudnn(*arrays):
        return cudnn.attention(formula, *arrays)

    def plain(*arrays):
        return formula(*arrays, None)

    found, expected = (jax.jit(WAYS[way](run))(*arrays()) for run in (in_cudnn, plain))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-11), found, expected)


def test_the_gradient_is_one_call():
    small = arrays(dtype=jnp.float32)
    program = str(jax.make_jaxpr(gradients(lambda *arrays: cudnn.attention(_Attention(True, 0.3), *arrays)))(*small))
    assert program.count("attention_gradient[") == 1
    assert "exp " not in program


@pytest.fixture
def as_on_cuda(monkeypatch):
    """What JAX asks of a GPU and of cuDNN before it lowers a call."""
    monkeypatch.setattr(cudnn, "has_attention", lambda *arrays: True)
    theirs = "jax._src.cudnn.fused_attention_stablehlo."
    monkeypatch.setattr(theirs + "check_cudnn_version", lambda: 91000)
    monkeypatch.setattr(theirs + "check_compute_capability", lambda capability: True)
    monkeypatch.setattr(theirs + "is_cuda_compute_capability_equal", lambda capability: False)


def test_it_is_lowered_for_cuda_wherever_that_is_done(as_on_cuda):
    def both(*arrays):
        output, pull = jax.vjp(lambda *arrays: F.scaled_dot_product_attention(*arrays, is_causal=True), *arrays)
        return output, pull(output)

    given = arrays((2, 4, 256, 64), (2, 4, 256, 64), jnp.bfloat16)
    program = jax.jit(both).trace(*given).lower(lowering_platforms=("cuda",)).as_text()
    forward, backward = program.count("@__cudnn$fmhaSoftmax("), program.count("@__cudnn$fmhaSoftmaxBackward(")
    assert (forward, backward) == (2, 1)  # the two are one to XLA
    assert "256x256" not in program


def test_what_is_exported_has_the_formula(as_on_cuda):
    given = arrays((2, 4, 256, 64), (2, 4, 256, 64), jnp.bfloat16)
    program = jax.export.export(jax.jit(F.scaled_dot_product_attention), platforms=["cuda"])(*given)
    assert "fmha" not in program.mlir_module()


SHAPES = {
    "one head": ((5, 8), (7, 8), (7, 8)),
    "heads of batches": ((2, 3, 4, 5, 8), (2, 3, 4, 7, 8), (2, 3, 4, 7, 8)),
    "keys for all of a batch": ((2, 3, 4, 5, 8), (4, 7, 8), (4, 7, 8)),
    "keys and values of one head": ((3, 4, 5, 8), (3, 1, 7, 8), (1, 7, 8)),
    "queries for all": ((5, 8), (3, 4, 7, 8), (3, 4, 7, 8)),
}


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
def test_leading_axes_of_every_kind(shapes, wide, monkeypatch):
    monkeypatch.setattr(cudnn, "has_attention", lambda *arrays: True)
    rng = np.random.default_rng(1)
    arrays = [jnp.asarray(rng.standard_normal(shape)) for shape in shapes]
    expected = F.scaled_dot_product_attention(*arrays)
    with only("in cuDNN"):
        program = str(jax.make_jaxpr(lambda *arrays: F.scaled_dot_product_attention(*arrays))(*arrays))
        found = F.scaled_dot_product_attention(*arrays)
    assert " attention[" in program
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_it_is_not_asked_for_what_it_has_not():
    def has(dtype=jnp.bfloat16, size=64, values=64):
        shapes = (2, 4, 256, size), (2, 4, 256, size), (2, 4, 256, values)
        return cudnn.has_attention(*(jnp.zeros(shape, dtype) for shape in shapes))

    assert has() is HAS_CUDNN
    assert not has(jnp.float32)
    assert not has(size=60, values=60)
    assert not has(size=192, values=192)
    assert not has(values=32)


LENGTHS = {
    "64": ((4, 3, 64, 64), (4, 3, 64, 64)),
    "197": ((2, 3, 197, 64), (2, 3, 197, 64)),
    "odd lengths": ((1, 2, 301, 40), (1, 2, 77, 40)),
    "few queries": ((2, 2, 3, 128), (2, 2, 2001, 128)),
    "few keys": ((2, 2, 2001, 16), (2, 2, 9, 16)),
    "one query": ((2, 2, 1, 64), (2, 2, 20000, 64)),
    "heads of 8": ((2, 2, 128, 8), (2, 2, 128, 8)),
    "served by fewer heads": ((2, 8, 256, 64), (2, 2, 256, 64)),
    "many": ((64, 12, 128, 32), (64, 12, 128, 32)),
    "long": ((1, 2, 2048, 128), (1, 2, 2048, 128)),
}


@pytest.mark.skipif(not HAS_CUDNN, reason="cuDNN's own numbers need a GPU")
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("shapes", LENGTHS.values(), ids=LENGTHS)
def test_its_numbers_are_the_formulas(shapes, is_causal, dtype):
    query, key = shapes
    given = arrays(query, key, dtype)

    def run(*arrays):
        with only("in cuDNN"):
            return F.scaled_dot_product_attention(*arrays, is_causal=is_causal, enable_gqa=query[1] != key[1])

    def both(*arrays):
        output, pull = jax.vjp(run, *arrays)
        return output, *pull(jnp.cos(output))

    assert "fmha" in jax.jit(both).lower(*given).as_text()
    with jax.default_matmul_precision("highest"):
        expected = jax.jit(both)(*(x.astype(jnp.float32) for x in given))
    bound = 0.03 if dtype == jnp.bfloat16 else 0.004
    for found, right in zip(jax.jit(both)(*given), expected, strict=True):
        assert found.dtype == dtype
        error = jnp.abs(found.astype(jnp.float32) - right).max() / jnp.maximum(jnp.abs(right).max(), 0.1)
        assert error < bound, error
