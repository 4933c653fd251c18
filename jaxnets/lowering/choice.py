"""The choice of a form among those that compute the same: a table, read from above; the first that applies is taken."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax

__all__ = ["Form", "asked_for", "choose", "is_known", "only"]

_only: ContextVar[str | None] = ContextVar("only", default=None)


@dataclass(frozen=True)
class Form:
    """A way to compute an operation.

    `can` says for which problems it computes the right numbers at a bounded size of program and memory, `pays` for
    which of those it is the fastest on CPU, and `pays_on_gpu` on a GPU, by the measurements that
    `python -m benchmarks.forms` repeats.
    """

    name: str
    compute: Callable[..., Any]
    can: Callable[[Any], bool] = lambda problem: True
    pays: Callable[[Any], bool] = lambda problem: True
    pays_on_gpu: Callable[[Any], bool] = lambda problem: False

    def __call__(self, problem: Any, *arrays: jax.Array) -> Any:
        """What it computes of the arrays, as one program: outside of `jit`, too, it is compiled once."""
        return _compiled(self.compute, problem, _only.get(), *arrays)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _compiled(compute: Callable[..., Any], problem: Any, named: str | None, *arrays: jax.Array) -> Any:
    return compute(problem, *arrays)


def choose(forms: Sequence[Form], problem: Any, on_gpu: bool = False) -> Form:
    """The first form that pays; inside of `only(name)`, the form of this name, where there is one that can."""
    name = _only.get()
    possible = [form for form in forms if _holds(form.can, problem)]
    named = [form for form in possible if form.name == name]
    return (named or [form for form in possible if _holds(form.pays_on_gpu if on_gpu else form.pays, problem)])[0]


def is_known(sizes: Sequence[Any]) -> bool:
    """Whether sizes are numbers: `jax.export` has symbols, too."""
    return all(isinstance(size, int) for size in sizes)


def _holds(condition: Callable[[Any], bool], problem: Any) -> bool:
    """Whether a condition is known to hold, which it may not be of a size that is a symbol."""
    try:
        return bool(condition(problem))
    except jax.errors.InconclusiveDimensionOperation:
        return False


def asked_for() -> str | None:
    """The name in `only`."""
    return _only.get()


@contextmanager
def only(name: str | None) -> Iterator[None]:
    """Has the form of this name taken wherever it is possible, so that a test sees it. What is compiled stays so."""
    token = _only.set(name)
    try:
        yield
    finally:
        _only.reset(token)
