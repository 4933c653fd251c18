"""Greatest, smallest, middle: ties, NaN, axes, empties, and who gets the derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jaxnets import ops
from tests.ops.operators import agrees, same, to_jax

nan = float("nan")
TIED = torch.tensor([[2.0, 5.0, 5.0, 1.0], [3.0, 3.0, 3.0, 3.0], [-1.0, -2.0, -2.0, -1.0]])
BROKEN = torch.tensor([[2.0, nan, 5.0, nan], [1.0, 2.0, 3.0, 2.0]])
NUMBER = torch.tensor(2.5)


@pytest.mark.parametrize("x", [TIED, NUMBER], ids=["ties", "number"])
@pytest.mark.parametrize("name", ["max", "min", "amax", "amin", "median", "nanmedian"])
def test_of_all_equals_share_the_derivative(name, x):
    agrees(name, x, grad=True)


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("name", ["max", "min", "cummax", "cummin", "mode"])
def test_along_an_axis_the_derivative_is_of_one(name, dim):
    agrees(name, TIED, dim, grad=True)


@pytest.mark.parametrize("name", ["amax", "amin"])
def test_over_axes_equals_share_the_derivative(name):
    for dim in (0, (0, 1), -1, ()):
        agrees(name, TIED, dim, True, grad=True)


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin", "median", "nanmedian", "cummax", "cummin"])
def test_nan(name):
    agrees(name, BROKEN, 1)
    if not name.startswith("cum"):
        agrees(name, BROKEN)


@pytest.mark.parametrize("name", ["maximum", "minimum", "fmax", "fmin"])
def test_two_operands(name):
    other = torch.tensor([2.0, 4.0, nan, 3.0])
    agrees(name, TIED, torch.tensor([2.0, 5.0, 4.0, 1.0]), grad=True)
    agrees(name, BROKEN, other)
    agrees(name, torch.tensor([1, 5]), torch.tensor([3, 2]))


def test_max_is_three_functions():
    x = to_jax(TIED)
    assert ops.max(x).shape == ()
    assert ops.max(x, 1).indices.tolist() == [1, 0, 0]
    assert ops.max(x, 1, True).values.shape == (3, 1)
    assert ops.max(x, jnp.full(4, 3.0)).shape == (3, 4)
    assert ops.max(x, other=jnp.full(4, 3.0)).shape == (3, 4)


def test_numbers_have_an_axis():
    for name in ("max", "min", "median", "mode", "kthvalue", "cummax", "sort", "topk", "argmax", "argsort"):
        args = (1,) if name in ("kthvalue", "topk") else ()
        agrees(name, NUMBER, *args, **({} if name in ("argsort", "sort") else {"dim": -1}))


@pytest.mark.parametrize("name", ["max", "min", "amax", "argmax", "aminmax"])
def test_nothing_to_choose_from(name):
    with pytest.raises(IndexError, match=r"input: expected elements to choose from"):
        getattr(ops, name)(jnp.zeros((0, 3)))


@pytest.mark.parametrize("dim", [0, 1])
def test_kthvalue_and_quantile(dim):
    x = torch.tensor([[5.0, 1.0, 4.0], [2.0, 6.0, 3.0], [9.0, 7.0, 8.0], [0.5, 0.25, 0.75]])
    agrees("kthvalue", x, 2, dim, grad=True)
    for interpolation in ("linear", "lower", "higher", "midpoint", "nearest"):
        agrees("quantile", x, torch.tensor([0.0, 0.3, 1.0]), dim=dim, interpolation=interpolation)
    agrees("quantile", x, 0.4, dim=dim, keepdim=True)
    agrees("nanquantile", torch.where(x > 7.5, nan, x), 0.4, dim=dim)
    agrees("quantile", torch.where(x > 7.5, nan, x), 0.4, dim=dim)


@pytest.mark.parametrize("descending", [False, True])
def test_sort_keeps_the_order_of_equals_and_puts_nan_last(descending):
    for x in (TIED, BROKEN, TIED.long(), torch.tensor([[True, False, True, False]]), TIED.to(torch.uint8)):
        agrees("sort", x, 1, descending, torch_function=_stable)
        index = ops.argsort(to_jax(x), 1, descending)
        same(index, torch.argsort(x, dim=1, descending=descending, stable=True))


def _stable(x, dim, descending):
    return torch.sort(x, dim=dim, descending=descending, stable=True)


@pytest.mark.parametrize("largest", [True, False])
def test_topk(largest):
    x = torch.tensor([[3.0, nan, 1.0, 7.0, -2.0], [0.5, 4.0, -1.0, -3.0, 2.0]])
    agrees("topk", x, 3, 1, largest)
    agrees("topk", x, 2, 0, largest)
    agrees("topk", torch.tensor([4, -7, 2**31 - 1, -(2**31), 0]).int(), 3, 0, largest)
    agrees("topk", x[:, 2:], 2, -1, largest, grad=True)


def test_refusals():
    x = jnp.zeros((2, 3))
    with pytest.raises(ValueError, match=r"k: expected 0 to 3, the size of axis 1 of input \(2, 3\), got 4"):
        ops.topk(x, 4)
    with pytest.raises(IndexError, match=r"dim: expected an axis from -2 to 1 of input \(2, 3\), got 2"):
        ops.max(x, 2)
    with pytest.raises(ValueError, match="dim: expected each axis once"):
        ops.amax(x, (0, -2))
    with pytest.raises(TypeError, match="input: expected a boolean or integer or floating dtype"):
        ops.max(x.astype(jnp.complex64))


def test_second_derivatives_of_shared_extremes():
    def total(x):
        return (ops.median(x) ** 3 + ops.max(x) ** 3).sum()

    hessian = jax.hessian(total)(jnp.array([1.0, 2.0, 4.0]))
    np.testing.assert_allclose(hessian, np.diag([0.0, 12.0, 24.0]), rtol=1e-6)
