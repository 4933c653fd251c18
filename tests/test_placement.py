"""Checkpoints on a mesh of eight devices, in a process that has them."""

import json
import subprocess
import sys
from collections import Counter, OrderedDict

import jax
import ml_dtypes
import numpy as np
import pytest
import torch

from jaxnets import checkpoint
from jaxnets.placement import load

BEGIN = """
import os
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
os.environ["JAX_PLATFORMS"] = "cpu"
import json, sys, jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from jaxnets.placement import load
mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("x", "y"))
path = sys.argv[1]
"""


def on_eight_devices(body, path):
    done = subprocess.run([sys.executable, "-c", BEGIN + body, str(path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "net.pt"
    state = {
        "net": {"weight": torch.arange(32.0).view(8, 4).bfloat16(), "bn.num_batches_tracked": torch.tensor(5)},
        "moments": [torch.ones(8, 2, dtype=torch.float64)],
        "epoch": 3,
    }
    state["net"]["tied"] = state["net"]["weight"].t()
    torch.save(state, path)
    return path


@pytest.fixture
def device():
    return jax.sharding.SingleDeviceSharding(jax.devices()[0])


def test_each_device_gets_its_part(path):
    printed = on_eight_devices(
        """
def place(name, shape):
    spec = {"net.weight": P("x", "y"), "net.tied": P("y", "x"), "moments.0": P("x")}.get(name, P())
    return NamedSharding(mesh, spec)
state = load(path, sharding=place)
w = state["net"]["weight"]
print(json.dumps([
    str(w.dtype), w.sharding == place("net.weight", ()), [list(s.data.shape) for s in w.addressable_shards],
    np.asarray(w, np.float32).tolist(), np.asarray(state["net"]["tied"], np.float32).tolist(),
    int(state["net"]["bn.num_batches_tracked"]), str(state["net"]["bn.num_batches_tracked"].dtype),
    str(state["moments"][0].dtype), state["epoch"],
]))
""",
        path,
    )
    numbers = np.arange(32.0).reshape(8, 4)
    assert printed == [
        "bfloat16", True, [[2, 2]] * 8, numbers.tolist(), numbers.T.tolist(), 5, "int32", "float32", 3,
    ]  # fmt: skip


def test_only_local_parts_are_read(tmp_path):
    """Half of a sparse gigabyte lies on no device of the sharding's callback: memory stays far below it."""
    header = {"w": {"dtype": "F32", "shape": [2**28], "data_offsets": [0, 2**30]}}
    raw = json.dumps(header).encode()
    with open(tmp_path / "w.safetensors", "wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        file.truncate(8 + len(raw) + 2**30)
    indices = on_eight_devices(
        """
from jaxnets import placement
asked = []
make = jax.make_array_from_callback
def some(shape, sharding, callback, dtype):
    index = sharding.addressable_devices_indices_map(shape)[jax.devices()[3]]
    asked.append(callback(index).nbytes)
    return make((8,), NamedSharding(mesh, P()), lambda index: np.zeros(8), dtype=dtype)
placement.jax.make_array_from_callback = some
import resource
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
load(path, sharding=NamedSharding(mesh, P(("x", "y"))))
print(json.dumps([asked, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before]))
""",
        tmp_path / "w.safetensors",
    )
    asked, grown = indices
    assert asked == [2**27]
    assert grown < 400_000  # kilobytes: the part twice, mapped and copied, of a gigabyte


def test_all_misfits_are_in_one_error(path):
    message = on_eight_devices(
        """
try:
    load(path, sharding=NamedSharding(mesh, P(("x", "y"), None)))
except ValueError as error:
    print(json.dumps(str(error)))
""",
        path,
    )
    assert "sharding does not fit 2 arrays: net.bn.num_batches_tracked ()" in message
    assert "P(('x', 'y'), None) divides 2 axes, it has 0" in message
    assert "net.tied (4, 8): P(('x', 'y'), None) does not divide its axes evenly" in message
    assert "Pass a function (name, shape) -> Sharding" in message


def test_without_sharding_it_is_the_plain_load(path):
    loaded = load(path)
    assert type(loaded["net"]["weight"]) is np.ndarray
    assert loaded["net"]["weight"].dtype == ml_dtypes.bfloat16
    assert loaded["net"]["bn.num_batches_tracked"].dtype == np.int64


def test_containers_and_ties_are_kept(tmp_path, device):
    array = np.ones(3, np.float32)
    state = {"a": (array, [array]), "b": OrderedDict(x=np.zeros((0, 2)), y="text"), 3: array, "same": array}
    state |= {"counts": Counter("aab"), "set": {1}, "1": {"x": array[:2]}, 1: {"x": array[:1]}}
    state["b"]._metadata = {"": {"version": 2}}
    checkpoint.save(state, tmp_path / "net.pt")
    loaded = load(tmp_path / "net.pt", sharding=device)
    assert loaded["a"][0] is loaded["a"][1][0] is loaded[3] is loaded["same"]
    assert type(loaded["b"]) is OrderedDict
    assert loaded["b"]._metadata == {"": {"version": 2}}
    assert loaded["counts"] == Counter("aab")
    assert (loaded["1"]["x"].shape, loaded[1]["x"].shape) == ((2,), (1,))
    assert loaded["b"]["x"].shape == (0, 2)
    assert loaded["b"]["y"] == "text"


def test_integers_that_do_not_fit(tmp_path, device):
    checkpoint.save({"big": np.array([1, 2**40])}, tmp_path / "net.pt")
    with pytest.raises(checkpoint.CheckpointError, match="big holds 1099511627776, which does not fit int32; set jax"):
        load(tmp_path / "net.pt", sharding=device)
    with jax.enable_x64(True):
        assert int(load(tmp_path / "net.pt", sharding=device)["big"][1]) == 2**40


def test_dtypes_that_jax_has_not(tmp_path, device):
    torch.save({"z": torch.ones(2).to(torch.complex64)}, tmp_path / "net.pt")
    load(tmp_path / "net.pt", sharding=device)
    checkpoint.save({"z": np.zeros(2, ml_dtypes.complex32)}, tmp_path / "net.pt")
    with pytest.raises(TypeError, match=r"JAX has no dtype for z \(complex32\)"):
        load(tmp_path / "net.pt", sharding=device)


def test_arguments(path, device):
    with pytest.raises(TypeError, match=r"sharding: expected a jax.sharding.Sharding or a function .*, got 3"):
        load(path, sharding=3)
    with pytest.raises(
        TypeError, match=r"sharding: expected a jax.sharding.Sharding for 'net.weight' \(8, 4\), got None"
    ):
        load(path, sharding=lambda name, shape: None)
