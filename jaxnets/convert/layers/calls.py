"""Calls of the constructors of `jaxnets.nn`, as data: what the source of a module is printed from."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from types import MappingProxyType
from typing import Any

import numpy as np

from jaxnets import functional, nn

__all__ = ["Array", "Build", "Function", "defaults", "parameters"]


@dataclass(frozen=True)
class Function:
    """A function of `jaxnets.functional`."""

    name: str


@dataclass(frozen=True, eq=False)
class Array:
    """An array argument, such as the weight of a loss; two are equal if dtype, shape and numbers are."""

    value: np.ndarray

    def _key(self) -> tuple[Any, ...]:
        return self.value.dtype, self.value.shape, self.value.tobytes()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Array) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


@dataclass(frozen=True, eq=False)
class Build:
    """A call of a constructor, or of a function that changes a layer.

    Args:
        name: what `jaxnets.nn` calls it: "Conv2d", "utils.weight_norm".
        args: all its arguments by name in the constructor's order, those with their default value too, but not
            `rngs`: numbers, strings, None, tuples, numpy dtypes, `Function`, `Array`, `Build`.

    >>> Build("Dropout", {"p": 0.5, "inplace": False}) == Build("Dropout", {"p": 0.5, "inplace": False})
    True
    """

    name: str
    args: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "args", MappingProxyType(dict(self.args)))

    def _key(self) -> tuple[Any, ...]:
        # numpy finds float64 equal to None
        said = {n: x.name if isinstance(x, np.dtype) else x for n, x in self.args.items()}
        return self.name, *said.items()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Build) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


@cache
def parameters(name: str) -> Mapping[str, inspect.Parameter]:
    """The parameters of a constructor or function of `jaxnets.nn`, `rngs` included, by name.

    What torch does not have is left out: its layers compute in the dtype of their parameters, and keep every step.

    >>> list(parameters("Linear"))
    ['in_features', 'out_features', 'bias', 'dtype', 'rngs']
    """
    target: Any = attrgetter(name)(nn)
    constructor = getattr(target, "__init__") if inspect.isclass(target) else target  # noqa: B009
    found = inspect.signature(constructor).parameters
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    ours = ("self", "param_dtype", "checkpoint_every")
    return MappingProxyType({n: p for n, p in found.items() if n not in ours and p.kind not in variadic})


@cache
def defaults(name: str) -> Mapping[str, Any]:
    """The default values of the arguments that have one, as `Build.args` says them, without `rngs`.

    >>> defaults("Linear")
    mappingproxy({'bias': True, 'dtype': None})
    """
    found = {n: p.default for n, p in parameters(name).items() if p.default is not p.empty and n != "rngs"}
    return MappingProxyType({n: _value(default) for n, default in found.items()})


def _value(default: Any) -> Any:
    if not callable(default):
        return default
    assert getattr(functional, default.__name__) is default
    return Function(default.__name__)
