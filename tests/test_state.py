"""torch's names, torch's order, one error for all that is wrong, and nothing changed by a failed load."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxnets
from jaxnets import nn
from jaxnets.nn.parameters import Buffer


class Block(nnx.Module):
    def __init__(self, rngs):
        self.z_first = nn.Linear(3, 4, rngs=rngs)
        self.scale = nnx.Param(jnp.ones(4))
        self.a_second = nn.BatchNorm1d(4)
        self.dropout = nn.Dropout(0.5, rngs=rngs)
        self.counter = Buffer(jnp.zeros((2,), jnp.int32))
        self.scratch = Buffer(jnp.zeros(3), persistent=False)

    def __call__(self, x):
        return self.dropout(self.a_second(self.z_first(x) * self.scale[...]))


class TorchBlock(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.z_first = torch.nn.Linear(3, 4)
        self.scale = torch.nn.Parameter(torch.ones(4))
        self.a_second = torch.nn.BatchNorm1d(4)
        self.dropout = torch.nn.Dropout(0.5)
        self.register_buffer("counter", torch.zeros(2, dtype=torch.int64))
        self.register_buffer("scratch", torch.zeros(3), persistent=False)


def deep(count):
    rngs = nnx.Rngs(0)
    return nn.Sequential(*(nn.Linear(2, 2, rngs=rngs) for _ in range(count)))


def values(module):
    return {name: np.asarray(x).copy() for name, x in jaxnets.state_dict(module).items()}


@pytest.mark.parametrize("rebuild", [lambda m: m, nnx.clone, lambda m: nnx.merge(*nnx.split(m))])
def test_names_and_order_are_torchs(rebuild):
    block = rebuild(Block(nnx.Rngs(0)))
    assert list(jaxnets.state_dict(block)) == list(TorchBlock().state_dict())


@pytest.mark.parametrize(
    "rebuild", [nnx.clone, lambda m: nnx.merge(*nnx.split(m)), lambda m: jax.tree.map(jnp.array, m)]
)
def test_order_of_numbered_children_survives_rebuilding(rebuild):
    names = [name for name in jaxnets.state_dict(rebuild(deep(12))) if name.endswith("weight")]
    assert names == [f"{i}.weight" for i in range(12)]


def test_flax_lists_and_layers_have_paths_as_names():
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.layers = nnx.List([nnx.Linear(2, 2, rngs=rngs) for _ in range(11)])
            self.head = nnx.Dict(b=nnx.BatchNorm(2, rngs=rngs), a=nn.Linear(2, 1, rngs=rngs))

    names = list(jaxnets.state_dict(Net(nnx.Rngs(0))))
    assert names[:3] == ["layers.0.kernel", "layers.0.bias", "layers.1.kernel"]
    assert names[20:] == ["layers.10.kernel", "layers.10.bias"] + [
        f"head.{x}" for x in ("b.scale", "b.bias", "b.mean", "b.var", "a.weight", "a.bias")
    ]


def test_tied_parameters_have_both_names_and_stay_tied():
    class Tied(nnx.Module):
        def __init__(self, rngs):
            self.embed = nn.Linear(3, 3, bias=False, rngs=rngs)
            self.head = self.embed

    net = Tied(nnx.Rngs(0))
    assert list(jaxnets.state_dict(net)) == ["embed.weight", "head.weight"]
    new = np.arange(9.0, dtype=np.float32).reshape(3, 3)
    jaxnets.load_state_dict(net, {"embed.weight": new, "head.weight": new})
    assert net.head.weight is net.embed.weight
    assert np.array_equal(net.head.weight[...], new)


def test_a_child_that_points_back_ends():
    class Child(nnx.Module):
        def __init__(self, parent):
            self.parent = parent
            self.weight = nnx.Param(jnp.ones(1))

    class Parent(nnx.Module):
        def __init__(self):
            self.child = Child(self)

    assert list(jaxnets.state_dict(Parent())) == ["child.weight"]


@pytest.mark.parametrize("convert", [lambda t: t, lambda t: t.numpy(), lambda t: jnp.asarray(t.numpy())])
def test_takes_torch_numpy_and_jax_arrays(convert):
    theirs, ours = TorchBlock(), Block(nnx.Rngs(0))
    state = collections.OrderedDict((k, convert(v)) for k, v in theirs.state_dict().items())
    assert jaxnets.load_state_dict(ours, state) == ([], [])
    for name, x in jaxnets.state_dict(ours).items():
        assert np.array_equal(np.asarray(x), theirs.state_dict()[name].numpy())


def test_loaded_arrays_do_not_alias_the_source():
    layer = nn.Linear(64, 64, rngs=nnx.Rngs(0))
    weight = np.ones((64, 64), np.float32)
    jaxnets.load_state_dict(layer, {"weight": weight, "bias": np.zeros(64, np.float32)})
    weight[:] = 7
    assert np.asarray(layer.weight[...]).max() == 1


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_dtypes_are_adopted(dtype):
    theirs = torch.nn.Linear(3, 2).to(getattr(torch, dtype))
    layer = nn.Linear(3, 2, rngs=nnx.Rngs(0))
    with jax.enable_x64(dtype == "float64"):
        jaxnets.load_state_dict(layer, theirs.state_dict())
        assert {str(x.dtype) for x in jaxnets.state_dict(layer).values()} == {dtype}


@pytest.mark.parametrize("x64", [False, True])
def test_counts_are_64_bit_outside_and_loadable_again(x64):
    with jax.enable_x64(x64):
        norm, theirs = nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
        assert jaxnets.state_dict(norm)["num_batches_tracked"].dtype == np.int64
        theirs.num_batches_tracked.fill_(12)
        jaxnets.load_state_dict(norm, theirs.state_dict())
        norm(jnp.ones((3, 2), jnp.float32))
        count = jaxnets.state_dict(norm)["num_batches_tracked"]
        assert (count.dtype, int(np.asarray(count))) == (np.int64, 13)
        other = nn.BatchNorm1d(2)
        jaxnets.load_state_dict(other, jaxnets.state_dict(norm))
        assert int(other.num_batches_tracked[...]) == 13


def test_integers_too_large_for_this_jax_are_an_error():
    block, state = Block(nnx.Rngs(0)), dict(TorchBlock().state_dict())
    state["counter"] = np.array([1, 2**40])
    with pytest.raises(ValueError, match=r"counter: int64 values do not fit int32; set jax_enable_x64"):
        jaxnets.load_state_dict(block, state)


def test_all_problems_come_in_one_error_and_nothing_changes():
    block, state = Block(nnx.Rngs(0)), dict(TorchBlock().state_dict())
    before = values(block)
    state["z_first.wieght"] = state.pop("z_first.weight")
    state["scale"] = np.ones(5, np.float32)
    state["counter"] = np.zeros(2, np.float32)
    state["a_second.bias"] = "text"
    with pytest.raises(ValueError, match="5 problems, nothing was loaded") as caught:
        jaxnets.load_state_dict(block, state)
    for line in (
        "missing: z_first.weight, shape (4, 3); did you mean z_first.wieght?",
        "unexpected: z_first.wieght, shape (4, 3); did you mean z_first.weight?",
        "scale: expected shape (4,), got (5,)",
        "counter: expected a dtype of integer kind such as int32, got float32",
        "a_second.bias: ",
    ):
        assert line in str(caught.value)
    after = values(block)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_not_strict_reports_names_but_still_checks_shapes():
    layer = nn.Linear(3, 2, rngs=nnx.Rngs(0))
    result = jaxnets.load_state_dict(layer, {"bias": np.ones(2, np.float32), "extra": 1}, strict=False)
    assert result.missing_keys == ["weight"]
    assert result.unexpected_keys == ["extra"]
    with pytest.raises(ValueError, match=r"bias: expected shape \(2,\), got \(3,\)"):
        jaxnets.load_state_dict(layer, {"bias": np.ones(3, np.float32)}, strict=False)


def test_a_common_prefix_is_explained():
    layer = nn.Linear(3, 2, rngs=nnx.Rngs(0))
    state = {f"module.{k}": v for k, v in torch.nn.Linear(3, 2).state_dict().items()}
    with pytest.raises(ValueError, match=r"removeprefix\('module\.'\)"):
        jaxnets.load_state_dict(layer, state)


def test_missing_count_is_torchs_rule():
    norm = nn.BatchNorm1d(2)
    modern = torch.nn.BatchNorm1d(2).state_dict()
    old = {name: x for name, x in modern.items() if name != "num_batches_tracked"}
    assert jaxnets.load_state_dict(norm, old) == ([], [])
    del modern["num_batches_tracked"]  # its metadata still says version 2
    with pytest.raises(ValueError, match="missing: num_batches_tracked"):
        jaxnets.load_state_dict(norm, modern)


def test_thousands_of_wrong_names_are_answered_quickly():
    net = deep(300)
    state = {f"layer{i}.kernel": np.ones((2, 2), np.float32) for i in range(3000)}
    with pytest.raises(ValueError, match="3600 problems"):
        jaxnets.load_state_dict(net, state)


@pytest.mark.parametrize(
    ("module", "state", "message"),
    [
        (torch.nn.Linear(1, 1), {}, "module: expected a flax.nnx.Module, got Linear"),
        (nn.ReLU(), [("a", 1)], "state: expected a mapping of names to arrays, got list"),
        (nn.ReLU(), {3: np.ones(1)}, r"state: expected names \(str\) as keys, got 3 of type int"),
    ],
)
def test_wrong_types(module, state, message):
    with pytest.raises(TypeError, match=message):
        jaxnets.load_state_dict(module, state)


def test_a_sharded_parameter_stays_where_it_is():
    device = jax.devices()[0]
    layer = nn.Linear(4, 2, rngs=nnx.Rngs(0))
    placed = jax.device_put(layer.weight[...], jax.sharding.SingleDeviceSharding(device))
    layer.weight.set_value(placed)
    jaxnets.load_state_dict(layer, torch.nn.Linear(4, 2).state_dict())
    assert layer.weight[...].committed
    assert not layer.bias[...].committed


def test_shapes_alone_can_be_filled():
    abstract = nnx.eval_shape(lambda: nn.Linear(3, 2, rngs=nnx.Rngs(0)))
    theirs = torch.nn.Linear(3, 2)
    jaxnets.load_state_dict(abstract, theirs.state_dict())
    assert np.array_equal(abstract.weight[...], theirs.weight.detach().numpy())


def test_a_module_without_values():
    """`nnx.eval_shape` makes one; a checkpoint gives it its values."""

    def make():
        return nn.Sequential(nn.Conv2d(2, 3, 1, rngs=nnx.Rngs(0)), nn.BatchNorm2d(3))

    model, filled = nnx.eval_shape(make), make()
    state_dict, load_state_dict = jaxnets.state_dict, jaxnets.load_state_dict
    shapes = {name: x.shape for name, x in state_dict(model).items()}
    assert shapes == {name: x.shape for name, x in state_dict(filled).items()}
    load_state_dict(model, state_dict(filled))
    assert state_dict(model)["1.num_batches_tracked"].dtype == jnp.int64
    np.testing.assert_array_equal(model(jnp.ones((2, 2, 3, 3))), filled(jnp.ones((2, 2, 3, 3))))
