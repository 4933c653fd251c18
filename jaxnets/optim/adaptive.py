"""A learning rate for each parameter, by the size that its gradients had."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxnets.optim import arguments
from jaxnets.optim.optimizer import Part, Rule, Slots, elementwise, from_optax, is_zero, lerp, needs, torch_optimizer

__all__ = ["Adadelta", "Adafactor", "Adagrad", "RMSprop", "Rprop"]


@torch_optimizer
def Adagrad(  # noqa: N802
    lr: Any = 1e-2,
    lr_decay: Any = 0,
    weight_decay: Any = 0,
    initial_accumulator_value: Any = 0,
    eps: Any = 1e-10,
    foreach: bool | None = None,
    *,
    maximize: bool = False,
    differentiable: bool = False,
    fused: bool | None = None,
) -> Rule:
    """Adagrad: `s = s + g^2`, `p = p - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)`.

    Args:
        lr: learning rate, at least 0, or a schedule.
        lr_decay: at least 0.
        weight_decay: at least 0, of the L2 kind.
        initial_accumulator_value: the first `s`, at least 0.
        eps: at least 0.
        maximize: whether to climb.
        foreach, differentiable, fused: change no number.

    Differences from torch: no `params`. `optax.adagrad` starts at 0.1 and has `eps` inside the root.

    >>> optimizer = Adagrad(lr=0.1)
    >>> optimizer.update(jnp.array([3.0]), optimizer.init(jnp.ones(1)))[0]
    Array([-0.1], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.Adagrad.html, Duchi, Hazan and Singer, JMLR
    12, 2011
    """
    arguments.at_least_zero(
        lr=lr,
        lr_decay=lr_decay,
        weight_decay=weight_decay,
        initial_accumulator_value=initial_accumulator_value,
        eps=eps,
    )

    def formula(g: jax.Array, slots: Slots, p: Any, step: jax.Array, lr: Any) -> tuple[jax.Array, Slots]:
        total = slots["sum"] + g * g
        return lr / (1 + (step - 1) * lr_decay) * g / (jnp.sqrt(total) + eps), {"sum": total}

    def slots(p: jax.Array) -> Slots:
        return {"sum": jnp.full_like(p, initial_accumulator_value)}

    return elementwise(slots, formula, weight_decay=weight_decay, maximize=maximize)


@torch_optimizer
def Adadelta(  # noqa: N802
    lr: Any = 1.0,
    rho: Any = 0.9,
    eps: Any = 1e-6,
    weight_decay: Any = 0,
    foreach: bool | None = None,
    *,
    capturable: bool = False,
    maximize: bool = False,
    differentiable: bool = False,
) -> Rule:
    """Adadelta: `v = rho v + (1 - rho) g^2`, `d = sqrt(u + eps) / sqrt(v + eps) g`, `u = rho u + (1 - rho) d^2`.

    Args:
        lr: what `d` is multiplied with, at least 0, or a schedule.
        rho: decay rate of the averages, in [0, 1].
        eps: at least 0.
        weight_decay: at least 0, of the L2 kind.
        maximize: whether to climb.
        foreach, capturable, differentiable: change no number.

    Differences from torch: no `params`. Built on `optax.scale_by_adadelta`.

    >>> optimizer = Adadelta()
    >>> optimizer.update(jnp.ones(1), optimizer.init(jnp.ones(1)))[0].round(5)
    Array([-0.00316], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.Adadelta.html, Zeiler, arXiv:1212.5701
    """
    arguments.at_least_zero(lr=lr, eps=eps, weight_decay=weight_decay)
    arguments.within("rho", rho, 0.0, 1.0, "a number in [0, 1]")
    names = {"square_avg": "e_g", "acc_delta": "e_x"}
    part = Part(optax.scale_by_adadelta(rho, eps), optax.ScaleByAdaDeltaState, names)
    return from_optax(part, weight_decay=weight_decay, maximize=maximize)


@torch_optimizer
def RMSprop(  # noqa: N802
    lr: Any = 1e-2,
    alpha: Any = 0.99,
    eps: Any = 1e-8,
    weight_decay: Any = 0,
    momentum: Any = 0,
    centered: bool = False,
    capturable: bool = False,
    foreach: bool | None = None,
    maximize: bool = False,
    differentiable: bool = False,
) -> Rule:
    """RMSprop: `v = alpha v + (1 - alpha) g^2`, `p = p - lr g / (sqrt(v) + eps)`.

    Centered, `v` less the square of the averaged gradient stands under the root; with a momentum,
    `b = momentum b + g / (sqrt(v) + eps)`, `p = p - lr b`.

    Args:
        lr: learning rate, at least 0, or a schedule.
        alpha: decay rate of the averages, at least 0.
        eps: at least 0, outside of the root.
        weight_decay: at least 0, of the L2 kind.
        momentum: at least 0.
        centered: whether the variance is used.
        maximize: whether to climb.
        capturable, foreach, differentiable: change no number.

    Differences from torch: no `params`. Built on `optax.scale_by_rms` and `scale_by_stddev`; `optax.rmsprop` itself
    has `eps` inside the root unless told.

    >>> optimizer = RMSprop(lr=0.1)
    >>> optimizer.update(jnp.ones(1), optimizer.init(jnp.ones(1)))[0].round(4)
    Array([-1.], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.RMSprop.html, Hinton's lecture 6e of "Neural
    Networks for Machine Learning", Graves, arXiv:1308.0850
    """
    arguments.at_least_zero(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum)
    if centered:
        scale, state = optax.scale_by_stddev(alpha, eps, eps_in_sqrt=False), optax.ScaleByRStdDevState
        parts = [Part(scale, state, {"square_avg": "nu", "grad_avg": "mu"})]
    else:
        parts = [Part(optax.scale_by_rms(alpha, eps, eps_in_sqrt=False), optax.ScaleByRmsState, {"square_avg": "nu"})]
    if not is_zero(momentum):
        parts.append(Part(optax.trace(momentum), optax.TraceState, {"momentum_buffer": "trace"}))
    return from_optax(*parts, weight_decay=weight_decay, maximize=maximize)


@torch_optimizer
def Rprop(  # noqa: N802
    lr: Any = 1e-2,
    etas: tuple[Any, Any] = (0.5, 1.2),
    step_sizes: tuple[Any, Any] = (1e-6, 50),
    *,
    capturable: bool = False,
    foreach: bool | None = None,
    maximize: bool = False,
    differentiable: bool = False,
) -> Rule:
    """Resilient backpropagation: a step size for each number, which grows while the gradient keeps its sign.

    `s = clip(s eta, *step_sizes)`, where `eta` is `etas[1]` for the same sign as before, `etas[0]` for another, and 1
    for zero; `p = p - s sign(g)`, except where the sign has changed: there `g` is taken as 0.

    Args:
        lr: the first step size, at least 0; of a schedule its first value.
        etas: `0 < etas[0] < 1 < etas[1]`.
        step_sizes: least and greatest step size.
        maximize: whether to climb.
        capturable, foreach, differentiable: change no number.

    Differences from torch: no `params`. `optax.rprop` keeps a step size in bounds only when it changes.

    >>> optimizer = Rprop(lr=0.1)
    >>> optimizer.update(jnp.array([3.0]), optimizer.init(jnp.ones(1)))[0]
    Array([-0.1], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.Rprop.html, Riedmiller and Braun, ICNN 1993
    """
    arguments.at_least_zero(lr=lr)
    for name, pair in {"etas": etas, "step_sizes": step_sizes}.items():
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ValueError(f"{name}: expected two numbers, got {pair!r}")
    shrink, grow = etas
    if not 0 < shrink < 1 < grow:
        raise ValueError(f"etas: expected 0 < etas[0] < 1 < etas[1], got {etas}")

    def slots(p: jax.Array) -> Slots:
        first = lr(jnp.zeros((), jnp.int32)) if callable(lr) else lr
        return {"prev": jnp.zeros_like(p), "step_size": jnp.full_like(p, first)}

    def formula(g: jax.Array, slots: Slots, p: Any, step: jax.Array, lr: Any) -> tuple[jax.Array, Slots]:
        turn = jnp.sign(g * slots["prev"])
        factor = jnp.where(turn > 0, grow, jnp.where(turn < 0, shrink, 1.0)).astype(g.dtype)
        size = jnp.clip(slots["step_size"] * factor, *step_sizes)
        g = jnp.where(turn < 0, 0, g)
        return jnp.sign(g) * size, {"prev": g, "step_size": size}

    return elementwise(slots, formula, maximize=maximize)


@torch_optimizer
def Adafactor(  # noqa: N802
    lr: Any = 1e-2,
    beta2_decay: Any = -0.8,
    eps: tuple[Any, Any] = (None, 1e-3),
    d: Any = 1.0,
    weight_decay: Any = 0.0,
    *,
    foreach: bool | None = None,
    maximize: bool = False,
) -> Rule:
    """Adafactor: the averaged square of a matrix is held as the product of its rows' and its columns' means.

    `a = max(eps[1], rms(p)) min(lr, 1 / sqrt(t))`; the averages take `t^beta2_decay` of the new square;
    `u = g / sqrt(v)`, `p = p - a u / max(1, rms(u) / d)`; `lr weight_decay p` is subtracted besides.

    Args:
        lr: the greatest relative step, at least 0, or a schedule.
        beta2_decay: exponent, at most 0.
        eps: the first, for the square, is the dtype's own when None; the second is the least scale of a parameter.
        d: clipping threshold of the update's root mean square, at least 1.
        weight_decay: at least 0, decoupled.
        maximize: whether to climb.
        foreach: changes no number.

    Differences from torch: no `params`. `optax.adafactor` has other rules for nearly everything.

    >>> optimizer = Adafactor()
    >>> params = jnp.ones((2, 3))
    >>> updates, state = optimizer.update(params, optimizer.init(params), params)
    >>> {name: slot.shape for name, slot in state.slots.items()}
    {'row_var': (2, 1), 'col_var': (1, 3)}

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.Adafactor.html, Shazeer and Stern,
    arXiv:1804.04235
    """
    arguments.at_least_zero(lr=lr, weight_decay=weight_decay)
    arguments.within("beta2_decay", beta2_decay, -math.inf, 0.0, "a number of at most 0")
    arguments.within("d", d, 1.0, math.inf, "a number of at least 1")
    if not isinstance(eps, tuple) or len(eps) != 2:
        raise ValueError(f"eps: expected two numbers, the first may be None, got {eps!r}")
    arguments.at_least_zero(**({} if eps[0] is None else {"eps[0]": eps[0]}), **{"eps[1]": eps[1]})

    def slots(p: jax.Array) -> Slots:
        if p.ndim < 2:
            return {"variance": jnp.zeros_like(p)}
        return {"row_var": jnp.zeros_like(p[..., :1]), "col_var": jnp.zeros_like(p[..., :1, :])}

    def formula(g: jax.Array, slots: Slots, p: Any, step: jax.Array, lr: Any) -> tuple[jax.Array, Slots]:
        needs("Adafactor", p)
        least = float(jnp.finfo(p.dtype).eps) if eps[0] is None else eps[0]
        new_share = step**beta2_decay
        if g.ndim > 1:
            means = {"row_var": jnp.square(g).mean(-1, keepdims=True), "col_var": jnp.square(g).mean(-2, keepdims=True)}
            new = {name: lerp(slots[name], mean, new_share) for name, mean in means.items()}
            row_mean = new["row_var"].mean(-2, keepdims=True)
            square = new["row_var"] * new["col_var"] / jnp.maximum(row_mean, least)
        else:
            new = {"variance": lerp(slots["variance"], g * g, new_share)}
            square = new["variance"]
        update = g / jnp.sqrt(jnp.maximum(square, least * least))
        size = jnp.maximum(eps[1], _rms(p)) * jnp.minimum(lr, 1 / jnp.sqrt(step))
        return size / jnp.maximum(1.0, _rms(update) / d) * update, new

    return elementwise(slots, formula, weight_decay=weight_decay, decoupled=True, maximize=maximize, real=True)


def _rms(x: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.square(x).mean()) if x.size else jnp.zeros((), x.dtype)
