"""Names of torch's functions: which ones are one function, and which write into their arguments."""

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["canonical", "functional_twin"]

SPECIAL_METHODS = {
    "__iadd__": "add_",
    "__add__": "add",
    "__radd__": "add",
    "__isub__": "sub_",
    "__sub__": "sub",
    "__rsub__": "rsub",
    "__imul__": "mul_",
    "__mul__": "mul",
    "__rmul__": "mul",
    "__itruediv__": "div_",
    "__idiv__": "div_",
    "__truediv__": "div",
    "__div__": "div",
    "__rtruediv__": "rdiv",
    "__rdiv__": "rdiv",
    "__floordiv__": "floor_divide",
    "__rfloordiv__": "rfloor_divide",
    "__ifloordiv__": "floor_divide_",
    "__mod__": "remainder",
    "__imod__": "remainder_",
    "__rmod__": "rremainder",
    "__pow__": "pow",
    "__ipow__": "pow_",
    "__rpow__": "rpow",
    "__matmul__": "matmul",
    "__rmatmul__": "rmatmul",
    "__neg__": "neg",
    "__pos__": "positive",
    "__abs__": "abs",
    "__invert__": "bitwise_not",
    "__and__": "bitwise_and",
    "__rand__": "bitwise_and",
    "__iand__": "bitwise_and_",
    "__or__": "bitwise_or",
    "__ror__": "bitwise_or",
    "__ior__": "bitwise_or_",
    "__xor__": "bitwise_xor",
    "__rxor__": "bitwise_xor",
    "__ixor__": "bitwise_xor_",
    "__lshift__": "bitwise_left_shift",
    "__rshift__": "bitwise_right_shift",
    "__ilshift__": "bitwise_left_shift_",
    "__irshift__": "bitwise_right_shift_",
    "__eq__": "eq",
    "__ne__": "ne",
    "__lt__": "lt",
    "__le__": "le",
    "__gt__": "gt",
    "__ge__": "ge",
    "true_divide": "div",
    "true_divide_": "div_",
    "divide": "div",
    "divide_": "div_",
    "multiply": "mul",
    "multiply_": "mul_",
    "subtract": "sub",
    "subtract_": "sub_",
    "negative": "neg",
    "absolute": "abs",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "not_equal": "ne",
}
"""Python's operators and torch's second names, by the first."""

FILLS = (
    *("zero_", "fill_", "copy_", "__setitem__"),
    *("uniform_", "normal_", "bernoulli_", "random_", "exponential_", "log_normal_", "cauchy_", "geometric_"),
)
"""Functions that write, and have no twin that does not."""


def canonical(name: str) -> str:
    """The name that rules know: of a writing function that of its twin, of an operator that of its function."""
    prefix, _, short = name.rpartition(".")
    short = SPECIAL_METHODS.get(short, short)
    if short not in FILLS and short.endswith("_") and not short.endswith("__"):
        short = short[:-1]
    return f"{prefix}.{short}" if prefix else short


def functional_twin(name: str, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """What a writing function would return if it did not write; None for a function that does not."""
    if isinstance(kwargs.get("out"), torch.Tensor):
        function = getattr(func, "overloadpacket", func)
        return function(*args, **{key: x for key, x in kwargs.items() if key != "out"})
    short = name.rpartition(".")[2]
    short = SPECIAL_METHODS.get(short, short)
    if not (short.endswith("_") and not short.endswith("__")) and short not in FILLS:
        return None
    twin = None if short in FILLS else getattr(torch.Tensor, short[:-1], None)
    if twin is None:
        return args[0]
    try:
        return twin(*args, **kwargs)
    except (RuntimeError, TypeError):
        return args[0]
