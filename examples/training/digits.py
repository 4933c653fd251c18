"""Pictures of digits, 28 by 28: MNIST's own files, or scikit-learn's small digits enlarged."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from examples.training.experiment import Arrays, Data

__all__ = ["digits", "draw", "read_idx"]

MEAN, STD = 0.1307, 0.3081  # of MNIST's training pictures
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
UNSIGNED_BYTE = 8  # the code of the only type that MNIST's files have


def digits(folder: Path | None) -> Data:
    """Normalised pictures `(N, 1, 28, 28)` and labels, for training and test.

    Args:
        folder: where MNIST's four files are, gzipped or not; None takes scikit-learn's digits, the last fifth as test.
    """
    if folder is None:
        return _small_digits()
    train_x, train_y, test_x, test_y = (read_idx(_file(folder, name)) for name in FILES)
    return Data(_pair(train_x, train_y), _pair(test_x, test_y))


def _small_digits() -> Data:
    from scipy.ndimage import zoom
    from sklearn.datasets import load_digits

    pictures, labels = load_digits(return_X_y=True)
    large = zoom(pictures.reshape(-1, 8, 8) * (255 / 16), (1, 3.5, 3.5), order=1)
    held_out = len(labels) // 5
    return Data(_pair(large[:-held_out], labels[:-held_out]), _pair(large[-held_out:], labels[-held_out:]))


def _pair(pictures: np.ndarray, labels: np.ndarray) -> Arrays:
    if len(pictures) != len(labels):
        raise ValueError(f"expected a label for each picture, got {len(pictures)} pictures and {len(labels)} labels")
    normal = (pictures.astype(np.float32) / 255 - MEAN) / STD
    return normal[:, None].astype(np.float32), labels.astype(np.int64)


def _file(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists():
            return path
    raise FileNotFoundError(f"{folder} has neither {name} nor {name}.gz; it needs all of {', '.join(FILES)}")


def read_idx(path: Path) -> np.ndarray:
    """The array in an IDX file, MNIST's format: a magic number, the sizes of the axes, the bytes.

    Raises:
        ValueError: the file is no IDX file of bytes, or has fewer or more bytes than it says.
    """
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path}: damaged gzip file: {error}") from None
    if len(raw) < 4 or raw[:2] != b"\0\0":
        raise ValueError(f"{path}: expected an IDX file, which begins with two zero bytes, got {raw[:4]!r}")
    kind, axes = raw[2], raw[3]
    if kind != UNSIGNED_BYTE:
        raise ValueError(f"{path}: expected unsigned bytes (code 8), got code {kind}")
    start = 4 + 4 * axes
    if len(raw) < start:
        raise ValueError(f"{path}: expected the sizes of {axes} axes, but the file ends after {len(raw)} bytes")
    shape = tuple(np.frombuffer(raw, ">u4", axes, 4).tolist())
    if len(raw) - start != math.prod(shape):
        raise ValueError(f"{path}: expected {math.prod(shape)} bytes for shape {shape}, got {len(raw) - start}")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def draw(pictures: np.ndarray, scores: np.ndarray, labels: np.ndarray, path: Path) -> None:
    """The first 50 pictures with what they are taken for; in red what is wrong."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    panels = figure.subplots(5, 10).ravel()
    for panel, picture, score, label in zip(panels, pictures, scores, labels, strict=False):
        panel.imshow(picture[0], cmap="gray_r")
        panel.set_title(str(score.argmax()), color="black" if score.argmax() == label else "red", fontsize=9)
    for panel in panels:
        panel.set_axis_off()
    figure.savefig(path, dpi=80)
