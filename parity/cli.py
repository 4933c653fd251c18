"""The command line: the whole suite on this machine's device.

Heavy packages are imported by the commands, in the processes that need them, after their settings are in place.
"""

import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import nullcontext
from enum import StrEnum
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

if TYPE_CHECKING:
    from parity.suite import Check, Results

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 110)

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "jaxnets" / "parity"


CHUNK = 8
"""Cases that a process takes at a time."""

MILESTONE = 400
"""Cases between two lines in a log."""


class Device(StrEnum):
    CPU = "cpu"
    GPU = "gpu"
    TPU = "tpu"


class Way(StrEnum):
    JIT = "jit"
    EAGER = "eager"
    VMAP = "vmap"
    SHARD_MAP = "shard_map"
    TWICE = "twice"
    EXPORT = "export"


class Dtype(StrEnum):
    F32 = "f32"
    F64 = "f64"
    BF16 = "bf16"
    F16 = "f16"


@app.command()
def main(
    device: Annotated[Device | None, typer.Option(help="Where JAX runs; its default device when not given.")] = None,
    dtype: Annotated[list[Dtype] | None, typer.Option(help="Repeatable.", show_default="all")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Cases whose name holds this, or is matched by its * and ?. Repeatable.")
    ] = None,
    way: Annotated[
        list[Way] | None, typer.Option(help="How it is run. Repeatable.", show_default="those of the dtype")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Our own cases alone, compiled, in float64.")] = False,
    report: Annotated[Path | None, typer.Option(help="Folder for report.json and report.md.")] = None,
    jobs: Annotated[int, typer.Option(min=0, help="Processes; 0: as many as there are cores.")] = 0,
    cache: Annotated[Path, typer.Option(help="Where compiled programs are kept from run to run.")] = CACHE,
    form: Annotated[
        str | None, typer.Option(help="Compute convolutions in this form wherever it can be, not in the fastest.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Print the names of the cases and stop.")] = False,
) -> None:
    """Compare every layer and function with torch: outputs, gradients, buffers, distributions of random draws."""
    jobs = jobs or os.cpu_count() or 1
    dtypes = [str(d) for d in dtype or ((Dtype.F64,) if quick else Dtype)]
    ways = tuple(map(str, way)) if way else ("jit",) if quick else None
    prepare(device, str(cache))

    from jaxnets.lowering.conv_forms import NAMES
    from parity.case import Case
    from parity.database import find
    from parity.suite import Results

    if form is not None and form not in NAMES:
        fail(f"no form {form!r}, only {', '.join(NAMES)}")
    names = [name for name, case in find(only or []).items() if isinstance(case, Case) or not quick]
    if not names:
        fail(f"no case matches {' or '.join(only or [])}; see python -m parity --list")
    if list_:
        sys.stdout.writelines(f"{name}\n" for name in names)
        return
    _print_header(device, dtypes, jobs)
    began = time.monotonic()
    checks: list[Check] = []
    interrupted = False
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    ) as progress:
        task = progress.add_task("cases", total=len(names))
        try:
            for found in _check_all(names, dtypes, ways, jobs, device, str(cache), form):
                checks += found
                _show(progress, task, checks, time.monotonic() - began)
        except KeyboardInterrupt:
            interrupted = True
    order = {name: i for i, name in enumerate(names)}
    checks.sort(key=lambda check: order[check.case])
    results = Results(tuple(checks), time.monotonic() - began)
    print_results(results, device)
    facts = versions(device, dtypes)
    if interrupted:
        facts["interrupted"] = f"after {len({check.case for check in checks})} of {len(names)} cases"
        console.print(f"interrupted {facts['interrupted']}")
    if report:
        from parity.files import write

        write(results, report, facts)
        console.print(f"report: {report / 'report.md'}, {report / 'report.json'}")
    if interrupted:
        raise typer.Exit(130)
    raise typer.Exit(0 if results.ok else 1)


def _show(progress: Progress, task: TaskID, checks: Sequence["Check"], seconds: float) -> None:
    failed = sum(check.status == "failed" for check in checks)
    done = len({check.case for check in checks})
    text = f"cases, {len(checks)} checks, {failed} failed"
    if not console.is_terminal and done // MILESTONE > progress.tasks[task].completed // MILESTONE:
        console.print(f"{done} {text}, {seconds / 60:.0f} min")  # a log shows no bar
    progress.update(task, completed=done, description=text)


def prepare(device: str | None, cache: str) -> None:
    """Settings that must stand before JAX starts; a device that is not there ends the program."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the processes share one GPU
    if device == Device.CPU:
        os.environ["JAX_PLATFORMS"] = "cpu"  # do not even start an accelerator

    import jax
    import torch

    torch.set_num_threads(1)
    # An operation by itself has little to optimise; what is to be compiled as users do says so.
    jax.config.update("jax_disable_most_optimizations", True)
    jax.config.update("jax_compilation_cache_dir", cache)
    # Everything is kept: the suite compiles thousands of tiny programs.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    if device:
        try:
            jax.config.update("jax_default_device", jax.devices(device)[0])
        except RuntimeError:
            found = ", ".join(sorted({d.platform for d in jax.devices()}))
            fail(f"device {device}: JAX finds none here, only {found}; install JAX for {device} or choose another")


def fail(text: str) -> None:
    """One clear line and exit status 2."""
    print(f"parity: {text}", file=sys.stderr)
    raise typer.Exit(2)


def _check_all(
    names: Sequence[str],
    dtypes: Sequence[str],
    ways: Sequence[str] | None,
    jobs: int,
    device: str | None,
    cache: str,
    form: str | None,
) -> Iterator[list["Check"]]:
    """The checks of some cases, as they are done."""
    if jobs == 1 or len(names) == 1:
        for name in names:
            yield check([name], dtypes, ways, form)
        return
    # Neighbours share small programs: a process gets some at a time.
    chunks = [names[i : i + CHUNK] for i in range(0, len(names), CHUNK)]
    # Spawned, not forked: JAX is multithreaded, and threads do not survive a fork.
    with ProcessPoolExecutor(
        min(jobs, len(chunks)), mp_context=get_context("spawn"), initializer=prepare, initargs=(device, cache)
    ) as pool:
        try:
            for future in as_completed([pool.submit(check, chunk, dtypes, ways, form) for chunk in chunks]):
                yield future.result()
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in active_children():  # what they have begun takes minutes
                process.terminate()
            raise


def check(
    names: Sequence[str], dtypes: Sequence[str], ways: Sequence[str] | None, form: str | None = None
) -> list["Check"]:
    """The checks of some cases of the database, in a process of its own."""
    from jaxnets.lowering.choice import only
    from parity.database import find
    from parity.suite import check_case

    with only(form) if form else nullcontext():
        return [
            found
            for name, case in find(names).items()
            for dtype in dtypes
            for found in check_case(name, case, dtype, ways)
        ]


def versions(device: str | None, dtypes: Sequence[str]) -> dict[str, str]:
    """What the numbers depend on."""
    import platform
    from importlib.metadata import version

    import jax

    where = jax.devices(device)[0] if device else jax.devices()[0]
    packages = {name: version(name) for name in ("jax", "jaxlib", "flax", "torch", "jaxnets")}
    return {
        "python": platform.python_version(),
        **packages,
        "device": f"{where.platform} ({where.device_kind})",
        "dtypes": " ".join(dtypes),
        "matmul precision": "highest",
    }


def _print_header(device: str | None, dtypes: Sequence[str], jobs: int) -> None:
    text = ", ".join(f"{name} {value}" for name, value in versions(device, dtypes).items())
    console.print(f"parity: {text}, {jobs} process{'es' * (jobs != 1)}")


def print_results(results: "Results", device: str | None) -> None:
    """Failures with the command that repeats each, a table, how many samples lie inside of the tolerances."""
    from parity.files import shares

    chosen = f"--device {device} " if device else ""
    for check in results.skipped:
        console.print(escape(f"not in torch: {check.case} {check.dtype}: {check.why}"))
    for check in results.failed:
        console.print(f"[red]FAILED[/red] {escape(check.name)}\n    {escape(check.why.splitlines()[0])}")
        again = f"python -m parity {chosen}--dtype {check.dtype} --only {shlex.quote(check.case)}"
        console.print(escape(f"    {again}"))
    titles = ("family", "property", "checks", "failed", "not in torch", "greatest error")
    table = Table(*(Column(title, no_wrap=True) for title in titles), box=SIMPLE)
    for family, property, total, failed, skipped, error in results.table():
        table.add_row(family, property, str(total), str(failed), str(skipped), f"{error:.2g}")
    console.print(table)
    console.print(escape(results.summary()))
    for line in shares(results):
        console.print(escape(line))
