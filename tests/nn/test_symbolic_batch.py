"""`jax.export` with a batch of any size: what chooses a form by sizes takes one that is right for all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import export

from jaxnets import functional as F
from jaxnets import nn

RNGS = {"rngs": nnx.Rngs(0)}
LAYERS = {
    "conv": (nn.Conv2d(4, 8, 3, padding=1, **RNGS), (4, 16, 16)),
    "conv with a step": (nn.Conv2d(4, 8, 3, 2, 1, **RNGS), (4, 16, 16)),
    "first conv": (nn.Conv2d(3, 16, 7, 2, 3, **RNGS), (3, 64, 64)),
    "patches": (nn.Conv2d(3, 16, 16, 16, **RNGS), (3, 64, 64)),
    "pointwise": (nn.Conv2d(64, 32, 1, **RNGS), (64, 28, 28)),
    "depthwise": (nn.Conv2d(16, 16, 3, padding=1, groups=16, **RNGS), (16, 28, 28)),
    "groups": (nn.Conv2d(16, 16, 3, padding=1, groups=4, **RNGS), (16, 28, 28)),
    "transposed": (nn.ConvTranspose2d(4, 8, 4, 2, 1, **RNGS), (4, 16, 16)),
    "conv1d": (nn.Conv1d(4, 8, 3, **RNGS), (4, 160)),
    "conv3d": (nn.Conv3d(4, 8, 3, **RNGS), (4, 8, 8, 8)),
    "transposed 3d": (nn.ConvTranspose3d(4, 8, 2, 2, **RNGS), (4, 4, 4, 4)),
    "linear": (nn.Linear(64, 10, **RNGS), (64,)),
    "batch norm": (nn.BatchNorm2d(4), (4, 8, 8)),
    "layer norm": (nn.LayerNorm((8, 16)), (8, 16)),
    "group norm": (nn.GroupNorm(2, 8), (8, 6, 6)),
    "max pool": (nn.MaxPool2d(3, 2, 1), (4, 16, 16)),
    "average pool": (nn.AvgPool2d(3, 2, 1), (4, 16, 16)),
    "adaptive average": (nn.AdaptiveAvgPool2d(7), (4, 16, 16)),
    "adaptive maximum": (nn.AdaptiveMaxPool2d(3), (4, 16, 16)),
    "encoder": (nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, **RNGS), (16, 32)),
    "long sequences": (nn.TransformerEncoderLayer(16, 2, 16, batch_first=True, **RNGS), (1024, 16)),
    "LSTM": (nn.LSTM(32, 16, batch_first=True, **RNGS), (16, 32)),
    "GRU": (nn.GRU(32, 16, 2, batch_first=True, bidirectional=True, **RNGS), (16, 32)),
    "bilinear": (nn.Upsample(None, 2, "bilinear"), (4, 8, 8)),
    "bicubic": (nn.Upsample(None, 2, "bicubic"), (4, 8, 8)),
    "reflection": (nn.ReflectionPad2d(2), (4, 8, 8)),
    "fold": (nn.Fold(8, 3), (36, 36)),
    "unfold": (nn.Unfold(3), (4, 8, 8)),
}


@pytest.mark.parametrize(("layer", "shape"), LAYERS.values(), ids=LAYERS)
def test_a_layer_and_its_gradient_are_exported_for_any_batch(layer, shape):
    layer.eval()

    def call(x):
        found = layer(x)
        return found[0] if isinstance(found, tuple) else found

    (batch,) = export.symbolic_shape("batch")
    symbolic = jax.ShapeDtypeStruct((batch, *shape), jnp.float32)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, *shape), np.float32))
    np.testing.assert_allclose(export.export(jax.jit(call))(symbolic).call(x), call(x), rtol=1e-4, atol=1e-5)
    gradient = export.export(jax.jit(jax.grad(lambda x: jnp.sin(call(x)).sum())))(symbolic)
    assert gradient.out_avals[0].shape == symbolic.shape


@pytest.mark.parametrize("shape", [(6,), (6, 5), (6, 32, 32)])
def test_batch_norm_is_exported_in_training(shape):
    def call(x):
        layer = {1: nn.BatchNorm1d, 2: nn.BatchNorm1d, 3: nn.BatchNorm2d}[len(shape)](6)
        layer.train()
        return layer(x), layer.running_var[...]

    (batch,) = export.symbolic_shape("batch")
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, *shape), np.float32))
    exported = export.export(jax.jit(call))(jax.ShapeDtypeStruct((batch, *shape), jnp.float32))
    for found, expected in zip(exported.call(x), call(x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["conv", "conv with a step", "pointwise", "depthwise", "groups", "transposed"])
def test_a_layer_of_one_example_is_exported_mapped_over_any_number(name):
    layer, shape = LAYERS[name]
    (batch,) = export.symbolic_shape("batch")
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, *shape), np.float32))
    for function in (layer, jax.grad(lambda x: jnp.sin(layer(x)).sum())):
        mapped = jax.jit(jax.vmap(function))
        exported = export.export(mapped)(jax.ShapeDtypeStruct((batch, *shape), jnp.float32))
        np.testing.assert_allclose(exported.call(x), mapped(x), rtol=1e-4, atol=1e-5)


LENGTHS = {
    "conv1d": lambda x: F.conv1d(x, jnp.ones((4, 8, 3))),
    "batch norm": lambda x: F.batch_norm(x, None, None, training=True),
    "instance norm": F.instance_norm,
    "group norm": lambda x: F.group_norm(x, 2, jnp.arange(8.0)),
    "max pool": lambda x: F.max_pool1d(x, 3, 2, 1),
    "average pool": lambda x: F.avg_pool1d(x, 3, 2, 1, count_include_pad=False),
    "softmax": lambda x: F.softmax(x, -1),
}


@pytest.mark.parametrize("name", LENGTHS)
def test_a_function_and_its_gradient_are_exported_for_any_length(name):
    function = LENGTHS[name]
    sizes = export.symbolic_shape("batch, length", constraints=["length >= 3"])
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, 8, 14), np.float32))
    for call in (function, jax.grad(lambda x: jnp.sin(function(x)).sum())):
        exported = export.export(jax.jit(call))(jax.ShapeDtypeStruct((sizes[0], 8, sizes[1]), jnp.float32))
        np.testing.assert_allclose(exported.call(x), call(x), rtol=1e-4, atol=1e-5)
