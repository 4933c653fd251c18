"""Every form of a convolution, chosen or not, computes the same."""

import random
import re
from contextlib import nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxnets.lowering import conv_forms, pieces
from jaxnets.lowering.choice import choose, only
from jaxnets.lowering.conv import Convolution, Y, conv, conv_transpose
from jaxnets.lowering.conv_problem import Problem
from jaxnets.lowering.trilinear import gradient
from tests.exhaustive import more

TABLES = (conv_forms.OUTPUT, conv_forms.OF_INPUT, conv_forms.OF_WEIGHT)
FORMS = set(conv_forms.NAMES)


def drawn(seed: int) -> tuple[Any, Any, Any, tuple[Any, ...]]:
    """A random problem: the shapes of input and weight, output padding of the transposed one, other arguments."""
    choice = random.Random(seed)
    axes, groups = choice.choice([1, 2, 2, 3]), choice.choice([1, 1, 2, 3, 6])
    channels_in, channels_out = groups * choice.choice([1, 2, 3]), groups * choice.choice([1, 2])
    kernel = [choice.choice([1, 2, 3, 4]) for _ in range(axes)] if choice.random() > 0.2 else [1] * axes
    stride, dilation = ([choice.choice(of) for _ in range(axes)] for of in ([1, 1, 2, 3], [1, 1, 2]))
    padding = [(choice.choice([0, 0, 1, 2]), choice.choice([0, 1])) for _ in range(axes)]
    if choice.random() < 0.3:
        padding = [(0, 0)] * axes
    size = [choice.randint(1, 9) + d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    extra = [choice.randint(0, max(s, d) - 1) for s, d in zip(stride, dilation, strict=True)]
    x = (choice.choice([1, 2, 3]), channels_in, *size)
    return x, (channels_out, channels_in // groups, *kernel), extra, (stride, padding, dilation, groups)


def possible(seed: int) -> list[str | None]:
    """The forms that can compute a random problem, and the choice; with three axes they see another, of planes."""
    of_x, of_weight, _, settings = drawn(seed)
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (of_x, of_weight)]
    problem = Problem.of(*arrays, *settings)
    several = {form.name for table in TABLES for form in table if form.can(problem)}
    return [None, *sorted(FORMS if len(problem.kernel) == 3 else several)]


SEEDS = (0, 3, 4, 18, 47, 97, 128, 612)  # the last have kernels of one tap, and one of 3x3 that does not step
EACH = [(form, seed) for seed in SEEDS for form in possible(seed)]
MORE = more(
    (form, seed)
    for seed in {*range(10), 18, 35, 97, 104, 128, 188, 4041, 5508, 11291} - {*SEEDS}
    for form in possible(seed)
)


def test_every_form_is_seen():
    assert {form for form, seed in EACH if len(drawn(seed)[3][0]) < 3} >= FORMS - {"planes"}


def close(found: Any, expected: Any) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("stride", [1, 2])
def test_strips_of_rows_are_summed(stride: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(conv_forms, "STRIP", 40)  # numbers of an output's gradient
    rng = np.random.default_rng(0)
    x, weight, arguments = rng.normal(size=(2, 2, 13, 9)), rng.normal(size=(4, 2, 3, 2)), ((2, 1), (0, 1))
    with jax.enable_x64(True), only("piecewise"):
        found, pull = jax.vjp(lambda w: conv(x, w, (stride, 1), arguments, (2, 1), 1), weight)
        expected, pull_direct = jax.vjp(
            lambda w: lax.conv_general_dilated(x, w, (stride, 1), arguments, rhs_dilation=(2, 1)), weight
        )
        text = jax.jit(pull).lower(found).as_text()
        assert text.count("stablehlo.convolution") > 2 * len(x)  # several strips of each example
        close([found, *pull(found)], [expected, *pull_direct(found)])


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("form", ["columns", "kn2row"])
def test_examples_are_taken_in_pieces(form: str, groups: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pieces, "MAX_WRITTEN", 8000)  # bytes, which one example needs at most
    monkeypatch.setattr(pieces, "PIECE", 1)  # two examples at a time, and the last by itself
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(5, 4, 6, 7)), rng.normal(size=(2, 4 // groups, 3, 2))
    settings = (1, 1), ((1, 1), (0, 1)), (1, 2), groups

    def plain(x: Any, weight: Any) -> Any:
        return conv_forms.plain(Problem.of(x, weight, *settings), x, weight)

    def in_form(x: Any, weight: Any) -> Any:
        return conv(x, weight, *settings)

    def of_both(function: Any) -> Any:
        return jax.grad(lambda x, w: jnp.sin(function(x, w)).sum(), (0, 1))

    def second(function: Any) -> Any:
        return jax.grad(lambda x, w: jnp.square(of_both(function)(x, w)[1]).sum(), (0, 1))

    with jax.enable_x64(True), only(form):
        close([in_form(x, weight)], [plain(x, weight)])
        close(of_both(in_form)(x, weight), of_both(plain)(x, weight))
        close(second(in_form)(x, weight), second(plain)(x, weight))
        several = np.stack([x, 2 * x])
        mapped = [jax.vmap(of_both(function), (0, None))(several, weight) for function in (in_form, plain)]
        close(*mapped)
        assert "stablehlo.while" in jax.jit(in_form).lower(x, weight).as_text()


@pytest.mark.parametrize(("form", "seed"), [*EACH, *MORE])
def test_convolution(form: str | None, seed: int):
    of_x, of_weight, _, (stride, padding, dilation, groups) = drawn(seed)
    rng = np.random.default_rng(seed)
    x, weight = rng.normal(size=of_x), rng.normal(size=of_weight)

    def direct(x: Any, weight: Any) -> Any:
        return lax.conv_general_dilated(x, weight, stride, padding, rhs_dilation=dilation, feature_group_count=groups)

    with jax.enable_x64(True), only(form) if form else nullcontext():
        found, pull = jax.vjp(lambda x, w: conv(x, w, stride, padding, dilation, groups), x, weight)
        expected, pull_direct = jax.vjp(direct, x, weight)
        along = rng.normal(size=expected.shape)
        close([found, *pull(along)], [expected, *pull_direct(along)])


@pytest.mark.parametrize(("form", "seed"), [*EACH, *MORE])
def test_transposed(form: str | None, seed: int):
    of_x, (channels_out, _, *kernel), extra, (stride, padding, dilation, groups) = drawn(seed)
    rng = np.random.default_rng(seed)
    x, weight = rng.normal(size=of_x), rng.normal(size=(of_x[1], channels_out // groups, *kernel))
    cut = [min(low, d * (k - 1)) for (low, _), d, k in zip(padding, dilation, kernel, strict=True)]

    def direct(x: Any, weight: Any) -> Any:
        edges = [d * (k - 1) - p for d, k, p in zip(dilation, kernel, cut, strict=True)]
        borders = [(e, e + o) for e, o in zip(edges, extra, strict=True)]
        return lax.conv_general_dilated(
            x,
            conv_forms.transposed_kernel(weight, groups),
            (1,) * len(kernel),
            borders,
            lhs_dilation=stride,
            rhs_dilation=dilation,
            feature_group_count=groups,
        )

    with jax.enable_x64(True), only(form) if form else nullcontext():
        found, pull = jax.vjp(lambda x, w: conv_transpose(x, w, stride, cut, extra, dilation, groups), x, weight)
        expected, pull_direct = jax.vjp(direct, x, weight)
        along = rng.normal(size=expected.shape)
        close([found, *pull(along)], [expected, *pull_direct(along)])


@pytest.mark.parametrize("seed", [3, *more([0, 5])])
def test_tangents_and_second_derivatives(seed: int):
    of_x, of_weight, _, (stride, padding, dilation, groups) = drawn(seed)
    rng = np.random.default_rng(seed)
    arrays, tangents = ([rng.normal(size=of_x), rng.normal(size=of_weight)] for _ in range(2))

    def direct(x: Any, weight: Any) -> Any:
        return lax.conv_general_dilated(x, weight, stride, padding, rhs_dilation=dilation, feature_group_count=groups)

    def ours(x: Any, weight: Any) -> Any:
        return conv(x, weight, stride, padding, dilation, groups)

    def second(function: Any) -> Any:
        def first(*arrays: Any) -> Any:
            gradients = jax.grad(lambda x, w: jnp.sin(function(x, w)).sum(), (0, 1))(*arrays)
            return sum((g * t).sum() for g, t in zip(gradients, tangents, strict=True))

        return jax.grad(first, (0, 1))(*arrays)

    with jax.enable_x64(True):
        close(jax.jvp(ours, arrays, tangents), jax.jvp(direct, arrays, tangents))
        close(second(ours), second(direct))
        over_inputs, over_weights = (0, None), (None, 0)
        stacked = [np.stack([a, t]) for a, t in zip(arrays, tangents, strict=True)]
        for axes, given in ((over_inputs, (stacked[0], arrays[1])), (over_weights, (arrays[0], stacked[1]))):
            close(jax.vmap(ours, axes)(*given), jax.vmap(direct, axes)(*given))


@pytest.mark.parametrize(
    ("dtype", "channels", "padding", "forms"),
    [
        ("float32", (64, 64), 1, ("spread", "flipped", "spread")),
        ("float64", (64, 64), 1, ("direct", "flipped", "direct")),  # XLA's own code is a plain loop there
        ("float32", (8, 16), 1, ("direct", "flipped", "direct")),  # few channels are never left to YNNPACK
        ("float32", (256, 16), 1, ("kn2row", "flipped", "flipped")),  # the weight's gradient has 8 examples for them
        ("float32", (64, 64), 2, ("direct", "flipped", "spread")),  # nor an output that is larger than the input
    ],
)
def test_what_ynnpack_would_take_is_spread(dtype: str, channels: Any, padding: int, forms: tuple[str, ...]):
    c_in, c_out = channels
    x, weight = (jax.ShapeDtypeStruct(shape, dtype) for shape in ((8, c_in, 56, 56), (c_out, c_in, 3, 3)))
    problem = Problem.of(x, weight, (1, 1), [(padding, padding)] * 2, (1, 1), 1)
    assert tuple(choose(table, problem).name for table in TABLES) == forms


def test_a_loops_convolutions_are_as_xla_computes_them_fast():
    """XLA arranges a convolution for its CPU code by itself, but not one in a loop's body, which is far slower."""
    x, weight = jnp.ones((8, 32, 20, 20)), jnp.ones((32, 32, 3, 3))

    def loss(weight: Any, x: Any) -> Any:
        return jnp.square(conv(x, weight, (1, 1), [(1, 1)] * 2, (1, 1), 1)).sum()

    def train(weight: Any) -> Any:
        return lax.scan(lambda w, _: (w - jax.grad(loss)(w, x), None), weight, length=3)[0]

    text = jax.jit(train).lower(weight).compile().as_text()
    arranged = re.findall(r"convolution\(.*dim_labels=([^,]+)", text)
    assert len(arranged) == 2  # the output, the gradient of the weight
    assert set(arranged) == {"b01f_01io->b01f"}


@pytest.mark.parametrize("seed", range(12))
def test_no_convolution_is_cut_in_front(seed: int):
    """XLA's CPU backend reads past the end of what is cut in front and padded behind: garbage, at times."""
    of_x, of_weight, _, (stride, padding, dilation, groups) = drawn(seed)
    for settings in ((stride, padding), ([4] * len(stride), [(low + 1, high + 1) for low, high in padding])):
        problem = Problem.of(jnp.ones(of_x), jnp.ones(of_weight), *settings, dilation, groups)

        def gradients(x: Any, weight: Any, problem: Any = problem) -> Any:
            return jax.vjp(lambda x, weight: gradient(Convolution(problem), Y, x, weight), x, weight)[1](
                jnp.ones((problem.batch, problem.channels[1], *problem.out))
            )

        for form in {form.name for table in TABLES for form in table if form.can(problem)}:
            with only(form):
                text = jax.jit(gradients).lower(jnp.ones(of_x), jnp.ones(of_weight)).as_text()
            for pads in re.findall(r"stablehlo.convolution.*?pad = \[(\[.*?\])\]", text):
                assert all(int(low) >= 0 for low in re.findall(r"\[(-?\d+),", pads)), (form, pads)


@pytest.mark.parametrize(("padding", "is_wider"), [((2, 0), True), ((0, 2), True), ((1, 1), False)])
def test_what_padding_makes_longer_is_padded_before_its_weights_gradient(padding: tuple[int, int], is_wider: bool):
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((8, 3, 29, 35), (40, 3, 3, 3))]
    problem = Problem.of(*arrays, (1, 1), [(p, p) for p in padding], (1, 1), 1)
    y = jax.ShapeDtypeStruct((8, 40, *problem.out), jnp.float32)
    gradient = jax.jit(lambda x, y: conv_forms.direct_of_weight(problem, x, y))
    assert ("stablehlo.pad" in gradient.lower(arrays[0], y).as_text()) is is_wider


def test_a_stride_larger_than_the_kernel():
    """Some of its phases would have been cut in front; float32, as float64 has other code."""
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(3, 3, 28)), rng.normal(size=(17, 3, 3))
    arguments, y = ((4,), ((1, 1),), (1,), 1), rng.normal(size=(3, 17, 7))
    arrays = [jnp.asarray(a, "float32") for a in (x, weight, y)]
    for _ in range(3):
        (found,) = jax.vjp(lambda x: conv(x, arrays[1], *arguments), arrays[0])[1](arrays[2])
        with jax.enable_x64(True):
            (expected,) = jax.vjp(lambda x: lax.conv_general_dilated(x, weight, (4,), ((1, 1),)), x)[1](y)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_large_kernel_stays_a_small_program():
    x, weight = jnp.ones((1, 2, 40, 40)), jnp.ones((2, 1, 31, 31))

    def loss(x: Any, weight: Any) -> Any:
        return conv(x, weight, (1, 1), [(15, 15)] * 2, (1, 1), 2).sum()

    text = jax.jit(jax.grad(loss, (0, 1))).lower(x, weight).as_text()
    assert text.count("\n") < 3_000
    cube = jnp.ones((2, 1, 7, 7, 7))
    text = jax.jit(conv, static_argnums=(2, 3, 4, 5)).lower(
        jnp.ones((1, 2, 9, 9, 9)), cube, (1,) * 3, ((0, 0),) * 3, (1,) * 3, 2
    )
    assert text.as_text().count("\n") < 3_000


def test_a_large_kernel_gives_the_same():
    rng = np.random.default_rng(0)
    x, weight, arguments = rng.normal(size=(2, 2, 9, 10)), rng.normal(size=(4, 1, 13, 11)), ((6, 6), (5, 4))
    for form in ("sums", "sums in turn", None):
        with jax.enable_x64(True), only(form) if form else nullcontext():
            found, pull = jax.vjp(lambda x, w: conv(x, w, (1, 2), arguments, (1, 1), 2), x, weight)
            expected, pull_direct = jax.vjp(
                lambda x, w: lax.conv_general_dilated(x, w, (1, 2), arguments, feature_group_count=2), x, weight
            )
            close([found, *pull(found)], [expected, *pull_direct(expected)])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_summed_in_float32(dtype: str):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(1, 1, size=(1, 4, 9, 9)), dtype)
    weight = jnp.asarray(rng.normal(1, 1, size=(4, 1, 7, 7)), dtype)
    arguments = ((1, 1), ((3, 3), (3, 3)), (1, 1), 4)
    wide = conv(x.astype("float32"), weight.astype("float32"), *arguments)
    assert bool((conv(x, weight, *arguments) == wide.astype(dtype)).all())


@pytest.mark.parametrize(
    ("shape", "forms"),
    [
        ((8, 64, 112), ("columns", "phases")),
        ((4, 64, 224), ("direct", "phases")),  # 28 MiB would lie under the taps
        ((8, 64, 224), ("columns", "phases")),  # 56, in pieces
        ((1, 64, 112), ("direct", "phases")),
        ((1, 32, 112), ("columns", "phases")),
        ((4, 16, 112), ("direct", "phases")),
    ],
)
def test_what_a_large_kernel_sees_of_an_image_is_written_out(shape: tuple[int, ...], forms: tuple[str, ...]):
    batch, channels, size = shape
    x, weight = (jax.ShapeDtypeStruct(s, "float32") for s in ((batch, 3, size, size), (channels, 3, 7, 7)))
    problem = Problem.of(x, weight, (2, 2), [(3, 3)] * 2, (1, 1), 1)
    assert tuple(choose(table, problem).name for table in TABLES[:2]) == forms


@pytest.mark.parametrize(
    ("shape", "stride", "form"),
    [
        ((4, 64, 128, 112), 1, "piecewise"),
        ((2, 64, 128, 112), 1, "piecewise"),
        ((4, 64, 64, 48), 1, "piecewise"),
        ((4, 128, 128, 24), 1, "direct"),
        ((4, 64, 256, 112), 2, "spread"),
        ((8, 64, 128, 112), 1, "spread"),
        ((1, 64, 256, 112), 1, "direct"),
        ((1, 128, 128, 224), 1, "piecewise"),
    ],
)
def test_a_large_weight_gradient_is_summed_over_pieces(shape: tuple[int, ...], stride: int, form: str):
    batch, c_in, c_out, size = shape
    x, weight = (jax.ShapeDtypeStruct(s, "float32") for s in ((batch, c_in, size, size), (c_out, c_in, 3, 3)))
    problem = Problem.of(x, weight, (stride,) * 2, [(1, 1)] * 2, (1, 1), 1)
    assert choose(TABLES[2], problem).name == form


@pytest.mark.parametrize(
    ("shape", "kernel", "forms"),
    [
        ((1, 64, 3, 224), 3, ("kn2row", "flipped", "flipped")),
        ((1, 64, 3, 224), 7, ("direct", "flipped", "flipped")),  # 28 MiB would be written, 12 are read
        ((16, 32, 3, 256), 3, ("kn2row", "flipped", "flipped")),  # more is written, but less than is read
        ((4, 3, 3, 64), 3, ("kn2row", "flipped", "direct")),
        ((4, 64, 16, 28), 3, ("kn2row", "flipped", "flipped")),
        ((8, 64, 16, 28), 3, ("kn2row", "flipped", "direct")),
        ((4, 64, 32, 28), 3, ("kn2row", "flipped", "direct")),
        ((4, 64, 40, 28), 3, ("spread", "flipped", "direct")),
        ((1, 512, 40, 35), 3, ("kn2row", "flipped", "flipped")),  # of long sums, more outputs
        ((4, 16, 3, 28), 1, ("product", "product", "product")),
    ],
)
def test_few_outputs_change_places_with_the_inputs(shape: tuple[int, ...], kernel: int, forms: tuple[str, ...]):
    batch, c_in, c_out, size = shape
    x, weight = (jax.ShapeDtypeStruct(s, "float32") for s in ((batch, c_in, size, size), (c_out, c_in, *[kernel] * 2)))
    problem = Problem.of(x, weight, (1, 1), [(kernel // 2,) * 2] * 2, (1, 1), 1)
    assert tuple(choose(table, problem).name for table in TABLES) == forms


@pytest.mark.parametrize(
    ("shape", "form"),
    [
        ((1, 64, 16, 64), "columns"),
        ((8, 64, 16, 64), "direct"),
        ((2, 64, 8, 256), "direct"),
        ((1, 64, 32, 64), "columns"),
    ],
)
def test_what_few_examples_have_under_their_taps_is_a_product_where_there_is_a_step(shape: tuple[int, ...], form: str):
    batch, c_in, c_out, size = shape
    x, weight = (jax.ShapeDtypeStruct(s, "float32") for s in ((batch, c_in, size, size), (c_out, c_in, 3, 3)))
    problem = Problem.of(x, weight, (2, 2), [(1, 1)] * 2, (1, 1), 1)
    assert choose(TABLES[2], problem).name == form


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "forms"),
    [
        ((32, 64, 16, 56), 3, 1, ("kn2row", "flipped", "flipped")),
        ((32, 24, 24, 80), 3, 1, ("kn2row", "flipped", "spread")),
        ((32, 64, 64, 28), 3, 1, ("spread", "flipped", "spread")),
        ((32, 64, 64, 56), 3, 2, ("columns", "columns", "columns")),
        ((32, 64, 128, 64), 2, 2, ("columns", "columns", "columns")),
        ((4, 64, 64, 56), 3, 2, ("spread", "phases", "columns")),
    ],
)
def test_many_examples_have_forms_that_take_them_in_pieces(
    shape: tuple[int, ...], kernel: int, stride: int, forms: tuple[str, ...]
):
    batch, c_in, c_out, size = shape
    x, weight = ((batch, c_in, size, size), (c_out, c_in, kernel, kernel))
    padding = [(kernel // 2,) * 2] * 2 if kernel == 3 else [(0, 0)] * 2
    like = (jax.ShapeDtypeStruct(shape, "float32") for shape in (x, weight))
    problem = Problem.of(*like, (stride,) * 2, padding, (1, 1), 1)
    assert tuple(choose(table, problem).name for table in TABLES) == forms


def test_a_program_of_many_groups_is_as_small_as_that_of_some():
    def lines(groups: int) -> int:
        x, weight = jnp.ones((8, 16 * groups, 14, 14)), jnp.ones((16 * groups, 16, 3, 3))

        def loss(x: Any, weight: Any) -> Any:
            return jnp.sin(conv(x, weight, (1, 1), [(1, 1)] * 2, (1, 1), groups)).sum()

        return len(jax.jit(jax.grad(loss, (0, 1))).lower(x, weight).as_text().splitlines())

    assert lines(96) == lines(12)


def test_on_a_gpu_nothing_is_written_in_pieces():
    def gradients(x: Any, weight: Any) -> Any:
        return jax.grad(lambda x, w: jnp.sin(conv(x, w, (1, 1), [(0, 0)] * 2, (1, 1), 1)).sum(), (0, 1))(x, weight)

    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((256, 64, 56, 56), (256, 64, 1, 1))]
    text, on_cpu = (jax.jit(gradients).trace(*shapes).lower(lowering_platforms=(p,)).as_text() for p in ("cuda", "cpu"))
    assert "stablehlo.while" in on_cpu
    assert "stablehlo.while" not in text


def test_groups_are_never_left_to_a_plain_loop():
    pick = random.Random(0).choice
    for _ in range(2000):
        groups = pick([2, 4, 16, 64, 200])
        c_in, c_out = groups * pick([1, 2, 3, 6, 16]), groups * pick([1, 2, 12, 40])
        kernel = [pick([1, 2, 3, 5, 9])] * pick([1, 2, 3])
        settings = [[pick(of)] * len(kernel) for of in ([1, 2, 3, kernel[0]], [(0, 0), (2, 2)], [1, 1, 2])]
        size = [9 + 2 * kernel[0] * pick([1, 6])] * len(kernel)
        like = (pick([1, 4, 32]), c_in, *size), (c_out, c_in // groups, *kernel)
        arrays = (jax.ShapeDtypeStruct(shape, "float32") for shape in like)
        problem = Problem.of(*arrays, *settings, groups)
        for table in TABLES:
            assert choose(table, problem).name != "direct", problem


@pytest.mark.parametrize(
    ("settings", "forms"),
    [
        (((2, 3, 12, 12, 12), (16, 3, 3, 3, 3), 1, 1, 1), ("planes", "planes", "planes")),
        (((2, 16, 12, 12, 12), (16, 1, 3, 3, 3), 1, 1, 16), ("sums", "flipped", "sums")),
        (((2, 16, 12, 12, 12), (16, 1, 3, 3, 3), 2, 1, 16), ("sums", "phases", "sums")),
        (((2, 16, 12, 12, 12), (16, 1, 7, 7, 7), 1, 3, 16), ("sums in turn", "planes", "sums")),
        (((2, 64, 12, 12, 12), (64, 16, 3, 3, 3), 1, 1, 4), ("planes", "planes", "planes")),
        (((2, 3, 12, 12, 12), (16, 3, 4, 4, 4), 4, 0, 1), ("columns", "columns", "columns")),
        (((2, 64, 12, 12, 12), (16, 64, 3, 3, 3), 1, 1, 1), ("planes", "flipped", "flipped")),
        (((2, 8, 12, 12, 12), (4, 8, 1, 1, 1), 1, 0, 1), ("product", "product", "product")),
    ],
)
def test_what_has_a_depth_is_planes_or_has_few_terms_or_lies_in_patches(settings: Any, forms: tuple[str, ...]):
    x, weight, stride, padding, groups = settings
    shapes = (jax.ShapeDtypeStruct(shape, "float32") for shape in (x, weight))
    problem = Problem.of(*shapes, (stride,) * 3, [(padding,) * 2] * 3, (1,) * 3, groups)
    assert tuple(choose(table, problem).name for table in TABLES) == forms


@pytest.mark.parametrize("padding", [-1, 0, 1])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_kernel_of_one_tap_may_see_padding_or_a_part(padding: int, stride: int):
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(2, 4, 7, 6)), rng.normal(size=(6, 4, 1, 1))
    settings = (stride, 1), [(padding, 0), (1, padding)]
    with jax.enable_x64(True), only("product"):
        found, pull = jax.vjp(lambda x, w: conv(x, w, *settings, (1, 1), 1), x, weight)
        expected, pull_direct = jax.vjp(lambda x, w: lax.conv_general_dilated(x, w, *settings), x, weight)
        close([found, *pull(found)], [expected, *pull_direct(found)])


LARGE = ((4, 256, 256, 28), 1, ("winograd", "flipped", "winograd"))


@pytest.mark.parametrize(
    ("shape", "dilation", "forms"),
    [
        LARGE,
        (LARGE[0], 2, ("spread", "flipped", "piecewise")),
        ((4, 256, 256, 14), 1, ("spread", "columns", "direct")),  # too little to be saved
        ((4, 128, 256, 56), 1, ("spread", "flipped", "piecewise")),  # too few channels
        ((16, 256, 256, 112), 1, ("spread", "flipped", "spread")),  # too much memory
        ((16, 1024, 512, 7), 1, ("winograd", "flipped", "spread")),  # the weight is larger than the input
    ],
)
def test_a_large_kernel_of_three_takes_fewer_products(shape: tuple[int, ...], dilation: int, forms: tuple[str, ...]):
    batch, c_in, c_out, size = shape
    x, weight = (jax.ShapeDtypeStruct(s, "float32") for s in ((batch, c_in, size, size), (c_out, c_in, 3, 3)))
    problem = Problem.of(x, weight, (1, 1), [(dilation,) * 2] * 2, (dilation,) * 2, 1)
    assert tuple(choose(table, problem).name for table in TABLES) == forms


@pytest.mark.parametrize("precision", ["highest", "float32"])
def test_who_asks_for_precision_gets_every_product(precision: str):
    batch, c_in, c_out, size = LARGE[0]
    x, weight = (jax.ShapeDtypeStruct(s, "float32") for s in ((batch, c_in, size, size), (c_out, c_in, 3, 3)))
    problem = Problem.of(x, weight, (1, 1), [(1, 1)] * 2, (1, 1), 1)
    with jax.default_matmul_precision(precision):
        assert "winograd" not in [choose(table, problem).name for table in TABLES]


def test_fewer_products_are_as_exact():
    """In float32, of numbers whose mean is not 0, beside the exact sums."""
    rng = np.random.default_rng(0)
    x, weight = rng.normal(1, 1, size=(2, 64, 21, 18)), rng.normal(size=(32, 64, 3, 3))
    worst = {}
    with jax.enable_x64(True):
        exact, pull = jax.vjp(lambda x, w: lax.conv_general_dilated(x, w, (1, 1), [(1, 1)] * 2), x, weight)
        exact = [np.asarray(a) for a in (exact, *pull(exact))]
    for form in ("winograd", "direct"):
        with only(form):
            arrays = [jnp.asarray(a, "float32") for a in (x, weight)]
            found, pull = jax.vjp(lambda x, w: conv(x, w, (1, 1), [(1, 1)] * 2, (1, 1), 1), *arrays)
            found = [np.asarray(a, "float64") for a in (found, *pull(jnp.asarray(exact[0], "float32")))]
        worst[form] = [float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(found, exact, strict=True)]
    assert all(a < 4 * b for a, b in zip(worst["winograd"], worst["direct"], strict=True)), worst


@pytest.mark.parametrize("number", [np.inf, np.nan])
@pytest.mark.parametrize("place", [(3, 4), (4, 3), (0, 0), (7, 7)])
def test_an_infinity_stays_in_its_windows(number: float, place: tuple[int, int]):
    x, weight = jnp.ones((1, 2, 8, 8)).at[0, 0, *place].set(number), jnp.ones((1, 2, 3, 3))
    found = {}
    for form in ("direct", "winograd", "kn2row"):
        with only(form):
            found[form] = np.isfinite(conv(x, weight, (1, 1), [(1, 1)] * 2, (1, 1), 1))
    np.testing.assert_array_equal(found["winograd"], found["direct"])
    np.testing.assert_array_equal(found["kn2row"], found["direct"])


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("kernel", [1, 3])
def test_a_loop_keeps_the_inputs_and_nothing_computed_of_them(groups: int, kernel: int):
    """What is kept for the gradient is written out in each turn, be it only a part of the input under a tap."""
    x, weight = jnp.ones((2, 8, 6, 6)), jnp.ones((8, 8 // groups, kernel, kernel))

    def loss(x: jax.Array, weight: jax.Array) -> jax.Array:
        def turn(x: jax.Array, _: None) -> tuple[jax.Array, None]:
            return conv(x, weight, (1, 1), [(kernel // 2,) * 2] * 2, (1, 1), groups), None

        return jax.lax.scan(turn, x, length=4)[0].sum()

    traced = jax.make_jaxpr(jax.grad(loss, (0, 1)))(x, weight)
    loop = next(equation for equation in traced.eqns if equation.primitive.name == "scan")
    kept = [v.aval.shape for v in loop.outvars if v.aval.shape[:1] == (4,)]
    assert kept == [(4, *x.shape)]
