"""L-BFGS beside torch's, update by update: parameters, counts and the whole state."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problem
import pytest
import torch
from flax import nnx
from problem import SHAPES, initial, run_jax, run_torch

from jaxnets.optim import LBFGS

Params = dict[str, Any]


def rosenbrock(p: Params) -> Any:
    """Of two pairs, in arrays of either framework; from the usual start it takes some thirty iterations."""
    x, y, rest = p["x"], p["y"], p["rest"]
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2 + ((1 - rest[0]) ** 2 + 5 * (rest[1] - rest[0] ** 2) ** 2).sum()


ROSENBROCK = {"x": np.array(-1.2), "y": np.array(1.0), "rest": np.array([[-1.0, 0.5, 2.0], [1.5, 0.1, -0.3]])}


def bowl(p: Params) -> Any:
    return ((p["b"] - 1) ** 2 * 3).sum() + (p["a"] ** 2).sum() + (p["a"] ** 4).sum()


BOWL = {"b": np.array([2.0, -1.0, 0.3]), "a": np.array([[0.7, -1.1]])}


def in_torch(loss: Callable[[Params], Any], start: Params, dtype: Any, **kwargs: Any) -> tuple[Params, Any, Any]:
    params = {k: torch.tensor(v.astype(dtype), requires_grad=True) for k, v in start.items()}
    optimizer = torch.optim.LBFGS(list(params.values()), **kwargs)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(params)
        value.backward()
        return value

    return params, optimizer, closure


def in_jax(loss: Callable[[Params], Any], start: Params, dtype: Any, **kwargs: Any) -> tuple[Params, Any, Any]:
    params = {k: jnp.asarray(v, dtype) for k, v in start.items()}
    optimizer = LBFGS(**kwargs)

    @jax.jit
    def step(params: Params, state: Any) -> tuple[Params, Any]:
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(grads, state, params, value=value, grad=grads, value_fn=loss)
        return {k: p + updates[k] for k, p in params.items()}, state

    return params, optimizer.init(params), step


def flat(tree: Params, names: Any, row: int | None = None) -> np.ndarray:
    """As torch lays its parameters out."""
    return np.concatenate([np.ravel(np.asarray(tree[k] if row is None else tree[k][row])) for k in names])


def assert_close(ours: Any, theirs: Any, bound: float, name: str) -> None:
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    error, scale = np.abs(ours - theirs).max(), np.abs(theirs).max()
    assert error <= bound * scale, f"{name}: {error} of {scale}"


def assert_same_state(ours: Any, theirs: dict[str, Any], names: list[str], history_size: int, bound: float) -> None:
    """Counts are the same; numbers are close to each other."""
    assert (int(ours.n_iter), int(ours.func_evals)) == (theirs["n_iter"], theirs["func_evals"])
    if theirs.get("d") is None:  # no iteration yet
        return
    rows = [i % history_size for i in range(int(ours.pairs))][-history_size:]
    assert len(rows) == len(theirs["ro"])
    for name in ("t", "H_diag", "prev_loss"):
        assert_close(getattr(ours, name), float(theirs[name]), bound, name)
    for name in ("d", "prev_flat_grad"):
        assert_close(flat(getattr(ours, name), names), theirs[name], bound, name)
    for row, y, s, ro in zip(rows, theirs["old_dirs"], theirs["old_stps"], theirs["ro"], strict=True):
        assert_close(flat(ours.old_dirs, names, row), y, bound, "old_dirs")
        assert_close(flat(ours.old_stps, names, row), s, bound, "old_stps")
        assert_close(ours.ro[row], ro, bound, "ro")


WOLFE = {"line_search_fn": "strong_wolfe"}


@pytest.mark.parametrize(
    ("loss", "start", "updates", "kwargs"),
    [
        pytest.param(rosenbrock, ROSENBROCK, 6, {"lr": 0.2, "max_iter": 5}, id="fixed-step"),
        pytest.param(rosenbrock, ROSENBROCK, 6, {"max_iter": 4} | WOLFE, id="strong-wolfe"),
        pytest.param(rosenbrock, ROSENBROCK, 3, {"lr": 30, "max_iter": 4} | WOLFE, id="strong-wolfe-from-afar"),
        pytest.param(rosenbrock, ROSENBROCK, 6, {"lr": 1e-4, "max_iter": 2} | WOLFE, id="strong-wolfe-from-near"),
        pytest.param(rosenbrock, ROSENBROCK, 8, {"lr": 0.1, "history_size": 2, "max_iter": 3}, id="two-pairs"),
        pytest.param(rosenbrock, ROSENBROCK, 6, {"history_size": 2, "max_iter": 3} | WOLFE, id="two-pairs-wolfe"),
        pytest.param(rosenbrock, ROSENBROCK, 4, {"lr": 0.1, "history_size": 1, "max_iter": 3}, id="one-pair"),
        pytest.param(rosenbrock, ROSENBROCK, 4, {"lr": 0.2, "max_iter": 8, "max_eval": 3}, id="few-evaluations"),
        pytest.param(rosenbrock, ROSENBROCK, 6, {"max_eval": 4} | WOLFE, id="few-evaluations-strong-wolfe"),
        pytest.param(rosenbrock, ROSENBROCK, 4, {"max_eval": 1} | WOLFE, id="one-evaluation-strong-wolfe"),
        pytest.param(rosenbrock, ROSENBROCK, 4, {"lr": 0.2, "max_eval": 0}, id="no-evaluation"),
        pytest.param(rosenbrock, ROSENBROCK, 3, {"lr": 0.2, "max_iter": 1}, id="one-iteration"),
        pytest.param(rosenbrock, ROSENBROCK, 2, {"max_iter": 0}, id="no-iteration"),
        pytest.param(bowl, BOWL, 4, {"tolerance_grad": 1e-2}, id="tolerance-grad"),
        pytest.param(bowl, BOWL, 4, {"tolerance_change": 1e-2}, id="tolerance-change"),
        pytest.param(bowl, BOWL, 4, {"tolerance_change": 0.5} | WOLFE, id="tolerance-change-strong-wolfe"),
        pytest.param(bowl, BOWL, 2, {"tolerance_change": 1e3}, id="slope-below-tolerance"),
        pytest.param(bowl, {"b": np.ones(3), "a": np.zeros((1, 2))}, 2, {}, id="at-a-minimum"),
        pytest.param(lambda p: -bowl(p), BOWL, 2, {"max_iter": 3}, id="no-curvature"),
        pytest.param(lambda p: bowl(p) * np.nan, BOWL, 2, {"max_iter": 3}, id="nan"),
    ],
)
def test_update_by_update(loss: Any, start: Params, updates: int, kwargs: dict[str, Any]):
    theirs, optimizer, closure = in_torch(loss, start, np.float64, **kwargs)
    with jax.enable_x64(True):
        ours, state, step = in_jax(loss, start, np.float64, **kwargs)
        for i in range(updates):
            optimizer.step(closure)
            ours, state = step(ours, state)
            for name, p in theirs.items():
                np.testing.assert_allclose(ours[name], p.detach(), rtol=1e-10, atol=1e-10, err_msg=f"{name} in {i}")
            if np.isfinite(flat(ours, ours)).all():
                mine = optimizer.state_dict()["state"][0]
                assert_same_state(state, mine, list(start), kwargs.get("history_size", 100), 1e-8)
    assert int(state.step) == updates


@pytest.mark.parametrize("kwargs", [{"lr": 0.2, "max_iter": 5}, {"max_iter": 4} | WOLFE])
def test_float32(kwargs: dict[str, Any]):
    theirs, optimizer, closure = in_torch(rosenbrock, ROSENBROCK, np.float32, **kwargs)
    ours, state, step = in_jax(rosenbrock, ROSENBROCK, np.float32, **kwargs)
    for _ in range(4):
        optimizer.step(closure)
        ours, state = step(ours, state)
    assert {x.dtype for x in jax.tree.leaves(state)} == {np.dtype(np.float32), np.dtype(np.int32)}
    for name, p in theirs.items():
        np.testing.assert_allclose(ours[name], p.detach(), rtol=1e-3, atol=1e-3)
    assert int(state.func_evals) == optimizer.state_dict()["state"][0]["func_evals"]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_linear_regression(dtype: Any):
    """The line 2 x through three points, 1000 epochs of a small learning rate."""
    x, y = np.array([[1.0], [2.0], [3.0]], dtype), np.array([[2.0], [4.0], [6.0]], dtype)
    start = {"weight": np.array([[0.4]]), "bias": np.array([-0.3])}

    def loss_in_torch(p: Params) -> torch.Tensor:
        return torch.nn.functional.mse_loss(torch.from_numpy(x) @ p["weight"].T + p["bias"], torch.from_numpy(y))

    def loss_in_jax(p: Params) -> jax.Array:
        return jnp.mean((jnp.asarray(x) @ p["weight"].T + p["bias"][None] - jnp.asarray(y)) ** 2)

    theirs, optimizer, closure = in_torch(loss_in_torch, start, dtype, lr=0.01)
    for _ in range(1000):
        optimizer.step(closure)
    with jax.enable_x64(dtype is np.float64):
        ours, state, step = in_jax(loss_in_jax, start, dtype, lr=0.01)
        ours, state = jax.lax.fori_loop(0, 1000, lambda _, carry: step(*carry), (ours, state))
        for name, p in theirs.items():
            np.testing.assert_allclose(ours[name], p.detach(), atol=1e-10 if dtype is np.float64 else 1e-5)
    np.testing.assert_allclose(ours["weight"], [[2]], atol=1e-3)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("lr", [1e-2, 1e-3])
def test_small_steps_are_as_close_to_torch_as_torch_is_to_itself(lr: float, dtype: Any, monkeypatch: Any):
    """Pairs that lie along almost one line make a Hessian of rounding errors: the last bit of one parameter decides.

    Over the hundred steps of `optim_db` torch comes 2e-5 away from itself in float64, 4e-2 in float32.
    """

    def run(bumped: int | None, order: int = 1) -> Params:
        def start(shapes: Any, dtype: Any, seed: int = 0) -> Params:
            values = initial(shapes, dtype, seed)
            if seed == 0 and bumped is not None:
                values["weight"].flat[bumped] = np.nextafter(values["weight"].flat[bumped], dtype(9))
            return values

        monkeypatch.setattr(problem, "initial", start)
        return run_torch(lambda params: torch.optim.LBFGS(params[::order], lr=lr), SHAPES, dtype, 5)[0]

    def distance(a: Params, b: Params) -> float:
        return max(np.abs(a[k] - b[k]).max() / np.abs(b[k]).max() for k in b)

    theirs = run(None)
    noise = max(distance(other, theirs) for other in (run(0), run(1), run(2), run(None, order=-1)))
    monkeypatch.undo()
    with jax.enable_x64(dtype is np.float64):
        ours, state = run_jax(LBFGS(lr=lr), SHAPES, dtype, 5)
    assert int(state.n_iter) == 100
    assert distance(ours, theirs) <= 5 * noise


def test_schedule():
    with jax.enable_x64(True):
        ours, _ = run_jax(
            LBFGS(lr=lambda step: 0.5 * 0.9 ** step.astype(np.float64), max_iter=3), SHAPES, np.float64, 4
        )
    theirs, _ = run_torch(
        lambda params: torch.optim.LBFGS(params, lr=0.5, max_iter=3),
        SHAPES,
        np.float64,
        4,
        lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9),
    )
    for name, p in theirs.items():
        np.testing.assert_allclose(ours[name], p, rtol=1e-9, atol=1e-9)


def test_injected_hyperparameters():
    expected, _ = run_jax(LBFGS(lr=0.5, max_iter=3), SHAPES, np.float32, 3)
    with jax.numpy_dtype_promotion("standard"):  # optax's own sums mix dtypes
        injected, state = run_jax(optax.inject_hyperparams(LBFGS)(lr=0.5, max_iter=3), SHAPES, np.float32, 3)
    assert list(state.inner_state.hyperparameters) == ["line_search_fn"]
    for name, p in expected.items():
        np.testing.assert_allclose(injected[name], p, rtol=1e-6)


def test_mixed_dtypes():
    """Computed in the widest dtype, as torch's flat gradient is; each parameter stays in its own."""
    loss = {
        "torch": lambda p: bowl({k: v.double() for k, v in p.items()}),
        "jax": lambda p: bowl({k: v.astype(np.float64) for k, v in p.items()}),
    }
    theirs = {"b": torch.tensor(BOWL["b"]), "a": torch.tensor(BOWL["a"], dtype=torch.float32)}
    optimizer = torch.optim.LBFGS([p.requires_grad_() for p in theirs.values()], max_iter=4)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss["torch"](theirs)
        value.backward()
        return value

    with jax.enable_x64(True):
        ours = {"b": jnp.asarray(BOWL["b"]), "a": jnp.asarray(BOWL["a"], np.float32)}
        ours_optimizer = LBFGS(max_iter=4)
        state = ours_optimizer.init(ours)
        for _ in range(2):
            optimizer.step(closure)
            grads = jax.grad(loss["jax"])(ours)
            updates, state = ours_optimizer.update(grads, state, ours, value_fn=loss["jax"])
            ours = optax.apply_updates(ours, updates)
        assert (ours["a"].dtype, ours["b"].dtype, state.d["a"].dtype) == (np.float32, np.float64, np.float64)
        for name, p in theirs.items():
            np.testing.assert_allclose(ours[name], p.detach(), rtol=1e-6, atol=1e-7)


def test_bfloat16_keeps_its_state_in_float32():
    params = {k: jnp.asarray(v, jnp.bfloat16) for k, v in BOWL.items()}
    optimizer = LBFGS(max_iter=3, history_size=3)
    updates, state = optimizer.update(jax.grad(bowl)(params), optimizer.init(params), params, value_fn=bowl)
    assert {x.dtype for x in jax.tree.leaves(updates)} == {jnp.dtype(jnp.bfloat16)}
    assert state.d["a"].dtype == state.H_diag.dtype == jnp.float32
    assert bowl({k: p + updates[k] for k, p in params.items()}) < bowl(params)


def test_evaluations_are_those_counted():
    calls = []

    def counted(p: Params) -> Any:
        jax.debug.callback(lambda: calls.append(1))
        return rosenbrock(p)

    params = {k: jnp.asarray(v, np.float32) for k, v in ROSENBROCK.items()}
    for kwargs in ({"lr": 0.1, "max_iter": 3}, {"max_iter": 3} | WOLFE):
        value, grads = jax.value_and_grad(rosenbrock)(params)
        optimizer = LBFGS(**kwargs)
        _, state = optimizer.update(grads, optimizer.init(params), params, value=value, value_fn=counted)
        jax.effects_barrier()
        assert len(calls) == int(state.func_evals) - 1
        calls.clear()


def test_many_starts_at_once():
    starts = {k: jnp.stack([jnp.asarray(v, np.float32) * a for a in (0.5, 1.0)]) for k, v in BOWL.items()}
    optimizer = LBFGS(max_iter=4, history_size=4, **WOLFE)

    def step(params: Params) -> Params:
        updates, _ = optimizer.update(jax.grad(bowl)(params), optimizer.init(params), params, value_fn=bowl)
        return updates

    together = jax.vmap(step)(starts)
    for i in range(2):
        alone = jax.jit(step)({k: v[i] for k, v in starts.items()})
        for name, u in alone.items():
            np.testing.assert_allclose(together[name][i], u, rtol=1e-5, atol=1e-6)


class Line(nnx.Module):
    def __init__(self) -> None:
        self.weight = nnx.Param(jnp.array([[0.4, 1.0]]))
        self.bias = nnx.Param(jnp.array([-0.3]))
        self.calls = nnx.BatchStat(jnp.array(0.0))

    def __call__(self, x: jax.Array) -> jax.Array:
        return x @ self.weight[...].T + self.bias[...][None] + self.calls[...][None, None]


def test_optimizer_of_flax():
    x, y = jnp.array([[1.0, 0.5], [2.0, -1.0], [3.0, 0.1]]), jnp.array([[2.0], [4.0], [6.0]])

    def loss(model: Line) -> jax.Array:
        return jnp.mean((model(x) - y) ** 2)

    model = Line()
    optimizer = nnx.Optimizer(model, LBFGS(lr=0.5, max_iter=3, history_size=4), wrt=nnx.Param)

    @nnx.jit
    def step(model: Line, optimizer: nnx.Optimizer) -> None:
        value, grads = nnx.value_and_grad(loss)(model)
        graph, _, rest = nnx.split(model, nnx.Param, ...)
        optimizer.update(model, grads, value=value, grad=grads, value_fn=lambda p: loss(nnx.merge(graph, p, rest)))

    params, state, ours = in_jax(
        lambda p: jnp.mean((x @ p["weight"].T + p["bias"][None] - y) ** 2),
        {"weight": np.array([[0.4, 1.0]]), "bias": np.array([-0.3])},
        np.float32,
        lr=0.5,
        max_iter=3,
        history_size=4,
    )
    for _ in range(3):
        step(model, optimizer)
        params, state = ours(params, state)
    np.testing.assert_allclose(model.weight[...], params["weight"], rtol=1e-5)
    np.testing.assert_allclose(model.bias[...], params["bias"], rtol=1e-5)
    assert (
        int(optimizer.opt_state.n_iter[...]) == int(state.n_iter) == 6
    )  # 3 evaluations end an update before the third iteration


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"lr": -1}, ValueError, "lr: expected a number of at least 0, got -1"),
        ({"lr": "fast"}, TypeError, "lr: expected a number of at least 0, got 'fast'"),
        ({"lr": torch.ones(2)}, ValueError, "lr: expected a number of at least 0"),
        ({"max_iter": 2.5}, TypeError, "max_iter: expected an integer, got 2.5 of type float"),
        ({"max_iter": -1}, ValueError, "max_iter: expected an integer of at least 0, got -1"),
        ({"max_eval": "many"}, TypeError, "max_eval: expected an integer, got 'many' of type str"),
        ({"max_eval": 0} | WOLFE, ValueError, "max_eval: expected at least 1 for a line search, got 0"),
        ({"history_size": 0}, ValueError, "history_size: expected an integer of at least 1, got 0"),
        ({"history_size": jnp.ones(2)}, TypeError, "history_size: expected an integer, got an array of float32"),
        ({"tolerance_grad": None}, TypeError, "tolerance_grad: expected a number, got None"),
        ({"tolerance_change": np.nan}, ValueError, "tolerance_change: expected a number, got nan"),
        ({"line_search_fn": "armijo"}, ValueError, "line_search_fn: expected one of 'strong_wolfe', got 'armijo'"),
        ({"momentum": 0.9}, TypeError, "momentum"),
    ],
)
def test_arguments_refused(kwargs: dict[str, Any], error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        LBFGS(**kwargs)


def test_updates_refused():
    optimizer, params = LBFGS(), jnp.ones(2)
    state = optimizer.init(params)
    with pytest.raises(ValueError, match="params: LBFGS needs the parameters"):
        optimizer.update(params, state, value_fn=jnp.sum)
    with pytest.raises(ValueError, match="value_fn: LBFGS evaluates the loss itself"):
        optimizer.update(params, state, params, value=1.0, grad=params)
    with pytest.raises(TypeError, match="params: LBFGS needs real parameters, such as of float32; got complex64"):
        optimizer.init(jnp.ones(2, jnp.complex64))
    with pytest.raises(ValueError, match="params: LBFGS needs at least one array"):
        optimizer.init({})
    with pytest.raises(TypeError, match="history_size: is traced"):
        jax.jit(lambda n: LBFGS(history_size=n).init(params))(3)


def test_state_records_the_arguments():
    hyperparameters = LBFGS(lr=torch.tensor(0.5), max_iter=8).init(jnp.ones(2)).hyperparameters
    theirs = torch.optim.LBFGS([torch.ones(2)], lr=0.5, max_iter=8).defaults
    assert (hyperparameters.optimizer, dict(hyperparameters)) == ("LBFGS", theirs)
