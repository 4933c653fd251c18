"""cuDNN's attention, which writes no scores, where it has one: CUDA, half precision, one device.

Its forward pass and its gradient are calls that JAX cannot look into, so they are primitives: along a tangent and in a
second derivative they are the formula, and so they are on every other platform.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import PartitionSpec as P

from jaxnets.lowering.precision import HALF
from jaxnets.lowering.primitives import lowered, primitive

__all__ = ["Attention", "attention", "has_attention"]

Arrays = Sequence[Any]

CAPABLE = (8, 0)
"""The least compute capability that has it."""


class Attention(Protocol):
    """Attention of `(*, L, E)`, `(*, S, E)`, `(*, S, Ev)` and a mask `(*, L, S)` or None, whose leading axes broadcast.

    It is hashable: two that are equal are one in the compiled program.
    """

    @property
    def is_causal(self) -> bool: ...

    @property
    def scale(self) -> float: ...

    def __call__(self, query: jax.Array, key: jax.Array, value: jax.Array, mask: jax.Array | None) -> jax.Array: ...


def has_attention(query: jax.Array, key: jax.Array, value: jax.Array) -> bool:
    """Whether cuDNN computes this: in one program for several devices XLA could not split the call."""
    size = query.shape[-1]
    is_known = query.dtype in HALF and size % 8 == 0 and 0 < size <= 128 and value.shape[-1] == size
    return is_known and query.size > 0 and key.size > 0 and jax.device_count() == 1 and _is_capable(jax.devices()[0])


def _is_capable(device: jax.Device) -> bool:
    major, _, minor = getattr(device, "compute_capability", "").partition(".")
    return major.isdecimal() and minor.isdecimal() and (int(major), int(minor)) >= CAPABLE


def attention(formula: Attention, query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
    """`formula(query, key, value, None)` of `(N, H, L, E)` and `(N, H', S, E)`, where `H'` divides `H`."""
    [output] = FORWARD.bind(query, key, value, formula=formula)
    return output


def _primitive(
    name: str, shapes: Callable[[Arrays], Arrays], anywhere: Callable[..., Arrays], on_cuda: Callable[..., Arrays]
) -> Primitive:
    """A function of arrays with the batch first, that is lowered in one way for CUDA and in another anywhere else."""
    new = primitive(name, ("formula",), True)
    new.def_abstract_eval(lambda *arrays, formula: [ShapedArray(x.shape, x.dtype) for x in shapes(arrays)])
    by_formula, by_cudnn = (lowered(function, True) for function in (anywhere, on_cuda))

    def where_it_runs(context: mlir.LoweringRuleContext, *arrays: Any, formula: Attention) -> Any:
        # JAX exports no call of cuDNN's, for which nobody promises that a later one will know it
        exported = context.module_context.lowering_parameters.for_export
        return (by_formula if exported else by_cudnn)(context, *arrays, formula=formula)

    mlir.register_lowering(new, by_formula)
    mlir.register_lowering(new, where_it_runs, platform="cuda")

    def batched(arrays: Arrays, axes: Sequence[int | None], *, formula: Attention) -> tuple[Arrays, Sequence[int]]:
        size = next(x.shape[axis] for x, axis in zip(arrays, axes, strict=True) if axis is not None)

        def batch_first(x: jax.Array, axis: int | None) -> jax.Array:
            x = jnp.broadcast_to(x, (size, *x.shape)) if axis is None else jnp.moveaxis(x, axis, 0)
            return x.reshape(-1, *x.shape[2:])

        results = new.bind(*map(batch_first, arrays, axes), formula=formula)
        return [x.reshape(size, -1, *x.shape[1:]) for x in results], [0] * len(results)

    batching.primitive_batchers[new] = batched
    return new


INPUTS = 3
"""query, key, value."""


def _formula(*arrays: Any, formula: Attention) -> Arrays:
    query, key, value = arrays
    return [formula(query, key, value, None)]


def _tangent(*arrays: Any, formula: Attention) -> Arrays:
    return jax.jvp(partial(_formula, formula=formula), arrays[:INPUTS], arrays[INPUTS:])[1]


def _gradient(*arrays: Any, formula: Attention) -> Arrays:
    return jax.vjp(partial(_formula, formula=formula), *arrays[:INPUTS])[1](list(arrays[INPUTS:]))


def _pulled(formula: Attention, *arrays: Any) -> tuple[jax.Array, Callable[[jax.Array], Arrays]]:
    """cuDNN's output and its gradient's function. The forward pass of both is one call, which XLA makes once."""

    # by hand for all devices, of which there is one: JAX's call would ask for their mesh, which is not known here
    @partial(jax.shard_map, mesh=jax.make_mesh((1,), ("all",)), in_specs=P(), out_specs=P(), check_vma=False)
    def heads_third(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
        batch, length, keys = len(query), query.shape[2], key.shape[2]
        arrays = (jnp.swapaxes(x, 1, 2) for x in (query, key, value))
        queries, others = None, None
        if length % 2 or keys % 2:  # its gradient takes an even number of queries and of keys
            arrays = (jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, 0), (0, 0))) for x in arrays)
            queries, others = jnp.full(batch, length, jnp.int32), jnp.full(batch, keys, jnp.int32)
        output = jax.nn.dot_product_attention(
            *arrays,
            query_seq_lengths=queries,
            key_value_seq_lengths=others,
            scale=formula.scale,
            is_causal=formula.is_causal,
            implementation="cudnn",
        )
        return jnp.swapaxes(output[:, :length], 1, 2)

    return jax.vjp(heads_third, *arrays)


def _on_cuda(*arrays: Any, formula: Attention) -> Arrays:
    return [_pulled(formula, *arrays)[0]]


def _gradient_on_cuda(*arrays: Any, formula: Attention) -> Arrays:
    *inputs, of_output = arrays
    return _pulled(formula, *inputs)[1](of_output)


FORWARD = _primitive("attention", lambda arrays: arrays[:1], _formula, _on_cuda)
TANGENT = _primitive("attention_tangent", lambda arrays: arrays[:1], _tangent, _tangent)
GRADIENT = _primitive("attention_gradient", lambda arrays: arrays[:INPUTS], _gradient, _gradient_on_cuda)


def _jvp(primals: Arrays, tangents: Arrays, *, formula: Attention) -> tuple[Arrays, Arrays]:
    along = map(ad.instantiate_zeros, tangents)
    return FORWARD.bind(*primals, formula=formula), TANGENT.bind(*primals, *along, formula=formula)


def _jvp_of(function: Callable[..., Arrays]) -> Callable[..., Any]:
    """The rule of what has no calls of cuDNN's along its tangents."""

    def rule(primals: Arrays, tangents: Arrays, *, formula: Attention) -> Any:
        along = list(map(ad.instantiate_zeros, tangents))
        return jax.jvp(partial(function, formula=formula), list(primals), along)

    return rule


def _transposed_to(other: Primitive) -> Callable[..., Any]:
    """The rule of what is linear in the arrays behind the inputs."""

    def rule(cotangents: Arrays, *arrays: Any, formula: Attention) -> Arrays:
        along = map(ad.instantiate_zeros, cotangents)
        return [None] * INPUTS + list(other.bind(*arrays[:INPUTS], *along, formula=formula))

    return rule


ad.primitive_jvps[FORWARD] = _jvp
ad.primitive_jvps[TANGENT], ad.primitive_transposes[TANGENT] = _jvp_of(_tangent), _transposed_to(GRADIENT)
ad.primitive_jvps[GRADIENT], ad.primitive_transposes[GRADIENT] = _jvp_of(_gradient), _transposed_to(TANGENT)
