"""Six torch models, and the Flax source that is written for them."""
