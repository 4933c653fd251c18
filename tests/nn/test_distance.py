"""Cosine similarity and distances: gradients where norms have none, dtypes, the order of pairs, refusals."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxnets.functional as F
from jaxnets import nn
from jaxnets.functional.distance import vector_norm

ones, zeros = jnp.ones, jnp.zeros
INF = math.inf
P = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, INF)


def agrees(ours, theirs, arrays, **bounds):
    """Outputs and gradients in float64."""
    tensors = [torch.tensor(a, requires_grad=a.dtype == np.float64) for a in arrays]
    expected = theirs(*tensors)
    with jax.enable_x64(True):
        floating = [i for i, a in enumerate(arrays) if a.dtype == np.float64]

        def called(*chosen):
            given_arrays = [jnp.asarray(a) for a in arrays]
            for i, x in zip(floating, chosen, strict=True):
                given_arrays[i] = x
            return ours(*given_arrays)

        y, pullback = jax.vjp(called, *(jnp.asarray(arrays[i]) for i in floating))
        np.testing.assert_allclose(y, expected.detach(), **bounds)
        if expected.requires_grad:
            direction = np.random.default_rng(1).normal(size=tuple(expected.shape))
            expected.backward(torch.tensor(direction))
            for mine, i in zip(pullback(jnp.asarray(direction)), floating, strict=True):
                grad = tensors[i].grad
                np.testing.assert_allclose(mine, np.zeros(mine.shape) if grad is None else grad, **bounds)


@pytest.mark.parametrize("p", [*P, -1.0, -INF])
def test_norms_at_zeros_and_ties(p):
    x = np.array([[0.0, 0.0, 0.0], [2.0, -2.0, 1.0], [0.0, 3.0, 0.0], [np.nan, 1.0, 2.0]])[: 3 if p == 0 else 4]
    agrees(lambda x: vector_norm(x, p, 1), lambda x: torch.linalg.vector_norm(x, p, 1, keepdim=True), [x], rtol=1e-12)


@pytest.mark.parametrize("p", P)
def test_pairs_that_coincide_or_tie(p):
    x = np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 0.0], [3.0, 2.0], [3.0, 4.0]])
    agrees(lambda x: F.pdist(x, p), lambda x: torch.pdist(x, p), [x], rtol=1e-12, atol=1e-14)


def test_pairs_in_order():
    x = jnp.arange(6.0)[:, None] ** 2
    wanted = [abs(i * i - j * j) for i in range(6) for j in range(i + 1, 6)]
    np.testing.assert_allclose(F.pdist(x), wanted)
    assert [F.pdist(zeros(shape)).shape for shape in ((0, 2), (1, 2), (3, 0))] == [(0,), (0,), (3,)]
    gradient = jax.jit(jax.grad(lambda x: F.pdist(x).sum()))(zeros((0, 2)))
    assert gradient.shape == (0, 2)


def test_pairs_have_second_derivatives():
    x = np.random.default_rng(0).normal(size=(3, 2))
    with jax.enable_x64(True):
        ours = jax.hessian(lambda x: (F.pdist(x) ** 3).sum())(jnp.asarray(x))

    def composed(x):
        return sum(torch.linalg.vector_norm(x[i] - x[j]) ** 3 for i in range(3) for j in range(i + 1, 3))

    np.testing.assert_allclose(ours, torch.autograd.functional.hessian(composed, torch.tensor(x)), rtol=1e-10)


def test_the_graph_of_all_pairs_does_not_grow():
    sizes = [str(jax.make_jaxpr(F.pdist)(zeros((n, 3)))).count(" = ") for n in (4, 400)]
    assert sizes[0] == sizes[1]


def test_cosine_of_short_vectors():
    """Below eps the norm is replaced, but not its derivative."""
    x, y = np.full((2, 3), 1e-3), np.random.default_rng(0).normal(size=(2, 3))
    x[1] = 0
    agrees(
        lambda x, y: F.cosine_similarity(x, y, eps=0.1),
        lambda x, y: torch.cosine_similarity(x, y, eps=0.1),
        [x, y],
        rtol=1e-12,
        atol=1e-14,
    )


@pytest.mark.parametrize("dtype", ["int32", "bfloat16", "float16", "bool"])
def test_cosine_promotes(dtype):
    x = jnp.arange(6).reshape(2, 3).astype(dtype)
    assert F.cosine_similarity(x, ones((2, 3))).dtype == jnp.float32


def test_distance_promotes_and_takes_whole_and_complex_numbers():
    x = jnp.arange(6).reshape(2, 3)
    assert F.pairwise_distance(x, x[::-1], eps=0.0).tolist() == pytest.approx([math.sqrt(27)] * 2)
    assert F.pairwise_distance(x, ones((2, 3), jnp.bfloat16)).dtype == jnp.bfloat16
    z = F.pairwise_distance(ones(2, jnp.complex64) * (3 + 4j), zeros(2, jnp.complex64), p=1, eps=0.0)
    assert (z.dtype, z.item()) == (jnp.float32, 10)


def test_layers_hold_torchs_attributes_and_map():
    layer = nn.PairwiseDistance(3, keepdim=True)
    assert (layer.norm, layer.eps, layer.keepdim) == (3.0, 1e-6, True)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32))
    np.testing.assert_allclose(jax.vmap(layer)(x, x[::-1]), layer(x, x[::-1]), rtol=1e-6)
    cosine = nn.CosineSimilarity(-1, 1e-3)
    assert (cosine.dim, cosine.eps) == (-1, 1e-3)
    np.testing.assert_allclose(jax.vmap(cosine)(x, x[::-1]), cosine(x, x[::-1]), rtol=1e-6)


@given(
    shape=st.lists(st.integers(0, 3), max_size=3).map(tuple),
    other=st.sampled_from(["same", "batch", "last"]),
    p=st.sampled_from([*P, -1.0]),
    eps=st.sampled_from([0.0, 1e-6, 0.5]),
    keepdim=st.booleans(),
    values=st.sampled_from(["normal", "whole", "far", "nan"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_distance(shape, other, p, eps, keepdim, values, seed):
    """Distances and their gradients are torch's, at ties and zeros too; both refuse the same."""
    rng = np.random.default_rng(seed)

    def draw(shape):
        x = rng.normal(1e6 if values == "far" else 0.0, 1.0, shape)
        x = np.round(x) if values == "whole" else x
        return np.where(rng.uniform(size=shape) < 0.2, np.nan, x) if values == "nan" else np.asarray(x)

    x = draw(shape)
    y = draw({"same": shape, "batch": shape[1:], "last": (*shape[:-1], 1) if shape else shape}[other])
    arguments = p, eps, keepdim
    try:
        torch.nn.functional.pairwise_distance(torch.tensor(x), torch.tensor(y), *arguments)
    except RuntimeError:
        with pytest.raises(ValueError, match=r"expected (entries|a shape that broadcasts)"):
            F.pairwise_distance(jnp.asarray(x), jnp.asarray(y), *arguments)
        return
    agrees(
        lambda x, y: F.pairwise_distance(x, y, *arguments),
        lambda x, y: torch.nn.functional.pairwise_distance(x, y, *arguments),
        [x, y],
        rtol=1e-9,
        atol=1e-12,
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.cosine_similarity(ones((2, 3), int), ones((2, 3), int)), TypeError, "x1: expected a floating dtype"),
        (lambda: F.cosine_similarity(ones(3), ones(3)), ValueError, "dim: expected an axis from -1 to 0, got 1"),
        (lambda: F.cosine_similarity(ones((2, 3)), ones((4, 3))), ValueError, r"x2: expected a shape that broadcasts"),
        (lambda: nn.CosineSimilarity(1.0), TypeError, "dim: expected an int, got 1.0"),
        (lambda: nn.CosineSimilarity(1, "a"), TypeError, "eps: expected a number, got 'a'"),
        (lambda: F.pairwise_distance(ones((2, 2)), ones((2, 3))), ValueError, "x2: expected a shape that broadcasts"),
        (lambda: F.pairwise_distance(ones(2, bool), ones(2)), TypeError, "x1: expected numbers, got bool"),
        (lambda: F.pairwise_distance(ones((2, 0)), ones((2, 0)), INF), ValueError, "expected entries on axis 1"),
        (lambda: nn.PairwiseDistance("a"), TypeError, "p: expected a number, got 'a'"),
        (lambda: nn.PairwiseDistance(keepdim=1), TypeError, "keepdim: expected True or False, got 1"),
        (lambda: F.pdist(ones(3)), ValueError, r"input: expected 2 axes \(N, M\), got 1 axes"),
        (lambda: F.pdist(ones((3, 2)), -1), ValueError, "p: expected a number of at least 0, got -1"),
        (lambda: F.pdist(ones((3, 2)), math.nan), ValueError, "p: expected a number of at least 0, got nan"),
        (lambda: F.pdist(ones((3, 2), jnp.bfloat16)), TypeError, "input: expected float32 or float64, got bfloat16"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
