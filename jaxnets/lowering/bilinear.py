"""A bilinear function with its transposes said by hand, which autodiff would not find fast."""

from collections.abc import Callable
from functools import partial

import jax

__all__ = ["Function", "bilinear"]

Function = Callable[..., jax.Array]


def bilinear(value: Function, of_left: Function, of_right: Function) -> Function:
    """`value(a, b, *rest)`, linear in `a` and in `b`, whose gradients are computed by other functions.

    `of_left(y, b, *rest)` is the gradient of `a`, and `of_right(a, y, *rest)` that of `b`, given that of the value,
    `y`. The rest are arrays without a derivative; the functions close over none, which would be of another trace. A
    tangent is the transpose of the same functions, so that the transpose of a tangent, what `jax.grad` asks for, is
    their transpose's transpose: themselves. All of them can be differentiated again.
    """

    @jax.custom_jvp
    def function(a: jax.Array, b: jax.Array, *rest: jax.Array) -> jax.Array:
        return value(a, b, *rest)

    @function.defjvp
    def _(primals: tuple[jax.Array, ...], tangents: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
        y = function(*primals)

        # the transpose keeps the factors and nothing that is computed of them, which a loop would write out
        @partial(jax.checkpoint, prevent_cse=False)
        def tangent(da: jax.Array, db: jax.Array, a: jax.Array, b: jax.Array, *rest: jax.Array) -> jax.Array:
            (along_a,) = jax.linear_transpose(lambda y: of_left(y, b, *rest), y)(da)
            (along_b,) = jax.linear_transpose(lambda y: of_right(a, y, *rest), y)(db)
            return along_a + along_b

        return y, tangent(*tangents[:2], *primals)

    return function
