"""Which dtype a result has: arrays, arrays without axes and numbers of Python, every two of them."""

import itertools

import jax
import jax.numpy as jnp
import pytest
import torch

from jaxnets import ops
from tests.ops.operators import DTYPES, held

NUMBERS = (True, 2, 1.5, 1 + 2j)
WIDE = (True, False)


def kinds(dtype):
    return torch.ones(3, dtype=dtype), torch.ones((), dtype=dtype)


def operands():
    return [x for dtype in DTYPES for x in kinds(dtype)]


def described(x):
    """A tensor as what `jax.eval_shape` takes; a number as it is."""
    return jax.ShapeDtypeStruct(tuple(x.shape), held(x.dtype)) if isinstance(x, torch.Tensor) else x


@pytest.mark.parametrize("wide", WIDE)
def test_result_type(wide):
    with jax.enable_x64(wide):
        for a, b in itertools.product(operands(), [*operands(), *NUMBERS]):
            arrays = [jnp.zeros(x.shape, x.dtype) if hasattr(x, "shape") else x for x in map(described, (a, b))]
            assert ops.result_type(*arrays) == held(torch.result_type(a, b)), (a, b)


@pytest.mark.parametrize("wide", WIDE)
def test_promote_types(wide):
    with jax.enable_x64(wide):
        for a, b in itertools.product(DTYPES, DTYPES):
            assert ops.promote_types(DTYPES[a], DTYPES[b]) == held(torch.promote_types(a, b)), (a, b)
            if wide:
                assert ops.can_cast(DTYPES[a], DTYPES[b]) == torch.can_cast(a, b), (a, b)


def found(function, *args):
    """What comes out of a call in dtype and shape, or None where it is refused."""
    try:
        return function(*args)
    except (TypeError, ValueError, RuntimeError):
        return None


def result(name, a, b):
    """The same of ours, without computing it."""
    at = [i for i, x in enumerate((a, b)) if isinstance(x, torch.Tensor)]

    def call(*arrays):
        given = dict(enumerate((a, b))) | dict(zip(at, arrays, strict=True))
        return getattr(ops, name)(*given.values())

    return found(lambda: jax.eval_shape(call, *(described((a, b)[i]) for i in at)))


# float8, unsigned 64 and the like are in neither table: torch does not promote them
BINARY = ("add", "sub", "mul", "div", "floor_divide", "remainder", "pow", "eq", "lt", "atan2", "bitwise_and", "maximum")
REPRESENTATIVES = (torch.bool, torch.uint8, torch.int16, torch.int64, torch.bfloat16, torch.float32, torch.float64)


@pytest.mark.parametrize("wide", WIDE)
@pytest.mark.parametrize("name", BINARY)
def test_binary(name, wide):
    pairs = [(a, b) for s, t in itertools.product(REPRESENTATIVES, REPRESENTATIVES) for a in kinds(s) for b in kinds(t)]
    numbers = () if name in ("maximum", "atan2") else NUMBERS[:3]  # torch's takes tensors alone
    pairs += [(a, b) for s in REPRESENTATIVES for a in kinds(s) for b in numbers]
    with jax.enable_x64(wide):
        for a, b in pairs:
            theirs, ours = found(getattr(torch, name), a, b), result(name, a, b)
            assert (theirs is None) == (ours is None), (name, a, b)
            if theirs is not None:
                assert ours.dtype == held(theirs.dtype), (name, a, b)
                assert ours.shape == tuple(theirs.shape), (name, a, b)


@pytest.mark.parametrize("wide", WIDE)
def test_integers_become_float32(wide):
    with jax.enable_x64(wide):
        for name in ("exp", "sqrt", "sin", "sigmoid", "reciprocal", "erf", "log2"):
            for dtype in (jnp.bool_, jnp.uint8, jnp.int32, int):
                assert getattr(ops, name)(jnp.ones(2, dtype)).dtype == jnp.float32
        assert ops.div(jnp.array(3), jnp.array(2)).dtype == jnp.float32
        assert ops.div(jnp.array([3]), 2).dtype == jnp.float32


@pytest.mark.parametrize("wide", WIDE)
def test_sums_of_integers_are_int64(wide):
    with jax.enable_x64(wide):
        expected = held(torch.int64)
        for name in ("sum", "prod"):
            for dtype in (jnp.bool_, jnp.uint8, jnp.int16):
                assert getattr(ops, name)(jnp.ones(2, dtype)).dtype == expected
        assert ops.cumsum(jnp.ones(2, bool), 0).dtype == expected
        assert ops.cumprod(jnp.ones(2, jnp.int8), 0).dtype == expected
        assert ops.count_nonzero(jnp.ones(2)).dtype == expected
        assert ops.sum(jnp.ones(2, jnp.int8), dtype=jnp.int8).dtype == jnp.int8


@pytest.mark.parametrize("wide", WIDE)
def test_what_is_made_of_numbers(wide):
    with jax.enable_x64(wide):
        for args in ((5,), (1.0, 5), (0, 5, 2), (True, 5)):
            assert ops.arange(*args).dtype == held(torch.arange(*args).dtype), args
        for value in NUMBERS:
            assert ops.full((2,), value).dtype == held(torch.full((2,), value).dtype)
            assert ops.tensor([value]).dtype == held(torch.tensor([value]).dtype)
            assert ops.scalar_tensor(value if not isinstance(value, complex) else 1.0).dtype == jnp.float32
        assert ops.zeros(2).dtype == ops.linspace(0, 1, 3).dtype == ops.eye(2).dtype == jnp.float32
        assert ops.zeros(2, dtype=jnp.int64).dtype == held(torch.int64)


def test_where_promotes():
    condition = torch.tensor([True, False])
    for a, b in (
        (torch.ones(2, dtype=torch.int32), torch.tensor(1.5)),
        (torch.ones(2), 2),
        (torch.ones(2).half(), 2.0),
    ):
        ours = ops.where(jnp.array([True, False]), *map(made, (a, b)))
        assert ours.dtype == held(torch.where(condition, a, b).dtype)


def made(x):
    return jnp.ones(x.shape, held(x.dtype)) if isinstance(x, torch.Tensor) else x
