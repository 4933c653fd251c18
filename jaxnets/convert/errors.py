"""What is said when a module cannot be converted."""

from collections.abc import Sequence
from dataclasses import dataclass


class ConversionError(ValueError):
    """A module, or something in it, that no Flax source says.

    The message names what it is, the setting, what was found and what to do.

    >>> issubclass(ConversionError, ValueError)
    True
    """


class DifferentError(Exception):
    """Two traces of a module do not say the same."""


class UnknownError(Exception):
    """Code asks for what is not there while a module is looked at: numbers, or the size of the batch."""


@dataclass(frozen=True)
class Refusal:
    """One thing that cannot be converted.

    Args:
        what: the operator, the setting, or what the code does.
        path: the module in whose forward it happens.
        place: file and line of the user's code.
        remedy: what to do.
    """

    what: str
    path: str
    place: str
    remedy: str

    def __str__(self) -> str:
        where = f"module {self.path!r}" if self.path else "the root module"
        return f"{self.what} in {where}" + (f", {self.place}" if self.place else "") + f": {self.remedy}"


def refuse(refusals: Sequence[Refusal], name: str, cause: BaseException | None = None) -> None:
    """Raises all refusals in one error, if there are any."""
    unique = list(dict.fromkeys(map(str, refusals)))
    if unique:
        count = f"{len(unique)} reason{'s' * (len(unique) > 1)}"
        raise ConversionError(f"{name} cannot be converted, {count}:\n  " + "\n  ".join(unique)) from cause
