"""Arrays of numbers as expressions: by their rule where they have one, else written out."""

import ast
import base64
import zlib
from typing import Any

import numpy as np
import torch

from jaxnets.arrays import to_numpy
from jaxnets.convert import expressions as e

__all__ = ["constant", "numbers"]

WRITTEN_OUT = 64
"""Numbers of an array that is written out one by one."""


def constant(tensor: torch.Tensor) -> ast.expr:
    """An expression that gives exactly these numbers in this dtype."""
    array = to_numpy(tensor)
    dtype = tensor.dtype
    if not array.size:
        return e.call("jnp.zeros", array.shape, dtype)
    bits = array.reshape(-1).view(np.uint8).reshape(array.size, -1)
    if (bits == bits[0]).all() and array.size > 1:
        return _filled(array.reshape(-1)[0].item(), array.shape, dtype)
    whole = _range(array)
    if whole is not None:
        return _range_expression(whole, array.shape, dtype)
    if array.ndim >= 2 and array.shape[-1] == array.shape[-2]:
        found = _triangle(array, dtype)
        if found is not None:
            return found
    if array.size <= WRITTEN_OUT:
        return e.call("jnp.array", e.literal(numbers(array)), dtype)
    return _packed(array, dtype)


def _filled(value: Any, shape: tuple[int, ...], dtype: torch.dtype) -> ast.expr:
    size: Any = shape[0] if len(shape) == 1 else shape
    if value == 0 and not np.signbit(np.real(value)):
        return e.call("jnp.zeros", size, dtype)
    if value == 1:
        return e.call("jnp.ones", size, dtype)
    return e.call("jnp.full", size, value, dtype)


def _range(array: np.ndarray) -> tuple[int, int, int] | None:
    """Start, stop and step of whole numbers that follow each other."""
    flat = array.reshape(-1)
    if flat.size < 3 or flat.dtype.kind not in "iuf" or array.shape != (*(1,) * (array.ndim - 1), flat.size):
        return None
    start, step = flat[0].item(), flat[1].item() - flat[0].item()
    if start != int(start) or step != int(step) or not step or abs(start) + abs(step) * flat.size > 2**24:
        return None
    start, step = int(start), int(step)
    if not np.array_equal(flat, np.arange(flat.size) * step + start):
        return None
    return start, start + step * flat.size, step


def _range_expression(bounds: tuple[int, int, int], shape: tuple[int, ...], dtype: torch.dtype) -> ast.expr:
    start, stop, step = bounds
    args = (stop,) if (start, step) == (0, 1) else (start, stop) if step == 1 else bounds
    named = {} if dtype == torch.int64 else {"dtype": dtype}
    line = e.call("jnp.arange", *args, **named)
    return line if len(shape) == 1 else e.method(line, "reshape", *shape)


def _triangle(array: np.ndarray, dtype: torch.dtype) -> ast.expr | None:
    """Ones (or True) in the lower or upper triangle."""
    for name, function in (("tril", np.tril), ("triu", np.triu)):
        for k in (0, 1, -1):
            if np.array_equal(array, function(np.ones(array.shape, array.dtype), k)):
                ones = e.call("jnp.ones", array.shape, dtype)
                return e.call(f"jnp.{name}", ones, *((k,) if k else ()))
    return None


def numbers(array: np.ndarray) -> Any:
    """Lists of Python numbers, the shortest that mean the same in the array's dtype."""
    if array.ndim:
        return [numbers(x) for x in array]
    return array.item() if array.dtype.kind in "biuc" or array.dtype == np.float64 else float(str(array))


def _packed(array: np.ndarray, dtype: torch.dtype) -> ast.expr:
    """The bytes, compressed, as text."""
    text = base64.b85encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 9)).decode()
    return e.call("nn.utils.unpacked", text, array.shape, e.dtype(dtype))
