"""What the JAX libraries share: a row becomes a pure function of parameters and inputs, which is compiled."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.rows import cotangent

__all__ = ["NoSuchLayerError", "Pure", "axis_first", "axis_last", "compiled_work", "in_half", "repeated", "same"]


class NoSuchLayerError(NotImplementedError):
    """The framework has no layer for a row."""


def same(array: Any) -> Any:
    return array


def axis_last(array: Any) -> Any:
    """Channels behind the spatial axes."""
    return np.moveaxis(np.asarray(array), 1, -1)


def axis_first(array: Any) -> Any:
    """Channels before the spatial axes."""
    return np.moveaxis(np.asarray(array), -1, 1)


@dataclass(frozen=True)
class Pure:
    """`call(parameters, *inputs)` in a framework's own layout; `to_torch` and `from_torch` change outputs."""

    call: Callable[..., Any]
    parameters: Any
    inputs: Sequence[Any]
    to_torch: Callable[[Any], Any] = same
    from_torch: Callable[[Any], Any] = same
    names: Callable[[Any], dict[str, Any]] = lambda parameters: {}
    """The parameters, or their gradients, by torch's names, where they have torch's layout."""


def repeated(pure: Pure, times: int) -> Pure:
    """The same, fed its own output so many times, in the body of a loop."""

    def call(parameters: Any, x: Any) -> Any:
        return lax.scan(lambda x, _: (pure.call(parameters, x), None), x, length=times)[0]

    return replace(pure, call=call) if times > 1 else pure


def in_half(pure: Pure) -> Pure:
    """The same of inputs in bfloat16."""
    return replace(pure, inputs=[jnp.asarray(x, jnp.bfloat16) for x in pure.inputs])


def compiled_work(pure: Pure, train: bool) -> tuple[Callable[[], Any], dict[str, np.ndarray], float]:
    """The work, its results in torch's layout, and the seconds of compilation."""
    parameters = jax.tree.map(jnp.asarray, pure.parameters)
    given = [jnp.asarray(x) for x in pure.inputs]
    floating = [i for i, x in enumerate(given) if jnp.issubdtype(x.dtype, jnp.floating)]

    def forward(parameters: Any, inputs: Sequence[Any]) -> Any:
        return pure.call(parameters, *inputs), ((), ())

    made = jax.eval_shape(forward, parameters, given)[0]
    along = jnp.asarray(pure.from_torch(cotangent(pure.to_torch(np.empty(made.shape, np.float32)).shape)), made.dtype)

    def step(parameters: Any, inputs: Sequence[Any]) -> Any:
        def call(parameters: Any, wanted: Sequence[Any]) -> Any:
            merged = list(inputs)
            for i, x in zip(floating, wanted, strict=True):
                merged[i] = x
            return pure.call(parameters, *merged)

        output, pull = jax.vjp(call, parameters, [inputs[i] for i in floating])
        return output, pull(along)

    began = time.perf_counter()
    compiled = jax.jit(step if train else forward).lower(parameters, given).compile()
    seconds = time.perf_counter() - began

    def work() -> Any:
        return compiled(parameters, given)

    output, (of_parameters, of_inputs) = work()
    results = {"output": pure.to_torch(output)}
    if train:
        results |= {f"input {i}": pure.to_torch(x) for i, x in zip(floating, of_inputs, strict=True)}
        results |= pure.names(of_parameters)
    return work, {name: np.asarray(value, np.float32) for name, value in results.items()}, seconds
