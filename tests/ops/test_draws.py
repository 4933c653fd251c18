"""What is drawn: shapes, dtypes, bounds, moments, and a key that is asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import ops

KEY = jax.random.key(3)
MANY = jnp.zeros(4000)


@pytest.mark.parametrize(
    ("name", "args", "mean", "std"),
    [
        ("rand", (4000,), 0.5, 12**-0.5),
        ("randn", ((4000,),), 0.0, 1.0),
        ("rand_like", (MANY,), 0.5, 12**-0.5),
        ("randn_like", (MANY,), 0.0, 1.0),
        ("randint", (2, 8, (4000,)), 4.5, (35 / 12) ** 0.5),
        ("randint", (6, (4000,)), 2.5, (35 / 12) ** 0.5),
        ("randint_like", (MANY, 6), 2.5, (35 / 12) ** 0.5),
        ("bernoulli", (MANY + 0.3,), 0.3, 0.21**0.5),
        ("bernoulli", (MANY, 0.3), 0.3, 0.21**0.5),
        ("normal", (MANY + 2, 3.0), 2.0, 3.0),
        ("normal", (2.0, 3.0, (4000,)), 2.0, 3.0),
        ("poisson", (MANY + 3,), 3.0, 3**0.5),
        ("uniform", (MANY, -1.0, 3.0), 1.0, 4 / 12**0.5),
        ("exponential", (MANY, 2.0), 0.5, 0.5),
        ("log_normal", (MANY, 0.0, 0.5), np.exp(0.125), 0.604),
        ("geometric", (MANY, 0.5), 2.0, 2**0.5),
        ("binomial", (MANY + 10, MANY + 0.25), 2.5, 1.875**0.5),
    ],
)
def test_moments(name, args, mean, std):
    drawn = np.asarray(getattr(ops, name)(*args, key=KEY)).astype(np.float64)
    assert drawn.shape == (4000,)
    assert abs(drawn.mean() - mean) < 0.1 * std
    assert abs(drawn.std() - std) < 0.1 * std
    with pytest.raises(ValueError, match="key: expected a jax random key, got None"):
        getattr(ops, name)(*args)


def test_cauchy_has_a_median():
    drawn = ops.cauchy(MANY, 2.0, 0.5, key=KEY)
    assert abs(float(jnp.median(drawn)) - 2) < 0.1


def test_randperm():
    assert sorted(ops.randperm(9, key=KEY).tolist()) == list(range(9))


@pytest.mark.parametrize("shape", [(4,), (3, 4)])
def test_multinomial(shape):
    weights = jnp.broadcast_to(jnp.array([0.0, 1.0, 2.0, 5.0]), shape)
    with_replacement = ops.multinomial(weights, 4000, True, key=KEY)
    assert with_replacement.shape == (*shape[:-1], 4000)
    share = (np.asarray(with_replacement)[..., None] == np.arange(4)).mean(-2)
    np.testing.assert_allclose(share, np.broadcast_to([0, 0.125, 0.25, 0.625], share.shape), atol=0.03)
    once = ops.multinomial(weights, 3, key=KEY)
    assert sorted(np.asarray(once).reshape(-1, 3)[0].tolist()) == [1, 2, 3]
    with pytest.raises(ValueError, match="num_samples: expected at most 4 without replacement, got 5"):
        ops.multinomial(weights, 5, key=KEY)


def test_dtypes():
    assert ops.rand(2, dtype=jnp.bfloat16, key=KEY).dtype == jnp.bfloat16
    assert ops.randn_like(jnp.zeros(2, jnp.float16), key=KEY).dtype == jnp.float16
    assert ops.randint(3, (2,), dtype=jnp.float32, key=KEY).dtype == jnp.float32
    with pytest.raises(TypeError, match="dtype: expected a floating dtype, got int32"):
        ops.rand(2, dtype=jnp.int32, key=KEY)


def test_native_dropout():
    output, mask = ops.native_dropout(jnp.ones(4000), 0.25, True, key=KEY)
    assert abs(float(mask.mean()) - 0.75) < 0.05
    np.testing.assert_allclose(output, np.asarray(mask) / 0.75, rtol=1e-6)
