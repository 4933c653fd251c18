"""Normalised weights, in torch's old form and in the new one."""

import ast
import warnings

import jax
import numpy as np
import pytest
import torch
from flax import nnx

import jaxnets
from jaxnets import nn
from jaxnets.convert.layers.source import expression
from jaxnets.convert.layers.stock import build, is_stock
from parity import trees

T = torch.nn
old, new = T.utils, T.utils.parametrizations


def lstm(module):
    for name in ("weight_hh_l0", "weight_ih_l0"):
        old.weight_norm(module, name)
    return module


CASES = {
    "nn.utils.weight_norm(nn.Conv1d(3, 4, 3, rngs=rngs))": lambda: old.weight_norm(T.Conv1d(3, 4, 3)),
    "nn.utils.weight_norm(nn.Linear(3, 4, rngs=rngs), dim=None)": lambda: old.weight_norm(T.Linear(3, 4), dim=None),
    "nn.utils.weight_norm(nn.Linear(3, 4, bias=False, rngs=rngs), dim=1)": lambda: old.weight_norm(
        T.Linear(3, 4, bias=False), dim=1
    ),
    "nn.utils.weight_norm(nn.utils.weight_norm(nn.LSTM(3, 4, rngs=rngs), name='weight_hh_l0'), "
    "name='weight_ih_l0')": lambda: lstm(T.LSTM(3, 4)),
    "nn.utils.spectral_norm(nn.Conv2d(3, 4, 3, rngs=rngs), n_power_iterations=2, eps=0.001, rngs=rngs)": lambda: (
        old.spectral_norm(T.Conv2d(3, 4, 3), n_power_iterations=2, eps=1e-3)
    ),
    "nn.utils.spectral_norm(nn.ConvTranspose2d(3, 4, 3, rngs=rngs), rngs=rngs)": lambda: old.spectral_norm(
        T.ConvTranspose2d(3, 4, 3)
    ),
    "nn.utils.spectral_norm(nn.ConvTranspose2d(3, 4, 3, rngs=rngs), dim=0, rngs=rngs)": lambda: old.spectral_norm(
        T.ConvTranspose2d(3, 4, 3), dim=0
    ),
    "nn.utils.parametrizations.weight_norm(nn.Conv1d(3, 4, 3, rngs=rngs), dim=None)": lambda: new.weight_norm(
        T.Conv1d(3, 4, 3), dim=None
    ),
    "nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4, rngs=rngs), n_power_iterations=3, dim=1, "
    "rngs=rngs)": lambda: new.spectral_norm(T.Linear(3, 4), n_power_iterations=3, dim=1),
    "nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4, rngs=rngs), name='bias', rngs=rngs)": lambda: (
        new.spectral_norm(T.Linear(3, 4), "bias")
    ),
    "nn.utils.parametrizations.orthogonal(nn.Linear(3, 4, rngs=rngs), rngs=rngs)": lambda: new.orthogonal(
        T.Linear(3, 4)
    ),
    "nn.utils.parametrizations.orthogonal(nn.Linear(3, 3, rngs=rngs), orthogonal_map='cayley', "
    "use_trivialization=False, rngs=rngs)": lambda: new.orthogonal(
        T.Linear(3, 3), orthogonal_map="cayley", use_trivialization=False
    ),
    "nn.utils.parametrizations.spectral_norm(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4, rngs=rngs)), "
    "rngs=rngs)": lambda: new.spectral_norm(new.weight_norm(T.Linear(3, 4))),
    "nn.utils.parametrizations.spectral_norm(nn.utils.weight_norm(nn.Linear(3, 4, rngs=rngs)), name='bias', "
    "rngs=rngs)": lambda: new.spectral_norm(old.weight_norm(T.Linear(3, 4)), "bias"),
    "nn.utils.parametrizations.orthogonal(nn.Embedding(5, 3, padding_idx=1, rngs=rngs), rngs=rngs)": lambda: (
        new.orthogonal(T.Embedding(5, 3, padding_idx=1))
    ),
}

INPUTS = {
    "Conv1d": (2, 3, 7),
    "Conv2d": (2, 3, 7, 6),
    "ConvTranspose2d": (2, 3, 4, 5),
    "LSTM": (5, 2, 3),
    "Linear": (5, 3),
}


@pytest.mark.parametrize("source", CASES)
def test_wrapped_layers_are_built_again(source):
    """Names in torch's order, shapes, and the output in evaluation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(0)
        theirs = CASES[source]().eval()
    assert is_stock(theirs)
    found = expression(build(theirs))
    assert ast.unparse(found) == source
    ours = nnx.eval_shape(lambda: eval(source, {"nn": nn, "rngs": nnx.Rngs(0)}))
    keys = [(name, tuple(x.shape)) for name, x in theirs.state_dict().items()]
    assert [(name, x.shape) for name, x in jaxnets.state_dict(ours).items()] == keys
    jaxnets.load_state_dict(ours, theirs.state_dict())
    ours.eval()
    shape = next((shape for name, shape in INPUTS.items() if f"nn.{name}(" in source), None)
    x = torch.randn(shape) if shape else torch.tensor([[0, 1], [4, 2]])
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)  # noqa: E731
    jax.tree.map(close, ours(trees.jax_tree(x)), trees.jax_tree(theirs(x)))


class Symmetric(T.Module):
    def forward(self, x):
        return x + x.T


def test_other_parametrizations_are_not_stock():
    layer = T.utils.parametrize.register_parametrization(T.Linear(3, 3), "weight", Symmetric())
    assert not is_stock(layer)
    T.utils.parametrize.remove_parametrizations(layer, "weight")
    assert is_stock(layer)
    new.weight_norm(layer)
    assert is_stock(layer)
    layer.parametrizations.weight[0].register_forward_hook(lambda *args: None)
    assert not is_stock(layer)


def test_a_hook_without_its_parts_is_not_stock():
    with pytest.warns(FutureWarning, match="weight_norm"):
        layer = old.weight_norm(T.Linear(3, 4))
    del layer.weight_g
    assert not is_stock(layer)
