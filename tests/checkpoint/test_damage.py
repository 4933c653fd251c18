"""Damaged files: whatever bytes are wrong, the outcome is a value or one CheckpointError, soon and in little memory."""

import json
import random
import resource
import struct
import time
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from jaxnets import checkpoint
from jaxnets.checkpoint import CheckpointError

ROUNDS = 1500  # per format and kind of damage; each takes about half a millisecond


def training_state():
    torch.manual_seed(0)
    weight = torch.randn(4, 6)
    return {
        "model": OrderedDict(weight=weight, tied=weight.t(), half=weight[1:3, ::2].bfloat16(), empty=weight[:0]),
        "young": torch.arange(9).to(torch.uint16),
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1, "betas": (0.9, 0.99)}]},
        "epoch": 7,
        "tags": {"a", "b"},
        "raw": b"bytes",
    }


def write_sample(kind, path):
    if kind == "safetensors":
        save_file({"a": torch.randn(3, 4), "b": torch.arange(5), "c": torch.randn(2, 2).bfloat16()}, path)
    elif kind == "ours":
        checkpoint.save(training_state(), path)
    elif kind == "deflated":
        torch.save(training_state(), path.with_suffix(".stored"))
        with (
            zipfile.ZipFile(path.with_suffix(".stored")) as old,
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new,
        ):
            for name in old.namelist():
                new.writestr(name, old.read(name))
    else:
        torch.save(training_state(), path, _use_new_zipfile_serialization=kind == "zip")
    return path.read_bytes()


def bit_flips(data, rng):
    for _ in range(ROUNDS):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        yield bytes(damaged)


def byte_changes(data, rng):
    for _ in range(ROUNDS):
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 2, 4])):
            damaged[rng.randrange(len(data))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        yield bytes(damaged)


def truncations(data, rng):
    for end in {*range(64), *range(len(data) - 200, len(data)), *(rng.randrange(len(data)) for _ in range(300))}:
        yield data[:end]


def splices(data, rng):
    for _ in range(ROUNDS // 2):
        first, second, length = rng.randrange(len(data)), rng.randrange(len(data)), rng.randrange(1, 64)
        piece = data[second : second + length]
        kind = rng.randrange(3)
        kept = data[first + length * (kind == 0) :] if kind < 2 else data[first + length :]
        yield data[:first] + (piece if kind < 2 else b"") + kept


def touch(value):
    """Reads every number, so that a view outside its memory would show."""
    if isinstance(value, dict):
        for item in value.values():
            touch(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            touch(item)
    elif isinstance(value, np.ndarray) and value.size < 10**6:
        value.tobytes()


def error_of(path):
    """The message of the one error that may come, or nothing where the file is read to its last number."""
    try:
        touch(checkpoint.load(path))
    except CheckpointError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("damage", [bit_flips, byte_changes, truncations, splices])
@pytest.mark.parametrize("kind", ["zip", "ours", "deflated", "legacy", "safetensors"])
def test_damage_ends_in_one_error_or_a_value(kind, damage, tmp_path):
    rng = random.Random(f"{kind} {damage.__name__}")
    data = write_sample(kind, tmp_path / "whole.pt")
    target = tmp_path / "damaged.pt"
    outcomes = {"refused": 0, "loaded": 0}
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for damaged in damage(data, rng):
        target.write_bytes(damaged)
        begin = time.process_time()
        message = error_of(target)
        outcomes["refused" if message else "loaded"] += 1
        assert not message or (message.startswith(str(target)) and len(message) < 2000)
        assert time.process_time() - begin < 20  # a hang, not a measurement
    assert outcomes["refused"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 100_000  # kilobytes


@pytest.mark.parametrize("kind", ["zip", "ours", "deflated"])
def test_no_flip_outside_the_tensors_changes_what_is_loaded(kind, tmp_path):
    """A flip in the pickle, a header or the directory is either seen or harmless; verify sees those in tensors too."""
    data = write_sample(kind, tmp_path / "whole.pt")
    truth = checkpoint.load(tmp_path / "whole.pt")
    target = tmp_path / "damaged.pt"
    for damaged in bit_flips(data, random.Random(3)):
        target.write_bytes(damaged)
        try:
            loaded = checkpoint.load(target, verify=True)
        except CheckpointError:
            continue
        assert same(loaded, truth)


def same(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return a == b


def test_what_torch_loads_after_a_flip_we_load_or_know_to_be_damaged(tmp_path):
    """torch checks no checksum; where it succeeds and the checksums are right, so must we."""
    data = write_sample("zip", tmp_path / "whole.pt")
    target = tmp_path / "damaged.pt"
    compared = 0
    for damaged in list(bit_flips(data, random.Random(5)))[:300]:
        target.write_bytes(damaged)
        try:
            torch.load(target, weights_only=True)
            with zipfile.ZipFile(target) as archive:
                if archive.testzip() is not None:
                    continue
        except Exception:  # torch and zipfile raise errors of many classes here
            continue
        message = error_of(target)
        assert not message or "does not agree" in message or "zip" in message
        compared += not message
    assert compared > 50


def rewrite(path, changes):
    """The zip archive with some entries replaced (None: left out)."""
    with zipfile.ZipFile(path) as old:
        entries = {name: old.read(name) for name in old.namelist()} | changes
    with zipfile.ZipFile(path, "w") as new:
        for name, data in entries.items():
            if data is not None:
                new.writestr(name, data)


def pickle_of(path):
    with zipfile.ZipFile(path) as archive:
        root = archive.namelist()[0].split("/")[0]
        return root, archive.read(f"{root}/data.pkl")


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "net.pt"
    torch.save({"w": torch.arange(6.0)}, path)
    return path


def test_a_storage_smaller_than_the_pickle_says(saved):
    root, _ = pickle_of(saved)
    rewrite(saved, {f"{root}/data/0": b"\0" * 20})
    with pytest.raises(CheckpointError, match=r"storage '0' is said to hold 6 x float32 \(24 bytes\).* has 20 bytes"):
        checkpoint.load(saved)


def test_a_storage_that_is_missing(saved):
    root, _ = pickle_of(saved)
    rewrite(saved, {f"{root}/data/0": None})
    with pytest.raises(CheckpointError, match="storage '0' is named in the pickle but not in the archive"):
        checkpoint.load(saved)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"K\x06\x85", b"K\x07\x85", r"size \(7\), stride \(1\) at offset 0 reaches element 6 of a storage of 6"),
        (b"K\x06\x85", b"J\xff\xff\xff\xff\x85", "expected integers, none negative"),
        (b"K\x06\x85", b"\x8a\x09" + b"\xff" * 8 + b"\x00\x85", "reaches element"),
        (b"Q\x4b\x00", b"Q\x4b\x01", "at offset 1"),
        (b"K\x06\x85", b"K\x06K\x01\x86", "expected integers"),
    ],
)
def test_a_tensor_that_leaves_its_storage(saved, old, new, message):
    root, data = pickle_of(saved)
    assert data.count(old) == 1
    rewrite(saved, {f"{root}/data.pkl": data.replace(old, new)})
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(saved)


def test_a_bomb_of_a_lying_size(saved):
    root, _ = pickle_of(saved)
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{root}/data.pkl", b"\0" * 10**6)
    data = saved.read_bytes()
    lie = data.replace(struct.pack("<L", 10**6), struct.pack("<L", 10**9))
    assert lie != data
    saved.write_bytes(lie)
    with pytest.raises(CheckpointError, match="bytes cannot inflate to 1000000000"):
        checkpoint.load(saved)
    saved.write_bytes(data.replace(struct.pack("<L", 10**6), struct.pack("<L", 10**3)))
    with pytest.raises(CheckpointError, match="inflates to something else than its 1000 bytes"):
        checkpoint.load(saved)


def test_bytes_behind_the_archive_and_a_cut_archive(saved):
    data = saved.read_bytes()
    saved.write_bytes(data + b"tail")
    with pytest.raises(CheckpointError, match="4 bytes lie behind the end of the zip archive"):
        checkpoint.load(saved)
    saved.write_bytes(data[:-30])
    with pytest.raises(CheckpointError, match="the file is cut off; copy or download it again"):
        checkpoint.load(saved)


def test_a_damaged_pickle_is_seen_by_its_checksum(saved):
    data = saved.read_bytes()
    saved.write_bytes(data.replace(b"FloatStorage", b"FloatStorbge"))
    with pytest.raises(CheckpointError, match=r"data.pkl' is damaged: its checksum is"):
        checkpoint.load(saved)


def test_flips_in_tensors_are_seen_by_verify_alone(saved):
    data = saved.read_bytes()
    saved.write_bytes(data.replace(struct.pack("<f", 5.0), struct.pack("<f", 6.0)))
    assert checkpoint.load(saved)["w"][5] == 6.0
    with pytest.raises(CheckpointError, match=r"data/0' is damaged"):
        checkpoint.load(saved, verify=True)


def test_archives_without_checksums(tmp_path):
    path = tmp_path / "net.pt"
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"w": torch.ones(3)}, path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert checkpoint.load(path)["w"].sum() == 3
    with pytest.raises(CheckpointError, match="without checksums, so verify=True has nothing to compare"):
        checkpoint.load(path, verify=True)


def safetensors_bytes(header, data):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def info(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (safetensors_bytes({"a": info("F32", [2], 0, 8)}, b"\0" * 7), r"'a' lies at bytes 0 to 8 of 7"),
        (safetensors_bytes({"a": info("F32", [3], 0, 8)}, b"\0" * 8), "has 8 bytes, expected 12"),
        (safetensors_bytes({"a": info("F32", [2], 0, 8), "b": info("F32", [2], 4, 12)}, b"\0" * 12), "overlaps"),
        (safetensors_bytes({"a": info("U8", [2], 0, 2), "b": info("U8", [2], 3, 5)}, b"\0" * 5), "leaves a gap"),
        (safetensors_bytes({"a": info("U8", [2], 0, 2)}, b"\0" * 5), "3 bytes of the file belong to no tensor"),
        (safetensors_bytes({"a": info("U8", [-2], 0, 2)}, b"\0" * 2), r"'a' has shape \[-2\]"),
        (safetensors_bytes({"a": info("U8", [2**62, 8], 0, 2)}, b"\0" * 2), "has 2 bytes, expected"),
        (safetensors_bytes({"a": info("F4", [2], 0, 1)}, b"\0"), "dtype 'F4', which numpy cannot hold"),
        (safetensors_bytes({"a": {"dtype": "U8"}}, b""), "expected dtype, shape, data_offsets"),
        (safetensors_bytes({"__metadata__": {"a": 1}}, b""), "not a map of text to text"),
        (safetensors_bytes(b'{"a": 1, "a": 2}', b""), "the name 'a' comes twice"),
        (safetensors_bytes(b'{"a": ', b""), "the header is no JSON object"),
        (safetensors_bytes(b'{"a":' + b"[" * 100_000, b""), "the header is no JSON object"),
        (struct.pack("<Q", 2**60) + b"{}", "said to have 1152921504606846976 bytes"),
    ],
)
def test_safetensors_headers_that_lie(content, message, tmp_path):
    path = tmp_path / "net.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(path)
