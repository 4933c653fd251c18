"""Every core operator of ATen in a module: called by ATen's name, by torch's, as a method, and writing in place."""

import functools
import math

import jax
import pytest
import torch

from jaxnets.convert import ConversionError
from tests.convert.calls import check, converted, prepared
from tests.ops.operators import CORE_OVERLOADS
from tests.ops.test_aten import CALLS, SHAPES

REFUSED = {
    "_local_scalar_dense.default": "numbers of arrays",
    "nonzero.default": "numbers of arrays",
    "index.Tensor": "numbers of arrays",  # by a mask, which is the last of its calls
}
"""Operators whose results depend on numbers, and what is said of them."""

NO_ARRAYS = {"sym_numel.default", "sym_size.int", "sym_storage_offset.default", "sym_stride.int"}
"""Operators on sizes, which are Python's numbers in a module."""

BACKWARD = {name for name in CALLS if "backward" in name}
"""What torch's autograd calls, and no module."""

PUBLIC = sorted(set(CALLS) - NO_ARRAYS - BACKWARD - set(REFUSED) - {"_native_batch_norm_legit.default"})


def _split(call):
    return call if len(call) == 2 and isinstance(call[1], dict) else (call, {})


def _packet(name):
    base, _, overload = name.partition(".")
    function = getattr(getattr(torch.ops.aten, base), overload)
    return functools.partial(_with_out, function) if overload == "out" else function


def _with_out(function, *args, **kwargs):
    return function(*args, **kwargs, out=torch.empty(0))


def _doubled(tree):
    if isinstance(tree, torch.Tensor):
        return (
            tree.double() if tree.dtype == torch.float32 else tree.to(torch.complex128) if tree.is_complex() else tree
        )
    if isinstance(tree, list | tuple):
        return type(tree)(map(_doubled, tree))
    return torch.float64 if tree == torch.float32 and isinstance(tree, torch.dtype) else tree


@pytest.mark.parametrize("name", sorted(set(CALLS) - set(REFUSED) - NO_ARRAYS))
def test_by_atens_name(name):
    for call in CALLS[name]:
        args, kwargs = _split(call)
        check(_packet(name), args, kwargs, gradient=call is CALLS[name][0])


@pytest.mark.parametrize("name", sorted(set(CALLS) - set(REFUSED) - NO_ARRAYS - BACKWARD))
def test_in_double_precision(name):
    args, kwargs = _split(CALLS[name][0])
    with jax.enable_x64(True):
        check(_packet(name), _doubled(args), {key: _doubled(x) for key, x in kwargs.items()})


@pytest.mark.filterwarnings("ignore:This overload of")
@pytest.mark.parametrize("name", PUBLIC)
def test_by_torchs_name(name):
    """As a function of `torch` and as a method, where these take the same arguments."""
    base = name.partition(".")[0]
    args, kwargs = _split(CALLS[name][0])
    for function in (getattr(torch, base, None), getattr(torch.Tensor, base, None)):
        if callable(function) and _takes(function, args, kwargs):
            check(function, args, kwargs)


@pytest.mark.filterwarnings("ignore:This overload of:UserWarning")  # torch says it once in a process
@pytest.mark.parametrize("name", [n for n in PUBLIC if hasattr(torch.Tensor, f"{n.partition('.')[0]}_")])
def test_in_place(name):
    function = getattr(torch.Tensor, f"{name.partition('.')[0]}_")

    def written(x, *args, **kwargs):
        copied = x.clone()
        function(copied, *args, **kwargs)
        return copied

    args, kwargs = _split(CALLS[name][0])
    if isinstance(args[0], torch.Tensor) and _takes(written, args, kwargs):
        check(written, args, kwargs)


def _takes(function, args, kwargs):
    try:
        function(*args, **kwargs)
    except (TypeError, RuntimeError, IndexError):
        return False
    return True


@pytest.mark.parametrize(("name", "said"), REFUSED.items())
def test_results_that_depend_on_numbers_are_refused(name, said):
    args, kwargs = _split(CALLS[name][-1])
    with pytest.raises(ConversionError, match=said) as found:
        check(_packet(name), args, kwargs)
    assert __file__.replace("test_core", "calls") in str(found.value)


@pytest.mark.parametrize("name", sorted(set(SHAPES) - {"empty.memory_format", "empty_strided.default"}))
def test_drawn(name):
    """Other numbers than torch's, of its shape and dtype, and others in each call."""
    args, _, shape = SHAPES[name]
    call = prepared(lambda: _packet(name)(*args))
    net = converted(call)
    first, second = net(), net()
    assert first.shape == shape
    assert first.dtype == jax.dtypes.canonicalize_dtype(str(call.module().dtype).removeprefix("torch."))
    assert math.prod(shape) == 0 or (first != second).any()


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_embedding_bag(mode):
    """The bags; what torch gives besides is for its backward pass."""
    table, indices, offsets = CALLS["embedding.default"][0][0], torch.tensor([0, 2, 1, 0, 3]), torch.tensor([0, 2])
    check(lambda *arrays: torch.ops.aten._embedding_bag(*arrays, False, mode)[0], (table, indices, offsets))


def test_resize_is_refused():
    with pytest.raises(ConversionError, match="resize_"):
        check(lambda x: (x * 1).resize_(2, 3), (torch.arange(12.0),))


def test_every_core_operator_is_here():
    assert set(CORE_OVERLOADS) == set(CALLS) | set(SHAPES) | {"_embedding_bag.default", "resize_.default"}
