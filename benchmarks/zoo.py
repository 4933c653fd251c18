"""All classification models of torchvision, converted: `python -m benchmarks.zoo [--only PATTERN] [--report FILE]`.

For each model: whether the state has torch's keys, how far outputs are from torch's in float32 and float64, the
gradients of one model of each family, the lines of its source, and the time of conversion beside that of
`torch.export`, the shorter of two times each. Each model runs in a process of its own, and its figures are a line of
the log: `--resume` goes on with a run that was stopped, and tries again what failed.
"""

import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

BOUNDS = {"float32": 2e-5, "float64": 1e-10, "gradient": 1e-8}
TITLES = ("model", "keys", "float32", "float64", "gradient", "lines", "conversion (s)", "torch.export (s)")
LARGE = 3e8
"""Parameters from which on a model is run layer by layer: XLA would hold its weights in other layouts, too."""

LIMIT = 1200
"""Seconds that a model may take."""

FAMILIES = {
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3"),
    *("maxvit_t", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_y_400mf", "resnet18", "resnext50_32x4d"),
    *("shufflenet_v2_x0_5", "squeezenet1_0", "swin_t", "swin_v2_t", "vgg11_bn", "vit_b_16"),
}
"""One model of each family: its gradients are compared, too."""


def measured(name: str) -> dict[str, object]:
    """The figures of one model, in this process."""
    import jax
    import torch

    from examples import vision

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_default_matmul_precision", "highest")
    torch.set_num_threads(2)
    size = vision.side(name)
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    row: dict[str, object] = {"model": name}
    for dtype in (torch.float32, torch.float64):
        gc.collect()  # the largest has 5 GB of parameters in float64
        row |= compared(name, dtype, x.to(dtype))
    return row


def written(module: Any, x: Any) -> dict[str, object]:
    """The lines of a model's source, and what it takes to write it."""
    import torch

    import jaxnets

    lines = len(jaxnets.to_source(module, (x,)).splitlines())
    conversion, export = shortest(
        partial(jaxnets.to_source, module, (x,)), partial(torch.export.export, module, (x,), strict=False)
    )
    return {"lines": lines, "conversion": conversion, "export": export}


def compared(name: str, dtype: Any, x: Any) -> dict[str, object]:
    """How far a model in one dtype is from torch's."""
    import jax.numpy as jnp
    import numpy as np
    import torch
    from flax import nnx

    import jaxnets
    from examples import vision

    module = vision.prepared(name).to(dtype)
    row = written(module, x) if dtype == torch.float32 else {}
    model = jaxnets.from_torch(module, (x,))
    row["keys"] = list(jaxnets.state_dict(model)) == list(module.state_dict())
    with torch.no_grad():
        expected = module(x).numpy()
    if dtype == torch.float64 and name in FAMILIES:
        row["gradient"] = gradient(module, model, x)
    is_large = sum(p.numel() for p in module.parameters()) > LARGE
    del module
    run = (lambda model, x: model(x)) if is_large else nnx.jit(lambda model, x: model(x))
    found = np.asarray(run(model, jnp.asarray(x.numpy())))
    row[str(dtype).removeprefix("torch.")] = float(np.abs(found - expected).max() / np.abs(expected).max())
    return row


def shortest(*functions: Callable[[], object]) -> list[float]:
    """The shorter of two times of each function in seconds, one after the other."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(2):
        for function, found in zip(functions, times, strict=True):
            began = time.perf_counter()
            function()
            found.append(time.perf_counter() - began)
    return [min(found) for found in times]


def gradient(module: Any, model: Any, x: Any) -> float:
    """The greatest `max|a - b| / max|b|` of the parameters' gradients of a random sum of the outputs."""
    import jax.numpy as jnp
    import numpy as np
    import torch
    from flax import nnx

    import jaxnets

    output = module(x)
    along = torch.randn(output.shape, dtype=output.dtype, generator=torch.Generator().manual_seed(1))
    parameters = dict(module.named_parameters())
    expected = dict(
        zip(
            parameters,
            torch.autograd.grad((output * along).sum(), list(parameters.values()), allow_unused=True),
            strict=True,
        )
    )
    found = nnx.jit(nnx.grad(lambda model, x: (model(x) * along.numpy()).sum()))(model, jnp.asarray(x.numpy()))
    holder = nnx.clone(model)
    nnx.update(holder, found)
    ours = jaxnets.state_dict(holder)
    scale = max(float(g.abs().max()) for g in expected.values() if g is not None)
    return max(
        float(np.abs(np.asarray(ours[n]) - g.numpy()).max()) / scale for n, g in expected.items() if g is not None
    )


def main(
    only: Annotated[list[str] | None, typer.Option(help="patterns of models; all if not given")] = None,
    report: Annotated[Path | None, typer.Option(help="a Markdown file for the table")] = None,
    log: Annotated[Path, typer.Option(help="a line of JSON for each model")] = Path("build/zoo.jsonl"),
    resume: Annotated[bool, typer.Option(help="keep what the log has of models that hold")] = False,
    one: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Converts models of torchvision, the smallest first, and compares them with torch."""
    if one:
        print(json.dumps(measured(one)))
        return
    from examples import vision

    names = [n for n in vision.models.list_models(module=vision.models) if not only or any(fnmatch(n, p) for p in only)]
    size = {n: vision.models.get_model_weights(n).DEFAULT.meta["num_params"] for n in names}
    kept = [json.loads(line) for line in log.read_text().splitlines()] if resume and log.exists() else []
    done = {str(row["model"]): row for row in kept if holds(row)}
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("".join(f"{json.dumps(row)}\n" for row in done.values()))
    for name in sorted((n for n in names if n not in done), key=size.__getitem__):
        began = time.monotonic()
        row = done[name] = {**in_process(name), "seconds": round(time.monotonic() - began, 1)}
        with log.open("a") as file:
            file.write(f"{json.dumps(row)}\n")
        print(f"{name:24} {'ok' if holds(row) else 'FAILED'} {row}", flush=True)
    rows = [done[name] for name in names]
    good = sum(map(holds, rows))
    minutes = sum(float(row["seconds"]) for row in rows) / 60
    summary = f"{good} of {len(rows)} models hold, in {minutes:.0f} min"
    print(summary)
    if report:
        report.write_text(table(rows, summary))
    raise typer.Exit(0 if good == len(rows) else 1)


def in_process(name: str) -> dict[str, object]:
    """The figures of one model, in another process; what it said last if it failed."""
    command = [sys.executable, "-m", "benchmarks.zoo", "--one", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT)
        return json.loads(done.stdout.splitlines()[-1])
    except subprocess.CalledProcessError as error:
        print(error.stderr, file=sys.stderr)
        said = error.stderr.strip().splitlines()[-1:]
        return {"model": name, "error": f"exit status {error.returncode}: {''.join(said)}"}
    except subprocess.TimeoutExpired:
        return {"model": name, "error": f"no result in {LIMIT} s"}


def holds(row: dict[str, object]) -> bool:
    """Whether a model's figures are within the bounds."""
    return row.get("keys") is True and all(float(row.get(k, 0.0)) <= bound for k, bound in BOUNDS.items())  # type: ignore[arg-type]


def table(rows: list[dict[str, object]], summary: str) -> str:
    ratios = sorted(float(r["conversion"]) / float(r["export"]) for r in rows if "export" in r)  # type: ignore[arg-type]
    took = f"Conversion takes {ratios[0]:.1f} to {ratios[-1]:.1f} times as long as `torch.export`." if ratios else ""
    lines = [
        "# The models of torchvision",
        "",
        f"Written by `make zoo`: {summary}. Each model has random weights and random statistics of its batch",
        "normalisations, and runs on two random pictures. Errors are `max|a - b| / max|b|`; gradients are those of all",
        f"parameters in float64. {took}",
        "",
        f"| {' | '.join(TITLES)} |",
        "| - | - | -: | -: | -: | -: | -: | -: |",
    ]
    for row in rows:
        cells = [str(row["model"]), {True: "equal", False: "differ"}.get(row.get("keys"), "failed")]  # type: ignore[call-overload]
        cells += [f"{row[k]:.1e}" if k in row else "" for k in ("float32", "float64", "gradient")]
        cells += [str(row.get("lines", ""))]
        cells += [f"{row[k]:.1f}" if k in row else "" for k in ("conversion", "export")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    typer.run(main)
