"""Does it pay to keep the channels last through a whole network? `python -m benchmarks.layout [--report FILE]`.

Trunks of well-known networks, each said once and computed in four ways: by jaxnets with the channels first, as its
layers have them; by the same with the channels last between the layers; and both by plain `lax`. Results are compared
first, and the four take turns. A ratio is to jaxnets with the channels first, the median of the turns' with its
quartiles.
"""

import statistics
import time
from collections.abc import Callable
from fnmatch import fnmatch
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import typer
from jax import lax

from benchmarks.compare import PASSES, Only, Report, Seconds, write
from benchmarks.where import CALLS
from jaxnets import functional as F

ON_GPU = jax.default_backend() == "gpu"
TOLERANCE = 5e-2 if ON_GPU else 1e-2
"""Greatest difference from the first side, in terms of its greatest number: what rounding leaves on the other side of a
rectifier's kink, and on a GPU TF32."""


class Conv(NamedTuple):
    """A convolution without a bias, then a scale and a shift for each channel, then ReLU."""

    channels: int
    kernel: int = 3
    stride: int = 1
    is_depthwise: bool = False


Block = tuple[Conv, ...]
"""Convolutions around which the input is added to the output, if they have one shape."""

BASIC, PLAIN = (Conv(64), Conv(64)), (Conv(64), Conv(64), Conv(128, 3, 2), Conv(128), Conv(256, 3, 2), Conv(256))
BOTTLENECK = (Conv(64, 1), Conv(64), Conv(256, 1))
INVERTED = (Conv(192, 1), Conv(192, 3, 1, True), Conv(32, 1))
CONVNEXT = (Conv(96, 7, 1, True), Conv(384, 1), Conv(96, 1))

Trunk = tuple[tuple[int, int, int], tuple[Block, ...]]
"""Batch, channels and side of the input, and the blocks."""

TRUNKS: dict[str, Trunk] = {
    "VGG, 3 to 256 ch, 96x96": ((8, 3, 96), (PLAIN,)),
    "ResNet-18, four blocks, 64 ch, 56x56": ((8, 64, 56), (BASIC,) * 4),
    "ResNet-50, four blocks, 256 ch, 28x28": ((8, 256, 28), (BOTTLENECK,) * 4),
    "MobileNetV2, four blocks, 32 ch, 28x28": ((8, 32, 28), (INVERTED,) * 4),
    "ConvNeXt, three blocks, 96 ch, 28x28": ((8, 96, 28), (CONVNEXT,) * 3),
}

Operation = Callable[[jax.Array, jax.Array, Conv], jax.Array]


def by_jaxnets(x: jax.Array, weight: jax.Array, conv: Conv) -> jax.Array:
    groups = conv.channels if conv.is_depthwise else 1
    return F.conv2d(x, weight, None, conv.stride, conv.kernel // 2, groups=groups)


def by_lax(x: jax.Array, weight: jax.Array, conv: Conv, layout: str = "NCHW") -> jax.Array:
    kernel = "OIHW" if layout == "NCHW" else "HWIO"
    weight = weight if kernel == "OIHW" else weight.transpose(2, 3, 1, 0)
    return lax.conv_general_dilated(
        x,
        weight,
        (conv.stride,) * 2,
        [(conv.kernel // 2,) * 2] * 2,
        dimension_numbers=(layout, kernel, layout),
        feature_group_count=conv.channels if conv.is_depthwise else 1,
    )


def by_jaxnets_channels_last(x: jax.Array, weight: jax.Array, conv: Conv) -> jax.Array:
    """Turned at the doors of the layer, which XLA is to join with what the layer does inside."""
    return by_jaxnets(x.transpose(0, 3, 1, 2), weight, conv).transpose(0, 2, 3, 1)


def by_lax_channels_last(x: jax.Array, weight: jax.Array, conv: Conv) -> jax.Array:
    return by_lax(x, weight, conv, "NHWC")


SIDES: dict[str, tuple[Operation, bool]] = {
    "jaxnets": (by_jaxnets, False),
    "jaxnets, channels last": (by_jaxnets_channels_last, True),
    "lax": (by_lax, False),
    "lax, channels last": (by_lax_channels_last, True),
}
"""What convolves, and whether the channels are last between the layers."""


def parameters(channels: int, blocks: tuple[Block, ...], draw: np.random.Generator) -> list[Any]:
    """Of each convolution the weight, `(out, in, kernel, kernel)`, the scale and the shift."""
    found = []
    for conv in (conv for block in blocks for conv in block):
        shape = (conv.channels, 1 if conv.is_depthwise else channels, conv.kernel, conv.kernel)
        weight = draw.standard_normal(shape, np.float32) * (2 / np.prod(shape[1:])) ** 0.5
        found.append((weight, draw.uniform(0.5, 1.5, conv.channels).astype(np.float32), np.zeros(conv.channels, "f4")))
        channels = conv.channels
    return jax.tree.map(jnp.asarray, found)


def network(operation: Operation, is_last: bool, blocks: tuple[Block, ...]) -> Callable[..., jax.Array]:
    """The trunk of an image with the channels first, which is turned at the trunk's doors alone."""

    def call(weights: list[Any], x: jax.Array) -> jax.Array:
        given = iter(weights)
        x = x.transpose(0, 2, 3, 1) if is_last else x
        for block in blocks:
            y = x
            for conv in block:
                weight, scale, shift = next(given)
                of_channels = (lambda v: v) if is_last else (lambda v: v[:, None, None])
                y = jax.nn.relu(operation(y, weight, conv) * of_channels(scale) + of_channels(shift))
            x = x + y if x.shape == y.shape else y
        return x.transpose(0, 3, 1, 2) if is_last else x

    return call


def compared(found: Any, expected: Any) -> None:
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        apart = float(jnp.abs(a - b).max() / jnp.abs(b).max())
        if not apart <= TOLERANCE:
            raise SystemExit(f"results differ by {apart:.1e} of the greatest number")


def timed(works: dict[str, Callable[[], Any]], seconds: float) -> dict[str, list[float]]:
    """The times of each, one after the other in each turn."""
    calls = CALLS if ON_GPU else 1
    times: dict[str, list[float]] = {name: [] for name in works}
    began = time.perf_counter()
    while len(times[next(iter(works))]) < 7 or time.perf_counter() - began < seconds * len(works):
        for name, work in works.items():
            jax.block_until_ready(work())
            start = time.perf_counter()
            for _ in range(calls):
                found = work()
            jax.block_until_ready(found)
            times[name].append((time.perf_counter() - start) / calls)
    return times


def measured(trunk: Trunk, is_train: bool, seconds: float) -> dict[str, list[float]]:
    """The times of each side, of a forward pass or of one with the gradients of weights and input."""
    (batch, channels, side), blocks = trunk
    draw = np.random.default_rng(0)
    weights = parameters(channels, blocks, draw)
    x = jnp.asarray(draw.standard_normal((batch, channels, side, side), np.float32))
    works: dict[str, Callable[[], Any]] = {}
    expected: Any = None
    for name, (operation, is_last) in SIDES.items():
        call = network(operation, is_last, blocks)
        gradients = jax.grad(lambda *arrays, call=call: jnp.square(call(*arrays)).mean(), (0, 1))
        works[name] = partial(jax.jit(gradients if is_train else call).lower(weights, x).compile(), weights, x)
        found = works[name]()
        expected = found if expected is None else expected
        compared(found, expected)
    return timed(works, seconds)


def row_of(name: str, times: dict[str, list[float]]) -> dict[str, Any]:
    """The medians in seconds, and the ratios to the first side with their quartiles."""
    first, *others = SIDES
    sides: dict[str, Any] = {first: {"median": statistics.median(times[first])}}
    for side in others:
        low, middle, high = statistics.quantiles((a / b for a, b in zip(times[side], times[first], strict=True)), n=4)
        sides[side] = {"median": statistics.median(times[side]), f"to {first}": (middle, low, high)}
    return {"row": name, "on": {"device": jax.devices()[0].device_kind, "JAX": jax.__version__}, "sides": sides}


def table(rows: list[dict[str, Any]]) -> str:
    """In Markdown, with the geometric means of both passes."""
    first, *others = SIDES
    lines = [f"| | {first} (ms) | {' | '.join(f'{side} / {first}' for side in others)} |", "| --- |" + " ---: |" * 4]
    for row in rows:
        ratios = (row["sides"][side][f"to {first}"] for side in others)
        cells = (f"{middle:.2f} ({low:.2f} to {high:.2f})" for middle, low, high in ratios)
        lines.append(
            f"| {row['row'].replace(' | ', ', ')} | {1e3 * row['sides'][first]['median']:.3g} | {' | '.join(cells)} |"
        )
    for pass_ in PASSES:
        if chosen := [row for row in rows if row["row"].endswith(pass_)]:
            middles = ([row["sides"][side][f"to {first}"][0] for row in chosen] for side in others)
            means = (f"{statistics.geometric_mean(values):.2f}" for values in middles)
            lines.append(f"| geometric mean, {pass_} | | {' | '.join(means)} |")
    return "\n".join(lines) + "\n"


def main(only: Only = None, report: Report = None, seconds: Seconds = 1.0) -> None:
    """Times forward passes and passes with the gradients of weights and inputs."""
    tasks = [f"{name} | {pass_}" for pass_ in PASSES for name in TRUNKS]
    rows: list[dict[str, Any]] = []
    for task in tasks:
        if only and not any(fnmatch(task, f"*{pattern}*") for pattern in only):
            continue
        name, _, pass_ = task.partition(" | ")
        rows.append(row_of(task, measured(TRUNKS[name], pass_ == "train", seconds)))
        print(*(f"{side} {1e3 * facts['median']:.3g} ms" for side, facts in rows[-1]["sides"].items()), task, sep=", ")
        if report:
            write(rows, report, tasks, keep=bool(only))
    print(table(rows))


if __name__ == "__main__":
    typer.run(main)
