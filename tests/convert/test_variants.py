"""One class for modules of one torch class that differ: arguments, layers that some lack, layers of their own."""

import pytest
from proof import proven
from small import net, normal
from torch import nn

pytestmark = pytest.mark.usefixtures("seed", "promotion")


def through(self, x):
    for layer in self.layers:
        x = layer(x)
    return x


class Unit(nn.Sequential):
    def __init__(self, inputs, outputs, size):
        super().__init__(nn.Conv2d(inputs, outputs, size, padding=size // 2), nn.ReLU())


class Gate(nn.Module):
    def __init__(self, channels, inner):
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1)

    def forward(self, x):
        return x * self.up(self.down(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class Inverted(nn.Module):
    """Expanded or not, gated or not, normalised or not, as the blocks of mobile networks are."""

    def __init__(self, inputs, inner, outputs, size, *, gate=0, norm=True):
        super().__init__()
        layers = [Unit(inputs, inner, 1)] if inner != inputs else []
        layers += [Unit(inner, inner, size)]
        layers += [Gate(inner, gate)] if gate else []
        layers += [nn.Conv2d(inner, outputs, 1, bias=not norm)]
        layers += [nn.BatchNorm2d(outputs)] if norm else []
        self.block = nn.Sequential(*layers)
        self.adds = inputs == outputs

    def forward(self, x):
        return x + self.block(x) if self.adds else self.block(x)


def test_layers_that_some_chains_lack():
    variants = [
        (4, 4, 6, 3, {"gate": 2}),
        (6, 12, 8, 5, {"gate": 3}),
        (8, 8, 8, 3, {}),
        (8, 16, 10, 3, {"norm": False}),
    ]
    module = net(through, layers=nn.ModuleList(Inverted(*v, **more) for *v, more in variants))
    model, source = proven(module, normal(2, 4, 6, 6))
    assert [len(x.block) for x in model.layers] == [4, 5, 3, 3]
    assert source.count("class Inverted(") == 1
    assert "if has_batch_norm2d else None" in source, "a layer whose arguments all others have, too"
    assert "if in_channels is not None else None" in " ".join(source.split()), "one with an argument of its own"
    assert "hidden_channels" in source


@pytest.mark.parametrize("depths", [(1, 2, 4), (3, 1)])
def test_chains_that_repeat_one_layer_are_given_whole(depths):
    class Stage(nn.Module):
        def __init__(self, depth):
            super().__init__()
            self.blocks = nn.Sequential(nn.Linear(4, 4), *(Halves() for _ in range(depth)))

        def forward(self, x):
            return self.blocks(x)

    class Halves(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x):
            return self.linear(x) / 2

    _, source = proven(net(through, layers=nn.ModuleList(map(Stage, depths))), normal(3, 4))
    assert "layer is not None" not in source


def test_equal_layers_in_two_places_are_not_one():
    class Block(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.a, self.b = layer(), layer()

        def forward(self, x):
            return self.b(self.a(x) - 1)

    module = net(through, layers=nn.ModuleList(map(Block, (nn.PReLU, nn.ReLU, lambda: nn.Linear(3, 3)))))
    model, _ = proven(module, normal(2, 3))
    assert model.layers[0].a is not model.layers[0].b
    assert model.layers[2].a.weight is not model.layers[2].b.weight
