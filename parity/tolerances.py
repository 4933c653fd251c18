"""Where a default tolerance does not hold: each looser bound beside the measured error and the reason.

Few are needed: most of what exceeds a tolerance is as near to float64 as torch's own result, which the report tells.
"""

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

    def __post_init__(self) -> None:
        if not self.measured < self.bound <= 10 * self.measured:
            raise ValueError(f"bound: expected more than {self.measured}, at most ten times that, got {self.bound}")
        if not self.reason:
            raise ValueError(f"reason: expected why {self.pattern} cannot be nearer, got none")


TRIGAMMA = "torch's second derivative of the log gamma function is an asymptotic series, cut off near 1e-10"
LOGARITHMS = "torch's derivative goes through logarithms of the gradient, whose sums cancel"
STEPS = "steps that are rounded in another order; on some processors torch's samples are others"
ENCODER_DECODER = "encoder and decoder in a row, each step rounded; torch itself is as far from float64 in these sums"

LOOSER: tuple[Looser, ...] = (
    Looser(
        "module_db/TransformerDecoderLayer[44]",
        "f32",
        "parameter gradient",
        bound=4e-6,
        measured=1.8e-6,
        reason="one of 48 elements of a sum that cancels; torch itself is 5.1e-6 from its float64 there",
    ),
    Looser(
        "module_db/Transformer[57]",
        "f32",
        "parameter gradient",
        bound=5e-5,
        measured=1.7e-5,
        reason="encoder and decoder of 4 features, each step rounded: one of 12 elements, on some processors",
    ),
    Looser(
        "module_db/Transformer[57]",
        "f32",
        "input gradient",
        bound=5e-5,
        measured=1.1e-5,
        reason="encoder and decoder of 4 features, one of 24 elements: from float64 torch is 3e-6 here, this 1.3e-5",
    ),
    Looser(
        "op_db/torch.lgamma",
        "f64",
        "second derivative",
        bound=1e-11,
        measured=1.3e-12,
        reason=TRIGAMMA,
    ),
    Looser(
        "op_db/torch.matrix_exp",
        "f32",
        "input gradient",
        bound=5e-6,
        measured=9.2e-7,
        reason="torch and JAX scale and square differently: elements of one gradient lie 1e5 apart",
    ),
    Looser(
        "op_db/torch.matrix_exp",
        "f32",
        "forward",
        bound=5e-6,
        measured=9.3e-7,
        reason="torch and JAX scale and square differently: elements of one matrix lie 1e5 apart",
    ),
    Looser("op_db/torch.combinations", "f16", "input gradient", bound=5e-3, measured=1.2e-3, reason=STEPS),
    Looser("op_db/torch.corrcoef", "f16", "input gradient", bound=1e-3, measured=2.1e-4, reason=STEPS),
    Looser("op_db/torch.div no_rounding_mode", "f16", "input gradient", bound=1e-3, measured=1.9e-4, reason=STEPS),
    Looser("op_db/torch.true_divide", "f16", "input gradient", bound=1e-3, measured=1.9e-4, reason=STEPS),
    Looser("op_db/torch.logspace tensor_overload", "f16", "forward", bound=1e-2, measured=2e-3, reason=STEPS),
    Looser("op_db/torch.renorm", "f16", "input gradient", bound=2e-3, measured=3.7e-4, reason=STEPS),
    Looser("op_db/torch.xlogy", "bf16", "input gradient", bound=2e-2, measured=4e-3, reason=STEPS),
    Looser(
        "op_db/torch.erfinv",
        "f32",
        "input gradient",
        bound=3e-5,
        measured=5.2e-6,
        reason="near 1 and -1 the derivative is the exponential of the square of a rounded number",
    ),
    Looser("op_db/torch.mvlgamma", "f64", "second derivative", bound=1.5e-9, measured=1.7e-10, reason=TRIGAMMA),
    Looser("op_db/torch.digamma", "f64", "input gradient", bound=5e-11, measured=5.5e-12, reason=TRIGAMMA),
    Looser("op_db/torch*polygamma*", "f64", "forward", bound=5e-11, measured=5.5e-12, reason=TRIGAMMA),
    Looser("op_db/torch.logcumsumexp", "f64", "input gradient", bound=1e-11, measured=1.1e-12, reason=LOGARITHMS),
    Looser("op_db/torch.logcumsumexp", "f64", "second derivative", bound=5e-11, measured=9e-12, reason=LOGARITHMS),
    Looser(
        "op_db/scaled_dot_product_attention[23]",
        "f32",
        "input gradient",
        bound=6e-6,
        measured=3.4e-6,
        reason="scores of 100, of which float32 holds five decimals: from float64 torch is 3e-5 here, this 5e-5",
    ),
    Looser(
        "transformer/TransformerEncoder(TransformerEncoderLayer(*), 3, LayerNorm(6)*",
        "f16",
        "parameter gradient",
        bound=3e-3,
        measured=1.5e-3,
        reason="three layers in a row, each rounding to 11 bits; torch itself is up to 1e-2 from float64 in these sums",
    ),
    Looser(
        "transformer/Transformer(*", "f16", "parameter gradient", bound=2e-2, measured=1.1e-2, reason=ENCODER_DECODER
    ),
    Looser(
        "transformer/Transformer(*", "bf16", "parameter gradient", bound=5e-2, measured=2.1e-2, reason=ENCODER_DECODER
    ),
    Looser(
        "transformer/TransformerDecoderLayer(6, 2, 5, 0.0)*tgt_mask=normal(4,4), *, tgt_is_causal=True]",
        "bf16",
        "parameter gradient",
        bound=5e-2,
        measured=3.7e-2,
        reason="a rectifier has an input of 2.7e-4, and torch itself is 6.7e-3 from float64 there: either side of 0",
    ),
    Looser(
        "container/Sequential(Conv1d(2, 4, 3), BatchNorm1d(4), AdaptiveAvgPool1d(2), *",
        "f16",
        "parameter gradient",
        bound=1e-3,
        measured=5.6e-4,
        reason="a bias before a batch normalisation: its gradient is zero, and the roundings of what is summed are not",
    ),
)


def looser(name: str, dtype: str, property: str) -> Looser | None:
    """The bound for a case, or None where the default holds."""
    for entry in LOOSER:
        if (entry.dtype, entry.property) == (dtype, property) and matches(name, entry.pattern):
            return entry
    return None
