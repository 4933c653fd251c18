"""Outside of `jit`: what a call has compiled the next one finds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import functional as F

compilations = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, _seconds, **_: compilations.append(event) if "backend_compile" in event else None
)


def normal(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape).astype(np.float32))


x1, x2, x3 = normal(2, 8, 40), normal(2, 8, 12, 12), normal(1, 8, 6, 7, 8)
long = normal(1, 17, 512, 8)

CASES = {
    "convolution": (lambda x: F.conv2d(x, normal(16, 8, 3, 3)), x2),
    "depthwise convolution": (lambda x: F.conv2d(x, normal(8, 1, 3, 3), groups=8), x2),
    "grouped convolution with a step": (lambda x: F.conv2d(x, normal(16, 4, 3, 3), stride=2, groups=2), x2),
    "transposed convolution": (lambda x: F.conv_transpose2d(x, normal(8, 4, 4, 4), stride=2), x2),
    "depthwise conv1d": (lambda x: F.conv1d(x, normal(8, 1, 5), groups=8), x1),
    "depthwise conv3d": (lambda x: F.conv3d(x, normal(8, 1, 3, 3, 3), groups=8), x3),
    "max_pool2d": (lambda x: F.max_pool2d(x, 3, 2, 1), x2),
    "max_pool2d of large windows": (lambda x: F.max_pool2d(x, 7, 1), x2),
    "max_pool3d": (lambda x: F.max_pool3d(x, 2), x3),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 3, 2, 1), x2),
    "lp_pool2d": (lambda x: F.lp_pool2d(x, 2.0, 3), x2),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, 5), x2),
    "adaptive_max_pool2d": (lambda x: F.adaptive_max_pool2d(x, 5), x2),
    "local_response_norm": (lambda x: F.local_response_norm(x, 5), x2),
    "interpolate": (lambda x: F.interpolate(x, scale_factor=2.3, mode="bicubic"), x2),
    "grid_sample": (lambda x: F.grid_sample(x, jnp.tanh(normal(2, 5, 5, 2)), align_corners=False), x2),
    "group_norm": (lambda x: F.group_norm(x, 2), x2),
    "multilabel_margin_loss": (
        lambda x: F.multilabel_margin_loss(x, jnp.asarray([[3, 0, -1, 1], [2, -1, 0, 1]])),
        x1[:, 0, :4],
    ),
    "ctc_loss": (
        lambda x: F.ctc_loss(F.log_softmax(x.T[:, None], -1), jnp.asarray([[3, 1, 2]]), (40,), (3,)),
        x1[0],
    ),
    "attention by heads": (lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True), long),
}


@pytest.mark.parametrize("name", CASES)
def test_a_second_call_compiles_nothing(name):
    function, x = CASES[name]

    def gradient():
        return jax.grad(lambda x: (function(x) ** 2).sum())(x)

    for call in (lambda: function(x), gradient):
        call()
        before = len(compilations)
        assert before
        call()
        assert compilations[before:] == []


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("how", [jax.disable_jit, jax.debug_nans])
def test_under_a_debugger(how, name):
    """One operation after the other, or with each result searched for NaN: nothing else comes out, and no alarm."""
    function, x = CASES[name]

    def gradient():
        return jax.grad(lambda x: (function(x) ** 2).sum())(x)

    expected = function(x), gradient()
    with how(True):
        found = function(x), gradient()
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
