"""What `save` writes: torch reads it, ties survive, nothing is half written, and what cannot be saved is named."""

import os
import struct
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch
from flax import nnx

from jaxnets import checkpoint
from jaxnets.checkpoint import archive


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.pt"


def read(path, mmap=False):
    return torch.load(path, weights_only=True, mmap=mmap)


def storages(path):
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        return {name: file.getinfo(name).file_size for name in file.namelist() if "/data/" in name}


def test_plain_values(path):
    state = {
        "numbers": [0, -1, 255, 256, 65535, 2**31 - 1, -(2**31), 2**31, 2**2038, -(2**2038), 1.5, -0.0, 1 + 2j],
        "text": ["", "é", "x" * 300],
        "raw": [b"", b"\xff\x00", bytearray(b""), bytearray(b"b")],
        "sets": [set(), {1, "a", (2, 3)}],
        "constants": (None, True, False, ()),
        "containers": [OrderedDict(b=1, a=2), Counter("aab"), {}, [], [[]], ((),)],
        (1, "key", (2,)): {3: 4, 2.5: 5, None: 6, b"raw": 8},
        "dtype": np.dtype(np.float32),
    }
    checkpoint.save(state, path)
    for loaded in (read(path), checkpoint.load(path)):
        assert list(loaded) == list(state)
        for key in list(state)[:-1]:
            assert loaded[key] == state[key]
            assert [type(x) for x in loaded[key]] == [type(x) for x in state[key]]
    assert read(path)["dtype"] == torch.float32


def test_arrays_of_every_library(path):
    state = {
        "numpy": np.arange(6, dtype=np.int16).reshape(2, 3),
        "jax": jnp.ones((2, 3), jnp.bfloat16),
        "torch": torch.ones(2, 3, requires_grad=True),
        "variable": nnx.Param(jnp.arange(3.0)),
        "scalar": np.float32(1.5),
        "numpy_bool": np.bool_(True),
        "zero_d": np.array(3),
        "string": np.str_("text"),
        "raw": np.bytes_(b"raw"),
        "view": MappingProxyType({"a": np.zeros(2)}),
    }
    checkpoint.save(state, path)
    loaded = read(path)
    assert loaded["numpy"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert loaded["jax"].dtype == torch.bfloat16
    assert loaded["torch"].sum() == 6
    assert loaded["variable"].tolist() == [0, 1, 2]
    assert (loaded["scalar"].dtype, loaded["scalar"].shape, loaded["scalar"].item()) == (torch.float32, (), 1.5)
    assert loaded["numpy_bool"].dtype == torch.bool
    assert (loaded["zero_d"].dtype, loaded["zero_d"].shape) == (torch.int64, ())
    assert (type(loaded["string"]), loaded["raw"]) == (str, b"raw")
    assert type(loaded["view"]) is dict


def test_nnx_state_is_a_nested_dict(path):
    checkpoint.save(nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0))), path)
    assert read(path)["kernel"].shape == (2, 3)


def test_layouts_that_torch_has_not(path):
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    state = {
        "reversed": base[::-1],
        "big_endian": base.astype(">f4"),
        "big_bfloat16": base.astype(ml_dtypes.bfloat16).astype(np.dtype(ml_dtypes.bfloat16).newbyteorder(">")),
        "field": np.zeros(3, [("a", "u1"), ("b", "<f4")])["b"],
        "read_only": np.frombuffer(base.tobytes(), np.float32),
        "fortran": np.asfortranarray(base),
        "empty": np.zeros((3, 0, 2)),
        "longlong": np.arange(3, dtype=np.longlong),
    }
    checkpoint.save(state, path)
    for mmap in (False, True):
        loaded = read(path, mmap)
        for key, array in state.items():
            assert loaded[key].float().tolist() == array.astype(np.float32).tolist(), key
            assert tuple(loaded[key].shape) == array.shape


def test_arrays_that_share_memory_share_a_storage(path):
    base = np.arange(24, dtype=np.float32)
    state = {
        "first": base[:10],
        "second": base[5:],
        "same": base[:10],
        "matrix": base.reshape(4, 6).T,
        "other_dtype": base.view(np.int32),
        "alone": np.ones(3, np.float32),
    }
    checkpoint.save(state, path)
    assert sorted(storages(path).values()) == [12, 96, 96]
    loaded = read(path)
    loaded["matrix"][0, 1] = -1.0
    assert loaded["first"][6] == loaded["second"][1] == loaded["same"][6] == -1
    assert loaded["other_dtype"][6] == base.view(np.int32)[6]
    assert (base >= 0).all()


def test_touching_arrays_stay_apart(path):
    base = np.arange(10.0)
    checkpoint.save({"a": base[:5], "b": base[5:]}, path)
    assert sorted(storages(path).values()) == [40, 40]


def test_a_column_of_a_large_matrix_does_not_carry_the_matrix(path):
    column = np.zeros((1000, 1000))[:, 3]
    checkpoint.save({"a": column, "b": column, "c": column.view()}, path)
    assert list(storages(path).values()) == [8000]
    loaded = read(path)
    assert loaded["a"].data_ptr() == loaded["b"].data_ptr() == loaded["c"].data_ptr()


def test_expanded_arrays_stay_small(path):
    checkpoint.save({"a": np.broadcast_to(np.float32(2), (1000, 1000))}, path)
    assert list(storages(path).values()) == [4]
    assert read(path)["a"].sum() == 2e6


def test_ties_of_objects(path):
    weight, shared = jnp.ones(3), [1]
    checkpoint.save({"a": weight, "b": weight, "lists": [shared, shared]}, path)
    assert len(storages(path)) == 1
    loaded = read(path)
    assert loaded["a"] is loaded["b"]
    assert loaded["lists"][0] is loaded["lists"][1]


def test_records_lie_as_torch_wants_them(path):
    checkpoint.save({str(n): np.full(n, n, np.uint8) for n in range(1, 130, 7)}, path)
    data = path.read_bytes()
    with zipfile.ZipFile(path) as file:
        assert file.read("archive/version") == b"3\n"
        assert file.read("archive/byteorder") == b"little"
        for info in file.infolist():
            name_size, extra_size = struct.unpack_from("<2H", data, info.header_offset + 26)
            assert (info.header_offset + 30 + name_size + extra_size) % 64 == 0
    assert [int(v[0]) for v in read(path, mmap=True).values()] == list(range(1, 130, 7))


def test_zip64(path, monkeypatch):
    """Sizes beyond 4 GB, with the border moved so that a small file crosses it."""
    monkeypatch.setattr(archive, "ZIP64_FROM", 100)
    monkeypatch.setattr(archive, "COUNT64_FROM", 2)
    state = {"a": np.arange(100.0), "b": np.ones(3, np.int8)}
    checkpoint.save(state, path)
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
    for loaded in (read(path), read(path, mmap=True), checkpoint.load(path, verify=True)):
        assert loaded["a"].tolist() == state["a"].tolist()
        assert loaded["b"].tolist() == [1, 1, 1]


def nested(levels):
    value = []
    for _ in range(levels - 1):
        value = [value]
    return value


def holds_itself():
    value = {}
    value["self"] = [value]
    return value


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ({"optimizer": {"fn": len}}, TypeError, r"state\['optimizer'\]\['fn'\]: builtin_function_or_method cannot"),
        ([1, (object(),)], TypeError, r"state\[1\]\[0\]: object cannot be saved; expected arrays"),
        ({"a": SimpleNamespace()}, TypeError, "SimpleNamespace cannot be saved"),
        ({"a": frozenset()}, TypeError, "frozenset cannot be saved"),
        ({"a": np.array(["x"])}, TypeError, r"state\['a'\]: .* expected numbers, got an array of dtype <U1"),
        ({"a": np.array([None])}, TypeError, "expected numbers, got an array of dtype object"),
        ({"a": np.zeros(2, "datetime64[s]")}, TypeError, "dtype datetime64"),
        ({"a": np.zeros(2, ml_dtypes.int4)}, TypeError, r"state\['a'\]: torch has no dtype int4; convert the array"),
        ({"a": np.zeros(2, np.longdouble)}, TypeError, "torch has no dtype"),
        ({"a": np.ma.masked_array([1.0], [True])}, TypeError, "masked array would lose its mask"),
        ({"a": torch.eye(2).to_sparse()}, TypeError, r"state\['a'\]: .* sparse_coo torch tensor; pass x.to_dense"),
        ({"a": torch.ones(2, device="meta")}, TypeError, "meta device has no data"),
        ({"a": jax.random.key(0)}, TypeError, r"pass jax.random.key_data\(x\)"),
        ({"a": 2**2040}, TypeError, "an integer of 2041 bits; torch reads at most 2039"),
        ({object(): 1}, TypeError, r"state: object in a key; expected text, numbers .* cannot be saved"),
        ({np.int64(1): 1}, TypeError, "state: int64 in a key; expected text, numbers"),
        ({(1, object()): 1}, TypeError, "object in a key"),
        ({tuple(range(100)): 1}, TypeError, "state: tuple of 100 in a key; expected .* a short tuple"),
        ({"a": {frozenset()}}, TypeError, r"state\['a'\]: frozenset in a key"),
        (holds_itself(), ValueError, r"state\['self'\]\[0\]: this dict contains itself"),
        (nested(101), ValueError, "nested deeper than 100 levels"),
    ],
)
def test_what_cannot_be_saved_is_named_and_the_old_file_stays(state, error, message, path):
    path.write_bytes(b"old")
    with pytest.raises(error, match=message):
        checkpoint.save(state, path)
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["net.pt"]


def test_the_deepest_nesting_comes_back(path):
    checkpoint.save(nested(100), path)
    assert checkpoint.load(path) == nested(100)
    torch.save(nested(101), path)
    with pytest.raises(checkpoint.CheckpointError, match="nested deeper than 100 levels"):
        checkpoint.load(path)


def test_traced_values(path):
    def step(x):
        checkpoint.save({"x": x}, path)
        return x

    with pytest.raises(TypeError, match=r"state\['x'\]: .* call this outside of jax.jit"):
        jax.jit(step)(jnp.ones(2))
    assert not path.exists()


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_failed_write_leaves_the_old_file(suffix, tmp_path, monkeypatch):
    path = tmp_path / f"net{suffix}"
    checkpoint.save({"a": np.ones(2)}, path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save({"a": np.zeros(2)}, path)
    assert os.listdir(tmp_path) == [path.name]
    assert checkpoint.load(path)["a"].tolist() == [1, 1]


def test_saving_over_the_file_that_is_mapped(path):
    checkpoint.save({"a": np.arange(5.0)}, path)
    loaded = checkpoint.load(path)
    checkpoint.save({"a": loaded["a"] + 1}, path)
    assert loaded["a"].tolist() == [0, 1, 2, 3, 4]
    checkpoint.save(loaded, path)
    assert checkpoint.load(path)["a"].tolist() == [0, 1, 2, 3, 4]


def test_links_modes_and_places(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "net.pt", tmp_path / "link.pt"
    link.symlink_to(target)
    mask = os.umask(0o027)
    try:
        checkpoint.save({"a": 1}, link)
    finally:
        os.umask(mask)
    assert link.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o640
    with pytest.raises(FileNotFoundError):
        checkpoint.save({}, tmp_path / "missing" / "net.pt")
    with pytest.raises(IsADirectoryError, match="is not a regular file"):
        checkpoint.save({}, tmp_path / "real")
    checkpoint.save({"a": 1}, str(target))
    checkpoint.save({"a": 1}, Path(os.path.relpath(target)))
    monkeypatch.chdir(tmp_path / "real")
    checkpoint.save({"a": 2}, "net.pt")
    assert checkpoint.load("net.pt") == {"a": 2}
