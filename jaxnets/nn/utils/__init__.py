"""`torch.nn.utils`: what is done to sequences and to parameters beside the layers."""

from jaxnets.nn.utils import rnn

__all__ = ["rnn"]
