"""Safetensors, compared with the format's own library in both directions."""

import json
import struct

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import safetensors
import torch
from safetensors.torch import load_file, save_file

from jaxnets import checkpoint
from jaxnets.checkpoint.safetensors import NAMES

# The library writes this one, but its reader for torch does not know it.
READ_BY_TORCH = {code: name for code, name in NAMES.items() if code != "F8_E8M0"}


def random_bits(dtype, count, seed=0):
    raw = torch.randint(
        0, 256, (count * dtype.itemsize,), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )
    return (raw % 2 if dtype == torch.bool else raw).view(dtype)


def bits(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


@pytest.mark.parametrize("name", NAMES.values())
def test_every_dtype_from_the_library(name, path):
    dtype = getattr(torch, name)
    state = {
        "b": random_bits(dtype, 12).view(3, 4),
        "a.x": random_bits(dtype, 1).view(()),
        "empty": random_bits(dtype, 0).view(2, 0),
    }
    save_file(state, path)
    loaded = checkpoint.load(path)
    assert set(loaded) == set(state)
    for key, tensor in state.items():
        assert loaded[key].dtype.name == name
        assert loaded[key].shape == tuple(tensor.shape)
        assert loaded[key].tobytes() == bits(tensor)


@pytest.mark.parametrize("name", READ_BY_TORCH.values())
def test_every_dtype_to_the_library(name, path, tmp_path):
    dtype = getattr(torch, name)
    state = {"b": random_bits(dtype, 12).view(3, 4).t(), "a": random_bits(dtype, 1).view(()), "e": torch.zeros(0, 3)}
    checkpoint.save(state, path)
    loaded = load_file(path)
    assert {key: value.dtype for key, value in loaded.items()} == {key: value.dtype for key, value in state.items()}
    for key, tensor in state.items():
        assert bits(loaded[key]) == bits(tensor)
    again = tmp_path / "again.safetensors"
    checkpoint.save(checkpoint.load(path), again)
    assert again.read_bytes() == path.read_bytes()


def test_order_alignment_and_metadata(path):
    """The caller's order of names; large elements first in the data, so that every array is aligned."""
    state = {
        "z": np.ones(3, np.uint8),
        "y": np.ones(3, np.float64),
        "x": np.ones((), np.int16),
        "w": np.ones((2, 5), ml_dtypes.bfloat16),
        "v": jnp.ones(3),
    }
    checkpoint.save(state, path)
    loaded = checkpoint.load(path)
    assert list(loaded) == list(state)
    assert all(array.flags.aligned and array.flags.writeable for array in loaded.values())
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    assert header["__metadata__"] == {"format": "pt"}
    with safetensors.safe_open(path, "np") as file:
        assert set(file.keys()) == set(state)


def test_names(path):
    state = {name: np.full(2, i, np.float32) for i, name in enumerate(["", "a.b", "é\u4e2d", "x" * 5000, '"\\\n'])}
    checkpoint.save(state, path)
    assert list(checkpoint.load(path)) == list(state)
    assert set(load_file(path)) == set(state)


def test_an_empty_state(path):
    checkpoint.save({}, path)
    assert checkpoint.load(path) == {}
    assert load_file(path) == {}


def test_writing_to_an_array_leaves_the_file(path):
    checkpoint.save({"a": np.ones(4)}, path)
    checkpoint.load(path)["a"][:] = 5
    assert checkpoint.load(path)["a"].tolist() == [1, 1, 1, 1]


def test_any_suffix_is_read(path, tmp_path):
    checkpoint.save({"a": np.ones(4)}, path)
    other = path.rename(tmp_path / "net.bin")
    assert checkpoint.load(other)["a"].sum() == 4


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": {"b": np.ones(2)}}, r"state\['a'\]: dict is no array; safetensors holds only arrays, save to .pt"),
        ({"a": 1.0}, r"state\['a'\]: float is no array"),
        ([np.ones(2)], "safetensors holds a flat dict of arrays, got list; save to .pt"),
        ({1: np.ones(2)}, r"state\[1\]: safetensors names are text"),
        ({"\ud800": np.ones(2)}, "names are text"),
        ({"__metadata__": np.ones(2)}, "names are text other than '__metadata__'"),
        ({"a": np.ones(2, np.complex128)}, r"state\['a'\]: safetensors has no dtype complex128"),
        ({"a": np.ones(2, ml_dtypes.int4)}, "safetensors has no dtype int4"),
        ({"a": torch.eye(2).to_sparse()}, r"state\['a'\]: .* pass x.to_dense"),
    ],
)
def test_what_the_format_cannot_hold(state, message, path):
    with pytest.raises(TypeError, match=message):
        checkpoint.save(state, path)
    assert not path.exists()
