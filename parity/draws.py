"""Layers that draw random numbers: no two libraries draw alike, but what is drawn must have the same distribution."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from parity.sides import QUICK, Arrays, JaxSide, Run, TorchSide, is_inexact, torchs_part
from parity.tolerance import Row, default_tolerance

DRAWS = 200
"""Calls on each side: enough to tell a factor of 1.4 apart in each single element."""

SIGMAS = 6.0
"""How far two means may be apart, in standard errors of their difference. By chance once in 500 million."""


def draw_rows(
    torch_module: Callable[..., Any],
    jax_module: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    seed: int,
) -> list[Row]:
    """Compares many calls in training mode: of every element of the outputs and input gradients the mean, the
    variance, and the covariance with its neighbour, which tells whether neighbours are dropped together."""
    theirs = TorchSide(torch_module, args, kwargs, train=True, hold=False)
    ours = JaxSide(jax_module, args, kwargs, train=True, hold=False, options=QUICK)
    torch_calls, jax_calls = [], []
    for _ in range(DRAWS):
        with torchs_part():
            run, directions = theirs.run(True, seed)
        torch_calls.append(_arrays(run))
        jax_calls.append(_arrays(ours.run(True, directions, jit=True)))
        ours.rest = ours.after  # the random streams go on
    names = [name for name in torch_calls[0] if name in jax_calls[0]]
    return [_row(name, [c[name] for c in jax_calls], [c[name] for c in torch_calls]) for name in names]


def _arrays(run: Run) -> Arrays:
    gradients = {f"gradient of {n}": x for n, x in (run.input_gradients or {}).items() if x is not None}
    return {name: x for name, x in (run.outputs | gradients).items() if x.size and is_inexact(x)}


def _row(name: str, ours: list[np.ndarray], theirs: list[np.ndarray]) -> Row:
    tolerance = default_tolerance(theirs[0].dtype)
    mine, torchs = np.stack(ours).astype(np.float64), np.stack(theirs).astype(np.float64)
    centre = torchs.mean(axis=0).ravel()
    a, b = _statistics(mine, centre), _statistics(torchs, centre)
    difference = np.abs(a.mean(axis=0) - b.mean(axis=0))
    error = np.sqrt((a.var(axis=0) + b.var(axis=0)) / DRAWS)
    allowed = SIGMAS * error + tolerance.atol + tolerance.rtol * np.abs(torchs).max()
    statistic, element = np.unravel_index(np.argmax(difference - allowed), difference.shape)
    wrong = int((difference > allowed).sum())
    of = ("mean", "variance", "covariance with its neighbour")[statistic]
    text = (
        f"over {DRAWS} draws the {of} of element {element} is {a.mean(axis=0)[statistic, element]:.4g} here and "
        f"{b.mean(axis=0)[statistic, element]:.4g} in torch, {SIGMAS:g} standard errors are "
        f"{allowed[statistic, element]:.2g}; {wrong} of {difference.size} statistics differ"
    )
    return Row("draws", name, theirs[0].shape, ok=not wrong, note=text if wrong else "")


def _statistics(draws: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """`(draws, 3, elements)` whose means are mean, variance and covariance, about torch's mean on both sides."""
    flat = draws.reshape(len(draws), -1)
    apart = flat - centre
    return np.stack([flat, apart**2, apart * np.roll(apart, 1, axis=1)], axis=1)
