"""Random numbers, each from a key. torch's own stream is in `jaxnets.TorchRngs`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets import check
from jaxnets.ops.promotion import (
    FLOATING,
    Operand,
    category,
    dtype_or,
    int64,
    ints,
    is_number,
    numbers,
    promoted,
    together,
)

__all__ = [
    "bernoulli",
    "binomial",
    "cauchy",
    "exponential",
    "geometric",
    "log_normal",
    "multinomial",
    "normal",
    "poisson",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
    "uniform",
]


def _key(key: jax.Array | None) -> jax.Array:
    if key is None:
        raise ValueError("key: expected a jax random key, got None; pass key=jax.random.key(0)")
    return key


def _drawn(draw: Callable[..., jax.Array], key: jax.Array | None, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    found = dtype_or(dtype, jnp.float32)
    if category(found) < FLOATING:
        raise TypeError(f"dtype: expected a floating dtype, got {found}")
    return draw(_key(key), shape, found)


def rand(size: Any, *more: Any, dtype: Any = None, key: jax.Array | None = None) -> jax.Array:
    """Uniform numbers in [0, 1)."""
    return _drawn(jax.random.uniform, key, ints("size", (size, *more)), dtype)


def randn(size: Any, *more: Any, dtype: Any = None, key: jax.Array | None = None) -> jax.Array:
    """Numbers from the normal distribution of mean 0 and variance 1."""
    return _drawn(jax.random.normal, key, ints("size", (size, *more)), dtype)


def randint(
    low: int, high: Any = None, size: Any = None, *, dtype: Any = None, key: jax.Array | None = None
) -> jax.Array:
    """Integers from `low` to `high - 1`, int64; `randint(high, size)` begins at 0."""
    if size is None:
        low, high, size = 0, low, high
    bounds = check.integer("low", low), check.integer("high", high)
    if bounds[0] >= bounds[1]:
        raise ValueError(f"high: expected more than low={low}, got {high}")
    found = dtype_or(dtype, int64())
    whole = found if jnp.issubdtype(found, jnp.integer) else int64()
    return jax.random.randint(_key(key), ints("size", (size,)), *bounds, whole).astype(found)


def rand_like(input: jax.Array, *, dtype: Any = None, key: jax.Array | None = None) -> jax.Array:
    """`rand` in the shape and dtype of `input`."""
    x = check.array("input", input)
    return rand(x.shape, dtype=x.dtype if dtype is None else dtype, key=key)


def randn_like(input: jax.Array, *, dtype: Any = None, key: jax.Array | None = None) -> jax.Array:
    """`randn` in the shape and dtype of `input`."""
    x = check.array("input", input)
    return randn(x.shape, dtype=x.dtype if dtype is None else dtype, key=key)


def randint_like(
    input: jax.Array, low: int, high: int | None = None, *, dtype: Any = None, key: jax.Array | None = None
) -> jax.Array:
    """`randint` in the shape and dtype of `input`."""
    x = check.array("input", input)
    low, high = (0, low) if high is None else (low, high)
    return randint(low, high, x.shape, dtype=x.dtype if dtype is None else dtype, key=key)


def randperm(n: int, *, dtype: Any = None, key: jax.Array | None = None) -> jax.Array:
    """The integers from 0 to `n - 1` in random order, int64."""
    order = jax.random.permutation(_key(key), check.integer("n", n, least=0))
    return order.astype(dtype_or(dtype, int64()))


def bernoulli(input: jax.Array, p: float | None = None, *, key: jax.Array | None = None) -> jax.Array:
    """1 with the probability that each element says, or `p`, else 0; in the dtype of `input`."""
    x = check.array("input", input)
    if p is None:
        numbers("input", x, least=FLOATING, most=FLOATING)
    chance = x.astype(jnp.float32) if p is None else check.probability("p", p)
    return jax.random.bernoulli(_key(key), chance, x.shape).astype(x.dtype)


def multinomial(
    input: jax.Array, num_samples: int, replacement: bool = False, *, key: jax.Array | None = None
) -> jax.Array:
    """Indices drawn with the weights of each row, which need not add up to 1: `(N, num_samples)`, int64.

    Without `replacement` each index is drawn once at most.
    """
    x = numbers("input", input, least=FLOATING, most=FLOATING)
    check.rank("input", x, {1: "(C,)", 2: "(N, C)"})
    n = check.integer("num_samples", num_samples, least=1)
    if not check.truth("replacement", replacement) and n > x.shape[-1]:
        raise ValueError(f"num_samples: expected at most {x.shape[-1]} without replacement, got {n}")
    logits = jnp.log(jax.lax.stop_gradient(x).astype(promoted(x.dtype, jnp.float32)))
    if replacement:
        found = jax.random.categorical(_key(key), jnp.expand_dims(logits, -2), -1, shape=(*x.shape[:-1], n))
    else:
        noise = jax.random.gumbel(_key(key), logits.shape, logits.dtype)
        found = jax.lax.top_k(logits + noise, n)[1]
    return found.astype(int64())


def normal(
    mean: Operand, std: Operand = 1.0, size: Any = None, *, dtype: Any = None, key: jax.Array | None = None
) -> jax.Array:
    """Numbers from the normal distribution of that mean and standard deviation, which broadcast, or of one `size`."""
    if size is not None or (is_number(mean) and is_number(std)):
        shape = () if size is None else ints("size", (size,))
        return mean + std * randn(shape, dtype=dtype, key=key)
    centre, width = together(mean=mean, std=std, floating=True)
    return centre + width * randn(centre.shape, dtype=centre.dtype, key=key)


def poisson(input: jax.Array, *, key: jax.Array | None = None) -> jax.Array:
    """Numbers from the Poisson distribution whose rate each element says, in the dtype of `input`."""
    x = numbers("input", input, least=FLOATING, most=FLOATING)
    return jax.random.poisson(_key(key), x).astype(x.dtype)


def uniform(input: jax.Array, from_: float = 0, to: float = 1, *, key: jax.Array | None = None) -> jax.Array:
    """Uniform numbers between two, in the shape and dtype of `input`: what `Tensor.uniform_` fills it with."""
    return rand_like(input, key=key) * (to - from_) + from_


def exponential(input: jax.Array, lambd: float = 1, *, key: jax.Array | None = None) -> jax.Array:
    """Numbers from the exponential distribution of that rate, in the shape and dtype of `input`."""
    x = numbers("input", input, least=FLOATING, most=FLOATING)
    return jax.random.exponential(_key(key), x.shape, x.dtype) / lambd


def log_normal(input: jax.Array, mean: float = 1, std: float = 2, *, key: jax.Array | None = None) -> jax.Array:
    """`exp` of normal numbers, in the shape and dtype of `input`."""
    return jnp.exp(randn_like(input, key=key) * std + mean)


def cauchy(input: jax.Array, median: float = 0, sigma: float = 1, *, key: jax.Array | None = None) -> jax.Array:
    """Numbers from the Cauchy distribution, in the shape and dtype of `input`."""
    x = numbers("input", input, least=FLOATING, most=FLOATING)
    return median + sigma * jax.random.cauchy(_key(key), x.shape, x.dtype)


def geometric(input: jax.Array, p: float, *, key: jax.Array | None = None) -> jax.Array:
    """How many tries of probability `p` until one succeeds, in the shape and dtype of `input`."""
    x = check.array("input", input)
    return jax.random.geometric(_key(key), check.probability("p", p), x.shape).astype(x.dtype)


def binomial(count: jax.Array, prob: jax.Array, *, key: jax.Array | None = None) -> jax.Array:
    """How many of `count` tries of probability `prob` succeed, in the dtype of `count`."""
    n, p = together(count=count, prob=prob)
    return jax.random.binomial(_key(key), numbers("count", n, least=FLOATING), p).astype(n.dtype)
