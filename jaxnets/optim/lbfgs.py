"""L-BFGS: a quasi-Newton method that evaluates the loss itself, many times in one step."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxnets.check import choice
from jaxnets.nn.precision import widest
from jaxnets.optim import arguments
from jaxnets.optim.line_search import Point, strong_wolfe
from jaxnets.optim.names import named_leaves
from jaxnets.optim.optimizer import Hyperparameters, needs, number

__all__ = ["LBFGS", "LBFGSState"]


class LBFGSState(NamedTuple):
    """The state of `LBFGS`; its names are those of torch's state, `step` and `pairs` aside.

    `d`, `prev_flat_grad` are trees like the parameters, `old_dirs`, `old_stps` such trees with a first axis of
    `history_size`. All is held in the dtype of the parameters, or in float32 if that is narrower.

    Attributes:
        step: how many updates were made.
        func_evals: how often the loss was evaluated, the values given to `update` included.
        n_iter: how many iterations were made.
        d: the last direction.
        t: the last step size.
        old_dirs: differences of gradients. Of the pairs stored so far, pair i lies in row `i % history_size`.
        old_stps: differences of parameters.
        ro: one over the product of the two.
        H_diag: scale of the initial inverse Hessian.
        prev_flat_grad: the gradient from which the last direction came.
        prev_loss: the loss there.
        pairs: how many pairs were stored so far; the last `history_size` are held.
        hyperparameters: the arguments of the optimizer; no array.
    """

    step: jax.Array
    func_evals: jax.Array
    n_iter: jax.Array
    d: Any
    t: jax.Array
    old_dirs: Any
    old_stps: Any
    ro: jax.Array
    H_diag: jax.Array
    prev_flat_grad: Any
    prev_loss: jax.Array
    pairs: jax.Array
    hyperparameters: Hyperparameters


class _Search(NamedTuple):
    """What the iterations of one step hand on: where they are, and whether they go on."""

    params: Any
    loss: jax.Array
    grad: Any
    state: LBFGSState
    iterations: jax.Array
    evals: jax.Array
    going: jax.Array


def LBFGS(  # noqa: N802
    lr: Any = 1,
    max_iter: Any = 20,
    max_eval: Any = None,
    tolerance_grad: Any = 1e-7,
    tolerance_change: Any = 1e-9,
    history_size: Any = 100,
    line_search_fn: str | None = None,
) -> optax.GradientTransformationExtraArgs:
    """L-BFGS: steps along `-H g`, where `H` is an inverse Hessian made of the last differences of gradients.

    An iteration stores `s = t d`, `y = g - g_prev` if `y s > 1e-10`; `d = -H g` by the two loops over the pairs held,
    from `H = (y s / y y) I`; `p = p + t d`, with `t = lr` (`lr min(1, 1 / sum |g|)` in the very first one) or by a
    line search that begins there. One update makes up to `max_iter` iterations, all under `jax.jit`.

    Args:
        lr: learning rate, at least 0; or a schedule: a function of the number of updates made.
        max_iter: iterations in one update, at least 0.
        max_eval: evaluations of the loss in one update after which no iteration follows; `max_iter * 5 // 4` if None.
        tolerance_grad: an update ends when no value of the gradient is greater.
        tolerance_change: an update ends when the parameters, or the loss, change by no more.
        history_size: how many pairs are held, at least 1.
        line_search_fn: None or `"strong_wolfe"`.

    Its `update(grads, state, params, value=..., grad=..., value_fn=...)` is that of `optax.lbfgs`. `value_fn` is the
    loss as a function of the parameters alone, with the batch, and nothing random, inside; `value` and `grad` are
    what it and its gradient are at `params`. If left out, `value` is computed and `grad` is `grads`.

    Raises:
        TypeError: an argument is no number, or no integer where one is needed; complex parameters.
        ValueError: an argument is out of range; `params` or `value_fn` are not given to `update`.

    Differences from torch: no `params`; `value_fn` takes the place of `closure`, whose first call of a step is what
    `value` and `grads` are. Numbers that torch computes in 64 bits (losses and step sizes) have the dtype of the state.
    No complex parameters. `history_size` below 1 is refused at once.

    >>> import optax
    >>> def loss(p):
    ...     return jnp.sum((p - 3) ** 4)
    >>> optimizer, params = LBFGS(), jnp.zeros(2)
    >>> state = optimizer.init(params)
    >>> for _ in range(2):
    ...     value, grads = jax.value_and_grad(loss)(params)
    ...     updates, state = optimizer.update(grads, state, params, value=value, grad=grads, value_fn=loss)
    ...     params = optax.apply_updates(params, updates)
    >>> params.round(1), int(state.n_iter)
    (Array([3., 3.], dtype=float32), 24)

    With a model of Flax, `value_fn` is given the arrays of its parameters:

    >>> from flax import nnx
    >>> model, x = nnx.Linear(1, 1, rngs=nnx.Rngs(0)), jnp.array([[1.0], [2.0]])
    >>> def loss(model):
    ...     return jnp.mean((model(x) - 2 * x) ** 2)
    >>> def value_fn(params):
    ...     return loss(nnx.merge(graph, params, rest))
    >>> optimizer = nnx.Optimizer(model, LBFGS(line_search_fn="strong_wolfe"), wrt=nnx.Param)
    >>> graph, _, rest = nnx.split(model, nnx.Param, ...)
    >>> value, grads = nnx.value_and_grad(loss)(model)
    >>> _ = optimizer.update(model, grads, value=value, grad=grads, value_fn=value_fn)
    >>> model.kernel[...].round(3)
    Array([[2.]], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.LBFGS.html, Nocedal and Wright, "Numerical
    Optimization", 2nd edition, algorithms 7.4 and 7.5
    """
    lr, max_iter, max_eval, tolerance_grad, tolerance_change, history_size = map(
        number, (lr, max_iter, max_eval, tolerance_grad, tolerance_change, history_size)
    )
    arguments.at_least_zero(lr=lr)
    _integer("max_iter", max_iter, 0)
    if max_eval is None:
        max_eval = max_iter * 5 // 4
    _integer("max_eval", max_eval, -math.inf)
    _integer("history_size", history_size, 1)
    for name, value in {"tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change}.items():
        arguments.within(name, value, -math.inf, math.inf, "a number")
    if line_search_fn is not None:
        choice("line_search_fn", line_search_fn, ["strong_wolfe"])
        known = not any(isinstance(x, jax.core.Tracer) for x in (max_iter, max_eval))
        if known and max_eval < 1 <= max_iter:
            raise ValueError(f"max_eval: expected at least 1 for a line search, got {max_eval}")
    given = {
        "lr": lr,
        "max_iter": max_iter,
        "max_eval": max_eval,
        "tolerance_grad": tolerance_grad,
        "tolerance_change": tolerance_change,
        "history_size": history_size,
        "line_search_fn": line_search_fn,
    }

    def init(params: Any) -> LBFGSState:
        if isinstance(history_size, jax.core.Tracer):
            raise TypeError("history_size: is traced, but shapes depend on it; give it to LBFGS as a number")
        dtype, rows = _dtype(params), int(history_size)

        def like_params(*axes: int) -> Any:  # new arrays each time: a state whose arrays are shared cannot be donated
            return jax.tree.map(lambda p: jnp.zeros((*axes, *jnp.shape(p)), dtype), params)

        def count() -> jax.Array:
            return jnp.zeros((), jnp.int32)

        return LBFGSState(
            step=count(),
            func_evals=count(),
            n_iter=count(),
            d=like_params(),
            t=jnp.zeros((), dtype),
            old_dirs=like_params(rows),
            old_stps=like_params(rows),
            ro=jnp.zeros(rows, dtype),
            H_diag=jnp.ones((), dtype),
            prev_flat_grad=like_params(),
            prev_loss=jnp.zeros((), dtype),
            pairs=count(),
            hyperparameters=Hyperparameters("LBFGS", given, named_leaves(params)),
        )

    def update(
        grads: Any,
        state: LBFGSState,
        params: Any = None,
        *,
        value: Any = None,
        grad: Any = None,
        value_fn: Callable[[Any], Any] | None = None,
        **extra: Any,
    ) -> tuple[Any, LBFGSState]:
        needs("LBFGS", params)
        if value_fn is None:
            raise ValueError(
                "value_fn: LBFGS evaluates the loss itself: update(grads, state, params, value_fn=loss), where "
                "loss(params) is a number"
            )
        dtype = _dtype(params)
        rate = jnp.asarray(lr(state.step) if callable(lr) else lr, dtype).reshape(())
        most, most_evals = jnp.asarray(max_iter, jnp.int32), jnp.asarray(max_eval, jnp.int32)
        small_grad, small_change = jnp.asarray(tolerance_grad, dtype), jnp.asarray(tolerance_change, dtype)
        value_and_grad = jax.value_and_grad(value_fn)

        def evaluate(params: Any) -> tuple[jax.Array, Any]:
            loss, grad = value_and_grad(params)
            return jnp.asarray(loss, dtype), _cast(grad, dtype)

        def search_line(search: _Search, d: Any, t: jax.Array, slope: jax.Array) -> tuple[Any, ...]:
            def along(t: jax.Array) -> tuple[Point, Any]:
                loss, grad = evaluate(_moved(search.params, t, d))
                return Point(t, loss, _dot(grad, d)), grad

            start = Point(jnp.zeros_like(t), search.loss, slope)
            point, grad, evals = strong_wolfe(
                along,
                t,
                start,
                search.grad,
                d_norm=_greatest(d),
                max_ls=most_evals - search.evals,
                tolerance_change=small_change,
            )
            return _moved(search.params, point.t, d), point.f, grad, point.t, evals

        def go(search: _Search, d: Any, t: jax.Array, slope: jax.Array) -> tuple[Any, ...]:
            params = _moved(search.params, t, d)
            again = search.iterations != most  # after the last iteration nobody asks what the loss is
            loss, grad = jax.lax.cond(again, lambda: evaluate(params), lambda: (search.loss, search.grad))
            return params, loss, grad, t, again.astype(jnp.int32)

        def stay(search: _Search, d: Any, t: jax.Array, slope: jax.Array) -> tuple[Any, ...]:
            return search.params, search.loss, search.grad, t, jnp.zeros((), jnp.int32)

        def iterate(search: _Search) -> _Search:
            state = _remember(search.state, search.grad)
            d = _direction(state, search.grad)
            first = state.n_iter == 0
            inverse = 1 / _total(search.grad)
            t = jnp.where(first, jnp.where(inverse < 1, inverse, jnp.ones_like(inverse)) * rate, rate)
            slope = _dot(search.grad, d)
            state = state._replace(n_iter=state.n_iter + 1, d=d, prev_flat_grad=search.grad, prev_loss=search.loss)
            search = search._replace(state=state, iterations=search.iterations + 1)

            level = slope > -small_change
            move = go if line_search_fn is None else search_line
            params, loss, grad, t, evals = jax.lax.cond(level, stay, move, search, d, t, slope)
            search = search._replace(
                params=params,
                loss=loss,
                grad=grad,
                state=state._replace(t=t, func_evals=state.func_evals + evals),
                evals=search.evals + evals,
            )
            over = (
                level
                | (search.iterations == most)
                | (search.evals >= most_evals)
                | (_greatest(grad) <= small_grad)
                | (_greatest(_scaled(t, d)) <= small_change)
                | (jnp.abs(loss - state.prev_loss) < small_change)
            )
            return search._replace(going=~over)

        gradient = _cast(grads if grad is None else grad, dtype)
        search = _Search(
            params=jax.tree.map(jnp.asarray, params),
            loss=jnp.asarray(value_fn(params) if value is None else value, dtype).reshape(()),
            grad=gradient,
            state=state._replace(func_evals=state.func_evals + 1),
            iterations=jnp.zeros((), jnp.int32),
            evals=jnp.ones((), jnp.int32),
            going=~(_greatest(gradient) <= small_grad),
        )
        search = jax.lax.while_loop(lambda search: search.going & (search.iterations < most), iterate, search)
        updates = jax.tree.map(lambda new, old: new - jnp.asarray(old), search.params, params)
        return updates, search.state._replace(step=optax.safe_increment(state.step))

    return optax.GradientTransformationExtraArgs(init, update)


def _integer(name: str, value: Any, low: float) -> None:
    """Refuses what is no integer, or one below `low`; what is traced cannot be asked."""
    if isinstance(value, jax.Array):
        if value.ndim or not jnp.issubdtype(value.dtype, jnp.integer):
            raise TypeError(f"{name}: expected an integer, got an array of {value.dtype}, shape {value.shape}")
    elif not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name}: expected an integer, got {value!r} of type {type(value).__name__}")
    if not isinstance(value, jax.core.Tracer) and value < low:
        raise ValueError(f"{name}: expected an integer of at least {low}, got {value}")


def _dtype(params: Any) -> Any:
    """What is computed in: the dtype of the parameters, or float32 if that is narrower."""
    dtypes = [jnp.result_type(p) for p in jax.tree.leaves(params)]
    if not dtypes:
        raise ValueError(f"params: LBFGS needs at least one array, got {params!r}")
    for dtype in dtypes:
        if not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(f"params: LBFGS needs real parameters, such as of float32; got {dtype}")
    return widest(jnp.float32, *dtypes)


def _cast(tree: Any, dtype: Any) -> Any:
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), tree)


def _dot(x: Any, y: Any) -> jax.Array:
    """The sum of all products; not a matrix product, which accelerators may compute with fewer digits."""
    return functools.reduce(jnp.add, jax.tree.leaves(jax.tree.map(lambda a, b: jnp.sum(a * b), x, y)))


def _total(tree: Any) -> jax.Array:
    return functools.reduce(jnp.add, [jnp.sum(jnp.abs(x)) for x in jax.tree.leaves(tree)])


def _greatest(tree: Any) -> jax.Array:
    """The greatest absolute value; nan if there is one, which XLA's CPU backend may lose in a maximum."""
    leaves = jax.tree.leaves(tree)
    found = functools.reduce(jnp.maximum, [jnp.max(jnp.abs(x), initial=0) for x in leaves])
    return jnp.where(functools.reduce(jnp.logical_or, [jnp.isnan(x).any() for x in leaves]), jnp.nan, found)


def _scaled(a: jax.Array, x: Any) -> Any:
    return jax.tree.map(lambda b: a * b, x)


def _added(x: Any, a: jax.Array, y: Any) -> Any:
    return jax.tree.map(lambda b, c: b + a * c, x, y)


def _moved(params: Any, t: jax.Array, d: Any) -> Any:
    """The parameters, in their own dtypes, a step along `d`."""
    return jax.tree.map(lambda p, x: (p.astype(x.dtype) + t * x).astype(p.dtype), params, d)


def _row(tree: Any, i: jax.Array) -> Any:
    return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, i, keepdims=False), tree)


def _remember(state: LBFGSState, grad: Any) -> LBFGSState:
    """The pair of the last iteration in the place of the oldest one, if the loss curves upwards between the two.

    Before the first iteration there is no pair: `d` is zero, and nothing is stored.
    """
    y, s = _added(grad, -jnp.ones_like(state.t), state.prev_flat_grad), _scaled(state.t, state.d)
    ys = _dot(y, s)
    stored, i = ys > 1e-10, state.pairs % state.ro.shape[0]

    def put(rows: jax.Array, new: jax.Array) -> jax.Array:
        old = jax.lax.dynamic_index_in_dim(rows, i, keepdims=False)
        return jax.lax.dynamic_update_index_in_dim(rows, jnp.where(stored, new, old), i, 0)

    return state._replace(
        old_dirs=jax.tree.map(put, state.old_dirs, y),
        old_stps=jax.tree.map(put, state.old_stps, s),
        ro=put(state.ro, 1 / ys),
        H_diag=jnp.where(stored, ys / _dot(y, y), state.H_diag),
        pairs=state.pairs + stored.astype(jnp.int32),
    )


def _direction(state: LBFGSState, grad: Any) -> Any:
    """`-H g`: down the pairs from the newest to the oldest, and up again."""
    rows = state.ro.shape[0]
    held = jnp.minimum(state.pairs, rows)
    oldest = state.pairs - held

    def down(j: jax.Array, carry: tuple[Any, jax.Array]) -> tuple[Any, jax.Array]:
        q, al = carry
        i = (state.pairs - 1 - j) % rows
        a = _dot(_row(state.old_stps, i), q) * state.ro[i]
        return _added(q, -a, _row(state.old_dirs, i)), al.at[i].set(a)

    def up(j: jax.Array, r: Any) -> Any:
        i = (oldest + j) % rows
        b = _dot(_row(state.old_dirs, i), r) * state.ro[i]
        return _added(r, al[i] - b, _row(state.old_stps, i))

    q, al = jax.lax.fori_loop(0, held, down, (jax.tree.map(jnp.negative, grad), jnp.zeros_like(state.ro)))
    return jax.lax.fori_loop(0, held, up, _scaled(state.H_diag, q))
