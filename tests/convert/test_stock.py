"""Stock layers: every layer of our cases and of torch's database is read, written as source, and built again."""

import ast
import inspect
import warnings
from collections import defaultdict
from functools import cache, partial
from operator import attrgetter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxnets
import jaxnets.functional as F
from jaxnets import nn
from jaxnets.convert.layers.calls import Array, Build, Function, parameters
from jaxnets.convert.layers.source import expression
from jaxnets.convert.layers.stock import build
from parity import trees
from parity.cases import CASES
from parity.database import DATABASE
from parity.inputs import pair
from parity.module_db import MODULES

T = torch.nn
LAYERS = sorted({cls.__name__ for cls in vars(T).values() if isinstance(cls, type)} & set(nn.__all__))
CONTAINERS = {"Container", "Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"}


def from_case(case):
    return pair(case, "f32").torch()


@cache
def recipes():
    """How to make each layer of both databases, by class; layers that are built alike once."""
    found = defaultdict(dict)
    for case in CASES.values():
        if inspect.isclass(attrgetter(case.target)(T)):
            found[case.target.removeprefix("Lazy")].setdefault(repr((case.args, case.kwargs)), case)
    made = {name: [partial(from_case, x) for x in xs.values()] for name, xs in found.items()}
    for name, info in MODULES.items():
        own = {}
        for training in (False, True):
            options = {"device": "cpu", "dtype": torch.float32, "requires_grad": False, "training": training}
            for sample in info.module_inputs_func(info, **options):
                x = sample.constructor_input
                own.setdefault(repr((x.args, x.kwargs)), partial(info.module_cls, *x.args, **x.kwargs))
        made.setdefault(name, []).extend(own.values())
    return made


def instantiated(value, rngs):
    """What a `Build` says, done."""
    match value:
        case Build():
            target = attrgetter(value.name)(nn)
            streams = {"rngs": rngs} if "rngs" in parameters(value.name) else {}
            return target(**{name: instantiated(x, rngs) for name, x in value.args.items()}, **streams)
        case Function():
            return getattr(F, value.name)
        case Array():
            return jnp.asarray(value.value)
        case tuple():
            return tuple(instantiated(x, rngs) for x in value)
    return value


def outline(value):
    """What a `Build` says, with shapes in place of arrays."""
    match value:
        case Build():
            return value.name, *((name, outline(x)) for name, x in value.args.items())
        case Array():
            return value.value.shape
        case np.dtype():
            return value.name
    return value


def from_source(found, rngs):
    return eval(ast.unparse(expression(found)), {"nn": nn, "F": F, "jnp": jnp, "rngs": rngs})


def shapes(module):
    return [(name, tuple(x.shape)) for name, x in jaxnets.state_dict(module).items()]


def settings(module):
    """Attributes that are numbers, strings and the like."""
    plain = (bool, int, float, str, tuple, list, type(None))
    return {name: x for name, x in vars(module).items() if isinstance(x, plain) and not name.startswith("_")}


def same(x, y):
    """Whether two settings mean the same: one int may stand for several."""
    if isinstance(x, tuple | list) and isinstance(y, int):
        return {*x} == {y}
    if isinstance(x, tuple | list) and isinstance(y, tuple | list):
        return len(x) == len(y) and all(map(same, x, y))
    return x == y or (x != x and y != y)


def check_rebuilt(theirs, found):
    """The source of a layer makes the same names, shapes and settings, and takes its state."""
    keys = [(name, tuple(x.shape)) for name, x in theirs.state_dict().items()]
    ours = nnx.eval_shape(lambda: from_source(found, nnx.Rngs(0)))
    said = ast.unparse(expression(found))
    assert shapes(ours) == keys, said
    jaxnets.load_state_dict(ours, theirs.state_dict())
    differ = [name for name, x in settings(theirs).items() if not same(x, settings(ours).get(name, x))]
    assert not differ, said
    return ours


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("name", sorted(name for name in {*LAYERS} - CONTAINERS if not name.startswith("Lazy")))
def test_every_layer_is_built_again(name):
    makers = recipes().get(name, [])
    distinct = {outline(build(module)): module for module in (make() for make in makers)}
    assert distinct or name in ("Buffer", "RNNBase", "RNNCellBase", "LinearCrossEntropyOptions")
    for module in distinct.values():
        made = build(module)
        written = check_rebuilt(module, made)
        direct = nnx.eval_shape(lambda made=made: instantiated(made, nnx.Rngs(0)))
        assert shapes(written) == shapes(direct)
        assert all(same(direct_x, settings(written)[name]) for name, direct_x in settings(direct).items())


@pytest.mark.parametrize("name", [name for name in LAYERS if name.startswith("Lazy")])
@pytest.mark.parametrize("changed", [{}, {"bias": False}, {"dtype": torch.float64}])
def test_lazy_layers_stay_lazy(name, changed):
    args = () if "Norm" in name else (6,) if name == "LazyLinear" else (6, 3)
    theirs = getattr(T, name)(*args, **changed)
    found = build(theirs)
    assert found.name == name
    ours = from_source(found, nnx.Rngs(0))
    variables = {key for key, x in vars(ours).items() if isinstance(x, nnx.Variable)}
    assert variables == {*theirs.state_dict()}
    assert all(same(x, settings(ours)[key]) for key, x in settings(theirs).items() if key in settings(ours))


SAMPLES = [
    *("BatchNorm2d[eval 0]", "Conv2d[0]", "ConvTranspose1d[1]", "CrossEntropyLoss[3]", "Embedding[0]", "GRUCell[0]"),
    *("LSTM[eval 3]", "LayerNorm[0]", "MultiheadAttention[eval 4]", "KLDivLoss[2]", "MaxPool2d[1]", "PReLU[1]"),
    *("Softmax[1]", "TransformerDecoderLayer[2]", "TransformerEncoder[eval 3]"),
]


def check_output(theirs, args, kwargs):
    """The layer that the source makes, with the state, computes the same in evaluation."""
    theirs.eval()
    ours = nnx.eval_shape(lambda: from_source(build(theirs), nnx.Rngs(0)))
    jaxnets.load_state_dict(ours, theirs.state_dict())
    ours.eval()
    with torch.enable_grad():
        expected = theirs(*args, **kwargs)
    got = ours(*trees.jax_tree(args), **trees.jax_tree(kwargs))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), got, trees.jax_tree(expected))


@pytest.mark.parametrize("name", SAMPLES)
def test_outputs(name):
    sample = pair(DATABASE[f"module_db/{name}"], "f32")
    check_output(sample.torch(), sample.args, sample.kwargs)
