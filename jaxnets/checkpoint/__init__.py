"""Files of torch and safetensors, and nested containers of numpy arrays: no torch, no JAX, no code from a file."""

from jaxnets.checkpoint.errors import CheckpointError
from jaxnets.checkpoint.folder import load
from jaxnets.checkpoint.pickling import save

__all__ = ["CheckpointError", "load", "save"]
