"""The command line: `jaxnets inspect`, `convert`, `diff` for checkpoints, `jaxnets port` for whole models."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jaxnets import checkpoint

app = typer.Typer(add_completion=False, no_args_is_help=True, help="PyTorch models and checkpoints in JAX.")
console = Console(highlight=False, soft_wrap=True)
checkpoint_error = checkpoint.CheckpointError

Source = Annotated[Path, typer.Argument(help="a .pt, .pth, .bin or .safetensors file, an index, or a folder of shards")]


@app.command()
def inspect(path: Source) -> None:
    """Lists what a checkpoint holds; reads no array."""
    state = load(path)
    table = Table("name", "dtype", "shape", "bytes", box=None)
    arrays = 0
    for name, value in leaves(state):
        if isinstance(value, np.ndarray):
            arrays += 1
            table.add_row(escape(name), str(value.dtype), str(value.shape), f"{value.nbytes:,}")
        else:
            table.add_row(escape(name), type(value).__name__, escape(shortened(value)), "")
    console.print(table)
    held = [x for _, x in leaves(state) if isinstance(x, np.ndarray)]
    numbers, size = sum(x.size for x in held), sum(x.nbytes for x in held)
    console.print(f"{arrays} arrays, {numbers:,} numbers, {size:,} bytes")


@app.command()
def convert(
    path: Source, out: Annotated[Path, typer.Argument(help="the file to write; its suffix chooses the format")]
) -> None:
    """Writes a checkpoint in another format: `.safetensors`, or torch's for any other suffix."""
    try:
        checkpoint.save(load(path), out)
    except (ValueError, TypeError, OSError) as error:
        fail(str(error))
    console.print(escape(f"{out}: {out.stat().st_size:,} bytes"))


@app.command()
def port(
    factory: Annotated[str, typer.Argument(help="PACKAGE.MODULE:FACTORY, what makes the torch module")],
    out: Annotated[Path, typer.Option(help="the folder to write into")],
    input: Annotated[
        list[str], typer.Option(help="an input: 1x3x224x224, input_ids=1x16:int64<1000; repeatable", show_default=False)
    ],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE, an argument of the factory; repeatable")
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="the weights; random ones if not given")] = None,
    seed: Annotated[int, typer.Option(help="of random weights and inputs")] = 0,
) -> None:
    """Turns a torch model into Flax source with weights, and proves that both compute the same.

    Exit status 0 if they do, 1 if they differ.
    """
    try:
        from jaxnets.convert import ConversionError, command
    except ImportError as error:
        fail(f"port needs torch: {error}; pip install 'jaxnets[torch]'")
    try:
        with console.status("") as status:
            found = command.port(
                factory, input, out, settings=set_ or (), weights=checkpoint, seed=seed, step=lambda x: status.update(x)
            )
    except (command.UsageError, ConversionError, checkpoint_error, OSError) as error:
        fail(str(error))
    command.report(found, out, console)
    raise typer.Exit(0 if found.ok else 1)


@app.command()
def diff(
    first: Source,
    second: Source,
    atol: Annotated[float, typer.Option(min=0, help="greatest absolute difference that counts as equal")] = 0.0,
) -> None:
    """Compares two checkpoints name by name. Exit status 0 if they are equal, 1 if they differ."""
    one, two = (dict(leaves(load(path))) for path in (first, second))
    table = Table("name", "difference", box=None)
    for name in [*one, *(name for name in two if name not in one)]:
        text = difference(one, two, name, atol)
        if text:
            table.add_row(escape(name), escape(text))
    if table.row_count:
        console.print(table)
    names = len(one | two)
    console.print(f"{table.row_count} of {names} entries differ" if table.row_count else f"{names} entries, all equal")
    raise typer.Exit(1 if table.row_count else 0)


def difference(one: dict[str, Any], two: dict[str, Any], name: str, atol: float) -> str:
    """What is different in an entry, or nothing."""
    if name not in one or name not in two:
        return "only in the second" if name in two else "only in the first"
    a, b = one[name], two[name]
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):
        same = type(a) is type(b) and (a == b or (a != a and b != b))
        return "" if same else f"{shortened(a)} and {shortened(b)}"
    for what in ("dtype", "shape"):
        if getattr(a, what) != getattr(b, what):
            return f"{what} {getattr(a, what)} and {getattr(b, what)}"
    if a.tobytes() == b.tobytes():
        return ""
    wide = np.complex128 if a.dtype.kind == "c" else np.float64
    with np.errstate(all="ignore"):
        apart = np.abs(a.astype(wide) - b.astype(wide))
    same_nan = np.isnan(a.astype(wide)) & np.isnan(b.astype(wide))
    apart = np.where((a == b) | same_nan, 0.0, np.where(np.isnan(apart), np.inf, apart))
    greatest = float(apart.max())
    if greatest <= atol and greatest < math.inf:
        return ""
    index = tuple(map(int, np.unravel_index(apart.argmax(), apart.shape)))
    return f"{int((apart > atol).sum())} of {a.size} elements, greatest {greatest:.3g} at {index}"


def leaves(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no container, by the keys on the way to it, joined by dots."""
    if isinstance(tree, dict | list | tuple) and tree:
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        for key, value in items:
            yield from leaves(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, tree


def shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def load(path: Path) -> Any:
    try:
        return checkpoint.load(path)
    except (checkpoint.CheckpointError, OSError) as error:
        fail(str(error))


def fail(text: str) -> Any:
    """One clear line and exit status 2."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(escape(f"jaxnets: {text}"))
    raise typer.Exit(2)


if __name__ == "__main__":
    app()
