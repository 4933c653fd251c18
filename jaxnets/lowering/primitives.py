"""Primitives of our own: what JAX neither differentiates nor lowers as it should be."""

from collections.abc import Sequence
from typing import Any

import jax
from jax.extend.core import Primitive

__all__ = ["primitive"]


def primitive(name: str, parameters: Sequence[str], has_several_results: bool = False) -> Primitive:
    """A new one; outside of `jax.jit` it is compiled by itself, once for all arrays and parameters that are alike.

    So it is where `jax.disable_jit` is on: JAX's own are, too.
    """
    new = Primitive(name)
    new.multiple_results = has_several_results
    compiled = jax.jit(new.bind, static_argnames=parameters)

    def evaluated(*arrays: jax.Array, **given: Any) -> Any:
        with jax.disable_jit(False):
            return compiled(*arrays, **given)

    new.def_impl(evaluated)
    return new
