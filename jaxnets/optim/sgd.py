"""Stochastic gradient descent, plain and averaged."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxnets.optim import arguments
from jaxnets.optim.optimizer import Part, Rule, Slots, elementwise, from_optax, is_zero, needs, torch_optimizer

__all__ = ["ASGD", "SGD"]


@torch_optimizer
def SGD(  # noqa: N802
    lr: Any = 1e-3,
    momentum: Any = 0,
    dampening: Any = 0,
    weight_decay: Any = 0,
    nesterov: bool = False,
    *,
    maximize: bool = False,
    foreach: bool | None = None,
    differentiable: bool = False,
    fused: bool | None = None,
) -> Rule:
    """Stochastic gradient descent, with momentum.

    `b = momentum b + (1 - dampening) g`, in the first step `b = g`; `p = p - lr b`, with Nesterov's momentum
    `p = p - lr (g + momentum b)`. `weight_decay p` is added to `g` first.

    Args:
        lr: learning rate, at least 0; or a schedule: a function of the number of steps made.
        momentum: at least 0.
        dampening: of the momentum.
        weight_decay: at least 0, of the L2 kind.
        nesterov: needs a momentum, and no dampening.
        maximize: whether to climb.
        foreach, differentiable, fused: change no number.

    Raises:
        TypeError: an argument is no number.
        ValueError: an argument is out of range.

    Differences from torch: no `params`. Without dampening the momentum is `optax.trace`.

    >>> optimizer = SGD(lr=0.1, momentum=0.9)
    >>> state = optimizer.init(jnp.ones(1))
    >>> for _ in range(2):
    ...     updates, state = optimizer.update(jnp.ones(1), state)
    >>> updates, state.slots
    (Array([-0.19], dtype=float32), {'momentum_buffer': Array([1.9], dtype=float32)})

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html
    """
    arguments.at_least_zero(lr=lr, momentum=momentum, weight_decay=weight_decay)
    if nesterov and (is_zero(momentum) or not is_zero(dampening)):
        raise ValueError(f"nesterov: expected momentum > 0 and dampening = 0, got {momentum} and {dampening}")
    options = {"weight_decay": weight_decay, "maximize": maximize}
    if is_zero(momentum):
        return from_optax(**options)
    if is_zero(dampening):
        trace = optax.trace(momentum, nesterov)
        return from_optax(Part(trace, optax.TraceState, {"momentum_buffer": "trace"}), **options)

    def formula(g: jax.Array, slots: Slots, p: Any, step: jax.Array, lr: Any) -> tuple[jax.Array, Slots]:
        buffer = jnp.where(step == 1, g, momentum * slots["momentum_buffer"] + (1 - dampening) * g)
        return lr * (g + momentum * buffer if nesterov else buffer), {"momentum_buffer": buffer}

    return elementwise(lambda p: {"momentum_buffer": jnp.zeros_like(p)}, formula, **options)


@torch_optimizer
def ASGD(  # noqa: N802
    lr: Any = 1e-2,
    lambd: Any = 1e-4,
    alpha: Any = 0.75,
    t0: Any = 1e6,
    weight_decay: Any = 0,
    foreach: bool | None = None,
    maximize: bool = False,
    differentiable: bool = False,
    capturable: bool = False,
) -> Rule:
    """Averaged stochastic gradient descent.

    `p = p - eta (lambd p + g)`, `ax = ax + mu (p - ax)`; then `eta = lr / (1 + lambd lr t)^alpha`,
    `mu = 1 / max(1, t - t0)`. The averaged parameters are the slot `ax` of the state.

    Args:
        lr: learning rate, at least 0, or a schedule.
        lambd: decay of the parameters.
        alpha: how fast `eta` falls.
        t0: the step from which on parameters are averaged.
        weight_decay: at least 0, of the L2 kind.
        maximize: whether to climb.
        foreach, differentiable, capturable: change no number.

    Differences from torch: no `params`. As there, `eta` and `mu` are held in 32 bits.

    >>> optimizer = ASGD(lr=0.1)
    >>> params = jnp.ones(1)
    >>> optimizer.update(jnp.ones(1), optimizer.init(params), params)[0]
    Array([-0.10001], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.ASGD.html, Polyak and Juditsky, "Acceleration
    of stochastic approximation by averaging", 1992
    """
    arguments.at_least_zero(lr=lr, weight_decay=weight_decay)

    def slots(p: jax.Array) -> Slots:
        first = lr(jnp.zeros((), jnp.int32)) if callable(lr) else lr
        numbers = {"eta": jnp.asarray(first, jnp.float32), "mu": jnp.ones((), jnp.float32)}
        return numbers | {"ax": jnp.zeros_like(p)}

    def formula(g: jax.Array, slots: Slots, p: Any, step: jax.Array, lr: Any) -> tuple[jax.Array, Slots]:
        needs("ASGD", p)
        eta, mu = slots["eta"], slots["mu"]
        decrement = eta * (lambd * p + g)
        new = p - decrement
        return decrement, {
            "ax": jnp.where(mu == 1, new, slots["ax"] + mu * (new - slots["ax"])),
            "eta": lr / (1 + lambd * lr * step) ** alpha,
            "mu": 1 / jnp.maximum(1, step - t0),
        }

    return elementwise(slots, formula, weight_decay=weight_decay, maximize=maximize)
