"""Pickles that would run code, and what numpy cannot hold: refused by name, with nothing run."""

import collections
import functools
import io
import os
import pickle
import random
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from jaxnets import checkpoint
from jaxnets.checkpoint import CheckpointError


def archive_with(path, data, **records):
    """A file as torch writes it around any pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", b"3\n")
        for name, content in records.items():
            archive.writestr(f"archive/data/{name.removeprefix('storage_')}", content)
    return path


@pytest.fixture
def refuse(tmp_path):
    """Loads a pickle from torch's zip format, and in torch's old one, and gives the error."""

    def load(data, match):
        with pytest.raises(CheckpointError, match=match):
            checkpoint.load(archive_with(tmp_path / "net.pt", data))
        legacy = tmp_path / "old.pt"
        torch.save({}, legacy, _use_new_zipfile_serialization=False)
        head = legacy.read_bytes()
        start = head.index(b"\x80\x02}q\x00.")
        legacy.write_bytes(head[:start] + data + head[start + 6 :])
        with pytest.raises(CheckpointError, match=match):
            checkpoint.load(legacy)

    return load


class Calls:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Calls(os.system, "touch {witness}"), "posix.system"),
        (Calls(eval, "open('{witness}', 'w')"), "builtins.eval"),
        (Calls(exec, "open('{witness}', 'w')"), "builtins.exec"),
        (Calls(open, "{witness}", "w"), "io.open"),
        (Calls(getattr, {}, "clear"), "builtins.getattr"),
        (functools.partial(print, "x"), "functools.partial"),
        (Calls(torch.load, "{witness}"), "torch.serialization.load"),
        (Calls(torch.hub.load, "{witness}"), "torch.hub.load"),
        (collections.defaultdict(list), "collections.defaultdict"),
        (Path("x"), "pathlib"),
        (np.float64(3), "numpy._core.multiarray.scalar"),
        (np.arange(3), "numpy._core"),
        (len, "builtins.len"),
        (slice(1), "builtins.slice"),
    ],
)
def test_names_outside_the_table_are_refused(value, name, protocol, refuse, tmp_path):
    witness = tmp_path / "witness"
    if isinstance(value, Calls):
        function, arguments = value.call
        value = Calls(function, *[a.format(witness=witness) if isinstance(a, str) else a for a in arguments])
    refuse(pickle.dumps({"weight": value}, protocol), rf"{name}.* is neither a tensor nor a plain container; refused")
    assert not witness.exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x80\x02cos\nsystem\n.", "os.system is neither"),
        (b"\x80\x02(ios\nsystem\n.", "os.system is neither"),
        (b"\x80\x02(icollections\nOrderedDict\n.", "INST at byte .*: builds objects"),
        (b"\x80\x02(cbuiltins\nset\no.", "OBJ at byte"),
        (b"\x80\x02\x82\x01.", "EXT1 at byte .*: builds objects or names"),
        (b"\x80\x02\x83\x01\x00.", "EXT2"),
        (b"\x80\x02\x84\x01\x00\x00\x00.", "EXT4"),
        (b"\x80\x04cbuiltins\nset\n)}\x92.", "NEWOBJ_EX"),
        (b"\x80\x05\x97.", "NEXT_BUFFER"),
        (b"\x80\x02cbuiltins\nset\n}b.", "BUILD at byte .*: expected OrderedDict"),
        (b"\x80\x02ctorch\nTensor\n}b.", "BUILD"),
        (b"\x80\x02ctorch\nTensor\n)R.", "torch.Tensor cannot be called; nothing was run"),
        (b"\x80\x02ctorch\nTensor\n)\x81.", "torch.Tensor cannot be called"),
        (b"\x80\x02ctorch\nfloat32\n)R.", "cannot be called"),
        (b"\x80\x02ctorch\nFloatStorage\n)R.", "torch.FloatStorage cannot be called"),
        (b"\x80\x02ctorch\nTensor\n.", "torch.Tensor itself, a class or function; leave it out"),
        (b"\x80\x02X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93.", "os.system is neither"),
        (b"\x80\x04K\x01K\x02\x93.", "a name made of 1 and 2"),
        (b"\x80\x02\x8c\x05hello" + b"Q.", "a reference to 'hello', expected a storage"),
        (b"\x80\x02c" + b"x" * 5000 + b"\n.", "the name at byte .* has no end"),
        (b"\x80\x02S'text'\n.", "is no instruction of protocols 2 to 5"),
        (b"\x80\x09.", "pickle protocol 9, expected 2 to 5"),
        (b"\x80\x02.", "0 values are left at its end"),
        (b"\x80\x02NN.", "2 values are left at its end"),
        (b"\x80\x02(N.", "values are left at its end"),
        (b"\x80\x02u.", "SETITEMS at byte .* does not fit what is there"),
        (b"\x80\x02h\x05.", "BINGET at byte .* does not fit"),
        (b"\x80\x02}]Ns.", "list of 0 in a key"),
        (b"\x80\x02}]K\x01K\x02e.", "expected list on the stack|does not fit"),
        (b"\x80\x02X\xff\xff\xff\x7fabc.", "2147483647 bytes wanted"),
        (b"\x80\x02\x8e" + b"\xff" * 8 + b".", "bytes wanted"),
        (b"\x80\x02\x8b\xff\xff\xff\xff.", "a size of -1 bytes"),
        (b"\x80\x02\x8b" + struct.pack("<i", 5000) + b"\x01" * 5000 + b".", "an integer of 5000 bytes"),
        (b"\x80\x02X\x01\x00\x00\x00\xff.", "does not fit what is there"),
    ],
)
def test_instructions_are_refused_or_seen_to_be_damaged(data, message, refuse):
    refuse(data, message)


def test_a_pickle_without_an_end(tmp_path):
    with pytest.raises(CheckpointError, match="the pickle ends too early: 1 bytes wanted at byte 3 of 3"):
        checkpoint.load(archive_with(tmp_path / "net.pt", b"\x80\x02}"))


def test_bytes_behind_the_pickle(tmp_path):
    path = archive_with(tmp_path / "net.pt", b"\x80\x02N." + b"more")
    with pytest.raises(CheckpointError, match="4 bytes lie behind the end of the pickle"):
        checkpoint.load(path)


def doubled_tuples(levels):
    """A pickle of some bytes whose value, walked path by path, has 2**levels leaves."""
    return b"\x80\x02K\x01" + b"".join(b"q" + bytes([n]) + b"h" + bytes([n]) + b"\x86" for n in range(levels))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", "nested deeper than 100 levels"),
        (b"\x80\x02)" + b"\x85" * 100_000 + b".", "nested deeper than 100 levels"),
        (b"\x80\x02]q\x00h\x00a.", "the list at .0. contains itself"),
        (b"\x80\x02}q\x00K\x01h\x00s.", "the dict at .1. contains itself"),
        (b"\x80\x02]q\x00h\x00\x85a.", "contains itself"),
        (b"\x80\x02}" + doubled_tuples(60)[2:] + b"Ns.", "expected text, numbers or a short tuple"),
        (b"\x80\x04\x8f(" + doubled_tuples(60)[2:] + b"\x90.", "expected text, numbers or a short tuple"),
        (
            b"\x80\x02c_codecs\nencode\nq\x00X" + struct.pack("<I", 10_000) + b"a" * 10_000
            + b"X\x06\x00\x00\x00latin1\x86q\x01(" + b"h\x00h\x01R" * 5000 + b"t.",
            "called to copy far more than the pickle holds",
        ),
        (
            b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\nq\x00"
            + b"(h\x00N" * 50_000 + b")" + b"Nt" * 50_000 + b"R.",
            "made by torch._tensor._rebuild_from_type_v2, expected a rebuild function",
        ),
        (doubled_tuples(60) + b".", "values are shared so often that they stand in"),
        (b"\x80\x02cbuiltins\nbytearray\n\x8a\x06" + b"\x7f" * 6 + b"\x85R.", "bytes are built of"),
        (b"\x80\x02cbuiltins\nbytes\n\x8a\x06" + b"\x7f" * 6 + b"\x85R.", "bytes are built of"),
    ],
)  # fmt: skip
def test_small_pickles_cannot_ask_for_much(data, message, refuse):
    begin = time.process_time()
    refuse(data, message)
    assert time.process_time() - begin < 20  # a hang, not a measurement


def test_shared_containers_are_loaded_as_shared(tmp_path):
    loaded = checkpoint.load(archive_with(tmp_path / "net.pt", doubled_tuples(10) + b"."))
    assert loaded[0] is loaded[1]


def test_random_pickles(tmp_path):
    """Damage inside the pickle alone, with the checksum set right again."""
    source = tmp_path / "source.pt"
    torch.save({"m": collections.OrderedDict(w=torch.ones(2, 3), h=torch.ones(4).half()), "n": [1, (2.5, "x")]}, source)
    with zipfile.ZipFile(source) as archive:
        root = archive.namelist()[0].split("/")[0]
        data, *storages = (archive.read(f"{root}/{name}") for name in ("data.pkl", "data/0", "data/1"))
    rng = random.Random(1)
    loaded = 0
    for _ in range(3000):
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 3])):
            place = rng.randrange(len(damaged))
            if rng.random() < 0.5:
                damaged[place] = rng.randrange(256)
            else:
                damaged[place : place + rng.randrange(9)] = data[
                    (at := rng.randrange(len(data))) : at + rng.randrange(9)
                ]
        path = archive_with(tmp_path / "net.pt", bytes(damaged), storage_0=storages[0], storage_1=storages[1])
        try:
            checkpoint.load(path)
            loaded += 1
        except CheckpointError:
            pass
    assert 0 < loaded < 3000


class Own(torch.Tensor):
    pass


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (lambda: torch.eye(3).to_sparse(), r"\['a'\]\['b'\]: a sparse_coo tensor; save tensor.to_dense\(\)"),
        (lambda: torch.eye(3).to_sparse_csr(), "a sparse_csr tensor"),
        (lambda: torch.ones(3, device="meta"), "meta device, which has no data"),
        (lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), "a quantised tensor; save tensor.deq"),
        (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "a nested tensor; save tensor.to_padded"),
        (lambda: torch.ones(4, dtype=torch.uint8).view(torch.bits8), "torch.bits8 holds bits without a meaning"),
        (lambda: torch.ones(4, dtype=torch.uint8).view(torch.float4_e2m1fn_x2), "packs two numbers into one byte"),
        (lambda: torch.ones(3).as_subclass(Own), "test_refusals.Own is neither"),
        (lambda: torch.nn.Linear(2, 2), r"torch.nn.modules.linear.Linear .*save `model.state_dict\(\)` instead"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.filterwarnings("ignore")
def test_what_numpy_cannot_hold_is_named(tensor, message, zipped, tmp_path):
    path = tmp_path / "net.pt"
    torch.save({"a": {"b": tensor()}}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(path)


def test_all_that_cannot_be_held_is_in_one_error(tmp_path):
    torch.save({"x": torch.ones(2, device="meta"), "y": [torch.eye(2).to_sparse()]}, tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match=r"\['x'\]: a tensor on the meta.*\['y'\]\[0\]: a sparse_coo"):
        checkpoint.load(tmp_path / "net.pt")


@pytest.mark.filterwarnings("ignore")
def test_torchscript(tmp_path):
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match="this is a TorchScript archive"):
        checkpoint.load(tmp_path / "net.pt")


def other_archive(name):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, b"x")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\0" * 257 + b"ustar" + b"\0" * 300, "a tar archive, torch's oldest format"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"\x1f\x8b\x08", "compressed by gzip"),
        (b"\x93NUMPY\x01", "a numpy array; read it with numpy.load"),
        (pickle.dumps({"a": 1}), "a pickle that torch.save did not write"),
        (b"hello world", "neither torch's nor safetensors' format begins with b'hello wo'"),
        (other_archive("arr_0.npy"), "a numpy archive"),
        (other_archive("file.txt"), "0 entries named .*data.pkl, expected one"),
    ],
)
def test_other_files_are_named(content, message, tmp_path):
    path = tmp_path / "net.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(path)


def test_paths_that_cannot_be_opened(tmp_path):
    with pytest.raises(FileNotFoundError):
        checkpoint.load(tmp_path / "nothing.pt")
    with pytest.raises(TypeError, match="PathLike"):
        checkpoint.load(io.BytesIO())
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="this is not a regular file"):
        checkpoint.load(tmp_path / "pipe")
