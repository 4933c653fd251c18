"""One call of an operator here and in torch: numbers, dtypes, shapes, gradients."""

from operator import attrgetter

import jax
import jax.numpy as jnp
import numpy as np
import torch

from jaxnets import ops

DTYPES = {
    torch.bool: jnp.bool_,
    torch.uint8: jnp.uint8,
    torch.int8: jnp.int8,
    torch.int16: jnp.int16,
    torch.int32: jnp.int32,
    torch.int64: jnp.int64,
    torch.float16: jnp.float16,
    torch.bfloat16: jnp.bfloat16,
    torch.float32: jnp.float32,
    torch.float64: jnp.float64,
    torch.complex64: jnp.complex64,
    torch.complex128: jnp.complex128,
}

# the names are asked for: torch's room of operators lists those alone that were called before
_ATEN = sorted(name[6:].partition(".")[0] for name in torch._C._dispatch_get_all_op_names() if name[:6] == "aten::")
CORE_OVERLOADS = sorted(
    {
        f"{name}.{overload}"
        for name in _ATEN
        for overload in getattr(torch.ops.aten, name).overloads()
        if torch.Tag.core in getattr(getattr(torch.ops.aten, name), overload).tags
    }
)


def to_jax(tree):
    """Tensors as arrays, torch's dtypes as numpy's, in lists and tuples too."""
    if isinstance(tree, torch.Tensor):
        if tree.dtype == torch.bfloat16:
            return jnp.asarray(tree.detach().float().numpy()).astype(jnp.bfloat16)
        return jnp.asarray(tree.detach().resolve_conj().numpy(force=True))
    if isinstance(tree, torch.dtype):
        return np.dtype(DTYPES[tree])
    if isinstance(tree, list | tuple):
        return type(tree)(map(to_jax, tree))
    return tree


def leaves(tree):
    """The arrays of nested outputs, in order; None counts."""
    if isinstance(tree, list | tuple):
        return [leaf for item in tree for leaf in leaves(item)]
    return [tree]


def held(dtype):
    """torch's dtype as JAX holds it now; it has no complex32."""
    return jax.dtypes.canonicalize_dtype(DTYPES[torch.complex64 if dtype == torch.complex32 else dtype])


def same(ours, theirs, rtol=2e-6, atol=1e-6):
    """Refuses other numbers, shapes or dtypes than torch's."""
    ours, theirs = leaves(ours), leaves(theirs)
    assert len(ours) == len(theirs)
    for mine, yours in zip(ours, theirs, strict=True):
        if not isinstance(yours, torch.Tensor):
            assert mine == yours
            continue
        assert mine.shape == tuple(yours.shape)
        assert mine.dtype == held(yours.dtype)
        expected = np.asarray(to_jax(yours))
        if mine.dtype.kind in "biu":
            np.testing.assert_array_equal(mine, expected)
        else:
            kind = np.complex128 if expected.dtype.kind == "c" else np.float64
            np.testing.assert_allclose(np.asarray(mine).astype(kind), expected.astype(kind), rtol=rtol, atol=atol)


def agrees(name, *args, torch_function=None, grad=False, rtol=2e-6, atol=1e-6, **kwargs):
    """Compares `ops.name` with `torch.name`; with `grad` the gradients of the sum of the floating outputs too."""
    theirs = torch_function or attrgetter(name)(torch)
    ours = attrgetter(name)(ops)
    expected = theirs(*args, **kwargs)
    named = {key: to_jax(value) for key, value in kwargs.items()}
    same(ours(*map(to_jax, args), **named), expected, rtol, atol)
    if not grad:
        return
    at = [i for i, x in enumerate(args) if isinstance(x, torch.Tensor) and x.is_floating_point()]
    given = [x.detach().clone().requires_grad_() if i in at else x for i, x in enumerate(args)]
    outputs = [x for x in leaves(theirs(*given, **kwargs)) if isinstance(x, torch.Tensor) and x.requires_grad]
    weights = [torch.arange(1.0, x.numel() + 1).reshape(x.shape).to(x.dtype) for x in outputs]
    slopes = torch.autograd.grad(outputs, [given[i] for i in at], weights)

    def total(*floats):
        filled = dict(enumerate(map(to_jax, args))) | dict(zip(at, floats, strict=True))
        found = [x for x in leaves(ours(*filled.values(), **named)) if jnp.issubdtype(x.dtype, jnp.floating)]
        return sum((x * to_jax(w)).sum() for x, w in zip(found, weights, strict=True))

    gradients = jax.grad(total, range(len(at)))(*(to_jax(args[i]) for i in at))
    same(list(gradients), list(slopes), rtol, atol)
