"""Training written for one device's part of the batch: `jax.shard_map`, with all that it checks."""

import json
import subprocess
import sys

TRAINING = """
import os
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
os.environ["JAX_PLATFORMS"] = "cpu"
import json, jax
from flax import nnx
from jax.sharding import PartitionSpec as P
from jaxnets import functional as F, nn

k = nnx.Rngs(0)
model = nn.Sequential(
    nn.Conv2d(3, 32, 3, padding=1, bias=False, rngs=k), nn.SyncBatchNorm(32, process_group="batch", rngs=k), nn.ReLU(),
    nn.MaxPool2d(2), nn.Conv2d(32, 32, 3, groups=4, rngs=k), nn.GroupNorm(4, 32, rngs=k), nn.PReLU(),
    nn.ConvTranspose2d(32, 8, 2, 2, bias=False, rngs=k), nn.Flatten(2), nn.LayerNorm(144, rngs=k),
    nn.TransformerEncoderLayer(144, 2, 32, dropout=0.0, batch_first=True, rngs=k), nn.RMSNorm(144, rngs=k),
    nn.Flatten(), nn.Linear(8 * 144, 5, rngs=k),
)
graph, parameters, rest = nnx.split(model, nnx.Param, ...)
x, y = jax.random.normal(jax.random.key(1), (8, 3, 16, 16)), jax.random.randint(jax.random.key(2), (8,), 0, 5)

def gradients(parameters, x, y):
    def loss(parameters, x):
        return jax.lax.pmean(F.cross_entropy(nnx.merge(graph, parameters, rest, copy=True)(x), y), "batch")
    return jax.value_and_grad(loss, (0, 1))(parameters, x)

def on(devices):
    kinds, chosen = (jax.sharding.AxisType.Auto,), jax.devices()[:devices]
    mesh = jax.make_mesh((devices,), ("batch",), axis_types=kinds, devices=chosen)
    parts = P(), P("batch"), P("batch")
    step = jax.shard_map(gradients, mesh=mesh, in_specs=parts, out_specs=(P(), (P(), P("batch"))))
    return [jax.device_get(leaf) for leaf in jax.tree.leaves(jax.jit(step)(parameters, x, y))]

pairs = zip(on(2), on(1), strict=True)
print(json.dumps([float(abs(a - b).max() / (abs(b).max() + 1e-6)) for a, b in pairs]))
"""


def test_two_devices_give_the_gradients_of_one():
    done = subprocess.run([sys.executable, "-c", TRAINING], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert max(json.loads(done.stdout)) < 1e-4
