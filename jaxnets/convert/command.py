"""`jaxnets port`: a torch model and a checkpoint become a folder with Flax source, weights and the proof."""

import ast
import importlib
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jaxnets import checkpoint
from jaxnets.convert.port import ported
from jaxnets.convert.proof import Proof, prove

__all__ = ["UsageError", "made", "port", "random_input"]


class UsageError(ValueError):
    """What was given on the command line cannot be used."""


def made(factory: str, settings: Sequence[str]) -> torch.nn.Module:
    """The module that `PACKAGE.MODULE:FACTORY` gives, called with `NAME=VALUE` settings."""
    package, _, name = factory.partition(":")
    if not package or not name:
        raise UsageError(
            f"factory: expected PACKAGE.MODULE:FACTORY, such as torchvision.models:resnet18, got {factory!r}"
        )
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(package)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"factory: {factory!r} cannot be imported: {error}") from error
    try:
        module = found if isinstance(found, torch.nn.Module) else found(**_settings(settings))
    except TypeError as error:
        raise UsageError(f"factory: {factory!r} cannot be called so: {error}") from error
    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"factory: expected {factory!r} to give a torch.nn.Module, got {type(module).__name__}")
    return module


def _settings(settings: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"--set: expected NAME=VALUE, got {setting!r}")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = value
    return found


INPUT = re.compile(
    r"(?:(?P<name>[A-Za-z_]\w*)=)?(?P<shape>\d+(?:x\d+)*|scalar)(?::(?P<dtype>\w+?)(?:<(?P<high>\d+))?)?"
)


def random_input(text: str, seed: int) -> tuple[str | None, torch.Tensor]:
    """A random input, and the name of the argument: `1x3x224x224`, `input_ids=1x16:int64<50257`."""
    found = INPUT.fullmatch(text)
    if found is None:
        raise UsageError(
            f"--input: expected a shape such as 1x3x224x224, 1x16:int64<1000 or mask=1x16:bool, got {text!r}"
        )
    shape = () if found["shape"] == "scalar" else tuple(map(int, found["shape"].split("x")))
    dtype = getattr(torch, found["dtype"] or "float32", None)
    if not isinstance(dtype, torch.dtype):
        raise UsageError(f"--input: expected a dtype of torch's behind the colon, got {found['dtype']!r}")
    generator = torch.Generator().manual_seed(seed)
    if dtype.is_floating_point or dtype.is_complex:
        x = torch.randn(shape, generator=generator, dtype=torch.float32).to(dtype)
    else:
        high = 2 if dtype == torch.bool else int(found["high"] or 10)
        x = torch.randint(0, high, shape, generator=generator).to(dtype)
    return found["name"], x


def port(
    factory: str,
    inputs: Sequence[str],
    out: Path,
    *,
    settings: Sequence[str] = (),
    weights: Path | None = None,
    seed: int = 0,
    step: Callable[[str], None] = lambda text: None,
) -> Proof:
    """Writes `model.py`, `weights.safetensors`, `parity.json` and `README.md` into the folder `out`.

    Args:
        factory: `PACKAGE.MODULE:FACTORY`.
        inputs: as `random_input` takes them.
        out: the folder; made if it is not there.
        settings: what the factory is called with.
        weights: a checkpoint for the module.
        seed: of the module's initial weights and of the inputs.
        step: told what is being done.
    """
    step(f"building {factory}")
    torch.manual_seed(seed)
    module = made(factory, settings).eval()
    if weights is not None:
        step(f"loading {weights}")
        _load(module, weights)
    args, kwargs = [], {}
    for i, text in enumerate(inputs):
        name, x = random_input(text, seed + i)
        if name is None:
            args.append(x)
        else:
            kwargs[name] = x
    step("writing the source")
    found = ported(module, tuple(args), kwargs)
    step("running both")
    proof = prove(module, found.model, args, kwargs)
    step("writing the files")
    out.mkdir(parents=True, exist_ok=True)
    (out / "model.py").write_text(found.source)
    checkpoint.save(
        {name: x.detach().contiguous() for name, x in module.state_dict().items()}, out / "weights.safetensors"
    )
    (out / "parity.json").write_text(
        json.dumps({"factory": factory, "inputs": list(inputs), **proof.as_json()}, indent=2)
    )
    (out / "README.md").write_text(_readme(factory, found.entry, found.takes_rngs, inputs))
    return proof


def _load(module: torch.nn.Module, path: Path) -> None:
    """Fills the module from a checkpoint, which may hold its state under a key such as "state_dict"."""
    state = checkpoint.load(path)
    wanted = set(module.state_dict())
    for key in ("state_dict", "model_state_dict", "model", "module"):
        if isinstance(state, dict) and isinstance(state.get(key), dict) and not wanted & set(state):
            state = state[key]
    tensors = {name: torch.from_numpy(x.copy()) if hasattr(x, "copy") else x for name, x in state.items()}
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise UsageError(f"--checkpoint: {path} does not fit the module: {error}") from error


def _readme(factory: str, entry: str, takes_rngs: bool, inputs: Sequence[str]) -> str:
    built = f"{entry}(rngs=nnx.Rngs(0))" if takes_rngs else f"{entry}()"
    return f"""# {entry}

Flax source of `{factory}`, written by `jaxnets port` for inputs `{" ".join(inputs)}`.

```python
import jaxnets
from flax import nnx
from model import {entry}

model = {built}
jaxnets.load_state_dict(model, jaxnets.load("weights.safetensors"))
model.eval()
```

- `model.py`: the module; change it as you like.
- `weights.safetensors`: its weights, under torch's names.
- `parity.json`: how far each layer's output is from torch's.
"""


def table(proof: Proof) -> Table:
    """The greatest difference of each top-level module."""
    found = Table("module", "class", "greatest difference", box=None)
    for layer in proof.top_level():
        mark = "" if layer.ok else " [red]beyond its bound[/red]"
        found.add_row(escape(layer.name or "(all)"), layer.kind, f"{layer.difference:.2g}{mark}")
    return found


def report(proof: Proof, out: Path, console: Console) -> None:
    """Prints the table, and where the two diverge."""
    console.print(table(proof))
    divergent = proof.first_divergent
    if divergent is not None:
        console.print(
            f"[red]first to diverge[/red]: {escape(divergent.name or '(all)')} ({divergent.kind}), "
            f"{divergent.difference:.2g}, at most {divergent.bound:.2g} expected"
        )
    console.print(escape(f"{out}: model.py, weights.safetensors, parity.json, README.md"))
