"""Every form of a grouped convolution, chosen or not, computes the same."""

from typing import Any

import jax
import numpy as np
import pytest
from jax import lax

from jaxnets.lowering import conv

SHAPES = [  # batch, channels in and out, groups, sizes, kernel, stride, padding, dilation
    (2, 6, 6, 6, (9, 7), (3, 2), (2, 1), ((1, 1), (0, 1)), (1, 2)),
    (2, 6, 12, 6, (9, 7), (3, 3), (1, 1), ((1, 1), (2, 0)), (1, 1)),
    (1, 8, 12, 4, (9, 7), (3, 3), (2, 3), ((0, 1), (1, 1)), (2, 1)),
    (3, 6, 9, 3, (11,), (4,), (3,), ((2, 2),), (2,)),
    (1, 4, 4, 2, (5, 6, 7), (3, 2, 1), (1, 2, 1), ((1, 1), (0, 0), (1, 0)), (1, 1, 2)),
]


@pytest.mark.parametrize("form", [conv._conv_by_taps, conv._conv_by_sums, conv.conv])
@pytest.mark.parametrize(("n", "c_in", "c_out", "groups", "sizes", "kernel", "stride", "padding", "dilation"), SHAPES)
def test_forms(
    form: Any,
    n: int,
    c_in: int,
    c_out: int,
    groups: int,
    sizes: Any,
    kernel: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
):
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(n, c_in, *sizes)), rng.normal(size=(c_out, c_in // groups, *kernel))

    def direct(x: Any, weight: Any) -> Any:
        return lax.conv_general_dilated(x, weight, stride, padding, rhs_dilation=dilation, feature_group_count=groups)

    with jax.enable_x64(True):
        found, pull = jax.vjp(lambda x, w: form(x, w, stride, padding, dilation, groups), x, weight)
        expected, pull_direct = jax.vjp(direct, x, weight)
        along = rng.normal(size=expected.shape)
        pairs = [(found, expected), *zip(pull(along), pull_direct(along), strict=True)]
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_summed_in_float32(dtype: str):
    rng = np.random.default_rng(0)
    x = jax.numpy.asarray(rng.normal(1, 1, size=(1, 4, 9, 9)), dtype)
    weight = jax.numpy.asarray(rng.normal(1, 1, size=(4, 1, 7, 7)), dtype)
    arguments = ((1, 1), ((3, 3), (3, 3)), (1, 1), 4)
    wide = conv._conv_by_sums(x.astype("float32"), weight.astype("float32"), *arguments)
    assert bool((conv._conv_by_sums(x, weight, *arguments) == wide.astype(dtype)).all())
