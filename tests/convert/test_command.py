"""`jaxnets port`: what it writes, what it prints, and how it refuses."""

import json
import subprocess
import sys

import pytest
import torch
from typer.testing import CliRunner

import jaxnets
from jaxnets.cli import app
from jaxnets.convert.command import UsageError, made, random_input


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A module of the user's, in the current folder."""
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self, width=4):\n"
        "        super().__init__()\n"
        "        self.first = torch.nn.Linear(3, width)\n"
        "        self.last = torch.nn.Linear(width, 2)\n"
        "    def forward(self, x):\n"
        "        return self.last(torch.relu(self.first(x)))\n"
    )
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("mine", None)


def run(*arguments):
    return CliRunner().invoke(app, ["port", *map(str, arguments)])


def test_port_writes_a_folder_that_works_by_itself(package):
    torch.manual_seed(7)
    net = made("mine:Net", ["width=5"])
    torch.save({"state_dict": net.state_dict()}, "net.pt")
    result = run("mine:Net", "--input", "2x3", "--set", "width=5", "--checkpoint", "net.pt", "--out", "out")
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.output.splitlines()[1:4]] == ["first", "last", "(all)"]
    assert sorted(p.name for p in (package / "out").iterdir()) == [
        "README.md",
        "model.py",
        "parity.json",
        "weights.safetensors",
    ]
    told = json.loads((package / "out" / "parity.json").read_text())
    assert told["ok"]
    assert told["difference"] < 1e-6
    assert [x["name"] for x in told["layers"]] == ["first", "last", ""]
    assert (jaxnets.load("out/weights.safetensors")["last.bias"] == net.last.bias.detach().numpy()).all()
    code = (package / "out" / "README.md").read_text().split("```python\n")[1].split("```")[0]
    x = torch.randn(3, 3)
    torch.save(x, package / "out" / "x.pt")
    code += "\nimport sys\nprint(model(jaxnets.load('x.pt'))[0].tolist(), 'torch' in sys.modules)\n"
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=package / "out", stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    *numbers, torch_there = printed.replace("[", "").replace("]", ",").replace(",", " ").split()
    assert torch_there == "False"
    assert [float(n) for n in numbers] == pytest.approx(net(x)[0].tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mine", "--input", "2x3"], "factory: expected PACKAGE.MODULE:FACTORY"),
        (["nowhere:Net", "--input", "2x3"], "factory: 'nowhere:Net' cannot be imported"),
        (["mine:torch", "--input", "2x3"], "factory: "),
        (["mine:Net", "--input", "2,3"], "--input: expected a shape such as 1x3x224x224"),
        (["mine:Net", "--input", "2x3:float33"], "--input: expected a dtype of torch's"),
        (["mine:Net", "--input", "2x3", "--set", "width"], "--set: expected NAME=VALUE"),
        (["mine:Net", "--input", "2x3", "--checkpoint", "missing.pt"], "missing.pt"),
    ],
)
def test_refusals_are_one_line(package, arguments, message):
    result = run(*arguments, "--out", "out")
    assert result.exit_code == 2
    assert message in result.output
    assert not (package / "out").exists()


def test_a_checkpoint_of_another_module_is_refused(package):
    torch.save(torch.nn.Linear(1, 1).state_dict(), "other.pt")
    result = run("mine:Net", "--input", "2x3", "--checkpoint", "other.pt", "--out", "out")
    assert result.exit_code == 2
    assert "does not fit the module" in result.output


def test_inputs():
    name, ids = random_input("input_ids=2x7:int64<5", 0)
    assert (name, ids.shape, ids.dtype, int(ids.max()) < 5) == ("input_ids", (2, 7), torch.int64, True)
    assert random_input("scalar", 0)[1].shape == ()
    assert random_input("3:bool", 0)[1].dtype == torch.bool
    with pytest.raises(UsageError, match="--input"):
        random_input("3x", 0)
