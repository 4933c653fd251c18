"""A live `torch.nn.Module` as Flax NNX source, and the module that this source makes."""

from jaxnets.convert.errors import ConversionError
from jaxnets.convert.port import from_torch, to_source

__all__ = ["ConversionError", "from_torch", "to_source"]
