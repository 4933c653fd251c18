"""The gradient of a normalisation, said by hand, is that of its formula: of every order, forwards and backwards."""

import itertools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxnets.functional as F
from jaxnets.lowering.pick import pick
from jaxnets.lowering.standardize import divided_by_rms, moments, standardized
from jaxnets.lowering.sums import sums

EPS = 1e-3
# shape, axes that are normalised together, shape of the parameters
PROBLEMS = {
    "layers": ((4, 5, 6), (1, 2), (1, 5, 6)),
    "a batch": ((4, 3, 3, 5), (0, 2, 3), (1, 3, 1, 1)),
    "a batch without places": ((4, 6), (0,), (1, 6)),
    "groups": ((2, 3, 2, 5, 7), (2, 3, 4), (1, 3, 2, 1, 1)),
    "instances": ((4, 6, 3), (2,), (1, 6, 1)),
    "long lines": ((2, 2, 2048), (2,), (1, 1, 2048)),
    "lines of a prime length": ((2, 2, 1031), (2,), (1, 1, 1031)),
    "rows in halves": ((2, 3, 5, 6), (0, 2, 3), (1, 3, 1, 1)),
    "rows in quarters": ((2, 3, 2, 8), (2, 3), (1, 3, 1, 1)),
    "planes of many rows": ((2, 2, 33, 36), (0, 2, 3), (1, 2, 1, 1)),
    "one number": ((3, 1, 2), (1,), (1, 1, 2)),
}


def formula(x: Any, weight: Any, bias: Any, axes: Any) -> Any:
    mean = x.mean(axes, keepdims=True)
    var = jnp.square(x - mean).mean(axes, keepdims=True)
    return (x - mean) * lax.rsqrt(var + EPS) * weight + bias, mean, var


def derivatives(function: Any, arguments: Any, cotangents: Any) -> dict[str, Any]:
    """What can be asked of a function of three arrays."""

    def loss(*arguments: Any) -> Any:
        return sum((y * g).sum() for y, g in zip(function(*arguments), cotangents, strict=True))

    gradients = jax.grad(loss, (0, 1, 2))
    second = jax.grad(lambda *a: sum(jnp.sin(g).sum() for g in gradients(*a)), (0, 1, 2))
    x, *parameters = arguments
    return {
        "value": function(*arguments),
        "gradients": gradients(*arguments),
        "tangents": jax.jvp(function, arguments, arguments),
        "second": second(*arguments),
        "forward over backward": jax.jvp(gradients, arguments, arguments),
        "vmap": jax.vmap(gradients, (0, None, None))(jnp.stack([x, 2 * x]), *parameters),
    }


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_derivative(name: str):
    shape, axes, of_parameters = PROBLEMS[name]
    random = np.random.default_rng(0)
    with jax.enable_x64(True):
        arguments = tuple(jnp.asarray(random.standard_normal(s)) for s in (shape, of_parameters, of_parameters))
        expected = formula(*arguments, axes)
        cotangents = [jnp.asarray(random.standard_normal(y.shape)) for y in expected]
        wanted = jax.jit(lambda *a: derivatives(lambda *b: formula(*b, axes), a, cotangents))(*arguments)
        found = jax.jit(lambda *a: derivatives(lambda *b: standardized(*b, axes, EPS), a, cotangents))(*arguments)
        for what, result in wanted.items():
            for a, b in zip(jax.tree.leaves(found[what]), jax.tree.leaves(result), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=what)


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_derivative_of_rms(name: str):
    shape, axes, of_weight = PROBLEMS[name]
    random = np.random.default_rng(0)

    def formula(x: Any, weight: Any, unused: Any) -> Any:
        return (x * lax.rsqrt(jnp.square(x).mean(axes, keepdims=True) + EPS) * weight + 0 * unused,)

    def ours(x: Any, weight: Any, unused: Any) -> Any:
        return (divided_by_rms(x, weight, axes, EPS) + 0 * unused,)

    with jax.enable_x64(True):
        arguments = tuple(jnp.asarray(random.standard_normal(s)) for s in (shape, of_weight, of_weight))
        cotangents = [jnp.asarray(random.standard_normal(shape))]
        wanted, found = (jax.jit(lambda *a, f=f: derivatives(f, a, cotangents))(*arguments) for f in (formula, ours))
        for what, result in wanted.items():
            for a, b in zip(jax.tree.leaves(found[what]), jax.tree.leaves(result), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=what)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layers_with_weights_of_their_own_under_vmap(dtype: str):
    """Their sums are products of matrices then, each with its own."""
    random = np.random.default_rng(0)
    with jax.enable_x64(True):
        arguments = [jnp.asarray(random.standard_normal(s), dtype) for s in ((3, 4, 5, 6), (3, 1, 5, 6), (3, 1, 5, 6))]

        def gradients(x: Any, weight: Any, bias: Any) -> Any:
            def loss(x: Any, weight: Any, bias: Any) -> Any:
                y = standardized(x, weight, bias, (1, 2), EPS)[0]
                return jnp.sin(y + divided_by_rms(x, weight, (1, 2), EPS)).sum()

            return jax.grad(loss, (0, 1, 2))(x, weight, bias)

        found = jax.jit(jax.vmap(gradients))(*arguments)
        expected = [gradients(*(a[i] for a in arguments)) for i in range(3)]
        for i, each in enumerate(expected):
            for a, b in zip(found, each, strict=True):
                np.testing.assert_allclose(a[i], b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [7, 1024, 1031, 30000, 2**18])
def test_long_lines_keep_their_digits(size: int):
    """A mean of 1,000 deviations; sums that are taken together keep theirs as well as single ones."""
    x = np.random.default_rng(0).standard_normal((2, size)).astype(np.float32) + np.float32(1000)
    _, mean, var = moments(jnp.asarray(x), (1,))
    np.testing.assert_allclose(mean.ravel(), x.mean(1, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(var.ravel(), x.var(1, dtype=np.float64), rtol=1e-5)
    for total, y in zip(sums([jnp.asarray(x), jnp.asarray(x**2)], (1,)), (x, x**2), strict=True):
        np.testing.assert_allclose(total.ravel(), y.sum(1, dtype=np.float64), rtol=5e-6)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 5, 6), (2, 1, 7, 7), (2, 2, 40, 30), (2, 1, 1026), (2, 0, 4), (2, 0)])
@pytest.mark.parametrize("jit", [True, False])
def test_sums_over_any_axes(shape: tuple[int, ...], count: int, jit: bool):
    random = np.random.default_rng(0)
    arrays = [random.integers(-8, 8, shape).astype(np.float32) for _ in range(count)]  # whose sums are exact
    given = [jnp.asarray(x) for x in arrays]
    for size in range(1, len(shape) + 1):
        for axes in itertools.combinations(range(len(shape)), size):
            function = partial(sums, axes=axes)
            for total, x in zip((jax.jit(function) if jit else function)(given), arrays, strict=True):
                np.testing.assert_array_equal(total, x.sum(axes, keepdims=True))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_pick(axis: int):
    random = np.random.default_rng(0)
    x = jnp.asarray(random.standard_normal((3, 4, 5)).astype(np.float32))
    shape = x.shape[:axis] + x.shape[axis + 1 :]
    index = jnp.asarray(random.integers(x.shape[axis], size=shape), jnp.int32)
    weight = jnp.asarray(random.standard_normal(shape).astype(np.float32))

    def gathered(x: jax.Array) -> jax.Array:
        return jnp.take_along_axis(x, jnp.expand_dims(index, axis), axis).squeeze(axis)

    def picked(x: jax.Array) -> jax.Array:
        return pick(x, index, axis)

    for function in (
        lambda f: f(x),
        lambda f: jax.grad(lambda x: (jnp.sin(f(x)) * weight).sum())(x),
        lambda f: jax.jvp(f, (x,), (x,)),
        lambda f: jax.vmap(f)(jnp.stack([x, 2 * x])),
        lambda f: jax.grad(lambda x: jax.grad(lambda x: (jnp.sin(f(x)) * weight).sum())(x).sum())(x),
    ):
        for a, b in zip(jax.tree.leaves(function(picked)), jax.tree.leaves(function(gathered)), strict=True):
            np.testing.assert_array_equal(a, b)


def test_pick_out_of_range():
    """No such place: NaN, and no gradient."""
    x, index = jnp.ones((2, 3)), jnp.asarray([3, 1], jnp.int32)
    np.testing.assert_array_equal(pick(x, index, 1), [np.nan, 1])
    slopes = jax.grad(lambda x: pick(x, index, 1).sum())(x)
    np.testing.assert_array_equal(slopes, [[0, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize("axis", [0, 2, 3])
def test_a_mesh_with_explicit_axes(axis: int):
    """What is summed over may lie on it: the batch, or the places."""
    x = jnp.asarray(np.random.default_rng(0).standard_normal((4, 3, 8, 8)), jnp.float32)
    one = jnp.ones((1, 3, 1, 1))
    gradient = jax.grad(lambda x: jnp.sin(standardized(x, one, one, (0, 2, 3), EPS)[0]).sum())
    expected = gradient(x)
    mesh = jax.make_mesh((1,), ("places",), axis_types=(jax.sharding.AxisType.Explicit,))
    with jax.set_mesh(mesh):
        spec = jax.sharding.PartitionSpec(*(None,) * axis, "places")
        found = jax.jit(gradient)(jax.device_put(x, jax.NamedSharding(mesh, spec)))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(8, 32), (32, 64), (128, 128)])
def test_a_program_grows_with_depth_and_not_with_its_square(shape: tuple[int, int]):
    """Each layer normalises its input and what it makes of it: XLA would compute all layers before again in each."""
    weight = jnp.ones((shape[1],) * 2)

    def size(depth: int) -> int:
        def loss(x: jax.Array) -> jax.Array:
            for _ in range(depth):
                x = F.layer_norm(x + jnp.tanh(x @ weight) @ weight, shape[1:])
            return jnp.square(x).sum()

        return len(jax.jit(jax.value_and_grad(loss)).lower(jnp.ones(shape)).compile().as_text())

    assert size(8) - size(4) < 1.2 * (size(4) - size(0)) + 1000
