"""The nets in torch. Read them beside `in_jax.py`."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn


class MLP(nn.Module):
    """Fully connected."""

    def __init__(self):
        super().__init__()
        sizes = (784, 512, 256, 128, 64, 10)
        self.layers = nn.ModuleList([nn.Linear(a, b) for a, b in pairwise(sizes)])

    def forward(self, x):
        x = x.reshape(-1, 784)
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class CNN1(nn.Module):
    """Three small convolutions."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, 3)
        self.conv2 = nn.Conv2d(10, 20, 3)
        self.conv3 = nn.Conv2d(20, 30, 3)
        self.fc = nn.Linear(30, 10)

    def forward(self, x):
        for conv in (self.conv1, self.conv2, self.conv3):
            x = F.relu(F.max_pool2d(conv(x), 2))
        return self.fc(x.reshape(len(x), -1))


class CNN2(nn.Module):
    """Larger convolutions and more layers behind them."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, 5)
        self.conv2 = nn.Conv2d(10, 20, 5)
        self.conv3 = nn.Conv2d(20, 30, 3)
        self.fc1 = nn.Linear(30, 20)
        self.fc2 = nn.Linear(20, 15)
        self.fc3 = nn.Linear(15, 10)

    def forward(self, x):
        for conv in (self.conv1, self.conv2, self.conv3):
            x = F.relu(F.max_pool2d(conv(x), 2))
        x = x.reshape(len(x), -1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class Inception(nn.Module):
    """GoogLeNet's block: four branches that keep height and width, their 88 channels side by side."""

    def __init__(self, channels: int):
        super().__init__()
        self.branch_pool = nn.Conv2d(channels, 24, 1)
        self.branch1x1 = nn.Conv2d(channels, 16, 1)
        self.branch5x5_1 = nn.Conv2d(channels, 16, 1)
        self.branch5x5_2 = nn.Conv2d(16, 24, 5, padding=2)
        self.branch3x3_1 = nn.Conv2d(channels, 16, 1)
        self.branch3x3_2 = nn.Conv2d(16, 24, 3, padding=1)
        self.branch3x3_3 = nn.Conv2d(24, 24, 3, padding=1)

    def forward(self, x):
        branches = [
            self.branch_pool(F.avg_pool2d(x, 3, stride=1, padding=1)),
            self.branch1x1(x),
            self.branch5x5_2(self.branch5x5_1(x)),
            self.branch3x3_3(self.branch3x3_2(self.branch3x3_1(x))),
        ]
        return torch.cat(branches, dim=1)


class InceptionNet(nn.Module):
    """Two convolutions, an Inception block behind each."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, 5)
        self.inception1 = Inception(10)
        self.conv2 = nn.Conv2d(88, 20, 5)
        self.inception2 = Inception(20)
        self.fc = nn.Linear(1408, 10)

    def forward(self, x):
        x = self.inception1(F.relu(F.max_pool2d(self.conv1(x), 2)))
        x = self.inception2(F.relu(F.max_pool2d(self.conv2(x), 2)))
        return self.fc(x.reshape(len(x), -1))


class Residual(nn.Module):
    """`relu(F(x) + x)`, normalised over the batch; shapes stay."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x):
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + x)


class ResidualNet(nn.Module):
    """Two convolutions, a residual block behind each."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 5)
        self.residual1 = Residual(16)
        self.conv2 = nn.Conv2d(16, 32, 5)
        self.residual2 = Residual(32)
        self.fc = nn.Linear(512, 10)

    def forward(self, x):
        x = self.residual1(F.max_pool2d(F.relu(self.conv1(x)), 2))
        x = self.residual2(F.max_pool2d(F.relu(self.conv2(x)), 2))
        return self.fc(x.reshape(len(x), -1))


NETS = {"mlp": MLP, "cnn1": CNN1, "cnn2": CNN2, "inception": InceptionNet, "residual": ResidualNet}
