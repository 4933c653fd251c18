"""How the tests run a program: as its own process, as a user would."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def environment(devices: int = 1) -> dict[str, str]:
    """What a program is run under: that many devices of the CPU, torch on one thread."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    return os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def start(program: str, *args: Any, devices: int = 1) -> subprocess.Popen:
    """The program, running."""
    command = [sys.executable, "-m", f"examples.{program}", *map(str, args)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=environment(devices), **options)


def ended(process: subprocess.Popen) -> str:
    """What a program printed; an assertion that it ended well."""
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


def run(program: str, *args: Any, devices: int = 1) -> str:
    """What the program prints."""
    return ended(start(program, *args, devices=devices))


def numbers(folder: Path) -> dict[str, Any]:
    """The results that a program wrote."""
    return json.loads((folder / "results.json").read_text())
