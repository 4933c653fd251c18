"""A live `torch.nn.Module` as Flax NNX source, and the module that this source makes."""
