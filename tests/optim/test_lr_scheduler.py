"""torch's schedulers beside ours: each class, chains and sequences of them, resumed runs, and what is refused."""

import math
import random
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from torch.optim import lr_scheduler as theirs
from torch.testing._internal.common_optimizers import optim_db

from jaxnets import optim
from jaxnets.optim import lr_scheduler as ours

pytestmark = pytest.mark.filterwarnings(
    "ignore:The epoch parameter in:UserWarning", "ignore:Detected call of:UserWarning"
)

LR = 0.3
STEPS = 120


def per_unit(epoch: Any) -> Any:
    return 1 / (1 + 0.1 * jnp.asarray(epoch, float)) if isinstance(epoch, jax.Array) else 1 / (1 + 0.1 * epoch)


# name, arguments but for torch's optimizer and our lr
SETS: list[tuple[str, dict[str, Any]]] = [
    ("LambdaLR", {"lr_lambda": per_unit}),
    ("MultiplicativeLR", {"lr_lambda": lambda epoch: 0.97}),
    ("StepLR", {"step_size": 7}),
    ("StepLR", {"step_size": 1, "gamma": 0.9}),
    ("StepLR", {"step_size": 30, "gamma": 0.0}),
    ("StepLR", {"step_size": 9, "gamma": -0.7}),
    ("StepLR", {"step_size": 1000}),
    ("MultiStepLR", {"milestones": [5, 30, 31, 80]}),
    ("MultiStepLR", {"milestones": [40, 10, 10, 10], "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [0, 0, -3, 7], "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [], "gamma": 0.5}),
    ("ConstantLR", {}),
    ("ConstantLR", {"factor": 0.4, "total_iters": 17}),
    ("ConstantLR", {"factor": 0.4, "total_iters": 0}),
    ("ConstantLR", {"factor": 1.0, "total_iters": 1}),
    ("ConstantLR", {"factor": 0.0, "total_iters": 500}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.1, "total_iters": 50}),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.1, "total_iters": 60}),
    ("LinearLR", {"start_factor": 0.5, "end_factor": 0.0, "total_iters": 30}),
    ("LinearLR", {"start_factor": 0.5, "total_iters": 0}),
    ("LinearLR", {"start_factor": 0.5, "total_iters": 1}),
    ("LinearLR", {"start_factor": 0.5, "end_factor": 0.5, "total_iters": 10.0}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("ExponentialLR", {"gamma": 1.01}),
    ("ExponentialLR", {"gamma": 0.0}),
    ("ExponentialLR", {"gamma": -0.99}),
    ("PolynomialLR", {}),
    ("PolynomialLR", {"total_iters": 100, "power": 0.9}),
    ("PolynomialLR", {"total_iters": 50, "power": 3.5}),
    ("PolynomialLR", {"total_iters": 50, "power": 0}),
    ("PolynomialLR", {"total_iters": 0}),
    ("PolynomialLR", {"total_iters": 1, "power": 2.0}),
    ("PolynomialLR", {"total_iters": 500, "power": -1.0}),
    ("CosineAnnealingLR", {"T_max": 120}),
    ("CosineAnnealingLR", {"T_max": 30, "eta_min": 0.01}),
    ("CosineAnnealingLR", {"T_max": 25, "eta_min": 0.0}),
    ("CosineAnnealingLR", {"T_max": 1}),
    ("CosineAnnealingLR", {"T_max": 2, "eta_min": 0.5}),
    ("CosineAnnealingWarmRestarts", {"T_0": 10}),
    ("CosineAnnealingWarmRestarts", {"T_0": 7, "T_mult": 2, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 1, "T_mult": 3}),
    ("CosineAnnealingWarmRestarts", {"T_0": 1}),
    ("CosineAnnealingWarmRestarts", {"T_0": 500, "T_mult": 10**9}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 10}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 10, "step_size_down": 3, "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 8, "mode": "exp_range", "gamma": 0.98}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 7.5, "step_size_down": 3.3, "max_momentum": 0.99}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.01, "step_size_up": 7, "step_size_down": 0, "cycle_momentum": False}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 6, "scale_fn": per_unit, "mode": "none"}),
    (
        "CyclicLR",
        {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 6, "scale_fn": per_unit, "scale_mode": "iterations"},
    ),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 120}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 130, "anneal_strategy": "linear", "three_phase": True}),
    ("OneCycleLR", {"max_lr": 0.5, "epochs": 13, "steps_per_epoch": 10, "three_phase": True, "pct_start": 0.41}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 121, "pct_start": 0.0, "cycle_momentum": False}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 121, "pct_start": 1.0}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 121, "pct_start": 1.0, "three_phase": True}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 120, "pct_start": 0.001, "three_phase": True}),
    (
        "OneCycleLR",
        {"max_lr": 0.5, "total_steps": 120, "anneal_strategy": "linear", "div_factor": 3, "final_div_factor": 2},
    ),
]
OWN_LR = ("CyclicLR", "OneCycleLR")
NAMES = list(dict.fromkeys(name for name, _ in SETS))


def torch_optimizer(kind: Any = torch.optim.SGD, lr: float = LR) -> torch.optim.Optimizer:
    return kind([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def torch_run(optimizer: Any, scheduler: Any, steps: int = STEPS) -> tuple[np.ndarray, np.ndarray]:
    """The rates and momenta of the steps 0, ..., `steps`."""
    lrs, momenta = [], []
    for step in range(steps + 1):
        group = optimizer.param_groups[0]
        lrs.append(group["lr"])
        momenta.append(group["betas"][0] if "betas" in group else group.get("momentum"))
        if step < steps:
            optimizer.step()
            scheduler.step()
    return np.array(lrs, float), np.array(momenta, float)


def make_ours(name: str, kwargs: dict[str, Any], lr: float = LR) -> Any:
    return getattr(ours, name)(**({} if name in OWN_LR else {"lr": lr}), **kwargs)


def error(actual: Any, expected: np.ndarray) -> float:
    """The greatest relative error; of rates that are below a millionth of the greatest, relative to that."""
    scale = np.maximum(np.abs(expected), 1e-6 * np.abs(expected).max() + 1e-300)
    return float((np.abs(np.asarray(actual, float) - expected) / scale).max())


Pairs = list[tuple[Any, np.ndarray]]  # a schedule, and torch's rates


def compare(pairs: Pairs, x64: bool, *, eager: Any = (1, -1), bound: float = 0.0) -> None:
    """Traced, all at once, and for some counts as ints."""
    bound = bound or (1e-12 if x64 else 1e-6)
    counts = np.arange(max((len(expected) for _, expected in pairs), default=0), dtype=np.int32)
    with jax.enable_x64(x64):
        rates = jax.jit(lambda counts: [jax.vmap(schedule)(counts) for schedule, _ in pairs])(counts)
        for (schedule, expected), traced in zip(pairs, rates, strict=True):
            assert traced.dtype == (jnp.float64 if x64 else jnp.float32)
            assert error(traced[: len(expected)], expected) <= bound, schedule
            for count in (range(len(expected))[i] for i in eager):
                one = schedule(count)
                assert one.dtype == traced.dtype
                assert one.shape == ()
                np.testing.assert_allclose(one, expected[count], rtol=bound, atol=bound * 1e-6 * abs(expected).max())


@pytest.mark.parametrize("x64", [True, False], ids=["float64", "float32"])
@pytest.mark.parametrize("name", NAMES)
def test_one(name: str, x64: bool):
    exact: Pairs = []
    grows: Pairs = []  # in float32, the error with the count
    for kwargs in (kwargs for other, kwargs in SETS if other == name):
        optimizer = torch_optimizer()
        expected, momenta = torch_run(optimizer, getattr(theirs, name)(optimizer, **kwargs))
        schedule = make_ours(name, kwargs)
        pairs = grows if name == "MultiplicativeLR" or kwargs.get("step_size_up") == 7.5 else exact
        pairs.append((schedule, expected))
        if name in OWN_LR and kwargs.get("cycle_momentum", True):
            pairs.append((schedule.momentum, momenta))
    compare(exact, x64)
    compare(grows, x64, bound=0.0 if x64 else 1e-5)


@pytest.mark.parametrize("last_epoch", [0, 24])
@pytest.mark.parametrize("name", NAMES)
def test_resumed(name: str, last_epoch: int):
    pairs: Pairs = []
    for kwargs in (kwargs for other, kwargs in SETS if other == name):
        first, second = torch_optimizer(), torch_optimizer()
        torch_run(first, getattr(theirs, name)(first, **kwargs), last_epoch)
        second.load_state_dict(first.state_dict())
        resumed = getattr(theirs, name)(second, **kwargs, last_epoch=last_epoch)
        expected, momenta = torch_run(second, resumed, 60)
        schedule = make_ours(name, kwargs | {"last_epoch": last_epoch})
        pairs.append((schedule, expected))
        if name in OWN_LR and kwargs.get("cycle_momentum", True):
            pairs.append((schedule.momentum, momenta))
    compare(pairs, True, eager=())


# What torch can put anywhere: no division by zero at a milestone.
MEMBERS = [(n, kw) for n, kw in SETS if not (n in ("LinearLR", "PolynomialLR") and kw.get("total_iters") == 0)]


class Composer:
    """Random schedulers, torch's and ours, made in the same order."""

    def __init__(self, seed: int, optimizer: Any) -> None:
        self.random, self.optimizer = random.Random(seed), optimizer
        self.own_lr = self.random.random() < 0.3
        self.last_epochs = [-1, -1, -1, 0, 9, 20]  # of a sequence

    def leaf(self, last_epoch: int = -1) -> tuple[Any, Any]:
        name, kwargs = self.random.choice([m for m in MEMBERS if self.own_lr or m[0] not in OWN_LR])
        kwargs = kwargs | {"last_epoch": last_epoch}
        if name == "OneCycleLR":  # those of one optimizer share their rates
            kwargs |= {"div_factor": 25.0, "final_div_factor": 1e4}
        scheduler = getattr(theirs, name)(self.optimizer, **kwargs)
        return scheduler, make_ours(name, kwargs, lr=scheduler.base_lrs[0])

    def some(self, number: int, inside: int) -> list[tuple[Any, Any]]:
        """Members of which the first may be made of others."""
        nested = inside and self.random.random() < 0.5
        if not nested:
            return [self.leaf() for _ in range(number)]
        self.last_epochs = [-1]
        first = self.random.choice([self.chain, self.sequence])(inside - 1)
        return [first, *(self.leaf() for _ in range(number - 1))]

    def chain(self, inside: int = 0, last_epoch: int = -1) -> tuple[Any, Any]:
        number = self.random.randint(1, 4)
        members = self.some(number, inside) if last_epoch < 0 else [self.leaf(last_epoch) for _ in range(number)]
        return theirs.ChainedScheduler([a for a, _ in members]), ours.ChainedScheduler([b for _, b in members])

    def sequence(self, inside: int = 0) -> tuple[Any, Any]:
        last_epoch = self.random.choice(self.last_epochs)
        members = self.some(self.random.randint(1, 4), inside)
        milestones = sorted(self.random.choice([0, 1, 2, 10, 10, 35, 60, 200]) for _ in members[1:])
        a = theirs.SequentialLR(self.optimizer, [a for a, _ in members], milestones, last_epoch)
        return a, ours.SequentialLR([b for _, b in members], milestones, last_epoch)


@pytest.mark.parametrize("first", range(0, 48, 8))
def test_compositions(first: int):
    pairs: Pairs = []
    for seed in range(first, first + 8):
        optimizer = torch_optimizer()
        composer = Composer(seed, optimizer)
        make = composer.chain if seed % 2 else composer.sequence
        scheduler, schedule = make(inside=seed % 3)
        pairs.append((schedule, torch_run(optimizer, scheduler, 100)[0]))
    compare(pairs, True, eager=(11,) if first < 16 else ())
    loops = [pair for pair in pairs if any(name in repr(pair[0]) for name in ("MultiplicativeLR", "CosineAnnealingLR"))]
    compare([pair for pair in pairs if not any(pair is loop for loop in loops)], False, eager=(), bound=2e-6)
    compare(loops, False, eager=(), bound=5e-5)


def test_resumed_chains():
    pairs: Pairs = []
    for seed in range(100, 116):
        first, second = torch_optimizer(), torch_optimizer()
        scheduler, _ = Composer(seed, first).chain()
        torch_run(first, scheduler, 25)
        second.load_state_dict(first.state_dict())
        scheduler, schedule = Composer(seed, second).chain(last_epoch=25)
        pairs.append((schedule, torch_run(second, scheduler, 40)[0]))
    compare(pairs, True, eager=(2,))


def test_corners_of_sequences():
    """Milestones of 0 and of one epoch, a product that goes on, a common first step, a chain in a chain."""

    pairs: Pairs = []

    def both(compose: Any) -> None:
        optimizer = torch_optimizer()
        scheduler = compose(theirs, optimizer, (optimizer,))
        pairs.append((compose(ours, LR, ()), torch_run(optimizer, scheduler, 30)[0]))

    def two(lib: Any, lr: Any) -> list[Any]:
        return [lib.ConstantLR(lr, factor=0.5, total_iters=4), lib.MultiplicativeLR(lr, lambda epoch: 0.9)]

    for milestone in (-2, 0, 1, 2, 30, 31):
        both(lambda lib, lr, own, m=milestone: lib.SequentialLR(*own, two(lib, lr), [m]))
    both(lambda lib, lr, own: lib.SequentialLR(*own, [*two(lib, lr), lib.CosineAnnealingLR(lr, 5, 0.1)], [3, 3]))
    both(lambda lib, lr, own: lib.SequentialLR(*own, [lib.LinearLR(lr), lib.ChainedScheduler(two(lib, lr))], [0]))
    both(
        lambda lib, lr, own: lib.SequentialLR(
            *own, [lib.ChainedScheduler([lib.CosineAnnealingLR(lr, 5, 0.1), *two(lib, lr)]), lib.StepLR(lr, 3)], [12]
        )
    )
    for milestone in (0, 1, 2):
        both(
            lambda lib, lr, own, m=milestone: lib.SequentialLR(
                *own, [lib.SequentialLR(*own, two(lib, lr), [m]), lib.PolynomialLR(lr, 9)], [12]
            )
        )
    both(
        lambda lib, lr, own: lib.ChainedScheduler(
            [lib.ChainedScheduler(two(lib, lr)), lib.SequentialLR(*own, two(lib, lr), [7]), lib.StepLR(lr, 9)]
        )
    )
    compare(pairs, True, eager=())


OURS_OF = {name: getattr(ours, name) for name in ours.__all__}


def translated(scheduler: Any) -> Any:
    """Ours with the arguments that a fresh scheduler of torch has."""
    cls = OURS_OF[type(scheduler).__name__]
    kwargs = {name: getattr(scheduler, name) for name in cls.__dataclass_fields__ if hasattr(scheduler, name)}
    if isinstance(scheduler, theirs.ReduceLROnPlateau):
        return cls(**kwargs, lr=scheduler.optimizer.param_groups[0]["lr"], min_lr=scheduler.min_lrs[0])
    return cls(**kwargs | {"lr": scheduler.base_lrs[0], "last_epoch": -1})


DATABASE = [
    pytest.param(info.optim_cls, makers, id=f"{info.optim_cls.__name__}-{i}")
    for info in optim_db
    if info.optim_cls in (torch.optim.Adam, torch.optim.SGD)
    for i, makers in enumerate(info.scheduler_inputs)
]


@pytest.mark.parametrize(("kind", "makers"), DATABASE)
def test_database(kind: Any, makers: Any):
    """A plateau beside the others multiplies what they make of the rate."""
    optimizer = torch_optimizer(kind)
    schedulers = [make(optimizer) for make in makers]
    *plain, last = [translated(scheduler) for scheduler in schedulers]
    plateau = last if isinstance(last, ours.ReduceLROnPlateau) else None
    schedule = ours.ChainedScheduler(plain if plateau else [*plain, last])
    metrics = [max(10 - epoch, 3) for epoch in range(60)]
    with jax.enable_x64(True):
        rates = jax.jit(schedule)(jnp.arange(61)).tolist()
        state, step = (plateau.init(), jax.jit(plateau.step)) if plateau else (None, None)
        for epoch, metric in enumerate(metrics):
            lr = float(state.lr) if state else rates[epoch]
            np.testing.assert_allclose(lr, optimizer.param_groups[0]["lr"], rtol=1e-12, err_msg=str(epoch))
            optimizer.step()
            for scheduler in schedulers:
                scheduler.step(*[metric] * isinstance(scheduler, theirs.ReduceLROnPlateau))
            if state:
                state = step(state._replace(lr=state.lr * (rates[epoch + 1] / rates[epoch])), metric)
    assert len(DATABASE) == 14


PLATEAUS: list[dict[str, Any]] = [
    {"patience": 2},
    {"patience": 0, "factor": 0.5, "threshold": 0.0},
    {"patience": 1, "cooldown": 3, "factor": 0.7, "min_lr": 0.05},
    {"patience": 3, "threshold": 0.1, "eps": 1e-3, "min_lr": 1e-4},
    {"patience": 2.0, "threshold": 1.0, "cooldown": 1, "factor": 0.9},
    {"patience": 0, "factor": -0.5, "min_lr": 1.0},
]


@pytest.mark.parametrize("kwargs", PLATEAUS, ids=range(len(PLATEAUS)))
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_plateau(mode: str, threshold_mode: str, kwargs: dict[str, Any]):
    kwargs = kwargs | {"mode": mode, "threshold_mode": threshold_mode}
    random = np.random.default_rng(0)
    steps = np.arange(100)
    sequences = np.stack(
        [
            np.exp(-0.05 * steps) + 0.1 * random.standard_normal(100),
            np.where(steps % 7 == 3, np.nan, 5 - 0.1 * steps),
            np.where(steps % 11 == 5, -np.inf, np.where(steps % 5 == 3, np.inf, random.standard_normal(100))),
            np.full(100, np.inf),
            np.full(100, -np.inf),
            np.full(100, np.nan),
            np.round(2 * random.standard_normal(100)),
            0.1 * steps,
        ]
    )
    with jax.enable_x64(True):
        plateau = ours.ReduceLROnPlateau(LR, **kwargs)

        def step(state: Any, metric: Any) -> Any:
            state = plateau.step(state, metric)
            return state, state

        run = jax.jit(jax.vmap(lambda metrics: jax.lax.scan(step, plateau.init(), metrics)[1]))
        states = jax.tree.map(np.asarray, run(sequences))
    for row, metrics in enumerate(sequences):
        optimizer = torch_optimizer()
        scheduler = theirs.ReduceLROnPlateau(optimizer, **kwargs)
        for i, metric in enumerate(metrics):
            scheduler.step(metric)
            np.testing.assert_allclose(states.lr[row, i], optimizer.param_groups[0]["lr"], rtol=1e-13)
            for name in ("best", "num_bad_epochs", "cooldown_counter", "last_epoch"):
                assert getattr(states, name)[row, i] == getattr(scheduler, name), (name, row, i)


def test_plateau_takes_an_array_of_one():
    plateau = ours.ReduceLROnPlateau(LR, patience=0)
    state = plateau.step(plateau.step(plateau.init(), np.array([2.0])), jnp.ones((1, 1)) * 2)
    assert error(state.lr, np.array(LR * 0.1)) < 1e-6
    with pytest.raises(ValueError, match=r"metrics: expected a number, got an array of shape \(2,\)"):
        plateau.step(state, jnp.ones(2))


def test_per_epoch():
    optimizer = torch_optimizer()
    expected, _ = torch_run(optimizer, theirs.StepLR(optimizer, 3), 30)
    compare([(ours.per_epoch(ours.StepLR(LR, 3), 4), np.repeat(expected, 4))], True)
    with pytest.raises(ValueError, match="steps_per_epoch: expected an int of at least 1, got 0"):
        ours.per_epoch(ours.StepLR(LR, 3), 0)


def test_momentum_is_injected():
    schedule = ours.OneCycleLR(0.1, total_steps=20)
    optimizer = optax.inject_hyperparams(optim.SGD)(lr=schedule, momentum=schedule.momentum)
    params = jnp.array([1.0, -2.0])
    state = optimizer.init(params)
    theirs_params = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    reference = torch.optim.SGD([theirs_params], lr=LR, momentum=0.9)
    scheduler = theirs.OneCycleLR(reference, 0.1, total_steps=20)
    update = jax.jit(optimizer.update)
    for _ in range(20):
        updates, state = update(params, state, params)
        params = params + updates
        theirs_params.grad = theirs_params.detach().clone()
        reference.step()
        scheduler.step()
    assert error(params, theirs_params.detach().numpy()) < 2e-6


def test_rates_and_counts_are_traced():
    rates = jnp.array([0.1, 0.2])

    def chain(lr: Any) -> Any:
        return ours.SequentialLR([ours.LinearLR(lr), ours.CosineAnnealingLR(lr, 9)], [5])

    np.testing.assert_allclose(
        jax.jit(jax.vmap(lambda lr: chain(lr)(7)))(rates), [chain(0.1)(7), chain(0.2)(7)], rtol=1e-6
    )
    assert chain(0.1) == chain(0.1)
    assert hash(chain(jnp.float32(0.5))) == hash(chain(0.5))
    grid = jnp.arange(6).reshape(2, 3)
    assert chain(0.1)(grid).shape == (2, 3)
    assert chain(0.1)(np.int64(3)) == chain(0.1)(3)


def test_functions_that_cannot_be_traced():
    def table(epoch: int) -> float:
        return [1.0, 0.5, 0.25][epoch] + math.floor(epoch)

    assert ours.LambdaLR(1.0, table)(1) == 1.5
    assert ours.MultiplicativeLR(1.0, table)(2) == 1.5 * 2.25
    with pytest.raises(TypeError):
        jax.jit(ours.LambdaLR(1.0, table))(1)


def test_where_torch_raises_only_at_the_step():
    for schedule, last, beyond in [
        (ours.OneCycleLR(0.5, 10, cycle_momentum=True), 10, 0.5 / 25 / 1e4),
        (ours.OneCycleLR(0.5, 10, pct_start=1.0), 9, 0.5),
        (ours.ConstantLR(LR, factor=0.0), 4, 0.0),
        (ours.PolynomialLR(LR, power=-1.0), 4, math.inf),
    ]:
        optimizer = torch_optimizer()
        name = type(schedule).__name__
        kwargs = {field: getattr(schedule, field) for field in schedule.__dataclass_fields__ if field != "lr"}
        scheduler = getattr(theirs, name)(optimizer, **kwargs)
        expected, _ = torch_run(optimizer, scheduler, last)
        with pytest.raises((ValueError, ZeroDivisionError)):
            scheduler.step()
        assert error(schedule(jnp.arange(last + 1)), expected) < 1e-6
        assert jax.jit(schedule)(last + 5) == pytest.approx(beyond, rel=1e-6)
        with pytest.raises(ValueError, match=r"(count|factor|power): expected .*, got"):
            schedule(last + 1)


EXPONENTIAL = ours.ExponentialLR(0.1, 0.9)
EXPONENTIAL_004 = ours.ExponentialLR(0.1 / 25, 0.9)
REFUSED = [
    (
        lambda: ours.StepLR([0.1, 0.2], 3),
        TypeError,
        r"lr: expected a number, got \[0.1, 0.2\]; .*one schedule for each",
    ),
    (lambda: ours.StepLR(jnp.ones(2), 3), TypeError, r"lr: expected a number, got .*one schedule for each group"),
    (lambda: ours.StepLR("0.1", 3), TypeError, "lr: expected a number of at least 0, got '0.1' of type str"),
    (lambda: ours.StepLR(EXPONENTIAL, 3), TypeError, "lr: expected a number, got .* of type ExponentialLR"),
    (lambda: ours.StepLR(None, 3), TypeError, "lr: expected a number, got None of type NoneType"),
    (lambda: ours.StepLR(-0.1, 3), ValueError, "lr: expected a number of at least 0, got -0.1"),
    (lambda: ours.StepLR(0.1, 0), ValueError, "step_size: expected an int of at least 1, got 0"),
    (lambda: ours.StepLR(0.1, 2.5), TypeError, "step_size: expected an int, got 2.5 of type float"),
    (lambda: ours.StepLR(0.1, 3, "0.1"), TypeError, "gamma: expected a number, got '0.1' of type str"),
    (lambda: ours.StepLR(0.1, 3, last_epoch=-2), ValueError, "last_epoch: expected an int of at least -1, got -2"),
    (lambda: ours.MultiStepLR(0.1, [3, 4.5]), TypeError, r"milestones\[1\]: expected an int, got 4.5"),
    (lambda: ours.LambdaLR(0.1, 3), TypeError, "lr_lambda: expected a function, got 3 of type int"),
    (lambda: ours.MultiplicativeLR(0.1, [per_unit]), TypeError, "lr_lambda: expected a function, got .*for each group"),
    (lambda: ours.ConstantLR(0.1, 1.5), ValueError, r"factor: expected a number in \[0, 1\], got 1.5"),
    (lambda: ours.ConstantLR(0.1, total_iters=-1), ValueError, "total_iters: expected an int of at least 0, got -1"),
    (lambda: ours.LinearLR(0.1, 0.0), ValueError, r"start_factor: expected a number in \(0, 1\], got 0.0"),
    (lambda: ours.LinearLR(0.1, end_factor=1.5), ValueError, r"end_factor: expected a number in \[0, 1\], got 1.5"),
    (lambda: ours.CosineAnnealingLR(0.1, 0), ValueError, "T_max: expected an int of at least 1, got 0"),
    (lambda: ours.CosineAnnealingWarmRestarts(0.1, 0), ValueError, "T_0: expected an int of at least 1, got 0"),
    (lambda: ours.CosineAnnealingWarmRestarts(0.1, 3.0), TypeError, "T_0: expected an int, got 3.0"),
    (lambda: ours.CosineAnnealingWarmRestarts(0.1, 3, 0), ValueError, "T_mult: expected an int of at least 1, got 0"),
    (lambda: ours.CosineAnnealingWarmRestarts(0.1, 3, 1, "0"), TypeError, "eta_min: expected a number, got '0'"),
    (lambda: ours.CyclicLR([0.1], 0.2), TypeError, r"base_lr: expected a number, got \[0.1\]; .*for each group"),
    (lambda: ours.CyclicLR(0.1, 0.2, 0), ValueError, "step_size_up: expected a number above 0, got 0"),
    (lambda: ours.CyclicLR(0.1, 0.2, 3, -1), ValueError, "step_size_down: expected a number of at least 0, got -1"),
    (lambda: ours.CyclicLR(0.1, 0.2, mode="square"), ValueError, "mode: expected one of 'triangular', .* got 'square'"),
    (lambda: ours.CyclicLR(0.1, 0.2, scale_mode="steps"), ValueError, "scale_mode: expected one of 'cycle', "),
    (lambda: ours.CyclicLR(0.1, 0.2, scale_fn=3), TypeError, "scale_fn: expected a function, got 3 of type int"),
    (lambda: ours.CyclicLR(0.1, 0.2, base_momentum=[0.8]), TypeError, "base_momentum: expected a number, got"),
    (lambda: ours.CyclicLR(0.1, 0.2, cycle_momentum=False).momentum(0), ValueError, "cycle_momentum: expected True"),
    (lambda: ours.OneCycleLR(0.1), ValueError, "total_steps: expected an int, or epochs and steps_per_epoch, got None"),
    (lambda: ours.OneCycleLR(0.1, epochs=3), ValueError, "total_steps: expected an int, or epochs and steps_per_epoch"),
    (lambda: ours.OneCycleLR(0.1, 0), ValueError, "total_steps: expected an int of at least 1, got 0"),
    (lambda: ours.OneCycleLR(0.1, 9.0), ValueError, "total_steps: expected an int of at least 1, got 9.0"),
    (lambda: ours.OneCycleLR(0.1, None, 3, -1), ValueError, "steps_per_epoch: expected an int of at least 1, got -1"),
    (lambda: ours.OneCycleLR(0.1, 9, pct_start=1), ValueError, r"pct_start: expected a float in \[0, 1\], got 1"),
    (lambda: ours.OneCycleLR(0.1, 10, pct_start=0.1), ValueError, "pct_start: expected another part of 10 steps"),
    (lambda: ours.OneCycleLR(0.1, 9, anneal_strategy="sine"), ValueError, "anneal_strategy: expected one of 'cos', "),
    (lambda: ours.OneCycleLR(0.1, 9, div_factor=0), ValueError, "div_factor: expected a number other than 0, got 0"),
    (lambda: ours.ChainedScheduler([]), ValueError, "schedulers: expected at least one, got none"),
    (lambda: ours.ChainedScheduler(EXPONENTIAL), TypeError, "schedulers: expected a list of schedulers, got Exp"),
    (
        lambda: ours.ChainedScheduler([per_unit]),
        TypeError,
        r"schedulers\[0\]: expected a scheduler of jaxnets, got one",
    ),
    (
        lambda: ours.ChainedScheduler([EXPONENTIAL, ours.ReduceLROnPlateau(0.1)]),
        ValueError,
        r"schedulers\[1\]: expected a schedule, got ReduceLROnPlateau, whose step asks for a metric",
    ),
    (
        lambda: ours.ChainedScheduler([EXPONENTIAL, ours.StepLR(0.2, 3)]),
        ValueError,
        "schedulers: expected one lr, as they are of one optimizer, got 0.1 before a StepLR with 0.2",
    ),
    (
        lambda: ours.SequentialLR([ours.OneCycleLR(0.1, 9), EXPONENTIAL_004, ours.OneCycleLR(0.2, 9)], [9, 12]),
        ValueError,
        r"schedulers: expected one max_lr, .* got \(0.1, 25.0, 10000.0\) and \(0.2, 25.0, 10000.0\); optax.join",
    ),
    (
        lambda: ours.ChainedScheduler([EXPONENTIAL, ours.StepLR(0.1, 3, last_epoch=4)]),
        ValueError,
        r"schedulers: expected one last_epoch, got \[-1, 4\]",
    ),
    (
        lambda: ours.ChainedScheduler([ours.SequentialLR([EXPONENTIAL], [], 4)]),
        ValueError,
        "schedulers: expected a last_epoch of -1 with a SequentialLR, got 4",
    ),
    (
        lambda: ours.SequentialLR([EXPONENTIAL, EXPONENTIAL], []),
        ValueError,
        "milestones: expected one fewer than the 2 schedulers, got 0",
    ),
    (
        lambda: ours.SequentialLR([EXPONENTIAL] * 3, [4, 2]),
        ValueError,
        r"milestones: expected ascending numbers, got \[4, 2\]",
    ),
    (
        lambda: ours.SequentialLR([ours.StepLR(0.1, 3, last_epoch=4)], []),
        ValueError,
        r"schedulers\[0\]: expected a last_epoch of -1, got 4",
    ),
    (
        lambda: ours.SequentialLR([EXPONENTIAL, ours.ChainedScheduler([EXPONENTIAL])], [4]),
        ValueError,
        r"schedulers\[1\]: expected a scheduler that can start at the milestone 4, got ChainedScheduler, which torch",
    ),
    (
        lambda: ours.SequentialLR([EXPONENTIAL, ours.LinearLR(0.1, total_iters=0)], [4])(5),
        ValueError,
        "total_iters: expected at least 1 of a LinearLR that starts at a milestone, got 0",
    ),
    (lambda: ours.ReduceLROnPlateau(0.1, "least"), ValueError, "mode: expected one of 'min', 'max', got 'least'"),
    (lambda: ours.ReduceLROnPlateau(0.1, threshold_mode="of"), ValueError, "threshold_mode: expected one of 'rel', "),
    (lambda: ours.ReduceLROnPlateau(0.1, factor=1.0), ValueError, "factor: expected a number below 1, got 1.0"),
    (lambda: ours.ReduceLROnPlateau(0.1, patience=2.5), TypeError, "patience: expected an int, got 2.5"),
    (lambda: ours.ReduceLROnPlateau(0.1, min_lr=[0.1]), TypeError, r"min_lr: expected a number, got \[0.1\]; .*group"),
]


@pytest.mark.parametrize(("make", "kind", "message"), REFUSED, ids=range(len(REFUSED)))
def test_refused(make: Any, kind: Any, message: str):
    with pytest.raises(kind, match=message):
        make()
