"""Arrays of every library as numpy arrays."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch
from flax import nnx

from jaxnets.arrays import DTYPES, UNSUPPORTED_DTYPES, byteswapped, dtype_name, is_array, to_numpy

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")


@pytest.mark.parametrize("name", DTYPES)
def test_torch_tensors_of_every_dtype(name):
    dtype = getattr(torch, name)
    raw = torch.arange(16 * dtype.itemsize, dtype=torch.uint8)
    tensor = (raw % 2 if name == "bool" else raw).view(dtype).view(4, 4)
    for view in (tensor, tensor.t(), tensor[1:, ::2], tensor[0, 0], tensor[:0]):
        array = to_numpy(view)
        assert array.dtype == DTYPES[name]
        assert array.shape == tuple(view.shape)
        if view.numel():
            assert array.tobytes() == view.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
            assert array.ctypes.data == view.data_ptr()


def test_torch_tensors_that_need_care():
    z = torch.tensor([1 + 2j])
    assert to_numpy(torch.ones(2, requires_grad=True)).tolist() == [1, 1]
    assert to_numpy(torch.nn.Parameter(torch.ones(2))).tolist() == [1, 1]
    assert to_numpy(z.conj()).tolist() == [1 - 2j]
    assert to_numpy(z.conj().imag).tolist() == [-2]


def test_jax_arrays_and_variables():
    assert to_numpy(jnp.ones((2, 3), jnp.bfloat16)).dtype == ml_dtypes.bfloat16
    assert to_numpy(nnx.Param(jnp.arange(3))).tolist() == [0, 1, 2]
    assert to_numpy(nnx.BatchStat(np.ones(2))).tolist() == [1, 1]


def test_numpy_arrays_and_numbers():
    array = np.arange(6)[::2]
    assert to_numpy(array) is array
    assert type(to_numpy(np.float32(2))) is np.ndarray
    assert to_numpy(np.float32(2)).dtype == np.float32
    assert [to_numpy(x).dtype.kind for x in (True, 3, 2.5, 1j)] == ["b", "i", "f", "c"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "expected an array or a number, got list; wrap it in numpy.asarray"),
        ("text", "got str"),
        (None, "got NoneType"),
        (2**70, "expected numbers, got an array of dtype object"),
        (np.array(["a"]), "got an array of dtype <U1; convert it first"),
        (np.zeros(2, "datetime64[s]"), "dtype datetime64"),
        (np.zeros(2, [("a", "f4")]), "expected numbers"),
        (np.ma.masked_array([1], [True]), r"would lose its mask; pass x.filled\(value\)"),
        (torch.eye(2).to_sparse(), r"a sparse_coo torch tensor; pass x.to_dense\(\)"),
        (torch.ones(2, device="meta"), "meta device has no data"),
        (torch.ones(4, dtype=torch.uint8).view(torch.bits8), "torch.bits8 holds bits without a meaning"),
    ],
)
def test_what_is_no_array_of_numbers(value, message):
    with pytest.raises(TypeError, match=message):
        to_numpy(value)


@pytest.mark.filterwarnings("ignore")
def test_nested_and_quantised_tensors():
    with pytest.raises(TypeError, match=r"nested torch tensor; pass x.to_padded_tensor"):
        to_numpy(torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]))
    with pytest.raises(TypeError, match=r"torch.qint8 is quantised; save `tensor.dequantize\(\)`"):
        to_numpy(torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8))


def test_keys_and_traced_values():
    with pytest.raises(TypeError, match=r"pass jax.random.key_data\(x\)"):
        to_numpy(jax.random.key(0))
    with pytest.raises(TypeError, match=r"call this outside of jax.jit"):
        jax.jit(to_numpy)(jnp.ones(2))


def test_what_counts_as_an_array():
    yes = [np.ones(2), np.float32(1), np.bool_(True), jnp.ones(2), torch.ones(2), nnx.Param(jnp.ones(2))]
    no = [1, 2.5, True, "a", b"a", [1], None, np.float32, np.dtype("f4"), jax.Array, torch.Tensor, {}]
    assert all(map(is_array, yes))
    assert not any(map(is_array, no))


def test_names_of_dtypes():
    assert dtype_name("<f4") == dtype_name(">f4") == "float32"
    assert dtype_name(ml_dtypes.bfloat16) == "bfloat16"
    assert dtype_name(ml_dtypes.int4) is None
    assert dtype_name("datetime64[s]") is None
    assert not set(DTYPES) & set(UNSUPPORTED_DTYPES)
    assert all(dtype.name == name for name, dtype in DTYPES.items())


def test_byteswapped_reverses_reals():
    array = np.array([[1 + 2j], [3 - 4j]], np.complex64).T
    assert byteswapped(array).view(">c8").tolist() == array.tolist()
    assert byteswapped(np.array(1, np.int16)).tolist() == 256
    assert byteswapped(np.array([1.5], ml_dtypes.bfloat16)).view(np.uint8).tolist() == [0x3F, 0xC0]
