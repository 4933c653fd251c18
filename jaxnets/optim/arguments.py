"""The arguments that torch's optimizers refuse; what is traced or a schedule cannot be asked."""

import math
from typing import Any

import jax

__all__ = ["at_least_zero", "betas", "within"]


def at_least_zero(**values: Any) -> None:
    """Refuses a number below zero, or what is no number.

    >>> at_least_zero(lr=-1.0)
    Traceback (most recent call last):
        ...
    ValueError: lr: expected a number of at least 0, got -1.0
    """
    for name, value in values.items():
        within(name, value, 0.0, math.inf, "a number of at least 0")


def within(name: str, value: Any, low: float, high: float, expected: str, *, open_end: bool = False) -> None:
    """Refuses a number outside of `[low, high]`, or `[low, high)`, or what is no number."""
    if isinstance(value, jax.core.Tracer) or (name == "lr" and callable(value)):
        return
    if isinstance(value, str | bool) or value is None:
        raise TypeError(f"{name}: expected {expected}, got {value!r} of type {type(value).__name__}")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: expected {expected}, got {value!r}") from None
    if not (low <= number <= high) or (open_end and number == high):
        raise ValueError(f"{name}: expected {expected}, got {value}")


def betas(value: Any) -> tuple[float, float]:
    """The two decay rates of moving averages, each in `[0, 1)`."""
    pair: tuple[Any, ...] = tuple(value) if isinstance(value, tuple | list) else (value,)
    if len(pair) != 2:
        raise ValueError(f"betas: expected two numbers in [0, 1), got {value!r}")
    for i, beta in enumerate(pair):
        within(f"betas[{i}]", beta, 0.0, 1.0, "a number in [0, 1)", open_end=True)
    return pair[0], pair[1]
