"""A training that was killed goes on as if nothing had happened."""

import random
import time

import jax
import numpy as np
import pytest
from flax import nnx
from programs import ended, run, start

import jaxnets
from examples.training import devices, in_jax
from examples.training.checkpoints import Checkpoints
from examples.training.experiment import Data, Experiment
from examples.training.loader import Blocks
from jaxnets import nn
from tests.exhaustive import more


def same(a, b):
    """The same losses and weights, bit for bit."""
    assert (a / "losses.npy").read_bytes() == (b / "losses.npy").read_bytes()
    ours, theirs = (jaxnets.load(folder / "weights.pt") for folder in (a, b))
    assert list(ours) == list(theirs)
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name, strict=True)


@pytest.mark.parametrize(
    ("program", "name", "every"),
    [
        ("breast_cancer --mini-batches --norm --workers 2 --epochs 20", "breast_cancer_norm_mini_batches", 34),
        *more([("breast_cancer --epochs 2000", "breast_cancer", 50)]),
    ],
)
def test_killed_and_resumed(program, name, every, tmp_path):
    """SIGKILL at two random moments behind the first checkpoint; each time the training is resumed."""
    command = [*program.split(), "--every", every]
    run(*command, "--out", tmp_path / "whole")
    kept = tmp_path / "kept"
    command += ["--checkpoints", kept, "--out", tmp_path / "resumed"]
    seed = random.randrange(1 << 32)
    moments, killed, resume = random.Random(seed), 0, []
    for _ in range(2):
        process = start(*command, *resume)
        newest = steps(kept / name)
        while process.poll() is None and steps(kept / name) == newest:
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.3))
        if process.poll() is None:
            process.kill()  # its workers see that and end; else what they print to would stay open
            killed += 1
        process.communicate()
        resume = ["--resume"]
    ended(start(*command, "--resume"))
    assert killed, f"the training was over before it could be killed, seed {seed}"
    same(tmp_path / "whole" / name, tmp_path / "resumed" / name)


def steps(folder):
    """The names of the checkpoints that are complete."""
    return {path.name for path in folder.glob("*") if path.name.isdigit()}


def test_checkpoints_of_another_training_are_not_overwritten(tmp_path):
    command = ["quadratic", "--epochs", 10, "--every", 5, "--checkpoints", tmp_path / "kept", "--out", tmp_path / "out"]
    run(*command)
    process = start(*command)
    printed, _ = process.communicate()
    assert process.returncode == 1
    assert "--resume goes on from them" in printed


class Dropping(nnx.Module):
    """Draws random numbers in each step, and has running statistics."""

    def __init__(self, *, rngs):
        self.linear = nn.Linear(3, 8, rngs=rngs)
        self.norm = nn.BatchNorm1d(8)
        self.dropout = nn.Dropout(0.5, rngs=rngs)
        self.head = nn.Linear(8, 1, rngs=rngs)

    def __call__(self, x):
        return self.head(self.dropout(self.norm(self.linear(x))))


def test_random_streams_statistics_and_moments_are_kept(tmp_path):
    """Dropout goes on with the numbers it would have drawn, Adam with its moments."""
    rng = np.random.default_rng(0)
    arrays = rng.normal(size=(48, 3)).astype(np.float32), rng.normal(size=(48, 1)).astype(np.float32)
    experiment = Experiment(
        name="dropping",
        data=Data(arrays),
        model=lambda rngs: Dropping(rngs=rngs),
        torch_model=lambda: None,
        loss=lambda model, F, x, y: F.mse_loss(model(x), y),
        optimizer="Adam",
        batch=8,
        shuffle=True,
        epochs=4,
        block=3,
    )

    def train(folder, resume, stop=None):
        seen = []

        def say(steps, loss):
            seen.append(steps)
            if steps == stop:
                raise InterruptedError

        trainer = in_jax.Trainer(experiment, 0, devices.mesh_of(None, 1))
        return in_jax.train(trainer, Blocks(experiment, 0), 0, Checkpoints(folder, 5, resume), say)

    whole, history = train(None, False)
    with pytest.raises(InterruptedError):
        train(tmp_path, False, stop=15)
    state, resumed = train(tmp_path, True)
    np.testing.assert_array_equal(history.curve, resumed.curve)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(state), strict=True):
        if jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(a, b)
