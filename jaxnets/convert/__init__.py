"""A live `torch.nn.Module` as Flax NNX source, and the module that this source makes.

`tracing` looks at a module while it runs; what it finds is a `trace`, whose `sizes` know where they come from.
`writing` makes source of two traces, with `operators` for each function and `layers` for each layer of torch's.
"""

from jaxnets.convert.errors import ConversionError
from jaxnets.convert.port import from_torch, to_source

__all__ = ["ConversionError", "from_torch", "to_source"]
