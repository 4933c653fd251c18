"""Embedding: rows, padding, renormalisation, frozen tables, indices out of range, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxnets
import jaxnets.functional as F
from jaxnets import nn


def embedding(*arguments, **settings):
    return nn.Embedding(*arguments, **settings, rngs=nnx.Rngs(0))


def test_the_printed_rows():
    """Seed system E9."""
    layer = nn.Embedding(4, 5, _weight=jnp.arange(20.0).reshape(4, 5))
    rows = layer(jnp.array([3, 2, 1]))
    assert rows.tolist() == [[15, 16, 17, 18, 19], [10, 11, 12, 13, 14], [5, 6, 7, 8, 9]]


def test_the_first_table_is_standard_normal():
    """10,000 numbers: mean and variance within 5 standard errors, and the padding row is zeros."""
    weight = np.asarray(embedding(100, 100, -1).weight[...])
    assert (weight[99] == 0).all()
    drawn = weight[:99]
    assert abs(drawn.mean()) < 5 / np.sqrt(drawn.size)
    assert abs(drawn.var() - 1) < 5 * np.sqrt(2 / drawn.size)


def test_max_norm_changes_the_table_of_the_layer():
    theirs = torch.nn.Embedding(6, 4, max_norm=1.0, scale_grad_by_freq=True, padding_idx=2)
    ours = embedding(6, 4, 2, 1.0, scale_grad_by_freq=True)
    jaxnets.load_state_dict(ours, theirs.state_dict())
    indices = np.array([[1, 1, 2], [5, 1, 0]])
    direction = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)

    def loss(layer):
        return (layer(indices) * direction).sum()

    gradient = nnx.jit(nnx.grad(loss))(ours)
    (theirs(torch.tensor(indices)) * torch.tensor(direction)).sum().backward()
    np.testing.assert_allclose(ours.weight[...], theirs.weight.detach(), rtol=1e-6)
    np.testing.assert_allclose(gradient.weight[...], theirs.weight.grad, rtol=1e-6)
    assert isinstance(ours.weight, nnx.Param)


def test_the_function_leaves_the_table():
    weight = jnp.full((3, 4), 2.0)
    rows = F.embedding(jnp.array([1]), weight, max_norm=1.0)
    np.testing.assert_allclose(jnp.linalg.norm(rows), 1, rtol=1e-5)
    assert (weight == 2).all()
    table = F.renormalised(jnp.array([1]), weight, 1.0)
    np.testing.assert_allclose(jnp.linalg.norm(table, axis=1), [4, 1, 4], rtol=1e-5)


def test_a_frozen_table_gets_no_gradient():
    layer = nn.Embedding.from_pretrained(jnp.ones((3, 2)))
    gradient = nnx.grad(lambda layer: layer(jnp.array([1])).sum())(layer)
    assert (gradient.weight[...] == 0).all()
    assert layer.weight.get_metadata("requires_grad") is False
    free = nn.Embedding.from_pretrained(jnp.ones((3, 2)), freeze=False, padding_idx=0)
    gradient = nnx.grad(lambda layer: layer(jnp.array([0, 1])).sum())(free)
    assert gradient.weight[...].tolist() == [[0, 0], [1, 1], [0, 0]]
    assert (free.weight[...] == 1).all(), "a given table keeps its padding row"


def test_traced_indices_out_of_range_give_nan():
    weight = jnp.ones((3, 2))
    rows = jax.jit(F.embedding)(jnp.array([-1, 0, 3]), weight)
    assert np.isnan(rows).all(1).tolist() == [True, False, True]
    outside = jnp.array([-1, 0, 3])
    with pytest.raises(ValueError, match="input: expected indices from 0 to 2, got -1"):
        jax.jit(jax.grad(lambda w: F.embedding(outside, w).sum()))(weight)  # known while it is traced
    pulled = jax.jit(lambda i, w: jax.grad(lambda w: F.embedding(i, w).sum())(w))(outside, weight)
    assert pulled.tolist() == [[1, 1], [0, 0], [0, 0]]
    table = jax.jit(lambda i, w: F.renormalised(i, w, 1.0))(outside, weight)
    np.testing.assert_allclose(jnp.linalg.norm(table, axis=1), np.sqrt([1, 2, 2]), rtol=1e-6)


def test_many_indices_are_counted_in_half_precision():
    """bfloat16 cannot count beyond 256."""
    indices = jnp.zeros(1000, jnp.int32)
    weight = jnp.ones((2, 1), jnp.bfloat16)
    source = jax.jvp(lambda w: F.embedding(indices, w, scale_grad_by_freq=True), (weight,), (weight,))[1]
    np.testing.assert_allclose(source.astype(jnp.float32), 1e-3, rtol=1e-2)


def test_second_derivatives_and_vmap():
    weight = jnp.asarray(np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32))
    indices = jnp.array([[0, 1, 1], [3, 3, 3]])

    def look(i, w):
        return F.embedding(i, w, 0, scale_grad_by_freq=True)

    np.testing.assert_allclose(jax.vmap(look, (0, None))(indices, weight), look(indices, weight))
    hessian = jax.hessian(lambda w: (look(indices[0], w) ** 2).sum())(weight)
    assert np.isfinite(hessian).all()


def test_dtypes():
    assert embedding(3, 2, dtype=jnp.bfloat16)(jnp.array([0])).dtype == jnp.bfloat16
    assert F.embedding(jnp.array(1), jnp.arange(6).reshape(3, 2)).tolist() == [2, 3]
    with jax.enable_x64(True):
        assert embedding(3, 2)(jnp.array([0], jnp.int64)).shape == (1, 2)


def test_attributes():
    ours, theirs = embedding(5, 3, -2, 1.0, 1.0, True, True), torch.nn.Embedding(5, 3, -2, 1.0, 1.0, True, True)
    for name in theirs.__constants__:
        assert getattr(ours, name) == getattr(theirs, name)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: embedding(4, 2)(jnp.array([4])), ValueError, "input: expected indices from 0 to 3, got 4"),
        (
            lambda: embedding(4, 2, max_norm=1.0)(jnp.array([-1])),
            ValueError,
            "input: expected indices from 0 to 3, got -1",
        ),
        (
            lambda: embedding(4, 2)(jnp.array([1.0])),
            TypeError,
            "input: expected indices of dtype int32 or int64, got float32",
        ),
        (
            lambda: embedding(4, 2)(jnp.array([1], jnp.uint8)),
            TypeError,
            "input: expected indices of dtype int32 or int64",
        ),
        (lambda: embedding(4, 2, 4), ValueError, "padding_idx: expected a row from -4 to 3, got 4"),
        (lambda: embedding(4, 2, -5), ValueError, "padding_idx: expected a row from -4 to 3, got -5"),
        (lambda: embedding(-1, 2), ValueError, "num_embeddings: expected an int of at least 0, got -1"),
        (lambda: nn.Embedding(4, 2), ValueError, "rngs: expected flax.nnx.Rngs to draw the table, got None"),
        (
            lambda: nn.Embedding(4, 2, _weight=jnp.ones((3, 2))),
            ValueError,
            r"_weight: expected shape \(4, 2\), got \(3, 2\)",
        ),
        (lambda: nn.Embedding(1, 2, _weight=jnp.ones((1, 2), int)), TypeError, "dtype: expected a floating"),
        (lambda: nn.Embedding.from_pretrained(jnp.ones(3)), ValueError, "embeddings: expected 2 axes"),
        (lambda: F.embedding(jnp.array([1]), jnp.ones(3)), ValueError, "weight: expected 2 axes"),
        (
            lambda: F.embedding(jnp.array([1]), jnp.ones((3, 2)), 3),
            ValueError,
            "padding_idx: expected a row from -3 to 2",
        ),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
