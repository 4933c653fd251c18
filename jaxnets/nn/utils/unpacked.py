"""Arrays out of text: constants that are part of a module's source."""

import base64
import math
import zlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import check

__all__ = ["unpacked"]


def unpacked(text: str, shape: Sequence[int], dtype: Any) -> jax.Array:
    """An array whose bytes were compressed with zlib and written in base 85: how converted modules hold constants.

    Args:
        text: the bytes, little-endian, compressed, in base 85.
        shape: the array's shape.
        dtype: the dtype that the bytes have; Python's `int` and `float` are 64 bits.

    Raises:
        ValueError: the text is damaged, or holds another number of bytes.

    Differences from torch: torch has no such function.

    >>> unpacked("c-muNXs~BsU~m8c1cLzp", (2,), jnp.float32)
    Array([1., 2.], dtype=float32)
    """
    wide = np.dtype(dtype)
    try:
        raw = zlib.decompress(base64.b85decode(text))
    except (ValueError, zlib.error) as error:
        raise ValueError(f"text: expected zlib's bytes in base 85, got damaged ones: {error}") from None
    if len(raw) != math.prod(shape) * wide.itemsize:
        raise ValueError(f"text: expected {math.prod(shape) * wide.itemsize} bytes, got {len(raw)}")
    return jnp.asarray(np.frombuffer(raw, wide).reshape(shape), check.dtype("dtype", dtype))
