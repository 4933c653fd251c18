"""Linear cross entropy: chunks of every size, memory, options, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxnets
import jaxnets.functional as F
from jaxnets import nn

ones = jnp.ones
Options = nn.LinearCrossEntropyOptions


def rngs():
    return nnx.Rngs(0)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.data())
def test_random_chunks(data):
    """Loss and slopes are torch's, whatever the chunk."""
    r = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    samples, features, classes = data.draw(st.sampled_from([0, 1, 5])), 3, data.draw(st.sampled_from([1, 40]))
    settings = {"reduction": data.draw(st.sampled_from(["none", "sum", "mean"]))}
    settings["ignore_index"] = data.draw(st.sampled_from([None, 0, -7]))
    chosen = data.draw(
        st.sampled_from(
            [None, {}, {"batch_chunk_size": 1}, {"batch_chunk_size": 2}, {"chunking_method": "aspect_ratio"}]
        )
    )
    arrays = [r.normal(size=(samples, features)), r.normal(size=(classes, features)), r.normal(size=classes)]
    target, weight = r.integers(0, classes, samples), r.uniform(0.5, 2, classes)
    theirs = [torch.tensor(x, requires_grad=True) for x in arrays]
    options = None if chosen is None else torch.nn.LinearCrossEntropyOptions(**chosen)
    loss = torch.nn.functional.linear_cross_entropy(
        *theirs[:2],
        torch.tensor(target),
        linear_bias=theirs[2],
        weight=torch.tensor(weight),
        options=options,
        **settings,
    )
    slopes = torch.autograd.grad(loss.sum(), theirs)

    def ours(x, matrix, bias):
        chunks = None if chosen is None else Options(**chosen)
        return F.linear_cross_entropy(
            x, matrix, jnp.asarray(target), linear_bias=bias, weight=jnp.asarray(weight), options=chunks, **settings
        )

    with jax.enable_x64(True):
        run = jax.jit(jax.grad(lambda *x: (lambda loss: (loss.sum(), loss))(ours(*x)), (0, 1, 2), has_aux=True))
        found, value = run(*arrays)
        np.testing.assert_allclose(value, loss.detach(), rtol=1e-12)
        if np.isfinite(value).all():  # else it is the mean of nothing, whose slope is 0 or NaN
            for mine, yours in zip(found, slopes, strict=True):
                np.testing.assert_allclose(mine, yours, rtol=1e-11, atol=1e-13)


def test_the_scores_of_all_samples_are_not_kept():
    x, matrix, target = ones((256, 8)), ones((1024, 8)), jnp.zeros(256, int)

    def memory(options):
        slope = jax.grad(lambda x, matrix: F.linear_cross_entropy(x, matrix, target, options=options), (0, 1))
        return jax.jit(slope).lower(x, matrix).compile().memory_analysis().temp_size_in_bytes

    assert memory(Options(batch_chunk_size=8)) < memory(None) / 4


def test_a_second_derivative_and_vmap():
    r = np.random.default_rng(0)
    x, matrix = (jnp.asarray(r.normal(size=shape).astype(np.float32)) for shape in ((5, 3), (4, 3)))
    target = jnp.array([0, 3, 1, 2, 3])

    def run(options):
        def loss(x):
            return F.linear_cross_entropy(x, matrix, target, options=options)

        return jax.jit(jax.hessian(loss))(x), jax.vmap(loss)(jnp.stack([x, 2 * x]))

    for mine, plain in zip(run(Options(batch_chunk_size=2)), run(None), strict=True):
        np.testing.assert_allclose(mine, plain, rtol=1e-5, atol=1e-6)


def test_options_that_cannot_be_used_warn():
    x, matrix, target = ones((5, 3)), ones((4, 3)), jnp.zeros(5, int)
    options = Options(batch_chunk_size=2)
    for call in (
        lambda: F.linear_cross_entropy(x, matrix, target, label_smoothing=0.1, options=options),
        lambda: F.linear_cross_entropy(x, matrix, ones((5, 4)), options=options),
        lambda: F.linear_cross_entropy(x, ones((4, 2, 3)), jnp.zeros((5, 2), int), options=options),
    ):
        with pytest.warns(UserWarning, match="linear_cross_entropy: options ignored") as record:
            call()
        assert record[0].filename == __file__


def test_half_precision_is_summed_in_float32():
    r = np.random.default_rng(0)
    x, matrix = (jnp.asarray(r.normal(size=shape), jnp.bfloat16) for shape in ((64, 16), (50, 16)))
    target = jnp.asarray(r.integers(0, 50, 64))
    wide = F.linear_cross_entropy(x.astype(jnp.float32), matrix.astype(jnp.float32), target)
    half = F.linear_cross_entropy(x, matrix, target, options=Options(batch_chunk_size=8))
    assert half.dtype == jnp.bfloat16
    assert half == wide.astype(jnp.bfloat16)


def test_state_and_attributes():
    settings = {"out_features": (3, 2), "bias": True}
    ours = nn.LinearCrossEntropyLoss(5, 4, weight=ones(4), **settings, rngs=rngs())
    theirs = torch.nn.LinearCrossEntropyLoss(5, 4, weight=torch.ones(4), **settings)
    found = {name: x.shape for name, x in jaxnets.state_dict(ours).items()}
    assert list(found.items()) == [(name, tuple(x.shape)) for name, x in theirs.state_dict().items()]
    for name in ("num_classes", "out_features", "reduction", "ignore_index", "label_smoothing", "options"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert nn.LinearCrossEntropyLoss(5, 4, dtype=jnp.bfloat16, rngs=rngs()).linear.weight.dtype == jnp.bfloat16


target = jnp.zeros(5, int)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: Options(acc_policy="exact"),
            ValueError,
            "acc_policy: expected one of 'auto', 'accurate', .* got 'exact'",
        ),
        (lambda: Options(batch_chunk_size=0), ValueError, "batch_chunk_size: expected an int of at least 1, got 0"),
        (lambda: Options(chunking_method="rows"), ValueError, "chunking_method: expected None, 'auto', .* got 'rows'"),
        (lambda: Options(chunking_method="aspect_ratio:0"), ValueError, "chunking_method: expected None, 'auto'"),
        (lambda: Options(acc_dtype=jnp.int32), ValueError, "acc_dtype: expected None, float16, bfloat16"),
        (
            lambda: F.linear_cross_entropy(
                ones((5, 3)), ones((4, 3)), target, options=Options(False, 3, "aspect_ratio")
            ),
            ValueError,
            "options: batch_chunk_size=3 and chunking_method='aspect_ratio', which gives 4, contradict each other",
        ),
        (
            lambda: F.linear_cross_entropy(ones((5, 3)), ones((4, 3)), target, options=Options(acc_dtype=jnp.float16)),
            ValueError,
            "options.acc_dtype: expected None, float32, or float32 with half precision, got float16",
        ),
        (
            lambda: F.linear_cross_entropy(ones((5, 3)), ones((4, 3)), target, options={}),
            TypeError,
            "options: expected LinearCrossEntropyOptions, got {}",
        ),
        (lambda: F.linear_cross_entropy(ones((2, 5, 3)), ones((4, 3)), target), ValueError, "input: expected 1 axes"),
        (
            lambda: F.linear_cross_entropy(ones((5, 3)), ones(3), target),
            ValueError,
            "linear_weight: expected at least 2",
        ),
        (
            lambda: F.linear_cross_entropy(ones((5, 3)), ones((4, 2)), target),
            ValueError,
            "input: expected the last axis to have 2 entries as that of linear_weight",
        ),
        (
            lambda: F.linear_cross_entropy(ones((5, 3)), ones((4, 3)), target, linear_bias=ones(3)),
            ValueError,
            r"linear_bias: expected shape \(4,\), got \(3,\)",
        ),
        (
            lambda: F.linear_cross_entropy(ones(3), ones((4, 2, 3)), jnp.zeros(2, int)),
            ValueError,
            r"input: expected a batch, \(N, 3\), for linear_weight of shape \(4, 2, 3\)",
        ),
        (
            lambda: F.linear_cross_entropy(ones((5, 3)), ones((4, 3)), ones((5, 4)), ignore_index=-100),
            ValueError,
            "ignore_index: expected None where target has probabilities, got -100",
        ),
        (
            lambda: F.linear_cross_entropy(ones((5, 3)), ones((4, 3)), target + 4, options=Options()),
            ValueError,
            "target: expected classes from 0 to 3 or ignore_index=-100, got 4",
        ),
        (
            lambda: F.linear_cross_entropy(ones((5, 3)), ones((4, 3), jnp.bfloat16), target),
            TypeError,
            "input is float32 but linear_weight is bfloat16",
        ),
        (
            lambda: nn.LinearCrossEntropyLoss(5, 4, weight=ones(3), rngs=rngs()),
            ValueError,
            r"weight: expected shape \(4,\), one for each class, got \(3,\)",
        ),
        (
            lambda: nn.LinearCrossEntropyLoss(5, 4, out_features=3, rngs=rngs()),
            TypeError,
            "out_features: expected a tuple",
        ),
        (
            lambda: nn.LinearCrossEntropyLoss(5, 4, label_smoothing=-0.1, rngs=rngs()),
            ValueError,
            r"label_smoothing: expected a probability in \[0, 1\], got -0.1",
        ),
        (
            lambda: nn.LinearCrossEntropyLoss(5, 4, options=1, rngs=rngs()),
            TypeError,
            "options: expected LinearCrossEntropy",
        ),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
