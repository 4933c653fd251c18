"""Sharded checkpoints: an index, its shards, and folders that hold them."""

import json
import os

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from jaxnets import checkpoint
from jaxnets.checkpoint import CheckpointError


@pytest.fixture
def folder(tmp_path):
    """Two shards, one of each format, and their index."""
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({"b.weight": torch.ones(2, 3), "b.bias": torch.zeros(2)}, folder / "one.safetensors")
    torch.save({"a.weight": torch.arange(4).bfloat16()}, folder / "two.bin")
    write_index(folder, {"a.weight": "two.bin", "b.weight": "one.safetensors", "b.bias": "one.safetensors"})
    return folder


def write_index(folder, weight_map):
    (folder / "model.index.json").write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))


def test_index_and_folder(folder):
    for path in (folder, folder / "model.index.json", os.fspath(folder)):
        loaded = checkpoint.load(path, verify=True)
        assert list(loaded) == ["a.weight", "b.weight", "b.bias"]
        assert loaded["a.weight"].astype(np.float32).tolist() == [0, 1, 2, 3]
        assert loaded["b.weight"].shape == (2, 3)


def test_an_index_is_known_by_content(folder):
    other = (folder / "model.index.json").rename(folder / "index")
    assert len(checkpoint.load(other)) == 3


def test_a_folder_of_one_file(tmp_path):
    torch.save({"a": torch.ones(2)}, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / ".hidden.pt").write_text("")
    assert list(checkpoint.load(tmp_path)) == ["a"]


def test_a_folder_that_is_ambiguous_or_empty(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="one index or one checkpoint file, found none; pass the file itself"):
        checkpoint.load(tmp_path / "empty")
    (folder / "model.index.json").unlink()
    with pytest.raises(CheckpointError, match=r"model: a folder must hold .* found one.safetensors, two.bin"):
        checkpoint.load(folder)
    (folder / "a.index.json").write_text("{}")
    (folder / "b.index.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"found a.index.json, b.index.json"):
        checkpoint.load(folder)


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        ({"a.weight": "gone.bin"}, "shard 'gone.bin' of the index cannot be read: No such file"),
        ({"a.weight": "../model/two.bin"}, "names a shard outside its folder: '../model/two.bin'"),
        ({"a.weight": "/etc/passwd"}, "names a shard outside its folder: '/etc/passwd'"),
        ({"a.weight": ""}, "names a shard outside its folder: ''"),
        ({"a.weight": "."}, "cannot be read|not a regular file"),
        ({"a.weight": 3}, "the index has no weight_map of tensor names to file names"),
        (["two.bin"], "the index has no weight_map"),
        ({"a.weight": "model.index.json"}, "shard 'model.index.json': "),
        ({"a.weight": "two.bin", "c.weight": "two.bin"}, "the index names 1 tensors without a counterpart: 'c.weight'"),
        ({"a.weight": "two.bin", "b.weight": "one.safetensors"}, "does not name, 1 tensors .*: 'b.bias'"),
    ],
)
def test_indexes_that_lie(folder, weight_map, message):
    write_index(folder, weight_map)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the index is no JSON object"),
        ("[]", "the index has no weight_map"),
        ("{}", "the index has no weight_map"),
        ('{"weight_map": {"a": "x", "a": "y"}}', "the name 'a' comes twice"),
        ('{"a":' + "[" * 100_000, "the index is no JSON object"),
        ('{"weight_map": ' + "9" * 5000 + "}", "the index is no JSON object"),
    ],
)
def test_indexes_that_are_damaged(text, message, tmp_path):
    (tmp_path / "model.index.json").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(tmp_path)


def test_a_damaged_shard_is_named(folder):
    data = (folder / "two.bin").read_bytes()
    (folder / "two.bin").write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match=r"model.index.json: shard 'two.bin': .* the file is cut off"):
        checkpoint.load(folder)


def test_a_shard_that_is_no_dict(folder):
    torch.save([torch.ones(2)], folder / "two.bin")
    with pytest.raises(CheckpointError, match=r"shard 'two.bin' holds list of 1, expected a dict of tensors"):
        checkpoint.load(folder)
