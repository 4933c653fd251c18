"""What a torch function is in JAX: a table from torch's names to expressions.

A function stands in one of three places. Where `jnp`, an operator or a method of arrays is exactly what torch
computes, a rule of this room says so. What `jaxnets.functional` or `jaxnets.ops` have under torch's name is called as
torch's is.
Anything else is unknown, and is taken apart into what it is made of.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import torch

from jaxnets import functional, ops
from jaxnets.convert import expressions as e
from jaxnets.convert.operators import arithmetic, creation, indexing, shapes
from jaxnets.convert.operators.names import canonical
from jaxnets.convert.operators.rules import DROPPED, Rule
from jaxnets.convert.trace import ModeChoice, Op, tree_leaves

if TYPE_CHECKING:
    from jaxnets.convert.writing.body import Body

__all__ = ["expression", "is_function", "is_known"]

RULES: Mapping[str, Rule] = {**arithmetic.RULES, **shapes.RULES, **indexing.RULES, **creation.RULES}


def is_known(name: str) -> bool:
    """Whether a function can be said in JAX."""
    name = canonical(name)
    return name in RULES or is_function(name)


def is_function(name: str) -> bool:
    """Whether a function is here under torch's name, and takes its arguments when it runs."""
    return _target(name) is not None


def expression(body: "Body", op: Op) -> e.Expr:
    """The expression that computes an operation."""
    return _by_rule(body, op) or _call(body, op)


def _by_rule(body: "Body", op: Op) -> e.Expr | None:
    rule = RULES.get(op.name) or RULES.get(op.name.removeprefix("aten."))
    kwargs = {("input" if name == "self" else name): x for name, x in op.kwargs.items() if name not in DROPPED}
    if rule is None or any(isinstance(x, ModeChoice) for x in tree_leaves((op.args, kwargs))):
        return None
    try:
        inspect.signature(rule).bind(body, op, *op.args, **kwargs)
    except TypeError:  # arguments of which the rule knows nothing
        return None
    return rule(body, op, *op.args, **kwargs)


ROOMS = ("fft", "linalg", "special")
"""Parts of `jaxnets.ops` of torch's names; ATen's names have theirs as a prefix."""


@cache
def _target(name: str) -> tuple[str, Callable[..., Any]] | None:
    """Where torch's function lies in jaxnets, by its full name there."""
    prefix, _, short = name.rpartition(".")
    if prefix == "aten" and short.partition("_")[0] in ROOMS:
        prefix, _, short = short.partition("_")
    if prefix in ROOMS:
        return _found(f"ops.{prefix}", getattr(ops, prefix), short)
    if prefix == "functional":
        return _found("F", functional, short) or _found("ops", ops, short)
    if prefix not in ("", "aten"):
        return None
    found = _found("ops", ops, short)
    if found is None and _has_signature_of_aten(short):
        found = _found("F", functional, short)
    return found


def _found(room: str, module: Any, name: str) -> tuple[str, Callable[..., Any]] | None:
    function = getattr(module, name, None)
    return (f"{room}.{name}", function) if callable(function) else None


@cache
def _has_signature_of_aten(name: str) -> bool:
    """Whether a function of `jaxnets.functional` takes what the functions of torch's other rooms take by that name."""
    packet, function = getattr(torch.ops.aten, name, None), getattr(functional, name, None)
    if packet is None or not callable(function):
        return False
    ours = [(x.name, x.default) for x in _parameters(function).values() if x.kind is x.POSITIONAL_OR_KEYWORD]
    for overload in packet.overloads():
        arguments = [x for x in getattr(packet, overload)._schema.arguments if x.name not in (*DROPPED, *UNUSED)]
        theirs = [("input" if x.name == "self" else x.name, x.default_value, x.has_default_value()) for x in arguments]
        if overload.endswith("out"):
            continue
        for i, (argument, default, has_default) in enumerate(theirs):
            known = ours[i] if i < len(ours) else (None, None)
            if known[0] != argument or (has_default and known[1] != default):
                return False
    return True


UNUSED = ("cudnn_enable", "cudnn_enabled")
"""Arguments that torch's functions of graphics processors take."""


@cache
def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


def _call(body: "Body", op: Op) -> e.Expr:
    """A call of the function in `jaxnets.functional` or `jaxnets.ops` that has torch's name."""
    found = _target(op.name)
    if found is None:
        raise e.UnsaidError("no function of JAX does this with these arguments; write it with other functions")
    name, function = found
    parameters = _parameters(function)
    kwargs = {("input" if key == "self" else key): x for key, x in op.kwargs.items() if key not in DROPPED}
    args = list(op.args)
    positional = [p for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    given = dict(zip((p.name for p in positional), args, strict=False))
    while args and len(args) <= len(positional) and _is_default(positional[len(args) - 1], args[-1]):
        args.pop()
    kwargs = {key: x for key, x in kwargs.items() if key not in parameters or not _is_default(parameters[key], x)}
    named = {key: body.expr(x) for key, x in kwargs.items()}
    usual = {p.name: p.default for p in positional if p.default is not p.empty}
    for key in ("key", "dropout_key"):
        known = parameters.get(key)
        if known is not None and known.kind is known.KEYWORD_ONLY and _draws({**usual, **given, **op.kwargs}):
            named[key] = body.key()
    return e.call(name, *map(body.expr, args), **named)


PER_AXIS = {"dilation", "output_padding", "padding", "stride"}
"""Arguments for which one int means the same for each axis."""


def _is_default(parameter: inspect.Parameter, value: Any) -> bool:
    if parameter.name in ("inplace", "_stacklevel"):
        return True
    default = parameter.default
    if parameter.name in PER_AXIS and isinstance(value, tuple) and value and all(type(x) is int for x in value):
        return type(default) is int and set(value) == {default}
    return default is not parameter.empty and type(default) is type(value) and default == value


def _draws(arguments: Mapping[str, Any]) -> bool:
    """Whether a function that can draw random numbers does."""
    switches = [arguments[name] for name in ("training", "train", "dropout_p") if name in arguments]
    return all(isinstance(x, ModeChoice) or bool(x) for x in switches)
