"""torch, eager and compiled."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.rows import Row, cotangent, inputs, values
from benchmarks.where import to_device

__all__ = ["prepared"]


def prepared(row: Row, train: bool, compiled: bool) -> tuple[Callable[[], Any], dict[str, np.ndarray]]:
    """The work of a row, and its results: the output, the gradients of floating inputs and of parameters."""
    layer = row.make(torch.nn)
    leaves: dict[str, torch.Tensor] = {}
    arguments = [to_device(torch.from_numpy(value)) for value in inputs(row)]
    if row.half:
        arguments = [x.bfloat16() for x in arguments]
    if train:
        leaves |= {f"input {i}": x.requires_grad_() for i, x in enumerate(arguments) if x.is_floating_point()}
    if isinstance(layer, torch.nn.Module):
        layer = to_device(layer).train(train)
        state = values({name: tuple(value.shape) for name, value in layer.state_dict().items()})
        layer.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
        leaves |= dict(layer.named_parameters())

    def forward(*inputs: torch.Tensor) -> torch.Tensor:
        for _ in range(row.times):
            inputs = (row.call(layer, *inputs),)
        return inputs[0]

    with torch.no_grad():
        output = forward(*arguments)
        along = to_device(torch.from_numpy(cotangent(tuple(output.shape)))).to(output.dtype)

    if compiled:
        forward = torch.compile(forward)

    def work() -> list[torch.Tensor]:
        with torch.set_grad_enabled(train):
            output = forward(*arguments)
            return [output, *torch.autograd.grad(output, list(leaves.values()), along)] if train else [output]

    results = dict(zip(["output", *leaves], work(), strict=False))
    return work, {name: value.detach().cpu().float().numpy() for name, value in results.items()}
