"""Losses of classes: printed numbers, divisors, ends of the range, old arguments, refusals."""

from contextlib import nullcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxnets
import jaxnets.functional as F
from jaxnets import nn

SCORE = [[1.0592, 1.4730], [-0.1558, -0.8712], [0.2548, 0.0817]]
LABEL = [1, 0, 1]


def test_the_printed_loss():
    """Seed system E10."""
    assert round(nn.CrossEntropyLoss()(jnp.array(SCORE), jnp.array(LABEL)).item(), 4) == 0.5630


def test_cross_entropy_is_log_softmax_and_nll():
    """Seed system C6, with classes and with one-hot targets."""
    score, label = jnp.array(SCORE), jnp.array(LABEL)
    loss = nn.CrossEntropyLoss()(score, label)
    np.testing.assert_allclose(nn.NLLLoss()(nn.LogSoftmax(1)(score), label), loss, rtol=1e-6)
    np.testing.assert_allclose(nn.NLLLoss()(jnp.log(nn.Softmax(1)(score)), label), loss, rtol=1e-6)
    np.testing.assert_allclose(nn.CrossEntropyLoss()(score, jax.nn.one_hot(label, 2)), loss, rtol=1e-6)


def test_the_divisor_is_the_weight_of_what_counts():
    x, target = jnp.log(jnp.full((3, 2), 0.5)), jnp.array([0, 1, 1])
    weight = jnp.array([1.0, 3.0])
    loss = F.nll_loss(x, target, weight, reduction="none")
    np.testing.assert_allclose(F.nll_loss(x, target, weight), loss.sum() / 7, rtol=1e-6)
    np.testing.assert_allclose(F.nll_loss(x, target, weight, ignore_index=0), loss[1:].sum() / 6, rtol=1e-6)
    np.testing.assert_allclose(F.cross_entropy(x, jnp.eye(2)[target], weight), loss.sum() / 3, rtol=1e-6)


def test_bce_at_the_ends():
    """Logarithms end at -100, and the derivative is torch's own, bounded by 1e12."""
    x, target = [0.0, 1.0, 0.5, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0, 1.0]
    theirs = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (x, target)]
    expected = torch.nn.functional.binary_cross_entropy(*theirs, reduction="none")
    gradients = torch.autograd.grad(expected.sum(), theirs)
    with jax.enable_x64(True):
        ours, pull = jax.vjp(
            lambda x, t: F.binary_cross_entropy(x, t, reduction="none"), jnp.array(x), jnp.array(target)
        )
        np.testing.assert_allclose(ours, expected.detach(), rtol=1e-12)
        for mine, yours in zip(pull(jnp.ones(5)), gradients, strict=True):
            np.testing.assert_allclose(mine, yours, rtol=1e-12)
        alone = jax.grad(lambda x: F.binary_cross_entropy(x, jnp.array(target), reduction="sum"))(jnp.array(x))
        np.testing.assert_allclose(alone, gradients[0], rtol=1e-12)
        tangent = jax.jvp(lambda x: F.binary_cross_entropy(x, jnp.array(target)), (jnp.array(x),), (jnp.ones(5),))[1]
        np.testing.assert_allclose(tangent, gradients[0].mean(), rtol=1e-12)


def test_the_mean_of_nothing_is_nan():
    empty = jnp.ones((0, 3))
    classes = jnp.zeros(0, int)
    assert np.isnan(F.mse_loss(empty, empty))
    assert np.isnan(F.binary_cross_entropy(empty, empty))
    assert np.isnan(F.nll_loss(empty, classes))
    assert np.isnan(F.cross_entropy(jnp.ones((2, 3)), jnp.array([-100, -100])))
    assert F.cross_entropy(jnp.ones((2, 3)), jnp.array([-100, -100]), reduction="sum") == 0
    gradient = jax.grad(lambda x: F.cross_entropy(x, jnp.array([-100, 1])))(jnp.ones((2, 3)))
    assert gradient[0].tolist() == [0, 0, 0]


def test_an_ignored_infinity_does_not_count():
    x = jnp.array([[-jnp.inf, -jnp.inf], [-1.0, -2.0]])
    loss, pull = jax.vjp(lambda x: F.nll_loss(x, jnp.array([-100, 1])), x)
    assert loss == 2
    assert pull(jnp.ones(()))[0].tolist() == [[0, 0], [0, -1]]


def test_traced_classes_out_of_range_give_nan():
    x = jnp.ones((3, 2))
    for f in (F.nll_loss, F.cross_entropy):
        run = jax.jit(lambda x, t, f=f: f(x, t, reduction="none"))
        assert np.isnan(run(x, jnp.array([-1, 0, 2]))).tolist() == [True, False, True]
        assert np.isfinite(run(x, jnp.array([-100, 0, 1]))).all()


def test_traced_probabilities_out_of_range_give_nan():
    assert np.isnan(jax.jit(F.binary_cross_entropy)(jnp.array([1.5]), jnp.array([1.0])))


@pytest.mark.parametrize("size_average", [None, True, False])
@pytest.mark.parametrize("reduce", [None, True, False])
@pytest.mark.parametrize(
    "name",
    [
        *("BCELoss", "BCEWithLogitsLoss", "CosineEmbeddingLoss", "CrossEntropyLoss", "HingeEmbeddingLoss", "KLDivLoss"),
        *("L1Loss", "MSELoss", "MarginRankingLoss", "MultiLabelMarginLoss", "MultiLabelSoftMarginLoss"),
        *("MultiMarginLoss", "NLLLoss", "PoissonNLLLoss", "SmoothL1Loss", "SoftMarginLoss", "TripletMarginLoss"),
    ],
)
def test_the_old_arguments(name, size_average, reduce):
    if size_average is reduce is None:
        assert getattr(nn, name)().reduction == "mean"
        return
    arguments = {"size_average": size_average, "reduce": reduce}
    with pytest.warns(UserWarning, match="size_average and reduce args will be deprecated"):
        theirs = getattr(torch.nn, name)(**arguments)
    with pytest.warns(
        UserWarning, match="size_average and reduce args will be deprecated, please use reduction="
    ) as record:
        ours = getattr(nn, name)(**arguments)
    assert ours.reduction == theirs.reduction
    assert "jaxnets" not in record[0].filename or "tests" in record[0].filename


def test_elementwise_mean_is_an_old_name():
    with pytest.warns(UserWarning, match="reduction='elementwise_mean' is deprecated"):
        assert F.mse_loss(jnp.ones(2), jnp.zeros(2), reduction="elementwise_mean") == 1


def test_the_class_weight_is_a_buffer():
    loss = nn.CrossEntropyLoss(jnp.array([1.0, 2.0]))
    assert list(jaxnets.state_dict(loss)) == ["weight"]
    assert not isinstance(loss.weight, nnx.Param)
    assert list(jaxnets.state_dict(nn.NLLLoss())) == []
    assert jaxnets.state_dict(nn.BCELoss(np.ones(3)))["weight"].shape == (3,)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precisions(dtype):
    r = np.random.default_rng(0)
    x, target = r.normal(size=(30, 5)).astype(np.float32), r.integers(0, 5, 30)
    p = r.uniform(0.01, 0.99, (30, 5)).astype(np.float32)

    def half(v):
        return (torch.tensor(v).to(getattr(torch, dtype)), jnp.asarray(v).astype(dtype))

    (xt, xj), (pt, pj) = half(x), half(p)
    tolerance = {"bfloat16": 1.6e-2, "float16": 2e-3}[dtype]  # torch rounds between its steps as well
    for name, theirs, ours in (
        ("mse_loss", (xt, pt), (xj, pj)),
        ("binary_cross_entropy", (pt, pt), (pj, pj)),
        ("cross_entropy", (xt, torch.tensor(target)), (xj, jnp.asarray(target))),
        ("cross_entropy", (xt, pt), (xj, pj)),
    ):
        loss = getattr(F, name)(*ours)
        assert str(loss.dtype) == dtype
        expected = getattr(torch.nn.functional, name)(*theirs)
        np.testing.assert_allclose(float(loss), expected.float(), rtol=tolerance)


def test_vmap_and_jit():
    r = np.random.default_rng(0)
    x = jnp.asarray(r.normal(size=(4, 6, 3)).astype(np.float32))
    target = jnp.asarray(r.integers(0, 3, (4, 6)))
    for f in (F.nll_loss, F.cross_entropy):
        mapped = jax.jit(jax.vmap(f))(x, target)
        np.testing.assert_allclose(mapped, [f(a, b) for a, b in zip(x, target, strict=True)], rtol=1e-6)


ones = jnp.ones
classes = jnp.zeros(2, int)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: nn.MSELoss(reduction="avg"),
            ValueError,
            "reduction: expected one of 'none', 'mean', 'sum', got 'avg'",
        ),
        (
            lambda: F.binary_cross_entropy_with_logits(ones(2), ones((2, 1))),
            ValueError,
            r"target: expected the shape of input, \(2,\), got \(2, 1\)",
        ),
        (
            lambda: F.binary_cross_entropy_with_logits(ones(2), ones(2, int)),
            TypeError,
            "input: expected a floating dtype, got int",
        ),
        (
            lambda: nn.BCEWithLogitsLoss(pos_weight=ones(3))(ones(2), ones(2)),
            ValueError,
            r"pos_weight: expected a shape that broadcasts to that of input, \(2,\), got \(3,\)",
        ),
        (
            lambda: F.binary_cross_entropy_with_logits(ones(2), ones(2), ones((3, 2))),
            ValueError,
            r"weight: expected a shape that broadcasts to that of input, \(2,\), got \(3, 2\)",
        ),
        (
            lambda: F.binary_cross_entropy(ones(2), ones((2, 1))),
            ValueError,
            r"target: expected the shape of input, \(2,\)",
        ),
        (
            lambda: F.binary_cross_entropy(ones(2) * 2, ones(2)),
            ValueError,
            r"input: expected probabilities in \[0, 1\]",
        ),
        (lambda: F.binary_cross_entropy(ones(2), -ones(2)), ValueError, r"target: expected probabilities in \[0, 1\]"),
        (
            lambda: F.binary_cross_entropy(ones(2) * jnp.nan, ones(2)),
            ValueError,
            r"input: expected probabilities in \[0, 1\]",
        ),
        (lambda: F.binary_cross_entropy(ones(2), ones(2, int)), TypeError, "input is float32 but target is int"),
        (
            lambda: F.binary_cross_entropy(ones(3), ones(3), ones((2, 3))),
            ValueError,
            "weight: expected a shape that broadcasts",
        ),
        (
            lambda: F.nll_loss(ones((2, 3)), jnp.array([0, 3])),
            ValueError,
            "target: expected classes from 0 to 2 or ignore_index=-100, got 3",
        ),
        (
            lambda: F.cross_entropy(ones((2, 3)), jnp.array([0, -1])),
            ValueError,
            "target: expected classes from 0 to 2 .* got -1",
        ),
        (
            lambda: F.nll_loss(ones((2, 3)), jnp.zeros(3, int)),
            ValueError,
            r"target: expected classes of shape \(2,\) for input .* got \(3,\)",
        ),
        (
            lambda: F.nll_loss(ones((2, 3)), ones(2)),
            TypeError,
            "target: expected classes of dtype int64, int32 or uint8, got float32",
        ),
        (
            lambda: F.nll_loss(ones(()), jnp.array(0)),
            ValueError,
            r"input: expected \(C,\) or \(N, C, \*\), got a number",
        ),
        (lambda: F.nll_loss(ones((2, 3), int), classes), TypeError, "input: expected a floating dtype, got int"),
        (
            lambda: F.nll_loss(ones((2, 3)), classes, ones(2)),
            ValueError,
            r"weight: expected shape \(3,\), one for each class",
        ),
        (
            lambda: F.nll_loss(ones((2, 3)), classes, ones(3, jnp.bfloat16)),
            TypeError,
            "input is float32 but weight is bfloat16",
        ),
        (
            lambda: F.cross_entropy(ones((2, 3)), ones((2, 3), int)),
            TypeError,
            "target: expected floating probabilities in the shape of input",
        ),
        (
            lambda: F.cross_entropy(ones((2, 3)), ones((2, 3)), ignore_index=1),
            ValueError,
            "ignore_index: expected a negative number",
        ),
        (
            lambda: nn.CrossEntropyLoss(label_smoothing=1.5),
            ValueError,
            r"label_smoothing: expected a probability in \[0, 1\], got 1.5",
        ),
        (lambda: nn.CrossEntropyLoss([1.0]), TypeError, "weight: expected an array, got list"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("name", ["nll_loss", "cross_entropy"])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_one_target_without_a_batch(name, reduction):
    x, weight = np.random.default_rng(0).normal(size=5), np.arange(1.0, 6.0)
    for target in (2, [2], [-100]):
        wanted = getattr(torch.nn.functional, name)(
            torch.tensor(x), torch.tensor(target), torch.tensor(weight), reduction=reduction
        )
        with jax.enable_x64(True):
            ours = getattr(F, name)(jnp.asarray(x), jnp.array(target), jnp.asarray(weight), reduction=reduction)
        assert ours.shape == tuple(wanted.shape)
        np.testing.assert_allclose(ours, wanted, rtol=1e-12)
    with pytest.raises(ValueError, match=r"target: expected classes of shape \(\) for input of shape \(5,\)"):
        getattr(F, name)(jnp.asarray(x), jnp.array([2, 1]))


@pytest.mark.parametrize("ignore_index", [2**40, -(2**40)])
def test_a_class_that_no_target_can_be_is_not_ignored(ignore_index):
    score = jnp.array([[1.0, 2.0], [0.5, -1.0]])
    expected = F.cross_entropy(score, jnp.array([1, 0]))
    assert F.cross_entropy(score, jnp.array([1, 0]), ignore_index=ignore_index) == expected


@pytest.mark.parametrize("size_average", [None, True, False, 0, 1])
@pytest.mark.parametrize("reduce", [None, True, False, 0, 1])
def test_torchs_older_arguments_as_truths(size_average, reduce):
    with pytest.warns() if (size_average, reduce) != (None, None) else nullcontext():
        theirs = torch.nn.MSELoss(size_average, reduce).reduction
        assert nn.MSELoss(size_average, reduce).reduction == theirs


def test_the_buffers_of_bce_with_logits():
    loss = nn.BCEWithLogitsLoss(pos_weight=np.array([1.0, 2.0]), weight=np.ones(2))
    assert list(jaxnets.state_dict(loss)) == list(
        torch.nn.BCEWithLogitsLoss(torch.ones(2), None, None, "sum", torch.ones(2)).state_dict()
    )


def test_bce_at_the_ends_twice():
    """The second derivative is bounded otherwise than the first."""
    x, target = [0.0, 1.0, 0.3, 1e-13], [0.3, 0.6, 0.9, 0.4]
    theirs = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    loss = torch.nn.functional.binary_cross_entropy(theirs, torch.tensor(target, dtype=torch.float64), reduction="sum")
    (slope,) = torch.autograd.grad(loss, theirs, create_graph=True)
    (wanted,) = torch.autograd.grad(slope.sum(), theirs)
    with jax.enable_x64(True):
        run = jax.grad(lambda x: F.binary_cross_entropy(x, jnp.array(target), reduction="sum"))
        np.testing.assert_allclose(jax.grad(lambda x: run(x).sum())(jnp.array(x)), wanted, rtol=1e-12)


def test_the_old_name_for_images_warns():
    with pytest.warns(FutureWarning, match="NLLLoss2d has been deprecated. Please use NLLLoss instead"):
        loss = nn.NLLLoss2d(ignore_index=1)
    assert loss.ignore_index == 1
