"""The layers that are measured, as data: one constructor for torch and for jaxnets, and the shapes that it is fed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

__all__ = ["ON_GPU", "ROWS", "SCALING", "Ints", "Row", "cotangent", "inputs", "values"]


@dataclass(frozen=True)
class Ints:
    """An input of ints from 0 to `below`, exclusive."""

    shape: tuple[int, ...]
    below: int


@dataclass(frozen=True)
class Row:
    """A layer. `make` takes `torch.nn` or what looks like it, `call` the layer and its inputs.

    `shapes` are those of the inputs, batch or time first. With `times` the layer is fed its own output so many times,
    in JAX in the body of a `lax.scan`. With `half` the inputs are of bfloat16.
    """

    name: str
    make: Callable[[Any], Any]
    shapes: tuple[tuple[int, ...] | Ints, ...]
    call: Callable[..., Any] = lambda layer, *inputs: layer(*inputs)
    times: int = 1
    half: bool = False


def inputs(row: Row) -> list[np.ndarray]:
    """The row's inputs, the same in every process."""
    random = np.random.default_rng(0)
    return [
        random.integers(shape.below, size=shape.shape)
        if isinstance(shape, Ints)
        else random.standard_normal(shape, np.float32)
        for shape in row.shapes
    ]


def cotangent(shape: tuple[int, ...]) -> np.ndarray:
    """What the gradients are those of: the product of the output with this, the same in every process."""
    return np.asarray(np.random.default_rng(2).standard_normal(shape, np.float32))


def values(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Parameters and buffers of these names and shapes, the same in every process."""
    random = np.random.default_rng(1)
    made = {}
    for name, shape in shapes.items():
        fan_in = max(int(np.prod(shape[1:])), 1)
        made[name] = random.uniform(-1, 1, shape).astype(np.float32) / np.float32(np.sqrt(fan_in))
        if name.endswith("running_var"):
            made[name] = np.abs(made[name]) + np.float32(0.5)
        elif name.endswith("num_batches_tracked"):
            made[name] = np.zeros(shape, np.int64)
    return made


def _conv(name: str, channels: tuple[int, int], side: int, kernel: int = 3, batch: int = 8, **more: Any) -> Row:
    more = {"padding": kernel // 2, "bias": False, **more}
    return Row(name, lambda nn: nn.Conv2d(*channels, kernel, **more), ((batch, channels[0], side, side),))


def _in_a_loop(row: Row) -> Row:
    return replace(row, name=f"{row.name}, 8 times in a loop", times=8)


def _up(name: str, channels: tuple[int, int], side: int, kernel: int, padding: int, **more: Any) -> Row:
    shapes = ((8, channels[0], side, side),)
    return Row(name, lambda nn: nn.ConvTranspose2d(*channels, kernel, 2, padding, bias=False, **more), shapes)


def _row(name: str, make: Callable[[Any], Any], *shapes: tuple[int, ...] | Ints, **more: Any) -> Row:
    return Row(name, make, shapes, **more)


def _recurrent(name: str, make: Callable[[Any], Any], *shapes: tuple[int, ...]) -> Row:
    return Row(name, make, shapes, lambda layer, *inputs: layer(*inputs)[0])


def _sdpa(nn: Any) -> Any:
    return nn.functional.scaled_dot_product_attention


def _causal(nn: Any) -> Any:
    return partial(_sdpa(nn), is_causal=True)


def _attend(layer: Any, *inputs: Any) -> Any:
    return layer(inputs[0], inputs[0], inputs[0], need_weights=False)[0]


ROWS = (
    _conv("conv 7x7 s2, 3 to 64 ch, 112x112", (3, 64), 112, 7, stride=2),
    _conv("conv 3x3, 64 ch, 56x56", (64, 64), 56),
    _conv("conv 3x3, 128 ch, 28x28", (128, 128), 28),
    _conv("conv 3x3, 512 ch, 7x7", (512, 512), 7),
    _conv("conv 3x3 s2, 128 to 256 ch, 28x28", (128, 256), 28, stride=2),
    _conv("conv 3x3 dilated 2, 64 ch, 28x28", (64, 64), 28, padding=2, dilation=2),
    _conv("conv 5x5, 32 to 64 ch, 28x28", (32, 64), 28, 5),
    _conv("conv 1x1, 256 to 64 ch, 56x56", (256, 64), 56, 1),
    _conv("conv 1x1, 64 to 256 ch, 56x56", (64, 256), 56, 1),
    _conv("conv 1x1 s2, 256 to 512 ch, 56x56", (256, 512), 56, 1, stride=2),
    _conv("conv 3x3 s2, 3 to 32 ch, 224x224", (3, 32), 224, batch=4, stride=2),
    _conv("conv 16x16 s16, 3 to 384 ch, 224x224", (3, 384), 224, 16, batch=4, stride=16, padding=0),
    _conv("conv 3x3, 512 ch, 7x7, one example", (512, 512), 7, batch=1),
    _conv("conv 1x1, 2048 to 512 ch, 7x7, one example", (2048, 512), 7, 1, batch=1),
    _conv("conv 7x7, 64 to 3 ch, 128x128", (64, 3), 128, 7, batch=4),
    _conv("conv 3x3, 64 to 1 ch, 96x96", (64, 1), 96),
    _conv("depthwise 3x3, 96 ch, 56x56", (96, 96), 56, groups=96),
    _conv("depthwise 3x3 s2, 96 ch, 56x56", (96, 96), 56, groups=96, stride=2),
    _conv("depthwise 7x7, 96 ch, 56x56", (96, 96), 56, 7, groups=96),
    _conv("depthwise 5x5, 576 ch, 7x7", (576, 576), 7, 5, groups=576),
    _conv("32 groups 3x3, 128 ch, 56x56", (128, 128), 56, groups=32),
    _conv("4 groups 3x3, 128 ch, 56x56", (128, 128), 56, groups=4),
    _row("conv1d 5, 64 ch, 512", lambda nn: nn.Conv1d(64, 64, 5, padding=2), (16, 64, 512)),
    _row("conv1d 3 dilated 8, 32 ch, 1024", lambda nn: nn.Conv1d(32, 32, 3, padding=8, dilation=8), (8, 32, 1024)),
    _row("conv3d 3x3x3, 16 to 32 ch, 16x28x28", lambda nn: nn.Conv3d(16, 32, 3, padding=1), (2, 16, 16, 28, 28)),
    _up("transposed k4 s2, 256 to 128 ch, 16x16", (256, 128), 16, 4, 1),
    _up("transposed k2 s2, 128 to 64 ch, 64x64", (128, 64), 64, 2, 0),
    _up("transposed k3 s2, 64 ch, 28x28", (64, 64), 28, 3, 1),
    _up("transposed k4 s2, 64 ch depthwise, 28x28", (64, 64), 28, 4, 1, groups=64),
    _row("linear 1024 to 1024, 256 rows", lambda nn: nn.Linear(1024, 1024), (256, 1024)),
    _row("linear 4096 to 4096, one row", lambda nn: nn.Linear(4096, 4096), (1, 4096)),
    _row("linear 64 to 10, 4096 rows", lambda nn: nn.Linear(64, 10), (4096, 64)),
    _row("max pool 3x3 s2, 64 ch, 112x112", lambda nn: nn.MaxPool2d(3, 2, 1), (8, 64, 112, 112)),
    _row("max pool 2x2, 64 ch, 56x56", lambda nn: nn.MaxPool2d(2), (8, 64, 56, 56)),
    _row("average pool 3x3 s2, 64 ch, 112x112", lambda nn: nn.AvgPool2d(3, 2, 1), (8, 64, 112, 112)),
    _row("adaptive average pool to 1, 512 ch, 14x14", lambda nn: nn.AdaptiveAvgPool2d(1), (8, 512, 14, 14)),
    _row("adaptive average pool to 7x7, 256 ch, 28x28", lambda nn: nn.AdaptiveAvgPool2d(7), (8, 256, 28, 28)),
    _row("batch norm, 64 ch, 56x56", lambda nn: nn.BatchNorm2d(64), (8, 64, 56, 56)),
    _row("group norm, 32 groups, 64 ch, 56x56", lambda nn: nn.GroupNorm(32, 64), (8, 64, 56, 56)),
    _row("layer norm 768, 8x197", lambda nn: nn.LayerNorm(768), (8, 197, 768)),
    _row("RMS norm 768, 8x197", lambda nn: nn.RMSNorm(768), (8, 197, 768)),
    _row("GELU, 8x197x3072", lambda nn: nn.GELU(), (8, 197, 3072)),
    _row("SiLU, 8x64x56x56", lambda nn: nn.SiLU(), (8, 64, 56, 56)),
    _row("softmax, 8x12x197x197", lambda nn: nn.Softmax(-1), (8, 12, 197, 197)),
    _row("cross entropy, 4096 x 1000", lambda nn: nn.CrossEntropyLoss(), (4096, 1000), Ints((4096,), 1000)),
    _row("embedding 10000 x 256, 32x128", lambda nn: nn.Embedding(10000, 256), Ints((32, 128), 10000)),
    _row("attention, 8 x 8 heads, 256 x 64", _sdpa, *[(8, 8, 256, 64)] * 3),
    _row(
        "multi-head attention 512, 8 heads, 8x256",
        lambda nn: nn.MultiheadAttention(512, 8, batch_first=True), (8, 256, 512), call=_attend,
    ),
    _row("upsample bilinear x2, 64 ch, 28x28", lambda nn: nn.Upsample(None, 2, "bilinear"), (8, 64, 28, 28)),
    _row("upsample nearest x2, 64 ch, 28x28", lambda nn: nn.Upsample(None, 2), (8, 64, 28, 28)),
    _row("upsample bilinear, 21 ch, 65x65 to 513x513", lambda nn: nn.Upsample(513, None, "bilinear"), (1, 21, 65, 65)),
    _row("upsample bicubic x2, 64 ch, 28x28", lambda nn: nn.Upsample(None, 2, "bicubic"), (8, 64, 28, 28)),
    _recurrent("LSTM T128 B32 I128 H256", lambda nn: nn.LSTM(128, 256), (128, 32, 128)),
    _recurrent("LSTM T512 B64 I64 H64", lambda nn: nn.LSTM(64, 64), (512, 64, 64)),
    _recurrent(
        "LSTM 2 layers, both ways, T64 B16 I64 H128",
        lambda nn: nn.LSTM(64, 128, 2, bidirectional=True), (64, 16, 64),
    ),
    _recurrent("GRU T128 B32 I128 H256", lambda nn: nn.GRU(128, 256), (128, 32, 128)),
    _recurrent("RNN T128 B32 I128 H256", lambda nn: nn.RNN(128, 256), (128, 32, 128)),
    _in_a_loop(_conv("conv 3x3, 64 ch, 28x28", (64, 64), 28)),
    _in_a_loop(_conv("depthwise 3x3, 96 ch, 28x28", (96, 96), 28, groups=96)),
    _in_a_loop(_conv("conv 1x1, 256 ch, 28x28", (256, 256), 28, 1)),
    _in_a_loop(_row("linear 512 to 512, 64 rows", lambda nn: nn.Linear(512, 512), (64, 512))),
)  # fmt: skip

SCALING = (
    *(_conv(f"conv 3x3, 64 ch, 28x28, batch {n}", (64, 64), 28, batch=n) for n in (1, 4, 16, 64)),
    *(_conv(f"depthwise 3x3, {c} ch, 28x28", (c, c), 28, groups=c) for c in (32, 128, 512)),
    *(_conv(f"conv 1x1, {c} ch, 28x28", (c, c), 28, 1) for c in (32, 128, 512)),
    *(_row(f"linear 1024 to 4096, {n} rows", lambda nn: nn.Linear(1024, 4096), (n, 1024)) for n in (1, 4, 16, 64)),
    *(_up(f"transposed k4 s2, {c} ch, 16x16", (c, c), 16, 4, 1) for c in (16, 64, 256)),
    *(_recurrent(f"LSTM T{t} B32 I64 H64", lambda nn: nn.LSTM(64, 64), (t, 32, 64)) for t in (16, 64, 256, 1024)),
    *(_row(f"attention, 2 x 8 heads, {t} x 64", _sdpa, *[(2, 8, t, 64)] * 3) for t in (64, 256, 1024)),
)  # fmt: skip

ON_GPU = tuple(
    _row(f"attention, {n} x {h} heads, {t} x {e}, bfloat16{name}", make, *[(n, h, t, e)] * 3, half=True)
    for n, h, t, e, name, make in (
        (8, 12, 197, 64, "", _sdpa), (8, 16, 1024, 64, ", causal", _causal), (2, 16, 4096, 128, ", causal", _causal)
    )
)  # fmt: skip
"""What only a GPU measures."""
