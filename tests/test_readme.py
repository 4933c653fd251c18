"""What README.md says is run, and what it counts is counted."""

import re
from pathlib import Path

import torch

from jaxnets import optim
from parity.coverage import EXCLUDED, classes, functions

README = (Path(__file__).parents[1] / "README.md").read_text()


class TorchNet(torch.nn.Module):
    """The README's `Net` in torch."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3, stride=2, padding=1, groups=1)
        self.rnn = torch.nn.LSTM(8, 16, num_layers=2, bidirectional=True, batch_first=True)

    def forward(self, x):
        x = torch.relu(self.conv(x)).mean(dim=3).swapaxes(1, 2)
        return self.rnn(x)


def test_code_blocks_run(tmp_path, monkeypatch):
    """All Python blocks, in order, in one namespace, beside the files and the torch model that they speak of."""
    monkeypatch.chdir(tmp_path)
    model = TorchNet()
    example = torch.randn(2, 3, 9, 7)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    model(example)[0].sum().backward()
    optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}, "checkpoint.pt")
    torch.save(model.state_dict(), "net.pt")
    batches = [(example, torch.randn_like(model(example)[0]))] * 3
    names = {"torch": torch, "torch_model": model, "x": example, "example": example, "batches": batches}
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        exec(block, names)
    assert names["report"].ok, str(names["report"])
    returned = torch.load("back.pt", weights_only=True)
    assert all(torch.equal(x, returned[name]) for name, x in model.state_dict().items())


def test_counts_are_true():
    text = " ".join(README.split())
    here = [name for name in functions() if f"functional.{name}" not in EXCLUDED]
    assert f"all {len(classes())} public classes of `torch.nn`" in text
    optimizers = [name for name in optim.__all__ if name[0].isupper()]
    schedulers = set(optim.lr_scheduler.__all__) & set(torch.optim.lr_scheduler.__all__) - {"LRScheduler"}
    assert f"the {len(optimizers)} optimizers of `torch.optim`, `optim.lr_scheduler`: its {len(schedulers)}" in text
    assert f"{len(here)} of the {len(functions())} functions of `torch.nn.functional`" in text
