"""One call of a function of torch's as a module, converted and compared: what the tests of operators are made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx
from torch.utils import _pytree as pytree

import jaxnets
from jaxnets.arrays import to_numpy
from jaxnets.convert.writing import assemble

HOLE = "<array>"
"""Where an array goes among the arguments."""

TOLERANCES = {"float64": 1e-9, "complex128": 1e-9, "bfloat16": 3e-2, "float16": 2e-3}
"""Relative and absolute, by dtype: this is about what is called, not about formulas, which have tests of their own."""

ROUGH = 1e-4


class Calls(torch.nn.Module):
    """A module whose forward calls one function."""

    def __init__(self, function: Callable[..., Any]):
        super().__init__()
        self.function = function

    def forward(self, *arrays):
        return self.function(*arrays)


@dataclass
class Prepared:
    """A module, and the arrays to call it with."""

    module: torch.nn.Module
    arrays: list[torch.Tensor]

    def fresh(self) -> list[torch.Tensor]:
        return [x.clone() for x in self.arrays]


def prepared(function: Callable[..., Any], args: Sequence[Any] = (), kwargs: Any = None) -> Prepared:
    leaves, spec = pytree.tree_flatten((tuple(args), dict(kwargs or {})))
    arrays = [x.detach().clone() for x in leaves if isinstance(x, torch.Tensor)]
    holes = [HOLE if isinstance(x, torch.Tensor) else x for x in leaves]

    def filled(*given: torch.Tensor) -> Any:
        rest = iter(given)
        arguments = [next(rest) if isinstance(x, str) and x == HOLE else x for x in holes]
        positional, named = pytree.tree_unflatten(arguments, spec)
        return function(*positional, **named)

    return Prepared(Calls(filled), arrays)


def converted(call: Prepared, *, dynamic: bool = False) -> nnx.Module:
    """The module in JAX; its source is not formatted, which takes longer than all the rest."""
    formatted, assemble.formatted = assemble.formatted, lambda text: text
    try:
        return jaxnets.from_torch(call.module, tuple(call.arrays), dynamic_batch=dynamic)
    finally:
        assemble.formatted = formatted


def check(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Any = None,
    *,
    dynamic: bool = False,
    gradient: bool = False,
) -> None:
    """Outputs are torch's, and so are gradients of the floating arrays, if that is asked."""
    call = prepared(function, args, kwargs)
    torch.manual_seed(0)
    want = call.module(*call.fresh())
    net = converted(call, dynamic=dynamic)
    inputs = [_to_jax(x) for x in call.arrays]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        equal(want, net(*inputs))
        if gradient:
            _equal_gradients(call, net, inputs)


def _to_jax(x: torch.Tensor) -> jax.Array:
    return jnp.asarray(to_numpy(x.resolve_conj().resolve_neg()))


def equal(want: Any, got: Any) -> None:
    ours = jax.tree.leaves(got, is_leaf=lambda x: x is None)
    theirs = pytree.tree_leaves(want)
    assert len(theirs) == len(ours), f"expected {len(theirs)} outputs, got {len(ours)}"
    for a, b in zip(theirs, ours, strict=True):
        if isinstance(a, torch.Tensor):
            _equal_arrays(to_numpy(a.detach().resolve_conj().resolve_neg()), jnp.asarray(b))
        else:
            assert a == b, f"expected {a!r}, got {b!r}"


def _equal_arrays(want: np.ndarray, got: jax.Array) -> None:
    dtype = jax.dtypes.canonicalize_dtype(want.dtype)
    assert dtype == got.dtype, f"expected dtype {dtype}, got {got.dtype}"
    assert want.shape == got.shape, f"expected shape {want.shape}, got {got.shape}"
    bound = TOLERANCES.get(dtype.name, ROUGH)
    if want.dtype.kind in "biu":
        np.testing.assert_array_equal(want.astype(np.int64), np.asarray(got).astype(np.int64))
        return
    wide = np.complex128 if want.dtype.kind == "c" else np.float64
    np.testing.assert_allclose(np.asarray(got).astype(wide), want.astype(wide), rtol=bound, atol=bound)


def _equal_gradients(call: Prepared, net: nnx.Module, inputs: list[jax.Array]) -> None:
    places = [i for i, x in enumerate(call.arrays) if x.dtype in (torch.float32, torch.float64)]
    leaves = [x.clone().requires_grad_(i in places) for i, x in enumerate(call.arrays)]
    try:
        total = _total(pytree.tree_leaves(call.module(*leaves)), torch.Tensor)
    except RuntimeError:  # torch has no derivative, or writes into its inputs
        return
    if not isinstance(total, torch.Tensor) or not total.requires_grad:
        return
    try:
        want = torch.autograd.grad(total, [leaves[i] for i in places], allow_unused=True, materialize_grads=True)
    except (RuntimeError, NotImplementedError):
        return

    graph, state = nnx.split(net)

    def loss(*chosen: jax.Array) -> jax.Array:
        arrays = list(inputs)
        for i, x in zip(places, chosen, strict=True):
            arrays[i] = x
        return jnp.asarray(_total(jax.tree.leaves(nnx.merge(graph, state, copy=True)(*arrays)), jax.Array))

    got = jax.grad(loss, argnums=tuple(range(len(places))))(*(inputs[i] for i in places))
    equal(want, list(got))


def _total(leaves: Sequence[Any], kind: type) -> Any:
    """A number that depends on every element in a way of its own."""
    total: Any = 0.0
    for x in leaves:
        if isinstance(x, kind) and str(x.dtype).removeprefix("torch.") in ("float32", "float64"):
            n = int(np.prod(x.shape))
            weights = np.linspace(-0.7, 1.3, n).reshape(tuple(x.shape))
            w: Any = torch.tensor(weights, dtype=x.dtype) if kind is torch.Tensor else jnp.asarray(weights, x.dtype)
            total = (
                total + (x * w).sum().astype(jnp.float32) if kind is not torch.Tensor else total + (x * w).sum().float()
            )
    return total
