"""What only a process of its own can show: no torch, no JAX, and no reading before use."""

import json
import subprocess
import sys

import torch
from torch._subclasses import FakeTensorMode

GIGABYTE = 2**30

BLOCK = """
import sys
for name in {names}:
    sys.modules[name] = None
import json, resource
import numpy as np
{body}
"""


def run(body, names=("torch",), **values):
    """Runs Python text in a process that cannot import `names`; gives what it prints as JSON."""
    for name, value in values.items():
        body = body.replace(f"${name}", repr(str(value)))
    text = BLOCK.format(names=list(names), body=body)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_process_without_torch(tmp_path):
    torch.save({"w": torch.arange(6).bfloat16().view(2, 3).t(), "n": torch.tensor(7)}, tmp_path / "net.pt")
    printed = run(
        """
import jaxnets.checkpoint as checkpoint
state = checkpoint.load($source)
checkpoint.save(state, $target)
print(json.dumps([state["w"].astype("f4").tolist(), int(state["n"])]))
""",
        source=tmp_path / "net.pt",
        target=tmp_path / "back.pt",
    )
    assert printed == [[[0, 3], [1, 4], [2, 5]], 7]
    back = torch.load(tmp_path / "back.pt", weights_only=True)
    assert back["w"].dtype == torch.bfloat16
    assert back["n"].item() == 7


def test_the_package_imports_neither_torch_nor_jax(tmp_path):
    """Through an import of its own, for `import jaxnets` itself brings JAX."""
    printed = run(
        """
import importlib, types
package = types.ModuleType("jaxnets")
package.__path__ = $path.split("|")
sys.modules["jaxnets"] = package
importlib.import_module("jaxnets.checkpoint")
print(json.dumps([name for name in ("torch", "jax", "flax") if sys.modules.get(name)]))
""",
        names=("torch", "jax", "flax"),
        path="|".join(__import__("jaxnets").__path__),
    )
    assert printed == []


def write_sparse_safetensors(path, nbytes):
    header = json.dumps({"w": {"dtype": "F32", "shape": [nbytes // 4], "data_offsets": [0, nbytes]}}).encode()
    with open(path, "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + nbytes)


def write_sparse_torch(path, count):
    """A file of torch's old format, whose storage comes last and may be a hole."""
    torch.save({"w": torch.zeros(1)}, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    size = b"J" + count.to_bytes(4, "little", signed=True)
    data = data[:-12].replace(b"K\x01Ntq", size + b"Ntq").replace(b"K\x00K\x01\x85", b"K\x00" + size + b"\x85")
    with open(path, "wb") as file:
        file.write(data + count.to_bytes(8, "little"))
        file.truncate(len(data) + 8 + 4 * count)


def write_sparse_zip(path, count):
    """More than 4 GB by torch itself, which leaves the place of the numbers free."""
    with FakeTensorMode():
        state = {"w": torch.empty(count), "more": torch.empty(GIGABYTE), "last": torch.empty(3)}
    with torch.serialization.skip_data(materialize_fake_tensors=True):
        torch.save(state, path)


def test_nothing_is_read_before_it_is_used(tmp_path):
    """Gigabytes that are holes in the file: opened, read and written at the ends, in a few megabytes."""
    write_sparse_safetensors(tmp_path / "w.safetensors", 2 * GIGABYTE)
    write_sparse_torch(tmp_path / "old.pt", GIGABYTE // 2)
    write_sparse_zip(tmp_path / "w.pt", GIGABYTE // 2)
    for path in tmp_path.iterdir():
        assert path.stat().st_size > 2 * GIGABYTE > 100 * path.stat().st_blocks * 512
        count, first, grown = run(
            """
import jaxnets.checkpoint as checkpoint
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
w = checkpoint.load($path)["w"]
w[0], w[-1] = 1, 2
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([w.size, float(w[0]), after - before]))
""",
            path=path,
        )
        assert (count, first) == (GIGABYTE // 2, 1)
        assert grown < 20_000  # kilobytes


def test_large_arrays_are_saved_without_a_second_copy(tmp_path):
    grown = run(
        """
import jaxnets.checkpoint as checkpoint
state = {str(n): np.ones(2**22, np.float32) for n in range(8)}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
checkpoint.save(state, $path + "/a.pt")
checkpoint.save(state, $path + "/a.safetensors")
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
""",
        path=tmp_path,
    )
    assert grown < 10_000  # kilobytes, of 128 megabytes of arrays
