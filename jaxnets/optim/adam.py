"""Adam and what came of it: moving averages of the gradient and of its square."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.optim import arguments
from jaxnets.optim.optimizer import Rule, Slots, elementwise, lerp, torch_optimizer

__all__ = ["Adam", "AdamW", "Adamax", "NAdam", "RAdam", "SparseAdam"]


def _decay(beta: Any, step: jax.Array) -> jax.Array:
    """`log(beta) * step`, the logarithm of `beta^step`."""
    if isinstance(beta, jax.Array):
        return jnp.log(beta).astype(step.dtype) * step
    return (math.log(beta) if beta else -math.inf) * step


def _bias_correction(beta: Any, step: jax.Array) -> jax.Array:
    """`1 - beta^step`, as exact as float32 can hold it: 0.999^1 - 1 would lose half of the digits."""
    return -jnp.expm1(_decay(beta, step))


def _moments(p: jax.Array) -> Slots:
    return {"exp_avg": jnp.zeros_like(p), "exp_avg_sq": jnp.zeros_like(p)}


def _averaged(g: jax.Array, slots: Slots, betas: tuple[Any, Any]) -> Slots:
    """`exp_avg` and `exp_avg_sq` with one gradient more."""
    return {
        "exp_avg": lerp(slots["exp_avg"], g, 1 - betas[0]),
        "exp_avg_sq": betas[1] * slots["exp_avg_sq"] + (1 - betas[1]) * g * g,
    }


def _adam_rule(
    lr: Any, betas: Any, eps: Any, weight_decay: Any, amsgrad: bool, *, maximize: bool, decoupled: bool
) -> Rule:
    arguments.at_least_zero(lr=lr, eps=eps, weight_decay=weight_decay)
    beta1, beta2 = arguments.betas(betas)

    def slots(p: jax.Array) -> Slots:
        return _moments(p) | ({"max_exp_avg_sq": jnp.zeros_like(p)} if amsgrad else {})

    def formula(g: jax.Array, slots: Slots, p: Any, step: jax.Array, lr: Any) -> tuple[jax.Array, Slots]:
        new = _averaged(g, slots, (beta1, beta2))
        square = new["exp_avg_sq"]
        if amsgrad:
            square = new["max_exp_avg_sq"] = jnp.maximum(slots["max_exp_avg_sq"], square)
        root = jnp.sqrt(square) / jnp.sqrt(_bias_correction(beta2, step)) + eps
        return lr / _bias_correction(beta1, step) * new["exp_avg"] / root, new

    return elementwise(slots, formula, weight_decay=weight_decay, decoupled=decoupled, maximize=maximize)


@torch_optimizer
def Adam(  # noqa: N802
    lr: Any = 1e-3,
    betas: tuple[Any, Any] = (0.9, 0.999),
    eps: Any = 1e-8,
    weight_decay: Any = 0,
    amsgrad: bool = False,
    *,
    foreach: bool | None = None,
    maximize: bool = False,
    capturable: bool = False,
    differentiable: bool = False,
    fused: bool | None = None,
    decoupled_weight_decay: bool = False,
) -> Rule:
    """Adam: steps by the averaged gradient over the root of the averaged square.

    `m = beta1 m + (1 - beta1) g`, `v = beta2 v + (1 - beta2) g^2`,
    `p = p - lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)`; `weight_decay p` is added to `g` first.

    Args:
        lr: learning rate, at least 0; or a schedule: a function of the number of steps made.
        betas: decay rates of the averages, each in [0, 1).
        eps: at least 0.
        weight_decay: at least 0; of the L2 kind, unless decoupled.
        amsgrad: whether the greatest average of squares so far is used.
        maximize: whether to climb.
        decoupled_weight_decay: weight decay as in `AdamW`.
        foreach, capturable, differentiable, fused: change no number.

    Raises:
        TypeError: an argument is no number.
        ValueError: an argument is out of range.

    Differences from torch: no `params`; bias corrections keep their digits in float32, which `optax.adam`'s don't.

    >>> optimizer = Adam(lr=0.1)
    >>> updates, state = optimizer.update(jnp.ones(2), optimizer.init(jnp.ones(2)))
    >>> bool(jnp.allclose(updates, -0.1)), list(state.slots)
    (True, ['exp_avg', 'exp_avg_sq'])

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html, Kingma and Ba, arXiv:1412.6980
    """
    return _adam_rule(lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled=decoupled_weight_decay)


@torch_optimizer
def AdamW(  # noqa: N802
    lr: Any = 1e-3,
    betas: tuple[Any, Any] = (0.9, 0.999),
    eps: Any = 1e-8,
    weight_decay: Any = 1e-2,
    amsgrad: bool = False,
    *,
    maximize: bool = False,
    foreach: bool | None = None,
    capturable: bool = False,
    differentiable: bool = False,
    fused: bool | None = None,
) -> Rule:
    """Adam with decoupled weight decay: `lr weight_decay p` is subtracted from `p` besides.

    Args: as of `Adam`.

    Differences from torch: no `params`. `optax.adamw` decays by 1e-4 when nothing is said, this by 1e-2.

    >>> optimizer = AdamW(lr=0.1, weight_decay=0.5)
    >>> params = jnp.array([2.0])
    >>> optimizer.update(jnp.zeros(1), optimizer.init(params), params)[0]
    Array([-0.1], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.AdamW.html, Loshchilov and Hutter,
    arXiv:1711.05101
    """
    return _adam_rule(lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled=True)


@torch_optimizer
def Adamax(  # noqa: N802
    lr: Any = 2e-3,
    betas: tuple[Any, Any] = (0.9, 0.999),
    eps: Any = 1e-8,
    weight_decay: Any = 0,
    foreach: bool | None = None,
    *,
    maximize: bool = False,
    differentiable: bool = False,
    capturable: bool = False,
) -> Rule:
    """Adam with the infinity norm: `u = max(beta2 u, |g| + eps)`, `p = p - lr m / (1 - beta1^t) / u`.

    Args: as of `Adam`.

    Differences from torch: no `params`.

    >>> optimizer = Adamax(lr=0.1)
    >>> updates, _ = optimizer.update(jnp.array([3.0]), optimizer.init(jnp.ones(1)))
    >>> print(f"{updates.item():.4f}")
    -0.1000

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.Adamax.html, Kingma and Ba, arXiv:1412.6980
    """
    arguments.at_least_zero(lr=lr, eps=eps, weight_decay=weight_decay)
    beta1, beta2 = arguments.betas(betas)

    def slots(p: jax.Array) -> Slots:
        return {"exp_avg": jnp.zeros_like(p), "exp_inf": jnp.zeros_like(p)}

    def formula(g: jax.Array, slots: Slots, p: Any, step: jax.Array, lr: Any) -> tuple[jax.Array, Slots]:
        new = {
            "exp_avg": lerp(slots["exp_avg"], g, 1 - beta1),
            "exp_inf": jnp.maximum(beta2 * slots["exp_inf"], jnp.abs(g) + eps),
        }
        return lr / _bias_correction(beta1, step) * new["exp_avg"] / new["exp_inf"], new

    return elementwise(slots, formula, weight_decay=weight_decay, maximize=maximize)


@torch_optimizer
def NAdam(  # noqa: N802
    lr: Any = 2e-3,
    betas: tuple[Any, Any] = (0.9, 0.999),
    eps: Any = 1e-8,
    weight_decay: Any = 0,
    momentum_decay: Any = 4e-3,
    decoupled_weight_decay: bool = False,
    *,
    foreach: bool | None = None,
    maximize: bool = False,
    capturable: bool = False,
    differentiable: bool = False,
) -> Rule:
    """Adam with Nesterov's momentum, whose weight grows: `mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2)`.

    `p = p - lr (mu_{t+1} m / (1 - prod_{i <= t+1} mu_i) + (1 - mu_t) g / (1 - prod_{i <= t} mu_i))
    / (sqrt(v / (1 - beta2^t)) + eps)`

    Args: as of `Adam`; and
        momentum_decay: at least 0.

    Differences from torch: no `params`. `optax.nadam` has another momentum.

    >>> optimizer = NAdam(lr=0.1)
    >>> optimizer.update(jnp.ones(1), optimizer.init(jnp.ones(1)))[0].round(4)
    Array([-0.1056], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.NAdam.html, Dozat, "Incorporating Nesterov
    Momentum into Adam", 2016
    """
    arguments.at_least_zero(lr=lr, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay)
    beta1, beta2 = arguments.betas(betas)

    def slots(p: jax.Array) -> Slots:  # torch holds the product in 32 bits, whatever the parameter's dtype
        return _moments(p) | {"mu_product": jnp.ones((), jnp.float32)}

    def formula(g: jax.Array, slots: Slots, p: Any, step: jax.Array, lr: Any) -> tuple[jax.Array, Slots]:
        new = _averaged(g, slots, (beta1, beta2))
        mu, mu_next = (beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay)) for t in (step, step + 1))
        new["mu_product"] = (slots["mu_product"] * mu).astype(jnp.float32)
        product = new["mu_product"].astype(g.dtype)
        root = jnp.sqrt(new["exp_avg_sq"] / _bias_correction(beta2, step)) + eps
        by_gradient = lr * (1 - mu) / (1 - product)
        by_average = lr * mu_next / (1 - product * mu_next)
        return (by_gradient * g + by_average * new["exp_avg"]) / root, new

    return elementwise(slots, formula, weight_decay=weight_decay, decoupled=decoupled_weight_decay, maximize=maximize)


@torch_optimizer
def RAdam(  # noqa: N802
    lr: Any = 1e-3,
    betas: tuple[Any, Any] = (0.9, 0.999),
    eps: Any = 1e-8,
    weight_decay: Any = 0,
    decoupled_weight_decay: bool = False,
    *,
    foreach: bool | None = None,
    maximize: bool = False,
    capturable: bool = False,
    differentiable: bool = False,
) -> Rule:
    """Adam that trusts the averaged square only when it has seen enough: the variance is rectified.

    With `rho_t = rho - 2 t beta2^t / (1 - beta2^t)`, `rho = 2 / (1 - beta2) - 1`: where `rho_t > 5`,
    `p = p - lr m / (1 - beta1^t) r sqrt(1 - beta2^t) / (sqrt(v) + eps)`,
    `r^2 = (rho_t - 4) (rho_t - 2) rho / ((rho - 4) (rho - 2) rho_t)`; else `p = p - lr m / (1 - beta1^t)`.

    Args: as of `Adam`.

    Differences from torch: no `params`. `optax.radam` adds `eps` after the bias correction.

    >>> optimizer = RAdam(lr=0.1)
    >>> updates, _ = optimizer.update(jnp.array([2.0]), optimizer.init(jnp.ones(1)))
    >>> print(f"{updates.item():.4f}")
    -0.2000

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.RAdam.html, Liu et al., arXiv:1908.03265
    """
    arguments.at_least_zero(lr=lr, eps=eps, weight_decay=weight_decay)
    beta1, beta2 = arguments.betas(betas)

    def formula(g: jax.Array, slots: Slots, p: Any, step: jax.Array, lr: Any) -> tuple[jax.Array, Slots]:
        new = _averaged(g, slots, (beta1, beta2))
        rho, rho_t = 2 / (1 - beta2) - 1, _simple_average_length(beta2, step)
        rectification = jnp.sqrt((rho_t - 4) * (rho_t - 2) * rho / ((rho - 4) * (rho - 2) * rho_t))
        adaptive = jnp.sqrt(_bias_correction(beta2, step)) / (jnp.sqrt(new["exp_avg_sq"]) + eps)
        plain = lr / _bias_correction(beta1, step) * new["exp_avg"]
        return plain * jnp.where(rho_t > 5, rectification * adaptive, 1.0), new

    return elementwise(
        _moments, formula, weight_decay=weight_decay, decoupled=decoupled_weight_decay, maximize=maximize
    )


def _simple_average_length(beta: Any, step: jax.Array) -> jax.Array:
    """`rho_t` of RAdam, without the difference of two numbers near `2 / (1 - beta)` that costs float32 four digits.

    With `b = -log(beta)`, `rho_t = coth(b / 2) + t - t coth(t b / 2)`; the poles cancel: `coth(x) = 1 / x + L(x)`.
    """
    b = -_decay(beta, jnp.ones_like(step))
    return step + _langevin(b / 2) - step * _langevin(step * b / 2)


def _langevin(x: jax.Array) -> jax.Array:
    """`coth(x) - 1 / x` for x > 0."""
    series = x / 3 * (1 - x**2 / 15 * (1 - x**2 * 2 / 21 * (1 - x**2 / 10 * (1 - x**2 * 10 / 99))))
    safe = jnp.where(x < 0.25, 1.0, x)
    return jnp.where(x < 0.25, series, 1 / jnp.tanh(safe) - 1 / safe)


@torch_optimizer
def SparseAdam(  # noqa: N802
    lr: Any = 1e-3, betas: tuple[Any, Any] = (0.9, 0.999), eps: Any = 1e-8, maximize: bool = False
) -> Rule:
    """Adam for the rows that have a gradient, such as those of an embedding that were looked up: the others stay.

    Args: as of `Adam`; `lr` and `eps` above 0.

    Differences from torch: no `params`; JAX's gradients are dense, so a row has a gradient when one of its values is
    not zero.

    >>> optimizer = SparseAdam(lr=0.1)
    >>> updates, _ = optimizer.update(jnp.array([[1.0], [0.0]]), optimizer.init(jnp.ones((2, 1))))
    >>> (updates != 0).tolist()
    [[True], [False]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.SparseAdam.html
    """
    beta1, beta2 = arguments.betas(betas)
    for name, value in {"lr": lr, "eps": eps}.items():
        arguments.within(name, value, math.nextafter(0, 1), math.inf, "a number above 0")

    def formula(g: jax.Array, slots: Slots, p: Any, step: jax.Array, lr: Any) -> tuple[jax.Array, Slots]:
        seen = (g != 0).any(tuple(range(1, g.ndim)), keepdims=True) if g.ndim else g != 0
        new = _averaged(g, slots, (beta1, beta2))
        size = lr * jnp.sqrt(_bias_correction(beta2, step)) / _bias_correction(beta1, step)
        decrement = size * new["exp_avg"] / (jnp.sqrt(new["exp_avg_sq"]) + eps)
        kept = {name: jnp.where(seen, value, slots[name]) for name, value in new.items()}
        return jnp.where(seen, decrement, 0.0), kept

    return elementwise(_moments, formula, maximize=maximize, real=True)
