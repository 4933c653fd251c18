"""How a layer of `torch.nn` is built with `jaxnets.nn`: a call as data, and as source."""
