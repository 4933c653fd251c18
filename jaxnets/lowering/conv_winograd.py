"""A convolution with 3x3 taps, and the gradient of its weight, in 16 products for each 2x2 outputs, where there are 36.

Minimal filtering (Winograd, 1980) as in Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016),
whose matrices these are. A tile of 4x4 inputs and the 3x3 taps are transformed to 4x4 numbers each, of which every
number is multiplied by its like, summed over channels, and transformed to 2x2 outputs:
`OUTPUT @ ((WEIGHT @ weight @ WEIGHT.T) * (INPUT @ x @ INPUT.T)) @ OUTPUT.T`. In float32 it is as exact as the sum of
nine products, and an output sees no number outside of its window; but an infinity there gives NaN.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.lowering.conv_problem import Problem
from jaxnets.lowering.interleave import interleaved
from jaxnets.lowering.precision import wide
from jaxnets.lowering.windows import padded

__all__ = ["winograd", "winograd_of_weight"]

Matrix = Sequence[Sequence[float]]
Place = tuple[int, int]

INPUT: Matrix = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
WEIGHT: Matrix = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
OUTPUT: Matrix = ((1, 1, 1, 0), (0, 1, -1, -1))


def winograd(p: Problem, x: jax.Array, weight: jax.Array) -> jax.Array:
    kernels = transformed(WEIGHT, _taps(wide(weight)))
    products = {place: jnp.tensordot(kernels[place], part, 1) for place, part in _inputs(p, wide(x)).items()}
    parts = transformed(OUTPUT, products).values()  # (C_out, N, *tiles)
    return interleaved([jnp.swapaxes(part, 0, 1) for part in parts], (2, 2), p.out).astype(x.dtype)


def winograd_of_weight(p: Problem, x: jax.Array, y: jax.Array) -> jax.Array:
    """The transpose of the same: the matrices of output and weight are turned."""
    outputs = transformed(_turned(OUTPUT), _outputs(p, wide(y)))
    over_tiles = ((1, 2, 3), (1, 2, 3)), ((), ())
    products = {place: lax.dot_general(outputs[place], part, over_tiles) for place, part in _inputs(p, wide(x)).items()}
    taps = lax.optimization_barrier(jnp.stack(list(transformed(_turned(WEIGHT), products).values())))
    return jnp.moveaxis(taps, 0, -1).reshape(p.channels[1], p.channels[0], 3, 3).astype(y.dtype)


def transformed(matrix: Matrix, parts: Mapping[Place, jax.Array]) -> dict[Place, jax.Array]:
    """`matrix @ parts @ matrix.T`, each part an array; the place is that of row and column."""
    return {
        (i, j): _sum({place: matrix[i][place[0]] * matrix[j][place[1]] for place in parts}, parts)
        for i, j in _places(len(matrix))
    }


def _sum(factors: Mapping[Place, float], parts: Mapping[Place, jax.Array]) -> jax.Array:
    total: Any = 0
    for place, factor in factors.items():
        if factor:
            total = total + factor * parts[place]
    return total


def _places(size: int) -> Iterator[Place]:
    return ((i, j) for i in range(size) for j in range(size))


def _turned(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


def _tiles(p: Problem) -> Place:
    """How many tiles of 2x2 outputs there are; the last may reach past the end."""
    height, width = p.out
    return -(-height // 2), -(-width // 2)


def _taps(weight: jax.Array) -> dict[Place, jax.Array]:
    """The taps of `(C_out, C_in, 3, 3)`, each `(C_out, C_in)`."""
    taps = lax.optimization_barrier(jnp.moveaxis(weight, (2, 3), (0, 1)))
    return {(i, j): taps[i, j] for i, j in _places(3)}


def _inputs(p: Problem, x: jax.Array) -> dict[Place, jax.Array]:
    """The 16 transformed inputs, each `(C_in, N, *tiles)`."""
    settings = zip(_tiles(p), p.size, p.padding, strict=True)
    pairs = [(low, 2 * tiles + 2 - n - low) for tiles, n, (low, _) in settings]
    quarters = _quarters(x, pairs)
    height, width = _tiles(p)
    parts = {
        (i, j): quarters[i % 2, j % 2, :, :, i // 2 : i // 2 + height, j // 2 : j // 2 + width] for i, j in _places(4)
    }
    return {place: lax.optimization_barrier(part) for place, part in transformed(INPUT, parts).items()}


def _outputs(p: Problem, y: jax.Array) -> dict[Place, jax.Array]:
    """The 4 outputs of all tiles, each `(C_out, N, *tiles)`."""
    quarters = _quarters(y, [(0, 2 * tiles - n) for tiles, n in zip(_tiles(p), p.out, strict=True)])
    return {(i, j): quarters[i, j] for i, j in _places(2)}


def _quarters(x: jax.Array, padding: Sequence[tuple[int, int]]) -> jax.Array:
    """`(N, C, *size)`, padded, as `(2, 2, C, N, *half of the size)`, by whether row and column are even or odd."""
    x = padded(x, padding, jnp.zeros((), x.dtype))
    n, channels, height, width = x.shape
    x = x.reshape(n, channels, height // 2, 2, width // 2, 2)
    return lax.optimization_barrier(x.transpose(3, 5, 1, 0, 2, 4))
