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


def proven(module, args=(), kwargs=None, *, others=(), train=True, grad=True, double=False):
    """The converted module and its source, after everything about them has been compared with torch.

    Args:
        module: torch's.
        args, kwargs: the example.
        others: further positional arguments, such as those of another batch.
        train: whether training mode is compared.
        grad: whether gradients are.
        double: whether float64 is, gradients too.
    """
    args = args if isinstance(args, tuple) else (args,)
    before = _snapshot(module)
    source = to_source(module, args, kwargs)
    model = from_torch(module, args, kwargs)
    assert to_source(module, args, kwargs) == source
    _assert_untouched(before, _snapshot(module))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        assert_parity(module, model, args, kwargs, grad=grad, jit=True)
        if train:
            assert_parity(module, model, args, kwargs, grad=grad, train=True, jit=True)
        for other in others:
            assert_parity(module, model, other, kwargs, grad=False)
        if double:
            _assert_double(module, args, kwargs, train)
    _assert_alone(module, source)
    return model, source


def _assert_double(module, args, kwargs, train):
    def wide(x):
        return x.double() if isinstance(x, torch.Tensor) and x.dtype == torch.float32 else x

    wider = copy.deepcopy(module).double()
    args, kwargs = torch.utils._pytree.tree_map(wide, (args, dict(kwargs or {})))
    with jax.enable_x64(True):
        model = from_torch(wider, args, kwargs)
    assert_parity(wider, model, args, kwargs, grad=True, train=train, jit=True)


def _assert_alone(module, source):
    """The source runs by itself, takes torch's state and gives it back, and has both modes."""
    names = {"__name__": "alone"}
    exec(compile(source, "alone.py", "exec"), names)
    build = names.get("build") or [x for x in names.values() if getattr(x, "__module__", None) == "alone"][-1]
    takes_rngs = (
        "rngs" in inspect.signature(vars(build).get("__init__", build) if inspect.isclass(build) else build).parameters
    )
    alone = build(rngs=nnx.Rngs(0)) if takes_rngs else build()
    state = module.state_dict()
    jaxnets.load_state_dict(alone, state)
    back = jaxnets.state_dict(alone)
    assert list(back) == list(state)
    for name, x in state.items():
        np.testing.assert_array_equal(np.asarray(back[name], np.float64), x.double().numpy(), name)
    alone.eval()
    alone.train()


def _snapshot(module):
    modules = dict(module.named_modules())
    return (
        {name: x.detach().clone() for name, x in module.state_dict(keep_vars=True).items()},
        {name: x.training for name, x in modules.items()},
        {name: set(vars(x)) for name, x in modules.items()},
        {name: x.requires_grad for name, x in module.named_parameters()},
        {name: [len(getattr(x, h)) for h in ("_forward_hooks", "_forward_pre_hooks")] for name, x in modules.items()},
    )


def _assert_untouched(before, after):
    assert before[1:] == after[1:]
    assert list(before[0]) == list(after[0])
    assert [n for n, x in before[0].items() if not torch.allclose(x, after[0][n], 0, 0, equal_nan=True)] == []
