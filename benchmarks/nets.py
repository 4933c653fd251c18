"""The torch models that are measured beside torchvision's."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["ALONE", "NETS", "torch_model"]


class Tagger(nn.Module):
    """A bidirectional LSTM over words, and a label for each."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5000, 128)
        self.lstm = nn.LSTM(128, 128, batch_first=True, bidirectional=True)
        self.out = nn.Linear(256, 20)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.out(self.lstm(self.embed(tokens))[0])


def double(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Two steps down, two steps up by transposed convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.down1, self.down2 = double(3, 32), double(32, 64), double(64, 128)
        self.pool = nn.MaxPool2d(2)
        self.up1, self.up2 = nn.ConvTranspose2d(128, 64, 2, stride=2), nn.ConvTranspose2d(64, 32, 2, stride=2)
        self.conv1, self.conv2 = double(128, 64), double(64, 32)
        self.out = nn.Conv2d(32, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x1 = self.first(x)
        x2 = self.down1(self.pool(x1))
        x = self.up1(self.down2(self.pool(x2)))
        x = self.up2(self.conv1(torch.cat([x2, x], 1)))
        return self.out(self.conv2(torch.cat([x1, x], 1)))


def generator() -> nn.Sequential:
    """DCGAN's: 100 numbers to a picture of 64 x 64."""
    layers: list[nn.Module] = [nn.ConvTranspose2d(100, 512, 4, 1, 0, bias=False), nn.BatchNorm2d(512), nn.ReLU()]
    for channels in (256, 128, 64):
        layers += [nn.ConvTranspose2d(2 * channels, channels, 4, 2, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh())


class Block(nn.Module):
    """One block of GPT-2: causal attention and a network of two layers, each beside the input."""

    def __init__(self, size: int = 512, heads: int = 8) -> None:
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(size), nn.LayerNorm(size)
        self.c_attn, self.c_proj = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.mlp = nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(approximate="tanh"), nn.Linear(4 * size, size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, c = x.shape
        q, k, v = (
            y.view(n, t, self.heads, c // self.heads).transpose(1, 2) for y in self.c_attn(self.ln_1(x)).split(c, 2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(y.transpose(1, 2).reshape(n, t, c))
        return x + self.mlp(self.ln_2(x))


NETS: dict[str, tuple[Any, Any]] = {
    "LSTM tagger, 16 x 64 words": (Tagger, lambda g: torch.randint(5000, (16, 64), generator=g)),
    "U-Net, 4 x 96 x 96": (UNet, lambda g: torch.randn(4, 3, 96, 96, generator=g)),
    "DCGAN generator, 16": (generator, lambda g: torch.randn(16, 100, 1, 1, generator=g)),
    "GPT block, 4 x 256 x 512": (Block, lambda g: torch.randn(4, 256, 512, generator=g)),
}
"""What makes the model, and its input."""

BATCH = 4
ALONE = ", one image"
"""At the end of a name of torchvision's: a batch of one."""


def torch_model(name: str) -> tuple[nn.Module, torch.Tensor]:
    """A model of these or of torchvision's with random weights and nothing dropped, and its input."""
    from examples import vision

    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    if name in NETS:
        make, draw = NETS[name]
        model, x = vision.filled(make()), draw(generator)
    else:
        batch = 1 if name.endswith(ALONE) else BATCH
        name = name.removesuffix(ALONE)
        size = max(224, vision.side(name))
        model, x = vision.prepared(name), torch.randn(batch, 3, size, size, generator=generator)
    for module in model.modules():
        if type(module).__name__ in ("Dropout", "StochasticDepth"):
            module.p = 0.0
    return model.eval(), x
