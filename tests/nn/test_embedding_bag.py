"""EmbeddingBag and one_hot: ties and NaN, offsets, the kept table, derivatives, refusals, random bags against torch."""

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxnets
import jaxnets.functional as F
from jaxnets import nn

NAN, INF = np.nan, np.inf
table, ids, starts = jnp.arange(12.0).reshape(6, 2), jnp.array([1, 2, 3]), jnp.array([0, 2])


def bag(*arguments, **settings):
    return nn.EmbeddingBag(*arguments, **settings, rngs=nnx.Rngs(0))


def against_torch(indices, weight, offsets=None, per_sample_weights=None, scale_grad_by_freq=False, **settings):
    """Output and gradients of the table and the factors, in float64."""
    theirs = {"weight": torch.tensor(weight, requires_grad=True)}
    if per_sample_weights is not None:
        theirs["per_sample_weights"] = torch.tensor(per_sample_weights, requires_grad=True)
    places = None if offsets is None else torch.tensor(offsets)
    expected = torch.nn.functional.embedding_bag(torch.tensor(indices), offsets=places, **theirs, **settings)
    direction = np.random.default_rng(0).normal(size=expected.shape)
    gradients = torch.autograd.grad(expected, tuple(theirs.values()), torch.tensor(direction))
    if scale_grad_by_freq:
        # Torch's CPU kernel divides by the number of other rows: pytorch issue 190063.
        counts = np.bincount(indices.ravel(), minlength=len(weight))
        gradients = (gradients[0] / torch.tensor(np.maximum(counts, 1)[:, None]), *gradients[1:])
    with jax.enable_x64(True):
        floats = {name: jnp.asarray(x.detach()) for name, x in theirs.items()}

        @jax.jit
        def run(indices, offsets, floats, direction):
            scaled = {**settings, "scale_grad_by_freq": scale_grad_by_freq}
            y, pull = jax.vjp(lambda f: F.embedding_bag(indices, offsets=offsets, **f, **scaled), floats)
            return y, pull(direction)[0]

        places = None if offsets is None else jnp.asarray(offsets)
        ours, pulled = run(jnp.asarray(indices), places, floats, direction)
        np.testing.assert_allclose(ours, expected.detach(), rtol=1e-12, atol=1e-12)
        for name, wanted in zip(theirs, gradients, strict=True):
            np.testing.assert_allclose(pulled[name], wanted, rtol=1e-12, atol=1e-12)


@hypothesis.settings(max_examples=25, deadline=None, derandomize=True)
@hypothesis.given(st.data())
def test_any_bags(data):
    """Flat and square indices, empty bags, padding, ties, and rows that are not finite."""
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    mode = data.draw(st.sampled_from(["sum", "mean", "max"]))
    size, width = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 3))
    weight = np.round(rng.normal(data.draw(st.sampled_from([0.0, 1e4])), 1.0, (size, width)))
    if data.draw(st.booleans()):
        weight.flat[rng.integers(weight.size)] = data.draw(st.sampled_from([NAN, INF, -INF]))
    settings = {"mode": mode, "padding_idx": data.draw(st.sampled_from([None, 0, -1]))}
    if data.draw(st.booleans()):
        indices, offsets = rng.integers(0, size, (data.draw(st.integers(0, 3)), data.draw(st.integers(1, 4)))), None
    else:
        indices = rng.integers(0, size, data.draw(st.integers(0, 7)))
        # Torch reads what is not its own where the last of these does not end the indices, or none begins them.
        inner = sorted(data.draw(st.lists(st.integers(0, len(indices)), max_size=4)))
        settings["include_last_offset"] = data.draw(st.booleans())
        offsets = np.array([0, *inner, *[len(indices)] * settings["include_last_offset"]])
    factors = rng.normal(size=indices.shape) if mode == "sum" and data.draw(st.booleans()) else None
    if mode != "max":
        settings["scale_grad_by_freq"] = data.draw(st.booleans())
    against_torch(indices, weight, offsets, factors, **settings)


@pytest.mark.parametrize(
    "rows",
    [
        [[NAN, 1], [2, NAN], [3, 4]],
        [[3, 4], [NAN, 1], [2, NAN]],
        [[-INF, 1], [-INF, -INF], [-INF, -INF]],
        [[1, 1], [1, 1], [0, 1]],
    ],
)
def test_the_first_greatest_wins(rows):
    """The first of equals gets the whole gradient; NaN stays where a bag begins with it, and loses elsewhere."""
    for order in ([0, 1, 2], [2, 1, 0], [1, 1, 0, 2]):
        against_torch(np.array(order), np.array(rows, float), np.array([0]), mode="max")
        against_torch(np.array([order]), np.array(rows, float), mode="max", padding_idx=1)


def test_max_norm_changes_the_table_of_the_layer():
    theirs = torch.nn.EmbeddingBag(6, 4, max_norm=1.0, mode="sum", padding_idx=2)
    ours = bag(6, 4, 1.0, mode="sum", padding_idx=2)
    jaxnets.load_state_dict(ours, theirs.state_dict())
    indices, factors = np.array([[1, 1, 2], [5, 1, 0]]), np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    gradient = nnx.jit(nnx.grad(lambda layer: layer(indices, None, factors).sum()))(ours)
    theirs(torch.tensor(indices), None, torch.tensor(factors)).sum().backward()
    np.testing.assert_allclose(ours.weight[...], theirs.weight.detach(), rtol=1e-6)
    np.testing.assert_allclose(gradient.weight[...], theirs.weight.grad, rtol=1e-6)


def test_traced_indices_out_of_range_give_nan():
    y = jax.jit(lambda i: F.embedding_bag(i, table, starts, mode="sum"))(jnp.array([1, 6, 3]))
    assert np.isnan(y).all(1).tolist() == [True, False]
    y = jax.jit(lambda i: F.embedding_bag(i, table, starts, mode="max"))(jnp.array([-1, 1, 3]))
    assert np.isnan(y).all(1).tolist() == [True, False]


def test_what_lies_behind_the_last_offset_is_in_no_bag():
    for mode in ("sum", "mean", "max"):
        y = F.embedding_bag(ids, table, jnp.array([0, 1, 2]), mode=mode, include_last_offset=True)
        assert y.tolist() == table[1:3].tolist()


def test_vmap_forward_mode_and_second_derivatives():
    weight = jnp.asarray(np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32))
    indices = jnp.array([[[0, 1], [1, 1]], [[3, 3], [3, 2]]])
    for mode in ("sum", "mean", "max"):

        def look(i, w, mode=mode):
            return F.embedding_bag(i, w, mode=mode, padding_idx=0)

        each = jnp.stack([look(i, weight) for i in indices])
        np.testing.assert_allclose(jax.vmap(look, (0, None))(indices, weight), each)
        assert np.isfinite(jax.hessian(lambda w: (look(indices[0], w) ** 2).sum())(weight)).all()


def test_many_rows_are_added_up_in_float32():
    """bfloat16 cannot count beyond 256, nor add up 1000 ones."""
    for mode, expected in (("sum", 1000), ("mean", 1)):
        y = F.embedding_bag(jnp.zeros((1, 1000), jnp.int32), jnp.ones((2, 1), jnp.bfloat16), mode=mode)
        assert (y.dtype, y.item()) == (jnp.bfloat16, expected)


def test_the_old_order_of_arguments():
    with pytest.warns(UserWarning, match="Argument order of nn.functional.embedding_bag was changed") as records:
        y = F.embedding_bag(table, ids, starts)
    assert records[0].filename == __file__
    assert (y == F.embedding_bag(ids, table, starts)).all()


def test_attributes():
    settings = (5, 3, 1.0, 1.0, True, "sum", True, None, True, -2)
    ours, theirs = bag(*settings), torch.nn.EmbeddingBag(*settings)
    for name in theirs.__constants__:
        assert getattr(ours, name) == getattr(theirs, name)
    assert (ours.weight[...][3] == 0).all()
    frozen = nn.EmbeddingBag.from_pretrained(table, mode="sum", padding_idx=0)
    gradient = nnx.grad(lambda layer: layer(ids, starts).sum())(frozen)
    assert (gradient.weight[...] == 0).all()
    assert frozen.weight.get_metadata("requires_grad") is False
    assert bag(3, 2, dtype=jnp.bfloat16)(ids[:2], starts[:1]).dtype == jnp.bfloat16


def test_one_hot():
    assert F.one_hot(jnp.array([[0, 2]])).tolist() == [[[1, 0, 0], [0, 0, 1]]]
    assert F.one_hot(jnp.array(1), 3).tolist() == [0, 1, 0]
    assert jax.jit(lambda i: F.one_hot(i, 3))(jnp.array([3, -1, 1])).tolist() == [[0, 0, 0], [0, 0, 0], [0, 1, 0]]
    with jax.enable_x64(True):
        assert F.one_hot(jnp.array([1], jnp.int64)).dtype == jnp.int64


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.embedding_bag(ids, table), ValueError, "offsets: expected where each bag begins"),
        (lambda: F.embedding_bag(ids[None], table, starts), ValueError, "offsets: expected None for input of shape"),
        (lambda: F.embedding_bag(ids[None, None], table), ValueError, r"input: expected 1 axes \(N,\) or 2 axes"),
        (lambda: F.embedding_bag(ids[None, :0], table), ValueError, "input: expected bags of at least one index"),
        (lambda: F.embedding_bag(ids, table[0], starts), ValueError, "weight: expected 2 axes"),
        (lambda: F.embedding_bag(ids, table, starts[None]), ValueError, "offsets: expected 1 axes"),
        (
            lambda: F.embedding_bag(ids, table, starts.astype(jnp.float32)),
            TypeError,
            "offsets: expected dtype int32 or int64",
        ),
        (lambda: F.embedding_bag(ids, table, starts + 1), ValueError, r"offsets: expected to begin with 0.*\[1, 3\]"),
        (
            lambda: F.embedding_bag(ids, table, starts * 2),
            ValueError,
            "offsets: expected .* not to exceed the 3 indices",
        ),
        (lambda: F.embedding_bag(ids, table, jnp.array([0, 2, 1])), ValueError, "offsets: expected .* not to decrease"),
        (
            lambda: F.embedding_bag(ids, table, starts[:0], include_last_offset=True),
            ValueError,
            "offsets: expected at least one, the end of the last bag",
        ),
        (lambda: F.embedding_bag(ids + 4, table, starts), ValueError, "input: expected indices from 0 to 5, got 6"),
        (lambda: F.embedding_bag(ids, table.astype(int), starts), TypeError, "weight: expected a floating dtype"),
        (
            lambda: F.embedding_bag(ids, table, starts, mode="min"),
            ValueError,
            "mode: expected one of 'sum', 'mean', 'max'",
        ),
        (
            lambda: F.embedding_bag(ids, table, starts, mode="max", scale_grad_by_freq=True),
            ValueError,
            "scale_grad_by_freq: mode='max' takes False only",
        ),
        (
            lambda: F.embedding_bag(ids, table, starts, mode="max", sparse=True),
            ValueError,
            "sparse: mode='max' takes False only",
        ),
        (
            lambda: F.embedding_bag(ids, table, starts, per_sample_weights=jnp.ones(3)),
            ValueError,
            "per_sample_weights: expected None or mode='sum'",
        ),
        (
            lambda: F.embedding_bag(ids, table, starts, mode="sum", per_sample_weights=jnp.ones(2)),
            ValueError,
            r"per_sample_weights: expected the shape of input, \(3,\), got \(2,\)",
        ),
        (
            lambda: F.embedding_bag(ids, table, starts, mode="sum", per_sample_weights=jnp.ones(3, int)),
            TypeError,
            "weight is float32 but per_sample_weights is int32",
        ),
        (
            lambda: F.embedding_bag(ids, table, starts, padding_idx=6),
            ValueError,
            "padding_idx: expected a row from -6 to 5",
        ),
        (lambda: bag(4, 2, padding_idx=-5), ValueError, "padding_idx: expected a row from -4 to 3, got -5"),
        (lambda: bag(4, 2, mode="min"), ValueError, "mode: expected one of"),
        (lambda: nn.EmbeddingBag(4, 2), ValueError, "rngs: expected flax.nnx.Rngs to draw the table, got None"),
        (lambda: nn.EmbeddingBag(4, 2, _weight=table), ValueError, r"_weight: expected shape \(4, 2\), got \(6, 2\)"),
        (lambda: nn.EmbeddingBag.from_pretrained(jnp.ones(3)), ValueError, "embeddings: expected 2 axes"),
        (
            lambda: F.one_hot(ids.astype(jnp.float32)),
            TypeError,
            "input: expected classes of dtype int32 or int64, got float32",
        ),
        (lambda: F.one_hot(ids, 3), ValueError, "input: expected classes from 0 to 2, got 1 to 3"),
        (lambda: F.one_hot(-ids, 3), ValueError, "input: expected classes from 0 to 2, got -3 to -1"),
        (lambda: F.one_hot(ids[:0]), ValueError, "num_classes: expected at least 1 where input has no classes"),
        (lambda: jax.jit(F.one_hot)(ids), ValueError, "num_classes: expected their number where input is traced"),
        (lambda: F.one_hot(ids, 2.0), TypeError, "num_classes: expected an int, got 2.0"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
