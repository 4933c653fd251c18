"""torch's optimizer checkpoints: a run that torch began goes on here, and one that we began goes on there."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx

import jaxnets
from jaxnets import nn, optim

x = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
y = np.random.default_rng(1).normal(size=(12, 3)).astype(np.float32)

RUNS = [
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.05, "momentum": 0.8, "dampening": 0.3}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.01}),
    ("Adamax", {"lr": 0.01}),
    ("NAdam", {"lr": 0.01}),
    ("RAdam", {"lr": 0.01}),
    ("Adagrad", {"lr": 0.05, "lr_decay": 0.01}),
    ("Adadelta", {}),
    ("RMSprop", {"lr": 0.005, "centered": True, "momentum": 0.4}),
    ("Rprop", {"lr": 0.001}),
    ("ASGD", {"lr": 0.05, "t0": 5}),
    ("Adafactor", {"lr": 0.01}),
    ("LBFGS", {"lr": 0.1, "max_iter": 3, "history_size": 4}),
]
ids = [f"{name}-{i}" for i, (name, _) in enumerate(RUNS)]

BOUNDS = {
    "Rprop": 3e-6,
    "RMSprop": 3e-6,
    "ASGD": 3e-6,
    "LBFGS": 1e-5,
}  # signs, and differences of gradients, are made of rounding near the end
STEPS = {"LBFGS": 3}


@pytest.fixture
def mild_promotion():
    """Some of optax's wrappers multiply a bool with an int."""
    with jax.numpy_dtype_promotion("standard"):
        yield


class Torch:
    """A run in torch."""

    def __init__(self, name: str, kwargs: dict[str, Any], seed: int = 0):
        torch.manual_seed(seed)
        self.net = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
        self.optimizer = getattr(torch.optim, name)(self.net.parameters(), **kwargs)

    def loss(self) -> torch.Tensor:
        self.optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(self.net(torch.tensor(x)), torch.tensor(y))
        loss.backward()
        return loss

    def steps(self, n: int) -> list[float]:
        return [self.optimizer.step(self.loss).item() for _ in range(n)]


class Jax:
    """The same run here."""

    def __init__(self, optimizer: Any, weights: Any):
        rngs = nnx.Rngs(0)
        self.net = nn.Sequential(nn.Linear(5, 8, rngs=rngs), nn.Tanh(), nn.Linear(8, 3, rngs=rngs))
        jaxnets.load_state_dict(self.net, weights)
        self.optimizer = nnx.Optimizer(self.net, optimizer, wrt=nnx.Param)

    def steps(self, n: int) -> list[float]:
        return [float(_step(self.net, self.optimizer)) for _ in range(n)]


@nnx.jit
def _step(net: Any, optimizer: Any) -> jax.Array:
    def loss(net: Any) -> jax.Array:
        return jaxnets.functional.mse_loss(net(x), y)

    value, grads = nnx.value_and_grad(loss)(net)
    graph, _, rest = nnx.split(net, nnx.Param, ...)
    extra = {}
    if isinstance(optimizer.tx, optax.GradientTransformationExtraArgs):
        extra = {"value": value, "grad": grads, "value_fn": lambda p: loss(nnx.merge(graph, p, rest))}
    optimizer.update(net, grads, **extra)
    return value


@pytest.mark.parametrize(("name", "kwargs"), RUNS, ids=ids)
def test_torchs_run_goes_on_here(name: str, kwargs: dict[str, Any]):
    theirs = Torch(name, kwargs)
    theirs.steps(7)
    ours = Jax(getattr(optim, name)(**kwargs), theirs.net.state_dict())
    optim.load_state_dict(ours.optimizer, theirs.optimizer.state_dict(), ours.net)
    steps = STEPS.get(name, 100)
    np.testing.assert_allclose(ours.steps(steps), theirs.steps(steps), rtol=BOUNDS.get(name, 2e-6))


@pytest.mark.parametrize(("name", "kwargs"), RUNS, ids=ids)
def test_our_run_goes_on_in_torch(name: str, kwargs: dict[str, Any], tmp_path: Any):
    theirs = Torch(name, kwargs)
    ours = Jax(getattr(optim, name)(**kwargs), theirs.net.state_dict())
    ours.steps(7)
    jaxnets.save(optim.state_dict(ours.optimizer, ours.net), tmp_path / "optimizer.pt")
    jaxnets.save(jaxnets.state_dict(ours.net), tmp_path / "net.pt")
    theirs.net.load_state_dict(torch.load(tmp_path / "net.pt"))
    theirs.optimizer.load_state_dict(torch.load(tmp_path / "optimizer.pt"))
    steps = STEPS.get(name, 20)
    np.testing.assert_allclose(theirs.steps(steps), ours.steps(steps), rtol=BOUNDS.get(name, 2e-6))
    assert theirs.optimizer.param_groups[0]["lr"] == kwargs.get("lr", 1.0)


def test_the_file_is_read_without_torch(tmp_path: Any):
    theirs = Torch("Adam", {"lr": 0.01})
    theirs.steps(3)
    torch.save(theirs.optimizer.state_dict(), tmp_path / "optimizer.pt")
    ours = Jax(optim.Adam(lr=0.01), theirs.net.state_dict())
    optim.load_state_dict(ours.optimizer, jaxnets.load(tmp_path / "optimizer.pt"), ours.net)
    np.testing.assert_allclose(ours.steps(5), theirs.steps(5), rtol=1e-6)


def test_schedule_goes_on():
    theirs = Torch("AdamW", {"lr": 0.01})
    scheduler = torch.optim.lr_scheduler.StepLR(theirs.optimizer, 3, 0.5)

    def steps(n: int) -> list[float]:
        losses = []
        for _ in range(n):
            losses += theirs.steps(1)
            scheduler.step()
        return losses

    steps(7)
    schedule = optim.lr_scheduler.StepLR(0.01, 3, 0.5)
    ours = Jax(optim.AdamW(lr=schedule), theirs.net.state_dict())
    optim.load_state_dict(ours.optimizer, theirs.optimizer.state_dict(), ours.net)
    np.testing.assert_allclose(ours.steps(20), steps(20), rtol=1e-6)


def test_injected_rate_is_loaded(mild_promotion: None):
    theirs = Torch("Adam", {"lr": 0.01})
    theirs.steps(3)
    theirs.optimizer.param_groups[0]["lr"] = 0.002
    ours = Jax(optax.inject_hyperparams(optim.Adam)(lr=0.5), theirs.net.state_dict())
    optim.load_state_dict(ours.optimizer, theirs.optimizer.state_dict(), ours.net)
    np.testing.assert_allclose(ours.steps(20), theirs.steps(20), rtol=1e-6)
    assert optim.state_dict(ours.optimizer, ours.net)["param_groups"][0]["lr"] == pytest.approx(0.002)


def test_within_a_chain_with_clipping_and_accumulation(mild_promotion: None):
    theirs = Torch("Adam", {"lr": 0.01})

    def steps(n: int) -> list[float]:
        losses = []
        for _ in range(n):
            theirs.optimizer.zero_grad()
            for _ in range(2):
                loss = torch.nn.functional.mse_loss(theirs.net(torch.tensor(x)), torch.tensor(y))
                loss.backward()
                losses.append(loss.item())
            torch.nn.utils.clip_grad_norm_(theirs.net.parameters(), 0.1)
            theirs.optimizer.step()
        return losses

    steps(4)
    tx = optax.chain(optim.clip_grad_norm(0.1), optim.Adam(lr=0.01))
    ours = Jax(optax.MultiSteps(tx, 2, use_grad_mean=False), theirs.net.state_dict())
    optim.load_state_dict(ours.optimizer, theirs.optimizer.state_dict(), ours.net)
    np.testing.assert_allclose(ours.steps(20), steps(10), rtol=2e-6)


def test_parameter_groups():
    torch.manual_seed(0)
    theirs = Torch("SGD", {"lr": 0.1, "momentum": 0.9})
    first, last = theirs.net[0], theirs.net[2]
    groups = [{"params": list(last.parameters()), "lr": 0.01}, {"params": [first.bias], "momentum": 0.5}]
    theirs.optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    theirs.steps(5)
    named = [{"params": "2", "lr": 0.01}, {"params": ["0.bias"], "momentum": 0.5}]
    ours = Jax(optim.param_groups(optim.SGD, named, lr=0.1, momentum=0.9), theirs.net.state_dict())
    optim.load_state_dict(ours.optimizer, theirs.optimizer.state_dict(), ours.net)
    np.testing.assert_allclose(ours.steps(50), theirs.steps(50), rtol=1e-6)
    back = optim.state_dict(ours.optimizer, ours.net)
    assert [group["params"] for group in back["param_groups"]] == [[0, 1], [2]]
    for index, entry in theirs.optimizer.state_dict()["state"].items():
        np.testing.assert_allclose(back["state"][index]["momentum_buffer"], entry["momentum_buffer"], rtol=2e-4)
    np.testing.assert_array_equal(ours.net[0].weight[...], first.weight.detach())


def test_frozen_parameters_are_counted_by_torch():
    theirs = Torch("Adam", {"lr": 0.01})
    theirs.net[0].requires_grad_(False)
    theirs.steps(3)
    ours = Jax(optim.Adam(lr=0.01), theirs.net.state_dict())
    nn.utils.freeze(ours.net[0])
    state = optim.Adam(lr=0.01).init(nnx.state(ours.net, nn.utils.is_trainable))
    loaded = optim.load_state_dict(state, theirs.optimizer.state_dict(), ours.net)
    assert int(loaded.step) == 3
    average = theirs.optimizer.state_dict()["state"][3]["exp_avg"]
    np.testing.assert_array_equal(loaded.slots["exp_avg"]["2"]["bias"].get_value(), average)


def test_tied_parameters_are_one():
    class Tied(nnx.Module):
        def __init__(self, rngs: nnx.Rngs):
            self.z = nn.Linear(3, 3, bias=False, rngs=rngs)
            self.a = nn.Linear(3, 3, rngs=rngs)
            self.a.weight = self.z.weight

    net = Tied(nnx.Rngs(0))
    torch_state = {
        "state": {i: {"momentum_buffer": np.full(s, i, np.float32)} for i, s in enumerate([(3, 3), (3,)])},
        "param_groups": [{"lr": 0.1, "momentum": 0.9, "params": [0, 1]}],
    }
    state = optim.SGD(lr=0.1, momentum=0.9).init(nnx.state(net, nnx.Param))
    loaded = optim.load_state_dict(state, torch_state, net)
    values = jax.tree.leaves(loaded.slots)
    assert sorted((v.shape, float(v.ravel()[0])) for v in values) == [((3,), 1.0), ((3, 3), 0.0)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["state"][0].update(exp_avg=np.zeros((2, 2))), r"0.weight: exp_avg: expected shape \(8, 5\), got"),
        (lambda s: s["state"][0].pop("exp_avg"), "0.weight: torch's optimizer keeps exp_avg_sq; Adam here keeps"),
        (lambda s: s["param_groups"][0].update(betas=(0.5, 0.9)), r"betas: torch's run had \(0.5, 0.9\), this"),
        (lambda s: s["param_groups"][0].update(params=[0, 1, 2]), "torch's group has 3, this optimizer 4"),
        (lambda s: s["param_groups"].append(s["param_groups"][0]), "expected 2 of jaxnets' optimizers"),
        (lambda s: s["state"][0].update(step=torch.tensor(9.0)), r"step: expected one count .* got \[2, 9\]"),
    ],
)
def test_what_does_not_fit(change: Any, message: str):
    theirs = Torch("Adam", {"lr": 0.01})
    theirs.steps(2)
    state = theirs.optimizer.state_dict()
    change(state)
    ours = Jax(optim.Adam(lr=0.01), theirs.net.state_dict())
    before = jax.tree.leaves(ours.optimizer.opt_state)
    with pytest.raises(ValueError, match=message):
        optim.load_state_dict(ours.optimizer, state, ours.net)
    assert all(jnp.array_equal(a, b) for a, b in zip(before, jax.tree.leaves(ours.optimizer.opt_state), strict=True))


def test_another_optimizers_state():
    theirs = Torch("Adam", {"lr": 0.01})
    theirs.steps(1)
    ours = Jax(optim.SGD(lr=0.01), theirs.net.state_dict())
    with pytest.raises(ValueError, match="torch's optimizer keeps exp_avg, exp_avg_sq; SGD here keeps nothing"):
        optim.load_state_dict(ours.optimizer, theirs.optimizer.state_dict(), ours.net)


def test_schedule_of_uncounted_steps():
    theirs = Torch("SGD", {"lr": 0.01, "momentum": 0.9})
    theirs.steps(3)
    ours = Jax(optim.SGD(lr=lambda count: 0.01, momentum=0.9), theirs.net.state_dict())
    with pytest.raises(ValueError, match="step: torch's state does not say how many steps were made"):
        optim.load_state_dict(ours.optimizer, theirs.optimizer.state_dict(), ours.net)
    optim.load_state_dict(ours.optimizer, theirs.optimizer.state_dict(), ours.net, step=3)
    assert int(ours.optimizer.step[...]) == 3


def test_no_state():
    with pytest.raises(TypeError, match='expected the dict of an optimizer with "state" and "param_groups", got one'):
        optim.load_state_dict(optim.Adam().init({}), {"weight": 1}, {})
