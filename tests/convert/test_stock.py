"""Stock layers: every layer of our cases and of torch's database is read, written as source, and built again."""

import ast
import inspect
import warnings
from collections import defaultdict
from functools import cache, partial
from operator import attrgetter

import jax.numpy as jnp
import pytest
import torch
from flax import nnx

import jaxnets
import jaxnets.functional as F
from jaxnets import nn
from jaxnets.convert.calls import Array, Build, Function, parameters
from jaxnets.convert.source import expression
from jaxnets.convert.stock import build
from parity.cases import CASES
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
    made = {
        name: [partial(lambda case: pair(case, "f32").torch(), x) for x in xs.values()] for name, xs in found.items()
    }
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


def check_rebuilt(theirs):
    """The source of a layer makes the same names, shapes and settings, and takes its state."""
    found = build(theirs)
    keys = [(name, tuple(x.shape)) for name, x in theirs.state_dict().items()]
    ours = nnx.eval_shape(lambda: from_source(found, nnx.Rngs(0)))
    said = ast.unparse(expression(found))
    assert shapes(ours) == keys, said
    jaxnets.load_state_dict(ours, theirs.state_dict())
    both = [(name, x, vars(ours)[name]) for name, x in settings(theirs).items() if name in settings(ours)]
    differ = [(name, x, y) for name, x, y in both if not same(x, y)]
    assert not [d for d in differ if d[0] not in ("bias", "training")], said
    return found


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("name", sorted(name for name in {*LAYERS} - CONTAINERS if not name.startswith("Lazy")))
def test_every_layer_is_built_again(name):
    makers = recipes().get(name, [])
    found = {build(make()): make for make in makers}
    assert found or name in ("RNNBase", "RNNCellBase", "LinearCrossEntropyOptions")
    for made, make in found.items():
        assert check_rebuilt(make()) == made
        written, direct = (nnx.eval_shape(lambda f=f, m=made: f(m, nnx.Rngs(0))) for f in (from_source, instantiated))
        assert shapes(written) == shapes(direct)
        assert all(same(direct_x, settings(written)[name]) for name, direct_x in settings(direct).items())
