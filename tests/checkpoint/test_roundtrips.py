"""Random states: what goes into a file comes out of it, bit for bit, through us and through torch."""

import tempfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from safetensors.torch import load_file

from jaxnets import checkpoint
from jaxnets.arrays import DTYPES
from jaxnets.checkpoint.safetensors import NAMES

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")

few = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def arrays(draw, names=tuple(DTYPES)):
    """A view of random bits: any dtype, up to four axes, transposed, sliced, with steps, or expanded."""
    dtype = DTYPES[draw(st.sampled_from(names))]
    shape = draw(st_numpy.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    count = int(np.prod(shape)) * dtype.itemsize
    raw = np.frombuffer(draw(st.binary(min_size=count, max_size=count)), np.uint8)
    array = (raw % 2 if dtype == np.bool_ else raw).view(dtype).reshape(shape)
    array = array.transpose(draw(st.permutations(range(array.ndim))))
    for axis in range(array.ndim):
        step = draw(st.sampled_from([1, 1, 2, -1]))
        array = array[(slice(None),) * axis + (slice(None, None, step),)]
    if draw(st.integers(0, 9)) == 0:
        array = np.broadcast_to(array, (2, *array.shape))
    return array


plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**200), 2**200),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.text(),
    st.binary(),
    st.sets(st.integers() | st.text()),
)
keys = st.text() | st.integers() | st.booleans() | st.none() | st.tuples(st.text(), st.integers())
trees = st.recursive(
    plain | arrays(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
        | st.dictionaries(keys, inner, max_size=4).map(OrderedDict)
    ),
    max_leaves=12,
)


def as_numpy(value):
    """A tensor of torch as the dtype name, shape and bytes that an array has."""
    if isinstance(value, torch.Tensor):
        flat = value.contiguous().as_strided((value.numel(),), (1,))
        raw = flat.view(torch.uint8).numpy().tobytes() if value.numel() else b""
        return str(value.dtype)[6:], tuple(value.shape), raw
    return value.dtype.name, value.shape, value.tobytes()


def assert_same(a, b):
    if isinstance(a, np.ndarray):
        assert as_numpy(a) == as_numpy(b)
    elif isinstance(a, dict):
        assert (type(a), list(a)) == (type(b), list(b))
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert (type(a), len(a)) == (type(b), len(b))
        for one, other in zip(a, b, strict=True):
            assert_same(one, other)
    else:
        assert type(a) is type(b)
        assert a == b


@few
@given(trees)
def test_torch_format(state):
    with tempfile.TemporaryDirectory() as folder:
        path, again = Path(folder, "a.pt"), Path(folder, "b.pt")
        checkpoint.save(state, path)
        loaded = checkpoint.load(path, verify=True)
        assert_same(state, loaded)
        theirs = torch.load(path, weights_only=True)
        assert_same(state, theirs)
        torch.save(theirs, again)
        assert_same(state, checkpoint.load(again))
        torch.save(theirs, again, _use_new_zipfile_serialization=False)
        assert_same(state, checkpoint.load(again))


@few
@given(st.dictionaries(st.text().filter(lambda name: name != "__metadata__"), arrays(tuple(NAMES.values()))))
def test_safetensors_format(state):
    with tempfile.TemporaryDirectory() as folder:
        path, again = Path(folder, "a.safetensors"), Path(folder, "b.safetensors")
        checkpoint.save(state, path)
        loaded = checkpoint.load(path)
        assert_same(state, loaded)
        checkpoint.save(loaded, again)
        assert again.read_bytes() == path.read_bytes()
        if all(array.dtype.name != "float8_e8m0fnu" for array in state.values()):  # which its reader lacks
            theirs = load_file(path)
            assert {name: as_numpy(array) for name, array in state.items()} == {
                name: as_numpy(tensor) for name, tensor in theirs.items()
            }


@few
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 4)), min_size=1, max_size=6))
def test_views_of_one_memory(cuts):
    """Whichever views of one array are saved, torch sees their numbers."""
    base = np.arange(32, dtype=np.float32)
    state = {str(n): base[min(a, b) : max(a, b) + 1 : step] for n, (a, b, step) in enumerate(cuts)}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save(state, Path(folder, "a.pt"))
        assert_same(state, torch.load(Path(folder, "a.pt"), weights_only=True))
        assert_same(state, checkpoint.load(Path(folder, "a.pt")))
