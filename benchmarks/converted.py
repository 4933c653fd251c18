"""Converted models against torch and torchax: `python -m benchmarks.converted [--only PATTERN] [--report FILE]`.

The forward pass of torchvision's models, jitted on both JAX sides. Each side runs in a process of its own and they take
turns; outputs are compared before anything is timed. `pip install torchax` for its column.
"""

import contextlib
import json
import tempfile
import time
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.clock import Side, Timing, geometric_mean, interleaved, ratio, serve

MODELS = (
    *("alexnet", "vgg11", "resnet18", "resnet50", "resnext50_32x4d", "densenet121", "googlenet", "inception_v3"),
    *("squeezenet1_0", "mobilenet_v2", "mobilenet_v3_small", "mnasnet0_5", "shufflenet_v2_x1_0", "efficientnet_b0"),
    *("regnet_y_400mf", "convnext_tiny", "vit_b_16", "swin_t"),
)
SIDES = ("torch", "jaxnets", "torchax")
BATCH = 4


def model_and_input(name: str) -> tuple[Any, Any]:
    import torch

    from examples import vision

    torch.set_num_threads(2)
    size = max(224, vision.side(name))
    return vision.prepared(name), torch.randn(BATCH, 3, size, size, generator=torch.Generator().manual_seed(0))


def torch_side(name: str, output: str) -> None:
    """torch, eager."""
    import torch

    model, x = model_and_input(name)
    with torch.inference_mode():
        np.save(output, model(x).numpy())
        serve(lambda: model(x), compile=0.0)


def jaxnets_side(name: str, output: str) -> None:
    """The converted model, under `jax.jit`."""
    import jax
    from flax import nnx

    import jaxnets

    model, x = model_and_input(name)
    ours = jaxnets.from_torch(model, (x,))
    ours.eval()
    graph, state = nnx.split(ours)
    _serve_jitted(jax.jit(lambda state, x: nnx.merge(graph, state)(x)), (state, jax.numpy.asarray(x.numpy())), output)


def torchax_side(name: str, output: str) -> None:
    """torchax's function, under `jax.jit`."""
    import jax

    _complete_operators()
    import torchax

    model, x = model_and_input(name)
    weights, function = torchax.extract_jax(model)
    _serve_jitted(jax.jit(function), (weights, (jax.numpy.asarray(x.numpy()),)), output)


def _serve_jitted(function: Any, arguments: tuple[Any, ...], output: str) -> None:
    import jax

    began = time.perf_counter()
    compiled = function.lower(*arguments).compile()
    seconds = time.perf_counter() - began
    np.save(output, np.asarray(compiled(*arguments)))
    serve(lambda: jax.block_until_ready(compiled(*arguments)), compile=seconds)


def _complete_operators() -> None:
    """torchax 0.0.13 names overloads that torch 2.13 no longer has; none is one that these models use."""
    import importlib.util
    import re

    import torch

    spec = importlib.util.find_spec("torchax")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("torchax is not installed: pip install torchax")
    for file in Path(spec.submodule_search_locations[0]).rglob("*.py"):
        for operator, overload in re.findall(r"torch\.ops\.aten\.(\w+)\.(\w+)", file.read_text()):
            packet = getattr(torch.ops.aten, operator, None)
            if packet is not None and not hasattr(packet, overload):
                setattr(packet, overload, (operator, overload))


def measured(name: str, sides: tuple[str, ...], seconds: float) -> dict[str, Any]:
    """The row of a model."""
    row: dict[str, Any] = {"model": name}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        running: dict[str, Side] = {}
        outputs = {side: Path(folder) / f"{side}.npy" for side in sides}
        for side, file in outputs.items():  # one after the other: compilers would fight for the cores
            program = Side("benchmarks.converted", "--side", side, "--only", name, "--output", str(file))
            try:
                running[side] = stack.enter_context(program)
            except RuntimeError as error:
                row[f"{side} error"] = str(error)[:200]
                continue
            row[f"{side} compile"] = program.facts["compile"]
        expected = np.load(outputs["torch"])
        for side in running:
            row[f"{side} difference"] = float(np.abs(np.load(outputs[side]) - expected).max() / np.abs(expected).max())
        times: dict[str, Timing] = interleaved(running, seconds)
    for side, timing in times.items():
        row[side] = timing.median
        row[f"{side} to torch"] = ratio(timing, times["torch"])
    if "torchax" in times:
        row["jaxnets to torchax"] = ratio(times["jaxnets"], times["torchax"])
    return row


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: milliseconds, ratios with quartiles, geometric means."""

    def spread(value: Any) -> str:
        return f"{value[0]:.2f} ({value[1]:.2f} to {value[2]:.2f})" if value else "-"

    titles = ("model", *(f"{side} (ms)" for side in SIDES), "jaxnets / torch", "jaxnets / torchax")
    titles += ("compile (s)", "difference")
    lines = [f"| {' | '.join(titles)} |", f"|{' --- |' * len(titles)}"]
    for row in rows:
        times = [f"{1e3 * row[side]:.1f}" if side in row else "-" for side in SIDES]
        ratios = [spread(row.get(f"jaxnets to {side}")) for side in ("torch", "torchax")]
        facts = [f"{row['jaxnets compile']:.1f}", f"{row['jaxnets difference']:.1e}"]
        lines.append(f"| {' | '.join([row['model'], *times, *ratios, *facts])} |")
    for key in ("jaxnets to torch", "torchax to torch", "jaxnets to torchax"):
        values = [row[key][0] for row in rows if key in row]
        if values:
            lines += ["", f"{key}: geometric mean {geometric_mean(values):.2f} over {len(values)} models."]
    return "\n".join(lines) + "\n"


def main(
    only: Annotated[list[str] | None, typer.Option(help="Models whose name matches. Repeatable.")] = None,
    report: Annotated[Path | None, typer.Option(help="Markdown file for the table; JSON lines go beside it.")] = None,
    seconds: Annotated[float, typer.Option(help="Time for each side of a model.")] = 5.0,
    without: Annotated[list[str] | None, typer.Option(help="Sides that are left out.")] = None,
    side: Annotated[str, typer.Option(hidden=True)] = "",
    output: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Times the forward pass of converted models against torch and torchax."""
    if side:
        {"torch": torch_side, "jaxnets": jaxnets_side, "torchax": torchax_side}[side]((only or [""])[0], output)
        return
    names = [name for name in MODELS if not only or any(fnmatch(name, pattern) for pattern in only)]
    sides = tuple(side for side in SIDES if side not in (without or ()))
    rows = []
    for name in names:
        rows.append(measured(name, sides, seconds))
        print(json.dumps(rows[-1]), flush=True)
    text = table(rows)
    print(text)
    if report:
        report.parent.mkdir(parents=True, exist_ok=True)
        title = "# Speed of converted models\n\n`python -m benchmarks.converted`: forward pass on this machine's CPU, "
        about = f"batch {BATCH}, float32; medians of turns, ratios with their quartiles.\n\n"
        report.write_text(title + about + text)
        report.with_suffix(".jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    typer.run(main)
