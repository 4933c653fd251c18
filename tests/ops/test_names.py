"""What is here, what is not and why, and whether every name says what it does."""

import inspect
from fnmatch import fnmatchcase
from pathlib import Path

import torch

from jaxnets import ops
from parity import tensor_names
from parity.tensor_db import NOT_COMPARED, ours
from tests.ops.operators import CORE_OVERLOADS

CORE = {overload.partition(".")[0] for overload in CORE_OVERLOADS} - {"resize_"}  # which writes in place


def public():
    rooms = {"": ops, "fft.": ops.fft, "linalg.": ops.linalg, "special.": ops.special}
    for room, module in rooms.items():
        for name, value in vars(module).items():
            if inspect.isfunction(value) and not name.startswith("_") and value.__module__.startswith("jaxnets.ops"):
                yield f"{room}{name}", value


def test_every_core_operator_is_here():
    assert len(CORE) >= 160
    assert not {name for name in CORE if not callable(getattr(ops, name, None))}


def test_every_documented_name_is_here_or_has_a_reason():
    assert not list(tensor_names.missing())


def test_no_reason_without_a_name():
    absent = [name for name in tensor_names.documented() if ours(name) is None]
    assert not [p for p in tensor_names.EXCLUDED if not any(fnmatchcase(name, p) for name in absent)]


def test_what_is_not_compared_is_here():
    assert all(ours(name.partition(" ")[0]) for name in NOT_COMPARED if name != "new_empty_strided")


def test_every_name_says_what_it_does():
    for name, function in public():
        assert function.__doc__, name
        assert function.__doc__.split("\n")[0].rstrip().endswith((".", ":")), name


PLACES = {"out", "device", "layout", "pin_memory", "memory_format", "generator", "requires_grad", "args", "kwargs"}


def test_arguments_have_torchs_names():
    """What torch tells of its arguments must be among ours, less those that say where an array is."""
    for name, function in public():
        theirs = getattr(torch, name, None)
        try:
            told = inspect.signature(theirs).parameters
        except (TypeError, ValueError):
            continue  # of most functions torch tells nothing
        left = {n for n, p in told.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)} - PLACES
        assert left <= set(inspect.signature(function).parameters), (name, left)


def test_functions_of_a_table_are_in_a_table_of_the_reference():
    """The reference is built from definitions, of which these have none of their own."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "ops.md").read_text().splitlines()
    made = {
        f"| `{name}` | {function.__doc__.replace(chr(124), chr(92) + chr(124))} |"
        for module in (ops.unary, ops.special)
        for name, function in vars(module).items()
        if inspect.isfunction(function) and function.__code__.co_name == "function" and name in module.__all__
    }
    assert not made - set(page)


def test_shapes_together():
    assert ops.broadcast_shapes((5, 1), (3,), 1) == torch.broadcast_shapes((5, 1), (3,), 1) == (5, 3)
    assert ops.broadcast_shapes() == ()
