"""Plain JAX: the `lax` or `jax.nn` function that says what a layer does, in torch's layout."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

import jaxnets
from benchmarks.frameworks.jaxnets import known
from benchmarks.frameworks.jit import Pure
from benchmarks.rows import Row, inputs

__all__ = ["pure"]

Call = Callable[..., Any]


def _channels(v: jax.Array, x: jax.Array) -> jax.Array:
    return v.reshape(1, -1, *(1,) * (x.ndim - 2))


def _conv(m: Any) -> Call:
    def call(p: dict[str, Any], x: jax.Array) -> jax.Array:
        padding = [(n, n) for n in m.padding]
        y = lax.conv_general_dilated(
            x, p["weight"], m.stride, padding, rhs_dilation=m.dilation, feature_group_count=m.groups
        )
        return y + _channels(p["bias"], y) if "bias" in p else y

    return call


def _conv_transpose(m: Any) -> Call:
    def call(p: dict[str, Any], x: jax.Array) -> jax.Array:
        groups, (c_in, c_out, *kernel) = m.groups, p["weight"].shape
        weight = jnp.flip(p["weight"], (2, 3)).reshape(groups, c_in // groups, c_out, *kernel)
        weight = weight.swapaxes(1, 2).reshape(groups * c_out, c_in // groups, *kernel)
        padding = [(k - 1 - n, k - 1 - n) for k, n in zip(kernel, m.padding, strict=True)]
        return lax.conv_general_dilated(x, weight, (1, 1), padding, lhs_dilation=m.stride, feature_group_count=groups)

    return call


def _linear(m: Any) -> Call:
    return lambda p, x: x @ p["weight"].T + p["bias"]


def _max_pool(m: Any) -> Call:
    k, s, n = ((v, v) if isinstance(v, int) else v for v in (m.kernel_size, m.stride, m.padding))
    padding = ((0, 0), (0, 0), (n[0], n[0]), (n[1], n[1]))
    return lambda p, x: lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, *k), (1, 1, *s), padding)


def _avg_pool(m: Any) -> Call:
    k, s, n = ((v, v) if isinstance(v, int) else v for v in (m.kernel_size, m.stride, m.padding))
    padding = ((0, 0), (0, 0), (n[0], n[0]), (n[1], n[1]))
    return lambda p, x: lax.reduce_window(x, 0.0, lax.add, (1, 1, *k), (1, 1, *s), padding) / (k[0] * k[1])


def _batch_norm(m: Any, train: bool) -> Call:
    def call(p: dict[str, Any], x: jax.Array) -> jax.Array:
        axes = (0, *range(2, x.ndim))
        mean = x.mean(axes) if train else p["running_mean"]
        var = x.var(axes) if train else p["running_var"]
        scale = lax.rsqrt(var + m.eps) * p["weight"]
        return (x - _channels(mean, x)) * _channels(scale, x) + _channels(p["bias"], x)

    return call


def _normalized(x: jax.Array, axes: Any, eps: float) -> jax.Array:
    return (x - x.mean(axes, keepdims=True)) * lax.rsqrt(x.var(axes, keepdims=True) + eps)


def _group_norm(m: Any) -> Call:
    def call(p: dict[str, Any], x: jax.Array) -> jax.Array:
        groups = x.reshape(x.shape[0], m.num_groups, -1)
        y = _normalized(groups, -1, m.eps).reshape(x.shape)
        return y * _channels(p["weight"], x) + _channels(p["bias"], x)

    return call


def _layer_norm(m: Any) -> Call:
    return lambda p, x: _normalized(x, -1, m.eps) * p["weight"] + p["bias"]


def _rms_norm(m: Any) -> Call:
    eps = float(jnp.finfo(jnp.float32).eps)
    return lambda p, x: x * lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + eps) * p["weight"]


def _cross_entropy(m: Any) -> Call:
    def call(p: dict[str, Any], x: jax.Array, target: jax.Array) -> jax.Array:
        return -jnp.take_along_axis(jax.nn.log_softmax(x), target[:, None], -1).mean()

    return call


def _attention(m: Any) -> Call:
    def call(p: Any, q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        heads_third = (x.swapaxes(1, 2) for x in (q, k, v))
        return jax.nn.dot_product_attention(*heads_third, **getattr(m, "keywords", {})).swapaxes(1, 2)

    return call


def _multi_head(m: Any) -> Call:
    def call(p: dict[str, Any], x: jax.Array) -> jax.Array:
        qkv = (x @ p["in_proj_weight"].T + p["in_proj_bias"]).reshape(*x.shape[:2], 3, m.num_heads, -1)
        y = jax.nn.dot_product_attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2])
        return y.reshape(x.shape) @ p["out_proj.weight"].T + p["out_proj.bias"]

    return call


def _upsample(m: Any) -> Call:
    def call(p: Any, x: jax.Array) -> jax.Array:
        return jax.image.resize(x, (*x.shape[:2], *(2 * n for n in x.shape[2:])), m.mode)

    return call


def _lstm_step(x: jax.Array, h: jax.Array, state: Any) -> Any:
    i, f, g, o = jnp.split(x + h, 4, -1)
    c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def _gru_step(x: jax.Array, h: jax.Array, state: Any) -> Any:
    (a, b, c), (d, e, f) = jnp.split(x, 3, -1), jnp.split(h, 3, -1)
    n, z = jnp.tanh(c + jax.nn.sigmoid(a + d) * f), jax.nn.sigmoid(b + e)
    return ((1 - z) * n + z * state[0],)


def _rnn_step(x: jax.Array, h: jax.Array, state: Any) -> Any:
    return (jnp.tanh(x + h),)


def _recurrent(step: Call, states: int, m: Any) -> Call:
    def call(p: dict[str, Any], x: jax.Array) -> jax.Array:
        for layer in range(m.num_layers):
            outputs = []
            for way in ("", "_reverse") if m.bidirectional else ("",):
                w, u, b, d = (p[f"{k}_l{layer}{way}"] for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))

                def body(state: Any, x: jax.Array, w: Any = w, u: Any = u, b: Any = b, d: Any = d) -> Any:
                    new = step(x @ w.T + b, state[0] @ u.T + d, state)
                    return new, new[0]

                zero = (jnp.zeros((x.shape[1], m.hidden_size)),) * states
                outputs.append(lax.scan(body, zero, x, reverse=bool(way))[1])
            x = jnp.concatenate(outputs, -1)
        return x

    return call


CALLS: dict[str, Callable[[Any], Call]] = {
    "Conv1d": _conv,
    "Conv2d": _conv,
    "Conv3d": _conv,
    "ConvTranspose2d": _conv_transpose,
    "Linear": _linear,
    "MaxPool2d": _max_pool,
    "AvgPool2d": _avg_pool,
    "GroupNorm": _group_norm,
    "LayerNorm": _layer_norm,
    "RMSNorm": _rms_norm,
    "GELU": lambda m: lambda p, x: jax.nn.gelu(x, approximate=False),
    "SiLU": lambda m: lambda p, x: jax.nn.silu(x),
    "Softmax": lambda m: lambda p, x: jax.nn.softmax(x, -1),
    "CrossEntropyLoss": _cross_entropy,
    "Embedding": lambda m: lambda p, x: p["weight"][x],
    "MultiheadAttention": _multi_head,
    "scaled_dot_product_attention": _attention,
    "Upsample": _upsample,
    "LSTM": partial(_recurrent, _lstm_step, 2),
    "GRU": partial(_recurrent, _gru_step, 1),
    "RNN": partial(_recurrent, _rnn_step, 1),
}


def pure(row: Row, train: bool) -> Pure:
    layer, _, call = known(row, CALLS | {"BatchNorm2d": partial(_batch_norm, train=train)})
    parameters = jaxnets.state_dict(layer) if isinstance(layer, nnx.Module) else {}
    parameters = {name: value for name, value in parameters.items() if name != "num_batches_tracked"}
    return Pure(call(layer), parameters, inputs(row), names=lambda gradients: gradients)
