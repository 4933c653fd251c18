"""Equinox's layers, mapped over the batch, with torch's weights."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import jaxnets
from benchmarks.frameworks.jaxnets import known
from benchmarks.frameworks.jit import NoSuchLayerError, Pure
from benchmarks.rows import Row, inputs

__all__ = ["pure"]

KEY = jax.random.key(0)
Made = tuple[Any, dict[str, Any]]


def _conv(n: int) -> Callable[[Any, dict[str, Any]], Made]:
    def make(m: Any, p: dict[str, Any]) -> Made:
        layer = eqx.nn.Conv(
            n, m.in_channels, m.out_channels, m.kernel_size, m.stride, m.padding, m.dilation, m.groups,
            use_bias="bias" in p, key=KEY,
        )  # fmt: skip
        values = {"weight": p["weight"]}
        return layer, values | ({"bias": p["bias"].reshape(-1, *(1,) * n)} if "bias" in p else {})

    return make


def _conv_transpose(m: Any, p: dict[str, Any]) -> Made:
    layer = eqx.nn.ConvTranspose2d(
        m.in_channels, m.out_channels, m.kernel_size, m.stride, padding=m.padding, groups=m.groups,
        use_bias=False, key=KEY,
    )  # fmt: skip
    c_in, c_out, *kernel = p["weight"].shape
    groups = jnp.flip(p["weight"], (2, 3)).reshape(m.groups, c_in // m.groups, c_out, *kernel)
    return layer, {"weight": groups.swapaxes(1, 2).reshape(m.groups * c_out, c_in // m.groups, *kernel)}


def _linear(m: Any, p: dict[str, Any]) -> Made:
    return eqx.nn.Linear(m.in_features, m.out_features, key=KEY), p


def _group_norm(m: Any, p: dict[str, Any]) -> Made:
    return eqx.nn.GroupNorm(m.num_groups, m.num_channels, m.eps), p


def _layer_norm(m: Any, p: dict[str, Any]) -> Made:
    return eqx.nn.LayerNorm(m.normalized_shape, m.eps), p


def _rms_norm(m: Any, p: dict[str, Any]) -> Made:
    eps = float(np.finfo(np.float32).eps)
    return eqx.nn.RMSNorm(m.normalized_shape, eps, use_bias=False), p


def _pool(kind: Any) -> Callable[[Any, dict[str, Any]], Made]:
    return lambda m, p: (kind(m.kernel_size, m.stride, m.padding), {})


def _multi_head(m: Any, p: dict[str, Any]) -> Made:
    layer = eqx.nn.MultiheadAttention(
        m.num_heads, m.embed_dim, use_query_bias=True, use_key_bias=True, use_value_bias=True, use_output_bias=True,
        key=KEY,
    )  # fmt: skip
    values = {}
    for i, name in enumerate(("query_proj", "key_proj", "value_proj")):
        rows = slice(i * m.embed_dim, (i + 1) * m.embed_dim)
        values |= {f"{name}.weight": p["in_proj_weight"][rows], f"{name}.bias": p["in_proj_bias"][rows]}
    values |= {"output_proj.weight": p["out_proj.weight"], "output_proj.bias": p["out_proj.bias"]}
    return layer, values


def _recurrent(cell: Any, states: int) -> Callable[[Any, dict[str, Any]], Made]:
    def make(m: Any, p: dict[str, Any]) -> Made:
        if m.num_layers > 1 or m.bidirectional:
            raise NoSuchLayerError("a cell is one layer and one direction")
        values = {"weight_ih": p["weight_ih_l0"], "weight_hh": p["weight_hh_l0"]}
        if states == 2:
            values["bias"] = p["bias_ih_l0"] + p["bias_hh_l0"]
        else:  # Equinox has no bias of the reset and update gates' hidden side: it is added to the input's
            both, own = p["bias_hh_l0"], m.hidden_size
            values["bias"] = p["bias_ih_l0"] + both.at[2 * own :].set(0)
            values["bias_n"] = both[2 * own :]
        return cell(m.input_size, m.hidden_size, key=KEY), values

    return make


LAYERS: dict[str, Callable[[Any, dict[str, Any]], Made]] = {
    "Conv1d": _conv(1),
    "Conv2d": _conv(2),
    "Conv3d": _conv(3),
    "ConvTranspose2d": _conv_transpose,
    "Linear": _linear,
    "GroupNorm": _group_norm,
    "LayerNorm": _layer_norm,
    "RMSNorm": _rms_norm,
    "MaxPool2d": _pool(eqx.nn.MaxPool2d),
    "AvgPool2d": _pool(eqx.nn.AvgPool2d),
    "AdaptiveAvgPool2d": lambda m, p: (eqx.nn.AdaptiveAvgPool2d(m.output_size), {}),
    "Embedding": lambda m, p: (eqx.nn.Embedding(m.num_embeddings, m.embedding_dim, key=KEY), p),
    "MultiheadAttention": _multi_head,
    "LSTM": _recurrent(eqx.nn.LSTMCell, 2),
    "GRU": _recurrent(eqx.nn.GRUCell, 1),
}


def _attribute(layer: Any, name: str) -> Any:
    for part in name.split("."):
        layer = getattr(layer, part)
    return layer


def pure(row: Row, train: bool) -> Pure:
    theirs, kind, make = known(row, LAYERS)
    layer, values = make(theirs, jaxnets.state_dict(theirs))
    for name, value in values.items():
        if _attribute(layer, name).shape != value.shape:
            raise ValueError(f"{name}: {_attribute(layer, name).shape} is not {value.shape}")
        layer = eqx.tree_at(lambda layer, name=name: _attribute(layer, name), layer, value)
    parameters, rest = eqx.partition(layer, eqx.is_inexact_array)

    def call(parameters: Any, x: jax.Array) -> Any:
        layer = eqx.combine(parameters, rest)
        if kind in ("LSTM", "GRU"):
            zero = jnp.zeros((x.shape[1], layer.hidden_size))
            initial = (zero, zero) if kind == "LSTM" else zero

            def body(state: Any, x: jax.Array) -> Any:
                new = jax.vmap(layer)(x, state)
                return new, new[0] if kind == "LSTM" else new

            return lax.scan(body, initial, x)[1]
        if kind == "MultiheadAttention":
            return jax.vmap(lambda x: layer(x, x, x))(x)
        function = jax.vmap(layer)
        for _ in range(x.ndim - 2 if kind in ("LayerNorm", "RMSNorm") else x.ndim - 1 if kind == "Embedding" else 0):
            function = jax.vmap(function)
        return function(x)

    return Pure(call, parameters, inputs(row))
