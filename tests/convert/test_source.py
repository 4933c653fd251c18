"""Calls as a person would write them."""

import ast

import ml_dtypes
import numpy as np
import pytest
import torch

from jaxnets.convert.errors import ConversionError
from jaxnets.convert.layers.calls import Array, Build, Function, defaults
from jaxnets.convert.layers.source import expression
from jaxnets.convert.layers.stock import build

T = torch.nn
INF = float("inf")


def written(module):
    return ast.unparse(expression(module if isinstance(module, Build) else build(module)))


WRITTEN = {
    "nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False, rngs=rngs)": lambda: T.Conv2d(3, 64, 7, 2, 3, bias=False),
    "nn.Conv2d(3, 4, (3, 5), padding='same', rngs=rngs)": lambda: T.Conv2d(3, 4, (3, 5), padding="same"),
    "nn.BatchNorm2d(64)": lambda: T.BatchNorm2d(64),
    "nn.BatchNorm1d(4, eps=0.001, momentum=None)": lambda: T.BatchNorm1d(4, 1e-3, None),
    "nn.MaxPool2d(3, stride=2, padding=1)": lambda: T.MaxPool2d(3, 2, 1),
    "nn.AvgPool2d((2, 3))": lambda: T.AvgPool2d((2, 3), (2, 3)),
    "nn.AdaptiveAvgPool2d(1)": lambda: T.AdaptiveAvgPool2d((1, 1)),
    "nn.AdaptiveAvgPool2d((None, 7))": lambda: T.AdaptiveAvgPool2d((None, 7)),
    "nn.LayerNorm(16)": lambda: T.LayerNorm(16),
    "nn.LayerNorm((4, 4), bias=False)": lambda: T.LayerNorm((4, 4), bias=False),
    "nn.AdaptiveLogSoftmaxWithLoss(8, 20, (4,), div_value=2.0, rngs=rngs)": lambda: T.AdaptiveLogSoftmaxWithLoss(
        8, 20, [4], div_value=2.0
    ),
    "nn.Unflatten(1, (2, 2))": lambda: T.Unflatten(1, (2, 2)),
    "nn.Upsample(size=(4, 4))": lambda: T.Upsample((4, 4)),
    "nn.Upsample(scale_factor=2, mode='bilinear')": lambda: T.Upsample(scale_factor=2, mode="bilinear"),
    "nn.Upsample(scale_factor=(1.5, 2))": lambda: T.Upsample(scale_factor=(1.5, 2)),
    "nn.Dropout(p=0.0, rngs=rngs)": lambda: T.Dropout(0.0),
    "nn.ReLU(inplace=True)": lambda: T.ReLU(inplace=True),
    "nn.PReLU()": lambda: T.PReLU(),
    "nn.RReLU(rngs=rngs)": lambda: T.RReLU(),
    "nn.Identity()": lambda: T.Identity(3, name="x"),
    "nn.Softmax(dim=-1)": lambda: T.Softmax(-1),
    "nn.Threshold(0.1, -20.0)": lambda: T.Threshold(0.1, -20.0),
    "nn.PairwiseDistance(p=float('inf'))": lambda: T.PairwiseDistance(INF),
    "nn.ConstantPad1d((1, 2), float('-inf'))": lambda: T.ConstantPad1d((1, 2), -INF),
    "nn.Linear(2, 3, dtype=jnp.bfloat16, rngs=rngs)": lambda: T.Linear(2, 3, dtype=torch.bfloat16),
    "nn.Linear(2, 3, dtype=jnp.float64, rngs=rngs)": lambda: T.Linear(2, 3, dtype=torch.float64),
    "nn.CrossEntropyLoss(weight=jnp.array([1.0, 0.1]))": lambda: T.CrossEntropyLoss(torch.tensor([1.0, 0.1])),
    "nn.CrossEntropyLoss(weight=jnp.zeros(17))": lambda: T.CrossEntropyLoss(torch.ones(17)),
    "nn.BCELoss(weight=jnp.zeros((3, 6), jnp.float64))": lambda: T.BCELoss(torch.ones(3, 6).double()),
    "nn.BCEWithLogitsLoss(pos_weight=jnp.array(0.100098, jnp.bfloat16))": lambda: T.BCEWithLogitsLoss(
        pos_weight=torch.tensor(0.1).bfloat16()
    ),
    "nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, activation=F.gelu, batch_first=True, "
    "rngs=rngs), 2, norm=nn.LayerNorm(8))": lambda: T.TransformerEncoder(
        T.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True), 2, T.LayerNorm(8)
    ),
    "nn.LinearCrossEntropyLoss(3, 4, options=nn.LinearCrossEntropyOptions(acc_dtype=jnp.float32), rngs=rngs)": lambda: (
        T.LinearCrossEntropyLoss(3, 4, options=T.LinearCrossEntropyOptions(acc_dtype=torch.float32))
    ),
    "nn.LazyConv2d(4, 3, rngs=rngs)": lambda: T.LazyConv2d(4, 3),
    "nn.LazyBatchNorm2d()": lambda: T.LazyBatchNorm2d(),
}


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
@pytest.mark.parametrize("source", WRITTEN)
def test_written(source):
    assert written(WRITTEN[source]()) == source


def test_values_of_every_kind():
    args = {"module": [1, (2,)], "name": {"a": -1.5, "b": Function("relu")}, "dim": float("nan")}
    expected = "nn.utils.weight_norm([1, (2,)], name={'a': -1.5, 'b': F.relu}, dim=float('nan'))"
    assert written(Build("utils.weight_norm", args)) == expected


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[True, False]]), "jnp.array([[True, False]])"),
        (np.array([1, 2]), "jnp.array([1, 2])"),
        (np.array([1, 2], np.int8), "jnp.array([1, 2], jnp.int8)"),
        (np.array([np.inf, -0.0], np.float32), "jnp.array([float('inf'), -0.0])"),
        (np.array([1 + 2j], np.complex64), "jnp.array([1 + 2j], jnp.complex64)"),
        (np.array([1 / 3], np.float16), "jnp.array([0.3333], jnp.float16)"),
        (np.array([1 / 3], ml_dtypes.bfloat16), "jnp.array([0.333984], jnp.bfloat16)"),
    ],
)
def test_arrays(array, expected):
    assert (
        written(Build("NLLLoss", {**defaults("NLLLoss"), "weight": Array(array)})) == f"nn.NLLLoss(weight={expected})"
    )


def test_a_large_array_that_no_checkpoint_fills():
    with pytest.raises(
        ConversionError, match=r"^Embedding: _weight: expected at most 16 numbers, .* \(3, 6\); make it"
    ):
        expression(Build("Embedding", {"num_embeddings": 3, "embedding_dim": 6, "_weight": Array(np.ones((3, 6)))}))
