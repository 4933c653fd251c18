"""Every core operator of ATen has a function of its name, with its order of arguments and its numbers."""

import functools

import jax
import numpy as np
import pytest
import torch

from jaxnets import ops
from tests.ops.operators import CORE_OVERLOADS, same, to_jax

_random = torch.Generator().manual_seed(0)


def real(*shape):
    return torch.randn(shape, generator=_random) + 0.25


def whole(*shape, low=0, high=10):
    return torch.randint(low, high, shape, generator=_random)


x, y, positive = real(3, 4), real(4), real(3, 4).abs() + 0.1
ints, mask = whole(3, 4, low=-5), torch.tensor([[True, False, True, True]]).expand(3, 4).clone()
image, volume = real(2, 4, 6, 5), real(1, 2, 4, 5, 3)
kernel, deep = real(6, 2, 3, 3), real(4, 3, 2)
stats = real(4), real(4).abs() + 0.5
running = real(4), real(4).abs() + 0.5  # torch writes into these
_pool = torch.ops.aten.max_pool2d_with_indices(image, [2, 3], [2, 1], [1, 1])
_norm = torch.ops.aten.native_layer_norm(x, [4], y, y, 1e-5)
_group = torch.ops.aten.native_group_norm(image, y, y, 2, 4, 30, 2, 1e-5)
rows = torch.tensor([[0, 2, 1, 0], [1, 1, 0, 2]])
three = (True, True, True)

# fmt: off
UNARY = (
    "abs", "ceil", "cos", "cosh", "erf", "exp", "expm1", "floor", "isinf", "isnan", "logical_not", "neg",
    "reciprocal", "relu", "round", "sigmoid", "sign", "sin", "sinh", "tan", "tanh", "trunc", "asinh", "atan",
    "clone", "alias", "amax", "amin", "any", "argmax", "argmin", "mean", "prod", "nonzero", "leaky_relu", "elu",
    "gelu", "hardtanh",
)
# fmt: on
POSITIVE = ["log", "log10", "log1p", "log2", "rsqrt", "sqrt"]
COMPARED = ["eq", "ge", "gt", "le", "lt", "ne"]
BITS = ["bitwise_and", "bitwise_or", "bitwise_xor"]

# operator.overload: the arguments of a call or two; what is drawn or has no numbers is below
CALLS = {
    "_adaptive_avg_pool2d.default": [(image, [3, 2])],
    "_adaptive_avg_pool2d_backward.default": [(real(2, 4, 3, 2), image)],
    "_adaptive_avg_pool3d.default": [(volume, [2, 2, 3])],
    "_cdist_forward.default": [(real(3, 4), real(5, 4), 2.0, None), (real(2, 3, 4), real(2, 5, 4), 1.0, None)],
    "_fft_c2r.default": [(torch.complex(real(3, 4), real(3, 4)), [1], 2, 6)],
    "_fft_r2c.default": [(x, [1], 0, True), (x, [0, 1], 1, False)],
    "_local_scalar_dense.default": [(torch.tensor(2.5),)],
    "_log_softmax.default": [(x, 1, False)],
    "_native_batch_norm_legit.default": [(image, *stats, *running, True, 0.1, 1e-5)],
    "_native_batch_norm_legit.no_stats": [(image, *stats, True, 0.1, 1e-5)],
    "_native_batch_norm_legit_no_training.default": [(image, *stats, *running, 0.1, 1e-5)],
    "_pdist_forward.default": [(real(5, 3), 2.0)],
    "_softmax.default": [(x, -1, False)],
    "_to_copy.default": [((x,), {"dtype": torch.int64}), (x,)],
    "acos.default": [(torch.tensor([-0.5, 0.25, 0.75]),)],
    "acosh.default": [(positive + 1,)],
    "add.Scalar": [(x, 2), (x, 2.5, 3), (ints, 2)],
    "add.Tensor": [((x, y), {"alpha": 2.5}), (ints, x)],
    "addmm.default": [((real(5), x, real(4, 5)), {"beta": 0.5, "alpha": 2}), (real(3, 5), x, real(4, 5))],
    "any.dim": [(mask, 1, True)],
    "any.dims": [(mask, [0, 1]), (ints, None, True)],
    "arange.start_step": [(1, 7, 2), (0.5, 3, 0.75)],
    "as_strided.default": [(x, [2, 3], [1, 4], 1)],
    "asin.default": [(torch.tensor([-0.5, 0.25, 0.75]),)],
    "atan2.default": [(x, y)],
    "atan2.out": [(x, y)],
    "atanh.default": [(torch.tensor([-0.5, 0.25, 0.75]),)],
    "adaptive_avg_pool1d.default": [(deep, [1]), (x, [3])],
    "avg_pool1d.default": [(deep, [2]), (x, [3], [2], [1], True, False)],
    "avg_pool2d.default": [(image, [2, 3], [2, 1], [1, 1], True, False, None), (image, [2])],
    "avg_pool2d_backward.default": [(real(2, 4, 3, 3), image, [2, 2], [2, 2], [0, 1], False, False, None)],
    "avg_pool3d.default": [(volume, [2, 2, 2], [1, 2, 1])],
    "bitwise_not.default": [(ints,), (mask,)],
    "bmm.default": [(real(2, 3, 4), real(2, 4, 5))],
    "cat.default": [([x, real(2, 4)],), ([x, ints], -1)],
    "clamp.default": [(x, -0.5, 0.5), (ints, None, 2)],
    "clamp.Tensor": [(x, y, y + 1)],
    "col2im.default": [(real(2, 8, 6), [4, 3], [2, 2], [1, 1], [0, 0], [1, 1])],
    "constant_pad_nd.default": [(x, [1, 2, -1, 0], 3.0), (x, [1, 1])],
    "convolution.default": [
        (image, kernel, real(6), [2, 1], [1, 0], [1, 2], False, [0, 0], 2),
        (image, real(4, 3, 3, 3), None, [2, 2], [1, 1], [1, 1], True, [1, 0], 2),
        (deep, real(5, 3, 2), None, [1], [0], [1], False, [0], 1),
    ],
    "convolution_backward.default": [
        (real(2, 6, 3, 3), image, kernel, [6], [2, 1], [1, 0], [1, 1], False, [0, 0], 2, three),
    ],
    "copy.default": [(x, y), (ints, x)],
    "cumsum.default": [(x, 1), (mask, 0)],
    "diagonal.default": [(deep, 1, 0, 2), (x,)],
    "div.Scalar": [(x, 2), (ints, 3)],
    "div.Scalar_mode": [((x, 0.5), {"rounding_mode": "floor"}), ((ints, 3), {"rounding_mode": "trunc"})],
    "div.Tensor": [(x, y), (ints, ints + 20)],
    "div.Tensor_mode": [((x, y), {"rounding_mode": "trunc"}), ((ints, ints + 20), {"rounding_mode": "floor"})],
    "embedding.default": [(real(5, 3), rows), (real(5, 3), rows, 1)],
    "embedding_dense_backward.default": [(real(2, 4, 3), rows, 5, 1, False), (real(2, 4, 3), rows, 5, -1, True)],
    "expand.default": [(y, [2, 3, -1])],
    "fill.Scalar": [(x, 2), (ints, 2.5)],
    "flip.default": [(x, [0, -1])],
    "full.default": [([2, 3], 1.5), ([2], 3), ([2], True)],
    "full_like.default": [(ints, 2), (x, 3)],
    "gather.default": [(x, 1, rows)],
    "grid_sampler_2d.default": [(image, torch.tanh(real(2, 3, 4, 2)), 0, 1, False)],
    "index.Tensor": [
        (x, [None, torch.tensor([3, 0, -1])]),
        (x, [torch.tensor([0, 2]), torch.tensor([1, 3])]),
        (x, [mask]),
    ],
    "index_put.default": [
        (x, [torch.tensor([0, 2]), torch.tensor([1, 3])], real(2)),
        (x, [torch.tensor([1, 1])], real(2, 4), True),
        (x, [mask], torch.tensor(2.0)),
    ],
    "index_select.default": [(x, 1, torch.tensor([3, 0, 0]))],
    "logical_and.default": [(mask, ints)],
    "logical_or.default": [(mask, ints)],
    "logical_xor.default": [(mask, ints)],
    "masked_scatter.default": [(x, mask, real(12))],
    "max.dim": [(x, 1), (ints, 0, True)],
    "max_pool2d_with_indices.default": [(image, [2, 3], [2, 1], [1, 1]), (image, [2, 2])],
    "max_pool2d_with_indices_backward.default": [
        (torch.ones_like(_pool[0]), image, [2, 3], [2, 1], [1, 1], [1, 1], False, _pool[1])
    ],
    "max_pool3d_with_indices.default": [(volume, [2, 2, 2])],
    "maximum.default": [(x, y)],
    "mean.default": [((ints,), {"dtype": torch.float32}), (x,)],
    "mean.dim": [(x, [0], True), (x, None)],
    "min.dim": [(x, 1), (ints, 0, True)],
    "minimum.default": [(x, y)],
    "mm.default": [(x, real(4, 2))],
    "native_dropout.default": [(x, 0.0, True), (x, 0.5, False)],
    "native_group_norm.default": [(image, y, y, 2, 4, 30, 2, 1e-5)],
    "native_group_norm_backward.default": [(real(2, 4, 6, 5), image, *_group[1:], y, 2, 4, 30, 2, three)],
    "native_layer_norm.default": [(x, [4], y, y, 1e-5), (deep, [3, 2], None, None, 1e-5)],
    "native_layer_norm_backward.default": [(real(3, 4), x, [4], *_norm[1:], y, y, three)],
    "permute.default": [(deep, [2, 0, -2])],
    "pow.Scalar": [(2, x), (2.5, ints.clamp(0))],
    "pow.Tensor_Scalar": [(x, 3), (positive, 0.5), (positive, -1.5), (ints, 2)],
    "pow.Tensor_Tensor": [(positive, y)],
    "prod.dim_int": [(x, 1), (ints, 0, True)],
    "reflection_pad1d.default": [(x, [2, 1])],
    "reflection_pad2d.default": [(image, [2, 1, 0, 3])],
    "reflection_pad3d.default": [(volume, [1, 1, 2, 0, 1, 1])],
    "repeat.default": [(x, [2, 1, 3])],
    "replication_pad2d.default": [(image, [2, 1, 0, 3])],
    "replication_pad3d.default": [(volume, [1, 1, 2, 0, 1, 1])],
    "scalar_tensor.default": [(2,), ((2.5,), {"dtype": torch.int64})],
    "scatter.src": [(x, 0, torch.tensor([[2, 0, 1, 2]]), real(2, 4))],
    "scatter.value": [(x, 1, torch.tensor([[2, 0], [1, 3]]), 1.5)],
    "scatter_add.default": [(x, 1, rows, real(2, 4))],
    "scatter_reduce.two": [
        ((x, 1, rows, real(2, 4), reduce), {"include_self": self})
        for reduce in ("sum", "prod", "mean", "amax", "amin")
        for self in (True, False)
    ],
    "select.int": [(x, 1, -1)],
    "select_scatter.default": [(x, real(3), 1, 2)],
    "slice.Tensor": [(x, 1, 1, -1, 2), (x, 0, -2), (x,)],
    "slice_scatter.default": [(x, real(3, 2), 1, 0, 4, 2)],
    "sort.default": [(x, 0, True), (x,)],
    "split_with_sizes.default": [(x, [1, 3], 1)],
    "squeeze.dim": [(real(1, 3, 1), 0)],
    "squeeze.dims": [(real(1, 3, 1), [0, 1])],
    "sub.Scalar": [(x, 2, 3)],
    "sub.Tensor": [((x, y), {"alpha": 2})],
    "sum.dim_IntList": [(x, [1], True), (mask, None)],
    "sym_is_contiguous.default": [(x,)],
    "sym_numel.default": [(x,)],
    "sym_size.int": [(x, 1)],
    "sym_storage_offset.default": [(x,)],
    "sym_stride.int": [(deep, 0)],
    "topk.default": [(x, 2), (x, 2, 0, False)],
    "unsqueeze.default": [(x, -1)],
    "upsample_bilinear2d.vec": [(image, [7, 9], True, None), (image, None, False, [1.5, 2.0])],
    "upsample_nearest2d.vec": [(image, [7, 9], None), (image, None, [1.5, 2.0])],
    "var.correction": [((x, [1]), {"correction": 2, "keepdim": True}), (x,)],
    "var.dim": [(x, [0, 1], False), (x, [1], True, True)],
    "view.default": [(x, [2, -1])],
    "where.self": [(mask, x, y)],
}
CALLS |= {f"{name}.default": [(x,)] for name in UNARY}
CALLS |= {f"{name}.default": [(positive,)] for name in POSITIVE}
CALLS |= {f"{name}.Tensor": [(ints, whole(4)), (x, ints)] for name in COMPARED}
CALLS |= {f"{name}.Scalar": [(ints, 2), (x, 0.25)] for name in COMPARED}
CALLS |= {f"{name}.Tensor": [(ints, whole(4)), (ints, mask)] for name in BITS}
CALLS |= {f"{name}.Scalar": [(ints, 3)] for name in BITS}
CALLS |= {f"{name}.Tensor": [(x, y)] for name in ("fmod", "remainder", "mul")}
CALLS |= {f"{name}.Scalar": [(x, -0.7), (ints, 3)] for name in ("fmod", "remainder", "mul")}

SHAPES = {  # what is drawn, and what has no particular numbers
    "rand.default": (([2, 3],), {"key": jax.random.key(0)}, (2, 3)),
    "randn.default": (([2, 3],), {"key": jax.random.key(0)}, (2, 3)),
    "randperm.default": ((5,), {"key": jax.random.key(0)}, (5,)),
    "empty.memory_format": (([2, 3],), {}, (2, 3)),
    "empty_strided.default": (([2, 3], [3, 1]), {}, (2, 3)),
}


def test_every_core_operator_is_called_here():
    # `resize_` changes memory in place, and has no twin that does not
    assert set(CORE_OVERLOADS) - {"resize_.default"} == set(CALLS) | set(SHAPES) | {"_embedding_bag.default"}


@pytest.mark.parametrize("name", sorted(set(CALLS) & set(CORE_OVERLOADS)))
def test_core(name):
    base, _, overload = name.partition(".")
    theirs, ours = getattr(getattr(torch.ops.aten, base), overload), getattr(ops, base)
    if overload == "out":
        theirs = functools.partial(theirs, out=torch.empty(0))
    for call in CALLS[name]:
        args, kwargs = call if len(call) == 2 and isinstance(call[1], dict) else (call, {})
        with np.errstate(all="ignore"):
            same(
                ours(*map(to_jax, args), **{k: to_jax(v) for k, v in kwargs.items()}),
                theirs(*args, **kwargs),
                rtol=1e-5,
                atol=1e-5,
            )


@pytest.mark.parametrize("name", SHAPES)
def test_core_shapes(name):
    args, kwargs, shape = SHAPES[name]
    assert getattr(ops, name.partition(".")[0])(*args, **kwargs).shape == shape


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_embedding_bag(mode):
    weight, indices, offsets = real(5, 3), torch.tensor([0, 2, 4, 1, 1]), torch.tensor([0, 3])
    theirs = torch.ops.aten._embedding_bag(weight, indices, offsets, False, mode)
    ours = ops._embedding_bag(*map(to_jax, (weight, indices, offsets)), False, mode)
    same(ours[0], theirs[0])
    assert ours[1].tolist() == [0, 0, 0, 1, 1]
    assert ours[2].tolist() == [3, 2]
