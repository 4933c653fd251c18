"""The file: imports, classes, formatting."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["IMPORTS", "formatted", "source_file"]

IMPORTS = {
    "OrderedDict": "from collections import OrderedDict",
    "NamedTuple": "from typing import Any, NamedTuple",
    "jax": "import jax",
    "jnp": "import jax.numpy as jnp",
    "nnx": "from flax import nnx",
    "check": "from jaxnets import check",
    "F": "from jaxnets import functional as F",
    "nn": "from jaxnets import nn",
    "ops": "from jaxnets import ops",
}
"""By the name that code uses."""


def source_file(converted: type, statements: list[ast.stmt]) -> str:
    """The text of a file with the classes that were written for a class of torch's, not formatted."""
    tree = ast.fix_missing_locations(ast.Module(statements, []))
    used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    imports = [line for name, line in IMPORTS.items() if name in used]
    origin = f"`{converted.__module__}.{converted.__qualname__}`"
    title = f'"""{converted.__name__} in Flax, converted from {origin} by jaxnets."""'
    return "\n".join([title, "", *imports, "", ast.unparse(tree)])


def formatted(text: str) -> str:
    """The source as ruff formats it."""
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or shutil.which("ruff")
    if ruff is None:
        return text
    settings = ["--isolated", "--quiet", "--line-length", "100", "--stdin-filename", "model.py", "-"]
    imports = ["check", "--select", "I", "--fix", "--config", "lint.isort.known-first-party=[]"]
    for command in (imports, ["format"]):
        done = subprocess.run([ruff, *command, *settings], input=text, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1) or not done.stdout:
            raise RuntimeError(f"ruff {command[0]}: {done.stderr}\n{text}")
        text = done.stdout
    return text
