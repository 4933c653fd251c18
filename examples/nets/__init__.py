"""The nets that tell digits apart, in JAX and, side by side, in torch."""
