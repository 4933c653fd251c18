"""All classification models of torchvision, converted: `python -m benchmarks.zoo [--only PATTERN] [--report FILE]`.

For each model: whether the state has torch's keys, how far outputs are from torch's in float32 and float64, the
gradients of one model of each family, the lines of its source, and the time of conversion beside that of
`torch.export`. Each model runs in a process of its own.
"""

import json
import subprocess
import sys
import time
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated

import typer

BOUNDS = {"float32": 2e-5, "float64": 1e-10, "gradient": 1e-8}
TITLES = ("model", "keys", "float32", "float64", "gradient", "lines", "conversion (s)", "torch.export (s)")
FAMILIES = {
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3"),
    *("maxvit_t", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_y_400mf", "resnet18", "resnext50_32x4d"),
    *("shufflenet_v2_x0_5", "squeezenet1_0", "swin_t", "swin_v2_t", "vgg11_bn", "vit_b_16"),
}
"""One model of each family: its gradients are compared, too."""


def measured(name: str) -> dict[str, object]:
    """The figures of one model, in this process."""
    import jax
    import numpy as np
    import torch
    from flax import nnx

    import jaxnets
    from examples import vision

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_default_matmul_precision", "highest")
    torch.set_num_threads(2)
    size = vision.side(name)
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    row: dict[str, object] = {"model": name}
    for dtype in (torch.float32, torch.float64):
        module = vision.prepared(name).to(dtype)
        picture = x.to(dtype)
        if dtype == torch.float32:
            jaxnets.to_source(torch.nn.Sequential(module), (picture,))  # what is loaded once is not part of the time
            began = time.perf_counter()
            source = jaxnets.to_source(module, (picture,))
            row["conversion"] = time.perf_counter() - began
            row["lines"] = len(source.splitlines())
            began = time.perf_counter()
            torch.export.export(module, (picture,), strict=False)
            row["export"] = time.perf_counter() - began
        model = jaxnets.from_torch(module, (picture,))
        row["keys"] = list(jaxnets.state_dict(model)) == list(module.state_dict())
        with torch.no_grad():
            expected = module(picture).numpy()
        found = np.asarray(nnx.jit(lambda model, x: model(x))(model, picture.numpy()))
        row[str(dtype).removeprefix("torch.")] = float(np.abs(found - expected).max() / np.abs(expected).max())
        if dtype == torch.float64 and name in FAMILIES:
            row["gradient"] = gradient(module, model, picture)
    return row


def gradient(module: object, model: object, x: object) -> float:
    """The greatest `max|a - b| / max|b|` of the parameters' gradients of a random sum of the outputs."""
    import jax.numpy as jnp
    import numpy as np
    import torch
    from flax import nnx

    import jaxnets

    output = module(x)  # type: ignore[operator]
    along = torch.randn(output.shape, dtype=output.dtype, generator=torch.Generator().manual_seed(1))
    parameters = dict(module.named_parameters())  # type: ignore[attr-defined]
    expected = dict(
        zip(
            parameters,
            torch.autograd.grad((output * along).sum(), list(parameters.values()), allow_unused=True),
            strict=True,
        )
    )
    found = nnx.jit(nnx.grad(lambda model, x: (model(x) * along.numpy()).sum()))(model, jnp.asarray(x.numpy()))  # type: ignore[attr-defined]
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
    one: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Converts models of torchvision and compares them with torch."""
    if one:
        print(json.dumps(measured(one)))
        return
    from examples import vision

    names = [n for n in vision.models.list_models(module=vision.models) if not only or any(fnmatch(n, p) for p in only)]
    rows, began = [], time.monotonic()
    for name in names:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.zoo", "--one", name], stdout=subprocess.PIPE, text=True, check=False
        )
        row = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {"model": name}
        rows.append(row)
        print(f"{name:24} {'ok' if holds(row) else 'FAILED'} {row}", flush=True)
    good = sum(map(holds, rows))
    summary = f"{good} of {len(rows)} models hold, in {(time.monotonic() - began) / 60:.0f} min"
    print(summary)
    if report:
        report.write_text(table(rows, summary))
    raise typer.Exit(0 if good == len(rows) else 1)


def holds(row: dict[str, object]) -> bool:
    """Whether a model's figures are within the bounds."""
    return row.get("keys") is True and all(float(row.get(k, 0.0)) <= bound for k, bound in BOUNDS.items())  # type: ignore[arg-type]


def table(rows: list[dict[str, object]], summary: str) -> str:
    lines = [
        "# The models of torchvision",
        "",
        f"Written by `make zoo`: {summary}. Each model has random weights and random statistics of its batch",
        "normalisations, and runs on two random pictures. Errors are `max|a - b| / max|b|`; gradients are those of all",
        "parameters in float64.",
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
