"""Muon: the momentum of a matrix, made orthogonal."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.check import choice
from jaxnets.optim import arguments
from jaxnets.optim.optimizer import Rule, Slots, elementwise, lerp, torch_optimizer

__all__ = ["Muon"]

LR_ADJUSTMENTS = {
    "original": lambda rows, columns: max(1.0, rows / columns) ** 0.5,
    "match_rms_adamw": lambda rows, columns: 0.2 * max(rows, columns) ** 0.5,
}


@torch_optimizer
def Muon(  # noqa: N802
    lr: Any = 1e-3,
    weight_decay: Any = 0.1,
    momentum: Any = 0.95,
    nesterov: bool = True,
    ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
    eps: Any = 1e-7,
    ns_steps: int = 5,
    adjust_lr_fn: str | None = None,
) -> Rule:
    """Muon, for the matrices of hidden layers: steps by the nearest orthogonal matrix to the averaged gradient.

    `b = momentum b + (1 - momentum) g`; `o = NS(b)`, or with Nesterov's momentum `NS(momentum b + (1 - momentum) g)`;
    `p = p - lr weight_decay p - lr a o`, where `a` is `sqrt(max(1, rows / columns))` ("original") or
    `0.2 sqrt(max(rows, columns))`. `NS` is a Newton-Schulz iteration, in bfloat16 as in torch: with `x` over its norm,
    `x = a x + (b s + c s s) x`, `s = x x^T`.

    Args:
        lr: learning rate, at least 0, or a schedule.
        weight_decay: at least 0, decoupled.
        momentum: at least 0.
        nesterov: whether momentum is Nesterov's.
        ns_coefficients: `a`, `b`, `c`.
        eps: the least norm that is divided by.
        ns_steps: iterations, below 100.
        adjust_lr_fn: "original", which None means, or "match_rms_adamw".

    Raises:
        ValueError: an argument is out of range; a parameter is no matrix: give the others to another optimizer with
            `param_groups`.

    Differences from torch: no `params`. `optax.contrib.muon` averages otherwise, and not in bfloat16.

    >>> optimizer = Muon(lr=0.1, weight_decay=0)
    >>> params = jnp.eye(2)
    >>> optimizer.update(params, optimizer.init(params))[0].shape
    (2, 2)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.Muon.html,
    https://kellerjordan.github.io/posts/muon/
    """
    arguments.at_least_zero(lr=lr, weight_decay=weight_decay, momentum=momentum)
    if len(ns_coefficients) != 3:
        raise ValueError(f"ns_coefficients: expected three numbers, got {ns_coefficients!r}")
    if not isinstance(ns_steps, int) or ns_steps >= 100:
        raise ValueError(f"ns_steps: expected an int below 100, got {ns_steps!r}")
    adjustment = choice("adjust_lr_fn", "original" if adjust_lr_fn is None else adjust_lr_fn, tuple(LR_ADJUSTMENTS))

    def slots(p: jax.Array) -> Slots:
        if p.ndim != 2:
            raise ValueError(f"params: Muon expects real matrices, got an array of shape {p.shape}; see param_groups")
        return {"momentum_buffer": jnp.zeros_like(p)}

    def formula(g: jax.Array, slots: Slots, p: Any, step: jax.Array, lr: Any) -> tuple[jax.Array, Slots]:
        buffer = lerp(slots["momentum_buffer"], g, 1 - momentum)
        direction = lerp(g, buffer, momentum) if nesterov else buffer
        orthogonal = _orthogonalized(direction, ns_coefficients, ns_steps, eps).astype(g.dtype)
        return lr * LR_ADJUSTMENTS[adjustment](*g.shape) * orthogonal, {"momentum_buffer": buffer}

    return elementwise(slots, formula, weight_decay=weight_decay, decoupled=True, real=True)


def _orthogonalized(matrix: jax.Array, coefficients: tuple[float, float, float], steps: int, eps: Any) -> jax.Array:
    """The Newton-Schulz iteration in bfloat16, bit for bit torch's: products are summed in float32, rounded once."""
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    x = _rounded(matrix.T if tall else matrix).astype(jnp.float32)
    norm = _rounded(jnp.sqrt(jnp.square(x).sum()))
    x = _rounded(x / jnp.maximum(norm, _rounded(jnp.float32(eps))))
    for _ in range(steps):
        gram = _rounded(_product(x, x.T))
        x = _rounded(a * x + _product(_rounded(b * gram + c * _product(gram, gram)), x))
    return x.T if tall else x


def _product(x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.matmul(x.astype(jnp.bfloat16), y.astype(jnp.bfloat16), preferred_element_type=jnp.float32)


def _rounded(x: jax.Array) -> jax.Array:
    """Numbers rounded to bfloat16, in their dtype; XLA would leave out a cast there and back."""
    return jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7)
