"""Losses of classes with a margin: kinks, infinities, classes out of range, refusals, random calls against torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from against_torch import agrees
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxnets
import jaxnets.functional as F
from jaxnets import nn

NAN, INF = np.nan, np.inf
ones = jnp.ones
ROWS = np.array([[0.0, 1.0, -1.0, 0.5], [NAN, 0, 0, 0], [INF, 0, 0, 0], [0, INF, 0, -INF], [1, 0, 2, 1]])


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("label", [0, 1])
def test_special_numbers_of_classes(p, label):
    agrees("multi_margin_loss", [ROWS, np.full(5, label)], twice=False, p=p, reduction="none")


def test_special_numbers_of_labels():
    for label in ([0, -1, 0, 0], [1, 1, 3, -1], [-1, 0, 0, 0], [3, 2, 1, 0]):
        agrees("multilabel_margin_loss", [ROWS, np.tile(label, (5, 1))], twice=False, reduction="none")


@pytest.mark.parametrize("target", [1.0, -1.0, 0.0, 0.3, NAN])
def test_special_numbers_of_scores(target):
    x = np.array([NAN, INF, -INF, 0.0, 1.0, -800.0, 800.0])
    labels = torch.full((7,), target, dtype=torch.float64)
    theirs = torch.tensor(x, requires_grad=True)
    loss = torch.nn.functional.soft_margin_loss(theirs, labels, reduction="none")
    (slope,) = torch.autograd.grad(loss.sum(), theirs)
    with jax.enable_x64(True):
        ours, pull = jax.vjp(lambda x: F.soft_margin_loss(x, jnp.asarray(labels), reduction="none"), jnp.asarray(x))
        np.testing.assert_allclose(ours, loss.detach(), rtol=1e-12)
        np.testing.assert_allclose(pull(jnp.ones(7))[0], slope, rtol=1e-12)


def test_traced_classes_out_of_range_give_nan():
    x = ones((3, 4))
    loss = jax.jit(lambda t: F.multi_margin_loss(x, t, reduction="none"))(jnp.array([-1, 0, 4]))
    assert np.isnan(loss).tolist() == [True, False, True]
    labels = jnp.array([[0, -1, 4, 0], [0, -1, 3, 0], [-2, 0, 0, 0]])
    loss = jax.jit(lambda t: F.multilabel_margin_loss(x, t, reduction="none"))(labels)
    assert np.isnan(loss).tolist() == [True, False, True]


def test_second_derivatives():
    """Those of squares are the number of classes that count; torch has none to compare with."""
    x = jnp.array([[0.0, 0.5, -3.0]])
    hessian = jax.jit(jax.hessian(lambda x: F.multi_margin_loss(x, jnp.array([0]), 2)))(x).reshape(3, 3)
    np.testing.assert_allclose(hessian, np.array([[2, -2, 0], [-2, 2, 0], [0, 0, 0]]) / 3, rtol=1e-6)
    hessian = jax.jit(jax.hessian(lambda x: F.multilabel_margin_loss(x, jnp.array([[0, -1, 0]]))))(x)
    assert not np.any(hessian)


def test_all_pairs_of_classes_are_not_kept():
    """Memory grows with the classes, not with their square."""
    x, target = ones((1, 2000)), jnp.arange(2000)[None] - 1
    compiled = jax.jit(jax.grad(F.multilabel_margin_loss)).lower(x, target).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 2000 * 2000 / 4


def test_vmap_and_jit():
    r = np.random.default_rng(0)
    x = jnp.asarray(r.normal(size=(4, 6, 3)).astype(np.float32))
    classes, labels = jnp.asarray(r.integers(0, 3, (4, 6))), jnp.asarray(r.integers(-1, 3, (4, 6, 3)))
    for loss, target in ((nn.MultiMarginLoss(2), classes), (nn.MultiLabelMarginLoss(), labels)):
        mapped = jax.jit(jax.vmap(loss))(x, target)
        np.testing.assert_allclose(mapped, [loss(a, b) for a, b in zip(x, target, strict=True)], rtol=1e-6)
        slopes = jax.jit(jax.vmap(jax.grad(loss)))(x, target)
        np.testing.assert_allclose(slopes[1], jax.grad(loss)(x[1], target[1]), rtol=1e-5, atol=1e-6)


def test_the_class_weight_is_a_buffer():
    assert list(jaxnets.state_dict(nn.MultiMarginLoss(weight=ones(3)))) == ["weight"]
    assert list(jaxnets.state_dict(nn.MultiLabelSoftMarginLoss(np.ones(3)))) == ["weight"]
    assert list(jaxnets.state_dict(nn.MultiMarginLoss())) == []


classes = jnp.zeros(2, int)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.MultiMarginLoss(3), ValueError, "p: expected 1 or 2, got 3"),
        (lambda: nn.MultiMarginLoss("1"), ValueError, "p: expected 1 or 2, got '1'"),
        (lambda: nn.MultiMarginLoss(margin="1"), TypeError, "margin: expected a number, got '1'"),
        (lambda: nn.MultiMarginLoss(weight=ones((1, 3))), ValueError, r"weight: expected 1 axes \(C,\), got 2 axes"),
        (
            lambda: F.multi_margin_loss(ones((2, 3)), classes, weight=ones(2)),
            ValueError,
            r"weight: expected shape \(3,\), one for each class, got \(2,\)",
        ),
        (
            lambda: F.multi_margin_loss(ones((2, 3)), classes, weight=ones(3, jnp.bfloat16)),
            TypeError,
            "input is float32 but weight is bfloat16",
        ),
        (
            lambda: F.multi_margin_loss(ones((2, 3)), classes[:1]),
            ValueError,
            r"target: expected shape \(2,\) for input of shape \(2, 3\), got \(1,\)",
        ),
        (
            lambda: F.multi_margin_loss(ones((2, 3)), classes + 3),
            ValueError,
            "target: expected classes from 0 to 2, got 3",
        ),
        (
            lambda: F.multi_margin_loss(ones((2, 3)), classes - 1),
            ValueError,
            "target: expected classes from 0 to 2, got -1",
        ),
        (
            lambda: F.multi_margin_loss(ones((2, 3)), ones(2)),
            TypeError,
            "target: expected classes of dtype int64 or int32",
        ),
        (
            lambda: F.multi_margin_loss(ones((2, 3), int), classes),
            TypeError,
            "input: expected a floating dtype, got int",
        ),
        (lambda: F.multi_margin_loss(ones((2, 0)), classes), ValueError, "input: expected at least one class"),
        (lambda: F.multi_margin_loss(ones((2, 3, 4)), classes), ValueError, r"input: expected .* 2 axes \(N, C\)"),
        (
            lambda: F.multilabel_margin_loss(ones((1, 2)), classes),
            ValueError,
            r"target: expected the shape of input, \(1, 2\), got \(2,\)",
        ),
        (
            lambda: F.multilabel_margin_loss(ones(2), classes + 2),
            ValueError,
            "target: expected classes from -1 to 1, got 2",
        ),
        (lambda: F.soft_margin_loss(ones(2, int), ones(2)), TypeError, "input: expected a floating dtype, got int"),
        (
            lambda: F.soft_margin_loss(ones((2, 1)), ones((2, 3))),
            ValueError,
            r"target: expected a shape that broadcasts to that of input, \(2, 1\), got \(2, 3\)",
        ),
        (
            lambda: F.multilabel_soft_margin_loss(ones(()), ones(())),
            ValueError,
            "input: expected labels on the last axis",
        ),
        (
            lambda: F.multilabel_soft_margin_loss(ones(2), ones(2, bool)),
            TypeError,
            "target: expected numbers, got bool",
        ),
        (
            lambda: F.multilabel_soft_margin_loss(ones((2, 3)), ones((2, 3)), ones(2)),
            ValueError,
            "input: expected shapes that broadcast",
        ),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.data())
def test_random_calls(data):
    names = ("soft_margin_loss", "multilabel_soft_margin_loss", "multi_margin_loss", "multilabel_margin_loss")
    name = data.draw(st.sampled_from(names))
    size = data.draw(st.integers(1, 4))
    shape = data.draw(st.sampled_from([(size,), (0, size), (1, size), (3, size)]))
    r = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    x = r.normal(r.choice([0, 1000]), r.choice([0.5, 5]), shape)
    x = np.round(2 * x) / 2 if data.draw(st.booleans()) else x
    arguments = {"reduction": data.draw(st.sampled_from(["none", "sum"] + ["mean"] * (0 not in shape)))}
    if name == "multi_margin_loss":
        target = r.integers(0, size, shape[:-1])
        arguments |= {"p": data.draw(st.sampled_from([1, 2])), "margin": data.draw(st.sampled_from([1.0, -0.5, 3]))}
    elif name == "multilabel_margin_loss":
        target = r.integers(-1, size, shape)
    else:
        x, target = np.clip(x, -50, 50), r.integers(-1, 2, shape)
    agrees(name, [x, target], twice="soft" in name, **arguments)
