"""Two models of handwritten digits go from PyTorch to JAX and back: `python -m examples.digits`."""
