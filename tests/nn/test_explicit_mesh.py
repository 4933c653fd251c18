"""Layers where the batch lies on a mesh of explicit axes, which `jax.make_mesh` makes: forward, gradients, layouts."""

import json
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jaxnets import functional as F
from jaxnets import nn

IMAGE, PLANE, SEQUENCE, ROWS, VOLUME = (4, 6, 8, 8), (4, 6, 12), (4, 7, 6), (4, 6), (4, 6, 4, 5, 6)
CLASSES, WORDS = np.arange(4) % 3, np.arange(20).reshape(4, 5) % 7

LAYERS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "Conv2d": (lambda k: nn.Conv2d(6, 8, 3, padding=1, rngs=k), (IMAGE,)),
    "Conv2d strided": (lambda k: nn.Conv2d(6, 64, 3, 2, rngs=k), (IMAGE,)),
    "Conv2d grouped": (lambda k: nn.Conv2d(6, 12, 3, groups=2, rngs=k), (IMAGE,)),
    "Conv2d depthwise": (lambda k: nn.Conv2d(6, 6, 3, groups=6, rngs=k), (IMAGE,)),
    "Conv2d of one tap": (lambda k: nn.Conv2d(6, 12, 1, rngs=k), (IMAGE,)),
    "Conv2d of many channels": (lambda k: nn.Conv2d(192, 192, 3, rngs=k), ((16, 192, 16, 16),)),
    "Conv1d": (lambda k: nn.Conv1d(6, 8, 3, padding=1, padding_mode="circular", rngs=k), (PLANE,)),
    "Conv3d": (lambda k: nn.Conv3d(6, 8, 3, rngs=k), (VOLUME,)),
    "ConvTranspose2d": (lambda k: nn.ConvTranspose2d(6, 8, 3, 2, rngs=k), (IMAGE,)),
    "ConvTranspose2d grouped": (lambda k: nn.ConvTranspose2d(6, 8, 3, 2, groups=2, rngs=k), (IMAGE,)),
    "MaxPool2d": (lambda k: nn.MaxPool2d(3, 2, 1), (IMAGE,)),
    "AvgPool2d": (lambda k: nn.AvgPool2d(3, 2, 1), (IMAGE,)),
    "AdaptiveAvgPool2d": (lambda k: nn.AdaptiveAvgPool2d(3), (IMAGE,)),
    "max_unpool2d": (lambda k: lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2), (IMAGE,)),
    "BatchNorm2d": (lambda k: nn.BatchNorm2d(6, rngs=k), (IMAGE,)),
    "GroupNorm": (lambda k: nn.GroupNorm(3, 6, rngs=k), (IMAGE,)),
    "LayerNorm": (lambda k: nn.LayerNorm(6, rngs=k), (ROWS,)),
    "Unfold": (lambda k: nn.Unfold(3), (IMAGE,)),
    "Fold": (lambda k: nn.Fold((6, 6), 3), ((4, 18, 16),)),
    "PixelShuffle": (lambda k: nn.PixelShuffle(2), ((4, 8, 3, 3),)),
    "PixelUnshuffle": (lambda k: nn.PixelUnshuffle(2), (IMAGE,)),
    "Upsample": (lambda k: nn.Upsample(scale_factor=2, mode="bilinear"), (IMAGE,)),
    "grid_sample": (lambda k: lambda x, g: F.grid_sample(x, g, align_corners=False), (IMAGE, (4, 2, 3, 2))),
    "PReLU": (lambda k: nn.PReLU(6, rngs=k), (IMAGE,)),
    "Linear": (lambda k: nn.Linear(6, 3, rngs=k), (ROWS,)),
    "Embedding": (lambda k: nn.Embedding(7, 6, padding_idx=0, max_norm=1.0, rngs=k), (WORDS,)),
    "Embedding by frequency": (lambda k: nn.Embedding(7, 6, scale_grad_by_freq=True, rngs=k), (WORDS,)),
    "EmbeddingBag": (lambda k: nn.EmbeddingBag(7, 6, mode="max", rngs=k), (WORDS,)),
    "LSTM": (lambda k: nn.LSTM(6, 5, 2, batch_first=True, bidirectional=True, rngs=k), (SEQUENCE,)),
    "MultiheadAttention": (lambda k: nn.MultiheadAttention(6, 2, batch_first=True, rngs=k), (SEQUENCE,) * 3),
    "TransformerEncoderLayer": (
        lambda k: nn.TransformerEncoderLayer(6, 2, 12, 0.0, batch_first=True, rngs=k),
        (SEQUENCE,),
    ),
    "CrossEntropyLoss": (lambda k: nn.CrossEntropyLoss(weight=jnp.arange(6.0)), (ROWS, CLASSES)),
    "MultiMarginLoss": (lambda k: nn.MultiMarginLoss(weight=jnp.arange(6.0)), (ROWS, CLASSES)),
    "MultiLabelMarginLoss": (lambda k: nn.MultiLabelMarginLoss(), (ROWS, np.arange(24).reshape(4, 6) % 6 - 1)),
    "ctc_loss": (lambda k: lambda x, text: F.ctc_loss(x.swapaxes(0, 1), text, (7,) * 4, (3,) * 4), (SEQUENCE, WORDS)),
    "AdaptiveLogSoftmaxWithLoss": (lambda k: nn.AdaptiveLogSoftmaxWithLoss(6, 9, [3, 6], rngs=k), (ROWS, CLASSES)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_batch_on_the_mesh(name: str):
    make, given = LAYERS[name]
    mesh = jax.make_mesh((1,), ("batch",))
    assert mesh.axis_types == (jax.sharding.AxisType.Explicit,)
    on_mesh = NamedSharding(mesh, P("batch"))
    arrays = [jnp.ones(x) if isinstance(x, tuple) else jnp.asarray(x) for x in given]
    layer = make(nnx.Rngs(0))
    graph, parameters, rest = nnx.split(layer if isinstance(layer, nnx.Module) else nn.Identity(), nnx.Param, ...)

    def loss(parameters: Any, inputs: list[Any]) -> Any:
        module = nnx.merge(graph, parameters, rest, copy=True) if isinstance(layer, nnx.Module) else layer
        floats = iter(inputs)
        found = module(*(next(floats) if jnp.issubdtype(x.dtype, jnp.floating) else x for x in placed))
        results = [x for x in jax.tree.leaves(found) if jnp.issubdtype(x.dtype, jnp.floating)]
        assert all(jax.typeof(x).sharding.spec[0] == "batch" for x in results[:1] if x.ndim)
        return sum(jnp.sin(x).sum() for x in results)

    with jax.set_mesh(mesh):
        placed = [jax.device_put(x, on_mesh) for x in arrays]
        inputs = [x for x in placed if jnp.issubdtype(x.dtype, jnp.floating)]
        of_parameters, of_inputs = jax.eval_shape(jax.grad(loss, (0, 1)), parameters, inputs)
    assert all(tuple(x.sharding.spec) == ("batch", *(None,) * (x.ndim - 1)) for x in of_inputs)
    assert not any(x.sharding and any(x.sharding.spec) for x in jax.tree.leaves(of_parameters))


TRAINING = """
import os
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
os.environ["JAX_PLATFORMS"] = "cpu"
import json, jax, jax.numpy as jnp
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec as P
from jaxnets import functional as F, nn

def gradients(put, x, y):
    k = nnx.Rngs(0)
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1, bias=False, rngs=k), nn.BatchNorm2d(32, rngs=k), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, groups=4, rngs=k), nn.ConvTranspose2d(32, 8, 2, 2, rngs=k), nn.Flatten(),
        nn.Linear(8 * 144, 5, rngs=k),
    )
    graph, parameters, rest = nnx.split(model, nnx.Param, ...)
    loss = lambda p, x: F.cross_entropy(nnx.merge(graph, p, rest, copy=True)(x), put(y))
    found = jax.jit(jax.value_and_grad(loss, (0, 1)))(parameters, put(x))
    return [jax.device_get(leaf) for leaf in jax.tree.leaves(found)]

def normalised(put, shape):
    x = jax.random.normal(jax.random.key(2), shape)
    loss = lambda x: jnp.exp(F.batch_norm(x, None, None, training=True)).sum()
    return [jax.device_get(leaf) for leaf in jax.jit(jax.value_and_grad(loss))(put(x))]

def all_of(put):
    norms = [x for shape in ((64, 100), (66, 100), (6, 6, 50, 50)) for x in normalised(put, shape)]
    return gradients(put, x, y) + norms

x, y = jax.random.normal(jax.random.key(1), (4, 3, 16, 16)), jnp.array([0, 3, 4, 1])
alone = all_of(lambda x: x)
mesh = jax.make_mesh((2,), ("batch",))
with jax.set_mesh(mesh):
    found = all_of(lambda x: jax.device_put(x, NamedSharding(mesh, P("batch"))))
print(json.dumps([float(abs(a - b).max() / (abs(b).max() + 1e-6)) for a, b in zip(found, alone, strict=True)]))
"""


def test_two_devices_give_the_gradients_of_one():
    done = subprocess.run([sys.executable, "-c", TRAINING], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert max(json.loads(done.stdout)) < 1e-4
