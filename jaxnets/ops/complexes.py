"""Complex numbers from and to pairs of real ones."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets import check
from jaxnets.ops.promotion import COMPLEX, FLOATING, complex_of, numbers, together

__all__ = [
    "complex",
    "polar",
    "view_as_complex",
    "view_as_real",
]


def complex(real: jax.Array, imag: jax.Array) -> jax.Array:
    """Complex numbers of their parts, which have one dtype, float32 or float64."""
    a, b = numbers("real", real, least=FLOATING, most=FLOATING), check.array("imag", imag)
    check.same_dtype(real=a, imag=b)
    return lax.complex(*together(real=a, imag=b))


def polar(abs: jax.Array, angle: jax.Array) -> jax.Array:
    """Complex numbers of length and angle: `abs * (cos(angle) + i sin(angle))`."""
    a, b = numbers("abs", abs, least=FLOATING, most=FLOATING), check.array("angle", angle)
    check.same_dtype(abs=a, angle=b)
    a, b = together(abs=a, angle=b)
    return lax.complex(a * jnp.cos(b), a * jnp.sin(b))


def view_as_real(input: jax.Array) -> jax.Array:
    """Complex numbers as pairs of real ones: `(*)` to `(*, 2)`."""
    x = numbers("input", input, least=COMPLEX)
    return jnp.stack([x.real, x.imag], -1)


def view_as_complex(input: jax.Array) -> jax.Array:
    """Pairs of real numbers as complex ones: `(*, 2)` to `(*)`."""
    x = numbers("input", input, least=FLOATING, most=FLOATING)
    if not x.ndim or x.shape[-1] != 2:
        raise ValueError(f"input: expected a last axis of size 2, got shape {x.shape}")
    return lax.complex(x[..., 0], x[..., 1]).astype(complex_of(x.dtype))
