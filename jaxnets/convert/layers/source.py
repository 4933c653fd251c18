"""A call of a constructor as a person would write it."""

import ast
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxnets.convert import expressions as e
from jaxnets.convert.constants import numbers
from jaxnets.convert.errors import ConversionError
from jaxnets.convert.layers.calls import Array, Build, Function, defaults, parameters

__all__ = ["expression", "plain"]

SPATIAL = {"dilation", "kernel_size", "output_padding", "output_size", "padding", "stride"}
"""Arguments for which one int means the same for each axis."""

NEVER_DRAWS = {"BatchNorm", "GroupNorm", "InstanceNorm", "LayerNorm", "PReLU", "RMSNorm", "SyncBatchNorm"}
"""Layers, dimensions and "Lazy" aside, that take `rngs` for the likeness to others and draw nothing."""

BUFFERS = {"weight", "pos_weight", "_random_samples"}
"""Arrays that are part of the layer's state: a checkpoint fills them."""

SMALL = 16
"""Numbers of an array that is written out."""


def expression(build: Build) -> ast.expr:
    """The call, with the names `nn`, `F`, `jnp` and `rngs`: arguments that have their default value are left out.

    Raises:
        ConversionError: an array that is large and no part of the layer's state.

    >>> ast.unparse(expression(Build("Dropout", {"p": 0.1, "inplace": False})))
    'nn.Dropout(p=0.1, rngs=rngs)'
    """
    usual = defaults(build.name)
    accepted = parameters(build.name)
    args, keywords = [], []
    for name, value in build.args.items():
        value = plain(name, value)
        if name not in usual and accepted[name].kind is not accepted[name].KEYWORD_ONLY:
            args.append(_literal(value, build, name))
        elif name not in usual or not _equal(value, usual[name]):
            keywords.append(ast.keyword(name, _literal(value, build, name)))
    if "rngs" in accepted and _draws(build.name):
        keywords.append(ast.keyword("rngs", e.dotted("rngs")))
    return ast.Call(e.dotted(f"nn.{build.name}"), args, keywords)


def plain(name: str, value: Any) -> Any:
    """One int in place of equal ints, and an int in place of a float, where it means the same."""
    if name == "scale_factor":  # torch makes floats of ints
        if isinstance(value, tuple):
            return tuple(plain(name, x) for x in value)
        return int(value) if isinstance(value, float) and value.is_integer() else value
    is_ints = isinstance(value, tuple) and bool(value) and all(type(x) is int for x in value)
    if is_ints and len({*value}) == 1 and (name in SPATIAL or (name == "normalized_shape" and len(value) == 1)):
        return value[0]
    return value


def _equal(value: Any, usual: Any) -> bool:
    if value is None or usual is None:  # numpy finds float64 equal to None
        return value is usual
    return isinstance(value, bool) == isinstance(usual, bool) and bool(value == usual)


def _draws(name: str) -> bool:
    return name.removeprefix("Lazy").rstrip("123d") not in NEVER_DRAWS


def _literal(value: Any, build: Build, name: str) -> ast.expr:
    match value:
        case Build():
            return expression(value)
        case Function():
            return e.dotted(f"F.{value.name}")
        case np.dtype():
            return e.dotted(f"jnp.{value.name}")
        case Array():
            return _array(value.value, build, name)
        case tuple():
            return ast.Tuple([_literal(x, build, name) for x in value])
        case list():
            return ast.List([_literal(x, build, name) for x in value])
        case Mapping():
            return ast.Dict([e.literal(key) for key in value], [_literal(x, build, name) for x in value.values()])
        case float() if not math.isfinite(value):
            return e.call("float", str(value))
    return ast.parse(repr(value), mode="eval").body  # of a slot, too, which is its name


def _array(value: np.ndarray, build: Build, name: str) -> ast.expr:
    # what jax makes of Python's numbers needs no dtype
    dtype = [] if value.dtype.name in ("float32", "int64", "int32", "bool") else [e.dotted(f"jnp.{value.dtype.name}")]
    if value.size <= SMALL:
        return e.call("jnp.array", _literal(numbers(value), build, name), *dtype)
    if name not in BUFFERS:
        raise ConversionError(
            f"{build.name}: {name}: expected at most {SMALL} numbers, which can be written out, got an array of shape "
            f"{value.shape}; make it a buffer of the module"
        )
    return e.call("jnp.zeros", value.shape[0] if value.ndim == 1 else value.shape, *dtype)
