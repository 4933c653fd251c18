"""`torch.nn`, layer for layer, as Flax NNX modules: torch's names, arguments, layouts and numbers."""

from jaxnets.nn import init, utils
from jaxnets.nn.activation import LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from jaxnets.nn.batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from jaxnets.nn.container import ModuleDict, ModuleList, Sequential
from jaxnets.nn.conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from jaxnets.nn.dropout import Dropout, Dropout1d, Dropout2d, Dropout3d
from jaxnets.nn.flatten import Flatten
from jaxnets.nn.linear import Bilinear, Identity, Linear
from jaxnets.nn.loss import BCELoss, CrossEntropyLoss, MSELoss, NLLLoss
from jaxnets.nn.pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
)
from jaxnets.nn.rnn import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNBase, RNNCell, RNNCellBase
from jaxnets.nn.sparse import Embedding

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "BCELoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Bilinear",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "CrossEntropyLoss",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "Embedding",
    "Flatten",
    "GRUCell",
    "Identity",
    "LSTMCell",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "ModuleDict",
    "ModuleList",
    "NLLLoss",
    "RNNBase",
    "RNNCell",
    "RNNCellBase",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "init",
    "utils",
]
