"""A value with the derivative of another, of any order."""

import jax


@jax.custom_jvp
def with_slope_of(source: jax.Array, value: jax.Array) -> jax.Array:
    """`value`, which is differentiated as if it were `source`, again and again."""
    return value


with_slope_of.defjvp(lambda primals, tangents: (with_slope_of(*primals), tangents[0]))
