"""What layers give is kept from one look to the next: it has to be what they would give."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import jaxnets
from jaxnets.convert import ConversionError
from jaxnets.convert.tracing import leaves

MADE = {
    **{cls: (cls(), (5, 6)) for cls in leaves.ELEMENTS},
    nn.Linear: (nn.Linear(6, 7), (5, 6)),
    nn.PReLU: (nn.PReLU(5), (5, 6)),
    nn.GroupNorm: (nn.GroupNorm(1, 5), (5, 6)),
    nn.Embedding: (nn.Embedding(9, 4), (5, 6)),
    **{getattr(nn, f"BatchNorm{n}d"): (getattr(nn, f"BatchNorm{n}d")(5), (5, *[6] * n)) for n in (1, 2, 3)},
    **{getattr(nn, f"Conv{n}d"): (getattr(nn, f"Conv{n}d")(5, 2, 3, stride=2), (5, *[9] * n)) for n in (1, 2, 3)},
    **{getattr(nn, f"{k}Pool{n}d"): (getattr(nn, f"{k}Pool{n}d")(2), (5, *[9] * n))
       for k in ("Avg", "Max", "AdaptiveAvg", "AdaptiveMax") for n in (1, 2, 3)},
}  # fmt: skip


def test_every_layer_is_tried():
    assert MADE.keys() == leaves.ROWS.keys()


@pytest.mark.parametrize("cls", MADE, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("train", [True, False])
def test_kept_outputs_are_those_of_a_run(cls, train):
    layer, row = MADE[cls]
    layer = layer.requires_grad_(False).train(train)
    kept, runs = leaves.Leaves(), []

    def forward(x):
        runs.append(x)
        return layer(x)

    dtype = torch.int64 if cls is nn.Embedding else torch.float32
    with FakeTensorMode(allow_non_fake_inputs=True):
        kept.run("a", layer, forward, (torch.empty(3, *row, dtype=dtype),), {})
        x = torch.empty(7, *row, dtype=dtype)
        found, expected = kept.run("a", layer, forward, (x,), {}), layer(x)
        assert len(runs) == 1
        assert type(found) is type(expected)
        for name in ("shape", "dtype", "device", "layout", "requires_grad"):
            assert getattr(found, name) == getattr(expected, name)
        assert found.stride() == expected.stride()


@pytest.mark.parametrize("cls", [nn.ReLU, nn.Conv2d, nn.MaxPool1d, nn.Embedding], ids=lambda cls: cls.__name__)
def test_other_rows_are_run(cls):
    (layer, row), kept, runs = MADE[cls], leaves.Leaves(), []
    dtype = torch.int64 if cls is nn.Embedding else torch.float32
    with FakeTensorMode(allow_non_fake_inputs=True):
        for last in (row[-1], row[-1] + 2):
            x = torch.empty(3, *row[:-1], last, dtype=dtype)
            kept.run("a", layer.requires_grad_(False), lambda y: runs.append(y) or layer(y), (x,), {})
    assert len(runs) == 2


def test_dropout_is_an_alias_in_evaluation():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(0.5)

        def forward(self, x):
            x = x * 1
            y = self.drop(x)
            y += 1
            return x, y

    module = Both().eval()
    x = torch.ones(2, 3)
    for found, expected in zip(jaxnets.from_torch(module, (x,))(x.numpy()), module(x), strict=True):
        assert (found == expected.numpy()).all()


def test_a_layer_that_writes_into_its_input():
    layer, kept = nn.ReLU(inplace=True), leaves.Leaves()
    with FakeTensorMode():
        for rows in (3, 7):
            x = torch.empty(rows, 5)
            assert kept.run("a", layer, layer, (x,), {}) is x
            assert x._version == 1


@pytest.mark.parametrize(
    "x",
    [
        torch.ones(1, 5, 6, 6),  # in training, statistics of one row may be refused
        torch.ones(3, 5, 6, 6).to(memory_format=torch.channels_last),
        torch.ones(5, 6, 6),  # without a batch
    ],
)
def test_other_inputs_are_run(x):
    layer, kept, runs = nn.Conv2d(5, 5, 3).requires_grad_(False), leaves.Leaves(), []
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        for _ in range(2):
            kept.run("a", layer, lambda y: runs.append(y) or layer(y), (mode.from_tensor(x),), {})
    assert len(runs) == 2


def test_a_convolution_whose_channels_look_like_a_batch():
    class Unbatched(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(2, 2, 3)

        def forward(self, x):
            return self.conv(x)

    model = jaxnets.from_torch(Unbatched(), (torch.ones(2, 8),))
    assert model(torch.ones(2, 8).numpy()).shape == (2, 6)
    with pytest.raises(ValueError, match="shape"):
        model(torch.ones(3, 8).numpy())


def test_mistakes_of_the_larger_batch_are_refused():
    class Halves(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(4)

        def forward(self, x):
            return self.norm(x.reshape(-1, 4, 3)) if x.shape[0] > 100 else self.norm(x)

    with pytest.raises(ConversionError):
        jaxnets.from_torch(Halves(), (torch.ones(2, 5),))
