"""What optimizers refuse, complex and half-precision parameters, and what optax puts around them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from torch.testing._internal.common_optimizers import optim_db

import jaxnets
from jaxnets import optim

REFUSED = [
    pytest.param(info.optim_cls.__name__, error, id=f"{info.optim_cls.__name__}-{error.desc}".replace(" ", "_"))
    for info in optim_db
    for wrong in info.optim_error_inputs_func(device="cpu", dtype=torch.float32)
    if (error := wrong.optimizer_error_input).kwargs
    # of implementations that are not here, and of numbers held as tensors: neither changes a number
    if "foreach" not in error.desc and "foreach" not in error.kwargs and "both floats" not in error.desc
]


@pytest.mark.parametrize(("name", "error"), REFUSED)
def test_torchs_error_inputs(name: str, error: Any):
    with pytest.raises((ValueError, TypeError), match=r"^[\w\[\]]+: expected |^params: Muon expects"):
        getattr(optim, name)(**error.kwargs).init({"weight": jnp.ones(3)})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.SGD(lr="fast"), "lr: expected a number of at least 0, got 'fast' of type str"),
        (lambda: optim.SGD(lr=float("nan")), "lr: expected a number of at least 0, got nan"),
        (lambda: optim.SGD(nesterov=True), "nesterov: expected momentum > 0 and dampening = 0, got 0 and 0"),
        (lambda: optim.SGD(rate=1), "SGD: got an unexpected keyword argument 'rate'; expected SGD.lr=0.001, momentum"),
        (lambda: optim.Adam(betas=0.9), r"betas: expected two numbers in \[0, 1\), got 0.9"),
        (lambda: optim.Rprop(etas=(0.5,)), r"etas: expected two numbers, got \(0.5,\)"),
        (lambda: optim.Adafactor(eps=1e-3), "eps: expected two numbers, the first may be None, got 0.001"),
        (lambda: optim.Muon(ns_steps=100), "ns_steps: expected an int below 100, got 100"),
        (lambda: optim.Adafactor().init(jnp.ones(2, complex)), "params: Adafactor expects real parameters"),
        (lambda: optim.SparseAdam().init(jnp.ones(2, complex)), "params: SparseAdam expects real parameters"),
        (lambda: _update(optim.AdamW()), "params: AdamW with weight_decay needs the parameters"),
        (lambda: _update(optim.ASGD()), "params: ASGD needs the parameters"),
        (lambda: optim.param_groups(optim.SGD, "body"), "groups: expected a list of dicts, one for each group"),
        (lambda: optim.param_groups(optim.SGD, [{"lr": 1.0}]), r"groups\[0\]: expected a dict with the key"),
        (lambda: optim.param_groups(optim.SGD, [{"params": 1}]), r"groups\[0\]\['params'\]: expected names"),
        (lambda: _grouped("*", "a"), r"groups: expected each parameter in one group, got a in \[0, 1\]"),
        (lambda: _grouped("a", "c"), r"groups\[1\]: expected names of parameters, got 'c', which fits none of a, b"),
    ],
)
def test_refusals(make: Any, message: str):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def _update(optimizer: Any) -> Any:
    return optimizer.update(jnp.ones(2), optimizer.init(jnp.ones(2)))


def _grouped(*params: str) -> Any:
    optimizer = optim.param_groups(optim.SGD, [{"params": p} for p in params])
    return optimizer.init({"a": jnp.ones(1), "b": jnp.ones(1)})


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "Adagrad", "RMSprop", "Adadelta"])
def test_complex_parameters(name: str):
    rng = np.random.default_rng(0)
    start, *grads = (rng.normal(size=(6, 3, 2)) @ [1, 1j]).astype(np.complex64)
    theirs = torch.tensor(start, requires_grad=True)
    kwargs = {"lr": 0.1} | ({"momentum": 0.9} if name in ("SGD", "RMSprop") else {})
    reference, optimizer = getattr(torch.optim, name)([theirs], **kwargs), getattr(optim, name)(**kwargs)
    ours, state = jnp.asarray(start), optimizer.init(jnp.asarray(start))
    for grad in grads:
        theirs.grad = torch.tensor(grad)
        reference.step()
        updates, state = optimizer.update(jnp.asarray(grad), state, ours)
        ours = ours + updates
    np.testing.assert_allclose(ours, theirs.detach(), rtol=2e-6)
    loaded = optim.load_state_dict(optimizer.init({"p": ours}), reference.state_dict(), {"p": ours})
    np.testing.assert_allclose(*(jax.tree.leaves(s.slots)[0] for s in (loaded, state)), rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in optim.__all__ if name[0].isupper() and name != "LBFGS"])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_stays_half_precision(name: str, dtype: Any):
    params = {"weight": jnp.ones((4, 3), dtype)}
    optimizer = getattr(optim, name)()
    state = optimizer.init(params)
    updates, after = jax.jit(optimizer.update)(params, state, params)
    assert updates["weight"].dtype == dtype
    assert bool(jnp.isfinite(updates["weight"]).all())
    assert bool((updates["weight"] != 0).any())
    assert [x.dtype for x in jax.tree.leaves(after)] == [x.dtype for x in jax.tree.leaves(state)]


@pytest.mark.parametrize("name", [name for name in optim.__all__ if name[0].isupper() and name != "LBFGS"])
def test_injected_numbers_change_while_training(name: str):
    """What optax injects is traced: the state keeps its form, and the rate set last is the one that counts."""
    static = {"Muon": ("ns_steps", "adjust_lr_fn")}.get(name, ())
    optimizer = optax.inject_hyperparams(getattr(optim, name), static_args=static)(lr=0.1)
    params = {"weight": jnp.full((4, 3), 2.0)}
    state = optimizer.init(params)
    with jax.numpy_dtype_promotion("standard"):
        for rate in (0.1, 0.05):
            state.hyperparams["lr"] = jnp.asarray(rate, jnp.float32)
            _, after = jax.jit(optimizer.update)(params, state, params)
            assert jax.tree.structure(after) == jax.tree.structure(state)
            state = after
    plain = getattr(optim, name)(lr=0.1)
    expected, _ = plain.update(params, plain.init(params), params)
    first, _ = optimizer.update(params, optimizer.init(params), params)
    np.testing.assert_allclose(first["weight"], expected["weight"], rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in optim.__all__ if name[0].isupper()])
def test_states_can_be_donated(name: str):
    leaves = jax.tree.leaves(getattr(optim, name)().init({"weight": jnp.ones((3, 2)), "other": jnp.ones((2, 2))}))
    assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)


def test_empty_and_scalar_parameters():
    params = {"none": jnp.ones((0, 3)), "one": jnp.ones(())}
    for name in (name for name in optim.__all__ if name[0].isupper() and name not in ("LBFGS", "Muon")):
        optimizer = getattr(optim, name)()
        updates, _ = optimizer.update(params, optimizer.init(params), params)
        assert updates["none"].shape == (0, 3)
        assert np.isfinite(updates["one"])


def test_the_door():
    assert jaxnets.optim is optim
