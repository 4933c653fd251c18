"""Parameter groups: other arguments, or another optimizer, for some of the parameters."""

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optax

from jaxnets import check
from jaxnets.optim.names import map_with_names, named_leaves

__all__ = ["param_groups"]


def param_groups(
    optimizer: Callable[..., optax.GradientTransformation], groups: Sequence[Mapping[str, Any]], **defaults: Any
) -> optax.GradientTransformationExtraArgs:
    """An optimizer with torch's parameter groups, by `optax.partition`.

    Args:
        optimizer: what makes it: `optim.SGD`, `optax.adam`, or `optax.inject_hyperparams` of one.
        groups: of each group a dict: under "params" a name or a list of names of parameters or modules, in which `*`
            and `?` stand for any characters, or a function `(name, array)` to whether the parameter is in the group;
            under the other keys arguments of this group; under "optimizer" another optimizer than the rest's.
        defaults: arguments of all groups that do not say otherwise.

    Returns:
        The optimizer. Parameters of no group stay what they are.

    Raises:
        TypeError: a group is no dict, has no "params".
        ValueError: when the optimizer meets the parameters: a parameter in two groups, a name that fits none.

    Differences from torch: parameters are named, as arrays have no identity; `state_dict` numbers them group by group
    as torch does.

    >>> import jax.numpy as jnp
    >>> from jaxnets import optim
    >>> groups = [{"params": "body"}, {"params": ["head.*"], "lr": 1e-3}]
    >>> optimizer = param_groups(optim.SGD, groups, lr=1e-2)
    >>> params = {"body": {"weight": jnp.ones(2)}, "head": {"bias": jnp.ones(1)}}
    >>> optimizer.update(params, optimizer.init(params))[0]
    {'body': {'weight': Array([-0.01, -0.01], dtype=float32)}, 'head': {'bias': Array([-0.001], dtype=float32)}}

    Source: https://docs.pytorch.org/docs/stable/optim.html#per-parameter-options
    """
    if not check.is_sequence(groups) or not groups:
        raise TypeError(f"groups: expected a list of dicts, one for each group, got {groups!r}")
    transforms: dict[int, optax.GradientTransformation] = {}
    members = []
    for i, group in enumerate(groups):
        if not isinstance(group, Mapping) or "params" not in group:
            raise TypeError(f'groups[{i}]: expected a dict with the key "params", got {group!r}')
        arguments = {k: v for k, v in {**defaults, **group}.items() if k not in ("params", "optimizer")}
        transforms[i] = group.get("optimizer", optimizer)(**arguments)
        members.append(_member(f"groups[{i}]", group["params"]))
    transforms[-1] = optax.set_to_zero()

    def labels(tree: Any) -> Any:
        found = {
            name: [i for i, member in enumerate(members) if member(name, x)] for name, x in named_leaves(tree).items()
        }
        for name, indices in found.items():
            if len(indices) > 1:
                raise ValueError(f"groups: expected each parameter in one group, got {name} in {indices}")
        for i in range(len(groups)):
            if not any(i in indices for indices in found.values()):
                raise ValueError(
                    f"groups[{i}]: expected names of parameters, got {groups[i]['params']!r}, which fits none of "
                    + ", ".join(found)
                )
        return map_with_names(lambda name, _: (found[name] or [-1])[0], tree)

    return optax.partition(transforms, labels)


def _member(where: str, params: Any) -> Callable[[str, Any], bool]:
    """Whether a parameter, by name and array, is in a group."""
    if callable(params):
        return params
    patterns = [params] if isinstance(params, str) else params
    if not check.is_sequence(patterns) or not all(isinstance(p, str) for p in patterns):
        raise TypeError(f"{where}['params']: expected names of parameters or a function, got {params!r}")
    return lambda name, _: any(fnmatch.fnmatchcase(name, end) for p in patterns for end in (p, f"{p}.*"))
