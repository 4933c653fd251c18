"""Where a default tolerance does not hold: each looser bound beside the measured error and the reason."""

from dataclasses import dataclass

from parity.case import matches


@dataclass(frozen=True)
class Looser:
    """A bound on `max|a - b| / max(1, max|b|)` for the cases, the dtype and the property that it names.

    Args:
        pattern: which cases, as `--only` takes it.
        dtype: "f32", "f64", "bf16" or "f16".
        property: "forward", "parameter gradient", "input gradient" or "buffers".
        bound: what is allowed, at most ten times what was measured.
        measured: the greatest error that was seen.
        reason: why the numbers cannot be nearer.
    """

    pattern: str
    dtype: str
    property: str
    bound: float
    measured: float
    reason: str


LOOSER: tuple[Looser, ...] = (
    Looser(
        "conv/Conv3d(4, 6, (1, 2, 3), padding=(0, 2, 1), padding_mode='re*",
        "f32",
        "parameter gradient",
        bound=1e-6,
        measured=5.3e-7,
        reason="sums of some hundred products that cancel: torch is 2.2e-7 from float64 and this 2.7e-7, both of the "
        "greatest element, where torch.testing's bound is relative to each element",
    ),
)


def looser(name: str, dtype: str, property: str) -> float | None:
    """The bound for a case, or None where the default holds."""
    for entry in LOOSER:
        if (entry.dtype, entry.property) == (dtype, property) and matches(name, entry.pattern):
            return entry.bound
    return None
