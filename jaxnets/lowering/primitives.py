"""Primitives of our own: what JAX neither differentiates nor lowers as it should be."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import jax
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import mlir

__all__ = ["lowered", "primitive"]


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


def lowered(function: Callable[..., Any], has_several_results: bool = False) -> Any:
    """The rule that lowers a primitive as `function`, which may be long after `jax.enable_x64` was left."""

    def in_its_width(*arrays: jax.Array, **parameters: Any) -> Any:
        is_wide = any(x.dtype in (np.int64, np.float64, np.complex128) for x in arrays)
        with jax.enable_x64(True) if is_wide else nullcontext():
            return function(*arrays, **parameters)

    return mlir.lower_fun(in_its_width, multiple_results=has_several_results)
