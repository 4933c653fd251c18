"""Functions of one and of two numbers where a formula breaks: NaN, infinities, zeros of both signs, what overflows.

Every function of `jaxnets.functional` and `jaxnets.ops` that torch takes so is found by calling it; values and
derivatives are compared in float64, compiled, for XLA may simplify what a single operation keeps.
"""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxnets.functional as F
from jaxnets import ops

# torch says that copies of tensors and an implicit `dim` are not its best style, on both sides
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

nan, inf = float("nan"), float("inf")
NUMBERS = np.array(
    [nan, inf, -inf, 0.0, -0.0, 1e300, -1e300, 1, -1, 0.5, -0.5, 3, -3, 6, -6, 20, -20, 20.5, 88.8, -104]
)
PAIRS = tuple(x.ravel() for x in np.meshgrid(NUMBERS[:15], NUMBERS[:15], indexing="ij"))
ROOMS = {
    "functional": (F, torch.nn.functional, {"reduction": "none"}),
    "ops": (ops, torch, {}),
    "special": (ops.special, torch.special, {}),
}
DRAWS = {
    *("alpha_dropout", "bernoulli", "binomial", "dropout", "dropout1d", "dropout2d", "dropout3d", "empty_like"),
    *("feature_alpha_dropout", "feature_dropout", "gumbel_softmax", "multinomial", "normal", "poisson", "rand_like"),
    *("randn_like", "rrelu"),
}
ENDLESS = {"igamma", "igammac", "gammainc", "gammaincc"}
"""Whose series torch sums term by term, as many as the numbers are great."""

UNORDERED = {"argsort", "bucketize", "searchsorted"}
"""Equal numbers have no order, and numbers that are not sorted no place."""

LEFT_OUT = DRAWS | ENDLESS | UNORDERED

VECTORS = "torch's own kernels differ there: vectors, single numbers, CUDA"
KNOWN = {
    **dict.fromkeys(("celu", "elu", "hardshrink", "hardswish", "hardtanh", "relu6"), (np.isnan, "slope", VECTORS)),
    **dict.fromkeys(("selu", "softshrink"), (np.isnan, "slope", VECTORS)),
    **dict.fromkeys(("clamp", "clamp_max", "clamp_min", "clip"), (np.isnan, "slope", "of a bound that is NaN")),
    "copysign": (lambda x: ~np.isfinite(x), "slope", "torch's is a quotient of the result"),
    **dict.fromkeys(("digamma", "psi"), (lambda x: x < 0, "slope", "at poles torch gives what rounding leaves of it")),
    "i1": (np.isnan, "slope", "torch takes NaN for 0"),
    "log_ndtr": (lambda x: x == -1e300, "slope", "where torch's overflows"),
    "rsqrt": (lambda x: x == 0, "slope", "of -0"),
    "poisson_nll_loss": (lambda x: np.abs(x) == 1e300, "value", "compiled, `x - t * x` is one operation"),
    **dict.fromkeys(
        ("div", "divide", "true_divide"),
        (lambda x: np.abs(x) == 1e300, "slope", "JAX's derivative of a quotient squares the denominator"),
    ),
    "remainder": (np.isinf, "slope", "of the divisor: torch's quotient of infinity is NaN"),
    "zeta": (lambda x: x > 2, "value", "torch's powers of infinity and of 1e300 are NaN, where ours vanish"),
    "logaddexp2": (lambda x: x == -1, "value", "0 but for rounding"),
    "sinc": (lambda x: (x != 0) & (x == np.round(x)) & np.isfinite(x), "value", "0 but for rounding, by JAX's version"),
    "expm1": (lambda x: x < -15, "slope", "torch adds 1 to the result, which leaves few digits; JAX does up to 0.11"),
}
"""Where something is left out, what of it, and why."""


def _functions(arrays):
    """Names whose function makes of so many arrays one of their shape."""
    for room, (ours, theirs, keywords) in ROOMS.items():
        for name in dir(ours):
            f, keyword = getattr(theirs, name, None), {}
            if name[0] == "_" or name in LEFT_OUT or not callable(f) or not callable(getattr(ours, name)):
                continue
            if len(arrays) == 2 and room == "functional":
                keyword = keywords
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    found = f(*map(torch.tensor, arrays), **keyword)
            except Exception:  # whatever torch says of a call that does not suit the function
                continue
            if isinstance(found, torch.Tensor) and found.shape == arrays[0].shape and not found.is_complex():
                yield pytest.param(room, name, keyword, id=f"{room}.{name}")


def _compare(room, name, keywords, arrays):
    ours, theirs, _ = ROOMS[room]
    f, reference = getattr(ours, name), getattr(theirs, name)
    tensors = [torch.tensor(x, requires_grad=True) for x in arrays]
    try:
        expected = reference(*tensors, **keywords)
        slopes = torch.autograd.grad(expected.sum(), tensors, allow_unused=True)
    except RuntimeError:  # torch has no derivative
        expected, slopes = reference(*map(torch.tensor, arrays), **keywords), ()
    where, what, _ = KNOWN.get(name, (lambda x: np.zeros(x.shape, bool), "", ""))
    kept = {"value": np.ones(arrays[0].shape, bool), "slope": np.ones(arrays[0].shape, bool)}
    kept[what] = ~np.any([where(x) for x in arrays], axis=0)

    def apart(kind, a, b):
        with np.errstate(all="ignore"):
            wrong = ~np.isclose(np.asarray(a), b, rtol=1e-9, atol=1e-38, equal_nan=True) & kept[kind]
        return [f"{[float(x[k]) for x in arrays]}: {a[k]}, torch {b[k]}" for k in np.flatnonzero(wrong)]

    @jax.jit
    def both(*x):
        value, back = jax.vjp(lambda *x: f(*x, **keywords), *x)
        return value, back(jnp.ones_like(value)) if slopes else ()

    with jax.enable_x64(True):
        value, found = both(*arrays)
    assert apart("value", value, expected.detach().numpy()) == []
    for slope, gradient in zip(found, slopes, strict=True):
        if gradient is not None and not gradient._is_zerotensor():
            assert apart("slope", slope, gradient.numpy()) == []


@pytest.mark.parametrize(("room", "name", "keywords"), list(_functions([NUMBERS])))
def test_of_one_number(room, name, keywords):
    _compare(room, name, keywords, [NUMBERS])


@pytest.mark.parametrize(("room", "name", "keywords"), list(_functions(PAIRS)))
def test_of_two_numbers(room, name, keywords):
    _compare(room, name, keywords, PAIRS)
