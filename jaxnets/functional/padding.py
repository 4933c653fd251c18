"""Padding and cropping of borders: `torch.nn.functional.pad`."""

from collections.abc import Sequence

import jax
from jax import lax

from jaxnets import check
from jaxnets.lowering.borders import extended

__all__ = ["pad"]

MODES = ("constant", "reflect", "replicate", "circular")


def pad(input: jax.Array, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> jax.Array:
    """Pads the last axes of an array, the very last axis first.

    Args:
        input: any array; for modes other than constant, `len(pad) / 2` spatial axes behind one or two more.
        pad: `(left, right)` of the last axis, then of the last but one, and so on; negative numbers crop.
        mode: "constant", "reflect" (border not repeated), "replicate" (border repeated) or "circular".
        value: what to fill with, 0 when not given; for mode "constant" only.

    Raises:
        ValueError: odd or too many numbers, a mode that does not exist, reflection of a whole axis or more,
            more than one turn around, or an output of negative size.

    Differences from torch: a circular border longer than what a negative number leaves of the axis is refused, where
    torch reads memory that it has not written.

    >>> import jax.numpy as jnp
    >>> pad(jnp.array([[1, 2, 3]]), (2, 1), mode="reflect")
    Array([[3, 2, 1, 2, 3, 2]], dtype=int32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pad.html
    """
    input = check.array("input", input)
    check.choice("mode", mode, MODES)
    if not check.is_sequence(pad):
        raise TypeError(f"pad: expected a list or tuple of ints, got {pad!r}")
    amounts = tuple(check.integer("pad", p) for p in pad)
    pairs = list(zip(amounts[::2], amounts[1::2], strict=False))[::-1]
    axes = range(input.ndim - len(pairs), input.ndim)
    if len(amounts) % 2 or len(pairs) > input.ndim:
        raise ValueError(
            f"pad: expected an even number of ints, two for each axis and {2 * input.ndim} at most "
            f"for input of shape {input.shape}, got {len(amounts)}"
        )
    if value is not None and mode != "constant":
        raise ValueError(f"value: mode={mode!r} takes no value, got {value}")
    if mode != "constant" and not (1 <= len(pairs) <= 3 and input.ndim - len(pairs) in (1, 2)):
        raise ValueError(
            f"pad: mode={mode!r} takes 2, 4 or 6 numbers, for as many pairs of spatial axes behind (C,) or (N, C); "
            f"got {len(amounts)} numbers for input of shape {input.shape}"
        )
    for axis, (left, right) in zip(axes, pairs, strict=True):
        _check_axis(input.shape, axis, left, right, mode)
    if mode in ("reflect", "replicate") and not any(
        input.shape[axis] + sum(p) for axis, p in zip(axes, pairs, strict=True)
    ):
        raise ValueError(f"pad: {tuple(amounts)} leaves nothing of input of shape {input.shape}")
    if mode == "constant":
        fill = check.scalar("value", 0 if value is None else value).astype(input.dtype)
        borders = [(0, 0, 0)] * (input.ndim - len(pairs)) + [(*pair, 0) for pair in pairs]
        return lax.pad(input, fill, borders)
    return extended(input, dict(zip(axes, pairs, strict=True)), mode)


def _check_axis(shape: tuple[int, ...], axis: int, left: int, right: int, mode: str) -> None:
    size = shape[axis]
    kept = size + min(left, 0) + min(right, 0)
    most = {"reflect": size - 1, "circular": kept, "replicate": size and max(left, right)}.get(mode, max(left, right))
    if kept < 0 and (mode == "constant" or size + left + right < 0):
        raise ValueError(f"pad: {(left, right)} crops more than the {size} entries of axis {axis} of shape {shape}")
    if max(left, right) > max(most, 0):
        raise ValueError(
            f"pad: mode={mode!r} takes at most {max(most, 0)} on axis {axis} of size {size} (input has shape {shape}), "
            f"got {(left, right)}"
        )
