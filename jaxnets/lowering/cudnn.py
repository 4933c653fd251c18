"""cuDNN's LSTM, which does all steps in one call, where it has one: CUDA, float32, no projection, one device.

Its forward pass and its gradient are calls that JAX cannot look into, so they are primitives: under `vmap`, along a
tangent and in a second derivative they are the scan that computes the same.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.experimental import rnn
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxnets.lowering.recurrence import State, Update, Weights, step_by_step

__all__ = ["has_lstm", "lstm"]

Arrays = Sequence[Any]


def has_lstm(input: jax.Array, weights: Weights) -> bool:
    """Whether cuDNN computes this: one device, since XLA could not split the call along the batch."""
    is_here = jax.default_backend() == "gpu" and jax.device_count() == 1
    return is_here and input.dtype == jnp.float32 and weights.hr is None and input.size * weights.hh.size > 0


def lstm(
    update: Update, reverse: bool, input: jax.Array, state: State, weights: Weights, lengths: jax.Array | None
) -> tuple[jax.Array, State]:
    """A direction of a layer, as `recurrence` gives it."""
    steps, batch, _ = input.shape
    size = weights.hh.shape[1]
    lengths = jnp.full(batch, steps, jnp.int32) if lengths is None else jnp.clip(lengths, 0, steps).astype(jnp.int32)
    biases = (jnp.zeros(4 * size, jnp.float32) if b is None else b for b in (weights.bias_ih, weights.bias_hh))
    there = partial(_turned, lengths=lengths) if reverse else lambda x: x
    output, *last = FORWARD.bind(there(input), *state, weights.ih, weights.hh, *biases, lengths, update=update)
    return there(output), tuple(last)


def _turned(sequences: jax.Array, lengths: jax.Array) -> jax.Array:
    """Each sequence from its last step to its first; what lies behind the last stays."""
    times, ends = jnp.arange(len(sequences), dtype=lengths.dtype)[:, None], lengths[None]
    return jnp.take_along_axis(sequences, jnp.where(times < ends, ends - 1 - times, times)[..., None], axis=0)


def _primitive(
    name: str, shapes: Callable[[Arrays], Arrays], anywhere: Callable[..., Arrays], on_cuda: Callable[..., Arrays]
) -> Primitive:
    """A function that is lowered in one way for CUDA and in another for what is anywhere else."""
    primitive = Primitive(name)
    primitive.multiple_results = True
    primitive.def_impl(
        jax.jit(lambda *arrays, update: primitive.bind(*arrays, update=update), static_argnames="update")
    )
    primitive.def_abstract_eval(lambda *arrays, update: [ShapedArray(x.shape, x.dtype) for x in shapes(arrays)])
    mlir.register_lowering(primitive, mlir.lower_fun(anywhere, multiple_results=True))
    mlir.register_lowering(primitive, mlir.lower_fun(on_cuda, multiple_results=True), platform="cuda")

    def batched(arrays: Arrays, axes: Sequence[int | None], *, update: Update) -> tuple[Arrays, Sequence[int]]:
        results = jax.vmap(partial(anywhere, update=update), tuple(axes))(*arrays)
        return results, [0] * len(results)

    batching.primitive_batchers[primitive] = batched
    return primitive


INPUTS = 7
"""input, h, c, weight_ih, weight_hh, bias_ih, bias_hh: what is differentiated. Behind them are the lengths."""
OUTPUTS = 3
"""All h, the last h, the last c."""


def _scan(*arrays: Any, update: Update) -> Arrays:
    input, h, c, ih, hh, bias_ih, bias_hh, lengths = arrays
    size = len(input)
    output, last = step_by_step(update, False, size, input, (h, c), Weights(ih, hh, bias_ih, bias_hh), lengths)
    return output, *last


def _on_cuda(*arrays: Any) -> tuple[Arrays, Any, Any]:
    """The results, what cuDNN wants for its gradient, and the settings of the layer."""
    input, h, c, *weights, lengths = arrays
    precise = jax.config.jax_default_matmul_precision in ("highest", "float32")
    precision = jax.lax.Precision.HIGHEST if precise else jax.lax.Precision.HIGH
    settings = (input.shape[-1], h.shape[-1], 1, 0.0, False, precision)
    flat = jnp.concatenate([w.reshape(-1) for w in weights])
    (output, h, c), kept = rnn.lstm_fwd(jnp.swapaxes(input, 0, 1), h[None], c[None], flat, lengths, *settings)
    return (jnp.swapaxes(output, 0, 1), h[0], c[0]), kept, settings


def _tangent(*arrays: Any, update: Update) -> Arrays:
    *inputs, lengths = arrays[: INPUTS + 1]
    run = partial(_scan, update=update)
    return jax.jvp(lambda *inputs: run(*inputs, lengths), tuple(inputs), arrays[INPUTS + 1 :])[1]


def _gradient(*arrays: Any, update: Update) -> Arrays:
    *inputs, lengths = arrays[: INPUTS + 1]
    run = partial(_scan, update=update)
    return jax.vjp(lambda *inputs: run(*inputs, lengths), *inputs)[1](tuple(arrays[INPUTS + 1 :]))


def _gradient_on_cuda(*arrays: Any, update: Update) -> Arrays:
    # The forward pass stands here again: XLA finds the one that was, and a program without it pays a third more.
    _, kept, settings = _on_cuda(*arrays[: INPUTS + 1])
    output, h, c = arrays[INPUTS + 1 :]
    input, h, c, flat, _ = rnn.lstm_bwd(*settings, kept, (jnp.swapaxes(output, 0, 1), h[None], c[None]))
    weights = arrays[3:INPUTS]
    ends = list(accumulate(w.size for w in weights))[:-1]
    of_weights = [part.reshape(w.shape) for part, w in zip(jnp.split(flat, ends), weights, strict=True)]
    return jnp.swapaxes(input, 0, 1), h[0], c[0], *of_weights


def _results(arrays: Arrays) -> Arrays:
    input, h, c = arrays[:OUTPUTS]
    return [jax.ShapeDtypeStruct((*input.shape[:2], h.shape[-1]), h.dtype), h, c]


FORWARD = _primitive("lstm", _results, _scan, lambda *arrays, update: _on_cuda(*arrays)[0])
TANGENT = _primitive("lstm_tangent", _results, _tangent, _tangent)
GRADIENT = _primitive("lstm_gradient", lambda arrays: arrays[:INPUTS], _gradient, _gradient_on_cuda)


def _jvp(primals: Arrays, tangents: Arrays, *, update: Update) -> tuple[Arrays, Arrays]:
    along = map(ad.instantiate_zeros, tangents[:INPUTS])
    return FORWARD.bind(*primals, update=update), TANGENT.bind(*primals, *along, update=update)


def _jvp_of(function: Callable[..., Arrays]) -> Callable[..., Any]:
    """The rule of what has no calls of cuDNN's along its tangents."""

    def rule(primals: Arrays, tangents: Arrays, *, update: Update) -> Any:
        def run(*arrays: Any) -> Arrays:
            return function(*arrays[:INPUTS], primals[INPUTS], *arrays[INPUTS:], update=update)

        real = [i for i in range(len(primals)) if i != INPUTS]
        return jax.jvp(run, [primals[i] for i in real], [ad.instantiate_zeros(tangents[i]) for i in real])

    return rule


def _transposed_to(other: Primitive) -> Callable[..., Any]:
    """The rule of what is linear in the arrays behind the lengths."""

    def rule(cotangents: Arrays, *arrays: Any, update: Update) -> Arrays:
        along = map(ad.instantiate_zeros, cotangents)
        found = other.bind(*arrays[: INPUTS + 1], *along, update=update)
        return [None] * (INPUTS + 1) + found

    return rule


ad.primitive_jvps[FORWARD] = _jvp
ad.primitive_jvps[TANGENT], ad.primitive_transposes[TANGENT] = _jvp_of(_tangent), _transposed_to(GRADIENT)
ad.primitive_jvps[GRADIENT], ad.primitive_transposes[GRADIENT] = _jvp_of(_gradient), _transposed_to(TANGENT)
