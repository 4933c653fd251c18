"""The command line over checkpoints: what it prints, and its exit status."""

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import jaxnets
from jaxnets.cli import app


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def file(tmp_path):
    layer = torch.nn.Linear(3, 2)
    torch.save({"model": layer.state_dict(), "epoch": 7, "losses": [0.5, 0.25]}, tmp_path / "a.pt")
    return tmp_path / "a.pt"


def test_inspect_lists_names_dtypes_shapes(file):
    result = run("inspect", file)
    assert result.exit_code == 0
    rows = [line.split() for line in result.output.splitlines()]
    assert ["model.weight", "float32", "(2,", "3)", "24"] in rows
    assert ["epoch", "int", "7"] in rows
    assert ["losses.1", "float", "0.25"] in rows
    assert "2 arrays, 8 numbers, 32 bytes" in result.output


def test_convert_and_diff(file, tmp_path):
    jaxnets.save(jaxnets.load(file)["model"], tmp_path / "model.pt")
    assert run("convert", tmp_path / "model.pt", tmp_path / "model.safetensors").exit_code == 0
    result = run("diff", tmp_path / "model.pt", tmp_path / "model.safetensors")
    assert (result.exit_code, result.output) == (0, "2 entries, all equal\n")


def test_diff_says_what_differs(tmp_path):
    one = {"a": np.array([1.0, 2.0, np.nan]), "b": np.ones(2), "c": np.ones(2), "d": np.ones(1), "e": 3, "nan": np.nan}
    two = {"a": np.array([1.0, 2.5, np.nan]), "b": np.ones(3), "c": np.ones(2, "f4"), "f": np.ones(1), "e": 4}
    two["nan"] = np.nan
    for name, state in (("one", one), ("two", two)):
        jaxnets.save(dict(state.items()), tmp_path / f"{name}.pt")
    result = run("diff", tmp_path / "one.pt", tmp_path / "two.pt")
    assert result.exit_code == 1
    for text in (
        "1 of 3 elements, greatest 0.5 at (1,)",
        "shape (2,) and (3,)",
        "dtype float64 and float32",
        "only in the first",
        "only in the second",
        "3 and 4",
        "6 of 7 entries differ",
    ):
        assert text in result.output
    assert "nan " not in result.output
    assert "a " not in run("diff", tmp_path / "one.pt", tmp_path / "two.pt", "--atol", "0.6").output.split("b ")[0]


@pytest.mark.parametrize("command", ["inspect", "convert", "diff"])
def test_a_bad_file_is_one_line(command, tmp_path):
    bad = tmp_path / "bad.pt"
    bad.write_bytes(b"PK\x03\x04 this is no archive")
    result = run(command, bad, *([tmp_path / "out.pt"] if command != "inspect" else []))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"jaxnets: {bad}")
    assert len(result.stderr.splitlines()) == 1


def test_what_safetensors_cannot_hold_is_refused(file, tmp_path):
    result = run("convert", file, tmp_path / "out.safetensors")
    assert result.exit_code == 2
    assert "model" in result.stderr
    assert not (tmp_path / "out.safetensors").exists()
