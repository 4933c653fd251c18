"""A value with the derivative of another."""

import jax


@jax.custom_jvp
def with_derivative_of(source: jax.Array, value: jax.Array) -> jax.Array:
    """`value`, which is differentiated as if it were `source`."""
    return value


with_derivative_of.defjvp(lambda primals, tangents: (primals[1], tangents[0]))
