"""The same training on one device, on eight, and in two processes: equal up to the order of sums.

A loss is compared relative to itself, a weight relative to the greatest of its array.
"""

import socket
import subprocess
import sys

import numpy as np
import pytest
from programs import ROOT, ended, environment, run, start

import jaxnets
from tests.exhaustive import more

# BatchNorm over the batch of all devices: statistics of a part of it would differ in the first digit
PROGRAM = ("breast_cancer", "--norm", "--mini-batches", "--epochs", 5, "--batch", 64)
NAME = "breast_cancer_norm_mini_batches"
BOUND = 1e-5


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """One device, with torch's single big batch beside it."""
    out = tmp_path_factory.mktemp("alone")
    run(*PROGRAM, "--torch", "--out", out)
    return out / NAME


def assert_equal(folder, alone):
    ours = np.load(folder / "losses.npy")
    for other in ("losses.npy", "losses_torch.npy"):
        np.testing.assert_allclose(ours, np.load(alone / other), rtol=BOUND)
    weights, expected = (jaxnets.load(path / "weights.pt") for path in (folder, alone))
    for name, array in expected.items():
        array = np.asarray(array)
        np.testing.assert_allclose(weights[name], array, rtol=0, atol=BOUND * abs(array).max(), err_msg=name)
    assert weights["norm.num_batches_tracked"] == len(ours)


@pytest.mark.parametrize("flags", ["--data-parallel 4 --fsdp 2", *more(["--data-parallel 8", "--fsdp 8"])])
def test_eight_devices(flags, alone, tmp_path):
    run(*PROGRAM, *flags.split(), "--out", tmp_path, devices=8)
    assert_equal(tmp_path / NAME, alone)


@pytest.mark.parametrize(("flags", "devices"), [("--fsdp 2", 1), *more([("", 1), ("--data-parallel 2 --fsdp 2", 2)])])
def test_two_processes(flags, devices, alone, tmp_path):
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    flags = [*flags.split(), "--coordinator", address, "--processes", 2, "--out", tmp_path]
    both = [start(*PROGRAM, *flags, "--process", i, devices=devices) for i in range(2)]
    for process in both:
        ended(process)
    assert_equal(tmp_path / NAME, alone)


def test_parameters_and_moments_are_laid_out_over_fsdp():
    code = """
from examples.digits_nets import loss
from examples.nets.in_jax import MLP
from examples.training import devices, in_jax
from examples.training.digits import digits
from examples.training.experiment import Experiment
experiment = Experiment("x", digits(None), lambda rngs: MLP(rngs=rngs), None, loss, "Adam")
trainer = in_jax.Trainer(experiment, 0, devices.mesh_of(2, 4))
for tree in (trainer.state.params, trainer.state.optimizer.slots["exp_avg"]):
    weight = tree["layers.0.weight"]
    assert weight.shape == (512, 784)
    assert weight.addressable_shards[0].data.shape == (512, 196), weight.sharding
    assert tree["layers.4.bias"].sharding.is_fully_replicated  # 10 is no multiple of 4
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(8), check=True)


def test_too_few_devices_are_named(tmp_path):
    process = start("quadratic", "--fsdp", 4, "--out", tmp_path, devices=2)
    printed, _ = process.communicate()
    assert process.returncode == 1
    assert "--data-parallel 1 times --fsdp 4 needs 4 devices, but there are 2 in 1 process" in " ".join(printed.split())
