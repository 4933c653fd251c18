"""torch's optimizer checkpoints <-> the state of an optimizer here: `load_state_dict`, `state_dict`."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jaxnets.arrays import to_numpy
from jaxnets.optim import lbfgs_state
from jaxnets.optim.lbfgs import LBFGSState
from jaxnets.optim.names import map_with_names, named_leaves, parameter_names
from jaxnets.optim.optimizer import Hyperparameters, OptimizerState

__all__ = ["load_state_dict", "state_dict"]

UNCHECKED = {"params", "param_names", "foreach", "capturable", "differentiable", "fused"}  # change no number
INJECTED = (optax.InjectStatefulHyperparamsState, optax.InjectHyperparamsState)
STATES = (OptimizerState, LBFGSState)
UNCOUNTED = ("SGD", "Muon")  # torch keeps no count of their steps

State = Any
"""One of `STATES`."""


def load_state_dict(opt_state: Any, torch_state: Mapping[str, Any], module: Any, *, step: int | None = None) -> Any:
    """The state of an optimizer with the numbers of torch's: the run goes on where torch's stopped.

    Args:
        opt_state: of an optimizer of `jaxnets.optim`, as `init` gives it; also within `optax.chain`,
            `optax.MultiSteps`, `optax.inject_hyperparams`, `param_groups`. Or an `nnx.Optimizer`, which is filled in
            place.
        torch_state: what torch's `optimizer.state_dict()` gives, or `jaxnets.load` of the file it was saved in.
        module: whose parameters they are: the `nnx.Module`, or the tree of parameters that `init` was given. It says
            in which order torch counts them.
        step: how many steps were made, where torch's state does not say (SGD, Muon): schedules go on from there.

    Returns:
        A new state like `opt_state`, or the `nnx.Optimizer`. Injected hyperparameters have torch's values.

    Raises:
        TypeError: `torch_state` is none.
        ValueError: groups, parameters, shapes or arguments of the optimizers differ: all that does, in one message;
            nothing was loaded.

    >>> import jax.numpy as jnp
    >>> from jaxnets import optim
    >>> params = {"weight": jnp.ones(2)}
    >>> torch_state = {"state": {0: {"momentum_buffer": np.full(2, 0.5)}},
    ...                "param_groups": [{"lr": 0.1, "momentum": 0.9, "params": [0]}]}
    >>> load_state_dict(optim.SGD(lr=0.1, momentum=0.9).init(params), torch_state, params).slots
    {'momentum_buffer': {'weight': Array([0.5, 0.5], dtype=float32)}}

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.load_state_dict.html
    """
    if isinstance(opt_state, nnx.Optimizer):
        loaded = load_state_dict(nnx.as_pure(opt_state.opt_state), torch_state, module, step=step)
        nnx.update(opt_state.opt_state, nnx.state(loaded))
        opt_state.step[...] = optimizer_states(loaded)[0].step.astype(opt_state.step[...].dtype)
        return opt_state
    if not isinstance(torch_state, Mapping) or not {"state", "param_groups"} <= set(torch_state):
        raise TypeError(
            'torch_state: expected the dict of an optimizer with "state" and "param_groups", got '
            + (f"one with {list(torch_state)[:5]}" if isinstance(torch_state, Mapping) else type(torch_state).__name__)
        )
    theirs = torch_state["param_groups"]
    ours = optimizer_states(opt_state)
    if len(ours) != len(theirs):
        raise ValueError(
            f"opt_state: expected {len(theirs)} of jaxnets' optimizers, one for each parameter group of torch_state, "
            f"got {len(ours)}; see jaxnets.optim.param_groups"
        )
    groups, problems = iter(enumerate(theirs)), list[str]()

    def visit(state: State, injected: dict[str, Any]) -> State:
        i, group = next(groups)
        found: list[str] = []
        loaded = _loaded(state, injected, group, torch_state["state"], parameter_names(module), step, found)
        problems.extend(f"param_groups[{i}]: {problem}" for problem in found)
        return loaded

    loaded = _visited(opt_state, visit, {})
    if problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise ValueError(f"torch_state does not fit: {count}, nothing was loaded\n  " + "\n  ".join(problems))
    return loaded


def state_dict(opt_state: Any, module: Any) -> dict[str, Any]:
    """What torch's `optimizer.state_dict()` would give: the way back.

    `jaxnets.save` writes it, and torch's optimizer loads what `torch.load` reads.

    Args:
        opt_state: as for `load_state_dict`.
        module: as for `load_state_dict`.

    Returns:
        `{"state": {0: {"exp_avg": ..., "step": ...}, ...}, "param_groups": [{"lr": ..., "params": [0, ...]}, ...]}`,
        parameters numbered group by group in torch's order. Of a schedule the rate of the next step is given.

    >>> import jax.numpy as jnp
    >>> from jaxnets import optim
    >>> params = {"weight": jnp.ones(2)}
    >>> state = state_dict(optim.Adagrad(lr=0.1).init(params), params)
    >>> state["state"], state["param_groups"][0]["params"]
    ({0: {'step': array(0., dtype=float32), 'sum': Array([0., 0.], dtype=float32)}}, [0])

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.state_dict.html
    """
    if isinstance(opt_state, nnx.Optimizer):
        opt_state = nnx.as_pure(opt_state.opt_state)
    written: dict[str, Any] = {"state": {}, "param_groups": []}

    def visit(state: State, injected: dict[str, Any]) -> State:
        names = _in_order(state, parameter_names(module))
        first = sum(len(group["params"]) for group in written["param_groups"])
        written["state"].update({first + i: entry for i, entry in enumerate(_entries(state, names))})
        group = dict(state.hyperparameters) | {k: np.asarray(v).item() for k, v in injected.items()}
        if callable(group["lr"]):
            group["lr"] = float(group["lr"](state.step))
        written["param_groups"].append(group | {"params": list(range(first, first + len(names)))})
        return state

    _visited(opt_state, visit, {})
    return written


def _entries(state: State, names: list[str]) -> list[dict[str, Any]]:
    """What torch keeps for each parameter, or for the first alone."""
    if isinstance(state, LBFGSState):
        return [all_of_them] if (all_of_them := lbfgs_state.to_torch(state, names)) else []
    if not state.slots:
        return []
    slots = {slot: named_leaves(tree) for slot, tree in state.slots.items()}
    counted = state.hyperparameters.optimizer not in UNCOUNTED

    def entry(name: str) -> dict[str, Any]:
        # an array of its own, or the file would tie them and torch would count each step several times
        step = {"step": np.array(state.step, np.float32)} if counted else {}
        return step | {slot: leaves[name] for slot, leaves in slots.items() if name in leaves}

    return [entry(name) for name in names]


def optimizer_states(opt_state: Any) -> list[State]:
    """The states of optimizers of this package within that of any transformation of optax, in order."""
    found: list[State] = []

    def visit(state: State, injected: dict[str, Any]) -> State:
        found.append(state)
        return state

    _visited(opt_state, visit, {})
    return found


def _visited(opt_state: Any, visit: Callable[..., State], injected: dict[str, Any]) -> Any:
    """`opt_state` with what `visit` makes of each optimizer's state and of the hyperparameters injected into it."""

    def at(node: Any) -> Any:
        if isinstance(node, STATES):
            return visit(node, injected)
        if not isinstance(node, INJECTED):
            return node
        hyperparameters = dict(node.hyperparams)
        inner = _visited(node.inner_state, visit, hyperparameters)
        steps = [state.step for state in optimizer_states(inner)]
        if not steps:
            return node
        node = node._replace(count=steps[0], hyperparams=hyperparameters, inner_state=inner)
        schedules = getattr(node, "hyperparams_states", None)
        return node._replace(hyperparams_states=jax.tree.map(lambda _: steps[0], schedules)) if schedules else node

    return jax.tree.map(at, opt_state, is_leaf=lambda node: isinstance(node, (*STATES, *INJECTED)))


def _loaded(
    state: State,
    injected: dict[str, Any],
    group: Mapping[str, Any],
    entries: Mapping[int, Mapping[str, Any]],
    parameters: list[tuple[str, ...]],
    step: int | None,
    problems: list[str],
) -> State:
    """The state with torch's numbers; `injected` takes those of the group."""
    problems.extend(_differing(state.hyperparameters, injected, group))
    injected.update(
        {
            name: jnp.asarray(to_numpy(group[name]) if hasattr(group[name], "dtype") else group[name], value.dtype)
            for name, value in injected.items()
            if name in group
        }
    )
    names = _their_names(state, group, parameters, problems)
    if isinstance(state, LBFGSState):
        entry = entries.get(group["params"][0], {}) if group["params"] else {}
        made = _count(state, set(), step, bool(entry), problems)
        try:
            return lbfgs_state.from_torch(state, entry, names, made)
        except ValueError as error:
            problems.append(str(error))
            return state
    held = {slot: named_leaves(tree) for slot, tree in state.slots.items()}
    values: dict[tuple[str, str], jax.Array] = {}
    steps: set[int] = set()
    for index, name in zip(group["params"], names, strict=False):
        entry = {key: value for key, value in entries.get(index, {}).items() if value is not None}
        if "step" in entry:
            steps.add(int(entry.pop("step")))
        mine = {slot for slot, leaves in held.items() if name in leaves}
        if entry and set(entry) != mine and name in state.hyperparameters.parameters:
            theirs, ours = ", ".join(sorted(entry)), ", ".join(sorted(mine)) or "nothing"
            problems.append(
                f"{name}: torch's optimizer keeps {theirs}; {state.hyperparameters.optimizer} here keeps {ours}"
            )
            continue
        for slot in mine & set(entry):
            try:
                values[slot, name] = _fit(entry[slot], held[slot][name])
            except ValueError as error:
                problems.append(f"{name}: {slot}: {error}")
    made = _count(state, steps, step, bool(values), problems)
    slots = {slot: _with_values(tree, slot, values) for slot, tree in state.slots.items()}
    return state._replace(step=jnp.asarray(made, state.step.dtype), slots=slots)


def _with_values(tree: Any, slot: str, values: Mapping[tuple[str, str], jax.Array]) -> Any:
    return map_with_names(lambda name, leaf: values.get((slot, name), leaf), tree)


def _differing(ours: Hyperparameters, injected: Mapping[str, Any], group: Mapping[str, Any]) -> list[str]:
    """Arguments that change numbers and differ, but for schedules and what is injected."""
    problems = []
    for name, value in ours.items():
        if name in UNCHECKED or name in injected or name not in group or callable(value):
            continue
        theirs = group[name]
        theirs = to_numpy(theirs).item() if hasattr(theirs, "dtype") else theirs
        if (tuple(theirs) if isinstance(theirs, list) else theirs) != value:
            problems.append(f"{name}: torch's run had {theirs}, this optimizer has {value}")
    return problems


def _in_order(state: State, parameters: list[tuple[str, ...]]) -> list[str]:
    """The names of the parameters of a state in torch's order."""
    held = set(state.hyperparameters.parameters)
    return [next(name for name in names if name in held) for names in parameters if held.intersection(names)]


def _their_names(
    state: State, group: Mapping[str, Any], parameters: list[tuple[str, ...]], problems: list[str]
) -> list[str]:
    """The names that we have for the parameters of a group of torch's."""
    ours = _in_order(state, parameters)
    if "param_names" in group:
        known = {alias: next((n for n in names if n in ours), alias) for names in parameters for alias in names}
        unknown = [name for name in group["param_names"] if name not in known]
        problems.extend(f"{name}: no parameter of the module" for name in unknown)
        return [known.get(name, name) for name in group["param_names"]]
    if len(group["params"]) == len(ours):
        return ours
    if len(group["params"]) == len(parameters):  # frozen ones are counted by torch, and have no state
        return [next((n for n in names if n in ours), names[0]) for names in parameters]
    problems.append(f"params: torch's group has {len(group['params'])}, this optimizer {len(ours)}: {', '.join(ours)}")
    return []


def _count(state: State, steps: set[int], given: int | None, loaded: bool, problems: list[str]) -> int:
    """How many steps were made."""
    if len(steps) > 1:
        problems.append(f"step: expected one count for all parameters, got {sorted(steps)}")
    elif steps and given not in (None, *steps):
        problems.append(f"step: torch's run made {steps.pop()}, the argument says {given}")
    elif steps or given is not None:
        return steps.pop() if steps else int(given or 0)
    elif callable(state.hyperparameters.get("lr")):
        problems.append("step: torch's state does not say how many steps were made, which the schedule of lr must know")
    return int(loaded)


def _fit(value: Any, held: jax.Array) -> jax.Array:
    array = to_numpy(value)
    if np.iscomplexobj(array):  # see `optimizer`: the two parts are a last axis
        array = np.stack([array.real, array.imag], -1)
    if array.shape != held.shape:
        raise ValueError(f"expected shape {held.shape}, got {array.shape}")
    placement = held.sharding if getattr(held, "committed", False) else None
    return jax.device_put(array.astype(held.dtype), placement)
