"""Normalisations that move their running statistics towards those of the batch."""

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from jaxnets import functional, ops
from jaxnets.convert.trace import Op, Value

if TYPE_CHECKING:
    from jaxnets.convert.tracing.recorder import Recorder

__all__ = ["moved_statistics", "write_statistics"]

NORMS = {
    "functional.batch_norm": ("batch_norm", "training"),
    "functional.instance_norm": ("instance_norm", "use_input_stats"),
    **dict.fromkeys(("native_batch_norm", "aten.native_batch_norm"), ("native_batch_norm", "training")),
    "aten._native_batch_norm_legit": ("native_batch_norm", "training"),
}
"""Functions that can move statistics: whose signature theirs is, and the argument that says whether they do."""


def moved_statistics(name: str, args: Any, kwargs: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The arguments of a normalisation that updates running statistics; None of anything else."""
    if name not in NORMS:
        return None
    short, switch = NORMS[name]
    signature = inspect.signature(getattr(functional, short, None) or getattr(ops, short))
    try:
        bound = signature.bind(*args, **{k: x for k, x in kwargs.items() if k in signature.parameters})
    except TypeError:  # the form without statistics
        return None
    bound.apply_defaults()
    named = bound.arguments
    return named if named[switch] and named["running_mean"] is not None else None


def write_statistics(recorder: "Recorder", op: Op, output: Any, norm: Mapping[str, Any]) -> None:
    """Writes a normalisation as one that returns the statistics of the batch, then what becomes of the running ones.

    Args:
        recorder: where it is written down.
        op: what was called.
        output: what that gave.
        norm: its arguments by name.
    """
    inputs = recorder.tree(tuple(norm[name] for name in ("input", "weight", "bias", "eps")))
    running = norm["running_mean"], norm["running_var"]
    if isinstance(output, torch.Tensor):
        op.output = recorder.new_value(output)
        recorder.aliases.bind(output, op.output)
    else:  # ATen's functions give more, for the backward pass
        recorder.scope.body.append(op)
        op.output = recorder.outputs(output, op, ())
        op = Op(op.name, (), {}, recorder.new_value(output[0]), op.grad, op.place)
    kind = "instance" if "instance" in op.name else "batch"
    op.name, op.args, op.kwargs = f"functional.{kind}_norm_with_statistics", inputs, {}
    batch = [Value(tuple(x.shape), torch.promote_types(x.dtype, torch.float32), recorder.scope) for x in running]
    for value, known in zip(batch, ("mean", "var"), strict=True):
        value.names[recorder.scope] = [known]
    op.output = (op.output, *batch)
    recorder.scope.body.append(op)
    with torch.no_grad():
        for tensor, of_batch in zip(running, batch, strict=True):
            _move(recorder, tensor, of_batch, norm["momentum"])


def _move(recorder: "Recorder", running: torch.Tensor, of_batch: Value, momentum: Any) -> None:
    """`running[...] = momentum * of_batch + (1 - momentum) * running`."""
    old = recorder.aliases.value(running)
    moved = recorder.emit("mul", (momentum, of_batch), Value(old.shape, of_batch.dtype))
    kept = recorder.emit("mul", (1 - momentum, old), Value(old.shape, old.dtype))
    value = recorder.emit("add", (moved, kept), Value(old.shape, of_batch.dtype))
    if value.dtype != old.dtype:
        value = recorder.emit("to", (value, old.dtype), Value(old.shape, old.dtype))
    value.path = recorder.path(running)
    recorder.aliases.written(running, value)
