"""torch's own database of modules (`torch.testing._internal.common_modules.module_db`) as cases."""

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import torch
from flax import nnx
from torch.testing._internal.common_modules import FunctionInput, module_db

import jaxnets
from parity import trees
from parity.inputs import DTYPES, Pair, filled, pair, settled, with_rngs

MODULES: Mapping[str, Any] = MappingProxyType({info.module_cls.__name__: info for info in module_db})
"""Each class of torch's database, as torch describes it."""

SEED = 0
"""Of torch's global generator, before it makes the samples of a class."""


@dataclass(frozen=True)
class Sample:
    """One of torch's samples, or of the misuses that torch refuses.

    Args:
        module: the class, a key of `MODULES`.
        index: the sample's place in torch's list.
        kind: "eval" or "train", the mode for which torch made the list; "any" where both lists are one; "error".
    """

    module: str
    index: int
    kind: str

    def __str__(self) -> str:
        return f"{self.module}[{self.index if self.kind == 'any' else f'{self.kind} {self.index}'}]"

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The dtypes that torch names for the class; one of them is enough to be refused."""
        named = MODULES[self.module].dtypes
        return (
            ("f32",) if self.kind == "error" else tuple(name for name, (_, dtype) in DTYPES.items() if dtype in named)
        )

    def made(self, dtype: torch.dtype) -> Any:
        """torch's `ModuleInput`: what the class is built from, and what it is called with."""
        made = copy.deepcopy(_made(self.module, self.kind, dtype)[self.index])  # a module may change what it is given
        return made.module_error_input if self.kind == "error" else made


@cache
def _made(module: str, kind: str, dtype: torch.dtype) -> list[Any]:
    info = MODULES[module]
    make = info.module_error_inputs_func if kind == "error" else info.module_inputs_func
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        options = {"device": "cpu", "dtype": dtype, "requires_grad": False, "training": kind == "train"}
        return list(make(info, **options))


def _kinds(info: Any) -> tuple[str, ...]:
    error = ("error",) if info.module_error_inputs_func else ()
    return (*(("eval", "train") if info.train_and_eval_differ else ("any",)), *error)


SAMPLES: Mapping[str, Sample] = MappingProxyType(
    {
        f"module_db/{sample}": sample
        for name, info in MODULES.items()
        for kind in _kinds(info)
        for sample in (Sample(name, i, kind) for i in range(len(_made(name, kind, torch.float32))))
    }
)
"""Every sample by its name, such as `module_db/LSTM[train 3]`."""


@pair.register(Sample)
class SamplePair(Pair):
    """A sample made real.

    Args:
        sample: which one.
        dtype: a key of `DTYPES`.
    """

    def __init__(self, sample: Sample, dtype: str):
        self._dtype = DTYPES[dtype][1]
        self._class = MODULES[sample.module].module_cls
        made = sample.made(self._dtype)
        self._built_from = made.constructor_input
        called_with = made.forward_input or FunctionInput()
        self.args, self.kwargs = tuple(called_with.args), dict(called_with.kwargs)
        self.seed = SEED
        self.mode = sample.kind if sample.kind in ("eval", "train") else None
        self.refused = sample.kind == "error"

    def torch(self) -> torch.nn.Module:
        torch.manual_seed(self.seed)
        module = self._class(*self._built_from.args, **self._built_from.kwargs)
        if self.refused:  # a dtype may be what is wrong
            return module
        return settled(module, self._dtype, self.args, self.kwargs, self.seed)

    def jax(self, state: Mapping[str, Any]) -> nnx.Module:
        def make(rngs: nnx.Rngs) -> nnx.Module:
            cls = getattr(jaxnets.nn, self._class.__name__)
            args, kwargs = in_jax((self._built_from.args, self._built_from.kwargs), rngs)
            return cls(*args, **with_rngs(cls, kwargs, rngs))

        return filled(make, state, self.seed)


def in_jax(value: Any, rngs: nnx.Rngs) -> Any:
    """Arguments of torch's constructor as ours takes them: arrays, dtypes, functions, options, layers."""
    if isinstance(value, torch.dtype):
        return trees.to_numpy(torch.empty(0, dtype=value)).dtype
    if isinstance(value, torch.nn.TransformerEncoderLayer):
        return jaxnets.nn.TransformerEncoderLayer(**_encoder_layer(value), rngs=rngs)
    if dataclasses.is_dataclass(value):
        fields = {field.name: in_jax(getattr(value, field.name), rngs) for field in dataclasses.fields(value)}
        return getattr(jaxnets.nn, type(value).__name__)(**fields)
    if callable(value):
        return getattr(jaxnets.functional, value.__name__)
    if isinstance(value, Mapping):
        return {name: in_jax(x, rngs) for name, x in value.items() if name != "device"}
    if isinstance(value, tuple):
        return tuple(in_jax(x, rngs) for x in value)
    return trees.jax_tree(value)


def _encoder_layer(layer: torch.nn.TransformerEncoderLayer) -> dict[str, Any]:
    return {
        "d_model": layer.self_attn.embed_dim,
        "nhead": layer.self_attn.num_heads,
        "dim_feedforward": layer.linear1.out_features,
        "dropout": layer.dropout.p,
        "activation": getattr(jaxnets.functional, layer.activation.__name__),
        "layer_norm_eps": layer.norm1.eps,
        "batch_first": layer.self_attn.batch_first,
        "norm_first": layer.norm_first,
        "bias": layer.linear1.bias is not None,
    }
