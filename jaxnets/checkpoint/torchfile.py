"""Torch's two file formats, read: the zip archive of today and the chain of pickles before torch 1.6."""

import struct
from typing import Any

import numpy as np

from jaxnets.checkpoint.archive import Archive
from jaxnets.checkpoint.errors import CheckpointError, brief
from jaxnets.checkpoint.files import MappedFile
from jaxnets.checkpoint.tensors import TensorMachine, check_tree

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001

#: Zip archives that are something else, by the end of a name in them: what it is and what to do.
OTHER_ARCHIVES = {
    "/constants.pkl": "a TorchScript archive; in torch, save `torch.jit.load(path).state_dict()` with torch.save",
    "/archive_format": "a torch.export archive; in torch, save `torch.export.load(path).state_dict` with torch.save",
    ".npy": "a numpy archive; read it with numpy.load",
    "/model.json": "a model package; save its weights as a state_dict with torch.save",
    ".keras": "a Keras file; save its weights with safetensors",
}


def load_zip(file: MappedFile, verify: bool) -> Any:
    """What torch.save wrote into a zip archive."""
    archive = Archive(file)
    names = list(archive.entries)
    pickles = [name for name in names if name.split("/")[1:] == ["data.pkl"]]
    for end, what in OTHER_ARCHIVES.items():
        if any(name.endswith(end) for name in names):
            raise CheckpointError(f"this is {what}")
    if len(pickles) != 1:
        raise CheckpointError(
            f"a zip archive with {len(pickles)} entries named */data.pkl, expected one: torch.save did not write it"
        )
    root = pickles[0].removesuffix("data.pkl")
    if verify and not archive.has_crc:
        raise CheckpointError("the archive was written without checksums, so verify=True has nothing to compare")
    for name in names:
        if verify or not name.startswith(root + "data/"):
            archive.checked(name)
    order = archive.read(root + "byteorder").tobytes() if root + "byteorder" in archive.entries else b"little"
    if order not in (b"little", b"big"):
        raise CheckpointError(f"entry {brief(root + 'byteorder')} says {brief(order)}, expected little or big")

    def read_storage(key: str, nbytes: int) -> np.ndarray:
        name = f"{root}data/{key}"
        if name not in archive.entries:
            raise CheckpointError(f"storage {brief(key)} is named in the pickle but not in the archive")
        return archive.read(name)

    machine = TensorMachine(archive.read(pickles[0]).tobytes(), read_storage, big_endian=order == b"big")
    root_value = machine.run()
    if machine.position != len(machine.data):
        raise CheckpointError(f"{len(machine.data) - machine.position} bytes lie behind the end of the pickle")
    return check_tree(root_value)


def is_legacy(head: bytes) -> bool:
    """Whether a file begins with a pickle of torch's magic number, by any protocol."""
    return head[:1] == b"\x80" and b"\x8a\x0a" + LEGACY_MAGIC.to_bytes(10, "little") in head[:32]


def load_legacy(file: MappedFile) -> Any:
    """The chain of pickles: magic number, version, system, the object, the keys of the storages; then their bytes.

    The object comes before the bytes that it refers to, and their sizes are known only from it: a first run over
    it collects the sizes, a second one builds the arrays.
    """
    sizes: dict[str, int] = {}

    def ask(key: str, nbytes: int) -> None:
        sizes[key] = nbytes

    def run(read_storage: Any, begin: int) -> tuple[Any, int]:
        machine = TensorMachine(file.buffer, read_storage, position=begin)
        return machine.run(), machine.position

    magic, at = run(ask, 0)
    version, at = run(ask, at)
    if magic != LEGACY_MAGIC or version != LEGACY_PROTOCOL:
        raise CheckpointError(f"version {brief(version)} of torch's old format, only {LEGACY_PROTOCOL} is known")
    _system, begin = run(ask, at)
    sizes.clear()
    _, at = run(ask, begin)
    keys, at = run(ask, at)
    if type(keys) is not list or len(keys) != len(sizes) or not all(type(key) is str and key in sizes for key in keys):
        raise CheckpointError("the list of storages does not agree with the pickle before it")

    storages: dict[str, np.ndarray] = {}
    for key in keys:
        raw = file.read(at, 8)
        count = struct.unpack("<q", raw)[0] if len(raw) == 8 else -1
        nbytes = sizes[key]
        at += 8
        # The count is in elements, of a size that only the pickle knows.
        if count < 0 or count * (nbytes // max(count, 1)) != nbytes or nbytes > 16 * count:
            raise CheckpointError(
                f"storage {brief(key)} at byte {at - 8} states {count} elements, the pickle {nbytes} bytes"
            )
        if at + nbytes > file.size:
            raise CheckpointError(
                f"storage {brief(key)} wants {nbytes} bytes at byte {at}, the file has {file.size}: it is cut off"
            )
        storages[key] = file.bytes[at : at + nbytes]
        at += nbytes
    if at != file.size:
        raise CheckpointError(f"{file.size - at} bytes lie behind the last storage")

    def place(key: str, nbytes: int) -> np.ndarray:
        return storages[key]

    return check_tree(run(place, begin)[0])
