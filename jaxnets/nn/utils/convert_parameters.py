"""Parameters as one vector: `torch.nn.utils.parameters_to_vector`, `vector_to_parameters`."""

import math
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxnets import check

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def common_dtype(*arrays: jax.Array) -> Any:
    """The dtype that holds all, promoted even where JAX is told not to promote by itself."""
    with jax.numpy_dtype_promotion("standard"):
        return jnp.result_type(*arrays)


def _arrays(parameters: Iterable[Any]) -> list[jax.Array]:
    if not isinstance(parameters, Iterable) or isinstance(parameters, str):
        raise TypeError(f"parameters: expected an iterable of arrays, got {type(parameters).__name__}")
    return [
        check.array(f"parameters[{i}]", x.get_value() if isinstance(x, nnx.Variable) else x)
        for i, x in enumerate(parameters)
    ]


def parameters_to_vector(parameters: Iterable[Any]) -> jax.Array:
    """Arrays, flattened, one behind the other.

    Args:
        parameters: arrays or variables, in this order: `state_dict(module).values()` is torch's.

    Raises:
        TypeError: something that is no array.
        ValueError: there are none.

    Differences from torch: none.

    >>> parameters_to_vector([jnp.ones((2, 1)), jnp.zeros(3)])
    Array([1., 1., 0., 0., 0.], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.parameters_to_vector.html
    """
    arrays = _arrays(parameters)
    if not arrays:
        raise ValueError("parameters: expected at least one array, got none")
    dtype = common_dtype(*arrays)
    return jnp.concatenate([x.reshape(-1).astype(dtype) for x in arrays])


def vector_to_parameters(vec: jax.Array, parameters: Iterable[Any]) -> list[jax.Array]:
    """Slices of a vector in the shapes of arrays.

    Args:
        vec: the vector; what is behind the last parameter is ignored.
        parameters: arrays, for their shapes; variables (`nnx.Param`) are filled in place.

    Returns:
        The arrays.

    Raises:
        TypeError: `vec` is no array.
        ValueError: `vec` is too short, or no vector.

    Differences from torch: the arrays are returned, since only variables can be filled. They have the dtype of `vec`,
    as in torch.

    >>> vector_to_parameters(jnp.arange(5.0), [jnp.ones((2, 1)), jnp.zeros(3)])[1]
    Array([2., 3., 4.], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.vector_to_parameters.html
    """
    vec = check.array("vec", vec)
    parameters = list(parameters)
    shapes = [x.shape for x in _arrays(parameters)]
    sizes = [math.prod(shape) for shape in shapes]
    if vec.ndim != 1 or len(vec) < sum(sizes):
        raise ValueError(f"vec: expected a vector of {sum(sizes)} elements, got shape {vec.shape}")
    new, start = [], 0
    for variable, shape, size in zip(parameters, shapes, sizes, strict=True):
        new.append(vec[start : start + size].reshape(shape))
        start += size
        if isinstance(variable, nnx.Variable):
            variable.set_value(new[-1])
    return new
