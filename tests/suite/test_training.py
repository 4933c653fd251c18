"""`parity.compare_training`: equal runs are told equal, and each planted difference is found."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx

import jaxnets
import parity
from jaxnets import nn, optim

rng = np.random.default_rng(0)
BATCHES = [(rng.normal(size=(6, 2, 5, 5)).astype(np.float32), rng.integers(0, 3, 6)) for _ in range(30)]


def in_torch(bias: bool = True, p: float = 0.0) -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3, bias=bias),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.Dropout(p),
        torch.nn.Flatten(),
        torch.nn.Linear(36, 3),
    )


def in_jax(bias: bool = True, momentum: float = 0.1, p: float = 0.0) -> nnx.Module:
    rngs = nnx.Rngs(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=bias, rngs=rngs),
        nn.BatchNorm2d(4, momentum=momentum),
        nn.ReLU(),
        nn.Dropout(p, rngs=rngs),
        nn.Flatten(),
        nn.Linear(36, 3, rngs=rngs),
    )


def loss(module: Any, F: Any, x: Any, y: Any) -> Any:
    return F.cross_entropy(module(x), y)


def sgd(params: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, lr=0.1, momentum=0.9, weight_decay=0.01)


OURS = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}


def test_equal_runs(tmp_path: Any):
    theirs, ours = in_torch(), in_jax()
    before = {k: v.clone() for k, v in theirs.state_dict().items()}, jaxnets.state_dict(ours)
    report = parity.compare_training(theirs, ours, sgd, optim.SGD(**OURS), BATCHES, loss)
    assert report.ok, str(report)
    assert report.difference < 1e-5
    assert len(report.losses) == 30
    assert report.losses[-1] != report.losses[0]
    assert "Sequential: 30 steps, losses within" in str(report)
    report.plot(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    assert all(torch.equal(v, theirs.state_dict()[k]) for k, v in before[0].items())
    assert all(jnp.array_equal(v, jaxnets.state_dict(ours)[k]) for k, v in before[1].items())


def test_float64():
    batches = [(x.astype(np.float64), y) for x, y in BATCHES]
    report = parity.compare_training(in_torch().double(), in_jax(), sgd, optim.SGD(**OURS), batches, loss)
    assert report.ok, str(report)
    assert report.difference < 1e-11


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_bias_that_rounding_alone_moves(dtype: Any):
    """The gradient of a bias before a batch normalisation is zero but for rounding, which Adam makes steps of."""
    batches = [(x.astype(dtype), y) for x, y in BATCHES]
    theirs = in_torch().to(torch.from_numpy(np.zeros(0, dtype)).dtype)
    report = parity.compare_training(
        theirs, in_jax(), lambda params: torch.optim.Adam(params, lr=0.01), optim.Adam(lr=0.01), batches, loss
    )
    assert report.ok, str(report)
    if dtype is np.float32:
        assert next(row for row in report.rows if row.name == "0.bias").absolute > 1e-3


def test_schedule_clipping_and_lbfgs():
    report = parity.compare_training(
        in_torch(bias=False),
        in_jax(bias=False),
        lambda params: torch.optim.AdamW(params, lr=0.05),
        optax.chain(optim.clip_grad_norm(0.5), optim.AdamW(lr=optim.lr_scheduler.CosineAnnealingLR(0.05, T_max=20))),
        BATCHES[:20],
        loss,
        scheduler=lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20),
        clip_grad_norm=0.5,
    )
    assert report.ok, str(report)
    theirs, ours = torch.nn.Linear(3, 1), nn.Linear(3, 1, rngs=nnx.Rngs(0))
    x = rng.normal(size=(8, 3)).astype(np.float32)
    lbfgs = {"lr": 0.5, "max_iter": 3}
    report = parity.compare_training(
        theirs,
        ours,
        lambda params: torch.optim.LBFGS(params, **lbfgs),
        optim.LBFGS(**lbfgs),
        [(x, np.sin(x[:, :1]))] * 3,
        lambda module, F, x, y: F.mse_loss(module(x), y),
    )
    assert report.ok, str(report)


@pytest.mark.parametrize(
    ("optimizer", "module", "step"),
    [
        (optim.SGD(**(OURS | {"lr": 0.1001})), {}, 1),
        (optim.SGD(**(OURS | {"momentum": 0.901})), {}, 2),
        (optim.SGD(**(OURS | {"weight_decay": 0.02})), {}, 1),
        (optim.SGD(**(OURS | {"nesterov": True})), {}, 1),
    ],
)
def test_planted_in_the_optimizer(optimizer: Any, module: dict[str, Any], step: int):
    report = parity.compare_training(in_torch(), in_jax(**module), sgd, optimizer, BATCHES, loss)
    assert not report.ok
    assert report.first_divergence == step
    assert f"the runs part at step {step}" in report.summary()


def test_planted_in_a_buffer():
    report = parity.compare_training(in_torch(), in_jax(momentum=0.2), sgd, optim.SGD(**OURS), BATCHES, loss)
    assert report.first_divergence is None
    assert not report.ok
    assert "1.running_mean" in report.summary()


def test_planted_in_the_loss():
    def other(module: Any, F: Any, x: Any, y: Any) -> Any:
        value = loss(module, F, x, y)
        return value if F is torch.nn.functional else value * 1.001

    report = parity.compare_training(in_torch(), in_jax(), sgd, optim.SGD(**OURS), BATCHES, other)
    assert report.first_divergence == 0
    assert not report.ok


def test_dropout_is_held_and_named():
    report = parity.compare_training(in_torch(p=0.5), in_jax(p=0.5), sgd, optim.SGD(**OURS), BATCHES, loss)
    assert report.ok, str(report)
    assert report.held == ("3",)


def test_refusals():
    with pytest.raises(TypeError, match=r"torch_module: expected a torch\.nn\.Module"):
        parity.compare_training(in_jax(), in_jax(), sgd, optim.SGD(), BATCHES, loss)
    with pytest.raises(TypeError, match=r"jax_module: expected a flax\.nnx\.Module"):
        parity.compare_training(in_torch(), in_torch(), sgd, optim.SGD(), BATCHES, loss)
    with pytest.raises(ValueError, match="batches: expected a tuple of arrays for each step, got none"):
        parity.compare_training(in_torch(), in_jax(), sgd, optim.SGD(), [], loss)
