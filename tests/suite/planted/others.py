"""Embedding, losses, activations, dropout, state."""

import importlib

import jax.numpy as jnp
from flax import nnx

from jaxnets import functional
from jaxnets.functional import loss, sparse
from parity import Case, integers, normal, rounded, uniform
from planted import plant

# The package gives the function of that name, not its module.
dropout = importlib.import_module("jaxnets.functional.dropout")


@plant([Case("Embedding", (6, 5), {"padding_idx": 2}, inputs=(integers(4, 7, high=6),))], {"parameter gradient"})
def padding_row_gets_gradient(patch):
    true = sparse.embedding

    def wrong(input, weight, padding_idx=None, *args, **kwargs):
        return true(input, weight, None, *args, **kwargs)

    patch.setattr(functional, "embedding", wrong)


@plant(
    [Case("CrossEntropyLoss", (uniform(5, low=0.2),), inputs=(normal(7, 5), integers(7, high=5)))],
    {"forward", "input gradient"},
)
def cross_entropy_divides_by_the_number(patch):
    """The mean over targets, where torch takes the mean over their weights."""
    true = loss.reduced
    patch.setattr(loss, "reduced", lambda value, weights, *rest: true(value, None, *rest))


@plant(["softmax/Softmax*"], {"forward", "input gradient"})
def softmax_over_another_axis(patch):
    true = functional.softmax
    patch.setattr(functional, "softmax", lambda input, dim, *rest, **named: true(input, dim - 1, *rest, **named))


@plant([Case("ReLU", inputs=(rounded(40),))], {"input gradient"})
def relu_half_a_gradient_at_zero(patch):
    patch.setattr(functional, "relu", lambda input, inplace=False: jnp.maximum(input, 0))


@plant(["dropout/Dropout(0.2)*"], {"draws"})
def dropout_not_scaled(patch):
    true = dropout._dropout

    def wrong(input, shape, p, training, key):
        return true(input, shape, p, training, key) * (1 - p * training)

    patch.setattr(dropout, "_dropout", wrong)


@plant(["dropout/Dropout2d(0.3)*"], {"draws"})
def dropout_of_elements_not_channels(patch):
    """Every mean is right; that neighbours live and die together is not."""
    true = dropout._dropout
    patch.setattr(
        dropout, "_dropout", lambda input, shape, p, training, key: true(input, input.shape, p, training, key)
    )


@plant(["linear/Linear(5, 3)*"], {"state"})
def weight_stored_transposed(patch):
    from jaxnets.nn import linear

    true = linear.Linear.__init__

    def wrong(self, in_features, out_features, *args, **kwargs):
        true(self, in_features, out_features, *args, **kwargs)
        self.weight = nnx.Param(self.weight[...].T)

    patch.setattr(linear.Linear, "__init__", wrong)
