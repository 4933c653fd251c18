"""One problem in both frameworks: parameters of every rank, a smooth loss whose gradient is never the same twice."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

SHAPES = {"weight": (7, 5), "bias": (7,), "kernel": (2, 3, 4), "scale": ()}
MATRICES = {"weight": (7, 5), "wide": (3, 6)}


def initial(shapes: dict[str, tuple[int, ...]], dtype: Any, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: np.asarray(rng.normal(0.3, 1.0, shape), dtype) for name, shape in shapes.items()}


def coefficients(shapes: dict[str, tuple[int, ...]], dtype: Any) -> dict[str, np.ndarray]:
    """Where the wells are: nowhere near the beginning, where a gradient would be all rounding."""
    away = {name: np.sign(x) * (0.5 + np.abs(x)) for name, x in initial(shapes, np.float64, seed=1).items()}
    return {name: np.asarray(x + away[name], dtype) for name, x in initial(shapes, np.float64).items()}


def loss_in_torch(params: dict[str, torch.Tensor], data: dict[str, torch.Tensor], step: int) -> torch.Tensor:
    """A sum of quartic wells that move with the step: no minimum in which rounding alone would decide."""
    total = sum(
        ((p - c) ** 2 * (1 + 0.1 * (p + c) ** 2)).sum() for p, c in zip(params.values(), data.values(), strict=True)
    )
    return total * (1 + 0.2 * np.sin(step))


def loss_in_jax(params: dict[str, jax.Array], data: dict[str, jax.Array], step: jax.Array) -> jax.Array:
    total = sum(((params[k] - c) ** 2 * (1 + 0.1 * (params[k] + c) ** 2)).sum() for k, c in data.items())
    return total * (1 + 0.2 * jnp.sin(step.astype(total.dtype)))


def run_torch(
    make: Callable[..., Any],
    shapes: dict[str, tuple[int, ...]],
    dtype: Any,
    steps: int,
    schedule: Any = None,
    sign: float = 1.0,
) -> tuple[dict[str, np.ndarray], Any]:
    params = {k: torch.tensor(v, requires_grad=True) for k, v in initial(shapes, dtype).items()}
    data = {k: torch.tensor(v) for k, v in coefficients(shapes, dtype).items()}
    optimizer = make(list(params.values()))
    scheduler = schedule(optimizer) if schedule else None
    for step in range(steps):
        optimizer.zero_grad()

        def closure(step: int = step) -> torch.Tensor:
            optimizer.zero_grad()
            loss = sign * loss_in_torch(params, data, step)
            loss.backward()
            return loss

        if isinstance(optimizer, torch.optim.LBFGS):
            optimizer.step(closure)
        else:
            closure()
            if isinstance(optimizer, torch.optim.SparseAdam):
                for p in params.values():
                    p.grad = p.grad.to_sparse()
            optimizer.step()
        if scheduler:
            scheduler.step()
    return {k: v.detach().numpy() for k, v in params.items()}, optimizer


def run_jax(
    optimizer: Any, shapes: dict[str, tuple[int, ...]], dtype: Any, steps: int, sign: float = 1.0
) -> tuple[dict[str, np.ndarray], Any]:
    params = {k: jnp.asarray(v) for k, v in initial(shapes, dtype).items()}
    data = {k: jnp.asarray(v) for k, v in coefficients(shapes, dtype).items()}
    state = optimizer.init(params)

    def body(carry: Any, step: jax.Array) -> Any:
        params, state = carry
        value, grads = jax.value_and_grad(lambda p: sign * loss_in_jax(p, data, step))(params)
        extra = {}
        if isinstance(optimizer, optax.GradientTransformationExtraArgs):
            extra = {"value": value, "grad": grads, "value_fn": lambda p: sign * loss_in_jax(p, data, step)}
        updates, state = optimizer.update(grads, state, params, **extra)
        return ({k: p + updates[k] for k, p in params.items()}, state), value

    (params, state), _ = jax.jit(lambda c: jax.lax.scan(body, c, jnp.arange(steps)))((params, state))
    return {k: np.asarray(v) for k, v in params.items()}, state
