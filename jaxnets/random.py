"""torch's random stream without torch: `TorchRngs`, in the place of `flax.nnx.Rngs`.

torch's generator on the CPU is the Mersenne Twister, which NumPy has. What follows are torch's ways from its 32-bit
words to samples, rounding included; they run on the host, on NumPy arrays.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxnets import check
from jaxnets.nn import init
from jaxnets.nn.parameters import DrawsStream

__all__ = ["TorchRngs"]

CHUNK = 1 << 16  # samples at a time: what is computed between words and samples stays in the cache
BLOCK = 16  # samples that torch makes of 16 words: the first 8 are radii, the last 8 angles
LARGE_RANGE = 1 << 28  # from here on torch draws integers from 64 bits
Shape = int | Sequence[int]


class TorchKey(init.Draws):
    """torch's CPU generator: each draw moves it on."""

    def __init__(self, seed: int):
        # torch seeds with the low 32 bits alone
        self._engine = np.random.RandomState(seed & 0xFFFFFFFF)
        self._spare: float | None = None  # the second of a pair of normal samples

    def words(self, n: int) -> np.ndarray:
        """The next n words of 32 bits."""
        return self._engine.randint(0, 1 << 32, n, np.uint32)

    def long_words(self, n: int) -> np.ndarray:
        """The next n words of 64 bits, the high half first."""
        high, low = self.words(2 * n).astype(np.uint64).reshape(n, 2).T
        return high << np.uint64(32) | low

    def fractions(self, n: int, dtype: Any) -> np.ndarray:
        """The next n multiples of 2⁻²⁴, or of 2⁻⁵³ for float64, in [0, 1): float64 numbers."""
        if dtype == np.float64:
            return (self.long_words(n) & np.uint64((1 << 53) - 1)).astype(np.float64) * 2.0**-53
        return (self.words(n) & np.uint32((1 << 24) - 1)).astype(np.float64) * 2.0**-24

    def uniform(self, shape: Sequence[int], a: float = 0.0, b: float = 1.0, dtype: Any = np.float32) -> np.ndarray:
        dtype, shape = np.dtype(dtype), tuple(shape)
        if dtype.kind == "c":
            return self._complex(self.uniform((*shape, 2), a, b, _real(dtype)))
        wide = _wide(dtype)
        low, high = (float(wide.type(bound)) for bound in (a, b))
        width = float(wide.type(high - low))
        out = np.empty(math.prod(shape), dtype)
        for chunk in _chunks(out):
            fractions = self.fractions(len(chunk), dtype)
            if low == -high:  # one rounding of an exact factor, as in torch's fused multiply-add
                samples = high * (2 * fractions - 1)
            elif wide == np.float64:
                samples = _fused_multiply_add(fractions, width, low)
            else:
                samples = fractions * width + low
            chunk[:] = samples.astype(wide)
            chunk[chunk == dtype.type(b)] = dtype.type(a)  # rounded up to the open end
        return out.reshape(shape)

    def normal(self, shape: Sequence[int], mean: float = 0.0, std: float = 1.0, dtype: Any = np.float32) -> np.ndarray:
        dtype, shape = np.dtype(dtype), tuple(shape)
        if dtype.kind == "c":
            return self._complex(self.normal((*shape, 2), mean, std / math.sqrt(2), _real(dtype)))
        n = math.prod(shape)
        if n < BLOCK:
            samples = np.array([self._one_normal() for _ in range(n)])
            return _fused_multiply_add(samples, std, mean).astype(dtype).reshape(shape)
        out = np.empty(n, dtype)
        for chunk in _chunks(out[: n - n % BLOCK]):
            chunk[:] = _normal_blocks(self.fractions(len(chunk), dtype), mean, std, dtype)
        if n % BLOCK:
            if dtype.itemsize > 2:  # torch draws the words of all samples before it overwrites the last ones
                self.fractions(n % BLOCK, dtype)
            out[-BLOCK:] = _normal_blocks(self.fractions(BLOCK, dtype), mean, std, dtype)
        return out.reshape(shape)

    def _one_normal(self) -> float:
        if self._spare is not None:
            spare, self._spare = self._spare, None
            return spare
        angle, fraction = self.fractions(2, np.float64).tolist()
        radius, angle = math.sqrt(-2 * math.log1p(-fraction)), 2 * math.pi * angle
        self._spare = radius * math.sin(angle)
        return radius * math.cos(angle)

    def _complex(self, parts: np.ndarray) -> np.ndarray:
        return parts.view(f"c{2 * parts.itemsize}")[..., 0]

    def trunc_normal(
        self, shape: Sequence[int], mean: float, std: float, a: float, b: float, dtype: Any = np.float32
    ) -> np.ndarray:
        """torch's rejection: the whole array is drawn again until no element is outside."""
        dtype = np.dtype(dtype)
        below, above = (math.erf((bound - mean) / std / math.sqrt(2)) / 2 for bound in (a, b))
        if above - below > 0.3:
            samples = self.normal(shape, mean, std, dtype)
            while (outside := (samples < dtype.type(a)) | (samples > dtype.type(b))).any():
                samples = np.where(outside, self.normal(shape, mean, std, dtype), samples)
            return samples
        peak = -0.5 * ((max(a, min(mean, b)) - mean) / std) ** 2
        samples = np.empty(tuple(shape), dtype)
        pending = np.ones(tuple(shape), bool)
        while pending.any():
            candidates = self.uniform(shape, a, b, dtype)
            samples = np.where(pending, candidates, samples)
            density = candidates
            for step in (lambda x: x - mean, lambda x: x / std, np.square, lambda x: x * -0.5, lambda x: x - peak):
                density = step(density.astype(_wide(dtype))).astype(dtype)  # torch rounds each step
            with np.errstate(divide="ignore"):
                pending &= np.log(self.uniform(shape, dtype=dtype).astype(_wide(dtype))).astype(dtype) > density
        return samples

    def integers(self, low: int, high: int, n: int) -> np.ndarray:
        span = np.uint64(high - low)
        words = self.words(n).astype(np.uint64) if span < LARGE_RANGE else self.long_words(n)
        return (words % span).astype(np.int64) + low

    def permutations(self, n: int, count: int) -> np.ndarray:
        """Exchanges the i-th with one behind it, for each i: all permutations side by side."""
        steps = max(n - 1, 0)
        jumps = self.words(count * steps).reshape(count, steps).T % np.arange(n, 1, -1, dtype=np.uint32)[:, None]
        rows = np.tile(np.arange(n)[:, None], count)
        if count == 1:  # a list is faster than arrays of one element
            items = list(range(n))
            for i, jump in enumerate(jumps[:, 0].tolist()):
                items[i], items[i + jump] = items[i + jump], items[i]
            return np.array([items], int)
        each = np.arange(count)
        for i, jump in enumerate(jumps):
            there = (i + jump, each)
            taken = rows[there]
            rows[there] = rows[i]
            rows[i] = taken
        return rows.T


def _real(dtype: np.dtype) -> np.dtype:
    return np.dtype(f"f{dtype.itemsize // 2}")


def _wide(dtype: np.dtype) -> np.dtype:
    """What samples of a dtype are computed in: half precisions in float32."""
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def _chunks(out: np.ndarray) -> Iterator[np.ndarray]:
    yield from (out[i : i + CHUNK] for i in range(0, len(out), CHUNK))


def _fused_multiply_add(x: np.ndarray, y: float, z: float) -> np.ndarray:
    """`x * y + z` in float64 with one rounding (Boldo and Melquiond, 2008)."""
    high, low = _product(x, y)
    sum_high, sum_low = _sum(np.full_like(x, z), low)
    total, rest = _sum(high, sum_high)
    odd, error = _sum(sum_low, rest)
    # a sum that is not exact is given an odd last bit, so that rounding it again goes the right way
    even = (odd.view(np.int64) & 1) == 0
    odd = np.where((error != 0) & even, np.nextafter(odd, np.copysign(np.inf, error)), odd)
    return total + odd


def _sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A sum and its rounding error (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _product(a: np.ndarray, b: float) -> tuple[np.ndarray, np.ndarray]:
    """A product and its rounding error (Dekker)."""
    halves = [(x * 134217729.0 - (x * 134217729.0 - x)) for x in (a, b)]
    (a_high, b_high), product = halves, a * b
    a_low, b_low = a - a_high, b - b_high
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _normal_blocks(fractions: np.ndarray, mean: float, std: float, dtype: np.dtype) -> np.ndarray:
    """Box and Muller's transform of blocks of 16, with the roundings of torch's kernel for the dtype."""
    wide = _wide(dtype)
    radius, angle = fractions.astype(wide).reshape(-1, 2, BLOCK // 2).swapaxes(0, 1)
    radius, angle = 1 - radius, wide.type(2 * np.pi) * angle
    if wide == np.float64:
        log, sin, cos = np.log(radius), np.sin(angle), np.cos(angle)
    else:
        log, (sin, cos) = _log(radius), _sin_cos(angle)
    radius = np.sqrt(-2 * log)
    pair = np.stack([radius * cos, radius * sin], 1).reshape(-1)
    if wide == np.float64:
        return _fused_multiply_add(pair, std, mean)
    return _fused(pair, np.float32(std), np.float32(mean)).astype(dtype)


# The logarithm, sine and cosine of the Cephes library (Moshier, 1989) for float32, fused as in torch's AVX2 kernel.
# With NumPy's own, every seventh sample has another last bit; in float64, where torch has none, every 700th.
LOG = (
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
LOG_2 = (0.693359375, -2.12194440e-4)
SIN = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
COS = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
QUARTER_PI = (0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8)


def _fused(x: np.ndarray, y: Any, z: Any) -> np.ndarray:
    """`x * y + z` in float32 with one rounding: the product is exact in float64, and the sum as good as exact."""
    return (np.multiply(x, y, dtype=np.float64) + z).astype(np.float32)


def _polynomial(coefficients: Sequence[float], x: np.ndarray) -> np.ndarray:
    total: Any = np.float32(coefficients[0])
    for c in coefficients[1:]:
        total = _fused(total, x, np.float32(c))
    return total


def _log(x: np.ndarray) -> np.ndarray:
    bits = x.view(np.int32)
    exponent = ((bits >> 23) - 126).astype(np.float32)
    mantissa = (bits & 0x7FFFFF | 0x3F000000).view(np.float32)
    small = mantissa < np.float32(math.sqrt(0.5))
    exponent -= small
    x = (mantissa - np.float32(1)) + np.where(small, mantissa, np.float32(0))
    square = x * x
    high, low = (np.float32(part) for part in LOG_2)
    y = _fused(_polynomial(LOG, x) * x, square, exponent * low) - square * np.float32(0.5)
    return _fused(exponent, high, x + y)


def _sin_cos(angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    octant = (angle * np.float32(4 / np.pi)).astype(np.int32) + 1 & ~1
    x, turns = angle, octant.astype(np.float32)
    for part in QUARTER_PI:
        x = _fused(turns, np.float32(-part), x)
    square = x * x
    cos = _fused(_polynomial(COS, square) * square, square, -square * np.float32(0.5)) + np.float32(1)
    sin = _fused(_polynomial(SIN, square) * square, x, x)
    swap = octant & 2 != 0
    sin, cos = np.where(swap, cos, sin), np.where(swap, sin, cos)
    return np.where(octant & 4 != 0, -sin, sin), np.where(octant - 2 & 4 != 0, cos, -cos)


class TorchStream(DrawsStream):
    """The stream of parameters in `TorchRngs`: its keys are torch's generator."""

    def __init__(self, seed: int):
        super().__init__(TorchKey(seed), jax.random.key(seed & 0xFFFFFFFF))

    def fork(self, *, split: Any = None) -> Any:
        if split is not None:
            raise _indivisible()
        return TorchStream(int(self().long_words(1)[0]))

    def split(self, k: Any) -> Any:
        raise _indivisible()

    broadcast = split


def _indivisible() -> TypeError:
    return TypeError("TorchRngs: torch's stream is one sequence and can not be split; pass nnx.Rngs to vmapped layers")


class TorchRngs(nnx.Rngs):
    """`nnx.Rngs` that draws what torch draws after `torch.manual_seed(seed)`.

    A model that is built with it has the weights that torch gives the same model, built in the same order. Uniform
    initialisers (of linear, convolutional, recurrent layers) and normal ones (of `Embedding`) have torch's bits;
    `orthogonal` those of another QR decomposition. Needs no torch.

    `uniform`, `normal`, `randint`, `randperm`, `bernoulli` and the parameters of `jaxnets` layers draw from the one
    stream, in the order of the calls. All else, such as the dropout of a layer, draws from JAX's streams, seeded
    with `seed` too: other numbers than torch's. So do Flax's other methods (`rngs.gamma` and so on).

    Draws happen on the host, when Python runs: under `jax.jit` or `nnx.eval_shape` once, while tracing, and what was
    drawn is a constant of the compiled function.

    Args:
        seed: an int in [-2⁶³, 2⁶⁴), what `torch.manual_seed` takes; torch uses the low 32 bits.

    Attributes:
        params: the stream of parameters; `params()` is torch's generator in a key's place, for `jaxnets.nn.init`.
        default: JAX's stream, for every other name.

    Raises:
        TypeError: `seed` is no int; the streams are split, or a key is given to `jax.random`.
        ValueError: `seed` is out of range.

    Differences from torch: the bits are those of torch's wheels for x86-64 with AVX2 or AVX-512; elsewhere, torch
    rounds the last bit otherwise. float64 samples need `jax_enable_x64`. `randint` and `randperm` are int32 without it.

    >>> rngs = TorchRngs(1000)
    >>> rngs.normal((3,))
    Array([-1.1720492 , -0.39288425,  0.5264795 ], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.manual_seed.html
    """

    def __init__(self, seed: int = 0):
        seed = check.integer("seed", seed)
        if not -(1 << 63) <= seed < 1 << 64:
            raise ValueError(f"seed: expected an int in [-2**63, 2**64), got {seed}")
        super().__init__(jax.random.key(seed & 0xFFFFFFFF))
        self.params = TorchStream(seed)

    def uniform(self, shape: Shape = (), dtype: Any = jnp.float32, minval: float = 0.0, maxval: float = 1.0) -> Any:
        """Samples of `U(minval, maxval)`: `torch.rand(shape)`.

        >>> TorchRngs(0).uniform((2,))
        Array([0.4962566, 0.7682218], dtype=float32)
        """
        return init.uniform(self.params(), _shape(shape), minval, maxval, dtype=check.dtype("dtype", dtype))

    def normal(self, shape: Shape = (), dtype: Any = jnp.float32) -> Any:
        """Samples of the standard normal distribution: `torch.randn(shape)`."""
        return init.normal(self.params(), _shape(shape), dtype=check.dtype("dtype", dtype))

    def randint(self, low: int, high: int, shape: Shape = ()) -> Any:
        """Integers in `[low, high)`: `torch.randint(low, high, shape)`.

        >>> TorchRngs(0).randint(0, 10, (4,)).tolist()
        [4, 9, 3, 0]
        """
        low, high = check.integer("low", low), check.integer("high", high)
        bounds = np.iinfo(check.dtype("dtype", np.int64))
        if not bounds.min <= low < high <= bounds.max + 1:
            raise ValueError(f"low, high: expected low < high, both in {bounds.dtype}, got low={low}, high={high}")
        shape = _shape(shape)
        return jnp.asarray(self.params().integers(low, high, math.prod(shape)).reshape(shape).astype(bounds.dtype))

    def randperm(self, n: int) -> Any:
        """A permutation of the first n integers: `torch.randperm(n)`.

        >>> TorchRngs(0).randperm(4).tolist()
        [0, 1, 3, 2]
        """
        order = self.params().permutations(check.integer("n", n, least=0), 1)[0]
        return jnp.asarray(order.astype(check.dtype("dtype", np.int64)))

    def bernoulli(self, p: Any = 0.5, shape: Shape | None = None) -> Any:
        """Whether each of independent events of probability `p` happens: booleans.

        An array `p` without a shape is `torch.bernoulli(p)`; with a shape, it is `torch.empty(shape).bernoulli_(p)`.
        """
        probability = np.asarray(p)
        if not ((probability >= 0) & (probability <= 1)).all():
            raise ValueError(f"p: expected probabilities in [0, 1], got {p}")
        dtype = np.float32 if shape is None and probability.dtype != np.float64 else np.float64
        size = probability.shape if shape is None else _shape(shape)
        return jnp.asarray(self.params().uniform(size, dtype=dtype) < probability)

    def fork(self, /, *, split: Any = None) -> "TorchRngs":
        """Streams of their own, seeded with the next 64 bits of this one."""
        if split is not None:
            raise _indivisible()
        return TorchRngs(int(self.params().long_words(1)[0]))

    def split(self, k: Any) -> Any:
        raise _indivisible()

    broadcast = split


def _shape(shape: Shape) -> tuple[int, ...]:
    sizes = tuple(shape) if check.is_sequence(shape) else (shape,)
    return tuple(check.integer("shape", size, least=0) for size in sizes)
