"""Losses of pairs and triplets: kinks, infinities, integers, distances, refusals, random calls against torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from against_torch import agrees
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxnets.functional as F
from jaxnets import nn

NAN, INF = np.nan, np.inf
SPECIAL = np.array([NAN, INF, -INF, 0.0, 1.0, -1.0, 0.5, 2.0])
ones = jnp.ones


@pytest.mark.parametrize("target", [1.0, -1.0, 0.0, 0.3])
def test_special_numbers(target):
    labels = np.full(8, target)
    agrees("margin_ranking_loss", [SPECIAL, np.zeros(8), labels], twice=False, margin=1.0, reduction="none")
    agrees("hinge_embedding_loss", [SPECIAL, (2 * labels).astype(int) // 2], twice=False, reduction="none")


def test_special_vectors():
    """Zeros, parallel vectors, a cosine right at the margin, a target that is neither 1 nor -1."""
    x1 = np.array([[1.0, 1], [1, 1], [1, 1], [1, 0], [0, 0], [0, 0], [1e-8, 0]])
    x2 = np.array([[2.0, 1], [1, 2], [1, 1], [0, 1], [1, 1], [0, 0], [1e-8, 1e-8]])
    for target in (np.array([1, -1, 0, -1, 1, -1, 1]), np.ones(7, int), -np.ones(7, int)):
        agrees("cosine_embedding_loss", [x1, x2, target], twice=False, reduction="none")


def test_triplets_right_at_the_margin():
    a, p, n = np.array([[0.0], [0.0], [0.0]]), np.array([[1.0], [0.5], [2.0]]), np.array([[2.0], [1.5], [-1.0]])
    for swap in (False, True):
        agrees("triplet_margin_loss", [a, p, n], twice=False, margin=1.0, eps=0.0, swap=swap, reduction="none")


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32"])
def test_integers(dtype):
    r = np.random.default_rng(0)
    a, b, c = (r.integers(0, 9, (4, 3)).astype(dtype) for _ in range(3))
    sign = np.array([1, 0, 1, 0]).astype(dtype)
    for name, arrays, arguments in (
        ("margin_ranking_loss", (a, b, c), {"margin": 0.5}),
        ("hinge_embedding_loss", (a, b), {"margin": 2.5, "reduction": "none"}),
        ("hinge_embedding_loss", (a, b), {"margin": 2.5, "reduction": "sum"}),
        ("cosine_embedding_loss", (a, b, sign), {"margin": 0.5}),
        ("triplet_margin_loss", (a, b, c), {}),
    ):
        wanted = getattr(torch.nn.functional, name)(*map(torch.tensor, arrays), **arguments)
        ours = getattr(F, name)(*map(jnp.asarray, arrays), **arguments)
        assert ours.dtype.kind == np.asarray(wanted).dtype.kind
        np.testing.assert_allclose(ours, wanted, rtol=1e-6)


def test_complex_triplets():
    r = np.random.default_rng(0)
    x = [r.normal(size=(4, 3)) + 1j * r.normal(size=(4, 3)) for _ in range(3)]
    wanted = torch.nn.functional.triplet_margin_loss(*map(torch.tensor, x))
    with jax.enable_x64(True):
        np.testing.assert_allclose(F.triplet_margin_loss(*map(jnp.asarray, x)), wanted, rtol=1e-12)


def test_distances():
    """A function, a lambda, a module with parameters; the default is a module as in torch."""
    r = np.random.default_rng(0)
    x = [r.normal(size=(4, 3)).astype(np.float32) for _ in range(3)]
    wanted = torch.nn.TripletMarginWithDistanceLoss()(*map(torch.tensor, x))
    loss = nn.TripletMarginWithDistanceLoss()
    assert isinstance(loss.distance_function, nn.PairwiseDistance)
    np.testing.assert_allclose(loss(*x), wanted, rtol=1e-6)
    np.testing.assert_allclose(nn.TripletMarginLoss()(*x), wanted, rtol=1e-6)
    far = nn.TripletMarginWithDistanceLoss(distance_function=lambda a, b: 1 - F.cosine_similarity(a, b), swap=True)
    theirs = torch.nn.TripletMarginWithDistanceLoss(
        distance_function=lambda a, b: 1 - torch.nn.functional.cosine_similarity(a, b), swap=True
    )
    np.testing.assert_allclose(jax.jit(far)(*x), theirs(*map(torch.tensor, x)), rtol=1e-6)
    learned = nn.TripletMarginWithDistanceLoss(distance_function=nn.Bilinear(3, 3, 1, rngs=nnx.Rngs(0)))
    slope = nnx.grad(lambda loss: loss(*map(jnp.asarray, x)))(learned)
    assert np.any(slope["distance_function"]["weight"][...])


def test_vmap_and_jit():
    r = np.random.default_rng(0)
    x = [jnp.asarray(r.normal(size=(4, 6, 3)).astype(np.float32)) for _ in range(3)]
    sign = jnp.asarray(r.integers(-1, 2, (4, 6)))
    for loss, inputs in (
        (nn.TripletMarginLoss(swap=True), x),
        (nn.CosineEmbeddingLoss(0.1), (*x[:2], sign)),
        (nn.MarginRankingLoss(0.1), x),
    ):
        mapped = jax.jit(jax.vmap(loss))(*inputs)
        np.testing.assert_allclose(mapped, [loss(*one) for one in zip(*inputs, strict=True)], rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.MarginRankingLoss(None), TypeError, "margin: expected a number, got None"),
        (
            lambda: F.margin_ranking_loss(ones((2, 3)), ones(3), ones((2, 3))),
            ValueError,
            r"input1, input2, target: expected as many axes, got shapes \(2, 3\), \(3,\), \(2, 3\)",
        ),
        (
            lambda: F.margin_ranking_loss(ones(2), ones(3), ones(2)),
            ValueError,
            "input1: expected shapes that broadcast",
        ),
        (
            lambda: F.margin_ranking_loss(ones(2, bool), ones(2), ones(2)),
            TypeError,
            "input1: expected numbers, got bool",
        ),
        (
            lambda: F.margin_ranking_loss(ones(2), ones(2), ones(2, jnp.complex64)),
            TypeError,
            "input: expected real numbers, got complex64",
        ),
        (lambda: F.hinge_embedding_loss(ones(2, bool), ones(2)), TypeError, "input: expected numbers, got bool"),
        (
            lambda: F.hinge_embedding_loss(ones(2, int), ones(2)),
            TypeError,
            "input: expected a floating dtype for reduction",
        ),
        (lambda: F.hinge_embedding_loss(ones(2), ones(3)), ValueError, "input: expected shapes that broadcast"),
        (
            lambda: F.cosine_embedding_loss(ones((2, 3)), ones((2, 3)), ones(())),
            ValueError,
            r"input1: expected 1 axes \(D,\), got 2 axes",
        ),
        (
            lambda: F.cosine_embedding_loss(ones((2, 3)), ones(3), ones(2)),
            ValueError,
            r"input2: expected 2 axes \(N, D\), got 1 axes",
        ),
        (
            lambda: F.cosine_embedding_loss(ones((2, 3)), ones((2, 3)), ones((2, 1))),
            ValueError,
            r"target: expected 0 axes \(\) or 1 axes \(N,\), got 2 axes",
        ),
        (
            lambda: F.cosine_embedding_loss(ones((2, 3)), ones((4, 3)), ones(2)),
            ValueError,
            "input1: expected shapes that broadcast",
        ),
        (lambda: nn.TripletMarginLoss(0), ValueError, "margin: expected a positive number, got 0"),
        (lambda: nn.TripletMarginLoss(swap=1), TypeError, "swap: expected True or False, got 1"),
        (
            lambda: nn.TripletMarginWithDistanceLoss(margin=-1.0),
            ValueError,
            "margin: expected a positive number, got -1.0",
        ),
        (
            lambda: nn.TripletMarginWithDistanceLoss(distance_function=2),
            TypeError,
            "distance_function: expected a function of two arrays, got 2",
        ),
        (
            lambda: F.triplet_margin_with_distance_loss(ones(2), ones(2), ones(2), distance_function="l1"),
            TypeError,
            "distance_function: expected a function of two arrays, got 'l1'",
        ),
        (
            lambda: F.triplet_margin_loss(ones((2, 3)), ones((2, 3)), ones(3)),
            ValueError,
            "anchor, positive, negative: expected as many axes",
        ),
        (lambda: F.triplet_margin_loss(ones(2, bool), ones(2), ones(2)), TypeError, "x1: expected numbers, got bool"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.data())
def test_random_calls(data):
    r = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    name = data.draw(st.sampled_from(["margin_ranking", "hinge_embedding", "cosine_embedding", "triplet_margin"]))
    vectors = name in ("cosine_embedding", "triplet_margin")
    shape = data.draw(st.sampled_from([(0, 2), (3, 2), (1, 1)] + [()] * (not vectors)))
    whole = data.draw(st.booleans())

    def draw():
        x = r.normal(r.choice([0, 1000]), 1, shape)
        return np.round(2 * x) / 2 if whole and not vectors else x

    arguments = {"reduction": data.draw(st.sampled_from(["none", "sum"] + ["mean"] * (0 not in shape)))}
    arguments["margin"] = data.draw(st.sampled_from([0.5, 1, 2.5]))
    arrays = [draw(), draw()]
    if name == "hinge_embedding":
        arrays = [arrays[0], r.integers(-1, 2, shape)]
    elif name == "cosine_embedding":
        arrays.append(r.integers(-1, 2, shape[:1]))
    else:
        arrays.append(draw())
    if name == "triplet_margin":
        arguments |= {"p": data.draw(st.sampled_from([1.0, 2, 3.5])), "swap": data.draw(st.booleans())}
    agrees(f"{name}_loss", arrays, twice=False, **arguments)
