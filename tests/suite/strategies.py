"""Cases at random, by family: what the databases of cases miss, shrinking to a case that one can read."""

from itertools import pairwise

from hypothesis import strategies as st

from parity import Case, Packed, bools, hard, integers, normal, rounded, uniform

SIZES = st.integers(0, 4)
SOME = st.integers(1, 4)
BOTH = st.booleans()


@st.composite
def floats(draw, *shape):
    """Ordinary numbers, ties, a huge mean, infinite and missing numbers."""
    return draw(st.sampled_from([normal, rounded, lambda *s: normal(*s, mean=1000.0), hard]))(*shape)


@st.composite
def numbers(draw, *shape):
    """Floats, or integers and booleans, which torch may refuse; where there are none it does not look."""
    if 0 in shape:
        return draw(floats(*shape))
    return draw(st.one_of(floats(*shape), st.sampled_from([integers(*shape, low=-3, high=4), bools(*shape)])))


@st.composite
def shapes(draw, least=0, most=3):
    """Numbers, empty arrays and single elements among them."""
    return tuple(draw(st.lists(SIZES, min_size=least, max_size=most)))


ELEMENTWISE = (
    ("ReLU", {}), ("ReLU6", {}), ("LeakyReLU", {"negative_slope": -0.3}), ("Hardtanh", {"min_val": -0.5}),
    ("Hardsigmoid", {}), ("Hardswish", {}), ("Threshold", {"threshold": 0.5, "value": 3.0}), ("Tanh", {}),
    ("Sigmoid", {}), ("SiLU", {}), ("GELU", {}), ("GELU", {"approximate": "tanh"}), ("Softplus", {"beta": 2.0}),
    ("Softsign", {}), ("LogSigmoid", {}), ("Mish", {}), ("SELU", {}), ("CELU", {"alpha": 0.5}), ("ELU", {"alpha": 2.0}),
    ("Softshrink", {"lambd": 0.7}), ("Hardshrink", {}), ("Tanhshrink", {}),
)  # fmt: skip


@st.composite
def elementwise(draw):
    target, options = draw(st.sampled_from(ELEMENTWISE))
    return Case(target, (), options, inputs=(draw(numbers(*draw(shapes()))),))


@st.composite
def linear(draw):
    features = draw(SIZES)
    x = draw(numbers(*draw(shapes(most=2)), features + draw(st.sampled_from([0, 0, 0, 1]))))
    return Case("Linear", (features, draw(SIZES)), {"bias": draw(BOTH)}, inputs=(x,))


@st.composite
def conv(draw):
    """Plain and transposed, eager or lazy; sizes that do not fit among them."""
    n, lazy, transposed = draw(st.integers(1, 2)), draw(BOTH), draw(BOTH)
    groups = draw(st.integers(1, 2))
    channels = groups * draw(st.integers(1, 2)) + draw(st.sampled_from([0, 0, 0, 1]))
    options = {name: draw(st.integers(least, 3)) for name, least in (("stride", 1), ("padding", 0), ("dilation", 1))}
    options |= {"groups": groups, "bias": draw(BOTH)}
    if transposed:
        options["output_padding"] = draw(st.integers(0, 2))
    else:
        options["padding_mode"] = draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"]))
    batch = draw(st.sampled_from([(), (1,), (2,), (0,)]))
    x = draw(numbers(*batch, channels, *(draw(st.integers(1, 7)) for _ in range(n))))
    name = f"{'Lazy' * lazy}Conv{'Transpose' * transposed}{n}d"
    return Case(name, (*(() if lazy else (channels,)), groups * 2, draw(SOME)), options, inputs=(x,))


@st.composite
def batchnorm(draw):
    channels = draw(SOME)
    options = {"affine": draw(BOTH), "track_running_stats": draw(BOTH), "momentum": draw(st.sampled_from([None, 0.3]))}
    N, rest = draw(SIZES), draw(st.sampled_from([(), (3,), (1,), (0,)]))
    wrong = N and rest != (0,) and draw(st.integers(0, 3)) == 3  # of nothing torch does not count the channels
    x = draw(numbers(N, channels + wrong, *rest))
    return Case("BatchNorm1d", (channels, draw(st.sampled_from([1e-5, 0.1]))), options, inputs=(x,))


@st.composite
def loss(draw):
    """Cross entropies of classes and of probabilities, binary ones and NLL: weights, smoothing, ignored classes."""
    kind = draw(st.sampled_from(["CrossEntropyLoss", "NLLLoss", "BCEWithLogitsLoss", "BCELoss", "KLDivLoss"]))
    N, C, rest = draw(SIZES), draw(SOME), draw(st.sampled_from([(), (2,), (2, 1)]))
    options = {"reduction": draw(st.sampled_from(["none", "mean", "sum"]))}
    scores, target = draw(numbers(N, C, *rest)), uniform(N, C, *rest)
    if kind == "BCELoss":
        scores = uniform(N, C, *rest)
    elif kind == "KLDivLoss":
        options["log_target"] = draw(BOTH)
    elif kind in ("CrossEntropyLoss", "NLLLoss"):
        if kind == "CrossEntropyLoss":
            options["label_smoothing"] = draw(st.sampled_from([0.0, 0.3]))
        if kind == "NLLLoss" or draw(BOTH):
            options["ignore_index"] = draw(st.sampled_from([-100, 0]))
            target = integers(N, *rest, high=C)
        if draw(BOTH):
            options["weight"] = uniform(C)
    return Case(kind, (), options, inputs=(scores, target))


@st.composite
def rnn(draw):
    kind = draw(st.sampled_from(["RNN", "LSTM", "GRU"]))
    size, hidden, layers, both = draw(SOME), draw(st.integers(2, 3)), draw(st.integers(1, 2)), draw(BOTH)
    options = {"bidirectional": both, "bias": draw(BOTH), "batch_first": draw(BOTH)}
    if kind == "LSTM" and draw(BOTH):
        options["proj_size"] = 1
    first = options["batch_first"]
    N, T = draw(SOME), draw(SOME)
    if draw(BOTH):
        lengths = tuple(draw(st.lists(st.integers(1, T), min_size=N, max_size=N)))
        T = max(lengths)
        x = Packed(normal(*((N, T) if first else (T, N)), size), lengths, batch_first=first, enforce_sorted=False)
    else:
        axes = draw(st.sampled_from([(T,), (N, T) if first else (T, N)]))
        x = draw(numbers(*axes, size + draw(st.sampled_from([0, 0, 0, 1]))))
    return Case(kind, (size, hidden, layers), options, inputs=(x,))


@st.composite
def sparse(draw):
    """Indices in and out of range, of any integer dtype or none."""
    rows = draw(SOME)
    options = {"padding_idx": draw(st.sampled_from([None, 0, -1])), "scale_grad_by_freq": draw(BOTH)}
    if draw(BOTH):
        options["max_norm"] = 0.8
    index = draw(st.sampled_from([integers, normal, bools]))
    shape = draw(shapes())
    x = integers(*shape, low=draw(st.sampled_from([0, 0, 0, -1])), high=rows) if index is integers else index(*shape)
    return Case("Embedding", (rows, draw(SOME)), options, inputs=(x,))


@st.composite
def container(draw):
    """Layers in a row, of sizes that may not fit."""
    sizes = draw(st.lists(SOME, min_size=1, max_size=3))
    layers = [Case("Linear", (a, b)) for a, b in pairwise(sizes)]
    layers += [Case(name, (), options) for name, options in draw(st.lists(st.sampled_from(ELEMENTWISE), max_size=2))]
    return Case("Sequential", tuple(draw(st.permutations(layers))), inputs=(draw(numbers(draw(SIZES), sizes[0])),))


FAMILIES = {
    "activation": elementwise(),
    "batchnorm": batchnorm(),
    "container": container(),
    "conv": conv(),
    "linear": linear(),
    "loss": loss(),
    "rnn": rnn(),
    "sparse": sparse(),
}
"""The families whose own tests draw no cases; `lazy` is in `conv`, `rectifier` in `activation`."""
