"""Lazy layers: what they are before and after the first call, under transformations, with states, refusals."""

import copy
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxnets
from jaxnets import nn

ones, zeros = jnp.ones, jnp.zeros
LAYERS = {
    "LazyLinear": ((3,), (2, 5)),
    "LazyConv1d": ((4, 3), (2, 6, 9)),
    "LazyConv2d": ((4, 3, 2), (6, 5, 7)),
    "LazyConv3d": ((4, 2), (2, 6, 3, 4, 2)),
    "LazyConvTranspose1d": ((4, 3), (6, 5)),
    "LazyConvTranspose2d": ((4, 3), (2, 6, 3, 4)),
    "LazyConvTranspose3d": ((4, 2), (2, 6, 2, 3, 2)),
    "LazyBatchNorm1d": ((), (4, 3)),
    "LazyBatchNorm2d": ((1e-3,), (2, 3, 4, 2)),
    "LazyBatchNorm3d": ((1e-3, None), (2, 3, 4, 2, 2)),
    "LazyInstanceNorm1d": ((1e-3, 0.2, True, True), (2, 3, 4)),
    "LazyInstanceNorm2d": ((1e-3, 0.2, True, True), (2, 3, 4, 2)),
    "LazyInstanceNorm3d": ((1e-3, 0.2, True, True), (2, 3, 4, 2, 2)),
}


def made(name, **kwargs):
    return getattr(nn, name)(*LAYERS[name][0], rngs=nnx.Rngs(7), **kwargs)


def drawn(*shape):
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


class Net(nnx.Module):
    def __init__(self, rngs):
        self.conv = nn.LazyConv2d(4, 3, groups=2, rngs=rngs)
        self.norm = nn.LazyBatchNorm2d()
        self.out = nn.LazyLinear(5, rngs=rngs)

    def __call__(self, x):
        return self.out(self.norm(self.conv(x)).mean((2, 3)))


@pytest.mark.parametrize("name", LAYERS)
def test_the_first_call_makes_the_plain_layer(name):
    """Torch's signature, attributes, states and numbers; the draws of a plain layer from the same stream."""
    theirs = getattr(torch.nn, name)(*LAYERS[name][0])
    signature = inspect.signature(getattr(torch.nn, name).__init__)
    ours = inspect.signature(getattr(nn, name).__init__).parameters
    assert [p for p in ours if p not in ("param_dtype", "rngs")] == [p for p in signature.parameters if p != "device"]
    layer = made(name)
    plain = type(layer).cls_to_become
    assert isinstance(layer, plain)
    assert layer.has_uninitialized_params()
    assert list(jaxnets.state_dict(layer)) == list(theirs.state_dict())
    first = list(inspect.signature(plain.__init__).parameters)[1]
    assert getattr(layer, first) == 0
    x = drawn(*LAYERS[name][1])
    y = layer(jnp.asarray(x))
    assert type(layer) is plain
    assert not hasattr(layer, "has_uninitialized_params")
    eager = plain(getattr(layer, first), *LAYERS[name][0], rngs=nnx.Rngs(7))
    np.testing.assert_array_equal(eager(jnp.asarray(x)), y)
    for key, value in jaxnets.state_dict(eager).items():
        np.testing.assert_array_equal(jaxnets.state_dict(layer)[key], value)
    theirs(torch.tensor(x))
    for key, value in theirs.state_dict().items():
        assert jaxnets.state_dict(layer)[key].shape == tuple(value.shape)


def test_a_state_fills_a_layer_that_was_not_called():
    theirs = torch.nn.Sequential(torch.nn.Conv2d(6, 4, 3, groups=2), torch.nn.BatchNorm2d(4))
    ours = nn.Sequential(nn.LazyConv2d(4, 3, groups=2, rngs=nnx.Rngs(0)), nn.LazyBatchNorm2d())
    jaxnets.load_state_dict(ours, theirs.state_dict())
    assert (type(ours[0]), ours[0].in_channels, type(ours[1]), ours[1].num_features) == (
        nn.Conv2d,
        6,
        nn.BatchNorm2d,
        4,
    )
    x = drawn(2, 6, 5, 4)
    wanted = theirs(torch.tensor(x)).detach()
    np.testing.assert_allclose(nnx.jit(lambda net, x: net(x))(ours, jnp.asarray(x)), wanted, rtol=1e-4, atol=1e-5)


def test_a_part_of_a_state_is_kept_and_the_rest_drawn():
    layer = made("LazyLinear")
    jaxnets.load_state_dict(layer, {"weight": drawn(3, 5)}, strict=False)
    assert layer.has_uninitialized_params()
    with pytest.raises(ValueError, match=r"in_features=4, for which weight has shape \(3, 4\); but its shape is"):
        layer(ones((2, 4)))
    layer(ones((2, 5)))
    np.testing.assert_array_equal(layer.weight[...], drawn(3, 5))


def test_copies_split_and_merge():
    net, x = Net(nnx.Rngs(0)), jnp.asarray(drawn(2, 6, 5, 5))
    copies = [nnx.clone(net), copy.deepcopy(net), nnx.merge(*nnx.split(net))]
    wanted = net(x)
    for other in copies:
        np.testing.assert_allclose(other(x), wanted, rtol=1e-6)
    assert (type(net.conv), type(net.norm), type(net.out)) == (nn.Conv2d, nn.BatchNorm2d, nn.Linear)
    assert nnx.jit(lambda net, x: net(x))(net, x).shape == (2, 5)
    assert list(jaxnets.state_dict(nnx.merge(*nnx.split(net)))) == list(jaxnets.state_dict(net))


def test_made_and_called_inside_one_program():
    @nnx.jit
    def make():
        net = Net(nnx.Rngs(0))
        net(ones((2, 6, 5, 5)))
        return net

    net = make()
    assert (type(net.conv), net.out.in_features) == (nn.Conv2d, 4)


def test_the_mode_is_kept():
    layer = made("LazyBatchNorm1d")
    layer.eval()
    layer(ones((4, 3)))
    assert layer.use_running_average
    assert layer.num_batches_tracked[...] == 0


def test_initialize_parameters_does_not_call():
    layer = made("LazyLinear")
    layer.initialize_parameters(zeros((2, 5)))
    assert (layer.weight.shape, layer.in_features, layer.has_uninitialized_params()) == ((3, 5), 5, False)
    assert layer(ones((2, 5))).shape == (2, 3)


def test_dtype_and_shapes_before_the_call():
    layer = made("LazyConv1d", groups=2, dtype=jnp.bfloat16)
    assert (layer.weight.shape, layer.bias.shape) == ((4, None, 3), (4,))
    assert repr(layer.weight.get_value()) == "<Uninitialized bfloat16[4, ?, 3]>"
    layer(ones((6, 9), jnp.bfloat16))
    assert (layer.weight.shape, layer.weight.dtype) == ((4, 3, 3), jnp.bfloat16)


LOST = "its parameters have no values yet, and what is drawn inside jax.jit"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nnx.jit(lambda net, x: net(x))(made("LazyLinear"), ones((2, 5))), ValueError, LOST),
        (lambda: jax.jit(made("LazyLinear"))(ones((2, 5))), ValueError, LOST),
        (lambda: jax.vmap(made("LazyBatchNorm1d"))(ones((2, 5, 3))), ValueError, LOST),
        (lambda: nnx.grad(lambda net, x: net(x).sum())(made("LazyLinear"), ones(5)), ValueError, LOST),
        (lambda: nnx.eval_shape(lambda net, x: net(x), made("LazyLinear"), ones(5)), ValueError, LOST),
        (lambda: made("LazyLinear").weight[...], ValueError, r"<Uninitialized float32\[3, \?\]> has no values yet"),
        (
            lambda: jaxnets.load_state_dict(made("LazyLinear"), {"weight": ones((4, 2)), "bias": ones(3)}),
            ValueError,
            r"weight: expected shape \(3, None\), got \(4, 2\)",
        ),
        (lambda: nn.LazyLinear(rngs=nnx.Rngs(0)), TypeError, "LazyLinear: missing a required argument: 'out_features'"),
        (lambda: nn.LazyLinear(3), TypeError, "LazyLinear: missing a required argument: 'rngs'"),
        (lambda: nn.LazyLinear(3, rngs=0), TypeError, "rngs: expected flax.nnx.Rngs, got int"),
        (lambda: nn.LazyLinear(-3, rngs=nnx.Rngs(0)), ValueError, "out_features: expected an int of at least 0"),
        (lambda: nn.LazyConv1d(3, 2, groups=2, rngs=nnx.Rngs(0)), ValueError, "groups: expected a divisor of the 3"),
        (lambda: nn.LazyConv1d(3, 2, groups="a", rngs=nnx.Rngs(0)), TypeError, "groups: expected an int, got 'a'"),
        (
            lambda: nn.LazyConv1d(4, 2, groups=2, rngs=nnx.Rngs(0))(ones((3, 9))),
            ValueError,
            "groups: expected a divisor of the 3 channels of in_channels, got 2",
        ),
        (lambda: made("LazyConv1d")(ones(9)), ValueError, r"input: expected 2 axes \(C_in, \*spatial\) or 3 axes"),
        (lambda: made("LazyLinear")(ones(())), ValueError, r"input: expected at least 1 axis, got shape \(\)"),
        (lambda: made("LazyLinear")([1.0]), TypeError, "input: expected an array, got list"),
        (lambda: made("LazyBatchNorm2d")(ones((2, 3))), ValueError, r"input: expected 4 axes \(N, C, H, W\), got 2"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
