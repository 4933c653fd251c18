"""What counts as a stock layer, what does not, and what is refused."""

import copy
import warnings

import numpy as np
import pytest
import torch
from torch.nn.utils import prune

from jaxnets.convert.errors import ConversionError
from jaxnets.convert.layers.calls import Array, Build, Function
from jaxnets.convert.layers.stock import build, is_stock

T = torch.nn
F = torch.nn.functional


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def changed(module, **attributes):
    """The module with other attributes; a double underscore stands for a dot."""
    for path, value in attributes.items():
        *parts, name = path.split("__")
        setattr(module.get_submodule(".".join(parts)), name, value)
    return module


def encoder_layer(**kwargs):
    return T.TransformerEncoderLayer(8, 2, 16, **kwargs)


def encoder(**kwargs):
    return T.TransformerEncoder(encoder_layer(), 3, **kwargs)


class Narrow(T.Conv2d):
    """Other arguments, the same numbers."""

    def __init__(self, width):
        super().__init__(3, width, 3, padding=1)
        self.note = "mine"

    def reset_parameters(self):
        T.init.ones_(self.weight)

    def extra_repr(self):
        return "narrow"

    def narrower(self):
        return Narrow(self.out_channels // 2)


class Same(T.Linear):
    forward = T.Linear.forward


class Forward(Same):
    def forward(self, input):
        return super().forward(input)


class Inside(T.Conv2d):
    def _conv_forward(self, input, weight, bias):
        return super()._conv_forward(input, weight + 1, bias)


class Parametrizations(T.Linear):
    """Looks like what torch makes of a parametrized layer."""

    def __init__(self):
        super().__init__(2, 3)
        self.parametrizations = T.ModuleDict({"weight": T.ModuleList()})

    def forward(self, input):
        return input


class Called(T.Linear):
    def __call__(self, input):
        return super().__call__(input) + 1


class Attributes(T.Linear):
    def __getattr__(self, name):
        return super().__getattr__(name)


class Frozen(T.BatchNorm2d):
    def train(self, mode=True):
        return super().train(False)


class Layer(T.TransformerEncoderLayer):
    def _ff_block(self, x):
        return x


STOCK = {
    "a plain layer": lambda: T.Linear(2, 3),
    "a subclass with another constructor": lambda: Narrow(4),
    "a subclass that says what it inherits": lambda: Same(2, 3),
    "a subclass of torch's": lambda: T.modules.linear.NonDynamicallyQuantizableLinear(2, 3),
    "without data": lambda: T.Linear(2, 3, device="meta"),
    "evaluated and frozen": lambda: T.Linear(2, 3).eval().requires_grad_(False),
    "dilated afterwards": lambda: changed(T.Conv2d(3, 4, 3, padding=1), padding=(2, 2), dilation=(2, 2)),
    "made circular afterwards": lambda: changed(T.Conv2d(3, 4, 3, padding=1), padding_mode="circular"),
    "copied": lambda: copy.deepcopy(encoder()),
    "a decoder that has lost its activation": lambda: T.TransformerDecoder(
        T.TransformerDecoderLayer(8, 2, 16, activation=T.GELU()), 2
    ),
    "with a layer as activation": lambda: encoder_layer(activation=T.PReLU()),
    "with a norm": lambda: encoder(norm=T.LayerNorm(8)),
    "with a custom part": lambda: T.Transformer(8, 2, 1, 1, 16, custom_decoder=T.Bilinear(2, 3, 4)),
}

NOT_STOCK = {
    "a container": lambda: T.Sequential(T.Linear(2, 3)),
    "a module of one's own": lambda: T.Module(),
    "another forward": lambda: Forward(2, 3),
    "another method that forward calls": lambda: Inside(3, 4, 3),
    "a part that is called as torch's are": Parametrizations,
    "another call": lambda: Called(2, 3),
    "other attributes": lambda: Attributes(2, 3),
    "another train": lambda: Frozen(3),
    "another forward of the object": lambda: changed(T.Linear(2, 3), forward=lambda x: x),
    "a parameter more": lambda: changed(T.Linear(2, 3), scale=T.Parameter(torch.ones(3))),
    "a layer more": lambda: changed(T.Linear(2, 3), adapter=T.Linear(2, 3)),
    "another shape": lambda: changed(T.Linear(2, 3), weight=T.Parameter(torch.ones(4, 2))),
    "no statistics although they are tracked": lambda: changed(T.BatchNorm2d(3), running_mean=None),
    "statistics although they are not tracked": lambda: changed(T.BatchNorm2d(3), track_running_stats=False),
    "a layer of one's own within": lambda: T.TransformerEncoder(Layer(8, 2, 16), 2),
    "a container within": lambda: encoder(norm=T.Sequential(T.LayerNorm(8))),
    "another layer within": lambda: changed(encoder_layer(), linear1=T.Identity()),
    "another attention within": lambda: changed(encoder_layer(), self_attn=T.MultiheadAttention(8, 2, bias=False)),
    "other layers": lambda: changed(encoder(), layers__1__norm1=T.LayerNorm(8, eps=1e-3)),
    "another probability within": lambda: changed(encoder(), layers__1__dropout1__p=0.5),
    "fewer layers": lambda: changed(encoder(), layers=T.ModuleList([encoder_layer()])),
    "the same layer twice": lambda: changed(e := encoder(), layers__1=e.layers[0]),
    "tied weights": lambda: changed(e := encoder(), layers__1__linear1__weight=e.layers[0].linear1.weight),
    "a normalised layer within": lambda: changed(encoder_layer(), linear1=T.utils.weight_norm(T.Linear(8, 16))),
    "a function of one's own": lambda: encoder_layer(activation=lambda x: x),
    "a distance of one's own": lambda: T.TripletMarginWithDistanceLoss(distance_function=lambda x, y: x),
    "a layer that has lost its activation": lambda: copy.deepcopy(T.TransformerDecoderLayer(8, 2, activation=T.GELU())),
    "a custom part of one's own": lambda: T.Transformer(8, 2, 1, 1, 16, custom_encoder=T.Module()),
    "pruned": lambda: prune.random_unstructured(T.Linear(2, 3), "weight", 0.5),
}


@pytest.mark.parametrize("what", STOCK)
def test_stock(what):
    assert is_stock(STOCK[what]())


@pytest.mark.parametrize("what", NOT_STOCK)
def test_not_stock(what):
    module = NOT_STOCK[what]()
    assert not is_stock(module)
    with pytest.raises(ConversionError, match=rf"{type(module).__name__}: |layer that jaxnets.nn has"):
        build(module)


@pytest.mark.parametrize(
    "register", ["forward_hook", "forward_pre_hook", "full_backward_hook", "full_backward_pre_hook"]
)
@pytest.mark.parametrize("make", [lambda: T.Linear(2, 3), encoder])
def test_hooks(make, register):
    module = make()
    hooked = list(module.modules())[-1]
    handle = getattr(hooked, f"register_{register}")(lambda *args: None)
    assert not is_stock(module)
    handle.remove()
    assert is_stock(module)


REFUSED = {
    "named axes": (
        lambda: T.Unflatten("channels", (2, 2)),
        r"^Unflatten: dim, unflattened_size: expected an int and ints, .*, got 'channels', \(2, 2\); name the axis by",
    ),
    "padding that is not used": (
        lambda: changed(T.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), padding=(2, 2)),
        r"^Conv2d: _reversed_padding_repeated_twice: expected \(2, 2, 2, 2\), .*, got \(1, 1, 1, 1\); build the layer",
    ),
    "a setting that torch does not take": (
        lambda: changed(T.Dropout(), p=2.0),
        r"^Dropout: expected settings that its constructor takes, but torch says: .* got 2.0; build the layer anew",
    ),
    "no number": (
        lambda: changed(T.Dropout(), p={0.5}),
        r"^Dropout: p: expected numbers, strings, tuples of them or None, got \{0.5\}; set the attribute",
    ),
    "a group of processes": (
        lambda: changed(T.SyncBatchNorm(3), process_group=object()),
        r"^SyncBatchNorm: process_group: expected None, got a group of processes .*; convert with None",
    ),
    "weights without data": (
        lambda: T.NLLLoss(torch.ones(3, device="meta")),
        r"^NLLLoss: weight: expected a tensor with numbers: .* meta device",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refusals(what):
    make, message = REFUSED[what]
    assert is_stock(make())
    with pytest.raises(ConversionError, match=message):
        build(make())


def test_nothing_is_changed_and_nothing_drawn():
    layer = T.utils.parametrizations.spectral_norm(T.LSTM(3, 4, dropout=0.5), "weight_hh_l0")
    before = copy.deepcopy(layer.state_dict())
    state = torch.get_rng_state()
    build(layer)
    build(T.Transformer(8, 2, 1, 1, 16, device="meta"))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(x, before[name]) for name, x in layer.state_dict().items())


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("float32", None), ("float64", "float64"), ("bfloat16", "bfloat16"), ("complex64", "complex64")],
)
def test_dtype_is_that_of_the_parameters(dtype, expected):
    found = build(T.Linear(2, 3, dtype=getattr(torch, dtype))).args["dtype"]
    assert found is None if expected is None else found.name == expected


def test_dtype_of_what_has_several():
    assert build(changed(encoder(norm=T.LayerNorm(8)).double(), norm=T.LayerNorm(8))).args["norm"].args["dtype"] is None
    assert build(T.BatchNorm1d(3, affine=False, dtype=torch.float64)).args["dtype"] == np.float64
    assert build(T.BatchNorm1d(3, affine=False, track_running_stats=False)).args["dtype"] is None
    loss = T.LinearCrossEntropyLoss(3, 4, weight=torch.ones(4).double())
    assert build(loss).args["dtype"] is None


def test_builds_are_equal_if_they_say_the_same():
    layers = [
        T.Linear(2, 3),
        T.Linear(2, 3),
        T.Linear(2, 3, dtype=torch.float64),
        T.NLLLoss(torch.ones(3)),
        T.NLLLoss(),
    ]
    a, b, double, weighted, plain = map(build, layers)
    assert a == b
    assert len({a, b, double, weighted, plain, build(T.NLLLoss(torch.ones(3)))}) == 4
    assert a != double
    assert weighted.args["weight"] == Array(np.ones(3, np.float32)) != Array(np.ones(3))


@pytest.mark.parametrize(
    ("module", "argument", "expected"),
    [
        (lambda: encoder_layer(activation="gelu"), "activation", Function("gelu")),
        (lambda: encoder_layer(activation=torch.relu), "activation", Function("relu")),
        (lambda: encoder_layer(activation=T.GELU("tanh")), "activation", Build("GELU", {"approximate": "tanh"})),
        (lambda: T.TripletMarginWithDistanceLoss(), "distance_function", None),
        (lambda: T.TripletMarginWithDistanceLoss(distance_function=T.PairwiseDistance()), "distance_function", None),
        (
            lambda: T.TripletMarginWithDistanceLoss(distance_function=F.pairwise_distance),
            "distance_function",
            Function("pairwise_distance"),
        ),
        (
            lambda: T.TripletMarginWithDistanceLoss(distance_function=T.PairwiseDistance(p=1)),
            "distance_function",
            Build("PairwiseDistance", {"p": 1, "eps": 1e-6, "keepdim": False}),
        ),
        (lambda: T.MultiheadAttention(8, 2, kdim=8, vdim=3), "kdim", None),
        (lambda: T.MultiheadAttention(8, 2, kdim=8, vdim=3), "vdim", 3),
        (lambda: T.MaxPool2d(2, 2), "stride", None),
        (lambda: T.RNNBase("LSTM", 3, 4), "mode", "LSTM"),
        (lambda: T.RNNCellBase(3, 4, True, 2), "num_chunks", 2),
        (lambda: T.Linear(np.int64(2), 3), "in_features", 2),
        (lambda: T.Transformer(8, 2, 1, 1, 16, custom_encoder=encoder()), "num_encoder_layers", 6),
        (lambda: T.Transformer(8, 2, 1, 1, 16, custom_encoder=encoder()), "dim_feedforward", 16),
    ],
)
def test_arguments_that_are_deduced(module, argument, expected):
    found = build(module()).args[argument]
    assert found == expected
    assert type(found) is type(expected)
