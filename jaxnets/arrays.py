"""Arrays of every kind as numpy arrays, and torch's dtypes by name.

This file and everything that imports it run without torch and without JAX: their arrays are recognised through
the modules that are already loaded, so a process that never imported torch never will.
"""

import sys
from typing import Any

import ml_dtypes
import numpy as np

_SHARED = [
    *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "float32", "float64", "complex32", "complex64", "complex128"),
    *("bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
]

#: torch's dtype names that numpy (with ml_dtypes) can hold. Both sides use the same names, so this one table
#: serves in both directions; complex32 needs ml_dtypes 0.6.
DTYPES: dict[str, np.dtype] = {
    name: np.dtype(getattr(ml_dtypes, name, name)) for name in _SHARED if hasattr(ml_dtypes, name) or hasattr(np, name)
}

_PACKED = "packs two numbers into one byte; save `tensor.view(torch.uint8)` instead"
_BITS = "holds bits without a meaning; save `tensor.view(torch.uint8)` instead"
_QUANTISED = "is quantised; save `tensor.dequantize()`, or `tensor.int_repr()` with scale and zero point"
_NARROW = "has no numpy counterpart; save `tensor.to(torch.int32)` instead"

#: torch's dtype names that numpy cannot hold, each with the reason and the way out.
UNSUPPORTED_DTYPES: dict[str, str] = {
    "float4_e2m1fn_x2": _PACKED,
    **dict.fromkeys(["bits8", "bits16", "bits1x8", "bits2x4", "bits4x2"], _BITS),
    **dict.fromkeys(["qint8", "quint8", "qint32", "quint4x2", "quint2x4"], _QUANTISED),
    **{f"{sign}int{width}": _NARROW for sign in ("", "u") for width in range(1, 8)},
}
if "complex32" not in DTYPES:
    UNSUPPORTED_DTYPES["complex32"] = "needs ml_dtypes 0.6 or later; install it, or save `torch.complex64`"


def dtype_name(dtype: Any) -> str | None:
    """Torch's name of a numpy dtype, or None where torch has no such dtype.

    >>> dtype_name(np.dtype(">f4")), dtype_name(np.dtype("datetime64[s]"))
    ('float32', None)
    """
    name = np.dtype(dtype).name
    return name if name in DTYPES else None


def swap_unit(dtype: np.dtype) -> int:
    """Bytes that change places together between byte orders: a complex number is two reals."""
    return dtype.itemsize // 2 if dtype.name.startswith(("complex", "bcomplex")) else dtype.itemsize


def byteswapped(array: np.ndarray) -> np.ndarray:
    """A contiguous copy of `array` with the bytes of each real number reversed."""
    unit = swap_unit(array.dtype)
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    swapped = np.ascontiguousarray(flat.reshape(-1, unit)[:, ::-1]).reshape(-1)
    return swapped.view(array.dtype).reshape(array.shape)


def to_numpy(x: Any) -> np.ndarray:
    """The numpy array that holds the same numbers as `x`, without a copy wherever that is possible.

    Args:
        x: a numpy, JAX or torch array of any dtype, an `nnx.Variable`, or a Python number. Torch tensors are
            detached and brought to the CPU; bfloat16, float8 and complex32 become the dtypes of ml_dtypes.

    Shape: that of `x`.

    Raises:
        TypeError: `x` is not an array of numbers, is traced by a JAX transformation, is a PRNG key, or is a
            torch tensor that numpy cannot hold (sparse, nested, quantised, without data).
        ValueError: `x` is a JAX array with shards on other hosts.

    Differences from torch: none; `Tensor.numpy()` refuses tensors that require a gradient or lie on another
    device, which this function takes.

    >>> to_numpy([1.0]).dtype
    Traceback (most recent call last):
        ...
    TypeError: to_numpy: expected an array or a number, got list; wrap it in numpy.asarray
    >>> to_numpy(np.arange(3)).tolist()
    [0, 1, 2]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.Tensor.numpy.html
    """
    if hasattr(x, "__jax_array__") and not isinstance(x, _loaded("jax", "Array")):
        x = x.__jax_array__()
    if isinstance(x, _loaded("torch", "Tensor")):
        array = _from_torch(x)
    elif isinstance(x, _loaded("jax", "Array")):
        array = _from_jax(x)
    elif isinstance(x, np.ma.MaskedArray):
        raise TypeError("to_numpy: a masked array would lose its mask; pass x.filled(value)")
    elif isinstance(x, (bool, int, float, complex, np.generic)) or hasattr(x, "__array__"):
        array = np.asarray(x)
    else:
        raise TypeError(f"to_numpy: expected an array or a number, got {type(x).__name__}; wrap it in numpy.asarray")
    if array.dtype.kind not in "biufc" and not hasattr(ml_dtypes, array.dtype.name):
        raise TypeError(f"to_numpy: expected numbers, got an array of dtype {array.dtype}; convert it first")
    return array


def is_array(x: Any) -> bool:
    """Whether `x` is an array (numpy scalars and `nnx.Variable` are, Python numbers and lists are not)."""
    return isinstance(x, (np.ndarray, np.generic, _loaded("torch", "Tensor"), _loaded("jax", "Array"))) or (
        (hasattr(x, "__jax_array__") or hasattr(x, "__array__")) and hasattr(x, "dtype") and not isinstance(x, type)
    )


def _loaded(module: str, name: str) -> Any:
    """The class `name` of a module that somebody has imported, else () so that isinstance() is false."""
    return getattr(sys.modules.get(module), name, ())


def _from_torch(x: Any) -> np.ndarray:
    dtype = str(x.dtype).removeprefix("torch.")
    layout = str(x.layout).removeprefix("torch.")
    if dtype in UNSUPPORTED_DTYPES:
        raise TypeError(f"to_numpy: torch.{dtype} {UNSUPPORTED_DTYPES[dtype]}")
    if layout != "strided":
        raise TypeError(f"to_numpy: a {layout} torch tensor; pass x.to_dense()")
    if x.is_nested:
        raise TypeError("to_numpy: a nested torch tensor; pass x.to_padded_tensor(value)")
    if x.device.type == "meta":
        raise TypeError("to_numpy: a torch tensor on the meta device has no data; load or initialise it first")
    x = x.detach().cpu().resolve_conj().resolve_neg()
    wanted = DTYPES[dtype]
    if wanted.isbuiltin == 1:
        return x.numpy()
    torch = sys.modules["torch"]
    same_size = {1: torch.uint8, 2: torch.int16, 4: torch.int32}[wanted.itemsize]
    return x.view(same_size).numpy().view(wanted)


def _from_jax(x: Any) -> np.ndarray:
    if isinstance(x, sys.modules["jax"].core.Tracer):
        raise TypeError("to_numpy: a value traced by a JAX transformation; call this outside of jax.jit")
    if not isinstance(x.dtype, np.dtype):
        raise TypeError(f"to_numpy: a JAX array of dtype {x.dtype}; pass jax.random.key_data(x)")
    if not x.is_fully_addressable:
        if not x.is_fully_replicated:
            raise ValueError(
                f"to_numpy: a JAX array of shape {x.shape} with shards on other hosts; "
                "gather it with jax.experimental.multihost_utils.process_allgather"
            )
        x = x.addressable_data(0)
    return np.asarray(x)
