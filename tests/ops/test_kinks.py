"""Derivatives where a function has none, sums of nothing, and what is not finite."""

import warnings

import jax.numpy as jnp
import pytest
import torch

from jaxnets import ops
from tests.ops.operators import agrees

inf, nan = float("inf"), float("nan")
ZERO = torch.tensor([0.0, -0.0, 2.0, -3.0])


@pytest.mark.parametrize("name", ["abs", "sign", "sgn", "round", "trunc", "floor", "ceil", "frac", "relu", "square"])
def test_at_zero(name):
    agrees(name, ZERO, grad=True)


def test_sqrt_at_zero_is_infinitely_steep():
    agrees("sqrt", torch.tensor([0.0, 4.0]), grad=True)
    agrees("rsqrt", torch.tensor([0.0, 4.0]), grad=True)


def test_clamp_at_its_bounds():
    x = torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0, nan])
    agrees("clamp", x, 0.0, 1.0, grad=True)
    agrees("clamp", x, 0.0, grad=True)
    agrees("clamp", x, None, 1.0, grad=True)
    agrees("clamp", x, 1.0, 0.0)  # the greater bound wins
    agrees("clamp", x, torch.tensor([0.0, 0.0, nan, 1.0, 0.0, 0.0]), torch.tensor(1.5))
    agrees("clamp", torch.tensor([-1, 5]), 0.5)
    agrees("clamp_min", x, 0.5, grad=True)
    agrees("clamp_max", x, 0.5, grad=True)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, inf, "fro"])
def test_norm_at_zero(p):
    agrees("norm", torch.zeros(3, 2), p, grad=True)
    agrees("norm", torch.tensor([[0.0, 0.0], [3.0, -4.0]]), p, 1, grad=p != inf)


def test_std_at_zero_is_flat():
    agrees("std", torch.tensor([[2.0, 2.0, 2.0], [1.0, 2.0, 4.0]]), 1, grad=True)


@pytest.mark.parametrize("zeros", [0, 1, 2])
@pytest.mark.parametrize("name", ["prod", "cumprod"])
def test_products_of_zeros(name, zeros):
    x = torch.tensor([2.0, 3.0, -1.5, 4.0])
    x[1 : 1 + zeros] = 0
    agrees(name, x, 0, grad=True)


def test_scattered_products_of_zeros():
    index = torch.tensor([0, 0, 1, 1, 2])
    for first in ([2.0, 3.0, 4.0], [0.0, 3.0, 0.0]):
        source = torch.tensor([2.0, 0.0, 0.0, 5.0, 6.0])
        agrees("scatter_reduce", torch.tensor(first), 0, index, source, "prod", grad=True)


def test_where_passes_one_side():
    condition = torch.tensor([True, False, True, False])
    agrees("where", condition, ZERO, torch.full((4,), 2.0), grad=True)


def test_powers_at_zero():
    for exponent in (0, 0.0, 1, 2, 0.5, 2.5):
        agrees("pow", torch.tensor([0.0, 2.0]), exponent, grad=True)
    agrees("pow", torch.tensor([0.0, 2.0, 0.0]), torch.tensor([0.0, 3.0, 2.0]), grad=True)


def test_xlogy():
    x, y = torch.tensor([0.0, 0.0, 2.0, 0.0]), torch.tensor([0.0, -1.0, 3.0, 2.0])
    agrees("xlogy", x, y, grad=True)
    agrees("xlogy", torch.tensor([0.0, 0.0]), torch.tensor([nan, inf]))
    agrees("special.xlog1py", x, y - 1, grad=True)


def test_atan2_and_hypot():
    a, b = torch.tensor([1.0, -2.0, 3.0]), torch.tensor([-1.0, 0.5, 2.0])
    for name in ("atan2", "hypot", "copysign", "logaddexp", "fmod", "remainder", "div"):
        agrees(name, a, b, grad=True)


@pytest.mark.parametrize("mode", ["floor", "trunc"])
def test_rounded_division(mode):
    a = torch.tensor([7.0, -7.0, 7.0, -7.0, 0.3, inf, nan, 1.0, -0.0])
    b = torch.tensor([2.0, 2.0, -2.0, -2.0, 0.1, 2.0, 1.0, 0.0, 3.0])
    agrees("div", a, b, rounding_mode=mode)
    agrees("div", torch.tensor([7, -7, 7, -7]), torch.tensor([2, 2, -2, -2]), rounding_mode=mode)
    agrees("remainder", a[:6], b[:6])
    agrees("fmod", a[:6], b[:6])
    agrees("remainder", torch.tensor([7, -7]), torch.tensor([-2, 2]))


def test_infinite_sums():
    x = torch.tensor([[-inf, -inf], [0.0, -inf], [inf, 1.0], [nan, 1.0]])
    agrees("logsumexp", x, 1)
    agrees("logcumsumexp", x[1:3], 1)
    agrees("logaddexp", x[:3, 0], x[:3, 1])
    agrees("nansum", x[2:], 1)
    agrees("nanmean", x[2:], 1)
    agrees("nan_to_num", x, grad=True)
    agrees("nan_to_num", x, 1.0, 2.0, 3.0)


def test_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of degrees of freedom
        for name in ("sum", "prod", "mean", "var", "std", "any", "all", "nansum"):
            agrees(name, torch.zeros(0))
            if name != "prod":
                agrees(name, torch.zeros(0, 3), 0, keepdim=True)
        for name in ("var", "std"):
            agrees(name, torch.ones(1))
            agrees(name, torch.tensor([1.0, 3.0]), 0, correction=3)
    for name, args in (("cumsum", (0,)), ("cumprod", (0,)), ("cummax", (0,)), ("sort", ()), ("logsumexp", (0,))):
        agrees(name, torch.zeros(0, 2), *args)


def test_huge_means_keep_their_variance():
    x = torch.tensor([1e4, 1e4 + 1, 1e4 + 2, 1e4 + 5])
    agrees("var", x, rtol=1e-5)
    agrees("var_mean", x, dim=0, correction=0, rtol=1e-5)


def test_axes_of_any_and_all():
    x = torch.tensor([[1, 0], [2, 3]], dtype=torch.uint8)
    for name in ("any", "all"):
        agrees(name, x)
        agrees(name, x, 1)
        agrees(name, x.bool(), dim=[])  # none, where a sum takes all
        agrees(name, torch.tensor([nan, 0.0]))
    agrees("sum", x, [])


def test_refusals():
    with pytest.raises(TypeError, match="input: expected a floating or complex dtype, got int32; cast it first"):
        ops.mean(jnp.ones(2, jnp.int32))
    with pytest.raises(ValueError, match="min, max: expected at least one of them, got None for both"):
        ops.clamp(jnp.ones(2))
    with pytest.raises(ValueError, match="exponent: expected a number that is not negative for int32, got -1"):
        ops.pow(jnp.ones(2, jnp.int32), -1)
    with pytest.raises(TypeError, match="other: subtraction takes no bool"):
        ops.sub(jnp.ones(2), True)
    with pytest.raises(ValueError, match=r"input, other: expected shapes that broadcast, got \(2,\) and \(3,\)"):
        ops.add(jnp.ones(2), jnp.ones(3))
