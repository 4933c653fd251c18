"""The zip archives of torch.save: stored entries, their data aligned to 64 bytes.

The reader takes nothing on trust: what the directory says is compared with the entries' own headers, no two entries
may share bytes, and every size is checked against the file before anything is read.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import IO

import numpy as np

from jaxnets.checkpoint.errors import CheckpointError, brief
from jaxnets.checkpoint.files import MappedFile

LOCAL = struct.Struct("<4s5H3L2H")  # signature, version, flags, method, time, date, crc, sizes, name, extra
CENTRAL = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
END64_LOCATOR = struct.Struct("<4sLQL")
END64 = struct.Struct("<4sQ2H2L4Q")

LOCAL_MARK, CENTRAL_MARK, END_MARK = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
END64_LOCATOR_MARK, END64_MARK = b"PK\x06\x07", b"PK\x06\x06"

ALIGNMENT = 64
Buffer = bytes | memoryview
ZIP64_FROM = 0xFFFFFFFF  # sizes and offsets from here on need 64 bits
COUNT64_FROM = 0xFFFF
MAX_DEFLATE_RATIO = 1032
CHUNK = 2**20
ENCRYPTED, DESCRIPTOR, UTF8 = 0x0001, 0x0008, 0x0800
STORED, DEFLATED = 0, 8


@dataclass(frozen=True)
class Entry:
    name: str
    begin: int  # of the local header
    data: int  # of the bytes
    packed: int
    size: int
    crc: int
    method: int


class Archive:
    """The entries of a zip file by name, in the order of its directory."""

    def __init__(self, file: MappedFile):
        self.file = file
        self.entries: dict[str, Entry] = {}
        for entry in _directory(file):
            if entry.name in self.entries:
                raise CheckpointError(f"the zip directory names {brief(entry.name)} twice")
            self.entries[entry.name] = entry
        # torch.serialization.set_crc32_options(False) leaves all of them at zero.
        self.has_crc = any(entry.crc for entry in self.entries.values())

    def read(self, name: str) -> np.ndarray:
        """The bytes of an entry: a view on the file if it is stored, else inflated."""
        entry = self.entries[name]
        packed = self.file.bytes[entry.data : entry.data + entry.packed]
        return packed if entry.method == STORED else _inflate(entry, packed)

    def checked(self, name: str) -> np.ndarray:
        """The bytes of an entry after comparing their checksum with the directory's."""
        data = self.read(name)
        crc = 0
        for begin in range(0, len(data), CHUNK):
            crc = zlib.crc32(data[begin : begin + CHUNK].data, crc)
        if self.has_crc and crc != self.entries[name].crc:
            raise CheckpointError(
                f"entry {brief(name)} is damaged: its checksum is {crc:08x}, "
                f"the directory says {self.entries[name].crc:08x}; copy or download the file again"
            )
        return data


def _directory(file: MappedFile) -> Iterator[Entry]:
    count, begin, size, end = _end_of_directory(file)
    if begin + size != end:
        raise CheckpointError(
            f"the zip directory is said to be {size} bytes at byte {begin}, but it ends at byte {end}"
        )
    raw, at = file.read(begin, size), 0
    raws = []
    for index in range(count):
        where = f"entry {index + 1} of {count} in the zip directory, at byte {begin + at},"
        if at + CENTRAL.size > size:
            raise CheckpointError(f"{where} is cut off")
        (mark, _, _, flags, method, _, _, crc, packed, length, name_size, extra_size, comment_size,
         disk, _, _, header) = CENTRAL.unpack_from(raw, at)  # fmt: skip
        stop = at + CENTRAL.size + name_size + extra_size + comment_size
        if mark != CENTRAL_MARK or stop > size:
            raise CheckpointError(f"{where} is damaged")
        name_raw = raw[at + CENTRAL.size : at + CENTRAL.size + name_size]
        extra = raw[at + CENTRAL.size + name_size : stop - comment_size]
        length, packed, header = _zip64([length, packed, header], extra, where)
        if disk or flags & ENCRYPTED or method not in (STORED, DEFLATED):
            raise CheckpointError(f"{where} is encrypted, on another disk, or compressed by method {method}")
        if method == STORED and packed != length:
            raise CheckpointError(f"{where} has {length} bytes stored as {packed}")
        if header + LOCAL.size + packed > begin:
            raise CheckpointError(f"{where} leaves the file: {packed} bytes at byte {header} of {begin}")
        raws.append((header, name_raw, flags, method, crc, packed, length))
        at = stop
    if at != size:
        raise CheckpointError(f"the zip directory has {size - at} bytes behind its last entry")
    limits = sorted([header for header, *_ in raws] + [begin])
    following = dict(pairwise(limits))
    if len(following) < len(raws):
        raise CheckpointError("two entries of the zip directory begin at the same byte")
    for header, name_raw, flags, method, crc, packed, length in raws:
        try:
            name = name_raw.decode("utf-8" if flags & UTF8 else "cp437")
        except UnicodeDecodeError as error:
            raise CheckpointError(f"the entry at byte {header} has a name that is not UTF-8") from error
        data = _local_header(file, header, name_raw, flags, method, (crc, packed, length))
        if data + packed > following[header]:
            raise CheckpointError(f"entry {brief(name)} overlaps what begins at byte {following[header]}")
        yield Entry(name, header, data, packed, length, crc, method)


def _end_of_directory(file: MappedFile) -> tuple[int, int, int, int]:
    """Number of entries, begin and size of the directory, and the byte where it must end."""
    tail_begin = max(0, file.size - END.size - 0xFFFF)
    tail = file.read(tail_begin, file.size - tail_begin)
    at = tail.rfind(END_MARK)
    if at < 0 or at + END.size > len(tail):
        raise CheckpointError(
            "the zip archive has no directory at its end: the file is cut off; copy or download it again"
        )
    _, disk, first_disk, here, count, size, begin, comment = END.unpack_from(tail, at)
    end = tail_begin + at
    if end + END.size + comment != file.size:
        raise CheckpointError(f"{file.size - end - END.size} bytes lie behind the end of the zip archive")
    locator = file.read(end - END64_LOCATOR.size, END64_LOCATOR.size) if end >= END64_LOCATOR.size else b""
    if locator.startswith(END64_LOCATOR_MARK):
        _, disk64, place, disks = END64_LOCATOR.unpack(locator)
        record = file.read(place, END64.size)
        if len(record) < END64.size or not record.startswith(END64_MARK):
            raise CheckpointError(f"the zip64 directory's end is not at byte {place}, where it is said to be")
        # Sizes of more than 32 bits are here; what the old record can say too must agree.
        old = (disk, first_disk, here, count, size, begin)
        _, length, _, _, *new = END64.unpack(record)
        full = (0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
        if any(o not in (n, f) for o, n, f in zip(old, new, full, strict=True)):
            raise CheckpointError("the two ends of the zip directory do not agree")
        if disk64 or disks > 1 or place + 12 + length != end - END64_LOCATOR.size:
            raise CheckpointError("the zip64 end of the directory is damaged, or the archive spans disks")
        disk, first_disk, here, count, size, begin = new
        end = place
    if disk or first_disk or here != count:
        raise CheckpointError("the zip archive spans several disks; join its parts first")
    return count, begin, size, end


def _zip64(values: list[int], extra: bytes, where: str) -> list[int]:
    """Sizes and offset of an entry, those that overflow taken from the zip64 field."""
    values = list(values)
    overflown = [index for index, value in enumerate(values) if value == 0xFFFFFFFF]
    at = 0
    while overflown and at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        field = extra[at + 4 : at + 4 + length]
        if kind == 1 and len(field) >= 8 * len(overflown):
            for index, value in zip(overflown, struct.unpack_from(f"<{len(overflown)}Q", field), strict=True):
                values[index] = value
            return values
        at += 4 + length
    if overflown:
        raise CheckpointError(f"{where} needs 64-bit sizes, which are missing")
    return values


def _local_header(
    file: MappedFile, at: int, name: bytes, flags: int, method: int, central: tuple[int, int, int]
) -> int:
    """Where an entry's bytes begin; its own header must agree with the directory."""
    header = file.read(at, LOCAL.size + len(name))
    if len(header) < LOCAL.size + len(name):
        raise CheckpointError(f"the entry at byte {at} is cut off")
    mark, _, own_flags, own_method, _, _, *own, name_size, extra_size = LOCAL.unpack_from(header)
    if (mark, own_flags, own_method, name_size, header[LOCAL.size :]) != (
        LOCAL_MARK, flags, method, len(name), name,
    ):  # fmt: skip
        raise CheckpointError(f"the header of the entry at byte {at} does not agree with the zip directory")
    begin = at + LOCAL.size + name_size + extra_size
    if not flags & DESCRIPTOR:
        crc, packed, length = own
        where = f"the header of the entry at byte {at}"
        length, packed = _zip64([length, packed], file.read(begin - extra_size, extra_size), where)
        if (crc, packed, length) != central:
            raise CheckpointError(f"{where} states other sizes or another checksum than the zip directory")
    return begin


def _inflate(entry: Entry, packed: np.ndarray) -> np.ndarray:
    if entry.size > MAX_DEFLATE_RATIO * entry.packed + 64:
        raise CheckpointError(f"entry {brief(entry.name)}: {entry.packed} bytes cannot inflate to {entry.size}")
    out, at, machine = np.empty(entry.size, np.uint8), 0, zlib.decompressobj(-15)
    slices = (packed[begin : begin + CHUNK].tobytes() for begin in range(0, len(packed), CHUNK))
    waiting = b""
    try:
        while not machine.eof:
            waiting = waiting or next(slices, b"")
            piece = machine.decompress(waiting, CHUNK)
            exhausted = not piece and not waiting
            waiting = machine.unconsumed_tail
            if exhausted or at + len(piece) > entry.size:
                break
            out[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
            at += len(piece)
    except zlib.error as error:
        raise CheckpointError(f"entry {brief(entry.name)} cannot be inflated: {error}") from error
    if at != entry.size or not machine.eof or machine.unused_data or next(slices, b""):
        raise CheckpointError(f"entry {brief(entry.name)} inflates to something else than its {entry.size} bytes")
    return out


class ArchiveWriter:
    """Writes entries one after the other; `finish` writes the directory."""

    def __init__(self, file: IO[bytes]):
        self.file = file
        self.at = 0
        self.directory: list[bytes] = []

    def add(self, name: str, data: Buffer) -> None:
        raw_name, size, begin = name.encode(), memoryview(data).nbytes, self.at
        large, far = size >= ZIP64_FROM, begin >= ZIP64_FROM
        small = 0xFFFFFFFF if large else size
        crc = zlib.crc32(data)
        own = struct.pack("<2H2Q", 1, 16, size, size) if large else b""
        used = begin + LOCAL.size + len(raw_name) + len(own) + 4
        padding = -used % ALIGNMENT
        own += struct.pack("<2s H", b"FB", padding) + b"Z" * padding
        version = 45 if large or far else 20
        fields = (version, UTF8, STORED, 0, 33, crc, small, small, len(raw_name))  # 33: the first day of zip's years
        self._write(LOCAL.pack(LOCAL_MARK, *fields, len(own)) + raw_name + own)
        self._write(data)
        wide = [size] * 2 * large + [begin] * far
        extra = struct.pack(f"<2H{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
        self.directory.append(
            CENTRAL.pack(CENTRAL_MARK, 45, *fields, len(extra), 0, 0, 0, 0, 0xFFFFFFFF if far else begin)
            + raw_name
            + extra
        )

    def finish(self) -> None:
        begin, count = self.at, len(self.directory)
        for record in self.directory:
            self._write(record)
        size, end = self.at - begin, self.at
        if begin >= ZIP64_FROM or size >= ZIP64_FROM or count >= COUNT64_FROM:
            self._write(END64.pack(END64_MARK, END64.size - 12, 45, 45, 0, 0, count, count, size, begin))
            self._write(END64_LOCATOR.pack(END64_LOCATOR_MARK, 0, end, 1))
        few = min(count, 0xFFFF)
        self._write(END.pack(END_MARK, 0, 0, few, few, min(size, 0xFFFFFFFF), min(begin, 0xFFFFFFFF), 0))

    def _write(self, data: Buffer) -> None:
        self.file.write(data)
        self.at += memoryview(data).nbytes
