"""How each framework does a row: `python -m benchmarks.frameworks NAME` is its side."""
