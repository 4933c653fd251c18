"""`parity.run`, the case database, the table of looser bounds, the command line."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

import parity
from jaxnets.lowering import conv_forms
from parity import Case, Packed, bools, integers, normal, rounded, uniform
from parity.case import identify, matches
from parity.cases import CASES, FAMILIES
from parity.cli import Way, app, check
from parity.database import find
from parity.tolerance import Tolerance, measure
from parity.tolerances import LOOSER, Looser, looser
from parity.ways import WAYS
from tests.exhaustive import more

LINEAR = Case("Linear", (3, 2), inputs=(normal(4, 3),))


def test_every_property_is_checked_in_every_way():
    results = parity.run([Case("BatchNorm1d", (3,), inputs=(normal(5, 3),))])
    assert results.ok, results.failed
    whole = ("forward", "parameter gradient", "input gradient", "buffers")
    properties = {
        "f32": (("jit", whole), ("eager", ("forward", "buffers")), ("export", ("lowers",))),
        "f64": (("jit", whole), ("vmap", whole), ("shard_map", whole), ("twice", ("second derivative",))),
    }
    for dtype, ways in properties.items():
        assert [(c.mode, c.way, c.property) for c in results.checks if c.dtype == dtype] == [
            ("any", "eager", "state"),
            *(
                (mode, way, property)
                for mode in ("eval", "train")
                for way, properties in ways
                for property in properties
            ),
        ]


def test_a_layer_without_modes_is_counted_once():
    assert {c.mode for c in parity.run([LINEAR]).checks} == {"any"}


def test_a_case_torch_refuses_fails_with_torchs_words():
    results = parity.run([Case("Linear", (3, 2), inputs=(normal(4, 5),))])
    assert not results.ok
    assert results.failed[0].why.startswith("torch: RuntimeError: mat1 and mat2 shapes cannot be multiplied")


def test_nothing_to_check_is_not_ok():
    assert not parity.run([]).ok


def test_wrong_dtypes_and_ways_are_refused():
    with pytest.raises(ValueError, match="dtypes: expected some of f64, f32, bf16, f16, got 'f8'"):
        parity.run([LINEAR], dtypes=("f8",))
    with pytest.raises(
        ValueError, match="ways: expected some of jit, eager, vmap, shard_map, twice, export, got 'pmap'"
    ):
        parity.run([LINEAR], ways=("pmap",))


def test_what_torch_has_no_kernel_for_is_neither_passed_nor_failed(monkeypatch):
    def refuse(*args):
        raise RuntimeError("\"linear\" not implemented for 'Half'")

    monkeypatch.setattr("torch.nn.Linear.forward", refuse)
    results = parity.run([LINEAR], dtypes=("f16",))
    assert [c.property for c in results.skipped] == ["call"]
    assert not results.failed
    assert parity.run([LINEAR], dtypes=("f32",)).failed


@pytest.mark.parametrize("older", [False, True])
def test_what_an_older_torch_lacks(monkeypatch, older):
    monkeypatch.setattr("parity.suite.OLDER", older)
    absent = replace(LINEAR, target="NoSuchLayer")
    unknown = Case("Linear", (3, 2), {"no_such_argument": 1}, inputs=(normal(4, 3),))
    results = parity.run([absent, unknown], dtypes=("f32",))
    assert len(results.skipped if older else results.failed) == len(results.checks) == 2
    assert "has no nn.NoSuchLayer" in results.checks[0].why


def test_the_command_knows_every_way():
    assert {str(way) for way in Way} == set(WAYS)


def test_an_interrupted_suite_keeps_its_report(monkeypatch, tmp_path):
    def interrupted(names, *rest):
        yield check(names[:1], ["f64"], ["jit"])
        raise KeyboardInterrupt

    monkeypatch.setattr("parity.cli._check_all", interrupted)
    monkeypatch.setattr("parity.cli.prepare", lambda *given: None)
    result = CliRunner().invoke(app, ["--only", "linear/*", "--dtype", "f64", "--report", str(tmp_path)])
    assert result.exit_code == 130
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["versions"]["interrupted"].startswith("after 1 of ")
    assert report["checks"]


def test_layers_hold_other_layers_and_arrays():
    layers = (Case("Linear", (4, 3)), Case("ReLU"), Case("Linear", (3, 2), {"bias": False}))
    weighted = Case("CrossEntropyLoss", (uniform(5),), inputs=(normal(7, 5), integers(7, high=5)))
    assert parity.run([Case("Sequential", layers, inputs=(normal(5, 4),)), weighted], dtypes=("f32",)).ok


def test_names_say_what_a_case_is():
    packed = Packed(normal(5, 2, 3), (5, 2), enforce_sorted=False)
    cases = (
        Case("Conv2d", (4, 6, 3), {"groups": 2}, inputs=(normal(2, 4, 7, 9),)),
        Case("GRU", (3, 4), inputs=(packed, None)),
        Case("ConvTranspose1d", (1, 2, 3), inputs=(uniform(1, 4, high=2.5),), call={"output_size": (7,)}),
        Case("functional.pad", ((1, 2),), inputs=(rounded(3), bools(2, p=0.1), integers(1))),
        Case("ReLU", inputs=(normal(2, mean=3.0),)),
        Case("ReLU", inputs=(normal(2, mean=3.0),), seed=1),
    )
    assert list(identify({"x": cases})) == [
        "x/Conv2d(4, 6, 3, groups=2)[normal(2,4,7,9)]",
        "x/GRU(3, 4)[packed(normal(5,2,3),[5, 2],enforce_sorted=False), None]",
        "x/ConvTranspose1d(1, 2, 3)[uniform(1,4,high=2.5), output_size=(7,)]",
        "x/functional.pad((1, 2))[rounded(3), bools(2,p=0.1), integers(1)]",
        "x/ReLU()[normal(2,mean=3.0)]",
        "x/ReLU()[normal(2,mean=3.0)]#2",
    ]


def test_patterns():
    name = "conv/Conv2d(4, 6, 3)[normal(2,4,7,9)]"
    assert all(matches(name, p) for p in ("conv/", "Conv2d(4", "conv/*[normal*", "*7,9)]", "conv/Conv?d*"))
    assert not any(matches(name, p) for p in ("rnn/", "Conv2d*", "*[abc]*"))


def test_the_database_is_immutable_and_every_array_has_its_own_seed():
    assert len(CASES) == sum(map(len, FAMILIES.values()))
    with pytest.raises(TypeError):
        CASES["x"] = LINEAR
    from parity.inputs import CasePair

    pair = CasePair(Case("Bilinear", (3, 3, 2), inputs=(normal(4, 3), normal(4, 3))), "f64")
    assert not np.array_equal(*pair.args)


def test_parameters_do_not_stay_at_ones_and_zeros():
    from parity.inputs import CasePair

    state = CasePair(Case("BatchNorm1d", (3,), inputs=(normal(4, 3),)), "f32").torch().state_dict()
    for name in ("weight", "bias", "running_mean", "running_var"):
        assert len(set(state[name].tolist())) == 3
        assert (state[name] > 0).all()
    assert state["num_batches_tracked"] == 3


def test_a_looser_bound_says_why_and_is_near_what_was_measured():
    with pytest.raises(ValueError, match="bound: expected more than 1e-06, at most ten times that, got 2e-05"):
        Looser("linear/*", "f32", "forward", bound=2e-5, measured=1e-6, reason="rounding")
    with pytest.raises(ValueError, match="reason: expected why linear/"):
        Looser("linear/*", "f32", "forward", bound=2e-6, measured=1e-6, reason="")


PATTERNS = dict.fromkeys(entry.pattern for entry in LOOSER)


@pytest.mark.parametrize(
    "pattern",
    [*(p for p in PATTERNS if not p.startswith("op_db/")), *more(p for p in PATTERNS if p.startswith("op_db/"))],
)
def test_a_looser_bound_is_for_cases_that_there_are(pattern):
    assert find([pattern])


def test_a_looser_bound_is_for_its_cases_dtype_and_property(monkeypatch):
    entry = Looser("linear/Linear(5, 3)*", "f32", "forward", bound=2e-6, measured=1e-6, reason="rounding")
    monkeypatch.setattr("parity.tolerances.LOOSER", (entry,))
    name = next(name for name in CASES if name.startswith("linear/Linear(5, 3)"))
    assert looser(name, "f32", "forward") is entry
    assert looser(name, "f64", "forward") is None
    assert looser(name, "f32", "input gradient") is None
    assert looser("conv/Conv2d", "f32", "forward") is None


def test_what_cancels_is_judged_by_torchs_own_distance_from_float64():
    """The gradient of a bias before a batch normalisation is zero but for rounding, on both sides."""
    exact = np.zeros(3)
    torchs, ours = np.array([2e-5, -1e-5, 0], np.float32), np.array([-3e-5, 2e-5, 1e-5], np.float32)
    assert not measure("parameter gradient", "bias", ours, torchs).ok
    judged = measure("parameter gradient", "bias", ours, torchs, exact=exact)
    assert judged.ok
    assert judged.remark == "3e-05 from float64, torch 2e-05"
    assert not measure("parameter gradient", "bias", 10 * ours, torchs, exact=exact).ok
    assert not measure("parameter gradient", "bias", ours * np.nan, torchs, exact=exact).ok


def test_tolerance_of_an_element_and_of_an_array():
    a, b = np.array([100.0, 1e-3]), np.array([100.0, 0.0])
    assert not measure("", "", a, b, Tolerance(1e-4, 1e-5)).ok
    assert measure("", "", a, b, Tolerance(1e-4, 1e-5, "array")).ok
    row = measure("forward", "output", a, b, Tolerance(1e-4, 1e-5))
    assert (row.index, row.mismatched, row.absolute, row.relative) == ((1,), 1, 1e-3, 1e-5)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    line = [sys.executable, "-m", "parity", *arguments]
    return subprocess.run(line, capture_output=True, text=True, env=environment, timeout=300)


def test_the_command_writes_a_report_and_succeeds(tmp_path):
    only = ["--only", "linear/Linear(5, 3)[normal(4,5)]", "--only", "linear/Identity*"]
    done = command(
        "--device",
        "cpu",
        "--dtype",
        "f32",
        *only,
        "--report",
        str(tmp_path / "out"),
        "--cache",
        str(tmp_path),
        "--jobs",
        "2",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("parity: python 3.")
    assert "0 failed over 2 cases" in done.stdout
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    assert content["ok"] is True
    assert {c["dtype"] for c in content["checks"]} == {"f32"}
    assert "| linear | forward |" in (tmp_path / "out" / "report.md").read_text()


def test_a_form_is_taken_where_it_can_be(monkeypatch):
    """A form that is broken fails where it is asked for, and nowhere else."""

    def broken(*args):
        raise ArithmeticError("this form")

    table = [replace(form, compute=broken) if form.name == "taps" else form for form in conv_forms.OUTPUT]
    monkeypatch.setattr(conv_forms, "OUTPUT", table)
    case = ["conv/Conv2d(4, 6, 3)[normal(2,4,9,7)]"]
    assert any("this form" in found.why for found in check(case, ["f32"], ["jit"], "taps"))
    assert {found.status for found in check(case, ["f32"], ["jit"])} == {"passed"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--only", "nothing-like-this"], "parity: no case matches nothing-like-this; see python -m parity --list"),
        (["--device", "tpu"], "parity: device tpu: JAX finds none here, only cpu"),
        (
            ["--form", "fft"],
            f"parity: no form 'fft', only {', '.join(conv_forms.NAMES)}",
        ),
    ],
)
def test_the_command_refuses_in_one_line(arguments, text):
    done = command(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(text)
    assert done.stderr.count("\n") == 1


def test_the_command_lists_cases():
    done = command("--list", "--only", "linear/")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [name for name in CASES if name.startswith("linear/")]
