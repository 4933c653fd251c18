"""Where the sides of a benchmark run: on the CPU, or all of them on one GPU.

On a GPU both torch and JAX multiply in TF32, JAX's own default, and calls are made one after another without looking
at what they give, as programs make them: a time is that of `CALLS` of them, divided.
"""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Any

__all__ = ["CALLS", "REPEATS", "Device", "described", "environment", "forget_peak", "peak", "to_device", "wait"]


class Device(StrEnum):
    CPU = "cpu"
    GPU = "gpu"


def environment(device: Device) -> dict[str, str]:
    """The variables of a side's process."""
    platform = "cuda" if device == Device.GPU else os.environ.get("JAX_PLATFORMS", "cpu")
    return {"OMP_WAIT_POLICY": "PASSIVE", "JAX_PLATFORMS": platform, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


ON_GPU = os.environ.get("JAX_PLATFORMS") == "cuda"
"""Whether this process is a side on a GPU."""

CALLS = 10
REPEATS = CALLS if ON_GPU else 1


def to_device(value: Any) -> Any:
    """A torch tensor or module where the side runs; on a GPU torch then multiplies as JAX does."""
    if not ON_GPU:
        return value
    import torch

    torch.set_float32_matmul_precision("high")
    return value.to("cuda")


def wait(results: Any) -> None:
    """Until all that was asked for is done."""
    if "jax" in sys.modules:
        sys.modules["jax"].block_until_ready(results)
    if ON_GPU and "torch" in sys.modules and sys.modules["torch"].cuda.is_initialized():
        sys.modules["torch"].cuda.synchronize()


def peak() -> int:
    """The most bytes that were in use at once: of this process in memory, or of its arrays on the GPU."""
    if ON_GPU:
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            return int(torch.cuda.max_memory_allocated())
        return int(sys.modules["jax"].local_devices()[0].memory_stats()["peak_bytes_in_use"])
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise KeyError("VmHWM")


def forget_peak() -> None:
    """The greatest size begins anew."""
    if not ON_GPU:
        Path("/proc/self/clear_refs").write_text("5")
    elif "torch" in sys.modules and sys.modules["torch"].cuda.is_initialized():
        sys.modules["torch"].cuda.reset_peak_memory_stats()


def described() -> dict[str, str]:
    """What the numbers of this process depend on."""
    found = {}
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        found["torch"] = torch.__version__
    if "jax" in sys.modules:
        jax = sys.modules["jax"]
        found |= {"JAX": jax.__version__, "device": jax.devices()[0].device_kind}
    return found
