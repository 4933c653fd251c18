"""Each example runs and says so."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_digits():
    """The demo: equal numbers, equal predictions, a round trip bit for bit; its JAX process cannot import torch."""
    process = subprocess.run(
        [sys.executable, "-m", "examples.digits"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.returncode == 0, process.stdout
    assert "Equal: 2 of 2 models" in process.stdout
    assert process.stdout.count("bit for bit, loads into torch") == 2
    assert process.stdout.count("other predictions  0") == 2


def test_nothing_torch_in_the_jax_half():
    process = subprocess.run(
        [sys.executable, "-c", "import examples.digits.in_jax; import torch"], cwd=ROOT, capture_output=True, text=True
    )
    assert process.returncode != 0
    assert "import of torch halted" in process.stderr
