"""Sizes that remember where they come from: ints to torch, expressions to us."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from jaxnets.convert.trace import Value

__all__ = ["BATCH", "Axis", "Computed", "Size", "has_batch", "plain"]

BATCH = 1009
"""The size that a batch has while a module is looked at: a prime, so that its multiples are known for what they are."""


class Axis(NamedTuple):
    """The size of an axis of an array."""

    value: "Value"
    axis: int


class Computed(NamedTuple):
    """What an operator of Python's gave."""

    operator: str
    operands: tuple[Any, ...]


class Size(int):
    """An int that code read from an array's shape, or computed from such ints.

    Args:
        number: the int.
        how: where it comes from.
        decided: called when code decides something by it, or makes another number of it.
    """

    how: Axis | Computed
    decided: Callable[..., None]

    def __new__(cls, number: int, how: Axis | Computed, decided: Callable[..., None]) -> "Size":
        size = super().__new__(cls, number)
        size.how, size.decided = how, decided
        return size

    def __hash__(self) -> int:
        return int.__hash__(self)

    def __reduce__(self) -> Any:
        return int, (int.__int__(self),)

    def __neg__(self) -> Any:
        return Size(int.__neg__(self), Computed("-", (self,)), self.decided)

    def __int__(self) -> int:
        self.decided()
        return int.__int__(self)

    def __float__(self) -> float:
        self.decided()
        return int.__float__(self)

    def __truediv__(self, other: Any) -> Any:
        self.decided()
        return int.__truediv__(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        self.decided()
        return int.__rtruediv__(self, other)

    def __ceil__(self) -> Any:
        return self

    __floor__ = __trunc__ = __pos__ = __ceil__

    def __round__(self, ndigits: Any = None) -> Any:
        return self


def plain(x: Any) -> Any:
    """A size as an int that knows nothing; anything else as it is."""
    return int.__add__(x, 0) if isinstance(x, Size) else x


def has_batch(x: Any) -> bool:
    """Whether an int is a multiple of the batch."""
    return isinstance(x, int) and x > 0 and int.__mod__(x, BATCH) == 0


def _arithmetic(name: str, operator: str, reflected: bool) -> Callable[[Size, Any], Any]:
    of_ints = getattr(int, name)

    def method(self: Size, other: Any) -> Any:
        number = of_ints(self, other) if isinstance(other, int) else NotImplemented
        if type(number) is not int:
            if number is NotImplemented and isinstance(other, float):
                self.decided()
            return number
        operands = (other, self) if reflected else (self, other)
        return Size(number, Computed(operator, operands), self.decided)

    return method


def _comparison(name: str) -> Callable[[Size, Any], Any]:
    of_ints = getattr(int, name)

    def method(self: Size, other: Any) -> Any:
        outcome = of_ints(self, other)
        if outcome is not NotImplemented:
            self.decided(of_ints, self, other)
        return outcome

    return method


for _name, _operator in {"add": "+", "sub": "-", "mul": "*", "floordiv": "//", "mod": "%"}.items():
    setattr(Size, f"__{_name}__", _arithmetic(f"__{_name}__", _operator, False))
    setattr(Size, f"__r{_name}__", _arithmetic(f"__r{_name}__", _operator, True))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Size, f"__{_name}__", _comparison(f"__{_name}__"))
