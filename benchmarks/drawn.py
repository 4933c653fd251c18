"""Rows of drawn layers and shapes, which look for what no table names: `python -m benchmarks.layers --drawn`."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from benchmarks.rows import Row

__all__ = ["CONVOLUTIONS", "DRAWN", "LAYERS"]

CHANNELS = (3, 8, 12, 16, 24, 32, 40, 48, 64, 80, 96, 112, 128, 160, 192, 256, 320, 384, 512, 768)
SIDES = (4, 7, 8, 10, 13, 14, 16, 20, 28, 32, 35, 40, 56, 64, 80, 96, 112, 128, 224)
BATCHES = (1, 2, 4, 8, 16, 32)
PRODUCTS = 5e6, 2e9
"""The least and the most multiplications of a row: else overheads are timed, or a day is spent."""
WORK = 50
"""So many multiplications stand for an element of a layer that is bound by memory."""
ELEMENTS = 1 << 23
"""The most of an input or output."""

RECURRENT = ("LSTM", "GRU", "RNN")


@dataclass(frozen=True)
class Layer:
    """A class of `nn`, its arguments, and the shape of the input."""

    kind: str
    settings: dict[str, Any]
    shape: tuple[int, ...]


Drawn = tuple[Layer, float, int]
"""A layer, its multiplications, the elements of its output."""


def _conv(draw: Random, rank: int, transposed: bool = False) -> Drawn:
    ins, outs = draw.choice(CHANNELS), draw.choice(CHANNELS)
    sides = tuple(draw.choice(SIDES) for _ in range(rank)) if draw.random() < 0.3 else (draw.choice(SIDES),) * rank
    sides = (draw.choice((64, 100, 256, 500, 1000, 4000)),) if rank == 1 else sides
    if draw.random() < 0.2 and rank > 1:
        kernel = tuple(draw.choice((1, 3, 5, 7)) for _ in range(rank))
    else:
        kernel = (draw.choice((2, 3, 4) if transposed else (1, 1, 3, 3, 3, 3, 5, 7, 2, 4, 9)),) * rank
    stride = draw.choice((2, 2, 2, 1, 3) if transposed else (1, 1, 1, 2, 2, max(kernel)))
    dilation = draw.choice((1,) * 6 + (2, 3)) if stride == 1 else 1
    how = draw.random()
    groups = 1
    if how < 0.2:
        groups = outs = ins
        outs *= draw.choice((1, 1, 1, 2))
    elif how < 0.35:
        groups = draw.choice([g for g in (2, 4, 8, 16, 32) if ins % g == 0 and outs % g == 0] or [1])
    padding = tuple(draw.choice((0, k // 2 * dilation, k // 2 * dilation)) for k in kernel)
    settings = {
        "in_channels": ins,
        "out_channels": outs,
        "kernel_size": kernel,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "bias": draw.random() < 0.5,
    }
    batch = draw.choice(BATCHES)
    after = []
    for n, p, k in zip(sides, padding, kernel, strict=True):
        reach = dilation * (k - 1)
        after.append((n - 1) * stride - 2 * p + reach + 1 if transposed else (n + 2 * p - reach - 1) // stride + 1)
    places = math.prod(max(n, 0) for n in after)
    products = batch * outs * ins // groups * math.prod(kernel) * (math.prod(sides) if transposed else places)
    kind = f"Conv{'Transpose' * transposed}{rank}d"
    return Layer(kind, settings, (batch, ins, *sides)), products, batch * outs * places


def _linear(draw: Random) -> Drawn:
    sizes = (*CHANNELS[4:], 1000, 1024, 2048, 3072, 4096)
    ins, outs, rows = (
        draw.choice(sizes),
        draw.choice((*sizes, 1, 2, 10)),
        draw.choice((1, 4, 16, 32, 100, 512, 1576, 4096)),
    )
    settings = {"in_features": ins, "out_features": outs, "bias": draw.random() < 0.7}
    return Layer("Linear", settings, (rows, ins)), rows * ins * outs, rows * outs


def _pool(draw: Random) -> Drawn:
    kind = draw.choice(("MaxPool2d", "AvgPool2d", "MaxPool1d", "AvgPool1d", "MaxPool3d", "AvgPool3d", "LPPool2d"))
    rank = int(kind[-2])
    kernel = draw.choice((2, 2, 3, 3, 5, 7))
    settings: dict[str, Any] = {"kernel_size": kernel, "stride": draw.choice((1, 2, kernel))}
    if kind[:2] == "LP":
        settings = {"norm_type": 2, **settings}
    else:
        settings["padding"] = draw.choice((0, kernel // 2))
    sides = (draw.choice(SIDES[4:]),) * rank if rank > 1 else (draw.choice((100, 512, 1000)),)
    shape = (draw.choice(BATCHES), draw.choice(CHANNELS), *sides)
    size = math.prod(shape)
    return Layer(kind, settings, shape), size * WORK, size


def _norm(draw: Random) -> Drawn:
    kind = draw.choice(("BatchNorm2d", "BatchNorm1d", "GroupNorm", "LayerNorm", "InstanceNorm2d", "RMSNorm"))
    batch, channels, side = draw.choice(BATCHES), draw.choice(CHANNELS), draw.choice(SIDES)
    shape: tuple[int, ...] = (batch, channels, side, side)
    settings: dict[str, Any] = {"num_features": channels}
    if kind == "GroupNorm":
        groups = [g for g in (1, 2, 4, 8, 32) if channels % g == 0]
        settings = {"num_groups": draw.choice(groups), "num_channels": channels}
    elif kind in ("LayerNorm", "RMSNorm"):
        shape, settings = (batch, side * side, channels), {"normalized_shape": channels}
    elif kind == "BatchNorm1d":
        shape = draw.choice(((batch, channels, side * side), (batch * side, channels)))
    size = math.prod(shape)
    return Layer(kind, settings, shape), size * WORK, size


def _recurrent(draw: Random) -> Drawn:
    kind = draw.choice(RECURRENT)
    steps, batch = draw.choice((10, 35, 50, 100, 200)), draw.choice((1, 4, 8, 16, 32, 64))
    size, hidden, layers = (
        draw.choice((16, 32, 64, 128, 300)),
        draw.choice((16, 32, 64, 100, 128, 256, 512)),
        draw.choice((1, 1, 2)),
    )
    settings = {"input_size": size, "hidden_size": hidden, "num_layers": layers, "bidirectional": draw.random() < 0.3}
    settings["batch_first"] = draw.random() < 0.5
    shape = (batch, steps, size) if settings["batch_first"] else (steps, batch, size)
    products = 4 * hidden * (size + hidden) * layers * steps * batch
    return Layer(kind, settings, shape), products, steps * batch * hidden


def _resized(draw: Random) -> Drawn:
    mode = draw.choice(("nearest", "bilinear", "bicubic"))
    settings = {"scale_factor": draw.choice((2, 3, 0.5, 1.5)), "mode": mode}
    side = draw.choice(SIDES)
    shape = (draw.choice(BATCHES), draw.choice(CHANNELS), side, draw.choice((side, draw.choice(SIDES))))
    size = math.prod(shape)
    return Layer("Upsample", settings, shape), size * WORK, int(size * settings["scale_factor"] ** 2)


KINDS: tuple[tuple[int, Callable[[Random], Drawn]], ...] = (
    (10, lambda draw: _conv(draw, 2)),
    (3, lambda draw: _conv(draw, 1)),
    (2, lambda draw: _conv(draw, 3)),
    (3, lambda draw: _conv(draw, 2, transposed=True)),
    (1, lambda draw: _conv(draw, draw.choice((1, 3)), transposed=True)),
    (3, _linear),
    (3, _pool),
    (4, _norm),
    (3, _recurrent),
    (1, _resized),
)


def _layer(seed: int) -> Layer:
    draw = Random(seed)
    [family] = draw.choices([family for _, family in KINDS], [weight for weight, _ in KINDS])
    while True:
        layer, products, elements = family(draw)
        fits = PRODUCTS[0] <= products <= PRODUCTS[1]
        if fits and max(elements, math.prod(layer.shape)) <= ELEMENTS and elements > 0:
            return layer


def _small_convolution(seed: int) -> Layer:
    """Of one or two axes, and with so few multiplications that all its forms are soon timed."""
    draw = Random(seed)
    while True:
        layer, products, elements = _conv(draw, draw.choice((1, 2, 2, 2)), transposed=draw.random() < 0.25)
        fits = 1e7 <= products <= 5e8 and max(layer.settings["kernel_size"]) > 1
        if fits and elements > 0 and max(elements, math.prod(layer.shape)) <= ELEMENTS / 2:
            return layer


def _name(seed: int, layer: Layer) -> str:
    shown = ", ".join(f"{key}={value}" for key, value in layer.settings.items())
    return f"{seed}: {layer.kind}({shown}), {'x'.join(map(str, layer.shape))}"


def _row(seed: int, layer: Layer) -> Row:
    name = _name(seed, layer)
    row = Row(name, lambda nn: getattr(nn, layer.kind)(**layer.settings), (layer.shape,))
    return replace(row, call=lambda layer, x: layer(x)[0]) if layer.kind in RECURRENT else row


LAYERS = tuple(map(_layer, range(400)))
DRAWN = tuple(_row(seed, layer) for seed, layer in enumerate(LAYERS))

_SMALL = range(10_000, 10_260)
CONVOLUTIONS = {_name(seed, layer): layer for seed, layer in enumerate(LAYERS) if "Conv" in layer.kind} | {
    _name(seed, layer): layer for seed, layer in zip(_SMALL, map(_small_convolution, _SMALL), strict=True)
}
"""The convolutions of these layers, and smaller ones: `python -m benchmarks.forms --drawn`."""
