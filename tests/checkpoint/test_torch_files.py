"""Files that torch wrote, loaded without it: every dtype, view, container and format."""

import struct
import zipfile
from collections import Counter, OrderedDict

import ml_dtypes
import numpy as np
import pytest
import torch

from jaxnets import checkpoint
from jaxnets.arrays import DTYPES
from jaxnets.checkpoint.archive import ArchiveWriter
from jaxnets.checkpoint.errors import CheckpointError

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")


def random_bits(dtype, count, seed=0):
    """Every bit pattern of a dtype may come: nan payloads, subnormals, infinities."""
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randint(0, 256, (count * dtype.itemsize,), dtype=torch.uint8, generator=generator)
    return (raw % 2 if dtype == torch.bool else raw).view(dtype)


def bits(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def views(base):
    """Tensors on one storage in every way that torch lays them out; `base` has shape (4, 12)."""
    return {
        "whole": base,
        "transposed": base.t(),
        "strided": base[1:3, 2:7:2],
        "scalar": base[2, 5],
        "empty": base[:0],
        "no_columns": base[:, 3:3],
        "expanded": base[:1].expand(5, 12),
        "windows": base.reshape(-1).unfold(0, 5, 2),
        "five_axes": base.reshape(2, 1, 2, 3, 4).permute(4, 1, 0, 3, 2),
    }


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_and_view_both_ways(name, zipped, tmp_path):
    dtype = getattr(torch, name)
    state = views(random_bits(dtype, 48).view(4, 12))
    torch.save(state, tmp_path / "torch.pt", _use_new_zipfile_serialization=zipped)
    loaded = checkpoint.load(tmp_path / "torch.pt")
    assert list(loaded) == list(state)
    for key, tensor in state.items():
        assert loaded[key].dtype == DTYPES[name]
        assert loaded[key].shape == tuple(tensor.shape)
        assert loaded[key].tobytes() == bits(tensor), key
        assert np.shares_memory(loaded[key], loaded["whole"]) == (tensor.numel() > 0)

    checkpoint.save(loaded, tmp_path / "ours.pt")
    for mmap in (False, True):
        back = torch.load(tmp_path / "ours.pt", weights_only=True, mmap=mmap)
        assert list(back) == list(state)
        for key, tensor in state.items():
            assert back[key].dtype == dtype
            assert back[key].shape == tensor.shape
            assert bits(back[key]) == bits(tensor), key
            if tensor.numel():
                assert back[key].stride() == tensor.stride()
                assert back[key].untyped_storage().data_ptr() == back["whole"].untyped_storage().data_ptr()


def test_dtypes_of_torch_are_all_decided():
    """A dtype that a later torch adds must enter one of the two tables."""
    from jaxnets.arrays import UNSUPPORTED_DTYPES

    names = {str(value)[6:] for value in vars(torch).values() if isinstance(value, torch.dtype)}
    assert names == set(DTYPES) | set(UNSUPPORTED_DTYPES)


@pytest.fixture
def training(tmp_path):
    """A checkpoint as a training loop writes it, and torch's own reading of it."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, groups=1), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.LSTM(16, 5)
    )
    optimizer = torch.optim.AdamW(model.parameters(), amsgrad=True)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=10)
    for _ in range(2):
        model(torch.randn(2, 3, 4, 4))[0].square().sum().backward()
        optimizer.step()
        scheduler.step()
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": {key: value for key, value in scheduler.state_dict().items() if not callable(value)},
        "generator": torch.get_rng_state(),
        "epoch": 3,
        "best": float("inf"),
        "args": {"lr": 1e-3, "name": "naïve.net", "layers": (1, [2, None, True])},
    }
    path = tmp_path / "training.pt"
    torch.save(state, path)
    return path, model, optimizer


def assert_same(ours, theirs):
    if isinstance(theirs, torch.Tensor):
        assert isinstance(ours, np.ndarray)
        assert (ours.dtype.name, ours.shape) == (str(theirs.dtype)[6:], tuple(theirs.shape))
        assert ours.tobytes() == bits(theirs)
    elif isinstance(theirs, dict):
        assert type(ours) is type(theirs)
        assert list(ours) == list(theirs)
        for key in theirs:
            assert_same(ours[key], theirs[key])
    elif isinstance(theirs, (list, tuple)):
        assert type(ours) is type(theirs)
        assert len(ours) == len(theirs)
        for mine, other in zip(ours, theirs, strict=True):
            assert_same(mine, other)
    else:
        assert type(ours) is type(theirs)
        assert ours == theirs


def test_training_checkpoint(training, tmp_path):
    path, model, optimizer = training
    theirs = torch.load(path, weights_only=True)
    loaded = checkpoint.load(path)
    assert_same(loaded, theirs)
    assert loaded["model"]._metadata == model.state_dict()._metadata

    checkpoint.save(loaded, tmp_path / "back.pt")
    back = torch.load(tmp_path / "back.pt", weights_only=True)
    assert_same(loaded, back)
    assert back["model"]._metadata == model.state_dict()._metadata
    model.load_state_dict(back["model"])
    optimizer.load_state_dict(back["optimizer"])


def test_plain_values(tmp_path):
    """What the safe loader of torch knows besides tensors."""
    state = {
        "numbers": [0, -1, 255, 256, 65535, 65536, -(2**31), 2**31, 2**40, -(2**100), 1.5, -0.0, 1 + 2j],
        "text": ["", "é", "\ud800", "x" * 300, "a.b.c"],
        "raw": [b"a", bytearray(b"b"), b"\xff" * 300],
        "sets": [{1, "a", (2, 3)}, set()],
        "constants": (None, True, False, ()),
        "counts": Counter("hello"),
        (1, "key"): {3: 4, 2.5: 5, None: 6, True: 7, b"raw": 8},
        "size": torch.Size([2, 3]),
        "device": [torch.device("cpu"), torch.device("cuda", 1)],
        "dtypes": [torch.float32, torch.bfloat16],
        "layout": torch.strided,
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "buffer": torch.nn.Buffer(torch.ones(2)),
        "attribute": torch.nn.Parameter(torch.ones(3)),
        "storage": torch.arange(3.0).untyped_storage(),
    }
    state["attribute"].note = "kept by torch, dropped here"
    path = tmp_path / "plain.pt"
    torch.save(state, path)
    loaded = checkpoint.load(path)
    for key in ("numbers", "text", "raw", "sets", "constants", "counts", (1, "key")):
        assert loaded[key] == state[key]
        assert type(loaded[key]) is type(state[key])
    assert struct.pack("<d", loaded["numbers"][11]) == struct.pack("<d", -0.0)
    assert loaded["size"] == (2, 3)
    assert type(loaded["size"]) is tuple
    assert loaded["device"] == ["cpu", "cuda:1"]
    assert loaded["dtypes"] == [np.dtype("float32"), np.dtype(ml_dtypes.bfloat16)]
    assert loaded["layout"] == "torch.strided"
    assert loaded["parameter"].tolist() == loaded["buffer"].tolist() == [1, 1]
    assert loaded["attribute"].shape == (3,)
    assert loaded["storage"].view(np.float32).tolist() == [0, 1, 2]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_pickle_protocols(protocol, zipped, tmp_path):
    state = {"w": torch.ones(2, 3), "x": [1, b"raw", bytearray(b"more"), {1}, frozenset({2}), "é" * 300, 2**70, ""]}
    torch.save(state, tmp_path / "p.pt", pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    loaded = checkpoint.load(tmp_path / "p.pt")
    assert loaded["w"].sum() == 6
    assert loaded["x"] == state["x"]


def test_tied_tensors_share_memory_and_the_file_stays(tmp_path):
    path = tmp_path / "tied.pt"
    embedding = torch.nn.Embedding(5, 3)
    torch.save({"wte": embedding.weight, "head": embedding.weight.t(), "alias": embedding.weight}, path)
    before = path.read_bytes()
    loaded = checkpoint.load(path)
    loaded["wte"][:] = 7
    assert (loaded["head"] == 7).all()
    assert loaded["alias"] is loaded["wte"]
    assert path.read_bytes() == before
    assert (checkpoint.load(path)["wte"] != 7).any()


def test_conjugate_and_negative_views(tmp_path):
    z = torch.tensor([1 + 2j, 3 - 4j])
    torch.save({"conj": z.conj(), "neg": torch.tensor([1j]).conj().imag}, tmp_path / "z.pt")
    loaded = checkpoint.load(tmp_path / "z.pt")
    assert loaded["conj"].tolist() == [1 - 2j, 3 + 4j]
    assert loaded["neg"].tolist() == [-1.0]


@pytest.mark.parametrize("name", DTYPES)
def test_big_endian_files(name, tmp_path):
    """A file from a big-endian machine: every real number has its bytes reversed."""
    base = random_bits(getattr(torch, name), 24).view(4, 6)
    torch.save({"a": base, "t": base.t()[1:]}, tmp_path / "little.pt")
    unit = DTYPES[name].itemsize // (2 if name.startswith("complex") else 1)
    with zipfile.ZipFile(tmp_path / "little.pt") as old, open(tmp_path / "big.pt", "wb") as stream:
        archive = ArchiveWriter(stream)
        for entry in old.namelist():
            data = old.read(entry)
            if "/data/" in entry:
                data = np.frombuffer(data, np.uint8).reshape(-1, unit)[:, ::-1].tobytes()
            archive.add(entry, b"big" if entry.endswith("byteorder") else data)
        archive.finish()
    loaded = checkpoint.load(tmp_path / "big.pt")
    assert loaded["a"].tobytes() == bits(base)
    assert loaded["t"].tobytes() == bits(base.t()[1:])
    assert np.shares_memory(loaded["a"], loaded["t"])


def test_an_unknown_byte_order(tmp_path):
    with zipfile.ZipFile(tmp_path / "net.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02N.")
        archive.writestr("archive/byteorder", b"middle")
    with pytest.raises(CheckpointError, match="says b'middle', expected little or big"):
        checkpoint.load(tmp_path / "net.pt")


def test_compressed_archives(tmp_path):
    torch.save({"w": torch.arange(1000.0)}, tmp_path / "stored.pt")
    deflated = zipfile.ZipFile(tmp_path / "deflated.pt", "w", zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(tmp_path / "stored.pt") as old, deflated as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    loaded = checkpoint.load(tmp_path / "deflated.pt", verify=True)["w"]
    assert loaded.tolist() == list(range(1000))
    loaded[0] = 1


def test_names_of_every_kind(tmp_path):
    names = ["", ".", "a.b..c", "é\u4e2d\U0001f600", "x" * 70_000, "__metadata__", "with space/and\\slash\n", "0"]
    state = OrderedDict((name, torch.tensor([float(i)])) for i, name in enumerate(names))
    torch.save(state, tmp_path / "names.pt")
    loaded = checkpoint.load(tmp_path / "names.pt")
    assert list(loaded) == names
    checkpoint.save(loaded, tmp_path / "back.pt")
    assert list(torch.load(tmp_path / "back.pt", weights_only=True)) == names


def test_a_single_tensor_and_its_shape(tmp_path):
    for tensor in (torch.tensor(3, dtype=torch.int64), torch.zeros(0), torch.zeros(2, 0, 3), torch.ones(1, 1)):
        torch.save(tensor, tmp_path / "t.pt")
        loaded = checkpoint.load(tmp_path / "t.pt")
        assert type(loaded) is np.ndarray
        assert_same(loaded, tensor)
