"""A convolution as a primitive: under every transform it is what JAX makes of `lax.conv_general_dilated`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import PartitionSpec as P

from jaxnets import functional as F
from jaxnets.lowering.conv import conv, conv_transpose
from tests.lowering.test_conv_forms import close

SETTINGS: Any = ((2, 1), [(1, 1), (0, 1)], (1, 1))


def arrays(*shapes: tuple[int, ...]) -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape) for shape in shapes]


def ours(x: Any, weight: Any) -> Any:
    return conv(x, weight, *SETTINGS, 1)


def plain(x: Any, weight: Any) -> Any:
    return lax.conv_general_dilated(x, weight, *SETTINGS[:2])


def turned(x: Any, weight: Any) -> Any:
    return conv_transpose(x, weight, (2, 1), (1, 0), (0, 0), (1, 1), 1)


def plain_turned(x: Any, weight: Any) -> Any:
    flipped = jnp.flip(jnp.swapaxes(weight, 0, 1), (2, 3))
    return lax.conv_general_dilated(x, flipped, (1, 1), [(1, 1), (1, 1)], lhs_dilation=(2, 1))


PAIRS = {"conv": (ours, plain, (4, 3, 3, 2)), "conv_transpose": (turned, plain_turned, (3, 4, 3, 2))}


def loss(function: Any) -> Any:
    return lambda x, weight: jnp.sin(function(x, weight)).sum()


def gradients(function: Any) -> Any:
    return jax.grad(loss(function), (0, 1))


def jvp(function: Any) -> Any:
    return lambda x, weight: jax.jvp(function, (x, weight), (x + 1, weight - 1))[1]


MAPS = {"x": (0, None), "weight": (None, 0), "both": (0, 0), "behind": (4, 4)}


@pytest.mark.parametrize("axes", MAPS.values(), ids=MAPS)
@pytest.mark.parametrize("name", PAIRS)
def test_mapped(name: str, axes: tuple[int | None, int | None]):
    """In both orders: the gradient of each example, and the gradient of all; and mapped twice."""
    ours, plain, of_weight = PAIRS[name]
    given = arrays((2, 3, 7, 5), of_weight)
    several = [x if axis is None else np.stack([x, 2 * x, -x], axis) for x, axis in zip(given, axes, strict=True)]

    def found(function: Any) -> list[Any]:
        mapped = jax.vmap(function, axes)
        return [
            mapped(*several),
            *jax.vmap(gradients(function), axes)(*several),
            *gradients(mapped)(*several),
            jvp(mapped)(*several),
            *jax.vmap(gradients(mapped), (0, 0))(*(np.stack([x, x / 2]) for x in several)),
            *gradients(jax.vmap(mapped, (0, None)))(np.stack([several[0]] * 2), several[1]),
        ]

    with jax.enable_x64(True):
        close(found(ours), found(plain))


def test_what_is_mapped_over_examples_is_one_convolution_of_all():
    x, weight = arrays((6, 1, 3, 7, 5), (4, 3, 3, 2))
    text = jax.make_jaxpr(gradients(jax.vmap(ours, (0, None))))(x, weight).pretty_print()
    assert text.count("batch=6") == 3
    assert "batch=1" not in text


@pytest.mark.parametrize(
    ("axes", "settings"), [((0, 0), "channels=(18, 24), groups=6"), ((None, 0), "channels=(3, 24), groups=1")]
)
def test_what_is_mapped_over_kernels_is_one_convolution_of_more_channels(axes: Any, settings: str):
    x, weight = arrays((6, 2, 3, 7, 5), (6, 4, 3, 3, 2))
    gradient = jax.vmap(jax.grad(loss(ours), 1), axes)
    assert jax.make_jaxpr(gradient)(x if axes[0] == 0 else x[0], weight).pretty_print().count(settings) == 2


@pytest.mark.parametrize("name", PAIRS)
def test_derivatives_of_all_orders(name: str):
    ours, plain, of_weight = PAIRS[name]
    given = arrays((2, 3, 4, 3), of_weight)

    def found(function: Any) -> list[Any]:
        value = loss(function)
        return [
            jvp(function)(*given),
            jvp(gradients(function))(*given)[0],  # forward over reverse
            *jax.grad(lambda *a: jvp(function)(*a).sum(), (0, 1))(*given),  # reverse over forward
            *jax.hessian(value, (0, 1))(*given)[0],
            jax.grad(lambda w: jnp.square(gradients(function)(given[0], w)[0]).sum())(given[1]),
            jax.linear_transpose(lambda x: function(x, given[1]), given[0])(function(*given))[0],
        ]

    with jax.enable_x64(True):
        close(found(ours), found(plain))


def over_devices(function: Any, *specs: Any, checked: bool = True) -> Any:
    """In `jax.shard_map`; the last of the specs is the result's."""
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    return jax.shard_map(function, mesh=mesh, in_specs=specs[:-1], out_specs=specs[-1], check_vma=checked)


@pytest.mark.parametrize("checked", [True, False])
def test_by_device(checked: bool):
    """The weight's gradient is the sum of those of all devices."""
    x, weight = arrays((2 * jax.device_count(), 3, 7, 5), (4, 3, 3, 2))

    def found(function: Any) -> Any:
        over = over_devices(function, P("data"), P(), P("data"), checked=checked)
        return [over(x, weight), *gradients(over)(x, weight)]

    with jax.enable_x64(True):
        close(found(ours), [plain(x, weight), *gradients(plain)(x, weight)])


def test_it_is_computed_in_the_precision_in_which_it_is_asked_for():
    """That is known in the function, and no longer when it is compiled."""
    x, weight = (jnp.asarray(a, "float32") for a in arrays((4, 256, 28, 28), (256, 256, 3, 3)))

    def asked(x: Any, weight: Any) -> Any:
        with jax.default_matmul_precision("highest"):
            return F.conv2d(x, weight, padding=1)

    def number(function: Any) -> tuple[int, int]:
        text = jax.jit(function).lower(x, weight).as_text()
        return text.count("stablehlo.dot_general"), text.count("HIGHEST")

    products, highest = number(lambda x, weight: F.conv2d(x, weight, padding=1))
    assert products
    assert not highest
    products, highest = number(asked)
    assert not products  # Winograd's would be less exact
    assert highest


def test_only_what_is_asked_for_is_computed():
    """The first layer's input has no gradient, nor a tangent."""
    x, weight = arrays((2, 3, 7, 5), (4, 3, 3, 2))
    for function in (jax.grad(lambda w: loss(ours)(x, w)), lambda w: jax.jvp(lambda w: ours(x, w), (w,), (w,))):
        assert jax.make_jaxpr(function)(weight).pretty_print().count("gradient_of_trilinear") == 2


def test_a_tangent_that_differs_from_device_to_device_is_known_to():
    x, weight = arrays((2, 3, 7, 5), (4, 3, 3, 2))
    factors = np.arange(1.0, jax.device_count() + 1)

    def along(factor: Any, x: Any, weight: Any) -> Any:
        return jax.jvp(lambda weight: ours(x, weight), (weight,), (weight * factor.sum(),))[1]

    with jax.enable_x64(True):
        found = over_devices(along, P("data"), P(), P(), P("data"))(factors, x, weight)
        close([found], [np.concatenate([plain(x, weight) * factor for factor in factors])])
        with pytest.raises(ValueError, match="replication"):
            over_devices(along, P("data"), P(), P(), P())(factors, x, weight)


def test_what_is_mapped_over_the_devices_of_a_mesh():
    x, weight = arrays((jax.device_count(), 2, 3, 7, 5), (4, 3, 3, 2))
    with jax.enable_x64(True):
        mapped = jax.vmap(over_devices(ours, P(), P(), P()), (0, None), spmd_axis_name="data")
        close(jax.jit(gradients(mapped))(x, weight), gradients(jax.vmap(plain, (0, None)))(x, weight))


def test_64_bits_are_left_before_it_is_compiled():
    x, weight = arrays((2, 3, 7, 5), (6, 1, 3, 2))

    def function(x: Any, weight: Any) -> Any:
        return F.group_norm(conv(x, weight, *SETTINGS, 3), 2)

    with jax.enable_x64(True):
        x, weight = jnp.asarray(x), jnp.asarray(weight)
        traced = jax.jit(gradients(function)).trace(x, weight)
        expected, (found, pull) = gradients(function)(x, weight), jax.vjp(loss(function), x, weight)
    close(pull(jnp.ones_like(found)), expected)
    assert "f64" in traced.lower().as_text()
