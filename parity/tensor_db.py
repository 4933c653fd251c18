"""torch's own database of functions, those of tensors that `jaxnets.ops` has: `op_db/torch.cumsum[3]`.

The functions of `torch.nn.functional` in the same database are in `op_db.py`.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import jax
import torch
from torch.testing._internal.common_methods_invocations import op_db

import jaxnets
from parity import trees
from parity.inputs import DTYPES, Pair, pair
from parity.op_db import PREFIX, is_double

SEED = 0

ROOM = "torch."
"""What the names of these functions begin with."""

AT_MOST = 24
"""So many samples of a function are taken, from all over torch's list, which has up to 1,400."""

DRAWN = "what it draws differs from library to library: by distribution in tests/ops/test_draws.py"
UNSET = "torch's result has no particular numbers"
GAUGE = "its vectors are defined up to signs or phases: by their product in tests/ops/test_linalg.py"
STRIDES = "torch's samples have strides or storages of their own, which arrays have not"

NOT_COMPARED: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "bernoulli",
                "cauchy",
                "exponential",
                "geometric",
                "log_normal",
                "multinomial",
                "normal",
                "normal in_place",
                "normal number_mean",
                "rand_like",
                "randint",
                "randint_like",
                "randn",
                "randn_like",
                "uniform",
            ),
            DRAWN,
        ),
        **dict.fromkeys(
            ("empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided"), UNSET
        ),
        **dict.fromkeys(("linalg.eig", "linalg.eigh", "linalg.svd", "svd"), GAUGE),
        **dict.fromkeys(("as_strided partial_views", "as_strided_scatter"), STRIDES),
        "to": "torch's samples move between devices: dtypes in tests/ops/test_comparison.py",
        "linalg.pinv hermitian": "torch's samples are not Hermitian, where its derivative is that of no function",
        "linalg.pinv singular": "torch's samples are two factors, of which its wrapper makes a matrix",
        "cholesky_inverse": "torch gives the triangle that it does not read a derivative: tests/ops/test_linalg.py",
        "cholesky_solve": "torch gives the triangle that it does not read a derivative: tests/ops/test_linalg.py",
        "linalg.norm subgradients_at_zero": "singular values that are equal have no second derivative: test_kinks.py",
        "linalg.eigvals": "JAX lowers it for CPU and GPU, not for TPU: tests/ops/test_linalg.py",
        "linalg.lstsq": "torch gives what its driver has computed: solutions in tests/ops/test_linalg.py",
        "linalg.lstsq grad_oriented": "torch gives what its driver has computed: solutions in tests/ops/test_linalg.py",
        "allclose": "a bool of Python, no array: tests/ops/test_comparison.py",
        "equal": "a bool of Python, no array: tests/ops/test_comparison.py",
        "max_pool2d_with_indices_backward": "torch's samples are those of the pooling: tests/ops/test_aten.py",
        "item": "a number of Python, no array: tests/ops/test_comparison.py",
        "broadcast_shapes": "numbers of Python, no arrays: tests/ops/test_names.py",
    }
)
"""Functions of `jaxnets.ops` whose samples are not run, with the reason; variants have a word behind the name."""

DOUBLE = ("float_power", "bincount", "softmax with_dtype", "log_softmax with_dtype")
"""In float64 whatever the input is: compared where JAX has it."""

LACKING: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        # half precisions have equal numbers, which torch orders as its processor's code does
        **dict.fromkeys(("argsort", "mode", "msort", "sort", "topk"), ("bf16", "f16")),
        # of these samples torch's own steps overflow
        **dict.fromkeys(("matrix_exp", "pow", "tan"), ("f16",)),
        # JAX has no complex number of two halves
        **dict.fromkeys(("complex", "view_as_complex"), ("f16",)),
    }
)
"""Dtypes that are not compared."""

KNOWN = (
    "argwhere",
    "bincount",
    "index_put",
    "masked_select",
    "nonzero",
    "nonzero_static",
    "repeat_interleave",
    "tensor_split",
    "unique",
    "unique_consecutive",
    "where",
)
"""The shape of the result depends on numbers: integers and booleans (of some all inputs) are known to the compiler."""

WHOLE = ("argwhere", "nonzero", "unique", "unique_consecutive")

FLAT = ("igamma", "igammac")
"""torch has no derivative of one of their arguments, as of functions that its database says to have none, and of
`scatter` with `reduce`: their numbers alone are compared."""

DROPPED = ("device", "layout", "memory_format", "pin_memory", "requires_grad", "return_indices", "sparse_grad")
"""Keywords of torch's samples that are not arguments here."""


def _known(info: Any) -> str:
    return f"{info.name} {info.variant_test_name}".strip()


def ours(name: str) -> Callable[..., Any] | None:
    """The function of `jaxnets.ops` under torch's dotted name, or None."""
    return functools.reduce(lambda room, part: getattr(room, part, None), name.split("."), jaxnets.ops)  # type: ignore


FUNCTIONS: Mapping[str, Any] = MappingProxyType(
    {
        _known(info): info
        for info in op_db
        if not info.name.startswith(PREFIX) and _known(info) not in NOT_COMPARED and ours(info.name) is not None
    }
)
"""Each function by its name, as torch describes it."""


@dataclass(frozen=True)
class TensorSample:
    """One of torch's samples of a function.

    Args:
        function: a key of `FUNCTIONS`.
        index: the sample's place among those that are taken.
    """

    function: str
    index: int

    def __str__(self) -> str:
        return f"{ROOM}{self.function}[{self.index}]"

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The dtypes that torch names for the function; of a function of integers alone one stands for them."""
        info = FUNCTIONS[self.function]
        found = [name for name, (_, dtype) in DTYPES.items() if dtype in info.dtypes] or ["f32"]
        if self.function in DOUBLE or is_double(_made(self.function, torch.float32)[self.index]):
            return ("f64",)
        found = [name for name in found if name not in LACKING.get(self.function, ())]
        # of half precisions torch gives fewer samples of some functions
        return tuple(name for name in found if self.index < len(_made(self.function, DTYPES[name][1])))


def _dtype(info: Any, dtype: torch.dtype) -> torch.dtype:
    """The dtype of samples, where torch does not name that of the check."""
    wide = dtype == torch.float64
    others = (torch.complex128 if wide else torch.complex64, torch.int64, torch.bool)
    return next(known for known in (dtype, *others) if known in info.dtypes)


def _fails(info: Any, sample: Any) -> bool:
    """Whether torch's own second derivative of a sample raises an error: of layer norm with a bias and no weight."""
    return info.name == "native_layer_norm" and sample.args[1] is None and sample.args[2] is not None


@cache
def _made(function: str, dtype: torch.dtype) -> tuple[Any, ...]:
    info = FUNCTIONS[function]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        made = [x for x in info.sample_inputs("cpu", _dtype(info, dtype), requires_grad=False) if not _fails(info, x)]
    return tuple(made[i * len(made) // AT_MOST] for i in range(AT_MOST)) if len(made) > AT_MOST else tuple(made)


@cache
def samples() -> Mapping[str, TensorSample]:
    """Every sample by its name, such as `op_db/torch.cumsum[3]`."""
    return MappingProxyType(
        {
            f"op_db/{sample}": sample
            for name in FUNCTIONS
            for sample in (TensorSample(name, i) for i in range(len(_made(name, torch.float32))))
        }
    )


class Fixed:
    """A tensor that is no input: the compiler knows its numbers."""

    def __init__(self, tensor: torch.Tensor):
        self.tensor = tensor
        self.array = trees.to_jax(tensor)  # here, since what is made under a trace is traced


@pair.register(TensorSample)
class TensorPair(Pair):
    """A sample made real.

    Args:
        sample: which one.
        dtype: a key of `DTYPES`.
    """

    def __init__(self, sample: TensorSample, dtype: str):
        self._info = FUNCTIONS[sample.function]
        made = _made(sample.function, DTYPES[dtype][1])[sample.index]
        self.args, self.kwargs = (made.input, *made.args), dict(made.kwargs)
        if self._info.name in KNOWN:
            whole = self._info.name in WHOLE
            self.args, self.kwargs = _fixed(self.args, whole), _fixed(self.kwargs, whole)
        self.seed = SEED
        self._is_smooth = self._info.supports_autograd and self._info.name not in FLAT
        self._is_smooth &= self._info.name != "scatter" or "reduce" not in self.kwargs

    def torch(self) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            with torch.set_grad_enabled(torch.is_grad_enabled() and self._is_smooth):
                return _plain(self._info.op(*_in_torch(args), **_in_torch(kwargs)))

        return call

    def jax(self, state: Mapping[str, Any]) -> Callable[..., Any]:
        name = self._info.name
        function: Any = REORDERED.get(name) or ours(name)

        def call(*args: Any, **kwargs: Any) -> Any:
            named = {key: value for key, value in kwargs.items() if key not in DROPPED}
            output = _plain(function(*_in_jax(args), **_in_jax(named)))
            return output if self._is_smooth else jax.lax.stop_gradient(output)

        return call


REORDERED: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "where": lambda x, condition, other: jaxnets.ops.where(condition, x, other),
        "einsum": lambda operands, equation: jaxnets.ops.einsum(equation, *operands),
        "polygamma": lambda x, n: jaxnets.ops.polygamma(n, x),
        "special.polygamma": lambda x, n: jaxnets.ops.polygamma(n, x),
    }
)
"""torch's samples have these arguments in another order than the function."""


def _mapped(f: Callable[[Any], Any], tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {name: _mapped(f, value) for name, value in tree.items()}
    if isinstance(tree, torch.Size):
        return tuple(tree)
    if isinstance(tree, tuple | list) and not hasattr(tree, "_fields"):
        return type(tree)(_mapped(f, value) for value in tree)
    return f(tree)


def _fixed(tree: Any, whole: bool) -> Any:
    def held(x: Any) -> Any:
        return Fixed(x) if isinstance(x, torch.Tensor) and (whole or not x.is_floating_point()) else x

    return _mapped(held, tree)


def _in_torch(tree: Any) -> Any:
    return _mapped(lambda x: x.tensor if isinstance(x, Fixed) else x, tree)


def _in_jax(tree: Any) -> Any:
    """Arguments of torch's function as ours takes them."""

    def converted(x: Any) -> Any:
        if isinstance(x, torch.dtype):
            return trees.to_numpy(torch.empty(0, dtype=x)).dtype
        return x.array if isinstance(x, Fixed) else x

    return _mapped(converted, tree)


def _plain(tree: Any) -> Any:
    """Outputs as tuples of arrays: torch names its fields, lists and tuples are one."""
    if isinstance(tree, tuple | list):
        return tuple(map(_plain, tree))
    return tree
