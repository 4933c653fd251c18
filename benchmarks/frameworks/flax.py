"""Flax NNX's own layers, channels last, with torch's weights."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import jaxnets
from benchmarks.frameworks.jaxnets import known
from benchmarks.frameworks.jit import NoSuchLayerError, Pure, axis_first, axis_last, same
from benchmarks.rows import Row, inputs

__all__ = ["pure"]

RNGS = nnx.Rngs(0)


def _kernel(weight: Any) -> Any:
    """`(out, in, *spatial)` as `(*spatial, in, out)`."""
    return jnp.moveaxis(weight, (0, 1), (-1, -2))


def _conv(m: Any, p: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    layer = nnx.Conv(
        m.in_channels,
        m.out_channels,
        m.kernel_size,
        m.stride,
        padding=[(n, n) for n in m.padding],
        kernel_dilation=m.dilation,
        feature_group_count=m.groups,
        use_bias="bias" in p,
        rngs=RNGS,
    )
    return layer, {"kernel": _kernel(p["weight"]), **_some(p, bias="bias")}


def _conv_transpose(m: Any, p: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    if m.groups > 1:
        raise NoSuchLayerError("nnx.ConvTranspose has no groups")
    padding = [(k - 1 - n, k - 1 - n) for k, n in zip(m.kernel_size, m.padding, strict=True)]
    layer = nnx.ConvTranspose(
        m.in_channels, m.out_channels, m.kernel_size, m.stride, padding=padding, use_bias=False, rngs=RNGS
    )
    return layer, {"kernel": jnp.flip(jnp.moveaxis(p["weight"], (0, 1), (-2, -1)), (0, 1))}


def _linear(m: Any, p: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return nnx.Linear(m.in_features, m.out_features, rngs=RNGS), {"kernel": p["weight"].T, "bias": p["bias"]}


def _batch_norm(m: Any, p: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    layer = nnx.BatchNorm(m.num_features, momentum=0.9, epsilon=m.eps, rngs=RNGS)
    return layer, _some(p, scale="weight", bias="bias", mean="running_mean", var="running_var")


def _group_norm(m: Any, p: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    layer = nnx.GroupNorm(m.num_channels, m.num_groups, epsilon=m.eps, rngs=RNGS)
    return layer, _some(p, scale="weight", bias="bias")


def _layer_norm(m: Any, p: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return nnx.LayerNorm(*m.normalized_shape, epsilon=m.eps, rngs=RNGS), _some(p, scale="weight", bias="bias")


def _rms_norm(m: Any, p: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    eps = float(np.finfo(np.float32).eps)
    return nnx.RMSNorm(*m.normalized_shape, epsilon=eps, rngs=RNGS), _some(p, scale="weight")


def _embedding(m: Any, p: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return nnx.Embed(m.num_embeddings, m.embedding_dim, rngs=RNGS), {"embedding": p["weight"]}


def _max_pool(m: Any, p: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    k, s, n = ((v, v) if isinstance(v, int) else v for v in (m.kernel_size, m.stride, m.padding))
    return lambda x: nnx.max_pool(x, k, s, [(v, v) for v in n]), {}


def _avg_pool(m: Any, p: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    k, s, n = ((v, v) if isinstance(v, int) else v for v in (m.kernel_size, m.stride, m.padding))
    return lambda x: nnx.avg_pool(x, k, s, [(v, v) for v in n]), {}


def _multi_head(m: Any, p: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    size, heads = m.embed_dim, m.num_heads
    layer = nnx.MultiHeadAttention(heads, size, decode=False, rngs=RNGS)
    values = {}
    for i, name in enumerate(("query", "key", "value")):
        rows = slice(i * size, (i + 1) * size)
        values[f"{name}.kernel"] = p["in_proj_weight"][rows].T.reshape(size, heads, -1)
        values[f"{name}.bias"] = p["in_proj_bias"][rows].reshape(heads, -1)
    values["out.kernel"] = p["out_proj.weight"].T.reshape(heads, -1, size)
    return layer, values | {"out.bias": p["out_proj.bias"]}


def _lstm(m: Any, p: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    if m.num_layers > 1 or m.bidirectional:
        raise NoSuchLayerError("nnx.RNN has one layer and one direction")
    cell = nnx.OptimizedLSTMCell(m.input_size, m.hidden_size, rngs=RNGS)
    values = {"cell.dense_i.kernel": p["weight_ih_l0"].T, "cell.dense_h.kernel": p["weight_hh_l0"].T}
    return nnx.RNN(cell, time_major=True, rngs=RNGS), values | {"cell.dense_h.bias": p["bias_ih_l0"] + p["bias_hh_l0"]}


def _rnn(m: Any, p: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    cell = nnx.SimpleCell(m.input_size, m.hidden_size, rngs=RNGS)
    values = {"cell.dense_i.kernel": p["weight_ih_l0"].T, "cell.dense_h.kernel": p["weight_hh_l0"].T}
    return nnx.RNN(cell, time_major=True, rngs=RNGS), values | {"cell.dense_i.bias": p["bias_ih_l0"] + p["bias_hh_l0"]}


def _some(p: dict[str, Any], **names: str) -> dict[str, Any]:
    return {ours: p[theirs] for ours, theirs in names.items() if theirs in p}


LAYERS: dict[str, Callable[[Any, dict[str, Any]], tuple[Any, dict[str, Any]]]] = {
    "Conv1d": _conv,
    "Conv2d": _conv,
    "Conv3d": _conv,
    "ConvTranspose2d": _conv_transpose,
    "Linear": _linear,
    "BatchNorm2d": _batch_norm,
    "GroupNorm": _group_norm,
    "LayerNorm": _layer_norm,
    "RMSNorm": _rms_norm,
    "Embedding": _embedding,
    "MaxPool2d": _max_pool,
    "AvgPool2d": _avg_pool,
    "MultiheadAttention": _multi_head,
    "GELU": lambda m, p: (lambda x: nnx.gelu(x, approximate=False), {}),
    "SiLU": lambda m, p: (nnx.silu, {}),
    "Softmax": lambda m, p: (nnx.softmax, {}),
    "LSTM": _lstm,
    "RNN": _rnn,
}

CHANNELS_LAST = ("Conv1d", "Conv2d", "Conv3d", "ConvTranspose2d", "BatchNorm2d", "GroupNorm", "MaxPool2d", "AvgPool2d")


def pure(row: Row, train: bool) -> Pure:
    theirs, kind, make = known(row, LAYERS)
    layer, values = make(theirs, jaxnets.state_dict(theirs))
    last = kind in CHANNELS_LAST
    given = [axis_last(x) for x in inputs(row)] if last else inputs(row)
    layouts = (axis_first, axis_last) if last else (same, same)
    if not isinstance(layer, nnx.Module):
        return Pure(lambda _, x: layer(x), (), given, *layouts)
    if kind == "BatchNorm2d":
        layer.set_attributes(use_running_average=not train)
    graph, parameters, rest = nnx.split(layer, nnx.Param, ...)
    for state in (parameters, rest):
        for path, variable in nnx.to_flat_state(state):
            name = ".".join(map(str, path))
            if name in values:
                chosen = values.pop(name)
                if variable.shape != chosen.shape:
                    raise ValueError(f"{name}: {variable.shape} is not {chosen.shape}")
                variable[...] = chosen
    if values:
        raise ValueError(f"not in the layer: {sorted(values)}")

    def call(parameters: Any, x: jax.Array) -> Any:
        return nnx.merge(graph, parameters, rest, copy=True)(x)

    return Pure(call, parameters, given, *layouts)
