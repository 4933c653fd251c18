"""The leaves of a tree of parameters under torch's names."""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from jaxnets.state import named_variables

__all__ = ["map_with_names", "named_leaves", "parameter_names"]


def named_leaves(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by the names that `state_dict` gives them: the keys of their paths, with dots.

    >>> named_leaves({"layers": [{"weight": 1.0}, {"weight": 2.0}]})
    {'layers.0.weight': 1.0, 'layers.1.weight': 2.0}
    """
    return {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def map_with_names(function: Callable[[str, Any], Any], tree: Any) -> Any:
    """The tree of `function(name, leaf)`."""
    return jax.tree_util.tree_map_with_path(lambda path, leaf: function(_name(path), leaf), tree)


def _name(path: tuple[Any, ...]) -> str:
    if path and path[-1] == jax.tree_util.GetAttrKey("value"):  # of an nnx.Variable
        path = path[:-1]
    return jax.tree_util.keystr(path, simple=True, separator=".")


def parameter_names(module: Any) -> list[tuple[str, ...]]:
    """The names of each parameter in the order of torch's `parameters()`: a tied one has several.

    Args:
        module: an `nnx.Module`, or any tree of parameters.
    """
    if not isinstance(module, nnx.Module):
        return [(name,) for name in named_leaves(module)]
    names: dict[int, tuple[str, ...]] = {}
    for name, variable in named_variables(module):
        if isinstance(variable, nnx.Param):
            names[id(variable)] = (*names.get(id(variable), ()), name)
    return list(names.values())
