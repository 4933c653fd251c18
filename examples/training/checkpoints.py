"""Checkpoints by orbax, from which a training goes on as if nothing had happened."""

from pathlib import Path
from typing import Any

import grain
import jax
import numpy as np
import orbax.checkpoint as ocp

from examples.training.history import History

__all__ = ["Checkpoints"]


class Checkpoints:
    """Keeps the state, the loader's position and the history in a folder, each time under the number of steps made.

    A checkpoint gets its name when all of it is written, so that one that was cut off is never read.

    Args:
        folder: where; None keeps nothing.
        every: steps between two checkpoints.
        resume: whether to go on from the newest one; otherwise the folder must hold none.

    Raises:
        FileExistsError: the folder holds checkpoints of another training.
    """

    def __init__(self, folder: Path | None, every: int, resume: bool) -> None:
        self.every, self._manager = every, None
        if folder is None:
            return
        self._manager = ocp.CheckpointManager(
            folder.absolute(),
            # written before the next step, which takes the memory of what is saved
            options=ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False),
        )
        if not resume and self._manager.latest_step() is not None:
            raise FileExistsError(f"{folder} holds checkpoints: --resume goes on from them; or name another folder")

    def is_due(self, before: int, after: int) -> bool:
        """Whether a checkpoint belongs after this many steps, if `before` were made at the last chance."""
        return self._manager is not None and after // self.every > before // self.every

    def save(self, steps: int, state: Any, history: History, loader: grain.DatasetIterator) -> None:
        """Writes a checkpoint."""
        self._manager.save(
            steps,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(_plain(state)),
                history=ocp.args.StandardSave(history.as_arrays()),
                loader=grain.checkpoint.CheckpointSave(loader),
            ),
        )

    def restore(self, state: Any, loader: grain.DatasetIterator) -> tuple[Any, History]:
        """The newest state, laid out like `state`, and its history; `loader` is moved to where it was."""
        newest = self._manager.latest_step() if self._manager else None
        if newest is None:
            return state, History()
        restored = self._manager.restore(
            newest,
            args=ocp.args.Composite(
                state=ocp.args.StandardRestore(jax.tree.map(_shape, _plain(state))),
                history=ocp.args.StandardRestore(),
                loader=grain.checkpoint.CheckpointRestore(loader),
            ),
        )
        return _like(state, restored.state), History.from_arrays(restored.history)

    def close(self) -> None:
        """Ends what still writes."""
        if self._manager:
            self._manager.close()


def _plain(tree: Any) -> dict[str, jax.Array]:
    """The arrays of a tree by their paths; keys of random streams as the integers that they are made of."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): jax.random.key_data(x) if _is_key(x) else x for path, x in leaves}


def _like(tree: Any, plain: dict[str, jax.Array]) -> Any:
    """The way back from `_plain`."""

    def leaf(path: Any, x: Any) -> jax.Array:
        array = plain[jax.tree_util.keystr(path)]
        return jax.random.wrap_key_data(array, impl=jax.random.key_impl(x)) if _is_key(x) else array

    return jax.tree_util.tree_map_with_path(leaf, tree)


def _is_key(x: Any) -> bool:
    return jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)


def _shape(x: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(np.shape(x), x.dtype, sharding=x.sharding)
