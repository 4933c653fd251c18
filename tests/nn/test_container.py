"""Containers of modules and of parameters: order, names, what they refuse, and what survives NNX's transformations."""

from collections import OrderedDict

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxnets
from jaxnets import nn


class Times(nnx.Module):
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return x * self.factor


class Plus(nnx.Module):
    def __call__(self, x):
        return x + 1


def factors(modules):
    return [module.factor for module in modules]


def linears(count):
    rngs = nnx.Rngs(0)
    return [nn.Linear(2, 2, rngs=rngs) for _ in range(count)]


def test_three_ways_to_build_a_sequential():
    """Seed system E6."""
    first, second = linears(2)
    by_arguments = nn.Sequential(first, second)
    by_dict = nn.Sequential(OrderedDict([("0", first), ("1", second)]))
    by_hand = nn.Sequential()
    by_hand.add_module("0", first)
    by_hand.add_module("1", second)
    expected = ["0.weight", "0.bias", "1.weight", "1.bias"]
    for net in (by_arguments, by_dict, by_hand):
        assert list(jaxnets.state_dict(net)) == expected
        assert net[0] is first
        assert getattr(net, "1") is second
    named = nn.Sequential(OrderedDict([("hidden", first), ("output", second)]))
    assert list(jaxnets.state_dict(named)) == ["hidden.weight", "hidden.bias", "output.weight", "output.bias"]
    assert named.hidden is first
    assert named[-1] is second


def test_a_module_list_is_registered():
    """Seed system E7."""

    class Net(nnx.Module):
        def __init__(self):
            self.module_list = nn.ModuleList(linears(2))

    assert list(jaxnets.state_dict(Net()))[:2] == ["module_list.0.weight", "module_list.0.bias"]


@pytest.mark.parametrize("container", [nn.Sequential, lambda *modules: nn.ModuleList(modules)])
def test_order_survives_nnx(container):
    net = container(*linears(12))
    weights = [id(layer.weight) for layer in net]
    names = list(jaxnets.state_dict(net))
    assert [name.partition(".")[0] for name in names[::2]] == list(map(str, range(12)))
    for copy in (nnx.clone(net), nnx.merge(*nnx.split(net)), jax.tree.map(lambda x: x, net)):
        assert list(jaxnets.state_dict(copy)) == names
        for old, new in zip(net, copy, strict=True):
            assert jnp.array_equal(old.weight[...], new.weight[...])
    assert [id(layer.weight) for layer in net] == weights


def test_order_is_part_of_what_is_compiled():
    forward = nnx.jit(lambda net, x: net(x))
    x = jnp.ones(())
    assert forward(nn.Sequential(OrderedDict(a=Times(2), b=Times(3), c=Plus())), x) == 7
    assert forward(nn.Sequential(OrderedDict(c=Plus(), a=Times(2), b=Times(3))), x) == 12
    assert forward(nn.Sequential(OrderedDict(b=Times(3), c=Plus(), a=Times(2))), x) == 8


def test_nnx_jit_equals_eager():
    net = nn.Sequential(*linears(11))
    x = jnp.arange(6.0).reshape(3, 2)
    assert jnp.allclose(nnx.jit(lambda net, x: net(x))(net, x), net(x))


def test_a_tuple_is_one_value():
    class Swap(nnx.Module):
        def __call__(self, pair):
            a, b = pair
            return b, a

    assert nn.Sequential(Swap(), Swap(), Swap())((1, 2)) == (2, 1)


def edit(net, make):
    """One edit after the other; what is left after each, as factors and as names."""
    seen = []

    def note():
        seen.append(([m.factor for m in net], [name for name, _ in named_children(net)]))

    note()
    net.append(make(5))
    note()
    net.extend([make(6), make(7)])
    note()
    net.insert(1, make(8))
    note()
    net.insert(len(net), make(9))
    note()
    net[0] = make(10)
    net[-1] = make(11)
    note()
    del net[2]
    note()
    del net[1:4:2]
    note()
    seen.append(net.pop(0).factor)
    note()
    net += type(net)(*([[make(12), make(13)]] if type(net).__name__ == "ModuleList" else [make(12), make(13)]))
    note()
    seen.append([m.factor for m in net[1:]])
    seen.append([m.factor for m in net[::-1]])
    seen.append(len(net))
    return seen


def named_children(net):
    if isinstance(net, torch.nn.Module):
        return list(net.named_children())
    return [(name, module) for name, module in nnx.iter_children(net)]


class TorchTimes(torch.nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor


def test_sequential_is_edited_as_in_torch():
    ours = edit(nn.Sequential(Times(1), Times(2), Times(3)), Times)
    theirs = edit(torch.nn.Sequential(TorchTimes(1), TorchTimes(2), TorchTimes(3)), TorchTimes)
    assert ours == theirs


def test_module_list_is_edited_as_in_torch():
    ours = edit(nn.ModuleList([Times(1), Times(2), Times(3)]), Times)
    theirs = edit(torch.nn.ModuleList([TorchTimes(1), TorchTimes(2), TorchTimes(3)]), TorchTimes)
    assert ours == theirs


def test_names_of_a_slice_and_after_a_deletion():
    net = nn.Sequential(OrderedDict(a=Times(1), b=Times(2), c=Times(3)))
    assert net[1:].b.factor == 2
    assert isinstance(net[1:], nn.Sequential)
    del net[0]
    assert [name for name, _ in nnx.iter_children(net)] == ["0", "1"], "torch numbers what is left"
    assert factors(net) == [2, 3]


def test_sequential_arithmetic():
    one, two = nn.Sequential(Times(1)), nn.Sequential(Times(2), Times(3))
    assert factors(one + two) == [1, 2, 3]
    assert factors(two * 2) == factors(2 * two) == [2, 3, 2, 3]
    assert (two * 2)[2] is two[0], "shared, as in torch"
    two *= 3
    assert factors(two) == [2, 3] * 3
    assert factors(nn.ModuleList([Times(1)]) + nn.ModuleList([Times(2)])) == [1, 2]


def test_an_assigned_module_is_a_child():
    net = nn.Sequential(Times(2))
    net.extra = Times(5)
    assert net(1) == 10
    del net.extra
    assert net(1) == 2


def test_module_dict_keeps_the_order_of_insertion():
    layers = nn.ModuleDict({"right": Times(1), "left": Times(2)})
    layers["above"] = Times(3)
    layers.update([("right", Times(4)), ("below", Times(5))])
    assert list(layers) == list(layers.keys()) == ["right", "left", "above", "below"]
    assert factors(layers.values()) == [4, 2, 3, 5]
    assert [name for name, _ in layers.items()] == list(layers)
    assert "left" in layers
    assert "nowhere" not in layers
    assert layers.pop("left").factor == 2
    layers["left"] = Times(6)
    assert list(layers) == list(nnx.clone(layers)) == ["right", "above", "below", "left"]
    del layers["above"]
    assert len(layers) == 3
    layers.update(nn.ModuleDict({"last": Times(7)}))
    assert layers["last"].factor == layers.last.factor == 7
    layers.clear()
    assert len(layers) == 0


def test_the_state_of_a_module_dict_has_torch_order():
    def build(library, **rngs):
        layers = library.ModuleDict({"b": library.Linear(1, 1, **rngs), "a": library.Linear(1, 1, **rngs)})
        layers["b2"] = layers.pop("b")
        layers["b"] = library.Linear(1, 1, **rngs)
        return layers

    ours = jaxnets.state_dict(build(nn, rngs=nnx.Rngs(0)))
    assert list(ours) == list(build(torch.nn).state_dict())


def test_none_holds_a_place():
    layers = nn.ModuleList([Times(1), None, Times(2)])
    assert [layer is None for layer in nnx.clone(layers)] == [False, True, False]


def arrays(*sizes):
    return [jnp.ones(size) for size in sizes]


def test_parameter_list():
    values = nn.ParameterList(arrays(*range(1, 12)))
    assert list(jaxnets.state_dict(values)) == list(torch.nn.ParameterList(map(torch.ones, range(1, 12))).state_dict())
    assert [p.shape for p in nnx.clone(values)] == [(n,) for n in range(1, 12)]
    assert [p.shape for p in values[8:]] == [(9,), (10,), (11,)]
    assert values.append(jnp.ones(12)) is values
    values += [np.ones(13), nnx.BatchStat(jnp.ones(14)), 3]
    assert [type(v) for v in values[-4:]] == [nnx.Param, nnx.Param, nnx.BatchStat, int]
    values[-1] = jnp.ones(15)
    values[0] = "none"
    assert (len(values), values[14].shape, values[0]) == (15, (15,), "none")
    assert list(jaxnets.state_dict(values)) == [*map(str, [*range(1, 13), 14, 13])]
    gradient = nnx.grad(lambda values: (values[3][...] ** 2).sum())(values)
    assert gradient["3"][...].tolist() == [2.0] * 4


def test_parameter_dict():
    values = nn.ParameterDict(OrderedDict(b=jnp.ones(1), a=jnp.ones(2)))
    assert list(nn.ParameterDict({"b": 1, "a": 2})) == ["a", "b"], "a plain dict is sorted, as in torch"
    assert list(jaxnets.state_dict(nnx.clone(values))) == list(nnx.clone(values)) == ["b", "a"]
    assert values.setdefault("c", jnp.ones(3)).shape == (3,)
    assert values.setdefault("c", jnp.ones(4)).shape == (3,)
    assert (values.get("d"), values.get("d", 5), "d" in values, len(values)) == (None, 5, False, 3)
    assert list(reversed(values)) == ["c", "a", "b"]
    assert [name for name, _ in values.items()] == list(values.keys()) == ["b", "a", "c"]
    assert [v.shape for v in values.values()] == [(1,), (2,), (3,)]
    other = values.copy()
    assert other["a"] is values["a"]
    assert list(values | nn.ParameterDict({"z": jnp.ones(1)})) == ["b", "a", "c", "z"]
    assert list({"z": jnp.ones(1)} | values) == ["z", "b", "a", "c"]
    values |= {"a": jnp.ones(7)}
    assert (values["a"].shape, other["a"].shape) == ((7,), (2,))
    assert (values.popitem()[0], values.pop("b").shape, list(values)) == ("c", (1,), ["a"])
    assert list(values.fromkeys(["x", "y"], 3).items()) == [("x", 3), ("y", 3)]
    values.clear()
    assert len(values) == len(jaxnets.state_dict(values)) == 0
    values["a"] = jnp.ones(2)
    assert nnx.jit(lambda values: values["a"] + 1)(values).tolist() == [2.0, 2.0]


def test_torchs_oldest_names():
    assert nn.Module is nnx.Module
    with pytest.warns(FutureWarning, match=r"nn.Container` is deprecated; write a subclass of `nn.Module`"):
        net = nn.Container(a=Plus(), b=Plus())
    assert (len(net), type(net.b)) == (2, Plus)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: nn.ParameterList(5), TypeError, "values: expected an iterable, got 5"),
        (lambda: nn.ParameterList(jnp.ones(3)), TypeError, "values: expected an iterable of parameters, got one Array"),
        (lambda: nn.ParameterList()[0], IndexError, "idx: expected an index from 0 to -1, got 0"),
        (lambda: nn.ParameterDict(5), TypeError, "parameters: expected an iterable, got 5"),
        (lambda: nn.ParameterDict([("a", 1, 2)]), ValueError, r"parameters\[0\]: expected a pair of a name and a"),
        (lambda: nn.ParameterDict({"a.b": jnp.ones(1)}), ValueError, "key: expected a name .* no dots, got 'a.b'"),
        (lambda: nn.ParameterDict({"keys": jnp.ones(1)}), ValueError, "'keys' is an attribute of ParameterDict"),
        (lambda: nn.ParameterDict([(1, jnp.ones(1))]), TypeError, "key: expected a str, got 1 of type int"),
        (lambda: nn.ParameterDict()["a"], KeyError, "'a': expected one of no names"),
        (lambda: nn.ParameterDict().popitem(), KeyError, "popitem: the ParameterDict is empty"),
        (lambda: nn.Sequential(jnp.tanh), TypeError, r"module '0': expected a flax.nnx.Module, got .*nn.ReLU\(\)"),
        (lambda: nn.Sequential(OrderedDict([("a.b", Plus())])), ValueError, r"name: expected .* no dots, got 'a.b'"),
        (lambda: nn.Sequential(OrderedDict([("", Plus())])), ValueError, "name: expected a name that is not empty"),
        (lambda: nn.ModuleDict({1: Plus()}), TypeError, "name: expected a str, got 1 of type int"),
        (lambda: nn.ModuleDict({"keys": Plus()}), ValueError, "'keys' is an attribute of ModuleDict already"),
        (lambda: nn.ModuleDict([("a", Plus(), 3)]), ValueError, r"modules\[0\]: expected a pair"),
        (lambda: nn.ModuleDict([5]), TypeError, r"modules\[0\]: expected an iterable, got 5"),
        (lambda: nn.ModuleDict(5), TypeError, "modules: expected an iterable, got 5"),
        (lambda: nn.ModuleList(5), TypeError, "modules: expected an iterable, got 5"),
        (lambda: nn.ModuleList([Plus()]) + 5, TypeError, "other: expected an iterable"),
        (lambda: nn.Sequential(Plus())[1], IndexError, "idx: expected an index from -1 to 0, got 1"),
        (lambda: nn.Sequential(Plus()).pop(-2), IndexError, "idx: expected an index from -1 to 0, got -2"),
        (lambda: nn.ModuleList([Plus()]).insert(3, Plus()), IndexError, "index: expected an index from -1 to 1, got 3"),
        (lambda: nn.ModuleDict({"a": Plus()})["b"], KeyError, "'b': expected one of 'a'"),
        (lambda: nn.ModuleDict().pop("b"), KeyError, "'b': expected one of no names"),
        (lambda: nn.Sequential(Plus()) + nn.ModuleList(), ValueError, "other: expected a Sequential, got ModuleList"),
        (lambda: nn.Sequential(Plus()) * 0, ValueError, "other: expected an int of at least 1, got 0"),
        (lambda: nn.Sequential(Plus()) * 1.5, TypeError, "other: expected an int, got 1.5"),
        (
            lambda: nn.Sequential(OrderedDict(a=Plus(), b=Plus())).insert(0, Plus()),
            ValueError,
            "insert: expected children named 0 to 1, got a, b",
        ),
    ],
)
def test_refusals(build, error, message):
    with pytest.raises(error, match=message):
        build()
