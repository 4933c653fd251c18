"""What a torch function is in JAX."""
