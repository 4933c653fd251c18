"""Each training program beside torch: the same curve, the same accuracy, its pictures.

The bounds are for float32, relative to torch's loss. Where training makes little of rounding they are some roundings
wide; where it makes much of it (batch normalisation, optimizers that divide by vanishing gradients), few epochs are
looked at.
"""

import gzip
import subprocess
import sys

import numpy as np
import pytest
from programs import ROOT, environment, numbers, run

from examples.names import read_names
from examples.training.digits import digits, read_idx
from examples.training.report import relative_differences
from tests.exhaustive import more

LINES = ("sgd", "adagrad", "adam", "adamax", "asgd", "lbfgs", "rmsprop", "rprop")

# program and arguments: the folders it writes, the bound of the curves' difference, pictures besides the curves
PROGRAMS = {
    "quadratic --epochs 100": (["quadratic"], 5e-5, []),
    "linear_regression --epochs 200": ([f"line_{name}" for name in LINES], 2e-5, []),
    "logistic_regression": (["logistic_regression"], 1e-5, ["probability.png"]),
    "breast_cancer --epochs 200": (["breast_cancer"], 1e-5, []),
    "breast_cancer --norm --mini-batches --workers 2 --epochs 2": (["breast_cancer_norm_mini_batches"], 1e-5, []),
    "digits_nets --net mlp --epochs 1": (["digits_mlp"], 1e-5, ["predictions.png"]),
    "digits_nets --net cnn1 --epochs 1": (["digits_cnn1"], 1e-5, ["predictions.png"]),
    "digits_nets --net cnn2 --epochs 1": (["digits_cnn2"], 1e-5, ["predictions.png"]),
    "digits_nets --net inception --epochs 1": (["digits_inception"], 1e-5, ["predictions.png"]),
    "digits_nets --net residual --epochs 1 --precision float64": (["digits_residual"], 1e-12, ["predictions.png"]),
    "hello --net cell": (["hello_cell"], 2e-5, []),
    "hello --net rnn --epochs 200": (["hello_rnn"], 2e-5, []),
    "hello --net embedding --epochs 100": (["hello_embedding"], 2e-5, []),
    "names --bidirectional --epochs 1": (["names_bidirectional"], 1e-5, []),
}


# each beside one of its kind that takes less time
LONG = [
    "breast_cancer --epochs 200",
    "digits_nets --net cnn1 --epochs 1",
    "digits_nets --net cnn2 --epochs 1",
    "digits_nets --net inception --epochs 1",
    "hello --net rnn --epochs 200",
]


@pytest.mark.parametrize("command", [*(c for c in PROGRAMS if c not in LONG), *more(LONG)])
def test_curves_are_torchs(command, tmp_path):
    folders, bound, pictures = PROGRAMS[command]
    run(*command.split(), "--torch", "--out", tmp_path)
    for name in folders:
        result = numbers(tmp_path / name)
        assert result["same_start"]
        assert result["difference"] < bound
        ours, theirs = (np.load(tmp_path / name / f"{file}.npy") for file in ("losses", "losses_torch"))
        assert len(ours) == len(theirs) == result["steps"]
        assert result["difference"] == relative_differences(ours, theirs).max()
        assert len(set(result["accuracy"])) <= 1  # equal
        for picture in ("losses.png", *pictures):
            assert (tmp_path / name / picture).read_bytes().startswith(b"\x89PNG")


def test_hello_is_answered(tmp_path):
    run("hello", "--out", tmp_path)
    assert (tmp_path / "hello_cell" / "said.txt").read_text() == "ohlol\n"


def test_torch_is_imported_only_if_asked_for(tmp_path):
    """A program whose process cannot import torch runs, and fails only with `--torch`."""
    code = "import sys; sys.modules['torch'] = None; from examples.quadratic import main; main()"
    plain = [sys.executable, "-c", code, "--epochs", "2", "--out", str(tmp_path)]
    options = {"cwd": ROOT, "env": environment(), "capture_output": True, "text": True}
    process = subprocess.run(plain, **options)
    assert process.returncode == 0, process.stderr
    assert "import of torch halted" in subprocess.run([*plain, "--torch"], **options).stderr


def test_sharpen(tmp_path):
    printed = run("sharpen", "--torch", "--out", tmp_path)
    assert "(1, 3, 427, 640) to (1, 1, 425, 638)" in printed
    assert float(printed.rsplit(maxsplit=1)[1]) < 1e-6
    assert (tmp_path / "sharp.png").stat().st_size > 10_000


def test_softmax_losses():
    rows = [line.split("│") for line in run("softmax_losses", "--torch").splitlines() if line.startswith("│")]
    assert len(rows) == 4
    assert {cell.strip() for row in rows for cell in row[2:4]} == {"1.2404300"}


def idx(array):
    """The bytes of an IDX file."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()


def test_mnist_files(tmp_path):
    """MNIST's files, one of them gzipped, are read, normalised, and trained on."""
    rng = np.random.default_rng(0)
    for part, n in (("train", 130), ("t10k", 60)):
        pictures = rng.integers(0, 256, (n, 28, 28))
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(pictures))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(rng.integers(0, 10, n))))
    data = digits(tmp_path)
    assert [array.shape for array in (*data.train, *data.test)] == [(130, 1, 28, 28), (130,), (60, 1, 28, 28), (60,)]
    np.testing.assert_allclose(data.test[0][:, 0], (pictures / 255 - 0.1307) / 0.3081, rtol=1e-5, atol=1e-6)
    run("digits_nets", "--net", "mlp", "--epochs", 1, "--data", tmp_path, "--out", tmp_path / "out")
    assert numbers(tmp_path / "out" / "digits_mlp")["steps"] == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04", r"expected an IDX file, which begins with two zero bytes, got b'PK\\x03\\x04'"),
        (b"\0\0\x0d\x01\0\0\0\x01", r"expected unsigned bytes \(code 8\), got code 13"),
        (b"\0\0\x08\x03\0\0", r"expected the sizes of 3 axes, but the file ends after 6 bytes"),
        (b"\0\0\x08\x01\0\0\0\x05abc", r"expected 5 bytes for shape \(5,\), got 3"),
        (b"\x1f\x8b\x08", "damaged gzip file"),
    ],
)
def test_damaged_idx_files_are_refused(content, message, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_idx(tmp_path / "file")


def test_missing_idx_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"neither train-images-idx3-ubyte nor train-images-idx3-ubyte\.gz"):
        digits(tmp_path)


def test_names_that_are_no_names(tmp_path):
    (tmp_path / "names.csv").write_text("Smith,England\nÅberg,Sweden\n")
    with pytest.raises(ValueError, match=r"row 2: expected an ASCII name and a country, got \['Åberg', 'Sweden'\]"):
        read_names(tmp_path / "names.csv")
