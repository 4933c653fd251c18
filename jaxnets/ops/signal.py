"""Short-time Fourier transforms, and the windows that they use."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxnets.functional as F
from jaxnets import check
from jaxnets.ops.promotion import COMPLEX, FLOATING, category, complex_of, dtype_or, numbers, real_of

__all__ = [
    "bartlett_window",
    "blackman_window",
    "hamming_window",
    "hann_window",
    "istft",
    "kaiser_window",
    "stft",
]


def _window(length: int, periodic: bool, dtype: Any, shape: Any) -> jax.Array:
    """`shape` of the places 0 to 1 along a window; a periodic one is without the last of one that is longer by 1."""
    check.integer("window_length", length, least=0)
    found = dtype_or(dtype, jnp.float32)
    if length < 2:
        return jnp.ones(length, found)
    ends = length if periodic else length - 1
    return jnp.asarray(shape(np.arange(length) / ends).astype(found))


def hann_window(window_length: int, periodic: bool = True, *, dtype: Any = None) -> jax.Array:
    """`(1 - cos(2 pi t)) / 2`, `t` from 0 to 1."""
    return hamming_window(window_length, periodic, 0.5, 0.5, dtype=dtype)


def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *, dtype: Any = None
) -> jax.Array:
    """`alpha - beta * cos(2 pi t)`, `t` from 0 to 1."""
    return _window(window_length, periodic, dtype, lambda t: alpha - beta * np.cos(2 * math.pi * t))


def blackman_window(window_length: int, periodic: bool = True, *, dtype: Any = None) -> jax.Array:
    """`0.42 - 0.5 cos(2 pi t) + 0.08 cos(4 pi t)`, `t` from 0 to 1."""

    def shape(t: np.ndarray) -> np.ndarray:
        return np.maximum(0.42 - 0.5 * np.cos(2 * math.pi * t) + 0.08 * np.cos(4 * math.pi * t), 0)

    return _window(window_length, periodic, dtype, shape)


def bartlett_window(window_length: int, periodic: bool = True, *, dtype: Any = None) -> jax.Array:
    """`1 - |2 t - 1|`, `t` from 0 to 1."""
    return _window(window_length, periodic, dtype, lambda t: 1 - np.abs(2 * t - 1))


def kaiser_window(window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: Any = None) -> jax.Array:
    """`i0(beta sqrt(1 - (2 t - 1)²)) / i0(beta)`, `t` from 0 to 1."""

    def shape(t: np.ndarray) -> np.ndarray:
        return np.i0(beta * np.sqrt(np.maximum(1 - (2 * t - 1) ** 2, 0))) / np.i0(beta)

    return _window(window_length, periodic, dtype, shape)


def _padded(window: jax.Array | None, n_fft: int, win_length: int | None, dtype: Any) -> jax.Array:
    """The window in the middle of `n_fft` elements."""
    length = n_fft if win_length is None else check.integer("win_length", win_length, least=1)
    if length > n_fft:
        raise ValueError(f"win_length: expected at most n_fft={n_fft}, got {length}")
    w = jnp.ones(length, dtype) if window is None else check.array("window", window)
    if w.shape != (length,):
        raise ValueError(f"window: expected shape ({length},), got {w.shape}")
    before = (n_fft - length) // 2
    return jnp.pad(w, (before, n_fft - length - before))


def stft(
    input: jax.Array,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: jax.Array | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> jax.Array:
    """Fourier transforms of frames of `n_fft` elements, `hop_length` apart: `(*, L)` to `(*, frequencies, frames)`.

    Args:
        input: a signal, or a batch of them.
        n_fft: elements of a frame.
        hop_length: from frame to frame, `n_fft // 4` when not given.
        win_length: elements of the window, which stands in the middle of the frame; `n_fft` when not given.
        window: what each frame is multiplied with; ones when not given.
        center: whether frame `t` has its middle, not its start, at `t * hop_length`; the signal is padded then.
        pad_mode: mode of `jaxnets.functional.pad`.
        normalized: whether to divide by the root of `n_fft`.
        onesided: whether to leave out the second half of the frequencies; so for real numbers when not given.
        return_complex: pairs of real numbers on a last axis instead when False.
        align_to_window: not taken.
    """
    x = numbers("input", input, least=FLOATING)
    check.rank("input", x, {1: "(L,)", 2: "(B, L)"})
    check.integer("n_fft", n_fft, least=1)
    if align_to_window is not None:
        raise ValueError("align_to_window: expected None, got a bool; use center=False")
    hop = n_fft // 4 if hop_length is None else check.integer("hop_length", hop_length, least=1)
    mixed = category(x.dtype) == COMPLEX or (window is not None and jnp.iscomplexobj(window))
    half = not mixed if onesided is None else check.truth("onesided", onesided)
    if half and mixed:
        raise ValueError("onesided: expected False for a complex input or window, got True")
    if return_complex is None and not mixed:
        raise ValueError("return_complex: expected True, or False for pairs of real numbers, got None")
    w = _padded(window, n_fft, win_length, real_of(x.dtype))
    batch = x.reshape(-1, x.shape[-1])
    if center:
        batch = F.pad(batch[:, None], (n_fft // 2, n_fft // 2), pad_mode)[:, 0]
    if batch.shape[-1] < n_fft:
        raise ValueError(f"n_fft: expected at most {batch.shape[-1]}, the length of the signal, got {n_fft}")
    starts = np.arange(0, batch.shape[-1] - n_fft + 1, hop)
    frames = batch[:, jnp.asarray(starts[:, None] + np.arange(n_fft)[None])]
    if jnp.iscomplexobj(w):
        frames = frames.astype(complex_of(x.dtype)) if not jnp.iscomplexobj(frames) else frames
    frames = frames * jnp.broadcast_to(w.astype(frames.dtype), frames.shape)
    found = jnp.fft.rfft(frames) if half else jnp.fft.fft(frames)
    if normalized:
        found = found * n_fft**-0.5
    found = found.swapaxes(-2, -1).reshape(*x.shape[:-1], found.shape[-1], len(starts))
    return jnp.stack([found.real, found.imag], -1) if return_complex is False else found


def istft(
    input: jax.Array,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: jax.Array | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> jax.Array:
    """Inverse of `stft`: frames are added, and divided by the sum of the squares of their windows.

    Args:
        input: `(*, frequencies, frames)`, complex.
        length: of the signal, which is cropped or filled with zeros to it.
        return_complex: whether the signal is complex.

    The other arguments are those of `stft`.
    """
    x = numbers("input", input, least=COMPLEX)
    check.rank("input", x, {2: "(F, T)", 3: "(B, F, T)"})
    check.integer("n_fft", n_fft, least=1)
    hop = n_fft // 4 if hop_length is None else check.integer("hop_length", hop_length, least=1)
    half = x.shape[-2] != n_fft if onesided is None else check.truth("onesided", onesided)
    if x.shape[-2] != (n_fft // 2 + 1 if half else n_fft):
        raise ValueError(f"input: expected {n_fft // 2 + 1 if half else n_fft} frequencies, got shape {x.shape}")
    if return_complex and half:
        raise ValueError("onesided: expected False with return_complex=True, got True")
    w = _padded(window, n_fft, win_length, real_of(x.dtype))
    frames = x.reshape(-1, *x.shape[-2:]).swapaxes(-2, -1)
    count = frames.shape[1]
    if normalized:
        frames = frames * n_fft**0.5
    if return_complex:
        values = jnp.fft.ifft(frames)
    else:
        values = jnp.fft.irfft(frames[..., : n_fft // 2 + 1], n_fft)
    w = w.astype(values.dtype)
    values = values * jnp.broadcast_to(w, values.shape)
    total = n_fft + hop * (count - 1)
    places = jnp.asarray(hop * np.arange(count)[:, None] + np.arange(n_fft)[None])
    signal = jnp.zeros((values.shape[0], total), values.dtype).at[:, places].add(values)
    weight = jnp.zeros(total, w.dtype).at[places].add(jnp.broadcast_to(w * w, places.shape))
    start = n_fft // 2 if center else 0
    end = total - start if length is None and center else total if length is None else start + length
    signal, weight = signal[:, start : min(end, total)], weight[start : min(end, total)]
    known = not isinstance(weight, jax.core.Tracer)
    if known and weight.size and float(jnp.abs(weight).min()) < 1e-11:
        raise ValueError("window: expected windows that overlap, whose squares add up to more than 0 everywhere")
    signal = signal / jnp.broadcast_to(weight, signal.shape)
    if length is not None and signal.shape[-1] < length:
        signal = jnp.pad(signal, ((0, 0), (0, length - signal.shape[-1])))
    return signal.reshape(*x.shape[:-2], -1)
