"""PyTorch's layers as Flax NNX modules, PyTorch's checkpoints in and out.

The door: `jaxnets.nn`, `jaxnets.functional`, `jaxnets.ops`, `load`, `save`, `load_state_dict`, `state_dict`,
`TorchRngs`.
"""

from typing import Any

from jaxnets import functional, nn, ops
from jaxnets.checkpoint import CheckpointError, save
from jaxnets.placement import load
from jaxnets.random import TorchRngs
from jaxnets.state import load_state_dict, state_dict

__version__ = "0.1.0"

__all__ = ["CheckpointError", "TorchRngs", "functional", "load", "load_state_dict", "nn", "ops", "save", "state_dict"]


def __getattr__(name: str) -> Any:
    """What needs torch is imported when it is asked for."""
    if name in ("from_torch", "to_source"):
        from jaxnets import convert

        return getattr(convert, name)
    raise AttributeError(f"module 'jaxnets' has no attribute {name!r}")
