"""Files as torch and safetensors need them: mapped without reading, and written whole or not at all."""

import mmap
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

import numpy as np

from jaxnets.checkpoint.errors import CheckpointError


class MappedFile:
    """A file whose bytes are arrays: pages come in when they are touched, writes stay in this process.

    Headers are read through the open file, so that looking at them maps no pages; arrays outlive the `with`.
    """

    def __init__(self, path: str | os.PathLike):
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise CheckpointError("this is not a regular file; copy it to one, checkpoints are read where they lie")
        self.file = open(path, "rb")  # noqa: SIM115  closed by __exit__
        try:
            self.size = os.fstat(self.file.fileno()).st_size
            if not self.size:
                raise CheckpointError("the file is empty; it was not written or not copied completely")
            self.buffer = _map(self.file.fileno(), self.size)
        except BaseException:
            self.file.close()
            raise
        self.bytes = np.frombuffer(self.buffer, np.uint8)

    def __enter__(self) -> "MappedFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def read(self, offset: int, count: int) -> bytes:
        """A copy of `count` bytes, of as many as there are near the end."""
        if offset > self.size:
            return b""
        self.file.seek(offset)
        return self.file.read(min(count, self.size - offset))


def _map(descriptor: int, size: int) -> mmap.mmap:
    if sys.platform != "linux":
        return mmap.mmap(descriptor, size, access=mmap.ACCESS_COPY)
    # Without a reservation of swap, or a file larger than the memory could not be mapped writable.
    flags = mmap.MAP_PRIVATE | getattr(mmap, "MAP_NORESERVE", 0x4000)
    return mmap.mmap(descriptor, size, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[IO[bytes]]:
    """A new file that takes the place of `path` only when all of it is on the disk."""
    target = os.path.realpath(path)
    if os.path.exists(target) and not os.path.isfile(target):
        raise IsADirectoryError(f"cannot save to {os.fspath(path)!r}: it exists and is not a regular file")
    temporary = os.path.join(os.path.dirname(target), f".jaxnets-{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    _sync_folder(os.path.dirname(target))


def _sync_folder(folder: str) -> None:
    """Makes the new name last through a power cut, where the system lets folders be synchronised."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with suppress(OSError):  # some network file systems cannot, and the file itself is safe
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
