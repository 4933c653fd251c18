"""`torch.nn.functional`, function for function: pure functions of arrays with torch's names, arguments, numbers."""

from jaxnets.functional.activation import log_softmax, relu, sigmoid, softmax, tanh
from jaxnets.functional.batchnorm import batch_norm, batch_norm_with_statistics
from jaxnets.functional.conv import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d
from jaxnets.functional.dropout import dropout, dropout1d, dropout2d, dropout3d
from jaxnets.functional.flatten import flatten
from jaxnets.functional.linear import bilinear, linear
from jaxnets.functional.loss import binary_cross_entropy, cross_entropy, mse_loss, nll_loss
from jaxnets.functional.padding import pad
from jaxnets.functional.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    max_pool1d,
    max_pool1d_with_indices,
    max_pool2d,
    max_pool2d_with_indices,
    max_pool3d,
    max_pool3d_with_indices,
)
from jaxnets.functional.rnn import gru, gru_cell, lstm, lstm_cell, rnn_relu, rnn_relu_cell, rnn_tanh, rnn_tanh_cell
from jaxnets.functional.sparse import embedding, renormalised

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "batch_norm_with_statistics",
    "bilinear",
    "binary_cross_entropy",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "embedding",
    "flatten",
    "gru",
    "gru_cell",
    "linear",
    "log_softmax",
    "lstm",
    "lstm_cell",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
    "mse_loss",
    "nll_loss",
    "pad",
    "relu",
    "renormalised",
    "rnn_relu",
    "rnn_relu_cell",
    "rnn_tanh",
    "rnn_tanh_cell",
    "sigmoid",
    "softmax",
    "tanh",
]
