"""PyTorch's layers as Flax NNX modules, PyTorch's checkpoints in and out.

The door: `jaxnets.nn`, `jaxnets.functional`, `jaxnets.ops`, `load`, `save`, `load_state_dict`, `state_dict`,
`TorchRngs`.
"""

from jaxnets import functional, nn, ops
from jaxnets.checkpoint import CheckpointError, save
from jaxnets.placement import load
from jaxnets.random import TorchRngs
from jaxnets.state import load_state_dict, state_dict

__version__ = "0.1.0"

__all__ = ["CheckpointError", "TorchRngs", "functional", "load", "load_state_dict", "nn", "ops", "save", "state_dict"]
