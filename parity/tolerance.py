"""How far two arrays may be apart, and how far they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

import ml_dtypes
import numpy as np


@dataclass(frozen=True)
class Tolerance:
    """What difference is allowed between an array and torch's.

    Args:
        rtol: allowed relative to torch's magnitude.
        atol: allowed however small torch's magnitude is.
        of: "element", where `|a - b| <= atol + rtol |b|` holds for each element (`torch.testing.assert_close`'s
            rule), or "array", where `|a - b| <= max(atol, rtol max|b|)` holds for all: for sums that cancel, one
            element says nothing of the numbers that went into it.
    """

    rtol: float
    atol: float
    of: Literal["element", "array"] = "element"

    def allowance(self, b: np.ndarray) -> np.ndarray:
        """The allowed difference from `b`, element by element."""
        size = np.where(np.isfinite(b), np.abs(b), 0.0)
        if self.of == "element":
            return self.atol + self.rtol * size
        return np.full(b.shape, max(self.atol, self.rtol * float(size.max(initial=0.0))))

    def __str__(self) -> str:
        return f"rtol {self.rtol:g}, atol {self.atol:g}, per {self.of}"


HINTS = {"state": "; was torch's state loaded into the module?"}

FAIR = 4.0
"""How many times torch's own distance from float64 may be ours, where elements are apart by more than the tolerance."""

EXACT = Tolerance(0.0, 0.0)
"""Integers, booleans, and parameters that were copied."""

DEFAULTS: Mapping[np.dtype, Tolerance] = MappingProxyType(
    {
        # In float64 a formula must agree to the last digits; torch.testing's 1e-7 would hide a wrong epsilon.
        np.dtype(np.float64): Tolerance(1e-12, 1e-12, "array"),
        np.dtype(np.float32): Tolerance(1.3e-6, 1e-5),
        # Of 8 or 11 bits an element that is a sum which cancels has none that are right, on either side.
        np.dtype(ml_dtypes.bfloat16): Tolerance(1.6e-2, 1e-5, "array"),
        np.dtype(np.float16): Tolerance(1e-3, 1e-5, "array"),
        np.dtype(np.complex128): Tolerance(1e-12, 1e-12, "array"),
        np.dtype(np.complex64): Tolerance(1.3e-6, 1e-5),
    }
)


def default_tolerance(dtype: Any) -> Tolerance:
    """The suite's bound for torch's dtype: `torch.testing.assert_close`'s; of the array in half precision, and 1e-12 of
    it in float64."""
    return DEFAULTS.get(np.dtype(dtype), EXACT)


@dataclass(frozen=True)
class Row:
    """One array of one property, torch's beside ours.

    `absolute` and `relative` are the greatest `|a - b|` and that over `max|b|`; `index` is where the difference
    exceeds its allowance most, and `allowance` what is allowed there; `note` says what numbers cannot, `remark` why
    a row is ok though elements exceed their allowance.
    """

    property: str
    name: str
    shape: tuple[int, ...] = ()
    dtype: str = ""
    absolute: float = 0.0
    relative: float = 0.0
    allowance: float = 0.0
    ok: bool = True
    index: tuple[int, ...] = ()
    mismatched: int = 0
    ours: str = ""
    torch: str = ""
    note: str = ""
    remark: str = ""

    @cached_property
    def error(self) -> float:
        """`max|a - b| / max(1, max|b|)`: one number that can be compared between arrays."""
        return min(self.absolute, self.relative)

    def why(self) -> str:
        """What is wrong, in the manner of `torch.testing`."""
        head = f"{self.property} of {self.name}" if self.name else self.property
        if self.note:
            return f"{head}: {self.note}"
        size = int(np.prod(self.shape))
        return (
            f"{head}: {self.mismatched} of {size} elements differ ({100 * self.mismatched / size:.1f}%), "
            f"greatest absolute difference {self.absolute:.6g} (relative {self.relative:.3g}), at index {self.index}: "
            f"{self.ours} here, {self.torch} in torch, up to {self.allowance:.3g} allowed{HINTS.get(self.property, '')}"
        )


def measure(
    property: str,
    name: str,
    ours: np.ndarray,
    torch: np.ndarray,
    tolerance: Tolerance | None = None,
    exact: np.ndarray | None = None,
) -> Row:
    """Compares an array with torch's. NaN equals NaN and inf equals inf of its sign, each at its own place.

    `tolerance` is the dtype's default when not given. `exact` is what torch computes in float64: a sum that cancels
    (the gradient of a bias before a batch normalisation is zero but for rounding) has no digits in common with
    torch's on either side, and is right when it is about as near to float64 as torch itself, `FAIR` times at most, or
    within the tolerance of float64, however far torch is, which may have overflowed.
    """
    shape, dtype = torch.shape, str(torch.dtype)
    if ours.shape != shape:
        return Row(property, name, shape, dtype, ok=False, note=f"shape {ours.shape}, expected torch's {shape}")
    # JAX holds torch's int64 in 32 bits unless told otherwise: of integers only the kind is compared.
    if ours.dtype != torch.dtype and not (ours.dtype.kind in "iu" and torch.dtype.kind in "iu"):
        hint = "; load the state and call under jax.enable_x64(True)" if torch.dtype.itemsize == 8 else ""
        text = f"dtype {ours.dtype}, expected torch's {torch.dtype}{hint}"
        return Row(property, name, shape, dtype, ok=False, note=text)
    if not ours.size:
        return Row(property, name, shape, dtype)
    tolerance = tolerance or default_tolerance(torch.dtype)
    a, b = _widest(ours), _widest(torch)
    difference, allowed = _difference(a, b), tolerance.allowance(b)
    wrong = difference > allowed
    remark = ""
    if wrong.any() and exact is not None and exact.shape == shape:
        truth = _widest(exact)
        mine, theirs = (float(_difference(x, truth).max()) for x in (a, b))
        if mine <= FAIR * theirs < np.inf or not (_difference(a, truth) > tolerance.allowance(truth)).any():
            remark = f"{mine:.1g} from float64, torch {theirs:.1g}"
    index = np.unravel_index(np.argmax(np.where(wrong.any(), difference - allowed, difference)), shape)
    greatest = float(difference.max())
    scale = float(np.where(np.isfinite(b), np.abs(b), 0.0).max())
    return Row(
        property,
        name,
        shape,
        dtype,
        absolute=greatest,
        relative=greatest / scale if scale else greatest and float("inf"),
        allowance=float(allowed[index]),
        ok=bool(remark) or not wrong.any(),
        index=tuple(map(int, index)),
        mismatched=int(wrong.sum()),
        ours=f"{ours[index]}",
        torch=f"{torch[index]}",
        remark=remark,
    )


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`|a - b|`, 0 where both are the same inf or NaN, inf where one is."""
    with np.errstate(all="ignore"):
        difference = np.asarray(np.abs(a - b), np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.where(same, 0.0, np.where(np.isnan(difference), np.inf, difference))


def _widest(x: np.ndarray) -> np.ndarray:
    if x.dtype.kind == "c":
        return x.astype(np.complex128)
    # float64 holds no int64 beyond 2**53; longdouble does
    return x.astype(np.longdouble if x.dtype.kind in "iu" else np.float64)
