"""From a case to a torch module, a JAX module with the same weights, and what both are called with."""

import functools
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Protocol

import jax
import ml_dtypes
import numpy as np
import torch
from flax import nnx
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.utils.rnn import pack_padded_sequence

import jaxnets
from parity import trees
from parity.case import Case, Packed, Spec
from parity.sides import TorchError

DTYPES: Mapping[str, tuple[np.dtype, torch.dtype]] = MappingProxyType(
    {
        "f64": (np.dtype(np.float64), torch.float64),
        "f32": (np.dtype(np.float32), torch.float32),
        "bf16": (np.dtype(ml_dtypes.bfloat16), torch.bfloat16),
        "f16": (np.dtype(np.float16), torch.float16),
    }
)
"""The dtypes of the command line, numpy's and torch's."""


class Pair(Protocol):
    """A case made real: torch's module or function, ours with the same state, and what both are called with.

    `mode` is "eval" or "train" where the case is for one of them alone; `refused` says that torch raises an error.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    seed: int
    mode: str | None = None
    refused: bool = False

    def torch(self) -> Callable[..., Any]:
        """Torch's module with random weights. They come from torch's global generator: keep its state if it matters."""

    def jax(self, state: Mapping[str, Any]) -> Callable[..., Any]:
        """Our module, filled with torch's state."""


@functools.singledispatch
def pair(case: Any, dtype: str) -> Pair:
    """A case of any database made real; each database registers its kind."""
    raise TypeError(f"case: expected a parity.Case, got {type(case).__name__}")


@pair.register(Case)
class CasePair(Pair):
    """A case of our own.

    Args:
        case: what to make.
        dtype: a key of `DTYPES`: of the floating inputs and of the parameters.
    """

    def __init__(self, case: Case, dtype: str):
        numbers, self._dtype = DTYPES[dtype]
        draw = functools.partial(_drawn, dtype=numbers, seed=case.seed, counter=itertools.count())
        if case.since and torch.__version__ < case.since:
            raise TorchError(f"version {torch.__version__} computes it otherwise than {case.since}")
        self.case = case
        self.seed = case.seed
        self._built_from = draw((case.args, dict(case.kwargs)))
        self.args, self.kwargs = draw((case.inputs, dict(case.call)))
        try:
            self.is_layer = inspect.isclass(attrgetter(case.target)(torch.nn))
        except AttributeError:
            raise TorchError(f"version {torch.__version__} has no nn.{case.target}") from None
        if not self.is_layer:
            # Of a function the arrays are arguments like any other; the rest is fixed.
            self.args += self._built_from[0]
            self.kwargs |= self._built_from[1]

    def torch(self) -> Callable[..., Any]:
        if not self.is_layer:
            return attrgetter(self.case.target)(torch.nn)
        torch.manual_seed(self.case.seed)
        module = _layer(self.case.target, self._built_from, torch.nn, trees.torch_tree)
        return settled(module, self._dtype, trees.torch_tree(self.args), trees.torch_tree(self.kwargs), self.seed)

    def jax(self, state: Mapping[str, Any]) -> Callable[..., Any]:
        if not self.is_layer:
            return attrgetter(self.case.target)(jaxnets)
        make = functools.partial(_layer, self.case.target, self._built_from, jaxnets.nn, trees.jax_tree)
        return filled(make, state, self.seed)


def filled(make: Callable[[nnx.Rngs], nnx.Module], state: Mapping[str, Any], seed: int) -> nnx.Module:
    """The module that `make` builds, with that state, and random streams that begin at `seed`."""
    # Without numbers: to compile the random initial weights, which are overwritten, would take half of all time.
    module = nnx.eval_shape(lambda: make(nnx.Rngs(seed)))
    jaxnets.load_state_dict(module, state)
    streams = itertools.count()  # each has a key of its own, or all dropouts would drop alike
    nnx.update(module, jax.tree.map(lambda x: _seeded(seed, next(streams), x), nnx.state(module, nnx.RngState)))
    return module


def _seeded(seed: int, stream: int, x: Any) -> jax.Array:
    """The key or the count that a random stream starts with."""
    if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        key = jax.random.fold_in(jax.random.key(seed), stream)
        return jax.random.split(key, x.shape) if x.shape else key
    return jax.device_put(np.zeros(x.shape, x.dtype))


def _layer(
    target: str,
    arguments: tuple[Sequence[Any], Mapping[str, Any]],
    library: Any,
    convert: Callable[[Any], Any],
    rngs: nnx.Rngs | None = None,
) -> Any:
    def made(value: Any) -> Any:
        if isinstance(value, Case):
            return _layer(value.target, (value.args, value.kwargs), library, convert, rngs)
        return convert(value)

    cls = attrgetter(target)(library)
    named = {name: made(value) for name, value in arguments[1].items()}
    return cls(*map(made, arguments[0]), **with_rngs(cls, named, rngs))


def with_rngs(cls: Any, arguments: dict[str, Any], rngs: nnx.Rngs | None) -> dict[str, Any]:
    """Keyword arguments with `rngs`, if the class takes random streams."""
    if rngs is None or "rngs" not in inspect.signature(cls.__init__).parameters:
        return arguments
    return arguments | {"rngs": rngs}


def _drawn(tree: Any, *, dtype: np.dtype, seed: int, counter: Iterator[int]) -> Any:
    """The tree with arrays in place of specs. Each array has a seed of its own: equal inputs hide swaps."""
    again = functools.partial(_drawn, dtype=dtype, seed=seed, counter=counter)
    if isinstance(tree, Spec):
        return np.asarray(_array(tree, dtype, np.random.default_rng([seed, next(counter)])))
    if isinstance(tree, Packed):
        padded, lengths = trees.to_torch(again(tree.padded)), torch.tensor(tree.lengths)
        return pack_padded_sequence(padded, lengths, tree.batch_first, tree.enforce_sorted)
    if isinstance(tree, Mapping):
        return {key: again(value) for key, value in tree.items()}
    if isinstance(tree, tuple | list):
        return type(tree)(again(value) for value in tree)
    return tree


def _array(spec: Spec, dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
    match spec.draw:
        case "normal":
            return rng.normal(spec.a, spec.b, spec.shape).astype(dtype)
        case "rounded":
            return (np.round(2 * rng.normal(spec.a, spec.b, spec.shape)) / 2).astype(dtype)
        case "uniform":
            return rng.uniform(spec.a, spec.b, spec.shape).astype(dtype)
        case "integers":
            return rng.integers(int(spec.a), int(spec.b), spec.shape)
        case "bools":
            return rng.uniform(size=spec.shape) < spec.a
        case "hard":
            chosen = rng.choice([np.inf, -np.inf, np.nan, 0.0, -0.0, 1e4], spec.shape)
            return np.where(rng.uniform(size=spec.shape) < spec.a, chosen, rng.normal(0, 1, spec.shape)).astype(dtype)


def settled(
    module: torch.nn.Module, dtype: torch.dtype, args: Sequence[Any], kwargs: Mapping[str, Any], seed: int
) -> torch.nn.Module:
    """Torch's module in that dtype, with no size left open, and with no parameter that is all ones or all zeros."""
    module.to(dtype)
    if isinstance(module, LazyModuleMixin):
        module(*args, **kwargs)
    _unsettle(module, np.random.default_rng([seed, 1]))
    return module


def _unsettle(module: torch.nn.Module, rng: np.random.Generator) -> None:
    """Moves what starts as all ones or all zeros, where a swap or a missing factor would not show."""
    with torch.no_grad():
        for x in itertools.chain(module.parameters(), module.buffers()):
            if not x.is_floating_point():
                x += 3 * (x.ndim == 0)  # num_batches_tracked: a cumulative average must count
            elif x.numel() and x.min() == x.max():
                # Positive, since running variances are among them.
                x += trees.to_torch(rng.uniform(0.1, 0.9, tuple(x.shape))).to(x.dtype)
