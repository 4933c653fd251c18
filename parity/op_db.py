"""torch's own database of functions (`torch.testing._internal.common_methods_invocations.op_db`) as cases.

Thousands of samples, many of them alike: `python -m parity --only op_db/` runs them, the whole suite does not.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import jax
import torch
from torch.testing._internal.common_methods_invocations import op_db

import jaxnets
from parity import trees
from parity.inputs import DTYPES, Pair, pair

PREFIX = "nn.functional."

OUTSIDE = ("softmax", "log_softmax", "sigmoid", "tanh")
"""Functions of `torch.nn.functional` that torch lists under another name."""

RANDOM = ("dropout", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout", "rrelu", "fractional_max_pool")
"""Not taken: what they draw differs from library to library, and is compared by its distribution elsewhere."""

TABLE_FIRST = ("embedding", "embedding_bag")
"""torch's samples of these begin with the weight, the functions with the indices."""

FIXED: Mapping[str, str] = MappingProxyType(
    {"linear_cross_entropy chunked": "weight", "linear_cross_entropy chunked_none": "weight"}
)
"""Arguments that torch gives no derivative, as if nothing depended on them: ours is not compared."""

SEED = 0


def _is_taken(info: Any) -> bool:
    name = info.name.removeprefix(PREFIX)
    return (name != info.name or name in OUTSIDE) and not name.startswith(RANDOM)


FUNCTIONS: Mapping[str, Any] = MappingProxyType(
    {f"{info.name.removeprefix(PREFIX)} {info.variant_test_name}".strip(): info for info in op_db if _is_taken(info)}
)
"""Each function of torch's database, as torch describes it; variants have a word behind the name."""


@dataclass(frozen=True)
class OpSample:
    """One of torch's samples of a function, or of the misuses that torch refuses.

    Args:
        function: a key of `FUNCTIONS`.
        index: the sample's place among those that are taken.
        error: whether the list is that of misuses.
    """

    function: str
    index: int
    error: bool = False

    def __str__(self) -> str:
        return f"{self.function}[{'error ' if self.error else ''}{self.index}]"

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The dtypes that torch names for the function; one of them is enough to be refused."""
        if self.error:
            return ("f32",)
        if is_double(_made(self.function, False, torch.float32)[self.index]):
            return ("f64",)
        return tuple(name for name, (_, dtype) in DTYPES.items() if dtype in FUNCTIONS[self.function].dtypes)


def is_double(sample: Any) -> bool:
    """Whether one of torch's samples asks for 64 bits: by its dtype, or by a size that 32 cannot hold."""
    sizes = sample.args[0] if sample.args and isinstance(sample.args[0], tuple) else ()
    return sample.kwargs.get("dtype") == torch.float64 or any(isinstance(n, int) and n > 2**31 for n in sizes)


def _fails(sample: Any) -> bool:
    """Whether torch's own gradient of a sample raises an error: a sparse one, divided by frequencies."""
    return bool(sample.kwargs.get("sparse") and sample.kwargs.get("scale_grad_by_freq"))


@cache
def _made(function: str, error: bool, dtype: torch.dtype) -> tuple[Any, ...]:
    info = FUNCTIONS[function]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        if error:
            return tuple(misuse.sample_input for misuse in info.error_inputs("cpu")) if info.error_inputs_func else ()
        return tuple(made for made in info.sample_inputs("cpu", dtype, requires_grad=False) if not _fails(made))


@cache
def samples() -> Mapping[str, OpSample]:
    """Every sample by its name, such as `op_db/conv2d[3]`."""
    return MappingProxyType(
        {
            f"op_db/{sample}": sample
            for name in FUNCTIONS
            for error in (False, True)
            for sample in (OpSample(name, i, error) for i in range(len(_made(name, error, torch.float32))))
        }
    )


@pair.register(OpSample)
class OpPair(Pair):
    """A sample made real.

    Args:
        sample: which one.
        dtype: a key of `DTYPES`.
    """

    def __init__(self, sample: OpSample, dtype: str):
        self._name = FUNCTIONS[sample.function].name.removeprefix(PREFIX)
        self._fixed = FIXED.get(sample.function)
        made = _made(sample.function, sample.error, DTYPES[dtype][1])[sample.index]
        self.args, self.kwargs = (made.input, *made.args), dict(made.kwargs)
        if self._name in TABLE_FIRST:
            self.args = (*self.args[1::-1], *self.args[2:])
        if "dropout_p" in self.kwargs:
            self.kwargs["dropout_p"] = 0.0
        if self._name == "multi_head_attention_forward":
            self.args = (*self.args[:10], 0.0, *self.args[11:])
        self.seed = SEED
        self.refused = sample.error

    def torch(self) -> Callable[..., Any]:
        return getattr(torch.nn.functional, self._name)

    def jax(self, state: Mapping[str, Any]) -> Callable[..., Any]:
        function = getattr(jaxnets.functional, self._name)

        def call(*args: Any, **kwargs: Any) -> Any:
            fixed = {name: jax.lax.stop_gradient(kwargs[name]) for name in kwargs if name == self._fixed}
            return function(*_in_jax(args), **_in_jax(kwargs | fixed))

        return call


def _in_jax(tree: Any) -> Any:
    """Arguments of torch's function as ours takes them: dtypes, modules, options, functions of the same name."""
    if isinstance(tree, torch.dtype):
        return trees.to_numpy(torch.empty(0, dtype=tree)).dtype
    if isinstance(tree, Mapping):
        return {name: _in_jax(value) for name, value in tree.items()}
    if isinstance(tree, tuple):
        return tuple(map(_in_jax, tree))
    if isinstance(tree, torch.nn.Module):
        return jaxnets.from_torch(tree)
    if isinstance(tree, torch.nn.LinearCrossEntropyOptions):
        return jaxnets.nn.LinearCrossEntropyOptions(**_in_jax(asdict(tree)))
    if callable(tree):
        return getattr(jaxnets.functional, tree.__name__)
    return tree
