"""What of `torch.nn` is here, what is not and why, and by how many cases it is proven.

`python -m parity.coverage docs/parity/coverage.md` writes the page.
"""

import inspect
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import torch

import jaxnets
from parity.case import Case
from parity.cases import CASES
from parity.module_db import SAMPLES

EXCLUDED: Mapping[str, str] = MappingProxyType(
    {
        "functional.scaled_mm": "products of 8-bit floats with block scales: kernels of particular GPUs",
        "functional.scaled_grouped_mm": "products of 8-bit floats with block scales: kernels of particular GPUs",
        "functional.assert_int_or_pair": "a check that torch's own code shares; it computes nothing",
    }
)
"""Public names of torch that are not here, with the reason."""

ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "Module": "Flax's own, under torch's name",
        "Container": "tests/nn/test_container.py",
        "ModuleDict": "tests/nn/test_container.py",
        "ModuleList": "tests/nn/test_container.py",
        "ParameterDict": "tests/nn/test_container.py",
        "ParameterList": "tests/nn/test_container.py",
        "RNNBase": "parity/cases/rnn.py, through its three kinds",
        "RNNCellBase": "parity/cases/rnn.py, through its three kinds",
        "LinearCrossEntropyOptions": "parity/cases/linear_cross_entropy.py, in the layer that takes it",
        "functional.gumbel_softmax": "tests/nn/test_softmax.py, by its distribution",
        "functional.grouped_mm": "tests/nn/test_linear.py, since torch has no float64 there",
    }
)
"""What is no case: it is not called, it draws, or torch lacks float64."""

HOMES = ("torch.nn.functional", "torch._C._nn", "torch")
"""Where what `torch.nn.functional` offers is defined; the rest there is imported for its own use."""


def classes() -> list[str]:
    """Every public class of `torch.nn`."""
    return sorted(torch.nn.modules.__all__)


def functions() -> list[str]:
    """Every public function of `torch.nn.functional` but the in-place twins, whose names end in `_`."""
    room = torch.nn.functional
    return sorted(
        name
        for name, value in vars(room).items()
        if callable(value)
        and not inspect.isclass(value)
        and not name.startswith(("_", "has_torch_function", "handle_torch_function"))
        and not name.endswith("_")
        and value.__module__ in HOMES
    )


def cases_of() -> Counter[str]:
    """How many of our own cases there are for each target; cases inside of others count too."""
    return Counter(target for case in CASES.values() for target in _targets(case))


def _targets(case: Case) -> Iterator[str]:
    yield case.target
    for value in (*case.args, *case.kwargs.values()):
        if isinstance(value, Case):
            yield from _targets(value)


def samples_of() -> Counter[str]:
    """How many samples torch's database of modules has for each class, misuses included."""
    return Counter(sample.module for sample in SAMPLES.values())


def markdown() -> str:
    """The page: a row for each class and function of torch."""
    own, torchs = cases_of(), samples_of()
    lines = [
        "# Coverage of torch.nn",
        "",
        f"Of torch {torch.__version__.partition('+')[0]}: {len(classes())} classes, {len(functions())} functions.",
        f"Proven by {len(CASES)} cases of our own and {sum(torchs.values())} samples of torch's `module_db`.",
        "",
        "## Not here",
        "",
        "| torch | why |",
        "| - | - |",
        *(f"| `{name}` | {why} |" for name, why in EXCLUDED.items()),
        "",
        "## Proven elsewhere than by a case of its name",
        "",
        "| torch | where |",
        "| - | - |",
        *(f"| `{name}` | {where} |" for name, where in ELSEWHERE.items()),
        "",
        "## Classes",
        "",
        "| class | in | own cases | torch's samples |",
        "| - | - | -: | -: |",
    ]
    lines += [
        f"| `{name}` | `{_room(jaxnets.nn, name)}` | {own[name]} | {torchs[name]} |"
        for name in classes()
        if name not in EXCLUDED
    ]
    lines += ["", "## Functions", "", "| function | in | own cases |", "| - | - | -: |"]
    lines += [
        f"| `{name}` | `{_room(jaxnets.functional, name)}` | {own[f'functional.{name}']} |"
        for name in functions()
        if f"functional.{name}" not in EXCLUDED
    ]
    return "\n".join(lines) + "\n"


def _room(package: object, name: str) -> str:
    return str(getattr(package, name).__module__)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(markdown(), encoding="utf-8")
