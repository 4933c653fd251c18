"""A parity case is data: which layer, how it is built, what it is called with."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, ClassVar, Literal

EMPTY: Mapping[str, Any] = MappingProxyType({})

# How each distribution's two numbers are called, and the numbers that go without saying.
DRAWS: Mapping[str, Mapping[str, float]] = {
    "normal": {"mean": 0.25, "std": 1.0},
    "rounded": {"mean": 0.25, "std": 1.0},
    "uniform": {"low": 0.0, "high": 1.0},
    "integers": {"low": 0, "high": 10},
    "bools": {"p": 0.5},
    "hard": {"p": 0.4},
}


@dataclass(frozen=True)
class Spec:
    """An array to be drawn: its shape, its distribution and the distribution's two numbers."""

    shape: tuple[int, ...]
    draw: Literal["normal", "rounded", "uniform", "integers", "bools", "hard"]
    a: float = 0.0
    b: float = 1.0

    def __str__(self) -> str:
        named = zip(DRAWS[self.draw].items(), (self.a, self.b), strict=False)
        told = [f"{name}={value}" for (name, usual), value in named if value != usual]
        return f"{self.draw}({','.join([*map(str, self.shape), *told])})"


@dataclass(frozen=True)
class Packed:
    """A PackedSequence of a padded array and its lengths."""

    padded: Spec
    lengths: tuple[int, ...]
    batch_first: bool = False
    enforce_sorted: bool = True

    def __str__(self) -> str:
        order = "" if self.enforce_sorted else ",enforce_sorted=False"
        return f"packed({self.padded},{list(self.lengths)}{',batch_first=True' if self.batch_first else ''}{order})"


def normal(*shape: int, mean: float = 0.25, std: float = 1.0) -> Spec:
    """Floats from `N(mean, std²)`; the mean is not 0, so that signs and shifts cannot hide."""
    return Spec(shape, "normal", mean, std)


def rounded(*shape: int, mean: float = 0.25, std: float = 1.0) -> Spec:
    """Floats from `N(mean, std²)`, rounded to halves: ties, zeros, and numbers right at a kink."""
    return Spec(shape, "rounded", mean, std)


def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Spec:
    """Floats from `U(low, high)`."""
    return Spec(shape, "uniform", low, high)


def integers(*shape: int, low: int = 0, high: int = 10) -> Spec:
    """int64 (int32 in a JAX without 64-bit types) from low to high - 1."""
    return Spec(shape, "integers", low, high)


def bools(*shape: int, p: float = 0.5) -> Spec:
    """Booleans, True with probability p."""
    return Spec(shape, "bools", p)


def hard(*shape: int, p: float = 0.4) -> Spec:
    """Floats of which a share p is infinite, NaN, 0, -0 or huge."""
    return Spec(shape, "hard", p)


@dataclass(frozen=True)
class Case:
    """One layer or function, one set of arguments, one set of inputs.

    Args:
        target: a class of `torch.nn` ("Conv2d"), or a function as "functional.conv2d"; the same name is looked up
            in jaxnets.
        args: positional arguments of the constructor (of a function: positional arguments behind the inputs). An
            array (the weights of a loss) is given as a spec, a layer (of a container) as a case without inputs.
        kwargs: keyword arguments of the constructor (of a function: its keyword arguments).
        inputs: what the layer is called with: specs, Packed, numbers, None, or tuples of them.
        call: keyword arguments of the layer's call, e.g. `{"output_size": (5, 7)}`.
        seed: of the draw; each array of a case has a seed of its own, made from this one.
        note: what this case is there for, where the arguments do not say it.
        since: the first version of torch that computes it like ours; what an older one says is not compared.
    """

    dtypes: ClassVar[tuple[str, ...]] = ("f64", "f32", "bf16", "f16")

    target: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    inputs: tuple[Any, ...] = ()
    call: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    seed: int = 0
    note: str = ""
    since: str = ""

    def __str__(self) -> str:
        """The case as one would write the call, its inputs in brackets: `Linear(5, 3)[normal(4,5)]`."""
        if not self.inputs and not self.call:
            return f"{self.target}({_listed(self.args, self.kwargs)})"
        return f"{self.target}({_listed(self.args, self.kwargs)})[{_listed(self.inputs, self.call)}]"


def _listed(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    return ", ".join([*map(_said, args), *(f"{name}={_said(value)}" for name, value in kwargs.items())])


def _said(value: Any) -> str:
    if isinstance(value, Spec | Packed | Case):
        return str(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(_said, value))}{',' * (len(value) == 1)})"
    if isinstance(value, list):
        return f"[{', '.join(map(_said, value))}]"
    return repr(value)


def identify(families: Mapping[str, tuple[Case, ...]]) -> dict[str, Case]:
    """Each case under `family/case`; of equal names the later ones end in `#2`, `#3`."""
    named: dict[str, Case] = {}
    for family, cases in families.items():
        seen: Counter[str] = Counter()
        for case in cases:
            name = f"{family}/{case}"
            seen[name] += 1
            named[name if seen[name] == 1 else f"{name}#{seen[name]}"] = case
    return named


def matches(name: str, pattern: str) -> bool:
    """Whether a case's name holds the pattern, or is one that `*` and `?` in it stand for."""
    return pattern in name or fnmatchcase(name, pattern.replace("[", "[[]"))
