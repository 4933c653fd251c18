"""jaxnets."""

import inspect
from collections.abc import Mapping
from typing import Any

import jax
from flax import nnx

import jaxnets
import jaxnets.functional
from benchmarks.frameworks.jit import NoSuchLayerError, Pure
from benchmarks.rows import Row, inputs, values

__all__ = ["known", "pure"]


class _WithRngs:
    """`jaxnets.nn`, called as `torch.nn` is."""

    functional = jaxnets.functional

    def __getattr__(self, name: str) -> Any:
        layer = getattr(jaxnets.nn, name)
        rngs = {"rngs": nnx.Rngs(0)} if "rngs" in inspect.signature(layer.__init__).parameters else {}
        return lambda *args, **kwargs: layer(*args, **kwargs, **rngs)


def layer(row: Row) -> Any:
    """The row's layer with its weights."""
    made = row.make(_WithRngs())
    if isinstance(made, nnx.Module):
        jaxnets.load_state_dict(made, values({name: v.shape for name, v in jaxnets.state_dict(made).items()}))
    return made


def known(row: Row, table: Mapping[str, Any]) -> tuple[Any, str, Any]:
    """The row's layer, the name of its kind, and what another framework's table has for it."""
    made = layer(row)
    kind = getattr(getattr(made, "func", made), "__name__", type(made).__name__)  # of a partial, what it calls
    if kind not in table:
        raise NoSuchLayerError(kind)
    return made, kind, table[kind]


def pure(row: Row, train: bool) -> Pure:
    made = layer(row)
    if not isinstance(made, nnx.Module):
        return Pure(lambda _, *inputs: row.call(made, *inputs), (), inputs(row))
    made.train() if train else made.eval()
    graph, parameters, rest = nnx.split(made, nnx.Param, ...)

    def call(parameters: Any, *inputs: jax.Array) -> Any:
        return row.call(nnx.merge(graph, parameters, rest, copy=True), *inputs)

    def names(gradients: Any) -> dict[str, Any]:
        return {".".join(map(str, path)): value[...] for path, value in nnx.to_flat_state(gradients)}

    return Pure(call, parameters, inputs(row), names=names)
