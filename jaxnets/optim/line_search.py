"""The line search of torch's L-BFGS: a step size that satisfies the strong Wolfe conditions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

__all__ = ["Point", "cubic_minimum", "strong_wolfe"]


class Point(NamedTuple):
    """What is known at one step size.

    Attributes:
        t: the step size.
        f: the loss.
        slope: the derivative of the loss in the direction.
    """

    t: jax.Array
    f: jax.Array
    slope: jax.Array


class _Search(NamedTuple):
    """Where a search stands: it brackets a minimum first, then it zooms into the bracket.

    Attributes:
        t: the step size to try next.
        ends: the two ends of the bracket; while bracketing, the first is the step size before this one.
        low: whether the second end is the lower one.
        grad: the gradient at the lower end, which is the only one that can still be asked for; while bracketing, that
            at the first end.
        iterations: what torch calls `ls_iter`.
        evals: how often the loss was evaluated.
        zooming: whether there is a bracket.
        slow: torch's `insuf_progress`.
        done: whether the search is over.
    """

    t: jax.Array
    ends: tuple[Point, Point]
    low: jax.Array
    grad: Any
    iterations: jax.Array
    evals: jax.Array
    zooming: jax.Array
    slow: jax.Array
    done: jax.Array


def _where(condition: jax.Array, x: Any, y: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), x, y)


def cubic_minimum(a: Point, b: Point, low: jax.Array, high: jax.Array) -> jax.Array:
    """Where the cubic through two points with their slopes has its minimum, within `[low, high]`.

    Where it has none, the middle of the interval.

    >>> a, b = (Point(*map(jnp.float32, numbers)) for numbers in ((0, 1, -2), (2, 1, 2)))
    >>> cubic_minimum(a, b, a.t, b.t)
    Array(1., dtype=float32)

    Source: Nocedal and Wright, "Numerical Optimization", 2nd edition, equation 3.59
    """
    d1 = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
    square = d1**2 - a.slope * b.slope
    d2 = jnp.sqrt(square)
    right = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    left = a.t - (a.t - b.t) * ((a.slope + d2 - d1) / (a.slope - b.slope + 2 * d2))
    t = jnp.where(a.t <= b.t, right, left)
    t = jnp.where(low > t, low, t)  # not jnp.clip: a nan stays within torch's order of comparisons
    t = jnp.where(high < t, high, t)
    return jnp.where(square >= 0, t, (low + high) / 2)


def strong_wolfe(
    evaluate: Callable[[jax.Array], tuple[Point, Any]],
    t: jax.Array,
    start: Point,
    grad: Any,
    *,
    d_norm: jax.Array,
    max_ls: jax.Array,
    tolerance_change: Any,
    c1: float = 1e-4,
    c2: float = 0.9,
) -> tuple[Point, Any, jax.Array]:
    """A step size at which the loss has fallen enough and its slope has become flat enough.

    `f(t) <= f(0) + c1 t f'(0)` and `|f'(t)| <= -c2 f'(0)`. Torch's `_strong_wolfe`, comparison for comparison, but as
    one loop with one evaluation in it, so that the loss is traced once.

    Args:
        evaluate: step size to what is there, and the gradient.
        t: the first step size to try.
        start: at step size 0.
        grad: the gradient there.
        d_norm: greatest absolute value of the direction.
        max_ls: how many evaluations may follow the first one, at least 0.
        tolerance_change: the bracket, times `d_norm`, below which to stop.
        c1, c2: of the conditions.

    Returns: the point found (the best one, if the search was cut short), its gradient, and the number of evaluations.

    Source: https://github.com/pytorch/pytorch/blob/main/torch/optim/lbfgs.py, Nocedal and Wright, "Numerical
    Optimization", 2nd edition, algorithms 3.5 and 3.6
    """

    def too_high(trial: Point) -> jax.Array:
        return trial.f > start.f + c1 * trial.t * start.slope

    def flat(trial: Point) -> jax.Array:
        return jnp.abs(trial.slope) <= -c2 * start.slope

    def bracket(search: _Search, trial: Point, trial_grad: Any) -> _Search:
        before = search.ends[0]
        over = search.iterations >= max_ls  # torch then falls back to the bracket from 0 to here
        failed = too_high(trial) | ((search.iterations > 1) & (trial.f >= before.f))
        found = ~failed & flat(trial)
        enclosed = failed | (~found & (trial.slope >= 0))
        first = _where(over, start, _where(enclosed, before, trial))
        low = ~(first.f <= trial.f)
        further = cubic_minimum(before, trial, trial.t + 0.01 * (trial.t - before.t), trial.t * 10)
        onward = ~over & ~found & ~enclosed
        first_grad = _where(over, grad, _where(enclosed, search.grad, trial_grad))
        return search._replace(
            t=jnp.where(onward, further, trial.t),
            ends=(first, trial),
            low=low,
            grad=_where(low, trial_grad, first_grad),
            iterations=search.iterations + onward.astype(jnp.int32),
            zooming=enclosed & ~over,
            done=over | found,
        )

    def zoom(search: _Search, trial: Point, trial_grad: Any) -> _Search:
        a, b = search.ends
        lower, higher = _where(search.low, b, a), _where(search.low, a, b)
        failed = too_high(trial) | (trial.f >= lower.f)
        found = ~failed & flat(trial)
        turned = ~failed & ~found & (trial.slope * (higher.t - lower.t) >= 0)
        higher = _where(failed, trial, _where(turned, lower, higher))
        lower = _where(failed, lower, trial)
        a, b = _where(search.low, higher, lower), _where(search.low, lower, higher)
        low = jnp.where(failed, ~(a.f <= b.f), search.low)
        kept = failed & (low == search.low)  # else the trial is the lower end
        return search._replace(
            ends=(a, b),
            low=low,
            grad=_where(kept, search.grad, trial_grad),
            iterations=search.iterations + 1,
            done=found,
        )

    def within(search: _Search) -> _Search:
        """The next step size to try in the bracket."""
        a, b = search.ends
        low, high = jnp.minimum(a.t, b.t), jnp.maximum(a.t, b.t)
        small = (high - low) * d_norm < tolerance_change
        t = cubic_minimum(a, b, low, high)
        # Close to an end twice, or at it: a tenth of the bracket away from there.
        margin = 0.1 * (high - low)
        close = jnp.minimum(high - t, t - low) < margin
        moved = close & (search.slow | (t >= high) | (t <= low))
        away = jnp.where(jnp.abs(t - high) < jnp.abs(t - low), high - margin, low + margin)
        return search._replace(
            t=jnp.where(search.zooming, jnp.where(moved, away, t), search.t),
            slow=search.zooming & close & ~moved,
            done=search.done | (search.zooming & ((search.iterations >= max_ls) | small)),
        )

    def body(search: _Search) -> _Search:
        trial, trial_grad = evaluate(search.t)
        search = search._replace(evals=search.evals + 1)
        zoomed, bracketed = zoom(search, trial, trial_grad), bracket(search, trial, trial_grad)
        return within(_where(search.zooming, zoomed, bracketed))

    zero, no = jnp.zeros((), jnp.int32), jnp.zeros((), bool)
    search = _Search(t, (start, start), no, grad, zero, zero, no, no, no)
    search = jax.lax.while_loop(lambda search: ~search.done, body, search)
    return _where(search.low, search.ends[1], search.ends[0]), search.grad, search.evals
