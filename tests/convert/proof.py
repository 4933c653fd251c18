"""What every converted module has to hold, for one torch module and its inputs."""

import copy
import inspect

import jax
import numpy as np
import torch
from flax import nnx

import jaxnets
from jaxnets.convert import from_torch, to_source
from parity import assert_parity


def proven(module, args=(), kwargs=None, *, others=(), double=True, train=True, grad=True, quick=False):
    """The converted module, and its source.

    Args:
        module: torch's; in the mode that the converted one starts in.
        args, kwargs: the example.
        others: further positional arguments, such as those of another batch.
        double: whether float64 is looked at, too.
        train: whether training mode is.
        grad: whether gradients are.
        quick: whether only numbers of the example in evaluation are looked at.
    """
    args = args if isinstance(args, tuple) else (args,)
    before = _snapshot(module)
    source = to_source(module, args, kwargs)
    model = from_torch(module, args, kwargs)
    assert to_source(module, args, kwargs) == source
    _assert_same(before, _snapshot(module))
    assert_parity(module, model, args, kwargs, grad=grad, train=False)
    if not quick:
        if train:
            assert_parity(module, model, args, kwargs, grad=grad, train=True, jit=True)
        assert_parity(module, model, args, kwargs, grad=False, train=False, jit=True)
        for other in others:
            assert_parity(module, model, other, kwargs, grad=False, train=False)
        _alone(module, model, source, args, kwargs)
        if double:
            _in_double(module, args, kwargs, train, grad)
    return model, source


def _in_double(module, args, kwargs, train, grad):
    def wide(x):
        return x.double() if isinstance(x, torch.Tensor) and x.dtype == torch.float32 else x

    wider = copy.deepcopy(module).double()
    args, kwargs = torch.utils._pytree.tree_map(wide, (args, dict(kwargs or {})))
    with jax.enable_x64(True):
        model = from_torch(wider, args, kwargs)
    assert_parity(wider, model, args, kwargs, grad=grad, train=train, jit=True)


def _alone(module, model, source, args, kwargs):
    """The source runs by itself, takes torch's state and gives it back, and runs under `nnx.jit`."""
    names = {"__name__": "alone"}
    exec(compile(source, "alone.py", "exec"), names)
    made = [x for n, x in names.items() if getattr(x, "__module__", None) == "alone" or n == "build"]
    build = names.get("build") or names.get(type(module).__name__) or made[-1]
    alone = build(rngs=nnx.Rngs(0)) if _takes_rngs(build) else build()
    state = module.state_dict()
    jaxnets.load_state_dict(alone, state)
    back = jaxnets.state_dict(alone)
    assert list(back) == list(state)
    for name, x in state.items():
        np.testing.assert_array_equal(np.asarray(back[name], np.float64), x.double().numpy(), name)
    for mode in ("eval", "train"):
        getattr(model, mode)()
        graph, rest = nnx.split(model)
        getattr(model, mode)()
    del graph, rest


def _takes_rngs(build):
    return "rngs" in inspect.signature(build.__init__ if inspect.isclass(build) else build).parameters


def _snapshot(module):
    modules = dict(module.named_modules())
    return (
        {name: x.detach().clone() for name, x in module.state_dict(keep_vars=True).items()},
        {name: x.training for name, x in modules.items()},
        {name: set(vars(x)) for name, x in modules.items()},
        {name: x.requires_grad for name, x in module.named_parameters()},
        {name: [len(getattr(x, h)) for h in ("_forward_hooks", "_forward_pre_hooks")] for name, x in modules.items()},
    )


def _assert_same(before, after):
    assert before[1:] == after[1:]
    assert list(before[0]) == list(after[0])
    assert [n for n, x in before[0].items() if not torch.allclose(x, after[0][n], 0, 0, equal_nan=True)] == []
