"""torch's names <-> a module's leaves: `state_dict`, `load_state_dict`."""

import difflib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxnets.arrays import to_numpy

__all__ = ["IncompatibleKeys", "load_state_dict", "named_variables", "state_dict"]

NOT_STATE = (nnx.RngState, nnx.Cache, nnx.Intermediate, nnx.Perturbation)
KINDS = {"f": "floating", "V": "floating", "i": "integer", "u": "integer", "b": "boolean", "c": "complex"}


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict(strict=False)` left alone."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def named_variables(module: nnx.Module) -> Iterator[tuple[str, nnx.Variable]]:
    """Every parameter and persistent buffer under torch's name, in torch's order.

    A module's own parameters come first, then its buffers, then its children, each group in the order of
    registration. A variable that is reached by two names is given under both, as in torch.

    >>> from jaxnets import nn
    >>> [name for name, _ in named_variables(nn.Linear(2, 3, rngs=nnx.Rngs(0)))]
    ['weight', 'bias']
    """
    if not isinstance(module, nnx.Module):
        raise TypeError(f"module: expected a flax.nnx.Module, got {type(module).__name__}")
    yield from _walk(module)


def _walk(module: nnx.Module) -> Iterator[tuple[str, nnx.Variable]]:
    for prefix, node in _nodes(module, "", ()):
        leaves = [
            (prefix + name, value)
            for name, value in _attributes(node)
            if isinstance(value, nnx.Variable)
            and not isinstance(value, NOT_STATE)
            and value.get_metadata("persistent", True)
        ]
        yield from sorted(leaves, key=lambda leaf: not isinstance(leaf[1], nnx.Param))


def _nodes(node: Any, prefix: str, above: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    """A module, its children, and theirs, with the prefixes of their names."""
    if id(node) in above:  # a child that points back to its parent
        return
    yield prefix, node
    for name, child in _attributes(node):
        if isinstance(child, nnx.Pytree | list | tuple | dict) and not isinstance(child, nnx.Variable):
            yield from _nodes(child, f"{prefix}{name}.", (*above, id(node)))


def _attributes(node: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of a module, or the items of a plain container, in the order they were given."""
    if isinstance(node, dict):
        yield from ((str(key), value) for key, value in node.items())
    elif isinstance(node, list | tuple):
        yield from ((str(i), value) for i, value in enumerate(node))
    else:
        # nnx.merge and jax.tree.map rebuild a module with its attributes sorted by name; what Flax notes
        # of each attribute keeps the order of assignment.
        values = vars(node)
        for name in dict.fromkeys((*getattr(node, "_pytree__nodes", ()), *values)):
            if name in values and not name.startswith("_pytree__"):
                yield name, values[name]


def state_dict(module: nnx.Module) -> dict[str, jax.Array]:
    """The arrays of a module by torch's names, in torch's order, buffers included.

    Args:
        module: any Flax NNX module: its names are the paths of attributes, `layers.0.weight`.

    Returns:
        A new dict. An integer array that torch holds in 64 bits (`num_batches_tracked`) is given in 64 bits,
        though JAX computes in 32 unless `jax_enable_x64` is set.

    Differences from torch: no `destination`, `prefix`, `keep_vars`.

    >>> from jaxnets import nn
    >>> list(state_dict(nn.Linear(2, 3, rngs=nnx.Rngs(0))))
    ['weight', 'bias']

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.state_dict
    """
    return {name: _as_in_torch(variable) for name, variable in named_variables(module)}


def _as_in_torch(variable: nnx.Variable) -> jax.Array:
    value, dtype = variable.get_value(), variable.get_metadata("torch_dtype", None)
    if dtype is None or value.dtype == dtype or not isinstance(value, jax.Array) or isinstance(value, jax.core.Tracer):
        return value  # what has no values has no need of 64 bits
    with jax.enable_x64(True):
        return value.astype(dtype)


def load_state_dict(module: nnx.Module, state: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
    """Fills a module in place with arrays by torch's names.

    The module takes the dtypes of `state` (torch's `assign=True`): a bfloat16 checkpoint makes bfloat16
    parameters, and what is saved again is what was loaded. With JAX's 64-bit types off (`jax_enable_x64`),
    float64 is rounded to float32, and an int64 buffer is held in 32 bits and saved in 64.

    Args:
        module: any Flax NNX module.
        state: names to numpy, jax or torch arrays.
        strict: whether missing and unexpected names are errors.

    Returns:
        `(missing_keys, unexpected_keys)`.

    Raises:
        TypeError: `module` is no module, `state` no mapping of names.
        ValueError: names are missing or unexpected (if strict), shapes or kinds of dtype differ: all of them in
            one message, each with the nearest name. The module is untouched then.

    Differences from torch: dtypes are adopted, not cast. As in torch, `num_batches_tracked` may be missing in a
    state without version metadata, since files from before torch 0.4.1 do not have it.

    >>> from jaxnets import nn
    >>> load_state_dict(nn.Linear(2, 1, rngs=nnx.Rngs(0)), {"weight": np.ones((1, 2)), "bias": np.ones(1)})
    IncompatibleKeys(missing_keys=[], unexpected_keys=[])

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.load_state_dict
    """
    variables = dict(named_variables(module))
    if not isinstance(state, Mapping):
        raise TypeError(f"state: expected a mapping of names to arrays, got {type(state).__name__}")
    for key in state:
        if not isinstance(key, str):
            raise TypeError(f"state: expected names (str) as keys, got {key!r} of type {type(key).__name__}")
    state = _upgraded(module, state)

    missing = [name for name in variables if name not in state and not _is_optional(name, state)]
    unexpected = [name for name in state if name not in variables]
    problems = list(_key_problems(missing, unexpected, variables, state)) if strict else []
    updates = []
    for name, variable in variables.items():
        if name in state:
            try:
                updates.append((variable, *_fit(state[name], variable)))
            except (TypeError, ValueError) as error:
                problems.append(f"{name}: {error}")
    if problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise ValueError(
            f"state does not fit {type(module).__name__}: {count}, nothing was loaded\n  "
            + "\n  ".join(problems)
            + _prefix_advice(missing, unexpected)
        )
    for variable, array, torch_dtype in updates:
        if torch_dtype is not None:
            variable.set_metadata(torch_dtype=torch_dtype)
        elif variable.has_metadata("torch_dtype"):
            variable.del_metadata("torch_dtype")
        variable.set_value(array)
    for loaded in list(_hooks(module, "state_loaded")):  # a layer may become another then
        loaded()
    return IncompatibleKeys(missing, unexpected)


def _hooks(module: nnx.Module, name: str) -> Iterator[Callable[..., None]]:
    """The methods of that name of a module and its children, which take the prefix of their names first."""
    for prefix, node in _nodes(module, "", ()):
        if hasattr(type(node), name):  # asked of the class: nnx.Rngs, which may be a child, has every attribute
            yield partial(getattr(node, name), prefix)


def _upgraded(module: nnx.Module, state: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a module's `upgrade_state(prefix, state)` makes of names that older versions of torch gave."""
    hooks = list(_hooks(module, "upgrade_state"))
    if not hooks:
        return state
    upgraded = OrderedDict(state)
    upgraded.__dict__.update(_metadata=getattr(state, "_metadata", {}))
    for upgrade in hooks:
        upgrade(upgraded)
    return upgraded


def _is_optional(name: str, state: Mapping[str, Any]) -> bool:
    owner, _, leaf = name.rpartition(".")
    metadata = getattr(state, "_metadata", {})
    return leaf == "num_batches_tracked" and (metadata.get(owner, {}).get("version") or 0) < 2


def _fit(array: Any, variable: nnx.Variable) -> tuple[jax.Array, str | None]:
    """The array as JAX holds it, and torch's dtype where JAX holds a narrower one."""
    held = variable.get_value()
    if not isinstance(array, jax.Array):
        array = to_numpy(array)
    # a lazy layer's parameter that has no values yet has None for what it does not know
    known = tuple(a if h is None else h for h, a in zip(held.shape, array.shape, strict=False))
    if len(array.shape) != len(held.shape) or array.shape != known:
        raise ValueError(f"expected shape {held.shape}, got {array.shape}")
    kind, wanted = _kind(array.dtype), _kind(held.dtype)
    if kind != wanted:
        raise TypeError(f"expected a dtype of {wanted} kind such as {held.dtype}, got {array.dtype}")
    dtype = jax.dtypes.canonicalize_dtype(array.dtype)
    if isinstance(array, jax.Array) and array.dtype == dtype:
        return array, None
    array = np.asarray(array)
    narrowed = kind == "integer" and array.dtype != dtype
    if narrowed and array.size:
        bounds = np.iinfo(dtype)
        if array.min() < bounds.min or array.max() > bounds.max:
            raise ValueError(f"{array.dtype} values do not fit {dtype}; set jax_enable_x64 to hold them")
    placement = held.sharding if getattr(held, "committed", False) else None
    # astype copies: JAX may alias the memory it is given
    return jax.device_put(array.astype(dtype), placement), str(array.dtype) if narrowed else None


def _kind(dtype: Any) -> str:
    if jnp.issubdtype(dtype, jnp.floating):
        return "floating"
    return KINDS.get(np.dtype(dtype).kind, str(dtype))


def _key_problems(
    missing: list[str], unexpected: list[str], variables: Mapping[str, Any], state: Mapping[str, Any]
) -> Iterator[str]:
    for name in missing:
        yield f"missing: {name}, shape {variables[name].shape}{_nearest(name, unexpected)}"
    for name in unexpected:
        shape = getattr(state[name], "shape", None)
        what = type(state[name]).__name__ if shape is None else f"shape {tuple(shape)}"
        yield f"unexpected: {name}, {what}{_nearest(name, missing or list(variables))}"


def _prefix_advice(missing: list[str], unexpected: list[str]) -> str:
    """What to do when one prefix, such as DataParallel's `module.`, makes every missing name an unexpected one."""
    for name in unexpected if missing else ():
        prefix = name.removesuffix(missing[0])
        if name.endswith("." + missing[0]) and {prefix + m for m in missing} <= set(unexpected):
            renamed = f"{{name.removeprefix({prefix!r}): x for name, x in state.items()}}"
            return f"\n  the names in state start with {prefix!r} and the module's do not; load {renamed}"
    return ""


def _nearest(name: str, candidates: list[str]) -> str:
    """The candidate that looks most like `name`; among very many, only those that end alike are compared."""
    if len(candidates) > 100:
        leaf = name.rpartition(".")[2]
        candidates = [c for c in candidates if c.rpartition(".")[2] == leaf][:100]
    near = difflib.get_close_matches(name, candidates, n=1)
    return f"; did you mean {near[0]}?" if near else ""
