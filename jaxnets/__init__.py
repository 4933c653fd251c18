"""PyTorch's layers as Flax NNX modules, PyTorch's checkpoints in and out.

The door: `jaxnets.nn`, `jaxnets.functional`, `jaxnets.ops`, `jaxnets.optim`, `load`, `save`, `load_state_dict`,
`state_dict`, `TorchRngs`; where torch is installed, `from_torch`, `to_source`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jaxnets import functional, nn
from jaxnets.checkpoint import CheckpointError, save
from jaxnets.placement import load
from jaxnets.random import TorchRngs
from jaxnets.state import load_state_dict, state_dict

if TYPE_CHECKING:
    from jaxnets import ops, optim
    from jaxnets.convert import from_torch as from_torch
    from jaxnets.convert import to_source as to_source

__version__ = "0.1.0"

__all__ = [
    "CheckpointError",
    "TorchRngs",
    "functional",
    "load",
    "load_state_dict",
    "nn",
    "ops",
    "optim",
    "save",
    "state_dict",
]


def __getattr__(name: str) -> Any:
    """What needs torch, and what not everybody needs, is imported when it is asked for."""
    if name in ("ops", "optim"):
        return import_module(f"jaxnets.{name}")
    if name in ("from_torch", "to_source"):
        return getattr(import_module("jaxnets.convert"), name)
    raise AttributeError(f"module 'jaxnets' has no attribute {name!r}")
