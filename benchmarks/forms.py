"""Every form of what has several, and of its gradients, timed: `python -m benchmarks.forms [--only PATTERN]`.

What the tables of `jaxnets.lowering` choose, marked with *, should be the fastest of its line, or near it. The
convolutions of drawn layers (`--drawn`) say how near: the thresholds of `conv_conditions` are theirs.
"""

import time
from fnmatch import fnmatch
from functools import partial
from typing import Annotated, Any

import jax
import numpy as np
import typer

from benchmarks.clock import geometric_mean
from benchmarks.drawn import CONVOLUTIONS, Layer
from benchmarks.where import CALLS
from jaxnets import functional as F
from jaxnets.functional.rnn import MODES
from jaxnets.lowering import choice, conv_forms, heads, pooling, recurrence
from jaxnets.lowering.conv_problem import Problem
from jaxnets.lowering.sliding import Windows

# batch, channels in and out, groups, side, kernel, stride, and dilation if any
PROBLEMS = {
    "dense 7x7 s2": (8, 3, 64, 1, 112, 7, 2),
    "dense 3x3, 64 ch, 56x56": (8, 64, 64, 1, 56, 3, 1),
    "dense 3x3, 128 ch, 28x28": (8, 128, 128, 1, 28, 3, 1),
    "dense 3x3, 256 ch, 14x14": (8, 256, 256, 1, 14, 3, 1),
    "dense 3x3, 512 ch, 7x7": (8, 512, 512, 1, 7, 3, 1),
    "dense 3x3 s2, 128 ch, 28x28": (8, 128, 256, 1, 28, 3, 2),
    "dense 4x4 s2, 64 ch, 32x32": (8, 64, 128, 1, 32, 4, 2),
    "dense 4x4 s2, 256 ch, 8x8": (16, 256, 512, 1, 8, 4, 2),
    "dense 4x4 s2, 3 ch, 64x64": (8, 3, 64, 1, 64, 4, 2),
    "dense 5x5 s2, 64 ch, 64x64": (8, 64, 128, 1, 64, 5, 2),
    "dense 3x3 s2, 64 ch, 56x56": (8, 64, 64, 1, 56, 3, 2),
    "dense 2x2 s2, 64 ch, 64x64": (8, 64, 128, 1, 64, 2, 2),
    "dense 3x3, 3 to 64 ch, 224x224": (4, 3, 64, 1, 224, 3, 1),
    "dense 3x3 s2, 3 to 32 ch, 224x224": (4, 3, 32, 1, 224, 3, 2),
    "dense 7x7 s2, 3 to 64 ch, 224x224": (4, 3, 64, 1, 224, 7, 2),
    "dense 7x7 s2, 3 to 64 ch, 112x112, one example": (1, 3, 64, 1, 112, 7, 2),
    "dense 7x7 s2, 3 to 16 ch, 224x224": (4, 3, 16, 1, 224, 7, 2),
    "dense 7x7 s2, 3 to 32 ch, 112x112": (4, 3, 32, 1, 112, 7, 2),
    "dense 5x5, 3 to 32 ch, 32x32": (8, 3, 32, 1, 32, 5, 1),
    "dense 5x5, 1 to 6 ch, 28x28": (32, 1, 6, 1, 28, 5, 1),
    "dense 7x7, 64 to 3 ch, 224x224, one example": (1, 64, 3, 1, 224, 7, 1),
    "dense 3x3, 64 to 3 ch, 256x256, one example": (1, 64, 3, 1, 256, 3, 1),
    "dense 9x9, 64 to 3 ch, 96x96, one example": (1, 64, 3, 1, 96, 9, 1),
    "dense 5x5, 64 to 1 ch, 64x64, four examples": (4, 64, 1, 1, 64, 5, 1),
    "dense 3x3, 64 to 3 ch, 56x56": (8, 64, 3, 1, 56, 3, 1),
    "dense 3x3, 64 to 1 ch, 128x128, sixteen examples": (16, 64, 1, 1, 128, 3, 1),
    "dense 3x3, 32 to 3 ch, 256x256, sixteen examples": (16, 32, 3, 1, 256, 3, 1),
    "dense 3x3, 256 to 12 ch, 38x38, one example": (1, 256, 12, 1, 38, 3, 1),
    "dense 3x3, 64 to 16 ch, 56x56, four examples": (4, 64, 16, 1, 56, 3, 1),
    "dense 3x3, 64 to 32 ch, 56x56, four examples": (4, 64, 32, 1, 56, 3, 1),
    "dense 3x3, 32 to 16 ch, 56x56": (8, 32, 16, 1, 56, 3, 1),
    "dense 3x3, 16 to 8 ch, 56x56": (8, 16, 8, 1, 56, 3, 1),
    "dense 3x3, 16 ch, 112x112": (8, 16, 16, 1, 112, 3, 1),
    "dense 3x3, 3 ch, 64x64": (8, 3, 3, 1, 64, 3, 1),
    "dense 3x3 s2, 64 to 16 ch, 64x64, one example": (1, 64, 16, 1, 64, 3, 2),
    "dense 4x4 s2, 128 to 8 ch, 32x32, four examples": (4, 128, 8, 1, 32, 4, 2),
    "dense 3x3 s2, 64 to 16 ch, 64x64": (8, 64, 16, 1, 64, 3, 2),
    "dense 3x3 s2, 64 to 8 ch, 256x256, two examples": (2, 64, 8, 1, 256, 3, 2),
    "patches 4x4, 3 to 96 ch, 224x224": (4, 3, 96, 1, 224, 4, 4),
    "patches 16x16, 3 to 768 ch, 224x224": (4, 3, 768, 1, 224, 16, 16),
    "dense 3x3, 64 ch, 56x56, four examples": (4, 64, 64, 1, 56, 3, 1),
    "dense 3x3, 64 to 128 ch, 112x112, four examples": (4, 64, 128, 1, 112, 3, 1),
    "dense 3x3, 256 ch, 56x56, four examples": (4, 256, 256, 1, 56, 3, 1),
    "dense 3x3, 128 ch, 56x56, four examples": (4, 128, 128, 1, 56, 3, 1),
    "dense 3x3, 128 to 256 ch, 56x56, four examples": (4, 128, 256, 1, 56, 3, 1),
    "dense 3x3, 192 ch, 32x32, four examples": (4, 192, 192, 1, 32, 3, 1),
    "dense 3x3, 256 ch, 28x28, four examples": (4, 256, 256, 1, 28, 3, 1),
    "dense 3x3, 256 ch, 14x14, four examples": (4, 256, 256, 1, 14, 3, 1),
    "dense 3x3, 512 ch, 28x28, one example": (1, 512, 512, 1, 28, 3, 1),
    "dense 3x3, 512 ch, 14x14, four examples": (4, 512, 512, 1, 14, 3, 1),
    "dense 3x3, 128 ch, 224x224, one example": (1, 128, 128, 1, 224, 3, 1),
    "dense 3x3, 64 ch, 224x224, one example": (1, 64, 64, 1, 224, 3, 1),
    "dense 3x3, 64 ch, 224x224, four examples": (4, 64, 64, 1, 224, 3, 1),
    "dense 3x3, 256 ch, 224x224, one example": (1, 256, 256, 1, 224, 3, 1),
    "dense 3x3, 512 ch, 7x7, sixteen examples": (16, 512, 512, 1, 7, 3, 1),
    "dense 5x5, 32 to 256 ch, 56x56, four examples": (4, 32, 256, 1, 56, 5, 1),
    "dense 3x3, 64 to 128 ch, 112x112, eight examples": (8, 64, 128, 1, 112, 3, 1),
    "dense 3x3, 128 to 32 ch, 28x28, four examples": (4, 128, 32, 1, 28, 3, 1),
    "dense 3x3 s2, 128 to 256 ch, 56x56, four examples": (4, 128, 256, 1, 56, 3, 2),
    "dense 3x3, 512 ch, 7x7, one example": (1, 512, 512, 1, 7, 3, 1),
    "dense 3x3, 256 ch, 14x14, one example": (1, 256, 256, 1, 14, 3, 1),
    "dense 3x3 s2, 256 to 512 ch, 14x14, one example": (1, 256, 512, 1, 14, 3, 2),
    # batches of which what lies under the taps is written in pieces
    "dense 3x3, 96 to 16 ch, 28x28, 128 examples": (128, 96, 16, 1, 28, 3, 1),
    "dense 3x3, 64 to 12 ch, 35x35, 64 examples": (64, 64, 12, 1, 35, 3, 1),
    "dense 3x3, 24 ch, 80x80, 32 examples": (32, 24, 24, 1, 80, 3, 1),
    "dense 3x3, 64 ch, 56x56, 32 examples": (32, 64, 64, 1, 56, 3, 1),
    "dense 3x3 s2, 3 to 32 ch, 224x224, 32 examples": (32, 3, 32, 1, 224, 3, 2),
    "dense 3x3 s2, 64 to 128 ch, 56x56, 32 examples": (32, 64, 128, 1, 56, 3, 2),
    "dense 7x7 s2, 3 to 64 ch, 224x224, 16 examples": (16, 3, 64, 1, 224, 7, 2),
    "patches 2x2, 64 to 128 ch, 64x64, 32 examples": (32, 64, 128, 1, 64, 2, 2),
    "pointwise, 512 to 2048 ch, 7x7, one example": (1, 512, 2048, 1, 7, 1, 1),
    "pointwise, 256 to 64 ch, 56x56": (8, 256, 64, 1, 56, 1, 1),
    "pointwise, 512 to 128 ch, 28x28": (8, 512, 128, 1, 28, 1, 1),
    "pointwise, 1024 to 256 ch, 14x14": (8, 1024, 256, 1, 14, 1, 1),
    "pointwise, 512 to 2048 ch, 7x7": (8, 512, 2048, 1, 7, 1, 1),
    "pointwise s2, 256 to 512 ch, 56x56": (8, 256, 512, 1, 56, 1, 2),
    "depthwise 3x3, 96 ch, 56x56": (8, 96, 96, 96, 56, 3, 1),
    "depthwise 3x3 s2, 96 ch, 56x56": (8, 96, 96, 96, 56, 3, 2),
    "depthwise 5x5, 576 ch, 7x7": (8, 576, 576, 576, 7, 5, 1),
    "depthwise 7x7, 96 ch, 56x56": (8, 96, 96, 96, 56, 7, 1),
    "32 groups of 4, 56x56": (8, 128, 128, 32, 56, 3, 1),
    "32 groups of 8, 28x28": (8, 256, 256, 32, 28, 3, 1),
    "32 groups of 16, 14x14": (8, 512, 512, 32, 14, 3, 1),
    "16 groups of 24, 14x14": (8, 384, 384, 16, 14, 3, 1),
    "4 groups of 32, 56x56": (8, 128, 128, 4, 56, 3, 1),
    "128 groups of 16, 14x14, four examples": (4, 2048, 2048, 128, 14, 3, 1),
    "80 groups of 8, 9x9, 20x20, four examples": (4, 640, 640, 80, 20, 9, 1),
    "64 groups of 32, s2, 28x28, four examples": (4, 2048, 2048, 64, 28, 3, 2),
    "80 groups of 8, s2, 7x7, four examples": (4, 640, 640, 80, 7, 3, 2),
    "pointwise, 32 to 16 ch, 112x112, 64 examples": (64, 32, 16, 1, 112, 1, 1),
    "dense 5x5 s2 dilated 2, 32 ch, 56x56, 16 examples": (16, 32, 32, 1, 56, 5, 2, 2),
    "8 groups of 32, s2 dilated 2, 28x28, four examples": (4, 256, 256, 8, 28, 3, 2, 2),
}

# cell, steps, batch, size of an input, size of a state
RECURRENCES = {
    "LSTM T128 B32 I128 H256": ("LSTM", 128, 32, 128, 256),
    "LSTM T512 B64 I64 H64": ("LSTM", 512, 64, 64, 64),
    "LSTM T64 B16 I128 H128": ("LSTM", 64, 16, 128, 128),
    "LSTM T64 B16 I256 H128": ("LSTM", 64, 16, 256, 128),
    "LSTM T64 B16 I512 H512": ("LSTM", 64, 16, 512, 512),
    "LSTM T64 B1 I256 H256": ("LSTM", 64, 1, 256, 256),
    "GRU T128 B32 I128 H256": ("GRU", 128, 32, 128, 256),
    "GRU T100 B128 I28 H128": ("GRU", 100, 128, 28, 128),
    "GRU T64 B4 I256 H256": ("GRU", 64, 4, 256, 256),
    "RNN T128 B32 I128 H256": ("RNN_TANH", 128, 32, 128, 256),
    "RNN T64 B16 I512 H256": ("RNN_TANH", 64, 16, 512, 256),
}

# batch, heads, length, size of a head
ATTENTIONS = {
    f"attention {n} x {h} heads, {t} x {e}": (n, h, t, e)
    for n, h, t, e in ((8, 8, 256, 64), (4, 8, 384, 64), (2, 2, 512, 64), (4, 8, 512, 64), (2, 4, 1024, 64))
}

# the same of bfloat16, causal or not, on a GPU
HALF_ATTENTIONS = {
    f"attention {n} x {h} heads, {t} x {e}, bfloat16{', causal' * causal}": (n, h, t, e, "bfloat16", causal)
    for n, h, t, e, causal in (
        (16, 12, 64, 64, False), (8, 12, 197, 64, False), (8, 16, 512, 64, True), (8, 16, 1000, 128, True),
        (4, 16, 2048, 64, False), (2, 16, 4096, 128, True),
    )
}  # fmt: skip

# batch, channels, side, kernel, stride, padding
POOLINGS = {
    "pool 2x2, 64 ch, 56x56": (8, 64, 56, 2, 2, 0),
    "pool 3x3 s2, 64 ch, 112x112": (8, 64, 112, 3, 2, 1),
    "pool 3x3 s1, 256 ch, 28x28": (8, 256, 28, 3, 1, 1),
    "pool 9x9 s1, 128 ch, 20x20": (4, 128, 20, 9, 1, 4),
    "pool 7x7 s7, 256 ch, 28x28": (8, 256, 28, 7, 7, 0),
    "pool 7x7, 512 ch, 7x7": (4, 512, 7, 7, 1, 0),
    "pool 2x2, 16 ch, 14x14, one example": (1, 16, 14, 2, 2, 0),
}


ON_GPU = jax.default_backend() == "gpu"


def best(function: Any, *arguments: Any, seconds: float = 0.3) -> float:
    """The first quartile of the times of a compiled function, in milliseconds."""
    repeats = CALLS if ON_GPU else 1  # a GPU is asked for several without waiting
    compiled = jax.jit(function).lower(*arguments).compile()
    jax.block_until_ready(compiled(*arguments))
    times: list[float] = []
    while sum(times) < seconds or (len(times) < 5 and sum(times) < 10 * seconds):
        began = time.perf_counter()
        for _ in range(repeats):
            found = compiled(*arguments)
        jax.block_until_ready(found)
        times.append((time.perf_counter() - began) / repeats)
    return 1e3 * sorted(times)[len(times) // 4]


def main(
    only: Annotated[list[str] | None, typer.Option(help="Problems whose name matches. Repeatable.")] = None,
    drawn: Annotated[
        bool, typer.Option(help="The convolutions of benchmarks.drawn, and how near the choices are.")
    ] = False,
) -> None:
    """Times each form that computes a problem, in milliseconds."""
    if drawn:
        time_drawn(only)
        return
    for name, problem in PROBLEMS.items():
        if matches(name, only):
            time_convolution(name, square(*problem))
    for name, shape in HALF_ATTENTIONS.items():
        if ON_GPU and matches(name, only):
            time_attention(name, *shape)
    if ON_GPU:
        return  # the other tables are a CPU's
    for name, shape in RECURRENCES.items():
        if matches(name, only):
            time_recurrence(name, *shape)
    for name, shape in ATTENTIONS.items():
        if matches(name, only):
            time_attention(name, *shape)
    for name, shape in POOLINGS.items():
        if matches(name, only):
            time_pooling(name, *shape)


def matches(name: str, only: list[str] | None) -> bool:
    """Whether a problem is wanted."""
    return not only or any(fnmatch(name, f"*{pattern}*") for pattern in only)


def time_recurrence(name: str, cell: str, steps: int, batch: int, inputs: int, size: int) -> None:
    """A line for the outputs, and one for a training step, with each form of the inputs' products."""
    mode = MODES[cell]
    rows = mode.gates * size
    random = np.random.default_rng(0)
    shapes = (steps, batch, inputs), (rows, inputs), (rows, size), (rows,), (rows,)
    x, *weights = (jax.numpy.asarray(random.standard_normal(shape, np.float32) / shape[-1] ** 0.5) for shape in shapes)
    state = (jax.numpy.zeros((batch, size)),) * mode.states
    # not the jitted function, which would keep the form that it had first
    run = partial(recurrence.recurrence.__wrapped__, mode.update, adds=mode.adds)

    def output(x: Any, weights: Any) -> Any:
        return run(x, state, recurrence.Weights(*weights))[0]

    def train(x: Any, weights: Any) -> Any:
        return jax.grad(lambda *arrays: jax.numpy.square(output(*arrays)).sum(), (0, 1))(x, weights)

    time_forms(name, recurrence.FORMS, recurrence.Problem(batch, size, inputs), (output, train), x, weights)


def time_attention(
    name: str, batch: int, count: int, length: int, size: int, dtype: str = "float32", is_causal: bool = False
) -> None:
    """A line for the outputs, and one for a training step, of all heads at once and in other forms."""
    random = np.random.default_rng(0)
    shape = (batch, count, length, size)
    arrays = [jax.numpy.asarray(random.standard_normal(shape, np.float32), dtype) for _ in range(3)]

    def output(*arrays: Any) -> Any:
        return F.scaled_dot_product_attention(*arrays, is_causal=is_causal)

    def train(*arrays: Any) -> Any:
        return jax.grad(lambda *x: jax.numpy.square(output(*x)).astype(np.float32).sum(), (0, 1, 2))(*arrays)

    time_forms(name, heads.FORMS, heads.Problem.of(*arrays, None), (output, train), *arrays)


def time_pooling(name: str, batch: int, channels: int, side: int, kernel: int, stride: int, padding: int) -> None:
    """The same of a maximum and of a mean, by axis and by window."""
    x = jax.numpy.asarray(np.random.default_rng(0).standard_normal((batch, channels, side, side), np.float32))
    windows = Windows((side,) * 2, (kernel,) * 2, (stride,) * 2, ((padding,) * 2,) * 2, (1, 1))
    for kind, table, pool in (("max", pooling.MAXIMA, F.max_pool2d), ("mean", pooling.SUMS, F.avg_pool2d)):

        def output(x: Any, pool: Any = pool) -> Any:
            return pool(x, kernel, stride, padding)

        def train(x: Any, output: Any = output) -> Any:
            return jax.grad(lambda x: jax.numpy.square(output(x)).sum())(x)

        time_forms(f"{kind} {name}", table, windows, (output, train), x)


def time_forms(name: str, table: Any, problem: Any, functions: tuple[Any, Any], *arrays: Any) -> None:
    """A line for the outputs, and one for a training step, with each form of a table that can."""
    chosen = choice.choose(table, problem)
    for operation, function in zip(("output", "output, gradients"), functions, strict=True):
        found = []
        for form in (form for form in table if form.can(problem)):
            with choice.only(form.name):
                milliseconds = best(partial(function), *arrays)  # a new one: JAX keeps what it traced
            found.append(f"{form.name}{'*' * (form is chosen)} {milliseconds:.3g}")
        print(f"{name:36} {operation:18} {', '.join(found)}", flush=True)


def square(
    batch: int, c_in: int, c_out: int, groups: int, side: int, kernel: int, stride: int, dilation: int = 1
) -> Problem:
    """A convolution of squares, padded unless they lie side by side."""
    padding = dilation * (kernel // 2) if stride < kernel else 0
    shapes = (batch, c_in, side, side), (c_out, c_in // groups, kernel, kernel)
    x, weight = (jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes)
    return Problem.of(x, weight, (stride,) * 2, [(padding, padding)] * 2, (dilation,) * 2, groups, ON_GPU)


def of_layer(layer: Layer) -> Problem:
    """The convolution of a layer, or that which its transposed convolution is the transpose of."""
    kernel, padding = layer.settings["kernel_size"], layer.settings["padding"]
    rank, groups = len(kernel), layer.settings["groups"]
    stride, dilation = ((layer.settings[key],) * rank for key in ("stride", "dilation"))
    channels, size = (layer.settings["in_channels"], layer.settings["out_channels"]), layer.shape[2:]
    if "Transpose" in layer.kind:
        channels = channels[::-1]
        settings = zip(size, stride, padding, dilation, kernel, strict=True)
        size = tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in settings)
    x = jax.ShapeDtypeStruct((layer.shape[0], channels[0], *size), np.float32)
    weight = jax.ShapeDtypeStruct((channels[1], channels[0] // groups, *kernel), np.float32)
    return Problem.of(x, weight, stride, [(p, p) for p in padding], dilation, groups, ON_GPU)


def time_drawn(only: list[str] | None) -> None:
    """The convolutions of drawn layers; for each operation the time of what is chosen in terms of the fastest's."""
    ratios: dict[str, list[float]] = {}
    for name, layer in CONVOLUTIONS.items():
        if matches(name, only):
            print(name)
            for operation, ratio in time_convolution("", of_layer(layer), is_brief=True).items():
                ratios.setdefault(operation, []).append(ratio)
    for operation, found in ratios.items():
        print(
            f"{operation}: chosen / fastest {geometric_mean(found):.2f}, greatest {max(found):.2f}, "
            f"{sum(ratio > 2 for ratio in found)} of {len(found)} above 2"
        )


def time_convolution(name: str, problem: Problem, is_brief: bool = False) -> dict[str, float]:
    """A line for the output, and one for each gradient, with each form that can; the choice beside the fastest.

    Briefly: less often, and without XLA's own form of groups, of which some take minutes.
    """
    seconds, without = (0.05, "direct" if problem.groups > 1 else "") if is_brief else (0.3, "")
    shapes = (
        (problem.batch, problem.channels[0], *problem.size),
        (problem.channels[1], problem.fan_in, *problem.kernel),
        (problem.batch, problem.channels[1], *problem.out),
    )
    random = np.random.default_rng(0)
    x, weight, y = (jax.numpy.asarray(random.standard_normal(shape, np.float32)) for shape in shapes)
    tables = {
        "output": (conv_forms.OUTPUT, (x, weight)),
        "gradient of input": (conv_forms.OF_INPUT, (y, weight)),
        "gradient of weight": (conv_forms.OF_WEIGHT, (x, y)),
    }
    ratios = {}
    for operation, (table, arrays) in tables.items():
        chosen = choice.choose(table, problem, ON_GPU).name
        forms = [form for form in table if form.can(problem) and form.name != without]
        times = {form.name: best(partial(form.compute, problem), *arrays, seconds=seconds) for form in forms}
        found = [f"{form}{'*' * (form == chosen)} {time:.3g}" for form, time in times.items()]
        print(f"{name:36} {operation:18} {', '.join(found)}", flush=True)
        ratios[operation] = times[chosen] / min(times.values())
    return ratios


if __name__ == "__main__":
    typer.run(main)
