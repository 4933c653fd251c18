"""Converted models against torch and torchax: `python -m benchmarks.models [--only PATTERN] [--report FILE]`.

A forward pass, and a training step: loss, gradients, SGD with momentum, updated statistics. Each side runs in a process
of its own and they take turns; outputs and updated weights are compared before anything is timed.
`pip install torchax` for its column.
"""

import re
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import typer

from benchmarks.clock import SideError, serve
from benchmarks.compare import PASSES, On, Only, Report, Seconds, With, run
from benchmarks.nets import ALONE, NETS, torch_model
from benchmarks.where import ON_GPU, Device, to_device

MODELS = (
    *("alexnet", "vgg11", "resnet18", "resnet50", "resnext50_32x4d", "densenet121", "googlenet"),
    *("squeezenet1_0", "mobilenet_v2", "mobilenet_v3_small", "mnasnet0_5", "shufflenet_v2_x1_0", "efficientnet_b0"),
    *("regnet_y_400mf", "convnext_tiny", "vit_b_16", "swin_t"),
    *(f"{name}{ALONE}" for name in ("vgg11", "resnet50", "mobilenet_v2", "vit_b_16")),
    *NETS,
)
RATE, MOMENTUM = 1e-3, 0.9
TOLERANCE = 1e-3
"""Of outputs, and of weights after a step, in float32: deep networks in training double rounding layer by layer."""

# Without it XLA copies on a CPU each parameter that a step donates: the gradient of a layer's input reads it, and XLA
# does not see that this comes before the update.
WRITTEN_OVER = {} if ON_GPU else {"xla_cpu_copy_insertion_use_region_analysis": True}

Prepared = tuple[Callable[[], Any], dict[str, Any], dict[str, Any]]


def by_torch(name: str, train: bool, *, compiled: bool) -> Prepared:
    """torch, eager or compiled."""
    import torch

    model, x = map(to_device, torch_model(name))
    model.train(train)
    call = torch.compile(model) if compiled else model
    if not train:

        def work() -> Any:
            with torch.inference_mode():
                return _first(call(x))

        return work, {}, {"output": work().cpu().numpy()}
    optimizer = torch.optim.SGD(model.parameters(), RATE, MOMENTUM)

    def step() -> Any:
        optimizer.zero_grad()
        output = _first(call(x))
        output.square().mean().backward()
        optimizer.step()
        return output

    output = step().detach().cpu().numpy()
    weights = {key: value.detach().cpu().numpy().copy() for key, value in model.named_parameters()}
    return step, {}, {"output": output, **weights}


def by_jaxnets(name: str, train: bool) -> Prepared:
    """The converted model, in one compiled function."""
    import jax
    import jax.numpy as jnp
    import optax
    from flax import nnx

    import jaxnets

    theirs, input = torch_model(name)
    model = jaxnets.from_torch(theirs, (input,))
    x = jnp.asarray(input.numpy())
    if not train:
        model.eval()
        graph, state = nnx.split(model)
        return _jitted(lambda state, x: _first(nnx.merge(graph, state)(x)), state, x)
    model.train()
    graph, parameters, rest = nnx.split(model, nnx.Param, ...)
    optimizer = jaxnets.optim.SGD(RATE, MOMENTUM)

    def step(parameters: Any, rest: Any, moments: Any, x: Any) -> Any:
        def loss(parameters: Any) -> Any:
            model = nnx.merge(graph, parameters, rest, copy=True)
            output = _first(model(x))
            return jnp.square(output).mean(), (output, nnx.split(model, nnx.Param, ...)[2])

        gradients, (output, after) = jax.grad(loss, has_aux=True)(parameters)
        updates, moments = optimizer.update(gradients, moments, parameters)
        return optax.apply_updates(parameters, updates), after, moments, output

    began = time.perf_counter()
    state = (parameters, rest, optimizer.init(parameters))
    compiled = jax.jit(step, donate_argnums=(0, 1, 2), compiler_options=WRITTEN_OVER).lower(*state, x).compile()
    seconds = time.perf_counter() - began

    def work() -> Any:
        nonlocal state
        *state, output = compiled(*state, x)
        return output

    output = np.asarray(work())
    names = [key for key, _ in theirs.named_parameters()]
    found = jaxnets.state_dict(nnx.merge(graph, *jax.tree.map(jnp.copy, tuple(state[:2]))))
    return work, {"compile": seconds}, {"output": output, **{key: np.asarray(found[key]) for key in names}}


def by_torchax(name: str, train: bool) -> Prepared:
    """torchax's function, compiled."""
    import jax.numpy as jnp

    if train:
        raise SideError("only the forward pass is measured")
    _complete_operators()
    import torchax

    model, x = torch_model(name)
    weights, function = torchax.extract_jax(model)
    return _jitted(lambda weights, x: _first(function(weights, (x,))), weights, jnp.asarray(x.numpy()))


PREPARE: dict[str, Callable[[str, bool], Prepared]] = {
    "torch": lambda name, train: by_torch(name, train, compiled=False),
    "jaxnets": by_jaxnets,
    "torch compiled": lambda name, train: by_torch(name, train, compiled=True),
    "torchax": by_torchax,
}


def _first(output: Any) -> Any:
    """The logits, of a model that gives auxiliary ones too."""
    return output[0] if isinstance(output, tuple) else output


def _jitted(function: Any, *arguments: Any) -> Prepared:
    import jax

    began = time.perf_counter()
    compiled = jax.jit(function).lower(*arguments).compile()
    seconds = time.perf_counter() - began

    def work() -> Any:
        return compiled(*arguments)

    return work, {"compile": seconds}, {"output": np.asarray(work())}


def _complete_operators() -> None:
    """torchax 0.0.13 names overloads that torch 2.13 no longer has; none is one that these models use."""
    import torch

    spec = find_spec("torchax")
    if spec is None or not spec.submodule_search_locations:
        raise SideError("torchax is not installed: pip install torchax")
    for file in Path(spec.submodule_search_locations[0]).rglob("*.py"):
        for operator, overload in re.findall(r"torch\.ops\.aten\.(\w+)\.(\w+)", file.read_text()):
            packet = getattr(torch.ops.aten, operator, None)
            if packet is not None and not hasattr(packet, overload):
                setattr(packet, overload, (operator, overload))


def side(framework: str, results: str) -> None:
    """Serves models, named `NAME | forward` or `NAME | train`."""

    def prepare(task: str) -> Prepared:
        name, _, pass_ = task.rpartition(" | ")
        return PREPARE[framework](name, pass_ == "train")

    serve(prepare, Path(results))


def main(
    only: Only = None, report: Report = None, seconds: Seconds = 4.0, with_: With = None, device: On = Device.CPU
) -> None:
    """Times the forward pass and a training step of converted models."""
    tasks = [f"{model} | {pass_}" for model in MODELS for pass_ in PASSES]
    options = {"only": only, "report": report, "seconds": seconds, "with_": with_, "device": device}
    run(tasks, ("benchmarks.models", "--side"), tuple(PREPARE), **options, tolerance=TOLERANCE, alone=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        side(*sys.argv[2:])
    else:
        typer.run(main)
