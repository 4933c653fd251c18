"""torch's checkpoints of `LBFGS` <-> our state: flat vectors of all parameters <-> trees like them."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.arrays import to_numpy
from jaxnets.optim.lbfgs import LBFGSState
from jaxnets.optim.names import map_with_names, named_leaves

__all__ = ["from_torch", "to_torch"]


def from_torch(state: LBFGSState, entry: Mapping[str, Any], names: list[str], step: int) -> LBFGSState:
    """The state with the numbers of torch's; `names` are those of the parameters in torch's order."""
    shapes = {name: leaf.shape for name, leaf in named_leaves(state.d).items()}
    sizes = [int(np.prod(shapes[name])) for name in names]
    history = jax.tree.leaves(state.old_dirs)[0].shape[0] if names else 0
    held = len(entry.get("old_dirs") or ())
    if held > history:
        raise ValueError(f"old_dirs: expected at most history_size={history} of them, got {held}")

    def tree(flat: Any, like: Any) -> Any:
        vector = to_numpy(flat)
        if vector.size != sum(sizes):
            raise ValueError(f"d: expected {sum(sizes)} numbers for all parameters, got {vector.size}")
        parts = dict(zip(names, np.split(vector, np.cumsum(sizes)[:-1]), strict=True))
        return map_with_names(lambda name, leaf: jnp.asarray(parts[name].reshape(shapes[name]), leaf.dtype), like)

    def rows(flats: Any, like: Any) -> Any:
        trees = [tree(flat, state.d) for flat in flats or ()]
        return jax.tree.map(lambda held, *new: held.at[: len(new)].set(jnp.stack(new)), like, *trees) if trees else like

    def number(name: str) -> jax.Array:
        old = getattr(state, name)
        value = entry.get(name)
        return old if value is None else jnp.asarray(to_numpy(value) if hasattr(value, "dtype") else value, old.dtype)

    numbers: dict[str, Any] = {name: number(name) for name in ("func_evals", "n_iter", "t", "H_diag", "prev_loss")}
    ro = np.array([float(to_numpy(x)) if hasattr(x, "dtype") else float(x) for x in entry.get("ro") or ()])
    return state._replace(
        step=jnp.asarray(step, state.step.dtype),
        d=tree(entry["d"], state.d) if entry.get("d") is not None else state.d,
        prev_flat_grad=tree(entry["prev_flat_grad"], state.d) if entry.get("d") is not None else state.prev_flat_grad,
        old_dirs=rows(entry.get("old_dirs"), state.old_dirs),
        old_stps=rows(entry.get("old_stps"), state.old_stps),
        ro=state.ro.at[:held].set(jnp.asarray(ro, state.ro.dtype)),
        pairs=jnp.asarray(held, state.pairs.dtype),
        **numbers,
    )


def to_torch(state: LBFGSState, names: list[str]) -> dict[str, Any]:
    """What torch's state of the first parameter would be; nothing before the first step."""
    if not int(state.n_iter):
        return {}

    def flat(tree: Any) -> np.ndarray:
        leaves = named_leaves(tree)
        return np.concatenate([np.asarray(leaves[name]).reshape(-1) for name in names])

    history = state.ro.shape[0]
    kept = [i % history for i in range(max(0, int(state.pairs) - history), int(state.pairs))]  # oldest first

    def rows(tree: Any) -> list[np.ndarray]:
        return [flat(jax.tree.map(lambda x, i=i: x[i], tree)) for i in kept]

    return {
        "func_evals": int(state.func_evals),
        "n_iter": int(state.n_iter),
        "d": flat(state.d),
        "t": float(state.t),
        "old_dirs": rows(state.old_dirs),
        "old_stps": rows(state.old_stps),
        "ro": [np.asarray(state.ro[i]) for i in kept],
        "H_diag": np.asarray(state.H_diag),
        "prev_flat_grad": flat(state.prev_flat_grad),
        "prev_loss": float(state.prev_loss),
    }
