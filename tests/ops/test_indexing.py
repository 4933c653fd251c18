"""Picking and writing by index and mask, and what `jax.jit` cannot know."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jaxnets import ops
from tests.ops.operators import agrees, same, to_jax

X = torch.arange(12.0).reshape(3, 4)
MASK = X % 3 == 0


def test_gather_of_shorter_indices():
    agrees("gather", X, 1, torch.tensor([[3, 0]]), grad=True)
    agrees("gather", X, -2, torch.tensor([[2, 0], [1, 1]]), grad=True)
    agrees("gather", torch.tensor(2.0), 0, torch.tensor(0))
    agrees("take_along_dim", X, torch.tensor([[1], [0], [3]]), 1)
    agrees("take", X, torch.tensor([[0, -1], [5, 2]]), grad=True)


def test_scatter():
    index = torch.tensor([[0, 2, 1, 0]])
    agrees("scatter", X, 0, index, X + 20)
    agrees("scatter", X, 0, index, 5.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would rather have scatter_reduce
        agrees("scatter", X, 0, index, X + 20, reduce="add")
        agrees("scatter", X, 0, index, 2.0, reduce="multiply")
    agrees("scatter_add", X, 0, torch.tensor([[1, 1], [1, 0]]), X + 20)
    agrees("scatter_add", X, 0, torch.tensor([[1, 1], [1, 0]]), X[:2, :2] + 20, grad=True)


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", ["sum", "prod", "mean", "amax", "amin"])
def test_scatter_reduce(reduce, include_self):
    index, source = torch.tensor([0, 0, 2, 2, 2]), torch.tensor([2.0, 2.0, -1.0, 3.0, 3.0])
    x = torch.tensor([2.0, 5.0, 3.0])
    agrees("scatter_reduce", x, 0, index, source, reduce, include_self=include_self, grad=True)
    agrees("scatter_reduce", x.long(), 0, index, source.long(), reduce, include_self=include_self)


def test_index_functions():
    index = torch.tensor([2, 0, 2])
    agrees("index_select", X, 1, index, grad=True)
    agrees("index_add", X, 1, index, X[:, :3] + 1, alpha=2, grad=True)
    agrees("index_copy", X, 1, torch.tensor([2, 0]), X[:, :2] + 1, grad=True)
    agrees("index_fill", X, 1, index, 7.0)
    agrees("index_fill", X.long(), 0, index, 7)


def test_masks():
    agrees("masked_fill", X, MASK, -float("inf"))
    agrees("masked_fill", X.long(), MASK[0], 3, torch_function=lambda x, m, v: x.masked_fill(m, v))
    agrees("masked_select", X, MASK)
    agrees("masked_scatter", X, MASK, torch.arange(20.0) + 50, grad=True)
    agrees("nonzero", MASK)
    agrees("where", MASK)
    agrees("argwhere", MASK)


def test_narrow_takes_an_array():
    jitted = jax.jit(lambda x, i: ops.narrow(x, 1, i, 2))
    same(jitted(to_jax(X), jnp.array(1)), torch.narrow(X, 1, 1, 2))
    agrees("narrow", X, 1, -3, 2)
    same(jax.jit(lambda x, i: ops.select(x, 0, i))(to_jax(X), jnp.array(-1)), X[-1])


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("masked_select", (MASK,), "mask: the size of the result depends on its numbers"),
        ("nonzero", (), "input: the number of indices depends on its numbers"),
        ("unique", (), "input: the number of distinct elements depends on its numbers"),
        ("index", ([MASK],), "indices: the size that a mask leaves depends on its numbers"),
        ("repeat_interleave", (torch.tensor([1, 2, 0]),), "repeats: an array of counts needs output_size"),
        ("item", (), "input: (expected one element|its number is not known)"),
    ],
)
def test_shapes_that_depend_on_numbers(name, args, words):
    call = jax.jit(lambda x, arrays: getattr(ops, name)(x, *arrays, *(0,) * (name == "repeat_interleave")))
    with pytest.raises(ValueError, match=words):
        call(to_jax(X), to_jax(args))


def test_what_is_known_under_jit():
    x, mask = to_jax(X), to_jax(MASK)
    same(jax.jit(lambda x, m: ops.masked_scatter(x, m, x + 1))(x, mask), X.masked_scatter(MASK, X + 1))
    same(jax.jit(lambda x, m: ops.index_put(x, [m], jnp.array(1.0, x.dtype)))(x, mask), X.masked_fill(MASK, 1.0))
    counts = jnp.array([1, 2, 0])
    found = jax.jit(lambda x, n: ops.repeat_interleave(x, n, 0, output_size=3))(x, counts)
    same(found, torch.repeat_interleave(X, torch.tensor([1, 2, 0]), 0))
    same(jax.jit(lambda m: ops.nonzero_static(m, size=5))(mask), torch.nonzero_static(MASK, size=5))


def test_index_put_accumulates():
    places = [torch.tensor([0, 0, 2]), torch.tensor([1, 1, 3])]
    values = torch.tensor([1.0, 2.0, 4.0])
    ours = ops.index_put(to_jax(X), to_jax(places), to_jax(values), True)
    same(ours, torch.index_put(X, places, values, True))


def test_unique():
    x = torch.tensor([[2, 1, 2], [3, 1, 1]])
    agrees("unique", x, return_inverse=True, return_counts=True)
    agrees("unique", x, dim=1, return_inverse=True)
    agrees("unique_consecutive", torch.tensor([1, 1, 2, 2, 1]), return_inverse=True, return_counts=True)
    agrees("bincount", torch.tensor([1, 3, 1]), minlength=6)
    agrees("searchsorted", torch.tensor([1.0, 3.0, 3.0, 5.0]), torch.tensor([3.0, 0.0, 9.0]), right=True)
    agrees("bucketize", torch.tensor([3.0, 0.0, 9.0]), torch.tensor([1.0, 3.0, 5.0]))
    agrees("histc", torch.tensor([1.0, 2.0, 1.0, 4.0]), bins=4, min=0, max=3)


def test_views():
    agrees("unfold", X, 1, 2, 2, torch_function=lambda x, *a: x.unfold(*a), grad=True)
    agrees("as_strided", X, (2, 3), (1, 4), 1, grad=True)
    agrees("movedim", torch.zeros(2, 3, 4), (0, 2), (2, 0))
    agrees("squeeze", torch.zeros(1, 2, 1), (0, 1))
    agrees("tensor_split", X, (1, 3), 1)
    agrees("tensor_split", X, 3, 1)
    agrees("chunk", X, 3, 1)
    agrees("split", X, 3, 1)
    agrees("roll", X, (1, -2), (0, 1))
    agrees("roll", X, 5)
    agrees("diag_embed", X, 1, 0, -1)
    agrees("repeat_interleave", X, torch.tensor([1, 0, 2]), dim=0)
    agrees("view", X.int(), torch.uint8, torch_function=lambda x, t: x.view(t))
    agrees("view_as_complex", torch.ones(3, 2))
    for given in ((2, -1), ((2, -1),)):
        assert ops.view(to_jax(X), *given).shape == ops.reshape(to_jax(X), *given).shape == (2, 6)
        assert ops.expand(jnp.ones((1, 6)), *given).shape == (2, 6)
    assert ops.permute(jnp.ones((2, 3)), 1, 0).shape == ops.permute(jnp.ones((2, 3)), (1, 0)).shape == (3, 2)


def test_refusals():
    x = to_jax(X)
    with pytest.raises(ValueError, match=r"shape: expected sizes that make up 12 elements, got \(5, -1\)"):
        ops.reshape(x, 5, -1)
    with pytest.raises(ValueError, match=r"size: expected sizes that input \(3, 4\) expands to, got \(2, 4\)"):
        ops.expand(x, 2, 4)
    with pytest.raises(ValueError, match="mask: expected a shape that broadcasts"):
        ops.masked_fill(x, jnp.ones((2, 2), bool), 0)
    with pytest.raises(TypeError, match="mask: expected dtype bool, got float32; compare it with 0"):
        ops.masked_fill(x, x, 0)
    with pytest.raises(IndexError, match=r"index: expected -4 to 3 on axis 1 of input \(3, 4\), got 4"):
        ops.select(x, 1, 4)
    with pytest.raises(ValueError, match=r"index: expected 2 axes as input \(3, 4\) has, got shape \(2,\)"):
        ops.gather(x, 0, jnp.array([0, 1]))
    with pytest.raises(ValueError, match="tensors: expected equal sizes but on axis 0"):
        ops.cat([x, x[:, :2]])


def test_out_of_range_is_seen():
    assert np.isnan(ops.gather(to_jax(X), 1, jnp.array([[9], [0], [0]]))[0, 0])
    assert np.isnan(ops.index_select(to_jax(X), 0, jnp.array([7]))).all()
