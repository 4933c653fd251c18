"""`torch.fft`: Fourier transforms. Integers become float32 first; half precisions are refused, as JAX has none."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets import check
from jaxnets.functional.precision import HALF
from jaxnets.ops.promotion import COMPLEX, FLOATING, Dims, axes, axis, category, dtype_or, numbers

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "hfft2",
    "hfftn",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "ihfft2",
    "ihfftn",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]

NORMS = ("forward", "backward", "ortho")
OPPOSITE = {"forward": "backward", "backward": "forward", "ortho": "ortho"}


def _signal(input: jax.Array, most: int = COMPLEX) -> jax.Array:
    x = numbers("input", input, least=0, most=most)
    if x.dtype in HALF:
        raise TypeError(f"input: expected float32, float64 or complex numbers, got {x.dtype}; cast it first")
    return x.astype(jnp.float32) if category(x.dtype) < FLOATING else x


def _norm(norm: str | None) -> str:
    return check.choice("norm", "backward" if norm is None else norm, NORMS)


def _line(f: Callable[..., jax.Array], x: jax.Array, n: int | None, dim: int, norm: str | None) -> jax.Array:
    if not x.ndim:
        raise IndexError(f"dim: expected an axis of the input, got {dim} of a number")
    if n is not None and check.integer("n", n) < 1:
        raise ValueError(f"n: expected a positive int, got {n}")
    return f(x, n, axis(dim, x), norm=_norm(norm))


def fft(input: jax.Array, n: int | None = None, dim: int = -1, norm: str | None = None) -> jax.Array:
    """Fourier transform along an axis, cropped or filled with zeros to `n` elements."""
    return _line(jnp.fft.fft, _signal(input), n, dim, norm)


def ifft(input: jax.Array, n: int | None = None, dim: int = -1, norm: str | None = None) -> jax.Array:
    """Inverse of `fft`."""
    return _line(jnp.fft.ifft, _signal(input), n, dim, norm)


def rfft(input: jax.Array, n: int | None = None, dim: int = -1, norm: str | None = None) -> jax.Array:
    """`fft` of real numbers, less its second half, which mirrors the first."""
    return _line(jnp.fft.rfft, _signal(input, FLOATING), n, dim, norm)


def irfft(input: jax.Array, n: int | None = None, dim: int = -1, norm: str | None = None) -> jax.Array:
    """Inverse of `rfft`, to `n` elements: an even number when not given."""
    return _line(jnp.fft.irfft, _complex(_signal(input)), n, dim, norm)


def hfft(input: jax.Array, n: int | None = None, dim: int = -1, norm: str | None = None) -> jax.Array:
    """`fft` of a half of a signal whose other half mirrors it: real numbers."""
    return _line(jnp.fft.irfft, jnp.conj(_complex(_signal(input))), n, dim, OPPOSITE[_norm(norm)])


def ihfft(input: jax.Array, n: int | None = None, dim: int = -1, norm: str | None = None) -> jax.Array:
    """Inverse of `hfft`."""
    return jnp.conj(_line(jnp.fft.rfft, _signal(input, FLOATING), n, dim, OPPOSITE[_norm(norm)]))


def _complex(x: jax.Array) -> jax.Array:
    return x if category(x.dtype) == COMPLEX else jax.lax.complex(x, jnp.zeros_like(x))


def _planes(x: jax.Array, s: Any, dim: Dims) -> tuple[list[int | None], tuple[int, ...]]:
    """Sizes and axes; of sizes alone, those of the last axes."""
    sizes = None if s is None else [s] if isinstance(s, int) else list(s)
    if dim is None:
        over = tuple(range(x.ndim)) if sizes is None else tuple(range(x.ndim - len(sizes), x.ndim))
        if sizes is not None and len(sizes) > x.ndim:
            raise ValueError(f"s: expected at most {x.ndim} sizes for input {x.shape}, got {s}")
    else:
        over = axes(dim, x) if not check.is_sequence(dim) or len(dim) else ()
    if sizes is None:
        sizes = [-1] * len(over)
    if len(sizes) != len(over):
        raise ValueError(f"s: expected {len(over)} sizes, one for each axis of dim, got {s}")
    for size in sizes:
        if check.integer("s", size) != -1 and size < 1:
            raise ValueError(f"s: expected positive sizes, or -1, got {s}")
    return [None if size == -1 else size for size in sizes], over


def _each(f: Callable[..., jax.Array], x: jax.Array, sizes: Sequence[int | None], over: Any, norm: str) -> jax.Array:
    for size, at in zip(sizes, over, strict=True):
        x = f(x, size, at, norm=norm)
    return x


def fftn(input: jax.Array, s: Any = None, dim: Dims = None, norm: str | None = None) -> jax.Array:
    """Fourier transform along axes, all unless `dim` says which."""
    x = _signal(input)
    return _each(jnp.fft.fft, _complex(x), *_planes(x, s, dim), _norm(norm))


def ifftn(input: jax.Array, s: Any = None, dim: Dims = None, norm: str | None = None) -> jax.Array:
    """Inverse of `fftn`."""
    x = _signal(input)
    return _each(jnp.fft.ifft, _complex(x), *_planes(x, s, dim), _norm(norm))


def rfftn(input: jax.Array, s: Any = None, dim: Dims = None, norm: str | None = None) -> jax.Array:
    """`fftn` of real numbers, less the second half of its last axis."""
    x = _signal(input, FLOATING)
    sizes, over = _last(*_planes(x, s, dim))
    x = jnp.fft.rfft(x, sizes[-1], over[-1], norm=_norm(norm))
    return _each(jnp.fft.fft, x, sizes[:-1], over[:-1], _norm(norm))


def irfftn(input: jax.Array, s: Any = None, dim: Dims = None, norm: str | None = None) -> jax.Array:
    """Inverse of `rfftn`, to an even number of elements along the last axis unless `s` says more."""
    x = _signal(input)
    sizes, over = _last(*_planes(x, s, dim))
    x = _each(jnp.fft.ifft, _complex(x), sizes[:-1], over[:-1], _norm(norm))
    return _line(jnp.fft.irfft, x, sizes[-1], over[-1], norm)


def hfftn(input: jax.Array, s: Any = None, dim: Dims = None, norm: str | None = None) -> jax.Array:
    """`fftn` of a half of a signal whose other half mirrors it: real numbers."""
    x = _signal(input)
    sizes, over = _last(*_planes(x, s, dim))
    x = _each(jnp.fft.fft, _complex(x), sizes[:-1], over[:-1], _norm(norm))
    return hfft(x, sizes[-1], over[-1], norm)


def ihfftn(input: jax.Array, s: Any = None, dim: Dims = None, norm: str | None = None) -> jax.Array:
    """Inverse of `hfftn`."""
    x = _signal(input, FLOATING)
    sizes, over = _last(*_planes(x, s, dim))
    return _each(jnp.fft.ifft, ihfft(x, sizes[-1], over[-1], norm), sizes[:-1], over[:-1], _norm(norm))


def _last(sizes: list[int | None], over: tuple[int, ...]) -> tuple[list[int | None], tuple[int, ...]]:
    if not over:
        raise ValueError("dim: expected at least one axis, got none")
    return sizes, over


def fft2(input: jax.Array, s: Any = None, dim: Dims = (-2, -1), norm: str | None = None) -> jax.Array:
    """`fftn` along the last two axes."""
    return fftn(input, s, dim, norm)


def ifft2(input: jax.Array, s: Any = None, dim: Dims = (-2, -1), norm: str | None = None) -> jax.Array:
    """`ifftn` along the last two axes."""
    return ifftn(input, s, dim, norm)


def rfft2(input: jax.Array, s: Any = None, dim: Dims = (-2, -1), norm: str | None = None) -> jax.Array:
    """`rfftn` along the last two axes."""
    return rfftn(input, s, dim, norm)


def irfft2(input: jax.Array, s: Any = None, dim: Dims = (-2, -1), norm: str | None = None) -> jax.Array:
    """`irfftn` along the last two axes."""
    return irfftn(input, s, dim, norm)


def hfft2(input: jax.Array, s: Any = None, dim: Dims = (-2, -1), norm: str | None = None) -> jax.Array:
    """`hfftn` along the last two axes."""
    return hfftn(input, s, dim, norm)


def ihfft2(input: jax.Array, s: Any = None, dim: Dims = (-2, -1), norm: str | None = None) -> jax.Array:
    """`ihfftn` along the last two axes."""
    return ihfftn(input, s, dim, norm)


def fftfreq(n: int, d: float = 1.0, *, dtype: Any = None) -> jax.Array:
    """The frequencies of `fft` of `n` elements, `d` apart."""
    check.integer("n", n, least=1)
    return jnp.fft.fftfreq(n, d, dtype=dtype_or(dtype, jnp.float32))


def rfftfreq(n: int, d: float = 1.0, *, dtype: Any = None) -> jax.Array:
    """The frequencies of `rfft` of `n` elements, `d` apart."""
    check.integer("n", n, least=1)
    return jnp.fft.rfftfreq(n, d, dtype=dtype_or(dtype, jnp.float32))


def fftshift(input: jax.Array, dim: Dims = None) -> jax.Array:
    """Axes turned, so that the frequency 0 stands in the middle."""
    x = check.array("input", input)
    return jnp.fft.fftshift(x, axes(dim, x))


def ifftshift(input: jax.Array, dim: Dims = None) -> jax.Array:
    """Inverse of `fftshift`."""
    x = check.array("input", input)
    return jnp.fft.ifftshift(x, axes(dim, x))
