"""From a path to a checkpoint: a file of any format, told by its content, or a folder of shards."""

import json
import os
from pathlib import Path, PurePosixPath
from typing import Any

from jaxnets.checkpoint.errors import CheckpointError, brief
from jaxnets.checkpoint.files import MappedFile
from jaxnets.checkpoint.safetensors import header_size, load_safetensors, unique
from jaxnets.checkpoint.torchfile import is_legacy, load_legacy, load_zip

CHECKPOINT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
MAX_INDEX = 100_000_000

#: Files that are no checkpoint, by what stands at an offset: what they are and what to do.
OTHER_FILES = [
    (
        257,
        b"ustar",
        "a tar archive, torch's oldest format; load it in torch with weights_only=False if you trust it, and save it",
    ),
    (0, b"version https://git-lfs", "a Git LFS pointer, not the file itself; fetch it with `git lfs pull`"),
    (0, b"\x1f\x8b", "compressed by gzip; decompress it first"),
    (0, b"\x93NUMPY", "a numpy array; read it with numpy.load"),
    (0, b"\x89HDF", "an HDF5 file; read it with h5py"),
    (0, b"GGUF", "a GGUF file; convert it to safetensors"),
    (0, b"<", "a web page or XML, not a checkpoint; the download has failed, download it again"),
    (0, b"\x80", "a pickle that torch.save did not write; load it where you trust it, and save its tensors"),
]


def load(path: str | os.PathLike, *, verify: bool = False) -> Any:
    """What `torch.load(path, weights_only=True)` gives, with numpy arrays for tensors; needs no torch.

    Runs no code from the file: a pickle that names anything but tensors and plain containers is refused by name.
    Arrays are memory-mapped: nothing is read before it is used, writing to an array leaves the file alone, and
    tensors that shared a storage share memory.

    Args:
        path: a file in torch's zip format or its older one (`.pt`, `.pth`, `.bin`, told by content), a
            `.safetensors` file, a `*.index.json` of shards, or a folder that holds one index or one checkpoint.
        verify: whether to read everything once and compare the checksums of the zip entries. Without it only the
            pickle and the small records are checked. Safetensors and torch's older format have no checksums.

    Shape: each array has the shape and dtype of its tensor; bfloat16, float8 and complex32 by ml_dtypes.

    Raises:
        CheckpointError: the content is damaged, is something else, or cannot be held by numpy.
        OSError: the path cannot be opened.

    Differences from torch: parameters come as arrays, `torch.Size` as a tuple, a dtype as numpy's, a device as
    text, a storage as a flat array; pickle protocols 3 to 5 are read as well. Containers that hold themselves or
    are nested more than 100 deep are refused. float8, uint16 and the like are swapped when the file is big-endian,
    which torch forgets.

    >>> import numpy as np, tempfile, os
    >>> from jaxnets.checkpoint import save
    >>> path = os.path.join(tempfile.mkdtemp(), "net.pt")
    >>> save({"weight": np.ones((2, 3), np.float32), "step": 7}, path)
    >>> load(path)["weight"].shape, load(path)["step"]
    ((2, 3), 7)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.load.html
    """
    path = Path(os.fsdecode(path))
    try:
        if path.is_dir():
            path = _only_checkpoint(path)
        with MappedFile(path) as file:
            if _is_index(path, file):
                return _load_index(path, file, verify)
            return _load_file(path, file, verify)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error.__cause__


def _load_file(path: Path, file: MappedFile, verify: bool) -> Any:
    head = file.read(0, 512)
    if head.startswith(b"PK"):
        return load_zip(file, verify)
    if is_legacy(head):
        return load_legacy(file)
    if header_size(file) is not None or path.suffix == ".safetensors":
        return load_safetensors(file)
    for offset, mark, what in OTHER_FILES:
        if head[offset:].startswith(mark):
            raise CheckpointError(f"this is {what}")
    raise CheckpointError(f"neither torch's nor safetensors' format begins with {head[:8]!r}; the file is damaged")


def _only_checkpoint(folder: Path) -> Path:
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    candidates = [name for name in names if name.endswith(".index.json")]
    candidates = candidates or [name for name in names if name.endswith(CHECKPOINT_SUFFIXES)]
    if len(candidates) != 1:
        found = ", ".join(candidates[:10]) or "none"
        raise CheckpointError(
            f"a folder must hold one index or one checkpoint file, found {found}; pass the file itself"
        )
    return folder / candidates[0]


def _is_index(path: Path, file: MappedFile) -> bool:
    size = header_size(file)
    return path.suffix == ".json" or (file.read(0, 1) == b"{" and (size is None or size > file.size - 8))


def _load_index(path: Path, file: MappedFile, verify: bool) -> dict[str, Any]:
    """All tensors that the index names, in its order, from the shards beside it."""
    if file.size > MAX_INDEX:
        raise CheckpointError(f"an index of {file.size} bytes, at most {MAX_INDEX} are read")
    try:
        index = json.loads(file.read(0, file.size).decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"the index is no JSON object: {str(error)[:200]}") from error
    names = index.get("weight_map") if type(index) is dict else None
    if type(names) is not dict or not all(type(shard) is str for shard in names.values()):
        raise CheckpointError("the index has no weight_map of tensor names to file names")
    shards: dict[str, dict[str, Any]] = {}
    for shard in dict.fromkeys(names.values()):
        place = PurePosixPath(shard)
        if not shard or "\0" in shard or "\\" in shard or place.is_absolute() or ".." in place.parts:
            raise CheckpointError(f"the index names a shard outside its folder: {brief(shard)}")
        try:
            with MappedFile(path.parent / shard) as part:
                loaded = _load_file(path.parent / shard, part, verify)
        except OSError as error:
            raise CheckpointError(f"shard {brief(shard)} of the index cannot be read: {error.strerror}") from error
        except CheckpointError as error:
            raise CheckpointError(f"shard {brief(shard)}: {error}") from error.__cause__
        if not isinstance(loaded, dict):
            raise CheckpointError(f"shard {brief(shard)} holds {brief(loaded)}, expected a dict of tensors")
        shards[shard] = loaded
    lost = [name for name, shard in names.items() if name not in shards[shard]]
    unnamed = [name for loaded in shards.values() for name in loaded if name not in names]
    for what, found in (("the index names", lost), ("the shards hold, but the index does not name,", unnamed)):
        if found:
            listed = ", ".join(map(brief, found[:10]))
            raise CheckpointError(f"{what} {len(found)} tensors without a counterpart: {listed}; copy the folder again")
    return {name: shards[shard][name] for name, shard in names.items()}
