"""What all normalisations share: mean and variance in one numerically safe form, and the dtypes that they accept."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets import check

AxisName = str | tuple[str, ...]


def moments(
    x: jax.Array, axes: Sequence[int], axis_name: AxisName | None = None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`x` less its mean, the mean and the biased variance over `axes`, which are kept with size 1.

    Corrected two-pass form: `shift` is the mean up to rounding, and what is left of the mean is measured after it
    is taken away. The formulas hold for any shift, so it needs no gradient. With `axis_name`, a mapped axis (or
    several) of `jax.shard_map` or `jax.vmap`, the mean and the variance are those over all of it.
    """

    def mean(values: jax.Array) -> jax.Array:
        local = values.mean(axes, keepdims=True)
        return local if axis_name is None else lax.pmean(local, axis_name)

    shift = lax.stop_gradient(mean(x))
    shifted = x - shift
    rest = mean(shifted)
    var = mean(jnp.square(shifted)) - jnp.square(rest)
    # Rounding may leave less than nothing. At 0 itself the derivatives are those of the formula.
    return shifted - rest, shift + rest, jnp.where(var < 0, jnp.zeros_like(var), var)


def check_floating(input: jax.Array) -> None:
    if not jnp.issubdtype(input.dtype, jnp.floating):
        raise TypeError(f"input: expected a floating dtype, got {input.dtype}; cast it first")


def check_parameters(input: jax.Array, shape: tuple[int, ...], what: str, **parameters: jax.Array | None) -> None:
    """Refuses parameters of another shape, and dtypes that torch does not mix.

    Parameters share one dtype: the input's, or float32 beside a half precision input.
    """
    given = {name: check.array(name, p) for name, p in parameters.items() if p is not None}
    for name, p in given.items():
        if p.shape != shape:
            raise ValueError(f"{name}: expected shape {shape}, {what}, got {p.shape}")
    if given:
        check.same_dtype(**given)
        dtype = next(iter(given.values())).dtype
        if dtype != input.dtype and not (input.dtype.itemsize == 2 and dtype == jnp.float32):
            check.same_dtype(input=input, **given)
