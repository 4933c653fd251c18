"""What cannot be converted is said with the module, the line, and what to do; all of it in one error."""

import inspect
import random
import threading

import numpy as np
import pytest
import torch
from small import net
from torch import nn

from jaxnets.convert import ConversionError, from_torch, to_source


class Decides(nn.Module):
    def forward(self, x):
        if x.sum() > 0:  # decides
            return x
        return -x


class Several(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.inner = nn.Linear(3, 3), Decides()

    def forward(self, x):
        k = int(x.abs().max().item())  # item
        y = self.inner(self.linear(x)) * k
        return y[torch.nonzero(y.sum(0)).squeeze()]  # nonzero


def line(cls, mark):
    lines, start = inspect.getsourcelines(cls)
    return f"{__file__}:{start + next(i for i, x in enumerate(lines) if x.rstrip().endswith(f'# {mark}'))} in forward"


def test_all_refusals_in_one_error():
    with pytest.raises(ConversionError) as raised:
        to_source(Several(), (torch.randn(2, 3),))
    title, *reasons = str(raised.value).splitlines()
    assert title == "Several cannot be converted, 3 reasons:"
    assert reasons[0] == (
        f"  item() of an array in the root module, {line(Several, 'item')}: "
        "keep it an array, or pass the number as an argument"
    )
    assert reasons[1] == (
        f"  a decision by the numbers of an array in module 'inner', {line(Decides, 'decides')}: "
        "choose with torch.where, or decide outside of it"
    )
    assert reasons[2].startswith("  aten.nonzero.default, which depends on the numbers of arrays, in the root module, ")
    assert line(Several, "nonzero") in reasons[2]


def endless(self, x):
    while x.norm() < 100:
        x = x * 2
    return x


def stateful(self, x):
    output, self.h = self.gru(x, self.h)
    return output


def counting(self, x):
    self.n += 1
    return x * self.n


def pointer(self, x):
    place = int(self.place)
    self.place += 1
    return x[:, place]


def growing(self, x):
    self.place = torch.cat([self.place, x.sum()[None]])
    return self.place


def takes(self, x, weight):
    return x @ weight


def drawing(self, x):
    return x * random.random() if self.training else x


def frozen(self, x):
    self.drop.eval()
    return self.drop(x)


def differentiates(self, x):
    x = x.detach().requires_grad_(True)
    return torch.autograd.grad(self.linear(x).pow(2).sum(), x, create_graph=True)[0]


def wrong_size(self, x):
    return x @ torch.ones(4, 4)


BY_TORCH = "raised by the torch module itself, in the root module"
BUFFER = nn.Buffer(torch.arange(3))

REFUSED = {
    "loop": (net(endless), "a decision by the numbers of an array in the root module"),
    "numpy": (net(lambda self, x: torch.from_numpy(np.sin(x.numpy()))), r"numpy\(\) of an array in the root module"),
    "tolist": (net(lambda self, x: torch.tensor(x.tolist())), r"\(\) of an array in the root module"),
    "parameter": (
        net(lambda self, x: x * self.p.item(), p=nn.Parameter(torch.ones(()))),
        r"item\(\) of an array in the root module",
    ),
    "plain list": (
        net(lambda self, x: self.layers[0](x), layers=[nn.Linear(3, 3)]),
        r"a parameter of shape \(3, 3\) that the module does not hold in .*: register it, or the layer that has it",
    ),
    "argument of a layer": (
        net(lambda self, x: self.inner(x, weight=self.layers[0].weight), inner=net(takes), layers=[nn.Linear(3, 3)]),
        r"a parameter of shape \(3, 3\) that the module does not hold in the root module, .*py:\d+ in <lambda>: reg",
    ),
    "buffer of another shape": (
        net(lambda self, x: self.inner(x), inner=net(growing, place=nn.Buffer(torch.zeros(0)))),
        r"1 reason:\n  .* for the buffer 'inner.place' in module 'inner', .*py:\d+ in <lambda>: keep its shape",
    ),
    "state": (
        net(stateful, gru=nn.GRU(3, 3), h=None),
        "depends on earlier calls, by the attribute 'h', .*: make it a buffer",
    ),
    "counter": (net(counting, n=0), "depends on earlier calls, by the attribute 'n', .*: make it a buffer"),
    "buffer as a number": (
        net(pointer, place=nn.Buffer(torch.tensor(0))),
        "a number that is read of the buffer 'place', which forward changes, .*: keep it an array",
    ),
    "growing buffer": (
        net(growing, place=nn.Buffer(torch.zeros(0))),
        "a value of another shape or dtype for the buffer 'place' in the root module: keep its shape and dtype",
    ),
    "attribute": (
        net(lambda self, x: self.rngs(x), rngs=nn.Linear(3, 3)),
        "an attribute named 'rngs', which is Flax's own",
    ),
    "argument": (net(lambda self, F: F), "an argument of forward named 'F', which the source needs for something else"),
    "mode": (
        net(frozen, drop=nn.Dropout()),
        r"Dropout 'drop', which is set to another mode than .*, in the root module, .*:\d+ in frozen: leave tr",
    ),
    "lazy": (
        net(lambda self, x: self.lazy(x), lazy=nn.LazyLinear(3)),
        "a LazyLinear without parameters yet in module 'lazy'",
    ),
    "random": (
        net(lambda self, x: self.inner(x), inner=net(drawing)),
        r"numbers of the Python module random in module 'inner', .*py:\d+ in drawing: draw with torch",
    ),
    "random numbers of numpy": (
        net(lambda self, x: x * np.random.rand()),
        r"numbers of the Python module numpy.random in the root module, .*py:\d+ in <lambda>: draw with torch",
    ),
    "copy": (
        net(lambda self, x: x, lock=threading.Lock()),
        r"copy\.deepcopy of it says: cannot pickle '_thread\.lock' object",
    ),
    "wrapper": (
        net(lambda self, x: x, m=nn.DataParallel(nn.ReLU())),
        "DataParallel in module 'm': convert its attribute module",
    ),
    "numbers": (
        net(lambda self, x: x * self.b.item(), b=BUFFER),
        r"RuntimeError: a Tensor with 3 elements .*, raised by t",
    ),
    "number": (net(lambda self, x: x * int(self.b), b=BUFFER), f"ValueError: only one element tensors .*, {BY_TORCH}"),
    "truth": (net(lambda self, x: x if self.b else -x, b=BUFFER), f"RuntimeError: Boolean value .*, {BY_TORCH}"),
    "numbers for numpy": (
        net(lambda self, x: x + np.asarray(self.b), b=nn.Buffer(torch.ones(3))),
        r"numpy\(\) of an array in the root module",
    ),
    "membership": (
        net(lambda self, x: x if 1 in x else -x),
        "a decision by the numbers of an array in the root module",
    ),
    "equality": (
        net(lambda self, x: x if torch.equal(self.b, self.b * 1) else -x, b=nn.Buffer(torch.ones(3))),
        "a decision by the numbers of an array in the root module",
    ),
    "packed": (
        net(lambda self, x: nn.utils.rnn.pad_packed_sequence(x)),
        f"AttributeError: 'Tensor' object has no attribute 'batch_sizes', {BY_TORCH}",
    ),
    "text": (
        net(lambda self, x: f"{x.sum():.2f}"),
        "TypeError: .*, raised by torch for arrays without numbers, in the root module, .*: write it with other",
    ),
    "no arguments": (
        net(lambda self, x, y: x),
        f"TypeError: .*missing 1 required positional argument: 'y', {BY_TORCH}",
    ),
    "example": (
        net(wrong_size),
        f"RuntimeError: mat1 and mat2 .*, {BY_TORCH}, .*: mend it, or give example inputs with",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal(name):
    module, message = REFUSED[name]
    before = {key: dict(vars(part)) for key, part in module.named_modules()}
    with pytest.raises(ConversionError, match=message) as raised:
        from_torch(module, (torch.randn(2, 3) if name != "state" else torch.randn(2, 1, 3),))
    assert str(raised.value).startswith("Net cannot be converted")
    assert {key: dict(vars(part)) for key, part in module.named_modules()} == before


def test_arrays_from_code_that_is_not_seen():
    with pytest.raises(
        ConversionError, match=r"in the root module: it comes from code that is not seen, such as torch\."
    ):
        to_source(net(differentiates, linear=nn.Linear(3, 1)), (torch.randn(2, 3),))


def test_what_is_no_module():
    with pytest.raises(TypeError, match=r"module: expected a torch\.nn\.Module, got function"):
        to_source(torch.nn.functional.relu, (torch.ones(3),))


def test_a_result_that_source_cannot_say():
    with pytest.raises(
        ConversionError, match=r"^what forward returns in the root module: .* of type list_iterator; use"
    ):
        to_source(net(lambda self, x: iter([x])), (torch.randn(2, 3),))
