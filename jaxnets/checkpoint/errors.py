"""The one error of this package, and the limits that keep a hostile file from costing more than its size."""

from typing import Any

#: Containers nested deeper than this are refused, on the way in and on the way out: no checkpoint comes near, and
#: everybody who walks a loaded tree may recurse.
MAX_DEPTH = 100


class CheckpointError(ValueError):
    """A checkpoint that is damaged, or that holds what numpy arrays and plain containers cannot hold.

    The message names the file, the place in it, what is wrong there and what to do.

    >>> issubclass(CheckpointError, ValueError)
    True
    """


def brief(value: Any) -> str:
    """`value` for a message: never long, and never an error of its own."""
    if isinstance(value, (str, bytes)):
        return repr(value[:80]) + ("..." if len(value) > 80 else "")
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an integer of {value.bit_length()} bits"
    if value is None or isinstance(value, (int, float, complex)):
        return repr(value)
    if type(value) in (list, tuple, dict, set):
        return f"{type(value).__name__} of {len(value)}"
    return type(value).__name__
