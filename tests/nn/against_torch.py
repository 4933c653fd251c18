"""One call of a function here and in torch, with its first and second derivatives."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import torch

import jaxnets.functional as F


def agrees(name, arrays, *, twice=True, **arguments):
    """Output, gradients, and gradients of the gradients' sum of one call in float64; no more than torch has."""
    theirs = [torch.tensor(x, requires_grad=x.dtype == np.float64) for x in arrays]
    leaves = [x for x in theirs if x.requires_grad]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        expected = getattr(torch.nn.functional, name)(*theirs, **arguments)
    slopes = torch.autograd.grad(expected.sum(), leaves, create_graph=True)
    twice = twice and all(slope.requires_grad for slope in slopes)
    at = [i for i, x in enumerate(arrays) if x.dtype == np.float64]

    def loss(*floats):
        given = dict(enumerate(arrays)) | dict(zip(at, floats, strict=True))
        return getattr(F, name)(*map(jnp.asarray, given.values()), **arguments)

    def run(*floats):
        gradient = jax.grad(lambda *x: loss(*x).sum(), range(len(at)))
        second = jax.grad(lambda *x: sum(g.sum() for g in gradient(*x)), range(len(at)))
        return loss(*floats), gradient(*floats), second(*floats) if twice else ()

    with jax.enable_x64(True), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        ours, first, second = jax.jit(run)(*(jnp.asarray(arrays[i]) for i in at))
    wanted = [expected, *slopes]
    if twice:
        wanted += torch.autograd.grad(sum(slope.sum() for slope in slopes), leaves, allow_unused=True)
    for mine, yours in zip((ours, *first, *second), wanted, strict=True):
        yours = np.zeros(mine.shape) if yours is None else yours.detach().resolve_neg() + 0
        np.testing.assert_allclose(mine, yours, rtol=1e-12, atol=1e-14)
