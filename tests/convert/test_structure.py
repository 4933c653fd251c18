"""How source is put together: names, shared and nested parts, calls in several ways, state, hooks, arguments."""

import collections
import copy
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from proof import proven
from small import net, normal
from torch import nn

from jaxnets.convert import from_torch, to_source
from parity import assert_parity

pytestmark = pytest.mark.usefixtures("seed", "promotion")


def buffers(module, **arrays):
    for name, x in arrays.items():
        module.register_buffer(name, x)
    return module


# -- parts -----------------------------------------------------------------------------------------------------------


def test_one_layer_under_several_names():
    layer = nn.Linear(3, 3)

    def forward(self, x):
        return self.s(self.d["c-d"](self.b(self.a(x)).tanh())) + self.e["q"](x) * self.p * self.pl[0] + self.pd["x y"]

    p = nn.Parameter(torch.randn(3))
    module = net(
        forward,
        a=layer,
        b=layer,
        d=nn.ModuleDict({"a": layer, "c-d": layer}),
        s=nn.Sequential(layer, nn.ReLU(), layer),
        e=nn.ModuleDict({"q": nn.Linear(3, 3)}),
        p=p,
        pl=nn.ParameterList([p, nn.Parameter(torch.randn(3))]),
        pd=nn.ParameterDict({"x y": p}),
    )
    module.e["q"].weight = layer.weight
    model, _ = proven(module, normal(2, 3))
    assert model.a is model.b is model.s[0] is model.d["c-d"]
    assert model.a.weight is model.e["q"].weight


def test_containers_in_containers():
    def forward(self, x, choice="last"):
        for layer in self.layers[0]:
            x = layer(x)
        x = self.layers[1](x)
        for p in self.p:
            x = x * p
        for key in self.d:
            x = x + self.d[key]
        return self.m["x"][choice](x)

    def linear():
        return nn.Linear(3, 3)

    module = net(
        forward,
        layers=nn.ModuleList(
            [nn.ModuleList([linear(), linear()]), nn.Sequential(linear(), nn.Sequential(linear(), nn.Tanh()))]
        ),
        p=nn.ParameterList([nn.Parameter(torch.randn(3)) for _ in range(2)]),
        d=nn.ParameterDict({"a": nn.Parameter(torch.randn(3)), "b c": nn.Parameter(torch.randn(3))}),
        m=nn.ModuleDict({"x": nn.ModuleDict({"first": linear(), "last": nn.Linear(3, 2)})}),
    )
    model, _ = proven(module, normal(2, 3))
    with pytest.raises(ValueError, match="choice: expected 'last', for which this module was converted, got 'first'"):
        model(jnp.ones((2, 3)), "first")


class Doubled(nn.Linear):
    def forward(self, x):
        return F.linear(x, self.weight * 2, self.bias)


class Halved(nn.Conv2d):
    def forward(self, x):
        return super().forward(x) * 0.5


class Standardised(nn.Conv2d):
    def forward(self, x):
        weight = self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class ChannelNorm(nn.LayerNorm):
    def forward(self, x):
        x = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class Shifted(nn.BatchNorm2d):
    def forward(self, x):
        return super().forward(x) + 1


class Skip(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


def test_subclasses_of_layers_with_a_forward_of_their_own():
    module = nn.Sequential(
        *(Halved(3, 4, 3), Standardised(4, 4, 3, padding=1), ChannelNorm(4), Shifted(4)),
        *(Skip(nn.Conv2d(4, 4, 1), nn.ReLU()), nn.AdaptiveAvgPool2d(1), nn.Flatten(), Doubled(4, 2)),
    )
    proven(module, normal(2, 3, 6, 7), others=[normal(3, 3, 6, 7)])


def test_names_that_python_and_the_source_use():
    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.p = nn.Parameter(torch.randn(3))

        def forward(self, x):
            return F.relu(x + self.p)

    kinds = [type(n, (Linear,), {}) for n in ("F", "jnp", "nn", "nnx", "OrderedDict", "Module", "super", "Linear")]

    def forward(self, x):
        jax, nnx = self.kinds(x), x + 1
        for name in ("class", "1x1", "F", "data", "value"):
            jax = getattr(self, name)(jax) + nnx
        sum = F.dropout(jax, 0.0, self.training)
        return sum * getattr(self, "lambda") + getattr(self, "a-b")

    parts = dict.fromkeys(["class", "1x1", "F", "data", "value"])
    module = net(forward, kinds=nn.Sequential(*(kind() for kind in kinds)), **{n: nn.Linear(3, 3) for n in parts})
    module.register_parameter("lambda", nn.Parameter(torch.randn(3)))
    module.register_buffer("a-b", torch.randn(3))
    _, source = proven(module, normal(2, 3))
    assert "class F2(nnx.Module):" in source
    assert 'setattr(self, "lambda", ' in source


def test_two_classes_of_one_name():
    def block(k):
        class Block(nn.Module):
            def __init__(self):
                super().__init__()
                self.linear = nn.Linear(3, 3)

            def forward(self, x):
                return self.linear(x) * k if k > 1 else self.linear(x).relu()

        return Block()

    _, source = proven(nn.Sequential(block(1), block(2)), normal(2, 3))
    assert "class Block(nnx.Module):" in source
    assert "class Block2(nnx.Module):" in source


def test_layers_and_parameters_that_are_never_used():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 3)

    module = net(lambda self, x: self.linear(x), linear=nn.Linear(3, 2), conv=nn.Conv2d(3, 4, 3), own=Unused())
    module.p, module.empty = nn.Parameter(torch.randn(2)), nn.ModuleList()
    model, _ = proven(module, normal(2, 3))
    with pytest.raises(NotImplementedError, match="Unused was not called when this source was written"):
        model.own(jnp.ones(3))


def test_frozen_parameters():
    module = net(lambda self, x: self.m(x) * self.p, m=nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)))
    module.p = nn.Parameter(torch.randn(2), requires_grad=False)
    module.m[0].requires_grad_(False)
    model, source = proven(module, normal(3, 3), double=True)
    assert "nn.utils.freeze(self.m[0])" in source
    assert model.m[0].weight.get_metadata("requires_grad") is False


def test_normalised_and_lazy_layers():
    module = net(
        lambda self, x: self.c(self.b(self.a(x)).flatten(1)),
        a=nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)),
        b=nn.utils.parametrizations.spectral_norm(nn.Conv1d(2, 3, 1)),
        c=nn.LazyLinear(2),
    )
    module(normal(2, 2, 3))
    proven(module, normal(3, 2, 3), train=False)


# -- calls -----------------------------------------------------------------------------------------------------------


class Resized(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x, size=None):
        if size is not None:
            x = F.interpolate(x, size=size)
        return self.conv(x)


def test_a_module_that_is_called_in_several_ways():
    def forward(self, x):
        return self.up(self.up(self.up(x), (6, 8)), (7, 9))

    _, source = proven(net(forward, up=Resized()), normal(2, 3, 4, 5), others=[normal(3, 3, 4, 5)])
    assert "return self.up.call_3(self.up.call_2(self.up(x)))" in source


def test_a_sequential_that_is_called_in_several_ways():
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.randn(3))

        def forward(self, x):
            return x * self.gain[None, :, None] if x.dim() == 3 else x * self.gain

    def forward(self, x):
        y = self.s(x)
        return self.s(self.linear(y.mean(-1))) + 1

    module = net(forward, s=nn.Sequential(Scale(), nn.Tanh()), linear=nn.Linear(3, 3))
    proven(module, normal(2, 3, 4), others=[normal(3, 3, 4)])


def test_a_backbone_for_pictures_of_two_sizes():
    class Backbone(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, x):
            n, _, h, w = x.shape
            return self.conv(x).view(n, 4, h * w).mean(-1)

    def forward(self, a, b):
        return torch.cat([self.backbone(a), self.backbone(b)], 1)

    _, source = proven(net(forward, backbone=Backbone()), (normal(2, 3, 8, 6), normal(2, 3, 5, 4)))
    assert "call_2" not in source


def test_methods_properties_lambdas_and_recursion():
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 3)
            self.apply_twice = lambda x: self.linear(self.linear(x))

        @property
        def symmetric(self):
            return self.linear.weight + self.linear.weight.T

        def encode(self, x, n=2):
            return x if n == 0 else self(x @ self.symmetric, n - 1)

        def forward(self, x, n=0):
            return self.encode(torch.tanh(self.linear(x)), n)

    module = net(lambda self, x: self.encoder.encode(x) + self.encoder(x, 1), encoder=Encoder())
    proven(module, normal(2, 3), others=[normal(4, 3)])


def test_functions_that_hold_a_module_see_its_parameters():
    module = net(lambda self, x: self.f(x), linear=nn.Linear(3, 2))
    linear = module.linear
    module.f = lambda x: linear(x).relu()
    source = to_source(module, normal(2, 3))
    assert "return F.relu(self.linear(x))" in source


def test_a_forward_that_one_module_was_given():
    module = net(lambda self, x: self.linear(x), linear=nn.Linear(3, 3))
    module.forward = own = lambda x: module.linear(x) * 2
    source = to_source(module, normal(2, 3))
    assert "return self.linear(x) * 2" in source
    assert module.forward is own


def test_hooks():
    def inner():
        return net(lambda self, x: self.linear(x).relu(), linear=nn.Linear(4, 4))

    module = net(lambda self, x: self.last(self.inner(x)), inner=inner(), last=nn.Linear(4, 2))
    module.last.register_forward_hook(lambda module, args, output: output - 3)
    for hooked in (module, module.inner):
        hooked.register_forward_hook(lambda module, args, output: output * 2)
        hooked.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    proven(module, normal(3, 4), others=[normal(5, 4)])


# -- arguments and results -------------------------------------------------------------------------------------------

Pair = collections.namedtuple("Pair", ["first", "second"])


@dataclass
class Output:
    logits: torch.Tensor
    loss: torch.Tensor | None = None


def test_variadic_and_keyword_arguments():
    def forward(self, x, k=2, *more, scale, bias=None, **rest):
        return self.linear(x) * scale * k + sum(more) + rest["z"]

    args, kwargs = (normal(2, 3), 2, normal(2, 3), normal(1, 3)), {"scale": normal(3), "z": normal(1)}
    model, source = proven(net(forward, linear=nn.Linear(3, 3)), args, kwargs)
    assert "def __call__(self, x: jax.Array, k=2, *more, scale: jax.Array, bias=None, z=None):" in source
    x = jnp.ones((2, 3))
    for given, name in (((x, 3, x, x), "k"), ((x, 2, x), r"len\(more\)")):
        with pytest.raises(ValueError, match=f"{name}: expected 2, for which this module was converted"):
            model(*given, scale=x, z=x)


def test_trees_of_inputs_and_outputs():
    def forward(self, batch):
        y = self.linear(batch["x"]) + batch["more"][0]
        return {"y": y, "pair": Pair(y * 2, batch["id"]), "rest": (y + 1, [batch["x"], None])}

    args = ({"x": normal(2, 3), "more": [normal(2, 4), normal(1)], "id": torch.tensor([1, 2])},)
    proven(net(forward, linear=nn.Linear(3, 4)), args, grad=False)


def test_dataclasses_and_named_tuples_between_modules():
    inner = net(lambda self, x: Output(self.linear(x), x.sum()), linear=nn.Linear(3, 4))
    pair = net(lambda self, x: Pair(x, x.shape[1]))

    def forward(self, x):
        found = self.inner(x)
        return self.pair(found.logits).first * found.loss * self.pair(found.logits).second

    proven(net(forward, inner=inner, pair=pair), normal(2, 3), others=[normal(3, 3)])


def test_a_dataclass_comes_back_with_its_fields():
    module = net(lambda self, x: Output(self.linear(x)), linear=nn.Linear(3, 4))
    x = normal(2, 3)
    output = from_torch(module, x)(x.numpy())
    assert type(output).__name__ == "Output"
    assert output.loss is None
    np.testing.assert_allclose(output.logits, module(x).logits.detach(), rtol=1e-5, atol=1e-6)


def test_constants_of_every_kind():
    outside, array = torch.tensor([0.5, 0.25, 3.0]), np.array([1.0, 2.0, 3.0], np.float32)

    def forward(self, x):
        x = self.linear(x) * self.scale + self.anchors[0] + self.anchors[1] * self.options["k"]
        return (x * outside + torch.from_numpy(array) + np.pi) / self.root + torch.tensor([1.0, 2, 3]) * np.float32(2)

    module = net(forward, linear=nn.Linear(3, 3), scale=torch.tensor([1.0, 2.0, 3.0]), root=np.sqrt(3))
    module.anchors, module.options = [torch.ones(3), torch.arange(3)], {"k": torch.tensor(2.0)}
    proven(module, normal(2, 3))


def test_indices():
    def forward(self, x, i):
        y = self.linear(x)[:, self.order]
        return y[torch.arange(y.size(0)), i], y.gather(1, i[:, None]), y[:, -1], y[..., None, :2]

    module = buffers(net(forward, linear=nn.Linear(3, 3)), order=torch.tensor([2, 0, 1]))
    proven(module, (normal(2, 3), torch.tensor([2, 1])), others=[(normal(3, 3), torch.tensor([2, 1, 0]))])


@pytest.mark.parametrize("shape", [(), (3,), (0, 3), (1, 3)])
def test_inputs_without_batch_and_of_no_or_one_row(shape):
    parts = {} if shape == () else {"linear": nn.Linear(3, 3)}
    forward = (lambda self, x: x * self.p + 1) if shape == () else (lambda self, x: self.linear(x).relu() * self.p)
    module = net(forward, p=nn.Parameter(torch.tensor(2.0)), **parts)
    proven(module, normal(*shape), others=[normal(5, 3)] if shape == (1, 3) else (), train=bool(shape))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_floats(dtype):
    def forward(self, x):
        return F.softmax(self.norm(self.linear(x)) * self.p * 0.5, -1) + torch.ones(4, dtype=x.dtype)

    module = net(forward, linear=nn.Linear(3, 4), norm=nn.LayerNorm(4), p=nn.Parameter(torch.ones(4))).to(dtype)
    assert_parity(module, from_torch(module, normal(2, 3).to(dtype)), (normal(2, 3).to(dtype),), grad=False, jit=True)


# -- batches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: self.linear(x) * (1 / len(x)),
        lambda self, x: sum(self.linear(x[i]) for i in range(len(x))),
        lambda self, x: torch.stack([self.linear(row) for row in x]),
        lambda self, x: self.linear(x) + (1 if len(x) > 3 else 2),
    ],
)
def test_what_depends_on_the_batch_holds_for_this_batch_alone(forward):
    model, source = proven(net(forward, linear=nn.Linear(3, 3)), normal(2, 3))
    assert 'check.shape("x", x, (2, 3))' in source
    with pytest.raises(
        ValueError, match=r"x: expected shape \(2, 3\), for which this module was converted, got \(3, 3\)"
    ):
        model(jnp.ones((3, 3)))


def test_a_size_like_the_one_that_stands_for_the_batch():
    module = net(lambda self, x: self.linear(x).view(-1, 1009).sum(1, keepdim=True) + torch.arange(1009))
    module.linear = nn.Linear(3, 1009)
    proven(module, normal(2, 3))


def test_squeeze_of_a_batch_of_one():
    _, source = proven(net(lambda self, x: self.linear(x).squeeze(), linear=nn.Linear(3, 1)), normal(1, 3))
    assert 'check.shape("x", x, (1, 3))' in source


@pytest.mark.parametrize(
    ("squeeze", "text"),
    [
        (lambda x: x.squeeze(), "ops.squeeze(x)"),
        (lambda x: torch.squeeze(x, 0), "ops.squeeze(x, 0)"),
        (lambda x: x.squeeze(dim=(0, 2)), "ops.squeeze(x, dim=(0, 2))"),
        (lambda x: x.squeeze(-1), "x.squeeze(-1)"),
    ],
)
def test_squeeze_drops_what_has_one_element_when_it_runs(squeeze, text):
    module = net(lambda self, x: squeeze(self.linear(x)), linear=nn.Linear(3, 1))
    others = [(normal(1, 4, 3),), (normal(5, 1, 3),), (normal(1, 1, 3),)]
    _, source = proven(module, normal(2, 4, 3), others=others)
    assert text in source


def _takes_all(x):
    q, k, v = x[0], x[1], x[2]
    return q * k + v


def _takes_all_of_another_axis(x):
    a, b = x[:, 0], x[:, 1]
    return a - 2 * b


def _takes_all_of_the_last(x):
    a, b = x[..., 0], x[..., 1]
    return a - 2 * b


def _takes_two_of_three(x):
    q, k = x[0], x[1]
    return q * k


def _takes_all_in_another_order(x):
    v, k, q = x[2], x[1], x[0]
    return q * k + v


def _takes_all_in_one_line(x):
    return x[0] * x[1] + x[2]


def _writes_into_a_part(x):
    x = x + 1
    q, k, v = x[0], x[1], x[2]
    q += k
    return x * 2, v


@pytest.mark.parametrize(
    ("forward", "shape", "text"),
    [
        (_takes_all, (3, 4, 2), "q, k, v = jnp.unstack("),
        (_takes_all_of_another_axis, (4, 2, 3), "a, b = jnp.unstack(x, axis=1)"),
        (_takes_all_of_the_last, (4, 3, 2), "a, b = jnp.unstack(x, axis=2)"),
        (_takes_two_of_three, (3, 4, 2), "q = x[0]"),
        (_takes_all_in_another_order, (3, 4, 2), "v = x[2]"),
        (_takes_all_in_one_line, (3, 4, 2), "return x[0] * x[1] + x[2]"),
        (_writes_into_a_part, (3, 4, 2), "q, k, _ = jnp.unstack(x)"),
    ],
)
def test_all_parts_of_an_array_are_taken_at_once_where_they_get_names(forward, shape, text):
    _, source = proven(net(lambda self, x: forward(x)), normal(*shape))
    assert text in source


# -- state -----------------------------------------------------------------------------------------------------------


def test_buffers_that_forward_updates():
    def forward(self, x):
        old = self.state
        if self.training:
            self.count += 1
            self.average.mul_(0.9).add_(x.detach().mean(0), alpha=0.1)
        self.state = self.state * 0.5 + x.mean(0)
        return x - self.average, x + old, self.state

    module = buffers(net(forward), average=torch.zeros(3), count=torch.tensor(0), state=torch.randn(3))
    proven(module, normal(4, 3), double=True)


def test_what_is_read_before_a_write_is_read_before():
    def update(self, x):
        self.state.add_(1)
        return x + self.state

    def forward(self, x):
        old = self.state.clone()
        return torch.stack([x * self.state, update(self, x), x - self.state, x * old])

    proven(buffers(net(forward), state=torch.ones(3)), normal(2, 3), grad=False)


def test_writes_through_views():
    def forward(self, x):
        self.k[0].add_(x.sum(0))
        self.k.view(-1)[4:6].mul_(3).add_(1)
        self.k.t()[1] += 2
        y = self.linear(x)
        v = y[:, 1:3]
        v *= 2
        y.view(-1, 2, 2)[:, 0, 1] = 5.0
        y[:, :2].relu_()
        b = y.chunk(2, 1)[1]
        z = torch.zeros_like(y)
        z[:, ::2] = b
        z[..., -1] += 3
        return y, v, z, self.k.sum(0)

    proven(buffers(net(forward, linear=nn.Linear(4, 4)), k=torch.zeros(2, 4)), normal(3, 4), grad=False)


def test_writes_into_arguments_and_parameters():
    def add(self, x):
        x += 1
        return self.linear(x)

    def forward(self, x):
        with torch.no_grad():
            self.p.clamp_(-1, 1)
            self.linear.weight.data.clamp_(0, 1)
        h = self.linear(x * self.p)
        y = self.inner(h)
        return y * h + self.relu(h) * h

    inner = net(add, linear=nn.Linear(3, 3))
    module = net(forward, linear=nn.Linear(3, 3), inner=inner, relu=nn.ReLU(inplace=True))
    module.p = nn.Parameter(torch.randn(3))
    _, source = proven(module, normal(2, 3), train=False, grad=False)
    assert "self.linear.weight[...] = " in source


def test_a_module_with_state_that_is_called_twice():
    def step(self, x):
        self.n += 1
        return self.norm(x)

    inner = buffers(net(step, norm=nn.BatchNorm1d(3)), n=torch.zeros(()))
    module = net(lambda self, x, y: self.inner(x) - self.inner(y), inner=inner)
    _, source = proven(module, (normal(4, 3), normal(4, 3) + 1), others=[(normal(3, 3), normal(3, 3))])
    assert "return self.inner(x) - self.inner(y)" in source


def test_modules_that_change_what_others_read():
    def count(self, x):
        self.n = self.n + 1
        return x * self.n

    def forward(self, x):
        before = self.inner.n
        self.inner(x)
        return before, self.inner.n, torch.rsub(self.inner(x), self.inner(x * 2))

    module = net(forward, inner=buffers(net(count), n=torch.ones(3)))
    _, source = proven(module, normal(2, 3), grad=False)
    assert "n = self.inner.n[...]" in source
    assert "\n        self.inner(x)\n" in source


def test_the_order_of_calls_that_update_statistics():
    module = net(lambda self, x, y: torch.rsub(self.norm(x), self.norm(y)), norm=nn.BatchNorm1d(3))
    proven(module, (normal(4, 3), normal(4, 3) + 1))


def test_attributes_that_say_nothing_about_the_next_call():
    def forward(self, x):
        self.last, self.calls = self.linear(x), self.calls + 1
        if self.mask is None or len(self.mask) != x.shape[1]:
            self.mask = torch.tril(torch.ones(x.shape[1], x.shape[1], dtype=x.dtype))
        return self.last.relu() @ self.mask

    module = net(forward, linear=nn.Linear(3, 3), last=None, calls=0, mask=None)
    source = to_source(module, normal(2, 3))
    assert (module.last, module.calls, module.mask) == (None, 0, None)
    assert "jnp.tril(" in source
    assert_parity(copy.deepcopy(module), from_torch(module, normal(2, 3)), (normal(2, 3),), jit=True)
