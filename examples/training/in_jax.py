"""The training in JAX: one compiled function of the state and a block of batches."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh

import jaxnets
import jaxnets.functional as F
from examples.training import devices
from examples.training.checkpoints import Checkpoints
from examples.training.experiment import Arrays, ByHand, Experiment
from examples.training.history import History
from examples.training.loader import Blocks, read
from jaxnets import optim

__all__ = ["State", "Trainer", "train"]


class State(NamedTuple):
    """All that a step changes.

    Attributes:
        params: the parameters by torch's names.
        optimizer: the optimizer's state.
        rest: the model's other arrays by name: running statistics, random streams.
    """

    params: dict[str, jax.Array]
    optimizer: Any
    rest: dict[str, jax.Array]


class Trainer:
    """A model, taken apart once, and its compiled functions.

    Args:
        experiment: what to train.
        seed: of the weights, which are torch's after `torch.manual_seed(seed)`.
        mesh: where.
        dtype: of the parameters and all that is computed.

    Attributes:
        state: the first `State`; the compiled step takes its memory.
    """

    def __init__(self, experiment: Experiment, seed: int, mesh: Mesh, dtype: str = "float32") -> None:
        self.experiment, self.mesh = experiment, mesh
        self.optimizer = optax.with_extra_args_support(make_optimizer(experiment))
        model = experiment.model(jaxnets.TorchRngs(seed))
        self.first_weights = {name: np.asarray(array) for name, array in jaxnets.state_dict(model).items()}
        self._graph, params, rest = jax.tree.map(lambda x: _cast(x, dtype), nnx.split(model, nnx.Param, ...))
        self._trees = jax.tree.structure(params), jax.tree.structure(rest)
        self._names = list(_named(params)), list(_named(rest))
        state = State(_named(params), self.optimizer.init(_named(params)), _named(rest))
        whole = devices.on_every_device(mesh)
        shardings = State(*devices.state_shardings(state[:2], mesh), jax.tree.map(lambda _: whole, state.rest))
        self.state = devices.put_state(state, shardings)
        self.steps = jax.jit(self._steps, donate_argnums=0, out_shardings=(shardings, whole))
        self._outputs = jax.jit(self._predict, out_shardings=whole)

    def model(self, params: dict[str, Any], rest: dict[str, Any]) -> nnx.Module:
        """The model with these arrays in it."""
        states = [
            tree.unflatten([arrays[name] for name in names])
            for tree, names, arrays in zip(self._trees, self._names, (params, rest), strict=True)
        ]
        return nnx.merge(self._graph, *states)

    def _loss(self, params: dict[str, Any], rest: dict[str, Any], batch: Any) -> tuple[jax.Array, dict[str, Any]]:
        """The loss, and what the model's other arrays become."""
        model = self.model(params, rest)
        loss = self.experiment.loss(model, F, *batch)
        return loss, _named(nnx.split(model, nnx.Param, ...)[2])

    def _step(self, state: State, batch: Any) -> tuple[State, jax.Array]:
        (loss, rest), grads = jax.value_and_grad(self._loss, has_aux=True)(state.params, state.rest, batch)
        updates, optimizer = self.optimizer.update(
            grads,
            state.optimizer,
            state.params,
            value=loss,
            grad=grads,
            value_fn=lambda params: self._loss(params, state.rest, batch)[0],  # LBFGS asks more than once
        )
        return State(optax.apply_updates(state.params, updates), optimizer, rest), loss

    def _steps(self, state: State, block: Any) -> tuple[State, jax.Array]:
        if self.experiment.block == 1:  # XLA's convolutions on a CPU are many times slower within a loop
            state, loss = self._step(state, tuple(array[0] for array in block))
            return state, loss[None]
        return jax.lax.scan(self._step, state, block)

    def _predict(self, params: dict[str, Any], rest: dict[str, Any], inputs: Any) -> jax.Array:
        model = self.model(params, rest)
        model.eval()
        return model(*inputs)

    def outputs(self, state: State, inputs: Arrays) -> np.ndarray:
        """What the model, in evaluation, says of the inputs."""
        return np.asarray(self._outputs(state.params, state.rest, inputs))

    def accuracy(self, state: State) -> float | None:
        """The share of the test data that it says right."""
        if self.experiment.right is None:
            return None
        *inputs, wanted = self.experiment.test
        return float(self.experiment.right(self.outputs(state, tuple(inputs)), wanted).mean())


def make_optimizer(experiment: Experiment) -> optax.GradientTransformation:
    """The experiment's optimizer from `jaxnets.optim`, or its own."""
    if isinstance(experiment.optimizer, ByHand):
        return experiment.optimizer.optax(**experiment.arguments)
    return getattr(optim, experiment.optimizer)(**experiment.arguments)


def _cast(x: jax.Array, dtype: str) -> jax.Array:
    return x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x


def _named(state: Any) -> dict[str, jax.Array]:
    """The arrays of a Flax state by torch's names."""
    leaves = jax.tree_util.tree_leaves_with_path(nnx.to_pure_dict(state))
    return {jax.tree_util.keystr(path, simple=True, separator="."): array for path, array in leaves}


def train(
    trainer: Trainer, blocks: Blocks, workers: int, checkpoints: Checkpoints, say: Callable[[int, float], None]
) -> tuple[State, History]:
    """Trains to the end, from the last checkpoint if there is one.

    Args:
        trainer: the model.
        blocks: its batches.
        workers: processes that read them.
        checkpoints: where the state is kept.
        say: is told the number of steps done and the last loss.
    """
    with read(blocks, workers) as loader:
        state, history = checkpoints.restore(trainer.state, loader)
        running: jax.Array | None = None  # the losses of the block that the device is busy with

        def wait() -> None:
            nonlocal running
            if running is not None:
                history.add(np.asarray(running), time.perf_counter())
                say(len(history), history.losses[-1][-1])
            running = None

        history.start(time.perf_counter())
        for i, block in enumerate(loader, start=blocks.after(len(history))):
            split = blocks.is_split(blocks.size(blocks.plan[i][0]))
            state, losses = trainer.steps(state, devices.put_block(block, trainer.mesh, split))
            wait()
            running = losses
            due = checkpoints.is_due(len(history), len(history) + len(losses))
            if i in blocks.measured or due:
                wait()
                if i in blocks.measured:
                    history.measure(trainer.accuracy(state))
                if due:
                    checkpoints.save(len(history), state, history, loader)
                history.start(time.perf_counter())
        wait()
    checkpoints.close()
    return state, history
