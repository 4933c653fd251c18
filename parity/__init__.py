"""The parity suite: proof that a JAX module computes what a torch module computes, for ours and for yours."""

from parity.case import Case, Packed, bools, hard, integers, normal, rounded, uniform
from parity.comparison import Report, assert_parity, compare
from parity.suite import Check, Results, run
from parity.tolerance import Tolerance
from parity.training import TrainingReport, compare_training

__all__ = [
    "Case",
    "Check",
    "Packed",
    "Report",
    "Results",
    "Tolerance",
    "TrainingReport",
    "assert_parity",
    "bools",
    "compare",
    "compare_training",
    "hard",
    "integers",
    "normal",
    "rounded",
    "run",
    "uniform",
]
