"""Containers of modules and of parameters: `torch.nn.Sequential`, `ModuleList`, `ParameterDict` and others."""

import warnings
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from operator import index
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxnets.nn.parameters import Layer

__all__ = ["Container", "Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]

Module = nnx.Module
"""Flax's own base class, by torch's name."""


class _Container(Layer):
    """Children are attributes under torch's names, so that the paths of NNX are the keys of torch.

    Their order is part of what a Sequential computes. NNX sorts attributes by name when it rebuilds a module
    ("10" before "2"), and two modules that differ in nothing but that order would share one compiled function:
    hence the names are also kept in a static tuple, which travels with the graph definition.
    """

    _names: tuple[str, ...] = ()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if isinstance(value, nnx.Module) and name not in self._names:
            super().__setattr__("_names", (*self._names, name))

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        if name in self._names:
            super().__setattr__("_names", tuple(n for n in self._names if n != name))

    def add_module(self, name: str, module: nnx.Module | None) -> None:
        """Adds a child, or replaces the child of that name at its place; `None` holds a place and is no layer."""
        if not isinstance(name, str):
            raise TypeError(f"name: expected a str, got {name!r} of type {type(name).__name__}")
        if not name or "." in name:
            raise ValueError(f"name: expected a name that is not empty and has no dots, got {name!r}")
        if name not in self._names and hasattr(self, name):
            raise ValueError(f"name: {name!r} is an attribute of {type(self).__name__} already; choose another name")
        if module is not None and not isinstance(module, nnx.Module):
            raise TypeError(
                f"module {name!r}: expected a flax.nnx.Module, got {module!r} of type {type(module).__name__}; "
                "write functions as layers, e.g. jaxnets.nn.ReLU()"
            )
        setattr(self, name, nnx.data(None) if module is None else module)
        if name not in self._names:
            self._names = (*self._names, name)

    def _children(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._names}

    def _replace(self, children: Mapping[str, Any]) -> None:
        """Makes these the children, in this order."""
        children = dict(children)
        for name in self._names:
            delattr(self, name)
        for name, module in children.items():
            self.add_module(name, module)

    def __len__(self) -> int:
        return len(self._names)


class _Ordered(_Container):
    """What Sequential and ModuleList have in common: children by position."""

    def _position(self, idx: int) -> int:
        size, position = len(self), index(idx)
        if not -size <= position < size:
            raise IndexError(f"idx: expected an index from {-size} to {size - 1}, got {position}")
        return position % size

    def __iter__(self) -> Iterator[Any]:
        return iter(self._children().values())

    def __setitem__(self, idx: int, module: nnx.Module) -> None:
        self.add_module(self._names[self._position(idx)], module)

    def __delitem__(self, idx: int | slice) -> None:
        """Removes children; those that are left are numbered anew, as in torch."""
        kept = list(self)
        del kept[idx if isinstance(idx, slice) else self._position(idx)]
        self._replace(_numbered(kept))

    def pop(self, key: int | slice) -> Any:
        """Removes and returns the children at an index or a slice."""
        removed = self[key]  # type: ignore[index]
        del self[key]
        return removed

    def append(self, module: nnx.Module) -> Self:
        """Adds a child at the end; its name is the number of children so far."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[nnx.Module]) -> Self:
        """Adds children at the end."""
        for module in _iterable("modules", modules):
            self.append(module)
        return self

    def insert(self, index: int, module: nnx.Module) -> Self:
        """Adds a child before that index; a negative index counts from the end."""
        size, names = len(self), self._names
        if not -size <= index <= size:
            raise IndexError(f"index: expected an index from {-size} to {size}, got {index}")
        if index == size:
            return self.append(module)
        if names != tuple(_numbered(names)):
            raise ValueError(f"insert: expected children named 0 to {size - 1}, got {', '.join(names)}")
        children = list(self)
        children.insert(index, module)
        self._replace(_numbered(children))
        return self


class Sequential(_Ordered):
    """Calls its modules one after the other, each with what the one before returned.

    `y = f_n(... f_2(f_1(x)))`

    Args:
        args: modules, named "0", "1", ... in this order; or one OrderedDict of names to modules.

    Shape:
        That of the first module's input to that of the last module's output. One value is passed on: a tuple
        is one value.

    Raises:
        TypeError: something that is no `nnx.Module`.
        ValueError: a name that is empty, has a dot, or is an attribute of the class.

    Differences from torch: none; any Flax NNX module may stand in it.

    >>> from jaxnets import nn
    >>> Sequential(nn.Identity(), nn.Identity())(3)
    3

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Sequential.html
    """

    def __init__(self, *args: Any):
        named = args[0] if len(args) == 1 and isinstance(args[0], OrderedDict) else _numbered(args)
        for name, module in named.items():
            self.add_module(name, module)

    def __call__(self, input: Any) -> Any:
        for module in self:
            input = module(input)
        return input

    def __getitem__(self, idx: int | slice) -> Any:
        """The module at an index, or a Sequential of the modules in a slice under their names."""
        if isinstance(idx, slice):
            return type(self)(OrderedDict(list(self._children().items())[idx]))
        return getattr(self, self._names[self._position(idx)])

    def __add__(self, other: "Sequential") -> "Sequential":
        return Sequential(*self, *_sequential(other))

    def __iadd__(self, other: "Sequential") -> Self:
        return self.extend(list(_sequential(other)))

    def __mul__(self, other: int) -> "Sequential":
        """The same modules, `other` times: they are shared, not copied."""
        return Sequential(*list(self) * _times(other))

    __rmul__ = __mul__

    def __imul__(self, other: int) -> Self:
        return self.extend(list(self) * (_times(other) - 1))


class ModuleList(_Ordered):
    """A list whose modules are children of it, named "0", "1", ...

    Args:
        modules: an iterable of modules.

    Raises:
        TypeError: something that is no `nnx.Module`, or `modules` is no iterable.

    Differences from torch: `insert` takes negative indices.

    >>> from jaxnets import nn
    >>> layers = ModuleList([nn.Identity() for _ in range(3)])
    >>> len(layers), len(layers[1:])
    (3, 2)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ModuleList.html
    """

    def __init__(self, modules: Iterable[nnx.Module] | None = None):
        if modules is not None:
            self.extend(modules)

    def __getitem__(self, idx: int | slice) -> Any:
        if isinstance(idx, slice):
            return type(self)(list(self)[idx])
        return getattr(self, self._names[self._position(idx)])

    def __add__(self, other: Iterable[nnx.Module]) -> "ModuleList":
        return ModuleList(chain(self, _iterable("other", other)))

    def __iadd__(self, other: Iterable[nnx.Module]) -> Self:
        return self.extend(other)


class ModuleDict(_Container):
    """A dict whose modules are children of it, in the order of insertion.

    Args:
        modules: a mapping of names to modules, or an iterable of pairs of both.

    Raises:
        TypeError: something that is no `nnx.Module`, a name that is no str, or `modules` is no iterable.
        ValueError: a name that is empty, has a dot, or is an attribute of the class ("keys"); no pairs.

    Differences from torch: `keys`, `values` and `items` are views of the children at the time of the call.

    >>> from jaxnets import nn
    >>> layers = ModuleDict({"right": nn.Identity(), "left": nn.Identity()})
    >>> list(layers), "left" in layers
    (['right', 'left'], True)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ModuleDict.html
    """

    def __init__(self, modules: Mapping[str, nnx.Module] | Iterable[Any] | None = None):
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Any:
        if key not in self._names:
            raise KeyError(f"{key!r}: expected one of {', '.join(map(repr, self._names)) or 'no names'}")
        return getattr(self, key)

    def __setitem__(self, key: str, module: nnx.Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        self[key]
        delattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __contains__(self, key: object) -> bool:
        return key in self._names

    def keys(self) -> Any:
        """The names."""
        return self._children().keys()

    def values(self) -> Any:
        """The modules."""
        return self._children().values()

    def items(self) -> Any:
        """Pairs of names and modules."""
        return self._children().items()

    def clear(self) -> None:
        """Removes all."""
        self._replace({})

    def pop(self, key: str) -> Any:
        """Removes and returns the module of that name."""
        module = self[key]
        del self[key]
        return module

    def update(self, modules: Mapping[str, nnx.Module] | Iterable[Any]) -> None:
        """Adds modules, or replaces those of the same name at their place."""
        if isinstance(modules, Mapping | ModuleDict):
            pairs = list(modules.items())
        else:
            pairs = list(_iterable("modules", modules))
        for i, pair in enumerate(pairs):
            if len(_iterable(f"modules[{i}]", pair)) != 2:
                raise ValueError(f"modules[{i}]: expected a pair of a name and a module, got {pair!r}")
            self[pair[0]] = pair[1]


class Container(_Container):
    """Modules as attributes, by name: torch's oldest container, deprecated there.

    Args:
        kwargs: names and modules.

    Raises:
        TypeError: something that is no `nnx.Module`.
        ValueError: a name that is an attribute of the class.

    Warns:
        FutureWarning: on creation, as torch does; write a subclass of `Module`.

    Differences from torch: none.

    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     net = Container(hidden=Sequential(), out=Sequential())
    >>> len(net), type(net.out).__name__
    (2, 'Sequential')

    Source: https://docs.pytorch.org/docs/stable/nn.html#containers
    """

    def __init__(self, **kwargs: nnx.Module):
        warnings.warn("`nn.Container` is deprecated; write a subclass of `nn.Module`", FutureWarning, stacklevel=2)
        for name, module in kwargs.items():
            self.add_module(name, module)


class _Parameters(Layer):
    """Values are attributes under torch's names, so that the paths of NNX are the keys of torch."""

    def _put(self, name: str, value: Any) -> None:
        """Sets an attribute; a plain array becomes a parameter, anything else stays what it is."""
        if isinstance(value, jax.Array | np.ndarray):
            value = nnx.Param(jnp.asarray(value))
        # said explicitly, so that data may take the place of what is none
        setattr(self, name, nnx.data(value) if nnx.is_data(value) else nnx.static(value))


class ParameterList(_Parameters):
    """A list of parameters, whose names are "0", "1", ...

    Args:
        values: an iterable of arrays, which become `nnx.Param`, or of variables, which stay what they are; anything
            else is kept as in a plain list.

    Raises:
        TypeError: `values` is no iterable, or an array itself.
        IndexError: an index that is out of range.

    Differences from torch: none.

    >>> weights = ParameterList([jnp.ones((2, 3)), jnp.zeros(3)])
    >>> len(weights), weights[-1].shape, type(weights[0]).__name__
    (2, (3,), 'Param')

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ParameterList.html
    """

    def __init__(self, values: Iterable[Any] | None = None):
        self._size = 0
        if values is not None:
            self.extend(values)

    def _name(self, idx: int) -> str:
        size, position = len(self), index(idx)
        if not -size <= position < size:
            raise IndexError(f"idx: expected an index from {-size} to {size - 1}, got {position}")
        return str(position % size)

    def __getitem__(self, idx: int | slice) -> Any:
        """The value at an index, or a list of the values in a slice."""
        if isinstance(idx, slice):
            return type(self)(list(self)[idx])
        return getattr(self, self._name(idx))

    def __setitem__(self, idx: int, param: Any) -> None:
        self._put(self._name(idx), param)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __iadd__(self, parameters: Iterable[Any]) -> Self:
        return self.extend(parameters)

    def append(self, value: Any) -> Self:
        """Adds a value at the end."""
        self._put(str(self._size), value)
        self._size += 1
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Adds values at the end."""
        if isinstance(values, jax.Array | np.ndarray | nnx.Variable):
            raise TypeError(f"values: expected an iterable of parameters, got one {type(values).__name__}; use append")
        for value in list(_iterable("values", values)):
            self.append(value)
        return self


class ParameterDict(_Parameters):
    """A dict of parameters, in the order of insertion.

    Args:
        parameters: a mapping of names to values, or an iterable of pairs of both. Arrays become `nnx.Param`,
            variables stay what they are, anything else is kept as in a plain dict. As in torch, a plain dict is
            taken in the order of its names; an OrderedDict, a ParameterDict and pairs keep theirs.

    Raises:
        TypeError: `parameters` is no iterable, or a name is no str.
        ValueError: a name that is empty, has a dot, or is an attribute of the class ("keys"); no pairs.
        KeyError: there is no value of that name.

    Differences from torch: a name that is an attribute of the class is refused for every value.

    >>> weights = ParameterDict({"right": jnp.ones(2), "left": jnp.zeros(3)})
    >>> list(weights), weights["right"].shape
    (['left', 'right'], (2,))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ParameterDict.html
    """

    def __init__(self, parameters: Any = None):
        self._keys: tuple[str, ...] = ()
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Any:
        if not isinstance(key, str):
            raise TypeError(f"key: expected a str, got {key!r} of type {type(key).__name__}")
        if key not in self._keys:
            raise KeyError(f"{key!r}: expected one of {', '.join(map(repr, self._keys)) or 'no names'}")
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"key: expected a str, got {key!r} of type {type(key).__name__}")
        if not key or "." in key:
            raise ValueError(f"key: expected a name that is not empty and has no dots, got {key!r}")
        if key not in self._keys and hasattr(self, key):
            raise ValueError(f"key: {key!r} is an attribute of {type(self).__name__} already; choose another name")
        self._put(key, value)
        if key not in self._keys:
            self._keys = (*self._keys, key)

    def __delitem__(self, key: str) -> None:
        self[key]
        delattr(self, key)
        self._keys = tuple(k for k in self._keys if k != key)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __or__(self, other: Any) -> "ParameterDict":
        merged = self.copy()
        merged.update(other)
        return merged

    def __ror__(self, other: Any) -> "ParameterDict":
        merged = other.copy()
        merged.update(self)
        return merged

    def __ior__(self, other: Any) -> Self:
        self.update(other)
        return self

    def copy(self) -> "ParameterDict":
        """A new ParameterDict of the same variables."""
        return ParameterDict(OrderedDict(self.items()))

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of that name; if there is none, `default`, which is put there first."""
        if key not in self:
            self[key] = default
        return self[key]

    def clear(self) -> None:
        """Removes all."""
        for key in self._keys:
            del self[key]

    def pop(self, key: str) -> Any:
        """Removes and returns the value of that name."""
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Removes and returns the name and the value that were put in last."""
        if not self._keys:
            raise KeyError("popitem: the ParameterDict is empty")
        return self._keys[-1], self.pop(self._keys[-1])

    def get(self, key: str, default: Any = None) -> Any:
        """The value of that name, or `default`."""
        return self[key] if key in self else default  # noqa: SIM401

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> "ParameterDict":
        """A new ParameterDict of these names, each with `default`."""
        return ParameterDict((key, default) for key in keys)

    def keys(self) -> Any:
        """The names."""
        return dict.fromkeys(self._keys).keys()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Pairs of names and values."""
        return ((key, self[key]) for key in self._keys)

    def values(self) -> Iterable[Any]:
        """The values."""
        return (self[key] for key in self._keys)

    def update(self, parameters: Any) -> None:
        """Adds values, or replaces those of the same name at their place."""
        if isinstance(parameters, OrderedDict | ParameterDict):
            pairs = list(parameters.items())
        elif isinstance(parameters, Mapping):
            pairs = sorted(parameters.items(), key=lambda pair: pair[0])
        else:
            pairs = list(_iterable("parameters", parameters))
        for i, pair in enumerate(pairs):
            if len(tuple(_iterable(f"parameters[{i}]", pair))) != 2:
                raise ValueError(f"parameters[{i}]: expected a pair of a name and a value, got {pair!r}")
            self[pair[0]] = pair[1]


def _numbered(modules: Iterable[Any]) -> dict[str, Any]:
    return {str(i): module for i, module in enumerate(modules)}


def _iterable(name: str, value: Any) -> Any:
    if not isinstance(value, Iterable):
        raise TypeError(f"{name}: expected an iterable, got {value!r} of type {type(value).__name__}")
    return value


def _sequential(other: Any) -> Sequential:
    if not isinstance(other, Sequential):
        raise ValueError(f"other: expected a Sequential, got {type(other).__name__}; wrap it in Sequential(...)")
    return other


def _times(other: Any) -> int:
    if not isinstance(other, int):
        raise TypeError(f"other: expected an int, got {other!r} of type {type(other).__name__}")
    if other <= 0:
        raise ValueError(f"other: expected an int of at least 1, got {other}")
    return other
