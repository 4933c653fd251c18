"""Closeness, equality, and numbers of Python that come out of arrays."""

import jax
import jax.numpy as jnp
import pytest
import torch

from jaxnets import ops
from tests.ops.operators import agrees

nan, inf = float("nan"), float("inf")
X, Y = torch.tensor([1.0, nan, inf, -inf, 2.0]), torch.tensor([1.0 + 1e-6, nan, inf, inf, 2.1])


@pytest.mark.parametrize("equal_nan", [True, False])
def test_closeness(equal_nan):
    agrees("isclose", X, Y, equal_nan=equal_nan)
    agrees("isclose", X, Y, rtol=0.1, atol=0.0, equal_nan=equal_nan)
    agrees("isclose", torch.tensor([5, 6]), torch.tensor([5, 7]), 0.0, 1.0)
    agrees("allclose", X[:3], Y[:3], equal_nan=equal_nan)
    agrees("allclose", X[:1], Y[:1])


def test_equality():
    agrees("equal", X[:1], X[:1])
    agrees("equal", X, X)  # NaN equals nothing
    agrees("equal", X, X[:2])
    assert jax.jit(ops.equal)(jnp.ones(2), jnp.ones(2)).dtype == bool


def test_isin():
    agrees("isin", torch.tensor([1, 2, 3]), torch.tensor([3, 1]))
    agrees("isin", torch.tensor([1.0, 2.0]), 2, invert=True)


def test_shifts_and_bits():
    x = torch.tensor([-5, 7, 12])
    agrees("bitwise_left_shift", x, 2)
    agrees("bitwise_right_shift", x, torch.tensor([1, 2, 3]))
    agrees("bitwise_xor", x, 3)
    agrees("gcd", x, torch.tensor([10, 21, 18]))
    agrees("lcm", x, torch.tensor([10, 21, 18]))


def test_numbers():
    assert ops.item(jnp.array([2.5])) == ops._local_scalar_dense(jnp.array(2.5)) == 2.5
    assert ops.is_nonzero(jnp.array([0.0])) is False
    assert ops.numel(jnp.ones((2, 3))) == ops.sym_numel(jnp.ones((2, 3))) == 6
    with pytest.raises(ValueError, match=r"input: expected one element, got shape \(2,\)"):
        ops.item(jnp.ones(2))


def test_conversion():
    x = jnp.array([1.5, -2.5], jnp.float32)
    assert ops.to(x, jnp.int32).tolist() == [1, -2]
    assert ops.to(x, jnp.ones(1, jnp.float16)).dtype == ops.type_as(x, jnp.ones(1, jnp.float16)).dtype == jnp.float16
    assert ops.to(x).dtype == jnp.float32
    assert ops.is_floating_point(x)
    assert not ops.is_complex(x)
    assert ops.is_signed(x)


def test_refusals():
    with pytest.raises(TypeError, match="input is float32 but other is float16"):
        ops.isclose(jnp.ones(1, jnp.float32), jnp.ones(1, jnp.float16))
    with pytest.raises(TypeError, match="input: expected a boolean or integer dtype, got float32"):
        ops.bitwise_and(jnp.ones(1, jnp.float32), jnp.ones(1, jnp.float32))
    with pytest.raises(TypeError, match="input, other: expected both or neither, got one of them"):
        ops.where(jnp.ones(1, bool), jnp.ones(1))
