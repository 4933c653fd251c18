"""The arguments of a layer's constructor, read from the layer."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np
import torch

import jaxnets.functional
from jaxnets.arrays import DTYPES, to_numpy
from jaxnets.convert.errors import ConversionError
from jaxnets.convert.layers.calls import Array, Build, Function, defaults, parameters
from jaxnets.convert.layers.kinds import NotStockError, class_of
from jaxnets.convert.layers.wrappers import Tensors, tensors


class Layer(NamedTuple):
    """A live layer.

    Args:
        module: it.
        name: that of its class in `torch.nn`.
        tensors: its parameters and buffers as they are called when nothing is done to them.
    """

    module: Any
    name: str
    tensors: Tensors

    def has(self, name: str) -> bool:
        return self.tensors.get(name) is not None


Find = Callable[[Layer], Any]
"""Finds an argument in a layer: a value of Python's or torch's."""


def recovered(module: torch.nn.Module) -> Build:
    """The call that builds the like of a module, if nobody has changed it since."""
    for found in candidates(module):
        return found
    raise NotStockError(f"{type(module).__name__}: expected what torch's constructor makes")


def candidates(module: torch.nn.Module) -> Iterator[Build]:
    """All calls that may build the like of a module, the plainest first."""
    cls = class_of(module)
    if cls is None:
        raise NotStockError(f"{type(module).__name__}: expected a layer that jaxnets.nn has")
    layer = Layer(module, cls.__name__, tensors(module))
    if layer.name != "Transformer":
        yield _build(layer, _OF.get(layer.name, {}))
        return
    for finds in _TRANSFORMERS:
        with suppress(NotStockError):  # a custom part has other attributes
            yield _build(layer, finds)


def _build(layer: Layer, finds: Mapping[str, Any]) -> Build:
    args = {}
    for name in parameters(layer.name):
        if name == "rngs":
            continue
        find = finds.get(name, _ANYWHERE.get(name))
        try:
            found = find(layer) if find else getattr(layer.module, name)
        except AttributeError as error:  # a part that should be there is another one
            raise NotStockError(f"{layer.name}: {name}: expected what torch's constructor makes, but {error}") from None
        args[name] = _value(found, layer.name, name)
    return Build(layer.name, args)


def _value(found: Any, layer: str, name: str) -> Any:
    """A value as `Build` has it."""
    match found:
        case None | bool() | str() | Function():
            return found
        case int():
            return int(found)
        case float():
            return float(found)
        case complex():
            return complex(found)
        case np.generic():
            return found.item()
        case torch.Tensor():
            if name in ARRAYS:
                return Array(np.array(_numbers(found, layer, name)))
            if found.ndim == 0:
                return _numbers(found, layer, name).item()
        case torch.dtype():
            key = str(found).removeprefix("torch.")
            if key in DTYPES:
                return DTYPES[key]
        case torch.nn.Module():
            return recovered(found)
        case tuple() | list():
            return tuple(_value(x, layer, name) for x in found)
        case _ if type(found).__name__ == "LinearCrossEntropyOptions":  # newer than the oldest torch that we take
            args = {f.name: _value(getattr(found, f.name), layer, f.name) for f in fields(found)}
            return Build("LinearCrossEntropyOptions", args)
        case _ if callable(found):
            return function(found, layer, name)
    raise ConversionError(
        f"{layer}: {name}: expected numbers, strings, tuples of them or None, got {found!r}; "
        "set the attribute to such a value, or put a module of your own in the layer's place"
    )


def _numbers(x: torch.Tensor, layer: str, name: str) -> np.ndarray:
    try:
        return to_numpy(x)
    except (TypeError, RuntimeError) as error:
        raise ConversionError(f"{layer}: {name}: expected a tensor with numbers: {error}") from None


def function(found: Callable[..., Any], layer: str, name: str) -> Function:
    """The function of `jaxnets.functional` that is torch's function."""
    known = getattr(found, "__name__", "")
    homes = (torch.nn.functional, torch) if known in SAME else (torch.nn.functional,)
    if hasattr(jaxnets.functional, known) and any(getattr(home, known, None) is found for home in homes):
        return Function(known)
    raise NotStockError(f"{layer}: {name}: expected a function of torch.nn.functional, or a layer, got {found!r}")


SAME = {"celu", "relu", "selu", "sigmoid", "tanh"}
"""Functions that stand in `torch` and in `torch.nn.functional`, two objects, and are the same."""

ARRAYS = {"weight", "pos_weight", "_random_samples"}
"""Arguments that are arrays. Each is a buffer of its layer, which a checkpoint fills."""


def _dtype(layer: Layer) -> torch.dtype | None:
    """The dtype of the first parameter; a checkpoint brings the dtypes of others that differ."""
    held = itertools.chain(layer.tensors.values(), layer.module.parameters(), layer.module.buffers())
    found = next((x.dtype for x in held if x is not None and (x.dtype.is_floating_point or x.dtype.is_complex)), None)
    return None if found == torch.float32 else found


def _bias(layer: Layer) -> bool:
    kept = vars(layer.module).get("bias")
    if isinstance(kept, bool):
        return kept
    learns = getattr(layer.module, "affine", getattr(layer.module, "elementwise_affine", True))
    return layer.has("bias") or not learns  # no bias where there is no weight either: that is the default


def _stride(layer: Layer) -> Any:
    """None where it is the default, the size of the kernel."""
    stride = layer.module.stride
    if defaults(layer.name).get("stride", 1) is None and stride == layer.module.kernel_size:
        return None
    return stride


def _is(value: Any) -> Find:
    return lambda layer: value


def _in(path: str) -> Find:
    """What stands at a path of attributes."""

    def find(layer: Layer) -> Any:
        found = layer.module
        for name in path.split("."):
            found = getattr(found, name)
        return found

    return find


def _has(path: str) -> Find:
    find = _in(path)
    return lambda layer: find(layer) is not None


_ANYWHERE: Mapping[str, Find] = {
    "dtype": _dtype,
    "bias": _bias,
    "stride": _stride,
    # deprecated, and said by other arguments
    "size_average": _is(None),
    "reduce": _is(None),
    "min_value": _is(None),
    "max_value": _is(None),
    # what they do is part of the state
    "_weight": _is(None),
    "_freeze": _is(False),
}


def _activation(layer: Layer) -> Any:
    """A layer that torch has copied may have lost its activation: it is there, but relu is computed."""
    return layer.module._modules.get("activation", layer.module.activation)


_TRANSFORMER_LAYER: Mapping[str, Find] = {
    "d_model": _in("self_attn.embed_dim"),
    "nhead": _in("self_attn.num_heads"),
    "dim_feedforward": _in("linear1.out_features"),
    "dropout": _in("dropout.p"),
    "activation": _activation,
    "layer_norm_eps": _in("norm1.eps"),
    "batch_first": _in("self_attn.batch_first"),
    "bias": _has("linear1.bias"),
}


def _transformer(custom_encoder: bool, custom_decoder: bool) -> Mapping[str, Find]:
    """What finds the arguments of a Transformer, if that much of it is custom."""
    fixed = defaults("Transformer")
    finds: dict[str, Find] = {
        "custom_encoder": _in("encoder") if custom_encoder else _is(None),
        "custom_decoder": _in("decoder") if custom_decoder else _is(None),
        "num_encoder_layers": _is(fixed["num_encoder_layers"]) if custom_encoder else _in("encoder.num_layers"),
        "num_decoder_layers": _is(fixed["num_decoder_layers"]) if custom_decoder else _in("decoder.num_layers"),
    }
    part = "decoder" if custom_encoder else "encoder"
    for name in ("dim_feedforward", "dropout", "activation", "layer_norm_eps", "norm_first", "bias"):
        if custom_encoder and custom_decoder:
            finds[name] = _is(fixed[name])
        else:
            finds[name] = _in_first_layer(part, _TRANSFORMER_LAYER.get(name, _in(name)))
    return finds


def _in_first_layer(part: str, find: Find) -> Find:
    def found(layer: Layer) -> Any:
        first = getattr(layer.module, part).layers[0]
        return find(Layer(first, type(first).__name__, {}))

    return found


_TRANSFORMERS = [_transformer(*custom) for custom in ((False, False), (True, False), (False, True), (True, True))]


def _unflattened_size(layer: Layer) -> Any:
    size = layer.module.unflattened_size
    if isinstance(layer.module.dim, str) or not all(isinstance(n, int) for n in size):
        raise ConversionError(
            f"Unflatten: dim, unflattened_size: expected an int and ints, since JAX has no named axes, "
            f"got {layer.module.dim!r}, {size!r}; name the axis by its number"
        )
    return size


def _process_group(layer: Layer) -> None:
    if layer.module.process_group is not None:
        raise ConversionError(
            "SyncBatchNorm: process_group: expected None, got a group of processes of torch.distributed; "
            "convert with None, and name the axes of the mesh in the source"
        )


def _distance_function(layer: Layer) -> Any:
    """None for the default, a `PairwiseDistance`."""
    found = layer.module.distance_function
    if class_of(found) is not torch.nn.PairwiseDistance if isinstance(found, torch.nn.Module) else True:
        return found
    build = recovered(found)
    is_default = build.args == defaults(build.name)
    return None if is_default else found


_OF: Mapping[str, Mapping[str, Find]] = {
    "AdaptiveLogSoftmaxWithLoss": {"cutoffs": lambda layer: layer.module.cutoffs[:-1]},
    "GRU": {"proj_size": _is(None)},
    "RNN": {"proj_size": _is(None)},
    "LinearCrossEntropyLoss": {
        "in_features": _in("linear.in_features"),
        "bias": _has("linear.bias"),
        "dtype": lambda layer: _dtype(Layer(layer.module.linear, "Linear", {})),
    },
    "MultiheadAttention": {
        "bias": lambda layer: layer.has("in_proj_bias"),
        "add_bias_kv": lambda layer: layer.has("bias_k"),
        "kdim": lambda layer: None if layer.module.kdim == layer.module.embed_dim else layer.module.kdim,
        "vdim": lambda layer: None if layer.module.vdim == layer.module.embed_dim else layer.module.vdim,
    },
    **{f"LPPool{n}d": {"stride": _in("stride")} for n in (1, 2, 3)},  # kept as it was given
    "PairwiseDistance": {"p": _in("norm")},
    "RNNCellBase": {"num_chunks": lambda layer: layer.module.weight_ih.shape[0] // layer.module.hidden_size},
    "SyncBatchNorm": {"process_group": _process_group},
    "TransformerDecoder": {"decoder_layer": _in("layers.0")},
    "TransformerDecoderLayer": _TRANSFORMER_LAYER,
    "TransformerEncoder": {"encoder_layer": _in("layers.0")},
    "TransformerEncoderLayer": _TRANSFORMER_LAYER,
    "TripletMarginWithDistanceLoss": {"distance_function": _distance_function},
    "Unflatten": {"unflattened_size": _unflattened_size},
}
"""Arguments that a class keeps under another name, or not at all."""
